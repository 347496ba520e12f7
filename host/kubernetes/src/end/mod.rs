//! What became of a run, from what the API says of its Job, its pod and their events: pure.

mod begin;
#[cfg(test)]
mod corpus;
pub(crate) mod finish;
pub(crate) mod view;

use std::time::Duration;

use wharf_model::EngineCause;
use wharf_model::launch::EngineEnd;

pub(crate) use begin::{in_vain, patience_for};
use view::{EventView, JobView, PodView};

/// All that is known of a run at its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// As it was last seen.
    pub(crate) job: Option<JobView>,
    /// It isn't there any more.
    pub(crate) job_gone: bool,
    /// As it was last seen.
    pub(crate) pod: Option<PodView>,
    /// It isn't there any more.
    pub(crate) pod_gone: bool,
    /// Of both, where the rest doesn't say enough.
    pub(crate) events: Vec<EventView>,
    /// What the registry said once, before it was only "back-off".
    pub(crate) pull_words: Option<String>,
    /// We have ended it.
    pub(crate) stopped: bool,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its container hasn't begun.
    Waiting(Option<Waiting>),
    /// Its container runs. A sentence when something is wrong with that.
    Running(Option<String>),
    /// It has ended, or is about to.
    Ended {
        end: EngineEnd,
        /// What ended it may still be told by an object that lags behind: worth a moment.
        settled: bool,
    },
}

/// Why a container hasn't begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) cause: EngineCause,
    pub(crate) patience: Patience,
}

/// How long it is waited for that something clears up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Patience {
    /// It doesn't.
    None,
    /// A moment: objects may come in another order than they are needed.
    Short,
    /// As configured for a node that takes it.
    Unschedulable,
    /// As configured for an image.
    ImagePull,
    /// As configured for a quota.
    Quota,
    /// For ever: somebody else's queue has its own idea of time.
    Endless,
}

/// How long a moment is.
pub(crate) const MOMENT: Duration = Duration::from_secs(45);

/// What a run does, as far as the API says.
pub(crate) fn state(seen: &Seen) -> State {
    match &seen.pod {
        Some(pod) if pod.has_ended() => finish::of_pod(pod, seen),
        Some(pod) if seen.pod_gone => finish::of_gone_pod(pod, seen),
        Some(pod) if pod.is_running() => State::Running(finish::trouble(pod)),
        Some(pod) => State::Waiting(begin::of_pod(pod, seen)),
        None => begin::without_pod(seen),
    }
}
