//! What can't be made, and what is said then.

use std::process::Command;

use serde_json::Value;
use wharf_tests::{Daemon, Home, Machine, REGISTRY_PASSWORD, REGISTRY_USER, Registry};

use crate::built::{done, environment, home, images, log, never_before, progress};

/// The error document of a call.
fn fault(home: &Home, arguments: &[&str]) -> (String, String) {
    let call = home.call([&["--json"], arguments].concat());
    assert_ne!(call.code, Some(0), "{call}");
    let last: Value = call.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let text = |key: &str| last["fault"][key].as_str().unwrap_or_default().to_owned();
    println!("{}: {}", text("code"), text("message"));
    (text("code"), text("message"))
}

#[test]
#[ignore = "needs docker"]
fn a_slip_in_a_fragment_is_named_with_its_line() {
    let home = Home::demo();
    let text = std::fs::read_to_string(home.path().join("base-images/python-r.toml")).unwrap();
    let fragment = "post_install = '''\nRUN true\nRNU false\n'''\n";
    home.write("base-images/python-r.toml", format!("{fragment}{text}"));
    let call = home.call(["--json", "base", "build", "python-r"]);
    assert!(call.stdout.contains("RNU") && call.stdout.contains("\"line\":3"), "{call}");
    // One that only the build finds.
    home.write("base-images/python-r.toml", format!("{}{text}", fragment.replace("RNU", "RUN")));
    let (code, message) = fault(&home, &["base", "build", "python-r"]);
    assert_eq!(code, "image-build-failed");
    assert!(message.contains("base-images/python-r.toml:3"), "{message}");
}

#[test]
#[ignore = "needs docker (runs containers) and docker-registry"]
fn a_registry_that_is_down_keeps_no_run_from_beginning() {
    let home = home();
    environment(&home, "down", &format!("six==1.16.0\n{}", never_before()));
    let registry = Registry::start();
    home.replace(
        "configs/docker-local.toml",
        "base_image",
        &format!("registry = {:?}\nbase_image", registry.address()),
    );
    registry.stop();
    let run = home.run_python("print('ran')", &["--code-env", "down"]).exits(0);
    assert_eq!(log(&run), ["ran"]);
    let told = progress(&run.events());
    assert!(told.iter().any(|text| text.contains("isn't in its registry: ")), "{told:?}");
    let (code, message) = fault(&home, &["env", "build", "down"]);
    assert_eq!(code, "registry-unusable");
    assert!(message.contains("connection refused"), "{message}");
    // It is sent when the registry is there again, and nothing is built.
    registry.start_again();
    let [built] = images(&home.call(["--json", "env", "build", "down"]).exits(0)).try_into().unwrap();
    assert!(!built.built && done(&built).iter().all(|what| *what == "pushed"), "{built:?}");
}

#[test]
#[ignore = "needs docker (builds images) and docker-registry"]
fn a_registry_that_lets_nobody_in_is_told_who_asked() {
    let home = home();
    environment(&home, "closed", &format!("six==1.16.0\n{}", never_before()));
    let registry = Registry::with_login();
    let address = registry.address();
    home.replace("configs/docker-local.toml", "base_image", &format!("registry = {address:?}\nbase_image"));
    let login = |user: &str, password: &str| {
        let login = serde_json::json!({ "auths": { &address: { "username": user, "password": password } } });
        home.write("registries.json", login.to_string());
        let path = home.path().join("registries.json");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, closed).unwrap();
    };
    let (code, message) = fault(&home, &["env", "build", "closed"]);
    assert_eq!(code, "registry-unusable");
    assert!(message.contains(&format!("the registry {address} doesn't let somebody without a login in")), "{message}");
    login(REGISTRY_USER, "wrong");
    let (_, message) = fault(&home, &["env", "build", "closed"]);
    assert!(message.contains(&format!("doesn't let {REGISTRY_USER} in")) && !message.contains("wrong"), "{message}");
    login(REGISTRY_USER, REGISTRY_PASSWORD);
    let [built] = images(&home.call(["--json", "env", "build", "closed"]).exits(0)).try_into().unwrap();
    assert!(done(&built).contains(&"pushed"), "{built:?}");
}

/// A daemon whose disk has room for almost nothing.
struct Small {
    machine: Option<Machine>,
    disk: tempfile::TempDir,
}

impl Small {
    fn start() -> (Self, Daemon) {
        let disk = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(disk.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "no small disk can be mounted");
        let machine = Machine::start("small", disk.path()).unwrap();
        machine.run(
            "setsid dockerd -H unix:///run/docker.sock --iptables=false --bridge=none --cgroup-parent /wharf-small \
             >>/run/dockerd.log 2>&1 </dev/null &
             for _ in $(seq 600); do docker -H unix:///run/docker.sock version >/dev/null 2>&1 && exit 0; sleep 0.1; done
             tail -n 20 /run/dockerd.log; exit 1",
        );
        let daemon = Daemon::at(machine.root().join("run/docker.sock"));
        (Self { machine: Some(machine), disk }, daemon)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(self.machine.take());
        let _ = Command::new("umount").arg("-l").arg(self.disk.path()).status();
    }
}

#[test]
#[ignore = "needs docker and root (makes a machine)"]
fn a_full_disk_is_told_in_the_daemons_words() {
    let (_small, daemon) = Small::start();
    let home = Home::demo();
    let address = daemon.address();
    let import = format!("tar -C / -c bin/busybox | docker -H {address} import - tiny:1");
    assert!(Command::new("sh").args(["-c", &import]).status().is_ok_and(|status| status.success()));
    home.write(
        "base-images/large.toml",
        "from = \"tiny:1\"\npre_install = '''\nRUN [\"/bin/busybox\", \"dd\", \"if=/dev/zero\", \"of=/large\", \"bs=1M\", \"count=100\"]\n'''\n",
    );
    home.write("configs/small.toml", format!("base_image = \"large\"\nhost = {address:?}\n"));
    let (code, message) = fault(&home, &["base", "build", "large"]);
    assert_eq!(code, "image-build-failed");
    assert!(message.to_lowercase().contains("no space left on device"), "{message}");
    assert!(message.contains("base-images/large.toml:3"), "{message}");
}
