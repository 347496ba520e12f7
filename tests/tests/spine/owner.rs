//! One home, one owner, and other terminals beside it.

use wharf::store::RunState;
use wharf_model::{Cause, Event, EventKind, Phase};
use wharf_tests::{Finished, Home};

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_second_terminal_follows_and_stops_a_run_of_the_first() {
    let home = Home::demo();
    let code = "import time\nfor n in range(6000): print(f'line {n}', flush=True); time.sleep(0.05)";
    let mut first = home.start(home.python(code, &[]));
    let id = first.until_log("line 5");
    // It follows from the beginning, and goes on as lines come.
    let mut second = home.start(["--json", "logs", "-f", &id]);
    assert_eq!(second.until_log("line 0"), id);
    second.until_log("line 20");
    let runs = home.runs();
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Running), "{runs:?}");

    // The beginning of an id is enough.
    let _ = home.call(["stop", &id[..8]]).exits(0);
    let first = first.finish().exits(13);
    let end = first.outcome();
    assert_eq!(end.cause, Cause::Stopped);
    assert!(first.events().iter().any(|event| matches!(event.kind, EventKind::StopRequested { .. })));
    let second = second.finish();
    assert_eq!(second.outcome(), end);
    assert_eq!(second.log(), first.log());
    home.left_only(&[]);

    // What has ended stays readable, and stopping it once more does no harm.
    assert_eq!(home.call(["--json", "logs", "last"]).exits(0).log(), first.log());
    let _ = home.call(["stop", &id]).exits(0);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn two_runs_at_once() {
    let home = Home::demo();
    let code =
        "import time, dataiku\ntime.sleep(4)\nwith dataiku.Folder('out').get_writer('done') as w: w.write(b'yes')";
    let [one, two] = ["one", "two"].map(|name| {
        let run = home.start(home.python(code, &["--output", &home.bind("out", &format!("{name}/"))]));
        // The second one finds an owner, or takes the home itself; either must work.
        std::thread::sleep(std::time::Duration::from_millis(300));
        run
    });
    let (one, two) = (one.finish().exits(0), two.finish().exits(0));
    let (one, two) = (span(&one), span(&two));
    assert!(one.0 < two.1 && two.0 < one.1, "one after the other: {one:?} {two:?}");
    home.left_only(&["one/", "one/done", "two/", "two/done"]);
}

/// When the recipe ran.
fn span(run: &Finished) -> (u64, u64) {
    let events = run.events();
    let at = |meant: &dyn Fn(&Event) -> bool| {
        events.iter().find(|event| meant(event)).unwrap_or_else(|| panic!("the recipe didn't run\n{run}")).at
    };
    (
        at(&|event| matches!(event.kind, EventKind::PhaseStarted { phase: Phase::Run })),
        at(&|event| matches!(event.kind, EventKind::PhaseEnded { phase: Phase::Run, .. })),
    )
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn an_owner_stays_until_the_last_run_has_ended() {
    let home = Home::demo();
    let mut first = home.start(home.python("print('up', flush=True)\nimport time\ntime.sleep(3)", &[]));
    first.until_log("up");
    let mut second = home.start(home.python("print('up', flush=True)\nimport time\ntime.sleep(6)", &[]));
    second.until_log("up");
    // The first one's run ends long before the second one's.
    assert_eq!(first.finish().exits(0).outcome().cause, Cause::Succeeded);
    assert_eq!(second.finish().exits(0).outcome().cause, Cause::Succeeded);
    home.left_only(&[]);
}
