//! What people get wrong: what is said then, and where.

use serde_json::Value;
use wharf_model::{Cause, Fault};
use wharf_tests::{Finished, Home};

/// The fault that a call with `--json` wrote: its only line of output.
fn fault(call: &Finished) -> Fault {
    let document: Value = call.document();
    serde_json::from_value(document["fault"].clone()).unwrap_or_else(|error| panic!("no fault: {error}\n{call}"))
}

/// The line of a file of the home that has this text, from 1.
fn line_of(home: &Home, file: &str, text: &str) -> u32 {
    let contents = std::fs::read_to_string(home.path().join(file)).expect("the file is there");
    let at = contents.lines().position(|line| line.contains(text)).expect("the text is in it");
    u32::try_from(at + 1).expect("the file is short")
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let home = Home::without_image();
    let file = "configs/docker-local.toml";
    let cases = [
        ("memory = \"2g\"", "memmory = \"2g\"", "memory"),
        ("memmory = \"2g\"", "memory = \"2 gigs\"", "2 gigs"),
        ("memory = \"2 gigs\"", "memory = ", ""),
        ("memory = ", "memory = \"2g\"\n[sekurity]\nuser = \"0\"", "security"),
    ];
    for (old, new, named) in cases {
        home.replace(file, old, new);
        let wrong = if new.contains("sekurity") { "sekurity" } else { new };
        let at = line_of(&home, file, wrong.lines().next().unwrap());
        let call = home.run_python("print(1)", &[]).exits(3);
        let fault = fault(&call);
        let place = fault.at.clone().unwrap();
        assert!(place.file.ends_with(file), "{fault:?}");
        assert_eq!(place.line, Some(at), "{new}: {fault:?}");
        assert!(format!("{fault:?}").contains(named), "no {named} in {fault:?}");
        // For people, the same on standard error.
        let mut arguments = home.python("print(1)", &[]);
        arguments.remove(0);
        let shown = home.call(&arguments).exits(3);
        assert!(shown.stderr.contains(&format!("{file}:{at}")), "{shown}");
        assert_eq!(shown.stdout, "");
        let _ = home.call(["config", "check"]).exits(3);
    }
    assert!(home.runs().is_empty());
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_name_that_nothing_has_is_answered_with_the_nearest() {
    let home = Home::without_image();
    let call = home.run_python("print(1)", &["--config", "docker-lokal"]).exits(3);
    assert!(format!("{:?}", fault(&call)).contains("docker-local"), "{call}");
    home.replace("configs/docker-local.toml", "\"python-r\"", "\"pyton-r\"");
    let call = home.run_python("print(1)", &[]).exits(3);
    let fault = fault(&call);
    assert_eq!(
        fault.at.clone().unwrap().line,
        Some(line_of(&home, "configs/docker-local.toml", "pyton-r")),
        "{fault:?}"
    );
    assert!(format!("{fault:?}").contains("python-r"), "{fault:?}");
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn arguments_that_make_no_sense() {
    let home = Home::without_image();
    let _ = home.call(["run"]).exits(2);
    let _ = home.call(["run", "--nonsense"]).exits(2);
    let _ = home.call(home.python("print(1)", &["--input", "in=/nowhere/at/all.csv"])).exits(2);
    let _ = home.call(home.python("print(1)", &["--output", &home.bind("out", "out.xlsx")])).exits(2);
    let _ = home.call(["error", "no-such-code"]);
    let _ = home.call(["--json", "logs", "no-such-run"]).exits(1);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs no container)"]
fn an_engine_that_does_not_answer() {
    let home = Home::without_image();
    let address = home.daemon().address();
    home.replace("configs/docker-local.toml", &address, "unix:///nonexistent/docker.sock");
    let end = home.run_python("print(1)", &[]).exits(20).outcome();
    assert_eq!(end.cause, Cause::EngineUnreachable);
    assert!(end.sentence.contains("unix:///nonexistent/docker.sock"), "{}", end.sentence);
    assert!(end.retry_helps && end.advice.is_some(), "{end:?}");
    assert_eq!(home.runs().len(), 1);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_recipe_in_a_language_that_the_base_image_lacks() {
    let home = Home::demo();
    home.replace("base-images/python-r.toml", "[languages.r]", "");
    let end = home.call(home.r("print(1)", &[])).exits(15).outcome();
    assert_eq!(end.cause, Cause::NotPrepared);
    assert!(end.sentence.contains("python-r") && end.sentence.contains("python"), "{}", end.sentence);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn the_tools_that_look_for_mistakes_find_none_in_a_fresh_home() {
    let home = Home::demo();
    let _ = home.call(["config", "check"]).exits(0);
    let test = home.call(["--json", "config", "test", "docker-local"]).exits(0);
    assert_eq!(test.outcome().cause, Cause::Succeeded);
    let doctor: Value = home.call(["--json", "doctor"]).exits(0).document();
    assert!(!doctor.to_string().contains("\"bad\""), "{doctor}");
    let components = home.call(["component", "list"]).exits(0);
    for name in [
        "allowed-groups",
        "resource-ceiling",
        "defaults-and-labels",
        "recipe-python",
        "recipe-r",
        "dss-plugin",
        "image-debian",
        "image-rpm",
    ] {
        assert!(components.stdout.contains(name), "no {name} in\n{components}");
    }
    let bases = home.call(["base", "list"]).exits(0);
    assert!(bases.stdout.contains("python-r"), "{bases}");
    // What is there isn't built again.
    let again = home.call(["--json", "base", "build", "python-r"]).exits(0);
    assert!(again.stdout.contains("\"built\":false"), "{again}");
    home.left_only(&[]);
}
