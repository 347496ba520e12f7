//! How does a recipe become a command? The world `recipe-adapter`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::adapter::exports::wharf::plugin::recipe_adaptation::{
    Activity, FileContents, Job, JobFile, Offer,
};

/// A component that turns activities of some kinds into commands. Export it with
/// [`recipe_adapter!`](crate::recipe_adapter!).
pub trait RecipeAdapter {
    /// The component's settings; [`NoSettings`](crate::settings::NoSettings) when it takes none.
    type Settings: DeserializeOwned + JsonSchema;

    /// What a type can't say: called when the component is loaded and when its TOML changes.
    ///
    /// # Errors
    /// One sentence, shown to the administrator as it is.
    fn check_settings(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// The kinds of activity that it prepares. Called once, when the component is loaded.
    fn offers() -> Vec<Offer>;

    /// Turns an activity into a job.
    ///
    /// # Errors
    /// One sentence for the person who started it.
    fn prepare(settings: &Self::Settings, activity: &Activity) -> Result<Job, String>;
}

impl Offer {
    /// A kind of activity, its name for people, and one sentence.
    #[must_use]
    pub fn new(kind: &str, label: &str, description: &str) -> Self {
        Self { kind: kind.to_owned(), label: label.to_owned(), description: description.to_owned() }
    }
}

impl JobFile {
    /// A file with a text in it, that can't be executed.
    pub fn text(path: impl Into<String>, text: &str) -> Self {
        Self { path: path.into(), contents: FileContents::Inline(text.as_bytes().to_vec()), executable: false }
    }
}

/// Exports a type that implements [`RecipeAdapter`] as this crate's component.
#[macro_export]
macro_rules! recipe_adapter {
    ($component:ty) => {
        $crate::__metadata!($component, $crate::adapter::RecipeAdapter);
        const _: () = {
            struct Exported;
            impl $crate::bindings::adapter::exports::wharf::plugin::recipe_adaptation::Guest for Exported {
                fn offers() -> Vec<$crate::adapter::Offer> {
                    <$component as $crate::adapter::RecipeAdapter>::offers()
                }
                fn prepare(activity: $crate::adapter::Activity) -> Result<$crate::adapter::Job, String> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::adapter::RecipeAdapter>::prepare(&settings, &activity)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::adapter::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::adapter::exports::wharf::plugin::recipe_adaptation::Guest;
                let _ = <Exported as Guest>::offers;
                let _ = <Exported as Guest>::prepare;
            };
        };
    };
}
