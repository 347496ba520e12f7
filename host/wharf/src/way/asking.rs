//! A run that waits for its engine: what the engine waits for becomes events, and a stop that is asked for is heard.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use wharf_model::launch::Caller;
use wharf_model::{EventKind, Phase};

use super::Way;
use crate::live::Live;

/// Whoever waits, in one phase of a run.
pub(crate) struct Asking<'a> {
    pub(crate) way: &'a Way,
    pub(crate) phase: Phase,
    pub(crate) live: &'a Live,
    held: AtomicBool,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(way: &'a Way, phase: Phase, live: &'a Live) -> Self {
        Self { way, phase, live, held: AtomicBool::new(false) }
    }

    /// Whether the engine keeps the run back because somebody else wants so.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Caller for Asking<'_> {
    fn notice(&self, text: String) {
        self.way.journal.note(EventKind::Progress { phase: self.phase, text });
    }

    async fn given_up(&self) {
        self.live.stop_requested().await;
    }

    fn held(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }
}
