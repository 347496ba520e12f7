//! Components that answer permission checks.

use std::time::{Duration, Instant};

use wharf_model::{Decision, GroupVotes, Judgement, Mode, UsageEntry};

use crate::answer;
use crate::application::Subject;
use crate::bindings::permission_check::{GuestIndices, Verdict};
use crate::call::within;
use crate::call_error::CallError;
use crate::group::{self, Body, Single};
use crate::loaded::ComponentInfo;
use crate::request::Request;
use crate::view;

/// A loaded permission component, or a group of them.
#[derive(Clone)]
pub struct Permission {
    pub(crate) body: Body<GuestIndices>,
}

impl Permission {
    /// Calls one instance many times, which a host never does: for a benchmark to compare with. Says how long that took.
    ///
    /// # Errors
    /// A call failed, or it is a group.
    #[doc(hidden)]
    pub async fn check_in_one_instance(
        &self,
        request: &Request<'_>,
        usage: &[UsageEntry],
        rounds: usize,
    ) -> Result<Duration, CallError> {
        match &self.body {
            Body::Single(single) => single.check_in_one_instance(request, usage, rounds).await,
            Body::Group(_) => Err(CallError::Refused { message: "a group has several instances".to_owned() }),
        }
    }

    /// The name that configurations call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.body.name()
    }

    /// What its answer means for a run. One that says [`Mode::Off`] needn't be asked.
    #[must_use]
    pub fn mode_of(&self, run: &Subject<'_>) -> Mode {
        self.body.mode_of(run)
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &ComponentInfo {
        self.body.info()
    }

    /// May this user use this execution configuration for this?
    ///
    /// Anything but [`Judgement::Accept`] is a no. A failure of the component is never ignored. Whether the answer counts is in
    /// the decision's mode.
    pub async fn check(&self, request: &Request<'_>, usage: &[UsageEntry]) -> Decision {
        let mode = self.mode_of(&Subject::of_request(request));
        let decision = match &self.body {
            Body::Single(single) => single.check(request, usage).await,
            Body::Group(group) => {
                let started = Instant::now();
                let mut votes = GroupVotes { logic: group.file.table.logic, members: Vec::new() };
                for member in &group.members {
                    votes.members.push(member.check(request, usage).await);
                }
                let judgement = group::judgement(&votes);
                let mut by = group.file.names.attribution(started);
                by.votes = Some(votes);
                by.decision("permission", judgement)
            }
        };
        Decision { mode, ..decision }
    }
}

impl Single<GuestIndices> {
    async fn check(&self, request: &Request<'_>, usage: &[UsageEntry]) -> Decision {
        let started = Instant::now();
        let judgement = match self.answer(request, usage).await {
            Ok(judgement) => judgement,
            Err(error) => Judgement::Error { message: error.to_string(), ignored: false },
        };
        self.loaded.attribution_under(&request.configuration.name, started).decision("permission", judgement)
    }

    async fn check_in_one_instance(
        &self,
        request: &Request<'_>,
        usage: &[UsageEntry],
        rounds: usize,
    ) -> Result<Duration, CallError> {
        let mut session = self.loaded.session().await?;
        let guest =
            self.indices.load(&mut session.store, &session.instance).map_err(|error| session.explain(&error))?;
        let started = Instant::now();
        for _ in 0..rounds {
            let (request, usage) = (view::request(request), view::usage(usage));
            let verdict = guest.call_check(&mut session.store, &request, &usage).await;
            drop(verdict.map_err(|error| session.explain(&error))?);
        }
        Ok(started.elapsed())
    }

    async fn answer(&self, request: &Request<'_>, usage: &[UsageEntry]) -> Result<Judgement, CallError> {
        let mut session = self.loaded.session_under(&request.configuration.name).await?;
        let request = view::request(request);
        let usage = view::usage(usage);
        let guest = self.indices.load(&mut session.store, &session.instance);
        let verdict = match guest {
            Ok(guest) => within(session.deadline(), guest.call_check(&mut session.store, &request, &usage)).await,
            Err(error) => Err(error),
        };
        match session.finish(verdict)? {
            Verdict::Allow(limits) => {
                Ok(Judgement::Accept { changes: Vec::new(), limits: answer::limits(limits)?, warnings: Vec::new() })
            }
            Verdict::Deny(reasons) => Ok(Judgement::Reject { reasons: answer::reasons(reasons)? }),
        }
    }
}
