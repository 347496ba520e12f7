//! Attacks by HTTP/2 itself.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Done;
use crate::folder::slow;
use crate::link::{Client, Link, told};
use crate::report::Report;

/// Requests that begin and are given up, and requests that never end.
pub(crate) async fn streams(link: &Link, client: &Client, report: &mut Report) -> Done {
    // Given up as soon as they are sent.
    let other = link.client().await?;
    for _ in 0..10_000 {
        let other = other.clone();
        let request = tokio::spawn(async move { other.get("/v1/folders/files/files").await.is_ok() });
        tokio::task::yield_now().await;
        request.abort();
    }
    drop(other);
    // Begun and never ended: more than there are places.
    let other = link.client().await?;
    let open: Vec<_> = (0..300)
        .map(|number| {
            let other = other.clone();
            tokio::spawn(async move {
                drop(other.put_stream(&format!("/v1/folders/files/files/slow-{number}"), slow(), None).await);
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    report.line(format!("beats on: {}", told(&client.post("/v1/heartbeat", BEAT).await)));
    open.iter().for_each(tokio::task::JoinHandle::abort);
    drop(other);
    // More connections than a run has, all with its ticket.
    let mut connections = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let Ok(other) = link.client().await else { continue };
        refused += u32::from(other.get("/v1/task").await.map_or(true, |answer| !answer.status.is_success()));
        connections.push(other);
    }
    report.line(format!("connections refused {}", if refused >= 16 { "most" } else { "few" }));
    drop(connections);
    tokio::time::sleep(Duration::from_millis(500)).await;
    report.line(format!("taken after all: {}", told(&client.put("/v1/folders/files/files/after", "x").await)));
    Ok(())
}

const BEAT: &str = r#"{"memory":1,"memory_peak":1,"cpu_seconds":1.0,"oom_kills":0}"#;

/// Frames by hand: what a library wouldn't send.
pub(crate) async fn frames(link: &Link, report: &mut Report) -> Done {
    let mut settings = PREFACE.to_vec();
    settings.extend(frame(4, 0, 0, b""));
    let headers = request_headers(&link.ticket);
    let pings = frame(6, 0, 0, b"flooding").repeat(1_000);
    let settings_flood = frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).repeat(1_000);
    let empty = frame(0, 0, 1, b"").repeat(1_000);
    let header_bomb = frame(9, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(200)).repeat(50);
    let resets: Vec<u8> = (0..1_000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 3;
            [frame(1, 5, stream, &headers), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
        })
        .collect();
    let attacks: [(&str, Vec<u8>, Vec<u8>, usize); 8] = [
        ("pings", Vec::new(), pings, 1_000),
        ("settings", Vec::new(), settings_flood, 1_000),
        ("empty data", frame(1, 4, 1, &headers), empty, 1_000),
        ("headers without end", frame(1, 0, 1, &headers), header_bomb, 1_000),
        ("rapid resets", Vec::new(), resets, 1),
        ("a frame of 16 MiB", frame_head(0xff_ffff, 0, 0, 1), vec![0; 1 << 20], 16),
        ("window overflow", Vec::new(), frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), 4),
        ("garbage", Vec::new(), vec![0x5a; 64 << 10], 100),
    ];
    for (name, first, again, times) in attacks {
        let mut stream = link.tls().await?;
        let sent = async {
            stream.write_all(&settings).await?;
            stream.write_all(&first).await?;
            for _ in 0..times {
                stream.write_all(&again).await?;
            }
            stream.flush().await?;
            // Reads what there is, so that nobody waits for us, until the host hangs up or has nothing more to say.
            let mut buffer = vec![0; 64 << 10];
            while tokio::time::timeout(Duration::from_millis(300), stream.read(&mut buffer))
                .await
                .is_ok_and(|read| read.is_ok_and(|count| count > 0))
            {}
            Ok::<_, std::io::Error>(())
        };
        // Whether it is cut off or let be: the host must go on.
        let _ = tokio::time::timeout(Duration::from_secs(10), sent).await;
        report.line(format!("sent {name}"));
    }
    let after = link.client().await?.get("/v1/task").await;
    report.line(format!("taken after all: {}", told(&after)));
    Ok(())
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(u32::try_from(payload.len()).unwrap_or(0), kind, flags, stream);
    frame.extend(payload);
    frame
}

fn frame_head(length: u32, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    let mut head = length.to_be_bytes()[1..].to_vec();
    head.extend([kind, flags]);
    head.extend(stream.to_be_bytes());
    head
}

/// `GET /v1/task`, each header written out as it is.
fn request_headers(ticket: &str) -> Vec<u8> {
    let bearer = format!("Bearer {ticket}");
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "wharf"),
        (":path", "/v1/task"),
        ("authorization", &bearer),
    ] {
        block.push(0);
        for text in [name, value] {
            // Lengths from 127 on take a second byte.
            let length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap_or(0));
            } else {
                block.extend([127, u8::try_from(length - 127).unwrap_or(127)]);
            }
            block.extend(text.bytes());
        }
    }
    block
}
