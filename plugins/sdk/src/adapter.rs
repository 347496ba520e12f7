//! How does a recipe become a command? The world `recipe-adapter`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::adapter::exports::wharf::plugin::recipe_adaptation::{
    Activity, Environment, FileContents, ImageFolder, Job, JobFile, Offer, Plugin, PluginNote, PluginRecipe,
    RecipeParameter, RecipeRole,
};

/// A component that turns activities of some kinds into commands. Export it with
/// [`recipe_adapter!`](crate::recipe_adapter!).
///
/// ```
/// use wharf_plugin_sdk::adapter::{Activity, Job, JobFile, Offer, Problems, RecipeAdapter};
/// use wharf_plugin_sdk::settings::NoSettings;
/// use wharf_plugin_sdk::{KeyValue, Language};
///
/// struct Strict;
///
/// impl RecipeAdapter for Strict {
///     type Settings = NoSettings;
///
///     fn offers() -> Vec<Offer> {
///         vec![Offer::new("python", "Python recipe", "Runs Python code, with warnings as errors.")]
///     }
///
///     fn prepare(_: &NoSettings, activity: &Activity) -> Result<Job, Problems> {
///         let code = activity.code.as_deref().ok_or("the activity has no code; give it some with --python FILE")?;
///         Ok(Job {
///             env: vec![KeyValue::new("PYTHONPATH", "/opt/wharf/python")],
///             files: vec![JobFile::text("recipe.py", code)],
///             languages: vec![Language { name: "python".to_owned(), version: None, packages: Vec::new() }],
///             ..Job::of(["python3", "-W", "error", "recipe.py"].map(str::to_owned).into())
///         })
///     }
/// }
///
/// wharf_plugin_sdk::recipe_adapter!(Strict);
/// ```
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

    /// Reads the plugin in a folder below the granted one; `None` when that is none of this component's. Asked only of
    /// components that offer the kind `plugin`.
    ///
    /// # Errors
    /// One sentence: it is meant for this component, and nothing can be made of it.
    fn read_plugin(_settings: &Self::Settings, _folder: &str) -> Result<Option<Plugin>, String> {
        Ok(None)
    }

    /// Turns an activity into a job.
    ///
    /// # Errors
    /// All that is wrong with the activity, for the person who started it. It must not repeat the values of secrets.
    fn prepare(settings: &Self::Settings, activity: &Activity) -> Result<Job, Problems>;
}

/// What is wrong with an activity: a sentence each. One alone is made of a text by `?` or `into`.
///
/// ```
/// use wharf_plugin_sdk::adapter::Problems;
///
/// /// All that is wrong is said at once.
/// fn check(inputs: usize, outputs: usize) -> Result<(), Problems> {
///     let mut problems = Vec::new();
///     if inputs == 0 {
///         problems.push("the recipe has no input; give it one with --input NAME=PATH".to_owned());
///     }
///     if outputs == 0 {
///         problems.push("the recipe has no output; give it one with --output NAME=PATH".to_owned());
///     }
///     if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
/// }
///
/// assert_eq!(check(0, 0).unwrap_err().0.len(), 2);
/// assert_eq!(Problems::from("no input").0, ["no input"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl From<String> for Problems {
    fn from(sentence: String) -> Self {
        Self(vec![sentence])
    }
}

impl From<&str> for Problems {
    fn from(sentence: &str) -> Self {
        sentence.to_owned().into()
    }
}

impl From<Vec<String>> for Problems {
    fn from(sentences: Vec<String>) -> Self {
        Self(sentences)
    }
}

impl Job {
    /// A job that needs nothing but its command; for `..` behind what another one needs.
    ///
    /// ```
    /// use wharf_plugin_sdk::KeyValue;
    /// use wharf_plugin_sdk::adapter::Job;
    ///
    /// let job = Job { env: vec![KeyValue::new("LC_ALL", "C.UTF-8")], ..Job::of(vec!["sort".to_owned()]) };
    /// assert!(job.files.is_empty() && !job.keeps_when_stopped);
    /// ```
    #[must_use]
    pub fn of(argv: Vec<String>) -> Self {
        Self {
            argv,
            env: Vec::new(),
            files: Vec::new(),
            languages: Vec::new(),
            parameters: None,
            secrets: Vec::new(),
            environment: None,
            folders: Vec::new(),
            keeps_when_stopped: false,
        }
    }
}

impl Offer {
    /// A kind of activity, its name for people, and one sentence.
    ///
    /// ```
    /// use wharf_plugin_sdk::adapter::Offer;
    ///
    /// let offer = Offer::new("shell", "Shell recipe", "Runs a script of the shell.");
    /// assert_eq!(offer.kind, "shell");
    /// ```
    #[must_use]
    pub fn new(kind: &str, label: &str, description: &str) -> Self {
        Self { kind: kind.to_owned(), label: label.to_owned(), description: description.to_owned() }
    }
}

impl JobFile {
    /// A file with a text in it, that can't be executed.
    ///
    /// ```
    /// use wharf_plugin_sdk::adapter::{FileContents, JobFile};
    ///
    /// let file = JobFile::text("recipe.sh", "echo hello\n");
    /// assert!(matches!(file.contents, FileContents::Inline(bytes) if bytes == b"echo hello\n"));
    /// ```
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
                fn read_plugin(folder: String) -> Result<Option<$crate::adapter::Plugin>, String> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::adapter::RecipeAdapter>::read_plugin(&settings, &folder)
                }
                fn prepare(activity: $crate::adapter::Activity) -> Result<$crate::adapter::Job, Vec<String>> {
                    let settings = $crate::guest::settings();
                    <$component as $crate::adapter::RecipeAdapter>::prepare(&settings, &activity)
                        .map_err(|problems| problems.0)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::adapter::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::adapter::exports::wharf::plugin::recipe_adaptation::Guest;
                let _ = <Exported as Guest>::offers;
                let _ = <Exported as Guest>::read_plugin;
                let _ = <Exported as Guest>::prepare;
            };
        };
    };
}
