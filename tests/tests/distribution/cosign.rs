//! The tool itself whose signatures are read: what `cosign` puts into a registry.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wharf_tests::Registry;

use crate::house::{House, ONE, TWO, digest};

/// A key pair of the tool's own making.
struct Signer {
    folder: tempfile::TempDir,
}

impl Signer {
    fn new() -> Self {
        let signer = Self { folder: tempfile::tempdir().unwrap() };
        signer.cosign(&["generate-key-pair"]);
        signer
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cosign(&self, arguments: &[&str]) {
        let mut command = Command::new("cosign");
        command.args(arguments).current_dir(self.folder.path()).env("COSIGN_PASSWORD", "");
        let output = command.output().unwrap_or_else(|error| panic!("cosign can't be started: {error}"));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Signs without the public log of signatures: nothing of this leaves the machine.
    fn sign(&self, reference: &str) {
        let key = self.file("cosign.key").display().to_string();
        self.cosign(&["sign", "--key", &key, "--tlog-upload=false", "--yes", "--allow-http-registry", reference]);
    }

    fn trusted_by(&self, house: &House) {
        let key = fs::read_to_string(self.file("cosign.pub")).unwrap();
        house.write("wharf.toml", &format!("[trust]\nmode = \"signed\"\ncosign_keys = [\"\"\"\n{key}\"\"\"]\n"));
    }
}

#[test]
#[ignore = "needs the command, docker-registry and cosign"]
fn what_cosign_signed_is_installed_and_nothing_else() {
    let (house, registry, ours, theirs) = (House::new(), Registry::start(), Signer::new(), Signer::new());
    ours.trusted_by(&house);
    let push = |guest: &str, name: &str| {
        let pushed = house.component(&["push", guest, &format!("oci://{}/site/{name}:1", registry.address())]).exits(0);
        let manifest = pushed.stdout.trim().rsplit('@').next().unwrap().to_owned();
        format!("{}/site/{name}@{manifest}", registry.address())
    };
    let install = |name: &str| {
        let place = format!("oci://{}/site/{name}:1", registry.address());
        house.component(&["install", &place, "--yes", "--grant", "clock"])
    };
    let judge = push(ONE, "judge");
    let _ = install("judge").fault("component-unsigned");
    theirs.sign(&judge);
    let said = install("judge").fault("component-unsigned");
    assert!(said.contains("a cosign key that isn't listed"), "{said}");
    // Beside the other's.
    ours.sign(&judge);
    let installed = install("judge").exits(0);
    assert!(installed.stdout.contains("cosign:"), "{}", installed.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));

    // Other bytes under the same tag: their manifest has no signature.
    push(TWO, "judge");
    let _ = house.component(&["upgrade", "judge", "--yes"]).fault("component-unsigned");
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));

    // And in the home, under the signature of what was there.
    fs::copy(TWO, house.home().join("policies/judge.wasm")).unwrap();
    assert_eq!(house.in_force("judge"), Some(digest(ONE)), "what was in force stays so");
    assert_eq!(house.failure("judge").unwrap()["fault"]["code"], "component-signature-invalid");
}
