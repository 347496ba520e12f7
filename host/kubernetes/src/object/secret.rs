//! The secret of an attempt: what its environment has that must not be shown.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use wharf_model::launch::LaunchSpec;

use super::{ANNOTATION_SPEC, digest, labels, place};
use crate::names;

/// The secret of an attempt. With the UID of its job, it goes when the job does.
///
/// # Errors
/// One sentence: a variable that a secret can't have.
pub fn secret(spec: &LaunchSpec, owner_uid: Option<&str>) -> Result<Secret, String> {
    let name = names::job_name(&spec.run, spec.attempt);
    if let Some(variable) = spec.secret_env.keys().find(|variable| !is_key(variable)) {
        return Err(format!(
            "the variable \"{variable}\" can't be kept in a secret: it takes letters, digits, \"-\", \"_\" and \".\""
        ));
    }
    let data: BTreeMap<String, String> = spec.secret_env.clone();
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(place(spec)?.namespace.clone()),
            labels: Some(labels::own(spec)?),
            annotations: Some([(ANNOTATION_SPEC.to_owned(), digest(spec))].into()),
            owner_references: owner_uid.map(|uid| {
                vec![OwnerReference {
                    api_version: "batch/v1".to_owned(),
                    kind: "Job".to_owned(),
                    name,
                    uid: uid.to_owned(),
                    controller: None,
                    // Deleting the job in the foreground needn't wait for this.
                    block_owner_deletion: None,
                }]
            }),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        string_data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
