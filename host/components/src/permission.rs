//! Components that answer permission checks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_model::{Decision, Judgement, UsageEntry};

use crate::answer;
use crate::bindings::permission_check::{GuestIndices, Verdict};
use crate::call::within;
use crate::call_error::CallError;
use crate::loaded::Loaded;
use crate::request::Request;
use crate::view;

/// A loaded permission component.
#[derive(Clone)]
pub struct Permission {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: GuestIndices,
}

impl Permission {
    /// The name that configurations call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// May this user use this execution configuration for this?
    ///
    /// Anything but [`Judgement::Accept`] is a no. A failure of the component is never ignored.
    pub async fn check(&self, request: &Request<'_>, usage: &[UsageEntry]) -> Decision {
        let started = Instant::now();
        let judgement = match self.answer(request, usage).await {
            Ok(judgement) => judgement,
            Err(error) => Judgement::Error { message: error.to_string(), ignored: false },
        };
        self.loaded.attribution(started).decision("permission", judgement)
    }

    /// Calls one instance many times, which a host never does: for a benchmark to compare with. Says how long that took.
    ///
    /// # Errors
    /// A call failed.
    #[doc(hidden)]
    pub async fn check_in_one_instance(
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
        let request = view::request(request);
        let usage = view::usage(usage);
        let mut session = self.loaded.session().await?;
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
