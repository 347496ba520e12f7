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
