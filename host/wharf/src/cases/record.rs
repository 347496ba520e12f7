//! Making a case out of a run that happened.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use wharf_components::{ComponentInfo, PolicyRole, World};
use wharf_model::decision::{Question, Receipt};
use wharf_model::{Activity, Change, Decision, Fault, Judgement};

use super::ask::WHOLE;
use super::{Subject, describe, pretty};
use crate::message::RecordedRun;

/// A case that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedCase {
    /// Its folder.
    pub folder: PathBuf,
    /// The files in it.
    pub files: Vec<String>,
    /// Whether what it expects is what the component answered in that run; else there is none yet, since it wasn't asked.
    pub expects_recorded: bool,
}

/// Makes a case out of a run: what the component was asked then, exactly as it saw it; or, for one that wasn't in the home, what
/// one of its kind would have been asked.
///
/// `into` is the new folder; without one, it is `run-ID` among the component's cases.
///
/// # Errors
/// The component can't be loaded, the run has nothing for one of its kind, or the folder is there already.
pub async fn record(subject: &Subject, run: &RecordedRun, into: Option<&Path>) -> Result<RecordedCase, Fault> {
    let info = describe(subject).await?;
    let short: String = run.run.chars().take(8).collect();
    let folder = into.map_or_else(|| subject.cases.join(format!("run-{short}")), Path::to_owned);
    let mut files = inputs(&info, run)?;
    let decision = run.decisions.iter().rfind(|decision| decision.component == info.name);
    let expected = decision.and_then(|decision| expected(info.world, decision));
    let expects_recorded = expected.is_some();
    files.extend(expected.map(|answer| ("expected.json", answer)));
    if folder.exists() {
        return Err(Fault::new("case-exists", "there is such a case already")
            .at(&folder, None)
            .hint("remove it, or name another folder with --into DIR"));
    }
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        files.iter().try_for_each(|(name, value)| fs::write(folder.join(name), pretty(value)))
    };
    written()
        .map_err(|error| Fault::new("file-unwritable", format!("it can't be written: {error}")).at(&folder, None))?;
    Ok(RecordedCase { files: files.into_iter().map(|(name, _)| name.to_owned()).collect(), folder, expects_recorded })
}

/// The files that say what was asked.
fn inputs(info: &ComponentInfo, run: &RecordedRun) -> Result<Vec<(&'static str, Value)>, Fault> {
    match info.world {
        World::RegistryHook => {
            let message = "registry hooks have no cases: what they answer depends on the registry that they ask";
            Err(Fault::new("case-not-recorded", message).hint("take a component of another kind"))
        }
        World::Permission => {
            let question = question(info, run, |question| question.activity.is_some())?;
            let request = json!({
                WHOLE: true,
                "run": run.run,
                "activity": question.activity,
                "configuration": question.configuration,
            });
            Ok(with_usage(vec![("request.json", request)], question))
        }
        World::Policy => {
            let validating = info.role == Some(PolicyRole::Validating);
            let question =
                question(info, run, |question| question.plan.is_some() && question.object.is_some() == validating)?;
            let mut plan = json!(question.plan);
            plan[WHOLE] = true.into();
            let mut files = vec![("plan.json", plan)];
            files.extend(question.object.clone().map(|object| ("object.json", object)));
            Ok(with_usage(files, question))
        }
        World::RecipeAdapter => {
            let mut activity = json!(seen_by_adapter(run));
            activity[WHOLE] = true.into();
            Ok(vec![("activity.json", activity)])
        }
        World::ImageRecipe => {
            let plan = run.plan.as_ref().ok_or_else(|| {
                Fault::new("case-not-recorded", format!("the run {} has no plan: it ended before it had one", run.run))
            })?;
            let mut spec = json!(plan.image);
            spec[WHOLE] = true.into();
            let mut files = vec![("spec.json", spec)];
            files.extend(plan.code_env.as_ref().map(|environment| ("environment.json", json!(environment))));
            Ok(files)
        }
    }
}

fn with_usage(mut files: Vec<(&'static str, Value)>, question: &Question) -> Vec<(&'static str, Value)> {
    if !question.usage.is_empty() {
        files.push(("usage.json", json!(question.usage)));
    }
    files
}

/// What the component was asked, the last time in this run; else what one of its kind was asked.
fn question<'a>(
    info: &ComponentInfo,
    run: &'a RecordedRun,
    fits: impl Fn(&Question) -> bool,
) -> Result<&'a Question, Fault> {
    let fitting = || run.questions.iter().filter(|recorded| fits(&recorded.question));
    let own = fitting().rfind(|recorded| recorded.component == info.name);
    // A mutating policy that wasn't there would have been the first; a validating one sees what all of them see.
    let of_its_kind = || fitting().next();
    own.or_else(of_its_kind).map(|recorded| &recorded.question).ok_or_else(|| {
        let message = if run.questions.is_empty() {
            format!("the run {} was recorded by a host that didn't keep what components are asked", run.run)
        } else {
            format!("the run {} came to no {} component: it ended before", run.run, info.world)
        };
        Fault::new("case-not-recorded", message).hint("take another run: `wharf runs` lists them")
    })
}

/// An activity as adapters see it, with the parameters that were accepted.
fn seen_by_adapter(run: &RecordedRun) -> Activity {
    let without = |binding: &wharf_model::Binding| wharf_model::Binding {
        place: wharf_model::Place { path: "/".into() },
        ..binding.clone()
    };
    let mut activity = run.activity.clone();
    activity.inputs = activity.inputs.iter().map(without).collect();
    activity.outputs = activity.outputs.iter().map(without).collect();
    if let Some(plan) = run.plan.as_ref().filter(|_| activity.parameters.is_empty()) {
        activity.parameters.clone_from(&plan.parameters);
    }
    activity
}

/// A recorded decision as a case expects it. Jobs and image recipes aren't part of the record.
fn expected(world: World, decision: &Decision) -> Option<Value> {
    match (world, &decision.judgement) {
        (World::Permission, judgement) => Some(json!(judgement)),
        (World::Policy, Judgement::Accept { changes, limits, warnings }) => {
            Some(json!({ "accept": { "changes": edits(changes), "limits": limits, "warnings": warnings } }))
        }
        (World::Policy, Judgement::Reject { reasons }) => Some(json!({ "reject": reasons })),
        (World::Policy, Judgement::Error { message, .. }) => Some(json!({ "error": message })),
        (World::RecipeAdapter | World::ImageRecipe | World::RegistryHook, _) => None,
    }
}

/// The changes that a policy asked for: one that changed two fields has two receipts.
fn edits(receipts: &[Receipt]) -> Vec<&Change> {
    let mut changes: Vec<&Change> = Vec::new();
    for receipt in receipts {
        if changes.last() != Some(&&receipt.change) {
            changes.push(&receipt.change);
        }
    }
    changes
}
