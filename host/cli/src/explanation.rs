//! An explanation as a person reads it.

use wharf::message::{ChangedBy, Explanation, FieldHistory, FieldRound, SecurityDifference};
use wharf_model::decision::Judgement;
use wharf_model::{Binding, Decision, Plan};

use crate::console::{Channel, Tone, for_terminal};
use crate::run_view::{facts, mark, summary, verdict};
use crate::text;

/// The explanation, line by line. `whole` adds the Containerfile, and the digests of components.
pub(crate) fn lines(explanation: &Explanation, channel: Channel, whole: bool) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), channel, whole };
    page.title("configuration");
    page.fact(&explanation.configuration, &format!("chosen by the {}", explanation.chosen_by));
    for (step, title) in
        [("permission", "permission"), ("adapter", "adapter"), ("policy", "policies"), ("image-recipe", "image recipe")]
    {
        let decisions: Vec<&Decision> = explanation.decisions.iter().filter(|decision| decision.step == step).collect();
        if decisions.is_empty() {
            continue;
        }
        page.title(title);
        for decision in decisions {
            page.decision(decision);
        }
    }
    if !explanation.limits.is_empty() {
        page.title("limits");
        for limit in &explanation.limits {
            page.line(&text::limit(limit));
        }
    }
    if let Some(plan) = &explanation.plan {
        page.plan(plan);
    }
    page.differences(&explanation.differences);
    page.image(explanation);
    if let Some(containerfile) = explanation.containerfile.as_ref().filter(|_| whole) {
        page.title("Containerfile of the base image");
        for line in containerfile.lines() {
            page.line(line);
        }
    }
    if let Some(object) = &explanation.object {
        page.title(if explanation.run.is_some() { "created at the engine" } else { "would be created at the engine" });
        for line in serde_json::to_string_pretty(object).unwrap_or_default().lines() {
            page.line(line);
        }
    }
    if let Some(outcome) = &explanation.outcome {
        page.title(if explanation.run.is_some() { "ended" } else { "would end here" });
        let run = explanation.run.as_deref().unwrap_or("none: nothing was created");
        let end = summary(channel, run, outcome, None, &[]);
        page.lines.extend(end.into_iter().chain(facts(outcome)).map(|line| format!("  {line}")));
        if !outcome.error_tail.is_empty() {
            page.title("its last lines");
            for line in &outcome.error_tail {
                page.line(&for_terminal(line));
            }
        }
    }
    page.lines
}

fn is_well(judgement: &Judgement) -> bool {
    !matches!(judgement, Judgement::Reject { .. } | Judgement::Error { ignored: false, .. })
}

fn mark_of(channel: Channel, decision: &Decision) -> String {
    mark(channel, is_well(&decision.judgement))
}

/// A component and its version; a group and its logic.
fn who(decision: &Decision) -> String {
    match &decision.votes {
        None => format!("{} {}", decision.component, decision.version),
        Some(votes) => format!("{} ({} of {})", decision.component, votes.logic.as_str(), votes.members.len()),
    }
}

/// What happened to one field, line by line: `resources.memory 8g → 4g by policy resource-ceiling, rule memory: …`.
pub(crate) fn field_lines(history: &FieldHistory) -> Vec<String> {
    let mut lines = Vec::new();
    for round in &history.rounds {
        let (indent, several) = if history.rounds.len() > 1 { ("  ", true) } else { ("", false) };
        if several {
            lines.push(format!("under {}", round.configuration));
        }
        lines.extend(
            round_lines(&for_terminal(&history.field), round).into_iter().map(|line| format!("{indent}{line}")),
        );
    }
    lines
}

fn round_lines(field: &str, round: &FieldRound) -> Vec<String> {
    let from = match round.from.as_deref() {
        Some("configuration") => format!(", from the execution configuration {}", round.configuration),
        Some(from) => format!(", from the {from}"),
        None => String::new(),
    };
    let mut lines = vec![format!("{field} = {}{from}", value(&round.before))];
    for edit in &round.edits {
        let (rule, reason) = (for_terminal(&edit.rule), for_terminal(&edit.reason));
        let (before, after) = (value(&edit.before), value(&edit.after));
        lines.push(format!("{field} {before} → {after} by policy {}, rule {rule}: {reason}", edit.component));
    }
    if round.edits.is_empty() {
        lines.push("nobody changed it".to_owned());
    }
    for objection in &round.objections {
        let (rule, message) = (for_terminal(&objection.rule), for_terminal(&objection.message));
        lines.push(format!("refused by {}, rule {rule}: {message}", objection.component));
    }
    lines
}

/// A field's value, which may not be there, or be an empty text.
pub(crate) fn value(value: &Option<String>) -> String {
    match value.as_deref() {
        None => "(none)".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(value) => for_terminal(value),
    }
}

struct Page {
    lines: Vec<String>,
    channel: Channel,
    whole: bool,
}

impl Page {
    fn title(&mut self, text: &str) {
        self.lines.push(self.channel.paint(Tone::Title, text));
    }

    fn line(&mut self, text: &str) {
        self.lines.push(format!("  {text}"));
    }

    fn fact(&mut self, name: &str, text: &str) {
        self.lines.push(format!("  {name:<14} {text}"));
    }

    fn decision(&mut self, decision: &Decision) {
        // What wasn't enforced did no harm.
        let well = is_well(&decision.judgement) || !decision.is_enforced();
        let time = self.channel.paint(Tone::Quiet, &format!("({} µs)", decision.micros));
        let mark = mark(self.channel, well);
        self.line(&format!("{mark} {}: {}  {time}", who(decision), verdict(decision)));
        if self.whole && !decision.digest.is_empty() {
            let (file, settings) = (&decision.digest, &decision.settings_digest);
            self.line(&format!("    file sha256:{file}, settings sha256:{settings}"));
        }
        if let Some(votes) = &decision.votes {
            for member in &votes.members {
                let mark = mark_of(self.channel, member);
                self.line(&format!("    {mark} {}: {}", who(member), verdict(member)));
            }
            return;
        }
        match &decision.judgement {
            Judgement::Accept { changes, .. } => {
                for receipt in changes {
                    let (before, after) = (value(&receipt.before), value(&receipt.after));
                    let overrides =
                        receipt.overrides.as_ref().map_or_else(String::new, |other| format!("; overrides {other}"));
                    self.line(&format!("    {}: {before} → {after}", for_terminal(&receipt.field)));
                    let (rule, reason) = (for_terminal(&receipt.change.rule), for_terminal(&receipt.change.reason));
                    self.line(&format!("      {rule}: {reason}{overrides}"));
                }
            }
            Judgement::Reject { reasons } => {
                for reason in reasons {
                    let field = reason.field.as_ref().map_or_else(String::new, |field| format!(" ({field})"));
                    self.line(&format!("    rule {}{}", for_terminal(&reason.rule), for_terminal(&field)));
                }
            }
            Judgement::Error { .. } => {}
        }
    }

    fn plan(&mut self, plan: &Plan) {
        self.title("plan");
        let groups =
            if plan.requester.groups.is_empty() { "none".to_owned() } else { plan.requester.groups.join(", ") };
        self.fact("requester", &format!("{} (groups: {groups})", plan.requester.user));
        if let Some(project) = &plan.project {
            self.fact("project", project);
        }
        self.fact("command", &for_terminal(&plan.job.argv.join(" ")));
        self.fact(
            "engine",
            &format!("{} at {}", plan.configuration.engine.kind(), plan.configuration.engine.address()),
        );
        self.fact("exchange", text::exchange(plan.configuration.exchange.mode));
        for (key, amount) in &plan.resources {
            self.fact("resource", &format!("{key} = {amount}"));
        }
        for (variable, name) in &plan.secrets {
            self.fact("secret", &format!("{variable} gets {name}"));
        }
        let limit =
            plan.time_limit.map_or_else(|| "none".to_owned(), |seconds| text::duration(seconds.saturating_mul(1_000)));
        self.fact("time limit", &limit);
        self.bindings("input", &plan.inputs);
        self.bindings("output", &plan.outputs);
        for (key, value) in &plan.labels {
            self.fact("label", &format!("{key} = {}", for_terminal(value)));
        }
    }

    fn differences(&mut self, differences: &[SecurityDifference]) {
        if differences.is_empty() {
            return;
        }
        self.title("differs from the strict default");
        for difference in differences {
            let from = match &difference.from {
                ChangedBy::Configuration(name) => format!("from configuration {name}"),
                ChangedBy::Policy { component, rule, reason } => {
                    format!("by policy {component}, rule {}: {}", for_terminal(rule), for_terminal(reason))
                }
            };
            let value = for_terminal(&difference.value.to_string());
            self.line(&format!("{} = {value} ({from})", difference.key));
        }
    }

    fn bindings(&mut self, word: &str, bindings: &[Binding]) {
        for binding in bindings {
            self.fact(word, &text::binding(binding));
        }
    }

    fn image(&mut self, explanation: &Explanation) {
        if explanation.plan.is_none() && explanation.base_key.is_none() && explanation.image_key.is_none() {
            return;
        }
        self.title("image");
        if let Some(plan) = &explanation.plan {
            self.fact(
                "base image",
                &format!("{} ({}), made by {}", plan.image.name, plan.image.origin, plan.image.made_by),
            );
        }
        // What an image is made of includes the engine's platform, or an image that only the engine knows.
        let unknown = "not known without the engine";
        self.fact("base key", explanation.base_key.as_deref().unwrap_or(unknown));
        if let Some(environment) = explanation.plan.as_ref().and_then(|plan| plan.code_env.as_ref()) {
            self.fact("code env", &environment.name);
            self.fact("code env key", explanation.code_env_key.as_deref().unwrap_or(unknown));
        }
        if let Some(key) = &explanation.folders_key {
            self.fact("folders key", key);
        }
        self.fact("image key", explanation.image_key.as_deref().unwrap_or(unknown));
        let there = match explanation.image_there {
            Some(true) => "yes",
            Some(false) => "no: it is built first",
            None => "unknown: the engine can't be asked",
        };
        self.fact("at the engine", there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::message::{FieldEdit, FieldObjection};
    use wharf_model::decision::Receipt;
    use wharf_model::{Cause, Change, Edit, GroupVotes, Logic, Mode, Outcome, Reason};

    fn decision(step: &str, component: &str, judgement: Judgement) -> Decision {
        Decision {
            step: step.to_owned(),
            component: component.to_owned(),
            version: "0.1.0".to_owned(),
            digest: String::new(),
            settings_digest: String::new(),
            mode: Mode::Enforce,
            votes: None,
            micros: 9,
            judgement,
        }
    }

    #[test]
    fn members_stand_under_their_group_and_audits_do_no_harm() {
        let accept = || Judgement::Accept { changes: vec![], limits: vec![], warnings: vec![] };
        let reject = || Judgement::Reject {
            reasons: vec![Reason { rule: "r".to_owned(), message: "too much".to_owned(), field: None }],
        };
        let members = vec![decision("policy", "a", reject()), decision("policy", "b", accept())];
        let votes = Some(GroupVotes { logic: Logic::Any, members });
        let mut page = Page { lines: Vec::new(), channel: Channel::TERMINAL, whole: false };
        page.decision(&Decision { votes, ..decision("policy", "either", accept()) });
        page.decision(&Decision { mode: Mode::Audit, ..decision("policy", "new", reject()) });
        assert_eq!(
            page.lines,
            [
                "  ✓ either (any of 2): accepted  (9 µs)",
                "      ✗ a 0.1.0: rejected: too much",
                "      ✓ b 0.1.0: accepted",
                "  ✓ new 0.1.0: audit only, not enforced: rejected: too much  (9 µs)",
                "      rule r",
            ]
        );
    }

    #[test]
    fn a_field_is_told_from_its_beginning() {
        let some = |text: &str| Some(text.to_owned());
        let edit = |component: &str, before: &str, after: &str| FieldEdit {
            component: component.to_owned(),
            rule: "memory".to_owned(),
            reason: "It is enough.".to_owned(),
            before: some(before),
            after: some(after),
        };
        let objection =
            FieldObjection { component: "c".to_owned(), rule: "never".to_owned(), message: "No memory.".to_owned() };
        let round = FieldRound {
            configuration: "large".to_owned(),
            before: some("8g"),
            from: some("activity"),
            edits: vec![edit("a", "8g", "4g"), edit("b", "4g", "2g")],
            objections: vec![objection],
            after: some("2g"),
        };
        let untouched = FieldRound { from: some("configuration"), edits: vec![], objections: vec![], ..round.clone() };
        let history = |rounds| FieldHistory { run: "r".to_owned(), field: "resources.memory".to_owned(), rounds };
        assert_eq!(
            field_lines(&history(vec![round])),
            [
                "resources.memory = 8g, from the activity",
                "resources.memory 8g → 4g by policy a, rule memory: It is enough.",
                "resources.memory 4g → 2g by policy b, rule memory: It is enough.",
                "refused by c, rule never: No memory.",
            ]
        );
        assert_eq!(
            field_lines(&history(vec![untouched])),
            ["resources.memory = 8g, from the execution configuration large", "nobody changed it"]
        );
    }

    #[test]
    fn every_change_is_shown_field_by_field() {
        let receipt = Receipt {
            change: Change {
                edit: Edit::SetLabel("team".to_owned(), "x".to_owned()),
                rule: "labels".to_owned(),
                reason: "every run has a team".to_owned(),
            },
            field: "labels.team".to_owned(),
            before: None,
            after: Some("x".to_owned()),
            overrides: Some("other".to_owned()),
        };
        let reason = Reason {
            rule: "ceiling".to_owned(),
            message: "8g is over 4g".to_owned(),
            field: Some("resources.memory".to_owned()),
        };
        let explanation = Explanation {
            run: None,
            configuration: "docker-local".to_owned(),
            chosen_by: "project".to_owned(),
            decisions: vec![
                decision(
                    "permission",
                    "allowed-groups",
                    Judgement::Accept { changes: vec![], limits: vec![], warnings: vec![] },
                ),
                decision(
                    "policy",
                    "labels",
                    Judgement::Accept { changes: vec![receipt], limits: vec![], warnings: vec![] },
                ),
                decision("policy", "ceiling", Judgement::Reject { reasons: vec![reason] }),
            ],
            plan: None,
            limits: vec![],
            base_key: None,
            image_key: None,
            image_there: None,
            containerfile: None,
            code_env_key: None,
            folders_key: None,
            code_env_containerfile: None,
            object: None,
            differences: vec![
                SecurityDifference {
                    key: "privileged".to_owned(),
                    strict: false.into(),
                    value: true.into(),
                    from: ChangedBy::Configuration("docker-local".to_owned()),
                },
                SecurityDifference {
                    key: "network".to_owned(),
                    strict: "bridge".into(),
                    value: "host".into(),
                    from: ChangedBy::Policy {
                        component: "labels".to_owned(),
                        rule: "near".to_owned(),
                        reason: "it is fast".to_owned(),
                    },
                },
            ],
            outcome: Some(Outcome {
                cause: Cause::Rejected,
                sentence: "rejected by ceiling: 8g is over 4g".to_owned(),
                whose: wharf_model::outcome::Whose::Component,
                retry_helps: false,
                advice: None,
                evidence: Default::default(),
                exit_code: None,
                error_tail: vec![],
                log: None,
                usage: None,
            }),
        };
        assert_eq!(
            lines(&explanation, Channel::TERMINAL, false),
            [
                "configuration",
                "  docker-local   chosen by the project",
                "permission",
                "  ✓ allowed-groups 0.1.0: allowed  (9 µs)",
                "policies",
                "  ✓ labels 0.1.0: accepted with 1 change  (9 µs)",
                "      labels.team: (none) → x",
                "        labels: every run has a team; overrides other",
                "  ✗ ceiling 0.1.0: rejected: 8g is over 4g  (9 µs)",
                "      rule ceiling (resources.memory)",
                "differs from the strict default",
                "  privileged = true (from configuration docker-local)",
                "  network = \"host\" (by policy labels, rule near: it is fast)",
                "would end here",
                "  ✗ rejected: rejected by ceiling: 8g is over 4g",
                "    run      none: nothing was created",
                "    whose    a component's doing",
            ]
        );
    }
}
