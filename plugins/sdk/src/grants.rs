//! What a component may use only when its TOML grants it.
//!
//! A component that calls one of these imports it, and the host loads it only with the grant. Outside a component, as in a
//! native unit test, they panic.

/// The real time: needs `clock = true` under `[grants]`.
///
/// ```no_run
/// use wharf_plugin_sdk::grants::clock;
///
/// /// Whether it is Saturday or Sunday, by UTC.
/// fn is_weekend() -> bool {
///     let days = clock::now() / 86_400_000;
///     // 1970 began on a Thursday.
///     matches!((days + 4) % 7, 0 | 6)
/// }
/// ```
pub mod clock {
    pub use crate::bindings::shared::wharf::plugin::clock::now;
}

/// Real randomness: needs `random = true` under `[grants]`.
pub mod random {
    pub use crate::bindings::shared::wharf::plugin::random::bytes;
}

/// One folder to read: needs `folder = "PATH"` under `[grants]`.
///
/// ```no_run
/// use wharf_plugin_sdk::grants::folder::{self, ReadError};
///
/// /// The users that may do everything: a line each, in a file that may be missing.
/// fn trusted() -> Result<Vec<String>, String> {
///     match folder::read("trusted.txt") {
///         Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
///         Err(ReadError::NotFound) => Ok(Vec::new()),
///         Err(error) => Err(format!("trusted.txt can't be read: {error:?}")),
///     }
/// }
/// ```
pub mod folder {
    pub use crate::bindings::shared::wharf::plugin::folder::{ReadError, entries, read};
}
