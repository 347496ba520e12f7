//! The events and log lines of a run, from the record and then as they come.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wharf_exchange::LogReader;
use wharf_model::configuration::{LogSettings, WhenFull};
use wharf_model::outcome::LogState;
use wharf_model::protocol::frame::CONTINUES;
use wharf_model::quantity::describe_bytes;
use wharf_model::{Event, EventKind, Fault, Outcome, Phase};

use crate::conclude::sentence_of;
use crate::host::{Inner, store_fault};
use crate::message::Reply;

/// Events that are read from the store at once.
const EVENTS: u32 = 256;
/// Log lines that are read from the file at once.
const LINES: usize = 1024;
/// Bytes of them, from which on they are fewer: a line may have 4 MiB.
const BYTES: usize = 1 << 20;

/// Follows a run. A slow reader slows nobody else: everything comes from the record and the log file, at its own pace.
pub(crate) fn follow(host: Arc<Inner>, run: String, after: u64, follow: bool) -> BoxStream<'static, Reply> {
    // By batches, so that what waits for a slow reader is bounded in bytes.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let last = match Follower::new(host, run, after).run(follow, &sender).await {
            Ok(()) => Reply::End,
            Err(Stop::Fault(fault)) => Reply::Fault(fault),
            Err(Stop::Gone) => return,
        };
        let _ = sender.send(vec![last]).await;
    });
    ReceiverStream::new(receiver).flat_map(futures_util::stream::iter).boxed()
}

enum Stop {
    Fault(Fault),
    /// Nobody listens any more.
    Gone,
}

struct Follower {
    host: Arc<Inner>,
    run: String,
    /// The number of the last event that was told.
    seq: u64,
    log: Option<LogReader>,
    /// The number that the next log line has, unless lines are missing.
    next_line: u64,
}

impl Follower {
    fn new(host: Arc<Inner>, run: String, after: u64) -> Self {
        Self { host, run, seq: after, log: None, next_line: 0 }
    }

    async fn run(mut self, follow: bool, to: &mpsc::Sender<Vec<Reply>>) -> Result<(), Stop> {
        self.host.known(&self.run).map_err(Stop::Fault)?;
        loop {
            // Taken before reading: what comes while we read wakes us again.
            let mut news = self.host.live_run(&self.run).map(|live| live.news.subscribe());
            if self.tell_all(to).await? {
                return Ok(());
            }
            match (&mut news, follow) {
                (Some(news), true) => {
                    // Only lines by the thousand come faster than this.
                    let _ = news.changed().await;
                }
                // It isn't going on in this process, and has no end: what there is has been told.
                _ => return Ok(()),
            }
        }
    }

    /// Tells what is new. True when the run's last event was among it.
    async fn tell_all(&mut self, to: &mpsc::Sender<Vec<Reply>>) -> Result<bool, Stop> {
        loop {
            let events = self
                .host
                .store()
                .events(&self.run, self.seq, EVENTS)
                .map_err(|error| Stop::Fault(store_fault(&error)))?;
            let more = events.len() == EVENTS as usize;
            for event in events {
                let last = matches!(event.kind, EventKind::Ended(_));
                // Log lines come before the event that says that there are no more.
                if last || matches!(event.kind, EventKind::PhaseEnded { phase: Phase::Run, .. }) {
                    self.tell_lines(to).await?;
                }
                if let EventKind::Ended(end) = &event.kind
                    && let Some(gone) = self.removed_log(end, event.at)
                {
                    to.send(vec![gone]).await.map_err(|_| Stop::Gone)?;
                }
                self.seq = event.seq;
                to.send(vec![Reply::Event(Box::new(event))]).await.map_err(|_| Stop::Gone)?;
                if last {
                    return Ok(true);
                }
            }
            if !more {
                self.tell_lines(to).await?;
                return Ok(false);
            }
        }
    }

    async fn tell_lines(&mut self, to: &mpsc::Sender<Vec<Reply>>) -> Result<(), Stop> {
        loop {
            let log = self.log.take();
            let path = self.host.log_path(&self.run);
            // Reading a file blocks.
            let read = tokio::task::spawn_blocking(move || {
                let mut log = match log {
                    Some(log) => log,
                    // Before the launch there is none.
                    None if !path.exists() => return Ok((None, Vec::new(), false)),
                    None => LogReader::open(path, 0)?,
                };
                let (mut lines, mut bytes) = (Vec::new(), 0);
                while lines.len() < LINES && bytes < BYTES {
                    let Some(line) = log.next().transpose()? else { return Ok((Some(log), lines, false)) };
                    bytes += line.bytes.len();
                    lines.push(line);
                }
                Ok::<_, wharf_exchange::LogError>((Some(log), lines, true))
            });
            let (log, lines, more) = match read.await {
                Ok(Ok(read)) => read,
                Ok(Err(error)) => return Err(Stop::Fault(Fault::new("store-damaged", sentence_of(&error)))),
                Err(_) => return Err(Stop::Gone),
            };
            self.log = log;
            let mut replies = Vec::with_capacity(lines.len());
            for line in lines {
                let event =
                    |kind| Reply::Event(Box::new(Event { run: self.run.clone(), seq: self.seq, at: line.at, kind }));
                if line.seq > self.next_line {
                    replies.push(event(EventKind::LogGap {
                        line: self.next_line,
                        missing: line.seq - self.next_line,
                        why: self.why_lines_are_missing(),
                    }));
                }
                replies.push(event(EventKind::Log {
                    line: line.seq,
                    stream: line.stream,
                    // Mostly it is text, which needs no copy then.
                    text: String::from_utf8(line.bytes)
                        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
                    continues: line.flags & CONTINUES != 0,
                }));
                self.next_line = line.seq.saturating_add(1);
            }
            if !replies.is_empty() {
                to.send(replies).await.map_err(|_| Stop::Gone)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// What to say of lines that were here and are no more.
    fn removed_log(&self, end: &Outcome, at: u64) -> Option<Reply> {
        let (Some(LogState::Complete { lines, .. } | LogState::Limited { lines, .. }), None) = (&end.log, &self.log)
        else {
            return None;
        };
        let kind = EventKind::LogGap {
            line: 0,
            missing: *lines,
            why: "the log was removed: `keep_logs` under [history] in wharf.toml says how long logs are kept"
                .to_owned(),
        };
        (*lines > 0).then(|| Reply::Event(Box::new(Event { run: self.run.clone(), seq: self.seq, at, kind })))
    }

    fn why_lines_are_missing(&self) -> String {
        let details = self.host.store().details(&self.run).ok().flatten();
        match details.and_then(|details| details.plan).map(|plan| plan.configuration.logs) {
            Some(LogSettings { spool, when_full: WhenFull::Drop, .. }) => {
                format!("the host was away and the container's spool of {} was full", describe_bytes(spool))
            }
            _ => "the host had received them, and its disk has lost them".to_owned(),
        }
    }
}
