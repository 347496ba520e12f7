//! What can be read of a damaged file: row by row, around what can't.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wharf_model::decision::Question;
use wharf_model::protocol::RunnerResult;
use wharf_model::{Activity, Event, Outcome, Plan};

use super::{LaunchRecord, RunState, Store, StoreError};

/// How often reading begins anew behind a place that can't be read, in one table.
const RESTARTS: u32 = 10_000;
/// More than any row's number, where the last one can't be read.
const BEYOND: i64 = 1 << 40;

/// What could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvaged {
    /// Runs.
    pub runs: u64,
    /// Those of them that hadn't ended.
    pub open: u64,
    /// Events.
    pub events: u64,
}

/// Copies what can be read of a damaged file into a new store. What can't be read back as what it is is left out.
///
/// # Errors
/// The new store refused. A damaged file of which nothing can be read is none.
pub(super) fn salvage(damaged: &Path, into: &Store) -> Result<Salvaged, StoreError> {
    let failed = |source| StoreError::Database { operation: "take over what could be read", source };
    let into = into.connection();
    if let Ok(damaged) = open(damaged) {
        for table in tables(&into).map_err(failed)? {
            let transaction = into.unchecked_transaction().map_err(failed)?;
            copy(&damaged, &transaction, &table).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
    }
    let count = |sql: &str| into.query_row(sql, [], |row| row.get(0)).map_err(failed);
    Ok(Salvaged {
        runs: count("SELECT count(*) FROM runs")?,
        open: count("SELECT count(*) FROM runs WHERE state <> 'ended'")?,
        events: count("SELECT count(*) FROM events")?,
    })
}

fn open(damaged: &Path) -> rusqlite::Result<Connection> {
    // It only reads, so that the file stays as it is for whoever looks at it later.
    let connection = Connection::open_with_flags(damaged, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    // A description of a table that can't be read is no reason not to read the others.
    connection.pragma_update(None, "writable_schema", true)?;
    Ok(connection)
}

/// A table of the new store.
struct Table {
    name: String,
    columns: Vec<String>,
    has_rowid: bool,
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut query = connection.prepare(
        "SELECT list.name, list.wr FROM pragma_table_list AS list JOIN sqlite_schema AS made ON made.name = list.name
         WHERE list.schema = 'main' AND list.type = 'table' AND list.name NOT LIKE 'sqlite_%' ORDER BY made.rowid",
    )?;
    let found = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    found
        .map(|found| {
            let (name, without_rowid) = found?;
            let columns = columns(connection, &name)?;
            Ok(Table { name, columns, has_rowid: without_rowid == 0 })
        })
        .collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
    query.query_map([table], |row| row.get(0))?.collect()
}

/// The reading of one table.
struct Reading<'a> {
    from: &'a Connection,
    into: &'a Connection,
    columns: Vec<String>,
    list: String,
    table: &'a str,
}

/// How far one pass came.
struct Pass {
    /// The first and the last row's number that was read.
    first: Option<i64>,
    last: Option<i64>,
    whole: bool,
}

fn copy(from: &Connection, into: &Connection, table: &Table) -> rusqlite::Result<()> {
    // One that an older version wrote has fewer; those that are left out have defaults.
    let there = columns(from, &table.name).unwrap_or_default();
    let columns: Vec<String> = table.columns.iter().filter(|column| there.contains(column)).cloned().collect();
    if columns.is_empty() {
        return Ok(());
    }
    let list = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let by_run = !table.has_rowid && columns.iter().any(|column| column == "run");
    let reading = Reading { from, into, columns, list, table: &table.name };
    if table.has_rowid {
        reading.by_rowid()
    } else if by_run {
        let runs: Vec<String> =
            into.prepare("SELECT id FROM runs")?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        runs.iter().try_for_each(|run| reading.both_ways("WHERE run = ?", &[Value::Text(run.clone())]))
    } else {
        reading.both_ways("", &[])
    }
}

impl Reading<'_> {
    /// From both ends: between them, what can't be read is left out.
    fn both_ways(&self, which: &str, parameters: &[Value]) -> rusqlite::Result<()> {
        let list = &self.list;
        let numbered = format!("SELECT 0, {list} FROM \"{}\" {which}", self.table);
        if self.pass(&numbered, parameters)?.whole {
            return Ok(());
        }
        let key: Vec<String> = self
            .from
            .prepare("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk")
            .and_then(|mut query| query.query_map([self.table], |row| row.get::<_, String>(0))?.collect())
            .unwrap_or_default();
        if key.is_empty() {
            return Ok(());
        }
        let backwards = key.iter().map(|column| format!("\"{column}\" DESC")).collect::<Vec<_>>().join(", ");
        self.pass(&format!("{numbered} ORDER BY {backwards}"), parameters).map(|_| ())
    }

    /// By the rows' numbers, which lead into the file at any place: over each part that can't be read, and from behind up to it.
    fn by_rowid(&self) -> rusqlite::Result<()> {
        let (list, table) = (&self.list, self.table);
        let up = format!("SELECT rowid, {list} FROM \"{table}\" NOT INDEXED WHERE rowid > ?1 ORDER BY rowid");
        let down = format!("SELECT rowid, {list} FROM \"{table}\" NOT INDEXED WHERE rowid < ?1 ORDER BY rowid DESC");
        // From the end first: that says how far there is something.
        let end = self.pass(&down, &[Value::Integer(i64::MAX)])?;
        if end.whole {
            return Ok(());
        }
        let end = end.last.unwrap_or(BEYOND);
        let (mut read, mut after, mut jump) = (0_i64, 0_i64, 1_i64);
        for _ in 0..RESTARTS {
            let pass = self.pass(&up, &[Value::Integer(after)])?;
            if let Some(first) = pass.first.filter(|_| after > read) {
                // What was jumped over behind the part that can't be read.
                self.pass(&down, &[Value::Integer(first)])?;
            }
            if pass.whole {
                break;
            }
            jump = if pass.last.is_some() { 1 } else { jump.saturating_mul(2) };
            read = pass.last.unwrap_or(read);
            after = pass.last.unwrap_or(after).saturating_add(jump);
            if after >= end {
                break;
            }
        }
        Ok(())
    }

    /// Reads until it can't be read on, and writes down what is sound.
    fn pass(&self, sql: &str, parameters: &[Value]) -> rusqlite::Result<Pass> {
        let mut pass = Pass { first: None, last: None, whole: false };
        let Ok(mut query) = self.from.prepare_cached(sql) else { return Ok(pass) };
        let Ok(mut rows) = query.query(params_from_iter(parameters)) else { return Ok(pass) };
        let places = vec!["?"; self.columns.len()].join(", ");
        let mut insert = self
            .into
            .prepare_cached(&format!("INSERT OR IGNORE INTO \"{}\" ({}) VALUES ({places})", self.table, self.list))?;
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let number = row.get(0).unwrap_or_default();
                    pass.first.get_or_insert(number);
                    pass.last = Some(number);
                    let Some(values) = self.sound(row) else { continue };
                    match insert.execute(params_from_iter(values)) {
                        // Of a run that couldn't be read, or without something that every row has.
                        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
                        done => {
                            done?;
                        }
                    }
                }
                Ok(None) => {
                    pass.whole = true;
                    return Ok(pass);
                }
                Err(_) => return Ok(pass),
            }
        }
    }

    /// The values of a row that is what it should be. What a damaged page holds may look like a row.
    fn sound(&self, row: &Row<'_>) -> Option<Vec<Value>> {
        let values =
            (0..self.columns.len()).map(|at| row.get(at + 1)).collect::<rusqlite::Result<Vec<Value>>>().ok()?;
        let all = self.columns.iter().zip(&values).all(|(column, value)| match (self.table, column.as_str(), value) {
            (_, _, Value::Null) => true,
            ("runs", "activity", Value::Text(text)) => is::<Activity>(text),
            ("runs", "plan", Value::Text(text)) => is::<Plan>(text),
            ("runs", "launch", Value::Text(text)) => is::<LaunchRecord>(text),
            ("runs", "result", Value::Text(text)) => is::<RunnerResult>(text),
            ("runs", "outcome", Value::Text(text)) => is::<Outcome>(text),
            ("runs", "state", Value::Text(text)) => RunState::read(text).as_str() == text,
            ("runs", "id", Value::Text(text)) => {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            ("runs", "submitted_at" | "started_at" | "ended_at", Value::Integer(at)) => *at >= 0,
            ("events", "body", Value::Text(text)) => is::<Event>(text),
            ("questions", "body", Value::Text(text)) => is::<Question>(text),
            ("runs", "activity" | "plan" | "launch" | "result" | "outcome" | "state" | "id", _)
            | ("events" | "questions", "body", _) => false,
            _ => true,
        });
        all.then_some(values)
    }
}

fn is<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}
