//! The fields of a plan by the names under which policies change them.

use std::collections::BTreeMap;

use crate::plan::Plan;

impl Plan {
    /// Every field that an edit can change, with its value as receipts show it. A field that isn't set isn't there.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut put = |name: String, value: String| {
            fields.insert(name, value);
        };
        self.resources.iter().for_each(|(key, value)| put(format!("resources.{key}"), value.to_string()));
        for (prefix, map) in [("env", &self.env), ("secrets", &self.secrets), ("labels", &self.labels)] {
            map.iter().for_each(|(key, value)| put(format!("{prefix}.{key}"), value.clone()));
        }
        self.parameters.iter().for_each(|(key, value)| put(format!("parameters.{key}"), value.to_string()));
        if let Some(seconds) = self.time_limit {
            put("time-limit".to_owned(), format!("{seconds}s"));
        }
        let security = &self.security;
        put("security.user".to_owned(), security.user.clone());
        put("security.privileged".to_owned(), security.privileged.to_string());
        put("security.no-new-privileges".to_owned(), security.no_new_privileges.to_string());
        put("security.read-only-root".to_owned(), security.read_only_root.to_string());
        put("security.drop-capabilities".to_owned(), security.drop_capabilities.join(","));
        put("security.add-capabilities".to_owned(), security.add_capabilities.join(","));
        put("security.host-mounts".to_owned(), security.host_mounts.join(","));
        put("security.network".to_owned(), security.network.clone());
        put("base-image".to_owned(), self.image.name.clone());
        put("image.system-packages".to_owned(), self.image.system_packages.join(","));
        put("execution-configuration".to_owned(), self.configuration.name.clone());
        fields
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Edit;
    use crate::quantity::Quantity;

    fn plan() -> Plan {
        serde_json::from_value(json!({
            "run": "r1", "kind": "python", "requester": { "user": "ana", "groups": [] }, "project": null,
            "configuration": {
                "name": "large", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": [], "checks": [],
                "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
                "env": {}, "labels": {}, "time_limit": null,
                "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
            },
            "job": { "argv": [], "env": {}, "files": [], "languages": [] }, "env": { "OLD": "1" },
            "secrets": { "TOKEN": "token" },
            "image": {
                "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": ["curl"],
                "mirrors": {}, "extra_ca": [], "labels": {}, "made_by": "image-debian"
            },
            "image_key": null, "resources": { "cpus": { "cpus": 5 } }, "security": {}, "labels": { "old": "1" },
            "time_limit": null, "parameters": { "old": 1 }, "inputs": [], "outputs": []
        }))
        .unwrap()
    }

    #[test]
    fn a_receipt_and_the_fields_say_the_same() {
        let text = |text: &str| text.to_owned();
        let list = || vec![text("A"), text("B")];
        let edits = [
            Edit::SetResource(text("memory"), Quantity::Bytes(4 << 30)),
            Edit::RemoveResource(text("cpus")),
            Edit::SetEnv(text("TOKEN"), text("x")),
            Edit::RemoveEnv(text("OLD")),
            Edit::SetLabel(text("team"), text("x")),
            Edit::RemoveLabel(text("old")),
            Edit::SetTimeLimit(Some(60)),
            Edit::SetUser(text("1:1")),
            Edit::SetPrivileged(true),
            Edit::SetNoNewPrivileges(false),
            Edit::SetReadOnlyRoot(true),
            Edit::SetDropCapabilities(list()),
            Edit::SetAddCapabilities(list()),
            Edit::SetHostMounts(vec![text("/a:/b")]),
            Edit::SetNetwork(text("host")),
            Edit::SetBaseImage(text("other")),
            Edit::AddSystemPackage(text("git")),
            Edit::SetExecutionConfiguration(text("small")),
            Edit::SetParameter(text("n"), json!([1])),
            Edit::RemoveParameter(text("old")),
        ];
        for edit in edits {
            let mut plan = plan();
            let before = plan.fields();
            let changes = plan.apply(&edit);
            assert!(!changes.is_empty(), "{edit:?}");
            let mut expected = before.clone();
            for change in changes {
                assert_eq!(before.get(&change.field), change.before.as_ref(), "{edit:?}");
                match change.after {
                    Some(after) => expected.insert(change.field, after),
                    None => expected.remove(&change.field),
                };
            }
            assert_eq!(plan.fields(), expected, "{edit:?}");
        }
    }
}
