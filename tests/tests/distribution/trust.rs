//! Whose components are loaded.

use std::fs;

use wharf_tests::Registry;

use crate::house::{House, Keys, ONE, TWO, digest};
use crate::server::Cosign;

fn signed(house: &House, keys: &[&Keys]) {
    let keys: Vec<String> = keys.iter().map(|keys| format!("\"{}\"", keys.public())).collect();
    house.write("wharf.toml", &format!("[trust]\nmode = \"signed\"\nkeys = [{}]\n", keys.join(", ")));
}

#[test]
#[ignore = "needs the command and minisign"]
fn only_what_a_listed_key_signed_is_loaded() {
    let (house, ours, theirs) = (House::new(), Keys::new(), Keys::new());
    signed(&house, &[&ours]);
    // What came with the host is trusted by its digest.
    assert!(house.in_force("allowed-groups").is_some());
    let file = house.guest(ONE, "judge.wasm");
    let install = ["install", &file.display().to_string(), "--yes"];
    let said = house.component(&install).fault("component-unsigned");
    assert!(said.contains("it isn't signed") && said.contains(&ours.id()), "{said}");
    theirs.sign(&file);
    let said = house.component(&install).fault("component-unsigned");
    assert!(
        said.contains(&format!("signed with the minisign key {}, which isn't trusted here", theirs.id())),
        "{said}"
    );
    ours.sign(&file);
    let installed = house.component(&install).exits(0);
    assert!(installed.stdout.contains(&format!("minisign:{}", ours.id())), "{}", installed.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    assert!(house.read("components.lock").contains(&format!("signed_by = \"minisign:{}\"", ours.id())));

    // Altered in its place: what was in force stays so, and nobody takes the altered one.
    let target = house.home().join("policies/judge.wasm");
    fs::copy(TWO, &target).unwrap();
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    let failure = house.failure("judge").unwrap();
    assert_eq!(failure["fault"]["code"], "component-signature-invalid", "{failure}");
    fs::copy(&file, &target).unwrap();
    assert_eq!(house.failure("judge"), None);
    fs::remove_file(house.home().join("policies/judge.wasm.minisig")).unwrap();
    assert_eq!(house.failure("judge").unwrap()["fault"]["code"], "component-unsigned");

    // A key that isn't listed any more takes with it what it signed, what is kept included.
    signed(&house, &[&theirs]);
    assert_eq!(house.in_force("judge"), None);
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs the command"]
fn a_list_of_digests_is_the_whole_list() {
    let house = House::new();
    let file = house.guest(ONE, "judge.wasm").display().to_string();
    house.write("wharf.toml", "[trust]\nmode = \"digests\"\n");
    let said = house.component(&["install", &file, "--yes"]).fault("component-not-listed");
    assert!(said.contains(&digest(ONE)), "{said}");
    house.write(
        "wharf.toml",
        &format!("[trust]\nmode = \"digests\"\nshipped = false\ndigests = [\"sha256:{}\"]\n", digest(ONE)),
    );
    let _ = house.component(&["install", &file, "--yes"]).exits(0);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    assert_eq!(house.in_force("allowed-groups"), None);
    assert_eq!(house.failure("allowed-groups").unwrap()["fault"]["code"], "component-not-listed");
}

#[test]
#[ignore = "needs the command and docker-registry"]
fn a_registrys_signature_comes_along_and_is_checked_again() {
    let (house, registry, cosign) = (House::new(), Registry::start(), Cosign::new());
    let place = format!("oci://{}/site/judge:1", registry.address());
    let pushed = house.component(&["push", ONE, &place]).exits(0);
    let manifest = pushed.stdout.trim().rsplit('@').next().unwrap().to_owned();
    let trust = |key: &str| {
        house.write("wharf.toml", &format!("[trust]\nmode = \"signed\"\ncosign_keys = [\"\"\"\n{key}\"\"\"]\n"));
    };
    trust(&cosign.public());
    let _ = house.component(&["install", &place, "--yes"]).fault("component-unsigned");
    Cosign::new().sign(&registry.address(), "site/judge", &manifest);
    let said = house.component(&["install", &place, "--yes"]).fault("component-unsigned");
    assert!(said.contains("a cosign key that isn't listed"), "{said}");
    cosign.sign(&registry.address(), "site/judge", &manifest);
    let installed = house.component(&["install", &place, "--yes"]).exits(0);
    assert!(installed.stdout.contains("cosign:"), "{}", installed.stdout);
    // Checked by the host, without the registry.
    registry.stop();
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    trust(&Cosign::new().public());
    assert_eq!(house.in_force("judge"), None);
}

#[test]
#[ignore = "needs the command, docker-registry and minisign"]
fn minisigns_signature_goes_through_a_registry() {
    let (house, registry, keys) = (House::new(), Registry::with_login(), Keys::new());
    let file = house.guest(ONE, "judge.wasm");
    keys.sign(&file);
    let place = format!("oci://{}/site/judge:1", registry.address());
    let push = ["push", &file.display().to_string(), &place];
    let _ = house.component(&push).fault("component-source-denied");
    let login = format!(
        "{{\"auths\": {{\"{}\": {{\"username\": \"{}\", \"password\": \"{}\"}}}}}}",
        registry.address(),
        wharf_tests::REGISTRY_USER,
        wharf_tests::REGISTRY_PASSWORD
    );
    // Docker's own file, as `docker login` leaves it.
    fs::write(house.beside("config.json"), login).unwrap();
    let pushed = house.component(&push).exits(0);
    assert!(pushed.stderr.contains("with its minisign signature"), "{}", pushed.stderr);
    let inspect = || house.component(&["inspect", &file.display().to_string()]).exits(0).stdout;
    let said = inspect();
    assert!(said.contains("which isn't listed"), "{said}");
    signed(&house, &[&keys]);
    let said = inspect();
    assert!(said.contains("signature  minisign:") && said.contains("which is listed"), "{said}");
    let _ = house.component(&["install", &place, "--yes"]).exits(0);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
}
