//! Signatures, as files beside a component.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The largest file with a signature that is read.
pub(crate) const MAX_EVIDENCE: u64 = 1024 * 1024;

/// What is beside a component to show whose it is: a signature of its bytes, or one of the manifest that a registry has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// `NAME.wasm.minisig`: minisign's own format.
    pub minisig: Option<String>,
    /// `NAME.wasm.cosign.json`: a [`CosignEvidence`], as JSON.
    pub cosign: Option<String>,
}

impl Evidence {
    /// The file with minisign's signature of a component.
    #[must_use]
    pub fn minisig_file(wasm: &Path) -> PathBuf {
        beside(wasm, ".minisig")
    }

    /// The file with what a registry says of a component.
    #[must_use]
    pub fn cosign_file(wasm: &Path) -> PathBuf {
        beside(wasm, ".cosign.json")
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minisig.is_none() && self.cosign.is_none()
    }
}

fn beside(wasm: &Path, ending: &str) -> PathBuf {
    let mut name = wasm.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The way from a signature to a component that came from a registry: payload, manifest, component. Each names the digest of
/// the next, so that it can be checked again without the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignEvidence {
    /// The manifest's bytes, in base64.
    manifest: String,
    /// What was signed: "simple signing" JSON that names the manifest's digest. In base64.
    payload: String,
    /// ECDSA over the payload's SHA-256, DER in base64, as cosign has it.
    signature: String,
}

impl CosignEvidence {
    /// What a registry has.
    #[must_use]
    pub fn new(manifest: &[u8], payload: &[u8], signature: &str) -> Self {
        Self {
            manifest: STANDARD.encode(manifest),
            payload: STANDARD.encode(payload),
            signature: signature.trim().to_owned(),
        }
    }

    pub(crate) fn decoded(&self) -> Option<[Vec<u8>; 3]> {
        let decode = |text: &str| STANDARD.decode(text).ok();
        Some([decode(&self.manifest)?, decode(&self.payload)?, decode(&self.signature)?])
    }
}
