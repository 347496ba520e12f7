//! A run that is going on in this process.

use std::sync::Arc;

use tokio::sync::watch;

/// The handle of a run that is going on: who wants to stop it, and that there is news.
pub(crate) struct Live {
    stop: watch::Sender<Option<String>>,
    /// Counts up with each event and each batch of log lines.
    pub(crate) news: Arc<watch::Sender<u64>>,
    /// True when nothing of it is left to do.
    done: watch::Sender<bool>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { stop: watch::Sender::new(None), news: Arc::new(watch::Sender::new(0)), done: watch::Sender::new(false) }
    }

    /// Asks it to end. The first who asks is the one who is named.
    pub(crate) fn stop(&self, by: &str) -> bool {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(by.to_owned());
            }
            first
        })
    }

    /// Returns when somebody asked it to end: who.
    pub(crate) async fn stop_requested(&self) -> String {
        let mut stop = self.stop.subscribe();
        // The sender is in `self`, so waiting can't fail; the guard must not live across another wait.
        let by = stop.wait_for(Option::is_some).await.ok().and_then(|by| by.clone());
        match by {
            Some(by) => by,
            None => std::future::pending().await,
        }
    }

    /// Who asked it to end, if somebody did.
    pub(crate) fn stopped_by(&self) -> Option<String> {
        self.stop.borrow().clone()
    }

    pub(crate) fn finish(&self) {
        self.done.send_replace(true);
        self.news.send_modify(|count| *count += 1);
    }

    /// Returns when nothing of it is left to do.
    pub(crate) async fn finished(&self) {
        let mut done = self.done.subscribe();
        let _ = done.wait_for(|done| *done).await;
    }
}
