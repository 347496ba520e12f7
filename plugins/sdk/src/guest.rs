//! What the exported functions of every component do before and after its own code: called by the export macros.

use std::io::Write as _;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::shared::exports::wharf::plugin::metadata::{Guest as MetadataGuest, Info};
use crate::settings;

/// What `describe` answers.
#[must_use]
pub fn describe<S: JsonSchema>(name: &str, version: &str, description: &str) -> Info {
    Info {
        name: name.to_owned(),
        version: version.to_owned(),
        description: description.to_owned(),
        settings_schema: settings::schema::<S>(),
    }
}

/// What `validate-settings` answers.
///
/// # Errors
/// The settings don't fit their type, or the component's own check refuses them.
pub fn validate<S: DeserializeOwned>(json: &str, check: fn(&S) -> Result<(), String>) -> Result<(), String> {
    check(&settings::parse(json)?)
}

/// The settings of this call. The host has validated them when it loaded the component.
///
/// # Panics
/// They don't fit all the same: the host turns that into an error of this component.
#[must_use]
pub fn settings<S: DeserializeOwned>() -> S {
    hook_panics();
    let json = crate::bindings::shared::wharf::plugin::settings::get();
    match settings::parse(&json) {
        Ok(settings) => settings,
        Err(error) => panic!("the settings were never validated: {error}"),
    }
}

/// The settings as they are now, when they fit their type: before the host has had them validated.
#[must_use]
pub fn readable_settings<S: DeserializeOwned>() -> Option<S> {
    hook_panics();
    settings::parse(&crate::bindings::shared::wharf::plugin::settings::get()).ok()
}

/// Makes a panic one line of standard error, which the host shows as the reason why the call failed.
fn hook_panics() {
    std::panic::set_hook(Box::new(|info| {
        // Nothing is left to do when even this fails.
        let _ = writeln!(std::io::stderr(), "{info}");
    }));
}
