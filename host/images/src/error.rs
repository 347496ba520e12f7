//! What goes wrong with images.

use std::io;
use std::sync::Arc;

/// Why an image couldn't be had.
///
/// It can be cloned, because all who wait for one build get the same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine doesn't answer.
    #[error("the engine at {address} doesn't answer: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The engine refused something else than a build or a pull.
    #[error("the engine refused to {operation}: {reason}")]
    Refused {
        /// What was asked.
        operation: String,
        /// Its own words.
        reason: String,
    },
    /// The image isn't there, and its registry doesn't give it.
    #[error(
        "the image {image} isn't on this engine and can't be pulled: {reason}; load it with `docker load`, name another one \
         under `from`, or make the base image from packages with `[bootstrap]`"
    )]
    PullFailed {
        /// Which.
        image: String,
        /// The engine's own words.
        reason: String,
    },
    /// Its registry answers, and doesn't have it, or doesn't say so to somebody who isn't let in.
    #[error("the registry doesn't have the image {image}: {reason}")]
    NotInRegistry {
        /// Which.
        image: String,
        /// The engine's own words.
        reason: String,
    },
    /// The registry didn't take the image.
    #[error("the image {image} can't be pushed: {reason}")]
    PushFailed {
        /// Which, with its registry.
        image: String,
        /// The engine's own words.
        reason: String,
    },
    /// The registry wants to know who one is, or doesn't let this one in.
    #[error("the registry {registry} doesn't let {who} in: {reason}")]
    LoginRefused {
        /// Which.
        registry: String,
        /// `ana`, or `somebody without a login`.
        who: String,
        /// The engine's own words.
        reason: String,
    },
    /// Who one is at a registry can't be found out.
    #[error("the credentials for the registry {registry} can't be had: {reason}")]
    NoCredentials {
        /// Which.
        registry: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A component that prepares pushes says no, or failed.
    #[error("the registry hook {component} stops the push to {registry}: {reason}")]
    HookFailed {
        /// The component.
        component: String,
        /// The registry.
        registry: String,
        /// The component's own words, or what is wrong with it.
        reason: String,
    },
    /// The registry answers the host itself, and says no.
    #[error("the registry {registry} refused to {operation}: {reason}")]
    RegistryRefused {
        /// Which.
        registry: String,
        /// What was asked.
        operation: String,
        /// Its own words.
        reason: String,
    },
    /// The registry doesn't answer the host itself.
    #[error("the registry {registry} can't be asked: {reason}")]
    RegistryUnreachable {
        /// Which.
        registry: String,
        /// Why.
        reason: String,
    },
    /// An image couldn't be brought from one engine to another.
    #[error("the image {image} can't be brought from {source_engine}: {reason}")]
    CopyFailed {
        /// Which.
        image: String,
        /// The engine that has it.
        source_engine: String,
        /// Why.
        reason: String,
    },
    /// A step of a build failed.
    #[error("building {image} failed at {step}:\n{}", lines.join("\n"))]
    BuildFailed {
        /// Which image, as people know it.
        image: String,
        /// The step: `step 3 of 7 (install R)`.
        step: String,
        /// The last lines that it printed, and the engine's own words.
        lines: Vec<String>,
    },
    /// The packages of a code environment can't be had.
    #[error("the code environment {name} can't be made: {reason}")]
    EnvironmentFailed {
        /// Which.
        name: String,
        /// What is wrong, with the file and the line where that is known.
        reason: String,
        /// The last lines of the step that failed.
        lines: Vec<String>,
    },
    /// The index of packages that a code environment's come from can't be used.
    #[error("the packages of the code environment {name} can't be had: their index can't be reached: {reason}")]
    IndexUnreachable {
        /// The code environment.
        name: String,
        /// In the installer's own words.
        reason: String,
        /// The last lines of the step that failed.
        lines: Vec<String>,
    },
    /// The image recipe says something that can't be rendered.
    #[error("the image recipe of {made_by} can't be used: {reason}")]
    BadRecipe {
        /// The component.
        made_by: String,
        /// What is wrong.
        reason: String,
    },
    /// The base image's own file says something that can't be used.
    #[error("the base image {image} can't be made: {reason}")]
    BadSpec {
        /// Its name.
        image: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The program that makes a root file system from packages isn't installed.
    #[error(
        "the base image {image} is made from packages, and `{program}` isn't installed; install it with `apt-get install \
         mmdebstrap`, or start from an existing image with `from`"
    )]
    BootstrapToolMissing {
        /// The base image.
        image: String,
        /// The program.
        program: String,
    },
    /// The program that makes a root file system from packages failed.
    #[error("making a root file system of {suite} from {mirror} failed ({status}):\n{}", lines.join("\n"))]
    BootstrapFailed {
        /// The suite.
        suite: String,
        /// Where its packages come from.
        mirror: String,
        /// How the program ended.
        status: String,
        /// The last lines that it printed.
        lines: Vec<String>,
    },
    /// No runner for the engine's platform.
    #[error("this build of wharf has no runner for {platform}, the platform of the engine")]
    NoRunner {
        /// The platform.
        platform: String,
    },
    /// A file or a process of this machine.
    #[error("can't {operation}")]
    Io {
        /// What was tried.
        operation: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl ImageError {
    pub(crate) fn io(operation: impl Into<String>, source: io::Error) -> Self {
        Self::Io { operation: operation.into(), source: Arc::new(source) }
    }
}
