//! `wharf policy`: components tried on runs of the past.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use futures_util::StreamExt;
use wharf::message::{Effects, Flip, FlipKind, ReplayProgress, ReplayReport, ReplayRequest, WhatIf, WhatIfRequest};
use wharf_model::decision::Judgement;
use wharf_model::{Decision, Fault};

use super::runs::filter;
use super::{Ending, open};
use crate::arguments::{GlobalArguments, RunFilterArguments};
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::explanation::value;
use crate::table::Table;
use crate::text::{counted, duration, grouped, moment};

/// How many runs are shown; `--verbose` shows all that the report has.
const SHOWN: usize = 20;

pub(super) async fn replay(
    global: &GlobalArguments,
    file: &Path,
    settings: Option<&Path>,
    of: &RunFilterArguments,
    limit: Option<u64>,
    console: &mut Console,
) -> Ending {
    let file = absolute(file)?;
    let settings = settings.map(absolute).transpose()?;
    let access = open(global).await?;
    let mut steps = access.replay(ReplayRequest { file, settings, filter: filter(of), limit });
    let spinner = console.spinner();
    spinner.start("replaying");
    let mut result = Err(Fault::new("host-fault", "the replay ended without its report"));
    while let Some(step) = steps.next().await {
        match step {
            Ok(ReplayProgress::Looked { done, total }) => {
                spinner.say(&format!("replaying: {} of {} runs", grouped(done), grouped(total)));
            }
            Ok(ReplayProgress::Done(report)) => result = Ok(report),
            Err(fault) => result = Err(fault),
        }
    }
    spinner.clear();
    drop(steps);
    access.shutdown().await;
    let report = result?;
    if console.is_json() {
        console.json_line(&report)?;
    } else {
        show(&report, global.verbose, console)?;
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn what_if(
    global: &GlobalArguments,
    run: &str,
    settings: &Path,
    component: Option<&str>,
    console: &mut Console,
) -> Ending {
    let settings = absolute(settings)?;
    let access = open(global).await?;
    let answer = async {
        let run = access.resolve_run(run).await?;
        access.what_if(WhatIfRequest { run, settings, component: component.map(str::to_owned) }).await
    };
    let answer = answer.await;
    access.shutdown().await;
    let answer = answer?;
    if console.is_json() {
        console.json_line(&answer)?;
    } else {
        for line in what_if_lines(&answer) {
            console.line(&line)?;
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// The host has a current folder of its own.
fn absolute(path: &Path) -> Result<std::path::PathBuf, Fault> {
    std::path::absolute(path)
        .map_err(|error| Fault::new("usage", format!("{} isn't a path: {error}", path.display())).hint("name a file"))
}

fn show(report: &ReplayReport, all: bool, console: &mut Console) -> io::Result<()> {
    for line in summary(report) {
        console.line(&line)?;
    }
    for (title, effects) in [("USER", &report.by_user), ("CONFIGURATION", &report.by_configuration)] {
        if effects.is_empty() {
            continue;
        }
        console.line("")?;
        for line in by(title, effects).lines(console.out()) {
            console.line(&line)?;
        }
    }
    let shown = if all { report.flips.len() } else { SHOWN.min(report.flips.len()) };
    if shown > 0 {
        console.line("")?;
        let mut table = Table::new(["RUN", "SUBMITTED", "USER", "CONFIGURATION", "WOULD BE", "WHY"]);
        for flip in &report.flips[..shown] {
            let why = for_terminal(&why(&flip.decision));
            let Flip { run, submitted_at, user, configuration, kind, .. } = flip;
            table.row([
                run.clone(),
                moment(*submitted_at),
                user.clone(),
                configuration.clone(),
                word(*kind).to_owned(),
                why,
            ]);
        }
        for line in table.lines(console.out()) {
            console.line(&line)?;
        }
        let more = report.flips.len() as u64 - shown as u64 + report.not_listed;
        if more > 0 {
            let hint = if report.not_listed == 0 { "; --verbose shows them" } else { "; --json has more of them" };
            console.line(&console.out().paint(Tone::Quiet, &format!("and {} more{hint}", grouped(more))))?;
        }
    }
    Ok(())
}

/// What came of it, in sentences.
fn summary(report: &ReplayReport) -> Vec<String> {
    let ReplayReport { component, version, world, runs, replayed, effects, .. } = report;
    let mut lines = vec![format!(
        "{component} {version} ({world}) was asked about {} of {} in {}",
        grouped(*replayed),
        counted_grouped(*runs),
        duration(report.millis)
    )];
    if report.is_audited {
        lines.push("  it isn't enforced (see `mode` in its TOML file): none of this would count yet".to_owned());
    }
    for (count, text) in [
        (effects.refused, "would have been refused, and passed"),
        (effects.refused_anyway, "would have been refused, as somebody else did anyway"),
        (effects.allowed, "would have passed, and it refused them"),
        (effects.changed, "would have been changed otherwise than they were"),
        (effects.limited, "would have counted in other limits"),
        (replayed.saturating_sub(effects.total()), "would have gone as they went"),
    ] {
        if count > 0 {
            lines.push(format!("  {:>7} {text}", grouped(count)));
        }
    }
    if report.failed > 0 {
        lines.push(format!("  {:>7} times it failed", grouped(report.failed)));
    }
    if let Some(why) = &report.gave_up {
        lines.push(format!("  {why}"));
    }
    for some in &report.not_replayed {
        let example = for_terminal(&some.example);
        lines.push(format!("  {:>7} could not be replayed: {} (such as {example})", grouped(some.runs), some.why));
    }
    if !report.fields.is_empty() {
        let fields = report.fields.iter().map(|(field, runs)| format!("{} ({})", for_terminal(field), grouped(*runs)));
        lines.push(format!("  fields: {}", fields.collect::<Vec<_>>().join(", ")));
    }
    if let Some(mean) = report.component_micros.checked_div(*replayed) {
        lines.push(format!("  a call took {mean} µs on average, the slowest {} µs", report.slowest_micros));
    }
    lines
}

fn counted_grouped(runs: u64) -> String {
    if runs == 1 { counted(1, "run") } else { format!("{} runs", grouped(runs)) }
}

fn by(title: &'static str, effects: &BTreeMap<String, Effects>) -> Table {
    let mut table = Table::new([title, "REFUSED", "REFUSED ANYWAY", "ALLOWED", "CHANGED", "LIMITS"]);
    let mut rows: Vec<_> = effects.iter().collect();
    rows.sort_by_key(|(_, effects)| std::cmp::Reverse(effects.total()));
    for (name, effects) in rows {
        let number = |count| if count == 0 { String::new() } else { grouped(count) };
        table.row([
            name.clone(),
            number(effects.refused),
            number(effects.refused_anyway),
            number(effects.allowed),
            number(effects.changed),
            number(effects.limited),
        ]);
    }
    table
}

fn word(kind: FlipKind) -> &'static str {
    match kind {
        FlipKind::Refused => "refused",
        FlipKind::RefusedAnyway => "refused anyway",
        FlipKind::Allowed => "allowed",
        FlipKind::Changed => "changed",
        FlipKind::Limited => "limited",
    }
}

/// What the component said, on one line.
fn why(decision: &Decision) -> String {
    match &decision.judgement {
        Judgement::Accept { changes, limits, .. } if changes.is_empty() => {
            limits.iter().map(crate::text::limit).collect::<Vec<_>>().join("; ")
        }
        Judgement::Accept { changes, .. } => {
            let texts = changes
                .iter()
                .map(|receipt| format!("{} {} → {}", receipt.field, value(&receipt.before), value(&receipt.after)));
            texts.collect::<Vec<_>>().join("; ")
        }
        Judgement::Reject { reasons } => {
            let texts: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
            texts.join("; ")
        }
        Judgement::Error { message, .. } => format!("it {message}"),
    }
}

fn what_if_lines(answer: &WhatIf) -> Vec<String> {
    let mut lines = vec![
        format!("run {} with other settings of {}", answer.run, answer.component),
        format!("  then  {}", for_terminal(&answer.then)),
        format!("  now   {}", for_terminal(&answer.now)),
    ];
    if answer.differences.is_empty() {
        lines.push("nothing differs".to_owned());
    }
    for difference in &answer.differences {
        let by = difference.by.as_ref().map_or_else(String::new, |by| format!(" (by {})", for_terminal(by)));
        let (then, now) = (value(&difference.then), value(&difference.now));
        lines.push(format!("{}: {then} → {now}{by}", for_terminal(&difference.what)));
    }
    lines.extend(answer.notes.iter().map(|note| format!("note: {}", for_terminal(note))));
    lines
}

#[cfg(test)]
mod tests {
    use wharf::message::{Difference, NotReplayed};

    use super::*;

    #[test]
    fn a_replay_is_told_in_sentences() {
        let report = ReplayReport {
            component: "cap".to_owned(),
            version: "1.0.0".to_owned(),
            world: "policy (validating)".to_owned(),
            runs: 5_012,
            replayed: 5_000,
            effects: Effects { refused: 3, changed: 40, ..Effects::default() },
            fields: [("resources.memory".to_owned(), 40)].into(),
            not_replayed: vec![NotReplayed {
                why: "it ended before there was a plan to judge".to_owned(),
                runs: 12,
                example: "abc".to_owned(),
            }],
            component_micros: 250_000,
            slowest_micros: 900,
            millis: 1_500,
            ..ReplayReport::default()
        };
        assert_eq!(
            summary(&report),
            [
                "cap 1.0.0 (policy (validating)) was asked about 5,000 of 5,012 runs in 1.5 s",
                "        3 would have been refused, and passed",
                "       40 would have been changed otherwise than they were",
                "    4,957 would have gone as they went",
                "       12 could not be replayed: it ended before there was a plan to judge (such as abc)",
                "  fields: resources.memory (40)",
                "  a call took 50 µs on average, the slowest 900 µs",
            ]
        );
    }

    #[test]
    fn a_what_if_says_what_differs() {
        let answer = WhatIf {
            run: "abc".to_owned(),
            component: "cap".to_owned(),
            then: "accepted".to_owned(),
            now: "rejected by cap".to_owned(),
            differences: vec![Difference {
                what: "resources.memory".to_owned(),
                then: Some("8g".to_owned()),
                now: None,
                by: Some("cap, rule memory".to_owned()),
            }],
            decisions: vec![],
            notes: vec!["other has other settings than then".to_owned()],
        };
        assert_eq!(
            what_if_lines(&answer),
            [
                "run abc with other settings of cap",
                "  then  accepted",
                "  now   rejected by cap",
                "resources.memory: 8g → (none) (by cap, rule memory)",
                "note: other has other settings than then",
            ]
        );
    }
}
