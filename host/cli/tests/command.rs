//! The command as scripts see it: streams and exit codes. No engine is needed; the demo's home is given one that isn't there.
#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails, and says where")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An address at which no daemon answers.
const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

fn wharf(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(arguments).env("WHARF_HOME", home).env_remove("RUST_LOG").current_dir(home.parent().unwrap());
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "standard output:\n{out}\nstandard error:\n{err}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "control characters into a pipe:\n{out}\n{err}");
    (out, err)
}

/// A demo home, with a recipe and a table beside it.
fn demo() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    ends(&wharf(&home, &["init", "--demo", "--bootstrap", "--docker-host", NO_ENGINE]), 0);
    std::fs::write(folder.path().join("recipe.py"), "print('hello')\n").unwrap();
    std::fs::write(folder.path().join("table.csv"), "a\n1\n").unwrap();
    (folder, home)
}

#[test]
fn a_mistake_in_the_arguments_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (out, err) = ends(&wharf(&home, &["run", "--nonsense"]), 2);
    assert!(out.is_empty() && err.contains("--nonsense"), "{err}");
    let (_, err) = ends(&wharf(&home, &["error", "engine-unreachible"]), 2);
    assert!(err.contains("did you mean `engine-unreachable`?"), "{err}");
}

#[test]
fn help_has_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (out, _) = ends(&wharf(&folder.path().join("home"), &["--help"]), 0);
    assert!(out.contains("14  killed for memory"), "{out}");
}

#[test]
fn every_error_code_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (codes, _) = ends(&wharf(&home, &["error"]), 0);
    assert!(codes.lines().any(|code| code == "out-of-memory"), "{codes}");
    let (page, _) = ends(&wharf(&home, &["error", "[out-of-memory]"]), 0);
    assert!(page.contains("memory"), "{page}");
}

#[test]
fn no_home_is_3_and_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (out, err) = ends(&wharf(&home, &["config", "check"]), 3);
    assert!(out.is_empty() && err.starts_with("error[home-not-found]: ") && err.contains("wharf init"), "{err}");
    let (out, err) = ends(&wharf(&home, &["config", "check", "--json"]), 3);
    let fault: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(fault["fault"]["code"], "home-not-found");
    assert!(err.is_empty(), "{err}");
}

#[test]
fn a_home_is_made_once_and_checked() {
    let (_folder, home) = demo();
    let (_, err) = ends(&wharf(&home, &["init"]), 3);
    assert!(err.contains("home-exists"), "{err}");
    ends(&wharf(&home, &["config", "check"]), 0);
    let (out, _) = ends(&wharf(&home, &["config", "list"]), 0);
    assert!(out.contains("docker-local") && out.contains("analysts"), "{out}");

    let file = home.join("configs/docker-local.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("memory =", "memmory =")).unwrap();
    let (out, _) = ends(&wharf(&home, &["config", "check"]), 3);
    assert!(out.contains("did you mean `memory`?") && out.contains("docker-local.toml:"), "{out}");
    let (out, _) = ends(&wharf(&home, &["--json", "config", "check"]), 3);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert!(checked["faults"][0]["at"]["line"].as_u64().is_some(), "{out}");
}

#[test]
fn shipped_components_are_loaded() {
    let (_folder, home) = demo();
    let (out, _) = ends(&wharf(&home, &["component", "list", "--json"]), 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["failed"].as_array().map(Vec::len), Some(0), "{out}");
    let (out, _) = ends(&wharf(&home, &["component", "list"]), 0);
    assert!(out.starts_with("NAME ") && out.contains("allowed-groups"), "{out}");

    let broken = home.join("policies/broken.wasm");
    std::fs::write(&broken, b"\0asm\x01").unwrap();
    let (out, _) = ends(&wharf(&home, &["component", "list"]), 0);
    assert!(out.contains("broken.wasm not loaded"), "{out}");
    let (out, _) = ends(&wharf(&home, &["component", "check", broken.to_str().unwrap()]), 3);
    assert!(out.contains("failed") && out.contains("error[component-"), "{out}");
}

#[test]
fn explain_ends_as_a_run_would() {
    let (_folder, home) = demo();
    let asked = ["explain", "--python", "recipe.py", "--input", "t=table.csv", "--user", "ana", "--group", "analysts"];
    let (out, _) = ends(&wharf(&home, &asked), 0);
    for part in [
        "docker-local   chosen by the site",
        "allowed-groups",
        "resource-ceiling",
        "image key      not known without the engine",
        "\"HostConfig\"",
    ] {
        assert!(out.contains(part), "{part} isn't in\n{out}");
    }
    let (out, _) = ends(&wharf(&home, &[&asked[..7], &["--group", "guests"]].concat()), 11);
    assert!(out.contains("would end here") && out.contains("analysts"), "{out}");
    let (out, _) = ends(&wharf(&home, &[&asked[..], &["--resource", "memory=8g"]].concat()), 12);
    assert!(out.contains("8g") && out.contains("4g"), "{out}");
    let (out, _) = ends(&wharf(&home, &[&asked[..], &["--json"]].concat()), 0);
    let explanation: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(explanation["chosen_by"], "site");
}

#[test]
fn runs_that_end_early_have_their_codes() {
    let (_folder, home) = demo();
    let run = ["run", "--python", "recipe.py", "--user", "ana"];
    let (out, err) = ends(&wharf(&home, &[&run[..], &["--group", "guests"]].concat()), 11);
    assert!(out.is_empty() && err.contains("failed refused"), "{err}");
    ends(&wharf(&home, &[&run[..], &["--group", "analysts", "--resource", "cpus=3"]].concat()), 12);
    let (out, err) = ends(&wharf(&home, &[&run[..], &["--group", "analysts", "--json"]].concat()), 20);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().map(|event| &event["event"]), Some(&Value::from("submitted")));
    assert_eq!(events.last().map(|event| &event["event"]), Some(&Value::from("ended")));
    assert!(err.is_empty(), "{err}");

    let (out, _) = ends(&wharf(&home, &["runs"]), 0);
    for end in ["refused", "rejected", "engine-unreachable"] {
        assert!(out.contains(end), "{end} isn't in\n{out}");
    }
    let (out, _) = ends(&wharf(&home, &["explain", "last"]), 0);
    assert!(out.contains("engine-unreachable"), "{out}");
    let (_, err) = ends(&wharf(&home, &["logs", "nothing"]), 1);
    assert!(err.contains("no-such-run"), "{err}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["docs", "cli"])
        .env("WHARF_HOME", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (_, err) = ends(&output, 0);
    assert!(err.is_empty(), "{err}");
}
