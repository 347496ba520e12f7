//! What came of trials: a file of the home, so that it outlives the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use wharf_components::{FilePrint, component_path};
use wharf_model::Fault;

use crate::journal::millis;

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may come into force.
    Cleared {
        /// `trial`, or `release` by a person.
        by: &'static str,
    },
    /// It may not.
    Held {
        /// Why.
        reason: String,
    },
}

/// The last verdicts about each component, by `policies/NAME` or `plugins/NAME`. What was cleared stays so while another version of
/// it is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ledger {
    cleared: BTreeMap<String, Cleared>,
    held: BTreeMap<String, Held>,
}

/// Files that may come into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cleared {
    #[serde(flatten)]
    files: Files,
    by: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// Files that may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    #[serde(flatten)]
    files: Files,
    reason: String,
}

/// SHA-256 of each, in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Files {
    wasm: Option<String>,
    toml: Option<String>,
}

impl Files {
    fn of(print: &FilePrint) -> Self {
        Self { wasm: print.wasm.clone(), toml: print.toml.clone() }
    }
}

impl Ledger {
    /// Reads it. One that can't be read counts as empty: what isn't known to have passed is tried again.
    pub(crate) fn read(file: &Path) -> Self {
        let Ok(text) = fs::read(file) else { return Self::default() };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "what came of trials isn't known any more: they are made again");
            Self::default()
        })
    }

    /// Why these files are held back, if they are.
    pub(crate) fn held(&self, file: &Path, print: &FilePrint) -> Option<&str> {
        let held = self.held.get(&component_path(file)).filter(|held| held.files == Files::of(print));
        held.map(|held| held.reason.as_str())
    }

    /// Whether these files had their trial.
    pub(crate) fn is_known(&self, file: &Path, print: &FilePrint) -> bool {
        let cleared = self.cleared.get(&component_path(file)).is_some_and(|cleared| cleared.files == Files::of(print));
        cleared || self.held(file, print).is_some()
    }

    /// The files that may come into force.
    pub(crate) fn cleared(&self) -> BTreeMap<String, FilePrint> {
        let print = |files: &Files| FilePrint { wasm: files.wasm.clone(), toml: files.toml.clone() };
        self.cleared.iter().map(|(name, cleared)| (name.clone(), print(&cleared.files))).collect()
    }

    /// Writes a verdict down. One that another process writes at the same moment may be lost: that trial is made again.
    pub(crate) fn note(ledger: &Path, file: &Path, print: &FilePrint, verdict: Verdict) -> Result<(), Fault> {
        let mut all = Self::read(ledger);
        let (name, files) = (component_path(file), Files::of(print));
        match verdict {
            Verdict::Cleared { by } => {
                all.held.remove(&name);
                all.cleared.insert(name, Cleared { files, by: by.to_owned(), at: millis(SystemTime::now()) });
            }
            Verdict::Held { reason } => {
                if all.cleared.get(&name).is_some_and(|cleared| cleared.files == files) {
                    all.cleared.remove(&name);
                }
                all.held.insert(name, Held { files, reason });
            }
        }
        let failed =
            |what: String| Fault::new("file-unwritable", format!("it can't be written: {what}")).at(ledger, None);
        let text = serde_json::to_vec_pretty(&all).map_err(|error| failed(error.to_string()))?;
        crate::distribution::write_whole(ledger, &text).map_err(|error| failed(error.to_string()))
    }
}
