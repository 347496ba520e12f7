//! A far daemon that restarts, dies, is away or answers slowly while it has a run of ours.

use std::time::Duration;

use wharf_model::Cause;
use wharf_tests::{Far, Fault, Finished, Home, Proxy, Setup};

use crate::trial::{WHOLE, advertise, arguments, assert_whole, configure, configure_far, within};

/// About 15 seconds of work.
const LINES: usize = 150;

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn with_live_restore_a_run_survives_its_daemon() {
    within(300, || {
        let far = Far::alone(Setup { live_restore: true, ..Setup::default() });
        for kill in [false, true] {
            let home = Home::portable();
            configure_far(&home, &far, &advertise(&far));
            let mut run = home.start(arguments(&home, "far", LINES, 0.1, ""));
            run.until_log("line 5");
            if kill {
                far.kill();
            } else {
                far.stop();
            }
            // Longer than any single request is repeated.
            std::thread::sleep(Duration::from_secs(5));
            far.launch();
            let run = run.finish().exits(0);
            assert_whole(&home, &run, LINES, "");
            home.left_only(&WHOLE);
            assert!(home.containers_at(far.daemon()).is_empty());
        }
    });
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn a_run_that_ends_while_its_daemon_is_away_for_20_seconds() {
    within(300, || {
        let far = Far::alone(Setup { live_restore: true, ..Setup::default() });
        let home = Home::portable();
        configure_far(&home, &far, &advertise(&far));
        let mut run = home.start(arguments(&home, "far", 30, 0.1, ""));
        run.until_log("line 5");
        far.kill();
        std::thread::sleep(Duration::from_secs(20));
        far.launch();
        let run = run.finish().exits(0);
        assert_whole(&home, &run, 30, "");
        // If nobody was there to remove it, the next call does.
        let _ = home.call(["runs"]).exits(0);
        home.left_only(&WHOLE);
        assert!(home.containers_at(far.daemon()).is_empty());
    });
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn without_live_restore_the_end_of_a_run_is_explained() {
    within(300, || {
        let far = Far::alone(Setup::default());
        for kill in [false, true] {
            let home = Home::portable();
            configure_far(&home, &far, &advertise(&far));
            let mut run = home.start(arguments(&home, "far", 6000, 0.1, ""));
            run.until_log("line 5");
            // A daemon that is ended ends its containers; one that was killed ends them when it comes back.
            if kill {
                far.kill();
            } else {
                far.stop();
            }
            far.launch();
            let run = run.finish();
            assert_ended_by_daemon(&run);
            home.left_only(&["in.csv"]);
            assert!(home.containers_at(far.daemon()).is_empty());
        }
    });
}

/// The recipe isn't blamed for it, nor the user, and trying again helps.
fn assert_ended_by_daemon(run: &Finished) {
    let end = run.outcome();
    assert_eq!(end.cause, Cause::Lost, "{run}");
    assert!(end.retry_helps, "{run}");
    assert!(!end.sentence.contains("recipe failed"), "{}", end.sentence);
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn a_daemon_that_answers_slowly() {
    within(300, || {
        let far = Far::alone(Setup { tls: false, ..Setup::default() });
        let home = Home::portable();
        let daemon = (far.machine().address(), far.port()).into();
        let proxy = Proxy::tcp(([127, 0, 0, 1], 0).into(), daemon);
        for method in ["GET", "POST", "DELETE"] {
            proxy.fault(method, "/", 0..usize::MAX, Fault::Delay(Duration::from_secs(2)));
        }
        configure(&home, "far", &proxy.address(), "", &advertise(&far));
        let run = home.call(arguments(&home, "far", 50, 0.0, "")).exits(0);
        assert_whole(&home, &run, 50, "");
        home.left_only(&WHOLE);
        assert!(proxy.faults() > 4, "{}", proxy.faults());
        assert!(home.containers_at(far.daemon()).is_empty());
    });
}
