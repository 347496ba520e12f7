//! The engines that configurations name, one connection each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_docker::DockerBackend;
use wharf_images::{ImageEngine, Images, RunnerLayer};
use wharf_kubernetes::KubernetesBackend;
use wharf_model::configuration::{Daemon, EngineAddress};
use wharf_model::kubernetes::Cluster;
use wharf_model::launch::{Backend, BackendError};

/// A Docker daemon: what runs containers, and its images.
pub(crate) struct DockerEngine {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) images: Images,
}

/// The engines that were used so far.
#[derive(Default)]
pub(crate) struct Engines {
    daemons: Mutex<HashMap<Daemon, Arc<DockerEngine>>>,
    clusters: Mutex<HashMap<Cluster, Arc<KubernetesBackend>>>,
}

impl Engines {
    /// What runs containers at an address. Doesn't ask whether it answers.
    pub(crate) fn backend(&self, address: &EngineAddress) -> Result<Arc<dyn Backend>, BackendError> {
        match address {
            EngineAddress::Docker(daemon) => Ok(Arc::clone(&self.docker(daemon)?.backend)),
            EngineAddress::Kubernetes(cluster) => Ok(self.cluster(cluster)),
        }
    }

    /// A daemon. Doesn't ask whether it answers.
    pub(crate) fn docker(&self, daemon: &Daemon) -> Result<Arc<DockerEngine>, BackendError> {
        opened(&self.daemons, daemon, || {
            let backend = Arc::new(DockerBackend::connect(daemon).map_err(|error| BackendError::Unreachable {
                address: daemon.host.clone(),
                reason: error.to_string(),
            })?);
            let layer = RunnerLayer { runner: wharf_bundle::runner, in_container: wharf_bundle::in_container() };
            let images = Images::new(Arc::clone(&backend) as Arc<dyn ImageEngine>, layer);
            Ok(DockerEngine { backend, images })
        })
    }

    /// A cluster. Doesn't ask whether it answers.
    pub(crate) fn cluster(&self, cluster: &Cluster) -> Arc<KubernetesBackend> {
        let connect = || Ok::<_, std::convert::Infallible>(KubernetesBackend::connect(cluster));
        opened(&self.clusters, cluster, connect).unwrap_or_else(|never| match never {})
    }
}

/// The one that is open, else a new one.
fn opened<A: Clone + Eq + Hash, T, E>(
    open: &Mutex<HashMap<A, Arc<T>>>,
    address: &A,
    connect: impl FnOnce() -> Result<T, E>,
) -> Result<Arc<T>, E> {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = open.get(address) {
        return Ok(Arc::clone(engine));
    }
    let engine = Arc::new(connect()?);
    open.insert(address.clone(), Arc::clone(&engine));
    Ok(engine)
}
