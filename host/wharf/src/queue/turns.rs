//! Turns: so many at once, and fair between users.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// So many turns at once.
pub(crate) struct Turns {
    state: Mutex<State>,
}

/// One user's waiters, by the order in which they came.
type InOrder = BTreeMap<u64, oneshot::Sender<Turn>>;

struct State {
    free: usize,
    /// By priority and user.
    waiting: BTreeMap<Reverse<i32>, HashMap<String, InOrder>>,
    /// When each user who waits had the last turn, as a count.
    last: HashMap<String, u64>,
    count: u64,
}

/// A turn, given back with this.
pub(crate) struct Turn {
    /// None for one that nobody took.
    turns: Option<Arc<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            let mut state = turns.state();
            state.free += 1;
            turns.pass_on(&mut state);
        }
    }
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        let state = State { free: at_once.max(1), waiting: BTreeMap::new(), last: HashMap::new(), count: 0 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Waits for a turn.
    pub(crate) async fn take(self: &Arc<Self>, user: &str, priority: i32) -> Option<Turn> {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.state();
            state.count += 1;
            let number = state.count;
            let users = state.waiting.entry(Reverse(priority)).or_default();
            users.entry(user.to_owned()).or_default().insert(number, give);
            self.pass_on(&mut state);
        }
        // The turns aren't gone while somebody waits for one.
        given.await.ok()
    }

    /// Gives the free turns to those who are next: of the highest priority, of the user who waits longest since the last turn.
    fn pass_on(self: &Arc<Self>, state: &mut State) {
        while state.free > 0 {
            let Some(mut entry) = state.waiting.first_entry() else { break };
            let last = &state.last;
            let next = entry.get().iter().min_by_key(|(user, waiting)| {
                (last.get(*user).copied().unwrap_or_default(), waiting.keys().next().copied())
            });
            let Some(user) = next.map(|(user, _)| user.clone()) else {
                entry.remove();
                continue;
            };
            let waiting = entry.get_mut().get_mut(&user);
            let give = waiting.and_then(|waiting| waiting.pop_first());
            if entry.get().get(&user).is_some_and(BTreeMap::is_empty) {
                entry.get_mut().remove(&user);
            }
            if entry.get().is_empty() {
                entry.remove();
            }
            let Some((_, give)) = give else { continue };
            state.count += 1;
            state.last.insert(user, state.count);
            match give.send(Turn { turns: Some(Arc::clone(self)) }) {
                Ok(()) => state.free -= 1,
                // Whoever waited is gone.
                Err(mut turn) => turn.turns = None,
            }
        }
        if state.waiting.is_empty() {
            state.last.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn users_take_turns_and_priority_goes_first() {
        let turns = Turns::new(1);
        let held = turns.take("ana", 0).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, user, priority) in
            [("a1", "ana", 0), ("a2", "ana", 0), ("a3", "ana", 0), ("b1", "ben", 0), ("c1", "cid", 5)]
        {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _turn = turns.take(user, priority).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["c1", "a1", "b1", "a2", "a3"]);
    }

    #[tokio::test]
    async fn who_leaves_takes_no_turn_along() {
        let turns = Turns::new(2);
        let now = Arc::new(AtomicUsize::new(0));
        let work = |user: &'static str| {
            let (turns, now) = (Arc::clone(&turns), Arc::clone(&now));
            async move {
                let _turn = turns.take(user, 0).await;
                assert!(now.fetch_add(1, Ordering::SeqCst) < 2, "two at once");
                tokio::time::sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, Ordering::SeqCst);
            }
        };
        let tasks: Vec<_> = (0..50).map(|at| tokio::spawn(work(if at % 2 == 0 { "ana" } else { "ben" }))).collect();
        // Some of them leave before their turn.
        tokio::task::yield_now().await;
        tasks.iter().skip(10).step_by(3).for_each(tokio::task::JoinHandle::abort);
        for task in tasks {
            let _ = task.await;
        }
        assert_eq!(turns.state().free, 2);
        assert!(turns.state().waiting.is_empty());
    }
}
