//! A damaged file: put aside, and a new one begun with what can be read of it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use wharf_model::{EventKind, Phase};

use super::salvage::{Salvaged, salvage};
use super::{Store, StoreError};

/// What SQLite keeps beside a file; first what must not be found beside another one.
const PARTS: [&str; 3] = ["-wal", "-shm", ""];

/// What became of a damaged file. It is kept beside it, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Where the file is now.
    pub file: PathBuf,
    /// What was found.
    pub reason: String,
    /// What could be read of it.
    pub salvaged: Salvaged,
    /// Runs that left a log and of which no record could be read.
    pub lost: Vec<String>,
}

/// What is being done with a damaged file, so that whoever comes after a crash ends it.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    file: PathBuf,
    reason: String,
}

/// A file beside the store: `wharf.db.NAME`.
pub(super) fn beside(file: &Path, name: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".");
    path.push(name);
    path.into()
}

fn part(file: &Path, part: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(part);
    path.into()
}

/// Opens the store. A damaged file is put aside first: what became of it is said.
///
/// # Errors
/// As [`Store::open`]; or the damaged file can't be put aside.
pub fn open_or_put_aside(file: &Path, logs: &Path) -> Result<(Store, Option<Damage>), StoreError> {
    let unfinished = beside(file, "putting-aside");
    let cannot = |source| StoreError::NotPutAside { file: file.to_owned(), source };
    // A process was ended while it did this.
    let intent = match std::fs::read(&unfinished) {
        Ok(bytes) => serde_json::from_slice::<Intent>(&bytes).ok(),
        Err(_) => None,
    };
    let intent = match intent {
        Some(intent) => intent,
        None => match Store::open(file) {
            Err(StoreError::Damaged { reason, .. }) => {
                let date = Utc::now().format("%Y%m%dT%H%M%SZ");
                // Two in one second, or a clock that was set back.
                let mut names = (1..).map(|at| match at {
                    1 => beside(file, &format!("damaged-{date}")),
                    at => beside(file, &format!("damaged-{date}-{at}")),
                });
                let free = names.find(|name| !name.exists() && !beside(name, "json").exists());
                let intent = Intent { file: free.unwrap_or_else(|| beside(file, "damaged")), reason };
                write_whole(&unfinished, &intent).map_err(cannot)?;
                intent
            }
            opened => return Ok((opened?, None)),
        },
    };
    let damage = put_aside(file, &intent, logs)?;
    let store = Store::open(file)?;
    // The last step: whoever comes before it does all of it again.
    std::fs::remove_file(&unfinished).map_err(cannot)?;
    Ok((store, Some(damage)))
}

/// Every step can be done a second time.
fn put_aside(file: &Path, intent: &Intent, logs: &Path) -> Result<Damage, StoreError> {
    let cannot = |source| StoreError::NotPutAside { file: file.to_owned(), source };
    let report = beside(&intent.file, "json");
    if let Some(damage) = read_report(&report) {
        // The new file is in its place.
        return Ok(damage);
    }
    let fresh = beside(file, "new");
    if !intent.file.exists() {
        for name in PARTS {
            let (from, to) = (part(file, name), part(&intent.file, name));
            match std::fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
        }
        sync_folder(file).map_err(cannot)?;
    }
    if !file.exists() {
        for name in PARTS {
            match std::fs::remove_file(part(&fresh, name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
        }
        let store = Store::open(&fresh)?;
        let salvaged = salvage(&intent.file, &store)?;
        let again = "the record store was damaged: this run is gone on with from what could be read of it";
        for run in store.open_runs()? {
            let event = EventKind::Progress { phase: Phase::Run, text: again.to_owned() };
            store.append(&run.summary.run, store.now(), event)?;
        }
        store.close()?;
        File::open(&fresh).and_then(|file| file.sync_all()).map_err(cannot)?;
        // Counted before the new file is in its place, so that no crash loses the count.
        write_whole(&beside(&fresh, "json"), &salvaged).map_err(cannot)?;
        std::fs::rename(&fresh, file).map_err(cannot)?;
        sync_folder(file).map_err(cannot)?;
    }
    let counted = beside(&fresh, "json");
    let salvaged = std::fs::read(&counted).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let store = Store::open(file)?;
    let lost = lost(&store, logs)?;
    store.close()?;
    let damage = Damage {
        file: intent.file.clone(),
        reason: intent.reason.clone(),
        salvaged: salvaged.unwrap_or_default(),
        lost,
    };
    write_whole(&report, &damage).map_err(cannot)?;
    let _ = std::fs::remove_file(counted);
    let _ = std::fs::remove_file(beside(file, "suspect"));
    tracing::error!(
        kept = %damage.file.display(), reason = damage.reason, runs = damage.salvaged.runs, lost = damage.lost.len(),
        "the record store was damaged: it is put aside, and a new one has what could be read of it"
    );
    Ok(damage)
}

/// Runs that have a log and no record.
fn lost(store: &Store, logs: &Path) -> Result<Vec<String>, StoreError> {
    let known: HashSet<String> = store.rows("SELECT id FROM runs", [], |row| row.get(0))?.into_iter().collect();
    let mut lost: Vec<String> = std::fs::read_dir(logs)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|run| !known.contains(run))
        .collect();
    lost.sort_unstable();
    Ok(lost)
}

fn write_whole<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let half = beside(path, "half");
    let mut out = File::create(&half)?;
    out.write_all(&serde_json::to_vec_pretty(value)?)?;
    out.sync_all()?;
    std::fs::rename(half, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn read_report(path: &Path) -> Option<Damage> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The damaged files that are kept beside a store, oldest first.
pub(crate) fn kept(file: &Path) -> Vec<Damage> {
    let Some((folder, name)) = file.parent().zip(file.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let prefix = format!("{name}.damaged");
    let mut reports: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&prefix) && name.ends_with(".json")
        })
        .collect();
    reports.sort_unstable();
    // A report without its file is of one that somebody has looked after.
    reports.iter().filter_map(|path| read_report(path)).filter(|damage| damage.file.exists()).collect()
}

impl Damage {
    /// What happened, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Salvaged { runs, open, events } = self.salvaged;
        let lost = match self.lost.len() {
            0 => String::new(),
            1 => "; of one run that left a log no record could be read".to_owned(),
            many => format!("; of {many} runs that left a log no record could be read"),
        };
        format!(
            "the record store was damaged ({}) and is put aside as {}{}; {runs} runs ({open} of them going on) and {events} events could be \
             read of it and are in the new one{lost}",
            self.reason.trim(),
            self.file.display(),
            self.since().map(|since| format!(" on {since}")).unwrap_or_default(),
        )
    }

    fn since(&self) -> Option<String> {
        let at = std::fs::metadata(beside(&self.file, "json")).ok()?.modified().ok()?;
        Some(DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        format!(
            "check the disk (`dmesg`, `smartctl`); to have all of the history back, stop wharf, put a sound copy in the place of \
             state/wharf.db and remove state/wharf.db-wal; when nothing is missed, remove {}*",
            self.file.display()
        )
    }
}
