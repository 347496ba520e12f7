//! HTTP, within bounds.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use url::Url;
use wharf_fetch::Roots;

use crate::error::RegistryError;

/// How often a server may send one elsewhere.
const REDIRECTS: usize = 5;
/// How much of a server's words is shown.
const WORDS: usize = 300;
/// The longest answer that is only looked at for its words.
const WORDS_READ: u64 = 64 * 1024;

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest component, in bytes.
    pub component: u64,
    /// The largest manifest.
    pub manifest: u64,
    /// The longest silence of the other side.
    pub idle: Duration,
    /// The longest that one transfer may take.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { component: 64 << 20, manifest: 4 << 20, idle: Duration::from_secs(30), total: Duration::from_secs(600) }
    }
}

/// Speaks to registries and web servers.
#[derive(Clone)]
pub struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub(crate) limits: Limits,
}

/// A request, as far as it is kept over redirects.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Goes to the first host alone.
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) body: Bytes,
}

impl Client {
    /// Trusts `roots`.
    ///
    /// # Errors
    /// The machine's certificates can't be read.
    pub fn new(limits: Limits, roots: &Roots) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(Duration::from_secs(15)));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config((*roots.client_config()?).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { http: HyperClient::builder(TokioExecutor::new()).build(https), limits })
    }

    /// Downloads a file, and returns its digest. `None` when the server doesn't have it.
    ///
    /// # Errors
    /// It isn't an `https` URL (or `http` of this machine), the server doesn't answer, refuses, or sends too much.
    pub async fn download(&self, url: &str, to: &Path, limit: u64) -> Result<Option<String>, RegistryError> {
        let parsed =
            Url::parse(url).map_err(|error| RegistryError::Invalid { text: url.to_owned(), why: error.to_string() })?;
        let ask = Ask {
            method: Method::GET,
            url: parsed,
            headers: HeaderMap::new(),
            authorization: None,
            body: Bytes::new(),
        };
        self.whole(url, async {
            let response = self.send(ask).await?;
            match response.status() {
                StatusCode::OK => self.write(response, url, to, limit).await.map(Some),
                StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
                _ => Err(self.refused(response, host(url), "a download").await),
            }
        })
        .await
    }

    /// Bounds a whole transfer in time.
    pub(crate) async fn whole<T>(
        &self,
        what: &str,
        transfer: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let late = RegistryError::TimedOut { what: what.to_owned(), seconds: self.limits.total.as_secs() };
        tokio::time::timeout(self.limits.total, transfer).await.unwrap_or(Err(late))
    }

    /// Sends a request, and follows where a `GET` is sent.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Response<Incoming>, RegistryError> {
        let Ask { method, mut url, headers, mut authorization, body } = ask;
        let first = url.origin();
        for _ in 0..=REDIRECTS {
            check_scheme(&url)?;
            if url.origin() != first {
                authorization = None;
            }
            let response = self.once(&method, &url, &headers, authorization, &body).await?;
            let moved = response.status().is_redirection() && (method == Method::GET || method == Method::HEAD);
            let next = response.headers().get(LOCATION).filter(|_| moved).and_then(|next| next.to_str().ok());
            match next.map(|next| url.join(next)) {
                None => return Ok(response),
                Some(Ok(next)) => url = next,
                Some(Err(error)) => {
                    return Err(RegistryError::Invalid {
                        text: url.to_string(),
                        why: format!("it leads nowhere: {error}"),
                    });
                }
            }
        }
        Err(RegistryError::Invalid { text: url.to_string(), why: format!("it leads on more than {REDIRECTS} times") })
    }

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
        body: &Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let invalid = |why: String| RegistryError::Invalid { text: url.to_string(), why };
        let uri: Uri =
            url.as_str().parse().map_err(|error: hyper::http::uri::InvalidUri| invalid(error.to_string()))?;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION"))));
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        // A large body goes out before an answer comes.
        let patience = self.limits.idle + Duration::from_secs(body.len() as u64 >> 16);
        let sent = tokio::time::timeout(patience, self.http.request(request)).await;
        let host = authority(url);
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(RegistryError::Unreachable { host, why: innermost(&error) }),
            Err(_) => {
                Err(RegistryError::TimedOut { what: format!("the answer of {host}"), seconds: patience.as_secs() })
            }
        }
    }

    /// The body of an answer, in memory.
    pub(crate) async fn read(
        &self,
        mut response: Response<Incoming>,
        what: &str,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece(&mut response, what).await? {
            if all.len() as u64 + piece.len() as u64 > limit {
                return Err(RegistryError::TooLarge { what: what.to_owned(), limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// The body of an answer, in a file. Returns its digest.
    pub(crate) async fn write(
        &self,
        mut response: Response<Incoming>,
        what: &str,
        to: &Path,
        limit: u64,
    ) -> Result<String, RegistryError> {
        let mut file = tokio::fs::File::create(to).await?;
        let (mut hash, mut size) = (Sha256::new(), 0u64);
        while let Some(piece) = self.piece(&mut response, what).await? {
            size += piece.len() as u64;
            if size > limit {
                return Err(RegistryError::TooLarge { what: what.to_owned(), limit });
            }
            hash.update(&piece);
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        Ok(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    async fn piece(&self, response: &mut Response<Incoming>, what: &str) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let late = |_| RegistryError::TimedOut { what: what.to_owned(), seconds: self.limits.idle.as_secs() };
            match tokio::time::timeout(self.limits.idle, response.body_mut().frame()).await.map_err(late)? {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(RegistryError::Unreachable { host: what.to_owned(), why: innermost(&error) });
                }
            }
        }
    }

    /// What an answer means that isn't the one that was hoped for.
    pub(crate) async fn refused(&self, response: Response<Incoming>, host: String, what: &str) -> RegistryError {
        let status = response.status();
        let body = self.read(response, "an answer", WORDS_READ).await.unwrap_or_default();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = json["errors"][0]["message"].as_str().map(str::to_owned);
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        let words = printable(&said);
        let words = if words.trim().is_empty() { "no words".to_owned() } else { words.trim().to_owned() };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistryError::Denied { host, what: what.to_owned(), why: words }
            }
            StatusCode::NOT_FOUND => RegistryError::NotFound { what: format!("what was asked of {host} ({what})") },
            _ => RegistryError::Refused { host, what: what.to_owned(), status: status.as_u16(), words },
        }
    }
}

/// Nothing that one relies on goes over a line that anybody can write on.
fn check_scheme(url: &Url) -> Result<(), RegistryError> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_this_machine(url) => Ok(()),
        "http" => Err(RegistryError::Invalid {
            text: url.to_string(),
            why: "plain HTTP is for this machine alone; use https, or download it yourself".to_owned(),
        }),
        _ => Err(RegistryError::Invalid { text: url.to_string(), why: "it is neither https:// nor oci://".to_owned() }),
    }
}

/// Whether a URL stays on this machine.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `HOST[:PORT]` of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The beginning of what somebody else said, without what could move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

fn host(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| authority(&url))
}

/// The error at the bottom, which has the reason; those above say that there was one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
