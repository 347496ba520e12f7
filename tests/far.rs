//! A Docker daemon on another machine, and every way to it.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::daemon::Daemon;
use crate::home::Home;
use crate::machine::Machine;

/// A daemon that doesn't answer after this time doesn't come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the far daemon listens with TLS, and without.
const TLS_PORT: u16 = 2376;
const PLAIN_PORT: u16 = 2375;
const SSH_PORT: u16 = 2222;
/// The far machine's firewall: nothing that a container sends leaves it.
const NO_WAY_BACK: &str = "DOCKER-USER -o eth0 -j DROP";

/// How the far daemon is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Its port wants TLS with a client's certificate; else it has a port for everybody.
    pub tls: bool,
    /// Containers go on while it is away.
    pub live_restore: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { tls: true, live_restore: false }
    }
}

/// A Docker daemon on another machine: its own network, its own disk, no file in common with this one's. It has the image that
/// the tests' runs use.
pub struct Far {
    machine: Machine,
    daemon: Daemon,
    certificates: Certificates,
    /// What an ssh client needs.
    ssh: TempDir,
    /// The name of its part of the kernel's tree of control groups.
    cgroup: String,
    setup: Mutex<Setup>,
}

/// The far daemon for one test alone, which may stop it or change it. It is as usual again when this is dropped.
pub struct Alone(RwLockWriteGuard<'static, Far>);

impl Deref for Alone {
    type Target = Far;

    fn deref(&self) -> &Far {
        &self.0
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // A panic in a test that has failed already would hide why.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.as_usual()));
    }
}

impl Far {
    /// The far daemon, beside other tests.
    ///
    /// # Panics
    /// There can be none: that needs root, `dockerd`, `sshd`, `ip` and `iptables`.
    pub fn shared() -> RwLockReadGuard<'static, Self> {
        Self::only().read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The far daemon, when no other test uses it.
    ///
    /// # Panics
    /// There can be none, or it can't be set up like this.
    #[must_use]
    pub fn alone(setup: Setup) -> Alone {
        let far = Alone(Self::only().write().unwrap_or_else(PoisonError::into_inner));
        far.restart(setup);
        far
    }

    /// One for a test process: its image is large.
    fn only() -> &'static RwLock<Self> {
        static FAR: OnceLock<RwLock<Far>> = OnceLock::new();
        FAR.get_or_init(|| RwLock::new(Self::start()))
    }

    fn start() -> Self {
        let images = Home::portable_images();
        let begun = Instant::now();
        let (number, machine) = (0..8)
            .find_map(|number| Some((number, Machine::start("far", &cache().join(number.to_string()))?)))
            .expect("other test processes have all the disks of far machines");
        let root = machine.root();
        let certificates = Certificates::new(machine.address().into());
        certificates.write_server(&root.join("run/certs"));
        let daemon = Daemon::at(root.join("run/docker.sock"));
        let ssh = tempfile::tempdir().expect("a temporary folder can be made");
        let cgroup = format!("wharf-far-{number}");
        let far = Self { machine, daemon, certificates, ssh, cgroup, setup: Mutex::default() };
        remove_cgroups(&far.cgroup);
        far.start_sshd();
        far.launch();
        // What a machine that was switched off left on its disk.
        for container in far.daemon.must("GET", "/containers/json?all=1", None).as_array().into_iter().flatten() {
            far.daemon.remove(container["Id"].as_str().unwrap_or_default());
        }
        far.fetch(&images, &Daemon::local());
        let driver = far.daemon.must("GET", "/info", None)["Driver"].to_string();
        #[expect(clippy::print_stderr, reason = "how long it takes, and with which driver, differs by machine")]
        {
            eprintln!("the far daemon is up after {:?}; its storage driver is {driver}", begun.elapsed());
        }
        far
    }

    /// Gets images out of the near daemon, unless they are there; all others go.
    fn fetch(&self, tags: &[String], near: &Daemon) {
        let id = |daemon: &Daemon, tag: &str| {
            let (status, image) = daemon.ask("GET", &format!("/images/{tag}/json"), None);
            let image: Value = serde_json::from_slice(&image).unwrap_or_default();
            if status == 200 { image["Id"].as_str().map(str::to_owned) } else { None }
        };
        if tags.iter().all(|tag| id(&self.daemon, tag) == id(near, tag)) {
            return;
        }
        let _ = self.daemon.must("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D", None);
        near.copy_images(tags, &self.daemon);
    }

    /// The daemon, for a look at what is there.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// The machine that it is on.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its port, with TLS or without, as it is set up now.
    #[must_use]
    pub fn port(&self) -> u16 {
        if self.setup().tls { TLS_PORT } else { PLAIN_PORT }
    }

    /// `tcp://...`.
    #[must_use]
    pub fn tcp_address(&self) -> String {
        format!("tcp://{}:{}", self.machine.address(), self.port())
    }

    /// The certificates that its port takes.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Its address by ssh, for a client that reads [`ssh_config`](Self::ssh_config).
    #[must_use]
    pub fn ssh_address(&self) -> String {
        "ssh://far".to_owned()
    }

    /// A configuration file for `ssh`, in which the machine is called `far`.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.ssh.path().join("config")
    }

    /// Like [`ssh_config`](Self::ssh_config), with a key that the machine doesn't let in.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn strangers_ssh_config(&self) -> PathBuf {
        self.changed_ssh_config("stranger", |config| config.replace("/client", "/stranger"))
    }

    /// Like [`ssh_config`](Self::ssh_config), for one who knows the machine by another host key.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn mistaken_ssh_config(&self) -> PathBuf {
        let known = fs::read_to_string(self.ssh.path().join("known_hosts")).unwrap_or_default();
        let [_, own] = self.key("stranger");
        let name = known.split(' ').next().unwrap_or_default();
        write(&self.ssh.path().join("known_others"), &format!("{name} {own}"));
        self.changed_ssh_config("mistaken", |config| config.replace("/known_hosts", "/known_others"))
    }

    fn changed_ssh_config(&self, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
        self.key("stranger");
        let path = self.ssh.path().join(name).with_extension("config");
        write(&path, &change(&fs::read_to_string(self.ssh_config()).unwrap_or_default()));
        path
    }

    /// Starts the daemon anew, unless it is set up like this already.
    ///
    /// # Panics
    /// It doesn't come up.
    pub fn restart(&self, setup: Setup) {
        if self.setup() == setup && self.daemon.answers() {
            return;
        }
        if self.daemon.answers() {
            self.stop();
        }
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = setup;
        self.launch();
    }

    /// Ends the daemon as an administrator does.
    ///
    /// # Panics
    /// It doesn't end.
    pub fn stop(&self) {
        self.end("TERM");
    }

    /// Kills the daemon.
    ///
    /// # Panics
    /// It doesn't end.
    pub fn kill(&self) {
        self.end("KILL");
    }

    fn end(&self, signal: &str) {
        self.machine.run(&format!(
            "pid=$(cat /run/docker.pid); kill -{signal} $pid
             for _ in $(seq 600); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done
             tail -n 20 /run/dockerd.log; exit 1"
        ));
    }

    /// Starts the daemon again after [`stop`](Self::stop) or [`kill`](Self::kill).
    ///
    /// # Panics
    /// It doesn't come up.
    pub fn launch(&self) {
        let Setup { tls, live_restore } = self.setup();
        let port = if tls {
            format!(
                "-H tcp://0.0.0.0:{TLS_PORT} --tlsverify --tlscacert /run/certs/ca.pem \
                 --tlscert /run/certs/server-cert.pem --tlskey /run/certs/server-key.pem"
            )
        } else {
            format!("-H tcp://0.0.0.0:{PLAIN_PORT} --tls=false")
        };
        // Registries of tests, which have no certificates.
        let registries = format!("{}/32", self.machine.near_address());
        let configuration = json!({ "live-restore": live_restore, "insecure-registries": [registries] }).to_string();
        write(&self.machine.root().join("run/daemon.json"), &configuration);
        self.machine.run(&format!(
            "setsid dockerd --config-file /run/daemon.json --cgroup-parent /{} -H unix:///run/docker.sock {port} \
             >>/run/dockerd.log 2>&1 </dev/null &",
            self.cgroup
        ));
        let begun = Instant::now();
        while !self.daemon.answers() {
            if begun.elapsed() > PATIENCE {
                panic!("the far daemon doesn't come up: {}", self.machine.run("tail -n 20 /run/dockerd.log"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Keeps containers there from reaching this machine, or lets them.
    ///
    /// # Panics
    /// There is no firewall.
    pub fn forbid_way_back(&self, forbid: bool) {
        if forbid {
            self.machine.run(&format!("iptables -I {NO_WAY_BACK}"));
        } else {
            self.machine.try_run(&format!("while iptables -D {NO_WAY_BACK} 2>/dev/null; do :; done"));
        }
    }

    /// Whether a container there can connect to this port of this machine: what a container with Python says.
    ///
    /// # Panics
    /// It says nothing.
    #[must_use]
    pub fn reaches_us(&self, image: &str, port: u16) -> bool {
        let code = format!(
            "import socket\ntry:\n socket.create_connection(('{}', {port}), 5)\n print('yes')\nexcept OSError as error:\n print('no', error)",
            self.machine.near_address()
        );
        let body = json!({ "Image": image, "Entrypoint": ["python3", "-c", code] });
        let created = self.daemon.must("POST", "/containers/create", Some(&body));
        let id = created["Id"].as_str().unwrap_or_default();
        let _ = self.daemon.must("POST", &format!("/containers/{id}/start"), None);
        let _ = self.daemon.must("POST", &format!("/containers/{id}/wait"), None);
        let (_, log) = self.daemon.ask("GET", &format!("/containers/{id}/logs?stdout=1&stderr=1"), None);
        self.daemon.remove(id);
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(log.contains("yes") || log.contains("no "), "it says {log:?}");
        log.contains("yes")
    }

    fn setup(&self) -> Setup {
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn as_usual(&self) {
        self.forbid_way_back(false);
        self.restart(Setup::default());
    }

    fn start_sshd(&self) {
        let [host_key, host_key_pub] = self.key("host");
        let [_, client_pub] = self.key("client");
        let folder = self.ssh.path().display();
        let known = format!("[{}]:{SSH_PORT} {host_key_pub}", self.machine.address());
        write(&self.ssh.path().join("known_hosts"), &known);
        let config = format!(
            "Host far\n  HostName {}\n  Port {SSH_PORT}\n  User root\n  IdentityFile {folder}/client\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n",
            self.machine.address()
        );
        write(&self.ssh_config(), &config);
        let there = self.machine.root().join("run/ssh");
        write(&there.join("host_key"), &host_key);
        write(&there.join("authorized_keys"), &client_pub);
        let config = format!(
            "Port {SSH_PORT}\nHostKey /run/ssh/host_key\nAuthorizedKeysFile /run/ssh/authorized_keys\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             UseDNS no\nMaxStartups 200\nMaxSessions 200\n"
        );
        write(&there.join("sshd_config"), &config);
        // An account whose password is locked is let in by no key.
        self.machine.run(
            "mkdir -p /run/sshd; chmod 700 /run/ssh; chmod 600 /run/ssh/*
             sed 's/^root:[^:]*:/root:*:/' /etc/shadow >/run/shadow; mount --bind /run/shadow /etc/shadow
             /usr/sbin/sshd -f /run/ssh/sshd_config -E /run/sshd.log",
        );
    }

    /// The private and the public part of a key, made when it isn't there.
    fn key(&self, name: &str) -> [String; 2] {
        let path = self.ssh.path().join(name);
        if !path.exists() {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).output();
            let made = made.unwrap_or_else(|error| panic!("ssh-keygen can't be started: {error}"));
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        [path.clone(), path.with_extension("pub")].map(|path| fs::read_to_string(path).expect("ssh-keygen wrote it"))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.machine.try_run("kill -9 -1");
        remove_cgroups(&self.cgroup);
    }
}

/// The folder of the far machines' disks. Without it, the image is copied once more.
fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("WHARF_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("wharf")))
        .or_else(|| Some(variable("HOME")?.join(".cache/wharf")));
    cache.unwrap_or_else(|| std::env::temp_dir().join("wharf")).join("far")
}

/// Removes what containers of an earlier machine left in the kernel's tree of control groups: of both versions.
fn remove_cgroups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        let top = hierarchy.join(name);
        for below in fs::read_dir(&top).into_iter().flatten().flatten() {
            // The kernel refuses to remove one that is in use.
            let _ = fs::remove_dir(below.path());
        }
        let _ = fs::remove_dir(top);
    }
}

fn write(path: &Path, text: &str) {
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)?;
        // ssh uses no key that others can read.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    };
    written().unwrap_or_else(|error: std::io::Error| panic!("{} can't be written: {error}", path.display()));
}
