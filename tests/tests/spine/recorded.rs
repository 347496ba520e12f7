//! Cases that are made out of real runs.

use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};
use wharf_tests::Home;

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

/// All that is in the files of a folder.
fn contents(folder: &Path) -> String {
    let read = |entry: io::Result<fs::DirEntry>| entry.and_then(|entry| fs::read_to_string(entry.path()));
    fs::read_dir(folder).and_then(|entries| entries.map(read).collect()).expect("its files can be read")
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_case_of_a_real_run_tells_what_changed() {
    let home = Home::demo();
    home.write_data("secret-place.csv", "a\n1\n");
    let input = home.bind("in", "secret-place.csv");
    let _ = home.run_python("print('open sesame')", &["--input", &input, "--resource", "memory=64g"]).exits(12);

    // What the record has: each component's question, the same plan written once.
    let component = |name: &str| home.path().join(format!("policies/{name}.wasm")).display().to_string();
    for name in ["allowed-groups", "defaults-and-labels", "resource-ceiling"] {
        let folder = home.path().join("policies/cases").join(name);
        let into = folder.display().to_string();
        let made: Value = home
            .call(["--json", "component", "test", &component(name), "--record", "last", "--into", &into])
            .exits(0)
            .document();
        assert_eq!(made["expects_recorded"], json!(true), "{made}");
        // Neither what the recipe does nor where its data is was ever seen by a component.
        let all = contents(&folder);
        assert!(!all.contains("open sesame") && !all.contains("secret-place"), "{all}");
        let passed = home.call(["component", "test", &component(name), "--filter", name]).exits(0);
        assert!(passed.stdout.contains("1 passed"), "{}", passed.stdout);
        let _ = home.call(["component", "test", &component(name), "--record", "last", "--into", &into]).exits(3);
    }

    // One field of it, changed.
    let plan = home.path().join("policies/cases/resource-ceiling/plan.json");
    let mut asked: Value = serde_json::from_str(&fs::read_to_string(&plan).unwrap()).unwrap();
    assert_eq!(asked["resources"]["memory"], json!({ "bytes": 64_u64 << 30 }));
    asked["resources"]["memory"] = json!({ "bytes": 1 << 30 });
    fs::write(&plan, asked.to_string()).unwrap();
    let failed =
        home.call(["component", "test", &component("resource-ceiling"), "--filter", "resource-ceiling"]).exits(1);
    for line in ["-  \"reject\": [", "-      \"field\": \"resources.memory\",", "+  \"accept\": {"] {
        assert!(failed.stdout.contains(line), "no {line} in:\n{}", failed.stdout);
    }
    assert!(failed.stdout.contains("1 failed"), "{}", failed.stdout);

    // One that is still being written is asked what the others were asked.
    let own = home.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::copy(HOSTILE, own.join("newcomer.wasm")).unwrap();
    fs::write(own.join("newcomer.toml"), "[settings]\ndo = \"reject\"\n").unwrap();
    let own = own.display().to_string();
    let made: Value = home.call(["--json", "component", "test", &own, "--record", "last"]).exits(0).document();
    assert_eq!(made["expects_recorded"], json!(false), "{made}");
    let _ = home.call(["component", "test", &own]).exits(1);
    let _ = home.call(["component", "test", &own, "--update"]).exits(0);
    assert!(home.call(["component", "test", &own]).exits(0).stdout.contains("1 passed"));
}
