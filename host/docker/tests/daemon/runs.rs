//! How containers start and end.

use std::time::{Duration, Instant};

use wharf_model::launch::{Backend, BackendError, EngineEnd};
use wharf_model::quantity::Quantity;

use crate::fixture::Fixture;

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_container_runs_ends_and_is_found_until_it_is_removed() {
    let fixture = Fixture::new("ends").await;
    let backend = &fixture.backend;
    let spec = fixture.script("a", "echo out; echo err >&2; exit 7");
    let launched = backend.launch(&spec, &()).await.unwrap();
    assert!(!launched.adopted);
    let end = backend.wait(&launched.id, &()).await.unwrap();
    assert_eq!(end, EngineEnd { exit_code: Some(7), ..EngineEnd::default() });

    let log = String::from_utf8(backend.log_tail(&launched.id, 1000).await.unwrap()).unwrap();
    assert!(log.contains("out\n") && log.contains("err\n") && log.len() == 8, "{log:?}");
    assert_eq!(backend.log_tail(&launched.id, 3).await.unwrap().len(), 3);

    let found = backend.find(&fixture.host).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].run.as_str(), found[0].attempt, found[0].running), (spec.run.as_str(), 1, false));
    assert!(backend.find("another home").await.unwrap().is_empty());

    for _ in 0..2 {
        backend.remove(&launched.id).await.unwrap();
    }
    assert!(backend.find(&fixture.host).await.unwrap().is_empty());
    let end = backend.wait(&launched.id, &()).await.unwrap();
    assert_eq!(end, EngineEnd { gone: true, ..EngineEnd::default() });
    backend.stop(&launched.id, Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn work_is_not_done_twice() {
    let fixture = Fixture::new("twice").await;
    let backend = &fixture.backend;
    let spec = fixture.script("a", "echo once; sleep 1");
    let first = backend.launch(&spec, &()).await.unwrap();
    // While it runs, and after it has ended.
    for _ in 0..2 {
        let second = backend.launch(&spec, &()).await.unwrap();
        assert_eq!((&second.id, second.adopted), (&first.id, true));
        backend.wait(&first.id, &()).await.unwrap();
    }
    assert_eq!(backend.log_tail(&first.id, 1000).await.unwrap(), b"once\n");

    let mut other = spec.clone();
    other.argv.push("other".to_owned());
    let error = backend.launch(&other, &()).await.unwrap_err();
    assert!(matches!(error, BackendError::Conflict { .. }), "{error}");
    // Another attempt is another container.
    other.attempt = 2;
    assert_ne!(backend.launch(&other, &()).await.unwrap().id, first.id);
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn killed_for_memory_is_told() {
    let fixture = Fixture::new("oom").await;
    let mut spec = fixture.script("a", "exec tail /dev/zero");
    spec.resources.insert("memory".to_owned(), Quantity::Bytes(16 << 20));
    let launched = fixture.backend.launch(&spec, &()).await.unwrap();
    let end = fixture.backend.wait(&launched.id, &()).await.unwrap();
    assert_eq!((end.exit_code, end.oom_killed), (Some(137), true), "{end:?}");
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn stopping_asks_first_and_kills_then() {
    let fixture = Fixture::new("stop").await;
    let backend = &fixture.backend;
    let polite =
        backend.launch(&fixture.script("a", "trap 'exit 3' TERM; echo up; sleep 60 & wait"), &()).await.unwrap();
    let deaf = backend.launch(&fixture.script("b", "trap '' TERM; echo up; sleep 60"), &()).await.unwrap();
    for id in [&polite.id, &deaf.id] {
        while backend.log_tail(id, 10).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    backend.stop(&polite.id, Duration::from_secs(30)).await.unwrap();
    assert_eq!(backend.wait(&polite.id, &()).await.unwrap().exit_code, Some(3));
    let begun = Instant::now();
    backend.stop(&deaf.id, Duration::from_millis(500)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(backend.wait(&deaf.id, &()).await.unwrap().exit_code, Some(137));
    backend.stop(&deaf.id, Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_container_that_somebody_removes_is_gone() {
    let fixture = Fixture::new("gone").await;
    let backend = fixture.backend.clone();
    let launched = backend.launch(&fixture.script("a", "sleep 60"), &()).await.unwrap();
    let (waiter, id) = (backend.clone(), launched.id.clone());
    let waiting = tokio::spawn(async move { waiter.wait(&id, &()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.remove(&launched.id).await.unwrap();
    let end = waiting.await.unwrap().unwrap();
    assert!(end.gone, "{end:?}");
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn what_the_daemon_refuses_leaves_nothing_behind() {
    let fixture = Fixture::new("refused").await;
    let backend = &fixture.backend;
    let mut spec = fixture.script("a", "exit 0");
    spec.image = "wharf-test/there-is-none:1".to_owned();
    let error = backend.launch(&spec, &()).await.unwrap_err();
    assert!(matches!(&error, BackendError::NoSuchImage { image } if *image == spec.image), "{error}");

    let mut spec = fixture.script("b", "exit 0");
    spec.argv = vec!["/no/such/program".to_owned()];
    let error = backend.launch(&spec, &()).await.unwrap_err().to_string();
    assert!(error.contains("refused to start the container wharf-") && error.contains("/no/such/program"), "{error}");

    let mut spec = fixture.script("c", "exit 0");
    spec.security.network = "no-such-network".to_owned();
    let error = backend.launch(&spec, &()).await.unwrap_err().to_string();
    assert!(error.contains("no-such-network"), "{error}");

    let mut spec = fixture.script("d", "exit 0");
    spec.resources.insert("memory".to_owned(), Quantity::Bytes(1));
    let error = backend.launch(&spec, &()).await.unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
    assert!(backend.find(&fixture.host).await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn the_limits_hold_inside() {
    let fixture = Fixture::new("limits").await;
    let backend = &fixture.backend;
    let mut spec = fixture.script(
        "a",
        "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; echo $SECRET; touch /bin/x 2>&1; \
         touch /tmp/x /wharf/work/x && echo writable; stat -c %a /wharf/work; cat /proc/1/comm; \
         cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; \
         cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
    );
    spec.security.read_only_root = true;
    spec.resources.insert("memory".to_owned(), Quantity::Bytes(64 << 20));
    let launched = backend.launch(&spec, &()).await.unwrap();
    backend.wait(&launched.id, &()).await.unwrap();
    let log = String::from_utf8(backend.log_tail(&launched.id, 10_000).await.unwrap()).unwrap();
    let words: Vec<&str> = log.split_whitespace().collect();
    let none = "0000000000000000";
    assert_eq!(words[..8], ["1000", "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1", "s3cret"], "{log}");
    for expected in ["Read-only file system", "writable", "1777", "sh\n", "4096", "67108864"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[tokio::test]
#[ignore = "needs docker (asks the daemon)"]
async fn the_daemon_says_what_it_is_and_where_we_are() {
    let fixture = Fixture::new("info").await;
    let info = fixture.backend.info().await.unwrap();
    assert!(info.version.starts_with("Docker ") && info.version.contains(", API 1."), "{info:?}");
    assert!(info.platform.starts_with("linux/") && info.cpus > 0 && info.memory > 1 << 20, "{info:?}");
    assert!(info.runtimes.iter().any(|runtime| runtime == "runc"), "{info:?}");
    assert!(["1", "2"].contains(&info.cgroup_version.as_str()), "{info:?}");

    let gateway = fixture.backend.way_back("bridge").await.unwrap();
    assert!(gateway.parse::<std::net::IpAddr>().is_ok(), "{gateway}");
    assert_eq!(fixture.backend.way_back("host").await.unwrap(), "127.0.0.1");
    for network in ["none", "no-such-network", "container:x"] {
        assert!(fixture.backend.way_back(network).await.is_err(), "{network}");
    }
}
