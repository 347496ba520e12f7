//! Connections that are kept and used again, with daemons that the tests play.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_images::ImageEngine;
use wharf_model::launch::Backend;

use crate::fixture::silent;
use crate::played::{Answer, Heard, Played, greeted};

fn usual(heard: &Heard) -> Answer {
    greeted(heard, "1.41").unwrap_or_else(|| Answer::Json(200, json!({})))
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let daemon = Played::new(None, usual).await;
    let backend = daemon.backend();
    for _ in 0..20 {
        backend.info().await.unwrap();
    }
    // One more may be begun while the first isn't free yet.
    assert!(daemon.heard().iter().all(|heard| heard.connection < 3), "{:?}", daemon.heard());
    assert_eq!(daemon.heard().len(), 20);
}

#[tokio::test]
async fn one_that_was_closed_meanwhile_loses_nothing() {
    // Every second request on a connection arrives and is never answered: the worst that can happen.
    let cut = |heard: &Heard| if heard.nth >= 2 { Answer::Close } else { usual(heard) };
    // The connection is closed behind each answer, which the client may or may not have seen when it asks again.
    let closed = |heard: &Heard| match greeted(heard, "1.41") {
        Some(answer) => answer,
        None => Answer::Last(json!({})),
    };
    for daemon in [Played::new(None, cut).await, Played::new(None, closed).await] {
        let backend = daemon.backend();
        for _ in 0..30 {
            backend.info().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_must_not_be_sent_twice_has_a_connection_of_its_own() {
    let daemon =
        Played::new(None, |heard| if heard.line.contains("/images/create") { Answer::Close } else { usual(heard) })
            .await;
    let backend = daemon.backend();
    backend.info().await.unwrap();
    let error = backend.pull("debian:12", None, &silent()).await.unwrap_err().to_string();
    assert!(error.contains("the connection broke"), "{error}");
    let pulls: Vec<Heard> = daemon.heard().into_iter().filter(|heard| heard.line.contains("/images/create")).collect();
    // The first request after the greeting, and the only one of its kind.
    assert_eq!((pulls.len(), pulls[0].nth), (1, 1), "{pulls:?}");
}

#[tokio::test]
async fn a_long_answer_keeps_nothing_waiting() {
    let daemon =
        Played::new(None, |heard| if heard.line.contains("/wait") { Answer::Silence } else { usual(heard) }).await;
    let backend = Arc::new(daemon.backend());
    let waiter = Arc::clone(&backend);
    let waiting = tokio::spawn(async move { waiter.wait("c", &()).await });
    while daemon.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::timeout(Duration::from_secs(30), async {
        for _ in 0..10 {
            backend.info().await.unwrap();
        }
    })
    .await
    .unwrap();
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn those_who_wait_for_a_daemon_share_its_failure() {
    let daemon = Played::new(None, |heard| match greeted(heard, "1.40") {
        Some(answer) => answer,
        None => Answer::Json(200, Value::Null),
    })
    .await;
    let backend = Arc::new(daemon.backend());
    let asking = (0..20).map(|_| {
        let backend = Arc::clone(&backend);
        async move { backend.info().await.unwrap_err().to_string() }
    });
    let errors = futures_util::future::join_all(asking).await;
    assert!(errors.iter().all(|error| error.contains("1.41 is needed")), "{errors:?}");
    assert!(daemon.greetings() < 20, "{}", daemon.greetings());
}
