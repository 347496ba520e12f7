//! The Docker backend: containers and images of one daemon.
//!
//! [`DockerBackend`] is both [`wharf_model::launch::Backend`] and [`wharf_images::ImageEngine`]. What it would create
//! is made by a pure function, which needs no daemon: [`wharf_model::launch::Backend::object`].
//!
//! # Connections
//! Over TCP, TLS and ssh, connections are kept for a while and used again. A kept connection may be closed by the other
//! side at the moment when a request goes out on it, so that nobody knows whether it arrived: what must not be sent twice
//! (a build, the start of a command) has a connection of its own, and what may be is sent again on a new one. Each
//! connection has one request at a time, so that a long answer keeps nothing waiting. Over a Unix socket, a new connection
//! costs less than a tenth of a millisecond, and none is kept.

mod address;
mod backend;
mod carry;
mod client;
mod containers;
mod dialler;
mod exec;
mod images;
mod object;
mod refusal;
mod resources;
mod ssh;
mod tls;

pub use address::{Address, AddressError};
pub use backend::DockerBackend;
pub use object::{LABEL_SPEC, container_name};
pub use refusal::{Refusal, refusal};
