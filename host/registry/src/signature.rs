//! What cosign puts beside a manifest: a tag of its own, `sha256-….sig`, whose layers are what was signed.
//!
//! Only signatures by a key; those by an identity (Fulcio's certificates, Rekor's log) aren't looked at.

use bytes::Bytes;

use crate::error::RegistryError;
use crate::manifest::Manifest;
use crate::pull::{manifest, small_blob};
use crate::reference::Reference;
use crate::session::Session;

/// The type of what was signed.
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The largest payload.
const PAYLOAD: u64 = 64 * 1024;
/// More signatures than these aren't looked at.
const SIGNATURES: usize = 16;

/// A signature by somebody; nobody has checked it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignSignature {
    /// What was signed: JSON that names the digest of a manifest.
    pub payload: Bytes,
    /// DER in base64.
    pub signature: String,
}

/// The signatures beside a manifest; none when there is no such tag.
pub(crate) async fn of(session: &mut Session<'_>, digest: &str) -> Result<Vec<CosignSignature>, RegistryError> {
    let tag = Reference {
        registry: session.registry.clone(),
        repository: String::new(),
        tag: format!("{}.sig", digest.replace(':', "-")),
        digest: None,
    };
    let found = match manifest(session, &tag).await {
        Ok((found, _)) => found,
        // Some registries don't say to everybody what isn't there.
        Err(RegistryError::NotFound { .. } | RegistryError::Denied { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let Ok(found) = serde_json::from_slice::<Manifest>(&found) else { return Ok(Vec::new()) };
    let mut signatures = Vec::new();
    for layer in found.layers.iter().filter(|layer| layer.media_type == PAYLOAD_TYPE).take(SIGNATURES) {
        if let Some(signature) = layer.annotations.get(SIGNATURE) {
            let payload = small_blob(session, layer, PAYLOAD).await?;
            signatures.push(CosignSignature { payload, signature: signature.clone() });
        }
    }
    Ok(signatures)
}
