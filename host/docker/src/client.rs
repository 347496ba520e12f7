//! The client of one daemon, and what its failures mean.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;
use wharf_images::ImageError;
use wharf_model::launch::BackendError;

use crate::address::{Address, bracketed};
use crate::dialler::{DialError, Dialler, Way, innermost};

/// The oldest version of the API that has everything we ask for: Docker 20.10.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
/// How long the daemon may take to say its version, the way to it included.
const GREETING: Duration = Duration::from_secs(90);
/// How long the daemon may take for an answer. It creates containers one after the other, a few a second.
pub(crate) const ANSWER: Duration = Duration::from_secs(120);
/// How long it may take to begin the answer to a build, an import or a pull: it begins when there is something to say,
/// and whoever waits can go away at any time.
const LONG_ANSWER: Duration = Duration::from_secs(24 * 3600);
/// Pauses before a request whose answer was lost is sent again.
const AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// How long a connection is kept that nobody uses, and how many.
const IDLE: Duration = Duration::from_secs(90);
const KEPT: usize = 8;

/// A daemon, dialled at the first request.
pub(crate) struct Client {
    address: Address,
    dialler: Dialler,
    met: Mutex<Met>,
    /// Whether the daemon was found to be another one than it was.
    changed: AtomicBool,
}

/// What came of the last try to meet the daemon.
#[derive(Default)]
struct Met {
    daemon: Option<Daemon>,
    failed: Option<(Instant, Failure)>,
}

/// A daemon whose version is known.
#[derive(Clone)]
struct Daemon {
    /// Over connections that are kept for the next request.
    kept: Docker,
    /// Over a new connection for each request.
    fresh: Docker,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The daemon can't be reached at all.
    Down(String),
    /// The connection broke, or the answer took too long: whether the daemon did it isn't known.
    Lost(String),
    /// It said no, with a status and its own words.
    Said(u16, String),
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Client {
    pub(crate) fn new(address: Address, way: Way) -> Self {
        Self { address, dialler: Dialler::new(way), met: Mutex::default(), changed: AtomicBool::default() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The daemon, for requests that it answers at once and that may be repeated: a kept connection may have been closed
    /// by the other side at the moment when it is used, and then it isn't known whether the request arrived.
    pub(crate) async fn docker(&self) -> Answer<Docker> {
        self.daemon().await.map(|daemon| daemon.kept)
    }

    /// The daemon, for requests that need a connection of their own: they must not be sent twice, or take it over.
    pub(crate) async fn alone(&self) -> Answer<Docker> {
        self.daemon().await.map(|daemon| daemon.fresh)
    }

    /// The daemon, for requests whose answer begins when their work does.
    pub(crate) async fn patient(&self) -> Answer<Docker> {
        Ok(self.alone().await?.with_timeout(LONG_ANSWER))
    }

    async fn daemon(&self) -> Answer<Daemon> {
        let asked = Instant::now();
        let mut met = self.met.lock().await;
        if self.changed.swap(false, Ordering::Relaxed) {
            met.daemon = None;
        }
        if let Some(known) = &met.daemon {
            return Ok(known.clone());
        }
        // Whoever waited for another one's try shares what came of it: else they would all wait for each other's.
        if let Some((when, failure)) = &met.failed
            && *when > asked
        {
            return Err(failure.clone());
        }
        match self.meet().await {
            Ok(daemon) => Ok(met.daemon.insert(daemon).clone()),
            Err(failure) => {
                met.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Agrees on a version: older daemons refuse one that they don't know, and newer ones answer as their newest does
    /// when they are told none.
    async fn meet(&self) -> Answer<Daemon> {
        // Over a Unix socket, a new connection costs less than a tenth of a millisecond.
        let keeping = if matches!(self.dialler.way(), Way::Unix(_)) { 0 } else { KEPT };
        let (kept, fresh) = (self.http(keeping), self.http(0));
        let unknown = self.docker_over(&kept, API_DEFAULT_VERSION)?.with_timeout(GREETING);
        let said = tokio::time::timeout(GREETING, unknown.version()).await;
        let said = said.map_err(|_| no_answer(GREETING))?.map_err(|error| self.failure(error))?;
        let name = said.version.as_deref().unwrap_or("unknown");
        let (api, least) = (said.api_version.as_deref(), said.min_api_version.as_deref());
        let version = agreed(api, least, name).map_err(|reason| Failure::Said(0, reason))?;
        let versioned = |docker: Docker| {
            // The client library leaves the version out of what it sends.
            docker.with_timeout(ANSWER).with_request_modifier(move |mut request| {
                if let Ok(versioned) = with_version(&request.uri().to_string(), version).parse() {
                    *request.uri_mut() = versioned;
                }
                request
            })
        };
        Ok(Daemon {
            kept: versioned(self.docker_over(&kept, &version)?),
            fresh: versioned(self.docker_over(&fresh, &version)?),
        })
    }

    /// A pool of connections. It repeats a request by itself only if no byte of it was ever sent.
    fn http(&self, keeping: usize) -> Http {
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(keeping)
            .build(self.dialler.clone())
    }

    fn docker_over(&self, http: &Http, version: &ClientVersion) -> Answer<Docker> {
        let http = http.clone();
        let transport = move |request: BollardRequest| {
            let answer = http.request(request);
            async move { answer.await.map_err(bollard::errors::Error::from) }
        };
        // Only what the daemon is told as its own name: the connection is made by the dialler.
        let authority = match &self.address {
            Address::Tcp { host, port } => format!("{}:{port}", bracketed(host)),
            Address::Unix(_) | Address::Ssh { .. } => "localhost".to_owned(),
        };
        let place = format!("http://{authority}");
        Docker::connect_with_custom_transport(transport, Some(place), ANSWER.as_secs(), version)
            .map_err(|error| self.failure(error))
    }

    /// Sends a request that may be sent twice, again when its answer was lost.
    pub(crate) async fn again<T, F>(&self, request: impl Fn(Docker) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        self.again_within(ANSWER, request).await
    }

    /// The same for a request whose whole answer may take this long. (The client library's own time-out ends with the
    /// head of an answer.)
    pub(crate) async fn again_within<T, F>(&self, limit: Duration, request: impl Fn(Docker) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let mut pauses = AGAIN.into_iter();
        let mut docker = self.docker().await?;
        loop {
            let answer = tokio::time::timeout(limit, request(docker.with_timeout(limit))).await;
            let outcome = match answer {
                Ok(answer) => answer.map_err(|error| self.failure(error)),
                Err(_) => Err(no_answer(limit)),
            };
            match (outcome, pauses.next()) {
                (Err(Failure::Lost(reason)), Some(pause)) => {
                    tracing::debug!(address = %self.address, reason, "the answer was lost; asking again");
                    tokio::time::sleep(pause).await;
                }
                (outcome, _) => return outcome,
            }
            // All the kept connections may be as dead as the first.
            docker = self.alone().await?;
        }
    }

    /// What an error of the client library means.
    pub(crate) fn failure(&self, error: bollard::errors::Error) -> Failure {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code: 400, message } if is_about_the_version(&message) => {
                self.changed.store(true, Ordering::Relaxed);
                Failure::Lost(format!("it is another daemon than before: {message}"))
            }
            Error::DockerResponseServerError { status_code, message } => Failure::Said(status_code, message),
            // Words in the middle of an answer that had begun well.
            Error::DockerStreamError { error } => Failure::Said(0, error),
            Error::RequestTimeoutError => Failure::Lost("no answer in time".to_owned()),
            error => match dial_error(&error) {
                Some(DialError { sentence, passing: false }) => Failure::Down(sentence.clone()),
                Some(DialError { sentence, passing: true }) => Failure::Lost(sentence.clone()),
                None => Failure::Lost(format!("the connection broke: {}", innermost(&error))),
            },
        }
    }

    /// The failure in the words of the launch border.
    pub(crate) fn backend(&self, operation: &str, failure: Failure) -> BackendError {
        match failure {
            Failure::Down(reason) | Failure::Lost(reason) => {
                BackendError::Unreachable { address: self.address.to_string(), reason }
            }
            Failure::Said(_, reason) => BackendError::Refused { operation: operation.to_owned(), reason },
        }
    }

    /// The failure in the words of the image border.
    pub(crate) fn image(&self, operation: &str, failure: Failure) -> ImageError {
        match failure {
            Failure::Down(reason) | Failure::Lost(reason) => {
                ImageError::Unreachable { address: self.address.to_string(), reason }
            }
            Failure::Said(_, reason) => ImageError::Refused { operation: operation.to_owned(), reason },
        }
    }
}

type Http = legacy::Client<Dialler, <BollardRequest as RequestBody>::Body>;

/// Names the client library's type of bodies, which it doesn't export.
trait RequestBody {
    type Body;
}

impl<B> RequestBody for hyper::Request<B> {
    type Body = B;
}

pub(crate) fn no_answer(limit: Duration) -> Failure {
    Failure::Lost(format!("no answer within {} seconds", limit.as_secs()))
}

/// The newest version that a daemon and we speak.
fn agreed(api: Option<&str>, least: Option<&str>, docker: &str) -> Result<ClientVersion, String> {
    let newest = *API_DEFAULT_VERSION;
    let api = api
        .and_then(version_of)
        .ok_or_else(|| "it doesn't say which version of Docker's API it speaks: is it a Docker daemon?".to_owned())?;
    if api < OLDEST {
        return Err(format!(
            "it speaks version {api} of Docker's API (Docker {docker}), and {OLDEST} is needed: install Docker 20.10 or \
             newer there"
        ));
    }
    match least.and_then(version_of) {
        Some(least) if least > newest => Err(format!(
            "it speaks no version of Docker's API before {least} (Docker {docker}), and this wharf none after {newest}: \
             use a newer wharf"
        )),
        _ => Ok(if api < newest { api } else { newest }),
    }
}

fn version_of(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

/// A daemon that was updated, or went back, while we knew it.
fn is_about_the_version(message: &str) -> bool {
    message.contains("client version") && (message.contains("too new") || message.contains("too old"))
}

/// `http://localhost/v1.41/containers/json`, from the same without a version.
fn with_version(uri: &str, version: ClientVersion) -> String {
    let authority = uri.find("://").map_or(0, |at| at + 3);
    let path = uri[authority..].find('/').map_or(uri.len(), |at| authority + at);
    let (start, path) = uri.split_at(path);
    let prefix = format!("/v{version}");
    if path.starts_with(&format!("{prefix}/")) { uri.to_owned() } else { format!("{start}{prefix}{path}") }
}

/// Why there was no connection, if that is what an error is about.
fn dial_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a DialError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(socket: &std::path::Path) -> Client {
        Client::new(Address::Unix(socket.to_owned()), Way::Unix(socket.to_owned()))
    }

    #[test]
    fn a_request_names_the_version() {
        let expected = "http://localhost/v1.41/containers/json?all=true";
        assert_eq!(with_version("http://localhost/containers/json?all=true", OLDEST), expected);
        assert_eq!(with_version(expected, OLDEST), expected);
        assert_eq!(with_version("http://[::1]:2375/info", OLDEST), "http://[::1]:2375/v1.41/info");
    }

    #[test]
    fn the_newest_version_that_both_speak_is_agreed_on() {
        let agreed = |api, least| agreed(Some(api), least, "x").map(|version| version.to_string());
        assert_eq!(agreed("1.41", Some("1.12")).unwrap(), "1.41");
        assert_eq!(agreed("1.52", Some("1.44")).unwrap(), "1.52");
        assert_eq!(agreed("1.99", Some("1.44")).unwrap(), API_DEFAULT_VERSION.to_string());
        assert_eq!(agreed("1.99", None).unwrap(), API_DEFAULT_VERSION.to_string());
        assert!(
            agreed("1.40", None).unwrap_err().contains("version 1.40 of Docker's API (Docker x), and 1.41 is needed")
        );
        assert!(agreed("1.9", None).unwrap_err().contains("1.41 is needed"));
        assert!(agreed("2.0", Some("1.60")).unwrap_err().contains("use a newer wharf"));
        assert!(agreed("one", None).unwrap_err().contains("is it a Docker daemon?"));
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_found_out_at_the_first_request() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("d.sock");
        let client = client(&socket);
        let Err(Failure::Down(reason)) = client.docker().await else { panic!() };
        assert!(reason.contains("there is no socket"), "{reason}");
        // A socket that nobody listens on: what a dead daemon leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let Err(Failure::Down(reason)) = client.docker().await else { panic!() };
        assert!(reason.contains("nothing listens on"), "{reason}");
    }

    /// A daemon that begins every answer but the first ones and never ends it.
    async fn stalling(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let body = r#"{"ApiVersion":"1.41"}"#;
            let (length, body) = match String::from_utf8_lossy(&head).split(' ').nth(1) {
                Some("/_ping") => (0, ""),
                Some("/version") => (body.len(), body),
                _ => (body.len() + 1, body),
            };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    #[tokio::test]
    async fn an_answer_that_stops_in_its_middle_is_not_waited_for_for_ever() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (host, port) = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let daemon = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(stalling(stream));
            }
        });
        let client = Client::new(Address::Tcp { host: host.clone(), port }, Way::Tcp { host, port });
        let info = |docker: Docker| async move { docker.info().await };
        let outcome = client.again_within(Duration::from_secs(1), info).await;
        assert_eq!(outcome.unwrap_err(), Failure::Lost("no answer within 1 seconds".to_owned()));
        daemon.abort();
    }
}
