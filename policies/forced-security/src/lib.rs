//! Forces the security context of runs, and rejects what a site doesn't allow.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::pattern::any_matches;
use wharf_plugin_sdk::policy::{Changes, Decision, Edit, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Groups whose runs are left as they are.
    except_groups: Vec<String>,
    /// What every run gets, whatever its configuration says.
    force: Force,
    /// What runs may have; a run with more is rejected.
    allow: Allow,
}

/// What every run gets. A key that isn't there forces nothing.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Force {
    /// User and group ids: `"1000:1000"`.
    user: Option<String>,
    /// Docker's `--privileged`.
    privileged: Option<bool>,
    /// No process may gain privileges, as by `sudo`.
    no_new_privileges: Option<bool>,
    /// The container's own files can't be changed; `/tmp` and the working folder can.
    read_only_root: Option<bool>,
    /// Capabilities that are dropped: `["ALL"]`.
    drop_capabilities: Option<Vec<String>>,
    /// Capabilities that are added after the drop.
    add_capabilities: Option<Vec<String>>,
    /// Mounts from the machine, as Docker writes them.
    host_mounts: Option<Vec<String>>,
    /// The container's network.
    network: Option<String>,
}

/// What runs may have. A list that isn't there allows everything, an empty one nothing; `*` stands for any text.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Allow {
    /// Whether a run may be root in its container: user 0, or a name, whose id nobody knows.
    root: Option<bool>,
    /// Whether it may be privileged.
    privileged: Option<bool>,
    /// Capabilities that may be added: `["NET_BIND_SERVICE"]`.
    add_capabilities: Option<Vec<String>>,
    /// Mounts from the machine: `["/data/*:ro"]`.
    host_mounts: Option<Vec<String>>,
    /// Networks: `["bridge", "none"]`.
    networks: Option<Vec<String>>,
}

struct ForcedSecurity;

impl Policy for ForcedSecurity {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Mutating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        let Force { user, network, .. } = &settings.force;
        if let Some(user) = user
            && !is_ids(user)
        {
            return Err(format!("force.user: \"{user}\" isn't a user and a group id such as \"1000:1000\""));
        }
        if network.as_ref().is_some_and(|network| network.trim().is_empty()) {
            return Err("force.network is empty; \"none\" is the network that leads nowhere".to_owned());
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        if plan.requester.is_in_any(&settings.except_groups) {
            return Decision::yes();
        }
        // What is forced is in place of what the run had, so only the rest of it can be too much.
        let reasons = too_much(settings, plan);
        if !reasons.is_empty() {
            return Decision::Reject(reasons);
        }
        force(&settings.force, plan)
    }
}

wharf_plugin_sdk::policy!(ForcedSecurity);

fn force(force: &Force, plan: &Plan) -> Decision {
    let mut changes = Changes::to(plan);
    let has = &plan.security;
    let mut set = |edit: Option<Edit>, what: &str| {
        if let Some(edit) = edit {
            changes.push(edit, "forced-security", format!("This site sets {what} for every run."));
        }
    };
    set(changed(&force.user, &has.user).map(Edit::SetUser), "the user");
    set(changed(&force.privileged, &has.privileged).map(Edit::SetPrivileged), "privileged");
    set(changed(&force.no_new_privileges, &has.no_new_privileges).map(Edit::SetNoNewPrivileges), "no-new-privileges");
    set(changed(&force.read_only_root, &has.read_only_root).map(Edit::SetReadOnlyRoot), "a read-only root");
    let dropped = changed(&force.drop_capabilities, &has.drop_capabilities);
    set(dropped.map(Edit::SetDropCapabilities), "the dropped capabilities");
    let added = changed(&force.add_capabilities, &has.add_capabilities);
    set(added.map(Edit::SetAddCapabilities), "the added capabilities");
    set(changed(&force.host_mounts, &has.host_mounts).map(Edit::SetHostMounts), "the mounts of the machine");
    set(changed(&force.network, &has.network).map(Edit::SetNetwork), "the network");
    changes.into_decision()
}

/// What is forced, if the run has something else.
fn changed<T: Clone + PartialEq>(forced: &Option<T>, has: &T) -> Option<T> {
    forced.as_ref().filter(|forced| *forced != has).cloned()
}

fn too_much(settings: &Settings, plan: &Plan) -> Vec<Reason> {
    let Settings { force, allow, .. } = settings;
    let has = &plan.security;
    let mut reasons = Vec::new();
    let mut no = |rule: &str, field: &str, message: String| {
        reasons.push(Reason::new(rule, message).about(format!("security.{field}")));
    };
    if allow.root == Some(false) && force.user.is_none() && may_be_root(&has.user) {
        let message = format!("the run would be root in its container (user {}); set ids such as 1000:1000", has.user);
        no("root-not-allowed", "user", message);
    }
    if allow.privileged == Some(false) && force.privileged.is_none() && has.privileged {
        no("privileged-not-allowed", "privileged", "the run is privileged; set privileged = false".to_owned());
    }
    let mut each = |rule: &str, field: &str, what: &str, has: &[String], allowed: &Option<Vec<String>>| {
        let Some(allowed) = allowed else { return };
        for one in has.iter().filter(|one| !any_matches(allowed, one)) {
            let there = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            no(rule, field, format!("{what} {one} isn't allowed; allowed: {there}"));
        }
    };
    if force.add_capabilities.is_none() {
        let added: Vec<String> = has.add_capabilities.iter().map(|name| plain_capability(name)).collect();
        each("capability-not-allowed", "add-capabilities", "the capability", &added, &allow.add_capabilities);
    }
    if force.host_mounts.is_none() {
        each("mount-not-allowed", "host-mounts", "the mount", &has.host_mounts, &allow.host_mounts);
    }
    if force.network.is_none() {
        each("network-not-allowed", "network", "the network", std::slice::from_ref(&has.network), &allow.networks);
    }
    reasons
}

/// As engines read it: `cap_net_admin` is `NET_ADMIN`.
fn plain_capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
}

fn is_ids(user: &str) -> bool {
    let is_id = |text: &str| text.parse::<u32>().is_ok() && !text.starts_with('+');
    user.split_once(':').is_some_and(|(user, group)| is_id(user) && is_id(group))
}

fn may_be_root(user: &str) -> bool {
    let id = user.split(':').next().unwrap_or_default();
    id.parse::<u32>().map_or(true, |id| id == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"force":{"user":"root"}}"#, "force.user: \"root\" isn't a user and a group id"),
            (r#"{"force":{"user":"1000"}}"#, "force.user: \"1000\" isn't"),
            (r#"{"force":{"network":""}}"#, "force.network is empty"),
        ] {
            let settings: Settings = wharf_plugin_sdk::settings::parse(json).unwrap();
            let error = ForcedSecurity::check_settings(&settings).unwrap_err();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn root_is_found_however_it_is_written() {
        for (user, root) in [
            ("0:0", true),
            ("0", true),
            ("000:5", true),
            ("root", true),
            ("", true),
            ("1000:0", false),
            ("1000", false),
        ] {
            assert_eq!(may_be_root(user), root, "{user}");
        }
        assert_eq!(plain_capability("cap_sys_admin"), "SYS_ADMIN");
        assert_eq!(plain_capability("ALL"), "ALL");
    }
}
