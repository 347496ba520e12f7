//! What the whole-system tests stand on: homes for trying things, the real command, and the daemon's own view of what
//! was created.
//!
//! Nothing here panics for another reason than a failed test, and every panic says what was done and what came of it.

mod call;
mod certificates;
mod cluster;
mod daemon;
mod far;
mod home;
mod machine;
mod measure;
mod proxy;
mod registry;
mod watch;

pub use call::{Finished, Started};
pub use certificates::Certificates;
pub use cluster::Cluster;
pub use daemon::{Container, Daemon, Watch};
pub use far::{Alone, Far, Setup};
pub use home::{GROUP, Home, USER, binary, trust};
pub use machine::Machine;
pub use measure::{Times, machine};
pub use proxy::{Fault, Proxy, Request};
pub use registry::{REGISTRY_PASSWORD, REGISTRY_USER, Registry};
pub use watch::openings;
