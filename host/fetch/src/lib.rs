//! One HTTP request, bounded in time and in what comes back, to an address that the caller has judged.
//!
//! Redirects are answers like others: following one is another request, judged anew. No proxy is used, no cookie is kept, and
//! nothing of the environment is looked at but the machine's root certificates.

mod address;
mod roots;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use address::{Reach, reach};
use bytes::Bytes;
pub use http;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
pub use roots::Roots;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How much room the head of an answer has.
const HEAD: usize = 64 * 1024;
/// How many headers an answer may have.
const HEADERS: usize = 100;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// `http` or `https`, with a host.
    pub url: Uri,
    /// Without `Host` and what says how long the body is.
    pub headers: HeaderMap,
    /// Empty when there is none.
    pub body: Bytes,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// How much one request may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the look-up of the name to the last byte of the answer.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing can be asked there.
    #[error("{0}")]
    BadUrl(String),
    /// The name leads nowhere.
    #[error("the name {host} can't be looked up: {reason}")]
    NoAddress {
        /// The name.
        host: String,
        /// In the system's words.
        reason: String,
    },
    /// The name leads to addresses that the caller doesn't allow.
    #[error("{host} is at {addresses}, which isn't allowed")]
    Forbidden {
        /// The name.
        host: String,
        /// Where it leads.
        addresses: String,
    },
    /// No connection.
    #[error("{host} doesn't answer: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// In the system's words.
        reason: String,
    },
    /// What answers doesn't speak TLS, or isn't who it should be.
    #[error("no TLS with {host}: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// In the words of the TLS library.
        reason: String,
    },
    /// What came back isn't HTTP, or broke off.
    #[error("the answer of {host} can't be read: {reason}")]
    BadAnswer {
        /// Host and port.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The answer's body is too long.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It took too long.
    #[error("no whole answer after {} ms", .limit.as_millis())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

/// Sends a request and reads the whole answer, whatever its status.
///
/// The name is looked up once, and a connection is made to one of the addresses for which `may_connect` is true: what the name
/// leads to afterwards doesn't matter. Dropping the future ends the connection.
///
/// # Errors
/// There is no answer, or it is too long.
pub async fn send(
    request: Request,
    bounds: Bounds,
    roots: &Roots,
    may_connect: impl Fn(IpAddr) -> bool + Send,
) -> Result<Response, FetchError> {
    let sent = tokio::time::timeout(bounds.time, exchange(request, bounds.body, roots, may_connect)).await;
    sent.unwrap_or(Err(FetchError::TimedOut { limit: bounds.time }))
}

/// Where a URL leads: whether by TLS, the host (an IPv6 address without brackets), and the port.
#[must_use]
pub fn target(url: &Uri) -> Option<(bool, &str, u16)> {
    let tls = match url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return None,
    };
    let host = url.host().filter(|host| !host.is_empty())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((tls, host, url.port_u16().unwrap_or(if tls { 443 } else { 80 })))
}

async fn exchange(
    request: Request,
    limit: usize,
    roots: &Roots,
    may_connect: impl Fn(IpAddr) -> bool + Send,
) -> Result<Response, FetchError> {
    let Some((tls, host, port)) = target(&request.url) else {
        return Err(FetchError::BadUrl(format!("{} isn't an http or https URL", request.url)));
    };
    let stream = connect(host, port, may_connect).await?;
    if !tls {
        return speak(&request, limit, stream).await;
    }
    let failed = |reason: String| FetchError::Tls { host: host.to_owned(), reason };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(roots.read().await.map_err(failed)?);
    let stream = connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
    speak(&request, limit, stream).await
}

async fn connect(host: &str, port: u16, may_connect: impl Fn(IpAddr) -> bool + Send) -> Result<TcpStream, FetchError> {
    let no_address = |reason: String| FetchError::NoAddress { host: host.to_owned(), reason };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| no_address(error.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    let allowed: Vec<SocketAddr> = found.iter().filter(|address| may_connect(address.ip())).copied().collect();
    if allowed.is_empty() {
        if found.is_empty() {
            return Err(no_address("it has no address".to_owned()));
        }
        let addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
        return Err(FetchError::Forbidden { host: host.to_owned(), addresses: addresses.join(", ") });
    }
    let mut reason = String::new();
    for address in allowed {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(FetchError::Unreachable { host: format!("{host}:{port}"), reason })
}

async fn speak(
    request: &Request,
    limit: usize,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Response, FetchError> {
    let authority = request.url.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let failed = |reason: String| FetchError::BadAnswer { host: authority.clone(), reason };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(words(&error)))?;
    // It ends with this call, however that ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let path = request.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut asked = http::Request::new(Full::new(request.body.clone()));
    *asked.method_mut() = request.method.clone();
    *asked.uri_mut() = path.parse().map_err(|_| FetchError::BadUrl(format!("{path} isn't a path")))?;
    *asked.headers_mut() = request.headers.clone();
    let host =
        HeaderValue::from_str(&authority).map_err(|_| FetchError::BadUrl(format!("{authority} isn't a host")))?;
    asked.headers_mut().insert(HOST, host);
    let own = HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION")));
    asked.headers_mut().entry(USER_AGENT).or_insert(own);
    let answer = sender.send_request(asked).await.map_err(|error| failed(words(&error)))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { FetchError::TooLarge { limit } } else { failed(error.to_string()) }
    })?;
    Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// What hyper says, and what it says was the cause.
fn words(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
