use std::io::Write;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use wharf_model::protocol::{Refusal, variables};

use crate::complain;
use crate::link::{Body, BoxError};

/// The host refused; its sentence is on stderr.
const REFUSED: u8 = 22;
/// The request or its answer broke.
const BROKEN: u8 = 1;
/// The largest refusal.
const MAX_REFUSAL: usize = 1 << 20;

/// Sends one request to the runner of this container, and writes the answer to stdout.
pub(crate) async fn call(method: &str, path: &str, body_stdin: bool) -> u8 {
    let Some(socket) = std::env::var_os(variables::SOCKET) else {
        complain(&format!("{} is not set: `call` works inside a run", variables::SOCKET));
        return BROKEN;
    };
    let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
        complain(&format!("{method:?} is not a method"));
        return 2;
    };
    let body: Body = if body_stdin {
        StreamBody::new(futures_util::stream::try_unfold(tokio::io::stdin(), |mut stdin| async {
            let mut bytes = BytesMut::with_capacity(256 << 10);
            let len = stdin.read_buf(&mut bytes).await?;
            Ok::<_, BoxError>((len > 0).then(|| (Frame::data(bytes.freeze()), stdin)))
        }))
        .boxed_unsync()
    } else {
        Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
    };
    match exchange(&socket, method, path, body).await {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("the call of {path} broke: {error}"));
            BROKEN
        }
    }
}

async fn exchange(socket: &std::ffi::OsStr, method: Method, path: &str, body: Body) -> Result<u8, BoxError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "wharf").body(body)?;
    let response = sender.send_request(request).await?;
    let success = response.status().is_success();
    let status = response.status();
    let mut body = response.into_body();
    let mut stdout = std::io::stdout().lock();
    let mut refusal = Vec::new();
    while let Some(frame) = body.frame().await {
        let bytes = frame?.into_data().unwrap_or_default();
        if success {
            stdout.write_all(&bytes)?;
        } else if refusal.len() < MAX_REFUSAL {
            refusal.extend_from_slice(&bytes);
        }
    }
    stdout.flush()?;
    if success {
        return Ok(0);
    }
    let message = match serde_json::from_slice::<Refusal>(&refusal) {
        Ok(refusal) => refusal.message,
        Err(_) => format!("the runner answered with the status {status}"),
    };
    let _ = writeln!(std::io::stderr(), "{message}");
    Ok(REFUSED)
}
