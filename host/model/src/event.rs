//! What happens to a run, as it happens: the only way from a run to human output, JSON and the record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::outcome::Outcome;
use crate::protocol::{Advance, Stream, Usage};

/// The phases that a run goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// May this user do this?
    Permission,
    /// Activity to job.
    Adapter,
    /// Job and configuration to plan, judged by policies.
    Policies,
    /// Waiting for room.
    Admission,
    /// The image is looked for, and made when it is missing.
    Image,
    /// The container is created and started.
    Launch,
    /// The recipe runs.
    Run,
    /// Outputs are put in place.
    Commit,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The run.
    pub run: String,
    /// Counts the run's events from 1, without gaps; a log line carries the number of the event before it.
    pub seq: u64,
    /// Milliseconds since 1970, by the host's clock.
    pub at: u64,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum EventKind {
    /// The host took the activity.
    Submitted {
        /// What kind of work.
        kind: String,
        /// By whom.
        user: String,
        /// Under which execution configuration.
        configuration: String,
    },
    /// A host took over a run that another process of the same home had started.
    Recovered,
    /// A component answered.
    Decision(Decision),
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
    },
    /// A phase ended well.
    PhaseEnded {
        /// Which.
        phase: Phase,
        /// How long it took.
        millis: u64,
    },
    /// Something that takes long went on.
    Progress {
        /// In which phase.
        phase: Phase,
        /// What, for a person.
        text: String,
    },
    /// The recipe says how far it has come.
    Advanced(Advance),
    /// It waits in the queue.
    Queued {
        /// For what.
        why: String,
        /// Its place in the queue, from 1. Told when it is worth it: near the front, and when half of the way is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<u64>,
    },
    /// One line of the recipe's output.
    Log {
        /// Counts the run's lines from 0.
        line: u64,
        /// From where.
        stream: Stream,
        /// The line; bytes that aren't UTF-8 are replaced here and kept in the stored log.
        text: String,
        /// It goes on in the next line of its stream: it is longer than what travels in one piece.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        continues: bool,
    },
    /// Lines that are missing before the next one.
    LogGap {
        /// The number of the first.
        line: u64,
        /// How many.
        missing: u64,
        /// Why.
        why: String,
    },
    /// What it uses now.
    Usage(Usage),
    /// Somebody asked to stop it.
    StopRequested {
        /// Who.
        by: String,
    },
    /// It ended. The last event of a run.
    Ended(Outcome),
}
