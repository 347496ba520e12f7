//! Hosts of this process, by number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::runtime::{Builder, Runtime};
use wharf::message::{Reply, Request};
use wharf::model::Fault;
use wharf::{Host, HostOptions};

use crate::datasets::{CallerStore, ServeDatasets};
use crate::log::{self, Sink};
use crate::options::{Datasets, Options};
use crate::queue::Queue;
use crate::to_text;

/// How long what still works in the background may take at the end.
const LAST_WORK: Duration = Duration::from_secs(5);

/// A host with threads of its own.
pub(crate) struct Embedded {
    host: Host,
    runtime: Runtime,
    queue: Arc<Queue>,
    log: Sink,
    datasets: Option<Arc<CallerStore>>,
}

/// What can be asked of a host.
pub(crate) enum Message {
    /// Of any host.
    Any(Request),
    /// Of a host in this process alone.
    ServeDatasets,
}

/// What is left of a host while it is being closed: its queue can still be read, and its datasets are still served.
#[derive(Clone)]
pub(crate) struct Closing {
    pub(crate) queue: Arc<Queue>,
    pub(crate) datasets: Option<Arc<CallerStore>>,
}

#[derive(Default)]
struct Hosts {
    last: u64,
    /// None while a host is being closed.
    open: HashMap<u64, (Option<Arc<Embedded>>, Closing)>,
}

fn hosts() -> MutexGuard<'static, Hosts> {
    static HOSTS: OnceLock<Mutex<Hosts>> = OnceLock::new();
    HOSTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Embedded {
    pub(crate) fn open(home: &str, options: Options, log: Sink) -> Result<u64, Fault> {
        let cannot = |error: std::io::Error| {
            Fault::new("host-fault", format!("no threads can be started: {error}"))
                .hint("look at the limits of this process: `ulimit -u`, `ulimit -n`")
        };
        let mut builder = Builder::new_multi_thread();
        builder.enable_all().worker_threads(options.threads).thread_name("wharf");
        if let Some(dispatch) = log.dispatch(options.log_level.into()) {
            builder.on_thread_start(move || log::begin(&dispatch)).on_thread_stop(log::end);
        }
        let runtime = builder.build().map_err(cannot)?;
        let queue = Arc::new(Queue::new().map_err(cannot)?);
        let datasets = (options.datasets == Datasets::Caller).then(|| CallerStore::new(runtime.handle().clone()));
        let settings = HostOptions {
            signals_based_traps: options.signals_based_traps,
            docker_config: options.docker_config,
            datasets: datasets.clone().map(|datasets| datasets as _),
            ..HostOptions::default()
        };
        let home = std::path::PathBuf::from(home);
        // In a thread of the runtime, so that what is said while it opens reaches the log.
        let opened = runtime.block_on(runtime.spawn(async move { Host::open(home, settings).await }));
        let host = match opened {
            Ok(Ok(host)) => host,
            Ok(Err(fault)) => {
                runtime.shutdown_timeout(LAST_WORK);
                log.close();
                return Err(fault);
            }
            Err(error) => return Err(Fault::new("host-fault", format!("the home couldn't be opened: {error}"))),
        };
        let mut hosts = hosts();
        hosts.last += 1;
        let number = hosts.last;
        let closing = Closing { queue: Arc::clone(&queue), datasets: datasets.clone() };
        hosts.open.insert(number, (Some(Arc::new(Self { host, runtime, queue, log, datasets })), closing));
        Ok(number)
    }

    pub(crate) fn find(number: u64) -> Result<Arc<Self>, Fault> {
        let found = hosts().open.get(&number).and_then(|(host, _)| host.clone());
        found.ok_or_else(|| {
            Fault::new("host-closed", format!("there is no host {number} in this process, or it was closed"))
                .hint("open the home again: its runs are found")
        })
    }

    pub(crate) fn closing(number: u64) -> Option<Closing> {
        hosts().open.get(&number).map(|(_, closing)| closing.clone())
    }

    /// Starts a call. `tell` gets its number before anything is said.
    pub(crate) fn call(
        &self,
        request: Result<Message, Fault>,
        demand: u32,
        tell: impl FnOnce(u64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (number, demand) = self.queue.begin(demand);
        if let Err(fault) = tell(number) {
            self.queue.cancel(number);
            return Err(fault);
        }
        let queue = Arc::clone(&self.queue);
        let _threads = self.runtime.enter();
        let mut replies = match request {
            Ok(Message::Any(request)) => self.host.call(request),
            Ok(Message::ServeDatasets) => match &self.datasets {
                Some(datasets) => Arc::clone(datasets).serve(),
                None => faulty(
                    Fault::new("usage", "this host has its datasets in files: nobody has to serve them")
                        .hint("open it with the option `\"datasets\": \"caller\"`"),
                ),
            },
            Err(fault) => faulty(fault),
        };
        let task = self.runtime.spawn(async move {
            loop {
                // Asked for before it is taken: what isn't wanted yet stays where it is.
                let Ok(wanted) = demand.acquire().await else { return };
                wanted.forget();
                let reply = replies.next().await.unwrap_or(Reply::End);
                let last = matches!(reply, Reply::End | Reply::Fault(_));
                if !queue.put(number, to_text(&reply), last) || last {
                    return;
                }
            }
        });
        self.queue.works(number, task.abort_handle());
        Ok(())
    }

    /// Gives the home up. True when no run is left; none when there is no such host.
    pub(crate) fn close(number: u64, wait: Option<Duration>) -> Option<bool> {
        let (host, closing) = {
            let mut hosts = hosts();
            let (host, closing) = hosts.open.get_mut(&number)?;
            (host.take()?, closing.clone())
        };
        // Whoever is in the middle of another function has it for a moment more.
        let Self { host, runtime, log, .. } = alone(host);
        let ended = runtime.block_on(async {
            let ending = host.idle();
            match wait {
                None => {
                    ending.await;
                    true
                }
                Some(wait) => tokio::time::timeout(wait, ending).await.is_ok(),
            }
        });
        // What was asked of the caller and isn't answered must not become the outcome of a run.
        if let Some(datasets) = &closing.datasets {
            datasets.close();
        }
        closing.queue.close();
        runtime.block_on(host.leave());
        runtime.shutdown_timeout(LAST_WORK);
        log.close();
        hosts().open.remove(&number);
        Some(ended)
    }
}

impl Message {
    /// Reads a message.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        match serde_json::from_str::<Request>(text) {
            Ok(request) => Ok(Self::Any(request)),
            Err(_) if serde_json::from_str::<ServeDatasets>(text).is_ok() => Ok(Self::ServeDatasets),
            Err(error) => Err(Fault::new("usage", format!("that isn't a message of this version: {error}"))),
        }
    }
}

fn faulty(fault: Fault) -> BoxStream<'static, Reply> {
    futures_util::stream::iter([Reply::Fault(fault)]).boxed()
}

/// Waits until nobody else has it.
fn alone<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(only) => return only,
            Err(still) => {
                shared = still;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
