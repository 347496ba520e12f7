//! Runs that wait for room under limits: whose turn it is, and where in the queue the others are.
//!
//! There is one order for all: by priority, then fair between users, then by age. Whoever is kept back by a limit keeps back
//! everybody behind who counts in the same scope, so that a large run isn't passed for ever by small ones; runs that don't count in it
//! go on.

mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wharf_model::Limit;

use crate::store::{Admission, Store, StoreError, Takes};

pub(crate) use turns::Turns;

/// Positions up to this one are told one by one; farther away, when half of the way is done.
const NEAR: usize = 10;

/// What a run that waits is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It isn't known yet.
    Nothing,
    /// There is room, and it is taken.
    Admitted,
    /// There is no room, and it isn't to wait.
    Refused(Limit, u64),
    /// Which limit is reached, what is in use, and its place in the queue, from 1.
    Waits(Limit, u64, usize),
    /// The store failed.
    Failed(String),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) run: String,
    pub(crate) user: String,
    pub(crate) priority: i32,
    pub(crate) limits: Vec<Limit>,
    pub(crate) takes: Takes,
}

struct Waiter {
    wish: Wish,
    tell: watch::Sender<Told>,
    told: Option<usize>,
}

/// The queue of a home.
pub(crate) struct Queue {
    store: Arc<Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the order in which they came.
    waiters: std::collections::BTreeMap<u64, Waiter>,
    came: u64,
}

/// A place in the queue, given up with this.
pub(crate) struct Place {
    queue: Arc<Queue>,
    number: u64,
    pub(crate) told: watch::Receiver<Told>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.queue.state().waiters.remove(&self.number).is_some() {
            self.queue.advance();
        }
    }
}

impl Queue {
    pub(crate) fn new(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { store, state: Mutex::default() })
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state().waiters.len()
    }

    /// Takes a place, and tells by it what comes of that: at once, if there is room.
    pub(crate) fn enter(self: &Arc<Self>, wish: Wish) -> Place {
        let (tell, told) = watch::channel(Told::Nothing);
        let number = {
            let mut state = self.state();
            state.came += 1;
            let number = state.came;
            state.waiters.insert(number, Waiter { wish, tell, told: None });
            number
        };
        self.advance();
        Place { queue: Arc::clone(self), number, told }
    }

    /// Lets in whoever there is room for now, in their order.
    pub(crate) fn advance(&self) {
        let mut state = self.state();
        if state.waiters.is_empty() {
            return;
        }
        let shares = match self.shares() {
            Ok(shares) => shares,
            Err(error) => return fail(&mut state, &error),
        };
        // By scope, what is in use there.
        let mut full: HashMap<String, u64> = HashMap::new();
        let mut place = 0;
        for number in order(&state, &shares) {
            let Some(waiter) = state.waiters.get_mut(&number) else { continue };
            let answer = self.ask(&waiter.wish, &full);
            let told = match answer {
                Ok(Admission::Admitted) => Told::Admitted,
                Ok(Admission::Full { limit, used }) => {
                    if waiter.wish.takes.may_not_wait(&limit) {
                        Told::Refused(limit, used)
                    } else {
                        place += 1;
                        full.entry(limit.scope.clone()).or_insert(used);
                        if !waiter.is_news(place) {
                            continue;
                        }
                        Told::Waits(limit, used, place)
                    }
                }
                Err(error) => Told::Failed(crate::conclude::sentence_of(&error)),
            };
            let ends = !matches!(told, Told::Waits(..));
            waiter.tell.send_replace(told);
            if ends {
                state.waiters.remove(&number);
            }
        }
    }

    /// Takes room for a run, unless somebody before it waits in a scope that it counts in. What may not wait for room hears so
    /// all the same.
    fn ask(&self, wish: &Wish, full: &HashMap<String, u64>) -> Result<Admission, StoreError> {
        let Wish { run, limits, takes, .. } = wish;
        let behind = limits.iter().find_map(|limit| Some((limit, *full.get(&limit.scope)?)));
        let Some((limit, used)) = behind else { return self.store.admit(run, limits, *takes) };
        if limits.iter().any(|limit| takes.may_not_wait(limit)) {
            match self.store.full(run, limits, *takes)? {
                Some(Admission::Full { limit, used }) if takes.may_not_wait(&limit) => {
                    return Ok(Admission::Full { limit, used });
                }
                _ => {}
            }
            // Under a limit by which nobody waits, nobody stands in line.
            if takes.may_not_wait(limit) {
                return self.store.admit(run, limits, *takes);
            }
        }
        Ok(Admission::Full { limit: limit.clone(), used })
    }

    /// How many runs of each user have room now.
    fn shares(&self) -> Result<HashMap<String, usize>, StoreError> {
        let mut shares = HashMap::new();
        for entry in self.store.usage()? {
            *shares.entry(entry.user).or_default() += usize::try_from(entry.running).unwrap_or(usize::MAX);
        }
        Ok(shares)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Whether its place in the queue is worth an event.
    fn is_news(&mut self, place: usize) -> bool {
        let is_news = match self.told {
            None => true,
            Some(before) => place != before && (place <= NEAR || place <= before / 2),
        };
        if is_news {
            self.told = Some(place);
        }
        is_news
    }
}

/// The waiters in the order in which they are let in: as if each user's runs came one after the other, after those that the user
/// has already.
fn order(state: &State, shares: &HashMap<String, usize>) -> Vec<u64> {
    let mut next: HashMap<(i32, &str), usize> = HashMap::new();
    let mut keys: Vec<(i32, usize, u64)> = Vec::with_capacity(state.waiters.len());
    for (number, Waiter { wish, .. }) in &state.waiters {
        let share = shares.get(&wish.user).copied().unwrap_or_default();
        let at = next.entry((wish.priority, &wish.user)).or_insert(share);
        keys.push((wish.priority.saturating_neg(), *at, *number));
        *at += 1;
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, _, number)| number).collect()
}

fn fail(state: &mut State, error: &StoreError) {
    for (_, waiter) in std::mem::take(&mut state.waiters) {
        waiter.tell.send_replace(Told::Failed(crate::conclude::sentence_of(error)));
    }
}

#[cfg(test)]
mod tests;
