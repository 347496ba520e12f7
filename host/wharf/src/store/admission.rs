//! Room under limits: taken and counted in one transaction.

use rusqlite::{Connection, params};
use wharf_model::{Limit, UsageEntry, WhenFull};

use super::{Store, StoreError, json};

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

impl Takes {
    /// What counts under a limit's counter.
    #[must_use]
    pub fn of(&self, counter: &str) -> u64 {
        match counter {
            "cpus" => self.cpus,
            "memory" => self.memory,
            "gpus" => self.gpus,
            _ => 1,
        }
    }

    /// Whether a limit that is reached is a no: it says so, or it would never be otherwise.
    #[must_use]
    pub fn may_not_wait(&self, limit: &Limit) -> bool {
        limit.when_full == WhenFull::Reject || limit.maximum < self.of(&limit.counter)
    }
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

impl Store {
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
            if let Some(full) = full(transaction, run, limits, takes)? {
                return Ok(full);
            }
            transaction
                .prepare_cached(
                    "UPDATE runs SET admitted = 1, cpus = ?, memory = ?, gpus = ?, scopes = ? WHERE id = ?",
                )?
                .execute(params![cpus, memory, gpus, scopes, run])?;
            Ok(Admission::Admitted)
        })
    }

    /// The limit that is reached, if one is; no room is taken.
    ///
    /// # Errors
    /// The database refused.
    pub fn full(&self, run: &str, limits: &[Limit], takes: Takes) -> Result<Option<Admission>, StoreError> {
        full(&self.connection(), run, limits, takes)
            .map_err(|source| StoreError::Database { operation: "look for room", source })
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
}

/// The limit that keeps a run out. One that says no at once goes before one that says wait.
fn full(connection: &Connection, run: &str, limits: &[Limit], takes: Takes) -> rusqlite::Result<Option<Admission>> {
    let mut full = None;
    for limit in limits {
        let mine = takes.of(&limit.counter);
        let sum = match limit.counter.as_str() {
            "cpus" => "coalesce(sum(cpus), 0)",
            "memory" => "coalesce(sum(memory), 0)",
            "gpus" => "coalesce(sum(gpus), 0)",
            _ => "count(*)",
        };
        let used: u64 = connection
            .prepare_cached(&format!(
                "SELECT {sum} FROM runs WHERE admitted = 1 AND id <> ?1
                 AND EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = ?2)"
            ))?
            .query_row(params![run, limit.scope], |row| row.get(0))?;
        if used.saturating_add(mine) > limit.maximum {
            let answer = Admission::Full { limit: limit.clone(), used };
            if takes.may_not_wait(limit) {
                return Ok(Some(answer));
            }
            full.get_or_insert(answer);
        }
    }
    Ok(full)
}
