//! A host that is killed: the next one goes on where it was.

use std::time::Duration;

use rustix::process::Signal;
use wharf::store::RunState;
use wharf_model::outcome::LogState;
use wharf_model::{Cause, EventKind, Phase};
use wharf_tests::{Finished, Home};

/// Writes a line each 50 ms, and an output at the end.
fn counting(lines: usize) -> String {
    format!(
        "import dataiku, pandas, time\n\
         for n in range({lines}):\n    print(f'line {{n}}', flush=True); time.sleep(0.05)\n\
         dataiku.Dataset('out').write_with_schema(pandas.DataFrame({{'n': range(1000)}}))\n"
    )
}

fn assert_counted(run: &Finished, lines: usize) {
    let log = run.log();
    assert_eq!(log.len(), lines, "{run}");
    for (at, (number, text)) in log.iter().enumerate() {
        assert_eq!((*number, text.as_str()), (at as u64, format!("line {at}").as_str()));
    }
    let outcome = run.outcome();
    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
    assert!(matches!(outcome.log, Some(LogState::Complete { lines: counted, .. }) if counted == lines as u64));
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_killed_in_mid_run_is_followed_by_one_that_goes_on() {
    const LINES: usize = 160;
    let home = Home::demo();
    let mut first = home.start(home.python(&counting(LINES), &["--output", &home.bind("out", "out.csv")]));
    let id = first.until_log("line 20");
    first.signal(Signal::KILL);
    let first = first.finish();
    assert_eq!(first.code, None);
    let [container] = home.containers().try_into().unwrap();
    assert_eq!((container.run.as_str(), container.state.as_str()), (id.as_str(), "running"));

    let next = home.call(["--json", "logs", "-f", &id]).exits(0);
    assert_counted(&next, LINES);
    assert!(next.events().iter().any(|event| event.kind == EventKind::Recovered));
    let runs = home.runs();
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Ended));
    assert_eq!(home.read_data("out.csv").lines().count(), 1001);
    home.left_only(&["out.csv", "out.csv.schema.json"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_run_that_ends_while_nobody_is_there_is_concluded_later() {
    const LINES: usize = 40;
    let home = Home::demo();
    let mut first = home.start(home.python(&counting(LINES), &["--output", &home.bind("out", "out.csv")]));
    let id = first.until_log("line 5");
    first.signal(Signal::KILL);
    let _ = first.finish();
    // Long over when somebody looks.
    std::thread::sleep(Duration::from_secs(6));
    let next = home.call(["--json", "logs", "-f", &id]).exits(0);
    assert_counted(&next, LINES);
    assert_eq!(home.read_data("out.csv").lines().count(), 1001);
    home.left_only(&["out.csv", "out.csv.schema.json"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn any_call_takes_over_what_was_left() {
    let home = Home::demo();
    let mut first = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(600)", &[]));
    let id = first.until_log("up");
    first.signal(Signal::KILL);
    let _ = first.finish();
    let _ = home.call(["stop", &id]).exits(0);
    let runs = home.runs();
    assert_eq!(runs[0].outcome.as_ref().map(|outcome| outcome.cause), Some(Cause::Stopped), "{runs:?}");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_stop_that_was_asked_for_outlives_the_host() {
    let home = Home::demo();
    let deaf =
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)";
    let mut first = home.start(home.python(deaf, &[]));
    let id = first.until_log("up");
    first.signal(Signal::INT);
    first.until(|event| matches!(event.kind, EventKind::StopRequested { .. }));
    first.signal(Signal::KILL);
    let _ = first.finish();
    let end = home.call(["--json", "logs", "-f", &id]).exits(0).outcome();
    assert_eq!(end.cause, Cause::Stopped, "{}", end.sentence);
    assert!(end.sentence.contains("Ctrl-C"), "{}", end.sentence);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_that_was_removed_meanwhile_is_a_lost_run() {
    let home = Home::demo();
    let mut first = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(600)", &[]));
    first.until_log("up");
    first.signal(Signal::KILL);
    let _ = first.finish();
    for container in home.containers() {
        home.daemon().remove(&container.id);
    }
    let _ = home.call(["--json", "logs", "-f", "last"]);
    let runs = home.runs();
    let outcome = runs[0].outcome.clone().unwrap();
    assert_eq!(outcome.cause, Cause::Lost, "{}", outcome.sentence);
    assert!(outcome.retry_helps);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_killed_at_any_moment_leaves_all_or_nothing() {
    let home = Home::demo();
    let code = "import dataiku, pandas\n\
                dataiku.Dataset('out').write_with_schema(pandas.DataFrame({'n': range(1000)}))\n\
                dataiku.Folder('files').upload_data('a/b.txt', b'whole')\n";
    let bindings = ["--output", &home.bind("out", "out.csv"), "--output", &home.bind("files", "files/")];
    let phases = [Phase::Permission, Phase::Policies, Phase::Image, Phase::Launch, Phase::Run, Phase::Commit];
    for phase in phases {
        let mut first = home.start(home.python(code, &bindings));
        first.until(|event| matches!(&event.kind, EventKind::PhaseStarted { phase: started } if *started == phase));
        first.signal(Signal::KILL);
        let _ = first.finish();
        let end = home.call(["--json", "logs", "-f", "last"]).exits(0).outcome();
        let whole = ["files/", "files/a/", "files/a/b.txt", "out.csv", "out.csv.schema.json"];
        if end.cause == Cause::Succeeded {
            home.left_only(&whole);
            assert_eq!(home.read_data("out.csv").lines().count(), 1001, "{phase:?}");
            std::fs::remove_dir_all(home.data("")).unwrap();
            std::fs::create_dir(home.data("")).unwrap();
        } else {
            assert_eq!(end.cause, Cause::HostFault, "{phase:?}: {}", end.sentence);
            assert!(end.advice.is_some_and(|advice| advice.contains("submit it again")), "{phase:?}");
            home.left_only(&[]);
        }
        // Once its recipe runs, nothing is lost.
        assert!(
            !matches!(phase, Phase::Run | Phase::Commit) || end.cause == Cause::Succeeded,
            "{phase:?}: {}",
            end.sentence
        );
    }
}

/// Between the recipe's last word and its outcome: the runner says its result once, and ends when it was heard.
#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_killed_around_the_end_loses_no_result() {
    let home = Home::demo();
    let code = "import dataiku, pandas\n\
                dataiku.Dataset('out').write_with_schema(pandas.DataFrame({'n': range(1000)}))\n\
                print('over', flush=True)\n";
    let bindings = ["--output", &home.bind("out", "out.csv")];
    for millis in (0..300).step_by(20) {
        let mut first = home.start(home.python(code, &bindings));
        first.until_log("over");
        std::thread::sleep(Duration::from_millis(millis));
        first.signal(Signal::KILL);
        let _ = first.finish();
        let end = home.call(["--json", "logs", "-f", "last"]).exits(0).outcome();
        assert_eq!(end.cause, Cause::Succeeded, "{millis} ms: {}", end.sentence);
        assert_eq!(home.read_data("out.csv").lines().count(), 1001, "{millis} ms");
        home.left_only(&["out.csv", "out.csv.schema.json"]);
        std::fs::remove_dir_all(home.data("")).unwrap();
        std::fs::create_dir(home.data("")).unwrap();
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_whose_removal_was_cut_off_goes_with_the_next_call() {
    let home = Home::demo();
    let mut left = 0;
    // The daemon's own speed decides whether the kill comes in time.
    for _ in 0..20 {
        if left != 0 {
            break;
        }
        let mut first = home.start(home.python("print(1)", &[]));
        first.until(|event| matches!(event.kind, EventKind::Ended(_)));
        first.signal(Signal::KILL);
        let _ = first.finish();
        left += home.containers().len();
        // The shortest call there is.
        let runs = home.runs();
        assert_eq!(runs[0].state, RunState::Ended, "{runs:?}");
        home.left_only(&[]);
    }
    // Else this test shows nothing.
    assert_ne!(left, 0, "no removal was cut off");
}
