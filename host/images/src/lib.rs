//! Base images, their content keys, and the way from a plan to an image that a run can use.
//!
//! An image has three layers of ours: what it *starts from* (an image of somebody else's, or a bootstrap from the
//! distribution's packages), the *base image* (the steps of an image recipe over that), and the *run image* (the runner
//! and the libraries that recipes import, over that). Each of the last two has a content key, which is known before
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
mod flights;
mod images;
mod key;

pub use containerfile::{Labels, Rendered, render, render_run};
pub use engine::{BuildRequest, ImageEngine, ImportRequest, LocalImage, Progress, TarStream};
pub use error::ImageError;
pub use images::{ImageKeys, ImagePlan, Images, ReadyImage, RunnerLayer};
pub use key::{Parent, key, runner_layer_key};

/// The label with an image's content key, all 64 digits.
pub const LABEL_KEY: &str = "wharf.image.key";
/// The label with the base image's name.
pub const LABEL_NAME: &str = "wharf.image.name";
/// The label with the component that made the recipe: `name@digest`.
pub const LABEL_MADE_BY: &str = "wharf.image.made-by";
/// The label with what the image starts from: the parent's part of the key.
pub const LABEL_PARENT: &str = "wharf.image.parent";
