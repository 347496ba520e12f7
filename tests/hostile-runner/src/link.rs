//! The way to the host: HTTP/2 over TLS, or only what is below it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wharf_model::protocol::variables;

pub(crate) type Failed = Box<dyn Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer that doesn't come is an answer too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the host is, and our ticket.
pub(crate) struct Link {
    pub(crate) address: String,
    pub(crate) ticket: String,
    tls: TlsConnector,
}

impl Link {
    pub(crate) fn from_env() -> Result<Self, Failed> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address: std::env::var(variables::EXCHANGE)?,
            ticket: std::env::var(variables::TICKET)?,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) async fn tcp(&self) -> Result<TcpStream, Failed> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(crate) async fn tls(&self) -> Result<TlsStream<TcpStream>, Failed> {
        Ok(self.tls.connect(ServerName::try_from("wharf-exchange")?, self.tcp().await?).await?)
    }

    pub(crate) async fn client(&self) -> Result<Client, Failed> {
        self.client_with(&self.ticket).await
    }

    pub(crate) async fn client_with(&self, ticket: &str) -> Result<Client, Failed> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_frame_size(256 << 10)
            .handshake(TokioIo::new(self.tls().await?))
            .await?;
        tokio::spawn(connection);
        Ok(Client { sender, ticket: ticket.to_owned() })
    }
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Client {
    sender: SendRequest<Body>,
    pub(crate) ticket: String,
}

/// What the host said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failed> {
        self.send("GET", path, full(Bytes::new()), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failed> {
        self.send("POST", path, full(body.into()), None).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failed> {
        self.send("PUT", path, full(body.into()), None).await
    }

    /// Sends a body in pieces; `claim` is the length that is told.
    pub(crate) async fn put_stream<S>(&self, path: &str, pieces: S, claim: Option<u64>) -> Result<Answer, Failed>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        use futures_util::StreamExt;
        let body = StreamBody::new(pieces.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
        self.send("PUT", path, body, claim).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Body,
        claim: Option<u64>,
    ) -> Result<Answer, Failed> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://wharf{path}"))
            .header(AUTHORIZATION, format!("Bearer {}", self.ticket));
        if let Some(claim) = claim {
            request = request.header("content-length", claim);
        }
        let request = request.body(body)?;
        let mut sender = self.sender.clone();
        let asked = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, Failed>(Answer { status, body: response.into_body().collect().await?.to_bytes() })
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer".into()))
    }
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in a few words: its status and code, or how it failed.
pub(crate) fn told(answer: &Result<Answer, Failed>) -> String {
    match answer {
        Ok(answer) => {
            let refusal = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
            format!("{} {}", answer.status.as_u16(), refusal["code"].as_str().unwrap_or("-"))
        }
        Err(_) => "cut off".to_owned(),
    }
}

/// Accepts every host: who attacks doesn't ask whom.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
