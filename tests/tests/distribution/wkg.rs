//! Another tool for the same layout: `wkg` pulls what is pushed here, and what it pushes is pulled here.

use std::fs;
use std::process::Command;

use wharf_tests::Registry;

use crate::house::{House, ONE, TWO, digest};

#[test]
#[ignore = "needs the command, docker-registry and wkg"]
fn wkg_and_wharf_read_each_others() {
    let (house, registry) = (House::new(), Registry::start());
    let plain = |name: &str| format!("{}/site/{name}:1", registry.address());
    let wkg = |arguments: &[&str]| {
        let mut command = Command::new("wkg");
        command.arg("oci").args(arguments).args(["--insecure", &registry.address()]);
        let output = command.output().unwrap_or_else(|error| panic!("wkg can't be started: {error}"));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let _ = house.component(&["push", ONE, &format!("oci://{}", plain("ours"))]).exits(0);
    let pulled = house.beside("pulled.wasm");
    wkg(&["pull", &plain("ours"), "-o", &pulled.display().to_string()]);
    assert!(fs::read(&pulled).unwrap() == fs::read(ONE).unwrap());
    wkg(&["push", &plain("theirs"), TWO]);
    let _ = house.component(&["install", &format!("oci://{}", plain("theirs")), "--yes", "--grant", "clock"]).exits(0);
    assert_eq!(house.in_force("theirs"), Some(digest(TWO)));
}
