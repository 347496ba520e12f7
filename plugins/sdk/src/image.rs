//! How is an image made? The world `image-recipe`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::image::exports::wharf::plugin::image_recipe_generation::{
    ContextFile, CopyStep, ImageRecipe, RunStep, Step,
};
use crate::types::{CodeEnvironment, ImageSpec, KeyValue};

/// A component that knows how images of one kind are made. Export it with [`image_recipe!`](crate::image_recipe!).
///
/// ```
/// use wharf_plugin_sdk::ImageSpec;
/// use wharf_plugin_sdk::image::{ImageMaker, ImageRecipe, Step};
/// use wharf_plugin_sdk::settings::NoSettings;
///
/// struct Alpine;
///
/// impl ImageMaker for Alpine {
///     type Settings = NoSettings;
///
///     fn generate(_: &NoSettings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
///         let mut steps = Vec::new();
///         for language in wharf_plugin_sdk::base::languages(spec)? {
///             match language.name.as_str() {
///                 "python" => steps.push(Step::run("install Python", "apk add --no-cache python3 py3-pandas\n")),
///                 other => return Err(format!("these images have python, not {other}")),
///             }
///         }
///         steps.extend(wharf_plugin_sdk::base::labels(spec)?);
///         Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
///     }
/// }
///
/// wharf_plugin_sdk::image_recipe!(Alpine);
/// ```
pub trait ImageMaker {
    /// The component's settings; [`NoSettings`](crate::settings::NoSettings) when it takes none.
    type Settings: DeserializeOwned + JsonSchema;

    /// What a type can't say: called when the component is loaded and when its TOML changes.
    ///
    /// # Errors
    /// One sentence, shown to the administrator as it is.
    fn check_settings(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// Pure: equal specs must give equal recipes.
    ///
    /// # Errors
    /// One sentence: what in the spec can't be done, and what could.
    fn generate(settings: &Self::Settings, spec: &ImageSpec) -> Result<ImageRecipe, String>;

    /// The steps of a code environment, over the base image that [`generate`](Self::generate) made of `base`. Pure.
    ///
    /// # Errors
    /// One sentence: what in the environment can't be done, and what could.
    fn generate_environment(
        _settings: &Self::Settings,
        _base: &ImageSpec,
        environment: &CodeEnvironment,
    ) -> Result<ImageRecipe, String> {
        Err(format!("this image recipe makes no code environments, so {} can't be had here", environment.name))
    }
}

impl Step {
    /// A script for `/bin/sh -e`, with what it does.
    ///
    /// ```
    /// use wharf_plugin_sdk::image::Step;
    ///
    /// let step = Step::run("install git", "apk add --no-cache git\n");
    /// assert!(matches!(step, Step::Run(run) if run.title == "install git"));
    /// ```
    pub fn run(title: impl Into<String>, script: impl Into<String>) -> Self {
        Self::Run(RunStep { title: title.into(), script: script.into() })
    }

    /// A file of the context into the image, readable by all.
    ///
    /// ```
    /// use wharf_plugin_sdk::image::Step;
    ///
    /// let step = Step::copy("krb5.conf", "/etc/krb5.conf");
    /// assert!(matches!(step, Step::Copy(copy) if copy.mode == 0o644));
    /// ```
    pub fn copy(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self::Copy(CopyStep { source: source.into(), target: target.into(), mode: 0o644 })
    }

    /// A variable for later steps and for the container.
    ///
    /// ```
    /// use wharf_plugin_sdk::image::Step;
    ///
    /// let step = Step::variable("TZ", "Europe/Paris");
    /// assert!(matches!(step, Step::Env(variable) if variable.value == "Europe/Paris"));
    /// ```
    pub fn variable(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Env(KeyValue::new(key, value))
    }
}

/// Exports a type that implements [`ImageMaker`] as this crate's component.
#[macro_export]
macro_rules! image_recipe {
    ($component:ty) => {
        $crate::__metadata!($component, $crate::image::ImageMaker);
        const _: () = {
            struct Exported;
            impl $crate::bindings::image::exports::wharf::plugin::image_recipe_generation::Guest for Exported {
                fn generate(spec: $crate::ImageSpec) -> Result<$crate::image::ImageRecipe, String> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::image::ImageMaker>::generate(&settings, &spec)
                }

                fn generate_environment(
                    base: $crate::ImageSpec,
                    environment: $crate::CodeEnvironment,
                ) -> Result<$crate::image::ImageRecipe, String> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::image::ImageMaker>::generate_environment(&settings, &base, &environment)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::image::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::image::exports::wharf::plugin::image_recipe_generation::Guest;
                let _ = (<Exported as Guest>::generate, <Exported as Guest>::generate_environment);
            };
        };
    };
}
