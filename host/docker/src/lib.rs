//! The Docker backend: containers and images of one daemon.
//!
//! [`DockerBackend`] is both [`wharf_model::launch::Backend`] and [`wharf_images::ImageEngine`]. What it would create
//! is made by a pure function, which needs no daemon: [`wharf_model::launch::Backend::object`].
//!
//! # Caveats
//! Each request has a connection of its own: a kept one that the daemon has closed meanwhile would lose a request that
//! must not be sent twice. Over a Unix socket a new one costs less than a tenth of a millisecond.

mod address;
mod backend;
mod client;
mod containers;
mod exec;
mod images;
mod object;
mod resources;

pub use address::{Address, AddressError};
pub use backend::DockerBackend;
pub use object::{LABEL_SPEC, container_name};
