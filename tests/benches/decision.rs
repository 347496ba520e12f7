//! What one decision costs: a fresh instance for each, against the same logic as a native function.
//!
//! The guest is a component of the tests that allows everybody; `WHARF_BENCH_PERMISSION` names another permission component.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_components::{ComponentSet, Engine, EngineOptions, Request};
use wharf_model::decision::{Limit, WhenFull};
use wharf_model::{Activity, ExecutionConfiguration, Judgement, UsageEntry};

const ROUNDS: usize = 5_000;
/// How many components a large site has.
const MANY: u8 = 50;

fn main() {
    // Only what `cargo bench` runs; a test run of all targets passes by.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("policies");
    fs::create_dir(&folder).expect("a new folder");
    let guest = std::env::var_os("WHARF_BENCH_PERMISSION").map(PathBuf::from);
    let guest = guest.unwrap_or_else(|| PathBuf::from(env!("WHARF_HOSTILE_PERMISSION")));
    fs::copy(guest, folder.join("subject.wasm")).expect("the guest is there");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cache_dir = home.path().join("cache");
    let cached = || EngineOptions { cache_dir: Some(cache_dir.clone()), ..EngineOptions::default() };

    println!("{:<44} {:>10} {:>10}", "", "median", "99th");
    let engine = Engine::new(cached()).expect("an engine");
    let started = Instant::now();
    let set = load(&engine, &folder);
    row("load, compiling", &mut [started.elapsed()]);
    let mut loads: Vec<_> = (0..50).map(|_| timed(|| drop(black_box(load(&engine, &folder))))).collect();
    row("load, from the cache", &mut loads);
    std::thread::sleep(Duration::from_millis(100));
    let _ = set.reload();
    let mut reloads: Vec<_> = (0..ROUNDS).map(|_| timed(|| assert!(set.reload().is_none()))).collect();
    row("reload, nothing changed", &mut reloads);
    let (mut settings, mut components) = (Vec::new(), Vec::new());
    let guests = [env!("WHARF_HOSTILE_PERMISSION"), env!("WHARF_HOSTILE_PERMISSION_CLOCK")];
    let mut set = set;
    for round in 0..50 {
        replace(&folder.join("subject.toml"), format!("order = {round}\ngrants.clock = true").as_bytes());
        settings.push(timed(|| set = set.reload().expect("the settings changed")));
        let guest = fs::read(guests[(round + 1) % 2]).expect("the guest is there");
        replace(&folder.join("subject.wasm"), &guest);
        components.push(timed(|| set = set.reload().expect("the component changed")));
        assert!(set.held_back().is_none(), "{:?}", set.failures());
    }
    row("reload, settings changed", &mut settings);
    row("reload, component changed, from the cache", &mut components[2..]);

    many(&home.path().join("many"), &fs::read(folder.join("subject.wasm")).expect("it is there"));

    let activity = activity();
    let configuration = configuration();
    let request = Request::of_activity("run-1", &activity, &configuration);
    let usage = [UsageEntry { user: "ana".into(), configuration: "c".into(), running: 2, cpus: 0, memory: 0 }];
    let mut native: Vec<_> = (0..ROUNDS).map(|_| timed(|| drop(black_box(in_rust(&request, &usage))))).collect();
    let native = row("decision, native function", &mut native);
    let mut fresh = Duration::ZERO;
    for (name, signals_based_traps) in
        [("decision, fresh instance", true), ("decision, fresh instance, no signals", false)]
    {
        let engine = Engine::new(EngineOptions { signals_based_traps, ..cached() }).expect("an engine");
        let set = load(&engine, &folder);
        let subject = set.permission("subject").expect("the guest is a permission component");
        let mut calls = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let decision = runtime.block_on(subject.check(&request, &usage));
            calls.push(started.elapsed());
            assert!(!matches!(decision.judgement, Judgement::Error { .. }), "{decision:?}");
        }
        let median = row(name, &mut calls);
        if signals_based_traps {
            fresh = median;
        }
    }
    let subject = set.permission("subject").expect("the guest is a permission component");
    let reused = runtime.block_on(subject.check_in_one_instance(&request, &usage, ROUNDS)).expect("it answers");
    let reused = row("decision, one instance for all", &mut [reused / u32::try_from(ROUNDS).expect("a few")]);
    let times = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(1e-9);
    println!("a fresh instance takes {:.1} times as long as a reused one", times(fresh, reused));
    println!("and {:.1} times as long as the native function", times(fresh, native));
}

/// A host's start with many components, with and without the compiled cache, and what each of them takes of memory.
fn many(home: &Path, guest: &[u8]) {
    let folder = home.join("policies");
    fs::create_dir_all(&folder).expect("a new folder");
    for number in 0..MANY {
        // A custom section of its own makes each another file: its number after its one-letter name.
        let mut bytes = guest.to_vec();
        bytes.extend([0, 3, 1, b'n', number]);
        fs::write(folder.join(format!("c{number:02}.wasm")), bytes).expect("it can be written");
    }
    let start = || {
        let options = EngineOptions { cache_dir: Some(home.join("cache")), ..EngineOptions::default() };
        let engine = Engine::new(options).expect("an engine");
        let before = resident();
        let started = Instant::now();
        let set = load(&engine, &folder);
        let took = started.elapsed();
        assert_eq!(set.components().len(), usize::from(MANY));
        (took, resident().saturating_sub(before))
    };
    let (cold, _) = start();
    let (warm, grown) = start();
    row("start with 50 components, compiling", &mut [cold]);
    row("start with 50 components, from the cache", &mut [warm]);
    println!("the cache makes that {:.1} times as fast", cold.as_secs_f64() / warm.as_secs_f64());
    println!("memory of a loaded component, from the cache: {} KiB", grown / u64::from(MANY) / 1024);
}

/// What this process has in memory now, in bytes.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}

fn load(engine: &Engine, folder: &Path) -> ComponentSet {
    let set = ComponentSet::load(engine, &[folder.to_owned()]);
    assert_eq!(set.failures(), []);
    set
}

/// What the guest does.
fn in_rust(request: &Request<'_>, usage: &[UsageEntry]) -> Judgement {
    let limit = Limit {
        scope: format!("user:{}", request.requester.user),
        counter: "running".to_owned(),
        maximum: usage.iter().map(|entry| u64::from(entry.running)).sum::<u64>() + 1,
        when_full: WhenFull::Wait,
    };
    Judgement::Accept { changes: Vec::new(), limits: vec![limit], warnings: Vec::new() }
}

/// As an administrator should: written beside it, then renamed.
fn replace(file: &Path, bytes: &[u8]) {
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, bytes).expect("a file");
    fs::rename(fresh, file).expect("the same folder");
}

fn timed(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
}

/// Prints a line, and gives the median.
fn row(name: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    println!("{name:<44} {:>10} {:>10}", micros(times[times.len() / 2]), micros(times[times.len() * 99 / 100]));
    times[times.len() / 2]
}

fn activity() -> Activity {
    serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts", "staff"] }, "project": "FLIGHTS",
        "labels": { "team": "a" }
    }))
    .expect("an activity")
}

fn configuration() -> ExecutionConfiguration {
    serde_json::from_value(json!({
        "name": "docker-local", "base_image": "base", "registry": null, "resources": { "memory": { "bytes": 1 } },
        "allowed_groups": ["analysts"], "checks": ["subject"], "workload_types": [], "security": {},
        "exchange": { "mode": "dial-back", "advertise": null }, "env": {}, "labels": {}, "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
    }))
    .expect("a configuration")
}
