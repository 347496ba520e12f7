//! What several runs may have together: limits that admission enforces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::settings::Amount;
use wharf_plugin_sdk::{Limit, Plan, Quantity};

/// Whom the limits without a name of their own are for: each one by itself.
const EACH: &str = "*";

/// What the runs of one may have together.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Totals {
    /// How many runs at once.
    pub(crate) running: Option<u64>,
    /// How many CPUs.
    pub(crate) cpus: Option<Amount>,
    /// How much memory.
    pub(crate) memory: Option<Amount>,
    /// How many GPUs.
    pub(crate) gpus: Option<u64>,
    /// Whether further runs are refused; otherwise they wait.
    pub(crate) refuse: bool,
}

impl Totals {
    /// `before` is what stands in front of the keys in errors.
    pub(crate) fn check(&self, before: &str) -> Result<(), String> {
        for (key, total) in [("cpus", &self.cpus), ("memory", &self.memory)] {
            if let Some(total) = total {
                Quantity::parse(key, total.as_str()).map_err(|error| format!("{before}{key}: {error}"))?;
            }
        }
        if self.running == Some(0) {
            return Err(format!("{before}running = 0 would stop every run; leave the key out for no limit"));
        }
        Ok(())
    }

    /// As limits of this scope.
    pub(crate) fn limits(&self, scope: &str) -> Vec<Limit> {
        // `check` has seen that they parse.
        let total = |key, amount: &Option<Amount>| match Quantity::parse(key, amount.as_ref()?.as_str()) {
            Ok(Quantity::Bytes(total) | Quantity::Cpus(total)) => Some(total),
            _ => None,
        };
        [
            self.running.map(|maximum| Limit::running(scope, maximum)),
            total("cpus", &self.cpus).map(|maximum| Limit::cpus(scope, maximum)),
            total("memory", &self.memory).map(|maximum| Limit::memory(scope, maximum)),
            self.gpus.map(|maximum| Limit::gpus(scope, maximum)),
        ]
        .into_iter()
        .flatten()
        .map(|limit| if self.refuse { limit.or_reject() } else { limit })
        .collect()
    }

    fn is_empty(&self) -> bool {
        self.running.is_none() && self.cpus.is_none() && self.memory.is_none() && self.gpus.is_none()
    }
}

/// Totals by the name of a user, a group, a project or an execution configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scoped {
    /// The runs of one user.
    users: BTreeMap<String, Totals>,
    /// The runs of all members of a group together. A run counts in each group of its user.
    groups: BTreeMap<String, Totals>,
    /// The runs of a project, whoever started them.
    projects: BTreeMap<String, Totals>,
    /// The runs under an execution configuration.
    configurations: BTreeMap<String, Totals>,
}

impl Scoped {
    pub(crate) fn check(&self) -> Result<(), String> {
        for (kind, by_name) in [
            ("users", &self.users),
            ("groups", &self.groups),
            ("projects", &self.projects),
            ("configurations", &self.configurations),
        ] {
            for (name, totals) in by_name {
                totals.check(&format!("totals.{kind}.{name}."))?;
                // Whoever is named and not limited is taken out of `*`, which is worth saying on purpose.
                if totals.is_empty() && (name == EACH || !by_name.contains_key(EACH)) {
                    return Err(format!(
                        "totals.{kind}.{name} limits nothing; it takes running, cpus, memory and gpus"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The limits that a run counts in.
    pub(crate) fn limits(&self, plan: &Plan) -> Vec<Limit> {
        let user = [&plan.requester.user];
        let of_users = user.into_iter().flat_map(|name| of(&self.users, "user", name));
        let of_groups = plan.requester.groups.iter().flat_map(|name| of(&self.groups, "group", name));
        let of_projects = plan.project.iter().flat_map(|name| of(&self.projects, "project", name));
        let of_configuration = of(&self.configurations, "configuration", &plan.execution_configuration.name);
        of_users.chain(of_groups).chain(of_projects).chain(of_configuration).collect()
    }
}

fn of(by_name: &BTreeMap<String, Totals>, kind: &str, name: &str) -> Vec<Limit> {
    let totals = by_name.get(name).filter(|_| name != EACH).or_else(|| by_name.get(EACH));
    // The star's own scope is each name's: one count for each.
    totals.map(|totals| totals.limits(&format!("{kind}:{name}"))).unwrap_or_default()
}
