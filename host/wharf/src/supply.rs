//! Images for runs: from their engine, a registry, another engine, or a build.

use std::sync::Arc;

use wharf_images::{
    BeforePush, Deed, ImageError, ImagePlan, Images, Ledger, Made, Progress, ReadyImage, Registry, Sources, ingredients,
};
use wharf_model::configuration::Daemon;

use crate::conclude::sentence_of;
use crate::engines::DockerEngine;
use crate::environment;
use crate::host::Inner;
use crate::registry_hooks::RegistryHooks;

impl Inner {
    /// Gets the image of a plan onto an engine, and remembers what it is made of and what its code environment got.
    pub(crate) async fn supply(
        &self,
        engine: &DockerEngine,
        daemon: &Daemon,
        registry: Option<&str>,
        plan: &ImagePlan,
        progress: &Progress,
    ) -> Result<ReadyImage, ImageError> {
        // Nothing is looked for elsewhere while it is here, which is how nearly all runs find it.
        let here = engine.images.ready(plan).await?.is_some();
        let others = if here { Vec::new() } else { self.others(daemon) };
        let logins = Some(Arc::clone(self.logins()));
        let before_push: Option<Arc<dyn BeforePush>> = match registry {
            Some(_) => Some(Arc::new(RegistryHooks(self.set().await))),
            None => None,
        };
        let registry = registry.map(|address| self.registry(address));
        let sources = Sources { logins, registry, before_push, others };
        let (plan, image) = match engine.images.ensure(plan, &sources, progress).await {
            Ok(image) => (plan.clone(), image),
            Err(error) => {
                let Some(before) = plan.before_refresh() else { return Err(error) };
                progress(format!("{}; going on with the packages of the last build", sentence_of(&error)));
                let image = engine.images.ensure(&before, &sources, progress).await?;
                (before, image)
            }
        };
        if let Err(error) = self.store().images_used(&ingredients(&plan, &image.keys), self.store().now()) {
            tracing::warn!(image = image.tag, error = %sentence_of(&error), "the use of an image isn't recorded");
        }
        if let Some(environment) = &plan.environment {
            environment::write_lock(environment, &engine.images, &image).await;
        }
        Ok(image)
    }

    fn registry(&self, address: &str) -> Registry {
        Registry { address: address.to_owned(), ledger: Arc::clone(self.store()) as Arc<dyn Ledger> }
    }

    /// The other engines of the home.
    fn others(&self, daemon: &Daemon) -> Vec<(String, Images)> {
        let others = self.daemons().into_iter().filter(|other| other != daemon);
        others
            .filter_map(|other| Some((other.host.clone(), self.engines().docker(&other).ok()?.images.clone())))
            .collect()
    }

    /// The daemons that make the images of all configurations that can be read.
    pub(crate) fn daemons(&self) -> Vec<Daemon> {
        let mut daemons: Vec<Daemon> = Vec::new();
        for (_, configuration) in self.home().load_configurations().unwrap_or_default() {
            let Ok(configuration) = configuration else { continue };
            let daemon = configuration.engine.builder();
            if !daemons.contains(daemon) {
                daemons.push(daemon.clone());
            }
        }
        daemons
    }
}

/// What was done for an image, for people: `pushed wharf-env/ml:0123: 2 layers sent, 5 were there`.
pub(crate) fn describe(made: &Made) -> String {
    let image = &made.image;
    match &made.deed {
        Deed::Built => format!("built {image}"),
        Deed::Pulled => format!("pulled {image}"),
        Deed::Copied { from } => format!("copied {image} from {from}"),
        Deed::Pushed(pushed) => {
            let layers = |count: u32| if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") };
            format!("pushed {image}: {} sent, {} there already", layers(pushed.sent), pushed.skipped)
        }
        Deed::NotInRegistry { reason } => format!("{image} isn't in its registry: {reason}"),
    }
}
