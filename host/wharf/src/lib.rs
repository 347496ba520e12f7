//! Runs data-processing activities in containers, judged by WebAssembly components.
//!
//! A *home* is a folder with execution configurations, base images and components. [`Host::open`] takes it for this process;
//! [`Access::open`] does that or connects to the process that has it. Then:
//!
//! ```no_run
//! # async fn example(activity: wharf::model::Activity) -> Result<(), wharf::model::Fault> {
//! use futures_util::StreamExt;
//!
//! let access = wharf::Access::open("home".as_ref(), wharf::HostOptions::default()).await?;
//! let run = access.submit(activity).await?;
//! let mut events = access.follow(&run, 0, true);
//! while let Some(event) = events.next().await {
//!     let event = event?;
//!     // Decisions, phases, log lines, and at last the outcome.
//!     drop(event);
//! }
//! let outcome = access.wait(&run).await?;
//! assert_eq!(outcome.cause, wharf::model::Cause::Succeeded);
//! access.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Who asks is said with each activity, and the embedder's word counts. What would happen can be asked before, a run can be stopped,
//! and every run that ever was is found again:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wharf::model::Activity;
//!
//! let activity: Activity = serde_json::from_value(serde_json::json!({
//!     "kind": "python",
//!     "requester": { "user": "ana", "groups": ["analysts"] },
//!     "code": "print('hello')",
//! }))?;
//! let access = wharf::Access::open("home".as_ref(), wharf::HostOptions::default()).await?;
//! let explained = access.explain(activity.clone()).await?;
//! assert!(explained.decisions.iter().all(|decision| !decision.component.is_empty()));
//!
//! let run = access.submit(activity).await?;
//! access.stop(&run, "ana").await?;
//! access.wait(&run).await?;
//! assert!(access.runs(10).await?.iter().any(|known| known.run == run));
//! # Ok(())
//! # }
//! ```
//!
//! [`HostOptions`] takes what an embedder has of its own: a [`DatasetStore`](datasets::DatasetStore), a [`SecretStore`], a [`Clock`], an
//! [`EventSink`]. There is no global state: one process may have any number of hosts, and after a shutdown nothing of one is left.
//!
//! The library never prints, and reads the environment only in [`docker_config`], for who asks for it. Whatever it has to say besides its answers goes to `tracing`.
//! Dropping a future of it loses nothing: a run goes on until it has ended or [`Access::stop`] is called.

mod access;
mod bases;
mod builds;
mod calls;
mod canary;
pub mod cases;
pub mod catalogue;
mod client;
mod clock;
mod clusters;
mod component;
mod conclude;
pub mod datasets;
mod difference;
pub mod distribution;
mod doctor;
#[cfg(test)]
mod ends;
mod engines;
mod environment;
mod evidence;
mod explain;
mod feed;
mod field;
mod follow;
mod gate;
mod heard;
mod history;
mod host;
mod housekeeping;
mod image_records;
pub mod init;
mod journal;
mod last_words;
mod live;
pub mod message;
mod opening;
mod plugins;
mod questions;
mod queue;
mod recover;
mod registry_hooks;
mod registry_pruning;
mod replay;
pub mod secrets;
mod server;
pub mod settings;
pub mod store;
mod supply;
mod way;

pub use access::Access;
pub use client::Client;
pub use clock::{Clock, SystemClock};
pub use clusters::cluster_role;
pub use component::{check_component, inspect_component};
pub use feed::EventSink;
pub use host::{Host, HostOptions};
pub use secrets::{SecretError, SecretFolder, SecretStore};
pub use wharf_components::Inspection;
pub use wharf_images::docker_config;
pub use wharf_model as model;
