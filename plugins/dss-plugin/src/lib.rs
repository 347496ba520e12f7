//! Reads plugins written for DSS, and checks what an activity gives their recipes.
//!
//! Nothing here touches a file or the network: [`Files`] is the only way to a plugin's files.
//!
//! ```text
//! Files ──Plugin::read──▶ Plugin ──Plugin::recipe──▶ Recipe ──check──▶ Checked: roles, parameters, names of secrets
//!                            └─────Description::new──▶ what people are shown
//! ```

pub mod check;
pub mod code_env;
mod component;
pub mod condition;
pub mod describe;
pub mod fault;
mod fields;
pub mod files;
mod json;
mod nearest;
pub mod param;
pub mod parameter_set;
pub mod plugin;
pub mod recipe;
#[cfg(test)]
mod tests;
mod value;

pub use check::{Binding, BindingKind, Checked, Given, Presets, check};
pub use describe::Description;
pub use files::Files;
pub use plugin::Plugin;
