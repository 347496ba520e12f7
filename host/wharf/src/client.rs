//! The way to a home that another process owns: its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use wharf_model::Fault;

use crate::access::gone;
use crate::message::{Hello, Reply, Request};
use crate::settings::Home;

/// How long an owner may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// A home that another process owns.
pub struct Client {
    socket: PathBuf,
    hello: Hello,
}

impl Client {
    /// Connects to the owner of a home.
    ///
    /// # Errors
    /// Nobody answers at its socket, or somebody of another version does.
    pub async fn connect(home: &Path) -> Result<Self, Fault> {
        let socket = Home::at(home).socket();
        let unreachable = |reason: String| {
            Fault::new(
                "socket-unreachable",
                format!("the process that owns the home doesn't answer at {}: {reason}", socket.display()),
            )
            .hint("it may be starting or ending: call again; if it hangs, end that process: its runs are found again")
        };
        // The owner has the lock a moment before its socket.
        let mut attempt = 0;
        let hello = loop {
            let reply = tokio::time::timeout(HELLO, call(socket.clone(), Request::Hello).next()).await;
            match reply {
                Ok(Some(Reply::Value(value))) => break value,
                Ok(Some(Reply::Fault(fault))) if attempt >= 20 => return Err(unreachable(fault.message)),
                Ok(_) if attempt < 20 => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(_) => return Err(unreachable("it said something else".to_owned())),
                Err(_) => return Err(unreachable(format!("no answer for {} s", HELLO.as_secs()))),
            }
        };
        let hello: Hello = serde_json::from_value(hello).map_err(|error| unreachable(error.to_string()))?;
        if hello.version != env!("CARGO_PKG_VERSION") {
            return Err(unreachable(format!(
                "it is version {}, and this is {}",
                hello.version,
                env!("CARGO_PKG_VERSION")
            )));
        }
        Ok(Self { socket, hello })
    }

    /// Who owns the home.
    #[must_use]
    pub fn owner(&self) -> &Hello {
        &self.hello
    }

    /// Sends a message. The answers end after [`Reply::End`] or [`Reply::Fault`].
    #[must_use]
    pub fn call(&self, request: Request) -> BoxStream<'static, Reply> {
        call(self.socket.clone(), request)
    }
}

fn call(socket: PathBuf, request: Request) -> BoxStream<'static, Reply> {
    let replies = async move {
        match send(&socket, &request).await {
            Ok(stream) => {
                let lines = BufReader::new(stream).lines();
                stream::unfold(Some(lines), async |lines| {
                    let mut lines = lines?;
                    let reply = match lines.next_line().await {
                        Ok(Some(line)) => serde_json::from_str(&line).unwrap_or_else(|error| {
                            Reply::Fault(Fault::new(
                                "socket-unreachable",
                                format!("the process that owns the home said something else: {error}"),
                            ))
                        }),
                        Ok(None) | Err(_) => Reply::Fault(gone()),
                    };
                    let more = !matches!(reply, Reply::End | Reply::Fault(_));
                    Some((reply, more.then_some(lines)))
                })
                .boxed()
            }
            Err(error) => {
                let fault = Fault::new("socket-unreachable", format!("{}: {error}", socket.display()));
                stream::once(async { Reply::Fault(fault) }).boxed()
            }
        }
    };
    stream::once(replies).flatten().boxed()
}

async fn send(socket: &Path, request: &Request) -> std::io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(stream)
}
