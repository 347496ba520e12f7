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

/// Why there is no way to an owner.
pub(crate) enum NotFound {
    /// Nobody listens, or nobody any more.
    Nobody(Fault),
    /// Somebody does who can't be spoken to.
    Wrong(Fault),
}

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
        Self::find(home).await.map_err(|not_found| match not_found {
            NotFound::Nobody(fault) | NotFound::Wrong(fault) => fault,
        })
    }

    /// Connects to the owner of a home, and tells one that isn't there from one that can't be spoken to.
    pub(crate) async fn find(home: &Path) -> Result<Self, NotFound> {
        let socket = Home::at(home).socket();
        let unreachable = |reason: &str| {
            Fault::new(
                "socket-unreachable",
                format!("the process that owns the home doesn't answer at {}: {reason}", socket.display()),
            )
            .hint("it may be starting or ending: call again; if it hangs, end that process: its runs are found again")
        };
        let reply = tokio::time::timeout(HELLO, call(socket.clone(), Request::Hello).next()).await;
        let hello = match reply {
            Ok(Some(Reply::Value(hello))) => serde_json::from_value::<Hello>(hello)
                .map_err(|error| NotFound::Wrong(unreachable(&format!("it said something else: {error}"))))?,
            Ok(Some(Reply::Fault(fault))) => return Err(NotFound::Nobody(unreachable(&fault.message))),
            Ok(_) => return Err(NotFound::Wrong(unreachable("it said something else"))),
            Err(_) => return Err(NotFound::Wrong(unreachable(&format!("no answer for {} s", HELLO.as_secs())))),
        };
        if hello.version != env!("CARGO_PKG_VERSION") {
            let reason = format!("it is version {}, and this is {}", hello.version, env!("CARGO_PKG_VERSION"));
            return Err(NotFound::Wrong(unreachable(&reason)));
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
