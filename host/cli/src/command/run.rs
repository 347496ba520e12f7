//! `wharf run`, and whatever else starts a run and waits for it.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use wharf::Access;
use wharf::message::{Reply, Request};
use wharf_model::protocol::Stream;
use wharf_model::{Activity, EventKind, Fault};

use super::{AT_ONCE, Ending, open_at};
use crate::arguments::{GlobalArguments, RunArguments};
use crate::console::Console;
use crate::exit_code;
use crate::failure::{Failure, report_fault};
use crate::identity::login;
use crate::interruption::Interruptions;
use crate::resolved;
use crate::run_view::RunView;

/// How often the view looks whether the recipe has gone silent.
const TICK: Duration = Duration::from_millis(250);
/// How long one waits at the end before it is worth a word.
const LONG: Duration = Duration::from_secs(2);

pub(super) async fn execute(global: &GlobalArguments, arguments: &RunArguments, console: &mut Console) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let activity = resolved::activity(&home, arguments.file.as_deref(), &arguments.activity)?;
    to_the_end(home.root(), activity, arguments.key.as_deref(), console).await
}

/// Runs an activity and shows it to its end.
pub(super) async fn to_the_end(home: &Path, activity: Activity, key: Option<&str>, console: &mut Console) -> Ending {
    let mut interruptions = Interruptions::listen()
        .map_err(|error| Fault::new("host-fault", format!("Ctrl-C can't be taken over: {error}")))?;
    console.spinner().start("opening the home");
    let opened = tokio::select! {
        opened = open_at(home) => opened,
        why = interruptions.next() => {
            console.spinner().clear();
            console.note(&format!("{why}: nothing had been started"));
            return Ok(exit_code::STOPPED);
        }
    };
    console.spinner().clear();
    let access = opened?;
    let mut ending = attend(&access, activity, key, &mut interruptions, console).await;
    // A fault is told now: what follows may take as long as other people's runs.
    if let Err(Failure::Fault(fault)) = &ending {
        report_fault(fault, console);
        ending = Ok(exit_code::of_fault(fault));
    }
    leave(access, &mut interruptions, console).await;
    ending
}

/// Submits, follows, and stops when asked to.
async fn attend(
    access: &Access,
    activity: Activity,
    key: Option<&str>,
    interruptions: &mut Interruptions,
    console: &mut Console,
) -> Ending {
    let mut view = RunView::new(&activity.outputs);
    // Not interrupted: a run that was recorded and whose id nobody knows can't be stopped. The signal waits until then.
    let run = match key {
        Some(key) => access.submit_once(activity, key).await?,
        None => access.submit(activity).await?,
    };
    let mut events = access.follow(&run, 0, true).ready_chunks(AT_ONCE);
    let mut tick = tokio::time::interval(TICK);
    let mut stop = Stop::NotAsked;
    // Standard output is gone; the run is watched to its end all the same.
    let mut deaf = false;
    loop {
        tokio::select! {
            // A person goes before a recipe that never stops talking.
            biased;
            why = interruptions.next() => {
                if stop.ask(access, &run, why) {
                    console.note(&format!("{why}: stopping run {run}"));
                } else {
                    console.note(&format!(
                        "still waiting until run {run} has ended and its container is removed; if this process is killed, the next \
                         wharf command does that"
                    ));
                }
            }
            fault = stop.refused() => report_fault(&fault, console),
            ready = events.next() => {
                let Some(ready) = ready else { break };
                let mut ended = None;
                console.gather();
                let mut shown = Ok(());
                for event in ready {
                    let event = event?;
                    let unheard = console.is_json() || matches!(event.kind, EventKind::Log { stream: Stream::Stdout, .. });
                    if !((deaf || shown.is_err()) && unheard) {
                        shown = shown.and(view.show(&event, console));
                    }
                    if let EventKind::Ended(outcome) = event.kind {
                        ended = Some(exit_code::of_cause(outcome.cause));
                    }
                }
                if let Err(error) = shown.and(console.flush()) {
                    deaf = true;
                    stop.ask(access, &run, "the end of its output's reader");
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        console.note(&format!("error: standard output can't be written: {error}; stopping run {run}"));
                    }
                }
                if let Some(code) = ended {
                    return Ok(code);
                }
            }
            _ = tick.tick() => view.tick(console),
        }
    }
    Ok(exit_code::of_cause(access.wait(&run).await?.cause))
}

/// A request to stop, which is sent beside the events so that those go on meanwhile.
enum Stop {
    NotAsked,
    Asked(JoinHandle<Result<(), Fault>>),
    Taken,
}

impl Stop {
    /// Asks, unless that was done; whether it was this time.
    fn ask(&mut self, access: &Access, run: &str, why: &str) -> bool {
        if !matches!(self, Self::NotAsked) {
            return false;
        }
        let mut answers = access.call(Request::Stop { run: run.to_owned(), by: format!("{} ({why})", login()) });
        *self = Self::Asked(tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                if let Reply::Fault(fault) = answer {
                    return Err(fault);
                }
            }
            Ok(())
        }));
        true
    }

    /// Waits until the request is refused, after which it can be made again: for ever when it is taken, or wasn't made.
    async fn refused(&mut self) -> Fault {
        if let Self::Asked(asking) = self {
            let answer = asking.await;
            if let Ok(Err(fault)) = answer {
                *self = Self::NotAsked;
                return fault;
            }
            *self = Self::Taken;
        }
        std::future::pending().await
    }
}

/// Closes the home: an owner waits for other people's runs.
pub(super) async fn leave(access: Access, interruptions: &mut Interruptions, console: &mut Console) {
    let closing = access.shutdown();
    tokio::pin!(closing);
    if within(LONG, &mut closing).await {
        return;
    }
    console.note("other runs of this home go on in this process; it ends with the last of them");
    tokio::select! {
        () = &mut closing => {}
        why = interruptions.next() => {
            console.note(&format!("{why}: leaving them; the next wharf command takes them over"));
        }
    }
}

async fn within(time: Duration, work: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(time, work).await.is_ok()
}
