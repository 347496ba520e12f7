//! The way of a run, as a chain of types: each is made only by its step, so no step can be left out.
//!
//! `Asked → Permitted → Planned → Judged → Admitted → Resolved → Launched → Outcome`

pub(crate) mod admission;
mod asking;
mod carrier;
pub(crate) mod image;
pub(crate) mod judgement;
pub(crate) mod launch;
pub(crate) mod permission;
pub(crate) mod planning;
pub(crate) mod watch;

use std::sync::Arc;

use wharf_components::ComponentSet;
use wharf_model::{Activity, Cause, Decision, EventKind, ExecutionConfiguration, Outcome};

use crate::conclude::outcome;
use crate::host::Inner;
use crate::journal::Journal;
use crate::live::Live;
use crate::settings::Site;

pub(crate) use judgement::Judged;

/// What a step answers: its type, or the end of the run.
pub(crate) type Step<T> = Result<T, Box<Outcome>>;

/// What all steps of one run share.
pub(crate) struct Way {
    pub(crate) host: Arc<Inner>,
    pub(crate) run: String,
    pub(crate) activity: Activity,
    pub(crate) site: Site,
    /// The components that judge this run: those that were loaded when it was submitted.
    pub(crate) set: Arc<ComponentSet>,
    pub(crate) journal: Journal,
}

/// An activity and the configuration that it would run under.
pub(crate) struct Asked {
    pub(crate) configuration: ExecutionConfiguration,
}

fn stopped_before(by: &str) -> Box<Outcome> {
    Box::new(outcome(Cause::Stopped, format!("stopped by {by} before it began")))
}

impl Way {
    /// Notes what a component decided.
    pub(crate) fn decided(&self, decision: Decision) {
        self.host.count_failures(&self.site, &self.set, &decision);
        self.journal.note(EventKind::Decision(decision));
    }
}

/// How often policies may send one run to another configuration.
const MOVES: usize = 4;

/// From what was asked to what all components accepted. Nothing is created here: `explain` ends with it.
pub(crate) async fn judge(way: &Way, mut asked: Asked) -> Step<Judged> {
    for _ in 0..MOVES {
        let permitted = permission::ask(way, asked).await?;
        let planned = planning::plan(way, permitted).await?;
        match judgement::judge(way, planned).await? {
            judgement::Answer::Judged(judged) => return Ok(*judged),
            judgement::Answer::Moved(configuration) => asked = Asked { configuration: *configuration },
        }
    }
    Err(Box::new(outcome(
        Cause::Rejected,
        format!("policies sent the run from one execution configuration to another {MOVES} times and found no end"),
    )))
}

/// The whole way.
pub(crate) async fn walk(way: &Way, asked: Asked, live: &Live) -> Outcome {
    let before_launch = async {
        let requester = &way.activity.requester.user;
        let turn = way.host.turns().take(requester, way.activity.priority).await;
        let judged = judge(way, asked).await?;
        drop(turn);
        let admitted = admission::admit(way, judged).await?;
        image::resolve(way, admitted).await
    };
    // Until something exists at an engine, a stop just ends the walk.
    let resolved = tokio::select! {
        biased;
        by = live.stop_requested() => Err(stopped_before(&by)),
        resolved = before_launch => resolved,
    };
    let launched = match resolved {
        Ok(resolved) => launch::launch(way, resolved, live).await,
        Err(end) => Err(end),
    };
    match launched {
        Ok(launched) => watch::to_the_end(way, launched, live).await,
        Err(end) => *end,
    }
}
