//! The objects of an attempt, made without a cluster: a job, the secret with its ticket, and a network policy.

mod labels;
mod pod;
mod secret;
mod settings;
mod undone;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_model::kubernetes::KubernetesPlace;
use wharf_model::launch::LaunchSpec;

use crate::names;
use crate::network;
use crate::patience;
use crate::template::CONTAINER;

pub use labels::{ANNOTATION_LABELS, selector};
pub use secret::secret;
pub use settings::check_settings;

/// The annotation with the SHA-256 of what a job and its secret were made from. Those of an attempt that are there already are
/// only adopted when they were made from the same.
pub const ANNOTATION_SPEC: &str = "wharf.spec";

/// Kueue's label on what waits in one of its queues.
pub const LABEL_QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The job of an attempt, as it is sent.
///
/// Pure. It makes one pod and never a second one, whatever becomes of the first; the ticket is in the secret of the same name.
/// With a queue it starts suspended, and Kueue lets it go.
///
/// # Errors
/// One sentence: something of the specification that a cluster has nothing for.
pub fn job(spec: &LaunchSpec) -> Result<Job, String> {
    check_image(&spec.image)?;
    // A job whose secret can't be made would never begin.
    secret(spec, None)?;
    build(spec)
}

/// All objects of an attempt as a list that `kubectl` could create, secrets replaced by `***`; or why there are none.
///
/// Pure. An image that isn't in a registry yet is shown as it is.
#[must_use]
pub fn shown(spec: &LaunchSpec) -> Value {
    let all = || -> Result<Value, String> {
        let hidden = LaunchSpec {
            secret_env: spec.secret_env.keys().map(|name| (name.clone(), "***".to_owned())).collect(),
            ..spec.clone()
        };
        let mut job = build(&hidden)?;
        let mut secret = secret(&hidden, None)?;
        // The real one: that of the hidden one would be nobody's.
        for metadata in [&mut job.metadata, &mut secret.metadata] {
            metadata.annotations.get_or_insert_default().insert(ANNOTATION_SPEC.to_owned(), digest(spec));
        }
        let mut items = vec![value(&job)?, value(&secret)?];
        if let Some(policy) = network::policy(spec)? {
            items.push(value(&policy)?);
        }
        Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    };
    all().unwrap_or_else(|reason| json!({ "error": reason }))
}

fn value<T: serde::Serialize>(object: &T) -> Result<Value, String> {
    serde_json::to_value(object).map_err(|error| format!("an object can't be shown: {error}"))
}

/// The SHA-256 of a specification, in hex.
#[must_use]
pub fn digest(spec: &LaunchSpec) -> String {
    // Maps of a specification are sorted, and texts, numbers and flags always have JSON.
    hex::encode(Sha256::digest(serde_json::to_vec(spec).unwrap_or_default()))
}

/// Where a specification goes.
///
/// # Errors
/// One sentence: nowhere on a cluster.
pub(crate) fn place(spec: &LaunchSpec) -> Result<&KubernetesPlace, String> {
    spec.kubernetes.as_deref().ok_or_else(|| format!("the run {} has no place on a cluster", spec.run))
}

/// A node pulls by itself, so it needs a registry; and by digest, so that what it gets can't have moved.
fn check_image(image: &str) -> Result<(), String> {
    let by_digest = image.split_once("@sha256:");
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // What has neither is a repository of the public registry, and no host of one.
    let is_host = |text: &str| text.contains(['.', ':']) || text == "localhost";
    match by_digest {
        Some((name, digest))
            if is_digest(digest)
                && name.split_once('/').is_some_and(|(host, rest)| is_host(host) && !rest.is_empty()) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "the image {image} isn't in a registry, and Kubernetes needs one to pull from: say `registry` in the configuration"
        )),
    }
}

fn build(spec: &LaunchSpec) -> Result<Job, String> {
    let place = place(spec)?;
    let name = names::job_name(&spec.run, spec.attempt);
    let (mut labels, originals) = labels::of(spec)?;
    let mut annotations: BTreeMap<String, String> = place.pod.annotations.clone();
    annotations.extend(originals);
    let template = pod::template(spec, place, &name, &labels, &annotations)?;
    annotations.insert(ANNOTATION_SPEC.to_owned(), digest(spec));
    annotations.insert(patience::ANNOTATION.to_owned(), patience::annotation(&place.pod));
    if let Some(queue) = &place.pod.queue {
        labels.insert(LABEL_QUEUE.to_owned(), queue.clone());
    }
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(place.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            suspend: place.pod.queue.as_ref().map(|_| true),
            active_deadline_seconds: spec.deadline_seconds.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
            ttl_seconds_after_finished: Some(i32::try_from(place.pod.ttl_seconds).unwrap_or(i32::MAX)),
            pod_failure_policy: Some(pod_failure_policy()),
            // A pod that is about to go still runs: nobody takes its place before it has ended.
            pod_replacement_policy: Some("Failed".to_owned()),
            template,
            ..JobSpec::default()
        }),
        ..Job::default()
    })
}

/// Ends the job with the first pod that fails, and has it say how: what it says is there when the pod isn't any more.
fn pod_failure_policy() -> PodFailurePolicy {
    let fail = "FailJob".to_owned();
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: fail.clone(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                }]),
                ..PodFailurePolicyRule::default()
            },
            PodFailurePolicyRule {
                action: fail,
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(CONTAINER.to_owned()),
                    operator: "NotIn".to_owned(),
                    values: vec![0],
                }),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}

#[cfg(test)]
mod tests;
