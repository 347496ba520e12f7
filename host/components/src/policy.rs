//! Components that judge or change plans.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{Change, GroupVotes, Judgement, Limit, Mode, Plan, Reason, UsageEntry};

use crate::answer;
use crate::application::Subject;
use crate::bindings::policy_evaluation::Decision;
use crate::call::Call;
use crate::call_error::CallError;
use crate::contract::PolicyIndices;
use crate::group::{self, Body, Group, Single};
use crate::loaded::ComponentInfo;
use crate::settings_file::OnError;
use crate::view;

/// Whether a policy changes plans or judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyRole {
    /// May change the plan; called before all that judge.
    Mutating,
    /// Judges the final plan.
    Validating,
}

/// What a policy answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyAnswer {
    /// Go on.
    Accept {
        /// What to change, in order: empty for validating policies. Checked, but not applied.
        changes: Vec<Change>,
        /// For admission.
        limits: Vec<Limit>,
        /// For the reader of the record.
        warnings: Vec<String>,
    },
    /// No.
    Reject {
        /// Why; at least one.
        reasons: Vec<Reason>,
    },
}

/// A loaded policy, or a group of policies that judge.
#[derive(Clone)]
pub struct Policy {
    pub(crate) body: Body<PolicyIndices>,
    pub(crate) role: PolicyRole,
}

impl Policy {
    /// The name by which `wharf.toml` requires it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.body.name()
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &ComponentInfo {
        self.body.info()
    }

    /// Whether it changes plans or judges them.
    #[must_use]
    pub fn role(&self) -> PolicyRole {
        self.role
    }

    /// What an error of it means for the run. A group's member that fails is the group's own affair.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        match &self.body {
            Body::Single(single) => single.loaded.info.on_error,
            Body::Group(_) => OnError::Deny,
        }
    }

    /// What its answer means for a run. One that says [`Mode::Off`] needn't be asked.
    #[must_use]
    pub fn mode_of(&self, run: &Subject<'_>) -> Mode {
        self.body.mode_of(run)
    }

    /// Whether its answer counts for every run that it is about: what a required policy must.
    #[must_use]
    pub fn always_enforces(&self) -> bool {
        self.body.always_enforces()
    }

    /// Asks it about a plan. Give `engine_object` to validating policies: the exact object that would be created, as JSON.
    ///
    /// Whether the answer counts is in the attribution's mode.
    pub async fn evaluate(&self, plan: &Plan, engine_object: Option<&str>, usage: &[UsageEntry]) -> Call<PolicyAnswer> {
        let mode = self.mode_of(&Subject::of_plan(plan));
        let mut call = match &self.body {
            Body::Single(single) => single.evaluate(self.role, plan, engine_object, usage).await,
            Body::Group(group) => group.evaluate(plan, engine_object, usage).await,
        };
        call.by.mode = mode;
        call
    }
}

impl Group<PolicyIndices> {
    async fn evaluate(&self, plan: &Plan, engine_object: Option<&str>, usage: &[UsageEntry]) -> Call<PolicyAnswer> {
        let started = Instant::now();
        let mut votes = GroupVotes { logic: self.file.table.logic, members: Vec::new() };
        for member in &self.members {
            let call = member.evaluate(PolicyRole::Validating, plan, engine_object, usage).await;
            let judgement = match call.answer {
                Ok(PolicyAnswer::Accept { limits, warnings, .. }) => {
                    Judgement::Accept { changes: Vec::new(), limits, warnings }
                }
                Ok(PolicyAnswer::Reject { reasons }) => Judgement::Reject { reasons },
                Err(error) => Judgement::Error { message: error.to_string(), ignored: false },
            };
            votes.members.push(call.by.decision("policy", judgement));
        }
        let answer = match group::judgement(&votes) {
            Judgement::Accept { limits, warnings, .. } => {
                Ok(PolicyAnswer::Accept { changes: Vec::new(), limits, warnings })
            }
            Judgement::Reject { reasons } => Ok(PolicyAnswer::Reject { reasons }),
            Judgement::Error { message, .. } => Err(CallError::Refused { message }),
        };
        let mut by = self.file.names.attribution(started);
        by.votes = Some(votes);
        Call { by, answer }
    }
}

impl Single<PolicyIndices> {
    async fn evaluate(
        &self,
        role: PolicyRole,
        plan: &Plan,
        engine_object: Option<&str>,
        usage: &[UsageEntry],
    ) -> Call<PolicyAnswer> {
        let started = Instant::now();
        let answer = self.answer(role, plan, engine_object, usage).await;
        Call { by: self.loaded.attribution_under(&plan.configuration.name, started), answer }
    }

    async fn answer(
        &self,
        role: PolicyRole,
        plan: &Plan,
        engine_object: Option<&str>,
        usage: &[UsageEntry],
    ) -> Result<PolicyAnswer, CallError> {
        let mut session = self.loaded.session_under(&plan.configuration.name).await?;
        let plan = view::plan(plan, engine_object);
        let usage = view::usage(usage);
        let decision = self.indices.evaluate(&mut session, &plan, &usage).await;
        match session.finish(decision)? {
            Decision::Accept(acceptance) => {
                if role == PolicyRole::Validating && !acceptance.changes.is_empty() {
                    return Err(CallError::invalid("changes", "a validating policy can't change anything"));
                }
                Ok(PolicyAnswer::Accept {
                    changes: answer::changes(acceptance.changes)?,
                    limits: answer::limits(acceptance.limits)?,
                    warnings: answer::warnings(acceptance.warnings)?,
                })
            }
            Decision::Reject(reasons) => Ok(PolicyAnswer::Reject { reasons: answer::reasons(reasons)? }),
        }
    }
}
