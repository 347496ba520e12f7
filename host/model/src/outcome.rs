//! How a run ended: a cause with its evidence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::Usage;

/// Why a run ended. One vocabulary for all engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The recipe exited with 0 and its outputs are in place.
    Succeeded,
    /// The recipe exited with another code, or died of a signal of its own.
    RecipeFailed,
    /// The kernel killed it at its memory limit.
    OutOfMemory,
    /// It took longer than it may.
    TimeLimit,
    /// Somebody stopped it.
    Stopped,
    /// A permission component said no.
    Refused,
    /// A policy component said no, or a limit at admission.
    Rejected,
    /// The recipe adapter couldn't make a job of the activity.
    NotPrepared,
    /// A secret that the run needs isn't there, or can't be used.
    SecretUnavailable,
    /// The base image isn't there and can't be had.
    ImageMissing,
    /// A build failed.
    ImageBuildFailed,
    /// The engine doesn't answer.
    EngineUnreachable,
    /// The engine refused the object that we asked for.
    EngineRefused,
    /// A right is missing at the engine, or it doesn't accept who we are.
    Forbidden,
    /// A quota at the engine is used up.
    QuotaExceeded,
    /// No machine of the engine can take it.
    Unschedulable,
    /// Its machine put it out because of a resource, or was drained.
    Evicted,
    /// It made room for another of a higher priority.
    Preempted,
    /// Its machine was lost or shut down.
    NodeLost,
    /// The container started, and its runner was never heard of.
    RunnerNeverCameUp,
    /// The runner was there and gave no result: the container was killed or removed by somebody else, its engine went
    /// down, or the way between the two was cut for too long.
    Lost,
    /// The recipe succeeded, and an output could not be put in place.
    OutputFailed,
    /// An input could not be read.
    InputFailed,
    /// A fault of the host itself.
    HostFault,
}

/// Whose doing an end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Nobody's: it went well.
    Nobody,
    /// The recipe's code or data.
    Recipe,
    /// A person's.
    User,
    /// A limit that an administrator set.
    Limit,
    /// What an administrator wrote: the execution configuration, or the home.
    Configuration,
    /// A component's.
    Component,
    /// The engine's: Docker or Kubernetes.
    Engine,
    /// The engine's machine, or this one, has no more of something: memory, disk, processes, addresses.
    Capacity,
    /// The way between host and container.
    Network,
    /// The host's.
    Host,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Why.
    pub cause: Cause,
    /// One sentence that a person understands.
    pub sentence: String,
    /// Whose doing it was.
    pub whose: Whose,
    /// Whether trying again, unchanged, can help.
    pub retry_helps: bool,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The facts that this was concluded from: exit code, signal, cgroup counters, the engine's own words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// The recipe's exit code, if it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines of its error output, for a recipe that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_tail: Vec<String>,
    /// Whether the log is whole, as counted and hashed by the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogState>,
    /// What it used at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What is known of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum LogState {
    /// Every line that the runner counted is here, and the hashes are equal.
    Complete {
        /// How many lines.
        lines: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Lines are missing.
    Incomplete {
        /// How many are missing in all; none when nobody can tell.
        #[serde(default)]
        missing: Option<u64>,
        /// How many of them the container dropped, since the host was away and its spool was full.
        #[serde(default)]
        dropped: u64,
        /// The number of the first missing line.
        from: u64,
        /// The number of the first line after it that isn't missing, if known.
        to: Option<u64>,
    },
    /// The log reached the limit of its configuration (`[logs] limit`): it is whole up to there, and what came after was
    /// counted and not kept.
    Limited {
        /// How many lines were kept.
        lines: u64,
        /// How many bytes.
        bytes: u64,
        /// How many lines weren't.
        left_out: u64,
    },
    /// The engine's own log, since there was none from the runner.
    Engine,
}
