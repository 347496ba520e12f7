//! The border between the host and the engines that run containers.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::configuration::Security;
use crate::engine_cause::EngineCause;
use crate::kubernetes::KubernetesPlace;
use crate::quantity::Resources;

/// All that an engine needs to know to run one attempt. The `wharf` crate makes it from a plan that went through
/// permission, policies and admission; backends turn it into their own objects by pure functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The home, as its label says it.
    pub host: String,
    /// The run.
    pub run: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The image: a digest or an id, never a tag that could move.
    pub image: String,
    /// The command of the container: the runner.
    pub argv: Vec<String>,
    /// The container's environment.
    pub env: BTreeMap<String, String>,
    /// More of it, which must not be shown: the ticket.
    pub secret_env: BTreeMap<String, String>,
    /// Resource restrictions.
    pub resources: Resources,
    /// What the container may do.
    pub security: Security,
    /// Labels besides those of host, run and attempt.
    pub labels: BTreeMap<String, String>,
    /// The container runtime.
    pub runtime: Option<String>,
    /// Seconds between asking the container to end and killing it.
    pub grace_seconds: u32,
    /// Seconds after which the engine itself ends it, should the host not be there to do so. Docker has no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Where on a cluster; none on a daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Box<KubernetesPlace>>,
}

/// An attempt's object at the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    /// The engine's id of it.
    pub id: String,
    /// It was there already: created by an earlier call for the same attempt.
    pub adopted: bool,
}

/// How a container ended, as its engine says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineEnd {
    /// The exit code of the container's first process.
    pub exit_code: Option<i64>,
    /// The engine's own flag for "the kernel killed something of it for memory": not said of what.
    pub oom_killed: bool,
    /// The engine's own error text, when there is one.
    pub error: Option<String>,
    /// The object isn't there any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// What the engine noted of the container before it ended, where that tells more: `oom`, `kill 9`, `die`. Empty when it
    /// wasn't asked or has forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Why, where the engine has a name for it: an eviction, a lost node, an image that can't be pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<EngineCause>>,
}

/// An object of ours that an engine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The engine's id.
    pub id: String,
    /// The run, from its label.
    pub run: String,
    /// The attempt, from its label.
    pub attempt: u32,
    /// Whether it runs (or is about to).
    pub running: bool,
    /// Whether somebody has frozen it.
    pub paused: bool,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Its name and version, for people: `Docker 20.10.24, API 1.41`.
    pub version: String,
    /// `linux/amd64`.
    pub platform: String,
    /// CPUs of its machine.
    pub cpus: u64,
    /// Bytes of memory of its machine.
    pub memory: u64,
    /// Container runtimes that it knows.
    pub runtimes: Vec<String>,
    /// `1` or `2`.
    pub cgroup_version: String,
}

/// Why an engine didn't do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BackendError {
    /// It doesn't answer.
    #[error("the engine at {address} doesn't answer: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// The client's words.
        reason: String,
    },
    /// It lacks the image.
    #[error("the engine has no image {image}")]
    NoSuchImage {
        /// Which.
        image: String,
    },
    /// It refused.
    #[error("the engine refused to {operation}: {reason}")]
    Refused {
        /// What was asked.
        operation: String,
        /// Its own words.
        reason: String,
    },
    /// It couldn't, for a reason that has a name.
    #[error("the engine could not {operation}: {}", cause.sentence())]
    Because {
        /// What was asked.
        operation: String,
        /// Why.
        cause: Box<EngineCause>,
    },
    /// Whoever asked gave up before anything was created.
    #[error("given up before the engine could {operation}")]
    GivenUp {
        /// What was asked.
        operation: String,
    },
    /// An object of this name is there and is not the one we meant.
    #[error("{object} exists and was made from another specification")]
    Conflict {
        /// Which.
        object: String,
    },
}

/// Whoever waits for an engine: hears why it takes long, and may give up.
#[async_trait]
pub trait Caller: Send + Sync {
    /// What the engine waits for, in words for the user: `no node can take it: 0/1 nodes are available: 1 Insufficient cpu`.
    fn notice(&self, text: String);

    /// Returns when nothing is to be created any more. [`Backend::launch`] asks while it waits for something before its first
    /// object; what it has created by then is for [`Backend::stop`].
    async fn given_up(&self);

    /// Whether the engine keeps it back for as long as somebody else wants, such as a queue of the cluster: nobody may count
    /// that as its silence. Said again when it changes.
    fn held(&self, _held: bool) {}
}

/// Hears nothing and never gives up.
#[async_trait]
impl Caller for () {
    fn notice(&self, _text: String) {}

    async fn given_up(&self) {
        std::future::pending::<()>().await;
    }
}

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An engine: launch, observe, stop, find again, clean up. What runs inside isn't its business.
///
/// All methods may be called again after a lost answer: they find what the first call did.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The exact object that [`launch`](Self::launch) would create, secrets replaced by `***`. Pure.
    fn object(&self, spec: &LaunchSpec) -> serde_json::Value;

    /// Asks the engine what it is.
    async fn info(&self) -> Result<EngineInfo, BackendError>;

    /// The address of this machine as containers of that network see it, without a port.
    async fn way_back(&self, network: &str) -> Result<String, BackendError>;

    /// Creates and starts the container of an attempt. Its name follows from run and attempt, so a second call finds
    /// the first one's object instead of making a twin. Where the engine has no room for another object, it may wait for
    /// that, tell the caller so, and end with [`BackendError::GivenUp`] when the caller gives up.
    async fn launch(&self, spec: &LaunchSpec, caller: &dyn Caller) -> Result<Launched, BackendError>;

    /// Whether the object of an attempt lacks what a host that was killed in the middle of [`launch`](Self::launch) was about to
    /// make beside it: the ticket, which that host took with it.
    async fn lacks_its_ticket(&self, _id: &str) -> Result<bool, BackendError> {
        Ok(false)
    }

    /// Makes that, with the ticket of this specification. Fails when somebody else was faster.
    async fn give_ticket(&self, id: &str, _spec: &LaunchSpec, _caller: &dyn Caller) -> Result<(), BackendError> {
        Err(BackendError::Conflict { object: format!("the ticket of {id}") })
    }

    /// A stream to the runner in the container. Where the engine has no other way, it starts a command there and gives its
    /// standard input and output: ending the stream ends the command's input alone, and it must end by itself then. It gets
    /// the container's environment, in which the `hidden` variables are empty: others in the container may be able to read
    /// the environment of a process that is just starting. An engine that can't hide them reaches the runner's port
    /// ([`ATTACH_PORT`](crate::protocol::ATTACH_PORT)) instead.
    async fn dial(&self, id: &str, argv: &[&str], hidden: &[&str]) -> Result<Box<dyn Duplex>, BackendError>;

    /// Returns when the container has ended, or can't begin; tells the caller meanwhile why it doesn't. Survives lost
    /// connections by asking again; gives up, as [`BackendError::Unreachable`], when the engine hasn't answered for a minute
    /// or more.
    async fn wait(&self, id: &str, caller: &dyn Caller) -> Result<EngineEnd, BackendError>;

    /// Asks the container to end, and kills it after the grace time. Not an error when it is gone.
    async fn stop(&self, id: &str, grace: Duration) -> Result<(), BackendError>;

    /// The engine's own log of the container, at most `limit` bytes from its end.
    async fn log_tail(&self, id: &str, limit: usize) -> Result<Vec<u8>, BackendError>;

    /// Removes the container. Not an error when it is gone.
    async fn remove(&self, id: &str) -> Result<(), BackendError>;

    /// All objects with this home's label, wherever this home may look.
    async fn find(&self, host: &str) -> Result<Vec<Found>, BackendError>;

    /// The object of one attempt. An engine whose objects have names and places asks for this one alone.
    async fn find_attempt(&self, spec: &LaunchSpec) -> Result<Option<Found>, BackendError> {
        let found = self.find(&spec.host).await?;
        Ok(found.into_iter().find(|found| found.run == spec.run && found.attempt == spec.attempt))
    }
}
