//! The replies of all calls of a host, in the order in which they came, and how many of each call may still come.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// What [`Queue::next`] found.
pub(crate) enum Next {
    Reply(u64, String),
    Nothing,
    Closed,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    /// Readable while there is something to take.
    bell: OwnedFd,
}

#[derive(Default)]
struct State {
    replies: VecDeque<(u64, String)>,
    calls: HashMap<u64, Call>,
    last: u64,
    closed: bool,
    rung: bool,
}

struct Call {
    demand: Arc<Semaphore>,
    task: Option<AbortHandle>,
}

impl Queue {
    pub(crate) fn new() -> std::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::default(), news: Condvar::new(), bell })
    }

    pub(crate) fn fd(&self) -> i32 {
        self.bell.as_raw_fd()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new call's number, and what its replies wait for.
    pub(crate) fn begin(&self, demand: u32) -> (u64, Arc<Semaphore>) {
        let mut state = self.state();
        state.last += 1;
        let demand = Arc::new(Semaphore::new(demand as usize));
        let number = state.last;
        state.calls.insert(number, Call { demand: Arc::clone(&demand), task: None });
        (number, demand)
    }

    /// Who works on a call. One that is over already is left alone.
    pub(crate) fn works(&self, call: u64, task: AbortHandle) {
        if let Some(call) = self.state().calls.get_mut(&call) {
            call.task = Some(task);
        }
    }

    pub(crate) fn demand(&self, call: u64, more: u32) {
        if let Some(call) = self.state().calls.get(&call) {
            let room = Semaphore::MAX_PERMITS - call.demand.available_permits();
            call.demand.add_permits((more as usize).min(room));
        }
    }

    /// Puts a reply of a call in the queue. False when nobody wants it any more.
    pub(crate) fn put(&self, call: u64, reply: String, last: bool) -> bool {
        let mut state = self.state();
        if state.closed || !state.calls.contains_key(&call) {
            return false;
        }
        if last {
            state.calls.remove(&call);
        }
        state.replies.push_back((call, reply));
        self.ring(&mut state);
        self.news.notify_one();
        true
    }

    /// Ends a call. What it said and nobody took is dropped.
    pub(crate) fn cancel(&self, call: u64) {
        let mut state = self.state();
        if let Some(task) = state.calls.remove(&call).and_then(|call| call.task) {
            task.abort();
        }
        state.replies.retain(|(of, _)| *of != call);
        self.ring(&mut state);
    }

    /// Takes a reply; waits for one at most that long.
    pub(crate) fn next(&self, wait: Option<Duration>) -> Next {
        // A time so far away that it can't be said is for ever.
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut state = self.state();
        loop {
            if let Some((call, reply)) = state.replies.pop_front() {
                self.ring(&mut state);
                return Next::Reply(call, reply);
            }
            if state.closed {
                return Next::Closed;
            }
            state = match until {
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Next::Nothing;
                    }
                    self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// No reply comes any more. Those that are there can be taken.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.calls.clear();
        self.ring(&mut state);
        self.news.notify_all();
    }

    /// Keeps the bell as it should be.
    fn ring(&self, state: &mut State) {
        let should = state.closed || !state.replies.is_empty();
        if should == state.rung {
            return;
        }
        state.rung = should;
        if should {
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        } else {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
    }
}
