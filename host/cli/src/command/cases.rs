//! `wharf component test`.

use std::env;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf::cases::{self, CaseOptions, CaseOutcome, CaseResult, Project};
use wharf_model::Fault;
use wharf_model::quantity::describe_bytes;

use super::{Ending, open};
use crate::arguments::{ComponentTestArguments, GlobalArguments};
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::junit;
use crate::run_view::mark;

/// The cases of one component, for programs.
#[derive(Serialize)]
struct Tested<'a> {
    component: &'a str,
    cases: &'a [CaseResult],
}

pub(super) async fn execute(
    global: &GlobalArguments,
    arguments: &ComponentTestArguments,
    console: &mut Console,
) -> Ending {
    if let Some(run) = &arguments.record {
        return record(global, arguments, run, console).await;
    }
    let options = options(arguments.filter.clone(), arguments.update);
    let mut suites = Vec::new();
    for path in &arguments.paths {
        let subject = project(path)?.subject()?;
        let mut shown = Ok(());
        let several = arguments.paths.len() > 1;
        if several && !console.is_json() {
            console.line(&console.out().paint(Tone::Title, &subject.name))?;
        }
        let results = cases::run(&subject, &options, |result| {
            if shown.is_ok() && !console.is_json() {
                shown = show(result, global.verbose, console);
            }
        })
        .await?;
        shown?;
        suites.push((subject.name, results));
    }
    if let Some(file) = &arguments.junit {
        std::fs::write(file, junit::document(&suites)).map_err(|error| {
            Fault::new("file-unwritable", format!("the results can't be written: {error}")).at(file, None)
        })?;
    }
    if console.is_json() {
        let tested: Vec<Tested> = suites.iter().map(|(component, cases)| Tested { component, cases }).collect();
        console.json_line(&tested)?;
    } else {
        let all: Vec<&CaseResult> = suites.iter().flat_map(|(_, cases)| cases).collect();
        console.line(&sum(&all))?;
    }
    let well = suites.iter().flat_map(|(_, cases)| cases).all(CaseResult::is_well);
    Ok(if well { exit_code::SUCCEEDED } else { exit_code::OTHER })
}

/// What a path means, with Cargo's own variable for where it builds.
pub(super) fn project(path: &Path) -> Result<Project, Fault> {
    let target = env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    Project::find(path, target.as_deref())
}

/// Compiled components are kept in the user's cache, since some take seconds to compile.
pub(super) fn options(filter: Option<String>, update: bool) -> CaseOptions {
    let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
    CaseOptions { cache_dir: cache.map(|cache| cache.join("wharf").join("compiled")), filter, update }
}

/// `3 passed, 1 failed`.
pub(super) fn sum(results: &[&CaseResult]) -> String {
    let words = [
        (CaseOutcome::Passed, "passed"),
        (CaseOutcome::Updated, "updated"),
        (CaseOutcome::Failed, "failed"),
        (CaseOutcome::Invalid, "can't be used"),
    ];
    let counted: Vec<String> = words
        .into_iter()
        .map(|(outcome, word)| (results.iter().filter(|result| result.outcome == outcome).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    counted.join(", ")
}

/// One line for a case; more when it didn't pass, or when all is wanted.
pub(super) fn show(result: &CaseResult, all: bool, console: &mut Console) -> std::io::Result<()> {
    let out = console.out();
    let word = match result.outcome {
        CaseOutcome::Updated => " (updated)",
        CaseOutcome::Invalid => " (can't be used)",
        CaseOutcome::Passed | CaseOutcome::Failed => "",
    };
    let costs = result.calls.iter().map(|call| call.micros).max().map_or_else(String::new, |micros| {
        let memory = result.calls.iter().map(|call| call.memory).max().unwrap_or_default();
        format!("  {}, {}", milliseconds(micros), describe_bytes(memory))
    });
    console.line(&format!("{} {}{word}{costs}", mark(out, result.is_well()), result.name))?;
    if let Some(problem) = &result.problem {
        for line in problem.lines() {
            let tone = match line.as_bytes().first() {
                Some(b'+') => Some(Tone::Good),
                Some(b'-') => Some(Tone::Bad),
                _ => None,
            };
            let line = for_terminal(line);
            let painted = match tone {
                Some(tone) => out.paint(tone, &line),
                None => line,
            };
            console.line(&format!("    {painted}"))?;
        }
    }
    if result.is_well() && !all {
        return Ok(());
    }
    if !result.granted.is_empty() {
        console.line(&format!("    granted: {}", for_terminal(&result.granted.join(", "))))?;
    }
    for call in result.loading.iter().chain(&result.calls) {
        for attempt in &call.attempts {
            let end = match &attempt.refused {
                Some(why) => format!("refused: {why}"),
                None => "done".to_owned(),
            };
            console.line(&format!("    tried to {}: {end}", for_terminal(&attempt.what)))?;
        }
        for line in &call.log {
            console.line(&format!("    {}: {}", line.level, for_terminal(&line.message)))?;
        }
        for line in call.output.lines() {
            console.line(&format!("    printed: {}", for_terminal(line)))?;
        }
    }
    Ok(())
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

async fn record(
    global: &GlobalArguments,
    arguments: &ComponentTestArguments,
    run: &str,
    console: &mut Console,
) -> Ending {
    let [path] = arguments.paths.as_slice() else {
        return Err(Fault::new("usage", "--record makes a case for one component; name one DIR or FILE").into());
    };
    let subject = project(path)?.subject()?;
    let access = open(global).await?;
    let recorded = async { access.recorded(&access.resolve_run(run).await?).await }.await;
    access.shutdown().await;
    let case = cases::record(&subject, &recorded?, arguments.into.as_deref()).await?;
    if console.is_json() {
        console.json_line(&case)?;
        return Ok(exit_code::SUCCEEDED);
    }
    console.line(&format!("made {}: {}", case.folder.display(), case.files.join(", ")))?;
    if !case.expects_recorded {
        console.line(&format!(
            "  {} wasn't asked then, so it expects nothing yet: `wharf component test --update` writes what is answered now",
            subject.name
        ))?;
    }
    Ok(exit_code::SUCCEEDED)
}
