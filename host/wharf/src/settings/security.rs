//! The `[security]` table: what the containers of a configuration may do.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_model::{Fault, Security, document, protocol};

use super::source::Source;

/// What the containers may do. What isn't said is as strict as it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityTable {
    /// User and group id of the recipe, e.g. `1000:1000`, which is the default.
    pub user: Option<String>,
    /// Full access to the daemon's machine. `false` by default.
    pub privileged: Option<bool>,
    /// No program in the container gets more rights than it started with. `true` by default.
    pub no_new_privileges: Option<bool>,
    /// Only the working folder and /tmp can be written. `false` by default.
    pub read_only_root: Option<bool>,
    /// Capabilities that are taken away. `["ALL"]` by default.
    pub drop_capabilities: Option<Vec<String>>,
    /// Capabilities that are given back after that. None by default.
    pub add_capabilities: Option<Vec<String>>,
    /// Folders of the daemon's machine, as `/path:/inside` or `/path:/inside:ro`. None by default.
    pub host_mounts: Option<Vec<String>>,
    /// The container's network: `bridge` (the default), `host`, the name of a network of the daemon, or `none`, which needs
    /// `mode = "attach"` in `[exchange]`.
    pub network: Option<String>,
}

/// Linux's capabilities, without the prefix.
const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

impl SecurityTable {
    /// The settings, checked.
    pub(super) fn check(self, source: &Source<'_>) -> Result<Security, Fault> {
        let strict = Security::default();
        let security = Security {
            user: self.user.unwrap_or(strict.user),
            privileged: self.privileged.unwrap_or(strict.privileged),
            no_new_privileges: self.no_new_privileges.unwrap_or(strict.no_new_privileges),
            read_only_root: self.read_only_root.unwrap_or(strict.read_only_root),
            drop_capabilities: capabilities(
                source,
                "drop_capabilities",
                self.drop_capabilities,
                strict.drop_capabilities,
            )?,
            add_capabilities: capabilities(source, "add_capabilities", self.add_capabilities, strict.add_capabilities)?,
            host_mounts: self.host_mounts.unwrap_or(strict.host_mounts),
            network: self.network.unwrap_or(strict.network),
        };
        let mut ids = security.user.split(':');
        if ids.clone().count() > 2 || !ids.all(|id| id.parse::<u32>().is_ok()) {
            return Err(source.fault(
                &["security", "user"],
                format!(
                    "`user` in [security] is \"{}\"; expected a user's and a group's id, such as \"1000:1000\"",
                    security.user
                ),
            ));
        }
        for (at, mount) in security.host_mounts.iter().enumerate() {
            check_mount(mount)
                .map_err(|message| source.fault(&["security", "host_mounts", &at.to_string()], message))?;
        }
        check_network(&security.network).map_err(|message| source.fault(&["security", "network"], message))?;
        Ok(security)
    }
}

/// The keys that open a container wide, with a sentence each.
pub(super) fn openings(security: &Security) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if security.privileged {
        found.push(("privileged", "`privileged = true`: a recipe has all rights on the daemon's machine".to_owned()));
    }
    if security.user.split(':').next().is_some_and(|id| id.parse() == Ok(0_u32)) {
        found.push(("user", format!("`user = \"{}\"`: recipes run as root in their containers", security.user)));
    }
    if !security.host_mounts.is_empty() {
        let mounts = security.host_mounts.join(", ");
        found.push(("host_mounts", format!("`host_mounts`: recipes see folders of the daemon's machine: {mounts}")));
    }
    if security.network == "host" {
        let message =
            "`network = \"host\"`: recipes reach all that listens on the daemon's machine, this host included";
        found.push(("network", message.to_owned()));
    }
    if !security.add_capabilities.is_empty() {
        let names = security.add_capabilities.join(", ");
        found.push(("add_capabilities", format!("`add_capabilities`: containers have rights of root: {names}")));
    }
    found
}

fn capabilities(
    source: &Source<'_>,
    key: &str,
    written: Option<Vec<String>>,
    strict: Vec<String>,
) -> Result<Vec<String>, Fault> {
    let Some(written) = written else { return Ok(strict) };
    let plain = |name: &str| name.strip_prefix("CAP_").unwrap_or(name).to_owned();
    for (at, name) in written.iter().enumerate() {
        if !CAPABILITIES.contains(&plain(name).as_str()) {
            let mut message = format!("`{key}` in [security] has \"{name}\", which isn't a capability");
            if let Some(near) = document::nearest(&plain(&name.to_uppercase()), CAPABILITIES) {
                message.push_str(&format!("; did you mean \"{near}\"?"));
            }
            return Err(source.fault(&["security", key, &at.to_string()], message));
        }
    }
    Ok(written.iter().map(|name| plain(name)).collect())
}

fn check_mount(mount: &str) -> Result<(), String> {
    let parts: Vec<&str> = mount.split(':').collect();
    let (outside, inside) = match parts.as_slice() {
        [outside, inside] | [outside, inside, "ro" | "rw"] => (*outside, *inside),
        _ => {
            return Err(format!(
                "`host_mounts` in [security] has \"{mount}\"; expected \"/path:/inside\" or \"/path:/inside:ro\""
            ));
        }
    };
    if !outside.starts_with('/') || !inside.starts_with('/') {
        return Err(format!("`host_mounts` in [security] has \"{mount}\", whose paths must both begin with /"));
    }
    let covers = |place: &str| inside == place || inside.starts_with(&format!("{place}/"));
    if inside.trim_matches('/').is_empty()
        || inside.split('/').any(|part| part == "..")
        || covers(protocol::INSIDE)
        || covers("/wharf")
    {
        return Err(format!("`host_mounts` in [security] has \"{mount}\", which would cover files that the run needs"));
    }
    Ok(())
}

fn check_network(network: &str) -> Result<(), String> {
    if !super::name::is_name(network) {
        return Err(format!(
            "`network` in [security] is \"{network}\"; expected \"bridge\", \"host\", \"none\" or a network's name"
        ));
    }
    Ok(())
}
