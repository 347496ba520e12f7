//! Machine learning in containers: the demo's activities, and what can go wrong with them.
//!
//! They need a Docker daemon, and an index of Python packages that its builds reach.

mod limits;
mod recipes;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use wharf_model::{Cause, EventKind};
use wharf_tests::{Finished, GROUP, Home, USER, trust};

/// A demo home with scikit-learn's tables, and those of them that are asked for trained.
fn home() -> Home {
    let home = Home::without_image();
    trust(&home, "python-r");
    home.write(
        "code-envs/machine-learning/env.toml",
        include_str!("../../../demo/code-envs/machine-learning/env.toml"),
    );
    home.write(
        "code-envs/machine-learning/requirements.txt",
        include_str!("../../../demo/code-envs/machine-learning/requirements.txt"),
    );
    fs::create_dir_all(home.path().join("data/models")).expect("a folder");
    let _ = activity(&home, "tables", &[]).exits(0);
    home
}

fn activity(home: &Home, name: &str, more: &[&str]) -> Finished {
    home.call(arguments(home, name, more))
}

fn arguments(home: &Home, name: &str, more: &[&str]) -> Vec<String> {
    let file = home.path().join(format!("activities/{name}.toml")).display().to_string();
    let all = [&["--json", "run", &file, "--user", USER, "--group", GROUP], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn json(home: &Home, path: &str) -> Value {
    let path = home.path().join("data").join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The end of a run that its task, its data or its model kept from working.
fn refused(run: Finished, says: &[&str]) {
    let end = run.exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(2)), "{}", end.sentence);
    let told = format!("{}\n{}", end.sentence, end.error_tail.join("\n"));
    for text in says {
        assert!(told.contains(text), "{text:?} isn't in: {told}");
    }
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn the_demos_models_are_trained_scored_and_retrained() {
    let home = home();
    for (name, metric, least) in [
        ("wine", "accuracy", 0.9),
        ("breast-cancer", "roc_auc", 0.98),
        ("digits", "accuracy", 0.95),
        ("diabetes", "r2", 0.4),
    ] {
        let run = activity(&home, &format!("{name}-train"), &[]).exits(0);
        assert!(run.log().iter().any(|(_, line)| line.contains(metric)), "the log shows the metric: {run}");
        let folder = format!("models/{name}-model/versions/1");
        let test = &json(&home, &format!("{folder}/metrics.json"))["test"]["metrics"][metric];
        let value = test["value"].as_f64().or_else(|| test.as_f64()).unwrap_or_else(|| panic!("{name}: {test}"));
        assert!(value > least && value <= 1.0, "{name}: {metric} {value}");
        let versions = json(&home, &format!("{folder}/versions.json")).to_string();
        assert!(versions.contains("machine-learning") && versions.contains("scikit-learn"), "{versions}");
        let report = fs::read_to_string(home.path().join("data").join(&folder).join("report.html")).expect("a report");
        assert!(report.contains("<svg") && !report.contains("http://") && !report.contains("<script"), "{name}");
    }

    let scored = activity(&home, "wine-score", &[]).exits(0);
    let rows = fs::read_to_string(home.path().join("data/wine_scored.csv")).expect("scored rows");
    let header = rows.lines().next().unwrap_or_default();
    assert!(header.starts_with("alcohol,") && header.contains("prediction"), "{header}\n{scored}");
    assert_eq!(rows.lines().count(), 179);

    let _ = activity(&home, "wine-retrain", &[]).exits(0);
    assert_eq!(json(&home, "models/wine-again/current.json")["version"], 2);
    let before = fs::read(home.path().join("data/models/wine-model/versions/1/model.skops")).expect("the model");
    assert_eq!(fs::read(home.path().join("data/models/wine-again/versions/1/model.skops")).ok(), Some(before));
    assert!(json(&home, "models/wine-again/versions/2/drift.json").is_object());
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let home = home();
    refused(activity(&home, "wine-train", &["--param", "target=colour", "--param", "metrics=x"]), &["metrics"]);
    refused(activity(&home, "wine-train", &["--param", "target=colour"]), &["colour"]);
    // The optimised engine is refused before there is a container.
    let end = activity(&home, "wine-train", &["--param", "engine=optimized"]).exits(15).outcome();
    assert!(end.sentence.contains("DSS's own processes"), "{}", end.sentence);

    let _ = activity(&home, "wine-train", &[]).exits(0);
    // Another table: each column that is missing is named.
    let wine = fs::read(home.path().join("data/wine.csv")).expect("the table");
    let schema = fs::read(home.path().join("data/wine.csv.schema.json")).expect("its schema");
    for end in ["csv", "csv.schema.json"] {
        let table = |name: &str| home.path().join(format!("data/{name}.{end}"));
        fs::copy(table("diabetes"), table("wine")).expect("a copy");
    }
    refused(activity(&home, "wine-score", &[]), &["alcohol", "ash"]);
    home.write("data/wine.csv", wine);
    home.write("data/wine.csv.schema.json", schema);
    // A pickle in the model's place.
    let model = home.path().join("data/models/wine-model/versions/1/model.skops");
    let pickle = b"cos\nsystem\n(S'touch /tmp/owned; echo owned'\ntR.";
    fs::write(&model, pickle).expect("it can be written");
    let run = activity(&home, "wine-score", &[]);
    assert!(!run.log().iter().any(|(_, line)| line.trim() == "owned"), "{run}");
    refused(run, &["model.skops"]);
    assert!(!Path::new("/tmp/owned").exists());
    assert!(!home.path().join("data/wine_scored.csv").exists());
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn a_stopped_training_keeps_its_best_if_asked_to() {
    let home = home();
    let site = fs::read_to_string(home.path().join("wharf.toml")).expect("the site's file");
    home.write("wharf.toml", format!("{site}\n[runs]\ngrace = \"60s\"\n"));
    home.replace("activities/digits-train.toml", "[1, 3, 5]", &format!("{:?}", (1..=60).collect::<Vec<_>>()));
    for (on_stop, kept) in [("keep_best", true), ("discard", false)] {
        let more = format!("on_stop={on_stop}");
        let mut run = home.start(arguments(&home, "digits-train", &["--param", &more]));
        run.until(|event| matches!(&event.kind, EventKind::Log { text, .. } if text.contains("3/60")));
        std::thread::sleep(Duration::from_millis(200));
        run.signal(Signal::INT);
        let run = run.finish().exits(if kept { 0 } else { 13 });
        let end = run.outcome();
        assert!(end.sentence.contains("stopped by"), "{}", end.sentence);
        let model = home.path().join("data/models/digits-model/versions/1/model.skops");
        assert_eq!(model.is_file(), kept, "{on_stop}: {run}");
        let _ = fs::remove_dir_all(home.path().join("data/models/digits-model"));
    }
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn too_little_memory_is_said_before_anything_is_fitted() {
    let home = home();
    home.replace("activities/wine-train.toml", "n_estimators = [50, 100]", "n_estimators = [100000]");
    let run = activity(&home, "wine-train", &["--resource", "memory=400m"]);
    refused(
        run,
        &["training doesn't fit into the container's memory", "one fit of random_forest", "sampling", "more memory"],
    );
    // With too little for the libraries themselves nothing in the container can say so.
    let end = activity(&home, "wine-train", &["--resource", "memory=64m"]).exits(14).outcome();
    assert_eq!(end.cause, Cause::OutOfMemory, "{}", end.sentence);
    assert!(end.sentence.contains("its limit of 64 MiB"), "{}", end.sentence);
    assert!(!home.path().join("data/models/wine-model").exists());
}
