//! The corpus of ends: `tests/ends/NAME.json`, each what an API server said of a run's Job, pod and events, and what that means.
//!
//! `WHARF_UPDATE=1` judges them anew. A new one is recorded by `tests/cluster` (`WHARF_RECORD=1`), or written by hand with what
//! was seen alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_model::EngineCause;
use wharf_model::launch::EngineEnd;
use wharf_model::outcome::{Cause, Whose};

use super::view::{EventView, JobView, PodView};
use super::{Seen, State, in_vain, state};

/// A file of the corpus.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// What happened, in a few words.
    what: String,
    /// The cluster that it was recorded at, or `by hand` and from what.
    recorded: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    job_gone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pod_gone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<Value>,
    /// What that means.
    #[serde(default)]
    meant: Meant,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Meant {
    /// `running`, `waiting`, `ended`, or `ended, not settled`.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EngineEnd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whose: Option<Whose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_helps: Option<bool>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ends")
}

fn corpus() -> BTreeMap<String, End> {
    let mut ends = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(path.extension().is_some_and(|extension| extension == "json"), "{} isn't an end", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        let end = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        ends.insert(name, end);
    }
    ends
}

fn seen(end: &End) -> Seen {
    Seen {
        job: end.job.as_ref().map(JobView::of),
        job_gone: end.job_gone,
        pod: end.pod.as_ref().map(PodView::of),
        pod_gone: end.pod_gone,
        events: end.events.iter().map(EventView::of).collect(),
        ..Seen::default()
    }
}

fn meant(end: &End) -> Meant {
    let (word, end) = match state(&seen(end)) {
        State::Waiting(None) => ("waiting", None),
        State::Waiting(Some(waiting)) => ("waiting", Some(in_vain(&waiting))),
        State::Running(trouble) => {
            return Meant { state: "running".to_owned(), sentence: trouble, ..Meant::default() };
        }
        State::Ended { end, settled: true } => ("ended", Some(end)),
        State::Ended { end, settled: false } => ("ended, not settled", Some(end)),
    };
    let told = end.as_ref().and_then(|end| end.cause.as_ref()).map(|cause| cause.told());
    Meant {
        state: word.to_owned(),
        end,
        cause: told.as_ref().map(|told| told.cause),
        sentence: told.as_ref().map(|told| told.sentence.clone()),
        whose: told.as_ref().map(|told| told.whose),
        retry_helps: told.as_ref().map(|told| told.retry_helps),
    }
}

#[test]
fn each_is_judged_as_recorded() {
    let updating = std::env::var_os("WHARF_UPDATE").is_some();
    for (name, mut end) in corpus() {
        let judged = meant(&end);
        if updating {
            end.meant = judged;
            let text = format!("{}\n", serde_json::to_string_pretty(&end).unwrap());
            std::fs::write(folder().join(format!("{name}.json")), text).unwrap();
        } else {
            assert_eq!(judged, end.meant, "{name}");
        }
    }
}

#[test]
fn each_end_has_its_words_and_different_ends_have_different_ones() {
    let mut sentences: BTreeMap<String, (String, EngineCause)> = BTreeMap::new();
    for (name, end) in corpus() {
        let EngineEnd { cause: Some(cause), .. } = end.meant.end.unwrap_or_default() else { continue };
        let told = cause.told();
        assert!(!told.sentence.is_empty() && !told.advice.is_empty(), "{name}");
        assert!(
            !told.sentence.ends_with('.') && !told.sentence.contains("the engine could not run it"),
            "{name}: {}",
            told.sentence
        );
        let kind = std::mem::discriminant(cause.as_ref());
        if let Some((other, of_other)) = sentences.insert(told.sentence.clone(), (name.clone(), *cause)) {
            assert_eq!(std::mem::discriminant(&of_other), kind, "{name} and {other} are told alike: {}", told.sentence);
        }
    }
}

#[test]
fn each_cause_of_a_cluster_is_in_the_corpus() {
    // By the words that records have for them.
    const ALL: [&str; 23] = [
        "out-of-memory",
        "evicted",
        "drained",
        "preempted",
        "deadline-exceeded",
        "node-lost",
        "node-shutdown",
        "node-refused",
        "pod-deleted",
        "job-deleted",
        "image-pull",
        "create-failed",
        "unschedulable",
        "queued",
        "quota-exceeded",
        "quota-needs",
        "limit-range",
        "pod-security",
        "admission-refused",
        "admission-away",
        "missing",
        "ticket-missing",
        "namespace-ending",
    ];
    let word = |cause: &EngineCause| serde_json::to_value(cause).unwrap()["kind"].as_str().unwrap().to_owned();
    let found: BTreeSet<String> =
        corpus().values().filter_map(|end| Some(word(end.meant.end.as_ref()?.cause.as_ref()?))).collect();
    let missing: Vec<&str> = ALL.into_iter().filter(|kind| !found.contains(*kind)).collect();
    assert!(missing.is_empty(), "no end of these: {missing:?}");
}
