//! Recipes of a plugin, as they are.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

use crate::kitchen::{self, progress, recipe};

/// What the recipe `describe` wrote down: names and values.
fn report(home: &Home) -> BTreeMap<String, String> {
    let text = home.read_data("report.csv");
    let line = |line: &str| {
        let (name, value) = line.split_once(',').unwrap();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        (name.to_owned(), value.replace("\"\"", "\""))
    };
    text.lines().skip(1).map(line).collect()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_python_recipe_gets_its_roles_its_parameters_its_libraries_and_its_resources() {
    let home = kitchen::home();
    // Nobody has built this one before.
    home.write("dss-plugins/kitchen/resource/stamp", format!("{:?} {}", SystemTime::now(), std::process::id()));
    home.write_data("one.csv", "n\n1\n2\n");
    home.write_data("two.csv", "n\n3\n");
    home.write_data("pictures/a/b.txt", "picture");
    let bind = |role: &str, path: &str| home.bind(role, path);
    let arguments = [
        ("--input", bind("tables", "one.csv")),
        ("--input", bind("tables:second", "two.csv")),
        ("--input", bind("files", "pictures/")),
        ("--output", bind("report", "report.csv")),
        ("--output", bind("copies", "copies/")),
        ("--project", "COOKING".to_owned()),
        ("--param", "text=a, b and \"c\"".to_owned()),
        ("--param", "whole=7".to_owned()),
        ("--param", "flag=false".to_owned()),
        ("--param", "choices=[\"y\"]".to_owned()),
        ("--param", "columns=[\"n\"]".to_owned()),
        ("--param", "map={\"k\": \"v\"}".to_owned()),
        ("--param", "objects=[{\"key\": \"x\", \"size\": 2}]".to_owned()),
    ];
    let more: Vec<&str> = arguments.iter().flat_map(|(flag, value)| [*flag, value.as_str()]).collect();
    let first = home.call(recipe("describe", &more)).exits(0);
    let told = report(&home);
    for (name, expected) in [
        ("text", r#""a, b and \"c\"""#),
        ("area", r#""two\nlines""#),
        ("whole", "7"),
        ("real", "0.5"),
        ("flag", "false"),
        ("choice", r#""a""#),
        ("choices", r#"["y"]"#),
        ("columns", r#"["n"]"#),
        ("map", r#"{"k": "v"}"#),
        ("objects", r#"[{"key": "x", "size": 2}]"#),
        ("region", "north"),
        ("resource", "cumin"),
        ("season", "salt and pepper"),
        ("tables", "COOKING.one,COOKING.second"),
        ("rows", "3"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(expected), "{name}\n{told:#?}");
    }
    assert!(!told.contains_key("heading"), "{told:#?}");
    assert_eq!(home.read_data("copies/a/b.txt"), "picture");

    // The plugin's folders are a layer that is made once.
    let folders_key = |home: &Home| {
        let explain = ["--json", "explain"].map(str::to_owned);
        let asked = recipe("describe", &more).into_iter().skip(2);
        let said = home.call(explain.into_iter().chain(asked)).exits(0).stdout;
        let explained: serde_json::Value = serde_json::from_str(&said).unwrap();
        explained["folders_key"].as_str().unwrap_or_else(|| panic!("no key: {said}")).to_owned()
    };
    let key = folders_key(&home);
    assert!(progress(&first.events()).iter().any(|text| text.contains("adding the folders of kitchen")), "{first}");
    let second = home.call(recipe("describe", &more)).exits(0);
    assert_eq!(progress(&second.events()), Vec::<String>::new(), "{second}");
    assert_eq!(folders_key(&home), key);
    fs::write(home.path().join("dss-plugins/kitchen/resource/spice.txt"), "saffron\n").unwrap();
    assert_ne!(folders_key(&home), key, "it is the key of what the folders hold");
    let third = home.call(recipe("describe", &more)).exits(0);
    assert_eq!(report(&home)["resource"], "saffron");
    let built = progress(&third.events());
    assert!(!built.iter().any(|text| text.contains("base image")), "{built:?}");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn an_r_recipe_runs_from_an_activity_file() {
    let home = kitchen::home();
    home.write_data("text.csv", "line\nsalt and pepper\nsalt\n");
    home.write(
        "activities/words.toml",
        format!(
            "kind = \"plugin\"\nplugin = \"kitchen\"\nrecipe = \"words\"\n[parameters]\ncolumn = \"line\"\n\
             [inputs]\ntext = {:?}\n[outputs.counts]\ncounted = {:?}\n",
            home.data("text.csv"),
            home.data("counted.csv")
        ),
    );
    let file = home.path().join("activities/words.toml").display().to_string();
    let run = home.call(["--json", "run", &file, "--user", USER, "--group", GROUP]).exits(0);
    assert_eq!(run.outcome().cause, Cause::Succeeded);
    assert_eq!(home.read_data("counted.csv"), "word,count\nand,1\ncumin,1\npepper,1\nsalt,2\n");
}

#[test]
#[ignore = "needs docker (a run is asked for)"]
fn all_that_is_wrong_is_said_at_once_and_nothing_is_built() {
    let home = kitchen::home();
    let input = home.write_data("in.csv", "n\n1\n").display().to_string();
    let more = [
        "--input",
        &format!("tabels={input}"),
        "--param",
        "whole=11",
        "--param",
        "choice=c",
        "--param",
        "flag=perhaps",
        "--param",
        "txt=x",
    ];
    let end = home.call(recipe("describe", &more)).outcome();
    assert_eq!(end.cause, Cause::NotPrepared, "{}", end.sentence);
    for words in ["tables", "report", "whole", "choice", "flag", "\"txt\"", "text", "things are wrong"] {
        assert!(end.sentence.contains(words), "no {words} in: {}", end.sentence);
    }
    for (arguments, words) in [
        (["--plugin", "kitchn", "--recipe", "words"], "there is no plugin \"kitchn\"; did you mean \"kitchen\"?"),
        (["--plugin", "kitchen", "--recipe", "word"], "no recipe \"word\""),
        (["--plugin", "../kitchen", "--recipe", "words"], "there is no plugin \"../kitchen\""),
    ] {
        let run = ["--json", "run"].iter().chain(&arguments).chain(&["--user", USER, "--group", GROUP]);
        let end = home.call(run).outcome();
        assert_eq!(end.cause, Cause::NotPrepared);
        assert!(end.sentence.contains(words), "{}", end.sentence);
    }
    assert!(home.containers().is_empty());
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_failure_shows_the_plugins_own_line_with_a_sentence_above() {
    let home = kitchen::home();
    let run = home.call(recipe("failing", &[])).exits(10);
    let log: Vec<String> = run.log().into_iter().map(|(_, text)| text).collect();
    let text = log.join("\n");
    assert!(text.contains("custom-recipes/failing/recipe.py\", line 5, in divide"), "{text}");
    assert!(!text.contains("runpy"), "{text}");
    let sentence = log.iter().position(|line| line.contains("ZeroDivisionError") && line.contains("line 5"));
    let traceback = log.iter().position(|line| line.starts_with("Traceback"));
    assert!(sentence.is_some() && sentence < traceback, "{text}");

    let run = home.call(recipe("old", &[])).exits(10);
    let text = run.log().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    assert!(text.contains("Python 2"), "{text}");
}

#[test]
#[ignore = "needs docker (builds images) and an index of packages"]
fn a_plugins_code_environment_is_built_locked_and_can_be_replaced() {
    let home = kitchen::home();
    crate::kitchen::copy(&kitchen::folder(), &home.path().join("dss-plugins/kitchen"));
    wharf_tests::trust(&home, "python-r");
    let run = home.call(recipe("environment", &[])).exits(0);
    assert_eq!(run.log()[0].1, "six 1.16.0 in /opt/code-env");
    let lock = fs::read_to_string(home.path().join("plugin-locks/kitchen/python-r.toml")).unwrap();
    assert!(lock.contains("six==1.16.0") && lock.contains("pandas=="), "{lock}");
    home.write("code-envs/newer/env.toml", "language = \"python\"\ninstall_core_packages = false\n");
    home.write("code-envs/newer/requirements.txt", "six==1.17.0\n");
    let run = home.call(recipe("environment", &["--code-env", "newer"])).exits(0);
    assert_eq!(run.log()[0].1, "six 1.17.0 in /opt/code-env");
}
