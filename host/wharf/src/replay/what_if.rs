//! One run of the past, through the whole chain, with other settings for one component.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use wharf_components::{Candidate, ComponentInfo, ComponentSet, Permission, Policy, PolicyRole, Request, Subject};
use wharf_model::{Activity, Decision, Fault, Judgement, Limit, Mode, Plan};

use super::past::{Round, moved_to, passes, rounds};
use super::{Difference, NOT_RECORDED, WhatIf, WhatIfRequest, ask};
use crate::conclude::sentence_of;
use crate::host::{Inner, no_such_run, store_fault};
use crate::way::permission::missing;
use crate::way::planning::{WayBack, launch_spec};

/// Chosen by nobody: stands for an image whose tag only its engine could say.
const NO_TAG: &str = "not-known-without-the-engine";

impl Inner {
    /// How a run would have been judged with other settings of one component.
    pub(crate) async fn what_if(&self, request: &WhatIfRequest) -> Result<WhatIf, Fault> {
        let set = self.set().await;
        let (name, file) = subject(&set, request)?;
        let (engine, settings) = (set.engine().clone(), request.settings.clone());
        let candidate = tokio::task::spawn_blocking(move || Candidate::load(&engine, &file, Some(&settings)))
            .await
            .map_err(|_| Fault::new("component-invalid", format!("loading {name} failed")))??;
        let details = self.store().details(&request.run).map_err(|error| store_fault(&error))?;
        let details = details.ok_or_else(|| no_such_run(&request.run))?;
        let past = rounds(self.store(), &request.run).map_err(|error| store_fault(&error))?;
        if past.is_empty() {
            return Err(Fault::new(
                "run-not-replayable",
                format!("run {} can't be judged again: {NOT_RECORDED}", request.run),
            )
            .hint("`wharf explain` with the activity's file says what would happen now"));
        }
        let grace = self.home().load_site()?.runs.grace.as_secs();
        let grace_seconds = u32::try_from(grace).unwrap_or(u32::MAX);
        let chain = Chain { host: self, set: &set, candidate: &candidate, grace_seconds };
        let mut notes = chain.others_than_then(&past);
        let mut decisions = Vec::new();
        let mut end = String::new();
        let mut last = None;
        let mut used = 0;
        for (number, round) in past.iter().enumerate() {
            used = number + 1;
            let now = chain.round(&request.run, &details.activity, round, &mut notes).await;
            decisions.extend(now.decisions.iter().cloned());
            let moved = now.decisions.last().and_then(moved_to).map(str::to_owned);
            end = now.end;
            last = now.plan;
            match (moved, past.get(number + 1)) {
                (Some(name), Some(next))
                    if next.permission().is_some_and(|(configuration, _)| configuration.name == name) => {}
                (Some(name), _) => {
                    notes.push(format!(
                        "what happens under {name} isn't in the record of this run: `wharf explain` says what would happen now"
                    ));
                    break;
                }
                (None, _) => break,
            }
        }
        let then: Vec<Decision> = past.iter().flat_map(|round| round.decisions.iter().cloned()).collect();
        let mut differences = answers(&then, &decisions);
        // Plans of one round; where the ways part before that, the answers say so.
        let before = past.get(used.saturating_sub(1)).and_then(Round::last_plan);
        if let (Some(before), Some(now)) = (before, &last) {
            differences.extend(fields(&before, now, &decisions));
        }
        differences.extend(limits(&then, &decisions));
        Ok(WhatIf {
            run: request.run.clone(),
            component: candidate.info().name.clone(),
            then: ended(&then),
            now: end,
            differences,
            decisions,
            notes,
        })
    }
}

/// The component whose settings are others, and its file.
fn subject(set: &ComponentSet, request: &WhatIfRequest) -> Result<(String, PathBuf), Fault> {
    let stem = || request.settings.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = request.component.clone().or_else(stem).unwrap_or_default();
    match set.components().iter().find(|info| info.name == name) {
        Some(info) => Ok((name, info.source.clone())),
        None => {
            let judges = set.components().iter().filter(|info| judges(info)).map(|info| info.name.as_str());
            let names: Vec<&str> = judges.collect();
            Err(Fault::new("component-not-found", format!("no component called \"{name}\" is loaded"))
                .hint(format!("say whose settings these are with --component: {}", names.join(", "))))
        }
    }
}

fn judges(info: &ComponentInfo) -> bool {
    matches!(info.world, wharf_components::World::Permission | wharf_components::World::Policy)
}

/// The components that are loaded now, with one in another's place.
struct Chain<'a> {
    host: &'a Inner,
    set: &'a ComponentSet,
    candidate: &'a Candidate,
    grace_seconds: u32,
}

/// What became of a round.
struct Judged {
    decisions: Vec<Decision>,
    end: String,
    plan: Option<Plan>,
}

impl Chain<'_> {
    fn permission(&self, name: &str) -> Option<&Permission> {
        match self.candidate {
            Candidate::Permission(permission) if permission.name() == name => Some(permission),
            _ => self.set.permission(name),
        }
    }

    fn policies(&self, role: PolicyRole) -> Vec<&Policy> {
        let all = self.set.policies_mutating().iter().chain(self.set.policies_validating());
        let name = &self.candidate.info().name;
        let mut policies: Vec<&Policy> = all.filter(|policy| policy.name() != name).collect();
        if let Candidate::Policy(policy) = self.candidate {
            policies.push(policy);
        }
        policies.retain(|policy| policy.role() == role);
        policies.sort_by_key(|policy| (policy.info().order, policy.name().to_owned()));
        policies
    }

    async fn round(&self, run: &str, activity: &Activity, round: &Round, notes: &mut Vec<String>) -> Judged {
        let mut decisions = Vec::new();
        let Some((configuration, question)) = round.permission() else {
            notes.push("no permission component was asked then".to_owned());
            return Judged { decisions, end: "not judged".to_owned(), plan: None };
        };
        let request = Request::of_activity(run, activity, configuration);
        let mut is_decided = false;
        for name in &configuration.checks {
            decisions.push(match self.permission(name) {
                Some(check) if check.mode_of(&Subject::of_request(&request)) == Mode::Off => continue,
                Some(check) => check.check(&request, &question.usage).await,
                None => missing("permission", name, "it isn't loaded now"),
            });
            is_decided |= decisions.last().is_some_and(Decision::is_enforced);
            if let Some(judged) = stopped(&mut decisions, None) {
                return judged;
            }
        }
        if !is_decided {
            return Judged { decisions, end: "refused: no permission check decides".to_owned(), plan: None };
        }
        let Some((mut plan, usage)) = round.plans().next().map(|asked| (asked.plan.clone(), &asked.question.usage))
        else {
            notes.push("there was no plan then, so policies can't be asked".to_owned());
            return Judged { decisions, end: "allowed; there was no plan then to judge".to_owned(), plan: None };
        };
        let mut writers = HashMap::new();
        for policy in self.policies(PolicyRole::Mutating) {
            if policy.mode_of(&Subject::of_plan(&plan)) == Mode::Off {
                continue;
            }
            let before = plan.clone();
            decisions.push(ask::policy(policy, &mut plan, None, usage, &mut writers).await);
            if let Some(judged) = stopped(&mut decisions, Some(&plan)) {
                return judged;
            }
            if plan.configuration.name != before.configuration.name {
                let end = format!("sent to {}", plan.configuration.name);
                return Judged { decisions, end, plan: Some(plan) };
            }
            if plan.image.name != before.image.name {
                self.change_image(policy, round, &mut plan, notes);
            }
        }
        let object = self.object(round, &mut plan, notes);
        for policy in self.policies(PolicyRole::Validating) {
            if policy.mode_of(&Subject::of_plan(&plan)) == Mode::Off {
                continue;
            }
            decisions.push(ask::policy(policy, &mut plan, object.as_deref(), usage, &mut writers).await);
            if let Some(judged) = stopped(&mut decisions, Some(&plan)) {
                return judged;
            }
        }
        Judged { decisions, end: "accepted".to_owned(), plan: Some(plan) }
    }

    /// Puts the rest of a base image into the plan that a policy named by its name alone.
    fn change_image(&self, policy: &Policy, round: &Round, plan: &mut Plan, notes: &mut Vec<String>) {
        if let Some(then) = round.plan_after(policy.name(), &plan.image.name) {
            plan.configuration.base_image.clone_from(&then.configuration.base_image);
            plan.image.clone_from(&then.image);
            plan.code_env.clone_from(&then.code_env);
            return;
        }
        match self.host.home().load_base_image(&plan.image.name) {
            Ok(spec) => {
                plan.configuration.base_image.clone_from(&spec.name);
                plan.image = spec;
            }
            Err(fault) => notes.push(format!("the base image that {} names can't be used: {fault}", policy.name())),
        }
    }

    /// The engine's object as validating policies see it: the recorded one, or one for a plan that is another now.
    fn object(&self, round: &Round, plan: &mut Plan, notes: &mut Vec<String>) -> Option<String> {
        let recorded = round.judged().map(|(then, object, _)| (then, object));
        let same_image = recorded.is_some_and(|(then, _)| then.image == plan.image && then.code_env == plan.code_env);
        plan.image_key = recorded.filter(|_| same_image).and_then(|(then, _)| then.image_key.clone());
        if let Some((then, object)) = recorded
            && *then == *plan
        {
            return Some(object.to_string());
        }
        let name = &plan.image.name;
        let tag = recorded.filter(|_| same_image).and_then(|(_, object)| image_of(object)).unwrap_or_else(|| {
            notes.push(format!("the tag and the key of the image over {name} aren't known without its engine"));
            format!("wharf-run/{name}:{NO_TAG}")
        });
        let address = format!("host.docker.internal:{}", self.host.exchange_port());
        let way_back = WayBack { address: &address, fingerprint: self.host.fingerprint(), ticket: "" };
        let made = launch_spec(self.host.id(), 1, plan, &tag, way_back, self.grace_seconds);
        let backend = self.host.engines().backend(&plan.configuration.engine.address());
        let why = match (made, backend) {
            (Ok(spec), Ok(backend)) => return Some(backend.object(&spec).to_string()),
            (Err(end), _) => end.sentence,
            (_, Err(error)) => sentence_of(&error),
        };
        notes.push(format!("policies were asked without the engine's object: {why}"));
        None
    }

    /// Which other components aren't what they were.
    fn others_than_then(&self, past: &[Round]) -> Vec<String> {
        let mut notes = BTreeSet::new();
        let mut asked = BTreeSet::new();
        for decision in past.iter().flat_map(|round| &round.decisions) {
            let name = decision.component.as_str();
            asked.insert(name);
            if !matches!(decision.step.as_str(), "permission" | "policy") {
                continue;
            }
            match self.set.components().iter().find(|info| info.name == name) {
                None => notes.insert(format!("{name} isn't loaded any more")),
                Some(_) if decision.digest.is_empty() => notes.insert(format!("{name} wasn't loaded then")),
                Some(info) if info.digest != decision.digest => notes.insert(format!(
                    "{name} is another file than then: {} then, {} now",
                    decision.version, info.version
                )),
                Some(info)
                    if name != self.candidate.info().name && info.settings_digest != decision.settings_digest =>
                {
                    notes.insert(format!("{name} has other settings than then"))
                }
                Some(_) => false,
            };
        }
        let end = past
            .iter()
            .any(|round| round.decisions.iter().any(|decision| !passes(&decision.judgement) && decision.is_enforced()));
        if !end {
            let new = self.set.components().iter().filter(|info| info.role.is_some());
            for info in new.filter(|info| !asked.contains(info.name.as_str())) {
                notes.insert(format!("{} wasn't asked then", info.name));
            }
        }
        notes.into_iter().collect()
    }
}

/// The image by which an engine's object names it: a container's, or that of a Job's pod.
fn image_of(object: &serde_json::Value) -> Option<String> {
    let image = object.get("Image").or_else(|| object.pointer("/spec/template/spec/containers/0/image"))?;
    image.as_str().map(str::to_owned)
}

/// The end of a round, if its last decision is one.
fn stopped(decisions: &mut Vec<Decision>, plan: Option<&Plan>) -> Option<Judged> {
    let last = decisions.last()?;
    if passes(&last.judgement) || !last.is_enforced() {
        return None;
    }
    let end = format!("{} by {}", verb(last), last.component);
    Some(Judged { decisions: std::mem::take(decisions), end, plan: plan.cloned() })
}

fn verb(decision: &Decision) -> &'static str {
    if decision.step == "permission" { "refused" } else { "rejected" }
}

/// How recorded decisions ended.
fn ended(decisions: &[Decision]) -> String {
    let no = |decision: &&Decision| !passes(&decision.judgement) && decision.is_enforced();
    match decisions.iter().find(no) {
        Some(decision) => format!("{} by {}", verb(decision), decision.component),
        None => "accepted".to_owned(),
    }
}

/// Which components answer otherwise. Of several answers in several rounds, the last.
fn answers(then: &[Decision], now: &[Decision]) -> Vec<Difference> {
    fn said(decisions: &[Decision]) -> BTreeMap<&str, String> {
        let judging = decisions.iter().filter(|decision| matches!(decision.step.as_str(), "permission" | "policy"));
        judging.map(|decision| (decision.component.as_str(), verdict(decision))).collect()
    }
    let (then, now) = (said(then), said(now));
    let names: BTreeSet<&str> = then.keys().chain(now.keys()).copied().collect();
    let differences = names.into_iter().filter(|name| then.get(name) != now.get(name)).map(|name| Difference {
        what: name.to_owned(),
        then: then.get(name).cloned(),
        now: now.get(name).cloned(),
        by: None,
    });
    differences.collect()
}

fn verdict(decision: &Decision) -> String {
    match &decision.judgement {
        Judgement::Accept { .. } => "accepted".to_owned(),
        Judgement::Reject { reasons } => {
            let sentences: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
            format!("{}: {}", verb(decision), sentences.join("; "))
        }
        Judgement::Error { message, ignored: true } => format!("failed, which was passed over: {message}"),
        Judgement::Error { message, ignored: false } => format!("failed: {message}"),
    }
}

/// Which fields of the plan are others at the end.
fn fields(then: &Plan, now: &Plan, decisions: &[Decision]) -> Vec<Difference> {
    let (then, now) = (then.fields(), now.fields());
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| then.get(*name) != now.get(*name));
    changed
        .map(|name| Difference {
            what: name.clone(),
            then: then.get(name).cloned(),
            now: now.get(name).cloned(),
            by: decisions.iter().rev().filter(|decision| decision.is_enforced()).find_map(|decision| {
                let Judgement::Accept { changes, .. } = &decision.judgement else { return None };
                let receipt = changes.iter().rev().find(|receipt| receipt.field == *name)?;
                Some(format!("{}, rule {}", decision.component, receipt.change.rule))
            }),
        })
        .collect()
}

/// Which limits are others.
fn limits(then: &[Decision], now: &[Decision]) -> Option<Difference> {
    fn all(decisions: &[Decision]) -> Vec<&Limit> {
        let enforced = decisions.iter().filter(|decision| decision.is_enforced());
        let limits = enforced.filter_map(|decision| match &decision.judgement {
            Judgement::Accept { limits, .. } => Some(limits),
            _ => None,
        });
        limits.flatten().collect()
    }
    let (then, now) = (all(then), all(now));
    let show = |limits: &[&Limit]| {
        let texts = limits.iter().map(|limit| format!("{} {} for {}", limit.counter, limit.maximum, limit.scope));
        let text = texts.collect::<Vec<_>>().join("; ");
        Some(text).filter(|text| !text.is_empty())
    };
    (then != now).then(|| Difference { what: "limits".to_owned(), then: show(&then), now: show(&now), by: None })
}
