//! A tiny image, specifications over it, and the tidying up after a test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use wharf_docker::DockerBackend;
use wharf_images::{ImageEngine, ImportRequest, Progress, TarStream};
use wharf_model::configuration::{Daemon, Security};
use wharf_model::launch::{Backend, LaunchSpec};

/// A static binary with a shell in it.
const BUSYBOX: &str = "/bin/busybox";

/// The label of the images of one test.
const LABEL_TEST: &str = "wharf.test";

/// Where the daemon listens.
pub(crate) fn address() -> String {
    std::env::var("WHARF_TEST_DOCKER").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

/// The path of its socket.
pub(crate) fn socket() -> PathBuf {
    address().strip_prefix("unix://").expect("WHARF_TEST_DOCKER is a unix:// address").into()
}

pub(crate) fn silent() -> Progress {
    Arc::new(|_| {})
}

/// One test's own part of the daemon.
pub(crate) struct Fixture {
    pub(crate) backend: Arc<DockerBackend>,
    pub(crate) host: String,
    pub(crate) image: String,
    tags: Vec<String>,
}

impl Fixture {
    pub(crate) async fn new(name: &str) -> Self {
        let backend = Arc::new(DockerBackend::connect(&Daemon::at(address())).unwrap());
        let host = format!("test-{}-{name}", std::process::id());
        let tag = format!("wharf-test/{name}:{}", std::process::id());
        let request = ImportRequest {
            image: "the test image".to_owned(),
            tag: tag.clone(),
            // A label is handed on to all that is built on an image: by it we find what a failed build leaves.
            changes: vec![
                "ENTRYPOINT [\"/bin/false\"]".to_owned(),
                "ENV PATH=/bin".to_owned(),
                format!("LABEL {LABEL_TEST}={host}"),
            ],
        };
        let image = backend.import(request, root_file_system(), &silent()).await.unwrap();
        Self { backend, host, image, tags: vec![tag] }
    }

    /// An image of this tag is removed at the end of the test.
    pub(crate) fn removes(&mut self, tag: impl Into<String>) {
        self.tags.push(tag.into());
    }

    /// A specification that runs a script as the default user, under the default security.
    pub(crate) fn script(&self, run: &str, script: &str) -> LaunchSpec {
        LaunchSpec {
            host: self.host.clone(),
            run: format!("{}-{run}", self.host),
            attempt: 1,
            image: self.image.clone(),
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::new(),
            secret_env: [("SECRET".to_owned(), "s3cret".to_owned())].into(),
            resources: BTreeMap::new(),
            security: Security::default(),
            labels: BTreeMap::new(),
            runtime: None,
            grace_seconds: 1,
            deadline_seconds: None,
            kubernetes: None,
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A test's runtime can't be blocked on here, so the tidying has one of its own.
        let (host, tags) = (self.host.clone(), std::mem::take(&mut self.tags));
        let tidying = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let backend = DockerBackend::connect(&Daemon::at(address())).unwrap();
                for container in Backend::find(&backend, &host).await.unwrap() {
                    Backend::remove(&backend, &container.id).await.unwrap();
                }
                for tag in tags.iter().rev() {
                    ImageEngine::remove(&backend, tag).await.unwrap();
                }
                let ours = format!("{LABEL_TEST}={host}");
                for left in backend.list(&ours).await.unwrap() {
                    ImageEngine::remove(&backend, &left.id).await.unwrap();
                }
            });
        });
        if tidying.join().is_err() && !std::thread::panicking() {
            panic!("couldn't remove what the test made");
        }
    }
}

fn root_file_system() -> TarStream {
    let busybox = std::fs::read(BUSYBOX).expect("these tests need a static /bin/busybox: install busybox-static");
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind, mode, contents: &[u8], link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(contents.len() as u64);
        match link {
            Some(target) => tar.append_link(&mut header, path, target).unwrap(),
            None => tar.append_data(&mut header, path, contents).unwrap(),
        }
    };
    use tar::EntryType::{Directory, Regular, Symlink};
    for folder in ["bin", "etc", "dev", "proc", "sys"] {
        add(&format!("{folder}/"), Directory, 0o755, &[], None);
    }
    add("tmp/", Directory, 0o1777, &[], None);
    add("bin/busybox", Regular, 0o755, &busybox, None);
    for name in ["sh", "cat", "echo", "false", "grep", "head", "id", "ls", "seq", "sleep", "stat", "tail", "touch"] {
        add(&format!("bin/{name}"), Symlink, 0o777, &[], Some("busybox"));
    }
    let bytes = Bytes::from(tar.into_inner().unwrap());
    Box::pin(futures_util::stream::iter([Ok(bytes)]))
}
