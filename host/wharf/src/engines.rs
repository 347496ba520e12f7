//! The engines that configurations name, one connection each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_docker::DockerBackend;
use wharf_images::{ImageEngine, Images, RunnerLayer};
use wharf_model::configuration::Daemon;
use wharf_model::launch::{Backend, BackendError};

/// One engine: what runs containers, and its images.
pub(crate) struct Engine {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) images: Images,
}

/// The engines that were used so far.
#[derive(Default)]
pub(crate) struct Engines {
    open: Mutex<HashMap<Daemon, Arc<Engine>>>,
}

impl Engines {
    /// The engine of a daemon. Doesn't ask whether it answers.
    pub(crate) fn at(&self, daemon: &Daemon) -> Result<Arc<Engine>, BackendError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = open.get(daemon) {
            return Ok(Arc::clone(engine));
        }
        let backend =
            Arc::new(DockerBackend::connect(daemon).map_err(|error| BackendError::Unreachable {
                address: daemon.host.clone(),
                reason: error.to_string(),
            })?);
        let layer = RunnerLayer { runner: wharf_bundle::runner, in_container: wharf_bundle::in_container() };
        let images = Images::new(Arc::clone(&backend) as Arc<dyn ImageEngine>, layer);
        let engine = Arc::new(Engine { backend, images });
        open.insert(daemon.clone(), Arc::clone(&engine));
        Ok(engine)
    }
}
