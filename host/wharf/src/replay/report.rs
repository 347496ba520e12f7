//! What replays and what-ifs answer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::Decision;

use crate::store::RunFilter;

/// Which component is asked about which runs of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayRequest {
    /// The component's file.
    pub file: PathBuf,
    /// Its TOML file; none for the one beside it.
    pub settings: Option<PathBuf>,
    /// Which runs.
    #[serde(default)]
    pub filter: RunFilter,
    /// At most so many, the newest.
    pub limit: Option<u64>,
}

/// How a replay goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayProgress {
    /// So many runs of so many.
    Looked {
        /// Looked at.
        done: u64,
        /// In all.
        total: u64,
    },
    /// That was the last one.
    Done(Box<ReplayReport>),
}

/// What a component would have said to runs of the past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayReport {
    /// The component's name.
    pub component: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// SHA-256 of its settings.
    pub settings_digest: String,
    /// Its world, with the role of a policy.
    pub world: String,
    /// Its `mode` isn't `enforce`: none of this would count yet.
    #[serde(default)]
    pub is_audited: bool,
    /// Runs that were looked at.
    pub runs: u64,
    /// Runs that it was asked about.
    pub replayed: u64,
    /// What came of those.
    #[serde(flatten)]
    pub effects: Effects,
    /// Of `refused`: because the component failed.
    pub failed: u64,
    /// By user. Only those whose runs it has an effect on.
    pub by_user: BTreeMap<String, Effects>,
    /// By execution configuration. Only those whose runs it has an effect on.
    pub by_configuration: BTreeMap<String, Effects>,
    /// The fields that it would have changed, and in how many runs.
    pub fields: BTreeMap<String, u64>,
    /// The runs, newest first.
    pub flips: Vec<Flip>,
    /// Runs that are counted and not in `flips`: the list has an end.
    pub not_listed: u64,
    /// Runs that it could not be asked about.
    pub not_replayed: Vec<NotReplayed>,
    /// Why it ended before the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
    /// The component's own time over all calls, in microseconds.
    pub component_micros: u64,
    /// Its slowest call, in microseconds.
    pub slowest_micros: u64,
    /// How long all of it took, in milliseconds.
    pub millis: u64,
}

/// How many runs would have gone otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effects {
    /// Refused, that were let pass.
    pub refused: u64,
    /// Refused, that somebody else had refused anyway.
    pub refused_anyway: u64,
    /// No longer refused by the component of this name.
    pub allowed: u64,
    /// Changed otherwise than they were.
    pub changed: u64,
    /// Under other limits than they were.
    pub limited: u64,
}

impl Effects {
    pub(super) fn count(&mut self, kind: FlipKind) {
        match kind {
            FlipKind::Refused => self.refused += 1,
            FlipKind::RefusedAnyway => self.refused_anyway += 1,
            FlipKind::Allowed => self.allowed += 1,
            FlipKind::Changed => self.changed += 1,
            FlipKind::Limited => self.limited += 1,
        }
    }

    /// How many runs in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.refused + self.refused_anyway + self.allowed + self.changed + self.limited
    }
}

/// How a run would have gone otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlipKind {
    /// Refused, and it was let pass.
    Refused,
    /// Refused, and somebody else had refused it anyway.
    RefusedAnyway,
    /// Let pass, and the component of this name had refused it.
    Allowed,
    /// Its plan would have been another.
    Changed,
    /// It would have counted in other limits.
    Limited,
}

/// One run that would have gone otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flip {
    /// The run.
    pub run: String,
    /// Milliseconds since 1970.
    pub submitted_at: u64,
    /// By whom.
    pub user: String,
    /// Under which execution configuration.
    pub configuration: String,
    /// How.
    pub kind: FlipKind,
    /// What the component said of it now.
    pub decision: Decision,
}

/// Runs that a component could not be asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotReplayed {
    /// Why.
    pub why: String,
    /// How many.
    pub runs: u64,
    /// One of them.
    pub example: String,
}

/// Other settings for one component, tried on one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIfRequest {
    /// The run.
    pub run: String,
    /// The TOML file, as it would stand beside the component.
    pub settings: PathBuf,
    /// Whose; the component that has the name of the file, when not said.
    pub component: Option<String>,
}

/// How a run would have been judged with other settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIf {
    /// The run.
    pub run: String,
    /// The component that has other settings.
    pub component: String,
    /// How its judgement ended then.
    pub then: String,
    /// How it would end now.
    pub now: String,
    /// What differs. Nothing when the settings make no difference to this run.
    pub differences: Vec<Difference>,
    /// Every answer, in order.
    pub decisions: Vec<Decision>,
    /// What else isn't as it was then, and what could not be known.
    pub notes: Vec<String>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// A field of the plan, `limits`, or the name of a component.
    pub what: String,
    /// What it was; none when it wasn't there.
    pub then: Option<String>,
    /// What it would be; none when it wouldn't be there.
    pub now: Option<String>,
    /// Who made it so, for a field that a policy set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
