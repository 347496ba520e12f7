//! A component that misbehaves: `do = "..."` in its settings says how.

#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "an attacker may use it, and so do exports"))]

#[cfg(all(feature = "adapter", target_arch = "wasm32"))]
mod adapter;
#[cfg(all(feature = "hook", target_arch = "wasm32"))]
mod hook;
#[cfg(all(feature = "image", target_arch = "wasm32"))]
mod image;
#[cfg(all(feature = "permission", target_arch = "wasm32"))]
mod permission;
#[cfg(all(feature = "policy", target_arch = "wasm32"))]
mod policy;

/// What the settings say under a key. No JSON reader: this guest is small and knows its settings.
#[cfg(target_arch = "wasm32")]
fn setting(settings: &str, key: &str) -> String {
    let start = format!("\"{key}\":\"");
    let value = settings.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    value.map(|(value, _)| value.to_owned()).unwrap_or_default()
}

#[cfg(target_arch = "wasm32")]
mod misdeed;

/// What every world says of itself; `$bindings` is the module with its exports.
#[cfg(all(target_arch = "wasm32", not(feature = "hook")))]
macro_rules! metadata {
    ($bindings:ident, $guest:ident) => {
        impl $bindings::exports::wharf::plugin::metadata::Guest for $guest {
            fn describe() -> $bindings::exports::wharf::plugin::metadata::Info {
                match crate::setting(&$bindings::wharf::plugin::settings::get(), "describe").as_str() {
                    "panic" => panic!("nothing to say"),
                    other => crate::misdeed::misbehave(other),
                }
                $bindings::exports::wharf::plugin::metadata::Info {
                    name: "hostile".to_owned(),
                    version: "0.0.1".to_owned(),
                    description: "Misbehaves".to_owned(),
                    settings_schema: match crate::setting(&$bindings::wharf::plugin::settings::get(), "schema").as_str()
                    {
                        "" => "{\"type\":\"object\"}".to_owned(),
                        other => other.to_owned(),
                    },
                }
            }

            fn validate_settings(settings: String) -> Result<(), String> {
                match crate::setting(&settings, "validate").as_str() {
                    "panic" => panic!("settings are hard"),
                    "reject" => Err("`validate` can't be \"reject\"".to_owned()),
                    "words" => Err(crate::misdeed::UGLY.to_owned()),
                    other => {
                        crate::misdeed::misbehave(other);
                        Ok(())
                    }
                }
            }
        }
    };
}
#[cfg(all(target_arch = "wasm32", not(feature = "hook")))]
use metadata;
