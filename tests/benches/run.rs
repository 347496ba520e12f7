//! What a run costs over what Docker itself costs: `cargo bench -p wharf-tests --bench run`.
//!
//! Four ways to run an empty Python recipe in the same image, with the same command, user and limits, one after the other in
//! each round so that whatever else the machine does hits them alike:
//! - `docker run --rm`;
//! - `wharf run`, which opens and closes a home each time;
//! - the bare calls of Docker's API: create, start, wait, remove;
//! - the library in this process, with its home kept open.

#![expect(clippy::print_stdout, reason = "a benchmark's output is for people")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, EventKind};
use wharf_tests::{Daemon, GROUP, Home, Proxy, USER};

const ROUNDS: usize = 15;
/// Rounds before, which aren't counted: compiled components and the kernel's caches are warm then.
const WARM_UP: usize = 2;
const RECIPE: &str = "pass\n";

fn main() {
    // Cargo's way to say that this is a benchmark and not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (calls, kept) = (Home::demo(), Home::demo());
    let daemon = calls.daemon().clone();
    let runtime = Runtime::new().expect("a runtime can be made");
    let access = runtime
        .block_on(Access::open(&kept.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let explained = runtime
        .block_on(access.explain(activity()))
        .unwrap_or_else(|fault| panic!("the activity can't be explained: {fault}"));
    let object = explained.object.unwrap_or_else(|| panic!("{:?}", explained.outcome));
    let image = object["Image"].as_str().expect("an object has an image").to_owned();
    let bare = bare_object(&object);
    let docker = docker_is_here(&daemon);

    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut details: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for round in 0..WARM_UP + ROUNDS {
        let mut note = |name, time| {
            if round >= WARM_UP {
                times.entry(name).or_default().push(time);
            }
        };
        if docker {
            note("docker run --rm", timed(|| docker_run(&daemon, &image)));
        }
        note(
            "wharf run",
            timed(|| {
                let _ = calls.run_python(RECIPE, &[]).exits(0);
            }),
        );
        note("API calls", timed(|| api_run(&daemon, &bare)));
        let mut parts = Vec::new();
        note("library", timed(|| parts = runtime.block_on(library_run(&access))));
        if round >= WARM_UP {
            for (name, time) in parts {
                details.entry(name).or_default().push(time);
            }
        }
    }
    runtime.block_on(access.shutdown());
    let at_once = at_once(&runtime, &daemon, &bare);
    let asked = asked_of_the_daemon(&runtime, &daemon);

    println!("An empty Python recipe, {ROUNDS} rounds, milliseconds.\n");
    println!("| way | median | 90 % |\n| --- | ---: | ---: |");
    for (name, times) in &mut times {
        println!("| {name} | {} | {} |", millis(median(times)), millis(ninety(times)));
    }
    let of = |name: &str| times.get(name).map(|times| median(&mut times.clone()));
    let compare = |name: &str, base: &str| {
        if let (Some(time), Some(base_time)) = (of(name), of(base)) {
            let more = (time.as_secs_f64() - base_time.as_secs_f64()) * 1000.0;
            println!("{name} / {base}: {:.2} ({more:+.1} ms)", time.as_secs_f64() / base_time.as_secs_f64());
        }
    };
    println!();
    compare("wharf run", if docker { "docker run --rm" } else { "API calls" });
    compare("library", "API calls");
    println!("\n| part of the library's run | median |\n| --- | ---: |");
    for (name, times) in &mut details {
        println!("| {name} | {} |", millis(median(times)));
    }
    println!("\n| runs at once | API calls, runs/s | library, runs/s | of it |\n| ---: | ---: | ---: | ---: |");
    for (runs, calls, library) in at_once {
        println!("| {runs} | {calls:.2} | {library:.2} | {:.0} % |", library / calls * 100.0);
    }
    println!("\nWhat the library asks of the daemon for one run:\n");
    for request in asked {
        println!("- {request}");
    }
}

/// How many runs a second finish when so many go on at once: bare calls, and the library.
fn at_once(runtime: &Runtime, daemon: &Daemon, bare: &Value) -> Vec<(usize, f64, f64)> {
    let home = Home::demo();
    let access = runtime
        .block_on(Access::open(&home.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let rate = |runs: usize, time: Duration| {
        #[expect(clippy::cast_precision_loss, reason = "some dozens")]
        let runs = runs as f64;
        runs / time.as_secs_f64()
    };
    let _ = runtime.block_on(library_run(&access));
    let rates = [1, 4, 16, 64].map(|at_once| {
        let (mut calls, mut library) = (Duration::ZERO, Duration::ZERO);
        // In turns, so that whatever else the machine does hits both alike.
        let turns = (16 / at_once).max(2);
        for _ in 0..turns {
            calls += timed(|| {
                std::thread::scope(|scope| {
                    for _ in 0..at_once {
                        scope.spawn(|| api_run(daemon, bare));
                    }
                });
            });
            library += timed(|| {
                let _ = runtime.block_on(futures_util::future::join_all((0..at_once).map(|_| library_run(&access))));
            });
        }
        (at_once, rate(at_once * turns, calls), rate(at_once * turns, library))
    });
    runtime.block_on(access.shutdown());
    rates.to_vec()
}

/// The requests of one run, once a home is warm.
fn asked_of_the_daemon(runtime: &Runtime, daemon: &Daemon) -> Vec<String> {
    let proxy = Proxy::unix(daemon.socket());
    let home = Home::demo();
    home.replace("configs/docker-local.toml", &daemon.address(), &proxy.address());
    let access = runtime
        .block_on(Access::open(&home.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let _ = runtime.block_on(library_run(&access));
    let before = proxy.requests("", "").len();
    let _ = runtime.block_on(library_run(&access));
    runtime.block_on(access.shutdown());
    let id = |path: &str| {
        path.split('/').map(|part| if part.len() >= 60 { "ID" } else { part }).collect::<Vec<_>>().join("/")
    };
    proxy.requests("", "")[before..].iter().map(|request| format!("{} {}", request.method, id(&request.path))).collect()
}

fn activity() -> Activity {
    let requester = json!({ "user": USER, "groups": [GROUP] });
    serde_json::from_value(json!({ "kind": "python", "requester": requester, "code": RECIPE }))
        .expect("that is an activity")
}

/// What the daemon is asked to create for the comparison: what wharf would create, with the recipe's command instead of the
/// runner.
fn bare_object(object: &Value) -> Value {
    let mut bare = object.clone();
    bare["Cmd"] = json!(["python3", "-u", "-c", RECIPE]);
    bare["Env"] = json!([]);
    bare["Labels"] = json!({});
    bare
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn docker_is_here(daemon: &Daemon) -> bool {
    let mut docker = Command::new("docker");
    docker.args(["--host", &daemon.address(), "version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let here = docker.status().is_ok_and(|status| status.success());
    if !here {
        println!("There is no docker command here: the comparison is with the API calls alone.\n");
    }
    here
}

fn docker_run(daemon: &Daemon, image: &str) {
    let address = daemon.address();
    let mut docker = Command::new("docker");
    docker.args(["--host", &address, "run", "--rm", "--user", "1000:1000", "--cap-drop", "ALL"]);
    docker.args(["--security-opt", "no-new-privileges", "--cpus", "1", "--memory", "2g", "--memory-swap", "2g"]);
    docker.args(["--pids-limit", "512", image, "python3", "-u", "-c", RECIPE]);
    let output = docker.stdin(Stdio::null()).output().expect("docker can be started");
    assert!(output.status.success(), "docker run failed: {}", String::from_utf8_lossy(&output.stderr));
}

fn api_run(daemon: &Daemon, object: &Value) {
    let created = daemon.must("POST", "/containers/create", Some(object));
    let id = created["Id"].as_str().unwrap_or_default();
    let _ = daemon.must("POST", &format!("/containers/{id}/start"), None);
    let ended = daemon.must("POST", &format!("/containers/{id}/wait"), None);
    assert_eq!(ended["StatusCode"], json!(0), "{ended}");
    daemon.remove(id);
}

/// Runs it through the library. Returns how long each phase took, and what each component took of it.
async fn library_run(access: &Access) -> Vec<(String, Duration)> {
    let run = access.submit(activity()).await.unwrap_or_else(|fault| panic!("{fault}"));
    let outcome = access.wait(&run).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
    let mut parts = Vec::new();
    let mut events = access.follow(&run, 0, false);
    while let Some(Ok(event)) = events.next().await {
        match event.kind {
            EventKind::PhaseEnded { phase, millis } => {
                parts.push((format!("phase {phase:?}").to_lowercase(), Duration::from_millis(millis)));
            }
            EventKind::Decision(decision) => {
                parts.push((format!("component {}", decision.component), Duration::from_micros(decision.micros)));
            }
            _ => {}
        }
    }
    parts
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ninety(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 9).div_ceil(10) - 1]
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
