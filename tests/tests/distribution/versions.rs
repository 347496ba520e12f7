//! Versions come, are held back, granted and taken back.

use std::fs;

use wharf_tests::Registry;

use crate::house::{House, ONE, TWO, digest};

#[test]
#[ignore = "needs the command and docker-registry"]
fn a_version_that_imports_more_waits_for_its_grant() {
    let (house, registry) = (House::new(), Registry::start());
    let at = |tag: &str| format!("oci://{}/site/judge:{tag}", registry.address());
    let _ = house.component(&["push", ONE, &at("1")]).exits(0);
    let _ = house.component(&["push", TWO, &at("2")]).exits(0);
    let installed = house.component(&["install", &at("1"), "--yes"]).exits(0);
    assert!(installed.stdout.contains("nothing beyond its settings and the log"), "{}", installed.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));

    let held = house.component(&["upgrade", "judge", &at("2"), "--yes"]).exits(3);
    assert!(held.stdout.contains("+ import clock: reads the real time; the version before didn't"), "{}", held.stdout);
    assert!(held.stderr.contains("held back"), "{}", held.stderr);
    // Each question is a new process: the version before is kept in the home, not in somebody's memory.
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    let failure = house.failure("judge").unwrap();
    assert_eq!(
        (failure["fault"]["code"].as_str(), failure["older_works"].as_bool()),
        (Some("component-held-back"), Some(true))
    );
    let doctor = house.call(&["doctor"]);
    assert!(doctor.stdout.contains("it is held back: it imports more than the version in force"), "{}", doctor.stdout);

    // What it doesn't import can't be granted; what it imports can.
    let _ = house.component(&["grant", "judge", "random", "--yes"]).fault("component-grant-useless");
    let granted = house.component(&["grant", "judge", "clock", "--yes"]).exits(0);
    assert!(granted.stdout.contains("may      reads the real time"), "{}", granted.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(TWO)));
    assert_eq!(house.failure("judge"), None);
    let lock = house.read("components.lock");
    assert!(lock.contains(&format!("sha256:{}", digest(TWO))) && lock.contains("clock = true"), "{lock}");

    let _ = house.component(&["rollback", "judge", "--yes"]).exits(0);
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    // The grant was to that file, and stays with it.
    let _ = house.component(&["rollback", "judge", "--to", &digest(TWO)[..8], "--yes"]).exits(0);
    assert_eq!(house.in_force("judge"), Some(digest(TWO)));

    let _ = house.component(&["remove", "judge"]).exits(0);
    assert_eq!((house.in_force("judge"), house.leftovers()), (None, Vec::new()));
    assert!(!house.read("components.lock").contains("judge"));
}

#[test]
#[ignore = "needs the command"]
fn a_file_that_is_dropped_by_hand_is_held_back_too() {
    let house = House::new();
    let target = house.home().join("policies/judge.wasm");
    house.write("policies/judge.toml", "# mine\n[grants]\nclock = true\n");
    fs::copy(ONE, &target).unwrap();
    assert_eq!(house.in_force("judge"), Some(digest(ONE)));
    fs::copy(TWO, &target).unwrap();
    assert_eq!(house.in_force("judge"), Some(digest(ONE)), "a grant to whatever has its name isn't enough");
    assert_eq!(house.failure("judge").unwrap()["fault"]["code"], "component-held-back");
    let pinned = format!("# mine\n[grants]\nclock = true\ndigest = \"sha256:{}\"\n", digest(TWO));
    house.write("policies/judge.toml", &pinned);
    assert_eq!(house.in_force("judge"), Some(digest(TWO)));
    // A file that is cut off leaves the one before in force, across a restart.
    let bytes = fs::read(TWO).unwrap();
    fs::write(&target, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(house.in_force("judge"), Some(digest(TWO)));
    assert_eq!(house.read("policies/judge.toml"), pinned, "nobody writes an administrator's file");
}

#[test]
#[ignore = "needs the command"]
fn installing_asks_for_what_it_needs_and_for_agreement() {
    let house = House::new();
    let file = house.guest(TWO, "judge.wasm").display().to_string();
    let said = house.component(&["install", &file]).fault("usage");
    assert!(said.contains("--yes"), "{said}");
    let said = house.component(&["install", &file, "--yes"]).fault("component-import-not-granted");
    assert!(said.contains("--grant clock"), "{said}");
    let _ = house.component(&["install", &file, "--yes", "--grant", "sockets"]).fault("usage");
    let _ = house
        .component(&["install", &file, "--yes", "--name", "../judge", "--grant", "clock"])
        .fault("component-source-invalid");
    let installed = house.component(&["install", &file, "--yes", "--grant", "clock"]).exits(0);
    assert!(installed.stdout.contains("may      reads the real time"), "{}", installed.stdout);
    assert_eq!(house.in_force("judge"), Some(digest(TWO)));
    assert!(!house.home().join("policies/judge.toml").exists());
    let _ = house.component(&["install", &file, "--yes", "--grant", "clock"]).fault("component-exists");
    // Needed by somebody: it can't be removed.
    house.write("wharf.toml", "required_policies = [\"judge\"]\n");
    let _ = house.component(&["remove", "judge"]).fault("component-needed");
    let _ = house.component(&["remove", "nobody"]).fault("component-not-found");
    assert_eq!(house.leftovers(), Vec::<String>::new());
}
