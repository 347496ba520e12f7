//! What will be executed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::{CodeEnvironment, Language};

/// A file that is there when the command starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    /// Relative to the working folder.
    pub path: String,
    /// What is in it.
    #[serde(with = "crate::contents")]
    pub contents: Vec<u8>,
    /// Whether it gets the execute bit.
    pub executable: bool,
}

/// What will be executed: a recipe adapter's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The command.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Files in its working folder.
    pub files: Vec<JobFile>,
    /// What the image must contain.
    pub languages: Vec<Language>,
    /// The parameters as the recipe gets them; none when they are those that were asked.
    #[serde(default)]
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Variables of the command, and the names of the secrets that they get, never values.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The code environment that the recipe brings along.
    #[serde(default)]
    pub environment: Option<JobEnvironment>,
    /// Folders that its image has.
    #[serde(default)]
    pub folders: Vec<JobFolder>,
    /// A stopped run whose command ends by itself with 0 has succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_when_stopped: bool,
}

/// A code environment that a recipe brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnvironment {
    /// What it is made from.
    pub environment: CodeEnvironment,
    /// The file with its requirements, as people find it.
    pub file: String,
}

/// A folder that a job's image has, in a layer of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFolder {
    /// Where its files are: below the folder that was granted to the adapter.
    pub source: String,
    /// Where it is in the image, below [`PLUGIN_FOLDER`](crate::image::PLUGIN_FOLDER).
    pub target: String,
    /// SHA-256 over its files, in hex.
    pub digest: String,
}
