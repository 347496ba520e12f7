//! `components.lock`: what is installed, where it came from, and what was granted to which file.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wharf_components::{Grants, PinnedGrant};
use wharf_model::{Fault, document};

/// The code of every fault of this file.
pub(crate) const CODE: &str = "component-lock-invalid";
/// How many versions of one component are remembered.
const VERSIONS: usize = 5;
const HEAD: &str =
    "# Written by `wharf component`: what is installed, where it came from, and what was granted to which file.\n\n";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lock {
    /// By name.
    #[serde(rename = "component", skip_serializing_if = "Vec::is_empty")]
    pub(crate) components: Vec<LockedComponent>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedComponent {
    /// `policies/NAME` or `plugins/NAME`.
    pub(crate) name: String,
    /// The one that is installed, and then those before it.
    #[serde(rename = "version")]
    pub(crate) versions: Vec<LockedVersion>,
}

/// One version of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedVersion {
    /// `sha256:` and the digest of the file.
    pub(crate) digest: String,
    /// What it calls its version, where it could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// A file, a URL, or a reference to a registry with the manifest's digest.
    pub(crate) source: String,
    /// Whose signature was checked: `minisign:KEY`, `cosign:KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed_by: Option<String>,
    /// RFC 3339.
    pub(crate) installed: String,
    /// What this file alone may use.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(crate) grants: Grants,
}

fn is_nothing(grants: &Grants) -> bool {
    *grants == Grants::default()
}

impl Lock {
    /// Reads the file. One that isn't there is empty.
    pub(crate) fn read(file: &Path) -> Result<Self, Fault> {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(file, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Fault::new(CODE, format!("it can't be read: {error}")).at(file, None)),
        }
    }

    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Fault> {
        document::read_as(CODE, file, text).map_err(|fault: Fault| {
            fault.hint("`wharf component` writes this file: put back a copy of it, or remove it and grant anew")
        })
    }

    /// Writes the file, whole at once.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Fault> {
        let failed = |what: String| {
            Fault::new("component-folder-unusable", format!("it can't be written: {what}")).at(file, None)
        };
        let text = toml::to_string_pretty(self).map_err(|error| failed(error.to_string()))?;
        super::place::write(file, format!("{HEAD}{text}").as_bytes()).map_err(|error| failed(error.to_string()))
    }

    pub(crate) fn component(&self, name: &str) -> Option<&LockedComponent> {
        self.components.iter().find(|component| component.name == name)
    }

    /// The remembered version of a component with this digest.
    pub(crate) fn version(&self, name: &str, digest: &str) -> Option<&LockedVersion> {
        self.component(name)?.versions.iter().find(|version| version.digest == digest)
    }

    /// Makes a version the installed one.
    pub(crate) fn put(&mut self, name: &str, version: LockedVersion) {
        let at = match self.components.iter().position(|component| component.name == name) {
            Some(at) => at,
            None => {
                self.components.push(LockedComponent { name: name.to_owned(), versions: Vec::new() });
                self.components.len() - 1
            }
        };
        let versions = &mut self.components[at].versions;
        versions.retain(|other| other.digest != version.digest);
        versions.insert(0, version);
        versions.truncate(VERSIONS);
        self.components.sort_by(|one, other| one.name.cmp(&other.name));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.components.retain(|component| component.name != name);
    }

    /// The grants that it has, each for one file.
    pub(crate) fn pinned(&self) -> Vec<PinnedGrant> {
        let versions = self
            .components
            .iter()
            .flat_map(|component| component.versions.iter().map(move |version| (component, version)));
        versions
            .filter(|(_, version)| !is_nothing(&version.grants))
            .map(|(component, version)| PinnedGrant {
                component: component.name.clone(),
                digest: version.digest.trim_start_matches("sha256:").to_owned(),
                grants: version.grants.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(digest: &str, grants: Grants) -> LockedVersion {
        LockedVersion {
            digest: digest.to_owned(),
            version: Some("0.1.0".to_owned()),
            source: "oci://r.example/ceiling:0.1.0".to_owned(),
            signed_by: None,
            installed: "2024-01-02T03:04:05Z".to_owned(),
            grants,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("components.lock");
        assert_eq!(Lock::read(&file), Ok(Lock::default()));
        let mut lock = Lock::default();
        lock.put("policies/b", version("sha256:1", Grants { clock: true, ..Grants::default() }));
        lock.put("policies/b", version("sha256:2", Grants { folder: Some("data".into()), ..Grants::default() }));
        lock.put("plugins/a", version("sha256:3", Grants::default()));
        lock.write(&file).expect("written");
        assert_eq!(Lock::read(&file), Ok(lock.clone()));
        let text = fs::read_to_string(&file).expect("there");
        assert!(text.starts_with("# Written by") && text.contains("[component.version.grants]"), "{text}");
        let names: Vec<&str> = lock.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["plugins/a", "policies/b"]);
        assert_eq!(lock.component("policies/b").expect("there").versions[0].digest, "sha256:2");
        // The grants of a version before stay: it may come back.
        let pinned: Vec<String> =
            lock.pinned().into_iter().map(|pinned| format!("{} {}", pinned.component, pinned.digest)).collect();
        assert_eq!(pinned, ["policies/b 2", "policies/b 1"]);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let fault = Lock::parse(Path::new("components.lock"), "[[component]]\nname = \"a\"\nversions = 5\n")
            .expect_err("wrong");
        assert_eq!((fault.code.as_str(), fault.at.and_then(|at| at.line)), (CODE, Some(3)));
    }
}
