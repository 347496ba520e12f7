//! Manifests, in the layout that tools for WebAssembly share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The type of an image manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of a component's config.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The type of the layer that is the component.
pub const WASM_TYPE: &str = "application/wasm";
/// The annotation of a layer that carries minisign's signature of it.
pub const MINISIG: &str = "wharf.component.minisig";

/// A manifest; what else stands in it is left alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// That of an image manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is.
    pub config: Descriptor,
    /// Its files.
    pub layers: Vec<Descriptor>,
    /// What people want to know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A blob of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// `sha256:` and its digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What the config says of a component.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config<'a> {
    pub(crate) created: &'a str,
    pub(crate) author: Option<&'a str>,
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) layer_digests: [&'a str; 1],
    pub(crate) component: ConfigComponent<'a>,
}

/// Its imports and exports, so that a registry can be searched for them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConfigComponent<'a> {
    pub(crate) exports: &'a [String],
    pub(crate) imports: &'a [String],
    pub(crate) target: Option<&'a str>,
}
