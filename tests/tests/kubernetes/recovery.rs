//! A host that is killed while its run is on a cluster: the next one goes on, with one pod in all.

use std::time::Duration;

use rustix::process::Signal;
use wharf_model::{Cause, EventKind, Phase};

use crate::{home, there};

/// Takes about two seconds, and writes an output.
const CODE: &str = "import dataiku, pandas, time\n\
                    for n in range(20): print('line', n, flush=True); time.sleep(0.1)\n\
                    dataiku.Dataset('out').write_with_schema(pandas.DataFrame({'n': range(1000)}))\n";

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_host_killed_at_ten_moments_leaves_one_run_that_ends_right() {
    let (cluster, home) = home();
    let output = home.bind("out", "out.csv");
    let arguments = home.python(CODE, &there(&["--output", &output]));
    let mut ends = Vec::new();
    let moments = [
        (Phase::Launch, 0),
        (Phase::Launch, 20),
        (Phase::Launch, 60),
        (Phase::Launch, 150),
        (Phase::Run, 0),
        (Phase::Run, 500),
        (Phase::Run, 1500),
        (Phase::Run, 3000),
        (Phase::Run, 4500),
        (Phase::Commit, 0),
    ];
    for (phase, millis) in moments {
        let mut first = home.start(&arguments);
        first.until(|event| matches!(&event.kind, EventKind::PhaseStarted { phase: started } if *started == phase));
        std::thread::sleep(Duration::from_millis(millis));
        first.signal(Signal::KILL);
        let first = first.finish();
        let run = first.run();
        let end = home.call(["--json", "logs", "-f", &run]).exits(0).outcome();
        match end.cause {
            Cause::Succeeded => assert_eq!(home.read_data("out.csv").lines().count(), 1001, "{phase:?}+{millis} ms"),
            Cause::HostFault => {
                assert_eq!(phase, Phase::Launch, "{phase:?}+{millis} ms: {}", end.sentence);
                assert!(!home.data("out.csv").exists(), "{phase:?}+{millis} ms");
            }
            _ => panic!("{phase:?}+{millis} ms: {}", end.sentence),
        }
        ends.push(format!("{phase:?}+{millis} ms: {:?}", end.cause));
        let _ = std::fs::remove_file(home.data("out.csv"));
        cluster.nothing_left(&home);
        // Events outlive their objects: of each run there was one pod.
        let events = cluster.admin(&["get", "events", "-o", "json", "--field-selector", "reason=SuccessfulCreate"]);
        let events: serde_json::Value = serde_json::from_str(&events).expect("JSON");
        let made: u64 = events["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|event| event["involvedObject"]["name"].as_str().is_some_and(|name| name.contains(&run[..12])))
            .map(|event| event["count"].as_u64().unwrap_or(1))
            .sum();
        assert!(made <= 1, "{phase:?}+{millis} ms: {made} pods were created for one run");
    }
    println!("{}", ends.join("\n"));
    assert!(ends.iter().filter(|end| end.ends_with("Succeeded")).count() >= 6, "{ends:?}");
}
