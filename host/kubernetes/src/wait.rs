//! Waiting for the end of a run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_model::EngineCause;
use wharf_model::launch::{BackendError, Caller, EngineEnd};

use crate::backend::KubernetesBackend;
use crate::client::{Failure, with_query};
use crate::end::finish::node_is_away;
use crate::end::view::{EventView, PodView};
use crate::end::{self, MOMENT, Seen, State, Waiting};
use crate::id::Id;
use crate::patience;
use crate::watch::{Health, Watch};

/// How long what ended a pod may come later than its end.
const SETTLING: Duration = Duration::from_secs(5);
/// How long a pod may be "being deleted" beyond the time that it has to end.
const OVERDUE: Duration = Duration::from_secs(60);
/// The same when its node doesn't answer the cluster.
const NODE_AWAY: Duration = Duration::from_secs(5);
/// How long something is waited for before the user hears of it.
const WORTH_A_WORD: Duration = Duration::from_secs(2);
/// How often the words may change that the user hears.
const WORDS: Duration = Duration::from_secs(15);
/// Pauses between two looks at the events of a run that doesn't begin. The last one goes on.
const LOOKS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(8), Duration::from_secs(20)];
/// How long an API server that says no to a watch is asked again.
const SAID_NO: Duration = MOMENT;
/// The pause before a run that can't be found at once is looked for again.
const TRY: Duration = Duration::from_secs(1);

impl KubernetesBackend {
    pub(crate) async fn wait_for(&self, id: &Id, caller: &dyn Caller) -> Result<EngineEnd, BackendError> {
        let mut teller = Teller::new(caller);
        let (watch, mut run) = match self.subscribe(id, &mut teller).await? {
            Some(found) => found,
            None => return Ok(EngineEnd { gone: true, ..EngineEnd::default() }),
        };
        let mut health = watch.health();
        let mut clocks = Clocks::default();
        loop {
            let seen = Arc::clone(&run.borrow_and_update());
            let patience = patience::of_job(seen.job.as_ref());
            caller.held(is_held(&seen));
            let mut until = match self.judge(&seen, &patience, &mut clocks, &mut teller) {
                Judged::Ended(end) => return Ok(finished(end, &seen)),
                Judged::Until(until) => until,
            };
            let away = health.borrow_and_update().clone();
            match self.judge_health(&away, &patience, id, &mut teller).await {
                Err(error) => return Err(error),
                Ok(at) => until = sooner(until, at),
            }
            let look = clocks.next_look(&seen);
            tokio::select! {
                changed = run.changed() => {
                    if changed.is_err() {
                        // Forgotten: somebody removed it.
                        return Ok(EngineEnd { gone: true, ..EngineEnd::default() });
                    }
                }
                // The watch is there as long as this one looks at it.
                _ = health.changed() => {}
                () = at(until) => {}
                () = at(look) => {
                    clocks.looked();
                    if let Some(events) = self.events(id, &seen).await {
                        watch.add_events(&id.uid, events);
                    }
                }
            }
        }
    }

    /// The watch that knows a Job; the Job is asked for when none does. `None` when it isn't there.
    async fn subscribe(
        &self,
        id: &Id,
        teller: &mut Teller<'_>,
    ) -> Result<Option<(Arc<Watch>, watch::Receiver<Arc<Seen>>)>, BackendError> {
        let begun = Instant::now();
        loop {
            if let Some(watch) = self.watches().knowing(&id.namespace, &id.uid)
                && let Some(run) = watch.run(&id.uid)
            {
                return Ok(Some((watch, run)));
            }
            match self.client().get(&id.job()).await {
                Ok(job) if Id::of(&job).is_some_and(|found| found.uid == id.uid) => {
                    let label = |label: &str| {
                        let labels = job.pointer("/metadata/labels");
                        labels.and_then(|labels| labels.get(label)?.as_str()).map(str::to_owned)
                    };
                    let Some(host) = label(wharf_model::LABEL_HOST) else { return Ok(None) };
                    self.watches().of(&id.namespace, &host).take(&job);
                }
                Ok(_) => return Ok(None),
                Err(failure) if failure.code() == Some(404) => return Ok(None),
                Err(failure) => {
                    let span = if matches!(failure, Failure::Said(_)) && !failure.may_pass() {
                        SAID_NO
                    } else {
                        Duration::from_secs(wharf_model::kubernetes::Patience::default().api)
                    };
                    if begun.elapsed() >= span {
                        return Err(self
                            .client()
                            .backend(&format!("look at the Job {}", id.name), &id.namespace, failure)
                            .await);
                    }
                    teller.tell("api", &format!("the API server gives no answer: {}; asking again", failure.words()));
                    tokio::time::sleep(TRY).await;
                }
            }
        }
    }

    /// What to do about what was seen: end, or look again at some time.
    fn judge(
        &self,
        seen: &Seen,
        patience: &wharf_model::kubernetes::Patience,
        clocks: &mut Clocks,
        teller: &mut Teller<'_>,
    ) -> Judged {
        match end::state(seen) {
            State::Ended { end, settled: true } => Judged::Ended(end),
            State::Ended { end, settled: false } => {
                let since = *clocks.ended.get_or_insert_with(Instant::now);
                if since.elapsed() >= SETTLING { Judged::Ended(end) } else { Judged::Until(Some(since + SETTLING)) }
            }
            State::Running(trouble) => {
                clocks.waiting = None;
                if let Some(trouble) = trouble {
                    teller.tell("trouble", &trouble);
                }
                overdue(seen, clocks)
            }
            State::Waiting(Some(waiting)) => wait_on(&waiting, patience, clocks, teller),
            // On its way, or between two tries of what didn't go well.
            State::Waiting(None) => overdue(seen, clocks),
        }
    }

    /// When an API server that is away is given up, if it is.
    async fn judge_health(
        &self,
        health: &Health,
        patience: &wharf_model::kubernetes::Patience,
        id: &Id,
        teller: &mut Teller<'_>,
    ) -> Result<Option<Instant>, BackendError> {
        let Some((since, failure)) = health.away() else { return Ok(None) };
        let refused = matches!(failure, Failure::Said(_)) && !failure.may_pass();
        let span = if refused { SAID_NO } else { Duration::from_secs(patience.api) };
        if since.elapsed() >= span {
            return Err(self.client().backend("say what its runs do", &id.namespace, failure.clone()).await);
        }
        if since.elapsed() >= WORTH_A_WORD {
            let seconds = span.as_secs();
            let words = failure.words();
            let what = if refused { "says no to being asked what the run does" } else { "doesn't answer" };
            teller.tell("api", &format!("the API server {what}: {words}; it is asked again for up to {seconds} s"));
            return Ok(Some(*since + span));
        }
        Ok(Some(*since + WORTH_A_WORD))
    }

    /// The events of a run that hasn't begun. `None` when they can't be had: they are only what explains it.
    async fn events(&self, id: &Id, seen: &Seen) -> Option<Vec<EventView>> {
        let about = seen.pod.as_ref().filter(|_| !seen.pod_gone).map_or(&id.uid, |pod| &pod.uid);
        let path = format!("/api/v1/namespaces/{}/events", id.namespace);
        let selector = format!("involvedObject.uid={about}");
        let query = [("fieldSelector", selector.as_str()), ("limit", "100")];
        // Those who wait are many, perhaps, and the API server has other things to do.
        let _turn = self.turns().acquire().await.ok()?;
        match self.client().get_once(&with_query(&path, &query), Duration::from_secs(10)).await {
            Ok(list) => Some(list["items"].as_array()?.iter().map(EventView::of).collect()),
            Err(failure) => {
                tracing::debug!(namespace = id.namespace, ?failure, "events can't be had");
                None
            }
        }
    }
}

/// Whether a queue of the cluster keeps it back, for as long as that wants.
fn is_held(seen: &Seen) -> bool {
    matches!(end::state(seen), State::Waiting(Some(waiting)) if waiting.patience == end::Patience::Endless)
}

enum Judged {
    Ended(EngineEnd),
    Until(Option<Instant>),
}

/// What a run is waited for, since when.
#[derive(Default)]
struct Clocks {
    waiting: Option<(std::mem::Discriminant<EngineCause>, Instant)>,
    ended: Option<Instant>,
    deleting: Option<Instant>,
    looks: usize,
    last_look: Option<Instant>,
}

impl Clocks {
    /// When to look at the events of a run; never, when the rest says enough.
    fn next_look(&mut self, seen: &Seen) -> Option<Instant> {
        let needed = match (&seen.pod, end::state(seen)) {
            (None, State::Waiting(_)) => true,
            (Some(pod), State::Waiting(_)) => pod.node.is_some(),
            _ => false,
        };
        if !needed {
            return None;
        }
        let pause = LOOKS[self.looks.min(LOOKS.len() - 1)];
        Some(*self.last_look.get_or_insert_with(Instant::now) + pause)
    }

    fn looked(&mut self) {
        self.looks += 1;
        self.last_look = Some(Instant::now());
    }
}

/// Waits on for something that may clear up by itself, within the patience for it.
fn wait_on(
    waiting: &Waiting,
    patience: &wharf_model::kubernetes::Patience,
    clocks: &mut Clocks,
    teller: &mut Teller<'_>,
) -> Judged {
    let kind = std::mem::discriminant(&waiting.cause);
    let since = match clocks.waiting {
        Some((same, since)) if same == kind => since,
        _ => Instant::now(),
    };
    clocks.waiting = Some((kind, since));
    let span = patience::span(patience, waiting.patience);
    if span.is_some_and(|span| since.elapsed() >= span) {
        return Judged::Ended(end::in_vain(waiting));
    }
    if since.elapsed() < WORTH_A_WORD {
        return Judged::Until(sooner(Some(since + WORTH_A_WORD), span.map(|span| since + span)));
    }
    let limit = span.map_or_else(String::new, |span| format!("; it is waited for up to {} s", span.as_secs()));
    teller.tell(&about(&waiting.cause), &format!("{}{limit}", waiting.cause.sentence()));
    Judged::Until(sooner(span.map(|span| since + span), teller.next()))
}

/// A pod that should have been gone for long: its node doesn't say that it is.
fn overdue(seen: &Seen, clocks: &mut Clocks) -> Judged {
    let Some((pod, seconds)) = seen.pod.as_ref().and_then(|pod| Some((pod, pod.deleting?))) else {
        clocks.deleting = None;
        return Judged::Until(None);
    };
    let since = *clocks.deleting.get_or_insert_with(Instant::now);
    // A node that doesn't answer the cluster won't say so in a minute either.
    let beyond = if node_is_away(pod) { NODE_AWAY } else { OVERDUE };
    let span = Duration::from_secs(seconds) + beyond;
    if since.elapsed() >= span { Judged::Ended(lost(pod, seen)) } else { Judged::Until(Some(since + span)) }
}

/// The end of a pod that is as good as gone.
fn lost(pod: &PodView, seen: &Seen) -> EngineEnd {
    let gone = Seen { pod_gone: true, ..seen.clone() };
    if let State::Ended { end, .. } = end::state(&gone)
        && matches!(end.cause.as_deref(), Some(EngineCause::NodeLost { .. } | EngineCause::NodeShutdown { .. }))
    {
        return end;
    }
    let words = "its pod is being deleted, and its node hasn't said that it ended".to_owned();
    let cause = EngineCause::NodeLost { node: pod.node.clone(), words };
    EngineEnd { gone: true, cause: Some(Box::new(cause)), ..EngineEnd::default() }
}

/// An end that we brought about isn't somebody else's doing.
fn finished(mut end: EngineEnd, seen: &Seen) -> EngineEnd {
    let by_deleting =
        matches!(end.cause.as_deref(), Some(EngineCause::PodDeleted { .. } | EngineCause::JobDeleted { .. }));
    if seen.stopped && (by_deleting || end.cause.is_none()) {
        end.cause = None;
        end.gone = false;
    }
    end
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What kind of waiting it is.
pub(crate) fn about(cause: &EngineCause) -> String {
    let word = serde_json::to_value(cause).ok().and_then(|value| value["kind"].as_str().map(str::to_owned));
    word.unwrap_or_default()
}

/// Tells the caller what is waited for: something else at once, other words for the same now and then.
pub(crate) struct Teller<'a> {
    caller: &'a dyn Caller,
    last: Option<Told>,
}

struct Told {
    at: Instant,
    about: String,
    text: String,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(caller: &'a dyn Caller) -> Self {
        Self { caller, last: None }
    }

    pub(crate) fn tell(&mut self, about: &str, text: &str) {
        let is_news = self
            .last
            .as_ref()
            .is_none_or(|last| last.text != text && (last.about != about || last.at.elapsed() >= WORDS));
        if is_news {
            self.last = Some(Told { at: Instant::now(), about: about.to_owned(), text: text.to_owned() });
            self.caller.notice(text.to_owned());
        }
    }

    /// When other words may be told.
    fn next(&self) -> Option<Instant> {
        self.last.as_ref().map(|last| last.at + WORDS).filter(|at| *at > Instant::now())
    }
}
