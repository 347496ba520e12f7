//! Fills in what a plan leaves open: resources, labels, variables and a time limit. Never changes what is there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::policy::{Changes, Decision, Policy, PolicyRole};
use wharf_plugin_sdk::settings::Amount;
use wharf_plugin_sdk::{Plan, Quantity, Usage};

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Resources for runs that don't have them, by resource key: `memory = "2g"`.
    defaults: BTreeMap<String, Amount>,
    /// Labels for runs that don't have them. `${user}`, `${project}`, `${kind}` and `${configuration}` are replaced.
    labels: BTreeMap<String, String>,
    /// Environment variables for runs that don't have them, with the same replacements.
    env: BTreeMap<String, String>,
    /// After how many seconds a run is ended that has no time limit.
    time_limit: Option<u64>,
}

struct DefaultsAndLabels;

impl Policy for DefaultsAndLabels {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Mutating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        for (key, amount) in &settings.defaults {
            Quantity::parse(key, amount.as_str()).map_err(|error| format!("defaults: {key}: {error}"))?;
        }
        for (key, template) in &settings.labels {
            if key.is_empty() || key.starts_with("wharf.") {
                return Err(format!(
                    "labels: \"{key}\" can't be set: labels have a name, and wharf.* are the host's own"
                ));
            }
            expand(template, |_| Some("")).map_err(|error| format!("labels: {key}: {error}"))?;
        }
        for (key, template) in &settings.env {
            if !is_variable_name(key) || key.starts_with("WHARF_") {
                return Err(format!(
                    "env: \"{key}\" can't be set: a name is letters, digits and _, and WHARF_* are the host's own"
                ));
            }
            expand(template, |_| Some("")).map_err(|error| format!("env: {key}: {error}"))?;
        }
        match settings.time_limit {
            Some(0) => Err("time_limit = 0 would end every run at once; leave the key out for no limit".to_owned()),
            _ => Ok(()),
        }
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let mut changes = Changes::to(plan);
        for (key, amount) in &settings.defaults {
            // `check_settings` has seen that it parses.
            let Ok(quantity) = Quantity::parse(key, amount.as_str()) else { continue };
            if plan.resource(key).is_none() && !is_set_otherwise(plan, key) {
                let reason = format!("The run has no {key} of its own, and the default is {quantity}.");
                changes.set_resource(key, &quantity, "default-resource", reason);
            }
        }
        for (key, template) in &settings.labels {
            if let (None, Some(value)) = (plan.label(key), expand_for(plan, template)) {
                let reason = format!("Every run carries the label {key}.");
                changes.set_label(key, &value, "default-label", reason);
            }
        }
        for (key, template) in &settings.env {
            // A variable that gets a secret is there; setting it would take the secret away.
            if let (None, None, Some(value)) = (plan.env(key), plan.secret(key), expand_for(plan, template)) {
                let reason = format!("Every run has the variable {key}.");
                changes.set_env(key, &value, "default-env", reason);
            }
        }
        if let (None, Some(seconds)) = (plan.time_limit, settings.time_limit) {
            let reason = format!("The run has no time limit of its own, and the default is {seconds} seconds.");
            changes.set_time_limit(seconds, "default-time-limit", reason);
        }
        changes.into_decision()
    }
}

wharf_plugin_sdk::policy!(DefaultsAndLabels);

/// Docker refuses `cpus` beside the older keys that say the same.
fn is_set_otherwise(plan: &Plan, key: &str) -> bool {
    match key {
        "cpus" => plan.resource("cpu-quota").is_some() || plan.resource("cpu-period").is_some(),
        "cpu-quota" | "cpu-period" => plan.resource("cpus").is_some(),
        _ => false,
    }
}

/// A template's text for a plan; none when it names something that the plan doesn't have.
fn expand_for(plan: &Plan, template: &str) -> Option<String> {
    let value = |name: &str| match name {
        "user" => Some(plan.requester.user.as_str()),
        "project" => plan.project.as_deref(),
        "kind" => Some(plan.kind.as_str()),
        _ => Some(plan.execution_configuration.name.as_str()),
    };
    expand(template, value).ok().flatten()
}

/// Replaces `${NAME}`. `Ok(None)` when a value isn't there.
fn expand<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<Option<String>, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("\"{template}\" opens a ${{ and doesn't close it"));
        };
        if !["user", "project", "kind", "configuration"].contains(&name) {
            return Err(format!(
                "there is no ${{{name}}}, only ${{user}}, ${{project}}, ${{kind}} and ${{configuration}}"
            ));
        }
        let Some(value) = value(name) else { return Ok(None) };
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    Ok(Some(text))
}

fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"defaults":{"memmory":"4g"}}"#, "defaults: memmory: no resource key is called"),
            (r#"{"labels":{"team":"${usr}"}}"#, "labels: team: there is no ${usr}, only ${user}"),
            (r#"{"labels":{"team":"${user"}}"#, "labels: team: \"${user\" opens a ${ and doesn't close it"),
            (r#"{"labels":{"wharf.run":"x"}}"#, "labels: \"wharf.run\" can't be set"),
            (r#"{"env":{"A B":"x"}}"#, "env: \"A B\" can't be set"),
            (r#"{"env":{"1A":"x"}}"#, "env: \"1A\" can't be set"),
            (r#"{"time_limit":0}"#, "time_limit = 0"),
        ] {
            let settings: Settings = wharf_plugin_sdk::settings::parse(json).unwrap();
            let error = DefaultsAndLabels::check_settings(&settings).unwrap_err();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn templates_are_expanded_whole_or_not_at_all() {
        let value = |name: &str| (name == "user").then_some("ana");
        assert_eq!(expand("by-${user}-${user}.", value), Ok(Some("by-ana-ana.".to_owned())));
        assert_eq!(expand("${user}/${project}", value), Ok(None));
        assert_eq!(expand("$user {}", value), Ok(Some("$user {}".to_owned())));
    }
}
