//! Whose components may be loaded.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wharf_model::Fault;

use crate::call_error::cut;
use crate::evidence::{CosignEvidence, Evidence};

/// The media type of a component's bytes in a registry.
pub const WASM_LAYER: &str = "application/wasm";

/// Which files may become components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustMode {
    /// Every file: whoever can write into the folder is trusted.
    #[default]
    Any,
    /// Those whose digest is listed.
    Digests,
    /// Those that a listed key signed, and those whose digest is listed.
    Signed,
}

/// Whose components may be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// How it is decided.
    pub mode: TrustMode,
    /// SHA-256 of files, in hex.
    pub digests: BTreeSet<String>,
    /// SHA-256 of the files that came with the host.
    pub shipped: BTreeSet<String>,
    /// The keys of minisign.
    pub keys: Vec<MinisignKey>,
    /// The keys of signatures in registries.
    pub cosign_keys: Vec<CosignKey>,
}

/// A public key of minisign: ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinisignKey {
    key: PublicKey,
    id: String,
}

/// A public key of cosign: ECDSA on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignKey {
    point: Vec<u8>,
    id: String,
}

/// Why a component is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Voucher {
    /// Nobody asked.
    Anybody,
    /// It came with this build of the host.
    Shipped,
    /// Its digest is listed.
    Digest,
    /// Signed with minisign.
    Minisign {
        /// The key's id, as minisign prints it.
        key: String,
        /// The comment that is part of what is signed.
        comment: String,
    },
    /// Signed in a registry, with cosign.
    Cosign {
        /// The beginning of the key's SHA-256.
        key: String,
    },
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("nobody"),
            Self::Shipped => f.write_str("shipped"),
            Self::Digest => f.write_str("digest"),
            Self::Minisign { key, .. } => write!(f, "minisign:{key}"),
            Self::Cosign { key } => write!(f, "cosign:{key}"),
        }
    }
}

impl MinisignKey {
    /// Reads a key: one line of base64, or both lines of `minisign.pub`.
    ///
    /// # Errors
    /// It is something else; in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let key =
            PublicKey::from_base64(line).map_err(|error| format!("it isn't a public key of minisign: {error}"))?;
        Ok(Self { key, id: minisign_id(line).unwrap_or_default() })
    }

    /// Its id, as minisign prints it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The id in a key or a signature: 8 bytes after the algorithm's two, as minisign prints them.
fn minisign_id(line: &str) -> Option<String> {
    let bytes = STANDARD.decode(line.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:X}", u64::from_le_bytes(id)))
}

impl CosignKey {
    /// Reads a key: PEM, as `cosign generate-key-pair` writes it.
    ///
    /// # Errors
    /// It is something else; in words.
    pub fn parse(pem: &str) -> Result<Self, String> {
        // SubjectPublicKeyInfo of an uncompressed point on P-256; there is no other form of it.
        const HEADER: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).map_err(|_| "it isn't a public key in PEM".to_owned())?;
        match der.strip_prefix(&HEADER) {
            Some(point) if point.len() == 65 && point[0] == 4 => {
                Ok(Self { point: point.to_owned(), id: hex::encode(Sha256::digest(&der))[..16].to_owned() })
            }
            _ => Err("it isn't a key of ECDSA on P-256, the only kind that is checked".to_owned()),
        }
    }

    /// The beginning of its SHA-256.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn verifies(&self, payload: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(payload, signature).is_ok()
    }
}

impl Trust {
    /// Says why a file is trusted.
    ///
    /// # Errors
    /// It isn't: with the reason, the key that would do, and what can be done.
    pub fn check(&self, file: &Path, digest: &str, bytes: &[u8], evidence: &Evidence) -> Result<Voucher, Fault> {
        if self.mode != TrustMode::Any {
            if self.digests.contains(digest) {
                return Ok(Voucher::Digest);
            }
            if self.shipped.contains(digest) {
                return Ok(Voucher::Shipped);
            }
        }
        match self.mode {
            // Signatures are shown all the same.
            TrustMode::Any => Ok(self.signed_by(digest, bytes, evidence).unwrap_or(Voucher::Anybody)),
            TrustMode::Digests => {
                let message = format!("its digest sha256:{digest} isn't in the list of those that may be loaded");
                Err(Fault::new("component-not-listed", message)
                    .at(file, None)
                    .hint("if you trust it, add the digest to `digests` under [trust] in wharf.toml"))
            }
            TrustMode::Signed => self.signed_by(digest, bytes, evidence).map_err(|why| self.refuse(file, &why)),
        }
    }

    /// Who signed a file, of those whose keys are listed.
    ///
    /// # Errors
    /// Nobody did; in words.
    pub fn signed_by(&self, digest: &str, bytes: &[u8], evidence: &Evidence) -> Result<Voucher, NotSigned> {
        let minisig = evidence.minisig.as_deref().map(|text| self.minisigned(bytes, text));
        if let Some(Ok(voucher)) = minisig {
            return Ok(voucher);
        }
        let cosign = evidence.cosign.as_deref().map(|text| self.cosigned(digest, text));
        match (minisig, cosign) {
            (_, Some(Ok(voucher))) | (Some(Ok(voucher)), _) => Ok(voucher),
            (Some(Err(why)), _) | (None, Some(Err(why))) => Err(why),
            (None, None) => Err(NotSigned::Absent),
        }
    }

    fn minisigned(&self, bytes: &[u8], text: &str) -> Result<Voucher, NotSigned> {
        let bad = |what: String| NotSigned::Wrong(what);
        let signature =
            Signature::decode(text).map_err(|error| bad(format!("its .minisig file isn't a signature: {error}")))?;
        let id = text.lines().nth(1).and_then(minisign_id).unwrap_or_default();
        let Some(key) = self.keys.iter().find(|key| key.id == id) else {
            return Err(NotSigned::Stranger(format!("the minisign key {id}")));
        };
        // Not minisign's old way, which hashes nothing before: its own command hasn't made such for years.
        key.key.verify(bytes, &signature, false).map_err(|error| match error {
            minisign_verify::Error::UnexpectedAlgorithm => {
                bad("its signature is in minisign's old form: sign it again with a current minisign".to_owned())
            }
            _ => bad(format!(
                "it isn't what was signed with the minisign key {id}: one of file and signature was altered"
            )),
        })?;
        Ok(Voucher::Minisign { key: id, comment: cut(signature.trusted_comment()) })
    }

    fn cosigned(&self, digest: &str, text: &str) -> Result<Voucher, NotSigned> {
        let bad = |what: &str| NotSigned::Wrong(format!("its .cosign.json file {what}"));
        let evidence: CosignEvidence =
            serde_json::from_str(text).map_err(|_| bad("isn't what the host writes there"))?;
        let [manifest, payload, signature] = evidence.decoded().ok_or_else(|| bad("isn't whole"))?;
        let Some(key) = self.cosign_keys.iter().find(|key| key.verifies(&payload, &signature)) else {
            return Err(NotSigned::Stranger("a cosign key that isn't listed".to_owned()));
        };
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let critical = &payload["critical"];
        let named = critical["image"]["docker-manifest-digest"].as_str().unwrap_or_default();
        if named != format!("sha256:{}", hex::encode(Sha256::digest(&manifest)))
            || critical["type"] != "cosign container image signature"
        {
            return Err(bad("has a signature of another manifest"));
        }
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = format!("sha256:{digest}");
        if layers.iter().any(|layer| layer["mediaType"] == WASM_LAYER && layer["digest"] == ours.as_str()) {
            Ok(Voucher::Cosign { key: key.id.clone() })
        } else {
            Err(NotSigned::Wrong(format!(
                "it isn't what was signed with the cosign key {}: the signed manifest names another file",
                key.id
            )))
        }
    }

    fn refuse(&self, file: &Path, why: &NotSigned) -> Fault {
        let minisign = self.keys.iter().map(|key| format!("minisign {}", key.id));
        let keys: Vec<String> =
            minisign.chain(self.cosign_keys.iter().map(|key| format!("cosign {}", key.id))).collect();
        let keys =
            if keys.is_empty() { "no key is listed".to_owned() } else { format!("trusted keys: {}", keys.join(", ")) };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let (code, message, hint) = match why {
            NotSigned::Absent => (
                "component-unsigned",
                "it isn't signed, and [trust] in wharf.toml asks for a signature".to_owned(),
                format!("put {name}.minisig beside it ({keys}), or add its digest to `digests` under [trust]"),
            ),
            NotSigned::Stranger(who) => (
                "component-unsigned",
                format!("it is signed with {who}, which isn't trusted here"),
                format!("{keys}; if you trust the other one, add it under [trust] in wharf.toml"),
            ),
            NotSigned::Wrong(what) => (
                "component-signature-invalid",
                what.clone(),
                format!("get file and signature again from whoever signed it ({keys})"),
            ),
        };
        Fault::new(code, message).at(file, None).hint(hint)
    }
}

/// Why nobody's signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSigned {
    /// There is none.
    Absent,
    /// It is of somebody who isn't listed.
    Stranger(String),
    /// It isn't one, or isn't of this file.
    Wrong(String),
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
