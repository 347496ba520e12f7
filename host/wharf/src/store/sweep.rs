//! The end of records: runs that ended long ago, and the room that they took.

use rusqlite::params;

use super::{Store, StoreError};

/// How many pages are given back to the disk at once.
const PAGES: u32 = 512;

impl Store {
    /// Runs that ended before a time (in milliseconds since 1970), the longest ago first, at most `limit`.
    ///
    /// # Errors
    /// The database refused.
    pub fn ended_before(&self, time: u64, limit: u32) -> Result<Vec<String>, StoreError> {
        self.rows(
            "SELECT id FROM runs WHERE state = 'ended' AND ended_at < ? ORDER BY ended_at LIMIT ?",
            params![time, limit],
            |row| row.get(0),
        )
    }

    /// Whether there is a run of this id that hasn't ended, or only since a time (in milliseconds since 1970).
    ///
    /// # Errors
    /// The database refused.
    pub fn is_recent(&self, run: &str, time: u64) -> Result<bool, StoreError> {
        let found = self.rows(
            "SELECT 1 FROM runs WHERE id = ? AND (state <> 'ended' OR ended_at >= ?)",
            params![run, time],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Whether there is a run of this id that hasn't ended.
    ///
    /// # Errors
    /// The database refused.
    pub fn is_open(&self, run: &str) -> Result<bool, StoreError> {
        self.is_recent(run, u64::MAX >> 1)
    }

    /// Forgets runs with all that is recorded of them, in one transaction. One that hasn't ended stays.
    ///
    /// # Errors
    /// The database refused.
    pub fn forget_runs(&self, runs: &[String]) -> Result<usize, StoreError> {
        self.write("forget runs", false, |transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM runs WHERE id = ? AND state = 'ended'")?;
            runs.iter().try_fold(0, |gone, run| Ok(gone + delete.execute([run])?))
        })
    }

    /// Gives some of the room of forgotten runs back to the disk. False when there is none left to give.
    ///
    /// # Errors
    /// The database refused.
    pub fn give_back(&self) -> Result<bool, StoreError> {
        let connection = self.connection();
        let step = || -> rusqlite::Result<bool> {
            // It gives a page at each step.
            let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
            let free: u64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            Ok(free > 0)
        };
        step().map_err(|source| StoreError::Database { operation: "give room back", source })
    }
}

/// Has free pages given back to the disk. In a file of an earlier version it takes one rewriting of all of it.
pub(super) fn gives_back(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let mode: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    if mode != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
        connection.execute_batch("VACUUM")?;
    }
    Ok(())
}
