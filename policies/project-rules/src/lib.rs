//! Rejects runs without the labels, the configuration or the namespace of their project.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wharf_plugin_sdk::pattern::{any_matches, matches};
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

/// The key of what holds for projects without an entry of their own, and for runs of no project.
const OTHERS: &str = "*";
const PROJECT: &str = "${project}";

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Whether a run must belong to a project.
    project: bool,
    /// Labels that every run must have, and patterns for their values: any that isn't empty when there are none. `${project}`
    /// is the project.
    labels: BTreeMap<String, Vec<String>>,
    /// The execution configurations that a project may use, as patterns. `*` is every project that isn't named.
    configurations: BTreeMap<String, Vec<String>>,
    /// The namespace that a project's runs must be in on a cluster. `*` is every project that isn't named; `${project}` is the
    /// project as the host writes it into a namespace.
    namespaces: BTreeMap<String, String>,
}

struct ProjectRules;

impl Policy for ProjectRules {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if let Some(label) = settings.labels.keys().find(|label| label.is_empty() || label.starts_with("wharf.")) {
            return Err(format!(
                "labels: \"{label}\" can't be asked for: labels have a name, and wharf.* are the host's own"
            ));
        }
        let patterns = settings.labels.values().chain(settings.configurations.values()).flatten();
        for pattern in patterns.chain(settings.namespaces.values()) {
            if pattern.trim().is_empty() {
                return Err("a pattern is empty, which no value is like".to_owned());
            }
            if let Some(at) = pattern.replace(PROJECT, "").find("${") {
                return Err(format!("\"{pattern}\" has a ${{ at {at} that isn't {PROJECT}"));
            }
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let mut reasons = Vec::new();
        if settings.project && plan.project.as_deref().is_none_or(str::is_empty) {
            let message = "the run belongs to no project, and every run must; say --project";
            reasons.push(Reason::new("project-required", message).about("project"));
        }
        reasons.extend(settings.labels.iter().filter_map(|(label, patterns)| judge_label(plan, label, patterns)));
        reasons.extend(judge_configuration(settings, plan));
        reasons.extend(judge_namespace(settings, plan));
        Decision::unless(reasons)
    }
}

wharf_plugin_sdk::policy!(ProjectRules);

fn judge_label(plan: &Plan, label: &str, patterns: &[String]) -> Option<Reason> {
    let field = format!("labels.{label}");
    // A pattern that needs a project is like nothing for a run of none.
    let project = plan.project.as_deref();
    let patterns: Vec<String> = patterns.iter().filter_map(|pattern| with_project(pattern, project)).collect();
    let wanted = if patterns.is_empty() { "any value".to_owned() } else { patterns.join(" or ") };
    match plan.label(label).filter(|value| !value.is_empty()) {
        None => {
            let message = format!("the run has no label {label}; it takes {wanted} (--label {label}=...)");
            Some(Reason::new("label-required", message).about(field))
        }
        Some(value) => {
            let fits = patterns.is_empty() || any_matches(&patterns, value);
            let message = || format!("the label {label} is {value}, and it takes {wanted}");
            (!fits).then(|| Reason::new("label-value", message()).about(field))
        }
    }
}

fn judge_configuration(settings: &Settings, plan: &Plan) -> Option<Reason> {
    let allowed = of(&settings.configurations, plan)?;
    let name = &plan.execution_configuration.name;
    if any_matches(allowed, name) {
        return None;
    }
    let (whose, allowed) =
        (project_title(plan), if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") });
    let message = format!("{whose} may not use the execution configuration {name}; allowed: {allowed}");
    Some(Reason::new("configuration-of-the-project", message).about("execution-configuration"))
}

/// There is no edit that moves a run to another namespace: its configuration says which.
fn judge_namespace(settings: &Settings, plan: &Plan) -> Option<Reason> {
    if plan.execution_configuration.backend != "kubernetes" {
        return None;
    }
    let pattern = of(&settings.namespaces, plan)?;
    let project = plan.project.as_deref().map(dns);
    let reason = |message: String| Some(Reason::new("namespace-of-the-project", message).about("engine-object"));
    let configuration = &plan.execution_configuration.name;
    let Some(wanted) = with_project(pattern, project.as_deref()) else {
        return reason(format!("the run belongs to no project, and its namespace must be {pattern}; say --project"));
    };
    let object: Value =
        plan.engine_object.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let Some(namespace) = object.pointer("/metadata/namespace").and_then(Value::as_str) else {
        return reason(format!("the run has no namespace to be seen, and it must be {wanted}"));
    };
    let plain = if pattern.contains(PROJECT) { without_hash(namespace) } else { None };
    if [Some(namespace), plain].into_iter().flatten().any(|name| matches(&wanted, name)) {
        return None;
    }
    reason(format!(
        "the run would be in the namespace {namespace}, and runs of {} must be in {wanted}; use a configuration with that namespace, \
         or set `namespace` of {configuration} so that it has the project in it",
        project_title(plan)
    ))
}

/// What holds for the project of a run.
fn of<'a, T>(by_project: &'a BTreeMap<String, T>, plan: &Plan) -> Option<&'a T> {
    let own = plan.project.as_ref().filter(|project| *project != OTHERS).and_then(|project| by_project.get(project));
    own.or_else(|| by_project.get(OTHERS))
}

fn with_project(pattern: &str, project: Option<&str>) -> Option<String> {
    if !pattern.contains(PROJECT) {
        return Some(pattern.to_owned());
    }
    // A star in a project's key must not become one of the pattern.
    project.filter(|project| !project.contains('*')).map(|project| pattern.replace(PROJECT, project))
}

/// A project's key as a part of a namespace: small letters, digits and dashes.
fn dns(project: &str) -> String {
    let safe: String =
        project.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    match safe.trim_matches('-') {
        "" => "x".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A namespace without the hash by which the host tells projects apart whose keys it had to change.
fn without_hash(namespace: &str) -> Option<&str> {
    let (name, hash) = namespace.rsplit_once('-')?;
    let is_hash = hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hash.then_some(name)
}

fn project_title(plan: &Plan) -> String {
    plan.project.as_ref().map_or("no project".to_owned(), |project| format!("the project {project}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"labels":{"wharf.run":[]}}"#, "labels: \"wharf.run\" can't be asked for"),
            (r#"{"labels":{"team":[""]}}"#, "a pattern is empty"),
            (r#"{"namespaces":{"*":"dss-${projekt}"}}"#, "\"dss-${projekt}\" has a ${ at 4"),
        ] {
            let settings: Settings = wharf_plugin_sdk::settings::parse(json).unwrap();
            let error = ProjectRules::check_settings(&settings).unwrap_err();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_project_is_text_in_a_pattern() {
        assert_eq!(with_project("dss-${project}", Some("flights")), Some("dss-flights".to_owned()));
        assert_eq!(with_project("dss-${project}", Some("*")), None);
        assert_eq!(with_project("dss-${project}", None), None);
        assert_eq!(with_project("dss", None), Some("dss".to_owned()));
        assert_eq!((dns("FLIGHTS_2"), dns("__")), ("flights-2".to_owned(), "x".to_owned()));
        assert_eq!(without_hash("dss-flights-0123456789"), Some("dss-flights"));
        assert_eq!(without_hash("dss-flights-012345678g"), None);
    }
}
