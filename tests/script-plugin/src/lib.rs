//! The recipe adapter of the guide for plugin developers, which shows this file from here on.

use serde::Deserialize;
use wharf_plugin_sdk::adapter::{
    Activity, ImageFolder, Job, Offer, Plugin, PluginRecipe, Problems, RecipeAdapter, RecipeRole,
};
use wharf_plugin_sdk::grants::folder::{self, ReadError};
use wharf_plugin_sdk::settings::NoSettings;
use wharf_plugin_sdk::{BindingKind, KeyValue, Language};

/// `spec.json`: what a plugin says of itself. Each script `NAME.sh` beside it is a recipe.
#[derive(Deserialize)]
struct Spec {
    id: String,
    scripts: Vec<String>,
}

fn spec(plugin: &str) -> Result<Option<Spec>, String> {
    match folder::read(&format!("{plugin}/spec.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("spec.json: {error}")),
        Err(ReadError::NotFound) => Ok(None),
        Err(error) => Err(format!("spec.json can't be read: {error:?}")),
    }
}

struct ScriptPlugin;

impl RecipeAdapter for ScriptPlugin {
    type Settings = NoSettings;

    fn offers() -> Vec<Offer> {
        vec![Offer::new("plugin", "Script plugin", "Runs the shell scripts of a plugin.")]
    }

    fn read_plugin(_: &NoSettings, plugin: &str) -> Result<Option<Plugin>, String> {
        let Some(spec) = spec(plugin)? else { return Ok(None) };
        let role = |name: &str| RecipeRole {
            name: name.to_owned(),
            label: String::new(),
            required: true,
            many: false,
            accepts: vec![BindingKind::Dataset, BindingKind::Folder],
        };
        let recipe = |script: String| PluginRecipe {
            label: format!("{script}.sh"),
            name: script,
            description: String::new(),
            language: "python".to_owned(),
            inputs: vec![role("in")],
            outputs: vec![role("out")],
            parameters: Vec::new(),
        };
        Ok(Some(Plugin {
            id: spec.id,
            version: None,
            label: "Shell scripts".to_owned(),
            description: String::new(),
            recipes: spec.scripts.into_iter().map(recipe).collect(),
            faults: Vec::new(),
            unknown: Vec::new(),
        }))
    }

    fn prepare(_: &NoSettings, activity: &Activity) -> Result<Job, Problems> {
        let (Some(plugin), Some(script)) = (&activity.plugin, &activity.recipe) else {
            return Err("name a plugin and a recipe of it".into());
        };
        let spec = spec(plugin)?.ok_or_else(|| format!("{plugin} has no spec.json"))?;
        if !spec.scripts.contains(script) {
            return Err(format!("{plugin} has no script {script}; it has {}", spec.scripts.join(", ")).into());
        }
        Ok(Job {
            env: vec![KeyValue::new("PYTHONPATH", "/opt/wharf/python")],
            languages: vec![Language { name: "python".to_owned(), version: None, packages: Vec::new() }],
            folders: vec![ImageFolder { source: plugin.clone(), target: plugin.clone() }],
            ..Job::of(vec!["bash".to_owned(), "-e".to_owned(), format!("/opt/plugin/{plugin}/{script}.sh")])
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(ScriptPlugin);
