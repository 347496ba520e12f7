//! From a file into a registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use wharf_components::{Evidence, Gate, review};
use wharf_model::Fault;
use wharf_registry::{Artifact, Reference};

use super::{Distribution, fault};

/// What a registry took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// Where it is, with the manifest's digest.
    pub reference: String,
    /// `sha256:` and the digest of the file.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Whether its bytes were there already.
    pub was_there: bool,
    /// Whether minisign's signature went along.
    pub signature: bool,
}

impl Distribution {
    /// Puts a component file, and minisign's signature beside it, into a registry.
    ///
    /// # Errors
    /// It isn't a component, or the registry doesn't take it.
    pub async fn push(&self, file: &Path, reference: &str) -> Result<PushReport, Fault> {
        let reference = Reference::parse(reference).map_err(|error| fault::of(&error))?;
        let seen = review(&self.engine.with_gate(Gate::default()), file)?;
        let unreadable = |error: std::io::Error| {
            Fault::new("component-unreadable", format!("it can't be read: {error}")).at(file, None)
        };
        let wasm = fs::read(file).map_err(unreadable)?;
        // The file's own time, so that the same file gives the same manifest.
        let made = fs::metadata(file).and_then(|about| about.modified()).unwrap_or_else(|_| SystemTime::now());
        let minisig = fs::read_to_string(Evidence::minisig_file(file)).ok();
        let version = [("org.opencontainers.image.version".to_owned(), reference.tag.clone())];
        let artifact = Artifact {
            wasm: wasm.into(),
            imports: seen.imports,
            exports: seen.exports,
            created: DateTime::<Utc>::from(made).to_rfc3339_opts(SecondsFormat::Secs, true),
            minisig,
            annotations: BTreeMap::from(version),
        };
        let credentials = self.credentials(&reference.registry).await?;
        let pushed = self.client.push(&reference, credentials, &artifact).await.map_err(|error| fault::of(&error))?;
        Ok(PushReport {
            reference: pushed.reference.to_string(),
            digest: format!("sha256:{}", seen.digest),
            size: seen.size,
            was_there: pushed.was_there,
            signature: artifact.minisig.is_some(),
        })
    }
}
