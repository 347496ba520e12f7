//! What a cluster lets a home do: for those who set one up.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_model::EngineCause;
use wharf_model::launch::{Backend, BackendError, LaunchSpec};

use crate::backend::{KubernetesBackend, whole};
use crate::client::{Failure, with_query};
use crate::role::{self, Right, RoleRequest};

/// The oldest minor version of Kubernetes 1 that has all that our objects ask for.
const OLDEST: u64 = 29;
/// How long a pod may take to begin, try and end.
const PROBE: Duration = Duration::from_secs(180);
/// How much of its log is told.
const LOG: usize = 2000;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What, in a few words: `jobs.batch`, `the registry`.
    pub what: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, in one sentence.
    pub said: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// What a pod tries: the image is pulled from the registry, and its runner reaches for the host.
#[derive(Clone, Debug)]
pub struct Probe {
    /// An attempt of no run, whose command is `RUNNER reach HOST:PORT`.
    pub spec: LaunchSpec,
    /// The address that it reaches for.
    pub address: String,
}

fn well(what: impl Into<String>, said: impl Into<String>) -> Checked {
    Checked { what: what.into(), ok: true, said: said.into(), advice: None }
}

fn ill(what: impl Into<String>, said: impl Into<String>, advice: impl Into<String>) -> Checked {
    Checked { what: what.into(), ok: false, said: said.into(), advice: Some(advice.into()) }
}

impl KubernetesBackend {
    /// Checks all that a configuration needs of a cluster, for one namespace; with a probe, from inside of a pod, too. Ends with
    /// the first thing when the API server can't be asked.
    pub async fn check(&self, request: &RoleRequest<'_>, namespace: &str, probe: Option<&Probe>) -> Vec<Checked> {
        let mut checked = vec![self.check_version().await];
        if checked.iter().any(|one| !one.ok) {
            return checked;
        }
        checked.push(self.check_user().await);
        for right in role::rights(request) {
            checked.push(self.check_right(&right, Some(namespace)).await);
        }
        for right in role::cluster_rights(request.pod.namespace_policy.as_ref()) {
            checked.push(self.check_right(&right, None).await);
        }
        checked.push(self.check_namespace(request, namespace).await);
        checked.extend(self.check_nodes().await);
        if let Some(probe) = probe {
            checked.extend(self.check_from_inside(probe).await);
        }
        checked
    }

    async fn check_version(&self) -> Checked {
        const WHAT: &str = "the API server";
        match self.client().get("/version").await {
            Ok(version) => version_is_well(WHAT, &version),
            Err(failure) => {
                let advice = match &failure {
                    Failure::Said(said) if said.code == 401 => "renew the credentials of this context",
                    Failure::Said(_) => "see what answers at that address",
                    _ => {
                        "see the address and the certificates in the kubeconfig, and whether this machine reaches that address"
                    }
                };
                let address = self.client().address().await;
                ill(WHAT, format!("{address} doesn't answer as it should: {}", failure.words()), advice)
            }
        }
    }

    async fn check_user(&self) -> Checked {
        const WHAT: &str = "who we are";
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        match self.client().create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await {
            Ok(review) => match review.pointer("/status/userInfo/username").and_then(Value::as_str) {
                Some(name) => well(WHAT, format!("{name} to the API server")),
                None => well(WHAT, "the API server doesn't say"),
            },
            // Older servers don't tell.
            Err(failure) if failure.code() == Some(404) => well(WHAT, "the API server doesn't say"),
            Err(failure) => ill(WHAT, failure.words(), "renew the credentials of this context"),
        }
    }

    /// Asks the API server itself for each verb of a right: it knows all of its authorizers.
    async fn check_right(&self, right: &Right, namespace: Option<&str>) -> Checked {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let what = if right.group.is_empty() {
            right.resource.to_owned()
        } else {
            format!("{}.{}", right.resource, right.group)
        };
        let mut missing = Vec::new();
        for verb in &right.verbs {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {
                    "namespace": namespace.unwrap_or_default(), "verb": verb, "group": right.group, "resource": resource,
                    "subresource": subresource,
                }},
            });
            match self.client().create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await {
                Ok(review) if review.pointer("/status/allowed").and_then(Value::as_bool) == Some(true) => {}
                Ok(_) => missing.push(*verb),
                Err(failure) => {
                    let said = format!("whether that is allowed can't be asked: {}", failure.words());
                    return ill(what, said, "see the API server's answer");
                }
            }
        }
        if missing.is_empty() {
            return well(what, format!("may {} ({})", right.verbs.join(", "), right.reason));
        }
        let rules: Vec<String> =
            missing.iter().map(|verb| role::rule_for(verb, right.group, right.resource, namespace)).collect();
        ill(
            what,
            format!("may not {} ({})", missing.join(", "), right.reason),
            format!("add to the role:\n{}", rules.join("\n")),
        )
    }

    async fn check_namespace(&self, request: &RoleRequest<'_>, namespace: &str) -> Checked {
        let what = format!("the namespace {namespace}");
        let creates = request.pod.namespace_policy.as_ref().is_some_and(|policy| policy.create);
        match self.client().get(&format!("/api/v1/namespaces/{namespace}")).await {
            Ok(found) if found.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating") => {
                ill(what, "it is being deleted", "wait until it is gone, and create it again")
            }
            Ok(found) => {
                let level = found
                    .pointer("/metadata/labels")
                    .and_then(|labels| labels.get("pod-security.kubernetes.io/enforce")?.as_str());
                let level = level.map_or_else(String::new, |level| format!("; its pod security level is {level:?}"));
                well(what, format!("it is there{level}"))
            }
            Err(failure) if failure.code() == Some(404) && creates => well(what, "it is created with the first run"),
            Err(failure) if failure.code() == Some(404) => {
                ill(what, "it isn't there", "create it, or set `create = true` under [namespace_policy]")
            }
            // Not a right that runs need.
            Err(failure) if failure.code() == Some(403) => self.check_quota_of(&what, namespace).await,
            Err(failure) => ill(what, failure.words(), "see the API server's answer"),
        }
    }

    /// Whether anything can be listed in a namespace that may not be looked at itself.
    async fn check_quota_of(&self, what: &str, namespace: &str) -> Checked {
        let path = with_query(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"), &[("limit", "1")]);
        match self.client().get(&path).await {
            Ok(_) => {
                well(what, "its Jobs can be listed; the namespace itself may not be looked at, which runs don't need")
            }
            Err(failure) => ill(what, failure.words(), "see the rights above"),
        }
    }

    /// The nodes and what they have; not needed by runs, so a missing right is no fault.
    async fn check_nodes(&self) -> Vec<Checked> {
        match self.client().list("/api/v1/nodes", &[]).await {
            Ok(listed) => nodes(&listed.items),
            Err(failure) if failure.code() == Some(403) => {
                vec![well(
                    "nodes and GPUs",
                    "this user may not list nodes, which runs don't need: their GPUs can't be told",
                )]
            }
            Err(failure) => vec![ill("nodes and GPUs", failure.words(), "see the API server's answer")],
        }
    }

    /// Runs a pod that tries what runs need.
    async fn check_from_inside(&self, probe: &Probe) -> Vec<Checked> {
        let registry = format!("the image {}", probe.spec.image);
        let way_back = format!("the way back to {}", probe.address);
        let id = match self.launch(&probe.spec, &()).await {
            Ok(launched) => launched.id,
            Err(error) => {
                let (said, advice) = told(&error);
                return vec![ill("a pod", said, advice)];
            }
        };
        let waited = tokio::time::timeout(PROBE, self.wait(&id, &())).await;
        let log = self.log_tail(&id, LOG).await.unwrap_or_default();
        let log = String::from_utf8_lossy(&log).trim().to_owned();
        let mut checked = Vec::new();
        match waited {
            Err(_) => {
                let seconds = PROBE.as_secs();
                checked.push(ill(
                    "a pod",
                    format!("it hasn't ended within {seconds} s"),
                    "look at it: `kubectl describe pod`",
                ));
            }
            Ok(Err(error)) => {
                let (said, advice) = told(&error);
                checked.push(ill("a pod", said, advice));
            }
            Ok(Ok(end)) => match (end.cause.as_deref(), end.exit_code) {
                (Some(cause @ EngineCause::ImagePull { .. }), _) => {
                    let told = cause.told();
                    checked.push(ill(registry, told.sentence, told.advice));
                }
                (Some(cause), _) => {
                    let told = cause.told();
                    checked.push(ill("a pod", told.sentence, told.advice));
                }
                (None, Some(0)) => {
                    checked.push(well(registry, "a node has pulled it"));
                    checked.push(well(way_back, format!("a pod reaches it: {log}")));
                }
                (None, _) => {
                    checked.push(well(registry, "a node has pulled it"));
                    let words = end.error.unwrap_or(log);
                    checked.push(ill(
                        way_back,
                        format!("a pod doesn't reach it: {words}"),
                        "set `advertise` under [exchange] to an address of this host that pods reach, open its port in the \
                         firewalls and network policies between, or set `mode = \"attach\"`",
                    ));
                }
            },
        }
        if let Err(error) = self.remove(&id).await {
            let (said, advice) = told(&error);
            checked.push(ill("tidying up", said, advice));
        }
        checked
    }
}

fn told(error: &BackendError) -> (String, String) {
    match error {
        BackendError::Because { cause, .. } => {
            let told = cause.told();
            (told.sentence, told.advice)
        }
        error => (error.to_string(), "see the API server's answer".to_owned()),
    }
}

fn version_is_well(what: &str, version: &Value) -> Checked {
    let text = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = text("gitVersion");
    let minor: Option<u64> = name.strip_prefix("v1.").and_then(|rest| rest.split('.').next()?.parse().ok());
    match minor {
        Some(minor) if minor < OLDEST => ill(
            what,
            format!("Kubernetes {name} answers"),
            format!("use Kubernetes 1.{OLDEST} or newer: older ones don't know all of what a Job of ours says"),
        ),
        Some(_) => well(what, format!("Kubernetes {name} answers")),
        None => {
            ill(what, format!("what answers says that it is {name:?}"), "see whether that is a Kubernetes API server")
        }
    }
}

/// What the nodes have.
fn nodes(nodes: &[Value]) -> Vec<Checked> {
    let is_ready = |node: &&Value| {
        let conditions =
            node.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let ready: Vec<&Value> = nodes.iter().filter(is_ready).collect();
    let sum = |name: &str| -> u64 {
        let amount = |node: &&Value| whole(node.pointer("/status/allocatable")?.get(name)?.as_str()?);
        ready.iter().filter_map(amount).sum()
    };
    let said = format!(
        "{} of {} ready, with {} CPUs and {} GiB of memory for pods",
        ready.len(),
        nodes.len(),
        sum("cpu"),
        sum("memory") >> 30
    );
    let of_nodes = if ready.is_empty() {
        ill("nodes", said, "see `kubectl get nodes`: no run can begin without one")
    } else {
        well("nodes", said)
    };
    let mut devices: Vec<String> = ready
        .iter()
        .filter_map(|node| node.pointer("/status/allocatable")?.as_object())
        .flat_map(|amounts| amounts.keys())
        .filter(|name| name.contains('/'))
        .cloned()
        .collect();
    devices.sort_unstable();
    devices.dedup();
    let devices: Vec<String> =
        devices.iter().map(|name| format!("{} {name}", sum(name))).filter(|text| !text.starts_with("0 ")).collect();
    let said = if devices.is_empty() {
        "none is seen: the nodes have none, or no device plugin tells of them".to_owned()
    } else {
        devices.join(", ")
    };
    vec![of_nodes, well("GPUs and other devices", said)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_is_told() {
        let of = |name: &str| version_is_well("v", &json!({"gitVersion": name}));
        assert!(of("v1.34.4").ok && of("v1.29.0+k3s1").ok && !of("v1.28.9").ok);
        assert!(of("v1.28.9").advice.unwrap().contains("1.29"));
        assert!(!of("").ok && !version_is_well("v", &json!("x")).ok);
    }

    #[test]
    fn devices_are_those_of_nodes_that_are_ready() {
        let node = |ready: &str, gpus: &str| {
            json!({"status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "allocatable": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": gpus, "example.com/none": "0"},
            }})
        };
        let checked = nodes(&[node("True", "2"), node("True", "1"), node("Unknown", "8")]);
        assert_eq!(checked[0].said, "2 of 3 ready, with 8 CPUs and 16 GiB of memory for pods");
        assert_eq!(checked[1].said, "3 nvidia.com/gpu");
        assert!(!nodes(&[node("False", "1")])[0].ok);
    }
}
