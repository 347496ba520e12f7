//! The corpus of ends: `tests/ends/NAME.json`, each an outcome with all that it was concluded from, and where it was recorded.
//!
//! `WHARF_UPDATE=1` concludes them anew and writes the table of `docs/ends.md`. A new end is recorded by the tests of the
//! whole (`tests/tests/spine/ends.rs`), or written by hand with the evidence alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wharf_model::outcome::Whose;
use wharf_model::{Cause, Outcome};

use crate::conclude::conclude;
use crate::evidence::Evidence;

/// A file of the corpus.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// What happened, in a few words.
    what: String,
    /// The engine that it was recorded at, or `by hand` and from what.
    recorded: String,
    outcome: Outcome,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ends")
}

fn updating() -> bool {
    std::env::var_os("WHARF_UPDATE").is_some()
}

/// Every file, by name.
fn corpus() -> BTreeMap<String, End> {
    let mut ends = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).expect("the folder of ends") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(path.extension().is_some_and(|extension| extension == "json"), "{} isn't an end", path.display());
        let text = std::fs::read_to_string(&path).expect("a file that can be read");
        let end = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        ends.insert(name, end);
    }
    ends
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[test]
fn each_is_concluded_as_recorded() {
    for (name, mut end) in corpus() {
        let concluded = conclude(Evidence::from(&end.outcome));
        if updating() {
            end.outcome = concluded;
            let text = serde_json::to_string_pretty(&end).expect("an end is JSON") + "\n";
            // Other tests read the folder meanwhile.
            let mut fresh = tempfile::NamedTempFile::new_in(folder().parent().expect("a parent")).expect("a new file");
            fresh.write_all(text.as_bytes()).expect("the end can be written");
            fresh.persist(folder().join(format!("{name}.json"))).expect("the end can be put in place");
        } else {
            assert_eq!(concluded, end.outcome, "{name}");
        }
    }
}

#[test]
fn every_cause_of_a_container_is_there() {
    let there: BTreeSet<String> = corpus().values().map(|end| word(end.outcome.cause)).collect();
    // The others are concluded before there is anything at an engine, or after its end.
    for cause in [
        Cause::Succeeded,
        Cause::RecipeFailed,
        Cause::OutOfMemory,
        Cause::TimeLimit,
        Cause::Stopped,
        Cause::ImageMissing,
        Cause::EngineUnreachable,
        Cause::EngineRefused,
        Cause::RunnerNeverCameUp,
        Cause::Lost,
        Cause::HostFault,
    ] {
        assert!(there.contains(&word(cause)), "{cause:?}");
    }
}

#[test]
fn whoever_can_do_something_is_told_what() {
    for (name, End { outcome, .. }) in corpus() {
        assert!(!outcome.sentence.is_empty() && !outcome.sentence.contains('\n'), "{name}: {}", outcome.sentence);
        assert!(!outcome.evidence.is_empty(), "{name}");
        let own = matches!(outcome.whose, Whose::Nobody | Whose::Recipe | Whose::User);
        assert!(own || outcome.advice.is_some(), "{name} has no advice");
    }
}

/// The part of `docs/ends.md` that is made from the corpus stands between these.
const MARKS: [&str; 2] = ["<!-- made from the corpus of ends -->\n", "<!-- until here -->\n"];

#[test]
fn the_documentation_has_all_of_them() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ends.md");
    let text = std::fs::read_to_string(&file).expect("docs/ends.md");
    let [(before, rest), (_, after)] = MARKS.map(|mark| text.split_once(mark).expect("both marks"));
    assert!(rest.contains(MARKS[1]), "the marks are in order");
    let made = format!("{before}{}{}{}{after}", MARKS[0], tables(), MARKS[1]);
    if updating() {
        std::fs::write(&file, made).expect("docs/ends.md can be written");
    } else {
        assert!(made == text, "docs/ends.md isn't up to date: run this test with WHARF_UPDATE=1");
    }
}

/// One table for each cause.
fn tables() -> String {
    let mut by_cause: BTreeMap<String, Vec<End>> = BTreeMap::new();
    for end in corpus().into_values() {
        by_cause.entry(word(end.outcome.cause)).or_default().push(end);
    }
    let mut text = String::new();
    for (cause, ends) in by_cause {
        let _ = write!(
            text,
            "\n## {cause}\n\n| what happened | the sentence | whose | again? | what to do |\n|---|---|---|---|---|\n"
        );
        for End { what, outcome, .. } in ends {
            let again = if outcome.retry_helps { "can help" } else { "no" };
            let advice = outcome.advice.as_deref().unwrap_or("");
            let cells = [&what, &outcome.sentence, &word(outcome.whose), again, advice].map(cell);
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text.push('\n');
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
