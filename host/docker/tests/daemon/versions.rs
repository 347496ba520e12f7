//! Which version of the API is spoken, with daemons that the tests play.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use wharf_model::launch::Backend;

use crate::played::{Answer, Played, greeted};

#[tokio::test]
async fn each_request_names_the_newest_version_that_both_speak() {
    let newest = bollard::API_DEFAULT_VERSION.to_string();
    for (api, expected) in [("1.41", "1.41"), ("1.44", "1.44"), ("1.52", "1.52"), ("1.99", newest.as_str())] {
        let daemon =
            Played::new(None, |heard| greeted(heard, api).unwrap_or_else(|| Answer::Json(200, json!({"NCPU": 3}))))
                .await;
        let backend = daemon.backend();
        let info = backend.info().await.unwrap();
        assert_eq!((info.version.as_str(), info.cpus), (format!("Docker unknown, API {expected}").as_str(), 3));
        backend.remove("c").await.unwrap();
        let lines: Vec<String> = daemon.heard().into_iter().map(|heard| heard.line).collect();
        assert_eq!(lines[0], format!("GET /v{expected}/info HTTP/1.1"));
        assert!(lines[1].starts_with(&format!("DELETE /v{expected}/containers/c?")), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }
}

#[tokio::test]
async fn a_daemon_that_is_too_old_is_refused() {
    for api in ["1.24", "1.40"] {
        let daemon = Played::new(None, |heard| greeted(heard, api).unwrap_or(Answer::Close)).await;
        let error = daemon.backend().info().await.unwrap_err().to_string();
        let expected = format!("it speaks version {api} of Docker's API (Docker x.y), and 1.41 is needed");
        assert!(error.contains(&expected) && error.contains("install Docker 20.10 or newer"), "{error}");
        assert_eq!(daemon.heard().len(), 0);
    }
}

#[tokio::test]
async fn a_daemon_that_is_updated_is_met_again() {
    let updated = std::sync::Arc::new(AtomicBool::new(false));
    let now = std::sync::Arc::clone(&updated);
    let daemon = Played::new(None, move |heard| {
        let updated = now.load(Ordering::SeqCst);
        greeted(heard, if updated { "1.52" } else { "1.41" }).unwrap_or_else(|| {
            if updated && heard.line.contains("/v1.41/") {
                let words = "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your \
                             client to a newer version";
                Answer::Json(400, json!({ "message": words }))
            } else {
                Answer::Json(200, json!({}))
            }
        })
    })
    .await;
    let backend = daemon.backend();
    assert!(backend.info().await.unwrap().version.ends_with("API 1.41"));
    updated.store(true, Ordering::SeqCst);
    assert!(backend.info().await.unwrap().version.ends_with("API 1.52"));
}

#[tokio::test]
async fn a_slow_daemon_is_waited_for() {
    let daemon = Played::new(None, |heard| match greeted(heard, "1.41") {
        Some(Answer::Json(_, value)) => Answer::Late(value),
        _ => Answer::Late(json!({"NCPU": 3})),
    });
    assert_eq!(daemon.await.backend().info().await.unwrap().cpus, 3);
}
