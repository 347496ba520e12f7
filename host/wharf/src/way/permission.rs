//! Step 1: may this user use this execution configuration for this?

use wharf_components::Request;
use wharf_model::decision::Question;
use wharf_model::{Cause, Decision, EventKind, ExecutionConfiguration, Judgement, Limit, Outcome, Phase, Reason};

use super::{Asked, Step, Way};
use crate::conclude::outcome;
use crate::host::why_not_loaded;

/// How many of a component's reasons an outcome's sentence has.
const SHOWN_REASONS: usize = 5;

/// Permission was given. Only [`ask`] makes one.
pub(crate) struct Permitted {
    configuration: ExecutionConfiguration,
    limits: Vec<Limit>,
}

impl Permitted {
    pub(crate) fn into_parts(self) -> (ExecutionConfiguration, Vec<Limit>) {
        (self.configuration, self.limits)
    }
}

/// Asks every check that the configuration names. All must allow.
pub(crate) async fn ask(way: &Way, asked: Asked) -> Step<Permitted> {
    let phase = way.journal.phase(Phase::Permission);
    closed_without(way)?;
    let configuration = asked.configuration;
    if configuration.checks.is_empty() {
        return Err(Box::new(outcome(
            Cause::Refused,
            format!(
                "the execution configuration {} names no permission check, so nobody may use it",
                configuration.name
            ),
        )));
    }
    let usage = way.host.usage()?;
    let request = Request::of_activity(&way.run, &way.activity, &configuration);
    let mut limits = Vec::new();
    for name in &configuration.checks {
        let Some(check) = way.set.permission(name) else {
            let message = format!(
                "the permission check {name} that {} names isn't loaded, so nobody may use it{}",
                configuration.name,
                why_not_loaded(&way.set, name)
            );
            way.journal.note(EventKind::Decision(missing("permission", name, &message)));
            return Err(Box::new(Outcome {
                advice: Some("`wharf component list` says what is loaded, and why the rest isn't".to_owned()),
                ..outcome(Cause::Refused, message)
            }));
        };
        way.journal.question("permission", name, || Question::of_permission(&way.activity, &configuration, &usage));
        let decision = check.check(&request, &usage).await;
        way.journal.note(EventKind::Decision(decision.clone()));
        match decision.judgement {
            Judgement::Accept { limits: more, .. } => limits.extend(more),
            Judgement::Reject { reasons } => return Err(Box::new(no(Cause::Refused, "refused", name, &reasons))),
            Judgement::Error { message, .. } => {
                return Err(Box::new(outcome(
                    Cause::Refused,
                    format!("refused: the permission check {name} failed, and a failed check is a no: {message}"),
                )));
            }
        }
    }
    let named = way.activity.named_secrets();
    allows_secrets(&configuration, named.values(), "the activity")?;
    phase.done();
    Ok(Permitted { configuration, limits })
}

/// Nobody gets a recipe a secret that its configuration doesn't name, whatever components say.
pub(crate) fn allows_secrets<'a>(
    configuration: &ExecutionConfiguration,
    mut names: impl Iterator<Item = &'a String>,
    by: &str,
) -> Step<()> {
    match names.find(|name| !configuration.allowed_secrets.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Box::new(Outcome {
            advice: Some(format!(
                "an administrator can allow it: `secrets = [\"{name}\"]` under [permissions] in configs/{}.toml",
                configuration.name
            )),
            ..outcome(
                Cause::Refused,
                format!(
                    "refused: activities under {} may not use the secret \"{name}\", which {by} names",
                    configuration.name
                ),
            )
        })),
    }
}

/// A policy that is required and isn't loaded closes the host.
fn closed_without(way: &Way) -> Step<()> {
    for name in &way.site.required_policies {
        if way.set.policy(name).is_none() {
            let message = format!(
                "the required policy {name} isn't loaded, so nothing may run{}",
                why_not_loaded(&way.set, name)
            );
            way.journal.note(EventKind::Decision(missing("policy", name, &message)));
            return Err(Box::new(Outcome {
                advice: Some(
                    "put the policy back, or take its name out of `required_policies` in wharf.toml".to_owned(),
                ),
                ..outcome(Cause::Rejected, message)
            }));
        }
    }
    Ok(())
}

/// The record of a component that could not be asked.
pub(crate) fn missing(step: &str, name: &str, message: &str) -> Decision {
    Decision {
        step: step.to_owned(),
        component: name.to_owned(),
        version: String::new(),
        digest: String::new(),
        settings_digest: String::new(),
        micros: 0,
        judgement: Judgement::Error { message: message.to_owned(), ignored: false },
    }
}

/// The outcome for a component's no.
pub(crate) fn no(cause: Cause, verb: &str, component: &str, reasons: &[Reason]) -> Outcome {
    // The record's decision has all of them.
    let shown = &reasons[..reasons.len().min(SHOWN_REASONS)];
    let sentences: Vec<&str> = shown.iter().map(|reason| reason.message.as_str()).collect();
    let more = match reasons.len() - shown.len() {
        0 => String::new(),
        more => format!("; and {more} more reasons"),
    };
    let mut end = outcome(cause, format!("{verb} by {component}: {}{more}", sentences.join("; ")));
    end.evidence.insert("component".to_owned(), component.into());
    end.evidence.insert("rules".to_owned(), shown.iter().map(|reason| reason.rule.clone()).collect::<Vec<_>>().into());
    end
}
