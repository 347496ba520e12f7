//! How runs end: each with its sentence and its exit code, with no container and no half-written output left.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use wharf_model::{Cause, EventKind, Phase};
use wharf_tests::Home;

use crate::corpus::is_recorded;

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
    is_recorded(&home, "exception", "The recipe raises an exception", &end);
    home.left_only(&[]);

    let end = home.run_python("import sys\nsys.exit(7)", &[]).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(7)));
    is_recorded(&home, "exit-code", "The recipe exits with another code than 0", &end);
    // 137 alone is no proof of a kill for memory.
    let end = home.run_python("import sys\nsys.exit(137)", &[]).exits(10).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, Some(137)));
    is_recorded(&home, "exit-code-137", "The recipe exits with 137, and nothing was killed", &end);
    let end = home.run_python("import no_such_package", &[]).exits(10).outcome();
    assert!(end.advice.as_ref().is_some_and(|advice| advice.contains("base image")), "{end:?}");
    is_recorded(&home, "package-missing", "The recipe imports a package that the base image lacks", &end);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_dies_of_a_signal() {
    let home = Home::demo();
    for (signal, name, what) in [
        (4, "illegal-instruction", "A recipe dies of SIGILL"),
        (6, "abort", "A recipe dies of SIGABRT"),
        (9, "sigkill-from-inside", "A recipe kills itself with SIGKILL"),
        (15, "sigterm-from-inside", "A recipe is ended by a SIGTERM of its own"),
    ] {
        let end = home.run_python(&format!("import os\nos.kill(os.getpid(), {signal})"), &[]).exits(10).outcome();
        assert_eq!((end.cause, end.exit_code), (Cause::RecipeFailed, None));
        assert!(end.sentence.contains(&format!("signal {signal} ")), "{}", end.sentence);
        assert_eq!(end.evidence["runner.signal"], json!(signal));
        is_recorded(&home, name, what, &end);
    }
    let end = home.run_python("import ctypes\nctypes.string_at(0)", &[]).exits(10).outcome();
    assert!(end.sentence.contains("signal 11 (SIGSEGV"), "{}", end.sentence);
    is_recorded(&home, "segmentation-fault", "Native code of the recipe reads where nothing is", &end);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_that_reaches_a_limit_of_its_container() {
    let home = Home::demo();
    let many = "import subprocess\nfor n in range(60): subprocess.Popen(['sleep', '20'])";
    let end = home.run_python(many, &["--resource", "pids-limit=20"]).exits(10).outcome();
    assert!(end.sentence.contains("at its pids-limit of 20"), "{}", end.sentence);
    assert!(end.usage.as_ref().is_some_and(|usage| usage.process_refusals > 0), "{end:?}");
    is_recorded(&home, "pids-limit", "The recipe starts more processes than `pids-limit` allows", &end);

    let full = "with open('/dev/shm/x', 'wb') as file: file.write(bytes(4 << 20))";
    let end = home.run_python(full, &["--resource", "shm-size=1m"]).exits(10).outcome();
    assert!(end.sentence.contains("No space left on device"), "{}", end.sentence);
    is_recorded(&home, "disk-full-in-the-container", "The recipe fills a disk of its container", &end);

    let end = home.run_python("open('/etc/passwd', 'w')", &[]).exits(10).outcome();
    is_recorded(&home, "permission-denied", "The recipe writes where its user may not", &end);

    let file = "import subprocess\nopen('/tmp/x', 'wb').write(b'\\x7fELF')\nimport os\nos.chmod('/tmp/x', 0o755)\n\
                subprocess.run(['/tmp/x'])";
    let end = home.run_python(file, &[]).exits(10).outcome();
    is_recorded(&home, "exec-format-error", "The recipe calls a program of another platform", &end);

    home.replace("configs/docker-local.toml", "[resources]", "[security]\nread_only_root = true\n[resources]");
    let end = home.run_python("open('/opt/x', 'w')", &[]).exits(10).outcome();
    assert!(end.sentence.contains("Read-only file system"), "{}", end.sentence);
    is_recorded(&home, "read-only-root", "The recipe writes to a root that is read-only", &end);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_over_its_memory() {
    let home = Home::demo();
    let out = outputs(&home);
    let code = half_written("blocks = []\nwhile True: blocks.append(bytearray(b'x') * (4 << 20))");
    let end = home.run_python(&code, &with(&out, &["--resource", "memory=200m"])).exits(14).outcome();
    is_recorded(&home, "out-of-memory", "The recipe goes over its memory limit", &end);
    assert_eq!(end.cause, Cause::OutOfMemory);
    assert!(end.sentence.contains("its limit of 200 MiB") && end.sentence.contains("peak"), "{}", end.sentence);
    let peak = end.usage.as_ref().unwrap().memory_peak;
    assert!(peak > 150 << 20 && peak <= 200 << 20, "{peak}");
    assert!(end.advice.as_ref().is_some_and(|advice| advice.contains("--resource memory")));
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
    is_recorded(
        &home,
        "child-killed-for-memory-unnoticed",
        "A child is killed for memory, and the recipe goes on",
        &end,
    );

    let code = "import subprocess, sys\n\
                subprocess.run([sys.executable, '-c', \"b'x' * (400 << 20)\"], check=True)\n";
    let end = home.run_python(code, &["--resource", "memory=100m"]).exits(14).outcome();
    assert_eq!((end.cause, end.exit_code), (Cause::OutOfMemory, Some(1)));
    assert!(end.sentence.contains("and the recipe failed with exit code 1"), "{}", end.sentence);
    is_recorded(&home, "child-killed-for-memory", "A child is killed for memory, and the recipe fails for it", &end);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_over_its_time() {
    let home = Home::demo();
    let out = outputs(&home);
    let end = home.run_python(&half_written("time.sleep(600)"), &with(&out, &["--timeout", "4s"])).exits(13).outcome();
    assert_eq!(end.cause, Cause::TimeLimit);
    assert_eq!(end.sentence, "it took longer than its time limit of 4 s");
    is_recorded(&home, "time-limit", "The recipe takes longer than it may", &end);
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
        if signal == Signal::INT {
            is_recorded(&home, "stopped", "Somebody presses Ctrl-C", &end);
        }
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
        let end = run.finish().exits(22).outcome();
        assert_eq!((end.cause, end.retry_helps), (Cause::Lost, true));
        home.left_only(&[]);
        end
    };
    let killed = end_of("POST", "/containers/ID/kill");
    assert!(killed.sentence.contains("killed through the engine"), "{}", killed.sentence);
    assert_eq!(killed.evidence["engine.exit_code"], json!(137));
    is_recorded(&home, "killed-through-the-engine", "`docker kill`", &killed);
    let removed = end_of("DELETE", "/containers/ID?force=1");
    is_recorded(&home, "removed", "`docker rm --force`", &removed);
    let stopped = end_of("POST", "/containers/ID/stop?t=30");
    assert!(stopped.sentence.contains("asked its container to end"), "{}", stopped.sentence);
    is_recorded(
        &home,
        "stopped-through-the-engine",
        "`docker stop`, or the daemon or its machine is shut down",
        &stopped,
    );
}

#[test]
#[ignore = "needs docker (runs containers), and root on its machine"]
fn a_container_that_was_killed_beside_its_engine() {
    let home = Home::demo();
    let mut run = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(600)", &[]));
    run.until_log("up");
    let [container] = home.containers().try_into().unwrap();
    let pid = home.daemon().inspect(&container.id)["State"]["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    kill_process(pid.and_then(Pid::from_raw).unwrap(), Signal::KILL).unwrap();
    let end = run.finish().exits(22).outcome();
    assert_eq!(end.cause, Cause::Lost);
    assert!(end.sentence.contains("nobody did that through the engine"), "{}", end.sentence);
    is_recorded(&home, "killed-beside-the-engine", "`kill -9` on the engine's machine, or its kernel's choice", &end);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_container_that_somebody_paused() {
    let home = Home::demo();
    home.replace(
        "wharf.toml",
        "required_policies",
        "runs.silence_timeout = \"8s\"\nruns.grace = \"1s\"\nrequired_policies",
    );
    let paused = |home: &Home| {
        let mut run = home.start(home.python("import time\nprint('up', flush=True)\ntime.sleep(40)", &[]));
        run.until_log("up");
        let [container] = home.containers().try_into().unwrap();
        let _ = home.daemon().must("POST", &format!("/containers/{}/pause", container.id), None);
        let said = |event: &wharf_model::Event| match &event.kind {
            EventKind::Progress { phase: Phase::Run, text } => text.contains("somebody has paused its container"),
            _ => false,
        };
        run.until(said);
        (run, container.id)
    };
    let (run, _) = paused(&home);
    let end = run.finish().exits(22).outcome();
    assert_eq!(end.cause, Cause::Lost);
    assert!(end.sentence.contains("somebody had paused its container"), "{}", end.sentence);
    is_recorded(&home, "paused", "`docker pause`, for longer than `silence_timeout`", &end);
    home.left_only(&[]);

    // One that is let go on in time does so.
    home.replace("wharf.toml", "\"8s\"", "\"40s\"");
    let (mut run, id) = paused(&home);
    let _ = home.daemon().must("POST", &format!("/containers/{id}/unpause"), None);
    run.until(|event| matches!(&event.kind, EventKind::Progress { text, .. } if text.contains("heard of again")));
    let _ = run.finish().exits(0);
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
    is_recorded(&home, "no-way-back", "The runner finds no way back to the host", &end);
    home.left_only(&[]);
}
