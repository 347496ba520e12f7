//! Loads, checks, limits and calls WebAssembly components.
//!
//! An [`Engine`] compiles and runs; a [`ComponentSet`] is what was found in the folders of a home, checked and ready. Hosts
//! hold a [`LiveSet`] and ask it for the [`current`](LiveSet::current) set before a run, which ends with the set that it began
//! with.
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
mod application;
mod bindings;
mod cache;
mod call;
mod call_error;
mod candidate;
mod capture;
mod contract;
mod engine;
mod evidence;
mod folder;
mod gate;
mod group;
mod http;
mod image_recipe;
mod imports;
mod inspect;
mod keep;
mod live_set;
mod load;
mod loaded;
mod needs;
#[cfg(test)]
mod next;
mod observation;
mod permission;
mod policy;
mod registry_hook;
mod request;
mod review;
mod set;
mod settings_file;
mod snapshot;
mod source;
mod state;
mod ticker;
mod tree;
mod trial;
mod trust;
mod view;
mod world;

pub use adapter::Adapter;
pub use application::{Application, Conditions, GroupTable, ModeFor, Subject};
pub use call::{Attribution, Call};
pub use call_error::CallError;
pub use candidate::Candidate;
pub use engine::{ComponentsError, Engine, EngineOptions};
pub use evidence::{CosignEvidence, Evidence};
pub use gate::{Gate, PinnedGrant, component_path};
pub use image_recipe::ImageRecipeMaker;
pub use inspect::{Import, Inspection, Metadata, Producer, inspect};
pub use keep::{Keeper, KeptRecord, KeptVersion};
pub use live_set::LiveSet;
pub use loaded::{ComponentInfo, Offer};
pub use needs::{need_words, needs_of, plain_words};
pub use observation::{Attempt, LogLine, Observation, Observer};
pub use permission::Permission;
pub use policy::{Policy, PolicyAnswer, PolicyRole};
pub use registry_hook::{Credentials, Push, RegistryHook};
pub use request::Request;
pub use review::{Reviewed, review, signature_of};
pub use set::{ComponentSet, HeldBack, LoadFailure};
pub use settings_file::{CallLimits, ComponentSettingsFile, Grants, OnError};
pub use tree::{Tree, TreeError, TreeFile};
pub use trial::{FilePrint, ON_TRIAL};
pub use trust::{CosignKey, MinisignKey, NotSigned, Trust, TrustMode, Voucher, WASM_LAYER};
pub use world::World;
