//! Ending runs, and clearing them away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_model::EngineCause;
use wharf_model::launch::Backend;

use crate::fixture::{JOBS, PODS, exited, make_pod, running, spec};
use crate::server::{Fault, Server, status};

#[tokio::test]
async fn a_stop_deletes_the_job_and_gives_the_pod_its_time() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    make_pod(&server, "a", running());
    let waiting = {
        let (backend, id) = (Arc::clone(&backend), id.clone());
        tokio::spawn(async move { backend.wait(&id, &()).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.stop(&id, Duration::from_secs(7)).await.unwrap();
    assert!(server.paths(JOBS).is_empty() && server.paths(PODS).is_empty());
    let job = &server.bodies("DELETE", "/jobs/")[0];
    assert_eq!(
        (&job["propagationPolicy"], &job["preconditions"]["uid"]),
        (&json!("Background"), &json!(id.rsplit('/').next()))
    );
    assert_eq!(server.bodies("DELETE", "/pods/")[0]["gracePeriodSeconds"], 7);
    // That we did it is nobody else's doing.
    let end = waiting.await.unwrap().unwrap();
    assert!(!end.gone && end.cause.is_none(), "{end:?}");
    let end = backend.wait(&id, &()).await.unwrap();
    assert!(!end.gone && end.cause.is_none(), "{end:?}");
    // Of a runner that never came up, its log is all there is.
    assert_eq!(backend.log_tail(&id, 8).await.unwrap(), b"another\n");
    backend.stop(&id, Duration::ZERO).await.unwrap();
    backend.remove(&id).await.unwrap();
    backend.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_run_that_has_no_pod_yet_never_gets_one() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    let begun = Instant::now();
    backend.stop(&id, Duration::from_secs(30)).await.unwrap();
    assert!(server.paths(JOBS).is_empty() && begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_pod_whose_node_is_gone_is_deleted_all_the_same() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    let pod = make_pod(&server, "a", running());
    // Deleting it only notes that it is to go, since nobody is there to end it.
    let word = json!({"kind": "Pod"});
    server.fails("DELETE", "/pods/", Fault::Answer(200, word), 1);
    server.set(&pod, |pod| {
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(1);
    });
    let waiting = {
        let (backend, id) = (Arc::clone(&backend), id.clone());
        tokio::spawn(async move { backend.wait(&id, &()).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    backend.stop(&id, Duration::ZERO).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(15), "a node has its time");
    assert_eq!(server.bodies("DELETE", "/pods/").last().unwrap()["gracePeriodSeconds"], 0);
    assert!(server.paths(PODS).is_empty());
    let end = waiting.await.unwrap().unwrap();
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::NodeLost { .. })), "{end:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_to_stop_is_told() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    let words = "jobs.batch \"wharf-a-1\" is forbidden: User \"u\" cannot delete resource \"jobs\" in API group \"batch\" in the \
                 namespace \"team-a\"";
    server.fails("DELETE", "/jobs/", Fault::Answer(403, status(403, "Forbidden", words)), 1);
    let error = backend.stop(&id, Duration::ZERO).await.unwrap_err().to_string();
    assert!(error.contains("u may not delete jobs.batch in the namespace team-a"), "{error}");
}

#[tokio::test]
async fn a_removed_job_of_the_same_name_is_left_to_its_owner() {
    let server = Server::new().await;
    let backend = server.backend();
    let first = backend.launch(&spec("a"), &()).await.unwrap().id;
    let pod = make_pod(&server, "a", exited(0));
    backend.remove(&first).await.unwrap();
    server.delete(&pod);
    backend.launch(&spec("a"), &()).await.unwrap();
    backend.remove(&first).await.unwrap();
    backend.stop(&first, Duration::ZERO).await.unwrap();
    assert_eq!(server.paths(JOBS).len(), 1);
}
