//! Another tool for the same signatures: what `cosign` signs in a registry is what a home trusts.

use std::fs;
use std::process::Command;

use wharf_tests::Registry;

use crate::house::{House, ONE, digest};

#[test]
#[ignore = "needs the command, docker-registry and cosign"]
fn what_cosign_signs_is_trusted() {
    let (house, registry) = (House::new(), Registry::start());
    let cosign = |arguments: &[&str]| {
        let mut command = Command::new("cosign");
        command.current_dir(house.home()).env("COSIGN_PASSWORD", "").args(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("cosign can't be started: {error}"));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = |name: &str| {
        cosign(&["generate-key-pair", "--output-key-prefix", name]);
        fs::read_to_string(house.home().join(format!("{name}.pub"))).unwrap()
    };
    let (ours, _theirs) = (key("ours"), key("theirs"));
    house.write("wharf.toml", &format!("[trust]\nmode = \"signed\"\ncosign_keys = [\"\"\"\n{ours}\"\"\"]\n"));
    let place = format!("oci://{}/site/judge:1", registry.address());
    let pushed = house.component(&["push", ONE, &place]).exits(0);
    let reference = pushed.stdout.trim().trim_start_matches("oci://").to_owned();
    let sign = |key: &str| {
        let key = format!("{key}.key");
        // Neither the log of Rekor nor the newer bundles: a home checks signatures by a key.
        let how = ["--tlog-upload=false", "--new-bundle-format=false", "--use-signing-config=false", "--yes"];
        cosign(&[&["sign", "--allow-insecure-registry", "--key", &key], &how[..], &[&reference]].concat());
    };
    let _ = house.component(&["install", &place, "--yes"]).fault("component-unsigned");
    sign("theirs");
    let said = house.component(&["install", &place, "--yes"]).fault("component-unsigned");
    assert!(said.contains("a cosign key that isn't listed"), "{said}");
    sign("ours");
    let installed = house.component(&["install", &place, "--yes"]).exits(0);
    assert!(installed.stdout.contains("cosign:"), "{}", installed.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    let file = house.home().join("policies/judge.wasm").display().to_string();
    let inspected = house.component(&["inspect", &file]).exits(0);
    assert!(inspected.stdout.contains("cosign:"), "{}", inspected.stdout);
}
