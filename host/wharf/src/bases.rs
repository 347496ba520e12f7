//! Base images: what there is, and making one ready.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use wharf_images::{ImageError, ImagePlan, Progress};
use wharf_model::configuration::Daemon;
use wharf_model::{Fault, ImageSpec, Outcome};

use crate::calls::to_reply;
use crate::conclude::sentence_of;
use crate::host::Inner;
use crate::journal::Journal;
use crate::message::{BaseProgress, BaseReport, BaseSummary, Reply};
use crate::way::planning::image_plan;

/// The engine of a base image that no configuration uses.
const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";

/// Makes a base image ready on every engine where its configurations run.
pub(crate) fn build(host: Arc<Inner>, name: String) -> BoxStream<'static, Reply> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let to = sender.clone();
        let work = host.build(&name, move |text| {
            let _ = to.send(to_reply(&BaseProgress::Progress(text)));
        });
        // Nobody listens any more: the build ends, too.
        let last = tokio::select! {
            done = work => done,
            () = sender.closed() => return,
        };
        let _ = match last {
            Ok(report) => sender.send(to_reply(&BaseProgress::Done(report))).and_then(|()| sender.send(Reply::End)),
            Err(fault) => sender.send(Reply::Fault(fault)),
        };
    });
    UnboundedReceiverStream::new(receiver).boxed()
}

impl Inner {
    async fn build(
        &self,
        name: &str,
        tell: impl Fn(String) + Send + Sync + Clone + 'static,
    ) -> Result<BaseReport, Fault> {
        let started = Instant::now();
        let spec = self.home().load_base_image(name)?;
        let plan = self.plan_of(&spec).await?;
        let daemons = self.daemons_of(name);
        let mut report = None;
        for daemon in &daemons {
            let engine =
                self.engines().at(daemon).map_err(|error| Fault::new("engine-unreachable", sentence_of(&error)))?;
            if daemons.len() > 1 {
                tell(format!("on {}", daemon.host));
            }
            let tell = tell.clone();
            let progress: Progress = Arc::new(tell);
            let image = engine.images.ensure(&plan, &progress).await.map_err(|error| image_fault(&error))?;
            let size = engine
                .images
                .list()
                .await
                .ok()
                .and_then(|images| images.into_iter().find(|other| other.id == image.id).map(|other| other.size));
            report = Some(BaseReport {
                name: name.to_owned(),
                key: image.base_key.to_string(),
                image: image.tag,
                built: image.built || report.as_ref().is_some_and(|report: &BaseReport| report.built),
                millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                size: size.unwrap_or_default(),
            });
        }
        // There is always one engine at least.
        report.ok_or_else(|| Fault::new("engine-unreachable", "there is no engine to build on"))
    }

    /// The engines of the configurations that use a base image.
    fn daemons_of(&self, name: &str) -> BTreeSet<Daemon> {
        let mut daemons: BTreeSet<Daemon> = self
            .home()
            .load_configurations()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(_, configuration)| configuration.ok())
            .filter(|configuration| configuration.base_image == name)
            .map(|configuration| configuration.engine.daemon().clone())
            .collect();
        if daemons.is_empty() {
            daemons.insert(Daemon::at(DEFAULT_ENGINE));
        }
        daemons
    }

    async fn plan_of(&self, spec: &ImageSpec) -> Result<ImagePlan, Fault> {
        let (journal, _) = Journal::collected();
        let set = self.set().await;
        image_plan(&set, &journal, spec).await.map_err(|end| {
            let Outcome { sentence, advice, .. } = *end;
            Fault { hint: advice, ..Fault::new("image-missing", sentence) }
        })
    }

    /// All base images of the home.
    pub(crate) async fn bases(&self) -> Result<Vec<BaseSummary>, Fault> {
        let configurations = self.home().load_configurations()?;
        let mut bases = Vec::new();
        for name in self.home().base_image_names()? {
            let used_by = configurations
                .iter()
                .filter(|(_, configuration)| configuration.as_ref().is_ok_and(|c| c.base_image == name))
                .map(|(configuration, _)| configuration.clone())
                .collect();
            let mut summary = BaseSummary {
                name: name.clone(),
                origin: None,
                made_by: None,
                key: None,
                there: None,
                used_by,
                fault: None,
            };
            if let Err(fault) = self.look_at(&name, &mut summary).await {
                summary.fault = Some(fault);
            }
            bases.push(summary);
        }
        Ok(bases)
    }

    async fn look_at(&self, name: &str, summary: &mut BaseSummary) -> Result<(), Fault> {
        let spec = self.home().load_base_image(name)?;
        summary.origin = Some(spec.origin.to_string());
        summary.made_by = Some(spec.made_by.clone());
        let plan = self.plan_of(&spec).await?;
        for daemon in self.daemons_of(name) {
            let Ok(engine) = self.engines().at(&daemon) else { continue };
            if let Ok(Some(keys)) = engine.images.keys(&plan).await {
                summary.key = Some(keys.base.to_string());
            }
            // There means: on each of them.
            let there = engine.images.ready(&plan).await.ok().map(|ready| ready.is_some());
            summary.there = match (summary.there, there) {
                (Some(before), Some(there)) => Some(before && there),
                (before, there) => there.or(before),
            };
        }
        Ok(())
    }
}

fn image_fault(error: &ImageError) -> Fault {
    let code = match error {
        ImageError::Unreachable { .. } => "engine-unreachable",
        ImageError::Refused { .. } => "engine-refused",
        ImageError::BuildFailed { .. } => "image-build-failed",
        _ => "image-missing",
    };
    Fault::new(code, sentence_of(error))
}
