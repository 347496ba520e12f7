//! Components in OCI registries, and downloads from web servers.
//!
//! Everything that comes in is bounded in size and in time, and checked against the digest that names it before anybody sees it.
//! The layout in a registry is that of the CNCF's "Wasm OCI artifact", which other tools read and write too: a config of the
//! type `application/vnd.wasm.config.v0+json` and one layer of the type `application/wasm`.
//!
//! Plain HTTP is spoken to this machine alone. The library reads no environment and no files of logins: callers say who they
//! are.

mod auth;
mod client;
mod error;
mod manifest;
mod pull;
mod push;
mod reference;
mod session;
mod signature;

pub use auth::Credentials;
pub use client::{Client, Limits};
pub use error::RegistryError;
pub use manifest::{CONFIG_TYPE, Descriptor, MINISIG, Manifest, WASM_TYPE};
pub use pull::Pulled;
pub use push::{Artifact, Pushed};
pub use reference::Reference;
pub use signature::CosignSignature;
