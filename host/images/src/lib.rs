//! Base images, their content keys, and the way from a plan to an image that a run can use.
//!
//! An image has up to five layers of ours: what it *starts from* (an image of somebody else's, or a bootstrap from the
//! distribution's packages), the *base image* (the steps of an image recipe over that), a *code environment*, the *folders of a
//! plugin*, and the *run image* (the runner and the libraries that recipes import). Each has a content key, which is known before
//! anything is built; an image is built only when no image with its key is there.
//!
//! Nothing here knows an engine: it is behind [`ImageEngine`].
//!
//! Every image that is made here carries these labels: [`LABEL_KEY`], [`LABEL_NAME`], [`LABEL_MADE_BY`],
//! [`LABEL_PARENT`].

mod bootstrap;
mod containerfile;
mod context;
mod engine;
mod error;
mod failure;
mod flights;
mod folders;
mod fragment;
mod images;
mod ingredients;
mod key;
mod layer;
mod logins;
mod registry_api;
mod sources;

pub use containerfile::{Labels, Rendered, render, render_environment, render_folders, render_run};
pub use engine::{BuildRequest, ImageEngine, ImportRequest, LocalImage, Login, Progress, Pushed, TarStream};
pub use error::ImageError;
pub use failure::project_name;
pub use folders::{FolderFile, FolderSource, FoldersPlan, ImageFolder};
pub use fragment::{FragmentProblem, check_fragment};
pub use images::{EnvironmentPlan, ImageKeys, ImagePlan, Images, Lock, ReadyImage, RunnerLayer};
pub use ingredients::{Ingredients, ingredients};
pub use key::{Parent, environment_key, folders_key, key, runner_layer_key};
pub use layer::Kind;
pub use logins::{FileLogins, docker_config};
pub use registry_api::RegistryApi;
pub use sources::{BeforePush, Deed, Ledger, Logins, Made, Registry, Sources, registry_of};

/// The label with an image's content key, all 64 digits.
pub const LABEL_KEY: &str = "wharf.image.key";
/// The label with the generation of a code environment, where it isn't the first.
pub const LABEL_GENERATION: &str = "wharf.image.generation";
/// The label with the name of the base image or of the code environment.
pub const LABEL_NAME: &str = "wharf.image.name";
/// The label with the component that made the recipe: `name@digest`.
pub const LABEL_MADE_BY: &str = "wharf.image.made-by";
/// The label with what the image starts from: the parent's part of the key.
pub const LABEL_PARENT: &str = "wharf.image.parent";
