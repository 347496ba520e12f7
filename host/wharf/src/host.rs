//! A home that this process owns, and the runs in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_components::{ComponentSet, LiveSet};
use wharf_exchange::{Access, DatasetStore, Exchange, FileStore, StoreError as DataError};
use wharf_images::{FileLogins, Logins};
use wharf_model::configuration::{Engine, ExchangeMode};
use wharf_model::launch::{Backend, BackendError};
use wharf_model::protocol::{ATTACH, ATTACH_BY_PORT, ATTACH_PORT};
use wharf_model::{
    Activity, ActivityKind, Binding, Cause, Decision, EventKind, ExecutionConfiguration, Fault, Outcome, Plan,
    UsageEntry,
};

use crate::canary::Trials;
use crate::clock::{Clock, SystemClock};
use crate::conclude::{outcome, sentence_of};
use crate::engines::Engines;
use crate::feed::{EventSink, Feed, Handing};
use crate::gate::{self, GateFiles};
use crate::journal::Journal;
use crate::live::Live;
use crate::message::{Reply, Request};
use crate::opening::{kept, load_components, open_exchange, private_dir, take_lock};
use crate::queue::{Queue, Turns};
use crate::secrets::{SecretFolder, SecretStore};
use crate::server;
use crate::settings::{Home, Site, check_reference};
use crate::store::{Key, Store, StoreError};
use crate::way::{Asked, Step, Way, walk};

/// How long the embedder may take for the last events.
const LAST_EVENTS: std::time::Duration = std::time::Duration::from_secs(5);

/// How a host is set up, besides what the home's own files say.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Whether components' traps may use the signals of the process. Not in a process that needs them for itself, such
    /// as a JVM.
    pub signals_based_traps: bool,
    /// Where the values of secrets are; without one, the files in the home's folder `secrets/`.
    pub secrets: Option<Arc<dyn SecretStore>>,
    /// Docker's own `config.json`, for registries that the home's `registries.json` doesn't have: whose logins `docker login`
    /// keeps. Without one, only the home's file counts.
    pub docker_config: Option<PathBuf>,
    /// Where datasets and folders are; without one, files and folders of this machine
    /// ([`FileStore`](crate::datasets::FileStore)).
    pub datasets: Option<Arc<dyn DatasetStore>>,
    /// What time it is; without one, the machine's own.
    pub clock: Arc<dyn Clock>,
    /// Who gets the events of all runs.
    pub events: Option<Arc<dyn EventSink>>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            signals_based_traps: true,
            secrets: None,
            docker_config: None,
            datasets: None,
            clock: Arc::new(SystemClock),
            events: None,
        }
    }
}

/// The longest key of a submission, in bytes.
const MAX_KEY: usize = 256;

/// A home that this process owns: the library's front door.
///
/// Dropping it leaves its runs to go on in their containers; the next process that opens the home finds them again.
/// [`shutdown`](Self::shutdown) waits for them.
pub struct Host {
    inner: Arc<Inner>,
    server: JoinHandle<()>,
    calls: TaskTracker,
    /// Ends what is remembered for too long.
    history: JoinHandle<()>,
    handing: Option<Handing>,
}

pub(crate) struct Inner {
    home: Home,
    id: String,
    store: Arc<Store>,
    set: LiveSet,
    gate: GateFiles,
    trials: Arc<Trials>,
    exchange: Exchange,
    datasets: Arc<dyn DatasetStore>,
    secrets: Arc<dyn SecretStore>,
    logins: Arc<dyn Logins>,
    engines: Engines,
    live: Mutex<HashMap<String, Arc<Live>>>,
    queue: Arc<Queue>,
    turns: Arc<Turns>,
    runs: TaskTracker,
    /// Ends the work on all runs, as a crash would.
    leaving: CancellationToken,
    /// Held until the shutdown, or for as long as this lives.
    lock: File,
}

impl Host {
    /// Opens a home, takes its lock, loads its components, answers at its socket, and takes over the runs that an earlier
    /// process left.
    ///
    /// # Errors
    /// `home-not-found`, `home-busy` (another process owns it: use [`Client`](crate::Client)), `store-damaged`, or
    /// something in `wharf.toml` is wrong. A component that can't be loaded isn't an error: see
    /// [`components`](crate::Access::components).
    pub async fn open(home: impl AsRef<Path>, options: HostOptions) -> Result<Self, Fault> {
        let home = Home::at(home.as_ref());
        let site = home.load_site()?;
        let cannot = |what: &str, path: &Path| {
            let text = format!("can't {what} {}", path.display());
            move |error: std::io::Error| Fault::new("home-locked", format!("{text}: {error}"))
        };
        for dir in [home.state_dir(), home.logs_dir(), home.exchange_dir()] {
            private_dir(&dir).map_err(cannot("make", &dir))?;
        }
        let lock = take_lock(&home)?;
        let id = kept(&home.state_dir().join("host-id"), || uuid::Uuid::new_v4().simple().to_string())
            .map_err(cannot("keep the home's id in", &home.state_dir()))?;
        let opened = (home.clone(), site.clone());
        let opening = tokio::task::spawn_blocking(move || crate::history::open_store(&opened.0, &opened.1));
        let store = opening.await.map_err(|_| Fault::new("host-fault", "opening the record store failed"))?;
        let feed = options.events.is_some().then(Arc::<Feed>::default);
        let store = Arc::new(store?.by(options.clock, feed.clone()));
        let expected = store.open_tickets().map_err(|error| store_fault(&error))?;
        let exchange = open_exchange(&home, &site, expected).await?;
        let datasets: Arc<dyn DatasetStore> = match options.datasets {
            Some(datasets) => datasets,
            None => Arc::new(open_files(&home, &store)?),
        };
        let gate = gate::of(&home, &site)?;
        let set = load_components(&home, options.signals_based_traps, gate, site.roots.clone()).await?;
        let secrets = options.secrets.unwrap_or_else(|| Arc::new(SecretFolder::at(home.secrets_dir())));
        let logins = Arc::new(FileLogins::new(home.registries_file(), options.docker_config));
        let queue = Queue::new(Arc::clone(&store));
        let turns = Turns::new(std::thread::available_parallelism().map_or(2, usize::from) * 2);
        let inner = Arc::new(Inner {
            id,
            store,
            set: LiveSet::new(set),
            gate: GateFiles::default(),
            trials: Arc::default(),
            exchange,
            datasets,
            secrets,
            logins,
            engines: Engines::default(),
            live: Mutex::default(),
            queue,
            turns,
            runs: TaskTracker::new(),
            leaving: CancellationToken::new(),
            lock,
            home,
        });
        let socket = inner.home.socket();
        let listener = server::bind(&socket).map_err(cannot("answer at", &socket))?;
        let calls = TaskTracker::new();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&inner), calls.clone()));
        let handing = match (feed, options.events) {
            (Some(feed), Some(sink)) => {
                if let Some(since) = sink.since() {
                    inner.store.feed_again(&feed, since).map_err(|error| store_fault(&error))?;
                }
                Some(Handing::begin(feed, Arc::clone(&inner.store), sink))
            }
            _ => None,
        };
        inner.recover(&site).await?;
        let history = tokio::spawn(crate::history::keep_swept(Arc::clone(&inner)));
        Ok(Self { inner, server, calls, history, handing })
    }

    /// Sends a message, as a caller at the socket would.
    #[must_use]
    pub fn call(&self, request: Request) -> BoxStream<'static, Reply> {
        call(Arc::clone(&self.inner), request)
    }

    /// Waits until no run is left.
    pub async fn idle(&self) {
        loop {
            self.inner.runs.close();
            self.inner.runs.wait().await;
            self.inner.runs.reopen();
            // Somebody may have submitted one more in between.
            if self.inner.runs.is_empty() {
                break;
            }
        }
    }

    /// Waits until the last run has ended and the last caller is answered, then gives the home up.
    pub async fn shutdown(self) {
        self.idle().await;
        self.leave().await;
    }

    /// Gives the home up, whatever runs: that goes on in its containers, and whoever opens the home next goes on with it, as after
    /// a crash.
    ///
    /// When this returns, no task of the host is left; an [`EventSink`] has had five seconds for what it hadn't taken yet.
    pub async fn leave(mut self) {
        self.server.abort();
        let _ = std::fs::remove_file(self.inner.home.socket());
        self.inner.leaving.cancel();
        self.inner.runs.close();
        self.inner.runs.wait().await;
        let _ = (&mut self.history).await;
        self.inner.store.stop_checking();
        self.calls.close();
        // A caller that only listens isn't waited for: its run has ended.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.calls.wait()).await;
        if let Some(handing) = self.handing.take() {
            handing.end(LAST_EVENTS).await;
        }
        // Whatever still looks something up in the background must not keep the home from the next one who opens it.
        let _ = self.inner.lock.unlock();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
        self.history.abort();
    }
}

pub(crate) use crate::calls::call;

impl Inner {
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(crate) fn exchange_port(&self) -> u16 {
        self.exchange.local_addr().port()
    }

    pub(crate) fn fingerprint(&self) -> &str {
        self.exchange.fingerprint()
    }

    pub(crate) fn datasets(&self) -> &Arc<dyn DatasetStore> {
        &self.datasets
    }

    pub(crate) fn secrets(&self) -> &dyn SecretStore {
        self.secrets.as_ref()
    }

    pub(crate) fn logins(&self) -> &Arc<dyn Logins> {
        &self.logins
    }

    pub(crate) fn engines(&self) -> &Engines {
        &self.engines
    }

    /// What the shutdown waits for.
    pub(crate) fn runs(&self) -> &TaskTracker {
        &self.runs
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// For what every run computes before it waits for room: not all at once.
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Cancelled when the home is given up.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    pub(crate) fn log_path(&self, run: &str) -> PathBuf {
        self.home.logs_dir().join(format!("{run}.log"))
    }

    /// A store that refuses ends the run: what can't be recorded must not happen.
    pub(crate) fn check<T>(&self, result: Result<T, StoreError>) -> Step<T> {
        result.map_err(|error| Box::new(outcome(Cause::HostFault, sentence_of(&error))))
    }

    pub(crate) fn usage(&self) -> Step<Vec<UsageEntry>> {
        self.check(self.store.usage())
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live_run(&self, run: &str) -> Option<Arc<Live>> {
        self.live().get(run).cloned()
    }

    /// Counts what a component failed at: one that is watched and fails too often is taken back.
    pub(crate) fn count_failures(&self, site: &Site, set: &ComponentSet, decision: &Decision) {
        self.trials.count(&self.home, site.canary, set, decision);
    }

    /// The components as they are on disk now.
    pub(crate) async fn set(&self) -> Arc<ComponentSet> {
        let set = self.set.current(self.gate.now(&self.home)).await;
        self.trials.begin(&self.home, &self.store, &set, (&self.runs, &self.leaving));
        set
    }

    /// `HOST:PORT` of the exchange, as containers of this plan reach it; or the name of the attempt under which the host finds
    /// its runner, for those that don't reach it.
    pub(crate) async fn way_back(
        &self,
        site: &Site,
        plan: &Plan,
        attempt: u32,
        backend: &dyn Backend,
    ) -> Result<String, BackendError> {
        if plan.configuration.exchange.mode == ExchangeMode::Attach {
            return Ok(match plan.configuration.engine {
                Engine::Docker { .. } => format!("{ATTACH}{}-{attempt}", plan.run),
                Engine::Kubernetes(_) => format!("{ATTACH_BY_PORT}{ATTACH_PORT}"),
            });
        }
        match self.advertised(site, &plan.configuration) {
            Some(address) => Ok(address),
            None => Ok(self.with_port(&backend.way_back(&plan.security.network).await?)),
        }
    }

    /// `HOST:PORT` at which containers of a configuration reach this host, where somebody said it.
    pub(crate) fn advertised(&self, site: &Site, configuration: &ExecutionConfiguration) -> Option<String> {
        let said = configuration.exchange.advertise.as_ref().or(site.exchange.advertise.as_ref())?;
        Some(self.with_port(said))
    }

    /// An address with the exchange's port, unless it has one.
    fn with_port(&self, address: &str) -> String {
        let port = self.exchange_port();
        if has_port(address) {
            address.to_owned()
        } else if address.contains(':') && !address.starts_with('[') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        }
    }

    /// Records a new run and starts it on its way.
    ///
    /// A key that its user gave before, for the same activity, answers the run of then.
    pub(crate) async fn submit(self: &Arc<Self>, mut activity: Activity, key: Option<String>) -> Result<String, Fault> {
        let key = key.map(|key| self.key(key, &activity)).transpose()?;
        if let Some(key) = &key
            && let Some(run) = self.submitted_before(&activity, key)?
        {
            return Ok(run);
        }
        let site = self.home.load_site()?;
        self.has_room(&site)?;
        let (name, _) = self.choose(&site, &activity)?;
        let configuration = self.home.load_configuration(&name)?;
        self.home.load_base_image(&configuration.base_image)?;
        if activity.priority > configuration.max_priority {
            let (asked, most) = (activity.priority, configuration.max_priority);
            let message = format!("the activity asks for the priority {asked}, and {name} lets it have {most} at most");
            return Err(Fault::new("activity-invalid", message)
                .hint(format!("lower it, or raise `max_priority` in configs/{name}.toml")));
        }
        activity.configuration = Some(name);
        self.check_activity(&activity).await?;
        let set = self.set().await;
        let run = uuid::Uuid::new_v4().simple().to_string();
        let (_, is_new) = self
            .store
            .begin_once(&run, self.store.now(), &recordable(&activity), &configuration.name, key.as_ref())
            .map_err(|error| store_fault(&error))?;
        if !is_new {
            // Somebody submitted the same at the same moment.
            let before = key.as_ref().map(|key| self.submitted_before(&activity, key)).transpose()?.flatten();
            return before.ok_or_else(|| Fault::new("store-damaged", "the run of a key is gone"));
        }
        let live = Arc::new(Live::new());
        self.live().insert(run.clone(), Arc::clone(&live));
        let journal =
            Journal::Stored { run: run.clone(), store: Arc::clone(&self.store), news: Arc::clone(&live.news) };
        let way = Way { host: Arc::clone(self), run: run.clone(), activity, site, set, journal };
        let asked = Asked { configuration };
        self.go(way, live, |way, live| walk(way, asked, live).boxed());
        Ok(run)
    }

    fn key(&self, text: String, activity: &Activity) -> Result<Key, Fault> {
        if text.is_empty() || text.len() > MAX_KEY {
            return Err(Fault::new("usage", format!("a key has {} bytes; expected 1 to {MAX_KEY}", text.len())));
        }
        Key::new(text, activity).map_err(|error| store_fault(&error))
    }

    /// The run that was submitted with a key before.
    fn submitted_before(&self, activity: &Activity, key: &Key) -> Result<Option<String>, Fault> {
        let user = &activity.requester.user;
        let before = self.store.submitted_with(user, &key.text).map_err(|error| store_fault(&error))?;
        match before {
            Some((run, digest)) if digest != key.activity => Err(Fault::new(
                "key-reused",
                format!("{user} submitted something else with the key \"{}\" before: run {run}", key.text),
            )
            .hint("a key stands for one activity: take a new one")),
            before => Ok(before.map(|(run, _)| run)),
        }
    }

    /// Back-pressure: what is accepted has a place in memory until it ends.
    fn has_room(&self, site: &Site) -> Result<(), Fault> {
        let open = self.live().len();
        if open < site.runs.max_open as usize {
            return Ok(());
        }
        Err(Fault::new("too-many-runs", format!("{open} runs have not ended, and more aren't accepted for now"))
            .hint("submit it again when some have ended, or raise `max_open` under [runs] in wharf.toml"))
    }

    /// Runs one way to its end in a task of its own. Whatever happens in it, the run gets an outcome.
    pub(crate) fn go(
        self: &Arc<Self>,
        way: Way,
        live: Arc<Live>,
        steps: impl for<'a> FnOnce(&'a Way, &'a Live) -> BoxFuture<'a, Outcome> + Send + 'static,
    ) {
        let host = Arc::clone(self);
        self.runs.spawn(async move {
            let steps = AssertUnwindSafe(steps(&way, &live)).catch_unwind();
            // What is in the record then is what the next host goes on from.
            let Some(end) = host.leaving.run_until_cancelled(steps).await else { return live.finish() };
            let mut end = end.unwrap_or_else(|_| {
                outcome(Cause::HostFault, "the host failed while it worked on the run; its log has the details")
            });
            // A run that came to its container is recorded already; the first outcome stands.
            way.record(&mut end);
            host.live().remove(&way.run);
            live.finish();
            host.queue.advance();
        });
    }

    /// The configuration of an activity, and who chose it.
    pub(crate) fn choose(&self, site: &Site, activity: &Activity) -> Result<(String, &'static str), Fault> {
        let name = site.configuration_of(activity).ok_or_else(|| {
            let names = self.home.configuration_names().unwrap_or_default();
            Fault::new(
                "config-not-found",
                "the activity names no execution configuration, and neither its project nor the site has a default",
            )
            .hint(if names.is_empty() {
                "make one: a file in configs/".to_owned()
            } else {
                format!("name one: {}", names.join(", "))
            })
        })?;
        let by = if activity.configuration.is_some() {
            "activity"
        } else if Some(name) == site.default_configuration.as_deref() {
            "site"
        } else {
            "project"
        };
        Ok((name.to_owned(), by))
    }

    /// Sees, before anything is recorded, whether the data is there and what is named can be names.
    pub(crate) async fn check_activity(&self, activity: &Activity) -> Result<(), Fault> {
        for (bindings, what) in [(&activity.inputs, "input"), (&activity.outputs, "output")] {
            for (at, binding) in bindings.iter().enumerate() {
                if bindings[..at].iter().any(|other| other.name == binding.name) {
                    return Err(Fault::new("usage", format!("two {what}s are called {}", binding.name))
                        .hint("give each a name of its own"));
                }
            }
        }
        for (variable, name) in &activity.secrets {
            check_reference("activity-invalid", variable, name)?;
        }
        let recipe =
            (activity.kind == ActivityKind::Plugin) == (activity.plugin.is_some() && activity.recipe.is_some());
        if !recipe {
            return Err(Fault::new(
                "activity-invalid",
                "a recipe of a plugin needs the kind `plugin`, a plugin and a recipe",
            )
            .hint("name all three, or none"));
        }
        let check = async |binding: &Binding, access| {
            self.datasets.check(binding, access).await.map_err(|error| data_fault(binding, access, &error))
        };
        for input in &activity.inputs {
            check(input, Access::Read).await?;
        }
        for output in &activity.outputs {
            check(output, Access::Write).await?;
        }
        Ok(())
    }

    /// Asks a run to end.
    pub(crate) fn stop(&self, run: &str, by: &str) -> Result<(), Fault> {
        match self.live_run(run) {
            Some(live) => {
                if live.stop(by) {
                    let journal = Journal::Stored {
                        run: run.to_owned(),
                        store: Arc::clone(&self.store),
                        news: Arc::clone(&live.news),
                    };
                    journal.note(EventKind::StopRequested { by: by.to_owned() });
                }
                Ok(())
            }
            // One that has ended is stopped already.
            None => self.known(run),
        }
    }

    /// Waits until nothing of a run is left to do.
    pub(crate) async fn wait(&self, run: &str) -> Result<Outcome, Fault> {
        if let Some(live) = self.live_run(run) {
            live.finished().await;
        }
        let summary = self.store.run(run).map_err(|error| store_fault(&error))?.ok_or_else(|| no_such_run(run))?;
        summary.outcome.ok_or_else(|| {
            if self.leaving.is_cancelled() {
                return Fault::new("host-closed", format!("this process gave the home up while run {run} went on"))
                    .hint("open the home again: it goes on with the run");
            }
            Fault::new("store-damaged", format!("the outcome of run {run} could not be recorded"))
                .hint("open the home again: the run is concluded anew")
        })
    }

    pub(crate) fn known(&self, run: &str) -> Result<(), Fault> {
        self.store.run(run).map_err(|error| store_fault(&error))?.map(|_| ()).ok_or_else(|| no_such_run(run))
    }
}

impl Way {
    pub(crate) fn grace_seconds(&self) -> u32 {
        u32::try_from(self.site.runs.grace.as_secs()).unwrap_or(u32::MAX)
    }
}

/// An activity as it may be written down before its adapter has seen it: a secret may stand in its parameters by mistake. The
/// plan has them as the adapter accepted them.
fn recordable(activity: &Activity) -> Cow<'_, Activity> {
    match activity.kind {
        ActivityKind::Plugin => Cow::Owned(Activity { parameters: serde_json::Map::new(), ..activity.clone() }),
        _ => Cow::Borrowed(activity),
    }
}

/// Why a component that is there isn't loaded, as the end of a sentence.
pub(crate) fn why_not_loaded(set: &ComponentSet, name: &str) -> String {
    if let Some(other) = set.components().iter().find(|component| component.name == name) {
        if let [group, ..] = other.member_of.as_slice() {
            return format!(" (it only answers as a member of the group {group})");
        }
        return format!(" ({name} is a component of another world: {})", other.world);
    }
    set.failures()
        .iter()
        .find(|failure| failure.file.file_stem().is_some_and(|stem| stem == name))
        .map(|failure| format!(" ({})", failure.fault))
        .unwrap_or_default()
}

pub(crate) fn no_such_run(run: &str) -> Fault {
    Fault::new("no-such-run", format!("there is no run {run}")).hint("`wharf runs` lists them")
}

pub(crate) fn store_fault(error: &StoreError) -> Fault {
    let fault = Fault::new("store-damaged", sentence_of(error));
    match error {
        StoreError::Damaged { file, .. } => fault.hint(format!(
            "put a sound copy back; or set `on_damage = \"put-aside\"` under [history] in wharf.toml and open the home again: {} is kept under \
             another name, and what can be read of it is taken over",
            file.display()
        )),
        StoreError::NotPutAside { .. } => fault.hint("see whether the user of this process may write there, and whether the disk has room"),
        StoreError::TooNew { .. } => fault.hint("use the newer version of wharf"),
        _ => fault,
    }
}

fn data_fault(binding: &Binding, access: Access, error: &DataError) -> Fault {
    let (code, what) = match (access, error) {
        (Access::Read, _) => ("input-missing", "input"),
        (Access::Write, _) => ("output-format-unknown", "output"),
    };
    Fault::new(code, format!("the {what} {}: {}", binding.name, sentence_of(error)))
        .at(binding.place.path.clone(), None)
}

fn has_port(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok()
        || (address.matches(':').count() == 1
            && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()))
}

/// The files of this machine, and what an earlier process was about to put in place.
fn open_files(home: &Home, store: &Store) -> Result<FileStore, Fault> {
    let files = FileStore::open(home.state_dir().join("commits"))
        .map_err(|error| Fault::new("home-locked", format!("the home can't be used: {}", sentence_of(&error))))?;
    if let Err(error) = files.forget_ended(|run| store.is_open(run).unwrap_or(true)) {
        tracing::warn!(error = %sentence_of(&error), "intents of commits are left");
    }
    Ok(files)
}
