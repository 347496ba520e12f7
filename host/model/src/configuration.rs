//! Execution configurations, as the rest of the host needs them. Their files are read by the `wharf` crate.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::ActivityKind;
use crate::kubernetes::{Cluster, KubernetesSettings};
use crate::quantity::Resources;

/// What the container may do. The defaults are the strict end of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Security {
    /// User and group ids.
    pub user: String,
    /// Docker's `--privileged`.
    pub privileged: bool,
    /// Docker's `no-new-privileges`.
    pub no_new_privileges: bool,
    /// Docker's `--read-only`; the working folder and `/tmp` stay writable.
    pub read_only_root: bool,
    /// Capabilities that are dropped.
    pub drop_capabilities: Vec<String>,
    /// Capabilities that are added after the drop.
    pub add_capabilities: Vec<String>,
    /// Mounts from the daemon's machine: `/path:/inside:ro`.
    pub host_mounts: Vec<String>,
    /// The container's network.
    pub network: String,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            user: "1000:1000".to_owned(),
            privileged: false,
            no_new_privileges: true,
            read_only_root: false,
            drop_capabilities: vec!["ALL".to_owned()],
            add_capabilities: Vec::new(),
            host_mounts: Vec::new(),
            network: "bridge".to_owned(),
        }
    }
}

/// The pids limit of a container whose configuration names none.
pub const DEFAULT_PIDS_LIMIT: i64 = 4096;

/// How runner and host find each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeMode {
    /// The runner dials the host over TLS.
    #[default]
    DialBack,
    /// The host reaches into the container through the engine: for daemons on other machines, and wherever a container
    /// can't reach the host.
    Attach,
}

/// The `[exchange]` table of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangeSettings {
    /// How they find each other.
    pub mode: ExchangeMode,
    /// The address (`host` or `host:port`) at which containers reach the host. Without it, the gateway of the
    /// container's network.
    pub advertise: Option<String>,
    /// The most bytes that a run may have staged at once, over all its outputs; none is no limit.
    #[serde(default)]
    pub output_limit: Option<u64>,
}

/// What a container does with log lines when it has no more room for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The recipe waits at its next line, and nothing is lost.
    #[default]
    Wait,
    /// The oldest lines are dropped and counted, and the recipe goes on.
    Drop,
}

/// The `[logs]` table of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogSettings {
    /// The most bytes that the host keeps of a run's log; lines beyond are counted and not kept.
    pub limit: u64,
    /// How many bytes of lines that the host doesn't have yet a container keeps.
    pub spool: u64,
    /// What happens to the next one then.
    pub when_full: WhenFull,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { limit: 1 << 30, spool: 16 << 20, when_full: WhenFull::Wait }
    }
}

/// One execution configuration: where runs go, within which bounds, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionConfiguration {
    /// Its name: the file's.
    pub name: String,
    /// The base image's name: a file in `base-images/`.
    pub base_image: String,
    /// The registry that its images go through.
    pub registry: Option<String>,
    /// Resource restriction keys.
    pub resources: Resources,
    /// The groups that may use it; `*` is everybody, none is nobody.
    pub allowed_groups: Vec<String>,
    /// The permission components that must all allow.
    pub checks: Vec<String>,
    /// The secrets that activities may name; none by default.
    #[serde(default)]
    pub allowed_secrets: Vec<String>,
    /// The kinds of activity that it takes; none is all.
    pub workload_types: Vec<ActivityKind>,
    /// What the containers may do.
    pub security: Security,
    /// How runner and host find each other.
    pub exchange: ExchangeSettings,
    /// How much is kept of what it writes, here and in the container.
    #[serde(default)]
    pub logs: LogSettings,
    /// Environment for every run.
    pub env: BTreeMap<String, String>,
    /// Secrets for every run: variables of its environment, and the names of secrets, never values.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Labels for every run.
    pub labels: BTreeMap<String, String>,
    /// The highest priority that an activity may have.
    #[serde(default)]
    pub max_priority: i32,
    /// After how many seconds a run is ended, unless its activity says less.
    pub time_limit: Option<u64>,
    /// The engine that it runs on.
    pub engine: Engine,
}

/// A Docker daemon, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Daemon {
    /// `unix:///var/run/docker.sock`, `tcp://HOST:PORT` or `ssh://USER@HOST:PORT`.
    pub host: String,
    /// The folder of the TLS client's `ca.pem`, `cert.pem` and `key.pem`, as Docker has it; for `tcp://` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_path: Option<PathBuf>,
    /// The configuration file that `ssh` reads instead of the user's own; for `ssh://` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<PathBuf>,
}

impl Daemon {
    /// A daemon that needs nothing but its address.
    #[must_use]
    pub fn at(host: impl Into<String>) -> Self {
        Self { host: host.into(), cert_path: None, ssh_config: None }
    }

    /// The one of this machine.
    #[must_use]
    pub fn local() -> Self {
        Self::at("unix:///var/run/docker.sock")
    }

    /// Whether everybody who reaches its port, or the network in between, can do as they like with its machine.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.host.starts_with("tcp://") && self.cert_path.is_none()
    }
}

/// The engine of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Engine {
    /// A Docker daemon.
    Docker {
        /// The daemon.
        #[serde(flatten)]
        daemon: Daemon,
        /// The container runtime, as `docker run --runtime` takes it.
        runtime: Option<String>,
    },
    /// A Kubernetes cluster.
    Kubernetes(Box<KubernetesSettings>),
}

impl Engine {
    /// The word that components and records use for the kind of engine.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Docker { .. } => "docker",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// What tells one engine from another.
    #[must_use]
    pub fn address(&self) -> EngineAddress {
        match self {
            Self::Docker { daemon, .. } => EngineAddress::Docker(daemon.clone()),
            Self::Kubernetes(settings) => EngineAddress::Kubernetes(settings.cluster.clone()),
        }
    }

    /// The daemon that makes its images: that of a Docker configuration, and the builder of a Kubernetes one.
    #[must_use]
    pub fn builder(&self) -> &Daemon {
        match self {
            Self::Docker { daemon, .. } => daemon,
            Self::Kubernetes(settings) => &settings.builder,
        }
    }

    /// The Kubernetes settings; none for a daemon.
    #[must_use]
    pub fn kubernetes(&self) -> Option<&KubernetesSettings> {
        match self {
            Self::Docker { .. } => None,
            Self::Kubernetes(settings) => Some(settings),
        }
    }
}

/// What tells one engine from another: all that is needed to reach it.
// Untagged, since records from before there were clusters have a daemon here; a cluster has no `host`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EngineAddress {
    /// A daemon.
    Docker(Daemon),
    /// A cluster.
    Kubernetes(Cluster),
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Docker(daemon) => f.write_str(&daemon.host),
            Self::Kubernetes(cluster) => cluster.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_engine_of_an_older_record_is_a_daemon() {
        let read = |value: serde_json::Value| serde_json::from_value::<EngineAddress>(value);
        let daemon = Daemon::at("unix:///run/d.sock");
        assert_eq!(read(serde_json::to_value(&daemon).unwrap()).unwrap(), EngineAddress::Docker(daemon));
        let tls = Daemon { cert_path: Some("/certs".into()), ..Daemon::at("tcp://a:1") };
        assert_eq!(read(serde_json::to_value(&tls).unwrap()).unwrap(), EngineAddress::Docker(tls));
    }

    #[test]
    fn each_address_survives_its_record() {
        let clusters = [
            Cluster::default(),
            Cluster { kubeconfig: Some("/k".into()), context: None },
            Cluster { kubeconfig: Some("/k".into()), context: Some("prod".to_owned()) },
        ];
        for cluster in clusters {
            let address = EngineAddress::Kubernetes(cluster);
            let value = serde_json::to_value(&address).unwrap();
            assert_eq!(serde_json::from_value::<EngineAddress>(value).unwrap(), address);
        }
        assert!(serde_json::from_value::<EngineAddress>(json!({ "hots": "unix:///run/d.sock" })).is_err());
    }

    #[test]
    fn a_cluster_in_a_configuration_survives_its_record() {
        let settings =
            KubernetesSettings { namespace: "data-${user.login}".to_owned(), ..KubernetesSettings::default() };
        let engine = Engine::Kubernetes(Box::new(settings));
        let value = serde_json::to_value(&engine).unwrap();
        assert_eq!((&value["type"], &value["namespace"]), (&json!("kubernetes"), &json!("data-${user.login}")));
        assert_eq!(serde_json::from_value::<Engine>(value).unwrap(), engine);
    }
}
