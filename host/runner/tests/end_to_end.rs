//! The real runner and the real exchange.

#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod attached;
mod host;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host::{Host, Sink};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wharf_exchange::{DatasetStore, SessionEvent, Ticket, TlsIdentity, TokenStatus, verify_log};
use wharf_model::SecretValue;
use wharf_model::outcome::LogState;
use wharf_model::protocol::Stream;

#[tokio::test]
async fn a_recipe_runs_and_all_it_says_arrives() {
    let host = Host::new().await;
    let done = host.sh("echo one; echo two >&2; bin/hello three; printf four; pwd >&2; env | sort >&2").await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let result = done.result.clone().unwrap();
    assert_eq!((result.exit_code, result.signal, result.stopped), (Some(0), None, false));
    assert_eq!(done.lines(Stream::Stdout), ["one", "hello three", "four"]);
    let errors = done.lines(Stream::Stderr);
    assert_eq!(errors[0], "two");
    assert!(!errors.iter().any(|line| line.starts_with("WHARF_TICKET") || line.starts_with("WHARF_EXCHANGE")));
    assert!(errors.iter().any(|line| line.starts_with("WHARF_SOCKET=/")));
    assert!(done.is_whole());
    assert!(done.sink.saw(|event| matches!(event, SessionEvent::Started(_))));
    assert!(done.sink.saw(|event| matches!(event, SessionEvent::Usage(_))));
    assert_eq!(done.stderr, "");
}

#[tokio::test]
async fn a_secret_is_in_the_environment_and_never_in_the_log() {
    let mut host = Host::new().await;
    let value = "p$a \\w'\"rd-Ünïc";
    host.secrets.insert("PASSWORD".to_owned(), SecretValue::new(value));
    host.secrets.insert("KEY".to_owned(), SecretValue::new("-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----"));
    let script =
        "printf %s \"$PASSWORD\" | sha256sum; echo \"is $PASSWORD.\"; printf %s \"$PASSWORD\" >&2; echo \"$KEY\"";
    let done = host.sh(script).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let hash = hex::encode(Sha256::digest(value));
    assert_eq!(done.lines(Stream::Stdout), [&format!("{hash}  -"), "is ***.", "***", "***", "***"]);
    assert_eq!(done.lines(Stream::Stderr), ["***"]);
    // The proof is about the lines as they were sent.
    assert!(done.is_whole());
    // The runner's own sentence, too: it quotes the command.
    host.secrets.insert("COMMAND".to_owned(), SecretValue::new("no-such-command"));
    let done = host.start(&["no-such-command"]).finish().await;
    let sentence = "the command \"***\" is not in the image, or its interpreter is not";
    assert_eq!(done.lines(Stream::Runner), [sentence]);
    assert_eq!(done.result.unwrap().start_error.as_deref(), Some(sentence));
}

#[tokio::test]
async fn a_runner_whose_task_cannot_be_had_says_why() {
    let host = Host::new().await;
    let ticket = Ticket::generate().unwrap();
    let sink = Arc::new(Sink::default());
    let mut spec = host.spec(&["true"], &ticket, &sink, &host.path("none.log"));
    spec.task = Err("the secret db of the run can't be had any more".to_owned());
    let _session = host.exchange.open(spec);
    let mut runner = host.runner(&ticket.to_hex(), host.exchange.fingerprint(), host.exchange.local_addr());
    let mut said = String::new();
    let mut stderr = BufReader::new(runner.stderr.take().unwrap());
    stderr.read_line(&mut said).await.unwrap();
    assert!(said.contains("the secret db of the run can't be had any more"), "{said}");
    assert!(said.ends_with("; trying again\n"), "{said}");
    assert!(!sink.saw(|_| true));
    runner.kill().await.unwrap();
}

#[tokio::test]
async fn three_hundred_thousand_lines_and_an_instant_exit() {
    let host = Host::new().await;
    let done = host.sh("seq 1 300000; exit 3").await;
    assert_eq!(done.code, Some(3));
    assert!(done.is_whole());
    let lines = done.lines(Stream::Stdout);
    assert_eq!(lines.len(), 300_000);
    assert!(lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
    let result = done.result.unwrap();
    assert!(matches!(verify_log(&done.log, &result).unwrap(), LogState::Complete { lines: 300_000, .. }));
}

#[tokio::test]
async fn a_line_of_many_megabytes_arrives_in_pieces() {
    let host = Host::new().await;
    let done = host.sh("head -c 40000000 /dev/zero | tr '\\0' x; echo y").await;
    assert!(done.is_whole());
    assert_eq!(done.lines(Stream::Stdout).concat().len(), 40_000_001);
}

/// Passes connections on, and cuts each of the first ones after so many bytes towards the host.
async fn cutting(to: std::net::SocketAddr, cuts: Vec<usize>) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let limit = cuts.get(count.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(usize::MAX);
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let mut passed = 0;
                let mut buffer = vec![0; 16 << 10];
                while passed < limit {
                    match from_client.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(len) => {
                            passed += len;
                            if to_server.write_all(&buffer[..len]).await.is_err() {
                                break;
                            }
                        }
                    }
                }
                // Answers that are on their way are lost too.
                back.abort();
            });
        }
    });
    (address, made)
}

#[tokio::test]
async fn a_connection_that_is_cut_loses_and_doubles_nothing() {
    let host = Host::new().await;
    let cuts = vec![300, 2_000, 30_000, 500_000, 1_500_000, 1_100_000, 60_000];
    let expected = cuts.len() + 1;
    let (address, made) = cutting(host.exchange.local_addr(), cuts).await;
    let run = host.start_through(&["sh", "-c", "seq 1 200000; sleep 1; seq 200001 400000"], address);
    let done = run.finish().await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.is_whole(), "{:?}", done.log_state);
    let lines = done.lines(Stream::Stdout);
    assert_eq!(lines.len(), 400_000);
    assert!(lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
    assert!(made.load(Ordering::SeqCst) >= expected - 1, "{made:?} connections");
}

#[tokio::test]
async fn a_host_that_starts_again_goes_on_with_the_log() {
    let host = Host::new().await;
    let ticket = Ticket::generate().unwrap();
    let address = host.exchange.local_addr();
    let argv = ["sh", "-c", "i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.05; done"];
    let run = host.start_as(&argv, &ticket, &ticket.to_hex(), host.exchange.fingerprint(), address);
    while run.sink.logged().len() < 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let host::Run { session, sink, runner, log } = run;
    session.close().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = Arc::new(Sink::default());
    let session = host.exchange.open(host.spec(&argv, &ticket, &later, &log));
    let done = host::Run { session, sink: Arc::clone(&later), runner, log }.finish().await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(matches!(done.log_state, Some(LogState::Complete { lines: 40, .. })), "{:?}", done.log_state);
    assert_eq!(sink.logged().len() + later.logged().len(), 40);
    assert_eq!(done.lines(Stream::Stdout), (0..40).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn another_fingerprint_is_a_stranger() {
    let host = Host::new().await;
    let other = TlsIdentity::generate().unwrap().fingerprint().unwrap();
    let ticket = Ticket::generate().unwrap();
    let address = host.exchange.local_addr();
    let run = host.start_as(&["true"], &ticket, &ticket.to_hex(), &other, address);
    let done = run.finish().await;
    assert_eq!(done.code, Some(113));
    assert!(done.stderr.contains("is not the host that started this run"), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1);
    assert!(!done.sink.saw(|_| true));
}

#[tokio::test]
async fn another_ticket_opens_nothing() {
    let host = Host::new().await;
    let (good, bad) = (Ticket::generate().unwrap(), Ticket::generate().unwrap());
    let address = host.exchange.local_addr();
    let run = host.start_as(&["true"], &good, &bad.to_hex(), host.exchange.fingerprint(), address);
    let done = run.finish().await;
    assert_eq!(done.code, Some(113));
    assert!(done.stderr.contains("does not accept this run's ticket"), "{}", done.stderr);
    assert!(!done.sink.saw(|_| true));
}

#[tokio::test]
async fn a_closed_session_has_a_dead_ticket() {
    let host = Host::new().await;
    let ticket = Ticket::generate().unwrap();
    let address = host.exchange.local_addr();
    let mut run = host.start_as(&["sleep", "60"], &ticket, &ticket.to_hex(), host.exchange.fingerprint(), address);
    while run.session.last_heard().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.session.close().await;
    run.runner.kill().await.unwrap();
    let sink = Arc::new(Sink::default());
    let other = Ticket::generate().unwrap();
    let _session = host.exchange.open(host.spec(&["true"], &other, &sink, &host.path("other.log")));
    let again = host.start_as(&["true"], &other, &ticket.to_hex(), host.exchange.fingerprint(), address);
    assert_eq!(again.finish().await.code, Some(113));
}

#[tokio::test]
async fn codes_signals_and_commands_that_are_not_there() {
    let host = Host::new().await;
    let done = host.sh("exit 7").await;
    assert_eq!((done.code, done.result.unwrap().exit_code), (Some(7), Some(7)));

    let done = host.sh("kill -SEGV $$").await;
    assert_eq!((done.code, done.result.unwrap().signal), (Some(139), Some(11)));

    let done = host.start(&["no-such-command", "x"]).finish().await;
    assert_eq!(done.code, Some(127));
    assert!(done.result.clone().unwrap().start_error.unwrap().contains("\"no-such-command\" is not in the image"));
    assert!(done.is_whole());

    let done = host.start(&["bin/hello", "you"]).finish().await;
    assert_eq!(done.stdout(), "hello you");
}

#[tokio::test]
async fn a_recipe_ends_when_the_host_asks() {
    let host = Host::new().await;
    let run = host.start(&["sh", "-c", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"]);
    while run.sink.logged().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.session.request_stop();
    let done = run.finish().await;
    let result = done.result.clone().unwrap();
    assert_eq!((done.code, result.exit_code, result.stopped), (Some(5), Some(5), true));
    assert!(done.stdout().ends_with("bye"));
    assert_eq!(done.lines(Stream::Runner), ["ending the recipe: the host asked for it"]);
}

#[tokio::test]
async fn a_recipe_that_does_not_listen_is_killed() {
    let host = Host::new().await;
    let run = host.start(&["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]);
    while run.sink.logged().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = rustix::process::Pid::from_raw(run.runner.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let done = run.finish().await;
    let result = done.result.clone().unwrap();
    assert_eq!((done.code, result.signal, result.stopped), (Some(137), Some(9), true));
    assert!(done.is_whole());
}

#[tokio::test]
async fn what_a_recipe_leaves_behind_does_not_hold_the_run() {
    let host = Host::new().await;
    let began = Instant::now();
    let done = host.sh("(echo child; sleep 300) & echo parent").await;
    assert_eq!(done.code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(done.is_whole());
    assert!(done.lines(Stream::Runner)[0].contains("left behind"));
}

#[tokio::test]
async fn a_refusal_names_datasets_and_not_the_hosts_paths() {
    let mut host = Host::new().await;
    host.input("lost", "gone.csv");
    host.input("odd", "odd.csv");
    host.input("files", "nowhere");
    // A schema that isn't one, beside rows that are.
    fs::write(host.path("odd.csv"), "n\n1\n").unwrap();
    fs::write(host.path("odd.csv.schema.json"), "{").unwrap();
    for (request, name) in [
        ("/v1/datasets/lost/schema", "lost"),
        ("'/v1/datasets/lost/data?format=csv'", "lost"),
        ("/v1/datasets/odd/schema", "odd"),
        ("/v1/folders/files/files", "files"),
    ] {
        let done = host.sh(&format!("$RUNNER call GET {request}")).await;
        let said = format!("{}{}", done.stdout(), done.errors());
        assert_ne!(done.result.as_ref().and_then(|result| result.exit_code), Some(0), "{request}: {said}");
        assert!(said.contains(name), "{request}: {said}");
        assert!(!said.contains(&host.folder.path().display().to_string()), "{request}: {said}");
        assert!(!said.contains(".csv (") && !said.contains("gone.csv"), "{request}: {said}");
    }
}

#[tokio::test]
async fn datasets_are_read_and_written() {
    let mut host = Host::new().await;
    let input = host.input("in", "in.csv");
    let output = host.output("out", "out.csv");
    fs::write(&input, "n,s\n1,\"\"\n2,\n3,\"a,b\"\n").unwrap();
    let done = host
        .sh("$RUNNER call GET /v1/datasets/in/schema && echo \
             && $RUNNER call GET '/v1/datasets/in/data?format=csv' \
             && $RUNNER call GET '/v1/datasets/in/data?format=csv&columns=s,n&limit=1' \
             && $RUNNER call GET '/v1/datasets/in/schema' | $RUNNER call PUT /v1/datasets/out/schema --body-stdin \
             && $RUNNER call GET '/v1/datasets/in/data?format=arrow' \
                | $RUNNER call PUT '/v1/datasets/out/data?format=arrow' --body-stdin \
             && $RUNNER call GET /v1/context >&2")
        .await;
    assert_eq!(done.code, Some(0), "{} {}", done.stdout(), done.errors());
    let lines = done.lines(Stream::Stdout);
    assert_eq!(lines[0], r#"{"columns":[{"name":"n","type":"bigint"},{"name":"s","type":"string"}]}"#);
    assert_eq!(lines[1..5], ["n,s", "1,\"\"", "2,", "3,\"a,b\""]);
    assert_eq!(lines[5..7], ["s,n", "\"\",1"]);
    assert!(lines[7].contains("\"rows\":3"), "{lines:?}");
    assert!(done.errors().contains("\"project\":\"P\""));
    assert!(!output.exists());
    assert_eq!(host.store.status(&host.token()).await.unwrap(), TokenStatus::Staged);
    host.store.commit(&host.token()).await.unwrap();
    assert_eq!(fs::read_to_string(&output).unwrap(), "n,s\n1,\"\"\n2,\n3,\"a,b\"\n");
}

#[tokio::test]
async fn large_data_goes_both_ways_unharmed() {
    let mut host = Host::new().await;
    let input = host.input("in", "in.csv");
    let output = host.output("out", "out.csv");
    let rows: String = (0..400_000).map(|row| format!("{row},some text of row {row},{}.5\n", row % 97)).collect();
    let text = format!("id,text,number\n{rows}");
    fs::write(&input, &text).unwrap();
    let done = host
        .sh("$RUNNER call GET /v1/datasets/in/schema | $RUNNER call PUT /v1/datasets/out/schema --body-stdin; \
             $RUNNER call GET '/v1/datasets/in/data?format=csv' \
             | $RUNNER call PUT '/v1/datasets/out/data?format=csv' --body-stdin")
        .await;
    assert_eq!(done.code, Some(0), "{}", done.errors());
    host.store.commit(&host.token()).await.unwrap();
    assert!(fs::read_to_string(&output).unwrap() == text);
}

#[tokio::test]
async fn what_is_not_declared_is_refused_with_a_sentence() {
    let mut host = Host::new().await;
    let input = host.input("in", "in.csv");
    host.output("out", "out.csv");
    fs::write(&input, "n\n1\n").unwrap();
    let done = host.sh("echo n | $RUNNER call PUT '/v1/datasets/other/data?format=csv' --body-stdin").await;
    assert_eq!(done.code, Some(22));
    assert_eq!(done.errors(), "this run has no output dataset \"other\"; its output datasets are: out");

    let done = host.sh("echo n | $RUNNER call PUT '/v1/datasets/in/data?format=csv' --body-stdin").await;
    assert_eq!(done.code, Some(22));
    assert!(done.errors().contains("is an input of this run, not an output"));

    let done = host.sh("$RUNNER call GET '/v1/datasets/none/data?format=csv'").await;
    assert_eq!(done.errors(), "this run has no dataset \"none\"; its datasets are: in, out");

    let done = host.sh("$RUNNER call GET /v1/task").await;
    assert_eq!(done.code, Some(22));

    // A refusal reaches a recipe that is still sending.
    let done = host
        .sh("(echo n; seq 1 100000; echo x; seq 1 2000000) > big; \
             echo '{\"columns\":[{\"name\":\"n\",\"type\":\"bigint\"}]}' \
             | $RUNNER call PUT /v1/datasets/out/schema --body-stdin; \
             $RUNNER call PUT '/v1/datasets/out/data?format=csv' --body-stdin < big")
        .await;
    assert_eq!(done.code, Some(22));
    assert_eq!(done.errors(), "dataset \"out\": row 100001: column \"n\": \"x\" is not an integer");
}

#[tokio::test]
async fn folders_are_read_and_written_and_hold_their_files_inside() {
    let mut host = Host::new().await;
    let input = host.input("docs", "docs");
    let output = host.output("made", "made");
    fs::create_dir(&input).unwrap();
    fs::write(host.path("secret"), "secret").unwrap();
    fs::write(input.join("a file"), "contents").unwrap();
    std::os::unix::fs::symlink("../secret", input.join("out")).unwrap();
    fs::create_dir(&output).unwrap();
    std::os::unix::fs::symlink("..", output.join("up")).unwrap();
    let done = host
        .sh("$RUNNER call GET /v1/folders/docs/files/a%20file && echo \
             && $RUNNER call GET /v1/folders/docs/files && echo \
             && head -c 3000000 /dev/zero | $RUNNER call PUT /v1/folders/made/files/deep/zeros --body-stdin && echo \
             && $RUNNER call GET /v1/folders/made/files/deep/zeros | wc -c \
             && echo x | $RUNNER call PUT /v1/folders/made/files/gone --body-stdin && echo \
             && $RUNNER call DELETE /v1/folders/made/files/gone")
        .await;
    assert_eq!(done.code, Some(0), "{} {}", done.stdout(), done.errors());
    let lines = done.lines(Stream::Stdout);
    assert_eq!(lines[0], "contents");
    assert!(lines[1].contains("\"a file\"") && !lines[1].contains("out"));
    assert_eq!(lines[3], "3000000");
    for (method, path) in [
        ("GET", "docs/files/out"),
        ("GET", "docs/files/../secret"),
        ("GET", "docs/files/%2e%2e/secret"),
        ("GET", "docs/files/..%2Fsecret"),
        ("GET", "docs/files/%2Fetc%2Fpasswd"),
        ("PUT", "made/files/../x"),
        ("PUT", "made/files/a%5Cb"),
        ("PUT", "made/files/a%0Ab"),
        ("PUT", "made/files/DEEP/zeros"),
        ("PUT", "made/files/deep"),
        ("PUT", "docs/files/x"),
        ("DELETE", "made/files/none"),
    ] {
        let body = if method == "PUT" { "--body-stdin" } else { "" };
        let done = host.sh(&format!("echo x | $RUNNER call {method} /v1/folders/{path} {body}")).await;
        assert_eq!(done.code, Some(22), "{method} {path}: {} {}", done.stdout(), done.errors());
    }
    // A link in the output folder leads the commit nowhere else.
    let done = host.sh("echo x | $RUNNER call PUT /v1/folders/made/files/up/evil --body-stdin").await;
    assert_eq!(done.code, Some(0), "{}", done.errors());
    assert!(host.store.commit(&host.token()).await.is_err());
    assert!(!host.path("evil").exists());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let mut host = Host::new().await;
    let output = host.output("made", "made");
    fs::create_dir(&output).unwrap();
    let done = host
        .sh("(head -c 5000000 /dev/zero; sleep 100) | $RUNNER call PUT /v1/folders/made/files/half --body-stdin & \
             sleep 1; kill $!; $RUNNER call GET /v1/folders/made/files")
        .await;
    assert_eq!(done.stdout(), "[]");
    host.store.abort(&host.token()).await.unwrap();
    assert_eq!(fs::read_dir(&output).unwrap().count(), 0);
}
