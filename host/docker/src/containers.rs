//! The life of a container: create, start, wait, stop, read, remove, find again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use wharf_model::launch::{BackendError, EngineEnd, Found, LaunchSpec, Launched};
use wharf_model::{LABEL_ATTEMPT, LABEL_HOST, LABEL_RUN};

use crate::client::{ANSWER, Answer, Client, Failure};
use crate::object::{self, LABEL_SPEC};

/// How long a daemon may be away before a wait gives up: an update, or a cable that somebody plugs in again.
const AWAY: Duration = Duration::from_secs(300);
/// The pause between two tries while it is away.
const TRY: Duration = Duration::from_secs(1);
/// How often a wait asks whether the container still runs: an idle connection can be cut without either end knowing.
const PROBE: Duration = Duration::from_secs(60);
/// How long the daemon may take to send the end of a log.
const LOG: Duration = Duration::from_secs(30);
/// The most lines of a log that are asked for.
const LOG_LINES: usize = 10_000;
/// How long the daemon may take to tell what it noted of a container.
const EVENTS: Duration = Duration::from_secs(3);
/// The most notes of one container that are kept.
const MOST_EVENTS: usize = 16;
/// The exit code of a process that was killed.
const KILLED: i64 = 137;
/// How long a removal that another one began may take.
const REMOVAL: Duration = Duration::from_secs(30);

impl Client {
    pub(crate) async fn launch(&self, spec: &LaunchSpec) -> Result<Launched, BackendError> {
        let name = object::container_name(spec);
        let operation = format!("create the container {name}");
        let body = object::container(spec, false)
            .map_err(|reason| BackendError::Refused { operation: operation.clone(), reason })?;
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let create = |docker: bollard::Docker| {
            let (options, body) = (options.clone(), body.clone());
            async move { docker.create_container(Some(options), body).await }
        };
        let launched = match self.again(create).await {
            Ok(created) => Launched { id: created.id, adopted: false },
            // By an earlier call, or by this one, when its first answer was lost; or created in spite of what was said.
            Err(Failure::Said(code @ (409 | 500..), words)) => {
                let patience = if code == 409 { 10 } else { 1 };
                let (id, started) = self.adopt(spec, &name, words, patience).await?;
                if started {
                    return Ok(Launched { id, adopted: true });
                }
                Launched { id, adopted: true }
            }
            Err(Failure::Said(404, words)) if words.to_ascii_lowercase().contains("no such image") => {
                return Err(BackendError::NoSuchImage { image: spec.image.clone() });
            }
            Err(failure) => return Err(self.backend(&operation, failure)),
        };
        match self.start(&launched.id).await {
            Ok(()) => Ok(launched),
            Err(failure) => {
                if matches!(failure, Failure::Said(..)) {
                    // Nobody will ever learn its id, so it must not stay.
                    let _ = self.remove(&launched.id).await;
                }
                Err(self.backend(&format!("start the container {name}"), failure))
            }
        }
    }

    /// The container that has the name already, if it is the one that we meant: its id, and whether it was started.
    async fn adopt(
        &self,
        spec: &LaunchSpec,
        name: &str,
        words: String,
        patience: u32,
    ) -> Result<(String, bool), BackendError> {
        let operation = format!("create the container {name}");
        let mut tries = 0;
        let found = loop {
            tries += 1;
            match self.inspect(name).await {
                Ok(found) => break found,
                // The name is taken before the container can be seen, and for a moment after it is gone.
                Err(Failure::Said(404, _)) if tries < patience => tokio::time::sleep(TRY).await,
                Err(Failure::Said(404, _)) => return Err(BackendError::Refused { operation, reason: words }),
                Err(failure) => return Err(self.backend(&operation, failure)),
            }
        };
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        let same = labels.and_then(|labels| labels.get(LABEL_SPEC)).is_some_and(|label| *label == object::digest(spec));
        match &found.id {
            Some(id) if same => Ok((id.clone(), was_started(found.state.as_ref()))),
            _ => Err(BackendError::Conflict { object: format!("the container {name}") }),
        }
    }

    /// Starts a container once: a lost or a wrong answer is followed by a look, never by a second start of what ran.
    async fn start(&self, id: &str) -> Answer<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            // The second try isn't made on a kept connection, which may be as dead as the first.
            let docker = if tries == 1 { self.docker().await? } else { self.alone().await? };
            let outcome = docker.start_container(id, None).await;
            let Err(failure) = outcome.map_err(|error| self.failure(error)) else { return Ok(()) };
            if matches!(failure, Failure::Down(_)) {
                return Err(failure);
            }
            let found = self.inspect(id).await?;
            if was_started(found.state.as_ref()) {
                return Ok(());
            }
            if tries == 3 || matches!(failure, Failure::Said(..)) {
                return Err(failure);
            }
        }
    }

    async fn inspect(&self, id: &str) -> Answer<ContainerInspectResponse> {
        self.again(|docker| async move { docker.inspect_container(id, None).await }).await
    }

    pub(crate) async fn wait(&self, id: &str) -> Result<EngineEnd, BackendError> {
        let operation = format!("wait for the container {id}");
        let mut away: Option<Instant> = None;
        let mut waiting = self.exit_code(id).boxed();
        loop {
            let (waited, failure) = match tokio::time::timeout(PROBE, &mut waiting).await {
                // It goes on being waited for by the same request: a new one may cost a login.
                Err(_) => (None, None),
                Ok(answer) => {
                    waiting = self.exit_code(id).boxed();
                    match answer {
                        Ok(exit_code) => (exit_code, None),
                        Err(failure) => (None, Some(failure)),
                    }
                }
            };
            // Whatever the answer was, the container's own state decides.
            match self.inspect(id).await {
                Ok(found) => {
                    away = None;
                    let state = found.state.unwrap_or_default();
                    if !is_running(&state) {
                        let mut end = end(&state, waited);
                        // Only here do the daemon's notes tell more than the state: who killed it.
                        if end.exit_code == Some(KILLED) && !end.oom_killed {
                            end.events = self.events(id).await;
                        }
                        return Ok(end);
                    }
                    if let Some(failure) = failure {
                        tracing::debug!(container = id, ?failure, "it goes on, whatever was said; asking again");
                        tokio::time::sleep(TRY).await;
                    }
                }
                Err(Failure::Said(404, _)) => {
                    return Ok(EngineEnd { exit_code: waited, gone: true, ..EngineEnd::default() });
                }
                Err(failure @ Failure::Said(..500, _)) => return Err(self.backend(&operation, failure)),
                Err(failure) => {
                    if away.get_or_insert_with(Instant::now).elapsed() >= AWAY {
                        return Err(self.backend(&operation, failure));
                    }
                    tracing::debug!(container = id, ?failure, "the daemon is away; asking again");
                    tokio::time::sleep(TRY).await;
                }
            }
        }
    }

    /// Waits with one request: the exit code, or `None` when the answer had none.
    async fn exit_code(&self, id: &str) -> Answer<Option<i64>> {
        // The answer comes when the container has ended.
        let docker = self.docker().await?.with_timeout(Duration::MAX);
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut answers = Box::pin(docker.wait_container(id, Some(options)));
        match answers.next().await {
            None => Ok(None),
            Some(Ok(answer)) => Ok(Some(answer.status_code)),
            // The client library takes every other exit code for an error.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
            Some(Err(error)) => Err(self.failure(error)),
        }
    }

    /// What the daemon noted of a container up to its end: `kill 9`, `oom`, `die`. It keeps the last few hundred notes of
    /// all containers, in memory. Empty when it has none left, or doesn't tell.
    async fn events(&self, id: &str) -> Vec<String> {
        let filters = HashMap::from([("container", vec![id]), ("type", vec!["container"])]);
        // All that it has, whatever its clock says; such an answer goes on, so it is left at the container's end.
        let options = EventsOptionsBuilder::new().since("1").filters(&filters).build();
        let Ok(docker) = self.docker().await else { return Vec::new() };
        let mut notes = Box::pin(docker.events(Some(options)));
        let mut events = Vec::new();
        let read = async {
            while let Some(Ok(note)) = notes.next().await {
                let action = note.action.unwrap_or_default();
                let signal = note.actor.and_then(|actor| actor.attributes?.remove("signal"));
                let last = action == "die";
                if matches!(action.as_str(), "kill" | "oom" | "stop" | "pause" | "unpause" | "die") {
                    events.push(signal.map_or_else(|| action.clone(), |signal| format!("{action} {signal}")));
                }
                if last || events.len() == MOST_EVENTS {
                    break;
                }
            }
        };
        // What has come by then is what there is.
        let _ = tokio::time::timeout(EVENTS, read).await;
        events
    }

    pub(crate) async fn stop(&self, id: &str, grace: Duration) -> Result<(), BackendError> {
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::new().t(i32::try_from(seconds).unwrap_or(i32::MAX)).build();
        let stop = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.stop_container(id, Some(options)).await }
        };
        // The answer comes when the container has ended.
        match self.again_within(ANSWER + grace, stop).await {
            Ok(()) | Err(Failure::Said(304 | 404, _)) => Ok(()),
            Err(failure) => Err(self.backend(&format!("stop the container {id}"), failure)),
        }
    }

    pub(crate) async fn log_tail(&self, id: &str, limit: usize) -> Result<Vec<u8>, BackendError> {
        let say = |failure| self.backend(&format!("show the log of the container {id}"), failure);
        let docker = self.alone().await.map_err(say)?;
        let lines = limit.clamp(1, LOG_LINES).to_string();
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines).build();
        let mut pieces = Box::pin(docker.logs(id, Some(options)));
        let mut kept: VecDeque<bytes::Bytes> = VecDeque::new();
        let mut length = 0;
        let read = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| say(self.failure(error)))?.into_bytes();
                length += piece.len();
                kept.push_back(piece);
                while kept.front().is_some_and(|first| length - first.len() >= limit) {
                    length -= kept.pop_front().map_or(0, |first| first.len());
                }
            }
            Ok(())
        };
        // What has come by then is better than nothing.
        if let Ok(outcome) = tokio::time::timeout(LOG, read).await {
            outcome?;
        }
        let mut log = kept.iter().flatten().copied().collect::<Vec<u8>>();
        log.drain(..log.len().saturating_sub(limit));
        Ok(log)
    }

    /// Removes a container and its anonymous volumes.
    pub(crate) async fn remove(&self, id: &str) -> Answer<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let begun = Instant::now();
        loop {
            let remove = |docker: bollard::Docker| {
                let options = options.clone();
                async move { docker.remove_container(id, Some(options)).await }
            };
            match self.again(remove).await {
                // Somebody else is at it; it is gone when they are done.
                Err(Failure::Said(409, words)) if words.contains("in progress") && begun.elapsed() < REMOVAL => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                outcome => return outcome,
            }
        }
    }

    pub(crate) async fn find(&self, host: &str) -> Result<Vec<Found>, BackendError> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{LABEL_HOST}={host}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let list = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        };
        let found = self.again(list).await.map_err(|failure| self.backend("list its containers", failure))?;
        let ours = found.into_iter().filter_map(|container| {
            let labels = container.labels?;
            // A container with our home's label and no run is nobody's work of ours.
            let (run, attempt) = (labels.get(LABEL_RUN)?.clone(), labels.get(LABEL_ATTEMPT)?.parse().ok()?);
            let ended = matches!(
                container.state,
                Some(
                    ContainerSummaryStateEnum::EXITED
                        | ContainerSummaryStateEnum::DEAD
                        | ContainerSummaryStateEnum::REMOVING
                )
            );
            let paused = container.state == Some(ContainerSummaryStateEnum::PAUSED);
            Some(Found { id: container.id?, run, attempt, running: !ended, paused })
        });
        Ok(ours.collect())
    }
}

/// Whether the first process of a container was ever started.
fn was_started(state: Option<&ContainerState>) -> bool {
    // A container that never ran says that it started in the year 1.
    state.and_then(|state| state.started_at.as_deref()).is_some_and(|at| !at.is_empty() && !at.starts_with("0001-"))
}

fn is_running(state: &ContainerState) -> bool {
    match state.status {
        Some(status) => matches!(
            status,
            ContainerStateStatusEnum::RUNNING
                | ContainerStateStatusEnum::PAUSED
                | ContainerStateStatusEnum::RESTARTING
                | ContainerStateStatusEnum::STOPPING
        ),
        None => state.running.unwrap_or_default(),
    }
}

/// The end of a container that isn't running.
fn end(state: &ContainerState, waited: Option<i64>) -> EngineEnd {
    let error = state.error.clone().filter(|error| !error.is_empty());
    if !was_started(Some(state)) {
        return EngineEnd { error, ..EngineEnd::default() };
    }
    let going = matches!(state.status, Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD));
    EngineEnd {
        exit_code: state.exit_code.or(waited),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error,
        // Somebody removes it at this moment, and killed it for that.
        gone: going,
        events: Vec::new(),
        cause: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_never_ran_has_no_exit_code() {
        // As the daemon says it of a container whose command couldn't be started.
        let state = ContainerState {
            status: Some(ContainerStateStatusEnum::CREATED),
            exit_code: Some(127),
            error: Some("OCI runtime create failed".to_owned()),
            started_at: Some("0001-01-01T00:00:00Z".to_owned()),
            ..ContainerState::default()
        };
        assert!(!was_started(Some(&state)) && !is_running(&state));
        let end = end(&state, Some(0));
        assert_eq!((end.exit_code, end.error.as_deref()), (None, Some("OCI runtime create failed")));
    }

    #[test]
    fn the_state_goes_before_what_the_wait_said() {
        let state = ContainerState {
            status: Some(ContainerStateStatusEnum::EXITED),
            exit_code: Some(137),
            oom_killed: Some(true),
            error: Some(String::new()),
            started_at: Some("2024-01-01T00:00:00.1Z".to_owned()),
            ..ContainerState::default()
        };
        let expected = EngineEnd { exit_code: Some(137), oom_killed: true, ..EngineEnd::default() };
        assert_eq!(end(&state, Some(0)), expected);
    }
}
