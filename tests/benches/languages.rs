//! What a component costs in each language: the same policy in Rust, Python and JavaScript, a fresh instance for each decision, as
//! ratios to Rust and to the same logic as a native function.
//!
//! The guests are those of `tests/compatibility`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_components::{ComponentSet, Engine, EngineOptions, PolicyAnswer};
use wharf_model::image::ImageSpec;
use wharf_model::{Activity, ContentKey, ExecutionConfiguration, Job, Plan};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compatibility/0.1.0");
const ROUNDS: usize = 2_000;
const GUESTS: [&str; 3] = ["policy-rust", "policy-python", "policy-js"];

fn main() {
    // Only what `cargo bench` runs; a test run of all targets passes by.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let plan = plan();
    let native = median((0..ROUNDS).map(|_| timed(|| drop(black_box(in_rust(black_box(&plan)))))).collect());
    println!(
        "{:<16} {:>12} {:>12} {:>12} {:>12} {:>9} {:>9}",
        "", "compile", "from cache", "median", "99th", "to Rust", "to native"
    );
    println!("{:<16} {:>12} {:>12} {:>12}", "native function", "", "", shown(native));
    let mut rust = None;
    for guest in GUESTS {
        let folder = home.path().join(guest);
        fs::create_dir(&folder).expect("a new folder");
        let kept = Path::new(KEPT).join(guest).join(guest).with_extension("wasm.zst");
        let mut file = fs::File::create(folder.join("subject.wasm")).expect("a new file");
        zstd::stream::copy_decode(fs::File::open(kept).expect("the guest is kept"), &mut file).expect("it unpacks");
        let options = EngineOptions { cache_dir: Some(home.path().join("cache")), ..EngineOptions::default() };
        let engine = Engine::new(options).expect("an engine");
        let load = || {
            let set = ComponentSet::load(&engine, std::slice::from_ref(&folder));
            assert_eq!(set.failures(), []);
            set
        };
        let compile = timed(|| drop(load()));
        let cached = median((0..20).map(|_| timed(|| drop(black_box(load())))).collect());
        let set = load();
        let subject = set.policy("subject").expect("the guest is a policy");
        let mut calls = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let decision = runtime.block_on(subject.evaluate(&plan, Some("{}"), &[]));
            calls.push(started.elapsed());
            assert!(matches!(decision.answer, Ok(PolicyAnswer::Accept { .. })), "{:?}", decision.answer);
        }
        calls.sort_unstable();
        let (middle, last) = (calls[ROUNDS / 2], calls[ROUNDS * 99 / 100]);
        let ratio = |to: Duration| format!("{:.0}", middle.as_secs_f64() / to.as_secs_f64());
        println!(
            "{guest:<16} {:>12} {:>12} {:>12} {:>12} {:>9} {:>9}",
            shown(compile),
            shown(cached),
            shown(middle),
            shown(last),
            ratio(*rust.get_or_insert(middle)),
            ratio(native)
        );
    }
}

/// What the guests do.
fn in_rust(plan: &Plan) -> Option<String> {
    let user = &plan.requester.user;
    plan.security.privileged.then(|| format!("{user} may not run privileged containers"))
}

fn timed(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn shown(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}

fn plan() -> Plan {
    let activity: Activity = serde_json::from_value(json!({
        "kind": "python", "requester": { "user": "ana", "groups": ["analysts", "staff"] }, "project": "FLIGHTS",
        "labels": { "team": "a" }
    }))
    .expect("an activity");
    let configuration: ExecutionConfiguration = serde_json::from_value(json!({
        "name": "docker-local", "base_image": "base", "registry": null, "resources": { "memory": { "bytes": 1 } },
        "allowed_groups": ["analysts"], "checks": ["subject"], "workload_types": [], "security": {},
        "exchange": { "mode": "dial-back", "advertise": null }, "env": {}, "labels": {}, "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
    }))
    .expect("a configuration");
    let image: ImageSpec = serde_json::from_value(json!({
        "name": "base", "origin": { "from": "debian:bookworm-slim" }, "languages": [], "system_packages": [],
        "mirrors": {}, "extra_ca": [], "labels": {}, "made_by": "image-debian",
    }))
    .expect("an image");
    let job = Job { argv: vec!["python3".to_owned(), "recipe.py".to_owned()], ..Job::default() };
    let key = ContentKey::of([("bench", b"".as_slice())]);
    Plan::new("run-1", &activity, job, configuration, image, Some(key))
}
