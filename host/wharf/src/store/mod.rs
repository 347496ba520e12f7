//! The record store: every run, decision and event, in SQLite.
//!
//! Two writes of a run are synced to disk before anything depends on them: the one before its container is created and
//! the one with its outcome. All others are written at once and may be lost with the power, not with the process.

mod admission;
pub(crate) mod damage;
mod error;
mod health;
mod history;
mod keys;
mod record;
mod salvage;
mod sweep;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use wharf_model::protocol::RunnerResult;
use wharf_model::{Activity, Event, EventKind, Outcome, Plan};

pub use admission::{Admission, Takes};
pub use damage::{Damage, open_or_put_aside};
pub use error::StoreError;
pub use health::Health;
use health::{Checker, Verdict, means_damage};
pub use history::{HistoryPlace, RunFilter};
pub use keys::Key;
pub use record::{LaunchRecord, OpenRun, RunState, RunSummary};
pub use salvage::Salvaged;
use tables::{MIGRATIONS, VERSION};

use crate::clock::{Clock, SystemClock};
use crate::feed::Feed;

/// How large the write-ahead log stays, in bytes.
const WAL_SIZE: i64 = 16 << 20;

/// The record store of one home.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    file: PathBuf,
    checker: Mutex<Checker>,
    clock: Arc<dyn Clock>,
    feed: Option<Arc<Feed>>,
}

impl Store {
    /// Opens the store, makes its tables when it is new, and checks that it is sound: for half a second. Of a file that is too large
    /// for that the rest is checked beside the work; see [`health`](Self::health).
    ///
    /// # Errors
    /// The file is damaged, newer than this library, or can't be opened.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_checking(file, health::AT_OPEN)
    }

    fn open_checking(file: &Path, budget: Duration) -> Result<Self, StoreError> {
        let failed = |operation| move |source| StoreError::Database { operation, source };
        let damaged = |source: rusqlite::Error| {
            if means_damage(&source) {
                StoreError::Damaged { file: file.to_owned(), reason: source.to_string() }
            } else {
                StoreError::Database { operation: "open", source }
            }
        };
        let mut connection = Connection::open(file).map_err(damaged)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed("open"))?;
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(damaged)?;
        if pages == 0 {
            // Only of a file without any table at no cost.
            sweep::gives_back(&connection).map_err(failed("open"))?;
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
        // After much was written at once, the log goes back to this size.
        connection.pragma_update(None, "journal_size_limit", WAL_SIZE).map_err(failed("open"))?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed("open"))?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed("open"))?;
        let verdict = health::at_open(&connection, file, budget).map_err(damaged)?;
        if let Verdict::Damaged(reason) = verdict {
            return Err(StoreError::Damaged { file: file.to_owned(), reason });
        }
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(damaged)?;
        if version > VERSION {
            return Err(StoreError::TooNew { file: file.to_owned(), found: version });
        }
        let missing = MIGRATIONS.get(usize::try_from(version).unwrap_or_default()..).unwrap_or_default();
        if !missing.is_empty() {
            let transaction = connection.transaction().map_err(failed("make its tables"))?;
            for tables in missing {
                transaction.execute_batch(tables).map_err(failed("make its tables"))?;
            }
            transaction.pragma_update(None, "user_version", VERSION).map_err(failed("make its tables"))?;
            transaction.commit().map_err(failed("make its tables"))?;
        }
        if let Err(error) = sweep::gives_back(&connection) {
            tracing::warn!(%error, "the record store keeps the room of what it forgets: see whether the disk has room for a copy of it");
        }
        let checker = Mutex::new(Checker::begin(file, &verdict));
        Ok(Self {
            connection: Mutex::new(connection),
            file: file.to_owned(),
            checker,
            clock: Arc::new(SystemClock),
            feed: None,
        })
    }

    /// Closes it, and puts all that was written into the one file.
    fn close(self) -> Result<(), StoreError> {
        self.stop_checking();
        let connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, source)| StoreError::Database { operation: "be closed", source })
    }

    fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What SQLite said. Of damage the next opening is told: this one has missed it.
    fn failed(&self, operation: &'static str, source: rusqlite::Error) -> StoreError {
        if means_damage(&source) {
            health::suspect(&self.file);
        }
        StoreError::Database { operation, source }
    }

    /// The same store by another clock, which tells of each event that it records.
    pub(crate) fn by(self, clock: Arc<dyn Clock>, feed: Option<Arc<Feed>>) -> Self {
        Self { clock, feed, ..self }
    }

    /// The time of what is recorded now: milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        crate::journal::millis(self.clock.now())
    }

    /// Tells of an event, in the transaction that records it: whoever hears of it and reads waits for that one's end.
    fn tell(&self, event: &Event) {
        if let Some(feed) = &self.feed {
            feed.recorded(event);
        }
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held leaves SQLite's own state sound: transactions roll back when dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one transaction; `synced` waits for the disk.
    pub(crate) fn write<T>(
        &self,
        operation: &'static str,
        synced: bool,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let run = |connection: &mut Connection| {
            if synced {
                connection.pragma_update(None, "synchronous", "FULL")?;
            }
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        let result = run(&mut connection);
        if synced {
            // Only makes later writes slower if it fails.
            let _ = connection.pragma_update(None, "synchronous", "NORMAL");
        }
        drop(connection);
        result.map_err(|source| self.failed(operation, source))
    }

    /// Records a new run and its first event.
    ///
    /// # Errors
    /// The database refused.
    pub fn begin(&self, run: &str, at: u64, activity: &Activity, configuration: &str) -> Result<Event, StoreError> {
        let (event, _) = self.begin_once(run, at, activity, configuration, None)?;
        Ok(event)
    }

    /// The same, under a key that its user may give once: false when it was given before, and nothing is recorded.
    ///
    /// # Errors
    /// The database refused.
    pub fn begin_once(
        &self,
        run: &str,
        at: u64,
        activity: &Activity,
        configuration: &str,
        key: Option<&Key>,
    ) -> Result<(Event, bool), StoreError> {
        let event = Event {
            run: run.to_owned(),
            seq: 1,
            at,
            kind: EventKind::Submitted {
                kind: activity.kind.to_string(),
                user: activity.requester.user.clone(),
                configuration: configuration.to_owned(),
            },
        };
        let body = json("an activity", activity)?;
        let first = json("an event", &event)?;
        let is_new = self.write("record a run", false, |transaction| {
            let user = &activity.requester.user;
            if let Some(key) = key {
                let mut known = transaction.prepare_cached("SELECT 1 FROM keys WHERE user = ? AND key = ?")?;
                if known.exists(params![user, key.text])? {
                    return Ok(false);
                }
            }
            transaction.prepare_cached(
                "INSERT INTO runs (id, submitted_at, user, project, kind, configuration, state, activity) VALUES (?, ?, ?, ?, ?, ?, 'preparing', ?)",
            )?.execute(params![
                run, at, activity.requester.user, activity.project, activity.kind.as_str(), configuration, body
            ])?;
            transaction.prepare_cached("INSERT INTO events (run, seq, at, body) VALUES (?, 1, ?, ?)")?
                .execute(params![run, at, first])?;
            if let Some(key) = key {
                transaction
                    .prepare_cached("INSERT INTO keys (user, key, run, activity) VALUES (?, ?, ?, ?)")?
                    .execute(params![user, key.text, run, key.activity])?;
            }
            self.tell(&event);
            Ok(true)
        })?;
        Ok((event, is_new))
    }

    /// Appends an event to a run, under the next number.
    ///
    /// # Errors
    /// The database refused.
    pub fn append(&self, run: &str, at: u64, kind: EventKind) -> Result<Event, StoreError> {
        let mut event = Event { run: run.to_owned(), seq: 0, at, kind };
        self.write("record an event", false, |transaction| {
            insert_event(transaction, &mut event)?;
            self.tell(&event);
            Ok(())
        })?;
        Ok(event)
    }

    /// Notes how far a run has come.
    ///
    /// # Errors
    /// The database refused.
    pub fn set_state(&self, run: &str, state: RunState) -> Result<(), StoreError> {
        self.write("record a run's state", false, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET state = ? WHERE id = ? AND state <> 'ended'")?
                .execute(params![state.as_str(), run])?;
            Ok(())
        })
    }

    /// Records the plan that all policies accepted.
    ///
    /// # Errors
    /// The database refused.
    pub fn set_plan(&self, run: &str, plan: &Plan) -> Result<(), StoreError> {
        let body = json("a plan", plan)?;
        self.write("record a plan", false, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET plan = ?, configuration = ? WHERE id = ?")?
                .execute(params![body, plan.configuration.name, run])?;
            Ok(())
        })
    }

    /// Records what is about to be created, synced: after this a container may exist.
    ///
    /// # Errors
    /// The database refused: nothing may be created then.
    pub fn launching(&self, run: &str, launch: &LaunchRecord) -> Result<(), StoreError> {
        let body = json("a launch", launch)?;
        self.write("record a launch", true, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET state = 'launching', launch = ?, result = NULL WHERE id = ?")?
                .execute(params![body, run])?;
            Ok(())
        })
    }

    /// Records that the container is there.
    ///
    /// # Errors
    /// The database refused.
    pub fn running(&self, run: &str, launch: &LaunchRecord) -> Result<(), StoreError> {
        let body = json("a launch", launch)?;
        self.write("record a start", false, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET state = 'running', launch = ? WHERE id = ?")?
                .execute(params![body, run])?;
            Ok(())
        })
    }

    /// Records when the runner was first heard of.
    ///
    /// # Errors
    /// The database refused.
    pub fn up(&self, run: &str, at: u64) -> Result<(), StoreError> {
        self.write("record that a runner is up", false, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET started_at = coalesce(started_at, ?) WHERE id = ?")?
                .execute(params![at, run])?;
            Ok(())
        })
    }

    /// Records what the runner said of its recipe's end, before it hears that it was heard.
    ///
    /// # Errors
    /// The database refused.
    pub fn result(&self, run: &str, result: &RunnerResult) -> Result<(), StoreError> {
        let body = json("a result", result)?;
        self.write("record a result", false, |transaction| {
            transaction.prepare_cached("UPDATE runs SET result = ? WHERE id = ?")?.execute(params![body, run])?;
            Ok(())
        })
    }

    /// Records, synced, that the run succeeded and its outputs are about to be put in place.
    ///
    /// # Errors
    /// The database refused: nothing may be put in place then.
    pub fn committing(&self, run: &str, outcome: &Outcome) -> Result<(), StoreError> {
        let body = json("an outcome", outcome)?;
        self.write("record a commit", true, |transaction| {
            transaction
                .prepare_cached("UPDATE runs SET state = 'committing', outcome = ? WHERE id = ?")?
                .execute(params![body, run])?;
            Ok(())
        })
    }

    /// Records the outcome, synced, frees what the run held, and appends the last event.
    ///
    /// `None` when the run has ended already: the first outcome stands.
    ///
    /// # Errors
    /// The database refused.
    pub fn end(&self, run: &str, at: u64, outcome: &Outcome) -> Result<Option<Event>, StoreError> {
        let body = json("an outcome", outcome)?;
        let cause = json("a cause", &outcome.cause)?;
        let mut event = Event { run: run.to_owned(), seq: 0, at, kind: EventKind::Ended(outcome.clone()) };
        self.write("record an outcome", true, |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE runs SET state = 'ended', admitted = 0, ended_at = ?, cause = ?, outcome = ? WHERE id = ? AND state <> 'ended'",
                )?
                .execute(params![at, cause.trim_matches('"'), body, run])?;
            if changed == 0 {
                return Ok(None);
            }
            insert_event(transaction, &mut event)?;
            self.tell(&event);
            Ok(Some(event))
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let run = || connection.prepare_cached(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<Vec<T>>>();
        run().map_err(|source| self.failed("read its records", source))
    }
}

fn insert_event(transaction: &rusqlite::Transaction<'_>, event: &mut Event) -> rusqlite::Result<()> {
    event.seq = transaction
        .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM events WHERE run = ?")?
        .query_row([&event.run], |row| row.get(0))?;
    let body = serde_json::to_string(event).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction
        .prepare_cached("INSERT INTO events (run, seq, at, body) VALUES (?, ?, ?, ?)")?
        .execute(params![event.run, event.seq, event.at, body])?;
    Ok(())
}

fn json<T: Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Unreadable { what: what.to_owned(), source })
}

fn parse<T: serde::de::DeserializeOwned>(run: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Unreadable { what: format!("run {run}"), source })
}
