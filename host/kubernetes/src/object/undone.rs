//! Whether a template has left alone what isn't its to say.

use serde_json::Value;

use crate::template::CONTAINER;

/// Fields of a pod that stay as they were made.
const POD: [&str; 4] = ["restartPolicy", "terminationGracePeriodSeconds", "hostNetwork", "activeDeadlineSeconds"];

/// Fields of both security contexts that stay: a plan has them, so policies have judged them.
const POD_CONTEXT: [&str; 3] = ["runAsUser", "runAsGroup", "runAsNonRoot"];
const CONTEXT: [&str; 7] = [
    "privileged",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "capabilities",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
];

/// Compares the pod template before and after the merge.
///
/// # Errors
/// One sentence: the first thing that was changed and must not be.
pub(super) fn check(before: &Value, after: &Value) -> Result<(), String> {
    let undone = |what: String| format!("the pod template changes {what}, which is wharf's to say");
    for field in POD {
        if before["spec"].get(field) != after["spec"].get(field) {
            return Err(undone(format!("spec.{field}")));
        }
    }
    for field in POD_CONTEXT {
        if before["spec"]["securityContext"].get(field) != after["spec"]["securityContext"].get(field) {
            return Err(undone(format!("spec.securityContext.{field}")));
        }
    }
    let (Some(was), Some(is)) = (ours(before), ours(after)) else {
        return Err(undone("the run's own container".to_owned()));
    };
    for field in ["image", "command", "args"] {
        if was.get(field) != is.get(field) {
            return Err(undone(format!("the run's `{field}`")));
        }
    }
    for field in CONTEXT {
        if was["securityContext"].get(field) != is["securityContext"].get(field) {
            return Err(undone(format!("the run's securityContext.{field}")));
        }
    }
    for side in ["limits", "requests"] {
        if was["resources"].get(side) != is["resources"].get(side) {
            return Err(undone(format!("the run's resources.{side}")));
        }
    }
    let env = |container: &Value| container["env"].as_array().cloned().unwrap_or_default();
    let has = env(is);
    if let Some(variable) = env(was).iter().find(|variable| !has.contains(variable)) {
        return Err(undone(format!("the run's variable {}", variable["name"])));
    }
    let labels = |template: &Value| template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let has = labels(after);
    if let Some((name, _)) = labels(before).iter().find(|(name, value)| has.get(*name) != Some(value)) {
        return Err(undone(format!("the label {name}")));
    }
    Ok(())
}

fn ours(template: &Value) -> Option<&Value> {
    template["spec"]["containers"].as_array()?.iter().find(|container| container["name"] == CONTAINER)
}
