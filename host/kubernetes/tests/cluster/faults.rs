//! Parts of the cluster that fail: with `WHARF_TEST_PART`, the script `tests/cluster/part`. One after the other, and with nobody
//! else on that cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_model::EngineCause;
use wharf_model::launch::Backend;

use crate::fixture::{Ear, Fixture};

fn part(what: &str, name: &str) {
    let script =
        std::env::var("WHARF_TEST_PART").expect("WHARF_TEST_PART isn't set: these tests need tests/cluster/part");
    let output = std::process::Command::new(script).args([what, name]).output().unwrap();
    assert!(output.status.success(), "{what} {name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts a part again, whatever becomes of the test.
struct Again(&'static str);

impl Drop for Again {
    fn drop(&mut self) {
        part("start", self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster of tests/cluster alone (restarts the API server)"]
async fn a_restart_of_the_api_server_costs_nothing() {
    let fixture = Fixture::new("restart").await;
    let (ear, begun) = (Arc::new(Ear::default()), Instant::now());
    let id = fixture.backend.launch(&fixture.script("a", "sleep 15; exit 6"), &()).await.unwrap().id;
    let waiting = {
        let (backend, ear) = (Arc::clone(&fixture.backend), Arc::clone(&ear));
        tokio::spawn(async move { backend.wait(&id, ear.as_ref()).await })
    };
    fixture.running_pod().await;
    tokio::task::spawn_blocking(|| part("kill", "apiserver")).await.unwrap();
    let again = Again("apiserver");
    // Launched while nobody answers.
    let launching = {
        let (backend, spec) = (Arc::clone(&fixture.backend), fixture.script("b", "exit 2"));
        tokio::spawn(async move { backend.launch(&spec, &()).await })
    };
    tokio::time::sleep(Duration::from_secs(4)).await;
    tokio::task::spawn_blocking(move || drop(again)).await.unwrap();
    let second = launching.await.unwrap().unwrap().id;
    assert_eq!(waiting.await.unwrap().unwrap().exit_code, Some(6));
    assert_eq!(fixture.backend.wait(&second, &()).await.unwrap().exit_code, Some(2));
    assert_eq!(fixture.pods().await.len(), 2);
    println!("both ended after {:?}; heard: {:?}", begun.elapsed(), ear.0);
}

/// Where it is the only node of its zone, a cluster deletes nothing for that: the host hears nothing of the runner, and ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster of tests/cluster alone (stops its node)"]
async fn a_node_that_is_gone_is_told_and_its_pod_deleted() {
    let fixture = Fixture::new("lost").await;
    let ear = Arc::new(Ear::default());
    let id = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap().id;
    let waiting = {
        let (backend, ear, id) = (Arc::clone(&fixture.backend), Arc::clone(&ear), id.clone());
        tokio::spawn(async move { backend.wait(&id, ear.as_ref()).await })
    };
    fixture.running_pod().await;
    tokio::task::spawn_blocking(|| part("stop", "kubelet")).await.unwrap();
    let (again, begun) = (Again("kubelet"), Instant::now());
    while !ear.has_heard("doesn't answer the cluster") {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", ear.0);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fixture.record(&id, "real-node-does-not-answer", "A kubelet is stopped; its container may still run").await;
    println!("told after {:?}", begun.elapsed());
    fixture.backend.stop(&id, Duration::from_secs(2)).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it ends").unwrap().unwrap();
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::NodeLost { node: Some(_), .. })), "{end:?}");
    assert!(fixture.pods().await.is_empty(), "nothing is left");
    fixture.backend.remove(&id).await.unwrap();
    tokio::task::spawn_blocking(move || drop(again)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster of tests/cluster alone (stops its node)"]
async fn a_stop_is_certain_when_the_node_is_gone() {
    let fixture = Fixture::new("certain").await;
    let id = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap().id;
    fixture.running_pod().await;
    tokio::task::spawn_blocking(|| part("stop", "kubelet")).await.unwrap();
    let (again, begun) = (Again("kubelet"), Instant::now());
    fixture.backend.stop(&id, Duration::from_secs(2)).await.unwrap();
    assert!((Duration::from_secs(15)..Duration::from_secs(40)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(fixture.pods().await.is_empty(), "nothing is left");
    fixture.backend.remove(&id).await.unwrap();
    tokio::task::spawn_blocking(move || drop(again)).await.unwrap();
}

/// What a launch takes, against the two requests that it makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster (measures)"]
async fn what_a_launch_takes() {
    let fixture = Fixture::new("measure").await;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", fixture.namespace);
    let secrets = format!("/api/v1/namespaces/{}/secrets", fixture.namespace);
    for n in 0..30 {
        let mut spec = fixture.script(&format!("a{n}"), "exit 0");
        spec.kubernetes.as_mut().unwrap().pod.node_selector = [("no".to_owned(), "where".to_owned())].into();
        let begun = Instant::now();
        fixture.backend.launch(&spec, &()).await.unwrap();
        ours.push(begun.elapsed());
        spec.run = format!("b{n}");
        let begun = Instant::now();
        let job = serde_json::to_value(wharf_kubernetes::object::job(&spec).unwrap()).unwrap();
        let job = fixture.post(&jobs, job).await;
        let secret = wharf_kubernetes::object::secret(&spec, job["metadata"]["uid"].as_str()).unwrap();
        fixture.post(&secrets, serde_json::to_value(secret).unwrap()).await;
        raw.push(begun.elapsed());
    }
    ours.sort_unstable();
    raw.sort_unstable();
    println!(
        "launch: median {:?}, longest {:?}; the same two requests: median {:?}, longest {:?}",
        ours[15], ours[29], raw[15], raw[29]
    );
}
