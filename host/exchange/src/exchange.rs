use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::{IdentityError, TlsIdentity};
use crate::service::Connection;
use crate::session::{Attempt, Session, SessionSpec};
use crate::strangers::Strangers;

/// Connections at once, of all runs together.
const CONNECTIONS: usize = 4096;
/// How long a connection may take for the handshake, and again until its first request has shown a ticket.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for a run that this host is about to go on with. Less than [`PATIENCE`]: its connection is still a stranger's.
const GOING_ON: Duration = Duration::from_secs(6);
/// How often a silent connection is asked whether it is still there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(20);
/// How long the last answers of a connection have to get through.
const FAREWELL: Duration = Duration::from_secs(2);
/// What may be on its way in one request's body.
const STREAM_WINDOW: u32 = 4 << 20;
/// What may be on its way in one connection.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// An exchange that can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The address is taken, or not one of this machine's.
    #[error("the exchange cannot listen on {address}; choose another address or port for it")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// Its certificate or key is unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The service that runners talk to.
pub struct Exchange {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    fingerprint: String,
}

struct Shared {
    acceptor: TlsAcceptor,
    attempts: Arc<Attempts>,
    strangers: Arc<Strangers>,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The attempts that have a session, by the hash of their ticket.
#[derive(Default)]
pub(crate) struct Attempts {
    by_ticket: RwLock<HashMap<[u8; 32], Arc<Attempt>>>,
    /// Tickets of runs that a host before this one left, until each has its session.
    expected: RwLock<HashSet<[u8; 32]>>,
    opened: Notify,
}

/// Who shows a ticket.
pub(crate) enum Shown {
    /// A run that goes on.
    Run(Arc<Attempt>),
    /// A run that this host will go on with, and doesn't yet.
    NotYet,
    Stranger,
}

impl Attempts {
    pub(crate) fn insert(&self, attempt: Arc<Attempt>) {
        let ticket = attempt.ticket_sha256;
        let former = self.by_ticket.write().unwrap_or_else(PoisonError::into_inner).insert(ticket, attempt);
        if let Some(former) = former {
            former.closed.cancel();
        }
        // After that, so that nobody finds it in neither.
        self.expected.write().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
        self.opened.notify_waiters();
    }

    fn expects(&self, ticket_sha256: &[u8; 32]) -> bool {
        self.expected.read().unwrap_or_else(PoisonError::into_inner).contains(ticket_sha256)
    }

    /// Whose ticket that is. One of a run that a host before this one left waits for its session: a runner that is refused gives up.
    pub(crate) async fn shown(&self, ticket_sha256: &[u8; 32]) -> Shown {
        let waiting = async {
            loop {
                let opened = self.opened.notified();
                tokio::pin!(opened);
                opened.as_mut().enable();
                // Asked first: what is opened in between is found by the second question.
                let expected = self.expects(ticket_sha256);
                match self.find(ticket_sha256) {
                    Some(attempt) => return Shown::Run(attempt),
                    None if !expected => return Shown::Stranger,
                    None => opened.await,
                }
            }
        };
        tokio::time::timeout(GOING_ON, waiting).await.unwrap_or(Shown::NotYet)
    }

    pub(crate) fn remove(&self, attempt: &Arc<Attempt>) {
        let mut map = self.by_ticket.write().unwrap_or_else(PoisonError::into_inner);
        // The same ticket may have been opened anew: that session isn't this one's to end.
        if map.get(&attempt.ticket_sha256).is_some_and(|there| Arc::ptr_eq(there, attempt)) {
            map.remove(&attempt.ticket_sha256);
        }
    }

    fn find(&self, ticket_sha256: &[u8; 32]) -> Option<Arc<Attempt>> {
        self.by_ticket.read().unwrap_or_else(PoisonError::into_inner).get(ticket_sha256).cloned()
    }
}

impl Exchange {
    /// Listens on an address; port 0 means any free one.
    ///
    /// # Errors
    /// The address can't be listened on, or the identity is unusable.
    pub async fn bind(listen: SocketAddr, identity: &TlsIdentity) -> Result<Self, ExchangeError> {
        Self::bind_expecting(listen, identity, HashSet::new()).await
    }

    /// Listens as [`bind`](Self::bind) does, and knows from the first moment on which runs it will go on with, by the hashes of their
    /// tickets: their runners wait until [`open`](Self::open) is called for them, where others are refused.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_expecting(
        listen: SocketAddr,
        identity: &TlsIdentity,
        expected: HashSet<[u8; 32]>,
    ) -> Result<Self, ExchangeError> {
        let acceptor = TlsAcceptor::from(identity.server_config()?);
        let fail = |source| ExchangeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let local_addr = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared {
            acceptor,
            attempts: Arc::new(Attempts { expected: RwLock::new(expected), ..Attempts::default() }),
            strangers: Arc::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(Arc::clone(&shared).accept(listener));
        Ok(Self { shared, local_addr, fingerprint: identity.fingerprint()? })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// SHA-256 of its certificate (DER), in hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Registers an attempt: from now on its ticket is good. A session of the same ticket that is still open is cut off.
    #[must_use = "the ticket is dead as soon as the session is dropped"]
    pub fn open(&self, spec: SessionSpec) -> Session {
        Session::new(spec, &self.shared.attempts)
    }

    /// Serves one stream that the host opened to a runner, until it ends: as one that came over the network, for whoever
    /// carries it needn't be trusted, and who is at its other end isn't known before a ticket is shown.
    ///
    /// # Errors
    /// It never was a stream to a runner: both sides didn't agree on TLS. The error is a sentence.
    pub async fn serve_stream<S>(&self, io: S) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Connection::new(Arc::clone(&self.shared.attempts), None);
        tokio::select! {
            () = self.shared.stop.cancelled() => Ok(()),
            greeted = self.shared.greet(io, connection) => greeted,
        }
    }

    /// Stops listening and cuts all connections.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, peer) = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, mostly: it passes, and trying at once would spin.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            // Without a place the connection is closed at once, and its runner tries again.
            let Some(stranger) = self.strangers.admit(peer.ip()) else { continue };
            let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else { continue };
            let connection = Connection::new(Arc::clone(&self.attempts), Some(stranger));
            let shared = Arc::clone(&self);
            self.tasks.spawn(async move {
                // Small frames (acknowledgements) must not wait for larger ones.
                let _ = stream.set_nodelay(true);
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    greeted = shared.greet(stream, connection) => {
                        if let Err(reason) = greeted {
                            tracing::debug!(%peer, reason, "a connection came to nothing");
                        }
                    }
                }
                drop(place);
            });
        }
    }

    /// Serves a stream, once both sides have agreed on TLS. The error says why they didn't.
    async fn greet<S>(&self, stream: S, connection: Connection) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match tokio::time::timeout(PATIENCE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                serve(stream, connection).await;
                Ok(())
            }
            Ok(Err(error)) => Err(format!("the TLS handshake failed: {error}")),
            Err(_) => Err(format!("no TLS handshake within {} s", PATIENCE.as_secs())),
        }
    }
}

async fn serve<S>(io: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = Arc::new(connection);
    let service = hyper::service::service_fn({
        let connection = Arc::clone(&connection);
        move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, std::convert::Infallible>(connection.answer(request).await) }
        }
    });
    let mut served = std::pin::pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(256 << 10)
            .max_concurrent_streams(64)
            .max_header_list_size(16 << 10)
            .max_send_buf_size(1 << 20)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .serve_connection(TokioIo::new(io), service)
    );
    tokio::select! {
        result = served.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended");
            }
        }
        () = connection.over(PATIENCE) => {
            // What is being answered (the last request's answer, mostly) has a moment to get through.
            served.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(FAREWELL, served).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn exchange() -> Exchange {
        Exchange::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &TlsIdentity::generate().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_stream_into_a_container_is_served_with_tls_alone() {
        let exchange = exchange().await;
        let (mut inside, outside) = duplex(1 << 16);
        inside.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        exchange.serve_stream(outside).await.unwrap_err();
        let mut answer = Vec::new();
        inside.read_to_end(&mut answer).await.unwrap();
        // At most a TLS alert.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_exchange() {
        let exchange = exchange().await;
        let stop = exchange.shared.stop.clone();
        let (_inside, outside) = duplex(1 << 16);
        let (served, ()) = tokio::join!(exchange.serve_stream(outside), async { stop.cancel() });
        assert_eq!(served, Ok(()));
    }

    struct Deaf;

    impl crate::SessionSink for Deaf {
        fn event(&self, _: crate::SessionEvent) {}
    }

    #[tokio::test]
    async fn a_runner_of_a_run_that_will_be_gone_on_with_waits() {
        let (left, stranger) = ([7; 32], [8; 32]);
        let identity = TlsIdentity::generate().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let exchange = Exchange::bind_expecting(listen, &identity, HashSet::from([left])).await.unwrap();
        let attempts = Arc::clone(&exchange.shared.attempts);
        assert!(matches!(attempts.shown(&stranger).await, Shown::Stranger));
        let early = tokio::spawn({
            let attempts = Arc::clone(&attempts);
            async move { attempts.shown(&left).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!early.is_finished());
        let folder = tempfile::tempdir().unwrap();
        let session = exchange.open(SessionSpec {
            run: "run".to_owned(),
            attempt: 1,
            ticket_sha256: left,
            task: Err("none".to_owned()),
            inputs: Vec::new(),
            outputs: Vec::new(),
            output_limit: None,
            store: Arc::new(crate::FileStore::open(folder.path().join("commits")).unwrap()),
            log: crate::LogFile::open(folder.path().join("log")).unwrap(),
            sink: Arc::new(Deaf),
        });
        assert!(matches!(early.await.unwrap(), Shown::Run(_)));
        session.close().await;
        assert!(matches!(attempts.shown(&left).await, Shown::Stranger), "it is over");
    }
}
