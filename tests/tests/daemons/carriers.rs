//! How runner and host find each other when the daemon is far.

use std::net::TcpListener;

use wharf_model::Cause;
use wharf_tests::{Far, Home, Setup};

use crate::trial::{WHOLE, advertise, arguments, assert_whole, configure_far, within};

const LINES: usize = 2000;

/// Whether a container of the far daemon reaches a port where somebody listens.
fn reaches_us(far: &Far) -> bool {
    let listener = TcpListener::bind((far.machine().near_address(), 0)).unwrap();
    far.reaches_us(&Home::portable_images()[0], listener.local_addr().unwrap().port())
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn the_runner_dials_back_to_an_advertised_address() {
    within(240, || {
        let far = Far::shared();
        let home = Home::portable();
        configure_far(&home, &far, &advertise(&far));
        assert!(reaches_us(&far));
        let run = home.call(arguments(&home, "far", LINES, 0.0, "")).exits(0);
        assert_whole(&home, &run, LINES, "");
        home.left_only(&WHOLE);
        let test = home.call(["--json", "config", "test", "far"]).exits(0);
        assert_eq!(test.outcome().cause, Cause::Succeeded);

        // The gateway of its network is the far machine itself, where no host listens.
        home.replace("configs/far.toml", &advertise(&far), "");
        let test = home.call(["--json", "config", "test", "far"]).exits(23);
        let end = test.outcome();
        assert_eq!(end.cause, Cause::EngineRefused, "{test}");
        assert!(end.sentence.contains("`advertise`") && end.sentence.contains("another machine"), "{test}");
        assert!(home.containers_at(far.daemon()).is_empty());
    });
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn the_host_attaches_where_it_cannot_be_reached() {
    within(300, || {
        let far = Far::alone(Setup::default());
        let home = Home::portable();
        home.replace(
            "wharf.toml",
            "required_policies",
            "runs.start_timeout = \"8s\"\nruns.grace = \"1s\"\nrequired_policies",
        );
        far.forbid_way_back(true);
        assert!(!reaches_us(&far));

        configure_far(&home, &far, &advertise(&far));
        let test = home.call(["--json", "config", "test", "far"]).exits(22);
        let end = test.outcome();
        assert_eq!(end.cause, Cause::RunnerNeverCameUp, "{test}");
        let near = far.machine().near_address().to_string();
        assert!(end.sentence.contains(&near) || end.error_tail.iter().any(|line| line.contains(&near)), "{end:?}");

        configure_far(&home, &far, "mode = \"attach\"");
        let test = home.call(["--json", "config", "test", "far"]).exits(0);
        assert_eq!(test.outcome().cause, Cause::Succeeded);
        let run = home.call(arguments(&home, "far", LINES, 0.0, "")).exits(0);
        assert_whole(&home, &run, LINES, "");
        home.left_only(&WHOLE);
        assert!(home.containers_at(far.daemon()).is_empty());
        // What doctor promises of each configuration is what holds.
        let doctor = home.call(["doctor"]);
        assert!(doctor.stdout.contains("containers of docker-local reach this host at"), "{doctor}");
        assert!(doctor.stdout.contains("reaches into containers of far"), "{doctor}");
        assert!(!doctor.stdout.contains("containers of far reach this host"), "{doctor}");
    });
}
