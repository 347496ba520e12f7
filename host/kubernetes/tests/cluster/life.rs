//! Launch, find, stop, reach, check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf_kubernetes::role::RoleRequest;
use wharf_kubernetes::{KubernetesBackend, Probe};
use wharf_model::kubernetes::{Cluster, PodSettings};
use wharf_model::launch::{Backend, BackendError};
use wharf_model::protocol::ATTACH_PORT;

use crate::fixture::{Fixture, kubeconfig};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_second_launch_finds_the_first() {
    let fixture = Fixture::new("twin").await;
    let spec = fixture.script("a", "echo once; sleep 600");
    let first = fixture.backend.launch(&spec, &()).await.unwrap();
    let other = KubernetesBackend::connect(fixture.backend.cluster());
    let second = other.launch(&spec, &()).await.unwrap();
    assert_eq!((first.id.clone(), false, true), (second.id, first.adopted, second.adopted));
    fixture.running_pod().await;
    assert_eq!(fixture.pods().await.len(), 1);
    let found = other.find(&fixture.host).await.unwrap();
    assert!(found.len() == 1 && found[0].run == "a" && found[0].running, "{found:?}");
    let mut changed = spec.clone();
    changed.env.insert("MORE".to_owned(), "1".to_owned());
    assert!(matches!(other.launch(&changed, &()).await, Err(BackendError::Conflict { .. })));
    assert_eq!(fixture.backend.log_tail(&first.id, 100).await.unwrap(), b"once\n");
    fixture.backend.remove(&first.id).await.unwrap();
    assert!(fixture.backend.find_attempt(&spec).await.unwrap().is_none());
    // Its Secret goes with it.
    let secret = format!("/api/v1/namespaces/{}/secrets/wharf-a-1", fixture.namespace);
    for _ in 0..100 {
        if fixture.get(&secret).await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the Secret is left");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stop_is_heard_by_who_listens_and_certain_for_who_does_not() {
    let fixture = Fixture::new("stop").await;
    let polite = fixture
        .backend
        .launch(&fixture.script("a", "trap 'echo heard; exit 5' TERM; echo up; sleep 600 & wait"), &())
        .await
        .unwrap()
        .id;
    let waiting = {
        let (backend, id) = (Arc::clone(&fixture.backend), polite.clone());
        tokio::spawn(async move { backend.wait(&id, &()).await })
    };
    fixture.running_pod().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    fixture.backend.stop(&polite, Duration::from_secs(20)).await.unwrap();
    let end = waiting.await.unwrap().unwrap();
    assert!(end.cause.is_none() && !end.gone && end.exit_code == Some(5), "{end:?}");
    fixture.backend.remove(&polite).await.unwrap();

    let deaf = fixture
        .backend
        .launch(&fixture.script("b", "trap '' TERM; echo up; while :; do sleep 1; done"), &())
        .await
        .unwrap()
        .id;
    fixture.running_pod().await;
    let begun = Instant::now();
    fixture.backend.stop(&deaf, Duration::from_secs(2)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    fixture.backend.remove(&deaf).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_run_that_waits_for_a_node_is_stopped_at_once() {
    let fixture = Fixture::new("pending").await;
    let mut spec = fixture.script("a", "exit 0");
    spec.kubernetes.as_mut().unwrap().pod.node_selector = [("no".to_owned(), "where".to_owned())].into();
    let id = fixture.backend.launch(&spec, &()).await.unwrap().id;
    let begun = Instant::now();
    fixture.backend.stop(&id, Duration::from_secs(30)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(fixture.pods().await.is_empty());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_runners_port_is_reached_through_the_api_server() {
    let fixture = Fixture::new("reach").await;
    let id = fixture
        .backend
        .launch(&fixture.script("a", &format!("nc -l -p {ATTACH_PORT} -e /bin/cat; sleep 600")), &())
        .await
        .unwrap()
        .id;
    fixture.running_pod().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut stream = fixture.backend.dial(&id, &[], &[]).await.unwrap();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut received = vec![0; sent.len()];
    let begun = Instant::now();
    let (written, got) = tokio::join!(write.write_all(&sent), read.read_exact(&mut received));
    written.unwrap();
    got.unwrap();
    assert!(received == sent);
    println!("4 MB there and back in {} ms", begun.elapsed().as_millis());
    drop(stream);
    // Nobody listens there any more: that is said.
    let mut stream = fixture.backend.dial(&id, &[], &[]).await.unwrap();
    let error = stream.read(&mut [0; 8]).await.map(|count| count.to_string());
    assert!(
        matches!(&error, Err(error) if error.to_string().contains("the engine says"))
            || matches!(&error, Ok(count) if count == "0"),
        "{error:?}"
    );
    fixture.backend.remove(&id).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_cluster_is_checked() {
    let fixture = Fixture::new("check").await;
    let pod = PodSettings::default();
    let request =
        RoleRequest { account: "a", account_namespace: "b", namespace: &fixture.namespace, pod: &pod, attach: true };
    let probe = Probe { spec: fixture.script("probe", "echo it answers"), address: "10.0.0.1:1".to_owned() };
    let checked = fixture.backend.check(&request, &fixture.namespace, Some(&probe)).await;
    for one in &checked {
        println!(
            "{} {}: {} {}",
            if one.ok { "ok" } else { "NO" },
            one.what,
            one.said,
            one.advice.as_deref().unwrap_or_default()
        );
    }
    assert!(checked.len() > 10 && checked.iter().all(|one| one.ok));
    let info = fixture.backend.info().await.unwrap();
    assert!(
        info.version.starts_with("Kubernetes v1.") && info.platform.starts_with("linux/") && info.cpus > 0,
        "{info:?}"
    );
}

/// The other contexts of the test cluster: a token and an exec plugin, with the rights of the minimal role in one namespace.
#[tokio::test]
#[ignore = "needs a cluster of tests/cluster"]
async fn the_minimal_role_is_enough_and_no_more() {
    for (context, namespace) in [("wharf", "wharf-runs"), ("other", "wharf-other")] {
        let cluster = Cluster { kubeconfig: Some(kubeconfig()), context: Some(context.to_owned()) };
        let backend = Arc::new(KubernetesBackend::connect(&cluster));
        let fixture = Fixture::new(context).await;
        let mut spec = fixture.script(&format!("{context}-{}", std::process::id()), "exit 4");
        spec.kubernetes.as_mut().unwrap().namespace = namespace.to_owned();
        let id = backend.launch(&spec, &()).await.unwrap().id;
        assert_eq!(backend.wait(&id, &()).await.unwrap().exit_code, Some(4));
        assert_eq!(backend.find(&fixture.host).await.unwrap().len(), 1);
        backend.stop(&id, Duration::from_secs(1)).await.unwrap();
        backend.remove(&id).await.unwrap();
        spec.kubernetes.as_mut().unwrap().namespace = fixture.namespace.clone();
        let error = backend.launch(&spec, &()).await.unwrap_err();
        let BackendError::Because { cause, .. } = &error else { panic!("{error}") };
        assert!(
            error.to_string().contains(&format!("may not create jobs.batch in the namespace {}", fixture.namespace)),
            "{error}"
        );
        println!("{}\n{}", cause.sentence(), cause.told().advice);
    }
}
