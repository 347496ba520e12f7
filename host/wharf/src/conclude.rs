//! From evidence to a cause: pure, so that recorded ends can be its test.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_model::launch::{BackendError, EngineEnd};
use wharf_model::outcome::{LogState, Whose};
use wharf_model::protocol::{RunnerResult, Usage};
use wharf_model::quantity::describe_bytes;
use wharf_model::{Cause, Outcome};

/// The exit code with which a runner says that it never reached the host.
pub(crate) const RUNNER_WITHOUT_HOST: i64 = 113;

/// What to do about an engine that doesn't answer.
pub(crate) const ENGINE_AWAY: &str =
    "check that the daemon of this execution configuration runs and that you may use it: `wharf doctor`";

/// Why a run was asked to end before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Somebody asked.
    Person(String),
    /// It took longer than this many seconds.
    TimeLimit(u64),
    /// Its runner wasn't heard of for this many seconds after the start.
    Silence(u64),
}

/// All that is known of how a container ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The runner's own report.
    pub(crate) result: Option<RunnerResult>,
    /// The engine's view.
    pub(crate) engine: Option<EngineEnd>,
    /// Whether the runner was ever heard of.
    pub(crate) came_up: bool,
    /// What the host asked for.
    pub(crate) interruption: Option<Interruption>,
    /// Bytes, from the plan.
    pub(crate) memory_limit: Option<u64>,
    /// The last lines of the recipe's error output.
    pub(crate) error_tail: Vec<String>,
    /// The last lines of the engine's own log.
    pub(crate) engine_log: Vec<String>,
    /// Whether the log is whole.
    pub(crate) log: Option<LogState>,
    /// The last usage that a heartbeat told.
    pub(crate) usage: Option<Usage>,
}

/// An outcome with nothing but its cause and its sentence.
pub(crate) fn outcome(cause: Cause, sentence: impl Into<String>) -> Outcome {
    let (whose, retry_helps) = match cause {
        Cause::Succeeded => (Whose::Nobody, false),
        Cause::RecipeFailed | Cause::NotPrepared | Cause::OutputFailed | Cause::InputFailed => (Whose::Recipe, false),
        Cause::OutOfMemory | Cause::TimeLimit => (Whose::Limit, false),
        Cause::Stopped => (Whose::User, false),
        Cause::Refused | Cause::Rejected => (Whose::Component, false),
        Cause::ImageMissing | Cause::ImageBuildFailed | Cause::EngineRefused => (Whose::Engine, false),
        Cause::EngineUnreachable | Cause::Lost => (Whose::Engine, true),
        Cause::RunnerNeverCameUp => (Whose::Network, true),
        Cause::HostFault => (Whose::Host, true),
    };
    Outcome {
        cause,
        sentence: sentence.into(),
        whose,
        retry_helps,
        advice: None,
        evidence: BTreeMap::new(),
        exit_code: None,
        error_tail: Vec::new(),
        log: None,
        usage: None,
    }
}

/// An outcome for what an engine couldn't do.
pub(crate) fn engine_outcome(error: &BackendError) -> Outcome {
    let (cause, advice) = match error {
        BackendError::Unreachable { .. } => (Cause::EngineUnreachable, ENGINE_AWAY),
        BackendError::NoSuchImage { .. } => (Cause::ImageMissing, "build it: `wharf base build NAME`"),
        BackendError::Refused { .. } => {
            (Cause::EngineRefused, "look at the configuration's resources and security keys: `wharf explain`")
        }
        BackendError::Conflict { .. } => (Cause::EngineRefused, "remove that container by hand if it isn't needed"),
    };
    Outcome { advice: Some(advice.to_owned()), ..outcome(cause, sentence_of(error)) }
}

/// An error and its sources as one sentence.
pub(crate) fn sentence_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Concludes how a run ended.
pub(crate) fn conclude(evidence: Evidence) -> Outcome {
    let facts = facts(&evidence);
    let Evidence { result, engine, came_up, interruption, memory_limit, error_tail, engine_log, log, usage } = evidence;
    let last_usage = result.as_ref().map(|result| result.usage.clone()).or(usage);
    let mut end = match (&result, &interruption) {
        // It finished before the request reached it: what it did counts.
        (Some(result), _) if result.exit_code == Some(0) && !result.stopped => succeeded(result),
        (_, Some(interruption)) if result.as_ref().is_none_or(|result| result.stopped) => {
            interrupted(interruption, &engine_log)
        }
        (Some(result), _) => failed(result, memory_limit, &error_tail),
        (None, _) => without_result(engine.as_ref(), came_up, memory_limit, last_usage.as_ref(), &engine_log),
    };
    end.evidence = facts;
    end.exit_code = result.as_ref().and_then(|result| result.exit_code);
    if end.cause != Cause::Succeeded {
        end.error_tail = if result.is_some() || !error_tail.is_empty() { error_tail } else { engine_log };
    }
    end.log = match log {
        None if !came_up => Some(LogState::Engine),
        log => log,
    };
    end.usage = last_usage;
    end
}

fn succeeded(result: &RunnerResult) -> Outcome {
    let mut end = outcome(Cause::Succeeded, "the recipe succeeded");
    if result.usage.oom_kills > 0 {
        end.sentence = format!(
            "the recipe says that it succeeded, but the kernel killed {} of its processes for memory",
            result.usage.oom_kills
        );
        end.advice = Some(
            "check its outputs, and give it more memory: `--resource memory=...` or another configuration".to_owned(),
        );
    }
    end
}

fn failed(result: &RunnerResult, memory_limit: Option<u64>, error_tail: &[String]) -> Outcome {
    if result.usage.oom_kills > 0 {
        return out_of_memory(memory_limit, Some(&result.usage), Some(result.usage.oom_kills));
    }
    if let Some(reason) = &result.start_error {
        return Outcome {
            advice: Some("the base image may lack what the recipe needs: look at its `languages`".to_owned()),
            ..outcome(Cause::RecipeFailed, format!("the recipe's command could not be started: {reason}"))
        };
    }
    let how = match (result.exit_code, result.signal) {
        (Some(code), _) => format!("the recipe failed with exit code {code}"),
        (None, Some(signal)) => format!("the recipe was ended by signal {signal} ({})", signal_name(signal)),
        (None, None) => "the recipe failed".to_owned(),
    };
    let last = error_tail.iter().rev().find(|line| !line.trim().is_empty());
    outcome(Cause::RecipeFailed, last.map_or_else(|| how.clone(), |line| format!("{how}: {}", line.trim())))
}

fn out_of_memory(limit: Option<u64>, usage: Option<&Usage>, kills: Option<u64>) -> Outcome {
    let mut sentence = match limit {
        Some(limit) => format!("killed for memory at its limit of {}", describe_bytes(limit)),
        None => "killed for memory: the machine had no more to give".to_owned(),
    };
    if let Some(usage) = usage.filter(|usage| usage.memory_peak > 0) {
        sentence = format!("{sentence} (peak {})", describe_bytes(usage.memory_peak));
    }
    if let Some(kills) = kills {
        sentence = format!("{sentence}; the kernel counted {kills} such kill{}", if kills == 1 { "" } else { "s" });
    }
    Outcome {
        advice: Some(
            "ask for more (`--resource memory=...`), use a larger configuration, or read the data in pieces (`iter_dataframes`)"
                .to_owned(),
        ),
        ..outcome(Cause::OutOfMemory, sentence)
    }
}

fn interrupted(interruption: &Interruption, engine_log: &[String]) -> Outcome {
    match interruption {
        Interruption::Person(by) => outcome(Cause::Stopped, format!("stopped by {by}")),
        Interruption::TimeLimit(seconds) => Outcome {
            advice: Some(
                "give it more time (`--timeout`, or `time_limit` in its configuration) or less to do".to_owned(),
            ),
            ..outcome(Cause::TimeLimit, format!("it took longer than its time limit of {seconds} s"))
        },
        Interruption::Silence(seconds) => {
            never_came_up(&format!("the container runs, but its runner was not heard of for {seconds} s"), engine_log)
        }
    }
}

fn never_came_up(how: &str, engine_log: &[String]) -> Outcome {
    let last = engine_log.iter().rev().find(|line| !line.trim().is_empty());
    let sentence = match last {
        Some(line) => format!("the runner never came up: {how}; the container's log ends with: {}", line.trim()),
        None => format!("the runner never came up: {how}, and the container's log is empty"),
    };
    Outcome {
        advice: Some(
            "try the way back from a container to this host: `wharf config test NAME`; a firewall or `[exchange] advertise` may be the reason"
                .to_owned(),
        ),
        ..outcome(Cause::RunnerNeverCameUp, sentence)
    }
}

fn without_result(
    engine: Option<&EngineEnd>,
    came_up: bool,
    memory_limit: Option<u64>,
    usage: Option<&Usage>,
    engine_log: &[String],
) -> Outcome {
    let Some(engine) = engine else {
        return outcome(Cause::HostFault, "the host lost sight of the run");
    };
    if engine.oom_killed {
        return out_of_memory(memory_limit, usage, None);
    }
    if engine.gone {
        return outcome(Cause::Lost, "its container was removed by somebody else while it ran");
    }
    if !came_up && engine.exit_code.is_none() {
        // A container that was created and never started is left only by a host that was ended between the two calls.
        return before_it_began("the host was ended before the run's container was started");
    }
    if let Some(error) = engine.error.as_deref().filter(|error| !error.is_empty()) {
        return outcome(Cause::EngineRefused, format!("the engine could not run the container: {error}"));
    }
    match engine.exit_code {
        Some(RUNNER_WITHOUT_HOST) => never_came_up("it could not reach the host", engine_log),
        Some(code) if !came_up => never_came_up(&format!("the container ended with exit code {code}"), engine_log),
        Some(137) => outcome(
            Cause::Lost,
            "its container was killed from outside (exit code 137, and the kernel counts no kill for memory)",
        ),
        Some(code) => {
            outcome(Cause::Lost, format!("its container ended with exit code {code} and its runner gave no result"))
        }
        None => outcome(Cause::Lost, "its container ended and the engine doesn't say how"),
    }
}

/// An outcome for a run of which nothing was run, because its host was ended.
pub(crate) fn before_it_began(sentence: &str) -> Outcome {
    Outcome { advice: Some("nothing of it was run: submit it again".to_owned()), ..outcome(Cause::HostFault, sentence) }
}

fn facts(evidence: &Evidence) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    let mut note = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(key.to_owned(), value);
        }
    };
    if let Some(result) = &evidence.result {
        note("signal", result.signal.map(Into::into));
        note("cgroup.oom_kills", Some(result.usage.oom_kills.into()));
        note("cgroup.memory_peak", Some(result.usage.memory_peak.into()));
        note("start_error", result.start_error.clone().map(Into::into));
    }
    if let Some(engine) = &evidence.engine {
        note("engine.exit_code", engine.exit_code.map(Into::into));
        note("engine.oom_killed", Some(engine.oom_killed.into()));
        note("engine.error", engine.error.clone().filter(|error| !error.is_empty()).map(Into::into));
        note("engine.gone", engine.gone.then(|| true.into()));
    }
    note("memory_limit", evidence.memory_limit.map(Into::into));
    note("runner.came_up", Some(evidence.came_up.into()));
    note(
        "interruption",
        evidence.interruption.as_ref().map(|interruption| match interruption {
            Interruption::Person(by) => json!({ "stopped_by": by }),
            Interruption::TimeLimit(seconds) => json!({ "time_limit": seconds }),
            Interruption::Silence(seconds) => json!({ "silence": seconds }),
        }),
    );
    facts
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV, a memory fault",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => "see signal(7)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32, oom_kills: u64) -> RunnerResult {
        RunnerResult {
            exit_code: Some(exit_code),
            usage: Usage { oom_kills, memory_peak: 64 << 20, ..Usage::default() },
            ..RunnerResult::default()
        }
    }

    fn engine(exit_code: i64, oom_killed: bool) -> EngineEnd {
        EngineEnd { exit_code: Some(exit_code), oom_killed, ..EngineEnd::default() }
    }

    fn base() -> Evidence {
        Evidence { came_up: true, memory_limit: Some(64 << 20), ..Evidence::default() }
    }

    /// Recorded ends and what they must be concluded to be.
    #[test]
    fn recorded_ends() {
        let stop = || Some(Interruption::Person("ana".to_owned()));
        let stopped = RunnerResult { stopped: true, signal: Some(15), ..RunnerResult::default() };
        let cases = [
            ("exit 0", Evidence { result: Some(result(0, 0)), ..base() }, Cause::Succeeded),
            (
                "exit 0 just before a stop",
                Evidence { result: Some(result(0, 0)), interruption: stop(), ..base() },
                Cause::Succeeded,
            ),
            ("exit 3", Evidence { result: Some(result(3, 0)), ..base() }, Cause::RecipeFailed),
            (
                "exit 3 just before a stop",
                Evidence { result: Some(result(3, 0)), interruption: stop(), ..base() },
                Cause::RecipeFailed,
            ),
            ("exit 1 after a child was killed", Evidence { result: Some(result(1, 1)), ..base() }, Cause::OutOfMemory),
            ("137 without any kill", Evidence { engine: Some(engine(137, false)), ..base() }, Cause::Lost),
            (
                "the runner itself was killed",
                Evidence { engine: Some(engine(137, true)), ..base() },
                Cause::OutOfMemory,
            ),
            ("stopped", Evidence { result: Some(stopped), interruption: stop(), ..base() }, Cause::Stopped),
            (
                "stopped by force",
                Evidence { engine: Some(engine(137, false)), interruption: stop(), ..base() },
                Cause::Stopped,
            ),
            (
                "time limit",
                Evidence { engine: Some(engine(137, false)), interruption: Some(Interruption::TimeLimit(5)), ..base() },
                Cause::TimeLimit,
            ),
            (
                "no way back",
                Evidence { engine: Some(engine(113, false)), came_up: false, ..base() },
                Cause::RunnerNeverCameUp,
            ),
            (
                "exec format error",
                Evidence { engine: Some(engine(1, false)), came_up: false, ..base() },
                Cause::RunnerNeverCameUp,
            ),
            (
                "created and never started",
                Evidence {
                    engine: Some(EngineEnd { error: Some("never started".into()), ..EngineEnd::default() }),
                    came_up: false,
                    ..base()
                },
                Cause::HostFault,
            ),
            (
                "removed by somebody",
                Evidence { engine: Some(EngineEnd { gone: true, ..EngineEnd::default() }), ..base() },
                Cause::Lost,
            ),
        ];
        for (name, evidence, cause) in cases {
            let end = conclude(evidence);
            assert_eq!(end.cause, cause, "{name}: {}", end.sentence);
            assert!(!end.sentence.is_empty());
        }
    }

    #[test]
    fn memory_is_cited() {
        let end = conclude(Evidence { result: Some(result(137, 1)), ..base() });
        assert_eq!(
            end.sentence,
            "killed for memory at its limit of 64 MiB (peak 64 MiB); the kernel counted 1 such kill"
        );
    }

    #[test]
    fn success_beside_a_kill_is_said() {
        let end = conclude(Evidence { result: Some(result(0, 2)), ..base() });
        assert!(end.sentence.contains("killed 2 of its processes"), "{}", end.sentence);
    }

    #[test]
    fn a_failure_shows_the_last_line() {
        let end = conclude(Evidence {
            result: Some(result(1, 0)),
            error_tail: vec!["Traceback".into(), "ValueError: no".into(), String::new()],
            ..base()
        });
        assert_eq!(end.sentence, "the recipe failed with exit code 1: ValueError: no");
        assert_eq!(end.error_tail.len(), 3);
    }
}
