//! A proxy that cuts, delays, keeps silent and lies: between the host and a daemon, or between a container and the host.

use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before the daemon has seen it.
    CutBefore,
    /// The daemon does it, and the connection is closed when its answer begins.
    CutAfter,
    /// The connection is closed after so many bytes of the answer.
    CutInAnswer(usize),
    /// It is passed on after this time.
    Delay(Duration),
    /// It is passed on, and nothing comes back, on a connection that stays open.
    Silence,
    /// Once nothing has gone either way for this time, nothing does any more, and the connection stays open.
    SilenceWhenIdle(Duration),
    /// The daemon does it, and the client is told 500.
    ServerError,
    /// In the answer, the first text is replaced by the second, which has the same length.
    Rewrite(String, String),
}

/// A request as it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, ...
    pub method: String,
    /// The path, with its query.
    pub path: String,
}

impl Request {
    fn is(&self, method: &str, part: &str) -> bool {
        (method.is_empty() || self.method == method) && self.path.contains(part)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Which requests a fault is for.
struct Rule {
    method: String,
    part: String,
    /// Of the requests that are meant, which ones, from 0.
    which: Range<usize>,
    fault: Fault,
    met: usize,
}

/// Where something listens.
#[derive(Clone, Debug)]
enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

#[derive(Default)]
struct Seen {
    rules: Vec<Rule>,
    requests: Vec<Request>,
    faults: usize,
    connections: usize,
}

struct State {
    to: Place,
    seen: Mutex<Seen>,
    /// Each number ends the connections that were made under an earlier one.
    era: watch::Sender<u64>,
    /// While it is set, nothing passes on any connection, old or new.
    silent: watch::Sender<bool>,
    /// Connections with a smaller number pass nothing more.
    forgotten: AtomicUsize,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    state: Arc<State>,
    place: Place,
    accepting: Mutex<Option<JoinHandle<()>>>,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

impl Proxy {
    /// A Unix socket in front of a Unix socket.
    ///
    /// # Panics
    /// It can't listen.
    #[must_use]
    pub fn unix(to: impl Into<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let place = Place::Unix(folder.path().join("proxy.sock"));
        Self::start(place, Place::Unix(to.into()), folder)
    }

    /// A TCP port of `listen` in front of another one.
    ///
    /// # Panics
    /// It can't listen.
    #[must_use]
    pub fn tcp(listen: SocketAddr, to: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::start(Place::Tcp(listen), Place::Tcp(to), folder)
    }

    fn start(place: Place, to: Place, folder: TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let state = Arc::new(State {
            to,
            seen: Mutex::default(),
            era: watch::Sender::default(),
            silent: watch::Sender::default(),
            forgotten: AtomicUsize::default(),
        });
        let mut proxy = Self { state, place, accepting: Mutex::default(), runtime: Some(runtime), _folder: folder };
        // A port that the system chose is kept.
        proxy.place = proxy.listen();
        proxy
    }

    /// The address, as an execution configuration names a daemon's.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.place {
            Place::Unix(path) => format!("unix://{}", path.display()),
            Place::Tcp(address) => format!("tcp://{address}"),
        }
    }

    /// The TCP port that it listens on; 0 for a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Unix(_) => 0,
            Place::Tcp(address) => address.port(),
        }
    }

    /// Requests with this method and this part in their path meet a fault: those of them that `which` counts, from 0. Of
    /// several faults for one request, the first that was said counts.
    pub fn fault(&self, method: &str, part: &str, which: Range<usize>, fault: Fault) {
        let rule = Rule { method: method.to_owned(), part: part.to_owned(), which, fault, met: 0 };
        self.state.seen().rules.push(rule);
    }

    /// The requests with this method (any, if empty) and this part in their path so far.
    #[must_use]
    pub fn requests(&self, method: &str, part: &str) -> Vec<Request> {
        self.state.seen().requests.iter().filter(|request| request.is(method, part)).cloned().collect()
    }

    /// How many requests have met a fault: a test in which none did shows nothing.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.state.seen().faults
    }

    /// How many connections were made through it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.seen().connections
    }

    /// Closes all connections. New ones are welcome.
    pub fn cut(&self) {
        self.state.era.send_modify(|era| *era += 1);
    }

    /// Passes nothing more on, and closes nothing, until it is told otherwise.
    pub fn silent(&self, silent: bool) {
        self.state.silent.send_replace(silent);
    }

    /// Passes nothing more on the connections that there are, and closes none: they were forgotten on the way. New ones are
    /// welcome.
    pub fn forget(&self) {
        self.state.forgotten.store(self.connections(), Ordering::SeqCst);
    }

    /// Closes all connections and refuses new ones.
    pub fn away(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(accepting), Some(runtime)) = (accepting, &self.runtime) {
            accepting.abort();
            // The port is free only when the listener is gone.
            let _ = runtime.block_on(accepting);
        }
        self.cut();
    }

    /// Takes connections again.
    pub fn back(&self) {
        let _ = self.listen();
    }

    fn listen(&self) -> Place {
        let runtime = self.runtime.as_ref().expect("the runtime lives as long as the proxy");
        let state = Arc::clone(&self.state);
        let fail = |error: io::Error| -> ! { panic!("the proxy can't listen at {:?}: {error}", self.place) };
        let (place, task) = runtime.block_on(async {
            match &self.place {
                Place::Unix(path) => {
                    // What the listener before left.
                    let _ = std::fs::remove_file(path);
                    let listener = UnixListener::bind(path).unwrap_or_else(|error| fail(error));
                    (self.place.clone(), tokio::spawn(accept_unix(listener, state)))
                }
                Place::Tcp(address) => {
                    let listener = TcpListener::bind(address).await.unwrap_or_else(|error| fail(error));
                    let place = Place::Tcp(listener.local_addr().unwrap_or_else(|error| fail(error)));
                    (place, tokio::spawn(accept_tcp(listener, state)))
                }
            }
        });
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        place
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, and says what happens to it.
    fn judge(&self, request: Request) -> Option<Fault> {
        let mut seen = self.seen();
        let mut meets = None;
        for rule in &mut seen.rules {
            if request.is(&rule.method, &rule.part) {
                let number = rule.met;
                rule.met += 1;
                if meets.is_none() && rule.which.contains(&number) {
                    meets = Some(rule.fault.clone());
                }
            }
        }
        seen.faults += usize::from(meets.is_some());
        seen.requests.push(request);
        meets
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

async fn accept_unix(listener: UnixListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connection(client, Arc::clone(&state)));
    }
}

async fn accept_tcp(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        tokio::spawn(connection(client, Arc::clone(&state)));
    }
}

async fn connection(client: impl Duplex, state: Arc<State>) {
    let number = {
        let mut seen = state.seen();
        seen.connections += 1;
        seen.connections - 1
    };
    let mut era = state.era.subscribe();
    tokio::select! {
        _ = era.changed() => {}
        _ = forward(client, &state, number) => {}
    }
}

/// Waits for as long as the proxy is silent; for ever, when the connection is forgotten.
async fn aloud(state: &State, number: usize) {
    let mut silent = state.silent.subscribe();
    let _ = silent.wait_for(|silent| !silent).await;
    if number < state.forgotten.load(Ordering::SeqCst) {
        pending::<()>().await;
    }
}

/// Passes bytes both ways, and does to each request what is meant for it.
async fn forward(mut client: impl Duplex, state: &State, number: usize) -> io::Result<()> {
    let mut daemon: Box<dyn Duplex> = match &state.to {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Place::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            let _ = stream.set_nodelay(true);
            Box::new(stream)
        }
    };
    let (mut from_client, mut from_daemon) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    // Of the request under way: the fault it meets, how much was answered, and when something passed last.
    let mut fault = None;
    let mut answered = 0;
    let mut begins = true;
    let mut upgraded = false;
    let mut passed = Instant::now();
    let mut client_open = true;
    loop {
        let idle = match &fault {
            Some(Fault::SilenceWhenIdle(time)) => Some(passed + *time),
            _ => None,
        };
        tokio::select! {
            read = client.read(&mut from_client), if client_open => {
                let length = read?;
                aloud(state, number).await;
                passed = Instant::now();
                if length == 0 {
                    client_open = false;
                    daemon.shutdown().await?;
                    continue;
                }
                let bytes = &from_client[..length];
                // The client sends the next request when it has the answer to the one before, and its head at once.
                if (begins || answered > 0) && !upgraded && let Some(request) = first_line(bytes) {
                    fault = state.judge(request);
                    (begins, answered) = (false, 0);
                    match &fault {
                        Some(Fault::CutBefore) => return Ok(()),
                        Some(Fault::Delay(time)) => sleep(*time).await,
                        _ => {}
                    }
                }
                daemon.write_all(bytes).await?;
                daemon.flush().await?;
                if fault == Some(Fault::Silence) {
                    // The rest of the request is passed on too, or else the daemon would never do it.
                    let _ = timeout(Duration::from_millis(500), tokio::io::copy(&mut client, &mut daemon)).await;
                    pending::<()>().await;
                }
            }
            read = daemon.read(&mut from_daemon) => {
                let length = read?;
                aloud(state, number).await;
                passed = Instant::now();
                if length == 0 {
                    return client.shutdown().await;
                }
                let bytes = &mut from_daemon[..length];
                if answered == 0 {
                    upgraded = bytes.starts_with(b"HTTP/1.1 101");
                }
                match &fault {
                    Some(Fault::CutAfter) => return Ok(()),
                    Some(Fault::CutInAnswer(limit)) if answered + length >= *limit => {
                        client.write_all(&bytes[..limit.saturating_sub(answered)]).await?;
                        return client.flush().await;
                    }
                    Some(Fault::ServerError) => {
                        let body = r#"{"message":"something went wrong on the way"}"#;
                        let head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close";
                        let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                        client.write_all(answer.as_bytes()).await?;
                        return client.shutdown().await;
                    }
                    Some(Fault::Rewrite(from, to)) => rewrite(bytes, from.as_bytes(), to.as_bytes()),
                    _ => {}
                }
                answered += length;
                client.write_all(bytes).await?;
                client.flush().await?;
            }
            () = until(idle) => pending::<()>().await,
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

/// The request that these bytes begin with.
fn first_line(bytes: &[u8]) -> Option<Request> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = line.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    let known = matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE");
    (known && version.starts_with("HTTP/1.")).then(|| Request { method: method.to_owned(), path: path.to_owned() })
}

fn rewrite(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len(), "an answer keeps its length");
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + from.len()].copy_from_slice(to);
            at += from.len();
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net as blocking;

    use super::*;

    /// A server that answers each request with its own first line, and a proxy before it.
    fn echo() -> (Proxy, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("echo.sock");
        let listener = blocking::UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = client.read(&mut bytes) {
                        let request = first_line(&bytes[..length]).unwrap().to_string();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{request}", request.len());
                        if client.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (Proxy::unix(socket), folder)
    }

    fn connect(proxy: &Proxy) -> blocking::UnixStream {
        let Place::Unix(path) = &proxy.place else { unreachable!("it is a Unix socket") };
        let stream = blocking::UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// A connection on which half a second without an answer is silence.
    fn impatient(proxy: &Proxy) -> blocking::UnixStream {
        let stream = connect(proxy);
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream
    }

    /// Sends a request; what came back, or why nothing did.
    fn ask(stream: &mut blocking::UnixStream, path: &str) -> Result<String, io::ErrorKind> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: d\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.kind())?;
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).map_err(|error| error.kind())?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[test]
    fn each_fault_is_what_it_says() {
        let (proxy, _folder) = echo();
        for (path, fault) in [
            ("/before", Fault::CutBefore),
            ("/after", Fault::CutAfter),
            ("/in", Fault::CutInAnswer(20)),
            ("/late", Fault::Delay(Duration::from_millis(200))),
            ("/silent", Fault::Silence),
            ("/error", Fault::ServerError),
            ("/other", Fault::Rewrite("GET".to_owned(), "PUT".to_owned())),
        ] {
            proxy.fault("GET", path, 0..1, fault);
        }
        let once = |path: &str| ask(&mut connect(&proxy), path);
        assert_eq!(once("/before"), Ok(String::new()));
        assert_eq!(once("/after"), Ok(String::new()));
        assert_eq!(once("/in"), Ok("HTTP/1.1 200 OK\r\nCon".to_owned()));
        let begun = Instant::now();
        assert!(once("/late").unwrap().ends_with("GET /late"));
        assert!(begun.elapsed() >= Duration::from_millis(200));
        assert_eq!(ask(&mut impatient(&proxy), "/silent"), Err(io::ErrorKind::WouldBlock));
        assert!(once("/error").unwrap().starts_with("HTTP/1.1 500 "));
        assert!(once("/other").unwrap().ends_with("PUT /other"));
        assert_eq!((proxy.faults(), proxy.requests("GET", "/").len()), (7, 7));
        // Each was for the first such request alone.
        assert!(once("/before").unwrap().ends_with("GET /before"));
        assert_eq!(proxy.faults(), 7);
    }

    #[test]
    fn requests_on_one_connection_are_told_apart() {
        let (proxy, _folder) = echo();
        proxy.fault("GET", "/b", 1..2, Fault::CutBefore);
        let mut stream = connect(&proxy);
        for path in ["/a", "/b", "/c"] {
            assert!(ask(&mut stream, path).unwrap().ends_with(path));
        }
        assert_eq!(ask(&mut stream, "/b"), Ok(String::new()));
        assert_eq!((proxy.connections(), proxy.requests("GET", "").len()), (1, 4));
    }

    #[test]
    fn an_idle_connection_falls_silent() {
        let (proxy, _folder) = echo();
        proxy.fault("GET", "/", 0..usize::MAX, Fault::SilenceWhenIdle(Duration::from_secs(1)));
        let mut stream = impatient(&proxy);
        assert!(ask(&mut stream, "/a").is_ok());
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(ask(&mut stream, "/a"), Err(io::ErrorKind::WouldBlock));
    }

    #[test]
    fn it_goes_away_and_comes_back() {
        let (proxy, _folder) = echo();
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream, "/a").is_ok());
        proxy.away();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let Place::Unix(path) = &proxy.place else { unreachable!("it is a Unix socket") };
        assert_eq!(blocking::UnixStream::connect(path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        proxy.back();
        assert!(ask(&mut connect(&proxy), "/a").is_ok());
        proxy.silent(true);
        assert_eq!(ask(&mut impatient(&proxy), "/a"), Err(io::ErrorKind::WouldBlock));
        proxy.silent(false);
        let mut stream = impatient(&proxy);
        assert!(ask(&mut stream, "/a").is_ok());
        proxy.forget();
        assert_eq!(ask(&mut stream, "/a"), Err(io::ErrorKind::WouldBlock));
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream, "/a").is_ok());
        proxy.cut();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}
