//! What a call did, for whoever tests a component.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The most attempts of a call that are kept.
const MAX_ATTEMPTS: usize = 100;

/// Collects what the calls of an engine's components did; clones share it.
///
/// For tools that show a component to the person who writes it: an engine of a host has none.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    calls: Arc<Mutex<Vec<Observation>>>,
}

impl Observer {
    /// The calls since the last time, in order; those that are made when a component is loaded among them.
    #[must_use]
    pub fn take(&self) -> Vec<Observation> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn push(&self, observation: Observation) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }
}

/// What one call did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// How long it took, its instance included, in microseconds.
    pub micros: u64,
    /// How much memory its instance had at its end, in bytes. It only grows.
    pub memory: u64,
    /// What it wrote to the log.
    pub log: Vec<LogLine>,
    /// The end of what it wrote to its standard output and error.
    pub output: String,
    /// What it used or tried of its surroundings, each once.
    pub attempts: Vec<Attempt>,
}

/// A line in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line.
    pub message: String,
}

/// Something that a component used, or wanted to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What, for a person: `read "teams.json" of its folder`.
    pub what: String,
    /// Why it didn't get it.
    pub refused: Option<String>,
}

impl Observation {
    pub(crate) fn note(&mut self, what: String, refused: Option<String>) {
        let attempt = Attempt { what, refused };
        if self.attempts.len() < MAX_ATTEMPTS && !self.attempts.contains(&attempt) {
            self.attempts.push(attempt);
        }
    }
}
