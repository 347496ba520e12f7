//! Runs and their events, read back.

use std::collections::HashSet;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params, params_from_iter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{Decision, Event, EventKind};

use super::record::{RawSummary, SUMMARY, raw_summary};
use super::{OpenRun, RunState, RunSummary, Store, StoreError, parse};

/// Which runs. Without anything said, all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunFilter {
    /// Only those that a permission check, a policy or a limit said no to.
    pub rejected: bool,
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those under this execution configuration.
    pub configuration: Option<String>,
    /// Only those submitted at this moment or later, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Only those that have come so far.
    pub state: Option<RunState>,
}

/// A place in the history: just before this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPlace {
    submitted_at: u64,
    run: String,
}

impl From<&RunSummary> for HistoryPlace {
    fn from(run: &RunSummary) -> Self {
        Self { submitted_at: run.submitted_at, run: run.run.clone() }
    }
}

impl RunFilter {
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut texts = vec!["1"];
        let mut values = Vec::new();
        if self.rejected {
            texts.push("cause IN ('refused', 'rejected')");
        }
        for (text, value) in [("user = ?", &self.user), ("configuration = ?", &self.configuration)] {
            if let Some(value) = value {
                texts.push(text);
                values.push(Value::Text(value.clone()));
            }
        }
        if let Some(since) = self.since {
            texts.push("submitted_at >= ?");
            values.push(Value::Integer(i64::try_from(since).unwrap_or(i64::MAX)));
        }
        if let Some(state) = self.state {
            texts.push("state = ?");
            values.push(Value::Text(state.as_str().to_owned()));
        }
        (texts.join(" AND "), values)
    }
}

impl Store {
    /// The events of a run after a number, at most `limit`.
    ///
    /// # Errors
    /// The database refused, or one can't be read back.
    pub fn events(&self, run: &str, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let bodies: Vec<String> = self.rows(
            "SELECT body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
            params![run, after, limit],
            |row| row.get(0),
        )?;
        bodies.iter().map(|body| parse(run, body)).collect()
    }

    /// The runs with events that were recorded at a time or later: the number of the event before the first of them, that of the
    /// last one, and when the first of them was recorded. Runs that had ended before are none of them.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn events_since(&self, at: u64) -> Result<Vec<(String, u64, u64, u64)>, StoreError> {
        self.rows(
            "SELECT run, min(seq) - 1, max(seq), min(at) FROM events WHERE at >= ?1 \
             AND run IN (SELECT id FROM runs WHERE ended_at IS NULL OR ended_at >= ?1) GROUP BY run ORDER BY min(at)",
            params![at],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
    }

    /// Who asked first to end a run, if somebody did.
    ///
    /// # Errors
    /// The database refused.
    pub fn stop_requested(&self, run: &str) -> Result<Option<String>, StoreError> {
        let by = self.rows(
            "SELECT json_extract(body, '$.by') FROM events \
             WHERE run = ? AND json_extract(body, '$.event') = 'stop-requested' ORDER BY seq LIMIT 1",
            params![run],
            |row| row.get(0),
        )?;
        Ok(by.into_iter().next())
    }

    /// The newest of these runs first, at most `limit`, from a place on.
    ///
    /// # Errors
    /// The database refused, or one can't be read back.
    pub fn find(
        &self,
        filter: &RunFilter,
        before: Option<&HistoryPlace>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let (mut conditions, mut values) = filter.conditions();
        if let Some(place) = before {
            conditions.push_str(" AND (submitted_at, id) < (?, ?)");
            values.push(Value::Integer(i64::try_from(place.submitted_at).unwrap_or(i64::MAX)));
            values.push(Value::Text(place.run.clone()));
        }
        values.push(Value::Integer(limit.into()));
        let rows = self.rows(
            &format!("SELECT {SUMMARY} FROM runs WHERE {conditions} ORDER BY submitted_at DESC, id DESC LIMIT ?"),
            params_from_iter(values),
            raw_summary,
        )?;
        rows.into_iter().map(RawSummary::read).collect()
    }

    /// How many of these runs there are.
    ///
    /// # Errors
    /// The database refused.
    pub fn count(&self, filter: &RunFilter) -> Result<u64, StoreError> {
        let (conditions, values) = filter.conditions();
        let sql = format!("SELECT count(*) FROM runs WHERE {conditions}");
        Ok(self.rows(&sql, params_from_iter(values), |row| row.get(0))?.into_iter().next().unwrap_or_default())
    }

    /// One run. `None` when there is none of this id.
    ///
    /// # Errors
    /// The database refused, or it can't be read back.
    pub fn run(&self, run: &str) -> Result<Option<RunSummary>, StoreError> {
        let row = self
            .connection()
            .query_row(&format!("SELECT {SUMMARY} FROM runs WHERE id = ?"), [run], raw_summary)
            .optional()
            .map_err(|source| StoreError::Database { operation: "find a run", source })?;
        row.map(RawSummary::read).transpose()
    }

    /// Runs whose id begins so: what a person types.
    ///
    /// # Errors
    /// The database refused.
    pub fn ids_with_prefix(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // Ids are letters and digits, and `~` comes after all of them. A range is looked up, where a pattern would be compared with
        // every run that is remembered.
        let plain: String = prefix.chars().filter(char::is_ascii_alphanumeric).collect();
        self.rows("SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 3", [plain], |row| {
            row.get(0)
        })
    }

    /// The activity and the final plan of a run.
    ///
    /// # Errors
    /// The database refused, or they can't be read back.
    pub fn details(&self, run: &str) -> Result<Option<OpenRun>, StoreError> {
        Ok(self.open_where("id = ?", params![run])?.into_iter().next())
    }

    /// The tickets of runs that may have a container: their hashes.
    ///
    /// # Errors
    /// The database refused.
    pub fn open_tickets(&self) -> Result<HashSet<[u8; 32]>, StoreError> {
        let hashes: Vec<Option<String>> = self.rows(
            "SELECT json_extract(launch, '$.ticket_sha256') FROM runs WHERE state <> 'ended' AND launch IS NOT NULL",
            [],
            |row| row.get(0),
        )?;
        let read = |text: String| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
        };
        Ok(hashes.into_iter().flatten().filter_map(read).collect())
    }

    /// The runs that haven't ended, oldest first.
    ///
    /// # Errors
    /// The database refused, or one can't be read back.
    pub fn open_runs(&self) -> Result<Vec<OpenRun>, StoreError> {
        self.open_where("state <> 'ended'", [])
    }

    /// The `+` keeps SQLite from going through all runs in the order of time, in search of the few that are open.
    fn open_where(&self, condition: &str, parameters: impl rusqlite::Params) -> Result<Vec<OpenRun>, StoreError> {
        type Raw = (RawSummary, String, Option<String>, Option<String>, Option<u64>, Option<String>);
        let rows: Vec<Raw> = self.rows(
            &format!(
                "SELECT {SUMMARY}, activity, plan, launch, started_at, result FROM runs WHERE {condition} ORDER BY +submitted_at, id"
            ),
            parameters,
            |row| Ok((raw_summary(row)?, row.get(9)?, row.get(10)?, row.get(11)?, row.get(12)?, row.get(13)?)),
        )?;
        rows.into_iter()
            .map(|(summary, activity, plan, launch, started_at, result)| {
                let summary = summary.read()?;
                Ok(OpenRun {
                    activity: parse(&summary.run, &activity)?,
                    plan: plan.map(|text| parse(&summary.run, &text)).transpose()?,
                    launch: launch.map(|text| parse(&summary.run, &text)).transpose()?,
                    started_at,
                    result: result.map(|text| parse(&summary.run, &text)).transpose()?,
                    summary,
                })
            })
            .collect()
    }

    /// All that components decided about a run, in order.
    ///
    /// # Errors
    /// The database refused, or it can't be read back.
    pub fn decisions(&self, run: &str) -> Result<Vec<Decision>, StoreError> {
        let bodies: Vec<String> = self.rows(
            "SELECT body FROM events WHERE run = ? AND json_extract(body, '$.event') = 'decision' ORDER BY seq",
            [run],
            |row| row.get(0),
        )?;
        let events = bodies.iter().map(|body| parse::<Event>(run, body));
        let decisions = events.filter_map(|event| match event {
            Ok(Event { kind: EventKind::Decision(decision), .. }) => Some(Ok(decision)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        decisions.collect()
    }
}
