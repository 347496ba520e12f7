//! A daemon that a test plays: it answers what the test wants, and remembers what it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wharf_docker::DockerBackend;
use wharf_model::configuration::Daemon;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The number of the connection, from 0 on.
    pub(crate) connection: usize,
    /// The number of the request on that connection, from 0 on.
    pub(crate) nth: usize,
    /// `GET /v1.41/info HTTP/1.1`
    pub(crate) line: String,
}

pub(crate) enum Answer {
    Json(u16, Value),
    /// The same, and the connection is closed then, without saying so.
    Last(Value),
    /// A second later.
    Late(Value),
    /// The connection is closed instead.
    Close,
    /// Nothing, ever.
    Silence,
}

pub(crate) struct Played {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: tokio::task::JoinHandle<()>,
}

/// What every daemon answers to a greeting.
pub(crate) fn greeted(heard: &Heard, api: &str) -> Option<Answer> {
    if heard.line.starts_with("HEAD /_ping ") {
        Some(Answer::Json(200, Value::Null))
    } else if heard.line.starts_with("GET /version ") {
        Some(Answer::Json(200, json!({"Version": "x.y", "ApiVersion": api, "MinAPIVersion": "1.12"})))
    } else {
        None
    }
}

impl Played {
    pub(crate) async fn new(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Heard) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (heard_too, answer, connections) = (Arc::clone(&heard), Arc::new(answer), AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (tls, heard, answer) = (tls.clone(), Arc::clone(&heard_too), Arc::clone(&answer));
                serving.spawn(async move {
                    match tls {
                        None => drop(serve(stream, connection, &heard, answer.as_ref()).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(serve(stream, connection, &heard, answer.as_ref()).await);
                            }
                        }
                    }
                });
            }
        });
        Self { port, heard, task }
    }

    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::at(format!("tcp://127.0.0.1:{}", self.port))
    }

    pub(crate) fn backend(&self) -> DockerBackend {
        DockerBackend::connect(&self.daemon()).unwrap()
    }

    /// How often it was asked for its version.
    pub(crate) fn greetings(&self) -> usize {
        self.heard.lock().unwrap().iter().filter(|heard| heard.line.starts_with("GET /version ")).count()
    }

    /// What it was asked besides greetings.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| greeted(heard, "").is_none()).cloned().collect()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    heard: &Mutex<Vec<Heard>>,
    answer: &(impl Fn(&Heard) -> Answer + Sync),
) -> std::io::Result<()> {
    for nth in 0.. {
        let Some(line) = request(&mut stream).await? else { return Ok(()) };
        let one = Heard { connection, nth, line };
        heard.lock().unwrap().push(one.clone());
        let (status, body, last) = match answer(&one) {
            Answer::Json(status, body) => (status, body, false),
            Answer::Last(body) => (200, body, true),
            Answer::Late(body) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                (200, body, false)
            }
            Answer::Close => return Ok(()),
            Answer::Silence => std::future::pending().await,
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "HTTP/1.1 {status} Some\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        stream.flush().await?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

/// The first line of the next request, when all of it was read.
async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            // The beginning of TLS: a Go server takes it for a bad request as soon as a line ends.
            Ok(0x16) if head.is_empty() => {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await?;
                return Ok(None);
            }
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
    Ok(head.lines().next().map(str::to_owned))
}
