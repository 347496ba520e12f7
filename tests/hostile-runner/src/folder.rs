//! Attacks by the files of a folder. The protocol knows paths and bytes and nothing else: a link or a device can't even be
//! named.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::Done;
use crate::link::{Client, Link, told};
use crate::report::Report;

const FILES: &str = "/v1/folders/files/files";

/// As many files as a person might write by mistake.
const MANY: usize = 100_000;

/// Paths that must not be written.
pub(crate) async fn paths(client: &Client, report: &mut Report) -> Done {
    let long = "x".repeat(256);
    let deep = "d/".repeat(1_100) + "x";
    let paths = [
        "../canary",
        "..",
        ".",
        "%2e%2e/canary",
        "%2E%2E%2Fcanary",
        "..%2fcanary",
        "a/../../canary",
        "a/%2e%2e/%2e%2e/canary",
        "%2Fetc%2Fcron.d%2Fx",
        "/etc/cron.d/x",
        "//x",
        "a//b",
        "a/",
        "a%00b",
        "a%0Ab",
        "a%0Db",
        "a%1b%5b2Jb",
        "a%5Cb",
        "..%5C..%5Ccanary",
        "%252e%252e/canary%2f..",
        "%FF%FE",
        "%zz",
        "%",
        ".wharf-x",
        "a/.wharf-x/b",
        "a%E2%80%AEb",
        "a%E2%80%A8b",
        long.as_str(),
        deep.as_str(),
    ];
    for path in paths {
        let shown: String = path.chars().take(60).collect();
        for method in ["PUT", "GET", "DELETE"] {
            let body = crate::link::full(Bytes::from_static(b"hostile"));
            let answer = client.send(method, &format!("{FILES}/{path}"), body, None).await;
            report.line(format!("refused {method} {shown}: {}", told(&answer)));
        }
    }
    for (path, others) in
        [("Name", ["name", "NAME"]), ("dir/file", ["dir/FILE", "DIR/other"]), ("both", ["both/below", "BOTH"])]
    {
        report.line(format!("taken {path}: {}", told(&client.put(&format!("{FILES}/{path}"), "first").await)));
        for other in others {
            report.line(format!(
                "refused PUT {other}: {}",
                told(&client.put(&format!("{FILES}/{other}"), "other").await)
            ));
        }
    }
    report.line(format!("refused PUT dir: {}", told(&client.put(&format!("{FILES}/dir"), "folder").await)));
    // A name that only looks like something: `%25` is a percent sign.
    report.line(format!("taken %252e%252e: {}", told(&client.put(&format!("{FILES}/%252e%252e"), "percent").await)));
    Ok(())
}

/// Very many files.
pub(crate) async fn many(client: &Client, report: &mut Report) -> Done {
    let puts = futures_util::stream::iter(0..MANY).map(|number| async move {
        let answer = client.put(&format!("{FILES}/{}/{number}", number % 100), "x").await;
        answer.is_ok_and(|answer| answer.status.is_success())
    });
    let written = puts.buffer_unordered(32).filter(|written| std::future::ready(*written)).count().await;
    report.line(format!("written {written}"));
    // Each path has a thousand folders of its own.
    let mut refused = String::new();
    for number in 0..200 {
        let path = format!("{FILES}/{number:04}{}/x", "/d".repeat(1_000));
        let answer = client.put(&path, "x").await;
        if !answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            refused = format!("after {number}: {}", told(&answer));
            break;
        }
    }
    report.line(format!("deep paths refused {refused}"));
    let path = |number: usize| format!("{FILES}/{number:04}{}/x", "/d".repeat(1_000));
    for number in 0..200 {
        let body = crate::link::full(Bytes::new());
        let _ = client.send("DELETE", &path(number), body, None).await;
    }
    Ok(())
}

/// Lengths that lie.
pub(crate) async fn sizes(link: &Link, client: &Client, report: &mut Report) -> Done {
    let piece = || Bytes::from(vec![b'x'; 1_000]);
    for (name, count, claim) in [("too-much", 1, 1_000_000), ("too-little", 10, 10), ("huge", 1, u64::MAX)] {
        // A connection each: the host may end one that lies.
        let client = link.client().await?;
        let pieces = futures_util::stream::iter((0..count).map(move |_| piece()));
        let answer = client.put_stream(&format!("{FILES}/{name}"), pieces, Some(claim)).await;
        report.line(format!("refused {name}: {}", told(&answer)));
    }
    // One that breaks off in the middle.
    let other = link.client().await?;
    let path = format!("{FILES}/broken");
    let upload = other.put_stream(&path, slow(), None);
    report.line(format!("broken off: {}", tokio::time::timeout(Duration::from_millis(300), upload).await.is_err()));
    report.line(format!("taken honest: {}", told(&client.put(&format!("{FILES}/honest"), "whole").await)));
    Ok(())
}

/// Uploads without an end, until the host takes no more.
pub(crate) async fn endless(client: &Client, report: &mut Report) -> Done {
    let zeros = Bytes::from(vec![0; 128 << 10]);
    let endless = |start: &'static [u8], zeros: Bytes| {
        futures_util::stream::iter([Bytes::from_static(start)]).chain(futures_util::stream::repeat(zeros))
    };
    let file = client.put_stream(&format!("{FILES}/endless"), endless(b"", zeros), None).await;
    report.line(format!("refused file: {}", told(&file)));
    let rows = Bytes::from("1\n".repeat(64 << 10));
    let rows = client.put_stream("/v1/datasets/out/data?format=csv", endless(b"a\n", rows), None).await;
    report.line(format!("refused rows: {}", told(&rows)));
    // There is room again once what didn't fit is gone.
    report.line(format!("taken small: {}", told(&client.put(&format!("{FILES}/small"), "small").await)));
    Ok(())
}

/// A byte, and then nothing for ever.
pub(crate) fn slow() -> impl futures_util::Stream<Item = Bytes> + Send + 'static {
    futures_util::stream::iter([Bytes::from_static(b"x")]).chain(futures_util::stream::pending())
}
