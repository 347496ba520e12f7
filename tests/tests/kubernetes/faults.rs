//! What a cluster does to a run in the middle: it ends with its sentence or goes on, nothing runs twice, nothing is left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf_model::Cause;
use wharf_tests::{Cluster, Home, Proxy};

use crate::webhook::Webhook;
use crate::{home, there};

/// Counts for about 8 s.
const COUNTS: &str = "import time\nfor n in range(80): print('line', n, flush=True); time.sleep(0.1)\n";

/// Sends a home's requests to the API server through a proxy.
fn through_proxy(cluster: &Cluster, home: &Home, kubeconfig: &str) -> Proxy {
    let server = cluster.server();
    let address = server.trim_start_matches("https://").parse().expect("the test's API server has an address");
    let proxy = Proxy::tcp(([127, 0, 0, 1], 0).into(), address);
    home.write("kubeconfig", kubeconfig.replace(&server, &format!("https://127.0.0.1:{}", proxy.port())));
    home.replace("configs/k8s-local.toml", "kubeconfig = ", "kubeconfig = \"kubeconfig\" # ");
    proxy
}

/// How many pods were created for a run: events outlive their objects.
fn pods_of(cluster: &Cluster, run: &str) -> u64 {
    let events = cluster.admin(&["get", "events", "-o", "json", "--field-selector", "reason=SuccessfulCreate"]);
    let events: serde_json::Value = serde_json::from_str(&events).expect("JSON");
    let made = events["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["involvedObject"]["name"].as_str().is_some_and(|name| name.contains(&run[..12])));
    made.map(|event| event["count"].as_u64().unwrap_or(1)).sum()
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_watch_that_is_cut_every_second_loses_nothing() {
    let (cluster, home) = home();
    let kubeconfig = std::fs::read_to_string(&cluster.kubeconfig).expect("the kubeconfig");
    let proxy = through_proxy(&cluster, &home, &kubeconfig);
    let over = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(1));
                proxy.cut();
            }
        });
        let run = home.run_python(COUNTS, &there(&[]));
        over.store(true, Ordering::Relaxed);
        run
    });
    let run = run.exits(0);
    assert_eq!(run.log().len(), 80, "{run}");
    assert!(proxy.connections() > 8, "{} connections: nothing was cut", proxy.connections());
    assert_eq!(pods_of(&cluster, &run.run()), 1);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_right_and_a_token_that_go_in_the_middle_may_come_back() {
    let (cluster, home) = home();
    let account = format!("wharf-tests-{}", std::process::id());
    let role = home.call(["cluster", "role", "k8s-local", "--service-account", &account]).exits(0).stdout;
    cluster.apply(&role);
    let kubeconfig = || {
        let token = cluster.admin(&["create", "token", &account]);
        let server = cluster.server();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
             clusters: [{{name: a, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: a, user: {{token: '{}'}}}}]\n",
            token.trim()
        )
    };
    home.replace("configs/k8s-local.toml", "context = ", "context = \"a\" # ");
    let proxy = through_proxy(&cluster, &home, &kubeconfig());
    let through = |text: String| text.replace(&cluster.server(), &format!("https://127.0.0.1:{}", proxy.port()));

    let counts = COUNTS.replace("80", "160");
    // A right is taken away, and given back.
    let mut run = home.start(home.python(&counts, &there(&[])));
    run.until_log("line 5");
    let _ = cluster.admin(&["delete", "rolebinding", &format!("wharf-{account}")]);
    proxy.cut();
    run.until_log("line 40");
    cluster.apply(&role);
    let run = run.finish().exits(0);
    assert_eq!(run.log().len(), 160, "{run}");
    // What could not be removed without the right is removed by the next call.
    let _ = home.call(["--json", "runs"]).exits(0);
    cluster.nothing_left(&home);

    // The token is good for nothing any more; a new one is written where the old one was.
    let mut run = home.start(home.python(&counts, &there(&[])));
    run.until_log("line 5");
    let _ = cluster.admin(&["delete", "serviceaccount", &account]);
    proxy.cut();
    run.until_log("line 40");
    cluster.apply(&role);
    home.write("kubeconfig", through(kubeconfig()));
    let run = run.finish().exits(0);
    assert_eq!(run.log().len(), 160, "{run}");
    assert_eq!(pods_of(&cluster, &run.run()), 1);
    let _ = home.call(["--json", "runs"]).exits(0);
    cluster.nothing_left(&home);
    let role = format!("wharf-{account}");
    let _ = cluster.admin(&["delete", "serviceaccount", &account]);
    let _ = cluster.admin(&["delete", "role,rolebinding", &role]);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_queue_keeps_a_run_back_for_as_long_as_it_wants() {
    let (cluster, home) = home();
    // What a run may wait that no queue keeps back: 20 s in all, less than this one does.
    home.replace(
        "configs/k8s-local.toml",
        "[permissions]",
        "[patience]\nunschedulable = \"2s\"\nimage_pull = \"2s\"\nquota = \"1s\"\n\n[permissions]",
    );
    home.replace("configs/k8s-local.toml", "base_image", "queue = \"analysts\"\nbase_image");
    let site = std::fs::read_to_string(home.path().join("wharf.toml")).expect("the site's file");
    home.write("wharf.toml", format!("{site}\n[runs]\nstart_timeout = \"15s\"\n"));
    let queued = |home: &Home| {
        cluster.wait_for("jobs", home, |job| {
            job["spec"]["suspend"] == true && job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "analysts"
        })
    };
    let mut run = home.start(home.python("print('up', flush=True)", &there(&["--timeout", "9s"])));
    let job = queued(&home);
    std::thread::sleep(Duration::from_secs(22));
    assert!(cluster.objects("pods", &home).is_empty(), "a suspended Job has no pod");
    // As Kueue does it.
    let _ = cluster.admin(&["patch", "job", &job, "--type=merge", "-p", "{\"spec\":{\"suspend\":false}}"]);
    let _ = run.until_log("up");
    let end = run.finish().exits(0).outcome();
    assert_eq!(
        end.cause,
        Cause::Succeeded,
        "neither silence nor the time limit counts while it waits: {}",
        end.sentence
    );
    cluster.nothing_left(&home);

    let run = home.start(home.python("print(1)", &there(&[])));
    let _ = queued(&home);
    let asked = Instant::now();
    run.signal(Signal::INT);
    let end = run.finish().exits(13).outcome();
    assert_eq!(end.cause, Cause::Stopped, "{}", end.sentence);
    assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn an_admission_webhook_refuses_its_pod_or_does_not_answer() {
    let (cluster, home) = home();
    home.replace("configs/k8s-local.toml", "[permissions]", "[patience]\nunschedulable = \"3s\"\n\n[permissions]");
    let _ = home.call(["--json", "runs"]).exits(0);
    let refuses = Webhook::refusing(&cluster, &home, "pods", "no pods on Mondays");
    let end = home.run_python("print(1)", &there(&[])).exits(23).outcome();
    assert_eq!(end.cause, Cause::EngineRefused, "{}", end.sentence);
    for said in ["no pods on Mondays", refuses.name()] {
        assert!(end.sentence.contains(said), "{said}: {}", end.sentence);
    }
    drop(refuses);
    let refuses = Webhook::refusing(&cluster, &home, "jobs", "nor jobs");
    let end = home.run_python("print(1)", &there(&[])).exits(23).outcome();
    assert!(end.cause == Cause::EngineRefused && end.sentence.contains("nor jobs"), "{}", end.sentence);
    drop(refuses);
    let away = Webhook::silent(&cluster, &home, "pods", 1);
    let end = home.run_python("print(1)", &there(&[])).exits(23).outcome();
    assert!(end.sentence.contains("doesn't answer") && end.sentence.contains(away.name()), "{}", end.sentence);
    drop(away);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_host_killed_between_a_job_and_its_ticket_makes_another_one() {
    let (cluster, home) = home();
    let _ = home.call(["--json", "runs"]).exits(0);
    let holds = Webhook::silent(&cluster, &home, "secrets", 25);
    let first = home.start(home.python("print('once')", &there(&[])));
    let _ = cluster.wait_for("pods", &home, |_| true);
    first.signal(Signal::KILL);
    let first = first.finish();
    drop(holds);
    assert!(cluster.objects("secrets", &home).is_empty(), "the Secret was made before");
    let ended = home.call(["--json", "logs", "-f", &first.run()]).exits(0);
    let end = ended.outcome();
    assert_eq!(end.cause, Cause::Succeeded, "{}", end.sentence);
    assert_eq!(pods_of(&cluster, &first.run()), 1);
    cluster.nothing_left(&home);
}
