//! Tests of [`Images`] over an engine that is a few maps, and the specification that this crate's tests share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use wharf_model::image::{ContextFile, Language, Mirrors, Step};

use super::*;
use crate::engine::{Login, Pushed, TarStream};
use crate::sources::{BeforePush, Deed, Ledger, Logins, Made, Registry};

/// A base image that has one of everything.
pub(crate) fn spec() -> ImageSpec {
    ImageSpec {
        name: "python-r".to_owned(),
        origin: Origin::From("debian:12".to_owned()),
        languages: vec![Language { name: "r".to_owned(), version: None, packages: vec![] }],
        system_packages: vec![],
        mirrors: Mirrors::default(),
        extra_ca: vec![ContextFile { name: "corp.pem".to_owned(), contents: b"certificate".to_vec() }],
        cuda: None,
        pre_install: None,
        post_install: None,
        files: vec![],
        labels: BTreeMap::new(),
        made_by: "image-debian".to_owned(),
    }
}

/// A recipe that has one of every step.
pub(crate) fn recipe() -> ImageRecipe {
    let text = str::to_owned;
    ImageRecipe {
        steps: vec![
            Step::Copy {
                source: text("corp.pem"),
                target: text("/usr/local/share/ca-certificates/corp.crt"),
                mode: 0o644,
            },
            Step::Run {
                title: text("install R"),
                script: text("apt-get update\napt-get install -y \"r-base-core\" $EXTRA\n"),
            },
            Step::Env { key: text("LANG"), value: text("C.UTF-8") },
            Step::Env { key: text("GREETING"), value: text("say \"hello\" for $5 \\ day") },
            Step::Label { key: text("org.example.team"), value: text("data's") },
            Step::Workdir { path: text("/srv/data") },
        ],
        files: vec![ContextFile { name: text("notes"), contents: b"n".to_vec() }],
        bootstrap_packages: vec![],
    }
}

fn plan() -> ImagePlan {
    ImagePlan {
        spec: spec(),
        recipe: recipe(),
        made_by: "image-debian@12ab".to_owned(),
        environment: None,
        folders: None,
    }
}

const LAYER: RunnerLayer = RunnerLayer {
    runner: |platform| (platform == "linux/amd64").then_some(b"ELF".as_slice()),
    in_container: &[("python/dataiku/__init__.py", b"1")],
};

/// Has images by their tags; counts what it is asked for.
#[derive(Default)]
struct Engine {
    images: Mutex<HashMap<String, LocalImage>>,
    calls: Mutex<Vec<String>>,
    fails: Mutex<Option<ImageError>>,
    made: AtomicUsize,
    /// Its registry says of what it doesn't have that one isn't let in.
    secretive: bool,
    /// The versions that builds were bound to.
    constraints: Mutex<Vec<String>>,
    /// Nothing can be pulled.
    offline: bool,
    /// Whom alone its registry lets pull.
    lets_in: Option<&'static str>,
    /// What its registry has, by the reference that it is pulled under.
    registry: Arc<Mutex<HashMap<String, LocalImage>>>,
}

impl Engine {
    fn with_debian() -> Arc<Self> {
        let engine = Arc::new(Self::default());
        let image = LocalImage {
            id: "sha256:d0".to_owned(),
            digests: vec!["a.example/debian@sha256:ff".to_owned(), "debian@sha256:ee".to_owned()],
            ..LocalImage::default()
        };
        engine.images.lock().unwrap().insert("debian:12".to_owned(), image);
        engine
    }

    fn make(&self, what: &str, tag: &str, text: &str) -> String {
        let id = format!("sha256:{}", self.made.fetch_add(1, Ordering::SeqCst));
        let key = text.split_once("\"wharf.image.key\"=\"").map(|(_, rest)| rest[..64].to_owned()).unwrap();
        let labels = [(LABEL_KEY.to_owned(), key)].into();
        let image = LocalImage { id: id.clone(), tags: vec![tag.to_owned()], labels, ..LocalImage::default() };
        self.images.lock().unwrap().insert(tag.to_owned(), image);
        self.called(&format!("{what} {tag}"));
        id
    }

    fn called(&self, call: &str) {
        self.calls.lock().unwrap().push(call.to_owned());
    }

    /// What was made since the last time this was asked, without the keys in the tags.
    fn made(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.iter().map(|call| call.rsplit_once(':').map_or(call.as_str(), |(call, _)| call).to_owned()).collect()
    }
}

#[async_trait]
impl ImageEngine for Engine {
    async fn platform(&self) -> Result<String, ImageError> {
        Ok("linux/amd64".to_owned())
    }

    async fn find(&self, reference: &str) -> Result<Option<LocalImage>, ImageError> {
        Ok(self.images.lock().unwrap().get(reference).cloned())
    }

    async fn pull(&self, reference: &str, login: Option<&Login>, _: &Progress) -> Result<(), ImageError> {
        let by = login.map_or_else(String::new, |login| format!(" by {}", login.user));
        self.called(&format!("pull {reference}{by}:"));
        tokio::task::yield_now().await;
        let image = if reference.starts_with("registry.example") {
            let found = self.registry.lock().unwrap().get(reference).cloned();
            let (image, reason) = (reference.to_owned(), "unknown".to_owned());
            if self.lets_in.is_some_and(|who| login.is_none_or(|login| login.user != who)) {
                return Err(ImageError::LoginRefused { registry: image, who: "nobody".to_owned(), reason });
            }
            found.ok_or_else(|| match self.secretive {
                true => ImageError::LoginRefused { registry: image, who: "ana".to_owned(), reason },
                false => ImageError::NotInRegistry { image, reason },
            })?
        } else if self.offline {
            return Err(ImageError::PullFailed { image: reference.to_owned(), reason: "no route to host".to_owned() });
        } else {
            LocalImage { id: "sha256:pulled".to_owned(), ..LocalImage::default() }
        };
        self.images.lock().unwrap().insert(reference.to_owned(), image);
        Ok(())
    }

    async fn tag(&self, id: &str, name: &str) -> Result<(), ImageError> {
        let mut images = self.images.lock().unwrap();
        let mut image = images.values().find(|image| image.id == id).cloned().unwrap();
        image.tags.push(name.to_owned());
        images.values_mut().filter(|other| other.id == id).for_each(|other| other.tags.push(name.to_owned()));
        images.insert(name.to_owned(), image);
        Ok(())
    }

    async fn push(&self, name: &str, login: Option<&Login>, _: &Progress) -> Result<Pushed, ImageError> {
        let by = login.map_or_else(String::new, |login| format!(" by {}", login.user));
        self.called(&format!("push {name}{by}"));
        let digest = format!("sha256:{}", ContentKey::of([("name", name.as_bytes())]));
        let mut image = self.images.lock().unwrap()[name].clone();
        let repository = name.rsplit_once(':').unwrap().0;
        let by_digest = format!("{repository}@{digest}");
        image.digests = vec![by_digest.clone()];
        let mut registry = self.registry.lock().unwrap();
        registry.insert(name.to_owned(), image.clone());
        registry.insert(by_digest, image);
        Ok(Pushed { digest, sent: 1, skipped: 0 })
    }

    async fn save(&self, reference: &str) -> Result<TarStream, ImageError> {
        self.called(&format!("save {reference}"));
        let image = self.images.lock().unwrap()[reference].clone();
        // What was made elsewhere has no key, and no label at all.
        let key = image.labels.get(LABEL_KEY).map_or("none", String::as_str).to_owned();
        let text = format!("{reference} {key} {}", image.id);
        Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from(text))])))
    }

    async fn load(&self, tar: TarStream, _: &Progress) -> Result<(), ImageError> {
        let bytes: Vec<Bytes> = tar.try_collect().await.unwrap();
        let text = String::from_utf8(bytes.concat()).unwrap();
        let [tag, key, id]: [&str; 3] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let labels = [(LABEL_KEY.to_owned(), key.to_owned())].into();
        let image = LocalImage { id: id.to_owned(), tags: vec![tag.to_owned()], labels, ..LocalImage::default() };
        self.images.lock().unwrap().insert(tag.to_owned(), image);
        Ok(())
    }

    async fn file(&self, _: &str, _: &str, _: u64) -> Result<Option<Vec<u8>>, ImageError> {
        Ok(None)
    }

    async fn build(&self, request: BuildRequest, _: &Progress) -> Result<String, ImageError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(error) = &*self.fails.lock().unwrap() {
            self.called(&format!("fail {}", request.tag));
            return Err(error.clone());
        }
        let mut archive = tar::Archive::new(request.context.as_ref());
        let mut entries = archive.entries().unwrap();
        let text = std::io::read_to_string(&mut entries.next().unwrap().unwrap()).unwrap();
        for entry in entries {
            let mut entry = entry.unwrap();
            // Of the plan's code environment, the second file that is copied.
            if request.tag.starts_with("wharf-env/") && entry.path().unwrap().ends_with("files/1") {
                self.constraints.lock().unwrap().push(std::io::read_to_string(&mut entry).unwrap());
            }
        }
        assert_eq!(text.lines().count(), request.titles.len());
        Ok(self.make("build", &request.tag, &text))
    }

    async fn import(&self, request: ImportRequest, tar: TarStream, _: &Progress) -> Result<String, ImageError> {
        let tar: Vec<Bytes> = tar
            .try_collect()
            .await
            .map_err(|error| ImageError::Unreachable { address: "x".to_owned(), reason: error.to_string() })?;
        assert_eq!(tar.concat(), b"tar");
        Ok(self.make("import", &request.tag, &request.changes.join("\n")))
    }

    async fn list(&self, label: &str) -> Result<Vec<LocalImage>, ImageError> {
        let (key, value) = label.split_once('=').unwrap();
        let images = self.images.lock().unwrap();
        Ok(images.values().filter(|image| image.labels.get(key).is_some_and(|found| found == value)).cloned().collect())
    }

    async fn remove(&self, _: &str) -> Result<(), ImageError> {
        Ok(())
    }
}

fn silent() -> Progress {
    Arc::new(|_| {})
}

#[tokio::test]
async fn an_image_is_made_once_and_found_after_that() {
    let engine = Engine::with_debian();
    let images = Images::new(engine.clone(), LAYER);
    assert_eq!(images.ready(&plan()).await.unwrap(), None);
    let keys = images.keys(&plan()).await.unwrap().unwrap();
    // The digest by the name that was asked for, not the other registry's.
    assert_eq!(keys.parent.as_str(), "sha256:ee linux/amd64");
    let first = images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    assert!(first.built);
    assert_eq!((&first.key, &first.keys), (&keys.run, &keys));
    assert_eq!(first.tag, format!("wharf-run/python-r:{}", keys.run.short()));
    assert_eq!(engine.made(), ["build wharf-base/python-r", "build wharf-run/python-r"]);

    // The same host, and another one at the same daemon.
    for images in [&images, &Images::new(engine.clone(), LAYER)] {
        let again = images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
        assert_eq!(again, ReadyImage { built: false, made: vec![], ..first.clone() });
        assert_eq!(images.ready(&plan()).await.unwrap(), Some(again));
    }
    assert!(engine.made().is_empty());

    // Another name for the same contents.
    let mut renamed = plan();
    renamed.spec.name = "another".to_owned();
    let found = Images::new(engine.clone(), LAYER).ensure(&renamed, &Sources::default(), &silent()).await.unwrap();
    assert_eq!((found.id, found.built), (first.id, false));
}

#[tokio::test]
async fn an_image_that_went_away_is_made_again() {
    let engine = Engine::with_debian();
    let images = Images::new(engine.clone(), LAYER);
    let first = images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    engine.images.lock().unwrap().remove(&first.tag);
    engine.made();
    images.forget(&first.key);
    assert!(images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap().built);
    assert_eq!(engine.made(), ["build wharf-run/python-r"]);
}

#[tokio::test]
async fn a_tag_with_another_key_is_not_believed() {
    let engine = Engine::with_debian();
    let keys = Images::new(engine.clone(), LAYER).keys(&plan()).await.unwrap().unwrap();
    let moved = LocalImage { id: "sha256:evil".to_owned(), ..LocalImage::default() };
    engine.images.lock().unwrap().insert(format!("wharf-run/python-r:{}", keys.run.short()), moved);
    let ready = Images::new(engine.clone(), LAYER).ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    assert!(ready.built && ready.id != "sha256:evil");
}

#[tokio::test]
async fn a_label_that_was_inherited_is_not_believed() {
    let engine = Engine::with_debian();
    let keys = Images::new(engine.clone(), LAYER).keys(&plan()).await.unwrap().unwrap();
    for (name, tags, key) in [
        // What a failed build left over a base image, and what somebody else built on a run image.
        ("left", vec![], &keys.base),
        ("built on", vec!["somebody/else:1".to_owned()], &keys.run),
    ] {
        let labels = [(LABEL_KEY.to_owned(), key.to_string())].into();
        let image = LocalImage { id: format!("sha256:{name}"), tags, labels, ..LocalImage::default() };
        engine.images.lock().unwrap().insert(name.to_owned(), image);
    }
    Images::new(engine.clone(), LAYER).ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    assert_eq!(engine.made(), ["build wharf-base/python-r", "build wharf-run/python-r"]);
}

#[tokio::test]
async fn a_newer_runner_is_one_layer_and_no_base_image() {
    let engine = Engine::with_debian();
    Images::new(engine.clone(), LAYER).ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    engine.made();
    let newer = RunnerLayer { runner: |_| Some(b"ELF 2"), ..LAYER };
    Images::new(engine.clone(), newer).ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    assert_eq!(engine.made(), ["build wharf-run/python-r"]);
}

#[tokio::test]
async fn twenty_at_once_make_one_image_and_pull_once() {
    let engine = Arc::new(Engine::default());
    let images = Arc::new(Images::new(engine.clone(), LAYER));
    assert_eq!(images.keys(&plan()).await.unwrap(), None);
    let asks = (0..20).map(|_| {
        let images = Arc::clone(&images);
        tokio::spawn(async move { images.ensure(&plan(), &Sources::default(), &silent()).await })
    });
    let mut ids = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        ids.push(ask.await.unwrap().unwrap().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(engine.made(), ["pull debian:12", "build wharf-base/python-r", "build wharf-run/python-r"]);
}

#[tokio::test]
async fn a_failed_build_fails_all_who_wait_and_is_tried_once() {
    let engine = Engine::with_debian();
    let error = ImageError::BuildFailed {
        image: "the base image python-r".to_owned(),
        step: "step 4 of 9 (install R)".to_owned(),
        lines: vec!["E: no such package".to_owned()],
    };
    *engine.fails.lock().unwrap() = Some(error);
    let images = Arc::new(Images::new(engine.clone(), LAYER));
    let asks = (0..20).map(|_| {
        let images = Arc::clone(&images);
        tokio::spawn(async move { images.ensure(&plan(), &Sources::default(), &silent()).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        let text = ask.await.unwrap().unwrap_err().to_string();
        assert_eq!(text, "building the base image python-r failed at step 4 of 9 (install R):\nE: no such package");
    }
    assert_eq!(engine.made(), ["fail wharf-base/python-r"]);
    // What was mended is tried again.
    *engine.fails.lock().unwrap() = None;
    assert!(images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap().built);
}

#[tokio::test]
async fn a_platform_without_a_runner_is_said_before_anything_is_built() {
    let engine = Engine::with_debian();
    let layer = RunnerLayer { runner: |_| None, ..LAYER };
    let error = Images::new(engine.clone(), layer).ensure(&plan(), &Sources::default(), &silent()).await.unwrap_err();
    assert!(error.to_string().contains("no runner for linux/amd64"), "{error}");
    assert!(engine.made().is_empty());
}

/// A stand-in for the bootstrap program.
fn program(folder: &std::path::Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("mmdebstrap");
    let text_file = folder.join("text");
    std::fs::write(&text_file, format!("#!/bin/sh\n{text}\n")).unwrap();
    // Written by another process: a child of another test would keep this one's file open, and it couldn't be started.
    assert!(std::process::Command::new("cp").args([&text_file, &path]).status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn bootstrap_plan() -> ImagePlan {
    let mut plan = plan();
    let mirror = "http://deb.debian.org/debian".to_owned();
    plan.spec.origin = Origin::Bootstrap { suite: "bookworm".to_owned(), mirror };
    plan
}

#[tokio::test]
async fn a_bootstrap_is_kept_for_the_next_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::default());
    let program = program(folder.path(), "printf tar");
    let images = Images::with_bootstrap_program(engine.clone(), LAYER, program);
    assert!(images.ensure(&bootstrap_plan(), &Sources::default(), &silent()).await.unwrap().built);
    assert_eq!(
        engine.made(),
        ["import wharf-bootstrap/bookworm", "build wharf-base/python-r", "build wharf-run/python-r"]
    );
    let mut other = bootstrap_plan();
    other.recipe.steps.pop();
    images.ensure(&other, &Sources::default(), &silent()).await.unwrap();
    assert_eq!(engine.made(), ["build wharf-base/python-r", "build wharf-run/python-r"]);
}

#[tokio::test]
async fn a_failed_bootstrap_says_what_the_program_said() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "printf ta; echo 'E: no such suite' >&2; exit 2");
    let images = Images::with_bootstrap_program(Arc::new(Engine::default()), LAYER, program);
    let error = images.ensure(&bootstrap_plan(), &Sources::default(), &silent()).await.unwrap_err();
    assert!(matches!(error, ImageError::BootstrapFailed { .. }), "{error}");
    assert!(error.to_string().ends_with("E: no such suite"), "{error}");
}

fn environment_plan(requirements: &str) -> ImagePlan {
    let spec = CodeEnvironment {
        name: "ml".to_owned(),
        language: "python".to_owned(),
        interpreters: Vec::new(),
        packages: vec![],
        requirements: Some(requirements.to_owned()),
        generation: 0,
    };
    let copy =
        |name: &str| Step::Copy { source: name.to_owned(), target: format!("/opt/code-env/{name}"), mode: 0o644 };
    let recipe = ImageRecipe {
        steps: vec![
            copy("requirements.txt"),
            copy("constraints.txt"),
            Step::Path { path: "/opt/code-env/bin".to_owned() },
        ],
        files: vec![],
        bootstrap_packages: vec![],
    };
    let file = "code-envs/ml/requirements.txt".to_owned();
    ImagePlan {
        environment: Some(EnvironmentPlan {
            spec,
            recipe,
            locks: Vec::new(),
            refresh: false,
            file,
            lock_file: "lock.toml".into(),
        }),
        ..plan()
    }
}

#[tokio::test]
async fn an_environment_is_a_layer_between_base_and_runner() {
    let engine = Engine::with_debian();
    let images = Images::new(engine.clone(), LAYER);
    let plain = images.ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    engine.made();
    let first = images.ensure(&environment_plan("a\n"), &Sources::default(), &silent()).await.unwrap();
    assert_eq!(first.keys.base, plain.keys.base);
    assert!(first.tag.starts_with("wharf-run/python-r-ml:"), "{}", first.tag);
    assert_eq!(engine.made(), ["build wharf-env/ml", "build wharf-run/python-r-ml"]);
    let deeds: Vec<&Deed> = first.made.iter().map(|made| &made.deed).collect();
    assert_eq!(deeds, [&Deed::Built, &Deed::Built]);
    let second = images.ensure(&environment_plan("b\n"), &Sources::default(), &silent()).await.unwrap();
    assert_ne!(second.key, first.key);
    assert_eq!(engine.made(), ["build wharf-env/ml", "build wharf-run/python-r-ml"]);
    // A newer runner builds neither the base nor the environment again.
    let newer = RunnerLayer { runner: |_| Some(b"ELF 2"), ..LAYER };
    Images::new(engine.clone(), newer).ensure(&environment_plan("b\n"), &Sources::default(), &silent()).await.unwrap();
    assert_eq!(engine.made(), ["build wharf-run/python-r-ml"]);
    let names: Vec<(Kind, String)> = crate::ingredients(&environment_plan("b\n"), &second.keys)
        .into_iter()
        .map(|part| (part.kind, part.lines.last().unwrap().clone()))
        .collect();
    assert_eq!(names[1], (Kind::CodeEnv, "requirements: b".to_owned()));
}

#[derive(Default)]
struct Memory(Mutex<HashMap<String, String>>);

impl Ledger for Memory {
    fn digest(&self, repository: &str, key: &ContentKey) -> Option<String> {
        self.0.lock().unwrap().get(&format!("{repository} {key}")).cloned()
    }

    fn remember(&self, repository: &str, key: &ContentKey, digest: &str) {
        self.0.lock().unwrap().insert(format!("{repository} {key}"), digest.to_owned());
    }

    fn forget(&self, repository: &str, key: &ContentKey) {
        self.0.lock().unwrap().remove(&format!("{repository} {key}"));
    }
}

struct Nobody;

#[async_trait]
impl Logins for Nobody {
    async fn login(&self, registry: &str) -> Result<Option<Login>, ImageError> {
        assert_eq!(registry, "registry.example:5000");
        Ok(None)
    }
}

fn through_registry() -> Sources {
    let address = "registry.example:5000/data".to_owned();
    let registry = Registry { address, ledger: Arc::new(Memory::default()) };
    Sources { logins: Some(Arc::new(Nobody)), registry: Some(registry), ..Sources::default() }
}

#[tokio::test]
async fn what_was_pushed_is_pulled_elsewhere_by_its_digest() {
    let near = Engine::with_debian();
    let sources = through_registry();
    let first = Images::new(near.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    let made = near.made();
    let pushes: Vec<&String> = made.iter().filter(|call| call.starts_with("push")).collect();
    assert_eq!(
        pushes,
        ["push registry.example:5000/data/wharf-base/python-r", "push registry.example:5000/data/wharf-run/python-r"]
    );
    // It is there, so it isn't sent again.
    Images::new(near.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    assert!(near.made().is_empty());

    let far = Engine::with_debian();
    let far = Arc::new(Engine { registry: Arc::clone(&near.registry), ..Arc::into_inner(far).unwrap() });
    let there = Images::new(far.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    assert_eq!((there.id, &there.made[0].deed), (first.id, &Deed::Pulled));
    let asked = far.calls.lock().unwrap().clone();
    assert!(asked.len() == 1 && asked[0].contains("wharf-run/python-r@sha256:"), "{asked:?}");
    // Under the tag by which the next host finds it.
    assert!(far.images.lock().unwrap().contains_key(&first.tag));
}

#[tokio::test]
async fn another_hosts_image_is_found_by_its_tag_and_believed_by_its_label() {
    let near = Engine::with_debian();
    Images::new(near.clone(), LAYER).ensure(&plan(), &through_registry(), &silent()).await.unwrap();
    // A host that has never pushed anything.
    let far = Arc::new(Engine { registry: Arc::clone(&near.registry), ..Engine::default() });
    far.images.lock().unwrap().extend(Engine::with_debian().images.lock().unwrap().clone());
    let there = Images::new(far.clone(), LAYER).ensure(&plan(), &through_registry(), &silent()).await.unwrap();
    assert_eq!(there.made[0].deed, Deed::Pulled);
    // Somebody moved the tag.
    for image in near.registry.lock().unwrap().values_mut() {
        image.labels.insert(LABEL_KEY.to_owned(), "0".repeat(64));
    }
    far.images.lock().unwrap().retain(|name, _| name == "debian:12");
    let there = Images::new(far.clone(), LAYER).ensure(&plan(), &through_registry(), &silent()).await.unwrap();
    assert_eq!(there.made.iter().filter(|made| made.deed == Deed::Built).count(), 2);
}

/// Nobody can find out who they are.
struct Broken;

#[async_trait]
impl Logins for Broken {
    async fn login(&self, registry: &str) -> Result<Option<Login>, ImageError> {
        Err(ImageError::NoCredentials { registry: registry.to_owned(), reason: "the keyring is locked".to_owned() })
    }
}

#[tokio::test]
async fn a_registry_that_fails_is_asked_once_and_keeps_nobody_from_an_image() {
    let engine = Engine::with_debian();
    let sources = Sources { logins: Some(Arc::new(Broken)), ..through_registry() };
    let ready = Images::new(engine.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    let failed: Vec<&Made> = ready.made.iter().filter(|made| matches!(made.deed, Deed::NotInRegistry { .. })).collect();
    assert_eq!(failed.len(), 1, "{:?}", ready.made);
    assert!(matches!(&failed[0].deed, Deed::NotInRegistry { reason } if reason.contains("the keyring is locked")));
    assert_eq!(ready.made.iter().filter(|made| made.deed == Deed::Built).count(), 2);
    assert!(engine.images.lock().unwrap().contains_key(&ready.tag));
}

#[tokio::test]
async fn a_registry_that_hides_what_it_lacks_gets_the_image() {
    let engine = Arc::new(Engine { secretive: true, ..Arc::into_inner(Engine::with_debian()).unwrap() });
    let ready = Images::new(engine, LAYER).ensure(&plan(), &through_registry(), &silent()).await.unwrap();
    let pushed = ready.made.iter().filter(|made| matches!(made.deed, Deed::Pushed(_))).count();
    assert_eq!((pushed, ready.made.len()), (2, 4), "{:?}", ready.made);
}

/// Is the same one everywhere.
struct Ana;

#[async_trait]
impl Logins for Ana {
    async fn login(&self, registry: &str) -> Result<Option<Login>, ImageError> {
        let (registry, user) = (registry.to_owned(), "ana".to_owned());
        Ok(Some(Login { registry, user, secret: wharf_model::SecretValue::new("x") }))
    }
}

#[tokio::test]
async fn what_an_image_starts_from_is_pulled_by_whom_its_registry_knows() {
    let engine = Arc::new(Engine::default());
    let mut plan = plan();
    plan.spec.origin = Origin::From("private.example/debian:12".to_owned());
    // A configuration without a registry.
    let sources = Sources { logins: Some(Arc::new(Ana)), ..Sources::default() };
    Images::new(engine.clone(), LAYER).ensure(&plan, &sources, &silent()).await.unwrap();
    assert_eq!(engine.made()[0], "pull private.example/debian:12 by ana");
}

#[test]
fn a_generation_that_only_looks_again_has_one_before_it() {
    let mut plan = environment_plan("six\n");
    assert_eq!(plan.before_refresh(), None);
    let environment = plan.environment.as_mut().unwrap();
    environment.refresh = true;
    environment.spec.generation = 3;
    let before = plan.before_refresh().unwrap();
    assert_eq!(before.environment.as_ref().map(|environment| environment.spec.generation), Some(2));
    assert_eq!(before.before_refresh(), None);
}

#[tokio::test]
async fn an_image_that_another_engine_has_is_copied() {
    let near = Engine::with_debian();
    let first = Images::new(near.clone(), LAYER).ensure(&plan(), &Sources::default(), &silent()).await.unwrap();
    let far = Engine::with_debian();
    let others = vec![("unix:///near".to_owned(), Images::new(near.clone(), LAYER))];
    let sources = Sources { others, ..Sources::default() };
    let there = Images::new(far.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    assert_eq!(there.id, first.id);
    assert_eq!(there.made[0].deed, Deed::Copied { from: "unix:///near".to_owned() });
    assert!(far.made().is_empty());
}

#[tokio::test]
async fn what_an_image_starts_from_is_copied_where_it_cannot_be_pulled() {
    for reference in ["debian:12", "debian@sha256:ee"] {
        let mut plan = plan();
        plan.spec.origin = Origin::From(reference.to_owned());
        let near = Engine::with_debian();
        let image = near.images.lock().unwrap()["debian:12"].clone();
        near.images.lock().unwrap().insert(reference.to_owned(), image);
        let near = Images::new(near.clone(), LAYER);
        let keys = near.keys(&plan).await.unwrap().unwrap();
        let far = Arc::new(Engine { offline: true, ..Engine::default() });
        let images = Images::new(far.clone(), LAYER);
        let error = images.ensure(&plan, &Sources::default(), &silent()).await.unwrap_err();
        assert!(matches!(error, ImageError::PullFailed { .. }), "{error}");
        let sources = Sources { others: vec![("unix:///near".to_owned(), near)], ..Sources::default() };
        let there = images.ensure(&plan, &sources, &silent()).await.unwrap();
        // Its digest came along: so what is made of it on one engine is known on the other.
        assert_eq!(there.keys, keys, "{reference}");
        // And it is still known when nothing is remembered.
        assert_eq!(Images::new(far, LAYER).keys(&plan).await.unwrap(), Some(keys), "{reference}");
    }
}

#[test]
fn each_engine_keeps_the_versions_of_its_own_base() {
    let lock = |of: &str, packages: &str| Lock {
        key: ContentKey::of([("test", of.as_bytes())]),
        packages: packages.to_owned(),
    };
    let mut environment = environment_plan("six\n").environment.unwrap();
    environment.locks = vec![lock("near", "six==1.17.0\n"), lock("far", "six==1.16.0\n")];
    assert_eq!(environment.constraints(&lock("near", "").key), "six==1.17.0\n");
    assert_eq!(environment.constraints(&lock("far", "").key), "six==1.16.0\n");
    assert_eq!(environment.constraints(&lock("other", "").key), "");
}

#[tokio::test]
async fn a_build_of_the_same_key_is_bound_to_what_was_locked() {
    let mut plan = environment_plan("six\n");
    let near = Engine::with_debian();
    let built = Images::new(near.clone(), LAYER).ensure(&plan, &Sources::default(), &silent()).await.unwrap();
    assert_eq!(*near.constraints.lock().unwrap(), [""]);
    let lock = Lock { key: built.keys.environment.unwrap(), packages: "six==1.16.0\n".to_owned() };
    plan.environment.as_mut().unwrap().locks = vec![lock];
    let far = Engine::with_debian();
    Images::new(far.clone(), LAYER).ensure(&plan, &Sources::default(), &silent()).await.unwrap();
    assert_eq!(*far.constraints.lock().unwrap(), ["six==1.16.0\n"]);
}

/// Lets nobody push but by the token that it gives.
struct Hook(Result<Option<&'static str>, &'static str>);

#[async_trait]
impl BeforePush for Hook {
    async fn before_push(&self, name: &str) -> Result<Option<Login>, ImageError> {
        let (registry, _) = name.split_once('/').unwrap();
        let registry = registry.to_owned();
        match self.0 {
            Ok(user) => Ok(user.map(|user| Login {
                registry,
                user: user.to_owned(),
                secret: wharf_model::SecretValue::new("x"),
            })),
            Err(reason) => {
                Err(ImageError::HookFailed { component: "cloud".to_owned(), registry, reason: reason.to_owned() })
            }
        }
    }
}

#[tokio::test]
async fn a_push_is_prepared_first_and_fails_with_the_hooks_words() {
    let before = |hook| Sources { before_push: Some(Arc::new(Hook(hook))), ..through_registry() };
    let pushed_by = |engine: &Engine| {
        let calls = engine.calls.lock().unwrap();
        calls
            .iter()
            .filter(|call| call.starts_with("push "))
            .map(|call| call.split(" by ").nth(1).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let engine = Engine::with_debian();
    Images::new(engine.clone(), LAYER).ensure(&plan(), &before(Ok(Some("hook"))), &silent()).await.unwrap();
    assert_eq!(pushed_by(&engine), [Some("hook".to_owned()), Some("hook".to_owned())]);
    // One that has nothing to say leaves it to the logins.
    let engine = Engine::with_debian();
    Images::new(engine.clone(), LAYER).ensure(&plan(), &before(Ok(None)), &silent()).await.unwrap();
    assert_eq!(pushed_by(&engine), [None, None]);
    let engine = Engine::with_debian();
    let ready = Images::new(engine.clone(), LAYER).ensure(&plan(), &before(Err("no quota")), &silent()).await.unwrap();
    assert!(pushed_by(&engine).is_empty());
    let failed = ready.made.iter().find_map(|made| match &made.deed {
        Deed::NotInRegistry { reason } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(failed.as_deref(), Some("the registry hook cloud stops the push to registry.example:5000: no quota"));
}

#[tokio::test]
async fn a_pull_that_is_refused_takes_the_hooks_login() {
    let near = Engine::with_debian();
    let sources = through_registry();
    Images::new(near.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    for (hook, first, pulls) in [
        (Ok(Some("hook")), Deed::Pulled, vec!["", " by hook"]),
        (Ok(None), Deed::Built, vec![""]),
        (Err("no quota"), Deed::Built, vec![""]),
    ] {
        let far = Arc::into_inner(Engine::with_debian()).unwrap();
        let far = Arc::new(Engine { registry: Arc::clone(&near.registry), lets_in: Some("hook"), ..far });
        let hooked = Sources { before_push: Some(Arc::new(Hook(hook))), ..sources.clone() };
        let ready = Images::new(far.clone(), LAYER).ensure(&plan(), &hooked, &silent()).await.unwrap();
        assert!(ready.made.iter().any(|made| made.deed == first), "{hook:?}: {:?}", ready.made);
        let calls = far.calls.lock().unwrap();
        let run = calls.iter().filter(|call| call.starts_with("pull ") && call.contains("/wharf-run/"));
        let by: Vec<&str> =
            run.map(|call| call.find(" by ").map_or("", |at| call[at..].trim_end_matches(':'))).collect();
        assert_eq!(by, pulls, "{hook:?}: {calls:?}");
    }
}

/// Somebody else's push of the same image ends while this one is on its way to begin.
#[derive(Default)]
struct Meanwhile(Mutex<HashMap<String, usize>>);

impl Ledger for Meanwhile {
    fn digest(&self, repository: &str, _: &ContentKey) -> Option<String> {
        let mut asked = self.0.lock().unwrap();
        let times = asked.entry(repository.to_owned()).or_default();
        *times += 1;
        // Before the pull, before the push, and when it begins.
        (*times > 2).then(|| "sha256:theirs".to_owned())
    }

    fn remember(&self, repository: &str, _: &ContentKey, _: &str) {
        panic!("{repository} was sent again");
    }

    fn forget(&self, _: &str, _: &ContentKey) {}
}

#[tokio::test]
async fn what_was_sent_meanwhile_is_not_sent_again() {
    let engine = Engine::with_debian();
    let ledger = Arc::new(Meanwhile::default());
    let registry = Registry { address: "registry.example:5000/data".to_owned(), ledger: ledger.clone() };
    let sources = Sources { registry: Some(registry), ..through_registry() };
    let ready = Images::new(engine.clone(), LAYER).ensure(&plan(), &sources, &silent()).await.unwrap();
    assert!(ready.made.iter().all(|made| made.deed == Deed::Built), "{:?}", ready.made);
    let made = engine.made();
    assert!(!made.iter().any(|call| call.starts_with("push")), "{made:?}");
    assert_eq!(ledger.0.lock().unwrap()["registry.example:5000/data/wharf-base/python-r"], 3);
}

#[test]
fn any_name_gives_a_tag() {
    for (name, expected) in [
        ("python-r", "python-r"),
        ("Data Science!", "data-science"),
        ("a__b..c", "a_b.c"),
        ("-", "image"),
        ("é", "image"),
    ] {
        assert_eq!(repository(name), expected);
    }
}

#[test]
fn a_digest_is_the_asked_registrys() {
    let image = |digests: &[&str]| LocalImage {
        id: "sha256:id".to_owned(),
        digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
        ..LocalImage::default()
    };
    let two = image(&["localhost:5000/debian@sha256:1", "debian@sha256:2"]);
    assert_eq!(digest("docker.io/library/debian:12", &two), "sha256:2");
    assert_eq!(digest("localhost:5000/debian", &two), "sha256:1");
    assert_eq!(digest("other", &two), "sha256:2");
    assert_eq!(digest("debian", &image(&[])), "sha256:id");
}
