//! Getting a component.

use std::path::Path;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use wharf_model::is_digest;

use crate::auth::Credentials;
use crate::client::{Client, printable};
use crate::error::RegistryError;
use crate::manifest::{Descriptor, MANIFEST_TYPE, MINISIG, Manifest, WASM_TYPE};
use crate::reference::Reference;
use crate::session::Session;
use crate::signature::{self, CosignSignature};

/// A component that was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Where it is, with the manifest's digest.
    pub reference: Reference,
    /// The manifest's bytes.
    pub manifest: Bytes,
    /// The component's digest, as the manifest has it and as its bytes have it.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Minisign's signature, where the manifest carries one.
    pub minisig: Option<String>,
    /// The signatures that cosign put beside it.
    pub signatures: Vec<CosignSignature>,
}

impl Client {
    /// Pulls a component into a file that isn't there yet, with what was signed of it.
    ///
    /// # Errors
    /// It isn't there or isn't a component, the registry can't be reached or lets nobody in, or what comes isn't what its
    /// digest says. What was written then is for nobody.
    pub async fn pull(
        &self,
        reference: &Reference,
        credentials: Option<Credentials>,
        to: &Path,
    ) -> Result<Pulled, RegistryError> {
        self.whole(&reference.to_string(), async {
            let mut session = Session::open(self, reference, credentials, "pull").await?;
            let (manifest, digest) = manifest(&mut session, reference).await?;
            let layer = component_layer(reference, &manifest)?;
            blob(&mut session, &layer, to).await?;
            let signatures = signature::of(&mut session, &digest).await?;
            Ok(Pulled {
                reference: Reference { digest: Some(digest), ..reference.clone() },
                manifest,
                minisig: layer.annotations.get(MINISIG).cloned(),
                digest: layer.digest,
                size: layer.size,
                signatures,
            })
        })
        .await
    }
}

/// The manifest that a reference names, and its digest.
pub(crate) async fn manifest(
    session: &mut Session<'_>,
    reference: &Reference,
) -> Result<(Bytes, String), RegistryError> {
    let url = session.url(&format!("manifests/{}", reference.target()))?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPE));
    let response = session.send(Method::GET, url, headers, Bytes::new()).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(RegistryError::NotFound { what: reference.to_string() }),
        _ => return Err(session.refused(response, "the manifest").await),
    }
    let said = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
    let said = reference.digest.clone().or_else(|| said.map(str::to_owned));
    let body = session.client.read(response, "the manifest", session.client.limits.manifest).await?;
    let got = digest_of(&body);
    match said {
        Some(expected) if expected != got => {
            Err(RegistryError::Altered { what: format!("the manifest of {reference}"), expected, got })
        }
        _ => Ok((body, got)),
    }
}

/// The layer that is the component.
fn component_layer(reference: &Reference, manifest: &[u8]) -> Result<Descriptor, RegistryError> {
    let unfit = |why: String| RegistryError::NotAComponent { what: reference.to_string(), why };
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|_| unfit("its manifest isn't an image's".to_owned()))?;
    let mut layers = manifest.layers.iter().filter(|layer| layer.media_type == WASM_TYPE);
    match (layers.next(), layers.next()) {
        (Some(layer), None) if is_digest(&layer.digest) => Ok(layer.clone()),
        (Some(_), None) => Err(unfit("its layer's digest isn't SHA-256".to_owned())),
        (Some(_), Some(_)) => Err(unfit(format!("it has more than one layer of the type {WASM_TYPE}"))),
        (None, _) => {
            let types: Vec<String> = manifest.layers.iter().take(5).map(|layer| printable(&layer.media_type)).collect();
            Err(unfit(format!("it has no layer of the type {WASM_TYPE}, but {}", types.join(", "))))
        }
    }
}

/// Gets a blob into a file, and checks that it is the one.
async fn blob(session: &mut Session<'_>, layer: &Descriptor, to: &Path) -> Result<(), RegistryError> {
    let what = format!("the blob {}", layer.digest);
    let limit = session.client.limits.component;
    if layer.size > limit {
        return Err(RegistryError::TooLarge { what, limit });
    }
    let url = session.url(&format!("blobs/{}", layer.digest))?;
    let response = session.send(Method::GET, url, HeaderMap::new(), Bytes::new()).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(RegistryError::NotFound { what }),
        _ => return Err(session.refused(response, "the component").await),
    }
    // A byte more than was promised is enough to know that it isn't the one.
    let got = match session.client.write(response, &what, to, layer.size).await {
        Err(RegistryError::TooLarge { .. }) => {
            let (expected, got) = (format!("{} bytes", layer.size), "more".to_owned());
            return Err(RegistryError::Altered { what, expected, got });
        }
        written => written?,
    };
    if got == layer.digest { Ok(()) } else { Err(RegistryError::Altered { what, expected: layer.digest.clone(), got }) }
}

/// A small blob, in memory, checked.
pub(crate) async fn small_blob(
    session: &mut Session<'_>,
    layer: &Descriptor,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let what = format!("the blob {}", layer.digest);
    if !is_digest(&layer.digest) || layer.size > limit {
        return Err(RegistryError::TooLarge { what, limit });
    }
    let url = session.url(&format!("blobs/{}", layer.digest))?;
    let response = session.send(Method::GET, url, HeaderMap::new(), Bytes::new()).await?;
    if response.status() != StatusCode::OK {
        return Err(session.refused(response, "a signature").await);
    }
    let body = session.client.read(response, &what, limit).await?;
    let got = digest_of(&body);
    if got == layer.digest {
        Ok(body)
    } else {
        Err(RegistryError::Altered { what, expected: layer.digest.clone(), got })
    }
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `wkg oci push` of version 0.16.1 left in a registry.
    const WKG: &str = include_str!("recorded/wkg-0.16.1-manifest.json");

    fn layer(manifest: &str) -> Result<Descriptor, String> {
        let reference = Reference::parse("oci://r.example/site/judge:1").unwrap();
        component_layer(&reference, manifest.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_another_tool_pushed_is_a_component() {
        assert_eq!(layer(WKG).unwrap().size, 246_870);
    }

    #[test]
    fn what_is_no_component_says_so() {
        let two = WKG
            .replace("\"layers\":[", &format!("\"layers\":[{},", serde_json::to_string(&layer(WKG).unwrap()).unwrap()));
        for (manifest, why) in [
            (two, "more than one layer"),
            (WKG.replace("application/wasm", "application/vnd.oci.image.layer.v1.tar\\u001b[2J"), "layer.v1.tar[2J"),
            (WKG.replace("\"digest\":\"sha256:b3", "\"digest\":\"sha512:b3"), "isn't SHA-256"),
            ("{\"manifests\": []}".to_owned(), "isn't an image's"),
            ("nonsense".to_owned(), "isn't an image's"),
        ] {
            let error = layer(&manifest).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
