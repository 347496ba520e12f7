//! Runs Python recipes in Python's development mode.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::adapter::{Activity, Job, JobFile, Offer, Problems, RecipeAdapter};
use wharf_plugin_sdk::{KeyValue, Language};

/// The `[settings]` table. Its comments are descriptions in the schema that administrators see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The options of Python that every recipe is run with.
    options: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { options: vec!["-X".to_owned(), "dev".to_owned()] }
    }
}

struct Component;

impl RecipeAdapter for Component {
    type Settings = Settings;

    fn offers() -> Vec<Offer> {
        vec![Offer::new("python", "Python recipe", "Runs Python code in Python's development mode.")]
    }

    fn prepare(settings: &Settings, activity: &Activity) -> Result<Job, Problems> {
        let Some(code) = activity.code.as_deref().filter(|code| !code.trim().is_empty()) else {
            return Err("the activity has no Python code; give it some with --python FILE or the key code".into());
        };
        let mut argv = vec!["python3".to_owned()];
        argv.extend(settings.options.iter().cloned());
        argv.push("recipe.py".to_owned());
        Ok(Job {
            env: vec![KeyValue::new("PYTHONPATH", "/opt/wharf/python"), KeyValue::new("DKU_CONTAINER_EXEC", "1")],
            files: vec![JobFile::text("recipe.py", code)],
            languages: vec![Language { name: "python".to_owned(), version: None, packages: Vec::new() }],
            ..Job::of(argv)
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(Component);
