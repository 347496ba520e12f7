//! What happened to one field of a run's plan, and by whom.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{Activity, Fault, Job, Judgement, Plan};

use crate::host::{Inner, no_such_run, store_fault};
use crate::replay::{Round, rounds};

/// What happened to one field of a run's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldHistory {
    /// The run.
    pub run: String,
    /// The field, in full: `resources.memory`.
    pub field: String,
    /// Round by round: one, and one more each time that a policy sent the run to another execution configuration.
    pub rounds: Vec<FieldRound>,
}

/// What happened to a field under one execution configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldRound {
    /// The execution configuration.
    pub configuration: String,
    /// What it was before any policy; none when it wasn't there.
    pub before: Option<String>,
    /// Where that came from: `activity`, `configuration`, `recipe adapter`, `base image` or `host`.
    pub from: Option<String>,
    /// Every edit of it, in order.
    pub edits: Vec<FieldEdit>,
    /// What policies and checks objected to about it.
    pub objections: Vec<FieldObjection>,
    /// What it was in the end; none when it wasn't there.
    pub after: Option<String>,
}

/// One edit of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldEdit {
    /// The policy.
    pub component: String,
    /// Its rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// What the field was.
    pub before: Option<String>,
    /// What it became.
    pub after: Option<String>,
}

/// One objection to a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldObjection {
    /// The component.
    pub component: String,
    /// Its rule.
    pub rule: String,
    /// Why.
    pub message: String,
}

impl Inner {
    /// What happened to one field of a run's plan. `asked` is the field's name, or what follows its first dot.
    pub(crate) fn field(&self, run: &str, asked: &str) -> Result<FieldHistory, Fault> {
        let store = self.store();
        let details = store.details(run).map_err(|error| store_fault(&error))?.ok_or_else(|| no_such_run(run))?;
        let past = rounds(store, run).map_err(|error| store_fault(&error))?;
        if past.is_empty() {
            return Err(Fault::new(
                "run-not-replayable",
                format!("the record of run {run} doesn't have its plan as it was before policies saw it"),
            )
            .hint(format!("`wharf explain {run}` shows all that is recorded of it")));
        }
        let known: BTreeSet<String> = past.iter().flat_map(fields_of).collect();
        let field = resolve(&known, asked)?;
        let job = details.plan.as_ref().map(|plan| &plan.job);
        let rounds = past.iter().map(|round| history(round, &details.activity, job, &field)).collect();
        Ok(FieldHistory { run: run.to_owned(), field, rounds })
    }
}

/// All fields that a round's plan had at any time, or that were objected to.
fn fields_of(round: &Round) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for plan in round.plans().next().map(|asked| asked.plan.clone()).into_iter().chain(round.last_plan()) {
        fields.extend(plan.fields().into_keys());
    }
    for decision in &round.decisions {
        match &decision.judgement {
            Judgement::Accept { changes, .. } => fields.extend(changes.iter().map(|receipt| receipt.field.clone())),
            Judgement::Reject { reasons } => fields.extend(reasons.iter().filter_map(|reason| reason.field.clone())),
            Judgement::Error { .. } => {}
        }
    }
    // Fields that may be absent and have names of their own.
    fields.insert("time-limit".to_owned());
    fields.extend(["resources.memory", "resources.cpus"].map(str::to_owned));
    fields
}

/// The field that a person means.
fn resolve(known: &BTreeSet<String>, asked: &str) -> Result<String, Fault> {
    let plain = |text: &str| text.replace('_', "-").to_lowercase();
    let asked_plain = plain(asked);
    let whole =
        known.iter().find(|field| *field == asked).or_else(|| known.iter().find(|field| plain(field) == asked_plain));
    if let Some(field) = whole {
        return Ok(field.clone());
    }
    let short: Vec<&String> = known
        .iter()
        .filter(|field| field.split_once('.').is_some_and(|(_, rest)| plain(rest) == asked_plain))
        .collect();
    let list = |fields: &mut dyn Iterator<Item = &String>| fields.map(String::as_str).collect::<Vec<_>>().join(", ");
    match short.as_slice() {
        [field] => Ok((*field).clone()),
        [] => Err(Fault::new("field-unknown", format!("the plan of this run has no field \"{asked}\""))
            .hint(format!("it has: {}", list(&mut known.iter())))),
        several => Err(Fault::new("field-unknown", format!("more than one field is called {asked}"))
            .hint(format!("say which: {}", list(&mut several.iter().copied())))),
    }
}

fn history(round: &Round, activity: &Activity, job: Option<&Job>, field: &str) -> FieldRound {
    let plan = round.plans().next().map(|asked| asked.plan);
    let before = plan.and_then(|plan| plan.fields().remove(field));
    let from = plan.filter(|_| before.is_some()).map(|plan| source(plan, activity, job, field).to_owned());
    let mut edits = Vec::new();
    let mut objections = Vec::new();
    for decision in round.decisions.iter().filter(|decision| decision.is_enforced()) {
        let component = &decision.component;
        match &decision.judgement {
            Judgement::Accept { changes, .. } => {
                edits.extend(changes.iter().filter(|receipt| receipt.field == field).map(|receipt| FieldEdit {
                    component: component.clone(),
                    rule: receipt.change.rule.clone(),
                    reason: receipt.change.reason.clone(),
                    before: receipt.before.clone(),
                    after: receipt.after.clone(),
                }));
            }
            Judgement::Reject { reasons } => {
                let about = reasons.iter().filter(|reason| reason.field.as_deref() == Some(field));
                objections.extend(about.map(|reason| FieldObjection {
                    component: component.clone(),
                    rule: reason.rule.clone(),
                    message: reason.message.clone(),
                }));
            }
            Judgement::Error { .. } => {}
        }
    }
    let after = round.last_plan().and_then(|plan| plan.fields().remove(field));
    let configuration = round.permission().map(|(configuration, _)| configuration.name.clone()).unwrap_or_default();
    FieldRound { configuration, before, from, edits, objections, after }
}

/// Where a field's first value came from.
fn source(plan: &Plan, activity: &Activity, job: Option<&Job>, field: &str) -> &'static str {
    let (kind, key) = field.split_once('.').unwrap_or((field, ""));
    let configuration = &plan.configuration;
    let found = match kind {
        "resources" => activity.resources.contains_key(key),
        "labels" => activity.labels.contains_key(key),
        "secrets" => activity.secrets.contains_key(key),
        "time-limit" => activity.time_limit == plan.time_limit,
        // Its adapter checked it, and may have filled in what wasn't said.
        "parameters" => activity.parameters.contains_key(key),
        _ => false,
    };
    let adapter = match kind {
        "env" => job.is_some_and(|job| job.env.contains_key(key)),
        "secrets" => job.is_some_and(|job| job.secrets.contains_key(key)),
        "parameters" => true,
        _ => false,
    };
    match kind {
        _ if found => "activity",
        _ if adapter => "recipe adapter",
        "image" => "base image",
        "env" if !configuration.env.contains_key(key) => "host",
        _ => "configuration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_what_people_type() {
        let known: BTreeSet<String> =
            ["resources.memory", "time-limit", "env.TEAM", "labels.team", "security.read-only-root", "env.a.b"]
                .map(str::to_owned)
                .into();
        for (asked, field) in [
            ("resources.memory", "resources.memory"),
            ("memory", "resources.memory"),
            ("time_limit", "time-limit"),
            ("read_only_root", "security.read-only-root"),
            ("env.TEAM", "env.TEAM"),
            ("a.b", "env.a.b"),
        ] {
            assert_eq!(resolve(&known, asked).as_deref(), Ok(field), "{asked}");
        }
        let unknown = resolve(&known, "memmory").unwrap_err();
        assert_eq!(unknown.code, "field-unknown");
        assert!(unknown.hint.is_some_and(|hint| hint.contains("resources.memory, security.read-only-root")));
        let twice = resolve(&known, "team").unwrap_err();
        assert_eq!(twice.hint.as_deref(), Some("say which: env.TEAM, labels.team"));
    }
}
