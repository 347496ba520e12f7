//! Runs that don't begin: what is waited for, for how long, and what the user hears.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharf_model::EngineCause;
use wharf_model::launch::{Backend, EngineEnd};

use crate::fixture::{EVENTS, Ear, exited, job, make_pod, spec};
use crate::server::Server;

/// What becomes of a run whose pod has this status, if it gets one, and that has this event, if it has one.
async fn waited(status: Option<Value>, event: Option<(&str, &str)>) -> (EngineEnd, std::sync::Arc<Ear>, Duration) {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    let about = match status {
        Some(status) => {
            let pod = make_pod(&server, "a", status);
            server.object(&pod).unwrap()
        }
        None => job(&server, "a"),
    };
    if let Some((reason, message)) = event {
        let kind = if about["spec"]["containers"].is_array() { "Pod" } else { "Job" };
        let event = json!({
            "metadata": {"name": "e1"}, "involvedObject": {"kind": kind, "uid": about["metadata"]["uid"]},
            "reason": reason, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z",
        });
        server.put(&format!("{EVENTS}/e1"), event);
    }
    let (ear, begun) = (Ear::new(), Instant::now());
    let end =
        tokio::time::timeout(Duration::from_secs(60), backend.wait(&id, ear.as_ref())).await.expect("it ends").unwrap();
    (end, ear, begun.elapsed())
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [
        {"name": "wharf", "image": "r/i", "state": {"waiting": {"reason": reason, "message": message}}},
    ]})
}

#[tokio::test]
async fn a_run_that_no_node_takes_is_told_and_given_up_after_its_patience() {
    let words = "0/1 nodes are available: 1 Insufficient cpu";
    let status = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words},
    ]});
    let (end, ear, time) = waited(Some(status), None).await;
    assert_eq!(end.cause.as_deref(), Some(&EngineCause::Unschedulable { words: words.to_owned() }));
    assert!(ear.has_heard(words) && ear.has_heard("up to 3 s"), "{:?}", ear.heard);
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&time), "{time:?}");
}

#[tokio::test]
async fn what_clears_up_in_time_is_no_end() {
    let server = Server::new().await;
    let backend = server.backend();
    let id = backend.launch(&spec("a"), &()).await.unwrap().id;
    let pod = make_pod(&server, "a", waiting("ImagePullBackOff", "Back-off pulling image \"r/i\""));
    let waiting = tokio::spawn(async move { backend.wait(&id, &()).await });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.set(&pod, |pod| pod["status"] = exited(2));
    assert_eq!(waiting.await.unwrap().unwrap().exit_code, Some(2));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told_in_the_registrys_words() {
    let words = "rpc error: code = NotFound desc = failed to pull and unpack image \"r/i\": failed to resolve reference \"r/i\": r/i: not \
                 found";
    let back_off = waiting("ImagePullBackOff", "Back-off pulling image \"r/i\"");
    let (end, ear, _) =
        waited(Some(back_off), Some(("Failed", &format!("Failed to pull image \"r/i\": {words}")))).await;
    let Some(EngineCause::ImagePull { image, words }) = end.cause.as_deref() else { panic!("{end:?}") };
    assert_eq!((image.as_str(), words.as_str()), ("r/i", "r/i: not found"));
    assert!(ear.has_heard("can't be pulled"), "{:?}", ear.heard);
}

#[tokio::test]
async fn a_name_that_is_none_is_not_waited_for() {
    let (end, _, time) = waited(Some(waiting("InvalidImageName", "couldn't parse image reference")), None).await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::ImagePull { .. })));
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[tokio::test]
async fn a_job_that_may_make_no_pod_is_told_by_its_event() {
    let words = "Error creating: pods \"wharf-a-1-\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=1, limited: \
                 pods=1";
    let (end, ear, time) = waited(None, Some(("FailedCreate", words))).await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::QuotaExceeded { .. })), "{end:?}");
    assert!(ear.has_heard("used 1 of 1") && time >= Duration::from_secs(3), "{:?}", ear.heard);
    let words =
        "Error creating: pods \"a-\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    let (end, _, time) = waited(None, Some(("FailedCreate", words))).await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::PodSecurity { .. })), "{end:?}");
    assert!(time < Duration::from_secs(4), "it doesn't clear up: {time:?}");
}

#[tokio::test]
async fn a_volume_that_is_not_there_is_told_by_its_event() {
    let words = "MountVolume.SetUp failed for volume \"v\" : configmap \"conf\" not found";
    let (end, _, _) = waited(Some(waiting("ContainerCreating", "")), Some(("FailedMount", words))).await;
    let Some(EngineCause::Missing { object, name, .. }) = end.cause.as_deref() else { panic!("{end:?}") };
    assert_eq!((object.as_str(), name.as_str()), ("ConfigMap", "conf"));
}
