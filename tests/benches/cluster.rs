//! What a run on a cluster costs over what the cluster itself costs: `cargo bench -p wharf-tests --bench cluster`.
//!
//! Three ways to run an empty Python recipe in the same image, on the node already, with the same limits and security, one after
//! the other in each round so that whatever else the machine does hits them alike:
//! - `kubectl create -f` of a Job, and `kubectl wait` for it;
//! - `wharf run`, which opens and closes a home each time;
//! - the library in this process, with its home kept open.
//!
//! The cluster is that of `WHARF_TEST_KUBECONFIG`, as for the tests.

#![expect(clippy::print_stdout, reason = "a benchmark's output is for people")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, EventKind};
use wharf_tests::{Cluster, GROUP, Home, USER};

const ROUNDS: usize = 15;
/// Rounds before, which aren't counted: the node has the image then.
const WARM_UP: usize = 2;
const RECIPE: &str = "pass\n";
const CONFIGURATION: [&str; 2] = ["--config", "k8s-local"];

fn main() {
    // Cargo's way to say that this is a benchmark and not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let cluster = Cluster::of_environment();
    let (calls, kept) = (Home::on_cluster(&cluster), Home::on_cluster(&cluster));
    let runtime = Runtime::new().expect("a runtime can be made");
    let access = runtime
        .block_on(Access::open(&kept.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let object = job_of(&cluster, &calls);
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut details: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for round in 0..WARM_UP + ROUNDS {
        let mut note = |name, time| {
            if round >= WARM_UP {
                times.entry(name).or_default().push(time);
            }
        };
        let name = format!("wharf-bench-{}-{round}", std::process::id());
        let manifest = bare_job(&object, &name).to_string();
        note("kubectl", timed(|| kubectl_run(&cluster, &name, &manifest)));
        let _ = cluster.admin(&["delete", "job", &name, "--wait=false"]);
        note(
            "wharf run",
            timed(|| {
                let _ = calls.run_python(RECIPE, &CONFIGURATION).exits(0);
            }),
        );
        let mut parts = Vec::new();
        note("library", timed(|| parts = runtime.block_on(library_run(&access))));
        if round >= WARM_UP {
            for (name, time) in parts {
                details.entry(name).or_default().push(time);
            }
        }
    }
    runtime.block_on(access.shutdown());
    println!("An empty Python recipe on a cluster, {ROUNDS} rounds, milliseconds.\n");
    println!("| way | median | least | ratio to kubectl |\n| --- | ---: | ---: | ---: |");
    let base = times.get("kubectl").map(|times| median(&mut times.clone()).as_secs_f64()).unwrap_or_default();
    for (name, times) in &mut times {
        let middle = median(times);
        println!("| {name} | {} | {} | {:.2} |", millis(middle), millis(times[0]), middle.as_secs_f64() / base);
    }
    println!("\n| phase of the library's run | median |\n| --- | ---: |");
    for (name, times) in &mut details {
        println!("| {name} | {} |", millis(median(times)));
    }
}

fn activity() -> Activity {
    let requester = json!({ "user": USER, "groups": [GROUP] });
    let value = json!({ "kind": "python", "requester": requester, "code": RECIPE, "configuration": CONFIGURATION[1] });
    serde_json::from_value(value).expect("that is an activity")
}

/// The Job of a run, as the cluster has it: with its image by digest.
fn job_of(cluster: &Cluster, home: &Home) -> Value {
    let run = home.start(home.python("import time\ntime.sleep(600)", &CONFIGURATION));
    let _ = cluster.wait_for("pods", home, |pod| pod["status"]["phase"] == "Running");
    let job = cluster.objects("jobs", home).pop().expect("a run has a Job");
    run.signal(Signal::INT);
    let _ = run.finish().exits(13);
    job
}

/// The Job that wharf creates, with the recipe's command instead of the runner, and nothing that makes it one of ours.
fn bare_job(object: &Value, name: &str) -> Value {
    let mut job = object.clone();
    job["metadata"] = json!({ "name": name });
    job["status"] = json!({});
    // Kubernetes chooses another one.
    job["spec"]["selector"] = Value::Null;
    let template = &mut job["spec"]["template"];
    template["metadata"] = json!({});
    let container = &mut template["spec"]["containers"][0];
    container["command"] = json!(["python3", "-u", "-c", RECIPE]);
    container["env"] = json!([]);
    job
}

fn kubectl_run(cluster: &Cluster, name: &str, manifest: &str) {
    cluster.create(manifest);
    let job = format!("job/{name}");
    let _ = cluster.admin(&["wait", "--for=condition=complete", "--timeout=120s", &job]);
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Runs it through the library. Returns how long each phase took.
async fn library_run(access: &Access) -> Vec<(String, Duration)> {
    let run = access.submit(activity()).await.unwrap_or_else(|fault| panic!("{fault}"));
    let outcome = access.wait(&run).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
    let mut parts = Vec::new();
    let mut events = access.follow(&run, 0, false);
    while let Some(Ok(event)) = events.next().await {
        if let EventKind::PhaseEnded { phase, millis } = event.kind {
            parts.push((format!("{phase:?}").to_lowercase(), Duration::from_millis(millis)));
        }
    }
    parts
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1000.0)
}
