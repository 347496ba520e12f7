//! Step 1: may this user use this execution configuration for this?

use wharf_components::{ComponentSet, Request, Subject};
use wharf_model::decision::Question;
use wharf_model::{Cause, Decision, EventKind, ExecutionConfiguration, Judgement, Limit, Mode, Outcome, Phase, Reason};

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

/// Asks every check that the configuration names. All that count for this run must allow, and there must be one that does.
pub(crate) async fn ask(way: &Way, asked: Asked) -> Step<Permitted> {
    let phase = way.journal.phase(Phase::Permission);
    tell_of_held_back(way);
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
    let mut is_decided = false;
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
        if check.mode_of(&Subject::of_request(&request)) == Mode::Off {
            continue;
        }
        way.journal.question("permission", name, || Question::of_permission(&way.activity, &configuration, &usage));
        let decision = check.check(&request, &usage).await;
        way.decided(decision.clone());
        if !decision.is_enforced() {
            continue;
        }
        is_decided = true;
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
    if !is_decided {
        return Err(Box::new(Outcome {
            advice: Some(format!(
                "one of them must enforce for this run: see `mode`, `mode_for` and `when` in policies/{}.toml",
                configuration.checks[0]
            )),
            ..outcome(
                Cause::Refused,
                format!(
                    "refused: of the permission checks of {} ({}) none decides about this run, so nobody allowed it",
                    configuration.name,
                    configuration.checks.join(", ")
                ),
            )
        }));
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

/// A run that is judged by older components than those on disk has that in its record.
fn tell_of_held_back(way: &Way) {
    let Some(held) = way.set.held_back() else { return };
    let files: Vec<String> = held.changes.iter().map(|(file, how)| format!("{} ({how})", file.display())).collect();
    let why: Vec<String> = way.set.failures().iter().map(|failure| failure.fault.to_string()).collect();
    let text = format!(
        "components changed on disk and aren't taken, so those of before judge this run: {}; {}",
        files.join(", "),
        why.join("; ")
    );
    way.journal.note(EventKind::Progress { phase: Phase::Permission, text });
}

/// A policy that is required and doesn't judge closes the host, and so does a group that can't be asked.
fn closed_without(way: &Way) -> Step<()> {
    let closed = |name: &str, message: String, advice: String| {
        way.journal.note(EventKind::Decision(missing("policy", name, &message)));
        Err(Box::new(Outcome { advice: Some(advice), ..outcome(Cause::Rejected, message) }))
    };
    if let Some(group) = way.set.closed_by() {
        let name = group.file.file_stem().unwrap_or_default().to_string_lossy();
        let message = format!("the group {name} of policies can't be used, so nothing may run ({})", group.fault);
        let advice = format!("mend or remove {}; `wharf component list` has the details", group.file.display());
        return closed(&name, message, advice);
    }
    for name in &way.site.required_policies {
        if let Some((message, advice)) = why_required_does_not_judge(&way.set, name) {
            return closed(name, message, advice);
        }
    }
    Ok(())
}

/// Why a required policy closes the host, and what to do about it. None when it judges.
pub(crate) fn why_required_does_not_judge(set: &ComponentSet, name: &str) -> Option<(String, String)> {
    match set.policy(name) {
        None => Some((
            format!("the required policy {name} isn't loaded, so nothing may run{}", why_not_loaded(set, name)),
            "put the policy back, or take its name out of `required_policies` in wharf.toml".to_owned(),
        )),
        Some(policy) if !policy.always_enforces() => Some((
            format!("the required policy {name} doesn't always enforce, so nothing may run"),
            format!(
                "take `mode` and `mode_for` out of {name}.toml, or its name out of `required_policies` in wharf.toml"
            ),
        )),
        Some(_) => None,
    }
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
        mode: Mode::Enforce,
        votes: None,
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
