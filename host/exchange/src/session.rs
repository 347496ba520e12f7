use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_model::outcome::LogState;
use wharf_model::protocol::{Advance, RunnerResult, Started, Task, Usage};
use wharf_model::{Binding, BindingKind};

use crate::exchange::Attempts;
use crate::log_file::{LogFile, LogFrames};
use crate::store::{DatasetStore, Token};

/// Requests of one session that move data at the same time. Each has a thread of its own; more wait for their turn.
const DATA_AT_ONCE: usize = 8;
/// Connections of one session: the runner needs one, and one more while it notices that the first is broken.
const CONNECTIONS: usize = 4;

/// One attempt of a run, as the exchange serves it.
pub struct SessionSpec {
    /// The run.
    pub run: String,
    /// The attempt.
    pub attempt: u32,
    /// The hash of the ticket that opens it ([`Ticket::sha256`](crate::Ticket::sha256)).
    pub ticket_sha256: [u8; 32],
    /// What the runner has to do; or why nobody can say that any more, for a runner that is there and hasn't asked yet.
    pub task: Result<Task, String>,
    /// What it may read.
    pub inputs: Vec<Binding>,
    /// What it may write, and read back.
    pub outputs: Vec<Binding>,
    /// The most bytes that it may have staged at once.
    pub output_limit: Option<u64>,
    /// Where the data is.
    pub store: Arc<dyn DatasetStore>,
    /// Where the log is kept.
    pub log: LogFile,
    /// Who wants to know.
    pub sink: Arc<dyn SessionSink>,
}

/// What the runner said.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// It is up and has its task. Comes again when the host was started anew in between.
    Started(Started),
    /// Log frames, in order, each once. They are in the log file already.
    Logs(LogFrames),
    /// What the run uses.
    Usage(Usage),
    /// How far the recipe has come, as it says itself.
    Advanced(Advance),
    /// How the recipe ended. The last one; comes once a session.
    Result(RunnerResult),
}

/// Takes what the runner says.
pub trait SessionSink: Send + Sync {
    /// Called for each event, in order. It must not block: the runner waits for its answer meanwhile.
    fn event(&self, event: SessionEvent);
}

/// The state of one attempt, shared by its handle and its connections.
pub(crate) struct Attempt {
    pub(crate) token: Token,
    pub(crate) ticket_sha256: [u8; 32],
    pub(crate) task: Result<Task, String>,
    inputs: Vec<Binding>,
    outputs: Vec<Binding>,
    pub(crate) store: Arc<dyn DatasetStore>,
    pub(crate) sink: Arc<dyn SessionSink>,
    log: Mutex<LogFile>,
    ended: AtomicBool,
    /// The result came: what is still being written comes too late.
    pub(crate) over: CancellationToken,
    stop: AtomicBool,
    opened: Instant,
    /// Milliseconds after `opened`, plus one; 0 means never.
    heard: AtomicU64,
    pub(crate) data: Arc<Semaphore>,
    /// Requests with log frames at the same time: one of each connection.
    pub(crate) log_requests: Semaphore,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) closed: CancellationToken,
    pub(crate) requests: TaskTracker,
}

impl Attempt {
    pub(crate) fn input(&self, name: &str, kind: BindingKind) -> Option<&Binding> {
        self.inputs.iter().find(|binding| binding.name == name && binding.kind == kind)
    }

    pub(crate) fn output(&self, name: &str, kind: BindingKind) -> Option<&Binding> {
        self.outputs.iter().find(|binding| binding.name == name && binding.kind == kind)
    }

    pub(crate) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// The names that exist, for the sentence about one that doesn't.
    pub(crate) fn names(&self, kind: BindingKind, outputs_only: bool) -> String {
        let inputs = if outputs_only { &[][..] } else { &self.inputs[..] };
        let mut names: Vec<&str> =
            inputs.iter().chain(&self.outputs).filter(|b| b.kind == kind).map(|b| b.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    pub(crate) fn hear(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.heard.store(millis + 1, Ordering::Relaxed);
    }

    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, LogFile> {
        // A panic while appending leaves the file as after a crash, which it is made for.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the result came before; it has come now.
    pub(crate) fn end(&self) -> bool {
        self.over.cancel();
        self.ended.swap(true, Ordering::SeqCst)
    }
}

/// A registered attempt. Its ticket is good until this is closed or dropped.
pub struct Session {
    attempt: Arc<Attempt>,
    attempts: Weak<Attempts>,
}

impl Session {
    pub(crate) fn new(spec: SessionSpec, attempts: &Arc<Attempts>) -> Self {
        let token = Token::new(&spec.run, spec.attempt);
        spec.store.limit(&token, spec.output_limit);
        let attempt = Arc::new(Attempt {
            token,
            ticket_sha256: spec.ticket_sha256,
            task: spec.task,
            inputs: spec.inputs,
            outputs: spec.outputs,
            store: spec.store,
            sink: spec.sink,
            log: Mutex::new(spec.log),
            ended: AtomicBool::new(false),
            over: CancellationToken::new(),
            stop: AtomicBool::new(false),
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            data: Arc::new(Semaphore::new(DATA_AT_ONCE)),
            log_requests: Semaphore::new(CONNECTIONS),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            closed: CancellationToken::new(),
            requests: TaskTracker::new(),
        });
        attempts.insert(Arc::clone(&attempt));
        Self { attempt, attempts: Arc::downgrade(attempts) }
    }

    /// Asks the recipe to end: said in the answer to the next heartbeat.
    pub fn request_stop(&self) {
        self.attempt.stop.store(true, Ordering::Relaxed);
    }

    /// When the runner was last heard of; `None` when it never was.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        let millis = self.attempt.heard.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.attempt.opened + Duration::from_millis(millis))
    }

    /// Whether the log is whole, by what the runner said of it at its end.
    #[must_use]
    pub fn log_state(&self, result: &RunnerResult) -> LogState {
        self.attempt.log().state(result)
    }

    /// Ends the session: its ticket is dead at once, and its requests are cut off. Returns when none is left.
    pub async fn close(self) {
        self.cut();
        self.attempt.requests.close();
        self.attempt.requests.wait().await;
    }

    fn cut(&self) {
        if let Some(attempts) = self.attempts.upgrade() {
            attempts.remove(&self.attempt);
        }
        self.attempt.closed.cancel();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cut();
    }
}
