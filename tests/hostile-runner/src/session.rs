//! Attacks by what a runner says of itself: tickets, starts, heartbeats, logs, results.

use std::time::Duration;

use wharf_model::protocol::frame::{self, Frame};

use crate::Done;
use crate::link::{Client, Link, told};
use crate::report::{Report, conclude, encoded, line_frame, success};

/// Tickets that aren't this run's.
pub(crate) async fn tickets(link: &Link, client: &Client, report: &mut Report) -> Done {
    let own = &link.ticket;
    let last = if own.ends_with('0') { "1" } else { "0" };
    let tickets = [
        String::new(),
        "00".repeat(32),
        format!("{}{last}", &own[..own.len() - 1]),
        own[..own.len() - 2].to_owned(),
        format!("{own}00"),
        format!("{own} {own}"),
        "x".repeat(8_000),
    ];
    for ticket in &tickets {
        let answer = link.client_with(ticket).await?.get("/v1/task").await;
        report.line(format!("refused a ticket: {}", told(&answer)));
    }
    // A connection stays that of its ticket, and a refused one isn't given back to us.
    let mut other = link.client().await?;
    report.line(format!("taken: {}", told(&other.get("/v1/task").await)));
    other.ticket = tickets[1].clone();
    report.line(format!("refused another ticket: {}", told(&other.get("/v1/task").await)));
    report.line(format!("taken still: {}", told(&client.get("/v1/task").await)));
    Ok(())
}

/// Starts, heartbeats and requests that make no sense, and far too many of them.
pub(crate) async fn talk(client: &Client, report: &mut Report) -> Done {
    let usage = |memory: &str, cpu: &str| {
        format!(r#"{{"memory":{memory},"memory_peak":{memory},"cpu_seconds":{cpu},"oom_kills":{memory}}}"#)
    };
    for (name, body) in [
        ("NaN", usage("1", "NaN")),
        ("1e999", usage("1", "1e999")),
        ("-1", usage("-1", "1")),
        ("2^64", usage("18446744073709551616", "1")),
        ("text", usage("\"much\"", "1")),
        ("nothing", String::new()),
        ("brackets", "[".repeat(60_000)),
        ("a megabyte", " ".repeat(1 << 20)),
    ] {
        report.line(format!("refused usage {name}: {}", told(&client.post("/v1/heartbeat", body).await)));
    }
    for (name, body) in [("u64::MAX", usage("18446744073709551615", "1e300")), ("-1e300", usage("1", "-1e300"))] {
        report.line(format!("taken usage {name}: {}", told(&client.post("/v1/heartbeat", body).await)));
    }
    let mut refused = 0;
    for _ in 0..3_000 {
        let started = client.post("/v1/started", r#"{"version":"again","memory_limit":18446744073709551615}"#).await?;
        let beat = client.post("/v1/heartbeat", usage("4096", "1")).await?;
        refused += u32::from(!started.status.is_success()) + u32::from(!beat.status.is_success());
    }
    report.line(format!("flood refused {refused}"));
    for (method, path) in
        [("GET", "/"), ("POST", "/v1/task"), ("PUT", "/v1/result"), ("GET", "/v2/task"), ("TRACE", "/v1/task")]
    {
        let answer = client.send(method, path, crate::link::full(bytes::Bytes::new()), None).await;
        report.line(format!("refused {method} {path}: {}", told(&answer)));
    }
    let long = format!("/{}", "x".repeat(12_000));
    report.line(format!("refused a long path: {}", told(&client.get(&long).await)));
    Ok(())
}

/// Frames that lie, and then a true log.
pub(crate) async fn logs(client: &Client) -> Done {
    let mut frames: Vec<Frame> = Vec::new();
    let mut told_of = Vec::new();
    let claim = |length: u32, stream: u8| {
        let mut bytes = encoded(&[line_frame(0, "")]);
        bytes[16] = stream;
        bytes[18..22].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    for (name, base, bytes) in [
        ("4 GiB", "0", claim(u32::MAX, 1)),
        ("a stream that isn't", "0", claim(0, 9)),
        ("half a frame", "0", encoded(&[line_frame(0, "half")])[..10].to_vec()),
        ("a base that isn't a number", "-1", Vec::new()),
        ("a base beyond numbers", "18446744073709551616", Vec::new()),
    ] {
        let answer = client.post(&format!("/v1/logs?base={base}"), bytes).await;
        told_of.push(format!("refused {name}: {}", told(&answer)));
    }
    // Behind a gap, out of order, twice, overlapping: only what continues the log is taken.
    for batch in [vec![5], vec![0], vec![0, 0, 1], vec![1, 0], vec![u64::MAX], vec![0, 1, 2, 3], vec![7, 3, 4]] {
        let lines: Vec<Frame> = batch.iter().map(|seq| line_frame(*seq, &format!("line {seq}"))).collect();
        client.post("/v1/logs?base=0", encoded(&lines)).await?;
    }
    frames.extend((0..=4).map(|seq| line_frame(seq, &format!("line {seq}"))));
    frames.extend((5..).zip(&told_of).map(|(seq, line)| line_frame(seq, line)));
    client.post("/v1/logs?base=0", encoded(&frames)).await?;
    conclude(client, &frames).await
}

/// More lines than are kept: 64 MiB, some of them 4 MiB long.
pub(crate) async fn log_flood(client: &Client) -> Done {
    let mut frames = Vec::new();
    let long = "y".repeat(4 << 20);
    for batch in 0..16 {
        let mut bytes = Vec::new();
        for line in 0..1_000 {
            let seq = frames.len() as u64;
            let frame =
                if line == 0 && batch % 4 == 1 { line_frame(seq, &long) } else { line_frame(seq, &"x".repeat(4_000)) };
            frame::encode(frame.as_ref(), &mut bytes);
            frames.push(frame);
        }
        client.post("/v1/logs?base=0", bytes).await?;
    }
    conclude(client, &frames).await
}

/// Writes on after the result, and comes back after the end.
pub(crate) async fn late(link: &Link, client: &Client) -> Done {
    let file = |name: &str| format!("/v1/folders/files/files/{name}");
    client.put(&file("early"), "early").await?;
    // One that is under way when the result comes, and ends after it.
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let pieces = futures_util::StreamExt::chain(
        futures_util::stream::iter([bytes::Bytes::from_static(b"half")]),
        futures_util::stream::once(async move {
            let _ = receiver.await;
            bytes::Bytes::from_static(b"late")
        }),
    );
    let open = tokio::spawn({
        let client = client.clone();
        let path = file("open");
        async move { drop(client.put_stream(&path, pieces, None).await) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let lie = serde_json::to_vec(&wharf_model::protocol::RunnerResult { exit_code: Some(3), ..success(&[]) })?;
    conclude(client, &[]).await?;
    // The second result, more files, and the end of the one that was under way.
    let _ = client.post("/v1/result", lie).await;
    let _ = client.put(&file("late"), "late").await;
    let _ = client.post("/v1/started", r#"{"version":"again","memory_limit":null}"#).await;
    let _ = sender.send(());
    let _ = tokio::time::timeout(Duration::from_secs(2), open).await;
    for _ in 0..20 {
        if let Ok(again) = link.client().await {
            let _ = again.put(&file("again"), "again").await;
            let _ = again.post("/v1/logs?base=0", Vec::new()).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A result that no recipe has.
pub(crate) async fn absurd_result(client: &Client) -> Done {
    let words = "\\u001b[2J\\u0000\\n".repeat(10_000);
    let body = format!(
        r#"{{"exit_code":-2147483648,"signal":2147483647,"start_error":"{words}","stopped":false,
        "log_frames":18446744073709551615,"log_bytes":18446744073709551615,"log_sha256":"{}",
        "usage":{{"memory":18446744073709551615,"memory_peak":18446744073709551615,"cpu_seconds":1e300,"oom_kills":0}}}}"#,
        "z".repeat(10_000)
    );
    client.post("/v1/result", body).await?;
    Ok(())
}
