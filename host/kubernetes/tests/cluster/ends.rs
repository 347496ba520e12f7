//! How runs end on a real cluster.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_kubernetes::resources;
use wharf_model::EngineCause;
use wharf_model::launch::{Backend, BackendError, EngineEnd};

use crate::fixture::Fixture;

/// Launches a run that sleeps, does something to it, and tells how it ended.
async fn ended_by(fixture: &Fixture, record: &str, what: &str, act: impl AsyncFnOnce(&Fixture, String)) -> EngineEnd {
    let id = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap().id;
    let waiting = {
        let (backend, id) = (Arc::clone(&fixture.backend), id.clone());
        tokio::spawn(async move { backend.wait(&id, &()).await })
    };
    let pod = fixture.running_pod().await;
    act(fixture, pod).await;
    let end = tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("it ends").unwrap().unwrap();
    fixture.record(&id, record, what).await;
    fixture.backend.remove(&id).await.unwrap();
    end
}

fn limited(fixture: &Fixture, script: &str, limits: &[(&str, &str)]) -> wharf_model::LaunchSpec {
    let mut spec = fixture.script("a", script);
    for (key, value) in limits {
        spec.resources.insert((*key).to_owned(), resources::check(key, value).unwrap());
    }
    spec
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn by_itself() {
    let fixture = Fixture::new("exit").await;
    let (end, _) = fixture.end_of(&fixture.script("a", "exit 3"), "real-exit-code", "A container exits with 3").await;
    assert_eq!(end, EngineEnd { exit_code: Some(3), ..EngineEnd::default() });
    let (end, _) = fixture.end_of(&fixture.script("b", "exit 0"), "real-succeeded", "A container exits with 0").await;
    assert_eq!(end, EngineEnd { exit_code: Some(0), ..EngineEnd::default() });
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn for_memory() {
    let fixture = Fixture::new("oom").await;
    let spec = limited(&fixture, "exec tail /dev/zero", &[("limits.memory", "24Mi")]);
    let (end, _) = fixture.end_of(&spec, "real-out-of-memory", "The first process takes more than its limit").await;
    assert!(end.oom_killed && end.exit_code == Some(137), "{end:?}");
    assert!(
        matches!(end.cause.as_deref(), Some(EngineCause::OutOfMemory { limit: Some(limit) }) if limit == "24Mi"),
        "{end:?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn for_its_own_storage() {
    let fixture = Fixture::new("storage").await;
    let spec = limited(
        &fixture,
        "dd if=/dev/zero of=/tmp/x bs=1M count=40; sleep 600",
        &[("limits.ephemeral-storage", "8Mi")],
    );
    let (end, _) = fixture.end_of(&spec, "real-evicted", "A pod writes more than its limit of ephemeral storage").await;
    let Some(EngineCause::Evicted { resource, own_limit: true, node: Some(_), .. }) = end.cause.as_deref() else {
        panic!("{end:?}")
    };
    assert_eq!(resource.as_deref(), Some("ephemeral-storage"));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn at_the_deadline_of_its_job() {
    let fixture = Fixture::new("deadline").await;
    let mut spec = fixture.script("a", "sleep 600");
    spec.deadline_seconds = Some(4);
    let (end, _) = fixture.end_of(&spec, "real-deadline", "A Job reaches its deadline").await;
    assert_eq!(end.cause.as_deref(), Some(&EngineCause::DeadlineExceeded { seconds: Some(4) }), "{end:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn by_somebody_who_deletes_its_pod() {
    let fixture = Fixture::new("pod").await;
    let end = ended_by(&fixture, "real-pod-deleted", "Somebody deletes the pod", async |fixture, pod| {
        fixture.delete(&pod).await;
    })
    .await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::PodDeleted { begun: true, .. })), "{end:?}");
    assert_eq!(
        fixture.pods().await.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count(),
        0,
        "no second pod"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn by_somebody_who_deletes_its_job() {
    let fixture = Fixture::new("job").await;
    let end = ended_by(&fixture, "real-job-deleted", "Somebody deletes the Job", async |fixture, _| {
        fixture.delete(&format!("/apis/batch/v1/namespaces/{}/jobs/wharf-a-1", fixture.namespace)).await;
    })
    .await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::JobDeleted { begun: true })), "{end:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn by_a_drain() {
    let fixture = Fixture::new("drain").await;
    let end = ended_by(&fixture, "real-drained", "A pod is evicted through the eviction API", async |fixture, pod| {
        let name = pod.rsplit('/').next().unwrap();
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": fixture.namespace}});
        fixture.post(&format!("{pod}/eviction"), eviction).await;
    })
    .await;
    assert!(matches!(end.cause.as_deref(), Some(EngineCause::Drained { node: Some(_) })), "{end:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_an_image() {
    let fixture = Fixture::new("image").await;
    let mut spec = fixture.script("a", "exit 0");
    let name = spec.image.split_once('@').unwrap().0.to_owned();
    spec.image = format!("{name}@sha256:{}", "ab".repeat(32));
    let (end, ear) = fixture.end_of(&spec, "real-image-missing", "The registry doesn't have the image").await;
    let Some(EngineCause::ImagePull { image, words }) = end.cause.as_deref() else { panic!("{end:?}") };
    assert!(*image == spec.image && words.contains("not found"), "{end:?}");
    assert!(ear.has_heard("can't be pulled"), "{:?}", ear.0);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_a_node() {
    let fixture = Fixture::new("node").await;
    let spec = limited(&fixture, "exit 0", &[("requests.cpu", "900"), ("limits.cpu", "900")]);
    let (end, ear) = fixture.end_of(&spec, "real-unschedulable", "No node has as many CPUs").await;
    assert!(
        matches!(end.cause.as_deref(), Some(EngineCause::Unschedulable { words }) if words.contains("Insufficient cpu")),
        "{end:?}"
    );
    assert!(ear.has_heard("Insufficient cpu"), "{:?}", ear.0);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_a_command() {
    let fixture = Fixture::new("command").await;
    let mut spec = fixture.script("a", "");
    spec.argv = vec!["/opt/wharf/bin/wharf-runner".to_owned()];
    let (end, _) = fixture.end_of(&spec, "real-command-missing", "The command isn't in the image").await;
    assert!(
        end.error.as_deref().is_some_and(|words| words.contains("no such file")) && end.exit_code.is_none(),
        "{end:?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn at_a_quota() {
    let fixture = Fixture::new("quota").await;
    let quota = |name: &str, hard: Value| json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}});
    let path = format!("/api/v1/namespaces/{}/resourcequotas", fixture.namespace);
    fixture.post(&path, quota("few", json!({"pods": "0"}))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (end, ear) =
        fixture.end_of(&fixture.script("a", "exit 0"), "real-quota-of-pods", "A quota keeps the pod out").await;
    let Some(EngineCause::QuotaExceeded { quota: name, items, .. }) = end.cause.as_deref() else { panic!("{end:?}") };
    assert_eq!((name.as_str(), items[0].hard.as_str()), ("few", "0"));
    assert!(ear.has_heard("quota few"), "{:?}", ear.0);
    // And one that keeps the Job itself out.
    fixture.post(&path, quota("jobs", json!({"count/jobs.batch": "0"}))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = fixture.backend.launch(&fixture.script("b", "exit 0"), &()).await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Because { cause, .. } if matches!(**cause, EngineCause::QuotaExceeded { .. })),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn against_the_bounds_of_its_namespace() {
    let fixture = Fixture::new("bounds").await;
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "max": {"memory": "16Mi"}},
    ]}});
    fixture.post(&format!("/api/v1/namespaces/{}/limitranges", fixture.namespace), range).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spec = limited(&fixture, "exit 0", &[("limits.memory", "64Mi")]);
    let (end, _) = fixture.end_of(&spec, "real-limit-range", "A LimitRange refuses the pod").await;
    assert!(
        matches!(end.cause.as_deref(), Some(EngineCause::LimitRange { words }) if words.contains("16Mi")),
        "{end:?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_what_it_names() {
    let fixture = Fixture::new("names").await;
    let mut spec = fixture.script("a", "exit 0");
    spec.kubernetes.as_mut().unwrap().pod.service_account = Some("nobody".to_owned());
    let (end, _) = fixture.end_of(&spec, "real-service-account-missing", "The service account isn't there").await;
    assert!(
        matches!(end.cause.as_deref(), Some(EngineCause::Missing { object, name, .. }) if object == "ServiceAccount" && name == "nobody"),
        "{end:?}"
    );
    let mut spec = fixture.script("b", "exit 0");
    spec.kubernetes.as_mut().unwrap().namespace = "wharf-test-nowhere".to_owned();
    let error = fixture.backend.launch(&spec, &()).await.unwrap_err();
    assert!(error.to_string().contains("the Namespace wharf-test-nowhere"), "{error}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn against_pod_security() {
    let fixture = Fixture::new("level").await;
    let path = format!("/api/v1/namespaces/{}", fixture.namespace);
    let mut namespace = fixture.get(&path).await.unwrap();
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
    fixture.send(http::Method::PUT, &path, namespace).await.unwrap();
    // What we make by default is taken.
    let (end, _) = fixture
        .end_of(&fixture.script("a", "exit 0"), "real-restricted", "A restricted namespace takes the default pod")
        .await;
    assert_eq!(end.exit_code, Some(0), "{end:?}");
    let mut spec = fixture.script("b", "exit 0");
    spec.security.privileged = true;
    spec.security.no_new_privileges = false;
    let (end, _) = fixture.end_of(&spec, "real-pod-security", "A restricted namespace refuses a privileged pod").await;
    assert!(
        matches!(end.cause.as_deref(), Some(EngineCause::PodSecurity { level, .. }) if level.starts_with("restricted")),
        "{end:?}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn without_its_ticket() {
    let fixture = Fixture::new("ticket").await;
    let spec = fixture.script("a", "exit 0");
    // As a host leaves it that is killed between the two.
    let job = serde_json::to_value(wharf_kubernetes::object::job(&spec).unwrap()).unwrap();
    let job = fixture.post(&format!("/apis/batch/v1/namespaces/{}/jobs", fixture.namespace), job).await;
    let id = format!("{}/wharf-a-1/{}", fixture.namespace, job["metadata"]["uid"].as_str().unwrap());
    assert_eq!(fixture.backend.find_attempt(&spec).await.unwrap().unwrap().id, id);
    let end = fixture.backend.wait(&id, &()).await.unwrap();
    fixture.record(&id, "real-ticket-missing", "A host was killed between the Job and its Secret").await;
    assert_eq!(end.cause.as_deref(), Some(&EngineCause::TicketMissing), "{end:?}");
}
