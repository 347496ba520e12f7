//! Turns R recipes into commands.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::adapter::{Activity, Job, JobFile, Offer, Problems, RecipeAdapter};
use wharf_plugin_sdk::{KeyValue, Language};

/// The profile in an image that makes `library(dataiku)` work.
const PROFILE: &str = "/opt/wharf/r/profile.R";

/// The `[settings]` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The interpreter: a name in the image's PATH, or an absolute path.
    interpreter: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interpreter: "Rscript".to_owned() }
    }
}

struct RecipeR;

impl RecipeAdapter for RecipeR {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if settings.interpreter.trim().is_empty() {
            return Err("interpreter is empty; leave the key out for Rscript".to_owned());
        }
        Ok(())
    }

    fn offers() -> Vec<Offer> {
        vec![Offer::new("r", "R recipe", "Runs R code that reads and writes datasets and folders.")]
    }

    fn prepare(settings: &Settings, activity: &Activity) -> Result<Job, Problems> {
        let Some(code) = activity.code.as_deref().filter(|code| !code.trim().is_empty()) else {
            return Err("the activity has no R code; give it some with --r FILE or the key code".into());
        };
        let name = file_name(activity.code_name.as_deref());
        let mut env = vec![
            KeyValue::new("R_PROFILE_USER", PROFILE),
            // Without a locale, R takes every letter outside ASCII apart.
            KeyValue::new("LANG", "C.UTF-8"),
            KeyValue::new("DKU_CONTAINER_EXEC", "1"),
        ];
        if let Some(project) = &activity.project {
            env.push(KeyValue::new("DKU_CURRENT_PROJECT_KEY", project));
        }
        // Not --vanilla, which would leave the profile out.
        let argv =
            vec![settings.interpreter.clone(), "--no-save".to_owned(), "--no-restore".to_owned(), name.to_owned()];
        Ok(Job {
            env,
            files: vec![JobFile::text(name, code)],
            languages: vec![Language { name: "r".to_owned(), version: None, packages: Vec::new() }],
            ..Job::of(argv)
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(RecipeR);

/// The name of the recipe's file: the last part of the given one, where that is usable. A name that begins with a dash would
/// be an option of the interpreter.
fn file_name(given: Option<&str>) -> &str {
    let name = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let usable = !matches!(name, "" | "." | "..") && !name.starts_with('-') && !name.contains('\0');
    if usable { name } else { "recipe.R" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_never_leaves_the_folder() {
        for (given, expected) in [
            (None, "recipe.R"),
            (Some("clean.R"), "clean.R"),
            (Some("/home/ana/clean flights.r"), "clean flights.r"),
            (Some("../../.."), "recipe.R"),
            (Some("-e"), "recipe.R"),
        ] {
            assert_eq!(file_name(given), expected);
        }
    }
}
