//! Components as an administrator sees them.

use std::path::Path;

use wharf_components::{
    ComponentInfo, ComponentSet, EngineOptions, Inspection, NotSigned, Trust, Voucher, needs_of, plain_words,
    signature_of,
};
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

/// Looks into one component file, without the TOML beside it: what it is, and what it would need.
///
/// Blocks: it compiles.
///
/// # Errors
/// It can't be read, or isn't a component. What would keep a host from loading it is in the answer.
pub fn inspect_component(file: &Path, trust: &Trust) -> Result<Inspection, Fault> {
    let unavailable = |sentence: String| Fault::new("components-unavailable", sentence);
    let engine =
        wharf_components::Engine::new(EngineOptions::default()).map_err(|error| unavailable(sentence_of(&error)))?;
    let path = file.to_owned();
    // It waits for the component, which a thread of an asynchronous runtime must not.
    let looked = std::thread::spawn(move || wharf_components::inspect(&engine, &path)).join();
    let mut inspection = looked.unwrap_or_else(|_| Err(unavailable("the component host failed on it".to_owned())))?;
    inspection.signature = signature_of(file, trust)?.map(|signed| match signed {
        Ok(voucher) => format!("{voucher}, which is listed"),
        Err(NotSigned::Stranger(who)) => format!("{who}, which isn't listed, so nothing was checked"),
        Err(NotSigned::Wrong(what)) => format!("wrong: {what}"),
        Err(NotSigned::Absent) => "none".to_owned(),
    });
    Ok(inspection)
}

/// Its world, with the role of a policy: `policy (mutating)`.
pub(crate) fn world(info: &ComponentInfo) -> String {
    match info.role {
        Some(role) => format!("{} ({})", info.world.as_str(), format!("{role:?}").to_lowercase()),
        None => info.world.as_str().to_owned(),
    }
}

pub(crate) fn summary(info: &ComponentInfo) -> ComponentSummary {
    ComponentSummary {
        name: info.name.clone(),
        world: world(info),
        version: info.version.clone(),
        description: info.description.clone(),
        digest: info.digest.clone(),
        settings_digest: info.settings_digest.clone(),
        canary: info.canary,
        order: info.order.into(),
        grants: plain_words(&info.grants.only(&needs_of(&info.imports))),
        signed_by: signed_by(&info.voucher),
        size: std::fs::metadata(&info.file).map_or(0, |metadata| metadata.len()),
        component: (info.source != info.file)
            .then(|| info.file.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        mode: info.application.mode,
        mode_for: info
            .application
            .mode_for
            .iter()
            .map(|exception| format!("{} for {}", exception.mode.as_str(), exception.conditions().in_words()))
            .collect(),
        when: Some(info.application.when.in_words()).filter(|words| !words.is_empty()),
        settings_for: info.settings_for.clone(),
        group: info.group.clone(),
        member_of: info.member_of.clone(),
    }
}

/// Who vouches for a component, if anybody does.
pub(crate) fn signed_by(voucher: &Voucher) -> Option<String> {
    (*voucher != Voucher::Anybody).then(|| voucher.to_string())
}
