//! Where a run's events go: to the store and to whoever follows, or, for `explain`, into a list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use wharf_model::decision::Question;
use wharf_model::protocol::RunnerResult;
use wharf_model::{Decision, EventKind, Outcome, Phase};

use crate::store::{Store, StoreError};

/// A time in milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The journal of one run.
#[derive(Clone)]
pub(crate) enum Journal {
    /// A run that really happens.
    Stored {
        run: String,
        store: Arc<Store>,
        /// Tells followers that there is something new.
        news: Arc<watch::Sender<u64>>,
    },
    /// A way that is only explained.
    Collected(Arc<Mutex<Vec<Decision>>>),
}

impl Journal {
    /// A journal that only keeps decisions.
    pub(crate) fn collected() -> (Self, Arc<Mutex<Vec<Decision>>>) {
        let decisions = Arc::new(Mutex::new(Vec::new()));
        (Self::Collected(Arc::clone(&decisions)), decisions)
    }

    /// Writes an event down.
    ///
    /// An event that can't be stored is told to the host's log, and the run goes on: only what is synced stops a run.
    pub(crate) fn note(&self, kind: EventKind) {
        match self {
            Self::Stored { run, store, news } => {
                if let Err(error) = store.append(run, store.now(), kind) {
                    tracing::error!(run, error = %crate::conclude::sentence_of(&error), "an event is lost");
                }
                news.send_modify(|count| *count += 1);
            }
            Self::Collected(decisions) => {
                if let EventKind::Decision(decision) = kind {
                    decisions.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
                }
            }
        }
    }

    /// Writes down what a component is about to be asked, so that it can be asked again.
    pub(crate) fn question(&self, step: &str, component: &str, question: impl FnOnce() -> Question) {
        if let Self::Stored { run, store, .. } = self
            && let Err(error) = store.ask(run, step, component, &question())
        {
            tracing::error!(run, error = %crate::conclude::sentence_of(&error), "a question is lost");
        }
    }

    /// Writes the outcome down, synced, as the last event.
    pub(crate) fn end(&self, outcome: &Outcome) -> Result<(), StoreError> {
        if let Self::Stored { run, store, news } = self {
            store.end(run, store.now(), outcome)?;
            news.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Writes down that the runner came up, and says when: a host that is started again goes on counting from there.
    pub(crate) fn up(&self) -> u64 {
        let Self::Stored { run, store, .. } = self else { return 0 };
        let at = store.now();
        if let Err(error) = store.up(run, at) {
            tracing::error!(run, error = %crate::conclude::sentence_of(&error), "when the runner came up is in memory only");
        }
        at
    }

    /// Writes the runner's result down: it says it once.
    ///
    /// One that can't be stored is told to the host's log; this process still has it.
    pub(crate) fn result(&self, result: &RunnerResult) {
        if let Self::Stored { run, store, .. } = self
            && let Err(error) = store.result(run, result)
        {
            tracing::error!(run, error = %crate::conclude::sentence_of(&error), "a result is in memory only");
        }
    }

    /// Tells followers that there are new log lines.
    pub(crate) fn nudge(&self) {
        if let Self::Stored { news, .. } = self {
            news.send_modify(|count| *count += 1);
        }
    }

    /// Notes that a phase begins; the answer notes its end.
    pub(crate) fn phase(&self, phase: Phase) -> PhaseTimer<'_> {
        self.note(EventKind::PhaseStarted { phase });
        PhaseTimer { journal: self, phase, started: Instant::now() }
    }
}

/// A phase that is going on. One that doesn't end well has no end in the record: the outcome says why.
pub(crate) struct PhaseTimer<'a> {
    journal: &'a Journal,
    phase: Phase,
    started: Instant,
}

impl PhaseTimer<'_> {
    /// Notes that the phase ended well.
    pub(crate) fn done(self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.journal.note(EventKind::PhaseEnded { phase: self.phase, millis });
    }
}
