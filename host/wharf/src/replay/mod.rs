//! Runs of the past, judged again: by a component that isn't in use yet, or with other settings.
//!
//! Nothing is created, and no engine is asked: components get what the record says that they, or their neighbours, were asked.

mod ask;
mod past;
mod report;
mod what_if;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use wharf_components::{Candidate, ComponentSet, PolicyRole, Request, Subject};
use wharf_model::{Cause, Decision, Fault, Judgement, Mode};

use crate::calls::to_reply;
use crate::conclude::sentence_of;
use crate::host::{Inner, store_fault};
use crate::message::Reply;
use crate::store::{HistoryPlace, RunSummary, Store, StoreError};

use ask::flip;
pub(crate) use past::{Round, rounds};
pub use report::{
    Difference, Effects, Flip, FlipKind, NotReplayed, ReplayProgress, ReplayReport, ReplayRequest, WhatIf,
    WhatIfRequest,
};

/// How many runs are read at once.
const PAGE: u32 = 64;
/// How many runs of each kind a report lists.
const LISTED: u64 = 200;
/// A component that failed so often isn't asked any more: each time-out takes a second.
const MAX_FAILURES: u64 = 50;

const NOT_RECORDED: &str = "the record doesn't have what components were asked: an older version wrote it, or the run was stopped before they were asked";
const NO_PLAN: &str = "it ended before there was a plan to judge";
const NOT_FINAL: &str = "it ended before its plan was final";
const NOT_ASKED: &str = "its execution configuration doesn't name this permission check";
const NOT_ABOUT: &str = "its `mode`, `mode_for` or `when` leaves the run alone";
const UNREADABLE: &str = "its record can't be read back";

/// Answers a replay, and tells how it goes on.
pub(crate) fn answer(host: Arc<Inner>, request: ReplayRequest) -> BoxStream<'static, Reply> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let tell = |done, total| {
            let _ = sender.send(to_reply(&ReplayProgress::Looked { done, total }));
        };
        // Nobody listens any more: the work ends, too.
        let last = tokio::select! {
            done = host.replay(&request, tell) => done,
            () = sender.closed() => return,
        };
        let _ = match last {
            Ok(report) => {
                let done = ReplayProgress::Done(Box::new(report));
                sender.send(to_reply(&done)).and_then(|()| sender.send(Reply::End))
            }
            Err(fault) => sender.send(Reply::Fault(fault)),
        };
    });
    UnboundedReceiverStream::new(receiver).boxed()
}

impl Inner {
    async fn replay(&self, request: &ReplayRequest, tell: impl Fn(u64, u64)) -> Result<ReplayReport, Fault> {
        let set = self.set().await;
        let (engine, file, settings) = (set.engine().clone(), request.file.clone(), request.settings.clone());
        let load = move || Candidate::load(&engine, &file, settings.as_deref());
        let candidate = tokio::task::spawn_blocking(load)
            .await
            .map_err(|_| Fault::new("component-invalid", "loading it failed").at(&request.file, None))??;
        Replay::new(self.store(), &set, &candidate).over(request, tell).await.map_err(|error| store_fault(&error))
    }
}

/// A run that the component isn't about now: it says nothing of it, whatever its namesake said then.
fn left_alone(then: Option<Decision>) -> Result<(Decision, Option<Decision>), &'static str> {
    let then = then.ok_or(NOT_ABOUT)?;
    let judgement = Judgement::Accept { changes: Vec::new(), limits: Vec::new(), warnings: Vec::new() };
    Ok((Decision { micros: 0, votes: None, judgement, ..then.clone() }, Some(then)))
}

/// A component that is asked about runs of the past.
pub(crate) struct Replay<'a> {
    store: &'a Store,
    set: &'a ComponentSet,
    candidate: &'a Candidate,
    report: ReplayReport,
    /// By the reason.
    not_replayed: BTreeMap<&'static str, NotReplayed>,
    listed: BTreeMap<FlipKind, u64>,
}

impl<'a> Replay<'a> {
    /// A component, and those among which it would stand.
    pub(crate) fn new(store: &'a Store, set: &'a ComponentSet, candidate: &'a Candidate) -> Self {
        let info = candidate.info();
        let report = ReplayReport {
            component: info.name.clone(),
            version: info.version.clone(),
            digest: info.digest.clone(),
            settings_digest: info.settings_digest.clone(),
            world: crate::component::world(info),
            is_audited: info.application.mode != Mode::Enforce,
            ..ReplayReport::default()
        };
        Self { store, set, candidate, report, not_replayed: BTreeMap::new(), listed: BTreeMap::new() }
    }

    /// Asks about each run, the newest first, a page of the history at a time.
    pub(crate) async fn over(
        mut self,
        request: &ReplayRequest,
        tell: impl Fn(u64, u64),
    ) -> Result<ReplayReport, StoreError> {
        let started = Instant::now();
        let limit = request.limit.unwrap_or(u64::MAX);
        let total = self.store.count(&request.filter)?.min(limit);
        let mut place: Option<HistoryPlace> = None;
        'history: while self.report.runs < total {
            let page = self.store.find(&request.filter, place.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            place = Some(last.into());
            for run in page {
                if self.report.runs == total {
                    break 'history;
                }
                self.report.runs += 1;
                self.one(&run).await?;
                if self.report.failed >= MAX_FAILURES {
                    self.report.gave_up =
                        Some(format!("it failed {MAX_FAILURES} times, so it wasn't asked about the rest"));
                    break 'history;
                }
            }
            tell(self.report.runs, total);
        }
        let mut not_replayed: Vec<NotReplayed> = self.not_replayed.into_values().collect();
        not_replayed.sort_by_key(|some| std::cmp::Reverse(some.runs));
        self.report.not_replayed = not_replayed;
        self.report.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(self.report)
    }

    async fn one(&mut self, run: &RunSummary) -> Result<(), StoreError> {
        let rounds = match rounds(self.store, &run.run) {
            Ok(rounds) => rounds,
            // One record that is damaged doesn't keep the others from being read.
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::warn!(run = run.run, "{}", sentence_of(&error));
                self.leave_out(UNREADABLE, run);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if rounds.is_empty() {
            self.leave_out(NOT_RECORDED, run);
            return Ok(());
        }
        let mut why_not = None;
        let mut asked = false;
        for round in &rounds {
            let (now, then) = match self.ask(run, round).await? {
                Ok(answers) => answers,
                Err(why) => {
                    why_not = Some(why);
                    continue;
                }
            };
            asked = true;
            self.time(&now);
            let Some(mut kind) = flip(then.as_ref().map(|then| &then.judgement), &now.judgement) else { continue };
            let refused = run.outcome.as_ref().is_some_and(|end| matches!(end.cause, Cause::Refused | Cause::Rejected));
            if kind == FlipKind::Refused && refused {
                kind = FlipKind::RefusedAnyway;
            }
            // Later rounds would have been others.
            self.replayed(run, kind, now);
            break;
        }
        match (asked, why_not) {
            (true, _) => self.report.replayed += 1,
            (false, why) => self.leave_out(why.unwrap_or(NO_PLAN), run),
        }
        Ok(())
    }

    /// What the component says of a round now, and what its namesake said then; or why it can't be asked.
    async fn ask(
        &self,
        run: &RunSummary,
        round: &Round,
    ) -> Result<Result<(Decision, Option<Decision>), &'static str>, StoreError> {
        let name = &self.candidate.info().name;
        Ok(match self.candidate {
            Candidate::Permission(permission) => {
                let then = round.decision("permission", name).cloned();
                let Some((configuration, question)) = round.permission() else { return Ok(Err(NOT_RECORDED)) };
                // One that isn't in use yet is tried on all.
                if self.set.permission(name).is_some() && !configuration.checks.contains(name) {
                    return Ok(Err(NOT_ASKED));
                }
                let Some(details) = self.store.details(&run.run)? else { return Ok(Err(NOT_RECORDED)) };
                let request = Request::of_activity(&run.run, &details.activity, configuration);
                if permission.mode_of(&Subject::of_request(&request)) == Mode::Off {
                    return Ok(left_alone(then));
                }
                Ok((permission.check(&request, &question.usage).await, then))
            }
            Candidate::Policy(policy) => {
                let then = round.decision("policy", name).cloned();
                let (mut plan, object, question) = match policy.role() {
                    PolicyRole::Mutating => {
                        let order = |other: &str| self.set.policy(other).map(|policy| policy.info().order);
                        match round.plan_for(policy.info(), order) {
                            Some((plan, question)) => (plan, None, question),
                            None => return Ok(Err(NO_PLAN)),
                        }
                    }
                    PolicyRole::Validating => match round.judged() {
                        Some((plan, object, question)) => (plan.clone(), Some(object.to_string()), question),
                        None if round.plans().next().is_some() => return Ok(Err(NOT_FINAL)),
                        None => return Ok(Err(NO_PLAN)),
                    },
                };
                if policy.mode_of(&Subject::of_plan(&plan)) == Mode::Off {
                    return Ok(left_alone(then));
                }
                let writers = &mut HashMap::new();
                Ok((ask::policy(policy, &mut plan, object.as_deref(), &question.usage, writers).await, then))
            }
        })
    }

    fn time(&mut self, now: &Decision) {
        self.report.component_micros = self.report.component_micros.saturating_add(now.micros);
        self.report.slowest_micros = self.report.slowest_micros.max(now.micros);
        if matches!(now.judgement, Judgement::Error { .. }) {
            self.report.failed += 1;
        }
    }

    fn replayed(&mut self, run: &RunSummary, kind: FlipKind, decision: Decision) {
        self.report.effects.count(kind);
        self.report.by_user.entry(run.user.clone()).or_default().count(kind);
        self.report.by_configuration.entry(run.configuration.clone()).or_default().count(kind);
        if let Judgement::Accept { changes, .. } = &decision.judgement
            && kind == FlipKind::Changed
        {
            let fields: std::collections::BTreeSet<&String> = changes.iter().map(|receipt| &receipt.field).collect();
            for field in fields {
                *self.report.fields.entry(field.clone()).or_default() += 1;
            }
        }
        let listed = self.listed.entry(kind).or_default();
        if *listed == LISTED {
            self.report.not_listed += 1;
            return;
        }
        *listed += 1;
        self.report.flips.push(Flip {
            run: run.run.clone(),
            submitted_at: run.submitted_at,
            user: run.user.clone(),
            configuration: run.configuration.clone(),
            kind,
            decision,
        });
    }

    fn leave_out(&mut self, why: &'static str, run: &RunSummary) {
        let example = || NotReplayed { why: why.to_owned(), runs: 0, example: run.run.clone() };
        self.not_replayed.entry(why).or_insert_with(example).runs += 1;
    }
}

#[cfg(test)]
pub(crate) mod tests;
