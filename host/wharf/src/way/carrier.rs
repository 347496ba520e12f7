//! What carries the exchange where containers can't reach the host: streams that the host opens into a container through the
//! engine, one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use wharf_model::configuration::ExchangeMode;
use wharf_model::launch::Backend;
use wharf_model::protocol::{RUNNER, variables};
use wharf_model::{Outcome, Plan};

use super::Way;
use crate::conclude::sentence_of;

/// The first and the longest pause before the container is dialled again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long the engine may take to start a command in the container.
const ANSWER: Duration = Duration::from_secs(30);

/// Keeps a stream open into one container, until it is dropped.
pub(crate) struct Carrier {
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many tries have ended.
    dialled: u32,
    /// Why the first of them came to nothing, since the last stream.
    failure: Option<String>,
}

impl State {
    /// Notes how a try ended. Returns it in words.
    fn note(&mut self, ended: Result<(), String>) -> String {
        self.dialled = self.dialled.saturating_add(1);
        match ended {
            Ok(()) => {
                self.failure = None;
                "the stream has ended".to_owned()
            }
            Err(reason) => {
                // The first says why; those after the container's end only that it has ended.
                self.failure.get_or_insert_with(|| reason.clone());
                reason
            }
        }
    }
}

impl Carrier {
    /// Begins to dial, if that is how the plan's runner and this host find each other.
    pub(crate) fn start(way: &Way, plan: &Plan, backend: &Arc<dyn Backend>, container: &str) -> Option<Self> {
        if plan.configuration.exchange.mode != ExchangeMode::Attach {
            return None;
        }
        let state = Arc::<Mutex<State>>::default();
        let (host, backend, kept) = (Arc::clone(&way.host), Arc::clone(backend), Arc::clone(&state));
        let (run, container) = (way.run.clone(), container.to_owned());
        let task = tokio::spawn(async move {
            let mut pause = PAUSE.0;
            loop {
                let begun = Instant::now();
                let dialled = backend.dial(&container, &[RUNNER, "attach"], &[variables::TICKET]);
                let ended = match timeout(ANSWER, dialled).await {
                    Ok(Ok(stream)) => host.exchange().serve_stream(stream).await,
                    Ok(Err(error)) => Err(sentence_of(&error)),
                    Err(_) => Err(format!("the engine started no command in it within {} s", ANSWER.as_secs())),
                };
                let reason = kept.lock().unwrap_or_else(PoisonError::into_inner).note(ended);
                tracing::debug!(run, container, reason, "reaching into the container again");
                if begun.elapsed() > PAUSE.1 {
                    pause = PAUSE.0;
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        });
        Some(Self { task, state })
    }

    /// Says in the outcome of a runner that waited for the host in vain what the host tried.
    pub(crate) fn explain(&self, end: &mut Outcome) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = match &state.failure {
            Some(failure) => format!("the host could not reach into it: {failure}"),
            None => "the host reached into it, and nobody answered there".to_owned(),
        };
        end.sentence = format!("{}; {tried}", end.sentence);
        end.advice = Some(
            "the host reaches into containers of this configuration through the engine (`[exchange] mode = \"attach\"`): see whether `docker exec` works there"
                .to_owned(),
        );
        end.evidence.insert("attach.tries".to_owned(), state.dialled.into());
        if let Some(failure) = &state.failure {
            end.evidence.insert("attach.failure".to_owned(), failure.clone().into());
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}
