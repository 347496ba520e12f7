//! Steps 8 and 9: from a container that is there to an outcome.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wharf_model::launch::{BackendError, EngineEnd};
use wharf_model::{Cause, EventKind, Outcome, Phase, Quantity};

use super::Way;
use super::launch::Launched;
use crate::conclude::{Evidence, Interruption, RUNNER_WITHOUT_HOST, conclude, engine_outcome, outcome, sentence_of};
use crate::journal::now;
use crate::live::Live;

/// How long a container may take to end after its runner gave the result.
const AFTER_RESULT: Duration = Duration::from_secs(10);
/// How long a result may take to arrive after its container ended.
const AFTER_END: Duration = Duration::from_millis(500);
/// How much of the engine's log is looked at when the runner never came up.
const ENGINE_LOG: usize = 16 << 10;

/// Watches a container until it has ended, concludes how, and puts the outputs in place.
///
/// The outcome is in the record before the container is removed, so a host that is killed in between knows both.
pub(crate) async fn to_the_end(way: &Way, launched: Launched, live: &Live) -> Outcome {
    let phase = way.journal.phase(Phase::Run);
    let mut end = match watch(way, &launched, live).await {
        Ok((engine_end, interruption)) => {
            let in_vain = matches!(interruption, Some(Interruption::Silence(_)))
                || engine_end.exit_code == Some(RUNNER_WITHOUT_HOST);
            let mut end = conclude(evidence(&launched, engine_end, interruption).await);
            if let Some(carrier) =
                launched.carrier.as_ref().filter(|_| in_vain && end.cause == Cause::RunnerNeverCameUp)
            {
                carrier.explain(&mut end);
            }
            end
        }
        Err(error) => engine_outcome(&error),
    };
    let Launched { engine, container, session, carrier, token, plan, .. } = launched;
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
    if let Err(error) = engine.backend.remove(&container).await {
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
            let mut failed = outcome(
                Cause::OutputFailed,
                format!("the recipe succeeded, but its outputs could not be put in place: {}", sentence_of(&error)),
            );
            failed.exit_code = end.exit_code;
            failed.log = end.log;
            failed.usage = end.usage;
            failed
        }
    }
}

/// Waits for the container's end; ends it at its time limit, when somebody asks, or when its runner stays silent.
async fn watch(way: &Way, launched: &Launched, live: &Live) -> Result<(EngineEnd, Option<Interruption>), BackendError> {
    let backend = launched.engine.backend.as_ref();
    let grace = way.site.runs.grace;
    // By our own clock alone: the start is in the record, so that a restarted host goes on counting.
    let running_for = Duration::from_millis(now().saturating_sub(launched.started_at));
    let from_start = |limit: Duration| Instant::now() + limit.saturating_sub(running_for);
    let time_limit = launched.plan.time_limit;
    let deadline = time_limit.map(|seconds| from_start(Duration::from_secs(seconds)));
    let silence = way.site.runs.start_timeout;
    let silence_at = Instant::now() + silence;

    let wait = backend.wait(&launched.container);
    tokio::pin!(wait);
    let interruption = tokio::select! {
        biased;
        end = &mut wait => return Ok((end?, None)),
        () = launched.heard.wait_for_result() => None,
        by = live.stop_requested() => {
            Some(Interruption::Person(by))
        }
        () = until(deadline) => Some(Interruption::TimeLimit(time_limit.unwrap_or_default())),
        () = silent_until(silence_at, launched) => Some(Interruption::Silence(silence.as_secs())),
    };
    match &interruption {
        None => {
            if let Ok(end) = tokio::time::timeout(AFTER_RESULT, &mut wait).await {
                return Ok((end?, None));
            }
        }
        // Its runner can't be asked; what it said to the engine's log is all there is.
        Some(Interruption::Silence(_)) => {}
        Some(_) => launched.session.request_stop(),
    }
    let stop = backend.stop(&launched.container, grace);
    let (stopped, end) = tokio::join!(stop, &mut wait);
    stopped?;
    Ok((end?, interruption))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn silent_until(deadline: Instant, launched: &Launched) {
    sleep_until(deadline).await;
    if launched.heard.came_up() {
        std::future::pending::<()>().await;
    }
}

async fn evidence(launched: &Launched, engine: EngineEnd, interruption: Option<Interruption>) -> Evidence {
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
    let engine_log = if came_up {
        Vec::new()
    } else {
        let bytes = launched.engine.backend.log_tail(&launched.container, ENGINE_LOG).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    };
    Evidence {
        log: result.as_ref().map(|result| launched.session.log_state(result)),
        came_up,
        interruption,
        memory_limit: match launched.plan.resources.get("memory") {
            Some(Quantity::Bytes(bytes)) => Some(*bytes),
            _ => None,
        },
        error_tail: heard.tail(),
        engine_log,
        usage: heard.usage(),
        engine: Some(engine),
        result,
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
