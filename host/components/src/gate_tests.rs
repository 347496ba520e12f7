use std::fs;

use super::*;
use crate::keep::KeptRecord;

const CLOCK: &str = "wharf:plugin/clock@0.1.0";
const LOG: &str = "wharf:plugin/log@0.1.0";
const RANDOM: &str = "wharf:plugin/random@0.1.0";

struct Fixture {
    home: tempfile::TempDir,
    gate: Gate,
}

impl Fixture {
    /// A home whose version in force needs this.
    fn new(needs: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keep = home.path().join("kept");
        fs::create_dir_all(keep.join("policies/p")).unwrap();
        fs::create_dir(home.path().join("policies")).unwrap();
        let version = KeptVersion {
            toml: None,
            digest: "0".repeat(64),
            version: "0.1.0".to_owned(),
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            since: 0,
        };
        let record = KeptRecord { in_force: Some(version.digest.clone()), versions: vec![version] };
        fs::write(keep.join("policies/p/record.json"), serde_json::to_vec(&record).unwrap()).unwrap();
        Self { gate: Gate { keep: Some(keep), ..Gate::default() }, home }
    }

    /// What becomes of a file with these imports.
    fn hold_back(&self, imports: &[&str], toml: &str) -> Result<Grants, Fault> {
        let file = self.home.path().join("policies/p.wasm");
        fs::write(&file, "bytes").unwrap();
        let source = Source::read(&file);
        let digest = source.print.wasm.clone().unwrap();
        let toml = ComponentSettingsFile::read(&file, &toml.replace("DIGEST", &digest)).unwrap();
        let imports: Vec<String> = imports.iter().map(|&import| import.to_owned()).collect();
        self.gate.hold_back(&source, &digest, &imports, &toml)?;
        Ok(self.gate.grants(&source, &digest, &toml))
    }

    fn pin(&mut self, component: &str, digest: &str, grants: Grants) {
        self.gate.pinned.push(PinnedGrant { component: component.to_owned(), digest: digest.to_owned(), grants });
    }
}

fn clock() -> Grants {
    Grants { clock: true, ..Grants::default() }
}

#[test]
fn more_imports_wait_for_a_grant_to_that_file() {
    let fixture = Fixture::new(&[]);
    assert!(fixture.hold_back(&[LOG], "").is_ok());
    // A grant to whatever has this name isn't enough.
    let fault = fixture.hold_back(&[CLOCK, LOG], "[grants]\nclock = true").unwrap_err();
    assert_eq!(fault.code, "component-held-back");
    assert!(
        fault.message.contains("version in force, 0.1.0 (sha256:000000000000): clock (it reads the real time)"),
        "{fault}"
    );
    assert!(fault.hint.unwrap().contains("wharf component grant p clock"));
    let grants = fixture.hold_back(&[CLOCK], "[grants]\nclock = true\ndigest = \"sha256:DIGEST\"").unwrap();
    assert!(grants.clock);
    // One that is pinned to another file gives this one nothing.
    let elsewhere = format!("[grants]\nclock = true\ndigest = \"sha256:{}\"", "1".repeat(64));
    assert!(fixture.hold_back(&[CLOCK], &elsewhere).is_err());
    assert!(!fixture.hold_back(&[], &elsewhere).unwrap().clock);
}

#[test]
fn a_lock_files_grant_is_for_one_file_and_one_need() {
    let digest = crate::source::digest(b"bytes");
    let mut fixture = Fixture::new(&[]);
    fixture.pin("policies/p", &"1".repeat(64), clock());
    fixture.pin("plugins/p", &digest, clock());
    assert!(fixture.hold_back(&[CLOCK], "").is_err());
    fixture.pin("policies/p", &digest, clock());
    assert!(fixture.hold_back(&[CLOCK], "").unwrap().clock);
    let fault = fixture.hold_back(&[CLOCK, RANDOM], "").unwrap_err();
    assert!(fault.message.contains("random") && !fault.message.contains("clock"), "{fault}");
}

#[test]
fn what_the_version_in_force_had_is_not_more() {
    let fixture = Fixture::new(&["clock"]);
    assert!(fixture.hold_back(&[CLOCK], "[grants]\nclock = true").unwrap().clock);
    assert!(fixture.hold_back(&[], "").is_ok());
    assert!(fixture.hold_back(&[CLOCK, RANDOM], "").is_err());
    // Nothing was in force: a grant by name is enough.
    let nothing = Fixture { gate: Gate::default(), ..Fixture::new(&[]) };
    assert!(nothing.hold_back(&[CLOCK], "[grants]\nclock = true").unwrap().clock);
}
