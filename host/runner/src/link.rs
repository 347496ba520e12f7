use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use wharf_model::protocol::Refusal;

use crate::attach::Entrance;
use crate::complain;
use crate::settings::{Exchange, Settings};

/// How long a host that was reached before may be away.
const AWAY: Duration = Duration::from_secs(600);
/// How long a host may not know the ticket when the result is brought to it.
const CONCLUDE: Duration = Duration::from_secs(60);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long somebody who reached in may take to prove to be the host.
const PROOF: Duration = Duration::from_secs(5);
/// How long the answer to a small request may take.
const ANSWER: Duration = Duration::from_secs(60);
/// The first and the longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The largest answer that is gathered: a task with its files.
const MAX_ANSWER: usize = 512 << 20;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Why the host didn't answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It can't be reached.
    #[error("the host {at} cannot be reached: {reason}")]
    Unreachable { at: String, reason: String },
    /// Somebody else is there.
    #[error("the server {at} is not the host that started this run: its certificate has another fingerprint")]
    Stranger { at: String },
    /// The host doesn't know us, or not any more.
    #[error("the host does not accept this run's ticket: {0}")]
    Ticket(String),
    /// It can't do it now.
    #[error("{0}")]
    Fault(String),
    /// It won't.
    #[error("{0}")]
    Refused(String),
}

impl LinkError {
    /// Whether the same request may succeed later.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Ticket(_) | Self::Fault(_))
    }
}

/// Where streams to the host come from.
enum Source {
    /// We dial this `HOST:PORT`.
    Dial(String),
    /// The host reaches in. The recipe could, too: what comes must prove to be the host, like a server that is dialled.
    Accept(Entrance),
    /// The same, through a port.
    Listen(tokio::net::TcpListener),
}

/// The connection to the host, made anew when it breaks.
pub(crate) struct Link {
    source: Source,
    ticket: String,
    tls: TlsConnector,
    current: Mutex<Option<SendRequest<Body>>>,
    /// Whether the host at the other end of the current connection has accepted our ticket.
    accepted: Cell<bool>,
    heard: Cell<Instant>,
}

impl Link {
    /// The error is a sentence.
    pub(crate) fn new(settings: Settings) -> Result<Rc<Self>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pinned = Pinned { fingerprint: settings.fingerprint, provider: Arc::clone(&provider) };
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| format!("cannot use TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let source = match settings.exchange {
            Exchange::At(address) => Source::Dial(address),
            Exchange::Attach(name) => Source::Accept(Entrance::new(&name)?),
            Exchange::AttachByPort(port) => Source::Listen(crate::attach::port(port)?),
        };
        Ok(Rc::new(Self {
            source,
            ticket: settings.ticket,
            tls: TlsConnector::from(Arc::new(config)),
            current: Mutex::new(None),
            accepted: Cell::new(false),
            heard: Cell::new(Instant::now()),
        }))
    }

    /// Whether the host has been away for longer than is worth waiting.
    pub(crate) fn is_lost(&self) -> bool {
        self.heard.get().elapsed() > AWAY
    }

    /// Sends a small request again and again, until it is answered or the host is lost.
    pub(crate) async fn persist(&self, method: &Method, path: &str, body: Bytes) -> Result<Bytes, LinkError> {
        self.repeat(method, path, body, |_, _| !self.is_lost()).await
    }

    /// Sends the last request of a run. A host that has it and has closed the run doesn't know the ticket any more; one
    /// that was started again may not know it yet.
    pub(crate) async fn conclude(&self, path: &str, body: Bytes) -> Result<Bytes, LinkError> {
        self.repeat(&Method::POST, path, body, |error, since| match error {
            LinkError::Ticket(_) => since.elapsed() < CONCLUDE && !self.is_lost(),
            _ => !self.is_lost(),
        })
        .await
    }

    /// Sends the first request of a run: for `patience` to a host that can't be reached, and for `doubt` to one that
    /// doesn't know the ticket, which may just have been started again.
    pub(crate) async fn begin(&self, path: &str, patience: Duration, doubt: Duration) -> Result<Bytes, LinkError> {
        let said = Cell::new(false);
        self.repeat(&Method::GET, path, Bytes::new(), |error, since| {
            // At once: a host that hears nothing ends the container in the meantime, and then its log is all there is.
            if !said.replace(true) {
                complain(&format!("{error}; trying again"));
            }
            match error {
                LinkError::Ticket(_) => since.elapsed() < doubt,
                _ => since.elapsed() < patience,
            }
        })
        .await
    }

    async fn repeat(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        go_on: impl Fn(&LinkError, Instant) -> bool,
    ) -> Result<Bytes, LinkError> {
        let since = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            match self.once(method, path, body.clone()).await {
                Err(error) if error.may_pass() && go_on(&error, since) => {}
                done => return done,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Sends a small request once.
    pub(crate) async fn once(&self, method: &Method, path: &str, body: Bytes) -> Result<Bytes, LinkError> {
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        let gathered = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| self.unreachable(error.to_string()))?.to_bytes();
            if status.is_success() {
                self.heard.set(Instant::now());
                self.accepted.set(true);
                return Ok(body);
            }
            let message = match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) => refusal.message,
                Err(_) => format!("the host answered with the status {status}"),
            };
            Err(match status {
                StatusCode::UNAUTHORIZED => LinkError::Ticket(message),
                StatusCode::TOO_MANY_REQUESTS => LinkError::Fault(message),
                status if status.is_server_error() => LinkError::Fault(message),
                _ => LinkError::Refused(message),
            })
        };
        let result = match tokio::time::timeout(ANSWER, gathered).await {
            Ok(result) => result,
            Err(_) => Err(self.unreachable("it does not answer".to_owned())),
        };
        if matches!(result, Err(LinkError::Unreachable { .. } | LinkError::Ticket(_))) {
            self.current.lock().await.take();
        }
        result
    }

    /// Sends a request whose bodies are streams.
    pub(crate) async fn send(&self, method: &Method, path: &str, body: Body) -> Result<Response<Incoming>, LinkError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://wharf{path}"))
            .header(AUTHORIZATION, format!("Bearer {}", self.ticket))
            .body(body)
            .map_err(|error| LinkError::Refused(format!("{path:?} cannot be asked for: {error}")))?;
        let mut sender = self.sender().await?;
        sender.send_request(request).await.map_err(|error| self.unreachable(describe(&error)))
    }

    /// Waits until there is a connection to a host that knows us, or the host is lost. One that was started again listens
    /// before it knows the runs of the one before it; what a recipe sends can't be sent twice, mostly.
    pub(crate) async fn ready(&self) -> Result<(), LinkError> {
        self.sender().await.ok();
        if self.accepted.get() {
            return Ok(());
        }
        self.persist(&Method::GET, "/v1/ready", Bytes::new()).await.map(|_| ())
    }

    async fn sender(&self) -> Result<SendRequest<Body>, LinkError> {
        // Held while connecting: others wait for this connection instead of making their own.
        let mut current = self.current.lock().await;
        if let Some(sender) = current.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        *current = None;
        self.accepted.set(false);
        let sender = match tokio::time::timeout(CONNECT, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(self.unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
        };
        *current = Some(sender.clone());
        Ok(sender)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, LinkError> {
        match &self.source {
            Source::Dial(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| self.unreachable(error.to_string()))?;
                // Small frames (heartbeats) must not wait for larger ones.
                let _ = stream.set_nodelay(true);
                self.speak(stream).await
            }
            // One that a former host left in the queue has ended; one that isn't the host's is passed over.
            Source::Accept(entrance) => loop {
                let stream = entrance.accept().await.map_err(|error| self.unreachable(error.to_string()))?;
                if let Ok(Ok(sender)) = tokio::time::timeout(PROOF, self.speak(stream)).await {
                    return Ok(sender);
                }
            },
            Source::Listen(listener) => loop {
                let (stream, _) = listener.accept().await.map_err(|error| self.unreachable(error.to_string()))?;
                // What keeps it from that costs some speed, and no more.
                let _ = stream.set_nodelay(true);
                if let Ok(Ok(sender)) = tokio::time::timeout(PROOF, self.speak(stream)).await {
                    return Ok(sender);
                }
            },
        }
    }

    /// Has the other side prove that it is the host, before anything is said to it.
    async fn speak<S>(&self, stream: S) -> Result<SendRequest<Body>, LinkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // The name isn't checked: the fingerprint says more.
        let name = ServerName::try_from("wharf-exchange").map_err(|error| self.unreachable(error.to_string()))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| self.handshake_error(&error))?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(256 << 10)
            .max_send_buf_size(1 << 20)
            // A host that vanished without a word is noticed within half a minute.
            .keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(15))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(describe(&error)))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn handshake_error(&self, error: &std::io::Error) -> LinkError {
        let rejected = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match rejected {
            Some(rustls::Error::InvalidCertificate(_)) => LinkError::Stranger { at: self.at() },
            _ => self.unreachable(error.to_string()),
        }
    }

    fn unreachable(&self, reason: String) -> LinkError {
        LinkError::Unreachable { at: self.at(), reason }
    }

    fn at(&self) -> String {
        match &self.source {
            Source::Dial(address) => format!("at {address}"),
            Source::Accept(_) | Source::Listen(_) => "that reaches into this container through the engine".to_owned(),
        }
    }
}

/// An error with its causes: hyper's own words alone say little.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cut = cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::UnexpectedEof);
        // In TLS' own words that is an address of its manual.
        text = if cut { format!("{text}: it was cut off") } else { format!("{text}: {cause}") };
        source = if cut { None } else { cause.source() };
    }
    text
}

/// Accepts the one certificate whose fingerprint the host gave us, and nothing else.
#[derive(Debug)]
struct Pinned {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Sha256::digest(end_entity.as_ref()).as_slice() == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
