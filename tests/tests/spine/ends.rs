//! How runs end: each with its sentence and its exit code, with no container and no half-written output left.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use wharf_model::{Cause, EventKind, Phase};
use wharf_tests::Home;

/// Writes half of an output, then does something else.
fn half_written(then: &str) -> String {
    format!(
        "import dataiku, pandas, time\n\
         dataiku.Dataset('out').write_with_schema(pandas.DataFrame({{'a': range(1000)}}))\n\
         dataiku.Folder('files').upload_data('a/b.txt', b'half')\n\
         print('half', flush=True)\n\
         {then}\n"
    )
}

fn outputs(home: &Home) -> [String; 4] {
    ["--output".to_owned(), home.bind("out", "out.csv"), "--output".to_owned(), home.bind("files", "files/")]
}

fn with<'a>(outputs: &'a [String; 4], more: &[&'a str]) -> Vec<&'a str> {
    outputs.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_fails() {
    let home = Home::demo();
    let out = outputs(&home);
    let end = home.run_python(&half_written("raise ValueError('no such thing')"), &with(&out, &[])).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(1)));
    assert_eq!(end.sentence, "the recipe failed with exit code 1: ValueError: no such thing");
    assert!(end.error_tail.iter().any(|line| line.contains("Traceback")), "{:?}", end.error_tail);
    home.left_only(&[]);

    let end = home.run_python("import sys\nsys.exit(7)", &[]).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(7)));
    let end = home.run_python("import os\nos.kill(os.getpid(), 11)", &[]).exits(10).outcome();
    assert!(end.sentence.contains("signal 11"), "{}", end.sentence);
    // 137 alone is no proof of a kill for memory.
    let end = home.run_python("import sys\nsys.exit(137)", &[]).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(137)));
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_over_its_memory() {
    let home = Home::demo();
    let out = outputs(&home);
    let code = half_written("blocks = []\nwhile True: blocks.append(bytearray(b'x') * (4 << 20))");
    let end = home.run_python(&code, &with(&out, &["--resource", "memory=200m"])).exits(14).outcome();
    assert_eq!(end.cause, Cause::OutOfMemory);
    assert!(end.sentence.contains("its limit of 200 MiB") && end.sentence.contains("peak"), "{}", end.sentence);
    let peak = end.usage.unwrap().memory_peak;
    assert!(peak > 150 << 20 && peak <= 200 << 20, "{peak}");
    assert!(end.advice.unwrap().contains("--resource memory"));
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_child_that_was_killed_for_memory_is_told() {
    let home = Home::demo();
    let code = "import subprocess, sys\n\
                subprocess.run([sys.executable, '-c', \"b'x' * (400 << 20)\"])\n\
                print('went on')\n";
    let end = home.run_python(code, &["--resource", "memory=100m"]).exits(0).outcome();
    assert_eq!(end.cause, Cause::Succeeded);
    assert!(end.sentence.contains("killed 1 of its processes for memory"), "{}", end.sentence);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_over_its_time() {
    let home = Home::demo();
    let out = outputs(&home);
    let end = home.run_python(&half_written("time.sleep(600)"), &with(&out, &["--timeout", "4s"])).exits(13).outcome();
    assert_eq!(end.cause, Cause::TimeLimit);
    assert_eq!(end.sentence, "it took longer than its time limit of 4 s");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn signals_stop_the_container() {
    let home = Home::demo();
    let out = outputs(&home);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut run = home.start(home.python(&half_written("time.sleep(600)"), &with(&out, &[])));
        run.until_log("half");
        run.signal(signal);
        let end = run.finish().exits(13).outcome();
        assert_eq!(end.cause, Cause::Stopped);
        assert!(end.sentence.starts_with("stopped by "), "{}", end.sentence);
        home.left_only(&[]);
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_ignores_the_request_to_end_is_killed() {
    let home = Home::demo();
    home.replace("wharf.toml", "required_policies", "runs.grace = \"1s\"\nrequired_policies");
    let code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)";
    let mut run = home.start(home.python(code, &[]));
    run.until_log("deaf");
    let asked = Instant::now();
    run.signal(Signal::INT);
    assert_eq!(run.finish().exits(13).outcome().cause, Cause::Stopped);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn ctrl_c_at_any_moment_leaves_nothing() {
    let home = Home::demo();
    for phase in [Phase::Permission, Phase::Policies, Phase::Launch, Phase::Run] {
        let mut run = home.start(home.python("import time\ntime.sleep(600)", &[]));
        run.until(|event| matches!(&event.kind, EventKind::PhaseStarted { phase: started } if *started == phase));
        run.signal(Signal::INT);
        let run = run.finish().exits(13);
        assert_eq!(run.outcome().cause, Cause::Stopped, "{phase:?}");
        home.left_only(&[]);
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_reader_that_goes_away_stops_the_run() {
    let home = Home::demo();
    let code = "import time\nfor n in range(6000): print(n, flush=True); time.sleep(0.05)";
    let mut run = home.start(home.python(code, &[]));
    run.until_log("3");
    run.close_stdout();
    let run = run.finish();
    assert!(!run.stderr.contains("panicked"), "{run}");
    let runs = home.runs();
    assert_eq!(runs[0].outcome.as_ref().map(|outcome| outcome.cause), Some(Cause::Stopped), "{runs:?}");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_that_somebody_else_ended() {
    let home = Home::demo();
    let end_of = |method: &str, path: &str| {
        let out = outputs(&home);
        let mut run = home.start(home.python(&half_written("time.sleep(600)"), &with(&out, &[])));
        run.until_log("half");
        let [container] = home.containers().try_into().unwrap();
        let _ = home.daemon().must(method, &path.replace("ID", &container.id), None);
        run.finish().exits(22).outcome()
    };
    let killed = end_of("POST", "/containers/ID/kill");
    assert_eq!(killed.cause, Cause::Lost);
    assert!(killed.sentence.contains("killed from outside"), "{}", killed.sentence);
    assert_eq!(killed.evidence["engine.exit_code"], json!(137));
    home.left_only(&[]);
    let removed = end_of("DELETE", "/containers/ID?force=1");
    assert_eq!(removed.cause, Cause::Lost);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_runner_that_finds_no_way_back() {
    let home = Home::demo();
    // A port where nobody is.
    home.replace(
        "wharf.toml",
        "required_policies",
        "exchange.advertise = \"127.0.0.1:9\"\nruns.start_timeout = \"8s\"\nruns.grace = \"1s\"\nrequired_policies",
    );
    let end = home.run_python("print(1)", &[]).exits(22).outcome();
    assert_eq!(end.cause, Cause::RunnerNeverCameUp);
    assert!(end.sentence.contains("the container's log ends with"), "{}", end.sentence);
    home.left_only(&[]);
}
