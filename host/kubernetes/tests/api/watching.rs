//! One watch for all runs of a namespace, and all that can happen to it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_kubernetes::KubernetesBackend;
use wharf_model::launch::{Backend, BackendError, EngineEnd};

use crate::fixture::{Ear, HOST, JOBS, PODS, exited, job, make_pod, running, spec};
use crate::server::{Fault, Server, status};

type Waiting = tokio::task::JoinHandle<Result<EngineEnd, BackendError>>;

/// Launches a run, waits for it, and has its pod run.
async fn run(server: &Server, backend: &Arc<KubernetesBackend>, name: &str) -> (Waiting, String) {
    let id = backend.launch(&spec(name), &()).await.unwrap().id;
    let backend = Arc::clone(backend);
    let waiting = tokio::spawn(async move { backend.wait(&id, &()).await });
    (waiting, make_pod(server, name, running()))
}

async fn ends(server: &Server, (waiting, pod): (Waiting, String), code: i64) {
    server.set(&pod, |pod| pod["status"] = exited(code));
    let end = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is heard of").unwrap().unwrap();
    assert_eq!(end, EngineEnd { exit_code: Some(code), ..EngineEnd::default() });
}

#[tokio::test]
async fn an_end_is_heard_by_one_watch_for_all() {
    let server = Server::new().await;
    let backend = server.backend();
    let mut runs = Vec::new();
    for name in ["a", "b", "c"] {
        runs.push(run(&server, &backend, name).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (code, run) in (3..).zip(runs) {
        ends(&server, run, code).await;
    }
    assert_eq!((server.count("GET", "/jobs?watch"), server.count("GET", "/pods?watch")), (1, 1));
    assert_eq!(server.count("GET", "events"), 0, "runs that begin aren't asked about");
}

#[tokio::test]
async fn a_watch_that_is_cut_all_the_time_loses_nothing() {
    let server = Server::new().await;
    server.cuts_watches(Some(Duration::from_millis(100)));
    let backend = server.backend();
    let mut runs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        runs.push(run(&server, &backend, name).await);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for (code, run) in (0..).zip(runs) {
        ends(&server, run, code).await;
    }
    assert!(server.count("GET", "watch=true") > 8);
    // It goes on where it was.
    assert_eq!(server.count("GET", "/jobs?labelSelector"), 1);
}

#[tokio::test]
async fn a_version_that_is_gone_is_followed_by_a_list() {
    let server = Server::new().await;
    let backend = server.backend();
    let first = run(&server, &backend, "a").await;
    let second = run(&server, &backend, "b").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // What happens meanwhile is in no watch any more.
    server.set(&first.1, |pod| pod["status"] = exited(4));
    server.delete(&second.1);
    server.delete(&format!("{JOBS}/wharf-b-1"));
    server.forgets();
    let end = tokio::time::timeout(Duration::from_secs(10), first.0).await.unwrap().unwrap().unwrap();
    assert_eq!(end.exit_code, Some(4));
    let end = tokio::time::timeout(Duration::from_secs(10), second.0).await.unwrap().unwrap().unwrap();
    assert!(end.gone && end.cause.is_some(), "{end:?}");
    ends(&server, run(&server, &backend, "c").await, 0).await;
}

#[tokio::test]
async fn nonsense_in_a_watch_ends_nobodys_run() {
    let server = Server::new().await;
    let backend = server.backend();
    let one = run(&server, &backend, "a").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // An object that is none, one that belongs to nobody, and a line that isn't JSON.
    let labels = json!({"wharf.host": HOST});
    server.says_nonsense(PODS, json!({"metadata": {"labels": labels, "uid": 3}, "status": "x", "spec": []}));
    server.says_nonsense(PODS, json!({"metadata": {"labels": labels, "uid": "u", "name": "stray"}}));
    server.says_nonsense(PODS, Value::String("{\"type\": \"MODIF".to_owned()));
    server.says_nonsense(JOBS, Value::String("what?".to_owned()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    ends(&server, one, 5).await;
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_waited_for() {
    let server = Server::new().await;
    server.cuts_watches(Some(Duration::from_millis(100)));
    let backend = server.backend();
    let one = run(&server, &backend, "a").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.fails("GET", "", Fault::Close, 12);
    tokio::time::sleep(Duration::from_millis(800)).await;
    server.heals();
    ends(&server, one, 6).await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_unreachable() {
    let server = Server::new().await;
    server.cuts_watches(Some(Duration::from_millis(100)));
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    make_pod(&server, "a", running());
    server.fails("GET", "", Fault::Close, 9999);
    let ear = Ear::new();
    let error = backend.wait(&id, ear.as_ref()).await.unwrap_err();
    assert!(matches!(error, BackendError::Unreachable { .. }), "{error}");
    assert!(ear.has_heard("the API server doesn't answer"), "{:?}", ear.heard);
}

#[tokio::test]
async fn a_right_that_was_taken_away_is_told_when_it_stays_so() {
    let server = Server::new().await;
    server.cuts_watches(Some(Duration::from_millis(100)));
    let backend = server.backend();
    let one = run(&server, &backend, "a").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let words =
        "pods is forbidden: User \"u\" cannot watch resource \"pods\" in API group \"\" in the namespace \"team-a\"";
    server.fails("GET", "/pods", Fault::Answer(403, status(403, "Forbidden", words)), 3);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // It was given back.
    ends(&server, one, 0).await;
}

#[tokio::test]
async fn a_run_of_a_host_before_is_waited_for() {
    let server = Server::new().await;
    let id = server.backend().launch(&spec("a"), &()).await.unwrap().id;
    let pod = make_pod(&server, "a", running());
    let backend = server.backend();
    let waiting = tokio::spawn(async move { backend.wait(&id, &()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    ends(&server, (waiting, pod), 9).await;
}

#[tokio::test]
async fn what_is_gone_before_anybody_looks_is_gone() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    server.delete(&format!("{JOBS}/wharf-a-1"));
    let end = server.backend().wait(&id, &()).await.unwrap();
    assert_eq!(end, EngineEnd { gone: true, ..EngineEnd::default() });
    // Another one of the same name is another one.
    backend.launch(&spec("a"), &()).await.unwrap();
    assert_ne!(job(&server, "a")["metadata"]["uid"], id.rsplit('/').next().unwrap());
    assert!(server.backend().wait(&id, &()).await.unwrap().gone);
}

/// 1,000 runs at once, watched by one watch; prints what that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures (1,000 runs; prints memory and time)"]
async fn a_thousand_runs_are_watched_at_once() {
    const RUNS: usize = 1000;
    let server = Server::new().await;
    let backend = server.backend();
    let mut ids = Vec::new();
    for n in 0..RUNS {
        ids.push(backend.launch(&spec(&format!("r{n}")), &()).await.unwrap().id);
    }
    let memory = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
    };
    let cpu = || {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (before, used) = (memory(), cpu());
    let waiting: Vec<Waiting> = ids
        .into_iter()
        .map(|id| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { backend.wait(&id, &()).await })
        })
        .collect();
    let mut pods = Vec::new();
    for n in 0..RUNS {
        pods.push(make_pod(&server, &format!("r{n}"), running()));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (during, begun) = (memory(), std::time::Instant::now());
    for pod in &pods {
        server.set(pod, |pod| pod["status"] = exited(0));
    }
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().unwrap().exit_code, Some(0));
    }
    println!(
        "{RUNS} runs: {} KiB more while they ran (server and client in one process), all ends heard {} ms after the last, {} ms of \
         CPU in all, {} watches",
        during.saturating_sub(before),
        begun.elapsed().as_millis(),
        (cpu() - used) * 10,
        server.count("GET", "watch=true")
    );
    assert_eq!(server.count("GET", "watch=true"), 2);
}
