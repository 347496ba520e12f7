//! The connection to a daemon, and what its failures mean.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::sync::OnceCell;
use wharf_images::ImageError;
use wharf_model::launch::BackendError;

use crate::address::Address;

/// How long the daemon may take to say its version.
const GREETING: Duration = Duration::from_secs(20);
/// How long the daemon may take to begin an answer. It creates containers one after the other, a few a second.
const ANSWER: Duration = Duration::from_secs(120);
/// How long it may take to begin the answer to a build, an import or a pull: it begins when there is something to say,
/// and whoever waits can go away at any time.
const LONG_ANSWER: Duration = Duration::from_secs(24 * 3600);
/// Pauses before a request whose answer was lost is sent again.
const AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// A daemon, dialled at the first request.
pub(crate) struct Client {
    address: Address,
    docker: OnceCell<Docker>,
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
    pub(crate) fn new(address: Address) -> Self {
        Self { address, docker: OnceCell::new() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The daemon, for requests that it answers at once.
    pub(crate) async fn docker(&self) -> Answer<Docker> {
        self.docker.get_or_try_init(|| self.dial()).await.cloned()
    }

    /// The daemon, for requests whose answer begins when their work does.
    pub(crate) async fn patient(&self) -> Answer<Docker> {
        Ok(self.docker().await?.with_timeout(LONG_ANSWER))
    }

    async fn dial(&self) -> Answer<Docker> {
        let Address::Unix(path) = &self.address;
        let docker = Docker::connect_with_unix(&path.to_string_lossy(), GREETING.as_secs(), API_DEFAULT_VERSION)
            .map_err(|error| self.failure(error))?;
        // Older daemons refuse a version that they don't know.
        let docker = docker.negotiate_version().await.map_err(|error| self.failure(error))?;
        // The client library agrees on a version and then leaves it out of what it sends, so that each daemon would
        // answer as its own newest version does.
        let version = docker.client_version();
        Ok(docker.with_timeout(ANSWER).with_request_modifier(move |mut request| {
            if let Ok(versioned) = with_version(&request.uri().to_string(), version).parse() {
                *request.uri_mut() = versioned;
            }
            request
        }))
    }

    /// Sends a request that may be sent twice, again when its answer was lost.
    pub(crate) async fn again<T, F>(&self, request: impl Fn(Docker) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let mut pauses = AGAIN.into_iter();
        loop {
            let outcome = request(self.docker().await?).await.map_err(|error| self.failure(error));
            match (outcome, pauses.next()) {
                (Err(Failure::Lost(reason)), Some(pause)) => {
                    tracing::debug!(address = %self.address, reason, "the answer was lost; asking again");
                    tokio::time::sleep(pause).await;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// What an error of the client library means.
    pub(crate) fn failure(&self, error: bollard::errors::Error) -> Failure {
        use bollard::errors::Error;
        let Address::Unix(socket) = &self.address;
        match error {
            Error::DockerResponseServerError { status_code, message } => Failure::Said(status_code, message),
            // Words in the middle of an answer that had begun well.
            Error::DockerStreamError { error } => Failure::Said(0, error),
            Error::SocketNotFoundError(_) => down(socket, io::ErrorKind::NotFound),
            Error::RequestTimeoutError => Failure::Lost("no answer in time".to_owned()),
            Error::IOError { err } => broken(socket, &err),
            error => broken(socket, &error),
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

/// `unix://SOCKET/v1.41/containers/json`, from the same without a version.
fn with_version(uri: &str, version: ClientVersion) -> String {
    let authority = uri.find("://").map_or(0, |at| at + 3);
    let path = uri[authority..].find('/').map_or(uri.len(), |at| authority + at);
    let (start, path) = uri.split_at(path);
    let prefix = format!("/v{version}");
    if path.starts_with(&format!("{prefix}/")) { uri.to_owned() } else { format!("{start}{prefix}{path}") }
}

/// Says why a socket can't be used, and what to do.
fn down(socket: &Path, kind: io::ErrorKind) -> Failure {
    let socket = socket.display();
    Failure::Down(match kind {
        io::ErrorKind::NotFound => format!("there is no socket {socket}: is dockerd installed and running?"),
        io::ErrorKind::ConnectionRefused => format!("nothing listens on {socket}: is dockerd running?"),
        _ => format!(
            "this user may not use {socket}: ask an administrator to add you to the group docker (`usermod -aG docker \
             USER`), and log in again"
        ),
    })
}

/// Whether a connection was never made, or broke.
fn broken(socket: &Path, error: &(dyn StdError + 'static)) -> Failure {
    match io_kind(error) {
        Some(kind @ (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied)) => {
            down(socket, kind)
        }
        _ => Failure::Lost(innermost(error)),
    }
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

fn innermost(error: &dyn StdError) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the connection broke: {innermost}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new(Address::parse("unix:///run/d.sock").unwrap())
    }

    #[test]
    fn a_request_names_the_version() {
        let version = ClientVersion { major_version: 1, minor_version: 41 };
        let expected = "unix://2f72/v1.41/containers/json?all=true";
        assert_eq!(with_version("unix://2f72/containers/json?all=true", version), expected);
        assert_eq!(with_version(expected, version), expected);
    }

    #[test]
    fn each_way_to_be_down_says_what_to_do() {
        let client = client();
        let reason = |kind: io::ErrorKind| match client.failure(io::Error::from(kind).into()) {
            Failure::Down(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason(io::ErrorKind::NotFound).contains("no socket /run/d.sock"));
        assert!(reason(io::ErrorKind::ConnectionRefused).contains("is dockerd running?"));
        assert!(reason(io::ErrorKind::PermissionDenied).contains("group docker"));
        assert!(matches!(client.failure(io::Error::from(io::ErrorKind::BrokenPipe).into()), Failure::Lost(_)));
        assert!(matches!(client.failure(bollard::errors::Error::RequestTimeoutError), Failure::Lost(_)));
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_found_out_at_the_first_request() {
        let folder = std::env::temp_dir().join(format!("wharf-no-daemon-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("d.sock");
        let client = Client::new(Address::Unix(socket.clone()));
        let Err(Failure::Down(reason)) = client.docker().await else { panic!() };
        assert!(reason.contains("there is no socket"), "{reason}");
        // A socket that nobody listens on: what a dead daemon leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let Err(Failure::Down(reason)) = client.docker().await else { panic!() };
        assert!(reason.contains("nothing listens on"), "{reason}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
