//! What components decide, and what is shown of it.

use serde_json::json;
use wharf::message::Explanation;
use wharf::store::RunState;
use wharf_model::{Cause, Decision, Judgement};
use wharf_tests::{GROUP, Home, USER};

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

fn of_step<'a>(decisions: &'a [Decision], step: &str, component: &str) -> &'a Decision {
    let found = decisions.iter().find(|decision| decision.step == step && decision.component == component);
    found.unwrap_or_else(|| panic!("no decision of {component} at {step}: {decisions:?}"))
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn explain_shows_the_whole_way() {
    let home = Home::demo();
    home.write_data("in.csv", "a\n1\n");
    let mut arguments = home.python(
        "print(1)",
        &["--input", &home.bind("in", "in.csv"), "--output", &home.bind("out", "out.csv"), "--project", "SALES"],
    );
    arguments[1] = "explain".to_owned();
    let explained: Explanation = home.call(&arguments).exits(0).document();

    assert_eq!((explained.configuration.as_str(), explained.chosen_by.as_str()), ("docker-local", "site"));
    let permission = of_step(&explained.decisions, "permission", "allowed-groups");
    assert!(matches!(permission.judgement, Judgement::Accept { .. }), "{permission:?}");
    assert_eq!(permission.digest.len(), 64);
    let _ = of_step(&explained.decisions, "adapter", "recipe-python");
    let _ = of_step(&explained.decisions, "image-recipe", "image-debian");
    let _ = of_step(&explained.decisions, "policy", "resource-ceiling");
    let defaults = of_step(&explained.decisions, "policy", "defaults-and-labels");
    let Judgement::Accept { changes, .. } = &defaults.judgement else { panic!("{defaults:?}") };
    let pids = changes.iter().find(|receipt| receipt.field == "resources.pids-limit").unwrap();
    assert_eq!((pids.before.as_deref(), pids.after.as_deref()), (None, Some("512")));
    assert!(!pids.change.rule.is_empty() && !pids.change.reason.is_empty());
    let submitter = changes.iter().find(|receipt| receipt.field == "labels.submitter").unwrap();
    assert_eq!(submitter.after.as_deref(), Some(USER));

    assert_eq!(explained.base_key.as_ref().map(String::len), Some(64));
    assert_eq!(explained.image_key.as_ref().map(String::len), Some(64));
    assert_ne!(explained.base_key, explained.image_key);
    assert_eq!(explained.image_there, Some(true));
    assert!(explained.containerfile.unwrap().contains("FROM"));
    let object = explained.object.unwrap();
    assert_eq!(object["HostConfig"]["Memory"], json!(2_u64 << 30));
    assert_eq!(object["HostConfig"]["NanoCpus"], json!(1_000_000_000));
    assert_eq!(object["HostConfig"]["PidsLimit"], json!(512));
    assert_eq!(object["Labels"]["submitter"], json!(USER));
    assert!(object["Env"].as_array().unwrap().iter().any(|variable| variable == "WHARF_TICKET=***"), "{object}");
    assert!(explained.outcome.is_none());

    // For people: the same.
    arguments.remove(0);
    let shown = home.call(&arguments).exits(0).stdout;
    for part in ["allowed-groups", "recipe-python", "defaults-and-labels", "pids-limit", "512", "resource-ceiling"] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    assert!(shown.contains("\"HostConfig\"") && shown.contains(&explained.image_key.unwrap()), "{shown}");
    // Nothing came of it.
    assert!(home.runs().is_empty());
    home.left_only(&["in.csv"]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn what_explain_shows_is_what_is_created() {
    let home = Home::demo();
    let mut run = home.start(home.python("import time\nprint('up')\ntime.sleep(600)", &[]));
    let id = run.until_log("up");
    let explained: Explanation = home.call(["--json", "explain", &id]).exits(0).document();
    let [container] = home.containers().try_into().unwrap();
    let created = home.daemon().inspect(&container.id);
    let object = explained.object.unwrap();
    for (field, value) in object["HostConfig"].as_object().unwrap() {
        assert_eq!(&created["HostConfig"][field], value, "HostConfig.{field}");
    }
    for field in ["Cmd", "User", "StopSignal", "StopTimeout"] {
        assert_eq!(created["Config"][field], object[field], "{field}");
    }
    for label in ["wharf.host", "wharf.run", "wharf.attempt", "submitter"] {
        assert_eq!(created["Config"]["Labels"][label], object["Labels"][label], "{label}");
    }
    assert_eq!(created["Config"]["Labels"]["wharf.run"], json!(id));
    assert_eq!(created["Config"]["Labels"]["wharf.attempt"], json!("1"));

    // The strict end of everything, as the daemon sees it.
    assert_eq!(created["Config"]["User"], json!("1000:1000"));
    let host = &created["HostConfig"];
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["CapAdd"], json!(null));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["Privileged"], json!(false));
    assert_eq!(host["PidsLimit"], json!(512));
    assert_eq!(host["Binds"], json!(null));
    assert_eq!(host["AutoRemove"], json!(false));
    assert_eq!(created["Mounts"], json!([]));

    let _ = home.call(["stop", &id]).exits(0);
    let _ = run.finish().exits(13);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn somebody_of_no_allowed_group_is_refused() {
    let home = Home::demo();
    for groups in [["--group", "marketing"].as_slice(), &[]] {
        let who = [["--user", "mallory"].as_slice(), groups].concat();
        let run = home.run_python("print(1)", &who).exits(11);
        let end = run.outcome();
        assert_eq!(end.cause, Cause::Refused);
        for part in ["mallory", "docker-local", GROUP] {
            assert!(end.sentence.contains(part), "no {part} in: {}", end.sentence);
        }
        let mut arguments = home.python("print(1)", &who);
        arguments[1] = "explain".to_owned();
        let explained: Explanation = home.call(&arguments).exits(11).document();
        assert_eq!(explained.outcome.map(|outcome| outcome.sentence), Some(end.sentence));
        assert!(explained.object.is_none());
    }
    // It is on record, and nothing came of it.
    let runs = home.runs();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.state == RunState::Ended && run.user == "mallory"), "{runs:?}");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_request_over_the_ceiling_is_rejected() {
    let home = Home::demo();
    let end = home.run_python("print(1)", &["--resource", "memory=8g"]).exits(12).outcome();
    assert_eq!(end.cause, Cause::Rejected);
    for part in ["resource-ceiling", "8g", "4g"] {
        assert!(end.sentence.contains(part), "no {part} in: {}", end.sentence);
    }
    let _ = home.run_python("print(1)", &["--resource", "cpus=3"]).exits(12);
    home.left_only(&[]);
    // At the ceiling there is room.
    let _ = home.run_python("print(1)", &["--resource", "memory=4g", "--resource", "cpus=2"]).exits(0);
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_configuration_whose_check_is_missing_refuses_everyone() {
    let home = Home::demo();
    home.replace(
        "configs/docker-local.toml",
        "[permissions]\n",
        "[permissions]\nchecks = [\"allowed-groups\", \"site-rules\"]\n",
    );
    let end = home.run_python("print(1)", &[]).exits(11).outcome();
    assert!(end.sentence.contains("site-rules") && end.sentence.contains("isn't loaded"), "{}", end.sentence);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (asks the daemon)"]
fn a_host_without_a_required_policy_is_closed() {
    let home = Home::demo();
    // Not missing, but no component any more: that is as closed.
    home.write("policies/resource-ceiling.wasm", "not a component");
    let end = home.run_python("print(1)", &[]).exits(12).outcome();
    assert!(end.sentence.contains("required policy resource-ceiling"), "{}", end.sentence);
    home.left_only(&[]);
    std::fs::remove_file(home.path().join("policies/resource-ceiling.wasm")).unwrap();
    let _ = home.run_python("print(1)", &[]).exits(12);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_policy_that_is_dropped_in_counts_from_the_next_run_on() {
    let home = Home::demo();
    // The owner stays open all the while.
    let mut owner = home.start(home.python("import time\nprint('up')\ntime.sleep(600)", &[]));
    let first = owner.until_log("up");
    let _ = home.run_python("print(1)", &[]).exits(0);

    home.drop_policy("newcomer", HOSTILE, "[settings]\ndo = \"reject\"\n");
    let end = home.run_python("print(1)", &[]).exits(12).outcome();
    assert!(end.sentence.contains("rejected by newcomer"), "{}", end.sentence);
    assert!(end.sentence.contains(USER), "{}", end.sentence);

    // So do other settings of it, and a component that breaks is replaced by nobody.
    home.write("policies/newcomer.toml", "[settings]\ndo = \"count\"\n");
    let _ = home.run_python("print(1)", &[]).exits(0);
    home.write("policies/newcomer.toml", "[settings]\ndo = \"panic\"\n");
    let end = home.run_python("print(1)", &[]).exits(12).outcome();
    assert!(end.sentence.contains("newcomer failed"), "{}", end.sentence);
    std::fs::remove_file(home.path().join("policies/newcomer.wasm")).unwrap();
    let _ = home.run_python("print(1)", &[]).exits(0);

    // The first run never noticed.
    let _ = home.call(["stop", &first]).exits(0);
    let owner = owner.finish().exits(13);
    assert_eq!(owner.run(), first);
    home.left_only(&[]);
}
