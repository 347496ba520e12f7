//! The real runner and the real exchange, over streams that the host opens.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, join};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wharf_exchange::{DatasetStore, Exchange, Ticket, TlsIdentity};
use wharf_model::protocol::Stream;

use crate::host::{Host, Run, Sink};

const EXCHANGE: &str = "attach:r1-1";

fn start(host: &Host, script: &str) -> Run {
    let ticket = Ticket::generate().unwrap();
    host.start_as(&["sh", "-c", script], &ticket, &ticket.to_hex(), host.exchange.fingerprint(), EXCHANGE)
}

/// What an engine starts in the container when the host asks for it.
fn reach_in(host: &Host) -> (Child, tokio::io::Join<ChildStdout, ChildStdin>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf-runner"))
        .arg("attach")
        .env("WHARF_EXCHANGE", EXCHANGE)
        .env("TMPDIR", host.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stream = join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    (child, stream)
}

fn socket(host: &Host) -> PathBuf {
    host.path("wharf-r1-1").join("host")
}

/// Connects as the recipe could.
async fn intrude(host: &Host) -> UnixStream {
    loop {
        match UnixStream::connect(socket(host)).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test]
async fn a_host_that_reaches_in_gets_all() {
    let mut host = Host::new().await;
    let input = host.input("in", "in.csv");
    let output = host.output("out", "out.csv");
    let rows: String = (0..200_000).map(|row| format!("{row},some text of row {row}\n")).collect();
    let text = format!("id,text\n{rows}");
    fs::write(&input, &text).unwrap();
    let script = "$RUNNER call GET /v1/datasets/in/schema | $RUNNER call PUT /v1/datasets/out/schema --body-stdin; \
                  $RUNNER call GET '/v1/datasets/in/data?format=csv' \
                  | $RUNNER call PUT '/v1/datasets/out/data?format=csv' --body-stdin >&2; \
                  env >&2; seq 1 200000; exit 4";
    let run = start(&host, script);
    let (_child, stream) = reach_in(&host);
    let (done, _) = tokio::join!(run.finish(), host.exchange.serve_stream(stream));
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    assert!(done.is_whole(), "{:?}", done.log_state);
    let lines = done.lines(Stream::Stdout);
    assert!(lines.len() == 200_000 && lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
    assert!(!done.errors().contains("WHARF_EXCHANGE") && !done.errors().contains("WHARF_TICKET"));
    assert_eq!(done.stderr, "");
    host.store.commit(&host.token()).await.unwrap();
    assert!(fs::read_to_string(&output).unwrap() == text);
}

#[tokio::test]
async fn streams_that_are_cut_lose_and_double_nothing() {
    let host = Host::new().await;
    let run = start(&host, "for i in 1 2 3 4 5 6; do seq 1 50000; sleep 0.3; done");
    let mut finish = std::pin::pin!(run.finish());
    let mut cuts = 0;
    let done = loop {
        let (mut child, stream) = reach_in(&host);
        let cut = tokio::time::sleep(Duration::from_millis(if cuts < 6 { 150 + 50 * cuts } else { 60_000 }));
        tokio::select! {
            done = &mut finish => break done,
            _ = host.exchange.serve_stream(stream) => {}
            // By turns: what the engine started is killed, or the host lets go.
            () = cut => if cuts % 2 == 0 { child.kill().await.unwrap() },
        }
        cuts += 1;
    };
    assert!(cuts >= 4, "{cuts} cuts");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.is_whole(), "{:?}", done.log_state);
    let lines = done.lines(Stream::Stdout);
    assert_eq!(lines.len(), 300_000);
    assert!(lines.iter().enumerate().all(|(at, line)| *line == (at % 50_000 + 1).to_string()));
}

/// Keeps what was read.
struct Tapped(OwnedReadHalf, Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = std::pin::Pin::new(&mut self.0).poll_read(cx, buf);
        self.1.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

#[tokio::test]
async fn who_poses_as_the_host_gets_nothing() {
    let host = Host::new().await;
    let ticket = Ticket::generate().unwrap();
    let argv = ["sh", "-c", "echo done"];
    let run = host.start_as(&argv, &ticket, &ticket.to_hex(), host.exchange.fingerprint(), EXCHANGE);
    let heard = Arc::new(Mutex::new(Vec::new()));

    // Another host, which would even know the ticket.
    let other = Exchange::bind("127.0.0.1:0".parse().unwrap(), &TlsIdentity::generate().unwrap()).await.unwrap();
    let sink = Arc::new(Sink::default());
    let _session = other.open(host.spec(&argv, &ticket, &sink, &host.path("other.log")));
    let (read, write) = intrude(&host).await.into_split();
    let _ = other.serve_stream(join(Tapped(read, Arc::clone(&heard)), write)).await;
    assert!(!sink.saw(|_| true));

    // One who speaks plainly, and one who says nothing at all.
    let mut plain = intrude(&host).await;
    plain.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut silent = intrude(&host).await;
    let mut said = Vec::new();
    // The runner may close while we still have something unread on the way.
    let _ = plain.read_to_end(&mut said).await;
    let _ = silent.read_to_end(&mut said).await;
    heard.lock().unwrap().extend_from_slice(&said);

    let (_child, stream) = reach_in(&host);
    let (done, _) = tokio::join!(run.finish(), host.exchange.serve_stream(stream));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.is_whole());
    let heard = heard.lock().unwrap();
    // TLS greetings, and no ticket in them.
    assert!(!heard.is_empty());
    let hex = ticket.to_hex();
    assert!(!heard.windows(hex.len()).any(|bytes| bytes == hex.as_bytes()));
}

#[tokio::test]
async fn a_recipe_that_clears_its_temporary_folder_shuts_nobody_out() {
    let host = Host::new().await;
    let run = start(
        &host,
        "rm -r \"$TMPDIR\"/wharf-r1-1; echo gone; while [ ! -e \"$TMPDIR\"/go ]; do sleep 0.1; done; echo on",
    );
    let (mut child, stream) = reach_in(&host);
    let cut = async {
        while run.sink.logged().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().await.unwrap();
    };
    let _ = tokio::join!(host.exchange.serve_stream(stream), cut);
    fs::write(host.path("go"), "").unwrap();
    let (_child, stream) = reach_in(&host);
    let (done, _) = tokio::join!(run.finish(), host.exchange.serve_stream(stream));
    assert_eq!((done.code, done.stdout().as_str()), (Some(0), "gone\non"), "{}", done.stderr);
    assert!(done.is_whole());
}

#[tokio::test]
async fn a_runner_that_is_started_again_listens_again() {
    let host = Host::new().await;
    let mut first = start(&host, "true");
    drop(intrude(&host).await);
    first.runner.kill().await.unwrap();
    assert!(socket(&host).exists());
    let run = start(&host, "echo again");
    let (_child, stream) = reach_in(&host);
    let (done, _) = tokio::join!(run.finish(), host.exchange.serve_stream(stream));
    assert_eq!((done.code, done.stdout().as_str()), (Some(0), "again"), "{}", done.stderr);
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn connect(port: u16) -> tokio::net::TcpStream {
    loop {
        match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test]
async fn a_host_that_comes_in_through_a_port_gets_all() {
    let host = Host::new().await;
    let (port, ticket) = (free_port(), Ticket::generate().unwrap());
    let exchange = format!("attach-port:{port}");
    let argv = ["sh", "-c", "seq 1 100000; sleep 1; seq 100001 200000; exit 3"];
    let run = host.start_as(&argv, &ticket, &ticket.to_hex(), host.exchange.fingerprint(), &exchange);
    // One who speaks plainly is passed over.
    let mut plain = connect(port).await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    // And a stream that is cut costs nothing.
    let cut = tokio::time::timeout(Duration::from_millis(700), host.exchange.serve_stream(connect(port).await)).await;
    assert!(cut.is_err(), "it goes on until it is cut");
    let (done, _) = tokio::join!(run.finish(), host.exchange.serve_stream(connect(port).await));
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    assert!(done.is_whole(), "{:?}", done.log_state);
    let lines = done.lines(Stream::Stdout);
    assert!(lines.len() == 200_000 && lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let host = Host::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, ticket) = (taken.local_addr().unwrap().port(), Ticket::generate().unwrap());
    let exchange = format!("attach-port:{port}");
    let run = host.start_as(&["true"], &ticket, &ticket.to_hex(), host.exchange.fingerprint(), &exchange);
    let done = run.finish().await;
    assert!(done.stderr.contains(&format!("cannot listen for the host on port {port}")), "{}", done.stderr);
}

#[tokio::test]
async fn an_address_is_reached_or_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reach = async |address: &str| {
        Command::new(env!("CARGO_BIN_EXE_wharf-runner")).args(["reach", address]).output().await.unwrap()
    };
    let output = reach(&address).await;
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stdout).unwrap()),
        (Some(0), format!("{address} answers\n"))
    );
    drop(listener);
    let output = reach(&address).await;
    assert_eq!(output.status.code(), Some(113));
    assert!(String::from_utf8(output.stderr).unwrap().contains("can't be reached: Connection refused"));
}

#[tokio::test]
async fn attach_outside_of_such_a_container_says_so() {
    for exchange in ["", "10.0.0.1:7000", "attach:../x"] {
        let attach =
            Command::new(env!("CARGO_BIN_EXE_wharf-runner")).arg("attach").env("WHARF_EXCHANGE", exchange).output();
        let output = attach.await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("works in a container whose WHARF_EXCHANGE says so"), "{said}");
    }
}
