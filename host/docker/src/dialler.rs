//! The ways to a daemon: how a connection is made, and why it can't be.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tower_service::Service;
use wharf_model::launch::Duplex;

use crate::address::bracketed;
use crate::ssh::Ssh;
use crate::tls::Certificates;

/// How long a connection may take until the daemon has answered on it.
const DIAL: Duration = Duration::from_secs(60);
/// How long the machine may take to accept a connection, names and all its addresses included.
const CONNECT: Duration = Duration::from_secs(30);
/// After how much silence the kernel asks the other machine whether it is still there. Less than what any firewall or
/// address translation forgets a connection after.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The pause between two such questions, and how many may stay without answer. (`TCP_USER_TIMEOUT` would end what isn't
/// acknowledged sooner, and also a connection whose other end merely doesn't read for that long.)
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(5);
const KEEPALIVE_QUESTIONS: u32 = 4;
/// The most that a daemon may say before its greeting is over.
const GREETING: usize = 16 * 1024;

/// How a daemon is reached.
pub(crate) enum Way {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, certificates: Certificates },
    Ssh(Ssh),
}

/// Why there is no connection. Nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct DialError {
    /// What is wrong, and what to do.
    pub(crate) sentence: String,
    /// Whether the next try may well succeed.
    pub(crate) passing: bool,
}

impl From<String> for DialError {
    fn from(sentence: String) -> Self {
        Self { sentence, passing: false }
    }
}

/// Makes connections to one daemon, whatever it is asked for.
#[derive(Clone)]
pub(crate) struct Dialler {
    way: Arc<Way>,
}

impl Dialler {
    pub(crate) fn new(way: Way) -> Self {
        Self { way: Arc::new(way) }
    }

    pub(crate) fn way(&self) -> &Way {
        &self.way
    }
}

impl Way {
    /// A connection on which the daemon has answered, except for a Unix socket: what is only found out by reading (a
    /// client's certificate that the daemon refuses, a login that fails, a relay with nobody behind it) is found out here,
    /// before there is a request that could be lost.
    async fn dial(&self) -> Result<Wire, DialError> {
        let late = |or: &str| {
            let seconds = DIAL.as_secs();
            DialError::from(format!("no answer within {seconds} seconds: is a firewall between, is it overloaded{or}?"))
        };
        match self {
            Self::Unix(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Wire(Box::new(stream))),
                Err(error) => Err(unix_sentence(socket, error.kind()).into()),
            },
            Self::Tcp { host, port } => {
                let dialled = async {
                    let mut wire = Wire(Box::new(tcp(host, *port).await?));
                    greet(&mut wire).await.map_err(|silence| silence.in_words(|_| None))?;
                    Ok::<_, DialError>(wire)
                };
                tokio::time::timeout(DIAL, dialled).await.map_err(|_| late(""))?
            }
            Self::Tls { host, port, certificates } => {
                let dialled = async {
                    let stream = tcp(host, *port).await?;
                    let mut wire = Wire(Box::new(certificates.wrap(host, stream).await?));
                    let words = |error: &io::Error| certificates.sentence(host, error);
                    greet(&mut wire).await.map_err(|silence| silence.in_words(words))?;
                    Ok::<_, DialError>(wire)
                };
                // A server without TLS may wait for the rest of a request.
                tokio::time::timeout(DIAL, dialled).await.map_err(|_| late(", or does it speak no TLS"))?
            }
            Self::Ssh(ssh) => ssh.dial(DIAL).await,
        }
    }
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<Wire>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let way = Arc::clone(&self.way);
        async move { way.dial().await.map(TokioIo::new) }.boxed()
    }
}

/// Says why a socket can't be used, and what to do.
fn unix_sentence(socket: &std::path::Path, kind: io::ErrorKind) -> String {
    let socket = socket.display();
    match kind {
        io::ErrorKind::NotFound => format!("there is no socket {socket}: is dockerd installed and running?"),
        io::ErrorKind::ConnectionRefused => format!("nothing listens on {socket}: is dockerd running?"),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not use {socket}: ask an administrator to add you to the group docker (`usermod -aG docker \
             USER`), and log in again"
        ),
        kind => format!("{socket} can't be used: {kind}"),
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let place = format!("{}:{port}", bracketed(host));
    let uri: Uri = format!("http://{place}")
        .parse()
        .map_err(|_| format!("\"{place}\" isn't the place of a daemon: correct `host`"))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_PAUSE));
    connector.set_keepalive_retries(Some(KEEPALIVE_QUESTIONS));
    let connected = async {
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        connector.call(uri).await
    };
    connected.await.map(TokioIo::into_inner).map_err(|error| {
        if error.to_string().starts_with("dns error") {
            return format!("there is no machine {host}: correct `host`, or look at the name service").into();
        }
        match io_kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => {
                format!("nothing listens on {place}: is dockerd running there, with this address among its `hosts`?")
                    .into()
            }
            Some(io::ErrorKind::TimedOut) => {
                format!("{place} accepts no connection: is the machine on, and is a firewall between?").into()
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                format!("there is no route to {place}: correct `host`, or look at this machine's network").into()
            }
            _ => format!("no connection to {place}: {}", innermost(&error)).into(),
        }
    })
}

/// What came instead of a daemon's greeting.
pub(crate) enum Silence {
    /// The connection was closed, or broke.
    Broken(io::Error),
    /// Something else than HTTP, or no answer of a daemon.
    Foreign(Vec<u8>),
}

impl Silence {
    /// `known` knows the errors of one way.
    fn in_words(self, known: impl Fn(&io::Error) -> Option<String>) -> DialError {
        match self {
            Self::Broken(error) => match known(&error) {
                Some(sentence) => sentence.into(),
                None => DialError {
                    sentence: format!("the connection was closed before the daemon answered ({error})"),
                    passing: true,
                },
            },
            // What a Go server says, and how a TLS alert begins.
            Self::Foreign(answer)
                if answer.starts_with(&[0x15, 3]) || String::from_utf8_lossy(&answer).contains("HTTPS server") =>
            {
                "it speaks TLS: set `cert_path` to the folder with ca.pem, cert.pem and key.pem".to_owned().into()
            }
            Self::Foreign(answer) => {
                let begin = String::from_utf8_lossy(&answer[..answer.len().min(60)]).escape_debug().to_string();
                format!("what answers there is no Docker daemon (it says \"{begin}\"): correct `host`").into()
            }
        }
    }
}

/// Asks for a sign of life.
pub(crate) async fn greet(wire: &mut Wire) -> Result<(), Silence> {
    let ask = async {
        wire.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n").await?;
        wire.flush().await
    };
    // Whoever closes at once may have said why before.
    let asked = ask.await;
    let mut answer = Vec::new();
    loop {
        let got = wire.read_buf(&mut answer).await;
        if answer.ends_with(b"\r\n\r\n") && answer.starts_with(b"HTTP/1.1 ") {
            return Ok(());
        }
        match got {
            Ok(0) if answer.is_empty() => {
                return Err(Silence::Broken(asked.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
            }
            Ok(0) => return Err(Silence::Foreign(answer)),
            Ok(_) if answer.len() > GREETING || (answer.len() > 4 && !answer.starts_with(b"HTTP/")) => {
                return Err(Silence::Foreign(answer));
            }
            Ok(_) => {}
            Err(error) => return Err(Silence::Broken(error)),
        }
    }
}

/// The kind of the innermost I/O error of an error.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut kind = None;
    let mut next = Some(error);
    while let Some(error) = next {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        next = error.source();
    }
    kind
}

/// The words of an error's first cause.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A connection to a daemon.
pub(crate) struct Wire(pub(crate) Box<dyn Duplex>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_be_down_says_what_to_do() {
        let reason = |kind| unix_sentence(std::path::Path::new("/run/d.sock"), kind);
        assert!(reason(io::ErrorKind::NotFound).contains("no socket /run/d.sock"));
        assert!(reason(io::ErrorKind::ConnectionRefused).contains("is dockerd running?"));
        assert!(reason(io::ErrorKind::PermissionDenied).contains("group docker"));
    }

    async fn greeting(answer: &[u8]) -> Result<(), DialError> {
        let (near, mut far) = tokio::io::duplex(64);
        let answer = answer.to_vec();
        let far = tokio::spawn(async move {
            let mut asked = [0; 38];
            far.read_exact(&mut asked).await.unwrap();
            far.write_all(&answer).await.unwrap();
        });
        let mut wire = Wire(Box::new(near));
        let greeted = greet(&mut wire).await.map_err(|silence| silence.in_words(|_| None));
        far.await.unwrap();
        greeted
    }

    #[tokio::test]
    async fn only_a_daemon_is_greeted() {
        assert!(greeting(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\n").await.is_ok());
        for (answer, expected, passing) in [
            (&b""[..], "was closed before the daemon answered", true),
            (
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                "set `cert_path`",
                false,
            ),
            (&[0x15, 3, 3, 0, 2, 2, 10], "set `cert_path`", false),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "no Docker daemon (it says \"SSH-2.0-OpenSSH_9.2\\r\\n\")", false),
        ] {
            let error = greeting(answer).await.unwrap_err();
            assert!(error.sentence.contains(expected), "{error}");
            assert_eq!(error.passing, passing, "{error}");
        }
    }
}
