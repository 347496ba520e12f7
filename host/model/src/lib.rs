//! The types that the crates of wharf share. Plain data: no I/O, no clock, no environment.
//!
//! An [`Activity`] is what was asked, a [`Job`] what will be executed, a [`Plan`] where and within which bounds, and an
//! [`Outcome`] how it ended. The types of [`protocol`] cross between host and runner.

pub mod activity;
pub mod configuration;
mod contents;
pub mod decision;
mod digest;
#[cfg(feature = "document")]
pub mod document;
#[cfg(feature = "launch")]
pub mod engine_cause;
pub mod event;
pub mod fault;
mod field;
pub mod image;
pub mod job;
pub mod kubernetes;
#[cfg(feature = "launch")]
pub mod launch;
pub mod outcome;
pub mod plan;
pub mod plugin;
pub mod protocol;
pub mod quantity;
pub mod secret;

pub use activity::{Activity, ActivityKind, Binding, BindingKind, Identity, Place};
pub use configuration::{ExecutionConfiguration, Security};
pub use decision::{Decision, GroupVotes, Judgement, Limit, Logic, Mode, Question, Reason, UsageEntry, WhenFull};
pub use digest::is_digest;
#[cfg(feature = "launch")]
pub use engine_cause::{EngineCause, Told};
pub use event::{Event, EventKind, Phase};
pub use fault::Fault;
pub use image::{ContentKey, ImageRecipe, ImageSpec, Step};
pub use job::{Job, JobEnvironment, JobFile, JobFolder};
#[cfg(feature = "launch")]
pub use launch::{Backend, LaunchSpec};
pub use outcome::{Cause, Outcome};
pub use plan::{Change, Edit, Plan};
pub use plugin::{Plugin, PluginNote, PluginRecipe, RecipeParameter, RecipeRole};
pub use quantity::{Quantity, Resources};
pub use secret::SecretValue;

/// The label that says which home (host id) an object belongs to.
pub const LABEL_HOST: &str = "wharf.host";
/// The label that says which run an object belongs to.
pub const LABEL_RUN: &str = "wharf.run";
/// The label that says which attempt of its run an object belongs to.
pub const LABEL_ATTEMPT: &str = "wharf.attempt";
