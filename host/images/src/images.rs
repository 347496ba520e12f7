//! From a plan to an image that a run can use.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use wharf_model::image::{CodeEnvironment, ContentKey, ImageRecipe, ImageSpec, LOCK, Origin};

use crate::LABEL_KEY;
use crate::bootstrap::{self, Bootstrap};
use crate::containerfile::{self, Labels};
use crate::context;
use crate::engine::{BuildRequest, ImageEngine, ImportRequest, LocalImage, Progress};
use crate::error::ImageError;
use crate::failure;
use crate::flights::Flights;
use crate::folders::FoldersPlan;
use crate::key::{self, Parent};
use crate::layer::{Kind, LOOK, Layer};
use crate::sources::{Deeds, Made, Sources};

/// The largest list of a code environment's packages.
const LONGEST_LOCK: u64 = 4 << 20;

/// How long the digest behind a name is believed without asking the engine again.
const FRESH: Duration = Duration::from_secs(30);

/// What the host carries in itself for run images.
#[derive(Clone, Copy)]
pub struct RunnerLayer {
    /// The runner for a platform such as `linux/amd64`.
    pub runner: fn(&str) -> Option<&'static [u8]>,
    /// Files below `/opt/wharf`: each one's path there, and its contents.
    pub in_container: &'static [(&'static str, &'static [u8])],
}

/// The image of a plan: what it is made from and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// What it is made from.
    pub spec: ImageSpec,
    /// How it is made: what the image-recipe component answered for `spec`.
    pub recipe: ImageRecipe,
    /// That component, for labels and errors: `name@digest`.
    pub made_by: String,
    /// The code environment over it.
    pub environment: Option<EnvironmentPlan>,
    /// Folders over those.
    pub folders: Option<FoldersPlan>,
}

/// A code environment and how it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentPlan {
    /// What it is made from.
    pub spec: CodeEnvironment,
    /// How: what the base image's image-recipe component answered.
    pub recipe: ImageRecipe,
    /// What earlier builds got. Each counts for its own content key: engines may have different images under one `from`.
    pub locks: Vec<Lock>,
    /// This generation looks at unpinned packages again: while it can't be made, the one before it will do.
    pub refresh: bool,
    /// The file with its requirements, as people know it: `code-envs/ml/requirements.txt`.
    pub file: String,
    /// Where the host keeps the lock, for the host.
    pub lock_file: PathBuf,
}

/// What a build of a code environment got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The environment's content key.
    pub key: ContentKey,
    /// `name==version` lines.
    pub packages: String,
}

impl EnvironmentPlan {
    /// The versions to take again, in pip's format, for the environment with this key.
    fn constraints(&self, key: &ContentKey) -> &str {
        self.locks.iter().find(|lock| lock.key == *key).map_or("", |lock| &lock.packages)
    }
}

impl ImagePlan {
    /// What people call the run image: the base image's name, the code environment's, and the plugin's.
    #[must_use]
    pub fn run_name(&self) -> String {
        let environment = self.environment.as_ref().map(|environment| environment.spec.name.as_str());
        // A plugin's own code environment has its name already.
        let folders = self.folders.as_ref().map(|folders| folders.name.as_str());
        let folders = folders.filter(|name| environment != Some(*name));
        let parts: Vec<&str> = [Some(self.spec.name.as_str()), environment, folders].into_iter().flatten().collect();
        parts.join("-")
    }

    /// The same with the code environment of the generation before, where this one only looks at packages again.
    #[must_use]
    pub fn before_refresh(&self) -> Option<Self> {
        let mut plan = self.clone();
        let environment = plan.environment.as_mut().filter(|environment| environment.refresh)?;
        environment.spec.generation = environment.spec.generation.checked_sub(1)?;
        environment.refresh = false;
        Some(plan)
    }

    /// The tag of the base image.
    #[must_use]
    pub fn base_tag(&self, keys: &ImageKeys) -> String {
        Layer::new(Kind::Base, &self.spec.name, &keys.base).tag()
    }

    /// The tag of the run image.
    #[must_use]
    pub fn run_tag(&self, keys: &ImageKeys) -> String {
        Layer::new(Kind::Run, &self.run_name(), &keys.run).tag()
    }
}

/// The content keys of a plan's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageKeys {
    /// What the base image starts from, locked.
    pub parent: Parent,
    /// The base image.
    pub base: ContentKey,
    /// The code environment over it.
    pub environment: Option<ContentKey>,
    /// Folders over those.
    pub folders: Option<ContentKey>,
    /// The runner and its libraries alone.
    pub runner: ContentKey,
    /// All together: what a run uses.
    pub run: ContentKey,
}

impl ImageKeys {
    /// The key of what the run image is built on: all that the home's files say.
    #[must_use]
    pub fn content(&self) -> &ContentKey {
        self.folders.as_ref().or(self.environment.as_ref()).unwrap_or(&self.base)
    }
}

/// An image that a run can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyImage {
    /// The engine's id of it: `sha256:...`. It never moves.
    pub id: String,
    /// Its content key.
    pub key: ContentKey,
    /// The content keys of all its parts.
    pub keys: ImageKeys,
    /// Its tag, for people.
    pub tag: String,
    /// By which others pull it, where it is in a registry: `REGISTRY/REPOSITORY@sha256:...`.
    pub digest: Option<String>,
    /// Whether this call made it, or waited until another one had.
    pub built: bool,
    /// What this call did itself. What another one did that it waited for isn't in here.
    pub made: Vec<Made>,
}

/// The images of one engine.
#[derive(Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn ImageEngine>,
    layer: RunnerLayer,
    bootstrap_program: String,
    platform: OnceCell<String>,
    pub(crate) flights: Flights,
    /// What `from` names stood for, and when that was asked.
    parents: Mutex<HashMap<String, (Instant, LocalImage)>>,
    /// The ids of images that are known to be there, by their content keys.
    pub(crate) ready: Mutex<HashMap<ContentKey, String>>,
    /// The hashes of runner and libraries are the same for all images of a base.
    run_keys: Mutex<HashMap<ContentKey, ContentKey>>,
    runner_key: std::sync::OnceLock<ContentKey>,
}

impl Images {
    /// The images of this engine.
    #[must_use]
    pub fn new(engine: Arc<dyn ImageEngine>, layer: RunnerLayer) -> Self {
        Self::with_bootstrap_program(engine, layer, bootstrap::PROGRAM)
    }

    /// Like [`new`](Self::new), with another program in the place of `mmdebstrap`.
    #[must_use]
    pub fn with_bootstrap_program(
        engine: Arc<dyn ImageEngine>,
        layer: RunnerLayer,
        program: impl Into<String>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine,
                layer,
                bootstrap_program: program.into(),
                platform: OnceCell::new(),
                flights: Flights::default(),
                parents: Mutex::default(),
                ready: Mutex::default(),
                run_keys: Mutex::default(),
                runner_key: std::sync::OnceLock::new(),
            }),
        }
    }

    /// The content keys of a plan's images, without pulling or building anything. `None` while they can't be known:
    /// the base image starts from an image that the engine doesn't have.
    ///
    /// # Errors
    /// The engine doesn't answer, or has no runner.
    pub async fn keys(&self, plan: &ImagePlan) -> Result<Option<ImageKeys>, ImageError> {
        let parent = match &plan.spec.origin {
            Origin::From(reference) => match self.inner.local_parent(reference).await? {
                Some(image) => self.inner.lock(reference, &image).await?,
                None => return Ok(None),
            },
            Origin::Bootstrap { .. } => self.inner.bootstrap_parent(plan).await?,
        };
        Ok(Some(self.inner.keys(plan, parent).await?))
    }

    /// The run image of a plan, if the engine has it already. Pulls and builds nothing.
    ///
    /// # Errors
    /// The engine doesn't answer.
    pub async fn ready(&self, plan: &ImagePlan) -> Result<Option<ReadyImage>, ImageError> {
        let Some(keys) = self.keys(plan).await? else { return Ok(None) };
        let layer = Layer::new(Kind::Run, &plan.run_name(), &keys.run);
        let id = self.inner.known(&layer).await?;
        let made = Vec::new();
        let digest = None;
        Ok(id.map(|id| ReadyImage { id, key: keys.run.clone(), keys, tag: layer.tag(), digest, built: false, made }))
    }

    /// The run image of a plan: found by its content key, or else had from its registry or another engine, or else made:
    /// pulled or bootstrapped, built, and given the runner. Where there is a registry, it is there afterwards.
    ///
    /// However many ask for the same image at once, it is made once, and all of them get its progress and its failure.
    /// Dropping the last of these futures ends the work.
    ///
    /// # Errors
    /// Whatever kept the image from being made.
    pub async fn ensure(
        &self,
        plan: &ImagePlan,
        sources: &Sources,
        progress: &Progress,
    ) -> Result<ReadyImage, ImageError> {
        let (parent, from) = match &plan.spec.origin {
            Origin::From(reference) => {
                let image = self.pulled(reference, sources, progress).await?;
                (self.inner.lock(reference, &image).await?, Some(image.id))
            }
            Origin::Bootstrap { .. } => (self.inner.bootstrap_parent(plan).await?, None),
        };
        let keys = self.inner.keys(plan, parent).await?;
        let layer = Layer::new(Kind::Run, &plan.run_name(), &keys.run);
        let there = self.inner.known(&layer).await?.is_some();
        let deeds = Deeds::default();
        let build = |progress: Progress| {
            let work =
                Work { plan: plan.clone(), keys: keys.clone(), from, sources: sources.clone(), deeds: deeds.clone() };
            Arc::clone(&self.inner).build_run(work, layer.tag(), progress)
        };
        let id = self.inner.have(&layer, sources, &deeds, progress, build).await?;
        let digest = sources.registry.as_ref().and_then(|registry| {
            let repository = registry.repository(&layer.repository());
            Some(format!("{repository}@{}", registry.ledger.digest(&repository, &layer.key)?))
        });
        let (key, tag) = (keys.run.clone(), layer.tag());
        Ok(ReadyImage { id, key, keys, tag, digest, built: !there, made: deeds.take() })
    }

    /// What a run image's code environment got: `name==version` lines. `None` when it has no such list.
    ///
    /// # Errors
    /// The engine doesn't answer, or the list isn't one.
    pub async fn locked_packages(&self, image: &ReadyImage) -> Result<Option<String>, ImageError> {
        let Some(bytes) = self.inner.engine.file(&image.id, LOCK, LONGEST_LOCK).await? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Removes an image by a tag. Not an error when it is gone.
    ///
    /// # Errors
    /// A container still uses it, or another image is built on it.
    pub async fn remove(&self, tag: &str) -> Result<(), ImageError> {
        self.inner.engine.remove(tag).await?;
        locked(&self.inner.ready).clear();
        Ok(())
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Forgets that an image was seen: the engine said that it isn't there any more. The next
    /// [`ensure`](Self::ensure) asks the engine and makes it again.
    pub fn forget(&self, key: &ContentKey) {
        locked(&self.inner.ready).remove(key);
        locked(&self.inner.parents).clear();
    }

    /// All images on the engine that were made here, by whatever home.
    ///
    /// # Errors
    /// The engine doesn't answer.
    pub async fn list(&self) -> Result<Vec<LocalImage>, ImageError> {
        self.inner.engine.list(LABEL_KEY).await
    }

    /// The image behind a `from`, pulled when the engine doesn't have it.
    async fn pulled(&self, reference: &str, sources: &Sources, progress: &Progress) -> Result<LocalImage, ImageError> {
        if let Some(image) = self.inner.local_parent(reference).await? {
            return Ok(image);
        }
        let begin = |progress: Progress| {
            let (inner, reference, sources) = (Arc::clone(&self.inner), reference.to_owned(), sources.clone());
            async move {
                progress(format!("pulling {reference}"));
                let login = sources.login(&reference).await?;
                inner.engine.pull(&reference, login.as_ref(), &progress).await.map_err(|error| match error {
                    // Nothing can be built in its place.
                    ImageError::NotInRegistry { image, reason } => ImageError::PullFailed { image, reason },
                    error => error,
                })?;
                Ok(reference)
            }
        };
        if let Err(error) = self.inner.flights.join(&format!("pull {reference}"), progress, begin).await {
            // Another engine may have it: loaded there by hand, or pulled while the registry still answered.
            return self.inner.copied_parent(reference, sources, progress).await.ok_or(error);
        }
        self.inner.local_parent(reference).await?.ok_or_else(|| ImageError::PullFailed {
            image: reference.to_owned(),
            reason: "the engine says that it has pulled it, and doesn't have it".to_owned(),
        })
    }
}

impl Inner {
    pub(crate) async fn platform(&self) -> Result<&str, ImageError> {
        self.platform.get_or_try_init(|| self.engine.platform()).await.map(String::as_str)
    }

    async fn local_parent(&self, reference: &str) -> Result<Option<LocalImage>, ImageError> {
        if let Some((asked, image)) = locked(&self.parents).get(reference)
            && asked.elapsed() < FRESH
        {
            return Ok(Some(image.clone()));
        }
        let mut found = self.engine.find(reference).await?;
        if found.is_none()
            && let Some((name, digest)) = reference.split_once('@')
        {
            found = self.engine.find(&origin_mark(name, digest)).await?;
        }
        if let Some(image) = &found {
            locked(&self.parents).insert(reference.to_owned(), (Instant::now(), image.clone()));
        }
        Ok(found)
    }

    async fn lock(&self, reference: &str, image: &LocalImage) -> Result<Parent, ImageError> {
        Ok(Parent::image(&digest(reference, image), self.platform().await?))
    }

    /// Brings the image behind a `from` here from another engine that has it. What that one knows of its digest comes along, as
    /// a tag: so it has the same content key on both.
    async fn copied_parent(&self, reference: &str, sources: &Sources, progress: &Progress) -> Option<LocalImage> {
        for (address, other) in &sources.others {
            let copy = self.copy_parent(reference, address, other.inner(), progress);
            match copy.await {
                Ok(Some(image)) => return Some(image),
                Ok(None) => {}
                Err(error) => progress(error.to_string()),
            }
        }
        None
    }

    async fn copy_parent(
        &self,
        reference: &str,
        address: &str,
        other: &Self,
        progress: &Progress,
    ) -> Result<Option<LocalImage>, ImageError> {
        let failed = |error: ImageError| ImageError::CopyFailed {
            image: reference.to_owned(),
            source_engine: address.to_owned(),
            reason: error.to_string(),
        };
        let platform = self.platform().await?;
        let look =
            async { if other.platform().await? == platform { other.local_parent(reference).await } else { Ok(None) } };
        let looked = tokio::time::timeout(LOOK, look).await.unwrap_or(Ok(None));
        let Some(image) = looked.map_err(failed)? else { return Ok(None) };
        progress(format!("copying {reference} from {address}"));
        let digest = digest(reference, &image);
        let mark = origin_mark(reference, &digest);
        // Only tags come along, and `from` may name a digest.
        other.engine.tag(&image.id, &mark).await.map_err(failed)?;
        let tar = other.engine.save(&mark).await.map_err(failed)?;
        self.engine.load(tar, progress).await.map_err(failed)?;
        let here = self.engine.find(&mark).await?.ok_or_else(|| ImageError::CopyFailed {
            image: reference.to_owned(),
            source_engine: address.to_owned(),
            reason: "it was loaded, and isn't there".to_owned(),
        })?;
        if !reference.contains('@') {
            self.engine.tag(&here.id, reference).await?;
        }
        self.local_parent(reference).await
    }

    async fn bootstrap_parent(&self, plan: &ImagePlan) -> Result<Parent, ImageError> {
        let platform = self.platform().await?;
        // Names are checked here already, so that `explain` says what a build would say.
        bootstrap::arguments(&plan.spec, &plan.recipe.bootstrap_packages, platform)?;
        Parent::bootstrap(&plan.spec, &plan.recipe, platform).ok_or_else(|| ImageError::BadSpec {
            image: plan.spec.name.clone(),
            reason: "it has no bootstrap".to_owned(),
        })
    }

    async fn runner(&self) -> Result<&'static [u8], ImageError> {
        let platform = self.platform().await?;
        (self.layer.runner)(platform).ok_or_else(|| ImageError::NoRunner { platform: platform.to_owned() })
    }

    async fn keys(&self, plan: &ImagePlan, parent: Parent) -> Result<ImageKeys, ImageError> {
        let runner = self.runner().await?;
        let base = key::key(&plan.spec, &plan.recipe, &parent);
        let environment = plan
            .environment
            .as_ref()
            .map(|environment| key::environment_key(&environment.spec, &environment.recipe, &base));
        let under = environment.as_ref().unwrap_or(&base);
        let folders = plan.folders.as_ref().map(|folders| key::folders_key(under, &folders.folders));
        let content = folders.as_ref().unwrap_or(under);
        let run = locked(&self.run_keys)
            .entry(content.clone())
            .or_insert_with(|| key::runner_layer_key(content, runner, self.layer.in_container))
            .clone();
        let runner = self.runner_key.get_or_init(|| key::runner_key(runner, self.layer.in_container)).clone();
        Ok(ImageKeys { parent, base, environment, folders, runner, run })
    }

    /// Builds the run image: the runner and its libraries over all the rest.
    async fn build_run(self: Arc<Self>, work: Work, tag: String, progress: Progress) -> Result<String, ImageError> {
        let content = self.folders(&work, &progress).await?;
        let name = work.plan.run_name();
        progress(format!("adding the runner to {name}"));
        let rendered = containerfile::render_run(&content, labels(&work, &name, &work.keys.run));
        let context = context::of_run(&rendered, self.runner().await?, self.layer.in_container)?;
        let request = BuildRequest { image: format!("the run image of {name}"), tag, context, titles: rendered.titles };
        self.engine.build(request, &progress).await
    }

    /// A plugin's folders over its code environment or its base image.
    async fn folders(self: &Arc<Self>, work: &Work, progress: &Progress) -> Result<String, ImageError> {
        let (Some(folders), Some(key)) = (&work.plan.folders, &work.keys.folders) else {
            return self.environment(work, progress).await;
        };
        let layer = Layer::new(Kind::Plugin, &folders.name, key);
        let build = |progress: Progress| {
            let (inner, work, folders) = (Arc::clone(self), work.clone(), folders.clone());
            let layer = layer.clone();
            async move {
                let content = inner.environment(&work, &progress).await?;
                let image = format!("the folders of {}", folders.name);
                progress(format!("adding {image}"));
                let rendered = containerfile::render_folders(&content, labels(&work, &folders.name, &layer.key));
                let titles = rendered.titles.clone();
                let read = tokio::task::spawn_blocking(move || context::of_folders(&rendered, &folders.folders));
                let context = read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
                let request = BuildRequest { image, tag: layer.tag(), context, titles };
                inner.engine.build(request, &progress).await
            }
        };
        self.have(&layer, &work.sources, &work.deeds, progress, build).await
    }

    /// The code environment over its base image; the base image where there is none.
    async fn environment(self: &Arc<Self>, work: &Work, progress: &Progress) -> Result<String, ImageError> {
        let (Some(environment), Some(key)) = (&work.plan.environment, &work.keys.environment) else {
            return self.base(work, progress).await;
        };
        let layer = Layer::new(Kind::CodeEnv, &environment.spec.name, key);
        let build = |progress: Progress| {
            let (inner, work, environment) = (Arc::clone(self), work.clone(), environment.clone());
            let layer = layer.clone();
            async move {
                let base = inner.base(&work, &progress).await?;
                let name = &environment.spec.name;
                progress(format!("building the code environment {name}"));
                let rendered = containerfile::render_environment(
                    &base,
                    &work.plan.spec,
                    &environment.spec,
                    &environment.recipe,
                    environment.constraints(&layer.key),
                    labels(&work, name, &layer.key),
                )?;
                let context = context::of(&rendered)?;
                let image = format!("the code environment {name}");
                let request = BuildRequest { image, tag: layer.tag(), context, titles: rendered.titles };
                let built = inner.engine.build(request, &progress).await;
                built.map_err(|error| failure::of_environment(error, &environment))
            }
        };
        self.have(&layer, &work.sources, &work.deeds, progress, build).await
    }

    /// The base image over what it starts from.
    async fn base(self: &Arc<Self>, work: &Work, progress: &Progress) -> Result<String, ImageError> {
        let name = &work.plan.spec.name;
        let layer = Layer::new(Kind::Base, name, &work.keys.base);
        let build = |progress: Progress| {
            let (inner, work, layer) = (Arc::clone(self), work.clone(), layer.clone());
            async move {
                let plan = &work.plan;
                let from = match &work.from {
                    Some(id) => id.clone(),
                    None => inner.bootstrapped(&work, &progress).await?,
                };
                progress(format!("building the base image {}", plan.spec.name));
                let labels = labels(&work, &plan.spec.name, &layer.key);
                let rendered = containerfile::render(&from, &plan.spec, &plan.recipe, labels)?;
                let context = context::of(&rendered)?;
                let image = format!("the base image {}", plan.spec.name);
                let request = BuildRequest { image, tag: layer.tag(), context, titles: rendered.titles };
                inner.engine.build(request, &progress).await
            }
        };
        self.have(&layer, &work.sources, &work.deeds, progress, build).await
    }

    /// A root file system of the distribution's packages, kept as an image of its own: another recipe over the same
    /// packages starts from it.
    async fn bootstrapped(self: &Arc<Self>, work: &Work, progress: &Progress) -> Result<String, ImageError> {
        let Origin::Bootstrap { suite, .. } = &work.plan.spec.origin else { return Ok(String::new()) };
        let layer = Layer::new(Kind::Bootstrap, suite, &work.keys.parent.key());
        let build = |progress: Progress| {
            let (inner, work, layer) = (Arc::clone(self), work.clone(), layer.clone());
            let image = format!("a bootstrap of {suite}");
            async move {
                progress(format!("making {image} from packages"));
                let plan = &work.plan;
                let labels = Labels {
                    key: &layer.key,
                    name: &plan.spec.name,
                    made_by: "bootstrap",
                    parent: work.keys.parent.as_str(),
                };
                let changes = vec![containerfile::label_instruction(labels), "CMD [\"/bin/sh\"]".to_owned()];
                let platform = inner.platform().await?;
                let packages = &plan.recipe.bootstrap_packages;
                let bootstrap =
                    Bootstrap::start(&inner.bootstrap_program, &plan.spec, packages, platform, progress.clone())?;
                let failure = bootstrap.failure();
                let request = ImportRequest { image, tag: layer.tag(), changes };
                let outcome = inner.engine.import(request, bootstrap.into_tar(), &progress).await;
                // The engine only saw a stream that broke; the program's own words say why.
                match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    Some(error) => Err(error),
                    None => outcome,
                }
            }
        };
        // The registry gets the base image, which has all of it.
        let sources = Sources { registry: None, ..work.sources.clone() };
        self.have(&layer, &sources, &work.deeds, progress, build).await
    }
}

/// What building needs, for as long as it takes.
#[derive(Clone)]
struct Work {
    plan: ImagePlan,
    keys: ImageKeys,
    /// The engine's id of what the base image starts from, where that is an image.
    from: Option<String>,
    sources: Sources,
    deeds: Deeds,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What these hold is whole after every statement, so a panic elsewhere hasn't damaged it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn labels<'a>(work: &'a Work, name: &'a str, key: &'a ContentKey) -> Labels<'a> {
    Labels { key, name, made_by: &work.plan.made_by, parent: work.keys.parent.as_str() }
}

/// A name as engines take it in a tag: lower case, digits, single `-`, `_` or `.` between them.
pub(crate) fn repository(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_ascii_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if out.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            out.push(if matches!(c, '.' | '_') { c } else { '-' });
        }
    }
    out.truncate(100);
    let out = out.trim_end_matches(['-', '.', '_']);
    if out.is_empty() { "image".to_owned() } else { out.to_owned() }
}

/// The name of an image without registry of Docker's own, tag and digest.
fn plain_name(text: &str) -> &str {
    let text = text.split_once('@').map_or(text, |(name, _)| name);
    // A colon after the last slash begins a tag; one before it is a registry's port.
    let at = text.rfind('/').map_or(0, |at| at + 1);
    let text = text[at..].find(':').map_or(text, |colon| &text[..at + colon]);
    let text = text.strip_prefix("docker.io/").unwrap_or(text);
    text.strip_prefix("library/").unwrap_or(text)
}

/// The digest that a registry knows an image by; its id, when none ever had it.
fn digest(reference: &str, image: &LocalImage) -> String {
    let wanted = plain_name(reference);
    let mut digests: Vec<&str> = image.digests.iter().map(String::as_str).collect();
    digests.sort_unstable();
    let alone = |digest: &&str| digest.split_once('@').map(|(_, digest)| digest.to_owned());
    let of_wanted = digests.iter().find(|digest| plain_name(digest) == wanted).and_then(alone);
    of_wanted
        .or_else(|| marked(wanted, image))
        .or_else(|| digests.first().and_then(alone))
        .unwrap_or_else(|| image.id.clone())
}

/// The digest that an image had on the engine that it was copied from.
fn marked(name: &str, image: &LocalImage) -> Option<String> {
    let begin = origin_mark(name, "");
    let mut marks: Vec<&str> = image.tags.iter().filter_map(|tag| tag.strip_prefix(&begin)).collect();
    marks.sort_unstable();
    marks.first().map(|mark| format!("sha256:{mark}"))
}

/// The tag of an image that was copied from another engine, with the digest that it had there: engines carry tags along, and
/// no digests.
fn origin_mark(reference: &str, digest: &str) -> String {
    format!("wharf-from/{}:{}", repository(plain_name(reference)), digest.trim_start_matches("sha256:"))
}

#[cfg(test)]
#[path = "images_tests.rs"]
pub(crate) mod testing;
