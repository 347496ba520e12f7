//! Components that were built for released contracts go on working: each is loaded and asked what it was asked then, and the
//! contracts that it was built from don't change under it.
//!
//! `tests/compatibility/VERSION` has the contracts of a version (`wit`) and guests of it, with their code and their cases.
//! `tests/compatibility/make` makes the folder of the present version.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_tests::binary;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compatibility")
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_dir()).map(|path| (name(&path), path)).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// The contracts in a folder, by the names of their files.
fn contracts(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).expect("the contracts are there").map(|entry| entry.expect("an entry").path());
    files.map(|file| (name(&file), fs::read_to_string(file).expect("a text"))).collect()
}

/// The version that all files of the contracts are of.
fn version(contracts: &BTreeMap<String, String>) -> String {
    let of =
        |text: &String| text.lines().find_map(|line| line.strip_prefix("package wharf:plugin@").map(str::to_owned));
    let versions: Vec<String> = contracts.values().filter_map(of).collect();
    assert_eq!(versions.len(), contracts.len(), "a file names no version");
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "files of several versions: {versions:?}");
    versions.first().and_then(|version| version.strip_suffix(';')).expect("a version").to_owned()
}

#[test]
fn contracts_change_only_with_their_version() {
    let present = contracts(&here().join("../../wit"));
    let version = version(&present);
    let frozen = folders(&here());
    let Some(folder) = frozen.get(&version) else {
        panic!("there are no guests of {version} yet; run tests/compatibility/make");
    };
    for (file, text) in contracts(&folder.join("wit")) {
        assert!(
            present.get(&file) == Some(&text),
            "wit/{file} isn't what {version} was: raise the version of the package; before the release of {version}, \
             make its guests again with tests/compatibility/make"
        );
    }
    assert_eq!(present.len(), contracts(&folder.join("wit")).len(), "{version} has other files");
}

#[test]
fn guests_of_every_version_answer_as_they_did() {
    let mut asked = 0;
    for (version, folder) in folders(&here()) {
        for (guest, folder) in folders(&folder).into_iter().filter(|(name, _)| name != "wit") {
            let place = tempfile::tempdir().expect("a temporary folder");
            let compressed = fs::File::open(folder.join(format!("{guest}.wasm.zst"))).expect("the guest is kept");
            let wasm = place.path().join(format!("{guest}.wasm"));
            let mut file = fs::File::create(&wasm).expect("a new file");
            zstd::stream::copy_decode(compressed, &mut file).expect("it can be unpacked");
            let cases = folders(&folder.join("cases"));
            for (case, from) in &cases {
                let to = place.path().join("cases").join(case);
                fs::create_dir_all(&to).expect("a new folder");
                for entry in fs::read_dir(from).expect("the case is there") {
                    let file = entry.expect("an entry").path();
                    fs::copy(&file, to.join(name(&file))).expect("it can be copied");
                }
            }
            let output =
                Command::new(binary()).args(["component", "test"]).arg(&wasm).output().expect("wharf is there");
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{guest} of {version}: {said}");
            assert!(said.contains(&format!("{} passed", cases.len())), "{guest} of {version}: {said}");
            asked += cases.len();
        }
    }
    assert!(asked >= 18, "only {asked} cases: the guests of 0.1.0 alone have 18");
}
