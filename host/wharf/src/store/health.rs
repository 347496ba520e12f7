//! Whether the file is sound: looked at for a bounded time when it is opened, and to the end beside the work.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};

use super::{Store, StoreError};

/// How long an opening may wait for the check.
pub(super) const AT_OPEN: Duration = Duration::from_millis(500);
/// How often a check that must end is told so.
const AGAIN: Duration = Duration::from_millis(5);
/// How many faults of a file are told.
const TOLD: u32 = 20;

/// What is known of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All of it was looked at.
    Sound,
    /// Nothing was found so far.
    Looking,
    /// It is damaged: what was found.
    Damaged(String),
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound,
    /// There was no time for all of it.
    Unfinished,
    Damaged(String),
}

/// Whether SQLite's answer means that the file isn't what it should be.
pub(super) fn means_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// A file beside the store: whoever met damage while it worked leaves it, and the next one who opens the store looks at all of it.
fn suspicion(file: &Path) -> PathBuf {
    super::damage::beside(file, "suspect")
}

/// Leaves word that the file is damaged.
pub(super) fn suspect(file: &Path) {
    let left = std::fs::write(suspicion(file), "damage was met: the next opening looks at the whole record store\n");
    if let Err(error) = left {
        tracing::warn!(%error, "the record store is damaged, and the next opening can't be told");
    }
}

/// Checks the file for so long, unless somebody met damage: then all of it is looked at.
pub(super) fn at_open(connection: &Connection, file: &Path, budget: Duration) -> rusqlite::Result<Verdict> {
    let suspicion = suspicion(file);
    let suspected = suspicion.exists();
    let verdict = within(connection, if suspected { Duration::MAX } else { budget })?;
    if suspected && verdict == Verdict::Sound {
        let _ = std::fs::remove_file(suspicion);
    }
    Ok(verdict)
}

/// The quick check, ended when its time is over.
fn within(connection: &Connection, budget: Duration) -> rusqlite::Result<Verdict> {
    let interrupt = connection.get_interrupt_handle();
    let until = Instant::now().checked_add(budget);
    let (done, ended) = channel::<()>();
    std::thread::scope(|scope| {
        // Joined before this returns: a late interruption would hit whatever the connection does next.
        let watchdog = until.map(|_| {
            scope.spawn(move || {
                if ended.recv_timeout(budget) == Err(RecvTimeoutError::Timeout) {
                    interrupt.interrupt();
                }
            })
        });
        let verdict = tables(connection, || until.is_some_and(|until| Instant::now() >= until));
        drop(done);
        if let Some(watchdog) = watchdog {
            let _ = watchdog.join();
        }
        verdict
    })
}

/// Table by table, so that nobody who writes waits for the end of one long reading: the most needed one first.
fn tables(connection: &Connection, over: impl Fn() -> bool) -> rusqlite::Result<Verdict> {
    let names = || -> rusqlite::Result<Vec<String>> {
        let mut query = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name <> 'runs', rootpage")?;
        query.query_map([], |row| row.get(0))?.collect()
    };
    let outcome = names().and_then(|names| {
        for name in names {
            if over() {
                return Ok(Verdict::Unfinished);
            }
            let said: String =
                connection.query_row(&format!("PRAGMA quick_check(\"{}\")", name.replace('"', "\"\"")), [], |row| {
                    row.get(0)
                })?;
            if said != "ok" {
                // It tells many, below a title of stars.
                let first = said.lines().find(|line| !line.starts_with("***")).unwrap_or(&said);
                return Ok(Verdict::Damaged(format!("table {name}: {first}")));
            }
        }
        Ok(Verdict::Sound)
    });
    match outcome {
        Err(error) if means_damage(&error) => Ok(Verdict::Damaged(error.to_string())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(Verdict::Unfinished),
        outcome => outcome,
    }
}

/// A check that goes on beside the work.
#[derive(Debug)]
pub(super) struct Checker {
    health: Arc<Mutex<Health>>,
    stop: Arc<AtomicBool>,
    work: Option<(InterruptHandleOf, JoinHandle<()>)>,
}

/// An interrupt handle, which has no `Debug` of its own.
struct InterruptHandleOf(InterruptHandle);

impl std::fmt::Debug for InterruptHandleOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InterruptHandle")
    }
}

impl Checker {
    /// Begins where the opening found no time to end.
    pub(super) fn begin(file: &Path, verdict: &Verdict) -> Self {
        let first = if *verdict == Verdict::Unfinished { Health::Looking } else { Health::Sound };
        let mut checker = Self { health: Arc::new(Mutex::new(first)), stop: Arc::default(), work: None };
        if *verdict == Verdict::Unfinished {
            match checker.start(file) {
                Ok(work) => checker.work = Some(work),
                Err(error) => tracing::warn!(%error, "only a part of the record store was checked"),
            }
        }
        checker
    }

    fn start(&self, file: &Path) -> Result<(InterruptHandleOf, JoinHandle<()>), Box<dyn std::error::Error>> {
        // A connection of its own: nobody who writes waits for it.
        let connection = reader(file)?;
        let interrupt = connection.get_interrupt_handle();
        let (health, stop, file) = (Arc::clone(&self.health), Arc::clone(&self.stop), file.to_owned());
        let look = move || {
            let now = match tables(&connection, || stop.load(Ordering::Relaxed)) {
                Ok(Verdict::Sound) => Health::Sound,
                Ok(Verdict::Unfinished) => return,
                Ok(Verdict::Damaged(reason)) => {
                    suspect(&file);
                    tracing::error!(
                        file = %file.display(), reason,
                        "the record store is damaged: end this process soon; the next one that opens the home puts the file aside"
                    );
                    Health::Damaged(reason)
                }
                Err(error) => return tracing::warn!(%error, "only a part of the record store was checked"),
            };
            *health.lock().unwrap_or_else(PoisonError::into_inner) = now;
        };
        let thread = std::thread::Builder::new().name("wharf-store-check".to_owned()).spawn(look)?;
        Ok((InterruptHandleOf(interrupt), thread))
    }

    pub(super) fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it where it stands.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((interrupt, thread)) = self.work.take() {
            // One that comes between two statements is lost, so it is said until it was heard.
            while !thread.is_finished() {
                interrupt.0.interrupt();
                std::thread::sleep(AGAIN);
            }
            let _ = thread.join();
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A connection that only reads.
fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

impl Store {
    /// What is known of the file so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.checker().health()
    }

    /// Ends the check that goes on beside the work, if there is one.
    pub(crate) fn stop_checking(&self) {
        self.checker().stop();
    }

    /// Looks at every page, every index and every reference. Returns what is wrong. Takes as long as the file is large, and nobody who
    /// writes waits for it.
    ///
    /// # Errors
    /// The file can't be opened, or SQLite ended the check for another reason than damage.
    pub fn check_all(&self) -> Result<Vec<String>, StoreError> {
        let failed = |source| StoreError::Database { operation: "be checked", source };
        let connection = reader(&self.file).map_err(failed)?;
        let look = || -> rusqlite::Result<Vec<String>> {
            let mut found: Vec<String> = connection
                .prepare(&format!("PRAGMA integrity_check({TOLD})"))?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            found.retain(|line| line != "ok");
            let orphans: u64 =
                connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
            if orphans > 0 {
                found.push(format!("{orphans} rows belong to runs that aren't there"));
            }
            Ok(found)
        };
        match look() {
            Err(error) if means_damage(&error) => {
                suspect(&self.file);
                Ok(vec![error.to_string()])
            }
            Ok(found) => {
                if !found.is_empty() {
                    suspect(&self.file);
                }
                Ok(found)
            }
            Err(error) => Err(failed(error)),
        }
    }
}
