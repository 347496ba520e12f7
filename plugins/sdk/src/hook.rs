//! What must be done before an image goes to a registry? The world `registry-hook`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::hook::exports::wharf::plugin::registry_preparation::{Credentials, Push};

/// A component that prepares pushes. Export it with [`registry_hook!`](crate::registry_hook!).
///
/// ```
/// use wharf_plugin_sdk::grants::folder;
/// use wharf_plugin_sdk::hook::{Credentials, Push, RegistryHook};
/// use wharf_plugin_sdk::settings::NoSettings;
///
/// /// Pushes with a token that something else keeps fresh in the component's folder.
/// struct TokenFile;
///
/// impl RegistryHook for TokenFile {
///     type Settings = NoSettings;
///
///     fn before_push(_: &NoSettings, push: &Push) -> Result<Option<Credentials>, String> {
///         match folder::read(&push.registry) {
///             Ok(token) => {
///                 let secret = String::from_utf8_lossy(&token).trim().to_owned();
///                 Ok(Some(Credentials { user: "token".to_owned(), secret }))
///             }
///             Err(folder::ReadError::NotFound) => Ok(None),
///             Err(error) => Err(format!("the token for {} can't be read: {error:?}", push.registry)),
///         }
///     }
/// }
///
/// wharf_plugin_sdk::registry_hook!(TokenFile);
/// ```
pub trait RegistryHook {
    /// The component's settings; [`NoSettings`](crate::settings::NoSettings) when it takes none.
    type Settings: DeserializeOwned + JsonSchema;

    /// What a type can't say: called when the component is loaded and when its TOML changes.
    ///
    /// # Errors
    /// One sentence, shown to the administrator as it is.
    fn check_settings(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// Called before each push, and perhaps again for the same one. `None` when it has no credentials for that registry.
    ///
    /// # Errors
    /// One sentence: the push fails with it.
    fn before_push(settings: &Self::Settings, push: &Push) -> Result<Option<Credentials>, String>;
}

/// Exports a type that implements [`RegistryHook`] as this crate's component.
#[macro_export]
macro_rules! registry_hook {
    ($component:ty) => {
        $crate::__metadata!($component, $crate::hook::RegistryHook);
        const _: () = {
            struct Exported;
            impl $crate::bindings::hook::exports::wharf::plugin::registry_preparation::Guest for Exported {
                fn before_push(push: $crate::hook::Push) -> Result<Option<$crate::hook::Credentials>, String> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::hook::RegistryHook>::before_push(&settings, &push)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::hook::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::hook::exports::wharf::plugin::registry_preparation::Guest;
                let _ = <Exported as Guest>::before_push;
            };
        };
    };
}
