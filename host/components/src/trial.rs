//! Which files are tried before they come into force.

use std::path::Path;

use wharf_model::Fault;

use crate::gate::{Gate, component_path};
use crate::settings_file::ComponentSettingsFile;
use crate::source::{Fingerprint, Source};

/// The code of a file that waits for its trial, or for what comes of it.
pub const ON_TRIAL: &str = "component-on-trial";

/// What a component's two files are, hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePrint {
    /// SHA-256 of the `.wasm`, in hex.
    pub wasm: Option<String>,
    /// SHA-256 of the TOML file, in hex; none when there is none.
    pub toml: Option<String>,
}

impl FilePrint {
    /// Reads the files of the component that is listed by this one.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self::from(&Source::read(file).print)
    }
}

impl From<&Fingerprint> for FilePrint {
    fn from(print: &Fingerprint) -> Self {
        Self { wasm: print.wasm.clone(), toml: print.toml.clone() }
    }
}

impl Gate {
    /// Holds back a file with `canary = true` until it has passed its trial: unless it is in force already, or loaded for that trial.
    pub(crate) fn try_first(&self, source: &Source, file: &ComponentSettingsFile) -> Result<(), Fault> {
        if !file.canary || self.is_trial {
            return Ok(());
        }
        let print = FilePrint::from(&source.print);
        let is_cleared = self.cleared.get(&component_path(&source.file)) == Some(&print);
        if is_cleared || self.is_in_force(source, &print) {
            return Ok(());
        }
        let name = source.name();
        Err(Fault::new(ON_TRIAL, "it is tried on recorded runs before it comes into force")
            .at(&source.file, None)
            .hint(format!("wait for the trial; `wharf component release {name}` lets it in without")))
    }

    fn is_in_force(&self, source: &Source, print: &FilePrint) -> bool {
        let Some(keeper) = self.keeper(&source.file) else { return false };
        let record = keeper.record();
        record.in_force().is_some_and(|version| {
            let toml = version.toml.as_ref().map(|text| crate::source::digest(text.as_bytes()));
            version.toml.is_some() && Some(&version.digest) == print.wasm.as_ref() && toml == print.toml
        })
    }
}
