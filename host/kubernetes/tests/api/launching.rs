//! Creating an attempt's objects.

use std::time::{Duration, Instant};

use serde_json::json;
use wharf_model::EngineCause;
use wharf_model::launch::{Backend, BackendError};

use crate::fixture::{Ear, HOST, JOBS, SECRETS, job, spec};
use crate::server::{Fault, Server, status};

const QUOTA: &str = "jobs.batch \"wharf-a-1\" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, used: \
                     count/jobs.batch=2, limited: count/jobs.batch=2";
const FORBIDDEN: &str = "jobs.batch is forbidden: User \"system:serviceaccount:team-a:host\" cannot create resource \"jobs\" in API \
                         group \"batch\" in the namespace \"team-a\"";

fn cause(error: BackendError) -> EngineCause {
    match error {
        BackendError::Because { cause, .. } => *cause,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_launch_makes_a_job_and_its_secret() {
    let server = Server::new().await;
    let backend = server.backend();
    let launched = backend.launch(&spec("a"), &()).await.unwrap();
    assert!(!launched.adopted && launched.id.starts_with("team-a/wharf-a-1/uid-"), "{}", launched.id);
    assert_eq!((server.paths(JOBS).len(), server.paths(SECRETS).len()), (1, 1));
    let secret = server.object(&format!("{SECRETS}/wharf-a-1")).unwrap();
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], job(&server, "a")["metadata"]["uid"]);
    assert_eq!(server.count("POST", ""), 2, "two requests, and none to look");
    let found = backend.find_attempt(&spec("a")).await.unwrap().unwrap();
    assert_eq!((found.id, found.run.as_str(), found.running), (launched.id, "a", true));
    assert_eq!(backend.find(HOST).await.unwrap().len(), 1);
    assert!(backend.find("another").await.unwrap().is_empty());
    assert!(backend.find_attempt(&spec("b")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_lost_answer_makes_no_twin() {
    for (path, job_was_lost) in [("/jobs", true), ("/secrets", false)] {
        let server = Server::new().await;
        server.fails("POST", path, Fault::LoseAnswer, 1);
        let launched = server.backend().launch(&spec("a"), &()).await.unwrap();
        assert_eq!(launched.adopted, job_was_lost);
        assert_eq!((server.paths(JOBS).len(), server.paths(SECRETS).len()), (1, 1));
        assert_eq!(server.count("POST", path), 1, "it was found, not created again");
    }
}

#[tokio::test]
async fn a_request_that_was_never_heard_is_sent_again() {
    for fault in [Fault::Close, Fault::Answer(503, status(503, "ServiceUnavailable", "starting"))] {
        let server = Server::new().await;
        server.fails("POST", "/jobs", fault, 2);
        server.backend().launch(&spec("a"), &()).await.unwrap();
        assert_eq!(server.paths(JOBS).len(), 1);
    }
}

#[tokio::test]
async fn a_second_launch_finds_the_first_and_another_is_refused() {
    let server = Server::new().await;
    let first = server.backend().launch(&spec("a"), &()).await.unwrap();
    let second = server.backend().launch(&spec("a"), &()).await.unwrap();
    assert_eq!((first.id, true), (second.id, second.adopted));
    assert_eq!((server.paths(JOBS).len(), server.paths(SECRETS).len()), (1, 1));
    let mut other = spec("a");
    other.env.insert("MORE".to_owned(), "1".to_owned());
    let error = server.backend().launch(&other, &()).await.unwrap_err();
    assert!(matches!(&error, BackendError::Conflict { object } if object.contains("team-a/wharf-a-1")), "{error}");
    // One that has our name and says nothing of itself isn't ours either.
    server.set(&format!("{JOBS}/wharf-a-1"), |job| job["metadata"]["annotations"] = json!({}));
    assert!(matches!(server.backend().launch(&spec("a"), &()).await, Err(BackendError::Conflict { .. })));
}

#[tokio::test]
async fn a_launch_whose_secret_was_never_made_makes_it() {
    let server = Server::new().await;
    server.backend().launch(&spec("a"), &()).await.unwrap();
    server.delete(&format!("{SECRETS}/wharf-a-1"));
    assert!(server.backend().launch(&spec("a"), &()).await.unwrap().adopted);
    assert_eq!(server.paths(SECRETS).len(), 1);
}

#[tokio::test]
async fn a_full_quota_is_waited_for_and_told() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Answer(403, status(403, "Forbidden", QUOTA)), 3);
    let ear = Ear::new();
    server.backend().launch(&spec("a"), ear.as_ref()).await.unwrap();
    assert!(ear.has_heard("quota team") && ear.has_heard("used 2 of 2"), "{:?}", ear.heard);
    // In vain, and within its patience.
    server.fails("POST", "/jobs", Fault::Answer(403, status(403, "Forbidden", QUOTA)), 99);
    let begun = Instant::now();
    let error = server.backend().launch(&spec("b"), &()).await.unwrap_err();
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let EngineCause::QuotaExceeded { quota, items, .. } = cause(error) else { panic!() };
    assert_eq!((quota.as_str(), items[0].used.as_str(), items[0].hard.as_str()), ("team", "2", "2"));
}

#[tokio::test]
async fn a_full_quota_ends_a_run_that_does_not_wait() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Answer(403, status(403, "Forbidden", QUOTA)), 99);
    let mut spec = spec("a");
    spec.kubernetes.as_mut().unwrap().pod.when_quota_full = wharf_model::kubernetes::WhenQuotaFull::Fail;
    let begun = Instant::now();
    assert!(matches!(cause(server.backend().launch(&spec, &()).await.unwrap_err()), EngineCause::QuotaExceeded { .. }));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(server.count("POST", "/jobs"), 1);
}

#[tokio::test]
async fn whoever_gives_up_gets_no_job() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Answer(403, status(403, "Forbidden", QUOTA)), 99);
    let ear = Ear::new();
    ear.enough.notify_one();
    let error = server.backend().launch(&spec("a"), ear.as_ref()).await.unwrap_err();
    assert!(matches!(error, BackendError::GivenUp { .. }), "{error}");
    assert!(server.paths(JOBS).is_empty());
}

#[tokio::test]
async fn a_missing_right_is_told_with_its_rule_and_nothing_is_left() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Answer(403, status(403, "Forbidden", FORBIDDEN)), 1);
    let EngineCause::Forbidden(right) = cause(server.backend().launch(&spec("a"), &()).await.unwrap_err()) else {
        panic!()
    };
    assert!(right.rule.contains("jobs"), "{}", right.rule);
    // The Secret's right alone: the Job must not stay, for nobody knows its id.
    let secrets = FORBIDDEN.replace("\"jobs\"", "\"secrets\"").replace("\"batch\"", "\"\"");
    server.fails("POST", "/secrets", Fault::Answer(403, status(403, "Forbidden", &secrets)), 1);
    assert!(matches!(cause(server.backend().launch(&spec("a"), &()).await.unwrap_err()), EngineCause::Forbidden(_)));
    assert!(server.paths(JOBS).is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_after_the_patience() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Close, 99);
    let ear = Ear::new();
    let begun = Instant::now();
    let error = server.backend().launch(&spec("a"), ear.as_ref()).await.unwrap_err();
    assert!(matches!(error, BackendError::Unreachable { .. }), "{error}");
    assert!(begun.elapsed() >= Duration::from_secs(3) && ear.has_heard("doesn't answer"), "{:?}", ear.heard);
}

#[tokio::test]
async fn a_server_that_is_slow_or_hangs_once_gets_one_job() {
    let server = Server::new().await;
    server.fails("POST", "/jobs", Fault::Late(Duration::from_secs(3)), 1);
    server.backend().launch(&spec("a"), &()).await.unwrap();
    // An answer that never comes is given up after half a minute, and asked for on another connection.
    server.fails("POST", "/jobs", Fault::Silence, 1);
    let mut spec = spec("b");
    spec.kubernetes.as_mut().unwrap().pod.patience.api = 60;
    server.backend().launch(&spec, &()).await.unwrap();
    assert_eq!(server.paths(JOBS).len(), 2);
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable_with_the_address() {
    let server = Server::new().await;
    let backend = server.backend();
    let port = server.port;
    backend.info().await.unwrap();
    drop(server);
    let error = backend.info().await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn new_credentials_are_read_once_the_old_ones_are_refused() {
    let server = Server::new().await;
    let backend = server.backend();
    backend.launch(&spec("a"), &()).await.unwrap();
    server.wants_token("second");
    server.write_kubeconfig("second");
    // A client is used for two seconds at least.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    backend.launch(&spec("b"), &()).await.unwrap();
    assert_eq!(server.paths(JOBS).len(), 2);
    server.wants_token("third");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(matches!(cause(backend.launch(&spec("c"), &()).await.unwrap_err()), EngineCause::Unauthorized { .. }));
}

#[tokio::test]
async fn what_is_no_api_server_is_told_as_that() {
    let server = Server::new().await;
    server.fails("GET", "/version", Fault::Garbage("<html>hello</html>"), 9);
    let error = server.backend().info().await.unwrap_err().to_string();
    assert!(error.contains("isn't what an API server says"), "{error}");
    server.fails("GET", "/jobs", Fault::Garbage("{\"hello\": 1}"), 9);
    let error = server.backend().find(HOST).await.unwrap_err().to_string();
    assert!(error.contains("no Kubernetes API server"), "{error}");
}

#[tokio::test]
async fn where_all_namespaces_may_not_be_listed_the_remembered_ones_are() {
    let server = Server::new().await;
    let backend = server.backend();
    backend.launch(&spec("a"), &()).await.unwrap();
    let whole =
        "jobs.batch is forbidden: User \"u\" cannot list resource \"jobs\" in API group \"batch\" at the cluster scope";
    server.fails("GET", "/apis/batch/v1/jobs?", Fault::Answer(403, status(403, "Forbidden", whole)), 9);
    // It knows of the namespace since it launched there.
    assert_eq!(backend.find(HOST).await.unwrap().len(), 1);
    let other = server.backend();
    assert!(matches!(cause(other.find(HOST).await.unwrap_err()), EngineCause::Forbidden(_)));
    other.remember("team-a");
    assert_eq!(other.find(HOST).await.unwrap().len(), 1);
}
