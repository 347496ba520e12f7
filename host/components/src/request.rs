//! What a permission component is asked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wharf_model::{Activity, ActivityKind, Binding, ExecutionConfiguration, Identity, Plan, Resources};

/// What was asked, before anything is decided.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The run.
    pub run: &'a str,
    /// What kind of work.
    pub kind: ActivityKind,
    /// Who asks.
    pub requester: &'a Identity,
    /// The project.
    pub project: Option<&'a str>,
    /// The execution configuration that would be used.
    pub configuration: &'a ExecutionConfiguration,
    /// The code environment that is named.
    pub code_env: Option<&'a str>,
    /// Resources that are asked for instead of the configuration's.
    pub resources: &'a Resources,
    /// Secrets that are asked for besides the configuration's, by variable or by their place in the parameters.
    pub secrets: Cow<'a, BTreeMap<String, String>>,
    /// What it reads.
    pub inputs: &'a [Binding],
    /// What it writes.
    pub outputs: &'a [Binding],
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
}

impl<'a> Request<'a> {
    /// What an activity asks for, under this configuration.
    #[must_use]
    pub fn of_activity(run: &'a str, activity: &'a Activity, configuration: &'a ExecutionConfiguration) -> Self {
        Self {
            run,
            kind: activity.kind,
            requester: &activity.requester,
            project: activity.project.as_deref(),
            configuration,
            code_env: activity.code_env.as_deref(),
            resources: &activity.resources,
            secrets: Cow::Owned(activity.named_secrets()),
            inputs: &activity.inputs,
            outputs: &activity.outputs,
            labels: &activity.labels,
        }
    }

    /// What a plan asks for: for the second time, after a policy changed the user or the configuration.
    #[must_use]
    pub fn of_plan(plan: &'a Plan) -> Self {
        Self {
            run: &plan.run,
            kind: plan.kind,
            requester: &plan.requester,
            project: plan.project.as_deref(),
            configuration: &plan.configuration,
            code_env: plan.code_env.as_ref().map(|environment| environment.name.as_str()),
            resources: &plan.resources,
            secrets: Cow::Borrowed(&plan.secrets),
            inputs: &plan.inputs,
            outputs: &plan.outputs,
            labels: &plan.labels,
        }
    }

    /// All secrets that the recipe would get, by variable.
    pub(crate) fn secrets(&self) -> BTreeMap<String, String> {
        let mut secrets = self.configuration.secrets.clone();
        secrets.extend(self.secrets.iter().map(|(place, name)| (place.clone(), name.clone())));
        secrets
    }
}
