//! `wharf component dev`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use wharf::cases::{self, CaseOptions, CaseResult, Project};
use wharf_model::Fault;

use super::Ending;
use super::cases::{options, project, show, sum};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone};
use crate::exit_code;
use crate::failure::fault_lines;
use crate::interruption::Interruptions;

/// How often the files are looked at. Looking works on every file system, network ones and those of virtual machines among
/// them, which tell nobody of changes; a component's project has few files.
const LOOK: Duration = Duration::from_millis(300);
/// A file that was just saved may be saved again, or be one of several.
const SETTLE: Duration = Duration::from_millis(150);

/// One time around, for programs.
#[derive(Serialize)]
struct Round<'a> {
    built: bool,
    cases: &'a [CaseResult],
    fault: Option<&'a Fault>,
}

/// What was shown of a case: another one is shown again.
type Shown = BTreeMap<String, CaseResult>;

pub(super) async fn execute(
    global: &GlobalArguments,
    folder: &Path,
    filter: Option<&str>,
    console: &mut Console,
) -> Ending {
    let found = project(folder)?;
    let mut interruptions = Interruptions::listen()
        .map_err(|error| Fault::new("host-fault", format!("signals can't be waited for: {error}")))?;
    let options = options(filter.map(str::to_owned), false);
    let mut shown = Shown::new();
    loop {
        let before = found.print();
        let round = async {
            round(global, folder, &found, &options, &mut shown, console).await?;
            changed(&found, &before).await;
            Ok::<_, crate::failure::Failure>(())
        };
        tokio::select! {
            biased;
            _ = interruptions.next() => return Ok(exit_code::SUCCEEDED),
            ended = round => ended?,
        }
    }
}

/// Waits for a change, and for the end of it.
async fn changed(project: &Project, before: &[(std::path::PathBuf, std::time::SystemTime, u64)]) {
    while project.print() == before {
        tokio::time::sleep(LOOK).await;
    }
    loop {
        let now = project.print();
        tokio::time::sleep(SETTLE).await;
        if project.print() == now {
            return;
        }
    }
}

async fn round(
    global: &GlobalArguments,
    folder: &Path,
    project: &Project,
    options: &CaseOptions,
    shown: &mut Shown,
    console: &mut Console,
) -> Result<(), crate::failure::Failure> {
    // One that says nothing of a build is built by somebody else.
    let built = build(project, console).await?.unwrap_or(true);
    if !built {
        let fault = Fault::new("component-not-built", "it can't be built: the cases weren't run");
        return tell(&Round { built, cases: &[], fault: Some(&fault) }, console);
    }
    let mut results = Vec::new();
    let run = async {
        // Where Cargo puts it may be known only now.
        let subject = super::cases::project(folder)?.subject()?;
        cases::run(&subject, options, |result| results.push(result.clone())).await
    };
    let ended = run.await;
    if console.is_json() {
        return tell(&Round { built, cases: &results, fault: ended.as_ref().err() }, console);
    }
    if let Err(fault) = ended {
        return tell(&Round { built, cases: &[], fault: Some(&fault) }, console);
    }
    let first = shown.is_empty();
    let gone: Vec<String> =
        shown.keys().filter(|name| !results.iter().any(|result| &result.name == *name)).cloned().collect();
    for name in gone {
        shown.remove(&name);
        console.line(&format!("{name} is gone"))?;
    }
    for result in &results {
        let same = shown.get(&result.name).is_some_and(|before| {
            (before.outcome, &before.problem, &before.answer) == (result.outcome, &result.problem, &result.answer)
        });
        if !same {
            show(result, global.verbose, console)?;
        }
        shown.insert(result.name.clone(), result.clone());
    }
    let all: Vec<&CaseResult> = results.iter().collect();
    let ending = if first { "; Ctrl-C ends this" } else { "" };
    console.line(&format!("{}{ending}", sum(&all)))?;
    Ok(())
}

fn tell(round: &Round<'_>, console: &mut Console) -> Result<(), crate::failure::Failure> {
    if console.is_json() {
        console.json_line(round)?;
        return Ok(());
    }
    if let Some(fault) = round.fault {
        let head = console.out().paint(Tone::Bad, &format!("error[{}]", fault.code));
        for line in fault_lines(&head, fault) {
            console.line(&line)?;
        }
    }
    Ok(())
}

/// Builds the component; `None` when the project doesn't say how. What the build says goes to standard error.
async fn build(project: &Project, console: &mut Console) -> Result<Option<bool>, Fault> {
    let Some(command) = &project.build else { return Ok(None) };
    console.note(&format!("$ {command}"));
    let failed = |error: std::io::Error| {
        Fault::new("component-not-built", format!("`{command}` can't be started: {error}")).at(&project.folder, None)
    };
    // A group of its own, so that Ctrl-C reaches this process alone, and the end of this one ends all of the build.
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(&project.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut group = Group(child.id());
    let status = child.wait().await.map_err(failed)?;
    group.0 = None;
    Ok(Some(status.success()))
}

/// The processes of a build, which end with it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(leader) = leader {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::TERM);
        }
    }
}
