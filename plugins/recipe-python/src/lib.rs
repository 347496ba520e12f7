//! Turns Python recipes into commands.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::adapter::{Activity, Job, JobFile, Offer, Problems, RecipeAdapter};
use wharf_plugin_sdk::{KeyValue, Language};

/// Where an image has the package `dataiku`.
const LIBRARY: &str = "/opt/wharf/python";

/// What an activity of kind `test` runs: shows that the interpreter and the library are there.
const TEST_CODE: &str = "import platform

import dataiku

print(\"Python\", platform.python_version(), \"with dataiku from\", dataiku.__file__)
";

/// The `[settings]` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The interpreter: a name in the image's PATH, or an absolute path.
    interpreter: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interpreter: "python3".to_owned() }
    }
}

struct RecipePython;

impl RecipeAdapter for RecipePython {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if settings.interpreter.trim().is_empty() {
            return Err("interpreter is empty; leave the key out for python3".to_owned());
        }
        Ok(())
    }

    fn offers() -> Vec<Offer> {
        vec![
            Offer::new("python", "Python recipe", "Runs Python code that reads and writes datasets and folders."),
            Offer::new("test", "Test", "Prints the version of Python in the container."),
        ]
    }

    fn prepare(settings: &Settings, activity: &Activity) -> Result<Job, Problems> {
        let code = match (activity.code.as_deref(), activity.kind.as_str()) {
            (Some(code), _) if !code.trim().is_empty() => code,
            (_, "test") => TEST_CODE,
            _ => {
                return Err("the activity has no Python code; give it some with --python FILE or the key code".into());
            }
        };
        let name = file_name(activity.code_name.as_deref());
        let mut env = vec![KeyValue::new("PYTHONPATH", LIBRARY), KeyValue::new("DKU_CONTAINER_EXEC", "1")];
        if let Some(project) = &activity.project {
            env.push(KeyValue::new("DKU_CURRENT_PROJECT_KEY", project));
        }
        // -u: a line is in the log when it was printed, not when a buffer is full.
        let argv = vec![settings.interpreter.clone(), "-u".to_owned(), name.to_owned()];
        Ok(Job {
            env,
            files: vec![JobFile::text(name, code)],
            languages: vec![Language { name: "python".to_owned(), version: None, packages: Vec::new() }],
            ..Job::of(argv)
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(RecipePython);

/// The name of the recipe's file: the last part of the given one, where that is usable.
///
/// A recipe is run from its own folder, which Python searches first: one called `dataiku.py` would hide the library. And a
/// name that begins with a dash would be an option of the interpreter.
fn file_name(given: Option<&str>) -> &str {
    let name = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let usable = !matches!(name, "" | "." | ".." | "dataiku.py") && !name.starts_with('-') && !name.contains('\0');
    if usable { name } else { "recipe.py" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_never_leaves_the_folder_nor_hides_the_library() {
        for (given, expected) in [
            (None, "recipe.py"),
            (Some("clean.py"), "clean.py"),
            (Some("/home/ana/clean flights.py"), "clean flights.py"),
            (Some("../../.."), "recipe.py"),
            (Some("a/"), "recipe.py"),
            (Some("dataiku.py"), "recipe.py"),
            (Some("-c"), "recipe.py"),
        ] {
            assert_eq!(file_name(given), expected);
        }
    }
}
