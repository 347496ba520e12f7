//! How pods end: each with its sentence, and nothing left behind.

use std::time::Instant;

use rustix::process::Signal;
use wharf_model::{Cause, EventKind, Outcome};
use wharf_tests::{Cluster, Home, Registry, Started};

use crate::{home, there};

/// Says that it is up, and stays.
const STAYS: &str = "import time\nprint('up', flush=True)\ntime.sleep(600)";

/// A run that is up.
fn up(home: &Home, more: &[&str]) -> (Started, String) {
    let mut run = home.start(home.python(STAYS, &there(more)));
    let id = run.until_log("up");
    (run, id)
}

fn is(end: &Outcome, cause: Cause, says: &[&str]) {
    assert_eq!(end.cause, cause, "{}", end.sentence);
    for text in says {
        assert!(end.sentence.contains(text), "{:?} isn't in: {}", text, end.sentence);
    }
    assert!(cause == Cause::Stopped || end.advice.is_some(), "no advice: {}", end.sentence);
}

/// A configuration that waits for nothing.
fn impatient(home: &Home) {
    home.replace(
        "configs/k8s-local.toml",
        "[permissions]",
        "[patience]\nunschedulable = \"5s\"\nimage_pull = \"5s\"\nquota = \"5s\"\napi = \"30s\"\n\n[permissions]",
    );
}

fn pod(cluster: &Cluster, home: &Home) -> String {
    cluster.wait_for("pods", home, |pod| pod["status"]["phase"] == "Running")
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn somebody_stops_it() {
    let (cluster, home) = home();
    let hears = "import signal, sys, time\n\
                 def heard(*_):\n    print('heard', flush=True)\n    sys.exit(3)\n\
                 signal.signal(signal.SIGTERM, heard)\nprint('up', flush=True)\ntime.sleep(600)";
    let mut run = home.start(home.python(hears, &there(&[])));
    run.until_log("up");
    run.signal(Signal::INT);
    let run = run.finish().exits(13);
    is(&run.outcome(), Cause::Stopped, &["stopped by"]);
    assert!(run.log().iter().any(|(_, line)| line == "heard"), "the recipe hears SIGTERM: {run}");
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn somebody_deletes_its_pod_or_its_job() {
    let (cluster, home) = home();
    let (run, _) = up(&home, &[]);
    let _ = cluster.admin(&["delete", "pod", &pod(&cluster, &home), "--grace-period=1", "--wait=false"]);
    is(&run.finish().exits(22).outcome(), Cause::Lost, &["deleted its pod"]);
    let (run, _) = up(&home, &[]);
    let job = cluster.wait_for("jobs", &home, |_| true);
    let _ = cluster.admin(&["delete", "job", &job, "--wait=false"]);
    is(&run.finish().exits(22).outcome(), Cause::Lost, &["deleted its Job"]);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn its_node_runs_out_of_its_disk() {
    let (cluster, home) = home();
    let fills = "import time\nprint('up', flush=True)\n\
                 with open('/tmp/x', 'wb') as file:\n    [file.write(bytes(1 << 20)) for _ in range(60)]\ntime.sleep(600)";
    let more = there(&["--resource", "limits.ephemeral-storage=20Mi"]);
    let end = home.run_python(fills, &more).exits(24).outcome();
    is(&end, Cause::Evicted, &["storage"]);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn no_node_can_take_it() {
    let (cluster, home) = home();
    impatient(&home);
    home.replace("configs/k8s-local.toml", "[permissions]", "[node_selector]\nno = \"such-node\"\n\n[permissions]");
    let run = home.run_python("print(1)", &there(&[])).exits(24);
    is(&run.outcome(), Cause::Unschedulable, &["0/1 nodes are available"]);
    let told = run.events().into_iter().any(
        |event| matches!(&event.kind, EventKind::Progress { text, .. } if text.contains("0/1 nodes are available")),
    );
    assert!(told, "the user hears of it meanwhile: {run}");
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn it_is_stopped_while_it_is_pending() {
    let (cluster, home) = home();
    home.replace("configs/k8s-local.toml", "[permissions]", "[node_selector]\nno = \"such-node\"\n\n[permissions]");
    let run = home.start(home.python("print(1)", &there(&[])));
    cluster.wait_for("pods", &home, |pod| pod["status"]["phase"] == "Pending");
    let asked = Instant::now();
    run.signal(Signal::INT);
    is(&run.finish().exits(13).outcome(), Cause::Stopped, &["stopped by"]);
    assert!(asked.elapsed().as_secs() < 30, "it took {:?}", asked.elapsed());
    cluster.nothing_left(&home);

    // And a pod that is deleted by somebody else meanwhile.
    let run = home.start(home.python("print(1)", &there(&[])));
    let name = cluster.wait_for("pods", &home, |pod| pod["status"]["phase"] == "Pending");
    let _ = cluster.admin(&["delete", "pod", &name, "--wait=false"]);
    is(&run.finish().exits(22).outcome(), Cause::Lost, &["deleted its pod", "before"]);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn its_registry_has_lost_the_image() {
    let (cluster, home) = home();
    impatient(&home);
    let registry = Registry::start();
    home.replace("configs/k8s-local.toml", &cluster.registry, &format!("{}/lost", registry.address()));
    // Pushed, and pulled by nobody.
    home.replace("configs/k8s-local.toml", "[permissions]", "[node_selector]\nno = \"such-node\"\n\n[permissions]");
    is(&home.run_python("print(1)", &there(&[])).exits(24).outcome(), Cause::Unschedulable, &[]);
    registry.lose_everything();
    home.replace("configs/k8s-local.toml", "[node_selector]\nno = \"such-node\"\n", "");
    let end = home.run_python("print(1)", &there(&[])).exits(21).outcome();
    is(&end, Cause::ImageMissing, &["/lost/wharf-run/python-r@sha256:", "not found"]);
    // It was believed to be there once too often, and isn't any more: it is pushed again.
    let _ = home.run_python("print(1)", &there(&[])).exits(0);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_quota_is_full() {
    let (cluster, home) = home();
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: tests-few-jobs}\nspec: {hard: {count/jobs.batch: '0'}}\n";
    impatient(&home);
    cluster.apply(quota);
    let end = std::panic::catch_unwind(|| {
        let waited = home.run_python("print(1)", &there(&[]));
        home.replace("configs/k8s-local.toml", "base_image", "when_quota_full = \"fail\"\nbase_image");
        (waited, home.run_python("print(1)", &there(&[])))
    });
    let _ = cluster.admin(&["delete", "resourcequota", "tests-few-jobs"]);
    let (waited, failed) = end.expect("two runs that end");
    for run in [waited, failed] {
        is(&run.exits(24).outcome(), Cause::QuotaExceeded, &["tests-few-jobs", "count/jobs.batch"]);
    }
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_right_is_missing() {
    let (_, home) = home();
    home.replace("configs/k8s-local.toml", "namespace = ", "namespace = \"default\" # ");
    let end = home.run_python("print(1)", &there(&[])).exits(23).outcome();
    is(&end, Cause::Forbidden, &["create", "jobs", "default"]);
    assert!(end.advice.as_ref().is_some_and(|advice| advice.contains("verbs")), "{end:?}");
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn the_namespace_refuses_what_is_not_restricted() {
    let (cluster, home) = home();
    home.opens_containers();
    home.replace("configs/k8s-local.toml", "[permissions]", "[security]\nuser = \"0:0\"\n\n[permissions]");
    impatient(&home);
    let end = home.run_python("print(1)", &there(&[])).outcome();
    assert!(end.sentence.contains("restricted") || end.sentence.contains("runAsNonRoot"), "{}", end.sentence);
    assert_eq!(end.cause, Cause::EngineRefused, "{}", end.sentence);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn nobody_is_there_and_credentials_are_wrong() {
    let (_, home) = home();
    impatient(&home);
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
                      clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: a, user: {token: x}}]\n";
    home.write("kubeconfig", kubeconfig);
    home.replace("configs/k8s-local.toml", "kubeconfig = ", "kubeconfig = \"kubeconfig\" # ");
    home.replace("configs/k8s-local.toml", "context = ", "context = \"a\" # ");
    let end = home.run_python("print(1)", &there(&[])).exits(20).outcome();
    is(&end, Cause::EngineUnreachable, &["127.0.0.1:1"]);

    let (cluster, home) = crate::home();
    let text = std::fs::read_to_string(&cluster.kubeconfig).expect("the kubeconfig");
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server").to_owned();
    let stale = kubeconfig.replace("'https://127.0.0.1:1'", &format!("'{server}', insecure-skip-tls-verify: true"));
    home.write("kubeconfig", stale);
    home.replace("configs/k8s-local.toml", "kubeconfig = ", "kubeconfig = \"kubeconfig\" # ");
    home.replace("configs/k8s-local.toml", "context = ", "context = \"a\" # ");
    let end = home.run_python("print(1)", &there(&[])).exits(23).outcome();
    is(&end, Cause::Forbidden, &["nauthorized"]);
}
