//! What an engine must be able to do with images.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::error::ImageError;

/// Where sentences about the progress of something long go. Called from any thread; must not block.
pub type Progress = Arc<dyn Fn(String) + Send + Sync>;

/// A root file system as an uncompressed tar. An error in it ends the import without an image.
pub type TarStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An image that an engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalImage {
    /// The engine's id of it: `sha256:...`.
    pub id: String,
    /// Its tags: `NAME:TAG`.
    pub tags: Vec<String>,
    /// By which digests registries know it: `NAME@sha256:...`. None when it was never pulled or pushed.
    pub digests: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes, layers that it shares with others included.
    pub size: u64,
}

/// An image to build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The image as people know it, for errors: `the base image python-r`.
    pub image: String,
    /// The tag that it gets.
    pub tag: String,
    /// A tar with the `Containerfile` and the files that it copies.
    pub context: Bytes,
    /// What each instruction of the Containerfile does, in order: for progress and errors.
    pub titles: Vec<String>,
}

/// An image to import.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The image as people know it, for errors.
    pub image: String,
    /// The tag that it gets.
    pub tag: String,
    /// Containerfile instructions that are applied to it: `LABEL ...`, `CMD ...`.
    pub changes: Vec<String>,
}

/// An engine's images: find, get, make, remove.
///
/// All methods may be called again after a lost answer. Dropping a future ends what it began, as far as the engine can;
/// it leaves no image behind under the tag that was asked for.
#[async_trait]
pub trait ImageEngine: Send + Sync {
    /// The platform that its images are for: `linux/amd64`.
    async fn platform(&self) -> Result<String, ImageError>;

    /// The image behind a name, a digest or an id; `None` when the engine doesn't have it. Asks no registry.
    async fn find(&self, reference: &str) -> Result<Option<LocalImage>, ImageError>;

    /// Gets an image from its registry.
    ///
    /// # Errors
    /// [`ImageError::PullFailed`] with the engine's own words.
    async fn pull(&self, reference: &str, progress: &Progress) -> Result<(), ImageError>;

    /// Builds an image and returns its id.
    ///
    /// # Errors
    /// [`ImageError::BuildFailed`] with the step that failed and its last lines.
    async fn build(&self, request: BuildRequest, progress: &Progress) -> Result<String, ImageError>;

    /// Makes an image of a root file system and returns its id.
    async fn import(&self, request: ImportRequest, tar: TarStream, progress: &Progress) -> Result<String, ImageError>;

    /// All images that have this label, whatever its value.
    async fn list(&self, label: &str) -> Result<Vec<LocalImage>, ImageError>;

    /// Removes an image, by its id or a tag. Not an error when it is gone.
    ///
    /// # Errors
    /// A container still uses it, or another image is built on it.
    async fn remove(&self, reference: &str) -> Result<(), ImageError>;
}
