//! Allows a run when its user is in one of the execution configuration's groups.

use wharf_plugin_sdk::permission::{Permission, Verdict};
use wharf_plugin_sdk::settings::NoSettings;
use wharf_plugin_sdk::{Reason, Request, Usage};

struct AllowedGroups;

impl Permission for AllowedGroups {
    type Settings = NoSettings;

    fn check(_settings: &NoSettings, request: &Request, _usage: &Usage) -> Verdict {
        Verdict::unless(group(request).into_iter().chain(workload_type(request)).collect())
    }
}

wharf_plugin_sdk::permission!(AllowedGroups);

/// The reason against the user, if there is one.
fn group(request: &Request) -> Option<Reason> {
    let configuration = &request.execution_configuration;
    if request.requester.is_in_any(&configuration.allowed_groups) {
        return None;
    }
    let user = &request.requester.user;
    let name = &configuration.name;
    if configuration.allowed_groups.is_empty() {
        let message = format!("nobody may use {name}, {user} included: its allowed_groups is empty");
        return Some(Reason::new("no-groups-allowed", message).about("execution-configuration"));
    }
    let who = match request.requester.groups.as_slice() {
        [] => format!("{user}, who is in no group, may not use {name}"),
        groups => format!("{user} ({}) is in no group that may use {name}", groups.join(", ")),
    };
    let message = format!("{who}: it is for {}", list(&configuration.allowed_groups));
    Some(Reason::new("group-not-allowed", message).about("execution-configuration"))
}

/// The reason against the kind of work, if there is one.
fn workload_type(request: &Request) -> Option<Reason> {
    let configuration = &request.execution_configuration;
    let taken = &configuration.workload_types;
    if taken.is_empty() || taken.contains(&request.kind) {
        return None;
    }
    let message =
        format!("{} doesn't take activities of kind {}: it is for {}", configuration.name, request.kind, list(taken));
    Some(Reason::new("workload-type", message).about("kind"))
}

/// `a`, `a and b`, `a, b and c`.
fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}
