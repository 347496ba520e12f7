//! The events of all runs, on their way to the embedder.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wharf_model::Event;

use crate::conclude::sentence_of;
use crate::store::{Store, StoreError};

/// Events that are read from the store at once.
const BATCH: u32 = 256;
/// Whoever writes looks at the clock before it waits for its turn at the store: so many milliseconds at most.
const MARGIN: u64 = 10_000;

/// Takes every event of every run of a host, after it is in the record.
///
/// Nothing is lost when it is slow: what it hasn't taken stays in the record, and costs the host one small entry for each run
/// that has some. Runs don't wait for it. The events of a run come in order, each once; those of several runs in the order in which
/// the oldest of them was recorded, by batches.
///
/// Log lines aren't among them: they are in files, and [`follow`](crate::Access::follow) reads them.
///
/// ```
/// use wharf::model::Event;
///
/// /// Prints every event; one that must not lose any would write it to its database, together with `complete`.
/// struct Printing;
///
/// #[async_trait::async_trait]
/// impl wharf::EventSink for Printing {
///     async fn event(&self, event: Event, _complete: u64) {
///         println!("{} {}", event.run, event.seq);
///     }
/// }
/// let options = wharf::HostOptions { events: Some(std::sync::Arc::new(Printing)), ..Default::default() };
/// ```
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Asked once, when a home is opened: from when on events may be missing, in milliseconds since 1970. What was recorded then or
    /// later comes again, before anything new. `None` begins with what is recorded from now on.
    ///
    /// A sink that keeps the last `complete` that it got, and answers it here, gets every event at least once, whatever was killed when;
    /// it knows those that it has by their run and number.
    fn since(&self) -> Option<u64> {
        None
    }

    /// Takes one event. The next comes when this has returned; one that panics is logged, and goes on with the next.
    ///
    /// All events that were recorded before `complete`, in milliseconds since 1970, were taken before this one.
    ///
    /// A shutdown waits for a moment until all are taken ([`Host::leave`](crate::Host::leave)). Then this future is dropped.
    async fn event(&self, event: Event, complete: u64);
}

impl fmt::Debug for dyn EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}

/// Which runs have events that the sink hasn't taken.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    runs: HashMap<String, Untaken>,
    /// The run with the oldest first.
    turns: VecDeque<String>,
}

#[derive(Clone, Copy, Debug)]
struct Untaken {
    /// The number of the last event that was taken.
    after: u64,
    /// The number of the last one that is in the record.
    last: u64,
    /// When the first one that wasn't taken was recorded.
    since: u64,
}

impl Feed {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event. Called under the lock of the store, so that those of one run come in order.
    pub(crate) fn recorded(&self, event: &Event) {
        let before = Untaken { after: event.seq.saturating_sub(1), last: event.seq, since: event.at };
        self.add(&event.run, before);
    }

    fn add(&self, run: &str, untaken: Untaken) {
        let mut waiting = self.waiting();
        if let Some(known) = waiting.runs.get_mut(run) {
            known.last = known.last.max(untaken.last);
        } else {
            waiting.runs.insert(run.to_owned(), untaken);
            waiting.turns.push_back(run.to_owned());
            self.news.notify_one();
        }
    }

    /// Hands events out until `closing` is cancelled and none is left.
    pub(crate) async fn hand_out(&self, store: &Store, sink: &dyn EventSink, closing: &CancellationToken) {
        loop {
            let turn = self.waiting().turns.pop_front();
            match turn {
                Some(run) => self.hand_out_of(&run, store, sink).await,
                None if closing.is_cancelled() => return,
                None => {
                    let _ = closing.run_until_cancelled(self.news.notified()).await;
                }
            }
        }
    }

    /// One batch of a run.
    async fn hand_out_of(&self, run: &str, store: &Store, sink: &dyn EventSink) {
        let Some(untaken) = self.waiting().runs.get(run).copied() else { return };
        let events = store.events(run, untaken.after, BATCH).unwrap_or_else(|error| {
            tracing::error!(run, error = %sentence_of(&error), "events can't be read for the embedder: they are skipped");
            Vec::new()
        });
        // None at all: they couldn't be read, or their run was removed from the record.
        let (taken, at) = events.last().map_or((untaken.last, untaken.since), |event| (event.seq, event.at));
        // What comes in the meantime is newer.
        let others = self.oldest_of_others(run);
        for event in events {
            let complete = others.min(event.at).saturating_sub(MARGIN);
            let handed = AssertUnwindSafe(sink.event(event, complete)).catch_unwind();
            if handed.await.is_err() {
                tracing::error!(run, "the embedder's event sink panicked");
            }
        }
        let mut waiting = self.waiting();
        match waiting.runs.get_mut(run) {
            Some(known) if known.last > taken => {
                known.after = taken;
                known.since = at;
                waiting.turns.push_back(run.to_owned());
            }
            _ => drop(waiting.runs.remove(run)),
        }
    }

    /// When the oldest event of another run was recorded that wasn't taken.
    fn oldest_of_others(&self, run: &str) -> u64 {
        let waiting = self.waiting();
        waiting.runs.iter().filter(|(other, _)| *other != run).map(|(_, other)| other.since).min().unwrap_or(u64::MAX)
    }

    /// How many runs have events that weren't taken.
    pub(crate) fn left(&self) -> usize {
        self.waiting().runs.len()
    }
}

impl Store {
    /// Hands out again what was recorded at this time or later.
    pub(crate) fn feed_again(&self, feed: &Feed, since: u64) -> Result<(), StoreError> {
        for (run, after, last, since) in self.events_since(since)? {
            feed.add(&run, Untaken { after, last, since });
        }
        Ok(())
    }
}

/// What hands events out for one host.
pub(crate) struct Handing {
    feed: Arc<Feed>,
    closing: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Handing {
    pub(crate) fn begin(feed: Arc<Feed>, store: Arc<Store>, sink: Arc<dyn EventSink>) -> Self {
        let closing = CancellationToken::new();
        let task = tokio::spawn({
            let (feed, closing) = (Arc::clone(&feed), closing.clone());
            async move { feed.hand_out(&store, sink.as_ref(), &closing).await }
        });
        Self { feed, closing, task }
    }

    /// Returns when all is taken, or after this time.
    pub(crate) async fn end(mut self, within: std::time::Duration) {
        self.closing.cancel();
        if tokio::time::timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = (&mut self.task).await;
            tracing::warn!(runs = self.feed.left(), "the embedder's event sink was left before it took all events");
        }
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
