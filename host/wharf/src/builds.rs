//! Making images ready before a run needs them.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use wharf_images::{Deed, ImageError, ImagePlan, Made, Progress, ReadyImage};
use wharf_model::configuration::Daemon;
use wharf_model::{ExecutionConfiguration, Fault, ImageSpec, Outcome};

use crate::calls::to_reply;
use crate::conclude::sentence_of;
use crate::environment::{self, Environment};
use crate::host::Inner;
use crate::journal::Journal;
use crate::message::{BuildProgress, BuildReport, BuildTarget, BuiltImage, MadeImage, Reply};
use crate::way::image::image_outcome;
use crate::way::planning::image_plan;

/// One image to make ready on one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) base: String,
    pub(crate) code_env: Option<String>,
    pub(crate) daemon: Daemon,
    pub(crate) registry: Option<String>,
    /// The configurations that it is for.
    pub(crate) configurations: Vec<String>,
}

/// Makes images ready, one after the other, and tells of each.
pub(crate) fn build(host: Arc<Inner>, target: BuildTarget) -> BoxStream<'static, Reply> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let to = sender.clone();
        let work = host.build(&target, move |line| {
            let _ = to.send(to_reply(&line));
        });
        // Nobody listens any more: the build ends, too.
        let last = tokio::select! {
            done = work => done,
            () = sender.closed() => return,
        };
        let _ = match last {
            Ok(report) => sender.send(to_reply(&BuildProgress::Done(report))).and_then(|()| sender.send(Reply::End)),
            Err(fault) => sender.send(Reply::Fault(fault)),
        };
    });
    UnboundedReceiverStream::new(receiver).boxed()
}

impl Inner {
    async fn build(
        &self,
        target: &BuildTarget,
        tell: impl Fn(BuildProgress) + Send + Sync + Clone + 'static,
    ) -> Result<BuildReport, Fault> {
        let started = Instant::now();
        let targets = match target {
            BuildTarget::Base(name) => self.targets_of_base(name)?,
            BuildTarget::CodeEnv(name) => self.targets_of_code_env(name)?,
            BuildTarget::All => self.all_targets()?,
        };
        let mut report = BuildReport::default();
        // What one daemon can't build, another one may have built by then: so they are tried again at the end.
        let mut later = Vec::new();
        for target in &targets {
            let image = self.built(target, targets.len() > 1, &tell).await;
            if image.fault.is_some() && targets.len() > 1 {
                later.push(target);
                continue;
            }
            report.count(&image);
            tell(BuildProgress::Image(Box::new(image)));
        }
        for target in later {
            let image = self.built(target, true, &tell).await;
            report.count(&image);
            tell(BuildProgress::Image(Box::new(image)));
        }
        report.millis = millis(started);
        Ok(report)
    }

    async fn built(
        &self,
        target: &Target,
        one_of_many: bool,
        tell: &(impl Fn(BuildProgress) + Send + Sync + Clone + 'static),
    ) -> BuiltImage {
        let begun = Instant::now();
        let tell = tell.clone();
        let progress: Progress = Arc::new(move |text| tell(BuildProgress::Progress(text)));
        if one_of_many {
            progress(format!("{} on {}", target.what(), target.daemon.host));
        }
        let mut image = BuiltImage {
            base: target.base.clone(),
            code_env: target.code_env.clone(),
            engine: target.daemon.host.clone(),
            configurations: target.configurations.clone(),
            ..BuiltImage::default()
        };
        image.fault = self.build_one(target, &progress, &mut image).await.err();
        image.millis = millis(begun);
        image
    }

    async fn build_one(&self, target: &Target, progress: &Progress, image: &mut BuiltImage) -> Result<(), Fault> {
        let plan = self.plan_of(&target.base, target.code_env.as_deref()).await?;
        let unreachable = |error: &dyn std::error::Error| Fault::new("engine-unreachable", sentence_of(error));
        let engine = self.engines().docker(&target.daemon).map_err(|error| unreachable(&error))?;
        let registry = target.registry.as_deref();
        let ready = self.supply(&engine, &target.daemon, registry, &plan, progress).await;
        let ready = ready.map_err(|error| image_fault(&error))?;
        let listed = engine.images.list().await.unwrap_or_default();
        image.size = listed.into_iter().find(|other| other.id == ready.id).map(|other| other.size);
        let ReadyImage { keys, tag, built, made, .. } = ready;
        image.key = Some(keys.content().to_string());
        let got = |made: &Made| made.image == tag && matches!(made.deed, Deed::Pulled | Deed::Copied { .. });
        image.built = built && !made.iter().any(got);
        image.image = Some(tag);
        image.made = made.iter().map(made_image).collect();
        let not_there = made.into_iter().find_map(|made| match made.deed {
            Deed::NotInRegistry { reason } => Some((made.image, reason)),
            _ => None,
        });
        match not_there {
            Some((tag, reason)) => {
                Err(Fault::new("registry-unusable", format!("{tag} isn't in its registry: {reason}"))
                    .hint("the engine has it, so runs can begin there; build again when the registry is well"))
            }
            None => Ok(()),
        }
    }

    /// What is made for the base image alone, or for a code environment over it.
    pub(crate) async fn plan_of(&self, base: &str, code_env: Option<&str>) -> Result<ImagePlan, Fault> {
        let spec = self.home().load_base_image(base)?;
        let environment = match code_env {
            Some(name) => Some(environment::load(self.home(), name, base)?.1),
            None => None,
        };
        self.plan_with(&spec, environment).await
    }

    async fn plan_with(&self, spec: &ImageSpec, environment: Option<Environment>) -> Result<ImagePlan, Fault> {
        let (journal, _) = Journal::collected();
        let set = self.set().await;
        image_plan(&set, &journal, spec, environment, None).await.map_err(|end| {
            let Outcome { sentence, advice, .. } = *end;
            Fault { hint: advice, ..Fault::new("image-missing", sentence) }
        })
    }

    /// A base image on the engines of the configurations that use it.
    pub(crate) fn targets_of_base(&self, name: &str) -> Result<Vec<Target>, Fault> {
        // A slip in its file is said before anything else.
        self.home().load_base_image(name)?;
        let mut targets = Vec::new();
        for configuration in self.sound_configurations()? {
            if configuration.base_image == name {
                add(&mut targets, &configuration, None);
            }
        }
        if targets.is_empty() {
            targets.push(Target {
                base: name.to_owned(),
                code_env: None,
                daemon: Daemon::local(),
                registry: None,
                configurations: Vec::new(),
            });
        }
        Ok(targets)
    }

    /// A code environment, for each configuration that may use it and whose base image has its language.
    pub(crate) fn targets_of_code_env(&self, name: &str) -> Result<Vec<Target>, Fault> {
        let settings = self.home().load_code_env(name)?;
        let language = &settings.environment.language;
        let mut targets = Vec::new();
        for configuration in self.sound_configurations()? {
            let fits = || {
                self.home()
                    .load_base_image(&configuration.base_image)
                    .is_ok_and(|spec| spec.languages.iter().any(|other| other.name == *language))
            };
            if settings.available.includes(&configuration.name) && fits() {
                add(&mut targets, &configuration, Some(name));
            }
        }
        Ok(targets)
    }

    /// All base images and code environments, on all engines where a run can need them.
    pub(crate) fn all_targets(&self) -> Result<Vec<Target>, Fault> {
        let mut targets = Vec::new();
        for configuration in self.sound_configurations()? {
            add(&mut targets, &configuration, None);
        }
        for name in self.home().code_env_names()? {
            targets.extend(self.targets_of_code_env(&name)?);
        }
        Ok(targets)
    }

    fn sound_configurations(&self) -> Result<Vec<ExecutionConfiguration>, Fault> {
        let configurations = self.home().load_configurations()?;
        Ok(configurations.into_iter().filter_map(|(_, configuration)| configuration.ok()).collect())
    }
}

impl BuildReport {
    fn count(&mut self, image: &BuiltImage) {
        match &image.fault {
            Some(_) => self.failed += 1,
            None => self.ready += 1,
        }
    }
}

impl Target {
    pub(crate) fn what(&self) -> String {
        match &self.code_env {
            Some(name) => format!("code environment {name} over {}", self.base),
            None => format!("base image {}", self.base),
        }
    }
}

fn add(targets: &mut Vec<Target>, configuration: &ExecutionConfiguration, code_env: Option<&str>) {
    let target = Target {
        base: configuration.base_image.clone(),
        code_env: code_env.map(str::to_owned),
        daemon: configuration.engine.builder().clone(),
        registry: configuration.registry.clone(),
        configurations: Vec::new(),
    };
    let same = |other: &&mut Target| {
        (&other.base, &other.code_env, &other.daemon, &other.registry)
            == (&target.base, &target.code_env, &target.daemon, &target.registry)
    };
    match targets.iter_mut().find(same) {
        Some(other) => other.configurations.push(configuration.name.clone()),
        None => targets.push(Target { configurations: vec![configuration.name.clone()], ..target }),
    }
}

fn made_image(made: &Made) -> MadeImage {
    let mut image = MadeImage {
        image: made.image.clone(),
        what: String::new(),
        detail: None,
        sent: None,
        skipped: None,
        digest: None,
        millis: made.millis,
    };
    image.what = match &made.deed {
        Deed::Built => "built",
        Deed::Pulled => "pulled",
        Deed::Copied { from } => {
            image.detail = Some(from.clone());
            "copied"
        }
        Deed::Pushed(pushed) => {
            image.sent = Some(pushed.sent);
            image.skipped = Some(pushed.skipped);
            image.digest = Some(pushed.digest.clone());
            "pushed"
        }
        Deed::NotInRegistry { reason } => {
            image.detail = Some(reason.clone());
            "not-in-registry"
        }
    }
    .to_owned();
    image
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn image_fault(error: &ImageError) -> Fault {
    let code = match error {
        ImageError::Unreachable { .. } => "engine-unreachable",
        ImageError::Refused { .. } => "engine-refused",
        ImageError::BuildFailed { .. } | ImageError::EnvironmentFailed { .. } | ImageError::IndexUnreachable { .. } => {
            "image-build-failed"
        }
        ImageError::LoginRefused { .. }
        | ImageError::NoCredentials { .. }
        | ImageError::HookFailed { .. }
        | ImageError::RegistryRefused { .. }
        | ImageError::RegistryUnreachable { .. } => "registry-unusable",
        _ => "image-missing",
    };
    // What a run would be told to do about it.
    Fault { hint: image_outcome(error).advice, ..Fault::new(code, sentence_of(error)) }
}
