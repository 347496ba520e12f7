//! Putting a component into a registry.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};

use crate::auth::Credentials;
use crate::client::Client;
use crate::error::RegistryError;
use crate::manifest::{CONFIG_TYPE, Config, ConfigComponent, Descriptor, MANIFEST_TYPE, MINISIG, Manifest, WASM_TYPE};
use crate::pull::digest_of;
use crate::reference::Reference;
use crate::session::Session;

/// A component, and what is said of it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its file.
    pub wasm: Bytes,
    /// Its imports.
    pub imports: Vec<String>,
    /// Its exports.
    pub exports: Vec<String>,
    /// When it was made: RFC 3339.
    pub created: String,
    /// Minisign's signature of it.
    pub minisig: Option<String>,
    /// What people want to know: `org.opencontainers.image.version`, ...
    pub annotations: BTreeMap<String, String>,
}

/// What a registry took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Where it is, with the manifest's digest.
    pub reference: Reference,
    /// Whether the component's bytes were there already.
    pub was_there: bool,
}

impl Client {
    /// Puts a component into a registry, under the reference's tag.
    ///
    /// # Errors
    /// The registry can't be reached, lets this host not write, or keeps something else than what was sent.
    pub async fn push(
        &self,
        reference: &Reference,
        credentials: Option<Credentials>,
        artifact: &Artifact,
    ) -> Result<Pushed, RegistryError> {
        if reference.digest.is_some() {
            let why = "a digest comes of what is pushed: name a version alone".to_owned();
            return Err(RegistryError::Invalid { text: reference.to_string(), why });
        }
        self.whole(&reference.to_string(), async {
            let mut session = Session::open(self, reference, credentials, "pull,push").await?;
            let layer = Descriptor {
                media_type: WASM_TYPE.to_owned(),
                digest: digest_of(&artifact.wasm),
                size: artifact.wasm.len() as u64,
                annotations: artifact.minisig.iter().map(|text| (MINISIG.to_owned(), text.clone())).collect(),
            };
            let config = encode(&Config {
                created: &artifact.created,
                author: None,
                architecture: "wasm",
                os: "wasip2",
                layer_digests: [&layer.digest],
                component: ConfigComponent { exports: &artifact.exports, imports: &artifact.imports, target: None },
            })?;
            let was_there = upload(&mut session, &layer.digest, &artifact.wasm).await?;
            let config_digest = digest_of(&config);
            upload(&mut session, &config_digest, &config).await?;
            let manifest = encode(&Manifest {
                schema_version: 2,
                media_type: Some(MANIFEST_TYPE.to_owned()),
                config: Descriptor {
                    media_type: CONFIG_TYPE.to_owned(),
                    digest: config_digest,
                    size: config.len() as u64,
                    annotations: BTreeMap::new(),
                },
                layers: vec![layer],
                annotations: artifact.annotations.clone(),
            })?;
            let digest = put_manifest(&mut session, &reference.tag, manifest).await?;
            Ok(Pushed { reference: Reference { digest: Some(digest), ..reference.clone() }, was_there })
        })
        .await
    }
}

fn encode(value: &impl serde::Serialize) -> Result<Bytes, RegistryError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| RegistryError::Io { source: error.into() })
}

/// Puts a blob there, unless it is. Returns whether it was.
async fn upload(session: &mut Session<'_>, digest: &str, bytes: &Bytes) -> Result<bool, RegistryError> {
    let there = session.url(&format!("blobs/{digest}"))?;
    if session.send(Method::HEAD, there, HeaderMap::new(), Bytes::new()).await?.status() == StatusCode::OK {
        return Ok(true);
    }
    let begin = session.url("blobs/uploads/")?;
    let response = session.send(Method::POST, begin.clone(), HeaderMap::new(), Bytes::new()).await?;
    if response.status() != StatusCode::ACCEPTED {
        return Err(session.refused(response, "write").await);
    }
    let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or_default();
    let mut place = begin.join(place).map_err(|error| RegistryError::Invalid {
        text: session.registry.clone(),
        why: format!("it names no place for an upload: {error}"),
    })?;
    place.query_pairs_mut().append_pair("digest", digest);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let response = session.send(Method::PUT, place, headers, bytes.clone()).await?;
    if response.status() == StatusCode::CREATED { Ok(false) } else { Err(session.refused(response, "write").await) }
}

async fn put_manifest(session: &mut Session<'_>, tag: &str, manifest: Bytes) -> Result<String, RegistryError> {
    let url = session.url(&format!("manifests/{tag}"))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MANIFEST_TYPE));
    let digest = digest_of(&manifest);
    let response = session.send(Method::PUT, url, headers, manifest).await?;
    if response.status() != StatusCode::CREATED {
        return Err(session.refused(response, "write").await);
    }
    let kept = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
    match kept {
        Some(kept) if kept != digest => Err(RegistryError::Altered {
            what: "the manifest that the registry kept".to_owned(),
            expected: digest,
            got: kept.to_owned(),
        }),
        _ => Ok(digest),
    }
}
