//! The registry hook of the guide for plugin developers, which shows this file from here on.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::grants::{folder, http};
use wharf_plugin_sdk::hook::{Credentials, Push, RegistryHook};

/// The `[settings]` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The registry that this is for: `registry.example.com`.
    registry: String,
    /// The service that creates repositories there: `https://cloud.example.com/registry`.
    service: String,
}

/// What the service answers to who shows the key.
#[derive(Deserialize)]
struct Login {
    user: String,
    token: String,
}

struct Cloud;

impl RegistryHook for Cloud {
    type Settings = Settings;

    fn before_push(settings: &Settings, push: &Push) -> Result<Option<Credentials>, String> {
        if push.registry != settings.registry {
            return Ok(None);
        }
        let key = folder::read("key").map_err(|error| format!("the service's key can't be read: {error:?}"))?;
        let key = format!("Bearer {}", String::from_utf8_lossy(&key).trim());
        let repository = format!("{}/repositories/{}", settings.service, push.repository);
        // 409: it is there.
        ask(&http::Request::new("PUT", repository).header("authorization", &key), &[409])?;
        let login = http::Request::new("POST", format!("{}/login", settings.service)).header("authorization", &key);
        let login = ask(&login, &[])?;
        let Login { user, token } =
            serde_json::from_slice(&login.body).map_err(|_| "the service's login isn't one".to_owned())?;
        Ok(Some(Credentials { user, secret: token }))
    }
}

/// Sends a request; an answer of another status than these and those of success is an error.
fn ask(request: &http::Request, fine: &[u16]) -> Result<http::Response, String> {
    let url = request.url.clone();
    let answer = http::send(request).map_err(|error| format!("{url}: {}", error.sentence()))?;
    if answer.is_success() || fine.contains(&answer.status) {
        return Ok(answer);
    }
    Err(format!("{url} answers {}: {}", answer.status, words(&answer)))
}

fn words(answer: &http::Response) -> String {
    String::from_utf8_lossy(&answer.body).chars().take(200).collect()
}

wharf_plugin_sdk::registry_hook!(Cloud);
