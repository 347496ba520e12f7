//! Many runs at once, of users who are treated alike.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use wharf::store::RunFilter;
use wharf::{Access, HostOptions};
use wharf_model::{Activity, Cause, EventKind};
use wharf_tests::{GROUP, Home};

/// MiB of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("it says so") / 1024
}

fn activity(user: &str) -> Activity {
    serde_json::from_value(json!({
        "kind": "python", "requester": { "user": user, "groups": [GROUP] }, "project": "FLIGHTS", "code": "print(1)"
    }))
    .expect("that is an activity")
}

/// With `WHARF_TEST_LONG`, 2,000 runs, of which 1,990 are one user's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn a_crowd_is_accepted_at_once_and_lets_others_through() {
    let all = if std::env::var_os("WHARF_TEST_LONG").is_some() { 2_000 } else { 200 };
    let home = tokio::task::block_in_place(Home::demo);
    home.write("policies/resource-ceiling.toml", "[settings.totals.projects.\"*\"]\nrunning = 2\n");
    let access = Access::open(&home.path(), HostOptions::default()).await.unwrap();
    let before = resident();
    let started = Instant::now();
    let mut latencies = Vec::new();
    let mut runs = HashMap::new();
    // The small user's come last.
    for number in 0..all {
        let user = if number < all - 10 { "crowd" } else { "ben" };
        let asked = Instant::now();
        let run = access.submit(activity(user)).await.unwrap();
        latencies.push(asked.elapsed());
        runs.insert(run, user);
    }
    let accepted = started.elapsed();
    latencies.sort();
    let (median, slowest) = (latencies[all / 2], latencies[all * 99 / 100]);
    // Until all of ben's have ended: who else ended before?
    let bens: Vec<&String> = runs.iter().filter(|(_, user)| **user == "ben").map(|(run, _)| run).collect();
    let outcomes = join_all(bens.iter().map(|run| access.wait(run))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().cause == Cause::Succeeded));
    let waited = started.elapsed();
    let memory = resident().saturating_sub(before);
    let summaries = access.find_runs(RunFilter::default(), u32::try_from(all).unwrap()).await.unwrap();
    let others = summaries.iter().filter(|run| run.user == "crowd" && run.outcome.is_some()).count();
    eprintln!(
        "{all} runs accepted in {accepted:.1?}, each in {median:.1?} (99 of 100 within {slowest:.1?}); the 10 of another user ended after \
         {waited:.1?}, and {others} of the crowd's before them; {memory} MiB more in memory"
    );
    // Each got every other turn once both waited. What came before that, and what ran meanwhile, isn't much.
    assert!(others < 60, "{others} of the crowd's runs ended before the last of ben's");
    assert!(memory < 400, "{memory} MiB");
    // Places in the queue are told.
    let events: Vec<_> = {
        use futures_util::StreamExt as _;
        access.follow(bens[0], 0, false).map(Result::unwrap).collect().await
    };
    let told = events.iter().any(|event| matches!(&event.kind, EventKind::Queued { position: Some(_), .. }));
    assert!(told, "{events:?}");
    let stopping = Instant::now();
    for run in runs.keys() {
        access.stop(run, "the test").await.unwrap();
    }
    let ended = join_all(runs.keys().map(|run| access.wait(run))).await;
    assert!(ended.iter().all(Result::is_ok));
    eprintln!("the rest stopped in {:.1?}", stopping.elapsed());
    access.shutdown().await;
    tokio::task::block_in_place(|| home.left_only(&[]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (runs containers)"]
async fn what_is_submitted_twice_with_a_key_runs_once() {
    let home = tokio::task::block_in_place(Home::demo);
    let access = Access::open(&home.path(), HostOptions::default()).await.unwrap();
    // At the same moment, too.
    let same = join_all((0..8).map(|_| access.submit_once(activity("ana"), "nightly-1"))).await;
    let first = same[0].clone().unwrap();
    assert!(same.iter().all(|run| run.as_ref() == Ok(&first)), "{same:?}");
    assert_eq!(access.wait(&first).await.unwrap().cause, Cause::Succeeded);
    let other = Activity { code: Some("print(2)".to_owned()), ..activity("ana") };
    assert_eq!(access.submit_once(other, "nightly-1").await.unwrap_err().code, "key-reused");
    let urgent = Activity { priority: 1, ..activity("ana") };
    assert_eq!(access.submit(urgent).await.unwrap_err().code, "activity-invalid");
    access.shutdown().await;
    let access = Access::open(&home.path(), HostOptions::default()).await.unwrap();
    assert_eq!(access.submit_once(activity("ana"), "nightly-1").await.unwrap(), first);
    assert_eq!(access.find_runs(RunFilter::default(), 100).await.unwrap().len(), 1);
    access.shutdown().await;
    home.write("wharf.toml", "default_configuration = \"docker-local\"\n[runs]\nmax_open = 0\n");
    let access = Access::open(&home.path(), HostOptions::default()).await.unwrap();
    assert_eq!(access.submit(activity("ana")).await.unwrap_err().code, "too-many-runs");
    access.shutdown().await;
}
