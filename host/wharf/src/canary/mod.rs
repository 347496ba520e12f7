//! Components with `canary = true`: tried before they come into force, and taken back when they fail too often afterwards.

mod ledger;
mod trial;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_components::{ComponentInfo, ComponentSet, FilePrint, Keeper, LoadFailure, ON_TRIAL, component_path};
use wharf_model::{Decision, Fault, Judgement};

pub(crate) use ledger::{Ledger, Verdict};

use crate::settings::{CanaryRules, Home};
use crate::store::Store;

/// The code of a component that didn't pass its trial, or was taken back.
const HELD_BACK: &str = "component-held-back";

/// The trials of a home that a process owns.
#[derive(Default)]
pub(crate) struct Trials {
    running: Mutex<BTreeMap<PathBuf, FilePrint>>,
    /// Held while a verdict is written down: of two at the same moment one would be lost.
    writing: Mutex<()>,
    /// When which component in force failed, with which settings.
    failures: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Trials {
    /// Begins the trials that this set waits for. They go on beside the runs, which the set of before judges, and whoever waits for
    /// those waits for these.
    pub(crate) fn begin(
        self: &Arc<Self>,
        home: &Home,
        store: &Arc<Store>,
        set: &Arc<ComponentSet>,
        (tasks, leaving): (&TaskTracker, &CancellationToken),
    ) {
        let waiting = set.failures().iter().filter(|failure| failure.fault.code == ON_TRIAL);
        for LoadFailure { file, print, .. } in waiting {
            let print = print.clone().unwrap_or_default();
            if Ledger::read(&home.canary_file()).is_known(file, &print) {
                continue;
            }
            {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                if running.get(file) == Some(&print) {
                    continue;
                }
                running.insert(file.clone(), print.clone());
            }
            let (trials, home, store) = (Arc::clone(self), home.clone(), Arc::clone(store));
            let (set, file) = (Arc::clone(set), file.clone());
            let leaving = leaving.clone();
            tasks.spawn(async move {
                let trial = trial::run(&home, &store, &set, &file, &print);
                let Some(verdict) = leaving.run_until_cancelled(trial).await else { return };
                let writing = trials.writing();
                if let Err(fault) = Ledger::note(&home.canary_file(), &file, &print, verdict) {
                    tracing::error!("what came of the trial of {} can't be kept: {fault}", file.display());
                }
                drop(writing);
                let mut running = trials.running.lock().unwrap_or_else(PoisonError::into_inner);
                if running.get(&file) == Some(&print) {
                    running.remove(&file);
                }
            });
        }
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a component's failures, and takes it back when there were too many.
    pub(crate) fn count(&self, home: &Home, rules: CanaryRules, set: &ComponentSet, decision: &Decision) {
        let Judgement::Error { message, .. } = &decision.judgement else { return };
        let Some(info) = set.components().iter().find(|info| info.name == decision.component && info.canary) else {
            return;
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let times = failures.entry(format!("{} {} {}", info.name, info.digest, info.settings_digest)).or_default();
        times.push_back(Instant::now());
        while times.front().is_some_and(|at| at.elapsed() > rules.window) {
            times.pop_front();
        }
        if times.len() > rules.max_failures as usize {
            let why = format!(
                "it failed {} times within {} s; the last time: {message}",
                times.len(),
                rules.window.as_secs()
            );
            times.clear();
            drop(failures);
            let _writing = self.writing();
            take_back(home, info, &why);
        }
    }
}

/// Puts the version before into a component's place, with the reason beside its file. One that has none before it stays: whatever it
/// forbids would be allowed without it.
fn take_back(home: &Home, info: &ComponentInfo, why: &str) {
    let keeper = Keeper::new(home.kept_components_dir().join(component_path(&info.source)));
    let before = match keeper.go_back() {
        Ok(Some(before)) => before,
        Ok(None) => {
            tracing::error!(component = info.name, "{why}; there is no version before it, so it stays in force");
            return;
        }
        Err(error) => {
            tracing::error!(component = info.name, %error, "{why}; the version before it can't be put back");
            return;
        }
    };
    let reason = format!("{} (sha256:{}) was taken back: {why}", info.version, info.digest);
    tracing::error!(component = info.name, "{reason}; {} is in force again", before.version);
    let print = FilePrint::of(&info.source);
    let noted = Ledger::note(&home.canary_file(), &info.source, &print, Verdict::Held { reason: reason.clone() });
    let text = format!(
        "{reason}.\nIn force again: {} (sha256:{}).\n`wharf component release {}` lets it in once more.\n",
        before.version, before.digest, info.name
    );
    let written = std::fs::write(reason_file(&info.source), text);
    if let Err(problem) = noted.map_err(|fault| fault.to_string()).and(written.map_err(|error| error.to_string())) {
        tracing::error!(component = info.name, "the reason can't be kept: {problem}");
    }
}

/// The file beside a component that says why it was taken back.
fn reason_file(file: &Path) -> PathBuf {
    file.with_extension("taken-back.txt")
}

/// What a component's failure to load is, where it was tried: the reason, and what to do.
pub(crate) fn told(ledger: &Ledger, failure: &LoadFailure) -> Fault {
    let held = failure.print.as_ref().filter(|_| failure.fault.code == ON_TRIAL);
    match held.and_then(|print| ledger.held(&failure.file, print)) {
        Some(reason) => {
            let name = failure.file.file_stem().unwrap_or_default().to_string_lossy();
            Fault::new(HELD_BACK, format!("it is held back: {reason}"))
                .at(&failure.file, None)
                .hint(format!("change it, and it is tried again; `wharf component release {name}` lets it in as it is"))
        }
        None => failure.fault.clone(),
    }
}

/// Lets the files of a component in as they are now, whatever came of their trial.
pub(crate) fn release(home: &Home, file: &Path) -> Result<(), Fault> {
    Ledger::note(&home.canary_file(), file, &FilePrint::of(file), Verdict::Cleared { by: "release" })?;
    // What it says isn't so any more.
    let _ = std::fs::remove_file(reason_file(file));
    Ok(())
}

#[cfg(test)]
mod tests;
