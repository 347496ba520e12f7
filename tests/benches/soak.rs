//! Thousands of short runs, many at once, in one process: `cargo bench --workspace --bench soak`.
//!
//! In turns with a bare loop over Docker's API that creates, starts, waits for and removes the same containers, as many at once: so
//! whatever else the machine does hits both alike. Between the turns it looks at what this process takes: memory and descriptors.
//! `WHARF_SOAK_RUNS` (300; 5,000 for the whole of it), `WHARF_SOAK_AT_ONCE` (50) and `WHARF_SOAK_TURN` (100) say how much.
//!
//! It fails when memory or descriptors grow after the first fifth, or when a run ends in another way than it should.

#![expect(clippy::print_stdout, reason = "a benchmark's output is for people")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, EventKind, Phase};
use wharf_tests::{Daemon, GROUP, Home, USER, machine};

/// By how much memory may grow after the first fifth: of what it was then, and at least so many bytes.
const GROWTH: f64 = 0.15;
const SLACK: f64 = 16e6;
/// The recipe says which run it is, so that no two are the same.
const RECIPE: &str = "print('done')\n";

struct Turn {
    runs: usize,
    bare: f64,
    library: f64,
    memory: u64,
    descriptors: usize,
    threads: u64,
}

fn main() {
    // Cargo's way to say that this is a benchmark and not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let runs = number("WHARF_SOAK_RUNS", 300);
    let (at_once, turn) = (number("WHARF_SOAK_AT_ONCE", 50), number("WHARF_SOAK_TURN", 100));
    let home = Home::demo();
    let daemon = home.daemon().clone();
    let runtime = Runtime::new().expect("a runtime can be made");
    let access = runtime
        .block_on(Access::open(&home.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let access = Arc::new(access);
    let explained = runtime.block_on(access.explain(activity())).unwrap_or_else(|fault| panic!("{fault}"));
    let mut bare = explained.object.unwrap_or_else(|| panic!("{:?}", explained.outcome));
    bare["Cmd"] = json!(["python3", "-u", "-c", RECIPE]);
    bare["Env"] = json!([]);
    bare["Labels"] = json!({});
    println!("{}\n", machine());
    println!("{runs} runs, {at_once} at once, in turns of {turn}.\n");
    println!("| runs | bare, runs/s | wharf, runs/s | of it | memory, MB | descriptors | threads |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut phases: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut done = 0;
    while done < runs {
        let count = turn.min(runs - done);
        // Each goes first as often as the other.
        let (bare_time, library_time) = if turns.len().is_multiple_of(2) {
            let bare_time = bare_loop(&daemon, &bare, count, at_once);
            (bare_time, library_loop(&runtime, &access, count, at_once, &mut phases))
        } else {
            let library_time = library_loop(&runtime, &access, count, at_once, &mut phases);
            (bare_loop(&daemon, &bare, count, at_once), library_time)
        };
        done += count;
        let turn = Turn {
            runs: done,
            bare: rate(count, bare_time),
            library: rate(count, library_time),
            memory: status("VmRSS:") << 10,
            descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            threads: status("Threads:"),
        };
        println!(
            "| {} | {:.2} | {:.2} | {:.0} % | {:.1} | {} | {} |",
            turn.runs,
            turn.bare,
            turn.library,
            turn.library / turn.bare * 100.0,
            as_f64(turn.memory) / 1e6,
            turn.descriptors,
            turn.threads
        );
        turns.push(turn);
    }
    let seconds = |of: fn(&Turn) -> f64| {
        let mut before = 0;
        turns.iter().fold(0.0, |sum, turn| {
            let count = turn.runs - std::mem::replace(&mut before, turn.runs);
            sum + as_f64(count as u64) / of(turn)
        })
    };
    let ratio = seconds(|turn| turn.bare) / seconds(|turn| turn.library);
    println!(
        "\nThroughput, whole: {ratio:.3} of the bare loop's\n\n| part of a run | median, ms | 90 %, ms |\n| --- | ---: | ---: |"
    );
    for (phase, times) in &mut phases {
        times.sort_unstable();
        println!("| {phase} | {} | {} |", times[times.len() / 2], times[times.len() * 9 / 10]);
    }
    let recorded = runtime.block_on(access.runs(u32::MAX)).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(recorded.len(), runs, "runs in the record");
    runtime.block_on(Arc::into_inner(access).expect("nobody else has it").shutdown());
    home.left_only(&[]);
    let fifth = &turns[turns.len() / 5];
    let last = &turns[turns.len() - 1];
    let grown = as_f64(last.memory) - as_f64(fifth.memory);
    assert!(
        grown < (as_f64(fifth.memory) * GROWTH).max(SLACK),
        "memory grows: {} bytes after {} runs, {} after {}",
        fifth.memory,
        fifth.runs,
        last.memory,
        last.runs
    );
    assert!(
        last.descriptors <= fifth.descriptors + 16,
        "descriptors grow: {} after {} runs, {} after {}",
        fifth.descriptors,
        fifth.runs,
        last.descriptors,
        last.runs
    );
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs and sizes of a process")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

fn rate(count: usize, time: Duration) -> f64 {
    as_f64(count as u64) / time.as_secs_f64()
}

/// A number of this process, as the kernel says it.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn activity() -> Activity {
    let requester = json!({ "user": USER, "groups": [GROUP] });
    serde_json::from_value(json!({ "kind": "python", "requester": requester, "code": RECIPE }))
        .expect("that is an activity")
}

fn bare_loop(daemon: &Daemon, object: &Value, count: usize, at_once: usize) -> Duration {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let created = daemon.must("POST", "/containers/create", Some(object));
                    let id = created["Id"].as_str().unwrap_or_default();
                    let _ = daemon.must("POST", &format!("/containers/{id}/start"), None);
                    let ended = daemon.must("POST", &format!("/containers/{id}/wait"), None);
                    assert_eq!(ended["StatusCode"], json!(0), "{ended}");
                    daemon.remove(id);
                }
            });
        }
    });
    started.elapsed()
}

fn library_loop(
    runtime: &Runtime,
    access: &Arc<Access>,
    count: usize,
    at_once: usize,
    phases: &mut BTreeMap<String, Vec<u64>>,
) -> Duration {
    let started = Instant::now();
    let runs: Vec<String> = runtime.block_on(
        stream::iter(0..count)
            .map(|_| {
                let access = Arc::clone(access);
                async move {
                    let run = access.submit(activity()).await.unwrap_or_else(|fault| panic!("{fault}"));
                    let outcome = access.wait(&run).await.unwrap_or_else(|fault| panic!("{fault}"));
                    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
                    run
                }
            })
            .buffer_unordered(at_once)
            .collect(),
    );
    let time = started.elapsed();
    for run in runs {
        let events = runtime.block_on(access.follow(&run, 0, false).collect::<Vec<_>>());
        let mut launched = 0;
        for event in events.into_iter().map(|event| event.unwrap()) {
            match event.kind {
                EventKind::PhaseEnded { phase, millis } => {
                    phases.entry(format!("{phase:?}").to_lowercase()).or_default().push(millis);
                    if phase == Phase::Launch {
                        launched = event.at;
                    }
                }
                EventKind::Log { line: 0, .. } => {
                    phases
                        .entry("of it until the first line".to_owned())
                        .or_default()
                        .push(event.at.saturating_sub(launched));
                }
                _ => {}
            }
        }
    }
    time
}
