//! Rejects runs that ask for more than a ceiling, and limits what one user may use at once.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::settings::Amount;
use wharf_plugin_sdk::{Limit, Plan, Quantity, Reason, Usage};

/// Ceilings by resource key: the most that one run may have.
type Ceilings = BTreeMap<String, Amount>;

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The most that one run may have, by resource key: `cpus = 2`, `memory = "4g"`.
    ceilings: Ceilings,
    /// Ceilings for groups, which replace the ones above, key by key. Of several groups the most generous counts.
    groups: BTreeMap<String, Ceilings>,
    /// Whether a run without a limit for a key that has a ceiling is rejected.
    require: bool,
    /// How many runs a user may have at once; further ones wait.
    running: Option<u64>,
    /// How many CPUs a user's runs may have together; further ones wait.
    total_cpus: Option<Amount>,
    /// How much memory a user's runs may have together; further ones wait.
    total_memory: Option<Amount>,
}

/// The keys that have an order, so that a ceiling means something.
const KEYS: [&str; 7] = ["cpu-shares", "cpus", "memory", "memory-reservation", "memory-swap", "pids-limit", "shm-size"];

/// The period of `cpu-quota` that Docker takes when `cpu-period` isn't there, in microseconds.
const DEFAULT_CPU_PERIOD: i64 = 100_000;

struct ResourceCeiling;

impl Policy for ResourceCeiling {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        for (key, amount) in settings.ceilings.iter().chain(settings.groups.values().flatten()) {
            if !KEYS.contains(&key.as_str()) {
                return Err(format!("there can't be a ceiling for \"{key}\", only for {}", KEYS.join(", ")));
            }
            let ceiling =
                Quantity::parse(key, amount.as_str()).map_err(|error| format!("the ceiling of {key}: {error}"))?;
            if size(&ceiling).is_none_or(|size| size <= 0) {
                return Err(format!("the ceiling of {key} is {ceiling}; it must be more than 0"));
            }
        }
        for (name, key, total) in
            [("total_cpus", "cpus", &settings.total_cpus), ("total_memory", "memory", &settings.total_memory)]
        {
            if let Some(total) = total {
                Quantity::parse(key, total.as_str()).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        if settings.running == Some(0) {
            return Err("running = 0 would stop every run; leave the key out for no limit".to_owned());
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let keys: std::collections::BTreeSet<&String> =
            settings.ceilings.keys().chain(settings.groups.values().flat_map(BTreeMap::keys)).collect();
        let reasons: Vec<Reason> = keys
            .into_iter()
            .filter_map(|key| {
                let (ceiling, group) = ceiling_for(settings, &plan.requester.groups, key)?;
                judge(settings, plan, key, &ceiling, group)
            })
            .collect();
        if reasons.is_empty() {
            Decision::within(limits(settings, &plan.requester.user))
        } else {
            Decision::Reject(reasons)
        }
    }
}

wharf_plugin_sdk::policy!(ResourceCeiling);

/// The ceiling of a key for someone in these groups, and the group that gave it; none for the one for everybody.
fn ceiling_for<'a>(settings: &'a Settings, groups: &[String], key: &str) -> Option<(Quantity, Option<&'a str>)> {
    let of = |ceilings: &Ceilings| ceilings.get(key).and_then(|amount| Quantity::parse(key, amount.as_str()).ok());
    let own = settings.groups.iter().filter(|(name, _)| groups.contains(name));
    own.filter_map(|(name, ceilings)| Some((of(ceilings)?, Some(name.as_str()))))
        .max_by(|(a, _), (b, _)| size(a).cmp(&size(b)))
        .or_else(|| Some((of(&settings.ceilings)?, None)))
}

fn judge(settings: &Settings, plan: &Plan, key: &str, ceiling: &Quantity, group: Option<&str>) -> Option<Reason> {
    let field = format!("resources.{key}");
    let whose = group.map(|group| format!(" for {group}")).unwrap_or_default();
    let advice = format!("ask for at most {ceiling} (--resource {key}={ceiling})");
    let Some((shown, asked)) = asked(plan, key) else {
        let message = format!("the run has no limit for {key}, and the ceiling{whose} is {ceiling}; {advice}");
        return settings.require.then(|| Reason::new(format!("{key}-required"), message).about(field));
    };
    let over = match asked {
        Asked::Unlimited => true,
        Asked::Amount(amount) => amount.cmp(&size(ceiling)?) == Ordering::Greater,
    };
    let message = format!("{shown} is over the ceiling of {ceiling}{whose}; {advice}");
    over.then(|| Reason::new(format!("{key}-ceiling"), message).about(field))
}

/// How much of a resource a run asks for.
enum Asked {
    Unlimited,
    Amount(i128),
}

/// How much of a key the plan asks for, and how a sentence says it. None when it says nothing of it.
fn asked(plan: &Plan, key: &str) -> Option<(String, Asked)> {
    if let Some(quantity) = plan.resource(key) {
        let shown = format!("{key} {quantity}");
        let amount = match size(quantity) {
            Some(size) if size > 0 => Asked::Amount(size),
            // To Docker, 0 means the default of these two, and "no limit" of the others.
            Some(0) if key == "shm-size" || key == "memory-reservation" || key == "cpu-shares" => Asked::Amount(0),
            _ => Asked::Unlimited,
        };
        return Some((shown, amount));
    }
    // The older way to write `cpus`.
    let count = |key| match plan.resource(key) {
        Some(Quantity::Count(count)) => Some(*count),
        _ => None,
    };
    let quota = count("cpu-quota").filter(|_| key == "cpus")?;
    let period = count("cpu-period").filter(|period| *period > 0).unwrap_or(DEFAULT_CPU_PERIOD);
    let shown = format!("cpu-quota {quota} with a cpu-period of {period}");
    let amount = if quota > 0 {
        Asked::Amount(i128::from(quota) * 1_000_000_000 / i128::from(period))
    } else {
        Asked::Unlimited
    };
    Some((shown, amount))
}

/// An amount as a number of its unit.
fn size(quantity: &Quantity) -> Option<i128> {
    match quantity {
        Quantity::Bytes(amount) | Quantity::Cpus(amount) => Some(i128::from(*amount)),
        Quantity::Count(count) => Some(i128::from(*count)),
        Quantity::Text(_) | Quantity::Texts(_) => None,
    }
}

/// What admission must count for this user.
fn limits(settings: &Settings, user: &str) -> Vec<Limit> {
    let scope = format!("user:{user}");
    let total = |key, amount: &Option<Amount>| match Quantity::parse(key, amount.as_ref()?.as_str()) {
        Ok(Quantity::Bytes(total) | Quantity::Cpus(total)) => Some(total),
        _ => None,
    };
    [
        settings.running.map(|maximum| Limit::running(scope.clone(), maximum)),
        total("cpus", &settings.total_cpus).map(|maximum| Limit::cpus(scope.clone(), maximum)),
        total("memory", &settings.total_memory).map(|maximum| Limit::memory(scope.clone(), maximum)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, String> {
        let settings = wharf_plugin_sdk::settings::parse(json)?;
        ResourceCeiling::check_settings(&settings)?;
        Ok(settings)
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"ceilings":{"memory":"4 gigs"}}"#, "the ceiling of memory: \"4 gigs\" isn't an amount of bytes"),
            (r#"{"ceilings":{"gpus":"all"}}"#, "there can't be a ceiling for \"gpus\""),
            (r#"{"ceilings":{"pids-limit":-1}}"#, "the ceiling of pids-limit is -1; it must be more than 0"),
            (r#"{"groups":{"a":{"memory":0}}}"#, "the ceiling of memory is 0"),
            (r#"{"total_cpus":"many"}"#, "total_cpus: \"many\" isn't a number of CPUs"),
            (r#"{"running":0}"#, "running = 0 would stop every run"),
            (r#"{"running":-1}"#, "running: invalid value"),
        ] {
            let error = settings(json).err().unwrap_or_default();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn the_most_generous_group_counts() {
        let settings = settings(
            r#"{"ceilings":{"memory":"4g"},"groups":{"small":{"memory":"1g"},"large":{"memory":"10g"},"cpus":{"cpus":8}}}"#,
        )
        .unwrap();
        let ceiling = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
            ceiling_for(&settings, &groups, "memory").map(|(ceiling, group)| (ceiling.to_string(), group))
        };
        assert_eq!(ceiling(&["small", "large"]), Some(("10g".to_owned(), Some("large"))));
        assert_eq!(ceiling(&["small"]), Some(("1g".to_owned(), Some("small"))));
        // A group whose table doesn't name the key has the ceiling of everybody.
        assert_eq!(ceiling(&["cpus"]), Some(("4g".to_owned(), None)));
        assert_eq!(ceiling(&[]), Some(("4g".to_owned(), None)));
    }
}
