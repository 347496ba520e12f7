//! Work that many ask for and that is done once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::engine::Progress;
use crate::error::ImageError;

type Outcome = Result<String, ImageError>;
type Work = Shared<BoxFuture<'static, Outcome>>;
type Asked = WeakShared<BoxFuture<'static, Outcome>>;
type Sinks = Arc<Mutex<Vec<Progress>>>;

/// Pulls and builds that are under way, by what they make.
///
/// Whoever asks for one that is under way waits for it and gets its result, a failure too. The work goes on as long as
/// one of those who asked still waits, and is dropped with the last of them.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<String, (Asked, Sinks)>>,
}

impl Flights {
    /// Joins the work of this name, or begins it.
    pub(crate) async fn join<F>(&self, name: &str, progress: &Progress, begin: impl FnOnce(Progress) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let work = self.enter(name, progress, begin);
        let outcome = work.await;
        // Whoever is first here takes it off the list, so that the next one asks again instead of getting an old answer.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(name).is_some_and(|(work, _)| work.upgrade().is_none_or(|work| work.peek().is_some())) {
            under_way.remove(name);
        }
        outcome
    }

    fn enter<F>(&self, name: &str, progress: &Progress, begin: impl FnOnce(Progress) -> F) -> Work
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, (work, _)| work.upgrade().is_some());
        if let Some((work, sinks)) = under_way.get(name)
            && let Some(work) = work.upgrade()
        {
            sinks.lock().unwrap_or_else(PoisonError::into_inner).push(progress.clone());
            return work;
        }
        let sinks: Sinks = Arc::new(Mutex::new(vec![progress.clone()]));
        let all = Arc::clone(&sinks);
        let broadcast: Progress = Arc::new(move |text: String| {
            // Cloned out of the lock: a sink may take its time, or ask for an image itself.
            let sinks = all.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for sink in sinks {
                sink(text.clone());
            }
        });
        let work = begin(broadcast).boxed().shared();
        // It has just been made and not been polled, so it can be downgraded.
        if let Some(weak) = work.downgrade() {
            under_way.insert(name.to_owned(), (weak, sinks));
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn silent() -> Progress {
        Arc::new(|_| {})
    }

    #[tokio::test]
    async fn twenty_who_ask_at_once_share_one_failure() {
        let flights = Arc::new(Flights::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let heard = Arc::new(AtomicUsize::new(0));
        let mut waiters = Vec::new();
        for _ in 0..20 {
            let (flights, begun, heard) = (Arc::clone(&flights), Arc::clone(&begun), Arc::clone(&heard));
            waiters.push(tokio::spawn(async move {
                let sink: Progress = Arc::new(move |_| {
                    heard.fetch_add(1, Ordering::SeqCst);
                });
                flights
                    .join("build", &sink, |progress| async move {
                        begun.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        progress("half".to_owned());
                        Err(ImageError::NoRunner { platform: "x".to_owned() })
                    })
                    .await
            }));
        }
        for waiter in waiters {
            assert!(waiter.await.unwrap().is_err());
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert_eq!(heard.load(Ordering::SeqCst), 20);
        // Later the work is done again.
        let later = flights.join("build", &silent(), |_| async { Ok("id".to_owned()) }).await;
        assert_eq!(later.unwrap(), "id");
    }

    #[tokio::test]
    async fn work_goes_on_for_those_who_stay_and_ends_with_the_last() {
        struct OnDrop(Arc<AtomicUsize>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let flights = Arc::new(Flights::default());
        let dropped = Arc::new(AtomicUsize::new(0));
        let ask = |millis| {
            let (flights, guard) = (Arc::clone(&flights), OnDrop(Arc::clone(&dropped)));
            tokio::spawn(async move {
                flights
                    .join("slow", &silent(), |_| async move {
                        let _guard = guard;
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        Ok("done".to_owned())
                    })
                    .await
            })
        };
        let first = ask(100);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = ask(60_000);
        tokio::time::sleep(Duration::from_millis(20)).await;
        first.abort();
        assert_eq!(second.await.unwrap().unwrap(), "done");

        dropped.store(0, Ordering::SeqCst);
        let only = ask(60_000);
        tokio::time::sleep(Duration::from_millis(20)).await;
        only.abort();
        let _ = only.await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}
