//! What a run's runner said so far.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use wharf_exchange::{LogReader, SessionEvent, SessionSink};
use wharf_model::EventKind;
use wharf_model::protocol::frame::FrameRef;
use wharf_model::protocol::{RunnerResult, Stream, Usage};

use crate::journal::Journal;

/// How many of the last lines of the error output an outcome shows.
const TAIL: usize = 12;
/// The longest line that an outcome shows, in characters.
const TAIL_LINE: usize = 400;
/// A runner that reports more often than this fills no record with it.
const BETWEEN_USAGE_EVENTS: Duration = Duration::from_millis(900);

/// A recipe that says more often how far it has come fills no record with it; its last word of all is kept.
const BETWEEN_ADVANCES: Duration = Duration::from_millis(900);
/// How many of its words are kept in a record.
const ADVANCES: usize = 10_000;

/// Takes what the runner of one attempt says.
pub(crate) struct Heard {
    journal: Journal,
    state: Mutex<State>,
    result: Notify,
    /// When the runner was first heard of, in milliseconds since 1970.
    up: watch::Sender<Option<u64>>,
}

#[derive(Default)]
struct State {
    came_up: bool,
    usage: Option<Usage>,
    usage_noted: Option<Instant>,
    advance_noted: Option<Instant>,
    advances: usize,
    tail: VecDeque<String>,
    result: Option<RunnerResult>,
}

impl Heard {
    /// Begins with what an earlier process heard, as far as the record and the log have it: `up` is when the runner came up.
    pub(crate) fn new(journal: Journal, log: &Path, up: Option<u64>, result: Option<RunnerResult>) -> Self {
        let state = State { came_up: up.is_some() || result.is_some(), result, ..State::default() };
        let heard = Self { journal, state: Mutex::new(state), result: Notify::new(), up: watch::Sender::new(up) };
        if let Ok(lines) = LogReader::open(log, 0) {
            let mut state = heard.state();
            for line in lines.map_while(Result::ok) {
                state.came_up = true;
                state.keep(line.as_ref());
            }
        }
        heard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the runner was ever heard of.
    pub(crate) fn came_up(&self) -> bool {
        self.state().came_up
    }

    /// Returns when the runner was first heard of: in milliseconds since 1970, by this host's clock.
    pub(crate) async fn wait_until_up(&self) -> u64 {
        let mut up = self.up.subscribe();
        // The sender is in `self`, so waiting can't fail; the guard must not live across another wait.
        let at = up.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        match at {
            Some(at) => at,
            None => std::future::pending().await,
        }
    }

    /// Notes that the runner is up, if that is news.
    fn is_up(&self) {
        if self.up.borrow().is_none() {
            let at = self.journal.up();
            self.up.send_replace(Some(at));
        }
    }

    /// The runner's result, once it is there.
    pub(crate) fn result(&self) -> Option<RunnerResult> {
        self.state().result.clone()
    }

    /// Returns when the result is there.
    pub(crate) async fn wait_for_result(&self) {
        loop {
            let there = self.result.notified();
            tokio::pin!(there);
            there.as_mut().enable();
            if self.state().result.is_some() {
                return;
            }
            there.await;
        }
    }

    /// The last usage.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.state().usage.clone()
    }

    /// The last lines of the error output.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.state().tail.iter().cloned().collect()
    }
}

impl State {
    fn keep(&mut self, frame: FrameRef<'_>) {
        if frame.stream != Stream::Stderr {
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        // Cut before decoding: a line may have 4 MiB.
        let bytes = frame.bytes.get(..TAIL_LINE * 4).unwrap_or(frame.bytes);
        self.tail.push_back(String::from_utf8_lossy(bytes).chars().take(TAIL_LINE).collect());
    }
}

impl SessionSink for Heard {
    fn event(&self, event: SessionEvent) {
        self.is_up();
        let mut state = self.state();
        state.came_up = true;
        match event {
            SessionEvent::Started(_) => {}
            SessionEvent::Logs(frames) => {
                // Of a million lines, none but the last ones are decoded.
                let errors = frames.iter().filter(|frame| frame.stream == Stream::Stderr);
                let mut last = VecDeque::with_capacity(TAIL);
                for frame in errors {
                    if last.len() == TAIL {
                        last.pop_front();
                    }
                    last.push_back(frame);
                }
                for frame in last {
                    state.keep(frame);
                }
                drop(state);
                self.journal.nudge();
            }
            SessionEvent::Usage(usage) => {
                state.usage = Some(usage.clone());
                let due = state.usage_noted.is_none_or(|noted| noted.elapsed() >= BETWEEN_USAGE_EVENTS);
                if due {
                    state.usage_noted = Some(Instant::now());
                    drop(state);
                    self.journal.note(EventKind::Usage(usage));
                }
            }
            SessionEvent::Advanced(advance) => {
                let whole = advance.total == Some(advance.done);
                let due = whole || state.advance_noted.is_none_or(|noted| noted.elapsed() >= BETWEEN_ADVANCES);
                if due && state.advances < ADVANCES {
                    state.advance_noted = Some(Instant::now());
                    state.advances += 1;
                    drop(state);
                    self.journal.note(EventKind::Advanced(advance));
                }
            }
            SessionEvent::Result(result) => {
                // In the record before the answer: a runner that has its answer ends, and doesn't say it again.
                self.journal.result(&result);
                state.result = Some(result);
                drop(state);
                self.result.notify_waiters();
            }
        }
    }
}
