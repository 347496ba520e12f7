//! From evidence to a cause: pure, so that recorded ends can be its test (`ends.rs`).

use std::collections::BTreeMap;

use wharf_docker::refusal;
use wharf_model::launch::{BackendError, EngineEnd};
use wharf_model::outcome::{LogState, Whose};
use wharf_model::protocol::Usage;
use wharf_model::quantity::describe_bytes;
use wharf_model::{Cause, EngineCause, Outcome, Told};

use crate::evidence::{Evidence, Interruption, RunnerEnd};
use crate::last_words;

/// The exit code with which a runner says that it could not reach the host, or not any more.
pub(crate) const RUNNER_WITHOUT_HOST: i64 = 113;
/// The exit code that Docker gives a container of which it found nothing when it came back.
const FOUND_DEAD: i64 = 255;
/// 128 and the number of the signal: SIGKILL, and those that ask a container to end.
const KILLED: i64 = 137;
const ASKED_TO_END: [i64; 2] = [130, 143];
/// 128 and the number of a signal that a program gets for its own fault; 101 is a panic's.
const CRASHED: [i64; 7] = [101, 132, 133, 134, 135, 136, 139];
const SIGKILL: i32 = 9;

/// What to do about an engine that doesn't answer.
pub(crate) const ENGINE_AWAY: &str =
    "check that the daemon of this execution configuration runs and that you may use it: `wharf doctor`";
const MORE_MEMORY: &str = "ask for more (`--resource memory=...`), use a larger configuration, or read the data in pieces (`iter_dataframes`)";
const MACHINE_MEMORY: &str = "the engine's machine runs out of memory: try again when other runs have ended, run fewer at once, or give \
                              each run a memory limit that fits";
const WAY_BACK: &str = "try the way back from a container to this host: `wharf config test NAME`; a firewall or `[exchange] advertise` may \
                        be the reason";

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
        Cause::Forbidden => (Whose::Configuration, false),
        Cause::QuotaExceeded => (Whose::Limit, true),
        Cause::Unschedulable | Cause::Evicted | Cause::Preempted => (Whose::Capacity, true),
        Cause::NodeLost => (Whose::Engine, true),
        Cause::RunnerNeverCameUp => (Whose::Network, true),
        Cause::SecretUnavailable => (Whose::Host, false),
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

fn advised(cause: Cause, sentence: impl Into<String>, whose: Whose, advice: &str) -> Outcome {
    Outcome { whose, advice: Some(advice.to_owned()), ..outcome(cause, sentence) }
}

/// An outcome for what an engine couldn't do before anything ran.
pub(crate) fn engine_outcome(error: &BackendError) -> Outcome {
    conclude(Evidence { engine_error: Some(error.clone()), ..Evidence::default() })
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

/// Puts what the engine's own words mean into an outcome that cites them.
pub(crate) fn with_refusal(end: Outcome, words: &str) -> Outcome {
    match refusal(words) {
        Some(known) => {
            Outcome { whose: known.whose, retry_helps: known.retry_helps, advice: Some(known.advice.to_owned()), ..end }
        }
        None => end,
    }
}

/// Concludes how a run ended.
pub(crate) fn conclude(evidence: Evidence) -> Outcome {
    let interruption = evidence.interruption.as_ref();
    let mut end = match (&evidence.runner, interruption) {
        // It finished before a request to end reached it: what it did counts.
        (Some(runner), _) if runner.exit_code == Some(0) && !runner.stopped => succeeded(evidence.usage.as_ref()),
        (Some(runner), _) if runner.exit_code == Some(0) && evidence.keeps_when_stopped => {
            kept(interruption, evidence.usage.as_ref())
        }
        // A node that is lost is why its runner isn't heard of.
        (None, Some(Interruption::Silence { .. }))
            if matches!(evidence.engine_cause(), Some(EngineCause::NodeLost { .. })) =>
        {
            without_result(&evidence)
        }
        (runner, Some(interruption)) if runner.as_ref().is_none_or(|runner| runner.stopped) => {
            interrupted(interruption, &evidence)
        }
        (Some(runner), _) if runner.stopped && evidence.engine_cause().is_some() => {
            evidence.engine_cause().map_or_else(|| without_result(&evidence), of_engine)
        }
        (Some(runner), _) if runner.stopped => advised(
            Cause::Lost,
            "the engine asked its container to end: somebody stopped it there, or the daemon or its machine was shut down",
            Whose::Engine,
            "run it again when the daemon is up; see its log for who stopped the container",
        ),
        (Some(runner), _) => failed(runner, &evidence),
        (None, _) => without_result(&evidence),
    };
    end.evidence = evidence.facts();
    end.exit_code = evidence.runner.as_ref().and_then(|runner| runner.exit_code);
    if end.cause != Cause::Succeeded {
        end.error_tail = evidence.tail;
    }
    end.log = match evidence.log {
        None if evidence.came_up == Some(false) => Some(LogState::Engine),
        log => log,
    };
    end.usage = evidence.usage;
    end
}

fn succeeded(usage: Option<&Usage>) -> Outcome {
    let mut end = outcome(Cause::Succeeded, "the recipe succeeded");
    if let Some(kills) = usage.map(|usage| usage.oom_kills).filter(|kills| *kills > 0) {
        end.sentence =
            format!("the recipe says that it succeeded, but the kernel killed {kills} of its processes for memory");
        end.advice = Some(
            "check its outputs, and give it more memory: `--resource memory=...` or another configuration".to_owned(),
        );
    }
    end
}

/// It was asked to end and made the best of it, as its job had said it would.
fn kept(interruption: Option<&Interruption>, usage: Option<&Usage>) -> Outcome {
    let why = match interruption {
        Some(Interruption::StoppedBy(by)) => format!("stopped by {by}"),
        Some(Interruption::TimeLimit(seconds)) => format!("it reached its time limit of {seconds} s"),
        Some(Interruption::Silence { .. }) | None => "its container was asked to end".to_owned(),
    };
    let end = succeeded(usage);
    Outcome { sentence: format!("{why}, and what it had until then is kept: {}", end.sentence), ..end }
}

fn failed(runner: &RunnerEnd, evidence: &Evidence) -> Outcome {
    let usage = evidence.usage.as_ref();
    if let Some(usage) = usage.filter(|usage| usage.oom_kills > 0) {
        return killed_for_memory(runner, usage, evidence.memory_limit);
    }
    if let Some(reason) = &runner.start_error {
        let sentence = format!("the recipe's command could not be started: {reason}");
        return match last_words::of_recipe(std::slice::from_ref(reason)) {
            Some(hint) if hint.whose != Whose::Recipe => {
                advised(Cause::RecipeFailed, sentence, hint.whose, hint.advice)
            }
            _ => advised(
                Cause::RecipeFailed,
                sentence,
                Whose::Recipe,
                "the base image may lack what the recipe needs: look at its `languages`",
            ),
        };
    }
    let mut sentence = how(runner);
    if let Some(reason) = last_words::reason(&evidence.tail) {
        sentence = format!("{sentence}: {reason}");
    }
    if let Some(refused) = usage.map(|usage| usage.process_refusals).filter(|refused| *refused > 0) {
        let limit = evidence.process_limit.map_or_else(String::new, |limit| format!(" of {limit}"));
        return advised(
            Cause::RecipeFailed,
            format!("{sentence}; the kernel refused it a new process {} at its pids-limit{limit}", times(refused)),
            Whose::Limit,
            "start fewer processes and threads at once, or raise the limit: `--resource pids-limit=...`",
        );
    }
    if let Some(hint) = last_words::of_recipe(&evidence.tail) {
        let retry_helps = hint.whose == Whose::Network;
        return Outcome { retry_helps, ..advised(Cause::RecipeFailed, sentence, hint.whose, hint.advice) };
    }
    let end = outcome(Cause::RecipeFailed, sentence);
    match runner.signal.and_then(signal_advice) {
        Some(advice) => Outcome { advice: Some(advice.to_owned()), ..end },
        None => end,
    }
}

fn how(runner: &RunnerEnd) -> String {
    match (runner.exit_code, runner.signal) {
        (Some(code), _) => format!("the recipe failed with exit code {code}"),
        (None, Some(SIGKILL)) => {
            "the recipe was ended by signal 9 (SIGKILL), and the kernel counts no kill for memory".to_owned()
        }
        (None, Some(signal)) => format!("the recipe was ended by signal {signal} ({})", signal_name(signal)),
        (None, None) => "the recipe failed".to_owned(),
    }
}

/// The kernel's own counter says so, read by the runner after the end.
fn killed_for_memory(runner: &RunnerEnd, usage: &Usage, limit: Option<u64>) -> Outcome {
    let direct = runner.signal == Some(SIGKILL);
    let what =
        if direct { "the recipe was killed for memory" } else { "a process of the recipe was killed for memory" };
    // Some kernels keep the count of hits at 0 (cgroup v1), but not the peak: at the limit one of the two says so.
    let near = limit.is_none_or(|limit| usage.memory_peak >= limit / 10 * 9);
    let mut end = out_of_memory(what, limit, Some(usage), near || usage.memory_limit_hits != Some(0));
    if !direct {
        end.sentence = match (runner.exit_code, runner.signal) {
            (Some(code), _) => format!("{}, and the recipe failed with exit code {code}", end.sentence),
            (None, Some(signal)) => format!("{}, and the recipe was ended by signal {signal}", end.sentence),
            (None, None) => end.sentence,
        };
    }
    let kills = usage.oom_kills;
    end.sentence =
        format!("{}; the kernel counted {kills} such kill{}", end.sentence, if kills == 1 { "" } else { "s" });
    end
}

/// A kill for memory, at the container's own limit or because the machine had no more.
fn out_of_memory(what: &str, limit: Option<u64>, usage: Option<&Usage>, at_limit: bool) -> Outcome {
    let peak = usage
        .filter(|usage| usage.memory_peak > 0)
        .map_or_else(String::new, |usage| format!(" (peak {})", describe_bytes(usage.memory_peak)));
    match limit {
        Some(limit) if at_limit => advised(
            Cause::OutOfMemory,
            format!("{what} at its limit of {}{peak}", describe_bytes(limit)),
            Whose::Limit,
            MORE_MEMORY,
        ),
        limit => {
            let below =
                limit.map_or_else(String::new, |limit| format!(" below its limit of {}", describe_bytes(limit)));
            Outcome {
                retry_helps: true,
                ..advised(
                    Cause::OutOfMemory,
                    format!("{what}{below}{peak} because the machine had no more"),
                    Whose::Capacity,
                    MACHINE_MEMORY,
                )
            }
        }
    }
}

fn interrupted(interruption: &Interruption, evidence: &Evidence) -> Outcome {
    let mut end = match interruption {
        Interruption::StoppedBy(by) => outcome(Cause::Stopped, format!("stopped by {by}")),
        Interruption::TimeLimit(seconds) => advised(
            Cause::TimeLimit,
            format!("it took longer than its time limit of {seconds} s"),
            Whose::Limit,
            "give it more time (`--timeout`, or `time_limit` in its configuration) or less to do",
        ),
        Interruption::Silence { seconds, paused: true } => advised(
            Cause::Lost,
            format!("somebody had paused its container, and its runner was not heard of for {seconds} s"),
            Whose::Engine,
            "run it again; see who pauses containers of that daemon",
        ),
        Interruption::Silence { seconds, .. } if evidence.came_up == Some(true) => advised(
            Cause::Lost,
            format!("its container went on, and its runner was not heard of for {seconds} s"),
            Whose::Network,
            "see whether the network between the engine's machine and this host was cut, or that machine hung; `runs.silence_timeout` \
             in wharf.toml says how long the host waits",
        ),
        Interruption::Silence { seconds, .. } => never_came_up(
            &format!("the container runs, but its runner was not heard of for {seconds} s"),
            &evidence.tail,
        ),
    };
    if let Some(error) = &evidence.engine_error {
        end.sentence = format!("{}; the engine could not be asked how the container ended: {error}", end.sentence);
        end.advice = Some(STILL_THERE.to_owned());
    }
    end
}

/// What to know when a container's engine went away.
const STILL_THERE: &str = "its container may still run there: the host removes it when it is started again and the engine answers; \
                           `wharf doctor` says what is wrong with the engine";

fn never_came_up(how: &str, log: &[String]) -> Outcome {
    let sentence = match last_words::reason(log) {
        Some(line) => format!("the runner never came up: {how}; the container's log ends with: {line}"),
        None => format!("the runner never came up: {how}, and the container's log is empty"),
    };
    match last_words::of_runner(log) {
        Some(hint) => {
            Outcome { retry_helps: false, ..advised(Cause::RunnerNeverCameUp, sentence, hint.whose, hint.advice) }
        }
        None => advised(Cause::RunnerNeverCameUp, sentence, Whose::Network, WAY_BACK),
    }
}

/// What the engine has a name for.
fn of_engine(cause: &EngineCause) -> Outcome {
    let Told { cause, sentence, whose, retry_helps, advice } = cause.told();
    Outcome { retry_helps, ..advised(cause, sentence, whose, &advice) }
}

fn without_result(evidence: &Evidence) -> Outcome {
    // Of a kill for memory more is known here: the peak, from the runner's last report.
    if let Some(cause) = evidence.engine_cause().filter(|cause| !matches!(cause, EngineCause::OutOfMemory { .. })) {
        return of_engine(cause);
    }
    let came_up = evidence.came_up == Some(true);
    match (&evidence.engine, &evidence.engine_error) {
        (Some(engine), _) => ended_by_itself(engine, came_up, evidence),
        (None, Some(error)) => unasked(error, evidence.came_up.is_some()),
        (None, None) => advised(
            Cause::HostFault,
            "the host lost sight of the run",
            Whose::Host,
            "try again, and report it: the host's log has more",
        ),
    }
}

/// The engine gave no answer, or a no.
fn unasked(error: &BackendError, started: bool) -> Outcome {
    let sentence = sentence_of(error);
    match error {
        BackendError::Unreachable { .. } if started => advised(
            Cause::EngineUnreachable,
            format!("the run was lost sight of: {sentence}"),
            Whose::Engine,
            STILL_THERE,
        ),
        BackendError::Unreachable { .. } => advised(Cause::EngineUnreachable, sentence, Whose::Engine, ENGINE_AWAY),
        BackendError::NoSuchImage { .. } => {
            advised(Cause::ImageMissing, sentence, Whose::Engine, "build it: `wharf base build NAME`")
        }
        BackendError::Because { cause, .. } => of_engine(cause),
        BackendError::GivenUp { .. } => outcome(Cause::Stopped, sentence),
        BackendError::Conflict { .. } => {
            advised(Cause::EngineRefused, sentence, Whose::Engine, "remove that container by hand if it isn't needed")
        }
        BackendError::Refused { reason, .. } => with_refusal(
            advised(
                Cause::EngineRefused,
                sentence,
                Whose::Engine,
                "look at the configuration's resources and security keys: `wharf explain`",
            ),
            reason,
        ),
    }
}

/// The container has ended, and its runner gave no result.
fn ended_by_itself(engine: &EngineEnd, came_up: bool, evidence: &Evidence) -> Outcome {
    let usage = evidence.usage.as_ref();
    if engine.gone {
        return advised(
            Cause::Lost,
            "its container was removed by somebody else while it ran",
            Whose::Engine,
            "run it again; see what else removes containers there (`docker rm`, a clean-up job)",
        );
    }
    if let Some(error) = engine.error.as_deref() {
        return with_refusal(
            outcome(Cause::EngineRefused, format!("the engine could not run the container: {error}")),
            error,
        );
    }
    let Some(code) = engine.exit_code else {
        return if came_up {
            advised(
                Cause::Lost,
                "its container ended and the engine doesn't say how",
                Whose::Engine,
                "run it again; see the daemon's log for what became of its containers",
            )
        } else {
            // A container that was created and never started is left only by a host that was ended between the two calls.
            before_it_began("the host was ended before the run's container was started")
        };
    };
    match code {
        KILLED if engine.oom_killed => {
            let mut end = out_of_memory("its container was killed for memory", evidence.memory_limit, usage, true);
            end.sentence = format!("{}; the engine says so (OOMKilled), its runner was killed, too", end.sentence);
            end
        }
        KILLED => killed(engine, evidence),
        FOUND_DEAD => advised(
            Cause::Lost,
            "its container was found dead when the engine came back (exit code 255): the daemon's machine was restarted or \
             the container's process was lost with it",
            Whose::Engine,
            "run it again",
        ),
        code if ASKED_TO_END.contains(&code) => advised(
            Cause::Lost,
            format!("the engine asked its container to end before its recipe had begun (exit code {code})"),
            Whose::Engine,
            "run it again when the daemon is up; see its log for who stopped the container",
        ),
        RUNNER_WITHOUT_HOST if came_up => advised(
            Cause::Lost,
            "its runner could not reach this host any more, and ended the recipe (exit code 113)",
            Whose::Network,
            "see whether the host was away for ten minutes, or whether its address or the network between them changed",
        ),
        RUNNER_WITHOUT_HOST => never_came_up("it could not reach the host", &evidence.tail),
        code if came_up && CRASHED.contains(&code) => advised(
            Cause::Lost,
            format!("its runner crashed (exit code {code})"),
            Whose::Host,
            "try again, and report it: a runner must not crash",
        ),
        code if !came_up => never_came_up(&format!("the container ended with exit code {code}"), &evidence.tail),
        code => advised(
            Cause::Lost,
            format!("its container ended with exit code {code} and its runner gave no result"),
            Whose::Engine,
            "run it again; its runner ended in a way that isn't known: report it if it comes back",
        ),
    }
}

/// SIGKILL, and the engine doesn't say that it was for memory. Its notes may say who did it; the last report of the runner
/// may make memory likely. The sentence says how sure that is.
fn killed(engine: &EngineEnd, evidence: &Evidence) -> Outcome {
    const RESULTLESS: &str =
        "its container was killed from outside (exit code 137, and the engine's flag for memory is not set)";
    if engine.events.iter().any(|event| event == "kill 9" || event == "kill SIGKILL") {
        return advised(
            Cause::Lost,
            "its container was killed through the engine (`docker kill`, `docker stop` or `docker rm`)",
            Whose::Engine,
            "run it again; see who uses that daemon",
        );
    }
    let usage = evidence.usage.as_ref();
    if usage.is_some_and(|usage| usage.oom_kills > 0) {
        let mut end = out_of_memory("its container was probably killed for memory", evidence.memory_limit, usage, true);
        end.sentence = format!(
            "{}: it was killed (exit code 137), and at its last report the kernel had counted such kills",
            end.sentence
        );
        return end;
    }
    let near = usage.zip(evidence.memory_limit).filter(|(usage, limit)| usage.memory >= limit / 10 * 9);
    if let Some((usage, limit)) = near {
        return advised(
            Cause::Lost,
            format!(
                "{RESULTLESS}; perhaps for memory: at its last report it used {} of its {}",
                describe_bytes(usage.memory),
                describe_bytes(limit)
            ),
            Whose::Engine,
            MORE_MEMORY,
        );
    }
    if !engine.events.is_empty() {
        return advised(
            Cause::Lost,
            format!(
                "{RESULTLESS}; nobody did that through the engine, so it was a process or the kernel of its machine"
            ),
            Whose::Capacity,
            "see the machine's kernel log (`dmesg`): a machine that runs out of memory kills processes of its choice",
        );
    }
    advised(
        Cause::Lost,
        RESULTLESS,
        Whose::Engine,
        "see who uses that daemon, whether it was restarted, and whether its machine runs out of memory (`dmesg`)",
    )
}

/// An outcome for a run of which nothing was run, because its host was ended.
pub(crate) fn before_it_began(sentence: &str) -> Outcome {
    advised(Cause::HostFault, sentence, Whose::Host, "nothing of it was run: submit it again")
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL, an illegal instruction",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS, memory that isn't there",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV, a memory fault",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU, its limit of CPU time",
        25 => "SIGXFSZ, its limit of a file's size",
        31 => "SIGSYS, a system call that isn't allowed",
        _ => "see signal(7)",
    }
}

fn signal_advice(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "a native library was built for a newer CPU than the engine's machine has: use another version of it",
        6 | 8 | 11 => {
            "native code failed: a library, or a recursion that is too deep; `faulthandler` shows where in Python"
        }
        7 => "most often /dev/shm is too small: `--resource shm-size=1g`",
        9 => "something in the container, or on its machine, killed it",
        24 | 25 => "raise that limit: `--resource ulimit=...`",
        31 => "the engine's security profile (seccomp) doesn't allow what it does",
        _ => return None,
    })
}
