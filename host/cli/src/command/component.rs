//! `wharf component`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf::message::{ComponentReport, ComponentSummary};
use wharf_model::Fault;
use wharf_model::quantity::describe_bytes;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::failure::fault_lines;
use crate::run_view::mark;
use crate::table::Table;

/// One checked file, for programs.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    component: Option<ComponentSummary>,
    fault: Option<Fault>,
}

pub(super) async fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let report = access.components().await;
    access.shutdown().await;
    let report = report?;
    // A list with failures in it is still the list that was asked for; a closed host is an error of its own.
    let code = if report.missing.is_empty() && report.closed.is_empty() {
        exit_code::SUCCEEDED
    } else {
        exit_code::CONFIGURATION
    };
    if console.is_json() {
        console.json_line(&report)?;
        return Ok(code);
    }
    show(&report, console)?;
    Ok(code)
}

fn show(report: &ComponentReport, console: &mut Console) -> std::io::Result<()> {
    let mut table =
        Table::new(["NAME", "WORLD", "VERSION", "ORDER", "DIGEST", "SIGNED BY", "MAY", "MODE", "APPLIES", "STATE"]);
    for component in &report.loaded {
        let older = report.failed.iter().any(|failure| {
            failure.older_works && failure.file.file_stem().is_some_and(|stem| stem.to_string_lossy() == component.name)
        });
        table.row([
            component.name.clone(),
            component.world.clone(),
            component.version.clone(),
            component.order.to_string(),
            component.digest.chars().take(12).collect(),
            component.signed_by.clone().unwrap_or_default(),
            component.grants.join("; "),
            mode(component),
            applies(component),
            if older { "loaded (an older version)" } else { "loaded" }.to_owned(),
        ]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    if let Some(held) = &report.held_back {
        let head = console.out().paint(Tone::Bad, "held back");
        console.line(&format!(
            "{head}: these changes aren't taken, since some can't be loaded; what is listed above goes on as a whole"
        ))?;
        for change in &held.changes {
            console.line(&format!("  {:<8} {}", change.change, change.file.display()))?;
        }
    }
    for failure in &report.failed {
        let what = if failure.older_works { "not taken, the older version works on" } else { "not loaded" };
        let head = console.out().paint(Tone::Bad, &format!("{} {what}", failure.file.display()));
        for line in fault_lines(&head, &failure.fault) {
            console.line(&line)?;
        }
    }
    if !report.missing.is_empty() {
        let head = console.out().paint(Tone::Bad, "closed");
        console.line(&format!(
            "{head}: wharf.toml requires {}, which isn't loaded; no run is accepted until it is",
            report.missing.join(", ")
        ))?;
    }
    for closed in &report.closed {
        let head = console.out().paint(Tone::Bad, "closed");
        console.line(&format!("{head}: {}", for_terminal(&closed.reason)))?;
        console.line(&format!("  {}", for_terminal(&closed.advice)))?;
    }
    Ok(())
}

/// What the component's answer means for a run.
fn mode(component: &ComponentSummary) -> String {
    match component.mode_for.as_slice() {
        [] => component.mode.as_str().to_owned(),
        exceptions => format!("{}; {}", component.mode.as_str(), exceptions.join("; ")),
    }
}

/// About which runs it is asked, and with what.
fn applies(component: &ComponentSummary) -> String {
    let mut words = Vec::new();
    if let Some(group) = &component.group {
        words.push(format!("{} of {}", group.logic.as_str(), group.members.join(",")));
    }
    if let Some(file) = &component.component {
        words.push(format!("is {file}"));
    }
    if !component.member_of.is_empty() {
        words.push(format!("in {}", component.member_of.join(",")));
    }
    words.extend(component.when.as_ref().map(|when| format!("when {when}")));
    if !component.settings_for.is_empty() {
        words.push(format!("settings for {}", component.settings_for.join(",")));
    }
    if words.is_empty() { "always".to_owned() } else { words.join("; ") }
}

pub(super) fn check(files: &[PathBuf], console: &mut Console) -> Ending {
    let mut code = exit_code::SUCCEEDED;
    let mut all = Vec::new();
    for file in files {
        let result = wharf::check_component(file);
        if let Err(fault) = &result {
            code = exit_code::of_fault(fault);
        }
        if console.is_json() {
            let (component, fault) = match result {
                Ok(component) => (Some(component), None),
                Err(fault) => (None, Some(fault)),
            };
            all.push(Checked { file, component, fault });
            continue;
        }
        let out = console.out();
        match result {
            Ok(component) => {
                let line = format!("{} {}: {} {}", mark(out, true), file.display(), component.name, component.version);
                console.line(&line)?;
                console.line(&format!("  world   {}", component.world))?;
                console.line(&format!("  digest  {} ({})", component.digest, describe_bytes(component.size)))?;
                if !component.description.is_empty() {
                    console.line(&format!("  about   {}", component.description))?;
                }
                if !component.grants.is_empty() {
                    console.line(&format!("  may     {}", component.grants.join("; ")))?;
                }
            }
            Err(fault) => {
                let head = format!("{} {}: error[{}]", mark(out, false), file.display(), fault.code);
                for line in fault_lines(&head, &fault) {
                    console.line(&line)?;
                }
            }
        }
    }
    if console.is_json() {
        console.json_line(&all)?;
    }
    Ok(code)
}
