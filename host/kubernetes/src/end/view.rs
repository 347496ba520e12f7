//! What is looked at in Jobs, pods and events.
//!
//! Read field by field from JSON, and never failing: what is missing, or isn't as it should be, is as if it weren't there. So
//! one object that a newer or a broken API server sends keeps nobody else's run from being watched.

use serde_json::Value;

/// The name of our container in its pod.
pub(crate) const CONTAINER: &str = "wharf";

/// A condition of a Job or a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: String,
    pub(crate) is_true: bool,
    pub(crate) is_false: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobView {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) deleting: bool,
    pub(crate) suspended: bool,
    pub(crate) queue: Option<String>,
    pub(crate) deadline: Option<u64>,
    pub(crate) conditions: Vec<Condition>,
    /// The annotation with how long its run waits for what.
    pub(crate) patience: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) job_uid: Option<String>,
    pub(crate) node: Option<String>,
    /// Deleted, and not gone yet: the seconds that it has from then on.
    pub(crate) deleting: Option<u64>,
    pub(crate) phase: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) conditions: Vec<Condition>,
    /// Ours; none before the node has it.
    pub(crate) container: Option<ContainerView>,
    /// Of those before ours that didn't end well, or don't begin.
    pub(crate) init: Vec<ContainerView>,
    /// Ours, as it was asked for.
    pub(crate) image: String,
    pub(crate) memory_limit: Option<String>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) ready: bool,
    pub(crate) state: ContainerState,
}

/// What a container does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContainerState {
    #[default]
    Unknown,
    Waiting {
        reason: String,
        message: String,
    },
    Running,
    Terminated {
        exit_code: i64,
        reason: String,
        message: String,
    },
}

/// An event of a Job or a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventView {
    /// `Job` or `Pod`.
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// When it was last seen, by the cluster's clock: compared with others of the same cluster alone.
    pub(crate) last: String,
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn some(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn conditions(value: &Value) -> Vec<Condition> {
    list(value, "/status/conditions")
        .iter()
        .map(|condition| {
            let status = text(condition, "/status");
            Condition {
                kind: text(condition, "/type"),
                is_true: status == "True",
                is_false: status == "False",
                reason: text(condition, "/reason"),
                message: text(condition, "/message"),
            }
        })
        .collect()
}

impl JobView {
    pub(crate) fn of(job: &Value) -> Self {
        Self {
            uid: text(job, "/metadata/uid"),
            name: text(job, "/metadata/name"),
            namespace: text(job, "/metadata/namespace"),
            deleting: some(job, "/metadata/deletionTimestamp").is_some(),
            suspended: job.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or_default(),
            queue: some(job, "/metadata/labels/kueue.x-k8s.io~1queue-name"),
            deadline: job.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64),
            conditions: conditions(job),
            patience: some(job, "/metadata/annotations/wharf.patience"),
        }
    }

    /// The condition of a type that holds.
    pub(crate) fn holds(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind && condition.is_true)
    }
}

impl PodView {
    pub(crate) fn of(pod: &Value) -> Self {
        let spec = ours(list(pod, "/spec/containers"));
        let statuses = list(pod, "/status/containerStatuses");
        let name = spec.map(|spec| text(spec, "/name")).unwrap_or_else(|| CONTAINER.to_owned());
        let status = statuses.iter().find(|status| text(status, "/name") == name);
        let deleting = some(pod, "/metadata/deletionTimestamp").is_some();
        Self {
            uid: text(pod, "/metadata/uid"),
            name: text(pod, "/metadata/name"),
            job_uid: owner(pod),
            node: some(pod, "/spec/nodeName"),
            deleting: deleting.then(|| {
                pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or_default()
            }),
            phase: text(pod, "/status/phase"),
            reason: text(pod, "/status/reason"),
            message: text(pod, "/status/message"),
            conditions: conditions(pod),
            container: status.map(ContainerView::of),
            init: list(pod, "/status/initContainerStatuses")
                .iter()
                .map(ContainerView::of)
                .filter(|container| !matches!(container.state, ContainerState::Terminated { exit_code: 0, .. }))
                .collect(),
            image: spec.map(|spec| text(spec, "/image")).unwrap_or_default(),
            memory_limit: spec.and_then(|spec| some(spec, "/resources/limits/memory")),
        }
    }

    /// The condition of a type, whatever it says.
    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether our container runs, or ran.
    pub(crate) fn has_begun(&self) -> bool {
        let state = self.container.as_ref().map(|container| &container.state);
        matches!(state, Some(ContainerState::Running | ContainerState::Terminated { .. }))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.container.as_ref().is_some_and(|container| container.state == ContainerState::Running)
    }

    /// Whether nothing of it runs any more, or ever will.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.container.as_ref().map(|container| &container.state);
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
            || matches!(state, Some(ContainerState::Terminated { .. }))
    }
}

/// The container of that name, else the first.
fn ours(containers: &[Value]) -> Option<&Value> {
    containers.iter().find(|container| text(container, "/name") == CONTAINER).or_else(|| containers.first())
}

/// The Job that a pod belongs to.
fn owner(pod: &Value) -> Option<String> {
    let owner = list(pod, "/metadata/ownerReferences").iter().find(|owner| text(owner, "/kind") == "Job");
    owner
        .and_then(|owner| some(owner, "/uid"))
        .or_else(|| some(pod, "/metadata/labels/batch.kubernetes.io~1controller-uid"))
        .or_else(|| some(pod, "/metadata/labels/controller-uid"))
}

impl ContainerView {
    fn of(status: &Value) -> Self {
        let state = if let Some(waiting) = status.pointer("/state/waiting") {
            ContainerState::Waiting { reason: text(waiting, "/reason"), message: text(waiting, "/message") }
        } else if status.pointer("/state/running").is_some() {
            ContainerState::Running
        } else if let Some(terminated) = status.pointer("/state/terminated") {
            ContainerState::Terminated {
                exit_code: terminated.pointer("/exitCode").and_then(Value::as_i64).unwrap_or_default(),
                reason: text(terminated, "/reason"),
                message: text(terminated, "/message"),
            }
        } else {
            ContainerState::Unknown
        };
        Self {
            name: text(status, "/name"),
            image: text(status, "/image"),
            ready: status.pointer("/ready").and_then(Value::as_bool).unwrap_or_default(),
            state,
        }
    }
}

impl EventView {
    pub(crate) fn of(event: &Value) -> Self {
        let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
            .iter()
            .find_map(|pointer| some(event, pointer));
        Self {
            kind: text(event, "/involvedObject/kind"),
            reason: text(event, "/reason"),
            message: text(event, "/message"),
            last: last.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_read_of_nonsense() {
        for nonsense in
            [json!(null), json!(3), json!([]), json!({"metadata": 1, "status": "x", "spec": {"containers": 4}})]
        {
            assert_eq!(JobView::of(&nonsense), JobView::default());
            assert_eq!(PodView::of(&nonsense), PodView::default());
            assert_eq!(EventView::of(&nonsense), EventView::default());
        }
    }

    #[test]
    fn ours_is_the_container_of_that_name() {
        let pod = json!({
            "spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "wharf", "image": "w"}]},
            "status": {"containerStatuses": [
                {"name": "proxy", "state": {"running": {}}},
                {"name": "wharf", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}},
            ]},
        });
        let view = PodView::of(&pod);
        assert_eq!(view.image, "w");
        assert!(view.has_begun() && view.has_ended() && !view.is_running());
    }

    #[test]
    fn a_pods_job_is_its_owner_or_its_label() {
        let owned =
            json!({"metadata": {"ownerReferences": [{"kind": "Other", "uid": "x"}, {"kind": "Job", "uid": "j"}]}});
        assert_eq!(PodView::of(&owned).job_uid.as_deref(), Some("j"));
        let labelled = json!({"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "k"}}});
        assert_eq!(PodView::of(&labelled).job_uid.as_deref(), Some("k"));
    }
}
