//! Steps 8 and 9: from a container that is there to an outcome.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wharf_exchange::StoreError;
use wharf_model::configuration::DEFAULT_PIDS_LIMIT;
use wharf_model::launch::{BackendError, EngineEnd};
use wharf_model::outcome::Whose;
use wharf_model::{Cause, EngineCause, EventKind, Outcome, Phase, Quantity};

use super::Way;
use super::asking::Asking;
use super::launch::Launched;
use crate::conclude::{RUNNER_WITHOUT_HOST, conclude, outcome, sentence_of};
use crate::evidence::{Evidence, Interruption, RunnerEnd};
use crate::live::Live;

/// How long a container may take to end after its runner gave the result.
const AFTER_RESULT: Duration = Duration::from_secs(10);
/// How long a result may take to arrive after its container ended.
const AFTER_END: Duration = Duration::from_millis(500);
/// How much of the engine's log is looked at when the runner never came up.
const ENGINE_LOG: usize = 16 << 10;
/// How many of its last lines an outcome shows.
const TAIL: usize = 12;
/// How long a runner may be silent before that is worth a word: it reports every other second.
const QUIET: Duration = Duration::from_secs(30);
/// The pause before looking again.
const AGAIN: Duration = Duration::from_secs(1);

/// Watches a container until it has ended, concludes how, and puts the outputs in place.
///
/// The outcome is in the record before the container is removed, so a host that is killed in between knows both.
pub(crate) async fn to_the_end(way: &Way, launched: Launched, live: &Live) -> Outcome {
    let phase = way.journal.phase(Phase::Run);
    let watched = watch(way, &launched, live).await;
    let evidence = evidence(&launched, watched).await;
    let in_vain = matches!(evidence.interruption, Some(Interruption::Silence { .. }))
        || evidence.engine.as_ref().is_some_and(|engine| engine.exit_code == Some(RUNNER_WITHOUT_HOST));
    let mut end = conclude(evidence);
    if let Some(carrier) = launched.carrier.as_ref().filter(|_| in_vain && end.cause == Cause::RunnerNeverCameUp) {
        carrier.explain(&mut end);
    }
    if end.cause == Cause::ImageMissing {
        // The next run pushes it again instead of believing that it is there.
        way.host.store().forget_pushed(&launched.image);
    }
    let Launched { backend, container, session, carrier, token, plan, .. } = launched;
    // The ticket is dead from here on: nothing can be added to the outputs any more.
    session.close().await;
    drop(carrier);
    if end.cause == Cause::Succeeded {
        phase.done();
        if !plan.outputs.is_empty() {
            end = commit(way, end, &token).await;
        }
    } else if let Err(error) = way.host.datasets().abort(&token).await {
        tracing::warn!(run = way.run, error = %sentence_of(&error), "staged outputs are left");
    }
    way.record(&mut end);
    // An engine that doesn't answer keeps the container; the next start of the host removes it.
    if let Err(error) = backend.remove(&container).await {
        tracing::warn!(run = way.run, container, error = %sentence_of(&error), "the container is left");
    }
    if let Err(error) = way.host.datasets().forget(&token).await {
        tracing::warn!(run = way.run, error = %sentence_of(&error), "the commit's intent is left");
    }
    end
}

/// Puts the outputs in place, all or none.
pub(crate) async fn commit(way: &Way, end: Outcome, token: &wharf_exchange::Token) -> Outcome {
    let phase = way.journal.phase(Phase::Commit);
    if let Err(error) = way.host.store().committing(&way.run, &end) {
        return outcome(Cause::HostFault, format!("the outputs were not put in place: {}", sentence_of(&error)));
    }
    match way.host.datasets().commit(token).await {
        Ok(_) => {
            phase.done();
            end
        }
        Err(error) => {
            let failed = output_failed(&error);
            Outcome { evidence: end.evidence, exit_code: end.exit_code, log: end.log, usage: end.usage, ..failed }
        }
    }
}

/// An outcome for outputs that couldn't be put in place.
fn output_failed(error: &StoreError) -> Outcome {
    let sentence = format!("the recipe succeeded, but its outputs could not be put in place: {}", sentence_of(error));
    let end = outcome(Cause::OutputFailed, sentence);
    match error {
        // The rows' own, or the paths'.
        StoreError::BadRows { .. }
        | StoreError::BadPath(_)
        | StoreError::NameTaken { .. }
        | StoreError::NoSuchColumn { .. } => end,
        _ => Outcome {
            whose: Whose::Host,
            retry_helps: true,
            advice: Some(
                "see on this host whether the place is there, may be written by its user, and has room (`df`)"
                    .to_owned(),
            ),
            ..end
        },
    }
}

/// What the engine says of a container's end, or why it doesn't; and what the host asked for before.
type Watched = (Result<EngineEnd, BackendError>, Option<Interruption>);

/// Waits for the container's end; ends it at its time limit, when somebody asks, or when its runner stays silent.
async fn watch(way: &Way, launched: &Launched, live: &Live) -> Watched {
    let grace = way.site.runs.grace;
    let caller = Asking::new(way, Phase::Run, live);
    let wait = wait_for_end(way, launched, &caller);
    tokio::pin!(wait);
    let interruption = tokio::select! {
        biased;
        end = &mut wait => {
            // Asked for in the same moment, or by a host before this one.
            return (end, live.stopped_by().map(Interruption::StoppedBy));
        }
        () = launched.heard.wait_for_result() => None,
        by = live.stop_requested() => Some(Interruption::StoppedBy(by)),
        limit = time_limit(way, launched) => Some(limit),
        silence = silence(way, launched, &caller) => Some(silence),
    };
    match &interruption {
        None => {
            if let Ok(end) = tokio::time::timeout(AFTER_RESULT, &mut wait).await {
                return (end, live.stopped_by().map(Interruption::StoppedBy));
            }
            return (stop(launched, &caller, grace, wait).await, live.stopped_by().map(Interruption::StoppedBy));
        }
        // Its runner can't be asked; what it said to the engine's log is all there is.
        Some(Interruption::Silence { .. }) => {}
        Some(_) => launched.session.request_stop(),
    }
    (stop(launched, &caller, grace, wait).await, interruption)
}

/// Ends a container. The wait for its end may be on a connection that is dead without either side knowing, so there is a new
/// one when the engine says that it has stopped it.
async fn stop(
    launched: &Launched,
    caller: &Asking<'_>,
    grace: Duration,
    wait: impl Future<Output = Result<EngineEnd, BackendError>>,
) -> Result<EngineEnd, BackendError> {
    let backend = launched.backend.as_ref();
    tokio::pin!(wait);
    let stopped = tokio::select! {
        biased;
        end = &mut wait => return end,
        stopped = backend.stop(&launched.container, grace) => stopped,
    };
    match stopped {
        Ok(()) => backend.wait(&launched.container, caller).await,
        // The runner may have heard of it all the same.
        Err(error) => tokio::time::timeout(grace + AFTER_RESULT, wait).await.unwrap_or(Err(error)),
    }
}

/// Returns when the container has ended. An engine that doesn't answer is no end as long as the runner is heard of.
async fn wait_for_end(way: &Way, launched: &Launched, caller: &Asking<'_>) -> Result<EngineEnd, BackendError> {
    let mut told = false;
    loop {
        match launched.backend.wait(&launched.container, caller).await {
            Err(error) if is_away(&error) && is_heard(launched) => {
                if !told {
                    told = true;
                    say(way, format!("{}; the run goes on: its runner is heard of", sentence_of(&error)));
                }
                sleep(AGAIN).await;
            }
            end => return end,
        }
    }
}

/// An engine that doesn't answer, or doesn't accept who we are any more: a token that has run out is renewed by somebody.
fn is_away(error: &BackendError) -> bool {
    match error {
        BackendError::Unreachable { .. } => true,
        BackendError::Because { cause, .. } => {
            matches!(**cause, EngineCause::Forbidden(_) | EngineCause::Unauthorized { .. })
        }
        _ => false,
    }
}

fn is_heard(launched: &Launched) -> bool {
    launched.heard.result().is_none() && launched.session.last_heard().is_some_and(|at| at.elapsed() < QUIET)
}

/// Returns when the run has had its time. That counts from the runner's first word: what a pod waited before, for a node or an
/// image, isn't the recipe's. By our own clock alone: the start is in the record, so that a restarted host goes on counting.
async fn time_limit(way: &Way, launched: &Launched) -> Interruption {
    let Some(seconds) = launched.plan.time_limit else { return std::future::pending().await };
    let up = launched.heard.wait_until_up().await;
    let up_for = Duration::from_millis(way.host.store().now().saturating_sub(up));
    sleep(Duration::from_secs(seconds).saturating_sub(up_for)).await;
    Interruption::TimeLimit(seconds)
}

/// Returns when the runner has been silent for too long, since the start or since it was last heard of. Says in an event
/// that it is silent, long before.
async fn silence(way: &Way, launched: &Launched, caller: &Asking<'_>) -> Interruption {
    let mut began = Instant::now();
    // What a cluster may clear up by itself it waits for, and says so.
    let patience =
        launched.plan.configuration.engine.kubernetes().map(|settings| settings.pod.patience.until_it_runs());
    let before_start = way.site.runs.start_timeout + Duration::from_secs(patience.unwrap_or_default());
    let mut told = false;
    loop {
        if caller.is_held() {
            began = Instant::now();
        }
        let heard = launched.session.last_heard();
        let quiet = heard.map_or_else(|| began.elapsed(), |at| at.elapsed());
        // A host that was started again hasn't heard of it yet, and knows from the log that it came up.
        let came_up = launched.heard.came_up();
        let limit = if came_up { way.site.runs.silence_timeout } else { before_start };
        let worth_a_word = QUIET.min(limit / 2);
        if quiet >= limit {
            return Interruption::Silence { seconds: limit.as_secs(), paused: is_paused(way, launched).await };
        }
        if came_up && quiet >= worth_a_word && !told {
            told = true;
            let why = if is_paused(way, launched).await { ": somebody has paused its container" } else { "" };
            let (quiet, limit) = (quiet.as_secs(), limit.as_secs());
            say(way, format!("the runner was not heard of for {quiet} s{why}; the run is ended after {limit} s"));
        } else if told && quiet < worth_a_word {
            told = false;
            say(way, "the runner is heard of again".to_owned());
        }
        sleep(AGAIN.min(limit - quiet)).await;
    }
}

async fn is_paused(way: &Way, launched: &Launched) -> bool {
    // An engine that doesn't answer says nothing of it.
    let found = tokio::time::timeout(AFTER_RESULT, launched.backend.find(way.host.id())).await;
    let found = found.ok().and_then(Result::ok).unwrap_or_default();
    found.iter().any(|found| found.id == launched.container && found.paused)
}

fn say(way: &Way, text: String) {
    way.journal.note(EventKind::Progress { phase: Phase::Run, text });
}

async fn evidence(launched: &Launched, watched: Watched) -> Evidence {
    let heard = &launched.heard;
    if heard.came_up() && heard.result().is_none() {
        // The container has ended, so the result is either on its last bit of the way or will never come.
        tokio::select! {
            () = heard.wait_for_result() => {}
            () = sleep(AFTER_END) => {}
        }
    }
    let result = heard.result();
    let came_up = heard.came_up();
    let tail = if came_up {
        heard.tail()
    } else {
        let bytes = launched.backend.log_tail(&launched.container, ENGINE_LOG).await.unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(TAIL)..].to_vec()
    };
    let (engine, interruption) = watched;
    let (engine, engine_error) = match engine {
        Ok(engine) => (Some(engine), None),
        Err(error) => (None, Some(error)),
    };
    let usage = result.as_ref().map(|result| result.usage.clone()).or_else(|| heard.usage());
    let resources = &launched.plan.resources;
    let process_limit =
        usage.as_ref().is_some_and(|usage| usage.process_refusals > 0).then(|| match resources.get("pids-limit") {
            Some(Quantity::Count(limit)) => *limit,
            _ => DEFAULT_PIDS_LIMIT,
        });
    Evidence {
        runner: result.as_ref().map(RunnerEnd::from),
        engine,
        engine_error,
        came_up: Some(came_up),
        interruption,
        keeps_when_stopped: launched.plan.job.keeps_when_stopped,
        memory_limit: match resources.get("memory") {
            Some(Quantity::Bytes(bytes)) => Some(*bytes),
            _ => None,
        },
        process_limit: process_limit.and_then(|limit| u64::try_from(limit).ok()),
        tail,
        log: result.as_ref().map(|result| launched.session.log_state(result)),
        usage,
    }
}

impl Way {
    /// Writes the outcome down. One that can't be written is told to the log, and stays open in the record: the next start
    /// of the host concludes it.
    pub(crate) fn record(&self, end: &mut Outcome) {
        if let Err(error) = self.journal.end(end) {
            tracing::error!(run = self.run, error = %sentence_of(&error), "an outcome could not be recorded");
            self.journal.note(EventKind::Ended(end.clone()));
        }
    }
}
