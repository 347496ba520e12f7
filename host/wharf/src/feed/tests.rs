use super::*;
use std::time::Duration;
use wharf_model::{EventKind, Phase};

use crate::store::tests::{activity, ended, store};

#[derive(Default)]
struct Collected {
    taken: Mutex<Vec<(String, u64, u64)>>,
    since: Option<u64>,
    slow: bool,
}

#[async_trait]
impl EventSink for Collected {
    fn since(&self) -> Option<u64> {
        self.since
    }

    async fn event(&self, event: Event, complete: u64) {
        if self.slow {
            std::future::pending::<()>().await;
        }
        assert!(event.seq != 13, "a sink panics here");
        self.taken.lock().unwrap().push((event.run, event.seq, complete));
    }
}

fn fed() -> (tempfile::TempDir, Arc<Store>, Arc<Feed>) {
    let (folder, store) = store();
    let feed = Arc::new(Feed::default());
    (folder, Arc::new(store.by(Arc::new(crate::SystemClock), Some(Arc::clone(&feed)))), feed)
}

fn noted(store: &Store, run: &str, at: u64) {
    store.append(run, at, EventKind::PhaseStarted { phase: Phase::Image }).unwrap();
}

fn numbers(sink: &Collected, run: &str) -> Vec<u64> {
    sink.taken.lock().unwrap().iter().filter(|(of, ..)| of == run).map(|(_, seq, _)| *seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_event_comes_once_and_in_order() {
    let (_folder, store, feed) = fed();
    let sink = Arc::new(Collected::default());
    let handing = Handing::begin(Arc::clone(&feed), Arc::clone(&store), sink.clone());
    let writers = ["a", "b", "c"].map(|run| {
        let store = Arc::clone(&store);
        tokio::task::spawn_blocking(move || {
            store.begin(run, 1, &activity("ana"), "docker").unwrap();
            // More than a batch.
            (0..400).for_each(|at| noted(&store, run, at));
            store.end(run, 500, &ended()).unwrap();
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    handing.end(Duration::from_secs(20)).await;
    for run in ["a", "b", "c"] {
        // The one at which it panics is told in the log.
        let all: Vec<u64> = (1..=402).filter(|seq| *seq != 13).collect();
        assert_eq!(numbers(&sink, run), all);
    }
    assert_eq!(feed.left(), 0);
}

#[tokio::test]
async fn a_sink_that_is_stuck_costs_an_entry_and_holds_nobody_up() {
    let (_folder, store, feed) = fed();
    let sink = Arc::new(Collected { slow: true, ..Collected::default() });
    let handing = Handing::begin(Arc::clone(&feed), Arc::clone(&store), sink.clone());
    store.begin("a", 1, &activity("ana"), "docker").unwrap();
    (0..300).for_each(|at| noted(&store, "a", at));
    tokio::task::yield_now().await;
    assert_eq!(feed.left(), 1);
    handing.end(Duration::from_millis(20)).await;
    assert_eq!(store.events("a", 0, 1000).unwrap().len(), 301);
}

#[tokio::test]
async fn what_was_not_taken_before_a_crash_comes_again() {
    let (_folder, store, feed) = fed();
    let start = 1_000_000;
    for (run, at) in [("old", start - 500_000), ("half", start - 30_000), ("open", start)] {
        store.begin(run, at, &activity("ana"), "docker").unwrap();
        noted(&store, run, at + 1);
        noted(&store, run, at + 40_000);
    }
    store.end("old", start - 400_000, &ended()).unwrap();
    store.end("half", start + 10_001, &ended()).unwrap();
    // Nobody took those: the process is killed, and the next one has a feed of its own.
    let feed = Arc::new({
        drop(feed);
        Feed::default()
    });
    store.feed_again(&feed, start).unwrap();
    let sink = Arc::new(Collected { since: Some(start), ..Collected::default() });
    let handing = Handing::begin(Arc::clone(&feed), Arc::clone(&store), sink.clone());
    handing.end(Duration::from_secs(5)).await;
    assert_eq!(numbers(&sink, "old"), [] as [u64; 0]);
    assert_eq!(numbers(&sink, "half"), [3, 4]);
    assert_eq!(numbers(&sink, "open"), [1, 2, 3]);
    // While those of `open` waited, nothing later than its first one is called complete.
    let taken = sink.taken.lock().unwrap();
    assert!(taken.iter().all(|(_, _, complete)| *complete <= start + 40_000 - MARGIN));
    assert_eq!(taken[0].2, start - MARGIN);
}
