//! What stands between a file in a folder and a component in force: trust, grants pinned to a digest, and what was in force before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_model::Fault;

use crate::call_error::cut;
use crate::keep::{Keeper, KeptVersion};
use crate::needs::{need_words, needs_of};
use crate::settings_file::{ComponentSettingsFile, Grants};
use crate::source::Source;
use crate::trial::FilePrint;
use crate::trust::{Trust, Voucher};

/// What stands between a file and a component in force. The default lets every file in, and keeps nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Whose files may be loaded.
    pub trust: Trust,
    /// Grants that were given to one file each.
    pub pinned: Vec<PinnedGrant>,
    /// The folder that has what was in force, so that it outlives the process. Without it, nothing counts as "before".
    pub keep: Option<PathBuf>,
    /// The files with `canary = true` that passed their trial: by `policies/NAME` or `plugins/NAME`.
    pub cleared: BTreeMap<String, FilePrint>,
    /// What is loaded behind it is loaded for its trial.
    pub is_trial: bool,
}

/// A grant to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedGrant {
    /// `policies/NAME` or `plugins/NAME`.
    pub component: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// What it may use.
    pub grants: Grants,
}

impl Gate {
    /// Why a file may be loaded. Nothing of it was compiled yet.
    pub(crate) fn admit(&self, source: &Source, digest: &str, bytes: &[u8]) -> Result<Voucher, Fault> {
        self.trust.check(source.wasm_file(), digest, bytes, &source.evidence)
    }

    /// The grants that hold for a file: those of its TOML, unless they are pinned to another, and those pinned to it elsewhere.
    pub(crate) fn grants(&self, source: &Source, digest: &str, file: &ComponentSettingsFile) -> Grants {
        let own = if is_pinned_elsewhere(&file.grants, digest) {
            Grants { digest: file.grants.digest.clone(), ..Grants::default() }
        } else {
            file.grants.clone()
        };
        self.pinned_to(source.wasm_file(), digest).map_or_else(|| own.clone(), |pinned| own.or(pinned))
    }

    fn pinned_to(&self, wasm: &Path, digest: &str) -> Option<&Grants> {
        let component = component_path(wasm);
        let pinned = self.pinned.iter().find(|pinned| pinned.component == component && pinned.digest == digest);
        pinned.map(|pinned| &pinned.grants)
    }

    /// Sees whether a file imports more than the one in force does, without a grant that is pinned to it.
    pub(crate) fn hold_back(
        &self,
        source: &Source,
        digest: &str,
        imports: &[String],
        file: &ComponentSettingsFile,
    ) -> Result<(), Fault> {
        let Some(before) = self.keeper(source.wasm_file()).and_then(|keeper| keeper.record().in_force().cloned())
        else {
            return Ok(());
        };
        let pinned = self.pinned_to(source.wasm_file(), digest);
        let in_toml = is_pinned_to(&file.grants, digest);
        let more: Vec<String> = needs_beyond(&before, imports)
            .into_iter()
            .filter(|need| !in_toml && !pinned.is_some_and(|grants| grants.give(need)))
            .collect();
        if more.is_empty() || before.digest == digest {
            return Ok(());
        }
        let words: Vec<String> = more.iter().map(|need| format!("{need} (it {})", need_words(need))).collect();
        let name = source.wasm_file().file_stem().unwrap_or_default().to_string_lossy();
        let lines: Vec<String> = more.iter().map(|need| format!("`{}`", grant_line(need))).collect();
        let message = format!(
            "it is held back: it imports more than the version in force, {} (sha256:{}): {}",
            cut(&before.version),
            before.digest.get(..12).unwrap_or(&before.digest),
            words.join(", ")
        );
        Err(Fault::new("component-held-back", message).at(source.wasm_file(), None).hint(format!(
            "if it may: `wharf component grant {name} {}`, or {} and `digest = \"sha256:{digest}\"` under [grants] in {name}.toml",
            more.join(" "),
            lines.join(", ")
        )))
    }

    /// Where the versions of a component are kept.
    pub(crate) fn keeper(&self, wasm: &Path) -> Option<Keeper> {
        self.keep.as_ref().map(|folder| Keeper::new(folder.join(component_path(wasm))))
    }
}

/// The line that gives what an interface needs.
pub(crate) fn grant_line(need: &str) -> String {
    match need {
        "folder" => "folder = \"PATH\"".to_owned(),
        "http" => "http = [\"HOST:PORT\"]".to_owned(),
        need => format!("{need} = true"),
    }
}

/// What a file needs beyond a version that was in force.
fn needs_beyond(before: &KeptVersion, imports: &[String]) -> Vec<String> {
    needs_of(imports).into_iter().filter(|need| !before.needs.contains(need)).collect()
}

/// `policies/NAME`: the folder and the name of a component's file.
#[must_use]
pub fn component_path(wasm: &Path) -> String {
    let folder = wasm.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", folder.to_string_lossy(), wasm.file_stem().unwrap_or_default().to_string_lossy())
}

fn is_pinned_to(grants: &Grants, digest: &str) -> bool {
    grants.digest.as_deref().is_some_and(|pinned| pinned.strip_prefix("sha256:").unwrap_or(pinned) == digest)
}

/// Whether grants are for one file, and it isn't this one.
pub(crate) fn is_pinned_elsewhere(grants: &Grants, digest: &str) -> bool {
    grants.digest.is_some() && !is_pinned_to(grants, digest)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
