//! Step 4: policies change the plan, then judge it.

use std::collections::HashMap;

use wharf_components::{Attribution, OnError, Policy, PolicyAnswer, Subject};
use wharf_images::{FoldersPlan, ImagePlan};
use wharf_model::decision::{Question, Receipt};
use wharf_model::launch::BackendError;
use wharf_model::plan::FieldChange;
use wharf_model::{Cause, Change, ExecutionConfiguration, Judgement, Limit, Mode, Outcome, Phase, Plan, UsageEntry};

use super::permission::no;
use super::planning::{Planned, WayBack, content_key, image_plan, launch_spec};
use super::{Step, Way};
use crate::conclude::{engine_outcome, outcome};
use crate::environment;
use crate::secrets;
use crate::settings::check_resources;

/// A plan that every policy accepted. Only [`judge`] makes one.
pub(crate) struct Judged {
    plan: Plan,
    image: ImagePlan,
    limits: Vec<Limit>,
    object: serde_json::Value,
}

impl Judged {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn image(&self) -> &ImagePlan {
        &self.image
    }

    pub(crate) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The engine's object, with the image by its tag and without a ticket.
    pub(crate) fn object(&self) -> &serde_json::Value {
        &self.object
    }
}

/// What the policies answered together.
pub(crate) enum Answer {
    /// The plan stands.
    Judged(Box<Judged>),
    /// It goes to another configuration, where permission is asked again.
    Moved(Box<ExecutionConfiguration>),
}

/// Asks the mutating policies in order, then the validating ones about the result.
pub(crate) async fn judge(way: &Way, planned: Planned) -> Step<Answer> {
    let phase = way.journal.phase(Phase::Policies);
    let (mut plan, mut image, mut limits) = planned.into_parts();
    let usage = way.host.usage()?;
    let mut writers = HashMap::new();
    // Whoever writes a policy can ask it about this run, even where none was asked.
    way.journal.question("policy", "", || Question::of_policy(&plan, None, &usage));
    for policy in way.set.policies_mutating() {
        let Some(accepted) = ask(way, policy, &plan, None, &usage).await? else { continue };
        let before = plan.clone();
        if accepted.by.mode != Mode::Enforce {
            // On a copy: the record has what would have become of the plan, and nobody else sees it.
            let receipts = apply(&mut before.clone(), &accepted.changes, policy.name(), &mut writers.clone());
            accepted.note(way, receipts, &mut limits);
            continue;
        }
        let receipts = apply(&mut plan, &accepted.changes, policy.name(), &mut writers);
        if check_resources(&before.resources).is_ok()
            && let Err((_, problem)) = check_resources(&plan.resources)
        {
            let sentence =
                format!("rejected: the policy {} asked for what no engine can give: {problem}", policy.name());
            accepted.note(way, receipts, &mut limits);
            return Err(Box::new(outcome(Cause::Rejected, sentence)));
        }
        accepted.note(way, receipts, &mut limits);
        if plan.configuration.name != before.configuration.name {
            let configuration = moved(way, policy, &plan.configuration.name)?;
            phase.done();
            return Ok(Answer::Moved(Box::new(configuration)));
        }
        if plan.image != before.image {
            image = changed_image(way, policy, &before, &mut plan, image.folders).await?;
        }
    }
    plan.image_key = content_key(way.host.engines(), plan.configuration.engine.builder(), &image).await;
    let object = object(way, &plan, &image).await?;
    way.journal.question("policy", "", || Question::of_policy(&plan, Some(&object), &usage));
    for policy in way.set.policies_validating() {
        if let Some(accepted) = ask(way, policy, &plan, Some(&object), &usage).await? {
            accepted.note(way, Vec::new(), &mut limits);
        }
    }
    // After the last edit: a policy may have taken one away.
    secrets::check(way.host.secrets(), &plan).await.map_err(|error| Box::new(secrets::secret_outcome(&error)))?;
    phase.done();
    Ok(Answer::Judged(Box::new(Judged { plan, image, limits, object })))
}

struct Accepted {
    by: Attribution,
    changes: Vec<Change>,
    limits: Vec<Limit>,
    warnings: Vec<String>,
}

impl Accepted {
    fn note(self, way: &Way, changes: Vec<Receipt>, limits: &mut Vec<Limit>) {
        if self.by.mode == Mode::Enforce {
            limits.extend(self.limits.iter().cloned());
        }
        let judgement = Judgement::Accept { changes, limits: self.limits, warnings: self.warnings };
        way.decided(self.by.decision("policy", judgement));
    }
}

/// Asks one policy. `None` when it isn't about this run; when it failed and its `on_error` is `allow`; and when it said no and
/// isn't enforced.
async fn ask(
    way: &Way,
    policy: &Policy,
    plan: &Plan,
    object: Option<&serde_json::Value>,
    usage: &[UsageEntry],
) -> Step<Option<Accepted>> {
    if policy.mode_of(&Subject::of_plan(plan)) == Mode::Off {
        return Ok(None);
    }
    way.journal.question("policy", policy.name(), || Question::of_policy(plan, object, usage));
    let text = object.map(ToString::to_string);
    let call = policy.evaluate(plan, text.as_deref(), usage).await;
    let is_enforced = call.by.mode == Mode::Enforce;
    let note = |judgement| way.decided(call.by.decision("policy", judgement));
    match call.answer {
        Ok(PolicyAnswer::Accept { changes, limits, warnings }) => {
            Ok(Some(Accepted { by: call.by, changes, limits, warnings }))
        }
        Ok(PolicyAnswer::Reject { reasons }) => {
            note(Judgement::Reject { reasons: reasons.clone() });
            if !is_enforced {
                return Ok(None);
            }
            Err(Box::new(no(Cause::Rejected, "rejected", policy.name(), &reasons)))
        }
        Err(error) => {
            let message = error.to_string();
            let ignored = !is_enforced || policy.on_error() == OnError::Allow;
            note(Judgement::Error { message: message.clone(), ignored });
            if ignored {
                return Ok(None);
            }
            Err(Box::new(Outcome {
                advice: Some(format!(
                    "mend or remove policies/{name}.wasm; `on_error = \"allow\"` in policies/{name}.toml would let runs pass when it fails",
                    name = policy.name()
                )),
                ..outcome(
                    Cause::Rejected,
                    format!("rejected: the policy {} failed, and a failed policy is a no: {message}", policy.name()),
                )
            }))
        }
    }
}

/// Makes a policy's changes, and says of each field what it was, what it is now and who had written it before.
pub(crate) fn apply(
    plan: &mut Plan,
    changes: &[Change],
    policy: &str,
    writers: &mut HashMap<String, String>,
) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for change in changes {
        for FieldChange { field, before, after } in plan.apply(&change.edit) {
            let overrides = writers.insert(field.clone(), policy.to_owned()).filter(|writer| writer != policy);
            receipts.push(Receipt { change: change.clone(), field, before, after, overrides });
        }
    }
    receipts
}

/// The configuration that a policy named.
fn moved(way: &Way, policy: &Policy, name: &str) -> Step<ExecutionConfiguration> {
    way.host.home().load_configuration(name).map_err(|fault| {
        let sentence =
            format!("the policy {} sent the run to a configuration that can't be used: {fault}", policy.name());
        Box::new(Outcome { advice: fault.hint, ..outcome(Cause::Rejected, sentence) })
    })
}

/// The recipe of an image that a policy changed: another base image by its name, or more packages.
async fn changed_image(
    way: &Way,
    policy: &Policy,
    before: &Plan,
    plan: &mut Plan,
    folders: Option<FoldersPlan>,
) -> Step<ImagePlan> {
    if plan.image.name != before.image.name {
        let mut spec = way.host.home().load_base_image(&plan.image.name).map_err(|fault| {
            let sentence = format!("the policy {} asked for a base image that can't be used: {fault}", policy.name());
            Box::new(Outcome { advice: fault.hint, ..outcome(Cause::Rejected, sentence) })
        })?;
        for package in &plan.image.system_packages {
            if !before.image.system_packages.contains(package) && !spec.system_packages.contains(package) {
                spec.system_packages.push(package.clone());
            }
        }
        plan.configuration.base_image.clone_from(&spec.name);
        plan.image = spec;
    }
    // The lock of a code environment is another one over another base image.
    let loaded = environment::of_run(way.host.home(), &way.activity, &plan.job, &plan.image.name);
    let environment = loaded.map_err(|fault| Box::new(outcome(Cause::NotPrepared, fault.to_string())))?;
    plan.code_env = environment.as_ref().map(|environment| environment.spec.clone());
    image_plan(&way.set, &way.journal, &plan.image, environment, folders).await
}

/// What would be created, with a tag where the image's id isn't known before it is there.
async fn object(way: &Way, plan: &Plan, image: &ImagePlan) -> Step<serde_json::Value> {
    let fault = |error: BackendError| Box::new(engine_outcome(&error));
    let engines = way.host.engines();
    let builder = engines.docker(plan.configuration.engine.builder()).map_err(fault)?;
    let backend = engines.backend(&plan.configuration.engine.address()).map_err(fault)?;
    let keys = builder.images.keys(image).await.ok().flatten();
    let tag = match keys {
        Some(keys) => image.run_tag(&keys),
        None => format!("wharf-run/{}:not-known-before-the-pull", image.run_name()),
    };
    let address = match way.host.way_back(&way.site, plan, 1, backend.as_ref()).await {
        Ok(address) => address,
        // There is none, and there won't be one when an image has been built.
        Err(error @ BackendError::Refused { .. }) => return Err(Box::new(engine_outcome(&error))),
        // The launch will say that the engine doesn't answer; a policy can judge without it.
        Err(_) => format!("host.docker.internal:{}", way.host.exchange_port()),
    };
    let way_back = WayBack { address: &address, fingerprint: way.host.fingerprint(), ticket: "" };
    let spec = launch_spec(way.host.id(), 1, plan, &tag, way_back, way.grace_seconds())?;
    Ok(backend.object(&spec))
}
