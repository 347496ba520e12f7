//! What the API says of all runs of a namespace, by one watch for their Jobs and one for their pods.
//!
//! A watch goes on where it was after a cut, and begins anew with a list after "410 Gone". It is opened anew once a minute, so
//! that a connection that is dead without either side knowing is left, and its server sends a bookmark before.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::AsyncBufReadExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::client::{Client, Failure, Said, with_query};
use crate::end::Seen;
use crate::end::view::{ContainerState, JobView, PodView};

/// How long the server keeps one watch open.
const OPEN: Duration = Duration::from_secs(55);
/// How long nothing may come of it, not even its end.
const SILENCE: Duration = Duration::from_secs(70);
/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The pause after a watch that was cut, though it had something to say.
const CUT: Duration = Duration::from_millis(20);
/// How long a watch is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(120);

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jobs,
    Pods,
}

impl Kind {
    pub(crate) fn path(self, namespace: &str) -> String {
        match self {
            Self::Jobs => format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
            Self::Pods => format!("/api/v1/namespaces/{namespace}/pods"),
        }
    }
}

/// How a watch does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    jobs: Side,
    pods: Side,
}

#[derive(Clone, Debug, Default)]
struct Side {
    /// Whether all that there is has been seen once.
    synced: bool,
    /// Since when it is of no use, and why.
    away: Option<(Instant, Failure)>,
}

impl Health {
    fn side(&mut self, kind: Kind) -> &mut Side {
        match kind {
            Kind::Jobs => &mut self.jobs,
            Kind::Pods => &mut self.pods,
        }
    }

    /// Since when nothing comes of it, and why.
    pub(crate) fn away(&self) -> Option<&(Instant, Failure)> {
        [&self.jobs, &self.pods].into_iter().filter_map(|side| side.away.as_ref()).min_by_key(|(since, _)| *since)
    }
}

/// The watches of one cluster, by namespace and home.
pub(crate) struct Watches {
    client: Arc<Client>,
    open: Arc<Mutex<Open>>,
}

type Open = HashMap<(String, String), Arc<Watch>>;

/// A namespace's runs of one home.
pub(crate) struct Watch {
    runs: Mutex<HashMap<String, Run>>,
    health: watch::Sender<Health>,
    tasks: Mutex<Vec<AbortHandle>>,
    used: Mutex<Instant>,
}

/// What is known of one run.
struct Run {
    seen: watch::Sender<Arc<Seen>>,
    /// When its Job was last told of: a list that was asked for before doesn't say that it is gone.
    job_at: Instant,
    /// Kept although all of it is gone: somebody is about to ask how it ended.
    kept: bool,
    /// The end of its log, read before its pod was deleted.
    log: Option<Vec<u8>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watches {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client, open: Arc::default() }
    }

    /// The watch of a namespace; it begins when there is none.
    pub(crate) fn of(&self, namespace: &str, host: &str) -> Arc<Watch> {
        let mut open = lock(&self.open);
        let key = (namespace.to_owned(), host.to_owned());
        if let Some(watch) = open.get(&key) {
            *lock(&watch.used) = Instant::now();
            return Arc::clone(watch);
        }
        let watch = Arc::new(Watch {
            runs: Mutex::default(),
            health: watch::Sender::new(Health::default()),
            tasks: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        for kind in [Kind::Jobs, Kind::Pods] {
            let follower = Follower {
                client: Arc::clone(&self.client),
                watch: Arc::downgrade(&watch),
                open: Arc::downgrade(&self.open),
                key: key.clone(),
                kind,
            };
            let task = tokio::spawn(follower.follow());
            lock(&watch.tasks).push(task.abort_handle());
        }
        open.insert(key, Arc::clone(&watch));
        watch
    }

    /// The watch that knows a Job, if one does.
    pub(crate) fn knowing(&self, namespace: &str, uid: &str) -> Option<Arc<Watch>> {
        let open = lock(&self.open);
        let of_namespace = open.iter().filter(|((of, _), _)| of == namespace).map(|(_, watch)| watch);
        let watch = of_namespace.into_iter().find(|watch| lock(&watch.runs).contains_key(uid)).cloned();
        if let Some(watch) = &watch {
            *lock(&watch.used) = Instant::now();
        }
        watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in lock(&self.tasks).iter() {
            task.abort();
        }
    }
}

impl Watch {
    /// How it does, from now on.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// What is known of a Job's run, from now on; none when nothing is.
    pub(crate) fn run(&self, uid: &str) -> Option<watch::Receiver<Arc<Seen>>> {
        lock(&self.runs).get(uid).map(|run| run.seen.subscribe())
    }

    /// What is known of it now.
    pub(crate) fn seen(&self, uid: &str) -> Option<Arc<Seen>> {
        lock(&self.runs).get(uid).map(|run| Arc::clone(&run.seen.borrow()))
    }

    /// Takes a Job in that was created or found beside the watch.
    pub(crate) fn take(&self, job: &Value) {
        self.change_job(&JobView::of(job), false);
    }

    /// Takes in what was found of a run beside the watch.
    pub(crate) fn add_events(&self, uid: &str, events: Vec<crate::end::view::EventView>) {
        change(&mut lock(&self.runs), uid, |seen| seen.events = events);
    }

    /// Keeps what is known of a run when all of it is gone, until it is forgotten; and notes that we end it.
    pub(crate) fn keep(&self, uid: &str, log: Option<Vec<u8>>) {
        let mut runs = lock(&self.runs);
        if let Some(run) = runs.get_mut(uid) {
            run.kept = true;
            if log.is_some() {
                run.log = log;
            }
        }
        change(&mut runs, uid, |seen| seen.stopped = true);
    }

    /// The end of its log, as far as it was kept.
    pub(crate) fn log(&self, uid: &str) -> Option<Vec<u8>> {
        lock(&self.runs).get(uid).and_then(|run| run.log.clone())
    }

    /// Forgets a run.
    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.runs).remove(uid);
    }

    /// How many runs are known.
    pub(crate) fn known(&self) -> usize {
        lock(&self.runs).len()
    }

    fn change_job(&self, job: &JobView, gone: bool) {
        if job.uid.is_empty() {
            return;
        }
        let mut runs = lock(&self.runs);
        if !gone || runs.contains_key(&job.uid) {
            let run = runs.entry(job.uid.clone()).or_insert_with(Run::new);
            run.job_at = Instant::now();
            change(&mut runs, &job.uid, |seen| {
                seen.job = Some(job.clone());
                seen.job_gone = gone;
            });
            leave(&mut runs, &job.uid);
        }
    }

    fn change_pod(&self, pod: &PodView, gone: bool) {
        let Some(uid) = pod.job_uid.as_deref().filter(|_| !pod.uid.is_empty()) else { return };
        let mut runs = lock(&self.runs);
        if gone && !runs.contains_key(uid) {
            return;
        }
        runs.entry(uid.to_owned()).or_insert_with(Run::new);
        change(&mut runs, uid, |seen| {
            if let Some(known) = &seen.pod
                && known.uid != pod.uid
                && (gone || known.has_begun() || !seen.pod_gone)
            {
                // One pod is what a run has. What another one does is of no account: it has no ticket that is good twice.
                tracing::warn!(known = known.name, other = pod.name, "a run has a second pod");
                return;
            }
            if let Some(ContainerState::Waiting { reason, message }) = pod.container.as_ref().map(|one| &one.state)
                && reason == "ErrImagePull"
            {
                seen.pull_words = Some(message.clone());
            }
            seen.pod = Some(pod.clone());
            seen.pod_gone = gone;
        });
        leave(&mut runs, uid);
    }

    fn take_one(&self, kind: Kind, object: &Value, gone: bool) {
        match kind {
            Kind::Jobs => self.change_job(&JobView::of(object), gone),
            Kind::Pods => self.change_pod(&PodView::of(object), gone),
        }
    }

    /// Takes a whole list in: what isn't in it is gone.
    fn take_all(&self, kind: Kind, objects: &[Value], asked: Instant) {
        for object in objects {
            self.take_one(kind, object, false);
        }
        let uid_of = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        let there: HashSet<String> = objects.iter().filter_map(uid_of).collect();
        let mut runs = lock(&self.runs);
        let uids: Vec<String> = runs.keys().cloned().collect();
        for uid in uids {
            let younger = runs.get(&uid).is_some_and(|run| run.job_at > asked);
            change(&mut runs, &uid, |seen| match kind {
                Kind::Jobs => seen.job_gone |= !younger && !there.contains(&uid),
                Kind::Pods => seen.pod_gone |= seen.pod.as_ref().is_some_and(|pod| !there.contains(&pod.uid)),
            });
            leave(&mut runs, &uid);
        }
    }

    fn is_well(&self, kind: Kind) {
        self.health.send_if_modified(|health| {
            let side = health.side(kind);
            let news = !side.synced || side.away.is_some();
            *side = Side { synced: true, away: None };
            news
        });
    }

    fn has_failed(&self, kind: Kind, failure: Failure) {
        tracing::debug!(?kind, ?failure, "a watch is of no use; trying again");
        self.health.send_modify(|health| {
            let side = health.side(kind);
            let since = side.away.take().map_or_else(Instant::now, |(since, _)| since);
            side.away = Some((since, failure));
        });
    }
}

impl Run {
    fn new() -> Self {
        Self { seen: watch::Sender::new(Arc::default()), job_at: Instant::now(), kept: false, log: None }
    }
}

/// Changes what is known of a run; whoever waits hears of it when it is another thing then.
fn change(runs: &mut HashMap<String, Run>, uid: &str, how: impl FnOnce(&mut Seen)) {
    if let Some(run) = runs.get(uid) {
        let mut seen = Seen::clone(&run.seen.borrow());
        how(&mut seen);
        run.seen.send_if_modified(|known| {
            let news = **known != seen;
            if news {
                *known = Arc::new(seen);
            }
            news
        });
    }
}

/// Leaves a run of which nothing is there any more, and that nobody waits for.
fn leave(runs: &mut HashMap<String, Run>, uid: &str) {
    let all_gone = runs.get(uid).is_some_and(|run| {
        let seen = run.seen.borrow();
        seen.job_gone && (seen.pod_gone || seen.pod.is_none()) && !run.kept && run.seen.receiver_count() == 0
    });
    if all_gone {
        runs.remove(uid);
    }
}

/// Follows one kind of objects for a watch.
struct Follower {
    client: Arc<Client>,
    watch: Weak<Watch>,
    open: Weak<Mutex<Open>>,
    key: (String, String),
    kind: Kind,
}

/// How one stream ended.
enum Ended {
    /// Here or there, and whether it had something to say.
    Cut(bool),
    /// The version that it was to go on from is too old.
    Gone,
    Failed(Failure),
}

impl Follower {
    async fn follow(self) {
        let (path, selector) = (self.kind.path(&self.key.0), format!("{}={}", wharf_model::LABEL_HOST, self.key.1));
        let mut version: Option<String> = None;
        let mut pause = PAUSE.0;
        loop {
            if self.is_idle() {
                return;
            }
            let ended = match version.clone() {
                None => {
                    let asked = Instant::now();
                    match self.client.list(&path, &[("labelSelector", &selector)]).await {
                        Ok(listed) => {
                            let Some(watch) = self.watch.upgrade() else { return };
                            watch.take_all(self.kind, &listed.items, asked);
                            watch.is_well(self.kind);
                            version = Some(listed.version);
                            continue;
                        }
                        Err(failure) => Ended::Failed(failure),
                    }
                }
                Some(from) => self.stream(&path, &selector, &from, &mut version).await,
            };
            let now = match ended {
                Ended::Cut(true) => {
                    pause = PAUSE.0;
                    CUT
                }
                Ended::Cut(false) => pause,
                Ended::Gone => {
                    version = None;
                    pause
                }
                Ended::Failed(failure) => {
                    let Some(watch) = self.watch.upgrade() else { return };
                    if matches!(failure, Failure::Said(_)) {
                        version = None;
                    }
                    watch.has_failed(self.kind, failure);
                    pause
                }
            };
            tokio::time::sleep(now).await;
            if now != CUT {
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }

    /// Reads one stream to its end, and takes in what comes.
    async fn stream(&self, path: &str, selector: &str, from: &str, version: &mut Option<String>) -> Ended {
        let seconds = OPEN.as_secs().to_string();
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &seconds),
            ("labelSelector", selector),
            ("resourceVersion", from),
        ];
        let mut stream = match self.client.stream(&with_query(path, &query)).await {
            Ok(stream) => stream,
            Err(Failure::Said(Said { code: 410, .. })) => return Ended::Gone,
            Err(failure) => return Ended::Failed(failure),
        };
        match self.watch.upgrade() {
            Some(watch) => watch.is_well(self.kind),
            None => return Ended::Cut(false),
        }
        let began = Instant::now();
        let mut heard = false;
        let mut line = Vec::new();
        loop {
            line.clear();
            match tokio::time::timeout(SILENCE, stream.read_until(b'\n', &mut line)).await {
                // What was cut in the middle comes again.
                Ok(Ok(_)) if line.last() != Some(&b'\n') => break,
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => break,
            }
            let Ok(event) = serde_json::from_slice::<Value>(&line) else {
                tracing::warn!(path, "a watch said something that isn't JSON; listing anew");
                return Ended::Gone;
            };
            let object = &event["object"];
            match event["type"].as_str() {
                Some("ERROR") => {
                    let said = Said {
                        code: object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
                        reason: object["reason"].as_str().unwrap_or_default().to_owned(),
                        words: object["message"].as_str().unwrap_or_default().to_owned(),
                        later: 0,
                    };
                    return if said.code == 410 { Ended::Gone } else { Ended::Failed(Failure::Said(said)) };
                }
                Some(kind @ ("ADDED" | "MODIFIED" | "DELETED")) => {
                    let Some(watch) = self.watch.upgrade() else { return Ended::Cut(false) };
                    watch.take_one(self.kind, object, kind == "DELETED");
                    heard = true;
                }
                _ => {}
            }
            if let Some(at) = object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                *version = Some(at.to_owned());
            }
        }
        Ended::Cut(heard || began.elapsed() >= PAUSE.1)
    }

    /// Whether nobody uses the watch any more; it is given up then.
    fn is_idle(&self) -> bool {
        let (Some(watch), Some(open)) = (self.watch.upgrade(), self.open.upgrade()) else { return true };
        let mut open = lock(&open);
        // One is here, one in the table.
        let idle =
            Arc::strong_count(&watch) <= 2 && watch.health.receiver_count() == 0 && lock(&watch.used).elapsed() >= IDLE;
        if idle {
            open.remove(&self.key);
        }
        idle
    }
}
