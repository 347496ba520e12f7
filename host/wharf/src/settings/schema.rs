//! JSON schemas of the files, for editors.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use wharf_components::ComponentSettingsFile;

use super::{ActivityFile, BaseImageFile, CodeEnvFile, ConfigurationFile, SiteFile};

/// The schemas, each with the name of its file in `docs/schemas`.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("activity.schema.json", schema::<ActivityFile>()),
        ("base-image.schema.json", schema::<BaseImageFile>()),
        ("code-env.schema.json", schema::<CodeEnvFile>()),
        ("component.schema.json", schema::<ComponentSettingsFile>()),
        ("configuration.schema.json", schema::<ConfigurationFile>()),
        ("wharf.schema.json", schema::<SiteFile>()),
    ]
}

/// Draft 7 is what editors of TOML files understand.
fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07()
        .with_transform(RecursiveTransform(WithoutNull))
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Takes `null` out: a key that may be left out is never `null` in TOML.
#[derive(Clone, Debug)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(object) = schema.as_object_mut() else { return };
        match object.get_mut("default") {
            Some(Value::Null) => {
                object.remove("default");
            }
            Some(Value::Object(table)) => table.retain(|_, value| !value.is_null()),
            _ => {}
        }
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
        }
        let Some(Value::Array(mut choices)) = object.remove("anyOf") else { return };
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        match choices.as_slice() {
            [only] if only.is_object() => {
                // Beside a reference, draft 7 ignores every other word: it needs its own place.
                object.insert("allOf".to_owned(), Value::Array(choices));
            }
            _ => {
                object.insert("anyOf".to_owned(), Value::Array(choices));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
    }

    /// Makes the committed schemas anew with `WHARF_UPDATE=1`, else compares them.
    #[test]
    fn the_committed_schemas_are_these() {
        for (name, schema) in schemas() {
            let made = format!("{}\n", serde_json::to_string_pretty(&schema).expect("a schema is JSON"));
            let file = folder().join(name);
            if std::env::var_os("WHARF_UPDATE").is_some() {
                std::fs::write(&file, made).expect("written");
            } else {
                let there = std::fs::read_to_string(&file).unwrap_or_default();
                assert!(there == made, "{} isn't up to date: run this test with WHARF_UPDATE=1", file.display());
            }
        }
    }

    #[test]
    fn no_schema_is_left_over() {
        let mut names: Vec<&str> = schemas().iter().map(|(name, _)| *name).collect();
        // The one of machine learning's tasks is made by who reads them, in the container.
        names.push("ml-task.schema.json");
        for entry in std::fs::read_dir(folder()).expect("the folder of the schemas") {
            let name = entry.expect("an entry").file_name();
            assert!(names.iter().any(|known| name == **known), "{}", name.display());
        }
    }

    /// An editor marks an unknown key, as the host does, and never offers `null`.
    #[test]
    fn schemas_are_closed_and_have_no_null() {
        for (name, schema) in schemas() {
            let text = serde_json::to_string(&schema).expect("a schema is JSON");
            assert!(!text.contains("null"), "{name}: {text}");
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
        }
    }

    #[test]
    fn schemas_have_the_words_of_the_types() {
        let configuration = schema::<ConfigurationFile>();
        let text = serde_json::to_string(&configuration).expect("a schema is JSON");
        for words in ["\"memory-swap\"", "\"dial-back\"", "\"ml-train\"", "The groups whose members may use it"] {
            assert!(text.contains(words), "{words}");
        }
    }
}
