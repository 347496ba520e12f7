//! What will be executed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::Language;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The command.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Files in its working folder.
    pub files: Vec<JobFile>,
    /// What the image must contain.
    pub languages: Vec<Language>,
}
