//! Secrets: where their values are kept, and how a run gets them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use wharf_model::{Cause, Outcome, Plan, SecretValue};

use crate::conclude::{outcome, sentence_of};
use crate::settings::is_secret_name;

/// The largest value: it must fit into one environment variable, of which Linux takes 128 KiB.
const LARGEST: u64 = 64 << 10;

/// Where the values of secrets are kept: the home's folder `secrets/`, or an embedder's own vault
/// ([`HostOptions::secrets`](crate::HostOptions::secrets)).
///
/// Configurations and activities only ever name secrets. A run goes through its store twice: [`check`](Self::check) is called
/// for each name after the last policy has judged, which `explain` does too, and [`value`](Self::value) when the run is
/// launched, and once more when another process takes it over. A value goes to the run's own runner and nowhere else: the host
/// keeps it in memory while the run goes on, and never writes it down.
///
/// The methods are called on an async runtime: they must not block it, but may take as long as they need; the run waits. The
/// calls of one run come one after the other, those of several runs at the same time. A future may be dropped.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The value of a secret: text without zero bytes, at most 64 KiB.
    ///
    /// # Errors
    /// There is none of this name, or it can't be had or used. The sentence is shown to whoever started the run, and recorded:
    /// it must not have the value in it.
    async fn value(&self, name: &str) -> Result<SecretValue, SecretError>;

    /// Whether [`value`](Self::value) would give one. A store that can tell without reading the value should.
    ///
    /// # Errors
    /// Those of [`value`](Self::value).
    async fn check(&self, name: &str) -> Result<(), SecretError> {
        self.value(name).await.map(drop)
    }
}

/// Why a secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("the secret {name} isn't there")]
    Missing {
        /// Which.
        name: String,
        /// What to do.
        advice: String,
    },
    /// It is there, and not fit to be used.
    #[error("the secret {name} can't be used: {reason}")]
    Unusable {
        /// Which.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// Its store can't be asked.
    #[error("the secret {name} can't be had now")]
    Unavailable {
        /// Which.
        name: String,
        /// The store's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SecretError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Missing { advice, .. } | Self::Unusable { advice, .. } => Some(advice),
            Self::Unavailable { .. } => None,
        }
    }
}

/// The files of a folder, one a secret: the store of a home that its host wasn't given another one for.
#[derive(Clone, Debug)]
pub struct SecretFolder {
    folder: PathBuf,
}

impl SecretFolder {
    /// The secrets in this folder. It need not be there before there are secrets.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

#[async_trait]
impl SecretStore for SecretFolder {
    async fn value(&self, name: &str) -> Result<SecretValue, SecretError> {
        let file = self.folder.join(name);
        let name = name.to_owned();
        let failed = name.clone();
        tokio::task::spawn_blocking(move || read(&file, name))
            .await
            .unwrap_or_else(|error| Err(SecretError::Unavailable { name: failed, source: error.into() }))
    }
}

/// Reads the file of a secret, unless others could have read it as well.
fn read(file: &Path, name: String) -> Result<SecretValue, SecretError> {
    let unusable = |reason: &str, advice: String| {
        Err(SecretError::Unusable { name: name.clone(), reason: reason.to_owned(), advice })
    };
    if !is_secret_name(&name) {
        return unusable("that isn't the name of a secret", "use letters, digits, `.`, `_` and `-`".to_owned());
    }
    // Looked at first: opening a pipe would wait for its writer.
    let opened = std::fs::metadata(file).and_then(|metadata| {
        if metadata.is_file() { File::open(file) } else { Err(std::io::Error::other("it isn't a file")) }
    });
    let (opened, metadata) = match opened.and_then(|opened| opened.metadata().map(|metadata| (opened, metadata))) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let advice = format!("write its value into {}, which only its owner may read (chmod 600)", file.display());
            return Err(SecretError::Missing { name, advice });
        }
        Err(error) => {
            let advice = format!("make {} a file that the user who runs wharf can read", file.display());
            return unusable(&error.to_string(), advice);
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let reason = format!("others than its owner may read or write its file (mode {mode:03o})");
        return unusable(&reason, format!("chmod 600 {}", file.display()));
    }
    let mut bytes = Vec::new();
    if let Err(error) = opened.take(LARGEST + 1).read_to_end(&mut bytes) {
        return unusable(&error.to_string(), format!("see whether the disk of {} is well", file.display()));
    }
    if bytes.len() as u64 > LARGEST {
        let advice = "put what is larger into a file of a managed folder, or where the recipe can fetch it";
        return unusable("it is larger than the 64 KiB that a variable can have", advice.to_owned());
    }
    let shown = file.display();
    let Ok(mut text) = String::from_utf8(bytes) else {
        return unusable("it isn't UTF-8 text", format!("encode {shown}, for example as base64"));
    };
    if text.contains('\0') {
        return unusable(
            "it has a zero byte, which no variable can have",
            format!("encode {shown}, for example as base64"),
        );
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return unusable("it is empty", format!("write its value into {shown}"));
    }
    Ok(SecretValue::new(text))
}

/// The values of a plan's secrets, by variable.
pub(crate) async fn resolve(
    store: &dyn SecretStore,
    plan: &Plan,
) -> Result<BTreeMap<String, SecretValue>, SecretError> {
    let mut values = BTreeMap::new();
    for (variable, name) in &plan.secrets {
        values.insert(variable.clone(), store.value(name).await?);
    }
    Ok(values)
}

/// Sees whether a plan's secrets are there.
pub(crate) async fn check(store: &dyn SecretStore, plan: &Plan) -> Result<(), SecretError> {
    for name in plan.secrets.values() {
        store.check(name).await?;
    }
    Ok(())
}

/// An outcome for a secret that can't be had.
pub(crate) fn secret_outcome(error: &SecretError) -> Outcome {
    Outcome {
        advice: error.advice().map(str::to_owned),
        retry_helps: matches!(error, SecretError::Unavailable { .. }),
        ..outcome(Cause::SecretUnavailable, sentence_of(error))
    }
}

/// A store whose debug form says no more than that it is one.
impl fmt::Debug for dyn SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretStore")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) {
            std::fs::write(self.path(name), contents).unwrap();
            std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }

        async fn value(&self, name: &str) -> Result<String, (String, String)> {
            let store = SecretFolder::at(self.folder.path());
            let value = store.value(name).await;
            assert_eq!(store.check(name).await.is_ok(), value.is_ok());
            value.map(|value| value.expose().to_owned()).map_err(|error| {
                let advice =
                    error.advice().unwrap_or_default().replace(&format!("{}/", self.folder.path().display()), "");
                (error.to_string(), advice)
            })
        }

        async fn refusal(&self, name: &str) -> String {
            let (sentence, advice) = self.value(name).await.unwrap_err();
            format!("{sentence} | {advice}")
        }
    }

    #[tokio::test]
    async fn a_value_is_a_file_without_its_last_newline() {
        let fixture = Fixture::new();
        for (contents, value) in [
            ("hunter22", "hunter22"),
            ("hunter22\n", "hunter22"),
            ("hunter22\r\n", "hunter22"),
            ("hunter22\n\n", "hunter22\n"),
            (" spaces \n", " spaces "),
            ("-----BEGIN-----\nabc\n-----END-----\n", "-----BEGIN-----\nabc\n-----END-----"),
            ("pässwörd=\"'\\$", "pässwörd=\"'\\$"),
        ] {
            fixture.write("db", contents, 0o600);
            assert_eq!(fixture.value("db").await.as_deref(), Ok(value));
        }
        fixture.write("strict", "x", 0o400);
        assert_eq!(fixture.value("strict").await.as_deref(), Ok("x"));
        // As Kubernetes mounts them.
        std::os::unix::fs::symlink(fixture.path("strict"), fixture.path("linked")).unwrap();
        assert_eq!(fixture.value("linked").await.as_deref(), Ok("x"));
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused() {
        let fixture = Fixture::new();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o666] {
            fixture.write("db", "hunter22", mode);
            assert_eq!(
                fixture.refusal("db").await,
                format!(
                    "the secret db can't be used: others than its owner may read or write its file (mode {mode:03o}) | chmod 600 db"
                )
            );
        }
    }

    #[tokio::test]
    async fn each_refusal_says_what_to_do() {
        let fixture = Fixture::new();
        assert_eq!(
            fixture.refusal("none").await,
            "the secret none isn't there | write its value into none, which only its owner may read (chmod 600)"
        );
        fixture.write("empty", "\n", 0o600);
        assert_eq!(
            fixture.refusal("empty").await,
            "the secret empty can't be used: it is empty | write its value into empty"
        );
        fixture.write("binary", b"\xff\xfe", 0o600);
        assert_eq!(
            fixture.refusal("binary").await,
            "the secret binary can't be used: it isn't UTF-8 text | encode binary, for example as base64"
        );
        fixture.write("zero", b"a\0b", 0o600);
        assert!(fixture.refusal("zero").await.contains("a zero byte"));
        let largest = usize::try_from(LARGEST).unwrap();
        fixture.write("large", vec![b'x'; largest], 0o600);
        assert_eq!(fixture.value("large").await.map(|value| value.len()), Ok(largest));
        fixture.write("large", vec![b'x'; largest + 1], 0o600);
        assert!(fixture.refusal("large").await.contains("larger than the 64 KiB"));
        std::fs::create_dir(fixture.path("folder")).unwrap();
        assert!(fixture.refusal("folder").await.contains("it isn't a file"));
    }

    #[tokio::test]
    async fn a_name_leads_nowhere_else() {
        let fixture = Fixture::new();
        for name in ["../db", "/etc/passwd", "", ".hidden", "a/b", "a\0"] {
            assert!(fixture.refusal(name).await.contains("that isn't the name of a secret"), "{name}");
        }
    }
}
