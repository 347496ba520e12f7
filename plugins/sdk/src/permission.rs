//! May this user use this execution configuration for this? The world `permission`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::permission::exports::wharf::plugin::permission_check::Verdict;
use crate::types::{Reason, Request, Usage};

/// A component that answers permission checks. Export it with [`permission!`](crate::permission!).
///
/// ```
/// use wharf_plugin_sdk::permission::{Permission, Verdict};
/// use wharf_plugin_sdk::settings::NoSettings;
/// use wharf_plugin_sdk::{Limit, Reason, Request, Usage};
///
/// /// Only machine learning may use GPUs, and two runs of a user at once.
/// struct Gpus;
///
/// impl Permission for Gpus {
///     type Settings = NoSettings;
///
///     fn check(_: &NoSettings, request: &Request, _: &Usage) -> Verdict {
///         if request.resource("gpus").is_none() {
///             return Verdict::yes();
///         }
///         if request.kind.starts_with("ml-") {
///             return Verdict::Allow(vec![Limit::running(format!("gpus:{}", request.requester.user), 2)]);
///         }
///         Verdict::Deny(vec![Reason::new("gpus", "GPUs are for machine learning; leave the resource gpus out")])
///     }
/// }
///
/// wharf_plugin_sdk::permission!(Gpus);
/// ```
pub trait Permission {
    /// The component's settings; [`NoSettings`](crate::settings::NoSettings) when it takes none.
    type Settings: DeserializeOwned + JsonSchema;

    /// What a type can't say: called when the component is loaded and when its TOML changes.
    ///
    /// # Errors
    /// One sentence, shown to the administrator as it is.
    fn check_settings(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// Called for every run before anything else. A panic is a no.
    fn check(settings: &Self::Settings, request: &Request, usage: &Usage) -> Verdict;
}

impl Verdict {
    /// Yes, without limits.
    ///
    /// ```
    /// use wharf_plugin_sdk::permission::Verdict;
    ///
    /// assert!(matches!(Verdict::yes(), Verdict::Allow(limits) if limits.is_empty()));
    /// ```
    #[must_use]
    pub fn yes() -> Self {
        Self::Allow(Vec::new())
    }

    /// Yes when there is no reason against it.
    ///
    /// ```
    /// use wharf_plugin_sdk::permission::Verdict;
    /// use wharf_plugin_sdk::{Reason, Request};
    ///
    /// fn check(request: &Request) -> Verdict {
    ///     let mut reasons = Vec::new();
    ///     if request.project.is_none() {
    ///         reasons.push(Reason::new("project", "runs here belong to a project; name it").about("project"));
    ///     }
    ///     Verdict::unless(reasons)
    /// }
    /// ```
    #[must_use]
    pub fn unless(reasons: Vec<Reason>) -> Self {
        if reasons.is_empty() { Self::yes() } else { Self::Deny(reasons) }
    }
}

/// Exports a type that implements [`Permission`] as this crate's component.
#[macro_export]
macro_rules! permission {
    ($component:ty) => {
        $crate::__metadata!($component, $crate::permission::Permission);
        const _: () = {
            struct Exported;
            impl $crate::bindings::permission::exports::wharf::plugin::permission_check::Guest for Exported {
                fn check(request: $crate::Request, usage: $crate::Usage) -> $crate::permission::Verdict {
                    let settings = $crate::guest::settings();
                    <$component as $crate::permission::Permission>::check(&settings, &request, &usage)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::permission::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::permission::exports::wharf::plugin::permission_check::Guest;
                let _ = <Exported as Guest>::check;
            };
        };
    };
}
