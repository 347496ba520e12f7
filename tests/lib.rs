//! What the whole-system tests stand on: homes for trying things, the real command, and the daemon's own view of what
//! was created.
//!
//! Nothing here panics for another reason than a failed test, and every panic says what was done and what came of it.

mod call;
mod daemon;
mod home;
mod measure;
mod watch;

pub use call::{Finished, Started};
pub use daemon::{Container, Daemon};
pub use home::{GROUP, Home, USER};
pub use measure::{Times, machine};
pub use watch::openings;
