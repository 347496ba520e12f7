//! Where a job will run and within which bounds, and the edits that policies make to that.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, ActivityKind, Binding, Identity};
use crate::configuration::{ExecutionConfiguration, Security};
use crate::image::{ContentKey, ImageSpec};
use crate::job::Job;
use crate::quantity::{Quantity, Resources};

/// All that is about to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The run.
    pub run: String,
    /// What kind of work.
    pub kind: ActivityKind,
    /// Who asked.
    pub requester: Identity,
    /// The project.
    pub project: Option<String>,
    /// The execution configuration.
    pub configuration: ExecutionConfiguration,
    /// The command and its files. Its environment is merged into `env`.
    pub job: Job,
    /// The command's environment.
    pub env: BTreeMap<String, String>,
    /// The base image.
    pub image: ImageSpec,
    /// What the image is made of; none while a change has made it unknown.
    pub image_key: Option<ContentKey>,
    /// Resource restrictions.
    pub resources: Resources,
    /// What the container may do.
    pub security: Security,
    /// Labels of the engine's object, ours excepted.
    pub labels: BTreeMap<String, String>,
    /// Seconds.
    pub time_limit: Option<u64>,
    /// What it reads.
    pub inputs: Vec<Binding>,
    /// What it writes.
    pub outputs: Vec<Binding>,
}

/// One edit of one field of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// A resource restriction.
    SetResource(String, Quantity),
    /// No such restriction.
    RemoveResource(String),
    /// A variable.
    SetEnv(String, String),
    /// No such variable.
    RemoveEnv(String),
    /// A label.
    SetLabel(String, String),
    /// No such label.
    RemoveLabel(String),
    /// Seconds, or no limit.
    SetTimeLimit(Option<u64>),
    /// User and group ids.
    SetUser(String),
    /// Docker's `--privileged`.
    SetPrivileged(bool),
    /// Docker's `no-new-privileges`.
    SetNoNewPrivileges(bool),
    /// Docker's `--read-only`.
    SetReadOnlyRoot(bool),
    /// Capabilities to drop.
    SetDropCapabilities(Vec<String>),
    /// Capabilities to add.
    SetAddCapabilities(Vec<String>),
    /// Mounts from the daemon's machine.
    SetHostMounts(Vec<String>),
    /// The network.
    SetNetwork(String),
    /// Another base image.
    SetBaseImage(String),
    /// One more package of the distribution.
    AddSystemPackage(String),
    /// Another execution configuration.
    SetExecutionConfiguration(String),
}

/// An edit with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What to change.
    pub edit: Edit,
    /// The component's rule.
    pub rule: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl Plan {
    /// Puts a job, the activity that it came from and a configuration together.
    ///
    /// The activity's own resources go before the configuration's; of two time limits the shorter holds.
    #[must_use]
    pub fn new(
        run: &str,
        activity: &Activity,
        job: Job,
        configuration: ExecutionConfiguration,
        image: ImageSpec,
        image_key: Option<ContentKey>,
    ) -> Self {
        let mut env = configuration.env.clone();
        env.extend(job.env.clone());
        let mut resources = configuration.resources.clone();
        resources.extend(activity.resources.clone());
        let mut labels = configuration.labels.clone();
        labels.extend(activity.labels.clone());
        let time_limit = match (configuration.time_limit, activity.time_limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            run: run.to_owned(),
            kind: activity.kind,
            requester: activity.requester.clone(),
            project: activity.project.clone(),
            security: configuration.security.clone(),
            configuration,
            job,
            env,
            image,
            image_key,
            resources,
            labels,
            time_limit,
            inputs: activity.inputs.clone(),
            outputs: activity.outputs.clone(),
        }
    }

    /// Makes one edit and says which field it was, what it was before and what it is now.
    ///
    /// A base image or an execution configuration is only *named* here: the caller, who knows the home, puts the rest of it
    /// in place. `None` means that nothing changed.
    pub fn apply(&mut self, edit: &Edit) -> Option<(String, Option<String>, Option<String>)> {
        fn map<V: Clone + ToString>(
            map: &mut BTreeMap<String, V>,
            prefix: &str,
            key: &str,
            value: Option<V>,
        ) -> (String, Option<String>, Option<String>) {
            let after = value.as_ref().map(ToString::to_string);
            let before = match value {
                Some(value) => map.insert(key.to_owned(), value),
                None => map.remove(key),
            };
            (format!("{prefix}.{key}"), before.map(|v| v.to_string()), after)
        }
        fn field<T>(
            name: &str,
            slot: &mut T,
            value: T,
            show: impl Fn(&T) -> String,
        ) -> (String, Option<String>, Option<String>) {
            let after = show(&value);
            let before = show(&std::mem::replace(slot, value));
            (name.to_owned(), Some(before), Some(after))
        }
        let joined = |list: &Vec<String>| list.join(",");
        let security = &mut self.security;
        let (name, before, after) = match edit.clone() {
            Edit::SetResource(key, value) => map(&mut self.resources, "resources", &key, Some(value)),
            Edit::RemoveResource(key) => map(&mut self.resources, "resources", &key, None),
            Edit::SetEnv(key, value) => map(&mut self.env, "env", &key, Some(value)),
            Edit::RemoveEnv(key) => map(&mut self.env, "env", &key, None),
            Edit::SetLabel(key, value) => map(&mut self.labels, "labels", &key, Some(value)),
            Edit::RemoveLabel(key) => map(&mut self.labels, "labels", &key, None),
            Edit::SetTimeLimit(limit) => {
                let before = std::mem::replace(&mut self.time_limit, limit);
                ("time-limit".to_owned(), before.map(|s| format!("{s}s")), limit.map(|s| format!("{s}s")))
            }
            Edit::SetUser(user) => field("security.user", &mut security.user, user, String::clone),
            Edit::SetPrivileged(on) => field("security.privileged", &mut security.privileged, on, bool::to_string),
            Edit::SetNoNewPrivileges(on) => {
                field("security.no-new-privileges", &mut security.no_new_privileges, on, bool::to_string)
            }
            Edit::SetReadOnlyRoot(on) => {
                field("security.read-only-root", &mut security.read_only_root, on, bool::to_string)
            }
            Edit::SetDropCapabilities(list) => {
                field("security.drop-capabilities", &mut security.drop_capabilities, list, joined)
            }
            Edit::SetAddCapabilities(list) => {
                field("security.add-capabilities", &mut security.add_capabilities, list, joined)
            }
            Edit::SetHostMounts(list) => field("security.host-mounts", &mut security.host_mounts, list, joined),
            Edit::SetNetwork(network) => field("security.network", &mut security.network, network, String::clone),
            Edit::SetBaseImage(name) => field("base-image", &mut self.image.name, name, String::clone),
            Edit::AddSystemPackage(package) => {
                let before = self.image.system_packages.join(",");
                if !self.image.system_packages.contains(&package) {
                    self.image.system_packages.push(package);
                }
                ("image.system-packages".to_owned(), Some(before), Some(self.image.system_packages.join(",")))
            }
            Edit::SetExecutionConfiguration(name) => {
                field("execution-configuration", &mut self.configuration.name, name, String::clone)
            }
        };
        (before != after).then_some((name, before, after))
    }
}
