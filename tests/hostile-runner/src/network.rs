//! Attacks below HTTP.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::Done;
use crate::link::{Link, told};
use crate::report::Report;

/// Five hundred connections that say nothing, or something else than TLS, or only TLS.
pub(crate) async fn connections(link: &Link, report: &mut Report) -> Done {
    let mut open = Vec::new();
    let mut secure = Vec::new();
    for number in 0..500 {
        let Ok(mut stream) = link.tcp().await else { continue };
        match number % 3 {
            0 => {}
            1 => drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: wharf\r\n\r\n").await),
            // The first bytes of a handshake, and no more.
            _ => drop(stream.write_all(&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01]).await),
        }
        open.push(stream);
    }
    for _ in 0..20 {
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(500), link.tls()).await {
            secure.push(stream);
        }
    }
    report.line(format!("connections {}", if open.len() >= 400 { "many" } else { "few" }));
    // Held, so that a run beside this one must find its way through them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop((open, secure));
    tokio::time::sleep(Duration::from_secs(1)).await;
    report.line(format!("taken after all: {}", told(&link.client().await?.get("/v1/task").await)));
    Ok(())
}
