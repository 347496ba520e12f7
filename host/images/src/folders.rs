//! Folders of the host's machine that an image gets, in a layer of their own.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Folders over a code environment or a base image: a plugin's libraries and resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldersPlan {
    /// What its images are called: the plugin's id.
    pub name: String,
    /// The folders.
    pub folders: Vec<ImageFolder>,
}

/// One folder, where it is in the image, and what is in it.
#[derive(Clone)]
pub struct ImageFolder {
    /// Where it is in the image: an absolute path.
    pub target: String,
    /// The hash of all that is in it: it goes into the content key in the place of the files.
    pub digest: String,
    /// Reads its files, when the image is built.
    pub source: Arc<dyn FolderSource>,
}

/// Reads the files of a folder.
pub trait FolderSource: Send + Sync {
    /// All of its files, as they were when their digest was made. May block.
    ///
    /// # Errors
    /// They can't be read, or are others by now.
    fn files(&self) -> io::Result<Vec<FolderFile>>;
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderFile {
    /// Below the folder.
    pub path: String,
    /// What is in it.
    pub contents: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

impl fmt::Debug for ImageFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFolder")
            .field("target", &self.target)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl PartialEq for ImageFolder {
    fn eq(&self, other: &Self) -> bool {
        (&self.target, &self.digest) == (&other.target, &other.digest)
    }
}

impl Eq for ImageFolder {}
