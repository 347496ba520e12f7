//! All that is known of how a run ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_model::EngineCause;
use wharf_model::launch::{BackendError, EngineEnd};
use wharf_model::outcome::LogState;
use wharf_model::protocol::{RunnerResult, Usage};

/// Why a run was asked to end before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Interruption {
    /// Somebody asked.
    StoppedBy(String),
    /// It took longer than this many seconds.
    TimeLimit(u64),
    /// Its runner wasn't heard of for too long: after the start, or since it was last heard of.
    Silence {
        /// For how long.
        seconds: u64,
        /// Somebody had frozen the container.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        paused: bool,
    },
}

/// How the recipe ended, as its runner says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunnerEnd {
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) start_error: Option<String>,
    /// The runner ended it, because the host or the engine asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stopped: bool,
}

impl From<&RunnerResult> for RunnerEnd {
    fn from(result: &RunnerResult) -> Self {
        Self {
            exit_code: result.exit_code,
            signal: result.signal,
            start_error: result.start_error.clone(),
            stopped: result.stopped,
        }
    }
}

/// All that is known of how a run ended. An outcome holds all of it, so it can be concluded again from its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Evidence {
    /// The runner's own report.
    pub(crate) runner: Option<RunnerEnd>,
    /// The engine's view.
    pub(crate) engine: Option<EngineEnd>,
    /// Why there is none, or nothing was created.
    pub(crate) engine_error: Option<BackendError>,
    /// Whether the runner was ever heard of; `None` when nothing was started.
    pub(crate) came_up: Option<bool>,
    /// What the host asked for.
    pub(crate) interruption: Option<Interruption>,
    /// What a stopped command that ended with 0 has done counts: from the job.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keeps_when_stopped: bool,
    /// Bytes, from the plan.
    pub(crate) memory_limit: Option<u64>,
    /// Processes and threads, from the plan; only where the kernel refused one.
    pub(crate) process_limit: Option<u64>,
    /// The last lines of the recipe's error output, or of the engine's own log when the runner never came up.
    #[serde(skip)]
    pub(crate) tail: Vec<String>,
    /// Whether the log is whole.
    #[serde(skip)]
    pub(crate) log: Option<LogState>,
    /// What the runner counted at the recipe's end, or at its last report.
    #[serde(skip)]
    pub(crate) usage: Option<Usage>,
}

impl Evidence {
    /// Why, where the engine has a name for it.
    pub(crate) fn engine_cause(&self) -> Option<&EngineCause> {
        self.engine.as_ref()?.cause.as_deref()
    }

    /// The facts that aren't fields of an outcome, as `engine.exit_code` and so on. What isn't known isn't there.
    pub(crate) fn facts(&self) -> BTreeMap<String, Value> {
        let mut facts = BTreeMap::new();
        if let Ok(Value::Object(fields)) = serde_json::to_value(self) {
            for (key, value) in fields {
                flatten(key, value, &mut facts);
            }
        }
        facts
    }
}

fn flatten(key: String, value: Value, facts: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(format!("{key}.{name}"), value, facts);
            }
        }
        value => {
            facts.insert(key, value);
        }
    }
}

#[cfg(test)]
impl From<&wharf_model::Outcome> for Evidence {
    /// What an outcome was concluded from.
    fn from(outcome: &wharf_model::Outcome) -> Self {
        let mut fields = serde_json::Map::new();
        for (key, value) in &outcome.evidence {
            let mut folder = &mut fields;
            let mut names = key.split('.').collect::<Vec<_>>();
            let last = names.pop().unwrap_or_default();
            for name in names {
                let inner = folder.entry(name).or_insert_with(|| Value::Object(serde_json::Map::new()));
                folder = inner.as_object_mut().expect("a fact isn't a group of facts, too");
            }
            folder.insert(last.to_owned(), value.clone());
        }
        let evidence: Self = serde_json::from_value(Value::Object(fields)).expect("facts of an outcome");
        Self {
            tail: outcome.error_tail.clone(),
            // "The engine's own" is concluded.
            log: outcome.log.clone().filter(|log| *log != LogState::Engine),
            usage: outcome.usage.clone(),
            ..evidence
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_flat_names_and_leave_out_what_is_not_known() {
        let evidence = Evidence {
            engine: Some(EngineEnd { exit_code: Some(137), ..EngineEnd::default() }),
            came_up: Some(true),
            interruption: Some(Interruption::Silence { seconds: 9, paused: true }),
            ..Evidence::default()
        };
        let facts = serde_json::to_value(evidence.facts()).unwrap();
        let expected = serde_json::json!({
            "came_up": true, "engine.exit_code": 137, "engine.oom_killed": false,
            "interruption.silence.seconds": 9, "interruption.silence.paused": true
        });
        assert_eq!(facts, expected);
    }
}
