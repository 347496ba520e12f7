//! Answers that never come: a proxy between the backend and the daemon cuts connections.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use wharf_docker::DockerBackend;
use wharf_model::configuration::Daemon;
use wharf_model::launch::Backend;

use crate::fixture::{Fixture, socket};

/// Forwards to the daemon. A connection is one request, since the client keeps none.
struct Proxy {
    path: PathBuf,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// Loses the first answer to a request whose first line has `word` in it: after the daemon has sent it, or, with
    /// `after`, when that much time has gone by.
    fn losing(word: &'static str, after: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let lost = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counted, lost) = (Arc::clone(&counted), Arc::clone(&lost));
                tokio::spawn(async move {
                    let _ = forward(client, word, after, &counted, &lost).await;
                });
            }
        });
        Self { path, requests, task, _folder: folder }
    }

    fn backend(&self) -> DockerBackend {
        DockerBackend::connect(&Daemon::at(format!("unix://{}", self.path.display()))).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut client: UnixStream,
    word: &str,
    after: Option<Duration>,
    counted: &AtomicUsize,
    lost: &AtomicBool,
) -> std::io::Result<()> {
    let mut daemon = UnixStream::connect(socket()).await?;
    let mut head = vec![0; 64 * 1024];
    let length = client.read(&mut head).await?;
    let first = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
    if length > 0 && !first.contains(" /version") {
        // The version that was agreed on, whatever the daemon's newest is.
        assert!(first.contains(" /v1."), "{first}");
        counted.fetch_add(1, Ordering::SeqCst);
    }
    daemon.write_all(&head[..length]).await?;
    if !word.is_empty() && first.contains(word) && !lost.swap(true, Ordering::SeqCst) {
        match after {
            Some(time) => tokio::time::sleep(time).await,
            None => drop(daemon.read(&mut head).await?),
        }
        return Ok(());
    }
    tokio::io::copy_bidirectional(&mut client, &mut daemon).await.map(drop)
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_lost_answer_makes_no_twin() {
    for (word, run) in [("/containers/create", "a"), ("/start", "b")] {
        let fixture = Fixture::new(&format!("twin-{run}")).await;
        let backend = Proxy::losing(word, None);
        let launched = backend.backend().launch(&fixture.script(run, "echo once"), &()).await.unwrap();
        fixture.backend.wait(&launched.id, &()).await.unwrap();
        assert_eq!(fixture.backend.log_tail(&launched.id, 100).await.unwrap(), b"once\n");
        assert_eq!(fixture.backend.find(&fixture.host).await.unwrap().len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_wait_survives_a_cut_connection() {
    let fixture = Fixture::new("cut").await;
    let launched = fixture.backend.launch(&fixture.script("a", "sleep 2; exit 5"), &()).await.unwrap();
    let proxy = Proxy::losing("/wait", Some(Duration::from_millis(200)));
    let end = proxy.backend().wait(&launched.id, &()).await.unwrap();
    assert_eq!((end.exit_code, end.gone), (Some(5), false));
}

#[tokio::test]
#[ignore = "needs docker (creates containers)"]
async fn a_run_takes_five_requests() {
    let fixture = Fixture::new("calls").await;
    let proxy = Proxy::losing("", None);
    let backend = proxy.backend();
    let launched = backend.launch(&fixture.script("a", "exit 0"), &()).await.unwrap();
    backend.wait(&launched.id, &()).await.unwrap();
    backend.remove(&launched.id).await.unwrap();
    // Create, start, wait, one look at how it ended, remove.
    assert_eq!(proxy.requests.load(Ordering::SeqCst), 5);
}
