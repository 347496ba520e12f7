//! Images: builds that work, that fail, that are found again.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::StreamExt as _;
use wharf_images::{ImageEngine, ImageError, ImagePlan, Images, Progress, RunnerLayer, Sources};
use wharf_model::image::{ContextFile, ImageRecipe, ImageSpec, Mirrors, Origin, Step};
use wharf_model::launch::Backend;

use crate::fixture::{Fixture, silent};

const LAYER: RunnerLayer = RunnerLayer {
    runner: |_| Some(b"#!/bin/sh\necho the runner: $(id -u) in $(pwd)\n"),
    in_container: &[("python/dataiku/__init__.py", b"# a library\n"), ("r/dataiku.R", b"# another\n")],
};

fn plan(fixture: &Fixture, name: &str, steps: Vec<Step>) -> ImagePlan {
    ImagePlan {
        spec: ImageSpec {
            name: format!("{}-{name}", fixture.host),
            origin: Origin::From(fixture.image.clone()),
            languages: vec![],
            cuda: None,
            system_packages: vec![],
            pre_install: None,
            post_install: None,
            files: vec![],
            mirrors: Mirrors::default(),
            extra_ca: vec![],
            labels: Default::default(),
            made_by: "image-test".to_owned(),
        },
        recipe: ImageRecipe {
            steps,
            files: vec![ContextFile { name: "odd *name?".to_owned(), contents: b"contents\n".to_vec() }],
            bootstrap_packages: vec![],
        },
        made_by: "image-test@12ab".to_owned(),
        environment: None,
        folders: None,
    }
}

fn run(title: &str, script: &str) -> Step {
    Step::Run { title: title.to_owned(), script: script.to_owned() }
}

#[tokio::test]
#[ignore = "needs docker (builds images)"]
async fn a_built_image_is_what_its_steps_say_and_is_found_again() {
    let mut fixture = Fixture::new("built").await;
    let steps = vec![
        Step::Env { key: "ODD".to_owned(), value: "a \"b\" $HOME \\ 'c'".to_owned() },
        Step::Label { key: "org.example.team".to_owned(), value: "it's $5".to_owned() },
        Step::Copy { source: "odd *name?".to_owned(), target: "/srv/a $b/it's".to_owned(), mode: 0o640 },
        Step::Workdir { path: "/srv/here".to_owned() },
        run("write down", "echo \"$ODD\" > odd\nif false; then\n  exit 1\nfi\n"),
    ];
    let plan = plan(&fixture, "image", steps);
    let images = Images::new(fixture.backend.clone(), LAYER);
    let begun = Instant::now();
    let ready = images.ensure(&plan, &Sources::default(), &silent()).await.unwrap();
    println!("base image and run image: {:?}", begun.elapsed());
    fixture.removes(format!("wharf-base/{}:{}", plan.spec.name, ready.keys.base.short()));
    fixture.removes(ready.tag.clone());
    assert!(ready.built && ready.id.starts_with("sha256:"), "{ready:?}");

    let image = ImageEngine::find(&*fixture.backend, &ready.tag).await.unwrap().unwrap();
    assert_eq!(image.id, ready.id);
    for (key, value) in [
        ("wharf.image.key", ready.key.as_str()),
        ("wharf.image.name", &plan.spec.name),
        ("wharf.image.made-by", "image-test@12ab"),
        ("org.example.team", "it's $5"),
    ] {
        assert_eq!(image.labels.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(images.list().await.unwrap().iter().any(|listed| listed.id == ready.id));

    // Another host at the same daemon makes nothing.
    let again =
        Images::new(fixture.backend.clone(), LAYER).ensure(&plan, &Sources::default(), &silent()).await.unwrap();
    assert_eq!((again.id.as_str(), again.built), (ready.id.as_str(), false));

    let mut spec = fixture.script(
        "look",
        "cat /srv/here/odd '/srv/a $b/it'\"'\"'s' 2>&1; id -u; \
         stat -c '%a %n' '/srv/a $b/it'\"'\"'s' /wharf/work /opt/wharf/bin/wharf-runner /opt/wharf/r/dataiku.R /opt /opt/wharf; \
         touch /wharf/work/x && /opt/wharf/bin/wharf-runner",
    );
    spec.image = ready.id.clone();
    spec.security.user = "0:1000".to_owned();
    spec.security.add_capabilities = vec!["DAC_OVERRIDE".to_owned()];
    let launched = fixture.backend.launch(&spec, &()).await.unwrap();
    fixture.backend.wait(&launched.id, &()).await.unwrap();
    let log = String::from_utf8(fixture.backend.log_tail(&launched.id, 10_000).await.unwrap()).unwrap();
    let expected = "a \"b\" $HOME \\ 'c'\ncontents\n0\n640 /srv/a $b/it's\n1777 /wharf/work\n755 /opt/wharf/bin/wharf-runner\n\
                    644 /opt/wharf/r/dataiku.R\n755 /opt\n755 /opt/wharf\nthe runner: 0 in /wharf/work\n";
    assert_eq!(log, expected);
    Backend::remove(&*fixture.backend, &launched.id).await.unwrap();
}

#[tokio::test]
#[ignore = "needs docker (builds images)"]
async fn a_failed_build_says_where_and_why() {
    let fixture = Fixture::new("failed").await;
    let steps = vec![
        run("go well", "echo fine"),
        run("install R", "echo reading lists\necho 'E: Unable to locate package r-bas' >&2\nexit 100"),
        run("never", "echo never"),
    ];
    let plan = plan(&fixture, "image", steps);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let progress: Progress = Arc::new(move |text| sink.lock().unwrap().push(text));
    let images = Images::new(fixture.backend.clone(), LAYER);
    let error = images.ensure(&plan, &Sources::default(), &progress).await.unwrap_err();
    let text = error.to_string();
    let start = format!("building the base image {} failed at step 4 of 6 (install R):\n", plan.spec.name);
    assert!(text.starts_with(&start), "{text}");
    // The builder doesn't keep the order of the two streams.
    let mut lines: Vec<&str> = text[start.len()..].lines().collect();
    lines[..2].sort_unstable();
    let end = "the command ended with the exit code 100";
    assert_eq!(lines, ["E: Unable to locate package r-bas", "reading lists", end]);
    let heard = heard.lock().unwrap().join("\n");
    assert!(heard.contains("step 3 of 6 (go well)\n  fine\nstep 4 of 6 (install R)\n"), "{heard}");
    assert_eq!(images.ready(&plan).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs docker (asks the daemon)"]
async fn an_image_that_cannot_be_pulled_says_what_else_to_do() {
    let fixture = Fixture::new("pull").await;
    let mut plan = plan(&fixture, "image", vec![]);
    // A port that nothing listens on.
    plan.spec.origin = Origin::From("127.0.0.1:1/none".to_owned());
    let error =
        Images::new(fixture.backend.clone(), LAYER).ensure(&plan, &Sources::default(), &silent()).await.unwrap_err();
    assert!(matches!(error, ImageError::PullFailed { .. }), "{error}");
    assert!(error.to_string().contains("docker load"), "{error}");
}

#[tokio::test]
#[ignore = "needs docker and mmdebstrap (makes a Debian system: a minute or more)"]
async fn a_bootstrap_makes_an_image_with_python() {
    let mut fixture = Fixture::new("bootstrap").await;
    let mut plan = plan(&fixture, "python", vec![Step::Env { key: "LANG".to_owned(), value: "C.UTF-8".to_owned() }]);
    plan.spec.origin =
        Origin::Bootstrap { suite: "bookworm".to_owned(), mirror: "http://deb.debian.org/debian".to_owned() };
    plan.recipe.bootstrap_packages = vec!["python3".to_owned(), "python3-pandas".to_owned()];
    let progress: Progress = Arc::new(|text| println!("{text}"));
    let images = Images::new(fixture.backend.clone(), LAYER);
    let before = fixture.backend.list("wharf.image.key").await.unwrap();
    let begun = Instant::now();
    let ready = images.ensure(&plan, &Sources::default(), &progress).await.unwrap();
    for made in fixture.backend.list("wharf.image.key").await.unwrap() {
        // The bootstrapped image too, unless it was there.
        if !before.contains(&made) {
            made.tags.iter().for_each(|tag| fixture.removes(tag));
        }
    }
    let image = ImageEngine::find(&*fixture.backend, &ready.tag).await.unwrap().unwrap();
    println!("bootstrap, base image and run image: {:?}, {} MB", begun.elapsed(), image.size / 1_000_000);

    // Another runner: what an upgrade of the host costs.
    let begun = Instant::now();
    let newer = RunnerLayer { runner: |_| Some(b"#!/bin/sh\necho newer\n"), ..LAYER };
    let upgraded =
        Images::new(fixture.backend.clone(), newer).ensure(&plan, &Sources::default(), &progress).await.unwrap();
    println!("a newer runner's layer: {:?}", begun.elapsed());
    fixture.removes(upgraded.tag.clone());
    assert_eq!(upgraded.keys.base, ready.keys.base);

    let begun = Instant::now();
    assert!(
        !Images::new(fixture.backend.clone(), LAYER).ensure(&plan, &Sources::default(), &silent()).await.unwrap().built
    );
    println!("found again: {:?}", begun.elapsed());

    let mut spec = fixture.script("look", "python3 -c 'import pandas; print(pandas.__version__)'; ls /usr/share/man");
    spec.image = ready.id.clone();
    let launched = fixture.backend.launch(&spec, &()).await.unwrap();
    let end = fixture.backend.wait(&launched.id, &()).await.unwrap();
    let log = String::from_utf8(fixture.backend.log_tail(&launched.id, 10_000).await.unwrap()).unwrap();
    assert!(log.starts_with("1.5.3\n"), "{end:?}: {log}");
    Backend::remove(&*fixture.backend, &launched.id).await.unwrap();
}

#[tokio::test]
#[ignore = "needs docker (makes images)"]
async fn an_image_is_saved_and_loaded_under_its_tag() {
    let mut fixture = Fixture::new("carried").await;
    let backend = fixture.backend.clone();
    let name = format!("wharf-test/carried-again:{}", std::process::id());
    let find = async |name: &str| ImageEngine::find(backend.as_ref(), name).await;
    backend.tag(&fixture.image, &name).await.unwrap();
    fixture.removes(name.clone());
    let saved: Vec<_> = backend.save(&name).await.unwrap().collect().await;
    let size: usize = saved.iter().map(|piece| piece.as_ref().unwrap().len()).sum();
    println!("{size} bytes in {} pieces", saved.len());
    let found = find(&name).await.unwrap().unwrap();
    assert!(found.created > 1_600_000_000, "{found:?}");
    ImageEngine::remove(backend.as_ref(), &name).await.unwrap();
    assert_eq!(find(&name).await.unwrap(), None);
    backend.load(Box::pin(futures_util::stream::iter(saved)), &silent()).await.unwrap();
    assert_eq!(find(&name).await.unwrap().unwrap().id, found.id);
    // What isn't there can't be saved, and what isn't whole can't be loaded.
    let error = backend.save("wharf-test/none:1").await.err().unwrap().to_string();
    assert!(error.contains("wharf-test/none"), "{error}");
    let broken = futures_util::stream::iter([Err(std::io::Error::other("the other engine went away"))]);
    let error = backend.load(Box::pin(broken), &silent()).await.unwrap_err().to_string();
    println!("{error}");
}

#[tokio::test]
#[ignore = "needs docker (makes a container that is never started)"]
async fn a_file_of_an_image_is_read_without_running_it() {
    let fixture = Fixture::new("looked").await;
    let file = async |path: &str, limit| fixture.backend.file(&fixture.image, path, limit).await;
    let busybox = std::fs::read("/bin/busybox").unwrap();
    assert!(file("/bin/busybox", 16 << 20).await.unwrap() == Some(busybox));
    assert_eq!(file("/opt/none", 10).await.unwrap(), None);
    assert!(file("/bin/busybox", 1000).await.unwrap_err().to_string().contains("more than 1000 bytes"));
    assert!(file("/bin", 16 << 20).await.unwrap_err().to_string().contains("isn't a regular file"));
    assert_eq!(fixture.backend.file("wharf-test/none:1", "/x", 10).await.unwrap(), None);
    // Nobody waits for this one any more.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(5), file("/bin/busybox", 16 << 20)).await;
    for _ in 0..100 {
        if looks().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("containers are left: {}", looks());
}

/// The containers through which images are looked into.
fn looks() -> String {
    let args = ["ps", "-aq", "--filter", "label=wharf.look"];
    let output = std::process::Command::new("docker").env("DOCKER_HOST", crate::fixture::address()).args(args).output();
    String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
}
