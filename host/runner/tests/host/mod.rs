//! A host as small as it can be: an exchange, a file store, and the real runner started as a plain process.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use wharf_exchange::{
    DatasetStore, Exchange, FileStore, LogFile, LogReader, Session, SessionEvent, SessionSink, SessionSpec, Ticket,
    TlsIdentity, Token,
};
use wharf_model::configuration::LogSettings;
use wharf_model::outcome::LogState;
use wharf_model::protocol::frame::{Frame, FrameRef};
use wharf_model::protocol::{Context, RunnerResult, Stream, Task, TaskFile};
use wharf_model::{Binding, BindingKind, Place, SecretValue};

#[derive(Default)]
pub(crate) struct Sink {
    events: Mutex<Vec<SessionEvent>>,
}

impl SessionSink for Sink {
    fn event(&self, event: SessionEvent) {
        self.events.lock().unwrap().push(event);
    }
}

impl Sink {
    pub(crate) fn result(&self) -> Option<RunnerResult> {
        self.events.lock().unwrap().iter().find_map(|event| match event {
            SessionEvent::Result(result) => Some(result.clone()),
            _ => None,
        })
    }

    pub(crate) fn logged(&self) -> Vec<Frame> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|event| match event {
                SessionEvent::Logs(frames) => Some(frames.iter().map(FrameRef::to_frame)),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub(crate) fn saw(&self, wanted: impl Fn(&SessionEvent) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(wanted)
    }
}

pub(crate) struct Host {
    pub(crate) exchange: Exchange,
    pub(crate) store: Arc<FileStore>,
    pub(crate) folder: TempDir,
    pub(crate) secrets: BTreeMap<String, SecretValue>,
    inputs: Vec<Binding>,
    outputs: Vec<Binding>,
}

pub(crate) struct Run {
    pub(crate) session: Session,
    pub(crate) sink: Arc<Sink>,
    pub(crate) runner: Child,
    pub(crate) log: PathBuf,
}

pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) result: Option<RunnerResult>,
    pub(crate) log_state: Option<LogState>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) log: PathBuf,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = TlsIdentity::generate().unwrap();
        let exchange = Exchange::bind("127.0.0.1:0".parse().unwrap(), &identity).await.unwrap();
        let store = Arc::new(FileStore::open(folder.path().join("state")).unwrap());
        Self { exchange, store, folder, secrets: BTreeMap::new(), inputs: Vec::new(), outputs: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn input(&mut self, name: &str, file: &str) -> PathBuf {
        let (binding, path) = self.binding(name, file);
        self.inputs.push(binding);
        path
    }

    pub(crate) fn output(&mut self, name: &str, file: &str) -> PathBuf {
        let (binding, path) = self.binding(name, file);
        self.outputs.push(binding);
        path
    }

    fn binding(&self, name: &str, file: &str) -> (Binding, PathBuf) {
        let path = self.path(file);
        let kind = if file.contains('.') { BindingKind::Dataset } else { BindingKind::Folder };
        let place = Place { path: path.clone() };
        (Binding { name: name.to_owned(), role: "main".to_owned(), kind, place }, path)
    }

    pub(crate) fn start(&self, argv: &[&str]) -> Run {
        let ticket = Ticket::generate().unwrap();
        let address = self.exchange.local_addr();
        self.start_as(argv, &ticket, &ticket.to_hex(), self.exchange.fingerprint(), address)
    }

    pub(crate) fn start_through(&self, argv: &[&str], address: SocketAddr) -> Run {
        let ticket = Ticket::generate().unwrap();
        self.start_as(argv, &ticket, &ticket.to_hex(), self.exchange.fingerprint(), address)
    }

    pub(crate) fn start_as(
        &self,
        argv: &[&str],
        good: &Ticket,
        shown: &str,
        fingerprint: &str,
        exchange: impl Display,
    ) -> Run {
        let sink = Arc::new(Sink::default());
        let log = self.path(&format!("{}.log", &good.to_hex()[..8]));
        let session = self.exchange.open(self.spec(argv, good, &sink, &log));
        let runner = self.runner(shown, fingerprint, exchange);
        Run { session, sink, runner, log }
    }

    /// Starts a runner, whether a session waits for it or not.
    pub(crate) fn runner(&self, ticket: &str, fingerprint: &str, exchange: impl Display) -> Child {
        Command::new(env!("CARGO_BIN_EXE_wharf-runner"))
            .arg("run")
            .env("WHARF_EXCHANGE", exchange.to_string())
            .env("WHARF_FINGERPRINT", fingerprint)
            .env("WHARF_TICKET", ticket)
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) fn spec(&self, argv: &[&str], ticket: &Ticket, sink: &Arc<Sink>, log: &Path) -> SessionSpec {
        let runner = env!("CARGO_BIN_EXE_wharf-runner");
        SessionSpec {
            run: "r1".to_owned(),
            attempt: 1,
            ticket_sha256: ticket.sha256(),
            task: Ok(Task {
                run: "r1".to_owned(),
                attempt: 1,
                argv: argv.iter().map(|&word| word.to_owned()).collect(),
                env: BTreeMap::from([("RUNNER".to_owned(), runner.to_owned())]),
                secrets: self.secrets.clone(),
                files: vec![TaskFile {
                    path: "bin/hello".to_owned(),
                    base64: "IyEvYmluL3NoCmVjaG8gaGVsbG8gIiQxIgo=".to_owned(),
                    executable: true,
                }],
                context: Context { run: "r1".to_owned(), project: "P".to_owned(), ..Context::default() },
                heartbeat_seconds: 1,
                grace_seconds: 1,
                logs: LogSettings::default(),
            }),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            store: Arc::clone(&self.store) as Arc<dyn DatasetStore>,
            output_limit: None,
            log: LogFile::open(log).unwrap(),
            sink: Arc::clone(sink) as Arc<dyn SessionSink>,
        }
    }

    pub(crate) fn token(&self) -> Token {
        Token::new("r1", 1)
    }

    /// Runs a shell script as the recipe.
    pub(crate) async fn sh(&self, script: &str) -> Finished {
        self.start(&["sh", "-c", script]).finish().await
    }
}

impl Run {
    pub(crate) async fn finish(self) -> Finished {
        let Self { session, sink, runner, log } = self;
        let output = tokio::time::timeout(Duration::from_secs(60), runner.wait_with_output());
        let Output { status, stderr, .. } = output.await.expect("the runner ends").unwrap();
        let result = sink.result();
        let log_state = result.as_ref().map(|result| session.log_state(result));
        session.close().await;
        let stderr = String::from_utf8(stderr).unwrap();
        Finished { code: status.code(), stderr, result, log_state, sink, log }
    }
}

impl Finished {
    /// The lines of one stream, from the kept log.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<String> {
        let frames = LogReader::open(&self.log, 0).unwrap().map(Result::unwrap);
        frames.filter(|frame| frame.stream == stream).map(|frame| String::from_utf8(frame.bytes).unwrap()).collect()
    }

    pub(crate) fn stdout(&self) -> String {
        self.lines(Stream::Stdout).join("\n")
    }

    pub(crate) fn errors(&self) -> String {
        self.lines(Stream::Stderr).join("\n")
    }

    /// All is as it should be, but for how the recipe itself ended.
    pub(crate) fn is_whole(&self) -> bool {
        let frames = self.sink.logged();
        matches!(self.log_state, Some(LogState::Complete { lines, .. }) if lines == frames.len() as u64)
            && frames.iter().enumerate().all(|(at, frame)| frame.seq == at as u64)
    }
}
