//! How fast lines come from a recipe to a file of the host: `cargo bench -p wharf-tests --bench logs`.
//!
//! The same bytes, lines of 100 bytes, from the same Python code in the same image, one way after the other in each round:
//! - a plain pipe, without a container, into a file: what the machine can do at all;
//! - `docker run` into a file;
//! - `docker run` without anybody listening, and then `docker logs` into a file;
//! - the library: until the outcome says that every line is in the host's log;
//! - `wharf run` into a file, which writes each line a second time.

#![expect(clippy::print_stdout, reason = "a benchmark's output is for people")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tokio::runtime::Runtime;
use wharf::{Access, HostOptions};
use wharf_model::outcome::LogState;
use wharf_model::{Activity, Cause};
use wharf_tests::{GROUP, Home, Times, USER, machine};

const ROUNDS: usize = 5;
/// Rounds before, which aren't counted.
const WARM_UP: usize = 1;
const LINE: usize = 100;
const LINES: usize = 4_000_000;
const BYTES: usize = LINE * LINES;

/// The lines differ, as those of a real log, and cost the recipe next to nothing.
const RECIPE: &str = "\
import os
block = b''.join(b'%08d %s\\n' % (n, b'the quick brown fox jumps over the lazy dog ' * 2 + b'..') for n in range(10000))
for _ in range(400):
    at = 0
    while at < len(block):
        at += os.write(1, block[at:])
";

fn main() {
    // Cargo's way to say that this is a benchmark and not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{LINES} lines of {LINE} bytes, {ROUNDS} rounds. {}\n", machine());
    let (calls, kept) = (Home::demo(), Home::demo());
    for home in [&calls, &kept] {
        home.replace("configs/docker-local.toml", "cpus = 1", "cpus = 2");
    }
    let runtime = Runtime::new().expect("a runtime can be made");
    let access = runtime
        .block_on(Access::open(&kept.path(), HostOptions::default()))
        .unwrap_or_else(|fault| panic!("the home can't be opened: {fault}"));
    let explained = runtime.block_on(access.explain(activity())).unwrap_or_else(|fault| panic!("{fault}"));
    let image = explained.object.as_ref().and_then(|object| object["Image"].as_str()).expect("an image").to_owned();
    let host = calls.daemon().address();
    let out = calls.data("out");

    let mut times = Times::default();
    for round in 0..WARM_UP + ROUNDS {
        let mut warm_up = Times::default();
        let times = if round < WARM_UP { &mut warm_up } else { &mut times };
        times.take("a pipe", || into(&out, Command::new("python3").args(["-c", RECIPE])));
        times
            .take("docker run", || into(&out, docker(&host, &["run", "--rm"]).args([&image, "python3", "-c", RECIPE])));
        times.take("docker run, docker logs", || {
            let name = format!("wharf-bench-{}", std::process::id());
            let mut run = docker(&host, &["run", "--name", &name, "--log-driver", "json-file", "--detach"]);
            must(run.args([&image, "python3", "-c", RECIPE]).stdout(Stdio::null()));
            must(docker(&host, &["wait", &name]).stdout(Stdio::null()));
            into(&out, &mut docker(&host, &["logs", &name]));
            must(docker(&host, &["rm", &name]).stdout(Stdio::null()));
        });
        times.take("library", || runtime.block_on(library_run(&access)));
        times.take("wharf run", || {
            let arguments = calls.python(RECIPE, &[]);
            // Without `--json`, as people call it.
            into(&out, calls.command(&arguments[1..]).stderr(Stdio::null()));
        });
    }
    runtime.block_on(access.shutdown());
    println!("{}", times.table(BYTES as u64));
    for (way, base) in [
        ("library", "a pipe"),
        ("library", "docker run"),
        ("library", "docker run, docker logs"),
        ("wharf run", "docker run"),
    ] {
        println!("{}", times.ratio(way, base));
    }
}

fn activity() -> Activity {
    let requester = json!({ "user": USER, "groups": [GROUP] });
    serde_json::from_value(json!({ "kind": "python", "requester": requester, "code": RECIPE }))
        .expect("that is an activity")
}

fn docker(host: &str, arguments: &[&str]) -> Command {
    let mut docker = Command::new("docker");
    docker.args(["--host", host]).args(arguments);
    if arguments[0] == "run" {
        docker.args(["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
        docker.args(["--cpus", "2", "--memory", "2g", "--memory-swap", "2g"]);
    }
    docker
}

/// Runs a command whose output goes into a file, and checks that all of it came.
fn into(out: &Path, command: &mut Command) {
    must(command.stdout(File::create(out).expect("a file can be made")));
    let len = out.metadata().expect("it is there").len();
    assert_eq!(len, BYTES as u64, "{command:?}");
}

fn must(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

async fn library_run(access: &Access) {
    let run = access.submit(activity()).await.unwrap_or_else(|fault| panic!("{fault}"));
    let outcome = access.wait(&run).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(outcome.cause, Cause::Succeeded, "{}", outcome.sentence);
    let bytes = (BYTES - LINES) as u64;
    assert_eq!(outcome.log, Some(LogState::Complete { lines: LINES as u64, bytes }));
}
