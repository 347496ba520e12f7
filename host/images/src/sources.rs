//! Where images come from and go to, besides an engine's own builds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use wharf_model::image::ContentKey;

use crate::engine::{Login, Pushed};
use crate::error::ImageError;
use crate::images::Images;

/// Who one is at registries.
#[async_trait]
pub trait Logins: Send + Sync {
    /// The login for a registry (`registry.example.com:5000`), if there is one.
    ///
    /// # Errors
    /// [`ImageError::NoCredentials`]: there is one, and it can't be had.
    async fn login(&self, registry: &str) -> Result<Option<Login>, ImageError>;
}

/// What is done before an image goes to a registry.
#[async_trait]
pub trait BeforePush: Send + Sync {
    /// Prepares the registry for an image (`registry.example.com/data/wharf-run/python-r:0123456789abcdef`): called before each
    /// push, again for one that is tried again, and when a pull of such an image was refused. Answers who to be there, if it
    /// isn't whom [`Logins`] knows.
    ///
    /// # Errors
    /// [`ImageError::HookFailed`]: it isn't pushed.
    async fn before_push(&self, name: &str) -> Result<Option<Login>, ImageError>;
}

/// What is remembered of registries: under which digest an image is there.
pub trait Ledger: Send + Sync {
    /// The digest of the image with this key in a repository (`registry.example.com/data/wharf-run/python-r`).
    fn digest(&self, repository: &str, key: &ContentKey) -> Option<String>;

    /// Remembers it.
    fn remember(&self, repository: &str, key: &ContentKey, digest: &str);

    /// Forgets it: the registry doesn't have it any more.
    fn forget(&self, repository: &str, key: &ContentKey);
}

/// A registry that images go through.
#[derive(Clone)]
pub struct Registry {
    /// `registry.example.com:5000/data`.
    pub address: String,
    /// What is there.
    pub ledger: Arc<dyn Ledger>,
}

impl Registry {
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

/// Where images come from and go to.
#[derive(Clone, Default)]
pub struct Sources {
    /// Who one is at registries: that of `from` images, and the one below.
    pub logins: Option<Arc<dyn Logins>>,
    /// Looked into before anything is built; gets what was built.
    pub registry: Option<Registry>,
    /// Called before each push to that registry, and when a pull was refused.
    pub before_push: Option<Arc<dyn BeforePush>>,
    /// Other engines, by their addresses. An image that one of them has is copied instead of built again.
    pub others: Vec<(String, Images)>,
}

impl Sources {
    /// Has the registry prepared for an image, and says who to push it as.
    pub(crate) async fn prepared(&self, name: &str) -> Result<Option<Login>, ImageError> {
        match self.hooked(name).await? {
            Some(login) => Ok(Some(login)),
            None => self.login(name).await,
        }
    }

    /// The login that a hook gives for an image.
    pub(crate) async fn hooked(&self, name: &str) -> Result<Option<Login>, ImageError> {
        match &self.before_push {
            Some(before_push) => before_push.before_push(name).await,
            None => Ok(None),
        }
    }

    /// The login for the registry that a reference names.
    pub(crate) async fn login(&self, reference: &str) -> Result<Option<Login>, ImageError> {
        match &self.logins {
            Some(logins) => logins.login(registry_of(reference)).await,
            None => Ok(None),
        }
    }
}

/// The registry of a reference; Docker's own when it names none.
#[must_use]
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// What was done for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It came from its registry.
    Pulled,
    /// It came from another engine.
    Copied {
        /// Which.
        from: String,
    },
    /// It was made.
    Built,
    /// It went to its registry.
    Pushed(Pushed),
    /// Its registry couldn't be used: it didn't answer, or said no. The engine has the image all the same.
    NotInRegistry {
        /// Why.
        reason: String,
    },
}

/// One image that something was done for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its tag.
    pub image: String,
    /// What.
    pub deed: Deed,
    /// How long it took.
    pub millis: u64,
}

/// What one call did, in order.
#[derive(Clone, Default)]
pub(crate) struct Deeds {
    made: Arc<Mutex<Vec<Made>>>,
    registry_failed: Arc<AtomicBool>,
}

impl Deeds {
    pub(crate) fn note(&self, image: &str, deed: Deed, since: std::time::Instant) {
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let made = Made { image: image.to_owned(), deed, millis };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Notes that the registry can't be used: it isn't asked again for the other parts of the same image.
    pub(crate) fn registry_failed(&self, image: &str, error: &ImageError, since: std::time::Instant) {
        self.registry_failed.store(true, Ordering::Relaxed);
        self.note(image, Deed::NotInRegistry { reason: error.to_string() }, since);
    }

    /// The registry of these sources, while it can be used.
    pub(crate) fn registry<'a>(&self, sources: &'a Sources) -> Option<&'a Registry> {
        sources.registry.as_ref().filter(|_| !self.registry_failed.load(Ordering::Relaxed))
    }

    pub(crate) fn take(&self) -> Vec<Made> {
        std::mem::take(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
