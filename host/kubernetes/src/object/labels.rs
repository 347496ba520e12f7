//! Labels of an attempt's objects.

use std::collections::BTreeMap;

use wharf_model::launch::LaunchSpec;
use wharf_model::{LABEL_ATTEMPT, LABEL_HOST, LABEL_RUN};

use crate::names;
use crate::network;
use crate::template::is_reserved;

/// The annotation with the labels that Kubernetes couldn't have as they were, as a JSON object.
pub const ANNOTATION_LABELS: &str = "wharf.labels";

/// The label selector of all objects of a home.
#[must_use]
pub fn selector(host: &str) -> String {
    format!("{LABEL_HOST}={host}")
}

/// Labels or annotations.
pub(super) type Texts = BTreeMap<String, String>;

/// The labels, and the annotation with what was changed of them.
pub(super) fn of(spec: &LaunchSpec) -> Result<(Texts, Texts), String> {
    let mut labels = BTreeMap::new();
    let mut changed = BTreeMap::new();
    for (name, value) in &spec.labels {
        if name.starts_with("wharf.") {
            continue;
        }
        if is_reserved(name) {
            return Err(format!("the label {name} is Kubernetes' own, or wharf's; choose another name"));
        }
        let valid = (names::label_key(name), names::label_value(value));
        if (&valid.0, &valid.1) != (name, value) {
            changed.insert(name, value);
        }
        labels.insert(valid.0, valid.1);
    }
    let mut annotations = BTreeMap::new();
    if !changed.is_empty() {
        // A map of texts always has JSON.
        annotations.insert(ANNOTATION_LABELS.to_owned(), serde_json::to_string(&changed).unwrap_or_default());
    }
    // Ours go last: nobody else's can take their place.
    labels.extend(own(spec)?);
    Ok((labels, annotations))
}

/// The labels by which objects are found again.
pub(super) fn own(spec: &LaunchSpec) -> Result<BTreeMap<String, String>, String> {
    let attempt = spec.attempt.to_string();
    let mut labels = BTreeMap::new();
    for (name, value) in [(LABEL_HOST, &spec.host), (LABEL_RUN, &spec.run), (LABEL_ATTEMPT, &attempt)] {
        if value.is_empty() || !names::is_label_value(value) {
            return Err(format!(
                "\"{value}\" can't be the value of the label {name}, by which objects are found again"
            ));
        }
        labels.insert(name.to_owned(), value.clone());
    }
    if let Some(value) = network::label(spec)? {
        labels.insert(network::LABEL_NETWORK.to_owned(), value);
    }
    Ok(labels)
}
