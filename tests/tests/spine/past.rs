//! Policies tried on runs that happened.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharf::{Access, HostOptions};
use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

const CEILING: &str = "policies/resource-ceiling.toml";

#[test]
#[ignore = "needs docker"]
fn a_policys_effect_is_known_before_it_is_switched_on() {
    let home = Home::demo();
    let _ = home.run_python("print('small')", &["--resource", "memory=256m"]).exits(0);
    let _ = home.run_python("print('large')", &["--resource", "memory=512m"]).exits(0);
    let _ = home.run_python("print('never')", &["--resource", "memory=64g"]).exits(12);

    let rejected: Value = home.call(["--json", "runs", "--rejected", "--since", "1h"]).exits(0).document();
    let rejected = rejected.as_array().unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0]["outcome"]["cause"], "rejected");

    // Stricter settings: which of the three would have gone otherwise?
    let stricter = home.path().join("stricter.toml");
    fs::write(&stricter, "[settings.ceilings]\nmemory = \"300m\"\n").unwrap();
    let stricter = stricter.display().to_string();
    let file = home.path().join("policies/resource-ceiling.wasm").display().to_string();
    let report: Value =
        home.call(["--json", "policy", "replay", &file, "--settings", &stricter, "--since", "30d"]).exits(0).document();
    assert_eq!(
        (&report["runs"], &report["replayed"], &report["refused"]),
        (&json!(3), &json!(3), &json!(1)),
        "{report}"
    );
    let large = report["flips"][0]["run"].as_str().unwrap().to_owned();
    let told = home.call(["policy", "replay", &file, "--settings", &stricter]).exits(0).stdout;
    assert!(told.contains("1 would have been refused, and passed"), "{told}");

    let what_if: Value = home
        .call(["--json", "policy", "what-if", &large, "--settings", &stricter, "--component", "resource-ceiling"])
        .exits(0)
        .document();
    assert_eq!((&what_if["then"], &what_if["now"]), (&json!("accepted"), &json!("rejected by resource-ceiling")));
    let field = home.call(["explain", &large, "memory"]).exits(0).stdout;
    assert!(field.contains("resources.memory = 512m, from the activity"), "{field}");

    // The same as a canary: held back, by the next process, too, until a person lets it in.
    let before = fs::read_to_string(home.path().join(CEILING)).unwrap_or_default();
    home.write(CEILING, format!("canary = true\n{before}"));
    let listed = || -> Value { home.call(["--json", "component", "list"]).exits(0).document() };
    // Its trial begins with the first look, and the command that began it waits for it.
    let _ = listed();
    assert_eq!(listed()["failed"], json!([]));
    home.write(CEILING, "canary = true\n[settings.ceilings]\nmemory = \"300m\"\n");
    let _ = listed();
    let held = listed();
    assert_eq!(held["failed"][0]["fault"]["code"], "component-held-back", "{held}");
    let said = held["failed"][0]["fault"]["message"].as_str().unwrap();
    assert!(said.contains("it flips 1 of 3 recorded runs (1 refused)") && said.contains(&large), "{said}");
    let _ = home.run_python("print('large')", &["--resource", "memory=512m"]).exits(0);
    let _ = home.call(["component", "release", "resource-ceiling"]).exits(0);
    let _ = home.run_python("print('large')", &["--resource", "memory=512m"]).exits(12);
}

/// By a host that goes on: one that fails in real runs is watched, and the version before comes back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn a_canary_that_traps_in_runs_is_taken_back() {
    let home = tokio::task::block_in_place(Home::demo);
    let site = fs::read_to_string(home.path().join("wharf.toml")).unwrap();
    home.write("wharf.toml", format!("{site}\n[canary]\nmax_failures = 2\n"));
    home.drop_policy("newcomer", HOSTILE, "canary = true\n[settings]\ndo = \"accept\"\n");
    let access = Access::open(&home.path(), HostOptions::default()).await.unwrap();
    let cause = async || {
        let requester = json!({ "user": USER, "groups": [GROUP] });
        let activity = json!({ "kind": "python", "requester": requester, "code": "print(1)" });
        let run = access.submit(serde_json::from_value(activity).unwrap()).await.unwrap();
        access.wait(&run).await.unwrap().cause
    };
    let loaded = async |what: &str| {
        let started = Instant::now();
        loop {
            let report = access.components().await.unwrap();
            if report.failed.is_empty() && report.loaded.iter().any(|component| component.name == "newcomer") {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{what}: {:?}", report.failed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    loaded("its first trial").await;
    assert_eq!(cause().await, Cause::Succeeded);
    home.write("policies/newcomer.toml", "canary = true\n[settings]\ndo = \"panic\"\n");
    let released = tokio::task::block_in_place(|| home.call(["component", "release", "newcomer"]));
    let _ = released.exits(0);
    for _ in 0..3 {
        assert_eq!(cause().await, Cause::Rejected, "it traps, and a failed policy is a no");
    }
    assert_eq!(cause().await, Cause::Succeeded, "the version before judges again");
    let reason = fs::read_to_string(home.path().join("policies/newcomer.taken-back.txt")).unwrap();
    assert!(reason.contains("it failed 3 times within 600 s"), "{reason}");
    access.shutdown().await;
}
