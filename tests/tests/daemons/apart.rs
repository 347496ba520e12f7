//! The far machine is what the other tests take it for: another one, with a daemon that Docker's own client reaches.

use std::process::{Command, Output};

use wharf_tests::{Certificates, Far, Home, Setup};

use crate::trial::within;

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"))
}

/// What Docker's client says over TLS with these certificates.
fn over_tls(far: &Far, certificates: &Certificates) -> Output {
    let folder = tempfile::tempdir().unwrap();
    certificates.write_client(folder.path());
    let mut docker = Command::new("docker");
    docker.args(["--tlsverify", "-H", &far.tcp_address(), "info", "--format", "{{.ID}}"]);
    output(docker.env("DOCKER_CERT_PATH", folder.path()))
}

#[test]
#[ignore = "needs docker (asks daemons) and root (makes a machine)"]
fn the_far_machine_is_another_one() {
    within(240, || {
        let far = Far::shared();
        let home = Home::portable();
        let id = |info: serde_json::Value| info["ID"].as_str().unwrap_or_default().to_owned();
        let there = id(far.daemon().must("GET", "/info", None));
        assert_ne!(there, id(home.daemon().must("GET", "/info", None)));

        // Docker's usual socket is its own daemon's, and the near one's files aren't there.
        let seen = far.machine().run("docker info --format '{{.ID}}'");
        assert_eq!(seen.trim(), there);
        let marker = home.write_data("marker", "near");
        assert_eq!(far.machine().run(&format!("ls {} 2>/dev/null | wc -l", marker.display())).trim(), "0");
        assert_eq!(far.machine().run("ip -o link show wharf-far0 2>/dev/null | wc -l").trim(), "0");

        let told = over_tls(&far, far.certificates());
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), there, "{told:?}");
        let others = Certificates::new(far.machine().address().into());
        assert!(!over_tls(&far, &others).status.success());

        let ssh = |config: &std::path::Path| {
            let mut ssh = Command::new("ssh");
            output(ssh.arg("-F").arg(config).args(["-o", "BatchMode=yes", "far", "docker info --format '{{.ID}}'"]))
        };
        let told = ssh(&far.ssh_config());
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), there, "{told:?}");
        for config in [far.strangers_ssh_config(), far.mistaken_ssh_config()] {
            assert!(!ssh(&config).status.success());
        }
    });
}

#[test]
#[ignore = "needs docker (asks daemons) and root (makes a machine)"]
fn the_far_daemon_is_set_up_as_asked_and_comes_back_as_usual() {
    within(240, || {
        let live_restore = |far: &Far| far.daemon().must("GET", "/info", None)["LiveRestoreEnabled"].clone();
        let far = Far::alone(Setup { tls: false, live_restore: true });
        assert_eq!(live_restore(&far), true);
        let told = output(Command::new("docker").args(["-H", &far.tcp_address(), "version"]));
        assert!(told.status.success(), "{told:?}");
        for end in [Far::stop, Far::kill] {
            end(&far);
            assert!(!far.daemon().answers());
            far.launch();
        }
        drop(far);
        let far = Far::shared();
        assert_eq!(live_restore(&far), false);
        assert!(over_tls(&far, far.certificates()).status.success());
    });
}
