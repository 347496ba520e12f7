//! From a plan to an image that a run can use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use wharf_model::image::{ContentKey, ImageRecipe, ImageSpec, Origin};

use crate::LABEL_KEY;
use crate::bootstrap::{self, Bootstrap};
use crate::containerfile::{self, Labels};
use crate::context;
use crate::engine::{BuildRequest, ImageEngine, ImportRequest, LocalImage, Progress};
use crate::error::ImageError;
use crate::flights::Flights;
use crate::key::{self, Parent};

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
}

/// The content keys of a plan's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageKeys {
    /// What the base image starts from, locked.
    pub parent: Parent,
    /// The base image.
    pub base: ContentKey,
    /// The base image with the runner and its libraries: what a run uses.
    pub run: ContentKey,
}

/// An image that a run can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyImage {
    /// The engine's id of it: `sha256:...`. It never moves.
    pub id: String,
    /// Its content key.
    pub key: ContentKey,
    /// The content key of its base image.
    pub base_key: ContentKey,
    /// Its tag, for people.
    pub tag: String,
    /// Whether this call made it, or waited until another one had.
    pub built: bool,
}

/// The images of one engine.
pub struct Images {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn ImageEngine>,
    layer: RunnerLayer,
    bootstrap_program: String,
    platform: OnceCell<String>,
    flights: Flights,
    /// What `from` names stood for, and when that was asked.
    parents: Mutex<HashMap<String, (Instant, LocalImage)>>,
    /// The ids of images that are known to be there, by their content keys.
    ready: Mutex<HashMap<ContentKey, String>>,
    /// The hashes of runner and libraries are the same for all images of a base.
    run_keys: Mutex<HashMap<ContentKey, ContentKey>>,
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
        let tag = run_tag(&plan.spec.name, &keys.run);
        let id = self.inner.known(&tag, &keys.run).await?;
        Ok(id.map(|id| ReadyImage { id, key: keys.run, base_key: keys.base, tag, built: false }))
    }

    /// The run image of a plan: found by its content key, or else made: pulled or bootstrapped, built, and given the
    /// runner.
    ///
    /// However many ask for the same image at once, it is made once, and all of them get its progress and its failure.
    /// Dropping the last of these futures ends the work.
    ///
    /// # Errors
    /// Whatever kept the image from being made.
    pub async fn ensure(&self, plan: &ImagePlan, progress: &Progress) -> Result<ReadyImage, ImageError> {
        let (parent, from) = match &plan.spec.origin {
            Origin::From(reference) => {
                let image = self.pulled(reference, progress).await?;
                (self.inner.lock(reference, &image).await?, Some(image.id))
            }
            Origin::Bootstrap { .. } => (self.inner.bootstrap_parent(plan).await?, None),
        };
        let keys = self.inner.keys(plan, parent).await?;
        let tag = run_tag(&plan.spec.name, &keys.run);
        if let Some(id) = self.inner.known(&tag, &keys.run).await? {
            return Ok(ReadyImage { id, key: keys.run, base_key: keys.base, tag, built: false });
        }
        let name = format!("run {}", keys.run);
        let id = self
            .inner
            .flights
            .join(&name, progress, |progress| {
                let (inner, plan, keys, tag) = (Arc::clone(&self.inner), plan.clone(), keys.clone(), tag.clone());
                async move {
                    // It may have come while we were on the way here.
                    if let Some(id) = inner.known(&tag, &keys.run).await? {
                        return Ok(id);
                    }
                    let base = inner.base(&plan, &keys, from, &progress).await?;
                    inner.run(&plan, &keys, &base, tag, &progress).await
                }
            })
            .await?;
        Ok(ReadyImage { id, key: keys.run, base_key: keys.base, tag, built: true })
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
    async fn pulled(&self, reference: &str, progress: &Progress) -> Result<LocalImage, ImageError> {
        if let Some(image) = self.inner.local_parent(reference).await? {
            return Ok(image);
        }
        let begin = |progress: Progress| {
            let (inner, reference) = (Arc::clone(&self.inner), reference.to_owned());
            async move {
                progress(format!("pulling {reference}"));
                inner.engine.pull(&reference, &progress).await?;
                Ok(reference)
            }
        };
        self.inner.flights.join(&format!("pull {reference}"), progress, begin).await?;
        self.inner.local_parent(reference).await?.ok_or_else(|| ImageError::PullFailed {
            image: reference.to_owned(),
            reason: "the engine says that it has pulled it, and doesn't have it".to_owned(),
        })
    }
}

impl Inner {
    async fn platform(&self) -> Result<&str, ImageError> {
        self.platform.get_or_try_init(|| self.engine.platform()).await.map(String::as_str)
    }

    async fn local_parent(&self, reference: &str) -> Result<Option<LocalImage>, ImageError> {
        if let Some((asked, image)) = locked(&self.parents).get(reference)
            && asked.elapsed() < FRESH
        {
            return Ok(Some(image.clone()));
        }
        let found = self.engine.find(reference).await?;
        if let Some(image) = &found {
            locked(&self.parents).insert(reference.to_owned(), (Instant::now(), image.clone()));
        }
        Ok(found)
    }

    async fn lock(&self, reference: &str, image: &LocalImage) -> Result<Parent, ImageError> {
        Ok(Parent::image(digest(reference, image), self.platform().await?))
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
        let run = locked(&self.run_keys)
            .entry(base.clone())
            .or_insert_with(|| key::runner_layer_key(&base, runner, self.layer.in_container))
            .clone();
        Ok(ImageKeys { parent, base, run })
    }

    /// The id of the image with this key, if the engine has it: under this tag, or under the tag that another name for
    /// the same contents has.
    async fn known(&self, tag: &str, key: &ContentKey) -> Result<Option<String>, ImageError> {
        if let Some(id) = locked(&self.ready).get(key) {
            return Ok(Some(id.clone()));
        }
        let label = |image: &LocalImage| image.labels.get(LABEL_KEY).is_some_and(|label| label == key.as_str());
        let mut found = self.engine.find(tag).await?.filter(label);
        if found.is_none() {
            // The label alone proves nothing: whatever is built on an image inherits it, what a failed build leaves too.
            let kind = tag.split_inclusive('/').next().unwrap_or(tag);
            let end = format!(":{}", key.short());
            let tagged = |image: &LocalImage| image.tags.iter().any(|tag| tag.starts_with(kind) && tag.ends_with(&end));
            let listed = self.engine.list(&format!("{LABEL_KEY}={key}")).await?;
            found = listed.into_iter().find(|image| label(image) && tagged(image));
        }
        let Some(image) = found else { return Ok(None) };
        locked(&self.ready).insert(key.clone(), image.id.clone());
        Ok(Some(image.id))
    }

    /// The base image: found, or built over what it starts from.
    async fn base(
        self: &Arc<Self>,
        plan: &ImagePlan,
        keys: &ImageKeys,
        from: Option<String>,
        progress: &Progress,
    ) -> Result<String, ImageError> {
        let tag = format!("wharf-base/{}:{}", repository(&plan.spec.name), keys.base.short());
        if let Some(id) = self.known(&tag, &keys.base).await? {
            return Ok(id);
        }
        let from = match from {
            Some(id) => id,
            None => self.bootstrapped(plan, &keys.parent, progress).await?,
        };
        progress(format!("building the base image {}", plan.spec.name));
        let rendered = containerfile::render(&from, &plan.spec, &plan.recipe, labels(plan, keys, &keys.base))?;
        let context = context::of(&rendered)?;
        let image = format!("the base image {}", plan.spec.name);
        let request = BuildRequest { image, tag, context, titles: rendered.titles };
        self.engine.build(request, progress).await
    }

    /// The run image: a base image with the runner and its libraries.
    async fn run(
        &self,
        plan: &ImagePlan,
        keys: &ImageKeys,
        base: &str,
        tag: String,
        progress: &Progress,
    ) -> Result<String, ImageError> {
        progress(format!("adding the runner to {}", plan.spec.name));
        let rendered = containerfile::render_run(base, labels(plan, keys, &keys.run));
        let context = context::of_run(&rendered, self.runner().await?, self.layer.in_container)?;
        let image = format!("the run image of {}", plan.spec.name);
        let request = BuildRequest { image, tag, context, titles: rendered.titles };
        let id = self.engine.build(request, progress).await?;
        locked(&self.ready).insert(keys.run.clone(), id.clone());
        Ok(id)
    }

    /// A root file system of the distribution's packages, kept as an image of its own: another recipe over the same
    /// packages starts from it.
    async fn bootstrapped(
        self: &Arc<Self>,
        plan: &ImagePlan,
        parent: &Parent,
        progress: &Progress,
    ) -> Result<String, ImageError> {
        let key = parent.key();
        let Origin::Bootstrap { suite, .. } = &plan.spec.origin else { return Ok(String::new()) };
        let tag = format!("wharf-bootstrap/{}:{}", repository(suite), key.short());
        if let Some(id) = self.known(&tag, &key).await? {
            return Ok(id);
        }
        let begin = |progress: Progress| {
            let (inner, plan, key, parent) = (Arc::clone(self), plan.clone(), key.clone(), parent.clone());
            let image = format!("a bootstrap of {suite}");
            async move {
                progress(format!("making {image} from packages"));
                let labels = Labels { key: &key, name: &plan.spec.name, made_by: "bootstrap", parent: parent.as_str() };
                let changes = vec![containerfile::label_instruction(labels), "CMD [\"/bin/sh\"]".to_owned()];
                let platform = inner.platform().await?;
                let packages = &plan.recipe.bootstrap_packages;
                let bootstrap =
                    Bootstrap::start(&inner.bootstrap_program, &plan.spec, packages, platform, progress.clone())?;
                let failure = bootstrap.failure();
                let request = ImportRequest { image, tag, changes };
                let outcome = inner.engine.import(request, bootstrap.into_tar(), &progress).await;
                // The engine only saw a stream that broke; the program's own words say why.
                match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    Some(error) => Err(error),
                    None => outcome,
                }
            }
        };
        self.flights.join(&format!("bootstrap {key}"), progress, begin).await
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What these hold is whole after every statement, so a panic elsewhere hasn't damaged it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn labels<'a>(plan: &'a ImagePlan, keys: &'a ImageKeys, key: &'a ContentKey) -> Labels<'a> {
    Labels { key, name: &plan.spec.name, made_by: &plan.made_by, parent: keys.parent.as_str() }
}

fn run_tag(name: &str, key: &ContentKey) -> String {
    format!("wharf-run/{}:{}", repository(name), key.short())
}

/// A name as engines take it in a tag: lower case, digits, single `-`, `_` or `.` between them.
fn repository(name: &str) -> String {
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

/// The digest that a registry knows an image by; its id, when none ever had it.
fn digest<'a>(reference: &str, image: &'a LocalImage) -> &'a str {
    let repository = |text: &str| -> String {
        let text = text.split_once('@').map_or(text, |(name, _)| name);
        // A colon after the last slash begins a tag; one before it is a registry's port.
        let at = text.rfind('/').map_or(0, |at| at + 1);
        let text = text[at..].find(':').map_or(text, |colon| &text[..at + colon]);
        let text = text.strip_prefix("docker.io/").unwrap_or(text);
        text.strip_prefix("library/").unwrap_or(text).to_owned()
    };
    let wanted = repository(reference);
    let mut digests: Vec<&str> = image.digests.iter().map(String::as_str).collect();
    digests.sort_unstable();
    digests
        .iter()
        .find(|digest| repository(digest) == wanted)
        .or(digests.first())
        .and_then(|digest| digest.split_once('@'))
        .map_or(&image.id, |(_, digest)| digest)
}

#[cfg(test)]
#[path = "images_tests.rs"]
pub(crate) mod testing;
