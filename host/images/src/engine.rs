//! What an engine must be able to do with images.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use wharf_model::SecretValue;

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
    /// When it was made, in seconds since 1970.
    pub created: u64,
}

/// Who one is at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The registry, as references name it: `registry.example.com:5000`.
    pub registry: String,
    /// The user. Empty when there is only a token.
    pub user: String,
    /// The password, or the identity token when `user` is empty.
    pub secret: SecretValue,
}

/// What a registry took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The digest under which it is there: `sha256:...`.
    pub digest: String,
    /// Layers that were sent.
    pub sent: u32,
    /// Layers that were there already.
    pub skipped: u32,
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

    /// Gets an image from its registry, by a tag or by a digest.
    ///
    /// # Errors
    /// [`ImageError::NotInRegistry`]: the registry answers that it has no such image. [`ImageError::PullFailed`] with the
    /// engine's own words for everything else.
    async fn pull(&self, reference: &str, login: Option<&Login>, progress: &Progress) -> Result<(), ImageError>;

    /// Gives an image one more name, `REPOSITORY:TAG`.
    async fn tag(&self, id: &str, name: &str) -> Result<(), ImageError>;

    /// Puts an image, by a tag that it has, into its registry. Layers that are there aren't sent again.
    ///
    /// # Errors
    /// [`ImageError::PushFailed`] with the engine's own words.
    async fn push(&self, name: &str, login: Option<&Login>, progress: &Progress) -> Result<Pushed, ImageError>;

    /// An image with its layers, as a tar that [`load`](Self::load) takes: `docker save`.
    async fn save(&self, reference: &str) -> Result<TarStream, ImageError>;

    /// Takes what [`save`](Self::save) gave, of another engine: `docker load`. Tags come along.
    ///
    /// # Errors
    /// An error in the stream, or the engine's own words.
    async fn load(&self, tar: TarStream, progress: &Progress) -> Result<(), ImageError>;

    /// One regular file of an image, of at most so many bytes; `None` when the image doesn't have it.
    ///
    /// # Errors
    /// It is larger, or isn't a regular file.
    async fn file(&self, image: &str, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ImageError>;

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
