//! The library in a process of its own, as an embedder uses it.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::runtime::Runtime;
use wharf::store::RunState;
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, EventKind, Phase};
use wharf_tests::{GROUP, Home, USER};

const HOSTILE: &str = env!("WHARF_HOSTILE_POLICY");

fn activity(code: &str) -> Activity {
    let requester = json!({ "user": USER, "groups": [GROUP] });
    serde_json::from_value(json!({ "kind": "python", "requester": requester, "code": code }))
        .expect("that is an activity")
}

async fn open(home: &Path) -> Access {
    Access::open(home, HostOptions::default()).await.expect("the home can be opened")
}

async fn cause_of(access: &Access, code: &str) -> Cause {
    let run = access.submit(activity(code)).await.expect("the activity is taken");
    access.wait(&run).await.expect("the run has an end").cause
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn a_policy_that_is_dropped_in_changes_the_next_run_of_an_open_host() {
    let home = tokio::task::block_in_place(Home::demo);
    let access = open(&home.path()).await;
    assert!(access.is_owner());
    assert_eq!(cause_of(&access, "print(1)").await, Cause::Succeeded);
    home.drop_policy("newcomer", HOSTILE, "[settings]\ndo = \"reject\"\n");
    assert_eq!(cause_of(&access, "print(1)").await, Cause::Rejected);
    std::fs::remove_file(home.path().join("policies/newcomer.wasm")).unwrap();
    assert_eq!(cause_of(&access, "print(1)").await, Cause::Succeeded);
    access.shutdown().await;
    tokio::task::block_in_place(|| home.left_only(&[]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn dropping_a_future_loses_nothing() {
    let home = tokio::task::block_in_place(Home::demo);
    let access = open(&home.path()).await;
    let run = access.submit(activity("import time\ntime.sleep(2)")).await.unwrap();
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(100), access.wait(&run)).await.is_err());
    }
    assert_eq!(access.wait(&run).await.unwrap().cause, Cause::Succeeded);
    // A second opening of the same home in another process or this one is a caller, not an owner.
    let caller = open(&home.path()).await;
    assert!(!caller.is_owner());
    assert_eq!(cause_of(&caller, "print(1)").await, Cause::Succeeded);
    caller.shutdown().await;
    access.shutdown().await;
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_host_that_is_dropped_leaves_its_runs_to_the_next() {
    let home = Home::demo();
    let first = Runtime::new().unwrap();
    let run = first.block_on(async {
        let access = open(&home.path()).await;
        let run = access.submit(activity("import time\ntime.sleep(4)\nprint('still here')")).await.unwrap();
        let mut events = access.follow(&run, 0, true);
        while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::PhaseStarted { phase: Phase::Run }) {}
        run
    });
    // All tasks of the first host go with their runtime, as they do when a process ends.
    drop(first);
    Runtime::new().unwrap().block_on(async {
        let access = open(&home.path()).await;
        assert!(access.is_owner());
        assert_eq!(access.wait(&run).await.unwrap().cause, Cause::Succeeded);
        let runs = access.runs(10).await.unwrap();
        assert_eq!((runs.len(), runs[0].state), (1, RunState::Ended));
        access.shutdown().await;
    });
    home.left_only(&[]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn twenty_runs_at_once() {
    let home = tokio::task::block_in_place(Home::demo);
    let access = std::sync::Arc::new(open(&home.path()).await);
    let runs: Vec<_> = (0..20)
        .map(|number| {
            let access = access.clone();
            tokio::spawn(async move { cause_of(&access, &format!("print({number})")).await })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap(), Cause::Succeeded);
    }
    let access = std::sync::Arc::into_inner(access).unwrap();
    let runs = access.runs(100).await.unwrap();
    assert!(runs.len() == 20 && runs.iter().all(|run| run.state == RunState::Ended), "{runs:?}");
    access.shutdown().await;
    tokio::task::block_in_place(|| home.left_only(&[]));
}

/// One of them waits for room when its host goes: the next one launches it once, or ends it, as the site says.
#[test]
#[ignore = "needs docker (runs containers)"]
fn what_was_never_launched_is_launched_once_or_ended() {
    for (never_launched, cause) in [("launch", Cause::Succeeded), ("fail", Cause::HostFault)] {
        let home = Home::demo();
        home.write("policies/resource-ceiling.toml", "[settings]\nrunning = 1\n");
        let site = std::fs::read_to_string(home.path().join("wharf.toml")).unwrap();
        home.write("wharf.toml", format!("{site}\n[recovery]\nnever_launched = \"{never_launched}\"\n"));
        let first = Runtime::new().unwrap();
        let (running, waiting) = first.block_on(async {
            let access = open(&home.path()).await;
            let running = access.submit(activity("import time\ntime.sleep(3)")).await.unwrap();
            let mut events = access.follow(&running, 0, true);
            while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::PhaseStarted { phase: Phase::Run }) {
            }
            let waiting = access.submit(activity("print('once')")).await.unwrap();
            let mut events = access.follow(&waiting, 0, true);
            while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::Queued { .. }) {}
            (running, waiting)
        });
        drop(first);
        Runtime::new().unwrap().block_on(async {
            let access = open(&home.path()).await;
            assert_eq!(access.wait(&running).await.unwrap().cause, Cause::Succeeded);
            assert_eq!(access.wait(&waiting).await.unwrap().cause, cause);
            let events: Vec<_> = access.follow(&waiting, 0, false).map(Result::unwrap).collect().await;
            let lines =
                events.iter().filter(|event| matches!(&event.kind, EventKind::Log { text, .. } if text == "once"));
            assert_eq!(lines.count(), usize::from(cause == Cause::Succeeded));
            access.shutdown().await;
        });
        home.left_only(&[]);
    }
}
