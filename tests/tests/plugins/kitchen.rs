//! The plugin of these tests: it uses every kind of parameter, role and file once.

use std::fs;
use std::path::{Path, PathBuf};

use wharf_model::Event;
use wharf_model::EventKind;
use wharf_tests::{GROUP, Home, USER};

/// Where its files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/kitchen")
}

/// A copy without its code environment, which needs an index of packages.
pub(crate) fn plain(home: &Home) -> PathBuf {
    let to = home.data("").join("../kitchen");
    copy(&folder(), &to);
    fs::remove_dir_all(to.join("code-env")).unwrap();
    to
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A demo home that has it, without its code environment.
pub(crate) fn home() -> Home {
    let home = Home::demo();
    let plain = plain(&home);
    let _ = home.call(["plugin", "install", &plain.display().to_string()]).exits(0);
    home
}

/// The arguments that run one of its recipes as the tests' user, one event a line.
pub(crate) fn recipe(name: &str, more: &[&str]) -> Vec<String> {
    let run = ["--json", "run", "--plugin", "kitchen", "--recipe", name, "--user", USER, "--group", GROUP];
    run.iter().chain(more).map(|&argument| argument.to_owned()).collect()
}

/// The sentences of progress of a run.
pub(crate) fn progress(events: &[Event]) -> Vec<String> {
    let text =
        |event: &Event| if let EventKind::Progress { text, .. } = &event.kind { Some(text.clone()) } else { None };
    events.iter().filter_map(text).collect()
}
