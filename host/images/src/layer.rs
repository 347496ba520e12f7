//! One image on its way to an engine: found there, pulled, copied, or built; then pushed.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_model::image::ContentKey;

use crate::LABEL_KEY;
use crate::engine::{LocalImage, Progress};
use crate::error::ImageError;
use crate::images::{Inner, locked, repository};
use crate::sources::{Deed, Deeds, Registry, Sources};

/// How long another engine may take to say whether it has an image: it can be made here, too.
pub(crate) const LOOK: Duration = Duration::from_secs(15);

/// Which part of a run's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A root file system of the distribution's packages.
    Bootstrap,
    /// The base image.
    Base,
    /// The code environment over it.
    CodeEnv,
    /// A plugin's folders over those.
    Plugin,
    /// The runner and its libraries over those: what a run uses.
    Run,
}

impl Kind {
    /// All of them, each before what is built on it.
    pub const ALL: [Self; 5] = [Self::Bootstrap, Self::Base, Self::CodeEnv, Self::Plugin, Self::Run];

    /// As people and records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Base => "base",
            Self::CodeEnv => "env",
            Self::Plugin => "plugin",
            Self::Run => "run",
        }
    }

    /// The kind that is spelt so.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Bootstrap => "wharf-bootstrap",
            Self::Base => "wharf-base",
            Self::CodeEnv => "wharf-env",
            Self::Plugin => "wharf-plugin",
            Self::Run => "wharf-run",
        }
    }

    /// What a tag of ours stands for: `wharf-env/ml:0123456789abcdef`, with or without a registry before it.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let mut parts = tag.rsplit('/');
        parts.next()?;
        let folder = parts.next()?;
        Self::ALL.into_iter().find(|kind| kind.folder() == folder)
    }
}

/// An image of ours: what it is called, and its content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) key: ContentKey,
}

impl Layer {
    pub(crate) fn new(kind: Kind, name: &str, key: &ContentKey) -> Self {
        Self { kind, name: repository(name), key: key.clone() }
    }

    /// `wharf-run/python-r`
    pub(crate) fn repository(&self) -> String {
        format!("{}/{}", self.kind.folder(), self.name)
    }

    /// `wharf-run/python-r:0123456789abcdef`
    pub(crate) fn tag(&self) -> String {
        format!("{}:{}", self.repository(), self.key.short())
    }
}

impl Inner {
    /// The id of a layer that the engine has: under its tag, or under the tag that another name for the same contents has.
    pub(crate) async fn known(&self, layer: &Layer) -> Result<Option<String>, ImageError> {
        if let Some(id) = locked(&self.ready).get(&layer.key) {
            return Ok(Some(id.clone()));
        }
        let has_key = |image: &LocalImage| has_key(image, &layer.key);
        let mut found = self.engine.find(&layer.tag()).await?.filter(has_key);
        if found.is_none() {
            // The label alone proves nothing: whatever is built on an image inherits it, what a failed build leaves too.
            let begin = format!("{}/", layer.kind.folder());
            let end = format!(":{}", layer.key.short());
            let tagged =
                |image: &LocalImage| image.tags.iter().any(|tag| tag.starts_with(&begin) && tag.ends_with(&end));
            let listed = self.engine.list(&format!("{LABEL_KEY}={}", layer.key)).await?;
            found = listed.into_iter().find(|image| has_key(image) && tagged(image));
        }
        let Some(image) = found else { return Ok(None) };
        locked(&self.ready).insert(layer.key.clone(), image.id.clone());
        Ok(Some(image.id))
    }

    /// A layer: found, or had from somewhere, or made by `build`; and then in its registry, too.
    ///
    /// However many ask for the same one at once, it is made once and sent once.
    pub(crate) async fn have<F>(
        self: &Arc<Self>,
        layer: &Layer,
        sources: &Sources,
        deeds: &Deeds,
        progress: &Progress,
        build: impl FnOnce(Progress) -> F,
    ) -> Result<String, ImageError>
    where
        F: Future<Output = Result<String, ImageError>> + Send + 'static,
    {
        let id = match self.known(layer).await? {
            Some(id) => id,
            None => {
                let name = format!("{} {}", layer.kind.as_str(), layer.key);
                let begin = |progress: Progress| {
                    let build = build(progress.clone());
                    let (inner, layer) = (Arc::clone(self), layer.clone());
                    let (sources, deeds) = (sources.clone(), deeds.clone());
                    async move {
                        // It may have come while we were on the way here.
                        if let Some(id) = inner.known(&layer).await? {
                            return Ok(id);
                        }
                        let id = match inner.get_layer(&layer, &sources, &deeds, &progress).await {
                            Some(id) => id,
                            None => {
                                let begun = Instant::now();
                                let id = build.await?;
                                deeds.note(&layer.tag(), Deed::Built, begun);
                                id
                            }
                        };
                        locked(&inner.ready).insert(layer.key.clone(), id.clone());
                        Ok(id)
                    }
                };
                self.flights.join(&name, progress, begin).await?
            }
        };
        let begun = Instant::now();
        if let Some(registry) = deeds.registry(sources)
            && let Err(error) = self.send(layer, &id, sources, registry, deeds, progress).await
        {
            // The engine has it, so that a run can begin.
            progress(error.to_string());
            deeds.registry_failed(&layer.tag(), &error, begun);
        }
        Ok(id)
    }

    async fn get_layer(&self, layer: &Layer, sources: &Sources, deeds: &Deeds, progress: &Progress) -> Option<String> {
        let begun = Instant::now();
        if let Some(registry) = deeds.registry(sources) {
            match self.pull_layer(layer, sources, registry, progress).await {
                Ok(Some(id)) => {
                    deeds.note(&layer.tag(), Deed::Pulled, begun);
                    return Some(id);
                }
                Ok(None) => {}
                // It can still be had elsewhere, or made here.
                Err(error) => {
                    progress(error.to_string());
                    deeds.registry_failed(&layer.tag(), &error, begun);
                }
            }
        }
        for (address, other) in &sources.others {
            let begun = Instant::now();
            match self.copy_layer(layer, address, other.inner(), progress).await {
                Ok(Some(id)) => {
                    deeds.note(&layer.tag(), Deed::Copied { from: address.clone() }, begun);
                    return Some(id);
                }
                Ok(None) => {}
                // It can still be made here.
                Err(error) => progress(error.to_string()),
            }
        }
        None
    }

    /// Pulls a layer: by its digest where that is known, else by its tag, and then its label must say the same.
    async fn pull_layer(
        &self,
        layer: &Layer,
        sources: &Sources,
        registry: &Registry,
        progress: &Progress,
    ) -> Result<Option<String>, ImageError> {
        let repository = registry.repository(&layer.repository());
        let digest = registry.ledger.digest(&repository, &layer.key);
        let name = format!("{repository}:{}", layer.key.short());
        let reference = match &digest {
            Some(digest) => format!("{repository}@{digest}"),
            None => name.clone(),
        };
        let login = sources.login(&reference).await?;
        let mut pulled = self.engine.pull(&reference, login.as_ref(), progress).await;
        // Asked only then: a hook may create what is only to be read here, and takes its time.
        if let Err(ImageError::LoginRefused { .. }) = &pulled {
            match sources.hooked(&name).await {
                Ok(None) => {}
                Ok(login) => pulled = self.engine.pull(&reference, login.as_ref(), progress).await,
                // The push fails with it.
                Err(error) => progress(error.to_string()),
            }
        }
        match pulled {
            Ok(()) => {}
            Err(ImageError::NotInRegistry { .. }) => {
                if digest.is_some() {
                    registry.ledger.forget(&repository, &layer.key);
                }
                return Ok(None);
            }
            // Some say this of what isn't there yet. If it is meant, the push will say so.
            Err(ImageError::LoginRefused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(image) = self.engine.find(&reference).await? else {
            return Err(ImageError::PullFailed {
                image: reference,
                reason: "the engine says that it has pulled it, and doesn't have it".to_owned(),
            });
        };
        if !has_key(&image, &layer.key) {
            progress(format!("{reference} isn't what its tag says: it has another content key, so it isn't used"));
            return Ok(None);
        }
        self.engine.tag(&image.id, &layer.tag()).await?;
        let begin = format!("{repository}@");
        if let Some(digest) = image.digests.iter().find_map(|digest| digest.strip_prefix(&begin)) {
            registry.ledger.remember(&repository, &layer.key, digest);
        }
        Ok(Some(image.id))
    }

    /// Copies a layer from another engine that has it.
    async fn copy_layer(
        &self,
        layer: &Layer,
        address: &str,
        other: &Inner,
        progress: &Progress,
    ) -> Result<Option<String>, ImageError> {
        let failed = |error: ImageError| ImageError::CopyFailed {
            image: layer.tag(),
            source_engine: address.to_owned(),
            reason: error.to_string(),
        };
        let platform = self.platform().await?;
        let look = async { if other.platform().await? == platform { other.known(layer).await } else { Ok(None) } };
        let looked = tokio::time::timeout(LOOK, look).await.unwrap_or_else(|_| {
            Err(ImageError::Unreachable {
                address: address.to_owned(),
                reason: format!("no answer for {} s", LOOK.as_secs()),
            })
        });
        let Some(id) = looked.map_err(failed)? else { return Ok(None) };
        progress(format!("copying {} from {address}", layer.tag()));
        // Its tag comes along, and is how it is found here.
        other.engine.tag(&id, &layer.tag()).await.map_err(failed)?;
        let tar = other.engine.save(&layer.tag()).await.map_err(failed)?;
        self.engine.load(tar, progress).await.map_err(failed)?;
        match self.engine.find(&layer.tag()).await? {
            Some(image) if has_key(&image, &layer.key) => Ok(Some(image.id)),
            _ => Err(ImageError::CopyFailed {
                image: layer.tag(),
                source_engine: address.to_owned(),
                reason: "it was loaded, and isn't there".to_owned(),
            }),
        }
    }

    /// Puts a layer into its registry, unless it is known to be there.
    async fn send(
        self: &Arc<Self>,
        layer: &Layer,
        id: &str,
        sources: &Sources,
        registry: &Registry,
        deeds: &Deeds,
        progress: &Progress,
    ) -> Result<(), ImageError> {
        let repository = registry.repository(&layer.repository());
        if registry.ledger.digest(&repository, &layer.key).is_some() {
            return Ok(());
        }
        let begin = |progress: Progress| {
            let (inner, layer, id) = (Arc::clone(self), layer.clone(), id.to_owned());
            let (sources, registry) = (sources.clone(), registry.clone());
            let (deeds, repository) = (deeds.clone(), repository.clone());
            async move {
                if let Some(digest) = registry.ledger.digest(&repository, &layer.key) {
                    return Ok(digest);
                }
                let begun = Instant::now();
                let name = format!("{repository}:{}", layer.key.short());
                inner.engine.tag(&id, &name).await?;
                let login = sources.prepared(&name).await?;
                progress(format!("pushing {name}"));
                let pushed = inner.engine.push(&name, login.as_ref(), &progress).await?;
                registry.ledger.remember(&repository, &layer.key, &pushed.digest);
                let digest = pushed.digest.clone();
                deeds.note(&layer.tag(), Deed::Pushed(pushed), begun);
                Ok(digest)
            }
        };
        self.flights.join(&format!("push {repository} {}", layer.key), progress, begin).await.map(drop)
    }
}

fn has_key(image: &LocalImage, key: &ContentKey) -> bool {
    image.labels.get(LABEL_KEY).is_some_and(|label| label == key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_it_is() {
        assert_eq!(Kind::of_tag("wharf-env/ml:12"), Some(Kind::CodeEnv));
        assert_eq!(Kind::of_tag("localhost:5000/data/wharf-run/python-r:12"), Some(Kind::Run));
        assert_eq!(Kind::of_tag("debian:12"), None);
        assert_eq!(Kind::of_tag("wharf-run"), None);
    }
}
