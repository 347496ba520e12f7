//! Parts of the cluster go away and come back.

use std::time::Duration;

use wharf_model::Cause;
use wharf_tests::Cluster;

use crate::{home, there};

/// Counts for about 12 s.
const COUNTS: &str = "import time\nfor n in range(120): print('line', n, flush=True); time.sleep(0.1)\n";

/// A run that has begun goes on whatever is done to the cluster: its runner is heard of.
fn goes_on_while(disturbed: impl FnOnce(&Cluster)) {
    let (cluster, home) = home();
    let mut run = home.start(home.python(COUNTS, &there(&[])));
    run.until_log("line 5");
    disturbed(&cluster);
    let run = run.finish().exits(0);
    assert_eq!(run.outcome().cause, Cause::Succeeded);
    assert_eq!(run.log().len(), 120, "{run}");
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (stops parts of it)"]
fn a_run_goes_on_while_the_api_server_is_restarted() {
    goes_on_while(|cluster| cluster.part("restart", "apiserver"));
}

#[test]
#[ignore = "needs kubernetes (stops parts of it)"]
fn a_run_goes_on_while_its_kubelet_is_away() {
    goes_on_while(|cluster| {
        cluster.part("stop", "kubelet");
        std::thread::sleep(Duration::from_secs(3));
        cluster.part("start", "kubelet");
    });
}

/// With the size of this node, and an image that is there.
#[test]
#[ignore = "needs kubernetes (its own one node)"]
fn a_run_makes_way_for_what_is_more_important() {
    let (cluster, home) = home();
    let class = format!("wharf-tests-{}", std::process::id());
    let priority = |name: &str, value: i32| {
        format!("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: {name}}}\nvalue: {value}\n")
    };
    let (low, high) = (format!("{class}-low"), format!("{class}-high"));
    cluster.apply(&priority(&low, -10));
    cluster.apply(&priority(&high, 1_000_000));
    let node: serde_json::Value = serde_json::from_str(&cluster.admin(&["get", "nodes", "-o", "json"])).expect("JSON");
    let cpus: f64 = node["items"][0]["status"]["allocatable"]["cpu"]
        .as_str()
        .and_then(|cpus| cpus.parse().ok())
        .expect("a whole number of CPUs");
    // More than half of the node, so that there is no room for both.
    let wants = format!("{}m", (cpus * 600.0).round());
    home.replace("configs/k8s-local.toml", "base_image", &format!("priority_class = \"{low}\"\nbase_image"));
    let (request, limit) = (format!("requests.cpu={wants}"), format!("limits.cpu={cpus}"));
    let more = ["--resource", request.as_str(), "--resource", limit.as_str()];
    let mut run = home.start(home.python(COUNTS, &there(&more)));
    let _ = run.until_log("line 5");
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {high}}}\nspec:\n  priorityClassName: {high}\n  restartPolicy: Never\n  \
         securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}\n  \
         containers: [{{name: a, image: '127.0.0.1:26530/wharf-cluster/busybox:1', command: ['true'],\n    \
         resources: {{requests: {{cpu: {wants}}}}},\n    \
         securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]\n"
    ));
    let run = run.finish();
    let _ = cluster.admin(&["delete", "pod", &high, "--wait=false"]);
    let _ = cluster.admin(&["delete", "priorityclass", &low, &high]);
    let end = run.exits(24).outcome();
    assert_eq!(end.cause, Cause::Preempted, "{}", end.sentence);
    assert!(end.retry_helps && end.advice.is_some(), "{}", end.sentence);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (its own image)"]
fn containers_of_a_template_are_restricted_too() {
    let (cluster, home) = home();
    let template = "spec:\n  initContainers:\n  - name: before\n    image: 127.0.0.1:26530/wharf-cluster/busybox:1\n    \
                    command: ['/bin/sh', '-c', 'echo ready']\n";
    home.write("pod.yaml", template);
    home.replace("configs/k8s-local.toml", "base_image", "pod_template = \"pod.yaml\"\nbase_image");
    let _ = home.run_python("print(1)", &there(&[])).exits(0);
    cluster.nothing_left(&home);
}
