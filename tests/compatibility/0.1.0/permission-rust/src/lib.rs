//! Lets only the groups of a project run its recipes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::permission::{Permission, Verdict};
use wharf_plugin_sdk::{Limit, Reason, Request, Usage};

/// The `[settings]` table. Its comments are descriptions in the schema that administrators see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The groups whose members may run recipes of a project. Projects that aren't here are for everybody.
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    /// How many runs of one project there may be at once. Further ones wait.
    running: Option<u64>,
}

struct Component;

impl Permission for Component {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        match settings.running {
            Some(0) => Err("running = 0 would stop every run; leave the key out for no limit".to_owned()),
            _ => Ok(()),
        }
    }

    fn check(settings: &Settings, request: &Request, _usage: &Usage) -> Verdict {
        let Some(project) = &request.project else { return Verdict::yes() };
        if let Some(groups) = settings.groups.get(project) {
            if !request.requester.is_in_any(groups) {
                let user = &request.requester.user;
                let groups = groups.join(", ");
                let message = format!("{user} is in no group that may run recipes of {project}: it is for {groups}");
                return Verdict::Deny(vec![Reason::new("project-group", message)]);
            }
        }
        // The host counts: a hundred runs that are asked for at once would all see the same usage.
        let limit = |running| Limit::running(format!("project:{project}"), running);
        Verdict::Allow(settings.running.map(limit).into_iter().collect())
    }
}

wharf_plugin_sdk::permission!(Component);
