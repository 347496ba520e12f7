//! What images are made of, and the content key that says so.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the first step of a base image starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An image that is there, or that the daemon pulls.
    From(String),
    /// Made from the distribution's packages, without any registry.
    Bootstrap {
        /// The Debian suite, e.g. `bookworm`.
        suite: String,
        /// Where its packages come from.
        mirror: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(image) => write!(f, "from:{image}"),
            Self::Bootstrap { suite, .. } => write!(f, "bootstrap:{suite}"),
        }
    }
}

/// A language that recipes of an image are written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Language {
    /// `python` or `r`.
    pub name: String,
    /// As asked; none is the distribution's own.
    pub version: Option<String>,
    /// Packages of the language's own index.
    pub packages: Vec<String>,
}

/// Where packages come from instead of the public places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mirrors {
    /// A Debian mirror's URL.
    pub apt: Option<String>,
    /// A PyPI index's URL.
    pub pip: Option<String>,
    /// A CRAN mirror's URL.
    pub cran: Option<String>,
}

/// A file by its name and contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextFile {
    /// Its name in the build context.
    pub name: String,
    /// What is in it.
    #[serde(with = "crate::contents")]
    pub contents: Vec<u8>,
}

/// A piece of a Containerfile that a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// The file it is in, as people know it: `base-images/python-r.toml`.
    pub file: String,
    /// The line of that file on which it begins.
    pub line: u32,
    /// The instructions.
    pub text: String,
}

/// What a base image is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// Its name: the file's.
    pub name: String,
    /// What it starts from.
    pub origin: Origin,
    /// The languages it has.
    pub languages: Vec<Language>,
    /// The version of CUDA whose libraries it has.
    #[serde(default)]
    pub cuda: Option<String>,
    /// Packages of the distribution.
    pub system_packages: Vec<String>,
    /// Instructions before the image recipe's own steps.
    #[serde(default)]
    pub pre_install: Option<Fragment>,
    /// Instructions after them.
    #[serde(default)]
    pub post_install: Option<Fragment>,
    /// Files that those instructions copy.
    #[serde(default)]
    pub files: Vec<ContextFile>,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// Certificates (PEM) that the image must trust.
    pub extra_ca: Vec<ContextFile>,
    /// Labels that a person asked for.
    pub labels: BTreeMap<String, String>,
    /// The image-recipe component that makes it.
    pub made_by: String,
}

/// The name, in the build context, of a code environment's requirements.
pub const REQUIREMENTS: &str = "requirements.txt";
/// The name, in the build context, of the versions that an earlier build of a code environment got.
pub const CONSTRAINTS: &str = "constraints.txt";
/// Where an image has the list of what its code environment got: `name==version` lines.
pub const LOCK: &str = "/opt/code-env/lock.txt";

/// Where an image has the folders of plugins.
pub const PLUGIN_FOLDER: &str = "/opt/plugin";

/// What a code environment is made from: packages of one language over a base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeEnvironment {
    /// Its name: the folder's.
    pub name: String,
    /// `python` or `r`.
    pub language: String,
    /// The interpreters that it can be made with, e.g. `python3.11`, best first; empty is the base image's own.
    #[serde(default)]
    pub interpreters: Vec<String>,
    /// Packages of the language's own index, beside those of the requirements.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Requirements in pip's format, as they are in the file. Only for Python.
    #[serde(default)]
    pub requirements: Option<String>,
    /// How often its unpinned packages have been looked at again.
    #[serde(default)]
    pub generation: u32,
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A script for `/bin/sh -e`.
    Run {
        /// What it does.
        title: String,
        /// The script.
        script: String,
    },
    /// A file of the context into the image.
    Copy {
        /// Its name in the context.
        source: String,
        /// An absolute path in the image.
        target: String,
        /// Permission bits.
        mode: u32,
    },
    /// A variable.
    Env {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// A label.
    Label {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// The working folder.
    Workdir {
        /// An absolute path.
        path: String,
    },
    /// A folder that comes first in PATH.
    Path {
        /// An absolute path.
        path: String,
    },
}

/// How an image is made: what an image-recipe component answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecipe {
    /// In order.
    pub steps: Vec<Step>,
    /// Files that steps copy.
    pub files: Vec<ContextFile>,
    /// Packages of the distribution that the bootstrap itself should contain.
    pub bootstrap_packages: Vec<String>,
}

/// What an image is made of, as a SHA-256 in hex. Known before anything is built, and the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ContentKey(String);

impl ContentKey {
    /// Hashes named parts. Lengths go into the hash, so that no two different lists of parts are the same bytes.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut hash = Sha256::new();
        for (name, bytes) in parts {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        Self(hex::encode(hash.finalize()))
    }

    /// Reads what [`as_str`](Self::as_str) writes: 64 hexadecimal digits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(text.to_owned()))
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 16 digits, for tags.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_confused() {
        let one = ContentKey::of([("a", b"bc".as_slice())]);
        let two = ContentKey::of([("ab", b"c".as_slice())]);
        assert_ne!(one, two);
        assert_eq!(one, ContentKey::of([("a", b"bc".as_slice())]));
        assert_eq!(one.as_str().len(), 64);
    }
}
