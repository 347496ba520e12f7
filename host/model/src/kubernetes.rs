//! What an execution configuration says of a Kubernetes cluster, and what of it holds for one run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::configuration::Daemon;

/// A cluster, and how it is reached: what tells one from another.
///
/// With neither field it is the one that this process runs in. Without a file, the context is looked up where `kubectl`
/// looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
// An engine's record is a daemon or a cluster: one with another field is neither.
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// The kubeconfig file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; its current one when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl Cluster {
    /// Whether it is the cluster that this process runs in as a pod.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.kubeconfig.is_none() && self.context.is_none()
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.context, &self.kubeconfig) {
            (Some(context), Some(file)) => write!(f, "the context {context} of {}", file.display()),
            (Some(context), None) => write!(f, "the context {context}"),
            (None, Some(file)) => write!(f, "the current context of {}", file.display()),
            (None, None) => f.write_str("the cluster that the host runs in"),
        }
    }
}

/// A configuration's Kubernetes settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct KubernetesSettings {
    /// The cluster.
    pub cluster: Cluster,
    /// The Docker daemon that makes its images and pushes them to the registry that its nodes pull from.
    pub builder: Daemon,
    /// The namespace of its runs, in which `${user.login}` and `${project.key}` stand for those of the run.
    pub namespace: String,
    /// What its pods get.
    pub pod: PodSettings,
    /// A `PodTemplateSpec` that is merged into its pods, without what a configuration has fields for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<Value>,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            cluster: Cluster::default(),
            builder: Daemon::local(),
            namespace: String::new(),
            pod: PodSettings::default(),
            pod_template: None,
        }
    }
}

/// Where one run goes on a cluster: the settings with all that depends on the run filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct KubernetesPlace {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace.
    pub namespace: String,
    /// What the pod gets.
    pub pod: PodSettings,
    /// A `PodTemplateSpec` that is merged into the pod, without what the plan has fields for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
}

/// What pods get, besides resources and security. Values that are Kubernetes' own objects have Kubernetes' own field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PodSettings {
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations, each as in a pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Value>,
    /// The affinity, as in a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// Annotations of job and pod.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The service account; the namespace's default one when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Secrets that the image is pulled with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// The priority class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// The runtime class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<String>,
    /// More of the pod's security context, as in a pod: `fsGroup`, `supplementalGroups`, `sysctls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Value>,
    /// Kueue's local queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Where the pod may connect to.
    pub network_policy: NetworkRule,
    /// Seconds that an ended job stays, should nobody delete it.
    pub ttl_seconds: u32,
    /// How long what may clear up by itself is waited for.
    pub patience: Patience,
    /// What a run does that a quota keeps out.
    pub when_quota_full: WhenQuotaFull,
    /// What is done about namespaces; nothing when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_policy: Option<NamespacePolicy>,
    /// How much the pod's own folders take.
    pub scratch: ScratchLimits,
}

impl Default for PodSettings {
    fn default() -> Self {
        Self {
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            annotations: BTreeMap::new(),
            service_account: None,
            image_pull_secrets: Vec::new(),
            priority_class: None,
            runtime_class: None,
            security_context: None,
            queue: None,
            network_policy: NetworkRule::Open,
            ttl_seconds: 3600,
            patience: Patience::default(),
            when_quota_full: WhenQuotaFull::Wait,
            namespace_policy: None,
            scratch: ScratchLimits::default(),
        }
    }
}

/// Where a pod may connect to. The cluster's network plugin must know network policies for it to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkRule {
    /// Wherever the namespace lets it: no policy of ours.
    #[default]
    Open,
    /// The exchange alone, and nobody to it.
    ExchangeOnly,
}

/// Seconds that a run waits for what may clear up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Patience {
    /// For a node that takes the pod.
    pub unschedulable: u64,
    /// For an image that can't be pulled.
    pub image_pull: u64,
    /// For an API server that doesn't answer.
    pub api: u64,
    /// For a quota that is full, where the run waits for it.
    pub quota: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { unschedulable: 600, image_pull: 120, api: 300, quota: 3600 }
    }
}

impl Patience {
    /// The longest that a pod can take to run, in seconds.
    #[must_use]
    pub fn until_it_runs(&self) -> u64 {
        self.unschedulable.saturating_add(self.image_pull).saturating_add(self.quota)
    }
}

/// What a run does that a quota keeps out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenQuotaFull {
    /// It waits, within its patience.
    #[default]
    Wait,
    /// It ends.
    Fail,
}

/// What is done about the namespaces of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct NamespacePolicy {
    /// One that isn't there is created.
    pub create: bool,
    /// Labels that it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What all its pods may take together: `hard` of a `ResourceQuota`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_quota: BTreeMap<String, String>,
    /// What each may take, and takes when it doesn't say: `limits` of a `LimitRange`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limit_range: Vec<Value>,
    /// The secret that is copied into it, for pulling images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<SecretSource>,
}

/// A secret of another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretSource {
    /// The namespace.
    pub namespace: String,
    /// The name; the copy has it, too.
    pub name: String,
}

/// The most bytes of the folders that a pod has of its own. Each that is set gets a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ScratchLimits {
    /// The working folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<u64>,
    /// `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp: Option<u64>,
    /// The home folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<u64>,
    /// `/dev/shm`, which is memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_without_the_newer_settings_reads() {
        let settings: KubernetesSettings = serde_json::from_value(json!({ "namespace": "data" })).unwrap();
        assert!(settings.cluster.is_own());
        assert_eq!((settings.pod.ttl_seconds, settings.pod.patience.unschedulable), (3600, 600));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<KubernetesSettings>(&text).unwrap(), settings);
    }

    #[test]
    fn a_cluster_is_named_for_people() {
        let cluster = |context: Option<&str>, file: Option<&str>| Cluster {
            kubeconfig: file.map(PathBuf::from),
            context: context.map(str::to_owned),
        };
        assert_eq!(cluster(Some("prod"), Some("/k")).to_string(), "the context prod of /k");
        assert_eq!(cluster(Some("prod"), None).to_string(), "the context prod");
        assert_eq!(cluster(None, Some("/k")).to_string(), "the current context of /k");
        assert_eq!(cluster(None, None).to_string(), "the cluster that the host runs in");
    }
}
