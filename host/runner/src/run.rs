use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, sleep, sleep_until, timeout};
use wharf_model::protocol::{HeartbeatAck, LogAck, RunnerResult, Started, Stream, Task};

use crate::cgroup::Cgroup;
use crate::link::{Link, LinkError};
use crate::mask::Mask;
use crate::recipe::{Ended, Recipe};
use crate::settings::Settings;
use crate::spool::Spool;
use crate::work_folder::{work_folder, write_files};
use crate::{UNREACHABLE, complain, lines, proxy};

/// How long the host is looked for at the beginning.
const BEGINNING: Duration = Duration::from_secs(60);
/// How long a host may not know our ticket at the beginning.
const DOUBT: Duration = Duration::from_secs(5);
/// The longest pause between two heartbeats.
const HEARTBEAT: u32 = 60;
/// How long sending goes on after the engine has asked the container to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// As a shell says that a command could not be started.
const NOT_STARTED: u8 = 127;

/// Carries a run; returns the container's exit code.
pub(crate) async fn run() -> u8 {
    LocalSet::new().run_until(carry()).await
}

async fn carry() -> u8 {
    // Who runs under the same user must not read the ticket from this process's environment or memory.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let ready = Signals::new().map_err(|error| format!("cannot watch for signals: {error}")).and_then(|signals| {
        let settings = Settings::read(|name| std::env::var(name).ok())?;
        Ok((signals, Link::new(settings)?))
    });
    let (mut signals, link) = match ready {
        Ok(ready) => ready,
        Err(message) => {
            complain(&message);
            return UNREACHABLE;
        }
    };
    let task = tokio::select! {
        task = link.begin("/v1/task", BEGINNING, DOUBT) => task,
        code = signals.end() => return code,
    };
    let task = task.map_err(|error| error.to_string()).and_then(|bytes| {
        serde_json::from_slice::<Task>(&bytes).map_err(|error| format!("the task is not understood: {error}"))
    });
    match task {
        Ok(task) => Run::new(link, task, signals).carry().await,
        Err(message) => {
            complain(&message);
            UNREACHABLE
        }
    }
}

/// What the engine and the kernel tell the container's first process.
struct Signals {
    child: SignalStream,
    terminate: SignalStream,
    interrupt: SignalStream,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when a process of the container has ended, or when the container is asked to end.
    async fn next(&mut self) -> Signaled {
        tokio::select! {
            _ = self.child.recv() => Signaled::Child,
            _ = self.terminate.recv() => Signaled::End,
            _ = self.interrupt.recv() => Signaled::End,
        }
    }

    /// Returns when the container is asked to end, with the exit code that says so.
    async fn end(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signaled {
    Child,
    End,
}

struct Run {
    link: Rc<Link>,
    task: Task,
    signals: Signals,
    cgroup: Rc<Cgroup>,
    spool: Rc<Spool>,
    /// The host asks for the end.
    stop: Rc<Notify>,
    /// The host is away for good.
    lost: Rc<Notify>,
}

impl Run {
    fn new(link: Rc<Link>, task: Task, signals: Signals) -> Self {
        let mask = Mask::of(task.secrets.values());
        Self {
            spool: Rc::new(Spool::new(&task.logs, mask)),
            link,
            task,
            signals,
            cgroup: Rc::new(Cgroup::find()),
            stop: Rc::default(),
            lost: Rc::default(),
        }
    }

    async fn carry(mut self) -> u8 {
        let started =
            Started { version: env!("CARGO_PKG_VERSION").to_owned(), memory_limit: self.cgroup.memory_limit() };
        let told = tokio::select! {
            told = post(&self.link, "/v1/started", &started) => told,
            code = self.signals.end() => return code,
        };
        if let Err(error) = told {
            complain(&error.to_string());
            return UNREACHABLE;
        }
        let shipping = spawn_local(ship(Rc::clone(&self.link), Rc::clone(&self.spool), Rc::clone(&self.lost)));
        let beating = spawn_local(beat(
            Rc::clone(&self.link),
            Rc::clone(&self.cgroup),
            self.task.heartbeat_seconds,
            Rc::clone(&self.stop),
            Rc::clone(&self.lost),
        ));
        let mut result = RunnerResult::default();
        let mut lost = false;
        let code = match self.start() {
            Ok(mut recipe) => {
                let (ended, stopped, was_lost) = self.follow(&mut recipe).await;
                lost = was_lost;
                result.exit_code = ended.exit_code;
                result.signal = ended.signal;
                result.stopped = stopped;
                exit_code(ended)
            }
            Err(message) => {
                self.say(&message);
                // The outcome has it as well, so it is masked as a line is.
                result.start_error = Some(self.spool.masked(&message));
                NOT_STARTED
            }
        };
        beating.abort();
        if lost {
            complain("the host has been away for too long; the recipe was ended");
            return UNREACHABLE;
        }
        // Read after the end: a kill for memory may be what ended it.
        result.usage = self.cgroup.usage();
        self.report(result, shipping, code).await
    }

    fn start(&self) -> Result<Recipe, String> {
        let work = work_folder()?;
        write_files(&work, &self.task.files)?;
        let socket = proxy::listen(Rc::clone(&self.link), self.task.context.clone())?;
        Recipe::start(&self.task, &work, &socket)
    }

    /// Follows the recipe to its end and to the end of its output: how it ended, whether it was stopped, and whether that
    /// was because the host is lost.
    async fn follow(&mut self, recipe: &mut Recipe) -> (Ended, bool, bool) {
        let (end, ended) = watch::channel(false);
        let pipes = [(recipe.stdout.take(), Stream::Stdout), (recipe.stderr.take(), Stream::Stderr)];
        let followers: Vec<JoinHandle<()>> = pipes
            .into_iter()
            .filter_map(|(pipe, stream)| {
                Some(spawn_local(lines::follow(pipe?, stream, Rc::clone(&self.spool), ended.clone())))
            })
            .collect();
        let grace = Duration::from_secs(self.task.grace_seconds.into());
        let mut kill_at: Option<Instant> = None;
        let mut lost = false;
        let how = loop {
            // Before the first wait, too: the signal of a recipe that ended at once may have come before.
            if let Some(how) = recipe.reap() {
                break how;
            }
            let kill = async {
                match kill_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                signaled = self.signals.next() => {
                    if signaled == Signaled::End && kill_at.is_none() {
                        self.say("ending the recipe: the engine asked the container to end");
                        recipe.signal(Signal::TERM);
                        kill_at = Some(Instant::now() + grace);
                    }
                }
                () = kill => {
                    recipe.signal(Signal::KILL);
                    // Again in a while: processes may have been starting others.
                    kill_at = Some(Instant::now() + Duration::from_secs(1));
                }
                () = self.stop.notified(), if kill_at.is_none() => {
                    self.say("ending the recipe: the host asked for it");
                    recipe.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + grace);
                }
                () = self.lost.notified(), if !lost => {
                    lost = true;
                    recipe.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + grace);
                }
            }
        };
        let _ = end.send(true);
        if !lost {
            for follower in followers {
                let _ = follower.await;
            }
        }
        // What it left behind ends with it.
        recipe.signal(Signal::KILL);
        (how, kill_at.is_some(), lost)
    }

    /// Sends what is left of the log, and the result.
    async fn report(mut self, mut result: RunnerResult, shipping: JoinHandle<bool>, code: u8) -> u8 {
        self.spool.close();
        let (link, spool) = (Rc::clone(&self.link), Rc::clone(&self.spool));
        let reporting = async move {
            if !shipping.await.unwrap_or(false) {
                return false;
            }
            let totals = spool.totals();
            result.log_frames = totals.frames;
            result.log_dropped = totals.dropped;
            result.log_bytes = totals.bytes;
            result.log_sha256 = totals.sha256;
            let body = serde_json::to_vec(&result).unwrap_or_default().into();
            match link.conclude("/v1/result", body).await {
                Ok(_) => true,
                // The host had it before, and has closed the run since: its answer was lost.
                Err(LinkError::Ticket(_) | LinkError::Refused(_)) => true,
                Err(error) => {
                    complain(&error.to_string());
                    false
                }
            }
        };
        let asked_to_end = async {
            self.signals.end().await;
            sleep(LAST_WORDS).await;
        };
        let told = tokio::select! {
            told = reporting => told,
            () = asked_to_end => false,
        };
        if !told {
            complain("the result could not be sent to the host");
            return UNREACHABLE;
        }
        code
    }

    fn say(&self, text: &str) {
        self.spool.push_now(Stream::Runner, 0, lines::now(), text.as_bytes());
    }
}

/// Sends log frames until all are acknowledged and no more will come; false when the host is lost before.
async fn ship(link: Rc<Link>, spool: Rc<Spool>, lost: Rc<Notify>) -> bool {
    while let Some(shipment) = spool.shipment().await {
        let path = format!("/v1/logs?base={}", shipment.first);
        let sent = link.persist(&Method::POST, &path, shipment.frames).await;
        match sent.map(|answer| serde_json::from_slice::<LogAck>(&answer)) {
            Ok(Ok(ack)) => spool.acknowledge(ack.next),
            Ok(Err(error)) => {
                complain(&format!("the host's answer to log lines is not understood: {error}"));
                sleep(Duration::from_secs(1)).await;
            }
            Err(error) => {
                complain(&error.to_string());
                lost.notify_one();
                return false;
            }
        }
    }
    true
}

/// Tells the host, again and again, that we are there and what the run uses.
async fn beat(link: Rc<Link>, cgroup: Rc<Cgroup>, every: u32, stop: Rc<Notify>, lost: Rc<Notify>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(every.clamp(1, HEARTBEAT).into()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let usage = serde_json::to_vec(&cgroup.usage()).unwrap_or_default();
        let beat = link.once(&Method::POST, "/v1/heartbeat", usage.into());
        match timeout(Duration::from_secs(20), beat).await {
            Ok(Ok(answer)) if serde_json::from_slice::<HeartbeatAck>(&answer).is_ok_and(|ack| ack.stop) => {
                stop.notify_one();
            }
            // The next one will do, unless there have been none for too long.
            _ if link.is_lost() => {
                lost.notify_one();
                return;
            }
            _ => {}
        }
    }
}

async fn post(link: &Link, path: &str, value: &impl serde::Serialize) -> Result<(), LinkError> {
    let body = serde_json::to_vec(value).map_err(|error| LinkError::Refused(error.to_string()))?;
    link.persist(&Method::POST, path, Bytes::from(body)).await.map(drop)
}

fn exit_code(ended: Ended) -> u8 {
    let code = match (ended.exit_code, ended.signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}
