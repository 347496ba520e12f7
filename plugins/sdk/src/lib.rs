//! Write a component for wharf in a page of Rust.
//!
//! A component is a WebAssembly file that an administrator drops into the folder `policies/` or `plugins/` of a home. There
//! are five kinds, and this crate has one trait and one macro for each:
//!
//! | it answers | trait | macro |
//! | --- | --- | --- |
//! | may this user use this execution configuration for this? | [`Permission`](permission::Permission) | [`permission!`] |
//! | what must a run look like? | [`Policy`](policy::Policy) | [`policy!`] |
//! | how does a recipe become a command? | [`RecipeAdapter`](adapter::RecipeAdapter) | [`recipe_adapter!`] |
//! | how is an image made? | [`ImageMaker`](image::ImageMaker) | [`image_recipe!`] |
//! | what must be done before a push? | [`RegistryHook`](hook::RegistryHook) | [`registry_hook!`] |
//!
//! # A whole policy
//!
//! `wharf component new no-privileged --kind policy` makes the project of this one: with its `Cargo.toml`, whose name, version and
//! description become the component's, with cases that say what it must answer, and with a copy of this crate. Its `src/lib.rs`:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
//! use wharf_plugin_sdk::{Plan, Reason, Usage};
//!
//! /// The `[settings]` table. Its comments are descriptions in the schema that editors show.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The groups whose runs may be privileged.
//!     #[serde(default)]
//!     except: Vec<String>,
//! }
//!
//! struct NoPrivileged;
//!
//! impl Policy for NoPrivileged {
//!     type Settings = Settings;
//!     const ROLE: PolicyRole = PolicyRole::Validating;
//!
//!     fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
//!         if !plan.security.privileged || plan.requester.is_in_any(&settings.except) {
//!             return Decision::yes();
//!         }
//!         let message = format!("{} may not run privileged containers; set privileged = false", plan.requester.user);
//!         Decision::Reject(vec![Reason::new("privileged", message).about("security.privileged")])
//!     }
//! }
//!
//! wharf_plugin_sdk::policy!(NoPrivileged);
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component; no other tool is needed. On other targets the
//! macros export nothing, so `cargo test` tests the trait's functions as they are.
//!
//! # What a component gets and gives
//!
//! A call gets the component's settings, in a type of its own ([`settings`]), and what it is asked: a [`Request`], a [`Plan`],
//! an [`Activity`](adapter::Activity) or an [`ImageSpec`]. It gives an answer, and lines for the [`log`]. What else it may use
//! needs a [grant](grants). Nothing stays from one call to the next: each has a fresh instance.
//!
//! # What the macros add
//!
//! Metadata from `Cargo.toml`, a JSON schema of the settings, errors that name a wrong setting by its path, and a panic hook:
//! a panic is an error of this one call, and its message is in the run's record.

pub mod adapter;
pub mod base;
#[doc(hidden)]
pub mod bindings;
pub mod cran;
pub mod cuda;
pub mod environment;
pub mod grants;
#[doc(hidden)]
pub mod guest;
pub mod hook;
pub mod image;
pub mod log;
pub mod names;
pub mod packages;
pub mod pattern;
pub mod permission;
pub mod pip;
pub mod policy;
pub mod settings;
mod types;

pub use types::{
    ALL_GPUS, Binding, BindingKind, CodeEnvironment, ExecutionConfiguration, Identity, ImageSpec, KeyValue, Language,
    Limit, Mirrors, Plan, Quantity, Reason, Request, Resource, Security, Usage, UsageEntry, WhenFull,
};

/// Exports `metadata`, which every world has. The other macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! __metadata {
    ($component:ty, $world:path) => {
        const _: () = {
            struct Exported;
            impl $crate::guest::MetadataGuest for Exported {
                fn describe() -> $crate::guest::Info {
                    $crate::guest::describe::<<$component as $world>::Settings>(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                        env!("CARGO_PKG_DESCRIPTION"),
                    )
                }
                fn validate_settings(settings: String) -> Result<(), String> {
                    $crate::guest::validate(&settings, <$component as $world>::check_settings)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::shared::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::guest::MetadataGuest as Guest;
                let _ = <Exported as Guest>::describe;
                let _ = <Exported as Guest>::validate_settings;
            };
        };
    };
}
