use super::tables::RUNS;
use super::*;
use wharf_model::configuration::{EngineAddress, Security};
use wharf_model::launch::LaunchSpec;
use wharf_model::{ActivityKind, Cause, Identity, Limit, Phase, WhenFull};

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("wharf.db")).unwrap();
    (dir, store)
}

pub(crate) fn activity(user: &str) -> Activity {
    Activity {
        kind: ActivityKind::Python,
        requester: Identity { user: user.to_owned(), groups: Vec::new() },
        project: None,
        code_env: None,
        configuration: None,
        code: Some("pass".to_owned()),
        code_name: None,
        plugin: None,
        recipe: None,
        parameters: serde_json::Map::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        resources: [].into(),
        time_limit: None,
        variables: [].into(),
        secrets: [].into(),
        labels: [].into(),
    }
}

fn launch() -> LaunchRecord {
    LaunchRecord {
        spec: LaunchSpec {
            host: "home".to_owned(),
            run: "a".to_owned(),
            attempt: 1,
            image: "sha256:0".to_owned(),
            argv: Vec::new(),
            env: [].into(),
            secret_env: [].into(),
            resources: [].into(),
            security: Security::default(),
            labels: [].into(),
            runtime: None,
            grace_seconds: 1,
            deadline_seconds: None,
            kubernetes: None,
        },
        engine: EngineAddress::Docker(wharf_model::configuration::Daemon::local()),
        ticket_sha256: String::new(),
        container: None,
    }
}

pub(crate) fn ended() -> Outcome {
    crate::conclude::outcome(Cause::Succeeded, "the recipe succeeded")
}

#[test]
fn events_count_from_one_without_gaps() {
    let (_dir, store) = store();
    store.begin("a", 1, &activity("ana"), "small").unwrap();
    store.begin("b", 1, &activity("ana"), "small").unwrap();
    for _ in 0..3 {
        store.append("a", 2, EventKind::PhaseStarted { phase: Phase::Image }).unwrap();
    }
    let numbers: Vec<u64> = store.events("a", 0, 10).unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(store.events("a", 3, 10).unwrap().len(), 1);
    assert_eq!(store.events("b", 0, 10).unwrap().len(), 1);
}

#[test]
fn the_first_outcome_stands() {
    let (_dir, store) = store();
    store.begin("a", 1, &activity("ana"), "small").unwrap();
    assert!(store.end("a", 2, &ended()).unwrap().is_some());
    let other = crate::conclude::outcome(Cause::Lost, "too late");
    assert!(store.end("a", 3, &other).unwrap().is_none());
    store.set_state("a", RunState::Running).unwrap();
    let run = store.run("a").unwrap().unwrap();
    assert_eq!((run.state, run.outcome), (RunState::Ended, Some(ended())));
    assert!(store.open_runs().unwrap().is_empty());
}

fn takes(memory: u64) -> Takes {
    Takes { memory, ..Takes::default() }
}

#[test]
fn gpus_are_counted_as_the_others_are() {
    let (_dir, store) = store();
    for run in ["a", "b"] {
        store.begin(run, 1, &activity("ana"), "small").unwrap();
    }
    let limits = [Limit {
        scope: "project:FLIGHTS".to_owned(),
        counter: "gpus".to_owned(),
        maximum: 3,
        when_full: WhenFull::Wait,
    }];
    let two = Takes { gpus: 2, ..Takes::default() };
    assert_eq!(store.admit("a", &limits, two).unwrap(), Admission::Admitted);
    assert_eq!(store.admit("b", &limits, two).unwrap(), Admission::Full { limit: limits[0].clone(), used: 2 });
    assert_eq!(store.admit("b", &limits, Takes { gpus: 1, ..two }).unwrap(), Admission::Admitted);
}

#[test]
fn limits_count_over_all_runs_of_a_scope() {
    let (_dir, store) = store();
    let limit =
        |maximum, when_full| Limit { scope: "user:ana".to_owned(), counter: "memory".to_owned(), maximum, when_full };
    for run in ["a", "b", "c"] {
        store.begin(run, 1, &activity("ana"), "small").unwrap();
    }
    let limits = [limit(10, WhenFull::Wait)];
    assert_eq!(store.admit("a", &limits, takes(6)).unwrap(), Admission::Admitted);
    let full = Admission::Full { limit: limits[0].clone(), used: 6 };
    assert_eq!(store.admit("b", &limits, takes(6)).unwrap(), full);
    // Another scope doesn't count.
    assert_eq!(store.admit("c", &[], takes(6)).unwrap(), Admission::Admitted);
    assert_eq!(store.usage().unwrap()[0].running, 2);
    store.end("a", 2, &ended()).unwrap();
    assert_eq!(store.admit("b", &limits, takes(6)).unwrap(), Admission::Admitted);
    // Asked again, a run doesn't stand in its own way.
    assert_eq!(store.admit("b", &limits, takes(10)).unwrap(), Admission::Admitted);
}

#[test]
fn of_two_full_limits_the_one_that_refuses_answers() {
    let (_dir, store) = store();
    for run in ["a", "b"] {
        store.begin(run, 1, &activity("ana"), "small").unwrap();
    }
    let limit = |scope: &str, when_full| Limit {
        scope: scope.to_owned(),
        counter: "running".to_owned(),
        maximum: 1,
        when_full,
    };
    let limits = [limit("waits", WhenFull::Wait), limit("refuses", WhenFull::Reject)];
    assert_eq!(store.admit("a", &limits, takes(0)).unwrap(), Admission::Admitted);
    assert_eq!(store.admit("b", &limits, takes(0)).unwrap(), Admission::Full { limit: limits[1].clone(), used: 1 });
}

#[test]
fn an_open_run_comes_back_whole() {
    let (dir, store) = store();
    store.begin("a", 1, &activity("ana"), "small").unwrap();
    drop(store);
    let store = Store::open(&dir.path().join("wharf.db")).unwrap();
    let open = store.open_runs().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].activity, activity("ana"));
    assert_eq!(open[0].summary.state, RunState::Preparing);
}

#[test]
fn what_a_runner_said_is_kept_until_the_next_launch() {
    let (dir, store) = store();
    store.begin("a", 1, &activity("ana"), "small").unwrap();
    let said = RunnerResult { exit_code: Some(3), ..RunnerResult::default() };
    store.result("a", &said).unwrap();
    drop(store);
    let store = Store::open(&dir.path().join("wharf.db")).unwrap();
    assert_eq!(store.open_runs().unwrap()[0].result, Some(said));
    store.launching("a", &launch()).unwrap();
    assert_eq!(store.open_runs().unwrap()[0].result, None);
}

#[test]
fn a_file_of_the_first_version_keeps_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wharf.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch(RUNS).unwrap();
    old.execute(
        "INSERT INTO runs (id, submitted_at, user, kind, configuration, state, activity) \
         VALUES ('a', 1, 'ana', 'python', 'small', 'running', ?)",
        [serde_json::to_string(&activity("ana")).unwrap()],
    )
    .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = Store::open(&file).unwrap();
    let open = store.open_runs().unwrap();
    assert_eq!((open.len(), open[0].summary.state), (1, RunState::Running));
    assert_eq!(open[0].activity, activity("ana"));
    assert_eq!(store.connection().query_row("PRAGMA user_version", [], |row| row.get(0)), Ok(VERSION));
    assert_eq!(store.connection().query_row("SELECT count(*) FROM images", [], |row| row.get(0)), Ok(0));
}

#[test]
fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wharf.db");
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    assert!(matches!(Store::open(&file), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_newer_file_is_refused() {
    let (dir, store) = store();
    store.connection().pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(store);
    assert!(matches!(Store::open(&dir.path().join("wharf.db")), Err(StoreError::TooNew { .. })));
}

#[test]
fn a_prefix_is_not_a_pattern() {
    let (_dir, store) = store();
    store.begin("abc", 1, &activity("ana"), "small").unwrap();
    assert_eq!(store.ids_with_prefix("ab").unwrap(), ["abc"]);
    assert!(store.ids_with_prefix("x*").unwrap().is_empty());
    assert_eq!(store.ids_with_prefix("a*c?").unwrap(), Vec::<String>::new());
}
