//! Runs that an earlier process of this home left behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use wharf_exchange::{Token, TokenStatus};
use wharf_kubernetes::names;
use wharf_model::configuration::EngineAddress;
use wharf_model::{ActivityKind, Cause, EventKind, Fault, Outcome};

use crate::conclude::{before_it_began, outcome, sentence_of};
use crate::host::{Inner, store_fault};
use crate::journal::Journal;
use crate::live::Live;
use crate::settings::{NeverLaunched, Site, UnknownObjects};
use crate::store::{LaunchRecord, OpenRun, RunState};
use crate::way::launch::find_again;
use crate::way::{Asked, Way, walk, watch};

/// How long clearing away may take: the next process goes on with it.
const CLEARING: Duration = Duration::from_secs(15);

impl Inner {
    /// Takes every run over that has no outcome, each in a task of its own, and clears away containers of runs that have.
    pub(crate) async fn recover(self: &Arc<Self>, site: &Site) -> Result<(), Fault> {
        let open = self.store().open_runs().map_err(|error| store_fault(&error))?;
        let engines = self.engines_with(&open);
        let still_open: HashSet<String> = open.iter().map(|run| run.summary.run.clone()).collect();
        let host = Arc::clone(self);
        let unknown = site.recovery.unknown_objects;
        // An engine that doesn't answer must not keep the home from opening. The shutdown waits for it as for a run: the
        // shortest call clears away what was left, and nothing is removed once another process may own the home.
        self.runs().spawn(async move {
            let clearing = host.clear_away(engines, still_open, unknown);
            if tokio::time::timeout(CLEARING, clearing).await.is_err() {
                tracing::warn!("containers that were left could not be cleared away in time");
            }
        });
        if open.is_empty() {
            return Ok(());
        }
        let set = self.set().await;
        for run in open {
            let id = run.summary.run.clone();
            let live = Arc::new(Live::new());
            // Whoever asked the host before this one to end the run still wants that.
            if let Some(by) = self.store().stop_requested(&id).map_err(|error| store_fault(&error))? {
                live.stop(&by);
            }
            self.live().insert(id.clone(), Arc::clone(&live));
            let journal =
                Journal::Stored { run: id.clone(), store: Arc::clone(self.store()), news: Arc::clone(&live.news) };
            journal.note(EventKind::Recovered);
            let way = Way {
                host: Arc::clone(self),
                run: id,
                activity: run.activity.clone(),
                site: site.clone(),
                set: Arc::clone(&set),
                journal,
            };
            self.go(way, live, |way, live| go_on(way, run, live).boxed());
        }
        Ok(())
    }

    /// The engines where containers of this home can be.
    fn engines_with(&self, open: &[OpenRun]) -> HashSet<EngineAddress> {
        let mut all = HashSet::new();
        for (_, configuration) in self.home().load_configurations().unwrap_or_default() {
            let Ok(configuration) = configuration else { continue };
            all.insert(configuration.engine.address());
            // A cluster where this home may not look everywhere is looked at where it puts its runs.
            if let Some(settings) = configuration.engine.kubernetes()
                && !names::has_variables(&settings.namespace)
            {
                self.engines().cluster(&settings.cluster).remember(&settings.namespace);
            }
        }
        for launch in open.iter().filter_map(|run| run.launch.as_ref()) {
            if let (EngineAddress::Kubernetes(cluster), Some(place)) = (&launch.engine, &launch.spec.kubernetes) {
                self.engines().cluster(cluster).remember(&place.namespace);
            }
            all.insert(launch.engine.clone());
        }
        all
    }

    /// Removes containers with this home's label whose run has ended, and those that are in no record unless they are to be kept.
    async fn clear_away(&self, engines: HashSet<EngineAddress>, open: HashSet<String>, unknown: UnknownObjects) {
        for address in engines {
            let Ok(backend) = self.engines().backend(&address) else { continue };
            let found = match backend.find(self.id()).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%address, error = %sentence_of(&error), "containers left there can't be looked for");
                    continue;
                }
            };
            for container in found {
                // A run that was submitted since then has a container of its own by right.
                if open.contains(&container.run) || self.live_run(&container.run).is_some() {
                    continue;
                }
                if unknown == UnknownObjects::Keep && !matches!(self.store().run(&container.run), Ok(Some(_))) {
                    tracing::warn!(
                        run = container.run,
                        container = container.id,
                        "a container of no known run is left"
                    );
                    continue;
                }
                tracing::info!(run = container.run, container = container.id, "removing a container that was left");
                if let Err(error) = backend.remove(&container.id).await {
                    tracing::warn!(container = container.id, error = %sentence_of(&error), "the container is left");
                }
            }
        }
    }
}

/// Goes on with one run where its record ends.
async fn go_on(way: &Way, run: OpenRun, live: &Live) -> Outcome {
    match (run.summary.state, run.launch.clone()) {
        (RunState::Committing, Some(record)) => finish_commit(way, run, &record).await,
        (RunState::Launching | RunState::Running, Some(record)) => match find_again(way, &run, &record).await {
            Ok(Some(launched)) => watch::to_the_end(way, launched, live).await,
            Ok(None) => {
                abort(way, &record).await;
                // A runner that was heard of has begun, whatever was recorded of its container by then.
                if run.summary.state == RunState::Launching && run.started_at.is_none() {
                    if let Some(way) = anew(way, &run) {
                        return begin_again(&way, live).await;
                    }
                    before_it_began("the host was ended just before the run's container was created")
                } else {
                    Outcome {
                        retry_helps: true,
                        ..outcome(Cause::Lost, "its container was gone when the host came back, and gave no result")
                    }
                }
            }
            Err(end) => *end,
        },
        _ => match anew(way, &run) {
            Some(way) => begin_again(&way, live).await,
            None => before_it_began("the host was ended before the run's container was created"),
        },
    }
}

/// The way of a run that is to be launched now, if it may be and its record has all of it.
fn anew(way: &Way, run: &OpenRun) -> Option<Way> {
    if way.site.recovery.never_launched == NeverLaunched::Fail {
        return None;
    }
    let mut activity = run.activity.clone();
    if activity.kind == ActivityKind::Plugin {
        // Recorded as its adapter accepted them, once it had.
        activity.parameters = run.plan.as_ref()?.parameters.clone();
    }
    Some(Way {
        host: Arc::clone(&way.host),
        run: way.run.clone(),
        activity,
        site: way.site.clone(),
        set: Arc::clone(&way.set),
        journal: way.journal.clone(),
    })
}

/// From the beginning: it is judged anew, by the components of now.
async fn begin_again(way: &Way, live: &Live) -> Outcome {
    let name = way.activity.configuration.clone().unwrap_or_default();
    match way.host.home().load_configuration(&name) {
        Ok(configuration) => walk(way, Asked { configuration }, live).await,
        Err(fault) => {
            let end = outcome(Cause::NotPrepared, format!("it was to be launched after the host came back: {fault}"));
            Outcome { advice: fault.hint, ..end }
        }
    }
}

/// The outcome was known, and its outputs may be half in place: the commit goes on where it was.
async fn finish_commit(way: &Way, run: OpenRun, record: &LaunchRecord) -> Outcome {
    let token = Token::new(&way.run, record.spec.attempt);
    let end = run.summary.outcome.unwrap_or_else(|| outcome(Cause::Succeeded, "the recipe succeeded"));
    let mut end = match way.host.datasets().status(&token).await {
        // Committed, and forgotten after that: only the record was missing.
        Ok(TokenStatus::Committed | TokenStatus::Unknown) => end,
        _ => watch::commit(way, end, &token).await,
    };
    way.record(&mut end);
    if let Err(error) = way.host.datasets().forget(&token).await {
        tracing::warn!(run = way.run, error = %sentence_of(&error), "the commit's intent is left");
    }
    remove(way, record).await;
    end
}

async fn abort(way: &Way, record: &LaunchRecord) {
    let token = Token::new(&way.run, record.spec.attempt);
    if let Err(error) = way.host.datasets().abort(&token).await {
        tracing::warn!(run = way.run, error = %sentence_of(&error), "staged outputs are left");
    }
}

async fn remove(way: &Way, record: &LaunchRecord) {
    // An engine that doesn't answer keeps it until the next start.
    let Ok(backend) = way.host.engines().backend(&record.engine) else { return };
    if let Ok(Some(found)) = backend.find_attempt(&record.spec).await
        && let Err(error) = backend.remove(&found.id).await
    {
        tracing::warn!(run = way.run, error = %sentence_of(&error), "the container is left");
    }
}
