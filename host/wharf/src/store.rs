//! The record store: every run, decision and event, in SQLite.
//!
//! Two writes of a run are synced to disk before anything depends on them: the one before its container is created and
//! the one with its outcome. All others are written at once and may be lost with the power, not with the process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use wharf_model::configuration::EngineAddress;
use wharf_model::launch::LaunchSpec;
use wharf_model::protocol::RunnerResult;
use wharf_model::{Activity, Event, EventKind, Limit, Outcome, Plan, UsageEntry, WhenFull};

/// The version of the tables that this library writes.
const VERSION: i64 = 5;

/// What makes the tables of each version out of those of the one before.
const MIGRATIONS: [&str; VERSION as usize] = [RUNS, IMAGES, RESULTS, GPUS, crate::questions::TABLE];

const RUNS: &str = "
CREATE TABLE runs (
  id            TEXT PRIMARY KEY,
  submitted_at  INTEGER NOT NULL,              -- milliseconds since 1970
  user          TEXT NOT NULL,
  project       TEXT,
  kind          TEXT NOT NULL,
  configuration TEXT NOT NULL,                 -- the one it ends up under
  state         TEXT NOT NULL,                 -- preparing, queued, launching, running, committing, ended
  activity      TEXT NOT NULL,                 -- JSON
  plan          TEXT,                          -- JSON, after the last change by a policy
  launch        TEXT,                          -- JSON: what a restarted host needs to find it again
  cpus          INTEGER NOT NULL DEFAULT 0,    -- admitted, in billionths
  memory        INTEGER NOT NULL DEFAULT 0,    -- admitted, in bytes
  admitted      INTEGER NOT NULL DEFAULT 0,    -- 1 while it counts against limits
  scopes        TEXT NOT NULL DEFAULT '[]',    -- JSON: the scopes of limits that it counts in
  started_at    INTEGER,                       -- milliseconds since 1970: when its runner came up
  ended_at      INTEGER,
  cause         TEXT,
  outcome       TEXT                           -- JSON; before 'ended' the outcome that awaits its commit
);
CREATE INDEX runs_by_time ON runs (submitted_at);
CREATE INDEX runs_open ON runs (state) WHERE state <> 'ended';
CREATE TABLE events (
  run  TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  seq  INTEGER NOT NULL,
  at   INTEGER NOT NULL,                       -- milliseconds since 1970
  body TEXT NOT NULL,                          -- JSON
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;
";

const IMAGES: &str = "
CREATE TABLE images (
  key        TEXT PRIMARY KEY,                 -- the content key
  kind       TEXT NOT NULL,                    -- bootstrap, base, env, run
  name       TEXT NOT NULL,
  lines      TEXT NOT NULL,                    -- what it is made of
  first_seen INTEGER NOT NULL,                 -- milliseconds since 1970
  last_used  INTEGER NOT NULL
);
CREATE INDEX images_by_name ON images (name, kind, first_seen);
CREATE TABLE pushed (
  repository TEXT NOT NULL,                    -- registry.example.com/data/wharf-run/python-r
  key        TEXT NOT NULL,                    -- the content key
  digest     TEXT NOT NULL,                    -- sha256:...
  PRIMARY KEY (repository, key)
) WITHOUT ROWID;
";

const RESULTS: &str = "
ALTER TABLE runs ADD COLUMN result TEXT;         -- JSON: what the runner of the last launch said of its recipe's end
";

const GPUS: &str = "
ALTER TABLE runs ADD COLUMN gpus INTEGER NOT NULL DEFAULT 0;  -- admitted
";

/// Why the store couldn't do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own error.
    #[error("the record store couldn't {operation}")]
    Database {
        /// What was asked.
        operation: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file isn't a sound database.
    #[error("the record store {} is damaged: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the integrity check said.
        reason: String,
    },
    /// A newer version of the host wrote it.
    #[error("the record store {} was written by a newer version (its tables have version {found}, this one knows {VERSION})", file.display())]
    TooNew {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Something in it can't be read back.
    #[error("the record of {what} can't be read back")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// How much a run takes of what limits count, itself excepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Billionths of a CPU.
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Whole GPUs.
    pub gpus: u64,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Queued => "queued",
            Self::Launching => "launching",
            Self::Running => "running",
            Self::Committing => "committing",
            Self::Ended => "ended",
        }
    }

    fn read(text: &str) -> Self {
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

/// What admission answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room, and it is taken.
    Admitted,
    /// A limit is reached: which, and what is in use.
    Full {
        /// The limit.
        limit: Limit,
        /// What is in use without this run.
        used: u64,
    },
}

/// The record store of one home.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the store, makes its tables when it is new, and checks that it is sound.
    ///
    /// # Errors
    /// The file is damaged, newer than this library, or can't be opened.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let failed = |operation| move |source| StoreError::Database { operation, source };
        let damaged = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged { file: file.to_owned(), reason: source.to_string() }
            }
            _ => StoreError::Database { operation: "open", source },
        };
        let mut connection = Connection::open(file).map_err(damaged)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed("open"))?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed("open"))?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed("open"))?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
        if sound != "ok" {
            return Err(StoreError::Damaged { file: file.to_owned(), reason: sound });
        }
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("read its version"))?;
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
        Ok(Self { connection: Mutex::new(connection) })
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
        result.map_err(|source| StoreError::Database { operation, source })
    }

    /// Records a new run and its first event.
    ///
    /// # Errors
    /// The database refused.
    pub fn begin(&self, run: &str, at: u64, activity: &Activity, configuration: &str) -> Result<Event, StoreError> {
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
        self.write("record a run", false, |transaction| {
            transaction.prepare_cached(
                "INSERT INTO runs (id, submitted_at, user, project, kind, configuration, state, activity) VALUES (?, ?, ?, ?, ?, ?, 'preparing', ?)",
            )?.execute(params![
                run, at, activity.requester.user, activity.project, activity.kind.as_str(), configuration, body
            ])?;
            transaction.prepare_cached("INSERT INTO events (run, seq, at, body) VALUES (?, 1, ?, ?)")?
                .execute(params![run, at, first])?;
            Ok(())
        })?;
        Ok(event)
    }

    /// Appends an event to a run, under the next number.
    ///
    /// # Errors
    /// The database refused.
    pub fn append(&self, run: &str, at: u64, kind: EventKind) -> Result<Event, StoreError> {
        let mut event = Event { run: run.to_owned(), seq: 0, at, kind };
        self.write("record an event", false, |transaction| insert_event(transaction, &mut event))?;
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
            Ok(Some(event))
        })
    }

    /// Takes room for a run under all of these limits at once, or says which is reached: one transaction, so that of a
    /// hundred at once each sees the ones before it.
    ///
    /// # Errors
    /// The database refused.
    pub fn admit(&self, run: &str, limits: &[Limit], takes: Takes) -> Result<Admission, StoreError> {
        let Takes { cpus, memory, gpus } = takes;
        let scopes: Vec<&str> = limits.iter().map(|limit| limit.scope.as_str()).collect();
        let scopes = json("scopes", &scopes)?;
        self.write("admit a run", false, |transaction| {
            // One that says no at once goes before one that says wait.
            let mut full: Option<Admission> = None;
            for limit in limits {
                let (sum, mine) = match limit.counter.as_str() {
                    "cpus" => ("coalesce(sum(cpus), 0)", cpus),
                    "memory" => ("coalesce(sum(memory), 0)", memory),
                    "gpus" => ("coalesce(sum(gpus), 0)", gpus),
                    _ => ("count(*)", 1),
                };
                let used: u64 = transaction
                    .prepare_cached(&format!(
                        "SELECT {sum} FROM runs WHERE admitted = 1 AND id <> ?1
                         AND EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = ?2)"
                    ))?
                    .query_row(params![run, limit.scope], |row| row.get(0))?;
                let alone = limit.maximum < mine;
                if used.saturating_add(mine) > limit.maximum {
                    let answer = Admission::Full { limit: limit.clone(), used };
                    // What doesn't fit into an empty site would wait for ever.
                    if limit.when_full == WhenFull::Reject || alone {
                        return Ok(answer);
                    }
                    full.get_or_insert(answer);
                }
            }
            if let Some(answer) = full {
                return Ok(answer);
            }
            transaction
                .prepare_cached(
                    "UPDATE runs SET admitted = 1, cpus = ?, memory = ?, gpus = ?, scopes = ? WHERE id = ?",
                )?
                .execute(params![cpus, memory, gpus, scopes, run])?;
            Ok(Admission::Admitted)
        })
    }

    /// What is in use by admitted runs: the snapshot that components see.
    ///
    /// # Errors
    /// The database refused.
    pub fn usage(&self) -> Result<Vec<UsageEntry>, StoreError> {
        self.rows(
            "SELECT user, configuration, count(*), sum(cpus), sum(memory) FROM runs WHERE admitted = 1
             GROUP BY user, configuration ORDER BY user, configuration",
            [],
            |row| {
                Ok(UsageEntry {
                    user: row.get(0)?,
                    configuration: row.get(1)?,
                    running: row.get(2)?,
                    cpus: row.get(3)?,
                    memory: row.get(4)?,
                })
            },
        )
    }

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
        // GLOB's own characters can't be part of an id.
        let plain: String = prefix.chars().filter(char::is_ascii_alphanumeric).collect();
        self.rows("SELECT id FROM runs WHERE id GLOB ? LIMIT 3", [format!("{plain}*")], |row| row.get(0))
    }

    /// The activity and the final plan of a run.
    ///
    /// # Errors
    /// The database refused, or they can't be read back.
    pub fn details(&self, run: &str) -> Result<Option<OpenRun>, StoreError> {
        Ok(self.open_where("id = ?", params![run])?.into_iter().next())
    }

    /// The runs that haven't ended, oldest first.
    ///
    /// # Errors
    /// The database refused, or one can't be read back.
    pub fn open_runs(&self) -> Result<Vec<OpenRun>, StoreError> {
        self.open_where("state <> 'ended'", [])
    }

    fn open_where(&self, condition: &str, parameters: impl rusqlite::Params) -> Result<Vec<OpenRun>, StoreError> {
        type Raw = (RawSummary, String, Option<String>, Option<String>, Option<u64>, Option<String>);
        let rows: Vec<Raw> = self.rows(
            &format!(
                "SELECT {SUMMARY}, activity, plan, launch, started_at, result FROM runs WHERE {condition} ORDER BY submitted_at, id"
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

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let run = || connection.prepare_cached(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<Vec<T>>>();
        run().map_err(|source| StoreError::Database { operation: "read its records", source })
    }
}

const SUMMARY: &str = "id, submitted_at, user, project, kind, configuration, state, ended_at, outcome";

struct RawSummary {
    summary: RunSummary,
    outcome: Option<String>,
}

fn raw_summary(row: &Row<'_>) -> rusqlite::Result<RawSummary> {
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
    fn read(self) -> Result<RunSummary, StoreError> {
        let mut summary = self.summary;
        summary.outcome = self.outcome.map(|text| parse(&summary.run, &text)).transpose()?;
        Ok(summary)
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

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::configuration::Security;
    use wharf_model::{ActivityKind, Cause, Identity, Phase};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("wharf.db")).unwrap();
        (dir, store)
    }

    fn activity(user: &str) -> Activity {
        Activity {
            kind: ActivityKind::Python,
            requester: Identity { user: user.to_owned(), groups: Vec::new() },
            project: None,
            code_env: None,
            configuration: None,
            code: Some("pass".to_owned()),
            code_name: None,
            plugin: None,
            recipe: None,
            parameters: serde_json::Map::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            resources: [].into(),
            time_limit: None,
            variables: [].into(),
            secrets: [].into(),
            labels: [].into(),
        }
    }

    fn launch() -> LaunchRecord {
        LaunchRecord {
            spec: LaunchSpec {
                host: "home".to_owned(),
                run: "a".to_owned(),
                attempt: 1,
                image: "sha256:0".to_owned(),
                argv: Vec::new(),
                env: [].into(),
                secret_env: [].into(),
                resources: [].into(),
                security: Security::default(),
                labels: [].into(),
                runtime: None,
                grace_seconds: 1,
                deadline_seconds: None,
                kubernetes: None,
            },
            engine: EngineAddress::Docker(wharf_model::configuration::Daemon::local()),
            ticket_sha256: String::new(),
            container: None,
        }
    }

    fn ended() -> Outcome {
        crate::conclude::outcome(Cause::Succeeded, "the recipe succeeded")
    }

    #[test]
    fn events_count_from_one_without_gaps() {
        let (_dir, store) = store();
        store.begin("a", 1, &activity("ana"), "small").unwrap();
        store.begin("b", 1, &activity("ana"), "small").unwrap();
        for _ in 0..3 {
            store.append("a", 2, EventKind::PhaseStarted { phase: Phase::Image }).unwrap();
        }
        let numbers: Vec<u64> = store.events("a", 0, 10).unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(store.events("a", 3, 10).unwrap().len(), 1);
        assert_eq!(store.events("b", 0, 10).unwrap().len(), 1);
    }

    #[test]
    fn the_first_outcome_stands() {
        let (_dir, store) = store();
        store.begin("a", 1, &activity("ana"), "small").unwrap();
        assert!(store.end("a", 2, &ended()).unwrap().is_some());
        let other = crate::conclude::outcome(Cause::Lost, "too late");
        assert!(store.end("a", 3, &other).unwrap().is_none());
        store.set_state("a", RunState::Running).unwrap();
        let run = store.run("a").unwrap().unwrap();
        assert_eq!((run.state, run.outcome), (RunState::Ended, Some(ended())));
        assert!(store.open_runs().unwrap().is_empty());
    }

    fn takes(memory: u64) -> Takes {
        Takes { memory, ..Takes::default() }
    }

    #[test]
    fn gpus_are_counted_as_the_others_are() {
        let (_dir, store) = store();
        for run in ["a", "b"] {
            store.begin(run, 1, &activity("ana"), "small").unwrap();
        }
        let limits = [Limit {
            scope: "project:FLIGHTS".to_owned(),
            counter: "gpus".to_owned(),
            maximum: 3,
            when_full: WhenFull::Wait,
        }];
        let two = Takes { gpus: 2, ..Takes::default() };
        assert_eq!(store.admit("a", &limits, two).unwrap(), Admission::Admitted);
        assert_eq!(store.admit("b", &limits, two).unwrap(), Admission::Full { limit: limits[0].clone(), used: 2 });
        assert_eq!(store.admit("b", &limits, Takes { gpus: 1, ..two }).unwrap(), Admission::Admitted);
    }

    #[test]
    fn limits_count_over_all_runs_of_a_scope() {
        let (_dir, store) = store();
        let limit = |maximum, when_full| Limit {
            scope: "user:ana".to_owned(),
            counter: "memory".to_owned(),
            maximum,
            when_full,
        };
        for run in ["a", "b", "c"] {
            store.begin(run, 1, &activity("ana"), "small").unwrap();
        }
        let limits = [limit(10, WhenFull::Wait)];
        assert_eq!(store.admit("a", &limits, takes(6)).unwrap(), Admission::Admitted);
        let full = Admission::Full { limit: limits[0].clone(), used: 6 };
        assert_eq!(store.admit("b", &limits, takes(6)).unwrap(), full);
        // Another scope doesn't count.
        assert_eq!(store.admit("c", &[], takes(6)).unwrap(), Admission::Admitted);
        assert_eq!(store.usage().unwrap()[0].running, 2);
        store.end("a", 2, &ended()).unwrap();
        assert_eq!(store.admit("b", &limits, takes(6)).unwrap(), Admission::Admitted);
        // Asked again, a run doesn't stand in its own way.
        assert_eq!(store.admit("b", &limits, takes(10)).unwrap(), Admission::Admitted);
    }

    #[test]
    fn of_two_full_limits_the_one_that_refuses_answers() {
        let (_dir, store) = store();
        for run in ["a", "b"] {
            store.begin(run, 1, &activity("ana"), "small").unwrap();
        }
        let limit = |scope: &str, when_full| Limit {
            scope: scope.to_owned(),
            counter: "running".to_owned(),
            maximum: 1,
            when_full,
        };
        let limits = [limit("waits", WhenFull::Wait), limit("refuses", WhenFull::Reject)];
        assert_eq!(store.admit("a", &limits, takes(0)).unwrap(), Admission::Admitted);
        assert_eq!(store.admit("b", &limits, takes(0)).unwrap(), Admission::Full { limit: limits[1].clone(), used: 1 });
    }

    #[test]
    fn an_open_run_comes_back_whole() {
        let (dir, store) = store();
        store.begin("a", 1, &activity("ana"), "small").unwrap();
        drop(store);
        let store = Store::open(&dir.path().join("wharf.db")).unwrap();
        let open = store.open_runs().unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].activity, activity("ana"));
        assert_eq!(open[0].summary.state, RunState::Preparing);
    }

    #[test]
    fn what_a_runner_said_is_kept_until_the_next_launch() {
        let (dir, store) = store();
        store.begin("a", 1, &activity("ana"), "small").unwrap();
        let said = RunnerResult { exit_code: Some(3), ..RunnerResult::default() };
        store.result("a", &said).unwrap();
        drop(store);
        let store = Store::open(&dir.path().join("wharf.db")).unwrap();
        assert_eq!(store.open_runs().unwrap()[0].result, Some(said));
        store.launching("a", &launch()).unwrap();
        assert_eq!(store.open_runs().unwrap()[0].result, None);
    }

    #[test]
    fn a_file_of_the_first_version_keeps_its_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wharf.db");
        let old = Connection::open(&file).unwrap();
        old.execute_batch(RUNS).unwrap();
        old.execute(
            "INSERT INTO runs (id, submitted_at, user, kind, configuration, state, activity) \
             VALUES ('a', 1, 'ana', 'python', 'small', 'running', ?)",
            [serde_json::to_string(&activity("ana")).unwrap()],
        )
        .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let store = Store::open(&file).unwrap();
        let open = store.open_runs().unwrap();
        assert_eq!((open.len(), open[0].summary.state), (1, RunState::Running));
        assert_eq!(open[0].activity, activity("ana"));
        assert_eq!(store.connection().query_row("PRAGMA user_version", [], |row| row.get(0)), Ok(VERSION));
        assert_eq!(store.connection().query_row("SELECT count(*) FROM images", [], |row| row.get(0)), Ok(0));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wharf.db");
        std::fs::write(&file, vec![b'x'; 8192]).unwrap();
        assert!(matches!(Store::open(&file), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let (dir, store) = store();
        store.connection().pragma_update(None, "user_version", VERSION + 1).unwrap();
        drop(store);
        assert!(matches!(Store::open(&dir.path().join("wharf.db")), Err(StoreError::TooNew { .. })));
    }

    #[test]
    fn a_prefix_is_not_a_pattern() {
        let (_dir, store) = store();
        store.begin("abc", 1, &activity("ana"), "small").unwrap();
        assert_eq!(store.ids_with_prefix("ab").unwrap(), ["abc"]);
        assert!(store.ids_with_prefix("x*").unwrap().is_empty());
        assert_eq!(store.ids_with_prefix("a*c?").unwrap(), Vec::<String>::new());
    }
}
