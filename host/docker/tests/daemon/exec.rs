//! Streams to commands in containers, over each way.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf_model::launch::{Backend, BackendError};

use crate::fixture::Fixture;
use crate::relay::Relay;

const SIZE: usize = 50 << 20;

fn argv(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

/// Bytes that repeat nowhere near: a piece that is lost or comes twice is seen.
fn piece(number: usize) -> Vec<u8> {
    let mut state = number as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(8192).flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (creates containers)"]
async fn fifty_megabytes_come_back_over_each_way() {
    let fixture = Fixture::new("echo").await;
    let launched = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap();
    for relay in Relay::all().await {
        let stream = relay.backend().dial(&launched.id, &argv("exec cat"), &[]).await.unwrap();
        let (mut output, mut input) = tokio::io::split(stream);
        let writing = tokio::spawn(async move {
            let mut sent = Sha256::new();
            for number in 0..SIZE / (64 << 10) {
                let piece = piece(number);
                sent.update(&piece);
                input.write_all(&piece).await.unwrap();
            }
            input.shutdown().await.unwrap();
            sent.finalize()
        });
        let (mut got, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
        // The end of our input ends the command, and that the stream.
        loop {
            match output.read(&mut buffer).await.unwrap() {
                0 => break,
                more => {
                    length += more;
                    got.update(&buffer[..more]);
                }
            }
        }
        assert_eq!(length, SIZE, "{}", relay.name);
        assert_eq!(writing.await.unwrap(), got.finalize(), "{}", relay.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (creates containers)"]
async fn the_end_of_our_input_is_not_the_end_of_its_output() {
    let fixture = Fixture::new("half").await;
    let launched = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap();
    for relay in Relay::all().await {
        let script = "cat >/dev/null; echo error >&2; sleep 1; echo after";
        let mut stream = relay.backend().dial(&launched.id, &argv(script), &[]).await.unwrap();
        stream.write_all(b"something").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        // Its standard error isn't in it.
        assert_eq!(text, "after\n", "{}", relay.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (creates containers)"]
async fn a_container_that_does_not_run_has_no_commands() {
    let fixture = Fixture::new("no-exec").await;
    let backend = &fixture.backend;
    let launched = backend.launch(&fixture.script("a", "exit 0"), &()).await.unwrap();
    backend.wait(&launched.id, &()).await.unwrap();
    let refused = |outcome: Result<_, BackendError>| match outcome {
        Err(BackendError::Refused { operation, reason }) => format!("{operation}: {reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    };
    let error = refused(backend.dial(&launched.id, &argv("exit 0"), &[]).await);
    assert!(error.contains("start a command in the container") && error.contains("not running"), "{error}");
    backend.remove(&launched.id).await.unwrap();
    assert!(refused(backend.dial(&launched.id, &argv("exit 0"), &[]).await).contains("No such container"));

    let running = backend.launch(&fixture.script("b", "sleep 600"), &()).await.unwrap();
    // What can't be started is told at once, by the stream or by its end, as the daemon likes.
    if let Ok(mut stream) = backend.dial(&running.id, &["/no/such/program"], &[]).await {
        let mut text = String::new();
        if let Err(error) = stream.read_to_string(&mut text).await {
            text = error.to_string();
        }
        assert!(text.is_empty() || text.contains("/no/such/program"), "{text}");
    }
}

/// The files that a container's own shell sees in `/tmp`.
async fn files(fixture: &Fixture, id: &str) -> String {
    let mut stream = fixture.backend.dial(id, &argv("ls /tmp"), &[]).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker (creates containers)"]
async fn a_command_whose_stream_is_dropped_sees_the_end_of_its_input_and_no_more() {
    let fixture = Fixture::new("drop").await;
    let launched = fixture.backend.launch(&fixture.script("a", "sleep 600"), &()).await.unwrap();
    for relay in Relay::all().await {
        let way = relay.name;
        let script = format!("cat >/dev/null; touch /tmp/ended-{way}; sleep 2; touch /tmp/on-{way}; sleep 600");
        let mut stream = relay.backend().dial(&launched.id, &argv(&script), &[]).await.unwrap();
        stream.write_all(b"something").await.unwrap();
        stream.flush().await.unwrap();
        assert!(!files(&fixture, &launched.id).await.contains(way), "{way}");
        drop(stream);
        for expected in [format!("ended-{way}"), format!("on-{way}")] {
            let seen = async {
                while !files(&fixture, &launched.id).await.contains(&expected) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), seen).await.expect(&expected);
        }
    }
}
