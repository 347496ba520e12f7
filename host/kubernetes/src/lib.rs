//! The Kubernetes backend: jobs and their pods on one cluster.
//!
//! What it would create is made by pure functions, which need no cluster: [`object`], [`namespace`], [`role`].

mod backend;
mod check;
mod client;
mod cluster;
mod end;
mod find;
mod forward;
mod id;
mod launch;
mod log;
pub mod names;
pub mod namespace;
pub mod network;
pub mod object;
mod patience;
mod refusal;
pub mod resources;
pub mod role;
mod stop;
pub mod template;
mod wait;
mod watch;

pub use backend::KubernetesBackend;
pub use check::{Checked, Probe};
