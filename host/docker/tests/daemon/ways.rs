//! The same over each way to a daemon: Unix socket, TCP, TLS and ssh.

use std::path::Path;
use std::time::Duration;

use wharf_images::ImageEngine;
use wharf_model::launch::Backend;

use crate::fixture::Fixture;
use crate::relay::Relay;

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_run_is_the_same_over_each_way() {
    let fixture = Fixture::new("ways").await;
    for relay in Relay::all().await {
        let way = relay.name;
        let backend = relay.backend();
        assert!(backend.info().await.unwrap().version.contains(", API 1."), "{way}");
        assert!(ImageEngine::find(&backend, &fixture.image).await.unwrap().is_some(), "{way}");
        let launched = backend.launch(&fixture.script(way, "echo over; exit 3"), &()).await.unwrap();
        assert_eq!(backend.wait(&launched.id, &()).await.unwrap().exit_code, Some(3), "{way}");
        assert_eq!(backend.log_tail(&launched.id, 100).await.unwrap(), b"over\n", "{way}");
        assert_eq!(Backend::find(&backend, &fixture.host).await.unwrap().len(), 1, "{way}");
        Backend::remove(&backend, &launched.id).await.unwrap();
        assert!(Backend::find(&backend, &fixture.host).await.unwrap().is_empty(), "{way}");
    }
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_daemon_that_comes_back_is_waited_for() {
    let fixture = Fixture::new("back").await;
    let mut relay = Relay::tcp().await;
    let backend = std::sync::Arc::new(relay.backend());
    let launched = backend.launch(&fixture.script("a", "sleep 4; exit 6"), &()).await.unwrap();
    let (waiter, id) = (backend.clone(), launched.id.clone());
    let waiting = tokio::spawn(async move { waiter.wait(&id, &()).await });
    relay.down().await;
    let error = backend.info().await.unwrap_err().to_string();
    assert!(error.contains("nothing listens on 127.0.0.1:"), "{error}");
    // It ends while nobody can be asked.
    fixture.backend.wait(&launched.id, &()).await.unwrap();
    assert!(!waiting.is_finished());
    relay.up().await;
    let end = waiting.await.unwrap().unwrap();
    assert_eq!((end.exit_code, end.gone), (Some(6), false));
}

#[tokio::test]
#[ignore = "needs docker (asks the daemon)"]
async fn logins_are_few_and_end_with_their_client() {
    let relay = Relay::ssh();
    let backend = relay.backend();
    for _ in 0..20 {
        backend.info().await.unwrap();
    }
    let logins = relay.logins();
    assert!(logins.len() <= 3, "{logins:?}");
    let ours = group(std::process::id()).unwrap();
    for (id, arguments) in &logins {
        assert!(arguments.ends_with("-l ana -p 2222 -- build docker system dial-stdio"), "{arguments}");
        // An interrupt at the terminal reaches our group alone.
        assert_ne!(group(*id), Some(ours.clone()));
    }
    drop(backend);
    for (id, _) in logins {
        // Neither running nor a zombie.
        gone(id).await;
    }
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_login_that_ends_loses_nothing() {
    let fixture = Fixture::new("login").await;
    let relay = Relay::ssh();
    let backend = std::sync::Arc::new(relay.backend());
    let launched = backend.launch(&fixture.script("a", "sleep 3; exit 5"), &()).await.unwrap();
    let (waiter, id) = (backend.clone(), launched.id.clone());
    let waiting = tokio::spawn(async move { waiter.wait(&id, &()).await });
    for _ in 0..3 {
        for (id, _) in relay.logins() {
            let id = i32::try_from(id).unwrap();
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(id).unwrap(),
                rustix::process::Signal::KILL,
            );
        }
        backend.info().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap().exit_code, Some(5));
}

/// The process group of a process.
fn group(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name, which may have spaces: state, parent, group.
    stat.rsplit_once(')')?.1.split_whitespace().nth(2).map(str::to_owned)
}

async fn gone(id: u32) {
    let path = format!("/proc/{id}");
    for _ in 0..600 {
        if !Path::new(&path).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{path} is still there");
}
