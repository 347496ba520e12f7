//! What is read back of a run.

use rusqlite::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::configuration::EngineAddress;
use wharf_model::launch::LaunchSpec;
use wharf_model::protocol::RunnerResult;
use wharf_model::{Activity, Outcome, Plan};

use super::{StoreError, parse};

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// On its way through permission, adapter and policies.
    Preparing,
    /// Waiting for room.
    Queued,
    /// Recorded, and about to be created at the engine.
    Launching,
    /// Its container is there.
    Running,
    /// Succeeded, and its outputs are being put in place.
    Committing,
    /// It has an outcome.
    Ended,
}

impl RunState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Queued => "queued",
            Self::Launching => "launching",
            Self::Running => "running",
            Self::Committing => "committing",
            Self::Ended => "ended",
        }
    }

    pub(super) fn read(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "launching" => Self::Launching,
            "running" => Self::Running,
            "committing" => Self::Committing,
            "ended" => Self::Ended,
            _ => Self::Preparing,
        }
    }
}

/// What a restarted host needs to find a run again. Holds no secret: of the ticket only its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// The object at the engine, without the secret part of its environment.
    pub spec: LaunchSpec,
    /// The engine.
    pub engine: EngineAddress,
    /// SHA-256 of the ticket, in hex.
    pub ticket_sha256: String,
    /// The engine's id of the container, once it is known.
    pub container: Option<String>,
}

/// One run, as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its id.
    pub run: String,
    /// Milliseconds since 1970.
    pub submitted_at: u64,
    /// By whom.
    pub user: String,
    /// The project.
    pub project: Option<String>,
    /// What kind of work.
    pub kind: String,
    /// Under which execution configuration.
    pub configuration: String,
    /// How far it has come.
    pub state: RunState,
    /// Milliseconds since 1970.
    pub ended_at: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// One run that hasn't ended, with all that is known of it.
#[derive(Clone, Debug)]
pub struct OpenRun {
    /// As lists show it; `outcome` is the one that awaits its commit.
    pub summary: RunSummary,
    /// What was asked.
    pub activity: Activity,
    /// The final plan, if it came so far.
    pub plan: Option<Plan>,
    /// The launch, if it came so far.
    pub launch: Option<LaunchRecord>,
    /// When its runner was first heard of, in milliseconds since 1970.
    pub started_at: Option<u64>,
    /// How the recipe ended, when its runner has said so: it says it once.
    pub result: Option<RunnerResult>,
}

pub(super) const SUMMARY: &str = "id, submitted_at, user, project, kind, configuration, state, ended_at, outcome";

pub(super) struct RawSummary {
    pub(super) summary: RunSummary,
    pub(super) outcome: Option<String>,
}

pub(super) fn raw_summary(row: &Row<'_>) -> rusqlite::Result<RawSummary> {
    let state: String = row.get(6)?;
    Ok(RawSummary {
        summary: RunSummary {
            run: row.get(0)?,
            submitted_at: row.get(1)?,
            user: row.get(2)?,
            project: row.get(3)?,
            kind: row.get(4)?,
            configuration: row.get(5)?,
            state: RunState::read(&state),
            ended_at: row.get(7)?,
            outcome: None,
        },
        outcome: row.get(8)?,
    })
}

impl RawSummary {
    pub(super) fn read(self) -> Result<RunSummary, StoreError> {
        let mut summary = self.summary;
        summary.outcome = self.outcome.map(|text| parse(&summary.run, &text)).transpose()?;
        Ok(summary)
    }
}
