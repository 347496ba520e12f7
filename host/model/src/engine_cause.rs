//! Why an engine ended a container, or couldn't begin it: typed, with the engine's own words.

use serde::{Deserialize, Serialize};

use crate::outcome::{Cause, Whose};

/// One resource of a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaItem {
    /// Which: `limits.memory`, `pods`, `count/jobs.batch`.
    pub resource: String,
    /// What the run asks for.
    pub requested: String,
    /// What was in use.
    pub used: String,
    /// What the quota allows.
    pub hard: String,
}

/// A right that an API server says is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingRight {
    /// Who lacks it, as the API server knows them.
    pub user: String,
    /// `create`.
    pub verb: String,
    /// The API group; empty for the core one.
    pub group: String,
    /// `jobs`, `pods/log`.
    pub resource: String,
    /// The namespace; none is the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What grants it, to paste under the rules of a role.
    pub rule: String,
}

/// Why an engine ended a container, or couldn't begin it, beyond its exit code.
///
/// Only what has a name of its own at the engine: a recipe that failed has an exit code and no such cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EngineCause {
    /// The kernel killed its first process for memory.
    OutOfMemory {
        /// The container's limit, in the engine's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
    },
    /// The node put it out because of a resource.
    Evicted {
        /// Which: `memory`, `ephemeral-storage`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
        /// Whether it went over a limit of its own; else the node ran short.
        own_limit: bool,
        /// Where it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// The engine's own words.
        words: String,
    },
    /// Somebody evicted it by the eviction API: a drained node, an autoscaler.
    Drained {
        /// Where it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// It made room for another of a higher priority.
    Preempted {
        /// The engine's own words.
        words: String,
    },
    /// It took longer than the object's own deadline.
    DeadlineExceeded {
        /// The deadline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// Its node doesn't answer any more, or is gone.
    NodeLost {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// The engine's own words.
        words: String,
    },
    /// Its node was shut down.
    NodeShutdown {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// The engine's own words.
        words: String,
    },
    /// The node that it was given to refused it.
    NodeRefused {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// The engine's word for it: `OutOfcpu`, `NodeAffinity`.
        reason: String,
        /// The engine's own words.
        words: String,
    },
    /// Somebody deleted its pod.
    PodDeleted {
        /// Where it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Whether its container had begun.
        begun: bool,
    },
    /// Somebody deleted its Job.
    JobDeleted {
        /// Whether its container had begun.
        begun: bool,
    },
    /// Its image can't be pulled.
    ImagePull {
        /// Which.
        image: String,
        /// The registry's own words, or the node's.
        words: String,
    },
    /// Its container can't be made.
    CreateFailed {
        /// The engine's word for it: `CreateContainerError`, `FailedMount`.
        reason: String,
        /// The engine's own words.
        words: String,
    },
    /// No node can take it.
    Unschedulable {
        /// The scheduler's own words.
        words: String,
    },
    /// It waits in a queue of the cluster's.
    Queued {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
    },
    /// A quota of its namespace is used up.
    QuotaExceeded {
        /// The namespace.
        namespace: String,
        /// The quota's name.
        quota: String,
        /// What there isn't enough of.
        items: Vec<QuotaItem>,
    },
    /// A quota asks for amounts that the run doesn't name.
    QuotaNeeds {
        /// The quota's name.
        quota: String,
        /// What must be named, in the engine's own words.
        words: String,
    },
    /// A right is missing.
    Forbidden(MissingRight),
    /// The API server doesn't accept who we are.
    Unauthorized {
        /// Its own words.
        words: String,
    },
    /// The namespace's bounds for single containers and pods refuse it.
    LimitRange {
        /// The engine's own words.
        words: String,
    },
    /// The namespace's pod security level refuses it.
    PodSecurity {
        /// `restricted:latest`.
        level: String,
        /// What it violates, in the engine's own words.
        words: String,
    },
    /// An admission webhook or policy of the cluster refuses it.
    AdmissionRefused {
        /// Its name.
        by: String,
        /// Its own words.
        words: String,
    },
    /// An admission webhook of the cluster doesn't answer.
    AdmissionAway {
        /// Its name.
        by: String,
        /// The API server's own words.
        words: String,
    },
    /// The API server says that the object is wrong.
    Invalid {
        /// Its own words.
        words: String,
    },
    /// Something that it names isn't there.
    Missing {
        /// `Secret`, `ServiceAccount`, `Namespace`.
        object: String,
        /// Its name.
        name: String,
        /// The engine's own words.
        words: String,
    },
    /// The run's own Secret isn't there.
    TicketMissing,
    /// Its namespace is being deleted.
    NamespaceEnding {
        /// Which.
        namespace: String,
    },
}

/// What a cause means to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In the vocabulary of outcomes.
    pub cause: Cause,
    /// One sentence.
    pub sentence: String,
    /// Whose doing it was.
    pub whose: Whose,
    /// Whether trying again, unchanged, can help.
    pub retry_helps: bool,
    /// What to do.
    pub advice: String,
}

impl EngineCause {
    /// What it means: the cause, a sentence, whose doing, whether trying again can help, and what to do.
    #[must_use]
    pub fn told(&self) -> Told {
        self.of_its_end().or_else(|| self.of_its_place()).unwrap_or_else(|| self.of_its_admission())
    }

    /// The sentence alone.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.told().sentence
    }

    /// What a container went through that had a node.
    fn of_its_end(&self) -> Option<Told> {
        let told = match self {
            Self::OutOfMemory { limit } => told(
                Cause::OutOfMemory,
                match limit {
                    Some(limit) => format!("its container was killed for memory at its limit of {limit} (OOMKilled)"),
                    None => "its container was killed for memory (OOMKilled), without a limit of its own: its node had no more"
                        .to_owned(),
                },
                if limit.is_some() { Whose::Limit } else { Whose::Capacity },
                limit.is_none(),
                "ask for more (`--resource limits.memory=...`), use a larger configuration, or read the data in pieces \
                 (`iter_dataframes`)",
            ),
            Self::Evicted { resource, own_limit, node, words } => evicted(resource.as_deref(), *own_limit, node, words),
            Self::Drained { node } => told(
                Cause::Evicted,
                format!("its pod was evicted{} through the eviction API: the node was drained, or an autoscaler took it", from(node)),
                Whose::Engine,
                true,
                "run it again: it goes to another node",
            ),
            Self::Preempted { words } => told(
                Cause::Preempted,
                format!("its pod made room for one of a higher priority: {words}"),
                Whose::Capacity,
                true,
                "run it again when the cluster has more room, or give the configuration a higher `priority_class`",
            ),
            Self::DeadlineExceeded { seconds } => told(
                Cause::TimeLimit,
                match seconds {
                    Some(seconds) => format!("it took longer than its Job may take ({seconds} s): the cluster ended it"),
                    None => "it took longer than its Job may take: the cluster ended it".to_owned(),
                },
                Whose::Limit,
                false,
                "give it more time (`--timeout`, or `time_limit` in its configuration) or less to do",
            ),
            Self::NodeLost { node, words } => told(
                Cause::NodeLost,
                format!("its node{} was lost: {words}", named(node)),
                Whose::Engine,
                true,
                "run it again: it goes to another node; `kubectl get nodes` says which ones are ready",
            ),
            Self::NodeShutdown { node, words } => told(
                Cause::NodeLost,
                format!("its node{} was shut down: {words}", named(node)),
                Whose::Engine,
                true,
                "run it again: it goes to another node",
            ),
            Self::PodDeleted { node, begun } => told(
                Cause::Lost,
                format!("somebody deleted its pod{} {}", from(node), when(*begun)),
                Whose::Engine,
                true,
                "run it again; see what else deletes pods there (`kubectl delete`, a clean-up job): the API server's audit log knows",
            ),
            Self::JobDeleted { begun } => told(
                Cause::Lost,
                format!("somebody deleted its Job {}", when(*begun)),
                Whose::Engine,
                true,
                "run it again; see what else deletes Jobs there (`kubectl delete`, a clean-up job): the API server's audit log knows",
            ),
            _ => return None,
        };
        Some(told)
    }

    /// What kept a container from beginning once its pod was there.
    fn of_its_place(&self) -> Option<Told> {
        let told = match self {
            Self::NodeRefused { node, reason, words } => told(
                Cause::EngineRefused,
                format!("the node{} refused its pod ({reason}): {words}", named(node)),
                Whose::Capacity,
                true,
                "run it again; when it comes back, see what else runs on that node: `kubectl describe node`",
            ),
            Self::ImagePull { image, words } => image_pull(image, words),
            Self::CreateFailed { reason, words } => create_failed(reason, words),
            Self::Unschedulable { words } => told(
                Cause::Unschedulable,
                format!("no node can take it: {words}"),
                Whose::Capacity,
                true,
                "ask for less (`--resource requests.memory=...`), correct `node_selector`, `tolerations` or `affinity` of the \
                 configuration, run it when the cluster has more room, or let it wait longer (`patience`)",
            ),
            Self::Queued { queue } => told(
                Cause::Unschedulable,
                match queue {
                    Some(queue) => format!("it waits in the queue {queue} of the cluster"),
                    None => "its Job is suspended: a queue of the cluster, or somebody, holds it back".to_owned(),
                },
                Whose::Capacity,
                true,
                "run it again when the queue has room: `kubectl get workloads`",
            ),
            Self::Missing { object, name, words } => missing(object, name, words),
            Self::TicketMissing => told(
                Cause::HostFault,
                "the host was ended between creating the run's Job and its Secret, so its container could not begin",
                Whose::Host,
                true,
                "nothing of it was run: submit it again",
            ),
            _ => return None,
        };
        Some(told)
    }

    /// What the API server, or what stands before it, said to an object.
    fn of_its_admission(&self) -> Told {
        match self {
            Self::QuotaExceeded { namespace, quota, items } => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| {
                        format!("{}: asks for {}, used {} of {}", item.resource, item.requested, item.used, item.hard)
                    })
                    .collect();
                told(
                    Cause::QuotaExceeded,
                    format!("the quota {quota} of the namespace {namespace} is used up: {}", items.join("; ")),
                    Whose::Limit,
                    true,
                    "run it again when other runs of that namespace have ended, ask for less, or have the quota raised; \
                     `when_quota_full = \"wait\"` waits for room",
                )
            }
            Self::QuotaNeeds { quota, words } => told(
                Cause::EngineRefused,
                format!("the quota {quota} of the namespace wants amounts that the run doesn't name: {words}"),
                Whose::Configuration,
                false,
                "name them under [resources.requests] and [resources.limits] of the configuration",
            ),
            Self::Forbidden(right) => told(
                Cause::Forbidden,
                forbidden(right),
                Whose::Configuration,
                false,
                &format!(
                    "have this added to the rules of its role (`wharf cluster role` prints all of it):\n{}",
                    right.rule.trim_end()
                ),
            ),
            Self::Unauthorized { words } => told(
                Cause::Forbidden,
                format!("the API server doesn't accept the credentials of this context: {words}"),
                Whose::Configuration,
                false,
                "log in again, or renew the token or certificate that the kubeconfig names: `kubectl auth whoami` with the same \
                 context says whether they are good",
            ),
            Self::LimitRange { words } => told(
                Cause::EngineRefused,
                format!("the namespace's LimitRange refuses it: {words}"),
                Whose::Limit,
                false,
                "correct [resources.requests] and [resources.limits] of the configuration: `kubectl describe limitrange`",
            ),
            Self::PodSecurity { level, words } => told(
                Cause::EngineRefused,
                format!("the pod security level {level:?} of the namespace refuses it: {words}"),
                Whose::Configuration,
                false,
                "correct [security] and `pod_template` of the configuration, or use a namespace of another level",
            ),
            Self::AdmissionRefused { by, words } => told(
                Cause::EngineRefused,
                format!("{by} of the cluster refuses it: {words}"),
                Whose::Configuration,
                false,
                "correct the configuration, or ask whoever administers the cluster; `wharf explain` shows the exact Job",
            ),
            Self::AdmissionAway { by, words } => told(
                Cause::EngineRefused,
                format!("{by} of the cluster doesn't answer, and nothing is admitted without it: {words}"),
                Whose::Engine,
                true,
                "have whoever administers the cluster look at that webhook",
            ),
            Self::Invalid { words } => told(
                Cause::EngineRefused,
                format!("the API server says that the run's object is wrong: {words}"),
                Whose::Configuration,
                false,
                "correct the configuration and its `pod_template`; `wharf explain` shows the exact Job",
            ),
            Self::NamespaceEnding { namespace } => told(
                Cause::EngineRefused,
                format!("the namespace {namespace} is being deleted"),
                Whose::Configuration,
                true,
                "run it again when the namespace is there again",
            ),
            // The others are told by the functions before.
            _ => told(Cause::EngineRefused, "the engine could not run it", Whose::Engine, false, "see the host's log"),
        }
    }
}

fn told(cause: Cause, sentence: impl Into<String>, whose: Whose, retry_helps: bool, advice: &str) -> Told {
    let mut sentence = sentence.into();
    // The engine's own words may be sentences of their own; what follows ours goes on.
    sentence.truncate(sentence.trim_end_matches(['.', ' ', '\n']).len());
    Told { cause, sentence, whose, retry_helps, advice: advice.to_owned() }
}

fn create_failed(reason: &str, words: &str) -> Told {
    let (whose, retry_helps, advice) = if reason.starts_with("Init:") {
        (Whose::Configuration, false, "correct the init container of the configuration's `pod_template`")
    } else if words.contains("runAsNonRoot") {
        (
            Whose::Configuration,
            false,
            "correct `user` under [security] of the configuration: the pod must not run as root",
        )
    } else if reason.contains("Sandbox") || reason.contains("Network") {
        (Whose::Engine, true, "run it again; when it comes back, see the node's network plugin and its own log")
    } else if reason.contains("Volume") || reason.contains("Mount") {
        (Whose::Engine, true, "see the volumes of the configuration's `pod_template`, and the node's own log")
    } else {
        (
            Whose::Engine,
            false,
            "see the configuration's security keys and `pod_template` (`wharf explain`), and the node's own log",
        )
    };
    let sentence = if reason == "FailedCreate" {
        format!("the cluster makes no pod of its Job: {words}")
    } else {
        format!("the node could not make its container ({reason}): {words}")
    };
    told(Cause::EngineRefused, sentence, whose, retry_helps, advice)
}

fn from(node: &Option<String>) -> String {
    node.as_ref().map_or_else(String::new, |node| format!(" from the node {node}"))
}

fn named(node: &Option<String>) -> String {
    node.as_ref().map_or_else(String::new, |node| format!(" {node}"))
}

fn when(begun: bool) -> &'static str {
    if begun { "while it ran" } else { "before its container had begun" }
}

fn evicted(resource: Option<&str>, own_limit: bool, node: &Option<String>, words: &str) -> Told {
    let what = resource.map_or_else(String::new, |resource| format!(" for {resource}"));
    let advice = match (resource, own_limit) {
        (Some("ephemeral-storage"), true) => {
            "write less into its working folder and /tmp, or give it more: `--resource limits.ephemeral-storage=...`, `tmp_size`, \
             `home_size`"
        }
        (_, true) => "ask for more of it, or use less",
        (Some("memory"), false) => {
            "run it again; a request that is as large as what it uses (`--resource requests.memory=...`) keeps it from being the \
             first that is put out"
        }
        (_, false) => "run it again: it goes to a node with more room",
    };
    told(
        Cause::Evicted,
        format!("its pod was evicted{}{what}: {words}", from(node)),
        if own_limit { Whose::Limit } else { Whose::Capacity },
        !own_limit,
        advice,
    )
}

fn image_pull(image: &str, words: &str) -> Told {
    let said = words.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let (whose, retry_helps, advice) = if has(&["invalid reference", "parse image"]) {
        (Whose::Configuration, false, "correct the image's name: `registry` of the configuration, or its base image")
    } else if has(&["pull access denied", "no basic auth"]) {
        (
            Whose::Configuration,
            false,
            "give the configuration an `image_pull_secrets` that the registry accepts; [namespace_policy] can copy one in",
        )
    } else if has(&["not found", "manifest unknown", "does not exist"]) {
        (
            Whose::Configuration,
            false,
            "the registry doesn't have it: build and push it (`wharf base build NAME`), or correct `registry`",
        )
    } else if has(&["unauthorized", "authorization failed", "authentication required", "denied", "403", "401"]) {
        (
            Whose::Configuration,
            false,
            "give the configuration an `image_pull_secrets` that the registry accepts; [namespace_policy] can copy one in",
        )
    } else if has(&["toomanyrequests", "429", "rate limit"]) {
        (Whose::Capacity, true, "the registry limits pulls: wait, or give the configuration an `image_pull_secrets`")
    } else if has(&["x509", "http response to https", "tls:"]) {
        (
            Whose::Configuration,
            false,
            "the nodes don't trust the registry: see its certificate, and how the nodes' runtime is set up",
        )
    } else if has(&["no such host", "dial tcp", "timeout", "connection refused", "unreachable", "deadline"]) {
        (
            Whose::Network,
            true,
            "the nodes can't reach the registry under this name: `wharf cluster check CONTEXT` tries it from a pod",
        )
    } else if has(&["no space left"]) {
        (Whose::Capacity, true, "the node's disk is full: run it again, or have room made there")
    } else {
        (Whose::Engine, true, "`wharf cluster check CONTEXT` tries the registry from a pod")
    };
    told(Cause::ImageMissing, format!("the image {image} can't be pulled: {words}"), whose, retry_helps, advice)
}

fn missing(object: &str, name: &str, words: &str) -> Told {
    let advice = match object {
        "Namespace" => "create the namespace, or have the host do it: `create = true` under [namespace_policy]",
        "ServiceAccount" => "create it in that namespace, or correct `service_account` of the configuration",
        "PriorityClass" => "correct `priority_class` of the configuration: `kubectl get priorityclasses`",
        "RuntimeClass" => "correct `runtime_class` of the configuration: `kubectl get runtimeclasses`",
        "Secret" | "ConfigMap" => {
            "create it in that namespace, or take it out of the configuration's `pod_template` or `image_pull_secrets`"
        }
        _ => "create it in that namespace, or take it out of the configuration",
    };
    told(
        Cause::EngineRefused,
        format!("the {object} {name} that it names isn't there: {words}"),
        Whose::Configuration,
        false,
        advice,
    )
}

fn forbidden(right: &MissingRight) -> String {
    let MissingRight { user, verb, group, resource, namespace, .. } = right;
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let place = match namespace {
        Some(namespace) => format!("in the namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    };
    let (kind, subresource) =
        resource.split_once('/').map_or((resource.as_str(), String::new()), |(kind, sub)| (kind, format!("/{sub}")));
    format!("{user} may not {verb} {kind}{group}{subresource} {place}")
}
