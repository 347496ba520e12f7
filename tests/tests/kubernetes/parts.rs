//! Parts of the cluster go away and come back.

use std::time::Duration;

use wharf_model::Cause;
use wharf_tests::Cluster;

use crate::{home, there};

/// Counts for about 12 s.
const COUNTS: &str = "import time\nfor n in range(120): print('line', n, flush=True); time.sleep(0.1)\n";

#[test]
#[ignore = "needs kubernetes (stops parts of it)"]
fn the_api_server_is_restarted_while_a_run_goes_on() {
    let (cluster, home) = home();
    if Cluster::parts().is_none() {
        println!("left out: WHARF_TEST_CLUSTER_PART isn't set");
        return;
    }
    let mut run = home.start(home.python(COUNTS, &there(&[])));
    run.until_log("line 5");
    cluster.part("restart", "apiserver");
    let run = run.finish().exits(0);
    assert_eq!(run.log().len(), 120, "{run}");
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (stops parts of it)"]
fn a_node_whose_kubelet_is_stopped_is_lost_for_those_that_it_does_not_let_speak() {
    let (cluster, home) = home();
    if Cluster::parts().is_none() {
        println!("left out: WHARF_TEST_CLUSTER_PART isn't set");
        return;
    }
    // The run goes on: its runner is heard of, whatever the cluster thinks of the node.
    let mut run = home.start(home.python(COUNTS, &there(&[])));
    run.until_log("line 5");
    cluster.part("stop", "kubelet");
    std::thread::sleep(Duration::from_secs(3));
    cluster.part("start", "kubelet");
    let run = run.finish().exits(0);
    assert_eq!(run.outcome().cause, Cause::Succeeded);
    cluster.nothing_left(&home);
}
