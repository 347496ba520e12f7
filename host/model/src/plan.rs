//! Where a job will run and within which bounds, and the edits that policies make to that.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, ActivityKind, Binding, Identity};
use crate::configuration::{ExecutionConfiguration, Security};
use crate::image::{CodeEnvironment, ContentKey, ImageSpec};
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
    /// More of it: variables, and the names of the secrets that they get, never values. No variable is in `env`, too.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The base image.
    pub image: ImageSpec,
    /// The code environment over it.
    #[serde(default)]
    pub code_env: Option<CodeEnvironment>,
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
    /// The recipe's parameters, as it gets them.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
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
    /// A parameter of the recipe.
    SetParameter(String, serde_json::Value),
    /// No such parameter.
    RemoveParameter(String),
}

/// One field that an edit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field, e.g. `resources.memory`.
    pub field: String,
    /// What it was; none when it wasn't there.
    pub before: Option<String>,
    /// What it is now; none when it is gone.
    pub after: Option<String>,
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
    /// The activity's own resources and secrets go before the configuration's; of two time limits the shorter holds.
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
        let mut secrets = configuration.secrets.clone();
        secrets.extend(activity.secrets.clone());
        secrets.extend(job.secrets.clone());
        let parameters = job.parameters.clone().unwrap_or_else(|| activity.parameters.clone());
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
            secrets,
            image,
            code_env: None,
            image_key,
            resources,
            labels,
            time_limit,
            parameters,
            inputs: activity.inputs.clone(),
            outputs: activity.outputs.clone(),
        }
    }

    /// Makes one edit and says what it changed: nothing, one field, or two when a variable's secret is taken away as well.
    ///
    /// A base image or an execution configuration is only *named* here: the caller, who knows the home, puts the rest of it
    /// in place.
    pub fn apply(&mut self, edit: &Edit) -> Vec<FieldChange> {
        fn map<V: Clone + ToString>(
            map: &mut BTreeMap<String, V>,
            prefix: &str,
            key: &str,
            value: Option<V>,
        ) -> FieldChange {
            let after = value.as_ref().map(ToString::to_string);
            let before = match value {
                Some(value) => map.insert(key.to_owned(), value),
                None => map.remove(key),
            };
            FieldChange { field: format!("{prefix}.{key}"), before: before.map(|v| v.to_string()), after }
        }
        fn field<T>(name: &str, slot: &mut T, value: T, show: impl Fn(&T) -> String) -> FieldChange {
            let after = show(&value);
            let before = show(&std::mem::replace(slot, value));
            FieldChange { field: name.to_owned(), before: Some(before), after: Some(after) }
        }
        fn parameter(
            parameters: &mut serde_json::Map<String, serde_json::Value>,
            key: &str,
            value: Option<serde_json::Value>,
        ) -> FieldChange {
            let after = value.as_ref().map(ToString::to_string);
            let before = match value {
                Some(value) => parameters.insert(key.to_owned(), value),
                None => parameters.remove(key),
            };
            FieldChange { field: format!("parameters.{key}"), before: before.map(|value| value.to_string()), after }
        }
        let joined = |list: &Vec<String>| list.join(",");
        let security = &mut self.security;
        // A variable has one source. A policy can take a secret away, and can't add one: there is no edit that does.
        let secret = match edit {
            Edit::SetEnv(key, _) | Edit::RemoveEnv(key) => Some(map(&mut self.secrets, "secrets", key, None)),
            _ => None,
        };
        let change = match edit.clone() {
            Edit::SetResource(key, value) => map(&mut self.resources, "resources", &key, Some(value)),
            Edit::RemoveResource(key) => map(&mut self.resources, "resources", &key, None),
            Edit::SetEnv(key, value) => map(&mut self.env, "env", &key, Some(value)),
            Edit::RemoveEnv(key) => map(&mut self.env, "env", &key, None),
            Edit::SetLabel(key, value) => map(&mut self.labels, "labels", &key, Some(value)),
            Edit::RemoveLabel(key) => map(&mut self.labels, "labels", &key, None),
            Edit::SetTimeLimit(limit) => {
                let before = std::mem::replace(&mut self.time_limit, limit);
                let show = |seconds: Option<u64>| seconds.map(|seconds| format!("{seconds}s"));
                FieldChange { field: "time-limit".to_owned(), before: show(before), after: show(limit) }
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
                let after = self.image.system_packages.join(",");
                FieldChange { field: "image.system-packages".to_owned(), before: Some(before), after: Some(after) }
            }
            Edit::SetParameter(key, value) => parameter(&mut self.parameters, &key, Some(value)),
            Edit::RemoveParameter(key) => parameter(&mut self.parameters, &key, None),
            Edit::SetExecutionConfiguration(name) => {
                field("execution-configuration", &mut self.configuration.name, name, String::clone)
            }
        };
        secret.into_iter().chain([change]).filter(|change| change.before != change.after).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        let activity = json!({
            "kind": "python", "requester": { "user": "ana", "groups": [] },
            "secrets": { "TOKEN": "of-activity", "PASSWORD": "db" }
        });
        let configuration = json!({
            "name": "large", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": [], "checks": [],
            "workload_types": [], "security": {}, "exchange": { "mode": "dial-back", "advertise": null },
            "env": { "TZ": "UTC" }, "secrets": { "TOKEN": "of-configuration", "LICENCE": "solver" }, "labels": {},
            "time_limit": null, "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
        });
        let image = json!({
            "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
            "extra_ca": [], "labels": {}, "made_by": "image-debian"
        });
        let job = Job::default();
        Plan::new(
            "r1",
            &serde_json::from_value(activity).unwrap(),
            job,
            serde_json::from_value(configuration).unwrap(),
            serde_json::from_value(image).unwrap(),
            None,
        )
    }

    fn change(field: &str, before: Option<&str>, after: Option<&str>) -> FieldChange {
        FieldChange { field: field.to_owned(), before: before.map(str::to_owned), after: after.map(str::to_owned) }
    }

    #[test]
    fn secrets_of_the_activity_go_before_those_of_the_configuration() {
        let secrets: Vec<(String, String)> = plan().secrets.into_iter().collect();
        let expected = [("LICENCE", "solver"), ("PASSWORD", "db"), ("TOKEN", "of-activity")];
        assert_eq!(secrets, expected.map(|(variable, name)| (variable.to_owned(), name.to_owned())));
    }

    #[test]
    fn a_variable_that_is_set_or_removed_gets_no_secret() {
        let mut plan = plan();
        let changes = plan.apply(&Edit::RemoveEnv("TOKEN".to_owned()));
        assert_eq!(changes, [change("secrets.TOKEN", Some("of-activity"), None)]);
        let changes = plan.apply(&Edit::SetEnv("PASSWORD".to_owned(), "public".to_owned()));
        let expected = [change("secrets.PASSWORD", Some("db"), None), change("env.PASSWORD", None, Some("public"))];
        assert_eq!(changes, expected);
        assert_eq!(plan.secrets.keys().collect::<Vec<_>>(), ["LICENCE"]);
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let mut plan = plan();
        assert_eq!(plan.apply(&Edit::SetEnv("TZ".to_owned(), "UTC".to_owned())), []);
        assert_eq!(plan.apply(&Edit::RemoveEnv("NONE".to_owned())), []);
        assert_eq!(plan.apply(&Edit::SetPrivileged(false)), []);
        assert_eq!(plan.apply(&Edit::RemoveEnv("TZ".to_owned())), [change("env.TZ", Some("UTC"), None)]);
        assert_eq!(plan.apply(&Edit::RemoveParameter("none".to_owned())), []);
    }

    #[test]
    fn a_parameter_is_set_and_removed() {
        let mut plan = plan();
        let jobs = |value| Edit::SetParameter("n_jobs".to_owned(), json!(value));
        assert_eq!(plan.apply(&jobs(2)), [change("parameters.n_jobs", None, Some("2"))]);
        assert_eq!(plan.apply(&jobs(2)), []);
        assert_eq!(plan.apply(&jobs(1)), [change("parameters.n_jobs", Some("2"), Some("1"))]);
        let gone = plan.apply(&Edit::RemoveParameter("n_jobs".to_owned()));
        assert_eq!(gone, [change("parameters.n_jobs", Some("1"), None)]);
    }

    #[test]
    fn a_plan_has_names_and_survives_its_record() {
        let plan = plan();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
