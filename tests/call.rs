//! The command, as somebody calls it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use wharf_model::{Event, EventKind, Outcome};

/// A call that hasn't ended after this time hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was called, for messages.
    pub what: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Checks the exit code.
    ///
    /// # Panics
    /// It is another one.
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The events that it wrote with `--json`: every line must be one.
    ///
    /// # Panics
    /// A line is something else.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: not an event: {error}: {line}", self.what))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The one document that it wrote with `--json`.
    ///
    /// # Panics
    /// It wrote something else.
    #[must_use]
    pub fn document<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not the document: {error}\n{self}"))
    }

    /// How the run ended: the last event.
    ///
    /// # Panics
    /// The last event isn't an end.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.events().pop().map(|event| event.kind) {
            Some(EventKind::Ended(outcome)) => outcome,
            other => panic!("the last event is {other:?}, not the end\n{self}"),
        }
    }

    /// The run that it was about.
    ///
    /// # Panics
    /// There was no event.
    #[must_use]
    pub fn run(&self) -> String {
        let events = self.events();
        events.first().unwrap_or_else(|| panic!("no event\n{self}")).run.clone()
    }

    /// The recipe's lines, each with its number.
    #[must_use]
    pub fn log(&self) -> Vec<(u64, String)> {
        let line = |event: Event| match event.kind {
            EventKind::Log { line, text, .. } => Some((line, text)),
            _ => None,
        };
        self.events().into_iter().filter_map(line).collect()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The ends are what matters, and a log may be long.
        let end = |text: &str| {
            let from = text.len().saturating_sub(4000);
            text[text.ceil_char_boundary(from)..].to_owned()
        };
        write!(
            f,
            "{}\nexit code: {:?}\nstdout:\n{}\nstderr:\n{}",
            self.what,
            self.code,
            end(&self.stdout),
            end(&self.stderr)
        )
    }
}

/// A call that goes on.
#[derive(Debug)]
pub struct Started {
    what: String,
    child: Child,
    lines: Receiver<String>,
    seen: String,
    stderr: Option<JoinHandle<String>>,
}

impl Started {
    /// Starts a command.
    ///
    /// # Panics
    /// It can't be started.
    #[must_use]
    pub fn new(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what} can't be started: {error}"));
        let (sender, lines) = channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                // A test that has seen enough drops the receiver, and with this thread the pipe goes.
                if line.map(|line| sender.send(line).is_err()).unwrap_or(true) {
                    return;
                }
            }
        });
        let stderr = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stderr.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        Self { what, child, lines, seen: String::new(), stderr }
    }

    /// The next line of its standard output; none when there are no more.
    ///
    /// # Panics
    /// None comes.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push_str(&line);
                self.seen.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing more; it said:\n{}", self.what, self.seen),
        }
    }

    /// Reads events until one is meant.
    ///
    /// # Panics
    /// The call ends before, or writes something else.
    pub fn until(&mut self, meant: impl Fn(&Event) -> bool) -> Event {
        while let Some(line) = self.line() {
            let event: Event = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{}: not an event: {error}: {line}", self.what));
            if meant(&event) {
                return event;
            }
        }
        panic!("{} ended before that; it said:\n{}", self.what, self.seen)
    }

    /// Reads events until the recipe has written this line. Returns the run.
    pub fn until_log(&mut self, wanted: &str) -> String {
        self.until(|event| matches!(&event.kind, EventKind::Log { text, .. } if text == wanted)).run
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It is gone already.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, signal));
        assert!(matches!(sent, Some(Ok(()))), "{} can't be sent a signal", self.what);
    }

    /// How many bytes its process has had in memory at the most; `None` once it has ended.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes << 10)
    }

    /// Stops reading what it says, as `head` does.
    pub fn close_stdout(&mut self) {
        let (_, none) = channel();
        self.lines = none;
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It doesn't end.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let started = Instant::now();
        while self.line().is_some() {}
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                _ if started.elapsed() > PATIENCE => panic!("{} doesn't end; it said:\n{}", self.what, self.seen),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Finished {
            what: std::mem::take(&mut self.what),
            code: status.code(),
            stdout: std::mem::take(&mut self.seen),
            stderr,
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // What a failed test leaves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
