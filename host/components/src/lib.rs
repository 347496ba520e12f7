//! Loads, checks, limits and calls WebAssembly components.
//!
//! An [`Engine`] compiles and runs; a [`ComponentSet`] is what was found in the folders of a home, checked and ready. Hosts
//! hold an `Arc<ComponentSet>`, call [`ComponentSet::reload`] before a run and swap the whole set when there is a new one.
//!
//! Each call gets a fresh instance, so nothing leaks from one decision into another, and is bounded in time, in memory and
//! in what it may hand back. Whatever a component does (trap, loop, hog, lie), the caller gets a [`CallError`] in plain words.
//!
//! The calls are `async` and need a tokio runtime with its time driver. Guest code gives the worker back every few
//! milliseconds. Loading compiles, which is slow: [`ComponentSet::load`] and a [`ComponentSet::reload`] that finds something
//! new block the thread.
//!
//! Components see WASI as it is linked for everyone: no environment, no folders, no network, a clock that stands still and
//! random numbers that repeat. What the host offers beyond that needs a grant in the component's TOML.

mod adapter;
mod answer;
mod bindings;
mod cache;
mod call;
mod call_error;
mod capture;
mod contract;
mod engine;
mod folder;
mod image_recipe;
mod imports;
mod inspect;
mod load;
mod loaded;
#[cfg(test)]
mod next;
mod observation;
mod permission;
mod policy;
mod request;
mod set;
mod settings_file;
mod source;
mod state;
mod ticker;
mod tree;
mod view;
mod world;

pub use adapter::Adapter;
pub use call::{Attribution, Call};
pub use call_error::CallError;
pub use engine::{ComponentsError, Engine, EngineOptions};
pub use image_recipe::ImageRecipeMaker;
pub use inspect::{Import, Inspection, Metadata, Producer, inspect};
pub use loaded::{ComponentInfo, Offer};
pub use observation::{Attempt, LogLine, Observation, Observer};
pub use permission::Permission;
pub use policy::{Policy, PolicyAnswer, PolicyRole};
pub use request::Request;
pub use set::{ComponentSet, LoadFailure};
pub use settings_file::{CallLimits, ComponentSettingsFile, Grants, OnError};
pub use tree::{Tree, TreeError, TreeFile};
pub use world::World;
