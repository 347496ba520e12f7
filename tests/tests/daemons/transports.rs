//! Every way to a far daemon: a port, a port with TLS, ssh.

use std::path::Path;

use wharf_model::Cause;
use wharf_tests::{Certificates, Far, Home, Setup};

use crate::trial::{WHOLE, advertise, arguments, assert_whole, configure, configure_far, within};

const LINES: usize = 2000;

/// A run under `far` with data in and out and a whole log; then nothing is left there.
fn runs_there(home: &Home, far: &Far) {
    let run = home.call(arguments(home, "far", LINES, 0.0, "")).exits(0);
    assert_whole(home, &run, LINES, "");
    home.left_only(&WHOLE);
    assert!(home.containers_at(far.daemon()).is_empty());
    std::fs::remove_dir_all(home.data("")).unwrap();
    std::fs::create_dir(home.data("")).unwrap();
}

/// A run under `far` that doesn't get there. Returns its sentence and its advice as one text.
fn gets_nowhere(home: &Home) -> String {
    let run = home.call(home.python("print(1)", &["--config", "far"])).exits(20);
    let end = run.outcome();
    assert_eq!(end.cause, Cause::EngineUnreachable, "{run}");
    assert!(end.advice.is_some(), "{run}");
    let doctor = home.call(["doctor"]);
    assert_ne!(doctor.code, Some(0), "{doctor}");
    format!("{} {} {}", end.sentence, end.advice.unwrap_or_default(), doctor.stdout)
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn a_port_without_tls() {
    within(240, || {
        let far = Far::alone(Setup { tls: false, ..Setup::default() });
        let home = Home::portable();
        configure(&home, "far", &far.tcp_address(), "", &advertise(&far));
        runs_there(&home, &far);
        // Certificates for a port that has no TLS.
        configure_far(&home, &far, &advertise(&far));
        assert_says(&gets_nowhere(&home), &[&far.tcp_address(), "TLS"]);
    });
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn a_port_with_tls() {
    within(240, || {
        let far = Far::shared();
        let home = Home::portable();
        configure_far(&home, &far, &advertise(&far));
        runs_there(&home, &far);
        let doctor = home.call(["doctor"]);
        assert_says(&doctor.stdout, &["engine of far", "Docker "]);
    });
}

#[test]
#[ignore = "needs docker (asks a daemon) and root (makes a machine)"]
fn a_port_with_tls_and_other_certificates() {
    within(240, || {
        let far = Far::shared();
        let home = Home::portable();
        let certs = home.path().join("certs/far");
        let others = Certificates::new(far.machine().address().into());

        // None at all.
        configure(&home, "far", &far.tcp_address(), "", &advertise(&far));
        assert_says(&gets_nowhere(&home), &[&far.tcp_address(), "TLS", "cert_path"]);
        // The daemon's isn't signed by the authority that we know.
        configure_far(&home, &far, &advertise(&far));
        others.write_client(&certs);
        assert_says(&gets_nowhere(&home), &[&far.tcp_address(), "ca.pem"]);
        // We know the daemon, and it doesn't know us.
        far.certificates().write_client(&certs);
        let ca = std::fs::read(certs.join("ca.pem")).unwrap();
        others.write_client(&certs);
        std::fs::write(certs.join("ca.pem"), ca).unwrap();
        assert_says(&gets_nowhere(&home), &[&far.tcp_address(), "cert.pem"]);
        // A file is missing.
        std::fs::remove_file(certs.join("key.pem")).unwrap();
        let said = gets_nowhere(&home);
        assert_says(&said, &["key.pem"]);
    });
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn by_ssh() {
    within(300, || {
        let far = Far::shared();
        let home = Home::portable();
        configure_ssh(&home, &far, &far.ssh_config());
        runs_there(&home, &far);
        let doctor = home.call(["doctor"]);
        assert_says(&doctor.stdout, &["engine of far", "Docker "]);
    });
}

#[test]
#[ignore = "needs docker (asks a daemon) and root (makes a machine)"]
fn by_ssh_with_other_keys() {
    within(240, || {
        let far = Far::shared();
        let home = Home::portable();
        configure_ssh(&home, &far, &far.strangers_ssh_config());
        assert_says(&gets_nowhere(&home), &["ssh://far", "Permission denied"]);
        configure_ssh(&home, &far, &far.mistaken_ssh_config());
        assert_says(&gets_nowhere(&home), &["ssh://far", "Host key verification failed"]);
        // Nobody there.
        configure_ssh(&home, &far, &far.ssh_config());
        home.replace("configs/far.toml", "ssh://far", "ssh://far:9");
        assert_says(&gets_nowhere(&home), &["ssh://far:9", "onnection refused"]);
    });
}

fn configure_ssh(home: &Home, far: &Far, config: &Path) {
    let keys = format!("ssh_config = \"{}\"", config.display());
    configure(home, "far", &far.ssh_address(), &keys, &advertise(far));
}
