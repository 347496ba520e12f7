//! Whether a value is what Kubernetes' API types say.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::merge::plain;

/// Checks that all in a template is a field, and of its type. Directives and `null` are left out.
///
/// # Errors
/// One sentence that begins with the path.
pub(crate) fn shape(template: &Value, at: &str) -> Result<(), String> {
    let said = plain(template);
    let typed: PodTemplateSpec = serde_path_to_error::deserialize(&said).map_err(|error| {
        let path = error.path().to_string();
        format!("{} isn't as it should be: {}", below(at, &path), error.inner())
    })?;
    // The types read what they know and leave the rest out.
    let known = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    match unknown(&said, &known, "") {
        Some(path) => Err(format!("{} isn't a field that Kubernetes 1.34 has there", below(at, &path))),
        None => Ok(()),
    }
}

/// A path, without what is in front of a part that was checked alone.
fn below(at: &str, path: &str) -> String {
    path.strip_prefix(at).unwrap_or(path).to_owned()
}

/// The first path that one value has and the other hasn't.
fn unknown(said: &Value, known: &Value, at: &str) -> Option<String> {
    match (said, known) {
        (Value::Object(said), Value::Object(known)) => said.iter().find_map(|(name, value)| {
            let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            match known.get(name) {
                Some(known) => unknown(value, known, &at),
                None => Some(at),
            }
        }),
        (Value::Array(said), Value::Array(known)) => said
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(position, (said, known))| unknown(said, known, &format!("{at}[{position}]"))),
        _ => None,
    }
}
