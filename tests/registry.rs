//! A container registry, as Debian packages it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A registry that doesn't answer after this time doesn't come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The one who is let in by [`Registry::with_login`].
pub const REGISTRY_USER: &str = "wharf";
/// That one's password.
pub const REGISTRY_PASSWORD: &str = "secret";
/// The password, as the registry keeps it.
const HASH: &str = "$2b$12$flfYxgK./exPdqUh9zBxQeQX7DnNk5qzN5W1.NC1WH9fZNKLyXKHi";

/// A registry of one test. It goes with this, and so do its images.
pub struct Registry {
    folder: TempDir,
    port: u16,
    process: Mutex<Option<Child>>,
}

impl Registry {
    /// One that lets everybody in.
    ///
    /// # Panics
    /// It doesn't come up: it needs the program `docker-registry`.
    #[must_use]
    pub fn start() -> Self {
        Self::new("")
    }

    /// One that deletes nothing: how it is when nobody has allowed that.
    ///
    /// # Panics
    /// It doesn't come up.
    #[must_use]
    pub fn without_delete() -> Self {
        Self::configured("", false)
    }

    /// One that lets in only [`REGISTRY_USER`].
    ///
    /// # Panics
    /// It doesn't come up.
    #[must_use]
    pub fn with_login() -> Self {
        Self::new("auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/htpasswd\n")
    }

    fn new(more: &str) -> Self {
        Self::configured(more, true)
    }

    fn configured(more: &str, deletes: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("there is a free port").port();
        let at = folder.path().display().to_string();
        let settings = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {at}/data\n  delete:\n    enabled: {deletes}\n\
             http:\n  addr: :{port}\n{}",
            more.replace("FOLDER", &at)
        );
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
        write("config.yml", &settings);
        write("htpasswd", &format!("{REGISTRY_USER}:{HASH}\n"));
        let registry = Self { folder, port, process: Mutex::default() };
        registry.start_again();
        registry
    }

    /// `127.0.0.1:PORT`: an address that Docker daemons of this machine use without TLS.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port, at all addresses of this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it. Its images stay.
    pub fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again after [`stop`](Self::stop), at the same port.
    ///
    /// # Panics
    /// It doesn't come up.
    pub fn start_again(&self) {
        let log = self.folder.path().join("log");
        let output = fs::File::create(&log).expect("a log can be made");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry can't be started: {error}"));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "no registry: {}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Loses all that it has, as one whose disk was replaced.
    ///
    /// # Panics
    /// It doesn't come up again.
    pub fn lose_everything(&self) {
        self.stop();
        fs::remove_dir_all(self.folder.path().join("data")).expect("it can be removed");
        self.start_again();
    }

    /// Whether it has the manifest with this digest (`sha256:...`) in a repository.
    #[must_use]
    pub fn has(&self, repository: &str, digest: &str) -> bool {
        let revisions = format!("data/docker/registry/v2/repositories/{repository}/_manifests/revisions");
        self.folder.path().join(revisions).join(digest.replace(':', "/")).join("link").is_file()
    }

    /// The repositories that have a tag: `data/wharf-run/python-r`.
    #[must_use]
    pub fn repositories(&self) -> Vec<String> {
        let root = self.folder.path().join("data/docker/registry/v2/repositories");
        let mut found = Vec::new();
        collect(&root, "", &mut found);
        found.sort();
        found
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn collect(folder: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
    if folder.join("_manifests/tags").is_dir() {
        found.push(prefix.to_owned());
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('_') {
            let below = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            collect(&folder.join(name), &below, found);
        }
    }
}
