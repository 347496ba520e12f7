//! Lines for the host's log.
//!
//! The host writes them with the component's name. They need no grant. Outside a component, as in a native unit test,
//! they go nowhere.
//!
//! ```
//! use wharf_plugin_sdk::log;
//!
//! log::info("the list of teams is empty, so every run passes");
//! ```

pub use crate::bindings::shared::wharf::plugin::log::Level;

/// Writes one line. Lines over 8 KiB are cut, and a call may write 1,000 of them.
///
/// ```
/// use wharf_plugin_sdk::log::{self, Level};
///
/// log::log(Level::Info, "the list of users has 12 lines");
/// ```
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::shared::wharf::plugin::log::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    let _ = (level, message);
}

/// For who writes the component.
///
/// ```
/// wharf_plugin_sdk::log::debug("looked at 3 rules");
/// ```
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// For who watches the host.
///
/// ```
/// wharf_plugin_sdk::log::info("the list of users was read");
/// ```
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// Something is odd, and the call goes on.
///
/// ```
/// wharf_plugin_sdk::log::warn("the rule `night` matches nobody");
/// ```
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// Something is wrong that an administrator should know of.
///
/// ```
/// wharf_plugin_sdk::log::error("users.txt is empty, so everybody is refused");
/// ```
pub fn error(message: &str) {
    log(Level::Error, message);
}
