//! How a run ended.

use wharf_model::EngineCause;
use wharf_model::launch::EngineEnd;

use super::view::{ContainerState, PodView};
use super::{Seen, State};

/// Exit codes of what was asked to end, or made to.
const ENDED: [i64; 3] = [130, 137, 143];

fn ended(end: EngineEnd) -> State {
    State::Ended { end, settled: true }
}

fn because(cause: EngineCause) -> EngineEnd {
    EngineEnd { cause: Some(Box::new(cause)), ..EngineEnd::default() }
}

/// Of a pod that has ended, and may be gone since.
pub(super) fn of_pod(pod: &PodView, seen: &Seen) -> State {
    let gone = seen.pod_gone;
    let disruption = disruption(pod);
    let Some(ContainerState::Terminated { exit_code, reason, message }) =
        pod.container.as_ref().map(|container| &container.state)
    else {
        return of_failed_pod(pod, disruption, seen);
    };
    match reason.as_str() {
        "OOMKilled" => {
            let cause = disruption.unwrap_or(EngineCause::OutOfMemory { limit: pod.memory_limit.clone() });
            ended(EngineEnd { exit_code: Some(*exit_code), oom_killed: true, gone, ..because(cause) })
        }
        "StartError" | "ContainerCannotRun" => {
            ended(EngineEnd { error: Some(message.clone()), ..EngineEnd::default() })
        }
        // The node came back, and the container wasn't there any more: its exit code is made up.
        "ContainerStatusUnknown" => {
            let words = || if message.is_empty() { reason.clone() } else { message.clone() };
            let lost = || EngineCause::NodeLost { node: pod.node.clone(), words: words() };
            ended(EngineEnd { gone, ..because(disruption.unwrap_or_else(lost)) })
        }
        _ => {
            let end = EngineEnd { exit_code: Some(*exit_code), gone, ..EngineEnd::default() };
            match disruption {
                Some(cause) => ended(EngineEnd { cause: Some(Box::new(cause)), ..end }),
                // By itself.
                None if pod.deleting.is_none() && !deadline_passed(seen) => ended(end),
                None if *exit_code == 0 => ended(end),
                None => deleted(pod, seen, end),
            }
        }
    }
}

/// Of a pod that failed, and whose container nobody says anything of.
fn of_failed_pod(pod: &PodView, disruption: Option<EngineCause>, seen: &Seen) -> State {
    let gone = seen.pod_gone;
    if let Some(cause) = disruption {
        return ended(EngineEnd { gone, ..because(cause) });
    }
    let broken = pod.init.iter().find_map(|container| match &container.state {
        ContainerState::Terminated { exit_code, message, .. } => {
            let said = if message.is_empty() { String::new() } else { format!(": {message}") };
            Some(format!("the init container {} ended with exit code {exit_code}{said}", container.name))
        }
        _ => None,
    });
    if let Some(words) = broken {
        let reason = if pod.reason.is_empty() { "Init:Error".to_owned() } else { pod.reason.clone() };
        return ended(because(EngineCause::CreateFailed { reason, words }));
    }
    if pod.reason.is_empty() {
        return deleted(pod, seen, EngineEnd { gone, ..EngineEnd::default() });
    }
    let words = if pod.message.is_empty() { pod.reason.clone() } else { pod.message.clone() };
    let (node, reason) = (pod.node.clone(), pod.reason.clone());
    ended(EngineEnd { gone, ..because(EngineCause::NodeRefused { node, reason, words }) })
}

/// Of a pod that was deleted before anything was heard of its end.
pub(super) fn of_gone_pod(pod: &PodView, seen: &Seen) -> State {
    let end = EngineEnd { gone: true, ..EngineEnd::default() };
    match disruption(pod) {
        Some(cause) => ended(EngineEnd { cause: Some(Box::new(cause)), ..end }),
        None => deleted(pod, seen, end),
    }
}

/// Of a Job that has no pod, and gets none.
pub(super) fn without_pod(seen: &Seen) -> State {
    let job = seen.job.as_ref();
    if deadline_passed(seen) {
        return ended(because(EngineCause::DeadlineExceeded { seconds: job.and_then(|job| job.deadline) }));
    }
    if seen.job_gone || job.is_some_and(|job| job.deleting) {
        return ended(EngineEnd { gone: true, ..because(EngineCause::JobDeleted { begun: false }) });
    }
    match job.and_then(|job| job.holds("Failed")) {
        // Its pod was gone before it was seen.
        Some(failed) if failed.reason == "BackoffLimitExceeded" => {
            ended(EngineEnd { gone: true, ..because(EngineCause::PodDeleted { node: None, begun: true }) })
        }
        // What became of it is all in what the Job says.
        Some(failed) if failed.reason == "PodFailurePolicy" => {
            let exit_code = exit_code(seen);
            let cause = match exit_code {
                None => Some(EngineCause::NodeLost { node: None, words: failed.message.clone() }),
                // It was killed, and its pod, which stays otherwise, isn't there.
                Some(code) if ENDED.contains(&code) => Some(EngineCause::PodDeleted { node: None, begun: true }),
                Some(_) => None,
            };
            ended(EngineEnd { exit_code, gone: cause.is_some(), cause: cause.map(Box::new), ..EngineEnd::default() })
        }
        Some(failed) => {
            ended(because(EngineCause::CreateFailed { reason: failed.reason.clone(), words: failed.message.clone() }))
        }
        None if job.is_some_and(|job| job.holds("Complete").is_some()) => {
            ended(EngineEnd { exit_code: Some(0), ..EngineEnd::default() })
        }
        None => ended(EngineEnd { gone: true, ..EngineEnd::default() }),
    }
}

/// Somebody deleted the pod: its Job's deadline, whoever deleted the Job, or somebody else.
fn deleted(pod: &PodView, seen: &Seen, end: EngineEnd) -> State {
    let job = seen.job.as_ref();
    let begun = pod.has_begun();
    if end.exit_code.is_none() && node_is_away(pod) {
        let words = "its pod was deleted, and its node hasn't said that it ended".to_owned();
        return ended(EngineEnd { gone: true, ..because(EngineCause::NodeLost { node: pod.node.clone(), words }) });
    }
    let end = EngineEnd { exit_code: end.exit_code.or_else(|| exit_code(seen)), ..end };
    if deadline_passed(seen) {
        let cause = EngineCause::DeadlineExceeded { seconds: job.and_then(|job| job.deadline) };
        return ended(EngineEnd { cause: Some(Box::new(cause)), ..end });
    }
    if seen.job_gone || job.is_some_and(|job| job.deleting) {
        return ended(EngineEnd { gone: true, cause: Some(Box::new(EngineCause::JobDeleted { begun })), ..end });
    }
    let cause = EngineCause::PodDeleted { node: pod.node.clone(), begun };
    let settled = job.is_some_and(|job| job.holds("Failed").is_some());
    State::Ended { end: EngineEnd { gone: true, cause: Some(Box::new(cause)), ..end }, settled }
}

/// The exit code that a Job noted of its pod: `Container wharf for pod n/p failed with exit code 3 matching FailJob rule at
/// index 1`.
fn exit_code(seen: &Seen) -> Option<i64> {
    let job = seen.job.as_ref()?;
    let failed = job.holds("Failed").or_else(|| job.holds("FailureTarget"))?;
    let (_, rest) = failed.message.split_once("failed with exit code ")?;
    rest.split(' ').next()?.parse().ok()
}

fn deadline_passed(seen: &Seen) -> bool {
    let holds = |kind| seen.job.as_ref().and_then(|job| job.holds(kind));
    ["Failed", "FailureTarget"].into_iter().filter_map(holds).any(|condition| condition.reason == "DeadlineExceeded")
}

/// What the cluster did to a pod, if it did.
fn disruption(pod: &PodView) -> Option<EngineCause> {
    let (node, words) = (pod.node.clone(), pod.message.clone());
    match pod.reason.as_str() {
        "Evicted" => return Some(evicted(node, &words)),
        "Preempting" => return Some(EngineCause::Preempted { words }),
        "DeadlineExceeded" => return Some(EngineCause::DeadlineExceeded { seconds: None }),
        "NodeLost" => return Some(EngineCause::NodeLost { node, words }),
        "Terminated" | "NodeShutdown" | "Shutdown" => return Some(EngineCause::NodeShutdown { node, words }),
        _ => {}
    }
    let target = pod.condition("DisruptionTarget").filter(|condition| condition.is_true)?;
    let words = if target.message.is_empty() { target.reason.clone() } else { target.message.clone() };
    Some(match target.reason.as_str() {
        "PreemptionByScheduler" => EngineCause::Preempted { words },
        "EvictionByEvictionAPI" => EngineCause::Drained { node },
        "TerminationByKubelet" if words.contains("shut") => EngineCause::NodeShutdown { node, words },
        "TerminationByKubelet" if words.to_lowercase().contains("preempt") => EngineCause::Preempted { words },
        "TerminationByKubelet" => evicted(node, &words),
        // By the taint manager and the collector of pods without a node.
        _ => EngineCause::NodeLost { node, words },
    })
}

/// `The node was low on resource: memory. ...`; or a limit of the pod's own.
fn evicted(node: Option<String>, words: &str) -> EngineCause {
    let low = words.split_once("low on resource: ").map(|(_, rest)| rest);
    let resource = match low {
        Some(rest) => Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>()),
        None if words.contains("ephemeral") || words.contains("EmptyDir") => Some("ephemeral-storage".to_owned()),
        None => None,
    };
    let own_limit = low.is_none() && words.to_lowercase().contains("exceed");
    EngineCause::Evicted { resource, own_limit, node, words: words.trim().to_owned() }
}

/// What is wrong with a container that runs, as far as anybody knows.
pub(super) fn trouble(pod: &PodView) -> Option<String> {
    if node_is_away(pod) {
        let node = pod.node.as_deref().unwrap_or("that it is on");
        return Some(format!("its node {node} doesn't answer the cluster"));
    }
    pod.deleting.map(|seconds| format!("its pod is being deleted and has {seconds} s to end"))
}

/// Whether the node of a container that runs doesn't answer the cluster: the container is still said to be ready, and the pod
/// isn't.
pub(crate) fn node_is_away(pod: &PodView) -> bool {
    let not_ready = pod.condition("Ready").is_some_and(|ready| ready.is_false);
    not_ready && pod.is_running() && pod.container.as_ref().is_some_and(|container| container.ready)
}
