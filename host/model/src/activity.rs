//! What was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plugin::SECRET_REFERENCE;
use crate::quantity::Resources;

/// What kind of work an activity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActivityKind {
    /// A Python recipe.
    Python,
    /// An R recipe.
    R,
    /// A recipe that a plugin provides.
    Plugin,
    /// Initial training of an in-memory model.
    MlTrain,
    /// Retraining of an in-memory model.
    MlRetrain,
    /// Scoring with an in-memory model.
    MlScore,
    /// The trivial run of `wharf config test`.
    Test,
}

impl ActivityKind {
    /// All kinds, in the order in which people read them.
    pub const ALL: [Self; 7] =
        [Self::Python, Self::R, Self::Plugin, Self::MlTrain, Self::MlRetrain, Self::MlScore, Self::Test];

    /// Whether its inputs and outputs play roles, rather than having the names that its code uses.
    #[must_use]
    pub fn has_roles(self) -> bool {
        matches!(self, Self::Plugin | Self::MlTrain | Self::MlRetrain | Self::MlScore)
    }

    /// The kind as files, components and records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::R => "r",
            Self::Plugin => "plugin",
            Self::MlTrain => "ml-train",
            Self::MlRetrain => "ml-retrain",
            Self::MlScore => "ml-score",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for ActivityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks, as the embedder says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The login.
    pub user: String,
    /// The groups that the user is in.
    pub groups: Vec<String>,
}

/// Whether a binding is a dataset or a managed folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BindingKind {
    /// Rows with a schema.
    Dataset,
    /// Files.
    Folder,
}

/// Where the data of a binding is: a path of the host's machine, for the file store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// An absolute path: a `.csv` or `.parquet` file for a dataset, a directory for a folder.
    pub path: PathBuf,
}

/// A name that a recipe uses, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// The name in the recipe.
    pub name: String,
    /// The role it plays in a plugin's recipe or in machine learning; `main` for others.
    pub role: String,
    /// Dataset or folder.
    pub kind: BindingKind,
    /// Where its data is.
    pub place: Place,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// What was asked: by whom, what kind of work, under which execution configuration, on which data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// What kind of work.
    pub kind: ActivityKind,
    /// Who asks.
    pub requester: Identity,
    /// The project it belongs to.
    #[serde(default)]
    pub project: Option<String>,
    /// The execution configuration; without one, the project's default, else the site's.
    #[serde(default)]
    pub configuration: Option<String>,
    /// The code environment that its recipe runs in; without one, the base image's own packages.
    #[serde(default)]
    pub code_env: Option<String>,
    /// The code of a Python or R recipe.
    #[serde(default)]
    pub code: Option<String>,
    /// The name of the code's file, for tracebacks; `recipe.py` when not said.
    #[serde(default)]
    pub code_name: Option<String>,
    /// The plugin whose recipe it is, for the kind `plugin`.
    #[serde(default)]
    pub plugin: Option<String>,
    /// Which of the plugin's recipes.
    #[serde(default)]
    pub recipe: Option<String>,
    /// The parameters of a recipe, a JSON object. The value of a secret is given as `{"secret": "NAME"}`.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// What it reads.
    #[serde(default)]
    pub inputs: Vec<Binding>,
    /// What it writes.
    #[serde(default)]
    pub outputs: Vec<Binding>,
    /// Resources that it asks for instead of its configuration's.
    #[serde(default)]
    pub resources: Resources,
    /// Whose turn it is first when several wait for room: the highest. Its configuration says how high it may be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// After how many seconds it is ended.
    #[serde(default)]
    pub time_limit: Option<u64>,
    /// The project's variables, as `dataiku.get_custom_variables()` gives them.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Secrets that it needs: variables of its environment, and the names of secrets, never values.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Labels for the record and for the engine's object.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The secret that a parameter's value refers to: `{"secret": "NAME"}`.
fn reference(value: &serde_json::Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(SECRET_REFERENCE)?.as_str()
}

/// Collects the secrets that values refer to, each by its place: `parameters.connection.password`.
fn collect_references(place: &str, value: &serde_json::Value, found: &mut BTreeMap<String, String>) {
    if let Some(name) = reference(value) {
        found.insert(place.to_owned(), name.to_owned());
        return;
    }
    match value {
        serde_json::Value::Object(object) => {
            object.iter().for_each(|(key, value)| collect_references(&format!("{place}.{key}"), value, found));
        }
        serde_json::Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(at, value)| collect_references(&format!("{place}.{at}"), value, found));
        }
        _ => {}
    }
}

impl Activity {
    /// All secrets that it names: by the variable that gets them, and by their places in the parameters.
    #[must_use]
    pub fn named_secrets(&self) -> BTreeMap<String, String> {
        let mut found = self.secrets.clone();
        self.parameters
            .iter()
            .for_each(|(key, value)| collect_references(&format!("parameters.{key}"), value, &mut found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_wherever_parameters_have_them() {
        let activity: Activity = serde_json::from_value(serde_json::json!({
            "kind": "plugin",
            "requester": { "user": "ana", "groups": [] },
            "secrets": { "TOKEN": "a" },
            "parameters": {
                "password": { "secret": "b" },
                "connection": { "keys": [{ "secret": "c" }, "d"], "secret": "e", "name": "f" },
                "odd": { "secret": 3 },
            },
        }))
        .unwrap();
        let expected = [("TOKEN", "a"), ("parameters.connection.keys.0", "c"), ("parameters.password", "b")];
        assert_eq!(activity.named_secrets(), expected.map(|(key, name)| (key.to_owned(), name.to_owned())).into());
    }
}
