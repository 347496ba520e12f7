//! Versions of components that were in force, kept in the home.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::evidence::Evidence;
use crate::gate::Gate;
use crate::load;
use crate::loaded::{ComponentInfo, Loaded};
use crate::needs::needs_of;
use crate::source::{self, Files, Fingerprint, Source};

/// How many versions of a component are kept.
const VERSIONS: usize = 5;
const RECORD: &str = "record.json";

/// A version that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// What it called its version.
    pub version: String,
    /// The interfaces that it needed grants for.
    pub needs: Vec<String>,
    /// Milliseconds since 1970.
    pub since: u64,
    /// The text of its TOML file, where that is part of what was tried before it came into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
}

/// The versions of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// The digest of the one that is in force: the first of that digest.
    pub in_force: Option<String>,
    /// The newest first.
    pub versions: Vec<KeptVersion>,
}

impl KeptRecord {
    /// The version that is in force.
    #[must_use]
    pub fn in_force(&self) -> Option<&KeptVersion> {
        let digest = self.in_force.as_ref()?;
        self.versions.iter().find(|version| version.digest == *digest)
    }
}

/// Where the versions of one component are.
#[derive(Clone, Debug)]
pub struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    /// That of the component whose versions are in this folder: `…/policies/NAME`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is known. A record that can't be read counts as none: it is written anew.
    #[must_use]
    pub fn record(&self) -> KeptRecord {
        let file = self.folder.join(RECORD);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "what was in force isn't known any more");
                KeptRecord::default()
            }),
            Err(_) => KeptRecord::default(),
        }
    }

    /// The file of a kept version.
    #[must_use]
    pub fn file(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Keeps a file that may come into force.
    ///
    /// # Errors
    /// The disk doesn't take it.
    pub fn save(&self, digest: &str, bytes: &[u8], evidence: &Evidence) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let file = self.file(digest);
        let texts =
            [(Evidence::minisig_file(&file), &evidence.minisig), (Evidence::cosign_file(&file), &evidence.cosign)];
        for (path, text) in texts {
            match text {
                Some(text) if fs::read_to_string(&path).ok().as_ref() != Some(text) => write(&path, text.as_bytes())?,
                _ => {}
            }
        }
        // One of this name has these bytes, or is damaged: it is checked when it is read.
        if fs::metadata(&file).is_ok_and(|there| there.len() == bytes.len() as u64) {
            Ok(())
        } else {
            write(&file, bytes)
        }
    }

    /// Records that a version is in force now, and lets the oldest go.
    ///
    /// # Errors
    /// The disk doesn't take it.
    pub fn put_in_force(&self, info: &ComponentInfo, toml: &str) -> io::Result<()> {
        let mut record = self.record();
        let toml = info.canary.then(|| toml.to_owned());
        let is_it = |version: &KeptVersion| version.digest == info.digest && version.toml == toml;
        if record.in_force().is_some_and(is_it) {
            return Ok(());
        }
        record.versions.retain(|version| !is_it(version));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        record.versions.insert(
            0,
            KeptVersion {
                digest: info.digest.clone(),
                version: info.version.clone(),
                needs: needs_of(&info.imports),
                since: u64::try_from(since).unwrap_or(u64::MAX),
                toml,
            },
        );
        record.in_force = Some(info.digest.clone());
        let old = record.versions.split_off(record.versions.len().min(VERSIONS));
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        write(&self.folder.join(RECORD), &serde_json::to_vec_pretty(&record)?)?;
        for version in old {
            if record.versions.iter().any(|other| other.digest == version.digest) {
                continue;
            }
            let file = self.file(&version.digest);
            for path in [Evidence::minisig_file(&file), Evidence::cosign_file(&file), file] {
                // What isn't there needn't go.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Puts the version before the one in force into its place. `None` when there is none.
    ///
    /// # Errors
    /// The disk doesn't take it.
    pub fn go_back(&self) -> io::Result<Option<KeptVersion>> {
        let mut record = self.record();
        if record.versions.len() < 2 {
            return Ok(None);
        }
        record.versions.remove(0);
        let before = record.versions[0].clone();
        record.in_force = Some(before.digest.clone());
        write(&self.folder.join(RECORD), &serde_json::to_vec_pretty(&record)?)?;
        Ok(Some(before))
    }

    /// Forgets all versions.
    ///
    /// # Errors
    /// The disk doesn't let them go.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    // Renamed into place: whoever reads sees all of it or nothing.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = fs::File::create(&fresh).and_then(|mut out| {
        out.write_all(bytes)?;
        out.sync_all()
    });
    written.and_then(|()| fs::rename(&fresh, file)).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

/// Keeps the bytes of a component that passed all checks. That it can't is no error: it is in force all the same.
pub(crate) fn save(engine: &Engine, source: &Source, digest: &str) {
    let Some(Ok(bytes)) = &source.wasm else { return };
    for keeper in keepers(engine, source.wasm_file(), &source.file) {
        if let Err(error) = keeper.save(digest, bytes, &source.evidence) {
            tracing::warn!(component = %source.wasm_file().display(), %error, "a version can't be kept for later");
        }
    }
}

/// Records that a component is in force from now on. Whoever swaps in a new one calls this.
pub(crate) fn put_in_force(engine: &Engine, loaded: &Loaded) {
    for keeper in keepers(engine, &loaded.info.file, &loaded.info.source) {
        if let Err(error) = keeper.put_in_force(&loaded.info, &loaded.toml) {
            tracing::warn!(component = %loaded.info.file.display(), %error, "what is in force can't be recorded");
        }
    }
}

/// Where the versions of a `.wasm` are kept, and those of the TOML file that uses it under another name.
fn keepers(engine: &Engine, wasm: &Path, listed: &Path) -> impl Iterator<Item = Keeper> {
    let other = (listed != wasm).then(|| engine.gate().keeper(listed)).flatten();
    engine.gate().keeper(wasm).into_iter().chain(other)
}

/// The kept version of a component whose files can't be loaded: what was in force before this process began.
pub(crate) fn in_force(engine: &Engine, file: &Path) -> Option<Arc<Loaded>> {
    // Its settings are those of today, unless they were tried together; trust and grants are looked at as for every file.
    let today = Source::read(file);
    let tried = |keeper: &Keeper| keeper.record().in_force().is_some_and(|version| version.toml.is_some());
    let keeper = match engine.gate().keeper(file).filter(tried) {
        Some(keeper) => keeper,
        None => engine.gate().keeper(today.files.wasm.as_deref()?)?,
    };
    let version = keeper.record().in_force()?.clone();
    let kept = Source::read(&keeper.file(&version.digest));
    if kept.print.wasm.as_deref() != Some(version.digest.as_str()) {
        return None;
    }
    let toml =
        version.toml.as_ref().map_or_else(|| today.print.toml.clone(), |text| Some(source::digest(text.as_bytes())));
    let print = Fingerprint { toml, ..kept.print };
    let text = version.toml.map(|text| Ok(Some(text)));
    // It may have been another file's, by whose name nothing is known any more.
    let wasm_file = today.files.wasm.clone().unwrap_or_else(|| file.with_extension("wasm"));
    let files = Files { wasm: Some(wasm_file), ..today.files.clone() };
    let toml = text.unwrap_or_else(|| today.toml.clone());
    let source = Source { files, wasm: kept.wasm, evidence: kept.evidence, print, toml, ..today };
    // It had its trial when it came into force, or was there before there were any.
    let engine = engine.with_gate(Gate { is_trial: true, ..engine.gate().clone() });
    match load::load(&engine, source, None) {
        Ok(loaded) => Some(Arc::new(loaded)),
        Err(refusal) => {
            tracing::warn!(code = %refusal.fault.code, "the version that was in force can't be loaded either: {}", refusal.fault);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> (tempfile::TempDir, Keeper) {
        let home = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(home.path().join("policies/p"));
        (home, keeper)
    }

    #[test]
    fn a_record_that_is_damaged_counts_as_none() {
        let (_home, keeper) = keeper();
        assert_eq!(keeper.record(), KeptRecord::default());
        keeper.save("ab", b"bytes", &Evidence::default()).unwrap();
        fs::write(keeper.folder.join(RECORD), "{").unwrap();
        assert_eq!(keeper.record(), KeptRecord::default());
        keeper.forget().unwrap();
        keeper.forget().unwrap();
        assert!(!keeper.file("ab").exists());
    }

    #[test]
    fn a_version_is_kept_with_its_signatures() {
        let (_home, keeper) = keeper();
        let evidence = Evidence { minisig: Some("one".to_owned()), cosign: None };
        keeper.save("ab", b"bytes", &evidence).unwrap();
        let newer = Evidence { minisig: Some("two".to_owned()), cosign: Some("three".to_owned()) };
        keeper.save("ab", b"bytes", &newer).unwrap();
        let kept = Source::read(&keeper.file("ab"));
        assert_eq!((kept.wasm.unwrap().unwrap().as_slice(), kept.evidence), (&b"bytes"[..], newer));
    }
}
