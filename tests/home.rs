//! A home for trying things, as `wharf init --demo` makes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wharf::message::BuildProgress;
use wharf::store::RunSummary;

use crate::call::{Finished, Started};
use crate::cluster::Cluster;
use crate::daemon::{Container, Daemon};
use crate::watch;

/// The user that the tests are, unless they say otherwise.
pub const USER: &str = "ana";
/// The group that the demo's configuration is for.
pub const GROUP: &str = "analysts";

/// What [portable](Home::portable) base images start from, where they don't start from Debian's packages.
const PORTABLE: &str = "wharf-tests/portable:1";

/// A home of its own for one test, with a folder for data beside it. Both go with it, and so do its containers.
pub struct Home {
    dir: TempDir,
    daemon: Daemon,
    opened: AtomicBool,
}

impl Home {
    /// A fresh demo home whose base image is there. The first one of a test process builds it, unless the daemon has it.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn demo() -> Self {
        static BASE: OnceLock<String> = OnceLock::new();
        let home = Self::without_image();
        BASE.get_or_init(|| home.build_base());
        home
    }

    /// Like [`demo`](Self::demo), with images whose keys are the same at a daemon that they were copied to. What a registry
    /// knows of an image isn't copied, so they start from one that no registry knows.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn portable() -> Self {
        let home = Self::without_image();
        home.make_portable();
        home
    }

    /// The tags of all that another daemon needs for the runs of [portable](Self::portable) homes: first what they use, then
    /// what that starts from, if it is an image.
    ///
    /// # Panics
    /// They can't be made.
    #[must_use]
    pub fn portable_images() -> Vec<String> {
        let run = Self::without_image().make_portable();
        [Some(run), from().map(|_| PORTABLE.to_owned())].into_iter().flatten().collect()
    }

    fn make_portable(&self) -> String {
        static BASE: OnceLock<String> = OnceLock::new();
        if let Some(from) = from() {
            self.replace("base-images/python-r.toml", &format!("from = \"{from}\""), &format!("from = \"{PORTABLE}\""));
        }
        let make = || {
            if let Some(from) = from() {
                self.daemon.commit_image(&from, PORTABLE);
            }
            self.build_base()
        };
        BASE.get_or_init(make).clone()
    }

    /// Builds the base image, unless the daemon has it. Returns the tag of what its runs use.
    fn build_base(&self) -> String {
        let built = self.call(["--json", "base", "build", "python-r"]).exits(0);
        let lines = built.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
        let image = lines.into_iter().find_map(|line| match line {
            BuildProgress::Image(image) => image.image,
            _ => None,
        });
        image.unwrap_or_else(|| panic!("no image\n{built}"))
    }

    /// A fresh demo home with a configuration for a cluster, `k8s-local`, whose registry has the base image.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn on_cluster(cluster: &Cluster) -> Self {
        static BASE: OnceLock<String> = OnceLock::new();
        let home = Self::made(&[
            "--kubeconfig",
            &cluster.kubeconfig,
            "--context",
            &cluster.context,
            "--namespace",
            &cluster.namespace,
            "--registry",
            &cluster.registry,
            "--advertise",
            &cluster.advertise,
        ]);
        BASE.get_or_init(|| home.build_base());
        home
    }

    /// A fresh demo home that nothing was built for.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn without_image() -> Self {
        Self::made(&[])
    }

    fn made(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(dir.path().join("data")).expect("a folder can be made in it");
        let home = Self { dir, daemon: Daemon::local(), opened: AtomicBool::new(false) };
        watch::start(&home.daemon);
        let address = home.daemon.address();
        let from = from();
        let source = match &from {
            Some(image) => vec!["--from", image],
            None => vec!["--bootstrap"],
        };
        let _ = home.call([&["init", "--demo", "--docker-host", &address], source.as_slice(), more].concat()).exits(0);
        // Tests of environments count those that they make, and build them all.
        let _ = fs::remove_dir_all(home.path().join("code-envs"));
        home
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The daemon of its configuration.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// A path in the folder for data.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    /// Writes a file into the folder for data.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write_data(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        write(&self.data(name), contents.as_ref());
        self.data(name)
    }

    /// Reads a file of the folder for data.
    ///
    /// # Panics
    /// It isn't there.
    #[must_use]
    pub fn read_data(&self, name: &str) -> String {
        let path = self.data(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{} can't be read: {error}", path.display()))
    }

    /// All files and folders below the folder for data, sorted, folders with `/` behind.
    #[must_use]
    pub fn data_listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.data(""), "", &mut found);
        found.sort();
        found
    }

    /// Writes a file of the home.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        write(&self.path().join(name), contents.as_ref());
    }

    /// Changes a text in a file of the home.
    ///
    /// # Panics
    /// The text isn't in it.
    pub fn replace(&self, name: &str, old: &str, new: &str) {
        let path = self.path().join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert!(text.contains(old), "{} doesn't have {old:?}:\n{text}", path.display());
        write(&path, text.replacen(old, new, 1).as_bytes());
    }

    /// Writes the value of a secret, as an administrator does.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write_secret(&self, name: &str, value: &str) {
        let path = self.path().join("secrets").join(name);
        write(&path, value.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode can be changed");
    }

    /// Puts a component file into `policies/`, whole at once.
    ///
    /// # Panics
    /// It can't be written.
    pub fn drop_policy(&self, name: &str, wasm: &str, toml: &str) {
        self.write(&format!("policies/{name}.toml"), toml);
        let beside = self.path().join(format!("{name}.new"));
        fs::copy(wasm, &beside).unwrap_or_else(|error| panic!("{wasm} can't be copied: {error}"));
        fs::rename(&beside, self.path().join(format!("policies/{name}.wasm"))).expect("it can be renamed");
    }

    /// Calls `wharf` with these arguments and waits for its end.
    pub fn call<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.start(arguments).finish()
    }

    /// Starts `wharf` with these arguments.
    pub fn start<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Started {
        Started::new(self.command(arguments))
    }

    /// `wharf` with these arguments, not started.
    pub fn command<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(binary());
        command.env_remove("WHARF_HOME").env_remove("RUST_LOG").current_dir(self.dir.path());
        command.arg("--home").arg(self.path());
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        command
    }

    /// The arguments that run this Python code as the tests' user, one event a line.
    pub fn python(&self, code: &str, more: &[&str]) -> Vec<String> {
        self.recipe("--python", "recipe.py", code, more)
    }

    /// The arguments that run this R code as the tests' user, one event a line.
    pub fn r(&self, code: &str, more: &[&str]) -> Vec<String> {
        self.recipe("--r", "recipe.R", code, more)
    }

    fn recipe(&self, flag: &str, name: &str, code: &str, more: &[&str]) -> Vec<String> {
        // Read at the call, so one file does for all of a home's runs.
        let file = self.dir.path().join(name);
        write(&file, code.as_bytes());
        let file = file.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = ["--json", "run", flag, &file].map(str::to_owned).into();
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        // Somebody else's test says so.
        if !more.contains(&"--user") {
            arguments.extend(["--user", USER, "--group", GROUP].map(str::to_owned));
        }
        arguments
    }

    /// Runs this Python code.
    #[must_use]
    pub fn run_python(&self, code: &str, more: &[&str]) -> Finished {
        self.call(self.python(code, more))
    }

    /// `NAME=PATH` for a path in the folder for data.
    #[must_use]
    pub fn bind(&self, name: &str, path: &str) -> String {
        format!("{name}={}", self.data(path).display())
    }

    /// The runs in its record, newest first.
    #[must_use]
    pub fn runs(&self) -> Vec<RunSummary> {
        self.call(["--json", "runs"]).exits(0).document()
    }

    /// Its id: the label of its containers. Empty for a home that was never opened.
    #[must_use]
    pub fn id(&self) -> String {
        let id = fs::read_to_string(self.path().join("state/host-id")).unwrap_or_default();
        id.trim().to_owned()
    }

    /// The containers with its label at the daemon of its configuration.
    #[must_use]
    pub fn containers(&self) -> Vec<Container> {
        self.containers_at(&self.daemon)
    }

    /// The containers with its label at this daemon.
    #[must_use]
    pub fn containers_at(&self, daemon: &Daemon) -> Vec<Container> {
        // A home that was never opened has no container.
        let id = self.id();
        if id.is_empty() { Vec::new() } else { daemon.containers("wharf.host", &id) }
    }

    /// The daemon's answers to inspect, of the containers that it had, as they were when they were created. Waits until there
    /// are so many.
    ///
    /// # Panics
    /// There aren't, after a while.
    #[must_use]
    pub fn created(&self, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let created = watch::created(&self.id());
            if created.len() >= count {
                return created;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "only {} of {count} containers", created.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Says that this test is about containers that aren't strict. Those of all others are checked at their end.
    pub fn opens_containers(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }

    /// Checks that no container is left and that the folder for data has these entries and no others.
    ///
    /// # Panics
    /// Something is left, or missing.
    pub fn left_only(&self, data: &[&str]) {
        let containers = self.containers();
        assert!(containers.is_empty(), "containers are left: {containers:?}");
        assert_eq!(self.data_listing(), data, "the folder for data");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A daemon that doesn't answer any more must not hide why the test failed.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for container in self.containers() {
                self.daemon.remove(&container.id);
            }
        }));
        if !std::thread::panicking() && !self.opened.load(Ordering::Relaxed) {
            for container in watch::created(&self.id()) {
                let found = watch::openings(&container);
                assert!(found.is_empty(), "a container wasn't strict: {found:?}; see `Home::opens_containers`");
            }
        }
    }
}

/// Makes a base image trust what this machine trusts: a site's own proxy may stand between.
///
/// # Panics
/// There is no such base image.
pub fn trust(home: &Home, base: &str) {
    let Some(bundle) = std::env::var_os("SSL_CERT_FILE").filter(|bundle| Path::new(bundle).is_file()) else { return };
    let name = format!("base-images/{base}.toml");
    let text = std::fs::read_to_string(home.path().join(&name)).expect("the base image is there");
    home.write(&name, format!("extra_ca = [{:?}]\n{text}", bundle.to_string_lossy()));
}

/// The image that base images start from; none when they are made from Debian's packages.
fn from() -> Option<String> {
    std::env::var("WHARF_TEST_FROM").ok().filter(|image| !image.is_empty())
}

fn write(path: &Path, contents: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{} can't be made: {error}", folder.display()));
    }
    fs::write(path, contents).unwrap_or_else(|error| panic!("{} can't be written: {error}", path.display()));
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

/// The command that was built with these tests: beside the folder of the test's own executable.
///
/// # Panics
/// It isn't there.
#[must_use]
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let binary = own.ancestors().nth(2).unwrap_or(&own).join("wharf");
    assert!(binary.is_file(), "there is no {}: build it first, `cargo build --release`", binary.display());
    binary
}
