use super::tables::RUNS;
use super::*;
use wharf_model::configuration::{EngineAddress, Security};
use wharf_model::launch::LaunchSpec;
use wharf_model::{ActivityKind, Cause, Identity, Limit, Phase, WhenFull};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("wharf.db")).unwrap();
    (dir, store)
}

fn activity(user: &str) -> Activity {
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

fn ended() -> Outcome {
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

/// Runs of this many that ended, with events of about the size of real ones.
fn fill(store: &Store, runs: usize, events: usize) {
    let plan = "x".repeat(600);
    let mut connection = store.connection();
    let transaction = connection.transaction().unwrap();
    for run in 0..runs {
        let id = format!("{run:032x}");
        transaction
            .execute(
                "INSERT INTO runs (id, submitted_at, user, kind, configuration, state, activity, ended_at, cause, outcome) \
                 VALUES (?, ?, 'ana', 'python', 'small', 'ended', ?, ?, 'succeeded', ?)",
                params![
                    id,
                    run as i64,
                    serde_json::to_string(&activity("ana")).unwrap(),
                    run as i64 + 1,
                    serde_json::to_string(&ended()).unwrap()
                ],
            )
            .unwrap();
        for seq in 1..=events {
            let kind = EventKind::Progress { phase: Phase::Run, text: plan[..seq * 20 % 600].to_owned() };
            let event = Event { run: id.clone(), seq: seq as u64, at: 1, kind };
            transaction
                .execute(
                    "INSERT INTO events (run, seq, at, body) VALUES (?, ?, 1, ?)",
                    params![id, seq as i64, serde_json::to_string(&event).unwrap()],
                )
                .unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn number(store: &Store, sql: &str) -> u64 {
    store.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_ended_long_ago_is_forgotten_and_its_room_given_back() {
    let (dir, store) = store();
    fill(&store, 400, 20);
    store.begin("open", 1, &activity("ana"), "small").unwrap();
    let file = dir.path().join("wharf.db");
    store.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = std::fs::metadata(&file).unwrap().len();
    let old = store.ended_before(301, 1000).unwrap();
    assert_eq!(old.len(), 300);
    assert_eq!(store.ended_before(301, 7).unwrap(), old[..7]);
    let all: Vec<String> = old.into_iter().chain(["open".to_owned()]).collect();
    assert_eq!(store.forget_runs(&all).unwrap(), 300, "one that hasn't ended stays");
    assert_eq!(number(&store, "SELECT count(*) FROM events"), 100 * 20 + 1);
    let recent = |run: &str, time| store.is_recent(run, time).unwrap();
    assert!(recent("open", u64::from(u32::MAX)) && !recent("nobody", 0));
    let kept = store.ended_before(u64::MAX >> 1, 1).unwrap().remove(0);
    assert!(recent(&kept, 301) && !recent(&kept, 302));
    let mut steps = 0;
    while store.give_back().unwrap() {
        steps += 1;
    }
    store.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let after = std::fs::metadata(&file).unwrap().len();
    assert!(after * 2 < before, "{before} bytes, then {after}, after {steps} steps");
    assert_eq!(store.check_all().unwrap(), Vec::<String>::new());
}

#[test]
fn a_file_of_an_earlier_version_gives_room_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wharf.db");
    let old = Connection::open(&file).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(RUNS).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = Store::open(&file).unwrap();
        assert_eq!(number(&store, "PRAGMA auto_vacuum"), 2);
        assert_eq!(store.connection().query_row("PRAGMA journal_mode", [], |row| row.get(0)), Ok("wal".to_owned()));
    }
}

#[test]
fn what_an_opening_has_no_time_for_is_checked_beside_the_work() {
    let (dir, store) = store();
    let file = dir.path().join("wharf.db");
    fill(&store, 200, 20);
    assert_eq!(store.health(), Health::Sound);
    drop(store);
    let patient = |store: &Store| {
        let started = std::time::Instant::now();
        while store.health() == Health::Looking && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        store.health()
    };
    let store = Store::open_checking(&file, Duration::ZERO).unwrap();
    assert_eq!(patient(&store), Health::Sound);
    drop(store);
    damage(&file, "events", 3);
    let store = Store::open_checking(&file, Duration::ZERO).unwrap();
    assert!(matches!(patient(&store), Health::Damaged(_)), "{:?}", store.health());
    drop(store);
    // The next one is told, and takes the time.
    assert!(matches!(Store::open_checking(&file, Duration::ZERO), Err(StoreError::Damaged { .. })));
}

/// Overwrites every so many pages of a table.
fn damage(file: &Path, table: &str, every: usize) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let size: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let root: u64 =
        connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(file).unwrap();
    let page = |number: u64| (usize::try_from((number - 1) * size).unwrap(), usize::try_from(size).unwrap());
    // The root names its children: the last four bytes of each cell's beginning are not needed, the pointers are.
    let (start, length) = page(root);
    let root = bytes[start..start + length].to_vec();
    let cells = usize::from(u16::from_be_bytes([root[3], root[4]]));
    for cell in (0..cells).step_by(every) {
        let at = 12 + cell * 2;
        let at = usize::from(u16::from_be_bytes([root[at], root[at + 1]]));
        let child = u32::from_be_bytes(root[at..at + 4].try_into().unwrap());
        let (start, length) = page(u64::from(child));
        bytes[start..start + length].fill(0xA5);
    }
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn of_a_damaged_file_what_can_be_read_is_taken_over() {
    let (dir, store) = store();
    let file = dir.path().join("wharf.db");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    fill(&store, 2000, 5);
    store.begin("open", 5000, &activity("bert"), "small").unwrap();
    store.launching("open", &launch()).unwrap();
    drop(store);
    for run in ["open", "0123"] {
        std::fs::write(logs.join(format!("{run}.log")), "").unwrap();
    }
    damage(&file, "runs", 4);
    damage(&file, "events", 4);
    let (store, damage) = open_or_put_aside(&file, &logs).unwrap();
    let damage = damage.expect("it is damaged");
    assert!(damage.file.exists() && damage.file.to_string_lossy().contains("wharf.db.damaged-"), "{damage:?}");
    assert!(damage.lost.contains(&"0123".to_owned()), "{damage:?}");
    // A quarter of the leaves is gone, and all that is on the others is here.
    assert!((1400..1900).contains(&damage.salvaged.runs), "{damage:?}");
    assert_eq!(damage.salvaged.runs, number(&store, "SELECT count(*) FROM runs"));
    assert!(damage.salvaged.events > 4000, "{damage:?}");
    // The run that goes on is found again, and is told why.
    let open = store.open_runs().unwrap();
    assert_eq!((open.len(), open[0].launch.clone()), (1, Some(launch())), "{damage:?}");
    let told = store.events("open", 0, 10).unwrap().pop().expect("an event");
    assert!(matches!(told.kind, EventKind::Progress { text, .. } if text.contains("was damaged")));
    assert_eq!(store.check_all().unwrap(), Vec::<String>::new());
    for run in store.runs(3000).unwrap() {
        store.events(&run.run, 0, 100).expect("what was taken over can be read");
    }
    drop(store);
    // Once it is done it is done.
    let (_, again) = open_or_put_aside(&file, &logs).unwrap();
    assert_eq!(again, None);
    assert_eq!(super::damage::kept(&file), [damage]);
}

#[test]
fn a_file_of_which_nothing_can_be_read_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wharf.db");
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    let (store, damage) = open_or_put_aside(&file, dir.path()).unwrap();
    let damage = damage.expect("it is damaged");
    assert_eq!(std::fs::read(&damage.file).unwrap(), vec![b'x'; 8192]);
    assert_eq!(damage.salvaged, Salvaged::default());
    store.begin("a", 1, &activity("ana"), "small").unwrap();
}

/// A crash after each step of putting aside is followed by one that ends it.
#[test]
fn a_crash_while_a_file_is_put_aside_loses_nothing() {
    for step in 0..4 {
        let (dir, store) = store();
        let file = dir.path().join("wharf.db");
        fill(&store, 600, 2);
        drop(store);
        damage(&file, "runs", 3);
        let aside = super::damage::beside(&file, "damaged-before");
        let intent = serde_json::json!({ "file": aside, "reason": "it was" });
        std::fs::write(super::damage::beside(&file, "putting-aside"), intent.to_string()).unwrap();
        if step >= 1 {
            std::fs::rename(&file, &aside).unwrap();
        }
        if step >= 2 {
            // Half of a new one.
            fill(&Store::open(&super::damage::beside(&file, "new")).unwrap(), 1, 1);
        }
        if step == 3 {
            // The new one is in its place, and nothing else was done.
            drop(Store::open(&super::damage::beside(&file, "new")).unwrap());
            std::fs::rename(super::damage::beside(&file, "new"), &file).unwrap();
        }
        let (store, damage) = open_or_put_aside(&file, dir.path()).unwrap();
        let damage = damage.expect("it is ended");
        assert_eq!(damage.file, aside, "{step}");
        let expected = if step == 3 { 1 } else { 380 };
        assert!(number(&store, "SELECT count(*) FROM runs") >= expected, "{step}: {damage:?}");
        assert!(!super::damage::beside(&file, "putting-aside").exists());
    }
}

/// The tables as they are documented for whoever reads the file with `sqlite3`.
#[test]
fn the_tables_are_documented() {
    let (_dir, store) = store();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/records.md")).unwrap();
    let mut documented = Vec::new();
    let mut table = "";
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## `").and_then(|rest| rest.strip_suffix('`')) {
            table = name;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", name, kind, what, ""] = cells.as_slice()
            && let Some(name) = name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'))
        {
            assert!(!what.is_empty(), "{table}.{name}");
            documented.push(format!("{table}.{name} {kind}"));
        }
    }
    let real: Vec<String> = store
        .rows(
            "SELECT list.name || '.' || info.name || ' ' || info.type FROM pragma_table_list AS list, \
             pragma_table_info(list.name) AS info, sqlite_schema AS made \
             WHERE list.type = 'table' AND made.name = list.name AND list.name NOT LIKE 'sqlite_%' ORDER BY made.rowid, info.cid",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(documented, real, "docs/records.md has the tables in the order in which they are made");
    assert!(page.contains(&format!("`user_version` is {VERSION}")), "the version of the tables");
    let indices: Vec<String> = store
        .rows("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL", [], |row| row.get(0))
        .unwrap();
    for index in indices {
        assert!(page.contains(&format!("`{index}`")), "{index}");
    }
}

/// `cargo test -p wharf --release -- --ignored --nocapture a_long_history`
#[test]
#[ignore = "measures (a million events)"]
fn a_long_history_is_read_fast() {
    let (dir, store) = store();
    fill(&store, 100_000, 10);
    let file = dir.path().join("wharf.db");
    store.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    println!("{} MB", std::fs::metadata(&file).unwrap().len() >> 20);
    fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
        let started = std::time::Instant::now();
        let done = work();
        println!("{what}: {:.2} ms", started.elapsed().as_secs_f64() * 1000.0);
        done
    }
    timed("the newest 20 runs", || assert_eq!(store.runs(20).unwrap().len(), 20));
    timed("all 100,000 runs", || assert_eq!(store.runs(200_000).unwrap().len(), 100_000));
    let id = format!("{:032x}", 50_000);
    timed("one run by the beginning of its id", || assert_eq!(store.ids_with_prefix(&id).unwrap().len(), 1));
    timed("the events of one run", || assert_eq!(store.events(&id, 0, 100).unwrap().len(), 10));
    timed("what is in use", || store.usage().unwrap());
    timed("runs that haven't ended", || store.open_runs().unwrap());
    let limits =
        [Limit { scope: "user:ana".to_owned(), counter: "memory".to_owned(), maximum: 10, when_full: WhenFull::Wait }];
    store.begin("open", 1, &activity("ana"), "small").unwrap();
    timed("admission", || store.admit("open", &limits, takes(1)).unwrap());
    timed("a look for what ended long ago, and there is none", || store.ended_before(0, 100).unwrap());
    timed("forgetting 100 runs", || store.forget_runs(&store.ended_before(u64::from(u32::MAX), 100).unwrap()).unwrap());
    timed("the full check", || assert_eq!(store.check_all().unwrap(), Vec::<String>::new()));
    drop(store);
    timed("a quick check of all of it", || {
        let connection = Connection::open(&file).unwrap();
        let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok");
    });
    let store = timed("opening", || Store::open(&file).unwrap());
    timed("ending the check that goes on", || store.stop_checking());
    drop(store);
    damage(&file, "events", 50);
    std::fs::write(super::damage::beside(&file, "suspect"), "").unwrap();
    let (_, found) =
        timed("putting it aside with a fiftieth of it damaged", || open_or_put_aside(&file, dir.path()).unwrap());
    println!("{:?}", found.expect("it is damaged").salvaged);
}
