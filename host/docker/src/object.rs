//! The create-container body of an attempt: made without a daemon.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType,
    ResourcesUlimits,
};
use sha2::{Digest, Sha256};
use wharf_model::launch::LaunchSpec;
use wharf_model::{LABEL_ATTEMPT, LABEL_HOST, LABEL_RUN};

use crate::resources;

/// The label with the SHA-256 of what a container was made from. An attempt's container that is there already is only
/// adopted when it was made from the same.
pub const LABEL_SPEC: &str = "wharf.spec";

/// What a secret's value is shown as.
const HIDDEN: &str = "***";

/// The name of an attempt's container. One attempt has one name, so it can't have two containers.
#[must_use]
pub fn container_name(spec: &LaunchSpec) -> String {
    format!("wharf-{}-{}", spec.run, spec.attempt)
}

/// The body of "create container" for an attempt; secrets as they are, or `***`.
///
/// Pure. The container's log is kept small, since the runner has a better one; the container is never removed by the
/// daemon itself, so that its end can be read.
///
/// # Errors
/// One sentence: a resource that Docker has no field for, or that isn't an amount.
pub(crate) fn container(spec: &LaunchSpec, hide_secrets: bool) -> Result<ContainerCreateBody, String> {
    let security = &spec.security;
    let mut env: Vec<String> = spec
        .env
        .iter()
        .filter(|(key, _)| !spec.secret_env.contains_key(*key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for (key, value) in &spec.secret_env {
        env.push(format!("{key}={}", if hide_secrets { HIDDEN } else { value }));
    }

    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    // Ours go last: nobody else's can take their place.
    labels.insert(LABEL_HOST.to_owned(), spec.host.clone());
    labels.insert(LABEL_RUN.to_owned(), spec.run.clone());
    labels.insert(LABEL_ATTEMPT.to_owned(), spec.attempt.to_string());
    labels.insert(LABEL_SPEC.to_owned(), digest(spec));

    let mut host = HostConfig {
        network_mode: Some(security.network.clone()),
        extra_hosts: reaches_host_by_name(&security.network)
            .then(|| vec!["host.docker.internal:host-gateway".to_owned()]),
        mounts: (!security.host_mounts.is_empty())
            .then(|| security.host_mounts.iter().map(|text| mount(text)).collect()),
        cap_drop: listed(&security.drop_capabilities),
        cap_add: listed(&security.add_capabilities),
        security_opt: security.no_new_privileges.then(|| vec!["no-new-privileges".to_owned()]),
        privileged: Some(security.privileged),
        readonly_rootfs: Some(security.read_only_root),
        tmpfs: security.read_only_root.then(writable),
        runtime: spec.runtime.clone(),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some([("max-size", "10m"), ("max-file", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        }),
        // A daemon may be set up to share these with other containers, or with its machine.
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        // The runner is the first process, and reaps what it inherits.
        init: Some(false),
        auto_remove: Some(false),
        ..HostConfig::default()
    };
    resources::apply(&spec.resources, &mut host)?;
    // A core file has the secrets of its process in it, and the machine may take core files out of containers.
    let ulimits = host.ulimits.get_or_insert_default();
    if !ulimits.iter().any(|limit| limit.name.as_deref() == Some("core")) {
        ulimits.push(ResourcesUlimits { name: Some("core".to_owned()), soft: Some(0), hard: Some(0) });
    }

    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        // Empty, not absent: what the image starts by itself is cleared.
        entrypoint: Some(Vec::new()),
        cmd: Some(spec.argv.clone()),
        user: Some(security.user.clone()),
        env: Some(env),
        labels: Some(labels),
        stop_signal: Some("SIGTERM".to_owned()),
        stop_timeout: Some(i64::from(spec.grace_seconds)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

/// Whether the name `host.docker.internal` can be given to a container of that network.
fn reaches_host_by_name(network: &str) -> bool {
    !matches!(network, "host" | "none") && !network.starts_with("container:")
}

fn listed(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

/// `/path:/inside[:ro]` as a mount. Docker makes the folder of a bind that isn't there, as root's and empty; a mount's must
/// be there.
fn mount(text: &str) -> Mount {
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    Mount {
        typ: Some(MountType::BIND),
        source: parts.next(),
        target: parts.next(),
        read_only: Some(parts.next().is_some_and(|mode| mode == "ro")),
        ..Mount::default()
    }
}

/// What stays writable under a read-only root.
fn writable() -> HashMap<String, String> {
    ["/tmp", "/wharf/work"].map(|path| (path.to_owned(), "rw,exec,nosuid,nodev,mode=1777".to_owned())).into()
}

/// The SHA-256 of a specification, in hex.
pub(crate) fn digest(spec: &LaunchSpec) -> String {
    // Maps of a specification are sorted, and texts, numbers and flags always have JSON.
    hex::encode(Sha256::digest(serde_json::to_vec(spec).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use wharf_model::configuration::Security;
    use wharf_model::quantity::Quantity;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn spec() -> LaunchSpec {
        LaunchSpec {
            host: "home-1".to_owned(),
            run: "r1".to_owned(),
            attempt: 2,
            image: "sha256:aa".to_owned(),
            argv: vec!["/opt/wharf/bin/wharf-runner".to_owned(), "run".to_owned()],
            env: pairs(&[("A", "1"), ("WHARF_TICKET", "shown")]),
            secret_env: pairs(&[("WHARF_TICKET", "s3cret")]),
            resources: [("memory".to_owned(), Quantity::Bytes(1 << 30))].into(),
            security: Security::default(),
            labels: pairs(&[("team", "data"), ("wharf.run", "another")]),
            runtime: None,
            grace_seconds: 10,
            deadline_seconds: None,
            kubernetes: None,
        }
    }

    fn shown(spec: &LaunchSpec) -> serde_json::Value {
        serde_json::to_value(container(spec, true).unwrap()).unwrap()
    }

    #[test]
    fn the_defaults_are_the_strict_end() {
        let expected = serde_json::json!({
            "Image": "sha256:aa",
            "Entrypoint": [],
            "Cmd": ["/opt/wharf/bin/wharf-runner", "run"],
            "User": "1000:1000",
            "Env": ["A=1", "WHARF_TICKET=***"],
            "Labels": {
                "team": "data", "wharf.host": "home-1", "wharf.run": "r1", "wharf.attempt": "2",
                "wharf.spec": digest(&spec())
            },
            "StopSignal": "SIGTERM",
            "StopTimeout": 10,
            "HostConfig": {
                "NetworkMode": "bridge",
                "ExtraHosts": ["host.docker.internal:host-gateway"],
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Privileged": false,
                "ReadonlyRootfs": false,
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}},
                "IpcMode": "private",
                "CgroupnsMode": "private",
                "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
                "Init": false,
                "AutoRemove": false,
                "PidsLimit": 4096,
                "Memory": 1_073_741_824,
                "MemorySwap": 1_073_741_824
            }
        });
        assert_eq!(shown(&spec()), expected);
        assert_eq!(container_name(&spec()), "wharf-r1-2");
    }

    #[test]
    fn an_administrator_may_open_each() {
        let mut open = spec();
        open.runtime = Some("nvidia".to_owned());
        open.security = Security {
            user: "0:0".to_owned(),
            privileged: true,
            no_new_privileges: false,
            read_only_root: true,
            drop_capabilities: vec![],
            add_capabilities: vec!["NET_ADMIN".to_owned()],
            host_mounts: vec!["/data:/data:ro".to_owned()],
            network: "host".to_owned(),
        };
        let value = shown(&open);
        let host = &value["HostConfig"];
        assert_eq!(value["User"], "0:0");
        assert_eq!(host["Privileged"], true);
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["Tmpfs"]["/wharf/work"], "rw,exec,nosuid,nodev,mode=1777");
        assert_eq!(host["Tmpfs"]["/tmp"], "rw,exec,nosuid,nodev,mode=1777");
        assert_eq!(host["CapAdd"], serde_json::json!(["NET_ADMIN"]));
        let mount = serde_json::json!({"Type": "bind", "Source": "/data", "Target": "/data", "ReadOnly": true});
        assert_eq!(host["Mounts"], serde_json::json!([mount]));
        assert_eq!(host["NetworkMode"], "host");
        assert_eq!(host["Runtime"], "nvidia");
        for absent in ["CapDrop", "SecurityOpt", "ExtraHosts"] {
            assert!(host.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn core_files_are_made_when_somebody_asks_for_them() {
        let mut asking = spec();
        asking.resources.insert("ulimit".to_owned(), Quantity::Texts(vec!["core=-1".to_owned()]));
        let ulimits = &shown(&asking)["HostConfig"]["Ulimits"];
        assert_eq!(*ulimits, serde_json::json!([{"Name": "core", "Soft": -1, "Hard": -1}]));
    }

    #[test]
    fn a_secret_is_only_in_what_is_sent() {
        let sent = serde_json::to_string(&container(&spec(), false).unwrap()).unwrap();
        assert!(sent.contains("WHARF_TICKET=s3cret"));
        assert!(!shown(&spec()).to_string().contains("s3cret"));
    }

    #[test]
    fn another_specification_has_another_digest() {
        let mut other = spec();
        other.secret_env.insert("WHARF_TICKET".to_owned(), "another".to_owned());
        assert_ne!(digest(&other), digest(&spec()));
        assert_eq!(digest(&spec()), digest(&spec()));
    }

    #[test]
    fn a_resource_that_docker_does_not_have_is_named() {
        let mut wrong = spec();
        wrong.resources.insert("limits.memory".to_owned(), Quantity::Bytes(1));
        assert!(container(&wrong, true).unwrap_err().contains("limits.memory"));
    }
}
