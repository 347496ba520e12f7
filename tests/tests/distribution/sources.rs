//! Sources that break off, lie, or are slow.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::house::{House, Keys, ONE, TWO, digest};
use crate::server::{Answer, Server};

const WASM: &str = "application/wasm";

fn manifest(bytes: &[u8], digest: &str) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:{0}","size":2}},"layers":[{{"mediaType":"{WASM}","digest":"sha256:{digest}","size":{1}}}]}}"#,
        "0".repeat(64),
        bytes.len()
    )
    .into_bytes()
}

#[test]
#[ignore = "needs the command and minisign"]
fn a_web_server_gives_a_file_and_its_signature() {
    let (house, keys) = (House::new(), Keys::new());
    let file = house.guest(ONE, "judge.wasm");
    keys.sign(&file);
    let signature = fs::read(house.beside("judge.wasm.minisig")).unwrap();
    let server = Server::start(move |path| match path {
        "/c/judge.wasm?x=1" => Answer::ok(fs::read(ONE).unwrap()),
        "/c/judge.wasm.minisig?x=1" => Answer::ok(signature.clone()),
        _ => Answer::status(404),
    });
    house.write("wharf.toml", &format!("[trust]\nmode = \"signed\"\nkeys = [\"{}\"]\n", keys.public()));
    let url = server.url("/c/judge.wasm?x=1");
    let wrong = format!("sha256:{}", digest(TWO));
    let _ = house.component(&["install", &url, "--yes", "--digest", &wrong]).fault("component-altered");
    let right = format!("sha256:{}", digest(ONE));
    let _ = house.component(&["install", &url, "--yes", "--digest", &right]).exits(0);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    let _ = house.component(&["install", &server.url("/none.wasm"), "--yes"]).fault("component-source-missing");
    let said = house.component(&["install", "http://example.com/a.wasm", "--yes"]).fault("component-source-invalid");
    assert!(said.contains("plain HTTP is for this machine alone"), "{said}");
}

#[test]
#[ignore = "needs the command"]
fn a_registry_that_lies_about_digests_gives_nothing() {
    let good = fs::read(ONE).unwrap();
    let (one, two) = (digest(ONE), digest(TWO));
    let manifests = manifest(&good, &one);
    let server = Server::start(move |path| match path {
        "/v2/" => Answer::ok(b"{}".to_vec()),
        // A header that says another digest than that of the body.
        "/v2/header/manifests/1" => {
            Answer::ok(manifests.clone()).with("Docker-Content-Digest", &format!("sha256:{}", "1".repeat(64)))
        }
        path if path.contains("/manifests/sha256-") => Answer::status(404),
        path if path.contains("/manifests/") => Answer::ok(manifests.clone()),
        // The bytes of another component; more bytes than were promised; fewer.
        path if path.starts_with("/v2/other/") => Answer::ok(fs::read(TWO).unwrap()[..good.len().min(1000)].to_vec()),
        path if path.starts_with("/v2/longer/") => Answer::ok([good.clone(), vec![0]].concat()),
        path if path.starts_with("/v2/shorter/") => Answer::ok(good[..good.len() - 1].to_vec()),
        path if path.starts_with("/v2/honest/") => Answer::ok(good.clone()),
        _ => Answer::status(404),
    });
    let house = House::new();
    let pinned = format!("honest:1@sha256:{two}");
    for (name, code) in [
        ("header:1", "component-altered"),
        (pinned.as_str(), "component-altered"),
        ("other:1", "component-altered"),
        ("longer:1", "component-altered"),
        ("shorter:1", "component-altered"),
    ] {
        let source = format!("oci://{}/{name}", server.address());
        let said = house.component(&["install", &source, "--yes", "--name", "judge"]).fault(code);
        assert!(!house.home().join("policies/judge.wasm").exists(), "{said}");
        assert_eq!(house.leftovers(), Vec::<String>::new(), "{name}");
    }
    // The same server, when it doesn't lie.
    let _ = house.component(&["install", &format!("oci://{}/honest:1", server.address()), "--yes"]).exits(0);
    assert_eq!(house.in_force("honest"), Some(one));
}

#[test]
#[ignore = "needs the command"]
fn a_download_that_breaks_off_or_is_interrupted_leaves_nothing() {
    let server = Server::start(|path| match path {
        "/cut.wasm" => Answer::ok(fs::read(ONE).unwrap()).cut_at(1000),
        "/slow.wasm" => Answer::ok(fs::read(ONE).unwrap()).stalls_at(1000),
        "/endless.wasm" => Answer::ok(Vec::new()).endless(),
        "/round.wasm" => Answer::status(302).with("Location", "/round.wasm"),
        "/away.wasm" => Answer::status(302).with("Location", "http://example.com/a.wasm"),
        _ => Answer::status(404),
    });
    let house = House::new();
    for (path, code) in [
        ("/cut.wasm", "component-source-unreachable"),
        ("/endless.wasm", "component-too-large"),
        ("/round.wasm", "component-source-invalid"),
        ("/away.wasm", "component-source-invalid"),
    ] {
        let _ = house.component(&["install", &server.url(path), "--yes"]).fault(code);
        assert_eq!(house.leftovers(), Vec::<String>::new(), "{path}");
    }
    let child = house.command(&["component", "install", &server.url("/slow.wasm"), "--yes"]).spawn().unwrap();
    let begun = Instant::now();
    // It has begun to come.
    while house.leftovers().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it doesn't begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), house.leftovers()), (Some(3), Vec::new()));
    assert!(!house.home().join("policies/slow.wasm").exists() && !house.home().join("components.lock").exists());
}
