//! The client of one cluster, and what its failures mean.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use futures_util::AsyncBufRead;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client as Kube;
use kube::core::Status;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use wharf_model::EngineCause;
use wharf_model::kubernetes::Cluster;
use wharf_model::launch::BackendError;

use crate::cluster::{self, Way, sentence};
use crate::refusal;

/// How long the API server may take for an answer. It gives up itself after a minute.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// Pauses before a request is sent again that may be.
const AGAIN: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
/// The longest pause that a server's wish is granted.
const WISH: Duration = Duration::from_secs(10);
/// How long a new client is used at least, whatever is said of its credentials.
const RENEWAL: Duration = Duration::from_secs(2);
/// How many objects one answer to a list has.
const PAGE: usize = 500;

/// How many warnings of one answer are passed on, and how many characters of each.
const WARNINGS: (usize, usize) = (20, 1000);

/// Who we are to server-side apply.
pub(crate) const MANAGER: &str = "wharf";

/// A cluster, dialled at the first request.
pub(crate) struct Client {
    cluster: Cluster,
    met: Mutex<Option<Met>>,
}

#[derive(Clone)]
struct Met {
    way: Arc<Way>,
    since: Instant,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server can't be reached at all.
    Down(String),
    /// The connection broke, or the answer took too long: whether the server did it isn't known.
    Lost(String),
    /// It said no.
    Said(Said),
}

/// A no, in the server's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) words: String,
    /// After how many seconds it wants to be asked again.
    pub(crate) later: u64,
}

pub(crate) type Answer<T> = Result<T, Failure>;

/// All objects of a list, and the version that it is of.
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) version: String,
}

impl Failure {
    /// The code of a no.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Said(said) => Some(said.code),
            _ => None,
        }
    }

    /// Whether the same request may fare better in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Down(_) | Self::Lost(_) => true,
            Self::Said(said) => match said.code {
                429 | 502..=504 => true,
                // The server's own store, or a leader that it has just lost.
                500 => ["etcdserver", "context deadline", "Timeout", "timeout"]
                    .iter()
                    .any(|word| said.words.contains(word)),
                _ => false,
            },
        }
    }

    /// In words.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Down(words) | Self::Lost(words) => words,
            Self::Said(said) => &said.words,
        }
    }

    fn pause(&self, usual: Duration) -> Duration {
        match self {
            Self::Said(said) if said.later > 0 => Duration::from_secs(said.later).min(WISH),
            _ => usual,
        }
    }
}

impl Client {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, met: Mutex::default() }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The client library's client.
    pub(crate) async fn kube(&self) -> Answer<Kube> {
        Ok(self.met().await?.way.client.clone())
    }

    /// Where the API server is, as far as that is known.
    pub(crate) async fn address(&self) -> String {
        match self.met.lock().await.as_ref() {
            Some(met) => format!("{} ({})", met.way.server, self.cluster),
            None => self.cluster.to_string(),
        }
    }

    async fn met(&self) -> Answer<Met> {
        let mut met = self.met.lock().await;
        if let Some(known) = met.as_ref() {
            return Ok(known.clone());
        }
        let way = cluster::connect(&self.cluster).await.map_err(Failure::Down)?;
        Ok(met.insert(Met { way: Arc::new(way), since: Instant::now() }).clone())
    }

    /// Makes a new client in place of one that is of no use any more: what it was made from is read again, and no old
    /// connection is used. Returns whether there is another one now.
    async fn renew(&self, old: &Met) -> bool {
        let mut met = self.met.lock().await;
        match met.as_ref() {
            // Somebody else was faster.
            Some(current) if !Arc::ptr_eq(&current.way, &old.way) => return true,
            Some(current) if current.since.elapsed() < RENEWAL => return false,
            _ => {}
        }
        match cluster::connect(&self.cluster).await {
            Ok(way) => {
                *met = Some(Met { way: Arc::new(way), since: Instant::now() });
                true
            }
            Err(reason) => {
                // A file that is just being written, perhaps; the old one is better than none.
                tracing::debug!(cluster = %self.cluster, reason, "no new client could be made");
                false
            }
        }
    }

    /// Sends a request once; with new credentials a second time, when those were refused, for then nothing was done.
    async fn once<T, F>(&self, limit: Duration, send: impl Fn(Kube) -> F) -> Answer<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut renewed = false;
        loop {
            let met = self.met().await?;
            let failure = match tokio::time::timeout(limit, send(met.way.client.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => failure(&error),
                Err(_) => {
                    // Perhaps the connection is dead, and neither side knows: the next request gets another one.
                    self.renew(&met).await;
                    Failure::Lost(format!("no answer within {} seconds", limit.as_secs()))
                }
            };
            match failure.code() {
                Some(401) if !renewed && self.renew(&met).await => renewed = true,
                _ => return Err(failure),
            }
        }
    }

    /// Sends a request that may be sent twice, again when that may help.
    async fn again<T, F>(&self, send: impl Fn(Kube) -> F) -> Answer<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pauses = AGAIN.into_iter();
        loop {
            match (self.once(ANSWER, &send).await, pauses.next()) {
                (Err(failure), Some(pause)) if failure.may_pass() => {
                    tracing::debug!(cluster = %self.cluster, ?failure, "asking again");
                    tokio::time::sleep(failure.pause(pause)).await;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// An object, or whatever is at a path.
    pub(crate) async fn get(&self, path: &str) -> Answer<Value> {
        let request = request(Method::GET, path, None)?;
        self.again(|kube| {
            let request = request.clone();
            async move { kube.request(request).await }
        })
        .await
    }

    /// The same, asked once.
    pub(crate) async fn get_once(&self, path: &str, limit: Duration) -> Answer<Value> {
        let request = request(Method::GET, path, None)?;
        self.once(limit, |kube| {
            let request = request.clone();
            async move { kube.request(request).await }
        })
        .await
    }

    /// All objects at a path that a query selects, page by page.
    pub(crate) async fn list(&self, path: &str, query: &[(&str, &str)]) -> Answer<Listed> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let limit = PAGE.to_string();
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let mut page = self.get(&with_query(path, &query)).await?;
            if let Some(Value::Array(of_page)) = page.get_mut("items").map(Value::take) {
                items.extend(of_page);
            } else if page.get("kind").and_then(Value::as_str).is_none_or(|kind| !kind.ends_with("List")) {
                return Err(Failure::Said(Said {
                    words: format!("what answers there is no Kubernetes API server: no list came of {path}"),
                    ..Said::default()
                }));
            }
            let word = |name| page.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            next = word("/metadata/continue");
            if next.is_empty() {
                return Ok(Listed { items, version: word("/metadata/resourceVersion") });
            }
        }
    }

    /// Creates an object, with one request: whoever doesn't hear the answer must look.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Answer<Value> {
        self.create_warned(path, object).await.map(|(created, _)| created)
    }

    /// The same, with what the server warns of.
    pub(crate) async fn create_warned(&self, path: &str, object: &Value) -> Answer<(Value, Vec<String>)> {
        let request =
            request(Method::POST, &with_query(path, &[("fieldManager", MANAGER)]), Some(("application/json", object)))?;
        self.once(ANSWER, |kube| {
            let request = request.clone();
            async move {
                let answer = kube.send(request.map(kube::client::Body::from)).await?;
                let warnings = warnings(answer.headers());
                Ok((whole(answer).await?, warnings))
            }
        })
        .await
    }

    /// Applies an object server-side: what we say of it holds, whatever others say.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Answer<Value> {
        let path = with_query(path, &[("fieldManager", MANAGER), ("force", "true")]);
        let request = request(Method::PATCH, &path, Some(("application/apply-patch+yaml", object)))?;
        self.again(|kube| {
            let request = request.clone();
            async move { kube.request(request).await }
        })
        .await
    }

    /// Deletes an object, or some; what the server answers is of no interest.
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Answer<()> {
        let request = request(Method::DELETE, path, Some(("application/json", options)))?;
        self.again(|kube| {
            let request = request.clone();
            async move { kube.request_text(request).await.map(drop) }
        })
        .await
    }

    /// The beginning of an answer that goes on.
    pub(crate) async fn stream(&self, path: &str) -> Answer<impl AsyncBufRead + Send + Unpin + use<>> {
        let request = request(Method::GET, path, None)?;
        let stream = self
            .once(ANSWER, |kube| {
                let request = request.clone();
                async move { kube.request_stream(request).await }
            })
            .await?;
        Ok(Box::pin(stream))
    }

    /// The failure in the words of the launch border.
    pub(crate) async fn backend(&self, operation: &str, namespace: &str, failure: Failure) -> BackendError {
        match failure {
            Failure::Down(reason) | Failure::Lost(reason) => {
                BackendError::Unreachable { address: self.address().await, reason }
            }
            Failure::Said(said) => match refusal::cause_of(said.code, &said.reason, &said.words, namespace) {
                Some(cause) => BackendError::Because { operation: operation.to_owned(), cause: Box::new(cause) },
                None if matches!(said.code, 429 | 502..=504) => {
                    let reason = format!("it has too much to do, or is just starting: {}", said.words);
                    BackendError::Unreachable { address: self.address().await, reason }
                }
                None => BackendError::Refused { operation: operation.to_owned(), reason: said.words },
            },
        }
    }
}

/// The cause that a failure names.
pub(crate) fn cause(failure: &Failure, namespace: &str) -> Option<EngineCause> {
    match failure {
        Failure::Said(said) => refusal::cause_of(said.code, &said.reason, &said.words, namespace),
        _ => None,
    }
}

/// The object of an answer, or the no that it is.
async fn whole(answer: Response<kube::client::Body>) -> kube::Result<Value> {
    let code = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if code.is_client_error() || code.is_server_error() {
        let said = serde_json::from_slice::<Status>(&bytes)
            .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&bytes).trim(), "").with_code(code.as_u16()));
        return Err(kube::Error::Api(said.boxed()));
    }
    serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)
}

/// What a server warns of: each header is `299 - "TEXT"`, with quotes and backslashes of the text escaped.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(http::header::WARNING).into_iter().filter_map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let text = value.split_once('"')?.1.rsplit_once('"')?.0;
        Some(text.replace(r#"\""#, "\"").replace(r"\\", r"\").chars().take(WARNINGS.1).collect())
    });
    texts.take(WARNINGS.0).collect()
}

fn request(method: Method, path: &str, body: Option<(&str, &Value)>) -> Answer<Request<Vec<u8>>> {
    let mut request = Request::builder().method(method).uri(path);
    let mut bytes = Vec::new();
    if let Some((kind, body)) = body {
        request = request.header(http::header::CONTENT_TYPE, kind);
        bytes = body.to_string().into_bytes();
    }
    request.body(bytes).map_err(|error| {
        Failure::Said(Said { words: format!("{path} can't be asked for: {error}"), ..Said::default() })
    })
}

/// A path with a query behind it.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    for (at, (key, value)) in query.iter().enumerate() {
        text.push(if at == 0 && !path.contains('?') { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        text.push_str(&encoded(value));
    }
    text
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// What an error of the client library means.
pub(crate) fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => Failure::Said(Said {
            code: status.code,
            reason: status.reason.clone(),
            words: status.message.clone(),
            later: status.details.as_ref().map(|details| u64::from(details.retry_after_seconds)).unwrap_or_default(),
        }),
        kube::Error::SerdeError(error) => Failure::Lost(format!("the answer isn't what an API server says: {error}")),
        error => {
            let words = innermost(error);
            if was_not_sent(error) { Failure::Down(words) } else { Failure::Lost(words) }
        }
    }
}

/// Whether no byte of a request was sent.
fn was_not_sent(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // The client library's own errors of this kind have no type that it exports.
        let text = error.to_string();
        if text.starts_with("client error (Connect)") || text.contains("auth exec") || text.contains("token file") {
            return true;
        }
        next = error.source();
    }
    false
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    let mut certificate = None;
    while let Some(source) = last.source() {
        if source.to_string().contains("certificate") {
            certificate = Some(source.to_string());
        }
        last = source;
    }
    certificate.unwrap_or_else(|| {
        let words = last.to_string();
        if words.is_empty() { sentence(error) } else { words }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        let path = with_query("/api/v1/pods", &[("labelSelector", "wharf.host=a,b in (c)"), ("limit", "5")]);
        assert_eq!(path, "/api/v1/pods?labelSelector=wharf.host%3Da%2Cb%20in%20%28c%29&limit=5");
        assert_eq!(with_query("/x?a=1", &[("b", "2")]), "/x?a=1&b=2");
    }

    #[test]
    fn what_may_pass_is_asked_again() {
        let said = |code, words: &str| Failure::Said(Said { code, words: words.to_owned(), ..Said::default() });
        assert!(said(429, "").may_pass() && said(503, "").may_pass() && Failure::Lost(String::new()).may_pass());
        assert!(said(500, "etcdserver: request timed out").may_pass());
        assert!(
            !said(500, "failed calling webhook").may_pass() && !said(403, "").may_pass() && !said(409, "").may_pass()
        );
        let wish = Failure::Said(Said { later: 3600, ..Said::default() });
        assert_eq!(wish.pause(Duration::from_secs(1)), WISH);
    }

    #[test]
    fn a_warning_is_its_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(warnings(&headers), [] as [&str; 0]);
        for value in [r#"299 - "would violate PodSecurity \"restricted\": a\\b""#, "299 - nothing", r#"299 - "old""#] {
            headers.append(http::header::WARNING, value.parse().unwrap());
        }
        assert_eq!(warnings(&headers), [r#"would violate PodSecurity "restricted": a\b"#, "old"]);
    }

    #[tokio::test]
    async fn a_context_that_is_not_there_is_told_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: b\n  context: \
                    {cluster: c, user: u}\n";
        std::fs::write(&file, text).unwrap();
        let cluster = Cluster { kubeconfig: Some(file), context: Some("nope".to_owned()) };
        let Err(Failure::Down(words)) = Client::new(cluster).get("/version").await else { panic!() };
        assert!(words.contains("the context nope of") && words.contains("the contexts a, b"), "{words}");
        let cluster = Cluster { kubeconfig: Some("/nope".into()), context: None };
        let Err(Failure::Down(words)) = Client::new(cluster).get("/version").await else { panic!() };
        assert!(words.contains("/nope"), "{words}");
    }
}
