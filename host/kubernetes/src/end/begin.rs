//! Why a run hasn't begun.

use wharf_model::EngineCause;
use wharf_model::launch::EngineEnd;

use super::finish;
use super::view::{ContainerState, ContainerView, EventView, PodView};
use super::{Patience, Seen, State, Waiting};
use crate::refusal;

/// Words of a node for an image that it doesn't get.
const PULL: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// Those of them that stay as they are.
const PULL_FOR_GOOD: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];

fn waiting(cause: EngineCause, patience: Patience) -> Option<Waiting> {
    Some(Waiting { cause, patience })
}

/// Of a Job that has no pod.
pub(super) fn without_pod(seen: &Seen) -> State {
    if seen.job_gone {
        return finish::without_pod(seen);
    }
    let Some(job) = &seen.job else { return State::Waiting(None) };
    if job.holds("Failed").is_some() || job.holds("Complete").is_some() {
        return finish::without_pod(seen);
    }
    if let Some(failed) = latest(&seen.events, "Job", "FailedCreate") {
        return State::Waiting(Some(refused(&failed.message, &job.namespace)));
    }
    if job.suspended {
        return State::Waiting(waiting(EngineCause::Queued { queue: job.queue.clone() }, Patience::Endless));
    }
    State::Waiting(None)
}

/// What a controller was refused.
fn refused(words: &str, namespace: &str) -> Waiting {
    let cause = refusal::cause(words, namespace)
        .unwrap_or_else(|| EngineCause::CreateFailed { reason: "FailedCreate".to_owned(), words: words.to_owned() });
    let patience = patience_for(&cause);
    Waiting { cause, patience }
}

/// How long a refusal is waited for.
pub(crate) fn patience_for(cause: &EngineCause) -> Patience {
    match cause {
        EngineCause::QuotaExceeded { .. } => Patience::Quota,
        EngineCause::AdmissionAway { .. } | EngineCause::CreateFailed { .. } => Patience::Unschedulable,
        EngineCause::Missing { .. } | EngineCause::NamespaceEnding { .. } | EngineCause::TicketMissing => {
            Patience::Short
        }
        _ => Patience::None,
    }
}

/// Of a pod whose container hasn't begun.
pub(super) fn of_pod(pod: &PodView, seen: &Seen) -> Option<Waiting> {
    if let Some(scheduled) = pod.condition("PodScheduled").filter(|condition| condition.is_false) {
        return match scheduled.reason.as_str() {
            "SchedulingGated" => {
                let queue = seen.job.as_ref().and_then(|job| job.queue.clone());
                waiting(EngineCause::Queued { queue }, Patience::Endless)
            }
            _ if scheduled.message.is_empty() => None,
            _ => waiting(EngineCause::Unschedulable { words: scheduled.message.clone() }, Patience::Unschedulable),
        };
    }
    let stuck = |container: &ContainerView| of_container(container, pod, seen);
    pod.init
        .iter()
        .filter(|container| !is_on_its_way(&container.state))
        .find_map(stuck)
        .or_else(|| pod.container.as_ref().and_then(stuck))
        .or_else(|| of_events(pod, seen))
}

/// A container that a node makes at this moment, or that comes after others.
fn is_on_its_way(state: &ContainerState) -> bool {
    match state {
        ContainerState::Waiting { reason, .. } => {
            matches!(reason.as_str(), "" | "ContainerCreating" | "PodInitializing")
        }
        _ => true,
    }
}

fn of_container(container: &ContainerView, pod: &PodView, seen: &Seen) -> Option<Waiting> {
    let ContainerState::Waiting { reason, message } = &container.state else { return None };
    if PULL.contains(&reason.as_str()) {
        let image = if container.image.is_empty() { &pod.image } else { &container.image };
        let cause = EngineCause::ImagePull { image: image.clone(), words: pull_words(reason, message, seen) };
        let patience = if PULL_FOR_GOOD.contains(&reason.as_str()) { Patience::None } else { Patience::ImagePull };
        return waiting(cause, patience);
    }
    match reason.as_str() {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "CreateContainerConfigError" => {
            let is_ticket = seen.job.as_ref().is_some_and(|job| message.contains(&format!("secret \"{}\"", job.name)));
            let cause = match refusal::cause(message, "") {
                Some(EngineCause::Missing { .. }) if is_ticket => EngineCause::TicketMissing,
                Some(cause) => cause,
                None => EngineCause::CreateFailed { reason: reason.clone(), words: message.clone() },
            };
            // It is tried again and again; what lacks may come.
            waiting(cause, Patience::Short)
        }
        _ => waiting(EngineCause::CreateFailed { reason: reason.clone(), words: message.clone() }, Patience::Short),
    }
}

/// The registry's own words, wherever they are.
fn pull_words(reason: &str, message: &str, seen: &Seen) -> String {
    let event = || {
        let failed =
            seen.events.iter().filter(|event| event.reason == "Failed" && event.message.contains("pull image"));
        failed.max_by(|one, other| one.last.cmp(&other.last)).map(|event| event.message.clone())
    };
    let said = if reason == "ImagePullBackOff" {
        // Newer nodes say both.
        message
            .split_once(": ErrImagePull: ")
            .map(|(_, words)| words.to_owned())
            .or_else(|| seen.pull_words.clone())
            .or_else(event)
            .unwrap_or_else(|| message.to_owned())
    } else {
        message.to_owned()
    };
    shortened(&said)
}

/// Without what a node's layers put in front.
fn shortened(words: &str) -> String {
    let mut words = words;
    for layer in ["rpc error: code = ", "failed to pull and unpack image ", "failed to resolve reference "] {
        if let Some((_, rest)) = words.split_once(layer) {
            // `Unknown desc = `, or the image in quotes.
            words = match (rest.split_once("desc = "), rest.split_once("\": ")) {
                (Some((_, rest)), _) if layer.starts_with("rpc") => rest,
                (_, Some((_, rest))) => rest,
                _ => words,
            };
        }
    }
    words.trim().to_owned()
}

/// What only events tell: volumes and sandboxes.
fn of_events(pod: &PodView, seen: &Seen) -> Option<Waiting> {
    let event =
        ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady", "FailedCreatePodContainer"]
            .iter()
            .filter_map(|reason| latest(&seen.events, "Pod", reason))
            .max_by(|one, other| one.last.cmp(&other.last))?;
    if pod.deleting.is_some() {
        return None;
    }
    let cause = refusal::cause(&event.message, "")
        .unwrap_or_else(|| EngineCause::CreateFailed { reason: event.reason.clone(), words: event.message.clone() });
    waiting(cause, Patience::Unschedulable)
}

fn latest<'a>(events: &'a [EventView], kind: &str, reason: &str) -> Option<&'a EventView> {
    let of_kind = events.iter().filter(|event| event.kind == kind && event.reason == reason);
    of_kind.max_by(|one, other| one.last.cmp(&other.last))
}

/// The end of a run that was waited for in vain.
pub(crate) fn in_vain(waiting: &Waiting) -> EngineEnd {
    EngineEnd { cause: Some(Box::new(waiting.cause.clone())), ..EngineEnd::default() }
}
