//! `host.sock`: the owner's side of a home's socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;
use wharf_model::Fault;

use crate::host::Inner;
use crate::message::{Reply, Request};

/// The longest request: an activity with its code.
const LONGEST_REQUEST: u64 = 64 << 20;

/// Takes the socket's name. Only the owner of the home's lock calls this, so a file that is there is a dead one.
pub(crate) fn bind(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    // Whoever can open a home is its administrator.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers callers until the task is dropped.
pub(crate) async fn serve(listener: UnixListener, host: Arc<Inner>, calls: TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let host = Arc::clone(&host);
                calls.spawn(async move {
                    if let Err(error) = answer(stream, host).await {
                        // The caller went away: its own doing.
                        tracing::debug!(%error, "a caller is gone");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others will end.
                tracing::warn!(%error, "the socket of the home couldn't accept a caller");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, host: Arc<Inner>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST));
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    let request: Request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(error) => {
            let fault = Fault::new("usage", format!("that isn't a message of this version: {error}"));
            return write(&mut writer, &Reply::Fault(fault)).await;
        }
    };
    let mut replies = crate::host::call(host, request);
    // A caller that goes away while nothing is said must be noticed too, or its task waits for ever.
    let gone = async move {
        let mut rest = [0u8; 1];
        let _ = reader.read(&mut rest).await;
    };
    tokio::pin!(gone);
    loop {
        tokio::select! {
            () = &mut gone => return Ok(()),
            reply = replies.next() => match reply {
                Some(reply) => write(&mut writer, &reply).await?,
                None => return writer.shutdown().await,
            },
        }
    }
}

async fn write(writer: &mut tokio::net::unix::OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
