//! Runs and their events, read back.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};
use wharf_model::Event;

use super::record::{RawSummary, SUMMARY, raw_summary};
use super::{OpenRun, RunSummary, Store, StoreError, parse};

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

    /// The newest runs first, at most `limit`.
    ///
    /// # Errors
    /// The database refused, or one can't be read back.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        let rows = self.rows(
            &format!("SELECT {SUMMARY} FROM runs ORDER BY submitted_at DESC, id DESC LIMIT ?"),
            params![limit],
            raw_summary,
        )?;
        rows.into_iter().map(RawSummary::read).collect()
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
        self.rows("SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 3", [plain], |row| row.get(0))
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
}
