//! Attacks by rows, schemas and names.

use bytes::Bytes;
use futures_util::StreamExt;

use crate::Done;
use crate::link::{Client, told};
use crate::report::Report;

const CSV: &str = "/v1/datasets/out/data?format=csv";
const ARROW: &str = "/v1/datasets/out/data?format=arrow";
const SCHEMA: &str = "/v1/datasets/out/schema";

/// Rows that aren't.
pub(crate) async fn rows(client: &Client, report: &mut Report) -> Done {
    let huge = format!("a\n\"{}\n", "x".repeat(20 << 20));
    let wide = format!("{}\n", "c,".repeat(100_000));
    let bodies: [(&str, &str, Bytes); 15] = [
        ("more fields than columns", CSV, "a,b\n1,2,3\n".into()),
        ("fewer fields than columns", CSV, "a,b\n1\n".into()),
        ("a field of 20 MiB", CSV, huge.into()),
        ("100,000 columns", CSV, wide.into()),
        ("no UTF-8", CSV, Bytes::from_static(b"a\n\xff\xfe\n")),
        ("a quote without end", CSV, "a\n\"x".into()),
        ("nothing", CSV, Bytes::new()),
        ("no Arrow", ARROW, "this is not an Arrow stream".into()),
        ("Arrow of nothing", ARROW, Bytes::new()),
        ("an Arrow message of 2 GiB", ARROW, message(0x7fff_ffff, b"")),
        ("an Arrow message of 16 MiB that isn't there", ARROW, message(16 << 20, b"")),
        ("an Arrow message of zeros", ARROW, message(64, &[0; 64])),
        ("an Arrow message of ones", ARROW, message(64, &[0xff; 64])),
        (
            "an Arrow message that points behind itself",
            ARROW,
            message(16, &[0xf0, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("an Arrow stream in another format", "/v1/datasets/out/data?format=parquet", "PAR1".into()),
    ];
    for (name, path, body) in bodies {
        report.line(format!("refused {name}: {}", told(&client.put(path, body).await)));
    }
    report.line(format!("taken honest: {}", told(&client.put(CSV, "a,b\n1,2\n").await)));
    Ok(())
}

/// The beginning of an Arrow message that claims a length.
fn message(claim: u32, bytes: &[u8]) -> Bytes {
    [[0xff; 4].as_slice(), &claim.to_le_bytes(), bytes].concat().into()
}

/// Schemas that aren't.
pub(crate) async fn schemas(client: &Client, report: &mut Report) -> Done {
    let columns = |count: usize, kind: &str| {
        let columns: Vec<String> = (0..count).map(|at| format!(r#"{{"name":"{at}","type":"{kind}"}}"#)).collect();
        format!(r#"{{"columns":[{}]}}"#, columns.join(","))
    };
    let deep = "[".repeat(200_000);
    let schemas = [
        ("1,000,000 columns", columns(1_000_000, "string")),
        ("100,000 columns", columns(100_000, "int")),
        ("no column", columns(0, "")),
        ("a type of no database", columns(1, "'; DROP TABLE runs; --")),
        ("an Arrow type", columns(1, "Dictionary(Int8, Utf8)")),
        ("brackets without end", deep),
        ("no JSON", "columns".to_owned()),
        ("numbers for names", r#"{"columns":[{"name":1e999,"type":-1}]}"#.to_owned()),
    ];
    for (name, schema) in schemas {
        report.line(format!("refused {name}: {}", told(&client.put(SCHEMA, schema).await)));
    }
    let taken = client.put(SCHEMA, r#"{"columns":[{"name":"a","type":"bigint"}]}"#).await;
    report.line(format!("taken honest: {}", told(&taken)));
    report.line(format!("refused rows of another type: {}", told(&client.put(CSV, "a\nnot a number\n").await)));
    report.line(format!("refused rows of another name: {}", told(&client.put(CSV, "b\n1\n").await)));
    report.line(format!("taken rows: {}", told(&client.put(CSV, "a\n1\n").await)));
    Ok(())
}

/// As many large bodies at once as there can be.
pub(crate) async fn memory(client: &Client, report: &mut Report) -> Done {
    let piece = Bytes::from(vec![b'x'; 256 << 10]);
    let start = |bytes: Vec<u8>, piece: Bytes, count: usize| {
        let pieces = futures_util::stream::repeat(piece).take(count).chain(futures_util::stream::pending());
        futures_util::stream::iter([Bytes::from(bytes)]).chain(pieces)
    };
    let mut waiting = Vec::new();
    // A field that never ends, an Arrow message that takes all that it claims, a log frame that is never whole.
    for number in 0..60 {
        let (path, bytes) = match number % 3 {
            0 => (CSV, b"a\n\"".to_vec()),
            1 => (ARROW, message(15 << 20, b"").to_vec()),
            _ => ("/v1/logs?base=0", log_frame_of_4_mib()),
        };
        let (method, count) = if path.starts_with("/v1/logs") { ("POST", 15) } else { ("PUT", 80) };
        let client = client.clone();
        let pieces = start(bytes, piece.clone(), count);
        waiting.push(tokio::spawn(async move {
            use http_body_util::{BodyExt, StreamBody};
            let body = StreamBody::new(pieces.map(|bytes| Ok(hyper::body::Frame::data(bytes)))).boxed_unsync();
            told(&client.send(method, path, body, None).await)
        }));
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let open = waiting.iter().filter(|request| !request.is_finished()).count();
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    report.line(format!("open {}", if open > 0 { "some" } else { "none" }));
    Ok(())
}

fn log_frame_of_4_mib() -> Vec<u8> {
    let mut header = vec![0; wharf_model::protocol::frame::HEADER];
    header[16] = 1;
    header[18..].copy_from_slice(&(4_u32 << 20).to_le_bytes());
    header
}

/// Names that this run doesn't have: `theirs` is an output of another run.
pub(crate) async fn names(client: &Client, report: &mut Report) -> Done {
    for path in [
        "/v1/datasets/theirs/data?format=csv",
        "/v1/datasets/in/data?format=csv",
        "/v1/datasets/in/schema",
        "/v1/datasets/files/data?format=csv",
        "/v1/datasets/nothing/data?format=csv",
        "/v1/datasets/..%2Ftheirs/data?format=csv",
        "/v1/datasets/%00/data?format=csv",
        "/v1/folders/out/files/x",
        "/v1/folders/signal/files/stop",
        "/v1/folders/..%2Fsignal/files/stop",
        "/v1/folders/their-files/files/x",
    ] {
        let body = if path.ends_with("schema") { r#"{"columns":[{"name":"a","type":"int"}]}"# } else { "a\n1\n" };
        report.line(format!("refused PUT {path}: {}", told(&client.put(path, body).await)));
    }
    for path in [
        "/v1/datasets/theirs/data?format=csv",
        "/v1/datasets/theirs/schema",
        "/v1/folders/signal/files",
        "/v1/folders/their-files/files/x",
    ] {
        report.line(format!("refused GET {path}: {}", told(&client.get(path).await)));
    }
    Ok(())
}
