//! The host in Rust: with a store, a clock and an event sink of the embedder's own, and twice in one process.
//!
//! Each of these runs in a process of its own, which may be killed, and whose threads are those of the test alone.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::json;
use wharf::model::{Activity, Cause, Event, EventKind};
use wharf::{Access, Clock, EventSink, HostOptions};
use wharf_tests::{GROUP, Home, USER};

use crate::table_store::{Dies, TableStore};

const HOMES: &str = "WHARF_TEST_HOMES";
const DIES: &str = "WHARF_TEST_DIES";

const DOUBLING: &str = r#"
import dataiku
frame = dataiku.Dataset("numbers").get_dataframe()
frame["twice"] = frame["n"] * 2
dataiku.Dataset("doubled").write_with_schema(frame)
"#;

/// Runs a test of this program again, in a process of its own.
fn alone(test: &str, homes: &[&Home], dies: Dies) -> ExitStatus {
    let paths: Vec<PathBuf> = homes.iter().map(|home| home.path()).collect();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("rust::{test}"), "--ignored", "--nocapture", "--quiet"])
        .env(HOMES, env::join_paths(paths).unwrap())
        .env(DIES, format!("{dies:?}"))
        .status()
        .unwrap()
}

/// The homes that the test which started this process made; none when it is the test runner's.
fn homes() -> Option<Vec<PathBuf>> {
    Some(env::split_paths(&env::var_os(HOMES)?).collect())
}

fn recipe(code: &str, tables: bool) -> Activity {
    let binding = |name: &str| json!([{"name": name, "role": "main", "kind": "dataset", "place": {"path": name}}]);
    serde_json::from_value(json!({
        "kind": "python",
        "requester": { "user": USER, "groups": [GROUP] },
        "code": code,
        "inputs": if tables { binding("numbers") } else { json!([]) },
        "outputs": if tables { binding("doubled") } else { json!([]) },
    }))
    .unwrap()
}

/// A clock that is ten years fast.
struct Fast;

const FAST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Clock for Fast {
    fn now(&self) -> SystemTime {
        SystemTime::now() + FAST
    }
}

#[derive(Default)]
struct Collected(Mutex<Vec<Event>>);

#[async_trait]
impl EventSink for Collected {
    async fn event(&self, event: Event, _complete: u64) {
        self.0.lock().unwrap().push(event);
    }
}

/// The threads of this process that aren't the main thread's or the test's.
fn threads() -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        *all.entry(name.trim().to_owned()).or_default() += 1;
    }
    all
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn two_hosts_in_one_process_leave_no_thread_and_no_task() {
    let Some(homes) = homes() else {
        let (one, two) = (Home::demo(), Home::demo());
        assert!(alone("two_hosts_in_one_process_leave_no_thread_and_no_task", &[&one, &two], Dies::Never).success());
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = threads();
    runtime.block_on(async {
        let sinks = [Arc::new(Collected::default()), Arc::new(Collected::default())];
        let mut hosts = Vec::new();
        for (home, sink) in homes.iter().zip(&sinks) {
            let options = HostOptions { clock: Arc::new(Fast), events: Some(sink.clone()), ..HostOptions::default() };
            hosts.push(Access::open(home, options).await.unwrap());
        }
        assert!(hosts.iter().all(Access::is_owner));
        let mut runs = Vec::new();
        for (at, host) in hosts.iter().enumerate() {
            runs.push(host.submit(recipe(&format!("print({at})"), false)).await.unwrap());
        }
        for (host, run) in hosts.iter().zip(&runs) {
            assert_eq!(host.wait(run).await.unwrap().cause, Cause::Succeeded);
            assert_eq!(host.runs(10).await.unwrap().iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), [run]);
        }
        for host in hosts {
            host.shutdown().await;
        }
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        let soon =
            |at: u64| Duration::from_millis(at) > UNIX_EPOCH.elapsed().unwrap() + FAST - Duration::from_secs(300);
        for (sink, run) in sinks.iter().zip(&runs) {
            let events = sink.0.lock().unwrap();
            let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
            assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
            assert!(events.iter().all(|event| event.run == *run && soon(event.at)), "{events:?}");
            assert!(matches!(events.last().unwrap().kind, EventKind::Ended(_)));
        }
    });
    // The runtime's own pool of threads for what blocks is the embedder's.
    runtime.shutdown_timeout(Duration::from_secs(10));
    let mut after = threads();
    // The compiler's pool is the process's, one for all hosts: its threads have the name of whoever began it.
    let is_ours = |name: &&String| name.starts_with("wharf") && *name != "wharf-load";
    let names = |all: &BTreeMap<String, u32>| all.keys().filter(is_ours).cloned().collect::<Vec<_>>();
    let until = std::time::Instant::now() + Duration::from_secs(2);
    while names(&after) != names(&before) && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        after = threads();
    }
    assert_eq!(names(&after), names(&before), "{after:?}");
}

fn count(database: &Path, sql: &str) -> u64 {
    Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A process is killed before, in and after the transaction that puts a run's table in place; the next one ends the run.
#[test]
#[ignore = "needs docker (runs containers)"]
fn a_database_is_committed_to_once_whenever_its_host_is_killed() {
    if let Some(homes) = homes() {
        let moments = [Dies::Never, Dies::BeforeTheCommit, Dies::InTheCommit, Dies::AfterTheCommit];
        let said = env::var(DIES).unwrap();
        let dies = moments.into_iter().find(|moment| format!("{moment:?}") == said).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = TableStore::open(homes[0].join("../data/tables.db"), dies).unwrap();
            let options = HostOptions { datasets: Some(Arc::new(store)), ..HostOptions::default() };
            let host = Access::open(&homes[0], options).await.unwrap();
            if dies == Dies::Never {
                // Here the run was found again.
                let run = host.resolve_run("last").await.unwrap();
                assert_eq!(host.wait(&run).await.unwrap().sentence, "the recipe succeeded");
            } else {
                let run = host.submit(recipe(DOUBLING, true)).await.unwrap();
                let end = host.wait(&run).await.unwrap();
                panic!("the process outlived its run: {end:?}");
            }
            host.shutdown().await;
        });
        return;
    }
    let home = Home::demo();
    let database = home.data("tables.db");
    Connection::open(&database)
        .unwrap()
        .execute_batch(
            "CREATE TABLE numbers (n bigint, word text_string);
             WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 5000)
             INSERT INTO numbers SELECT n, iif(n % 3 = 0, NULL, 'w, \"' || n) FROM up;",
        )
        .unwrap();
    let test = "a_database_is_committed_to_once_whenever_its_host_is_killed";
    let there = "SELECT count(*) FROM sqlite_master WHERE name = 'doubled'";
    for (round, (dies, committed)) in
        [(Dies::BeforeTheCommit, 0), (Dies::InTheCommit, 0), (Dies::AfterTheCommit, 1)].into_iter().enumerate()
    {
        Connection::open(&database).unwrap().execute_batch("DROP TABLE IF EXISTS doubled").unwrap();
        let ended = alone(test, &[&home], dies);
        assert_eq!(ended.signal(), Some(9), "{dies:?}: {ended}");
        assert_eq!(count(&database, there), committed, "{dies:?}");
        assert!(alone(test, &[&home], Dies::Never).success(), "{dies:?}");
        assert_eq!(count(&database, "SELECT count(*) FROM doubled WHERE twice = 2 * n"), 5000, "{dies:?}");
        assert_eq!(count(&database, "SELECT count(*) FROM doubled WHERE word IS NULL"), 1666, "{dies:?}");
        assert_eq!(count(&database, "SELECT count(*) FROM commits"), round as u64 + 1, "{dies:?}");
        assert_eq!(count(&database, "SELECT count(*) FROM staged"), 0, "{dies:?}");
    }
}
