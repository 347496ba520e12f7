//! Components that judge or change plans.

use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{Change, Limit, Plan, Reason, UsageEntry};

use crate::answer;
use crate::bindings::policy_evaluation::Decision;
use crate::call::Call;
use crate::call_error::CallError;
use crate::contract::PolicyIndices;
use crate::loaded::Loaded;
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

/// A loaded policy.
#[derive(Clone)]
pub struct Policy {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: PolicyIndices,
    pub(crate) role: PolicyRole,
}

impl Policy {
    /// The name by which `wharf.toml` requires it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// Whether it changes plans or judges them.
    #[must_use]
    pub fn role(&self) -> PolicyRole {
        self.role
    }

    /// What an error of it means for the run.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        self.loaded.info.on_error
    }

    /// Asks it about a plan. Give `engine_object` to validating policies: the exact object that would be created, as JSON.
    pub async fn evaluate(&self, plan: &Plan, engine_object: Option<&str>, usage: &[UsageEntry]) -> Call<PolicyAnswer> {
        let started = Instant::now();
        let answer = self.answer(plan, engine_object, usage).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    async fn answer(
        &self,
        plan: &Plan,
        engine_object: Option<&str>,
        usage: &[UsageEntry],
    ) -> Result<PolicyAnswer, CallError> {
        let plan = view::plan(plan, engine_object);
        let usage = view::usage(usage);
        let mut session = self.loaded.session().await?;
        let decision = self.indices.evaluate(&mut session, &plan, &usage).await;
        match session.finish(decision)? {
            Decision::Accept(acceptance) => {
                if self.role == PolicyRole::Validating && !acceptance.changes.is_empty() {
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
