//! Many rows in little memory, and ends in the middle.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;
use wharf_model::{Cause, EventKind};
use wharf_tests::{Finished, Home};

use crate::{activity, arguments, home};

fn is_long() -> bool {
    std::env::var_os("WHARF_TEST_LONG").is_some()
}

/// Ten million rows with `WHARF_TEST_LONG`.
fn rows() -> usize {
    if is_long() { 10_000_000 } else { 500_000 }
}

/// A home with a model of five numbers, and a dataset of so many rows for it.
fn with_rows(rows: usize) -> Home {
    let home = home();
    let columns = ["id", "a", "b", "c", "d", "e"];
    let number = |seed: u64| {
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        format!("{}.{:03}", mixed % 97, mixed % 1000)
    };
    let line = |n: usize| {
        let mut line = n.to_string();
        for at in 1..columns.len() {
            write!(line, ",{}", number((n * 7 + at) as u64)).expect("a text takes it");
        }
        line
    };
    let types = |names: &[&str], target: bool| {
        let mut columns: Vec<_> = names
            .iter()
            .map(|name| json!({ "name": name, "type": if *name == "id" { "bigint" } else { "double" } }))
            .collect();
        if target {
            columns.push(json!({ "name": "target", "type": "string" }));
        }
        json!({ "columns": columns }).to_string()
    };
    let mut few = format!("{},target\n", columns.join(","));
    for n in 0..2000 {
        let line = line(n);
        let first: f64 = line.split(',').nth(1).and_then(|text| text.parse().ok()).expect("a number");
        writeln!(few, "{line},{}", if first > 48.0 { "high" } else { "low" }).expect("a text takes it");
    }
    home.write("data/few.csv", few);
    home.write("data/few.csv.schema.json", types(&columns, true));
    let many = fs::File::create(home.path().join("data/many.csv")).expect("a file");
    let mut many = BufWriter::new(many);
    writeln!(many, "{}", columns.join(",")).expect("it can be written");
    for n in 0..rows {
        writeln!(many, "{}", line(n)).expect("it can be written");
    }
    many.flush().expect("it can be written");
    home.write("data/many.csv.schema.json", types(&columns, false));
    let common = "configuration = \"docker-local\"\ncode_env = \"machine-learning\"\n";
    home.write(
        "activities/few-train.toml",
        format!(
            "kind = \"ml-train\"\n{common}\n[inputs]\nmain = \"../data/few.csv\"\n\n[outputs]\nmodel = \"../data/models/few-model/\"\n\n\
             [parameters]\nprediction_type = \"binary\"\ntarget = \"target\"\nmetric = \"roc_auc\"\nthreshold = 0.5\nexplanations = false\n\
             features = {{ id = {{ role = \"rejected\" }} }}\nalgorithms = [{{ name = \"logistic\" }}]\n"
        ),
    );
    home.write(
        "activities/many-score.toml",
        format!(
            "kind = \"ml-score\"\n{common}\n[inputs]\nmain = \"../data/many.csv\"\nmodel = \"../data/models/few-model/\"\n\n\
             [outputs]\nmain = \"../data/scored.csv\"\n"
        ),
    );
    let _ = activity(&home, "few-train", &[]).exits(0);
    home
}

/// The same work as a plain script does it, in a container with the same limits.
const BARE: &str = include_str!("bare.py");

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn many_rows_are_scored_in_512_megabytes() {
    let rows = rows();
    let home = with_rows(rows);
    let begun = Instant::now();
    let run = activity(&home, "many-score", &["--resource", "memory=512m"]).exits(0);
    let took = begun.elapsed().as_secs_f64();
    let usage = run.outcome().usage.expect("the runner counts");
    assert!(usage.memory_limit_hits.unwrap_or_default() == 0 || usage.oom_kills == 0, "{usage:?}");
    let scored = fs::File::open(home.path().join("data/scored.csv")).expect("the rows");
    let (mut lines, mut high) = (0, 0);
    for line in std::io::BufRead::lines(std::io::BufReader::new(scored)) {
        lines += 1;
        high += usize::from(line.expect("a line").contains(",high,"));
    }
    assert_eq!(lines, rows + 1);
    let said = run.log().into_iter().find(|(_, line)| line.contains("rows scored in")).expect("it says so").1;
    let speed: f64 = said.split(", ").nth(1).and_then(|text| text.split(' ').next()?.parse().ok()).expect("a number");

    home.write("activities/bare.py", BARE);
    fs::create_dir_all(home.path().join("data/table")).expect("a folder");
    fs::rename(home.path().join("data/many.csv"), home.path().join("data/table/many.csv")).expect("it can be moved");
    home.write(
        "activities/bare.toml",
        "kind = \"python\"\ncode = \"bare.py\"\nconfiguration = \"docker-local\"\ncode_env = \"machine-learning\"\n\n\
         [inputs]\nmodel = \"../data/models/few-model/\"\ntable = \"../data/table/\"\n",
    );
    let begun = Instant::now();
    let bare = activity(&home, "bare", &["--resource", "memory=512m"]).exits(0);
    let bare_took = begun.elapsed().as_secs_f64();
    let log = bare.log();
    let numbers: Vec<f64> = log
        .iter()
        .find_map(|(_, line)| line.strip_prefix("bare "))
        .map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect())
        .unwrap_or_default();
    let [bare, arrow, alone, bare_rows, bare_high] = *numbers else { panic!("no numbers: {log:?}") };
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let (rows, high) = (rows as f64, high as f64);
    assert_eq!((bare_rows, bare_high), (rows, high), "both predict the same");
    println!(
        "{rows} rows: {said}; a script with pandas in the same container {bare:.0} a second, ratio {:.2}; one with pyarrow \
         {arrow:.0}, ratio {:.2}; the pipeline without reading and writing {alone:.0}; memory {} MB at the most; whole \
         runs {took:.1} s, and {bare_took:.1} s of both scripts, which also brings the file into the container",
        speed / bare,
        speed / arrow,
        usage.memory_peak >> 20
    );
    // With fewer rows the start of either counts more than its work.
    assert!(!is_long() || speed / bare >= 0.8, "scoring is slower than a script");
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn a_scoring_that_ends_in_the_middle_says_why_and_leaves_nothing() {
    let home = with_rows(400_000);
    let nothing_left = |run: &Finished| {
        assert!(!home.path().join("data/scored.csv").exists(), "nothing half is left: {run}");
    };
    // More rows at once, with the reasons of each, than there is memory for.
    let all = "[parameters]\nchunk_rows = 10000000\nreasons = 5\n";
    home.replace("activities/many-score.toml", "[inputs]", &format!("{all}\n[inputs]"));
    let run = activity(&home, "many-score", &["--resource", "memory=230m"]).exits(14);
    assert!(run.log().iter().any(|(_, line)| line.contains("scoring many with version 1")), "it began: {run}");
    let end = run.outcome();
    assert_eq!(end.cause, Cause::OutOfMemory, "{}", end.sentence);
    assert!(end.sentence.contains("its limit of 230 MiB"), "{}", end.sentence);
    assert!(end.advice.as_ref().is_some_and(|advice| advice.contains("--resource memory")), "{:?}", end.advice);
    println!("{}", end.sentence);
    nothing_left(&run);

    // Slow enough to be met while it works.
    home.replace("activities/many-score.toml", all, "[parameters]\nchunk_rows = 50\n");
    let scoring = || {
        let mut run = home.start(arguments(&home, "many-score", &[]));
        run.until(
            |event| matches!(&event.kind, EventKind::Advanced(advance) if advance.done > 0 && advance.total.is_none()),
        );
        run
    };
    let run = scoring();
    run.signal(Signal::INT);
    let run = run.finish().exits(13);
    let end = run.outcome();
    assert_eq!(end.cause, Cause::Stopped);
    assert!(end.sentence.contains("stopped by"), "{}", end.sentence);
    assert!(run.log().iter().any(|(_, line)| line.contains("nothing of the output is kept")), "{run}");
    println!("{}", end.sentence);
    nothing_left(&run);

    let run = scoring();
    let [container] = home.containers().try_into().expect("one container");
    let _ = home.daemon().must("POST", &format!("/containers/{}/kill", container.id), None);
    let run = run.finish().exits(22);
    let end = run.outcome();
    assert!(end.sentence.contains("killed through the engine"), "{}", end.sentence);
    println!("{}", end.sentence);
    nothing_left(&run);
}
