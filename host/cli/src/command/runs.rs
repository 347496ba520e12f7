//! `wharf runs`.

use std::time::{SystemTime, UNIX_EPOCH};

use wharf::store::{RunFilter, RunState, RunSummary};

use super::{Ending, open};
use crate::arguments::{GlobalArguments, RunFilterArguments, RunsArguments, StateArgument};
use crate::console::{Console, for_terminal};
use crate::exit_code;
use crate::run_view::cause_word;
use crate::table::Table;
use crate::text::{duration, moment};

pub(super) async fn execute(global: &GlobalArguments, arguments: &RunsArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let mut which = filter(&arguments.of);
    which.rejected = arguments.rejected;
    which.state = arguments.state.map(state);
    let all = which == RunFilter::default();
    let runs = access.find_runs(which, arguments.limit).await;
    access.shutdown().await;
    let runs = runs?;
    if console.is_json() {
        console.json_line(&runs)?;
        return Ok(exit_code::SUCCEEDED);
    }
    if runs.is_empty() {
        console.note(if all { "no run yet" } else { "no such run" });
        return Ok(exit_code::SUCCEEDED);
    }
    if arguments.rejected {
        let mut table = Table::new(["RUN", "SUBMITTED", "USER", "KIND", "CONFIGURATION", "WHY"]);
        for run in runs {
            let why = run.outcome.as_ref().map_or_else(String::new, |outcome| for_terminal(&outcome.sentence));
            table.row([run.run, moment(run.submitted_at), run.user, run.kind, run.configuration, why]);
        }
        for line in table.lines(console.out()) {
            console.line(&line)?;
        }
        return Ok(exit_code::SUCCEEDED);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| u64::try_from(now.as_millis()).ok());
    let mut table = Table::new(["RUN", "SUBMITTED", "USER", "KIND", "CONFIGURATION", "TIME", "END"]);
    for run in runs {
        let end = end(&run);
        let took = run.ended_at.or(now).map_or(0, |until| until.saturating_sub(run.submitted_at));
        table.row([run.run, moment(run.submitted_at), run.user, run.kind, run.configuration, duration(took), end]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(exit_code::SUCCEEDED)
}

/// The runs that are meant.
pub(super) fn filter(arguments: &RunFilterArguments) -> RunFilter {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = arguments.since.map(|since| now.saturating_sub(since.duration()).as_millis());
    RunFilter {
        user: arguments.user.clone(),
        configuration: arguments.config.clone(),
        since: since.map(|since| u64::try_from(since).unwrap_or(u64::MAX)),
        ..RunFilter::default()
    }
}

fn state(argument: StateArgument) -> RunState {
    match argument {
        StateArgument::Preparing => RunState::Preparing,
        StateArgument::Queued => RunState::Queued,
        StateArgument::Launching => RunState::Launching,
        StateArgument::Running => RunState::Running,
        StateArgument::Committing => RunState::Committing,
        StateArgument::Ended => RunState::Ended,
    }
}

/// How it ended, or how far it has come.
fn end(run: &RunSummary) -> String {
    let state = || serde_json::to_value(run.state).ok().and_then(|state| state.as_str().map(str::to_owned));
    // An outcome before the end is one that waits for its outputs.
    match run.outcome.as_ref().filter(|_| run.ended_at.is_some()) {
        Some(outcome) => cause_word(outcome.cause),
        None => format!("({})", state().unwrap_or_default()),
    }
}
