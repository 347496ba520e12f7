//! Evaluates rules that are written as CEL expressions in its settings.
//!
//! With `changes` it is a mutating policy, otherwise a validating one. An expression that can't be evaluated is a no that names
//! its rule.

mod checker;
mod edit;
mod expression;
mod schema;
mod variables;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::policy::{Changes, Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Limit, Plan, Reason, Usage, WhenFull};

use edit::Field;
use expression::{Expression, Template};
use schema::Type;
use variables::Variables;

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// What must be true of every run.
    rules: Vec<Rule>,
    /// What is changed. A file with changes is a mutating policy.
    changes: Vec<ChangeRule>,
    /// What runs may have together.
    limits: Vec<LimitRule>,
}

/// Something that must be true of a run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// In kebab-case; decisions name it.
    name: String,
    /// When the rule is for a run: a CEL expression. Always when not said.
    when: Option<String>,
    /// What must be true: a CEL expression.
    expression: String,
    /// Why not, and what would be accepted; `${...}` is an expression in it.
    message: String,
    /// The field of the plan that it is about, e.g. `resources.memory`.
    field: Option<String>,
}

/// A change of one field.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeRule {
    /// In kebab-case; decisions name it.
    name: String,
    /// When something is changed: a CEL expression. Always when not said.
    when: Option<String>,
    /// What is changed: `resources.memory`, `labels.team`, `time-limit`, `security.user`, ...
    field: String,
    /// What it becomes: a CEL expression; `null` takes it away.
    value: String,
    /// Why, in one sentence; `${...}` is an expression in it.
    reason: String,
}

/// What some runs may have together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitRule {
    /// In kebab-case; decisions name it when it can't be evaluated.
    name: String,
    /// When a run counts in it: a CEL expression. Always when not said.
    when: Option<String>,
    /// Whose runs are counted together; `${...}` is an expression in it: `"project:${plan.project}"`.
    scope: String,
    /// `running`, `cpus`, `memory` or `gpus`.
    counter: String,
    /// The most: a CEL expression. Runs, CPUs, bytes or GPUs.
    maximum: String,
    /// Whether further runs are refused; otherwise they wait.
    #[serde(default)]
    refuse: bool,
}

/// What limits can count.
const COUNTERS: [&str; 4] = ["running", "cpus", "memory", "gpus"];

struct CelRules;

impl Policy for CelRules {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn role(settings: &Settings) -> PolicyRole {
        if settings.changes.is_empty() { PolicyRole::Validating } else { PolicyRole::Mutating }
    }

    fn check_settings(settings: &Settings) -> Result<(), String> {
        check(settings)
    }

    fn evaluate(settings: &Settings, plan: &Plan, usage: &Usage) -> Decision {
        let variables = Variables::of(plan, usage);
        match decide(settings, plan, &variables) {
            Ok(decision) => decision,
            Err(reasons) => Decision::Reject(reasons),
        }
    }
}

wharf_plugin_sdk::policy!(CelRules);

/// Everything that can be known without a run.
fn check(settings: &Settings) -> Result<(), String> {
    let Settings { rules, changes, limits } = settings;
    let names = rules.iter().map(|rule| &rule.name).chain(changes.iter().map(|rule| &rule.name));
    let mut seen = BTreeSet::new();
    for name in names.chain(limits.iter().map(|rule| &rule.name)) {
        if !is_rule_name(name) {
            return Err(format!("the rule \"{name}\" isn't named in kebab-case, such as memory-of-analysts"));
        }
        if !seen.insert(name) {
            return Err(format!("two rules are called {name}; decisions tell them apart by their names"));
        }
    }
    let boolean = |what: String, text: &str| Expression::check(text, &Type::Bool).map_err(|e| format!("{what}: {e}"));
    let template = |what: String, text: &str| match text.trim() {
        "" => Err(format!("{what} is empty; somebody will read it")),
        text => Template::check(text).map_err(|error| format!("{what}: {error}")),
    };
    for Rule { name, when, expression, message, field: _ } in rules {
        when.as_ref().map_or(Ok(()), |when| boolean(format!("rule {name}: when"), when))?;
        boolean(format!("rule {name}: expression"), expression)?;
        template(format!("rule {name}: message"), message)?;
    }
    for ChangeRule { name, when, field, value, reason } in changes {
        when.as_ref().map_or(Ok(()), |when| boolean(format!("change {name}: when"), when))?;
        let field = Field::parse(field).map_err(|error| format!("change {name}: field: {error}"))?;
        Expression::check(value, &field.takes()).map_err(|error| format!("change {name}: value: {error}"))?;
        template(format!("change {name}: reason"), reason)?;
    }
    for LimitRule { name, when, scope, counter, maximum, refuse: _ } in limits {
        when.as_ref().map_or(Ok(()), |when| boolean(format!("limit {name}: when"), when))?;
        template(format!("limit {name}: scope"), scope)?;
        if !COUNTERS.contains(&counter.as_str()) {
            return Err(format!("limit {name}: counter: \"{counter}\" isn't counted; {} are", COUNTERS.join(", ")));
        }
        Expression::check(maximum, &Type::Double).map_err(|error| format!("limit {name}: maximum: {error}"))?;
    }
    Ok(())
}

fn decide(settings: &Settings, plan: &Plan, variables: &Variables) -> Result<Decision, Vec<Reason>> {
    let rejected: Vec<Reason> = settings.rules.iter().filter_map(|rule| judge(rule, variables)).collect();
    if !rejected.is_empty() {
        return Err(rejected);
    }
    let mut changes = Changes::to(plan);
    for rule in &settings.changes {
        change(rule, variables, &mut changes).map_err(|error| vec![failed(&rule.name, &error)])?;
    }
    let mut decision = changes.into_decision();
    if let Decision::Accept(acceptance) = &mut decision {
        for rule in &settings.limits {
            acceptance.limits.extend(limit(rule, variables).map_err(|error| vec![failed(&rule.name, &error)])?);
        }
    }
    Ok(decision)
}

fn judge(rule: &Rule, variables: &Variables) -> Option<Reason> {
    let judged = || {
        if !applies(&rule.when, variables)? || Expression::parse(&rule.expression)?.truth(variables)? {
            return Ok(None);
        }
        Template::parse(&rule.message)?.text(variables).map(Some)
    };
    let reason = match judged() {
        Ok(None) => return None,
        Ok(Some(message)) => Reason::new(&rule.name, message),
        Err(error) => failed(&rule.name, &error),
    };
    Some(match &rule.field {
        Some(field) => reason.about(field),
        None => reason,
    })
}

fn change(rule: &ChangeRule, variables: &Variables, changes: &mut Changes<'_>) -> Result<(), String> {
    if !applies(&rule.when, variables)? {
        return Ok(());
    }
    let value = Expression::parse(&rule.value)?.json(variables)?;
    let reason = Template::parse(&rule.reason)?.text(variables)?;
    Field::parse(&rule.field)?.set(&value, changes, &rule.name, &reason)
}

fn limit(rule: &LimitRule, variables: &Variables) -> Result<Option<Limit>, String> {
    if !applies(&rule.when, variables)? {
        return Ok(None);
    }
    let most = Expression::parse(&rule.maximum)?.number(variables)?;
    // CPUs are counted in billionths.
    let most = if rule.counter == "cpus" { most * 1e9 } else { most };
    if !(0.0..=9e18).contains(&most) {
        return Err(format!("the maximum is {most}, which can't be counted to"));
    }
    Ok(Some(Limit {
        scope: Template::parse(&rule.scope)?.text(variables)?,
        counter: rule.counter.clone(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was seen to be in the range")]
        maximum: most as u64,
        when_full: if rule.refuse { WhenFull::Reject } else { WhenFull::Wait },
    }))
}

fn applies(when: &Option<String>, variables: &Variables) -> Result<bool, String> {
    when.as_ref().map_or(Ok(true), |when| Expression::parse(when)?.truth(variables))
}

/// A rule that can't be evaluated is a no.
fn failed(name: &str, error: &str) -> Reason {
    Reason::new(name, format!("the rule {name} can't be evaluated, and such a rule is a no: {error}"))
}

fn is_rule_name(name: &str) -> bool {
    let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        let settings: Settings = wharf_plugin_sdk::settings::parse(json).unwrap();
        check(&settings).err().unwrap_or_default()
    }

    fn of_expression(expression: &str) -> String {
        let rule = serde_json::json!({ "name": "r", "expression": expression, "message": "no" });
        error(&serde_json::json!({ "rules": [rule] }).to_string())
    }

    #[test]
    fn mistakes_are_found_without_a_run() {
        for (expression, expected) in [
            ("plan.kind ==", "rule r: expression: it can't be read"),
            ("plam.kind == 'python'", "rule r: expression: there is no `plam`; there are plan, usage, used"),
            ("plan.king == 'python'", "rule r: expression: plan has no field `king`; it has argv, "),
            (
                "plan.requester.name == 'ana'",
                "rule r: expression: plan.requester has no field `name`; it has groups, user",
            ),
            ("plan.kind", "rule r: expression: it gives a string, and a bool is needed"),
            ("plan.gpus", "rule r: expression: it gives an int, and a bool is needed"),
            ("plan.kind == 3", "rule r: expression: `==` compares a string with an int"),
            ("plan.kind && true", "rule r: expression: `&&` takes a bool, and not a string"),
            ("!plan.gpus", "rule r: expression: `!` takes a bool"),
            ("plan.gpus + 'a' == 'b'", "rule r: expression: `+` takes two of a kind, and not an int and a string"),
            ("plan.gpus < 'a'", "rule r: expression: `<` compares an int with a string"),
            ("plan.argv.exists(a, a > 3)", "rule r: expression: `>` compares a string with an int"),
            (
                "plan.inputs.all(i, i.nam == 'x')",
                "rule r: expression: an input has no field `nam`; it has kind, name, role",
            ),
            ("plan.gpus.exists(g, true)", "rule r: expression: an int can't be gone through"),
            ("plan.gpus in plan.kind", "rule r: expression: `in` looks into a list or a map, and not into a string"),
            ("plan.kind.startsWidth('ml')", "rule r: expression: there is no function `startsWidth`"),
            ("plan.gpus.startsWith('ml')", "rule r: expression: `startsWith` takes a string, and not an int"),
            ("plan.kind.startsWith()", "rule r: expression: `startsWith` takes 1 argument, and has 0"),
            ("plan.kind.matches('(')", "rule r: expression: \"(\" is no regular expression"),
            ("plan.kind.text == 'a'", "rule r: expression: a string has no fields"),
            ("plan.gpus[0] == 1", "rule r: expression: an int has no elements"),
            ("plan.gpus ? true : false", "rule r: expression: `?` takes a bool"),
            ("amount(3) > 2", "rule r: expression: `amount` takes a string, and not an int"),
        ] {
            let error = of_expression(expression);
            assert!(error.starts_with(expected), "{expression}: {error}");
        }
    }

    #[test]
    fn what_people_write_passes() {
        for expression in [
            "plan.kind == 'python'",
            "plan.gpus == 0 || 'ml' in plan.requester.groups",
            "plan.requester.groups.exists(g, g in ['ml', 'vision'])",
            "!has(plan.resources.memory) || plan.resources.memory <= amount('4g')",
            "!('cpus' in plan.resources) || plan.resources.cpus <= 2",
            "plan.labels['team'].matches('^[a-z]+$')",
            "has(plan.time_limit) && plan.time_limit <= 2 * 3600",
            "plan.env.all(name, !glob('AWS_*', name))",
            "plan.image.languages.map(l, l.name).filter(n, n != 'r').size() <= 1",
            "plan.parameters.n_jobs <= 8",
            "plan.object.HostConfig.Privileged == false",
            "used.user.running < 5 && used.all.cpus + 1.0 < 64.0",
            "usage.filter(u, u.user == plan.requester.user).all(u, u.running < 3)",
            "size(plan.argv) < 10 && plan.argv[0].endsWith('python3')",
            "plan.inputs.exists_one(i, i.kind == 'folder')",
            "(plan.project == '' ? 'none' : plan.project) != 'none'",
            "type(plan.kind) == string",
        ] {
            assert_eq!(of_expression(expression), "", "{expression}");
        }
    }

    #[test]
    fn fields_take_values_of_their_kind() {
        for (field, value, expected) in [
            ("resources.memory", "true", "change c: value: it gives a bool, and"),
            ("resources.memmory", "'4g'", "change c: field: no resource key is called \"memmory\""),
            ("time-limit", "'2h'", "change c: value: it gives a string, and"),
            ("security.privileged", "1", "change c: value: it gives an int, and a bool is needed"),
            ("security.drop-capabilities", "'ALL'", "change c: value: it gives a string, and"),
            ("memory", "'4g'", "change c: field: \"memory\" can't be changed; these can: "),
            ("labels.", "'a'", "change c: field: \"labels.\" can't be changed"),
            ("labels.wharf.run", "'a'", "change c: field: wharf.* are the host's own"),
        ] {
            let rule = serde_json::json!({ "name": "c", "field": field, "value": value, "reason": "because" });
            let error = error(&serde_json::json!({ "changes": [rule] }).to_string());
            assert!(error.starts_with(expected), "{field} {value}: {error}");
        }
    }

    #[test]
    fn names_and_sentences_are_looked_at() {
        let rule =
            |name: &str, message: &str| serde_json::json!({ "name": name, "expression": "true", "message": message });
        let rules = |rules: &[serde_json::Value]| error(&serde_json::json!({ "rules": rules }).to_string());
        assert!(rules(&[rule("A b", "no")]).contains("kebab-case"));
        assert!(rules(&[rule("a", "no"), rule("a", "no")]).starts_with("two rules are called a"));
        assert!(rules(&[rule("a", " ")]).starts_with("rule a: message is empty"));
        assert!(rules(&[rule("a", "is ${plan.kin}")]).starts_with("rule a: message: plan has no field `kin`"));
        assert!(rules(&[rule("a", "is ${plan.kind")]).contains("opens a ${ and doesn't close it"));
        let limit = r#"{"limits":[{"name":"l","scope":"a","counter":"sheep","maximum":"1"}]}"#;
        assert!(error(limit).starts_with("limit l: counter: \"sheep\" isn't counted"));
    }
}
