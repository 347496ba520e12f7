//! The trial of one component: its own cases, and the runs of the past.

use std::path::Path;

use wharf_components::{Candidate, ComponentInfo, ComponentSet, FilePrint, Gate};
use wharf_model::{Fault, Mode};

use super::Verdict;
use crate::cases::{self, CaseOptions, Subject};
use crate::conclude::sentence_of;
use crate::replay::{Replay, ReplayReport, ReplayRequest};
use crate::settings::Home;
use crate::store::{RunFilter, Store};

/// How many of the runs that would go otherwise are named.
const SHOWN: usize = 3;

/// Tries a component's files, and says whether they may come into force.
pub(super) async fn run(home: &Home, store: &Store, set: &ComponentSet, file: &Path, print: &FilePrint) -> Verdict {
    tracing::info!(component = %file.display(), "its trial begins");
    let verdict = match attempt(home, store, set, file).await {
        Ok(()) if FilePrint::of(file) == *print => Verdict::Cleared { by: "trial" },
        Ok(()) => Verdict::Held { reason: "its files changed while it was tried".to_owned() },
        Err(reason) => Verdict::Held { reason },
    };
    match &verdict {
        Verdict::Cleared { .. } => tracing::info!(component = %file.display(), "it passed its trial"),
        Verdict::Held { reason } => tracing::error!(component = %file.display(), "it is held back: {reason}"),
    }
    verdict
}

async fn attempt(home: &Home, store: &Store, set: &ComponentSet, file: &Path) -> Result<(), String> {
    let told = |fault: Fault| fault.to_string();
    let rules = home.load_site().map_err(told)?.canary;
    let engine = set.engine().with_gate(Gate { is_trial: true, ..set.gate().clone() });
    let path = file.to_owned();
    let load = move || match Candidate::load(&engine, &path, None) {
        Ok(candidate) => Ok((candidate.info().clone(), Some(candidate))),
        // It makes something: there is nothing of the past to ask it about.
        Err(fault) if fault.code == "component-judges-nothing" => {
            ComponentSet::check(&engine, &path).map(|info| (info, None))
        }
        Err(fault) => Err(fault),
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(|_| "loading it failed".to_owned())?;
    let (info, candidate) = loaded.map_err(told)?;
    own_cases(home, &info).await?;
    let Some(candidate) = candidate.filter(|_| info.application.mode == Mode::Enforce) else { return Ok(()) };
    let request = ReplayRequest {
        file: info.file.clone(),
        settings: None,
        filter: RunFilter::default(),
        limit: Some(rules.runs),
    };
    let report = Replay::new(store, set, &candidate).over(&request, |_, _| {}).await;
    judge(&report.map_err(|error| sentence_of(&error))?, &info.file, rules.max_flips)
}

/// Runs the cases in the folder `NAME.cases` beside it. Without that folder there are none.
async fn own_cases(home: &Home, info: &ComponentInfo) -> Result<(), String> {
    let cases = info.source.with_extension("cases");
    if !cases.is_dir() {
        return Ok(());
    }
    let subject = Subject {
        name: info.name.clone(),
        file: info.file.clone(),
        cases,
        toml: info.source.with_extension("toml"),
        root: home.root().to_owned(),
    };
    let results = cases::run(&subject, &CaseOptions::default(), |_| {}).await.map_err(|fault| fault.to_string())?;
    let failed: Vec<&str> = results.iter().filter(|case| !case.is_well()).map(|case| case.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("of its {} cases {} failed: {}", results.len(), failed.len(), failed.join(", ")))
}

/// Whether what it would have said to runs of the past lets it in.
fn judge(report: &ReplayReport, file: &Path, max_flips: u64) -> Result<(), String> {
    if report.failed > 0 {
        return Err(format!("asked about {} recorded runs, it failed {} times", report.replayed, report.failed));
    }
    // What somebody else refused anyway goes as it went.
    let flips = report.effects.total() - report.effects.refused_anyway;
    if flips <= max_flips {
        return Ok(());
    }
    let effects = report.effects;
    let kinds = [
        (effects.refused, "refused"),
        (effects.allowed, "let pass"),
        (effects.changed, "changed"),
        (effects.limited, "put under other limits"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let runs: Vec<&str> = report.flips.iter().take(SHOWN).map(|flip| flip.run.as_str()).collect();
    Err(format!(
        "it flips {flips} of {} recorded runs ({}), such as {}, and {max_flips} may; `wharf policy replay {}` shows them all",
        report.replayed,
        kinds.join(", "),
        runs.join(", "),
        file.display()
    ))
}
