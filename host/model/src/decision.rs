//! What components answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, Binding, Place};
use crate::configuration::ExecutionConfiguration;
use crate::job::Job;
use crate::plan::{Change, Plan};

/// One reason for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The component's rule.
    pub rule: String,
    /// One sentence.
    pub message: String,
    /// The field of the plan that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// What to do when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// Wait for room.
    Wait,
    /// Refuse.
    Reject,
}

/// A limit that admission enforces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Whose runs count together.
    pub scope: String,
    /// `running`, `cpus` or `memory`.
    pub counter: String,
    /// The most at once, this run included.
    pub maximum: u64,
    /// What to do when it is reached.
    pub when_full: WhenFull,
}

/// The admitted runs of one user under one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEntry {
    /// The user.
    pub user: String,
    /// The configuration.
    pub configuration: String,
    /// How many runs.
    pub running: u32,
    /// The sum of their `cpus`, in billionths.
    pub cpus: u64,
    /// The sum of their `memory`, in bytes.
    pub memory: u64,
}

/// How a component judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Judgement {
    /// Go on; with what it changed.
    Accept {
        /// Edits, with what each field was and became.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<Receipt>,
        /// For admission.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        limits: Vec<Limit>,
        /// For the reader of the record.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// No.
    Reject {
        /// Why.
        reasons: Vec<Reason>,
    },
    /// The component failed: a trap, a time-out, an answer out of bounds.
    Error {
        /// What happened.
        message: String,
        /// Whether the run goes on all the same (`on_error = "allow"`).
        ignored: bool,
    },
}

/// One field that a policy changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The edit as it was asked for.
    pub change: Change,
    /// The field, e.g. `resources.memory`.
    pub field: String,
    /// What it was; none when it wasn't there.
    pub before: Option<String>,
    /// What it is now; none when it is gone.
    pub after: Option<String>,
    /// Another component that changed the same field earlier in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<String>,
}

/// What a component's no, or its changes, mean for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A no is a no, a change is made.
    #[default]
    Enforce,
    /// It is asked and its answer recorded; the run goes on as if it hadn't been.
    Audit,
    /// It isn't asked.
    Off,
}

impl Mode {
    /// The word, as TOML files and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
            Self::Off => "off",
        }
    }

    fn is_enforce(&self) -> bool {
        *self == Self::Enforce
    }
}

/// How a group comes from its members' answers to its own. A member that fails never helps a group to a yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Logic {
    /// Every member must say yes.
    All,
    /// One member's yes is enough.
    Any,
    /// Every member must say no.
    None,
}

impl Logic {
    /// The word, as TOML files and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::None => "none",
        }
    }
}

/// What the members of a group answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupVotes {
    /// What the group makes of them.
    pub logic: Logic,
    /// Each member's own decision, in their order.
    pub members: Vec<Decision>,
}

/// What a component was asked, as much as it could see of it: enough to ask it, or another one, again.
///
/// Code, files, the places of data and parameters that no adapter has looked at aren't in it: no component sees them, and a
/// secret may stand in them by mistake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What was asked for: of permission components. Secrets that its parameters refer to are among its `secrets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// The execution configuration that would be used: of permission components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ExecutionConfiguration>,
    /// The plan: of policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The engine's object: of validating policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<serde_json::Value>,
    /// The snapshot of what was in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<UsageEntry>,
}

impl Question {
    /// What a permission component is asked.
    #[must_use]
    pub fn of_permission(activity: &Activity, configuration: &ExecutionConfiguration, usage: &[UsageEntry]) -> Self {
        let activity = Activity {
            code: None,
            code_name: None,
            parameters: serde_json::Map::new(),
            variables: [].into(),
            secrets: activity.named_secrets(),
            inputs: without_places(&activity.inputs),
            outputs: without_places(&activity.outputs),
            ..activity.clone()
        };
        let configuration = Some(configuration.clone());
        Self { activity: Some(activity), configuration, usage: usage.to_vec(), ..Self::default() }
    }

    /// What a policy is asked.
    #[must_use]
    pub fn of_policy(plan: &Plan, object: Option<&serde_json::Value>, usage: &[UsageEntry]) -> Self {
        let plan = Plan {
            job: Job { argv: plan.job.argv.clone(), ..Job::default() },
            inputs: without_places(&plan.inputs),
            outputs: without_places(&plan.outputs),
            ..plan.clone()
        };
        Self { plan: Some(plan), object: object.cloned(), usage: usage.to_vec(), ..Self::default() }
    }
}

fn without_places(bindings: &[Binding]) -> Vec<Binding> {
    let without = |binding: &Binding| Binding { place: Place { path: "/".into() }, ..binding.clone() };
    bindings.iter().map(without).collect()
}

/// What one component answered to one question, and which component that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The step of the run: `permission`, `policy`, `adapter` or `image-recipe`.
    pub step: String,
    /// The component's name.
    pub component: String,
    /// The component's own version.
    pub version: String,
    /// SHA-256 of its file; empty when it isn't loaded.
    pub digest: String,
    /// SHA-256 of its settings.
    pub settings_digest: String,
    /// How long the call took, in microseconds.
    pub micros: u64,
    /// With `audit`, the judgement is what would have been: nothing of it was enforced, no change made.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
    /// For a group: its members' answers. Its digests are then those of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<GroupVotes>,
    /// The answer.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Decision {
    /// Whether its judgement counted for the run.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.mode == Mode::Enforce
    }
}
