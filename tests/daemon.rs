//! The daemon's own view, asked without any of the code that is tested.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
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
        Self { socket: socket.into() }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
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
        let socket = self.socket.display();
        let fail = |error: std::io::Error| -> ! { panic!("{method} {path} at {socket} failed: {error}") };
        let body = body.map(Value::to_string).unwrap_or_default();
        // HTTP/1.0: the daemon closes the connection after its answer, and sends no chunks.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut answer = Vec::new();
        let mut ask = || {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())?;
            stream.read_to_end(&mut answer)
        };
        if let Err(error) = ask() {
            fail(error)
        }
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
            panic!("{method} {path} was answered by something else than HTTP: {}", String::from_utf8_lossy(&answer))
        });
        let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), answer.split_off(end + 4))
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

    /// Removes a container, whatever it does.
    pub fn remove(&self, id: &str) {
        // One that is gone is what was wanted.
        let _ = self.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
    }
}
