//! Rejects runs that ask for more than a ceiling, and limits what users, groups and projects may use at once.

mod asked;
mod totals;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::settings::Amount;
use wharf_plugin_sdk::{Plan, Reason, Usage};

use asked::{Asked, Ceiling};
use totals::{Scoped, Totals};

/// Ceilings by key: the most that one run may have.
type Ceilings = BTreeMap<String, Amount>;

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The most that one run may have, by key: `cpus = 2`, `memory = "4g"`, `gpus = 1`, `time-limit = "2h"`, `ml-jobs = 8`.
    ceilings: Ceilings,
    /// Ceilings for groups, which replace the ones above, key by key. Of several groups the most generous counts.
    groups: BTreeMap<String, Ceilings>,
    /// Whether a run without a limit for a key that has a ceiling is rejected.
    require: bool,
    /// The groups that may use GPUs. Everybody may when this isn't there.
    gpu_groups: Option<Vec<String>>,
    /// How many runs a user may have at once; further ones wait.
    running: Option<u64>,
    /// How many CPUs a user's runs may have together; further ones wait.
    total_cpus: Option<Amount>,
    /// How much memory a user's runs may have together; further ones wait.
    total_memory: Option<Amount>,
    /// How many GPUs a user's runs may have together; further ones wait.
    total_gpus: Option<u64>,
    /// What the runs of users, groups and projects may have together, by name; `*` is each one that isn't named.
    totals: Scoped,
}

impl Settings {
    /// What one user may have: the four keys at the top are for each user.
    fn each_user(&self) -> Totals {
        Totals {
            running: self.running,
            cpus: self.total_cpus.clone(),
            memory: self.total_memory.clone(),
            gpus: self.total_gpus,
            refuse: false,
        }
    }
}

struct ResourceCeiling;

impl Policy for ResourceCeiling {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        for (key, amount) in settings.ceilings.iter().chain(settings.groups.values().flatten()) {
            Ceiling::parse(key, amount)?;
        }
        if settings.running == Some(0) {
            return Err("running = 0 would stop every run; leave the key out for no limit".to_owned());
        }
        settings.each_user().check("total_")?;
        settings.totals.check()
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let keys: BTreeSet<&String> =
            settings.ceilings.keys().chain(settings.groups.values().flat_map(BTreeMap::keys)).collect();
        let over = keys.into_iter().filter_map(|key| {
            let (ceiling, group) = ceiling_for(settings, &plan.requester.groups, key)?;
            judge(settings, plan, key, &ceiling, group)
        });
        let reasons: Vec<Reason> = over.chain(gpus_not_for_them(settings, plan)).collect();
        if !reasons.is_empty() {
            return Decision::Reject(reasons);
        }
        let mut limits = settings.each_user().limits(&format!("user:{}", plan.requester.user));
        limits.extend(settings.totals.limits(plan));
        Decision::within(limits)
    }
}

wharf_plugin_sdk::policy!(ResourceCeiling);

/// The ceiling of a key for someone in these groups, and the group that gave it; none for the one for everybody.
fn ceiling_for<'a>(settings: &'a Settings, groups: &[String], key: &str) -> Option<(Ceiling, Option<&'a str>)> {
    let of = |ceilings: &Ceilings| ceilings.get(key).and_then(|amount| Ceiling::parse(key, amount).ok());
    let own = settings.groups.iter().filter(|(name, _)| groups.contains(name));
    own.filter_map(|(name, ceilings)| Some((of(ceilings)?, Some(name.as_str()))))
        .max_by(|(a, _), (b, _)| a.size.cmp(&b.size))
        .or_else(|| Some((of(&settings.ceilings)?, None)))
}

fn judge(settings: &Settings, plan: &Plan, key: &str, ceiling: &Ceiling, group: Option<&str>) -> Option<Reason> {
    let field = asked::field(key);
    let whose = group.map(|group| format!(" for {group}")).unwrap_or_default();
    let advice = asked::advice(key, &ceiling.shown);
    let ceiling_shown = &ceiling.shown;
    let (shown, asked) = match asked::asked(plan, key) {
        Asked::Nothing => return None,
        Asked::Unsaid(what) => {
            let message = format!("the run has no {what}, and the ceiling{whose} is {ceiling_shown}; {advice}");
            return settings.require.then(|| Reason::new(format!("{key}-required"), message).about(field));
        }
        Asked::Unlimited(shown) => (shown, None),
        Asked::Amount(shown, amount) => (shown, Some(amount)),
    };
    let over = asked.is_none_or(|amount| amount > ceiling.size);
    let message = format!("{shown} is over the ceiling of {ceiling_shown}{whose}; {advice}");
    over.then(|| Reason::new(format!("{key}-ceiling"), message).about(field))
}

/// The reason against a run that would use a GPU and isn't of those who may.
fn gpus_not_for_them(settings: &Settings, plan: &Plan) -> Option<Reason> {
    let groups = settings.gpu_groups.as_ref()?;
    let (how, field) = asked::way_to_gpus(plan)?;
    if plan.requester.is_in_any(groups) {
        return None;
    }
    let user = &plan.requester.user;
    let whose = if groups.is_empty() { "nobody".to_owned() } else { groups.join(", ") };
    let message = format!("{user} may not use GPUs, and {how}: GPUs are for {whose}; run it without one");
    Some(Reason::new("gpus-not-allowed", message).about(field))
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
            (r#"{"ceilings":{"runtime":"all"}}"#, "there can't be a ceiling for \"runtime\""),
            (r#"{"ceilings":{"gpus":"all"}}"#, "the ceiling of gpus: \"all\" isn't a whole number"),
            (r#"{"ceilings":{"pids-limit":-1}}"#, "the ceiling of pids-limit is -1; it must be more than 0"),
            (r#"{"ceilings":{"time-limit":"2 moons"}}"#, "the ceiling of time-limit: \"2 moons\" isn't a time"),
            (r#"{"ceilings":{"time-limit":0}}"#, "the ceiling of time-limit is 0 s; it must be more than 0"),
            (r#"{"ceilings":{"ml-jobs":0}}"#, "the ceiling of ml-jobs is 0; it must be more than 0"),
            (r#"{"groups":{"a":{"memory":0}}}"#, "the ceiling of memory is 0"),
            (r#"{"total_cpus":"many"}"#, "total_cpus: \"many\" isn't a number of CPUs"),
            (r#"{"running":0}"#, "running = 0 would stop every run"),
            (r#"{"running":-1}"#, "running: invalid value"),
            (r#"{"totals":{"projects":{"A":{"running":0}}}}"#, "totals.projects.A.running = 0 would stop every run"),
            (r#"{"totals":{"users":{"*":{"memory":"x"}}}}"#, "totals.users.*.memory: \"x\" isn't an amount"),
            (r#"{"totals":{"groups":{"a":{}}}}"#, "totals.groups.a limits nothing"),
        ] {
            let error = settings(json).err().unwrap_or_default();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
        // No GPU at all is a ceiling that people want.
        settings(r#"{"ceilings":{"gpus":0},"total_gpus":0}"#).unwrap();
    }

    #[test]
    fn the_most_generous_group_counts() {
        let settings = settings(
            r#"{"ceilings":{"memory":"4g"},"groups":{"small":{"memory":"1g"},"large":{"memory":"10g"},"cpus":{"cpus":8}}}"#,
        )
        .unwrap();
        let ceiling = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
            ceiling_for(&settings, &groups, "memory").map(|(ceiling, group)| (ceiling.shown, group))
        };
        assert_eq!(ceiling(&["small", "large"]), Some(("10g".to_owned(), Some("large"))));
        assert_eq!(ceiling(&["small"]), Some(("1g".to_owned(), Some("small"))));
        // A group whose table doesn't name the key has the ceiling of everybody.
        assert_eq!(ceiling(&["cpus"]), Some(("4g".to_owned(), None)));
        assert_eq!(ceiling(&[]), Some(("4g".to_owned(), None)));
    }
}
