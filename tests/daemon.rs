//! The daemon's own view, asked without any of the code that is tested.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// A daemon that hasn't answered after this time doesn't.
const PATIENCE: Duration = Duration::from_secs(120);

/// A container as the daemon lists it.
#[derive(Clone, Debug)]
pub struct Container {
    /// The daemon's id.
    pub id: String,
    /// The value of the label `wharf.run`.
    pub run: String,
    /// `running`, `exited`, ...
    pub state: String,
}

/// The Docker daemon that the tests use: the local one, or the one at `WHARF_DOCKER_SOCKET`.
#[derive(Clone, Debug)]
pub struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// The daemon, which must answer.
    ///
    /// # Panics
    /// Nobody answers.
    #[must_use]
    pub fn local() -> Self {
        let socket = std::env::var_os("WHARF_DOCKER_SOCKET").unwrap_or_else(|| "/var/run/docker.sock".into());
        Self::at(socket)
    }

    /// The daemon behind a socket.
    #[must_use]
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.open("GET", "/_ping", "").is_ok_and(|(status, _)| status == 200)
    }

    /// Its address, as an execution configuration names it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Asks it something. Returns the status and the body.
    ///
    /// # Panics
    /// Nobody answers, or the answer isn't HTTP.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Vec<u8>) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = Vec::new();
        let asked = self.open(method, path, &body).and_then(|(status, mut rest)| {
            rest.read_to_end(&mut answer)?;
            Ok(status)
        });
        let socket = self.socket.display();
        (asked.unwrap_or_else(|error| panic!("{method} {path} at {socket} failed: {error}")), answer)
    }

    /// Sends a request. Returns the status and what is still to be read.
    fn open(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, BufReader<UnixStream>)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // HTTP/1.0: the daemon closes the connection after its answer, and sends no chunks.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        answer(stream)
    }

    /// Asks it something that it must do.
    ///
    /// # Panics
    /// It doesn't.
    #[must_use]
    pub fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, body) = self.ask(method, path, body);
        assert!((200..400).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// All containers with this label, running or not.
    #[must_use]
    pub fn containers(&self, label: &str, value: &str) -> Vec<Container> {
        // %7B and so on: {"label":["LABEL=VALUE"]}
        let path = format!("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22{label}%3D{value}%22%5D%7D");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = self.must("GET", &path, None);
        let containers = list.as_array().map(Vec::as_slice).unwrap_or_default();
        containers
            .iter()
            .map(|container| Container {
                id: text(&container["Id"]),
                run: text(&container["Labels"]["wharf.run"]),
                state: text(&container["State"]),
            })
            .collect()
    }

    /// All that the daemon knows of a container.
    #[must_use]
    pub fn inspect(&self, id: &str) -> Value {
        self.must("GET", &format!("/containers/{id}/json"), None)
    }

    /// Hears from now on what happens to containers with this label.
    ///
    /// # Panics
    /// It won't tell.
    #[must_use]
    pub fn watch(&self, label: &str, value: &str) -> Watch {
        let filters = format!(r#"{{"type":["container"],"label":["{label}={value}"]}}"#);
        let filters: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let opened = self.open("GET", &format!("/events?filters={filters}"), "");
        let (status, lines) = opened.unwrap_or_else(|error| panic!("the daemon tells no events: {error}"));
        assert_eq!(status, 200, "the daemon tells no events");
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if sender.send(event["Action"].as_str().unwrap_or_default().to_owned()).is_err() {
                    return;
                }
            }
        });
        Watch { events }
    }

    /// Makes an image with the contents of another one, unless it is there.
    ///
    /// # Panics
    /// It can't be made.
    pub fn commit_image(&self, from: &str, tag: &str) {
        if self.ask("GET", &format!("/images/{tag}/json"), None).0 == 200 {
            return;
        }
        let body = serde_json::json!({ "Image": from, "Cmd": ["true"] });
        let container = self.must("POST", "/containers/create", Some(&body));
        let id = container["Id"].as_str().unwrap_or_default();
        let (repository, version) = tag.rsplit_once(':').unwrap_or((tag, "latest"));
        let _ = self.must("POST", &format!("/commit?container={id}&repo={repository}&tag={version}"), None);
        self.remove(id);
    }

    /// Streams images to another daemon.
    ///
    /// # Panics
    /// One of them doesn't do its part.
    pub fn copy_images(&self, tags: &[String], to: &Self) {
        let names: Vec<String> = tags.iter().map(|tag| format!("names={tag}")).collect();
        let copy = || -> io::Result<(u16, u16, String)> {
            let (saved, mut archive) = self.open("GET", &format!("/images/get?{}", names.join("&")), "")?;
            let mut stream = UnixStream::connect(&to.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(
                b"POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
                  Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            )?;
            let mut piece = vec![0; 1 << 20];
            loop {
                let length = archive.read(&mut piece)?;
                write!(stream, "{length:x}\r\n")?;
                stream.write_all(&piece[..length])?;
                stream.write_all(b"\r\n")?;
                if length == 0 {
                    break;
                }
            }
            let (loaded, mut words) = answer(stream)?;
            let mut text = String::new();
            words.read_to_string(&mut text)?;
            Ok((saved, loaded, text))
        };
        let (saved, loaded, words) = copy().unwrap_or_else(|error| panic!("{tags:?} can't be copied: {error}"));
        assert!(saved == 200 && loaded == 200 && !words.contains("\"error\""), "{tags:?}: {saved}, {loaded} {words}");
    }

    /// Removes a container, whatever it does.
    pub fn remove(&self, id: &str) {
        // One that is gone is what was wanted.
        let _ = self.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
    }
}

/// Reads the head of an answer. Returns its status, and what comes after the head.
fn answer(stream: UnixStream) -> io::Result<(u16, BufReader<UnixStream>)> {
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("{line:?} isn't the beginning of an HTTP answer")))?;
    while !line.trim_end().is_empty() {
        line.clear();
        answer.read_line(&mut line)?;
    }
    Ok((status, answer))
}

/// What a daemon tells of containers.
#[derive(Debug)]
pub struct Watch {
    events: Receiver<String>,
}

impl Watch {
    /// All that happened until a container was gone: `create`, `start`, ... `destroy`.
    ///
    /// # Panics
    /// None goes.
    #[must_use]
    pub fn until_gone(&self) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "destroy") {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => seen.push(event),
                Err(_) => panic!("no container went; this happened: {seen:?}"),
            }
        }
        seen
    }

    /// What has happened meanwhile, and wasn't asked for yet.
    #[must_use]
    pub fn so_far(&self) -> Vec<String> {
        self.events.try_iter().collect()
    }
}
