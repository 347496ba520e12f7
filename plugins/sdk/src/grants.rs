//! What a component may use only when its TOML grants it.
//!
//! A component that calls one of these imports it, and the host loads it only with the grant. Outside a component, as in a
//! native unit test, they panic.

/// The real time: needs `clock = true` under `[grants]`.
pub mod clock {
    pub use crate::bindings::shared::wharf::plugin::clock::now;
}

/// Real randomness: needs `random = true` under `[grants]`.
pub mod random {
    pub use crate::bindings::shared::wharf::plugin::random::bytes;
}

/// One folder to read: needs `folder = "PATH"` under `[grants]`.
pub mod folder {
    pub use crate::bindings::shared::wharf::plugin::folder::{ReadError, entries, read};
}
