//! Components as an administrator sees them.

use std::path::{Path, PathBuf};

use wharf_components::{ComponentInfo, ComponentSet, EngineOptions};
use wharf_model::Fault;

use crate::conclude::sentence_of;
use crate::message::ComponentSummary;

/// Loads one component file, with the TOML beside it, and says what it is: for trying one before it is dropped in.
///
/// Blocks: it compiles.
///
/// # Errors
/// What `wharf component list` would say of it.
pub fn check_component(file: &Path) -> Result<ComponentSummary, Fault> {
    let engine = wharf_components::Engine::new(EngineOptions::default())
        .map_err(|error| Fault::new("components-unavailable", sentence_of(&error)))?;
    ComponentSet::check(&engine, file).map(|info| summary(&info))
}

pub(crate) fn summary(info: &ComponentInfo) -> ComponentSummary {
    let world = match info.role {
        Some(role) => format!("{} ({})", info.world.as_str(), format!("{role:?}").to_lowercase()),
        None => info.world.as_str().to_owned(),
    };
    let mut grants = Vec::new();
    if info.grants.clock {
        grants.push("clock".to_owned());
    }
    if info.grants.random {
        grants.push("random".to_owned());
    }
    if let Some(folder) = &info.grants.folder {
        grants.push(format!("folder {}", PathBuf::from(folder).display()));
    }
    grants.extend(info.grants.http.iter().map(|place| format!("http {place}")));
    ComponentSummary {
        name: info.name.clone(),
        world,
        version: info.version.clone(),
        description: info.description.clone(),
        digest: info.digest.clone(),
        order: info.order.into(),
        grants,
        size: std::fs::metadata(&info.file).map_or(0, |metadata| metadata.len()),
    }
}
