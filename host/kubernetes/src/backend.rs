//! A cluster as a launch backend.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Semaphore;
use wharf_model::kubernetes::Cluster;
use wharf_model::launch::{Backend, BackendError, Caller, Duplex, EngineEnd, EngineInfo, Found, LaunchSpec, Launched};

use crate::client::Client;
use crate::id::Id;
use crate::launch::Policies;
use crate::object;
use crate::watch::Watches;

/// How many of those who wait ask for their events at once.
const TURNS: usize = 4;

/// A Kubernetes cluster. Made without touching it; the first request dials.
pub struct KubernetesBackend {
    client: Arc<Client>,
    watches: Watches,
    namespaces: Mutex<BTreeSet<String>>,
    turns: Semaphore,
    policies: Policies,
}

impl KubernetesBackend {
    /// The cluster of a context. Whether there is such a context, and whether its API server answers, is found out at the
    /// first request.
    #[must_use]
    pub fn connect(cluster: &Cluster) -> Self {
        let client = Arc::new(Client::new(cluster.clone()));
        Self {
            watches: Watches::new(Arc::clone(&client)),
            client,
            namespaces: Mutex::default(),
            turns: Semaphore::new(TURNS),
            policies: Policies::default(),
        }
    }

    /// Where the cluster is.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        self.client.cluster()
    }

    /// Notes that runs of this home may be in a namespace. [`find`](Backend::find) looks there when it may not look at all
    /// namespaces.
    pub fn remember(&self, namespace: &str) {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned());
    }

    /// How many runs its watches know: for tests and for those who measure.
    #[doc(hidden)]
    #[must_use]
    pub fn watched(&self, namespace: &str, host: &str) -> usize {
        self.watches.of(namespace, host).known()
    }

    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    pub(crate) fn turns(&self) -> &Semaphore {
        &self.turns
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// A list that is only asked for to tell more: empty when it may not be had.
    async fn optional(&self, path: &str) -> Vec<Value> {
        match self.client.list(path, &[]).await {
            Ok(listed) => listed.items,
            Err(failure) => {
                tracing::debug!(path, words = failure.words(), "not told");
                Vec::new()
            }
        }
    }
}

#[async_trait]
impl Backend for KubernetesBackend {
    fn object(&self, spec: &LaunchSpec) -> Value {
        object::shown(spec)
    }

    async fn info(&self) -> Result<EngineInfo, BackendError> {
        let version = match self.client.get("/version").await {
            Ok(version) => version,
            Err(failure) => return Err(self.client.backend("say what it is", "", failure).await),
        };
        let nodes = self.optional("/api/v1/nodes").await;
        let classes = self.optional("/apis/node.k8s.io/v1/runtimeclasses").await;
        Ok(engine_info(&version, &nodes, &classes))
    }

    async fn way_back(&self, _network: &str) -> Result<String, BackendError> {
        Err(BackendError::Refused {
            operation: "tell how its pods reach this host".to_owned(),
            reason: format!(
                "no address of {} leads here by itself; set `advertise` under [exchange] to an address of this host that pods \
                 there reach, or `mode = \"attach\"`, which needs no way back",
                self.client.cluster()
            ),
        })
    }

    async fn launch(&self, spec: &LaunchSpec, caller: &dyn Caller) -> Result<Launched, BackendError> {
        self.create(spec, caller).await
    }

    async fn lacks_its_ticket(&self, id: &str) -> Result<bool, BackendError> {
        self.lacks_secret(&Id::parse(id)?).await
    }

    async fn give_ticket(&self, id: &str, spec: &LaunchSpec, caller: &dyn Caller) -> Result<(), BackendError> {
        self.complete(&Id::parse(id)?, spec, caller).await
    }

    async fn dial(&self, id: &str, _argv: &[&str], _hidden: &[&str]) -> Result<Box<dyn Duplex>, BackendError> {
        self.forward(&Id::parse(id)?).await
    }

    async fn wait(&self, id: &str, caller: &dyn Caller) -> Result<EngineEnd, BackendError> {
        self.wait_for(&Id::parse(id)?, caller).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), BackendError> {
        self.end(&Id::parse(id)?, grace).await
    }

    async fn log_tail(&self, id: &str, limit: usize) -> Result<Vec<u8>, BackendError> {
        let id = Id::parse(id)?;
        match self.read_log(&id, limit).await {
            Ok(log) => Ok(log),
            Err(failure) => {
                Err(self.client.backend(&format!("show the log of the Job {}", id.name), &id.namespace, failure).await)
            }
        }
    }

    async fn remove(&self, id: &str) -> Result<(), BackendError> {
        self.clear(&Id::parse(id)?).await
    }

    async fn find(&self, host: &str) -> Result<Vec<Found>, BackendError> {
        self.find_jobs(host).await
    }

    async fn find_attempt(&self, spec: &LaunchSpec) -> Result<Option<Found>, BackendError> {
        match &spec.kubernetes {
            Some(place) => self.find_job(spec, &place.namespace).await,
            None => Ok(None),
        }
    }
}

/// What an API server says of itself and its nodes, in our words.
fn engine_info(version: &Value, nodes: &[Value], classes: &[Value]) -> EngineInfo {
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let sum = |name: &str| {
        nodes
            .iter()
            .filter_map(|node| text(node, &format!("/status/allocatable/{name}")))
            .filter_map(|amount| whole(&amount))
            .sum()
    };
    let of_node = nodes.first().and_then(|node| {
        let system = text(node, "/status/nodeInfo/operatingSystem")?;
        Some(format!("{system}/{}", text(node, "/status/nodeInfo/architecture")?))
    });
    let mut runtimes: Vec<String> = classes.iter().filter_map(|class| text(class, "/metadata/name")).collect();
    runtimes.sort_unstable();
    let count = nodes.len();
    let of_nodes = match count {
        0 => String::new(),
        1 => ", 1 node".to_owned(),
        count => format!(", {count} nodes"),
    };
    EngineInfo {
        version: format!(
            "Kubernetes {}{of_nodes}",
            text(version, "/gitVersion").unwrap_or_else(|| "unknown".to_owned())
        ),
        platform: of_node.or_else(|| text(version, "/platform")).unwrap_or_else(|| "unknown".to_owned()),
        cpus: sum("cpu"),
        memory: sum("memory"),
        runtimes,
        cgroup_version: "unknown".to_owned(),
    }
}

/// A quantity of Kubernetes, rounded down to a whole number.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: f64 = match unit {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let amount = number.parse::<f64>().ok()? * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is told to people, and never negative"
    )]
    (amount.is_finite() && amount >= 0.0).then_some(amount as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_the_sum_of_its_nodes() {
        let node = |cpu: &str, memory: &str| {
            json!({"status": {
                "allocatable": {"cpu": cpu, "memory": memory},
                "nodeInfo": {"operatingSystem": "linux", "architecture": "arm64"},
            }})
        };
        let nodes = [node("1500m", "1Gi"), node("2", "1024Ki")];
        let info = engine_info(&json!({"gitVersion": "v1.34.2", "platform": "linux/amd64"}), &nodes, &[]);
        assert_eq!((info.version.as_str(), info.platform.as_str()), ("Kubernetes v1.34.2, 2 nodes", "linux/arm64"));
        assert_eq!((info.cpus, info.memory), (3, (1 << 30) + (1 << 20)));
        let unseen = engine_info(&json!({"gitVersion": "v1.34.2", "platform": "linux/amd64"}), &[], &[]);
        assert_eq!((unseen.version.as_str(), unseen.platform.as_str()), ("Kubernetes v1.34.2", "linux/amd64"));
    }

    #[tokio::test]
    async fn a_cluster_has_no_way_back_of_its_own() {
        let backend = KubernetesBackend::connect(&Cluster { kubeconfig: None, context: Some("prod".to_owned()) });
        let error = backend.way_back("bridge").await.unwrap_err().to_string();
        assert!(
            error.contains("the context prod") && error.contains("`advertise`") && error.contains("attach"),
            "{error}"
        );
        for id in ["", "a/b"] {
            assert!(matches!(backend.wait(id, &()).await, Err(BackendError::Refused { .. })));
        }
    }
}
