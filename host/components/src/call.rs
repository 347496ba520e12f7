//! One call of a component: a fresh instance within its limits.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, UpdateDeadline};
use wharf_model::{Decision, GroupVotes, Judgement, Mode};

use crate::call_error::{Bounds, CallError, TimeIsUp};
use crate::engine::Engine;
use crate::observation::{Observation, Observer};
use crate::state::State;
use crate::ticker::Running;

/// Which component answered, and how long it took: what a record needs besides the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The component's name: its file's.
    pub component: Arc<str>,
    /// Its own version.
    pub version: Arc<str>,
    /// SHA-256 of its file.
    pub digest: Arc<str>,
    /// SHA-256 of its settings.
    pub settings_digest: Arc<str>,
    /// How long the call took, in microseconds, waiting for its turn included.
    pub micros: u64,
    /// What the answer means for the run that was asked about.
    pub mode: Mode,
    /// For a group: its members' answers.
    pub votes: Option<GroupVotes>,
}

impl Attribution {
    /// What the record says of this call.
    #[must_use]
    pub fn decision(&self, step: &str, judgement: Judgement) -> Decision {
        Decision {
            step: step.to_owned(),
            component: self.component.to_string(),
            version: self.version.to_string(),
            digest: self.digest.to_string(),
            settings_digest: self.settings_digest.to_string(),
            micros: self.micros,
            mode: self.mode,
            votes: self.votes.clone(),
            judgement,
        }
    }
}

/// What a component answered, and which one that was.
#[derive(Clone, Debug)]
pub struct Call<T> {
    /// Which component, and how long it took.
    pub by: Attribution,
    /// The answer.
    pub answer: Result<T, CallError>,
}

impl<T> Call<T> {
    /// What the record says of this call, when the answer itself isn't part of the record: an adapter's job, an image's
    /// recipe.
    #[must_use]
    pub fn decision(&self, step: &str) -> Decision {
        let judgement = match &self.answer {
            Ok(_) => Judgement::Accept { changes: Vec::new(), limits: Vec::new(), warnings: Vec::new() },
            Err(error) => Judgement::Error { message: error.to_string(), ignored: false },
        };
        self.by.decision(step, judgement)
    }
}

/// What a call needs to know of its component.
pub(crate) struct Callee<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) instance: &'a InstancePre<State>,
    pub(crate) bounds: Bounds,
}

/// A fresh instance, whose time is running.
pub(crate) struct Session {
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    bounds: Bounds,
    deadline: Instant,
    started: Instant,
    observer: Option<Observer>,
    _running: Running,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// Waits for its turn, then makes an instance.
    pub(crate) async fn begin(callee: Callee<'_>, state: State) -> Result<Self, CallError> {
        let Callee { engine, instance: pre, bounds } = callee;
        // The semaphore is never closed.
        let permit = Arc::clone(engine.calls()).acquire_owned().await.ok();
        let running = engine.ticker().running();
        let started = Instant::now();
        let deadline = started + bounds.time;
        let observer = engine.observer().cloned();
        let mut store = Store::new(engine.wasmtime(), state);
        if observer.is_some() {
            store.data_mut().seen = Some(Box::default());
        }
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel((bounds.answer_kb as usize) << 10);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if Instant::now() >= deadline {
                return Err(TimeIsUp.into());
            }
            // Tokio's own way to yield: the runtime looks at its timers and sockets before it comes back here.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        match within(deadline, pre.instantiate_async(&mut store)).await {
            Ok(instance) => {
                Ok(Self { store, instance, bounds, deadline, started, observer, _running: running, _permit: permit })
            }
            Err(error) => {
                let failure = CallError::explain(&error, store.data(), bounds);
                observe(observer.as_ref(), store.data_mut(), started);
                Err(failure)
            }
        }
    }

    /// When its time is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Finds words for a failure.
    pub(crate) fn explain(&self, error: &wasmtime::Error) -> CallError {
        CallError::explain(error, self.store.data(), self.bounds)
    }

    /// Ends the call: logs what the component printed, and finds words for a failure.
    pub(crate) fn finish<T>(mut self, answer: wasmtime::Result<T>) -> Result<T, CallError> {
        let state = self.store.data();
        let output = state.output();
        if self.observer.is_none() && !output.trim().is_empty() {
            tracing::debug!(component = &*state.component, "it printed: {}", crate::call_error::cut(output.trim()));
        }
        let answer = answer.map_err(|error| self.explain(&error));
        observe(self.observer.as_ref(), self.store.data_mut(), self.started);
        answer
    }
}

/// Tells whoever wants to know what a call did.
fn observe(observer: Option<&Observer>, state: &mut State, started: Instant) {
    if let (Some(observer), Some(seen)) = (observer, state.seen.take()) {
        observer.push(Observation {
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            memory: state.memory.used as u64,
            output: state.output(),
            ..*seen
        });
    }
}

/// Waits for guest code until its time is over. The guest's own computing is ended by the epoch; this ends its waiting.
pub(crate) async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    tokio::time::timeout_at(deadline.into(), future).await.unwrap_or_else(|_| Err(TimeIsUp.into()))
}
