//! Step 6: the image is looked for by its content key, and made when it is missing.

use std::sync::Arc;

use wharf_images::{Deed, ImageError, Progress, ReadyImage};
use wharf_model::configuration::Engine;
use wharf_model::launch::Backend;
use wharf_model::outcome::Whose;
use wharf_model::{Cause, EventKind, Outcome, Phase};

use super::admission::Admitted;
use super::{Judged, Step, Way};
use crate::conclude::{ENGINE_AWAY, engine_outcome, outcome, sentence_of, with_refusal};
use crate::engines::DockerEngine;
use crate::last_words;
use crate::supply::describe;

/// What to do about an index of packages that a build doesn't reach.
pub(crate) const INDEX_AWAY: &str = "a build uses the network of the daemon's machine: look at `[mirrors] pip` and `extra_ca` of the base \
                                     image, and try again when the index answers";
/// What to do about a registry that doesn't let the host in.
pub(crate) const LOGIN: &str = "write who the host is there into registries.json of the home, or `docker login` as the user that runs \
                                wharf";

/// A run whose image is where its engine finds it. Only [`resolve`] makes one.
pub(crate) struct Resolved {
    admitted: Admitted,
    backend: Arc<dyn Backend>,
    builder: Arc<DockerEngine>,
    image: ReadyImage,
    /// By which the engine knows the image: an id of the daemon, or a registry's digest.
    reference: String,
}

impl Resolved {
    pub(crate) fn judged(&self) -> &Judged {
        self.admitted.judged()
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn image(&self) -> &str {
        &self.reference
    }
}

/// Finds or makes the image.
pub(crate) async fn resolve(way: &Way, admitted: Admitted) -> Step<Resolved> {
    let phase = way.journal.phase(Phase::Image);
    let engine = &admitted.judged().plan().configuration.engine;
    let daemon = engine.builder();
    let builder = way.host.engines().docker(daemon).map_err(|error| Box::new(engine_outcome(&error)))?;
    let backend = way.host.engines().backend(&engine.address()).map_err(|error| Box::new(engine_outcome(&error)))?;
    let journal = way.journal.clone();
    let progress: Progress = Arc::new(move |text| journal.note(EventKind::Progress { phase: Phase::Image, text }));
    let configuration = &admitted.judged().plan().configuration;
    let image = way
        .host
        .supply(&builder, daemon, configuration.registry.as_deref(), admitted.judged().image(), &progress)
        .await
        .map_err(|error| Box::new(image_outcome(&error)))?;
    image.made.iter().for_each(|made| progress(describe(made)));
    let reference = match configuration.engine {
        Engine::Docker { .. } => image.id.clone(),
        Engine::Kubernetes(_) => pushed(&image, configuration.registry.as_deref())?,
    };
    phase.done();
    Ok(Resolved { admitted, backend, builder, image, reference })
}

/// The digest by which the nodes of a cluster pull an image.
fn pushed(image: &ReadyImage, registry: Option<&str>) -> Step<String> {
    let registry = registry.unwrap_or("the registry of its configuration");
    image.digest.clone().ok_or_else(|| {
        let reason = image.made.iter().rev().find_map(|made| match &made.deed {
            Deed::NotInRegistry { reason } => Some(format!(": {reason}")),
            _ => None,
        });
        Box::new(Outcome {
            whose: Whose::Engine,
            retry_helps: true,
            advice: Some(format!(
                "nodes pull from {registry}: see whether it answers, has room, and lets this host push"
            )),
            ..outcome(Cause::ImageMissing, format!("{} isn't in {registry}{}", image.tag, reason.unwrap_or_default()))
        })
    })
}

/// Makes the image again, after the engine said that it lost it.
pub(crate) async fn again(way: &Way, resolved: Resolved) -> Step<Resolved> {
    resolved.builder.images.forget(&resolved.image.key);
    resolve(way, resolved.admitted).await
}

/// An outcome for an image that couldn't be had.
pub(crate) fn image_outcome(error: &ImageError) -> Outcome {
    let sentence = sentence_of(error);
    match error {
        ImageError::Unreachable { .. } => {
            Outcome { advice: Some(ENGINE_AWAY.to_owned()), ..outcome(Cause::EngineUnreachable, sentence) }
        }
        ImageError::Refused { reason, .. } => with_refusal(outcome(Cause::EngineRefused, sentence), reason),
        ImageError::PullFailed { reason, .. } => with_refusal(outcome(Cause::ImageMissing, sentence), reason),
        ImageError::BuildFailed { image, step, lines } => {
            let said = last_words::reason(lines).unwrap_or("it says nothing");
            let end = outcome(Cause::ImageBuildFailed, format!("building {image} failed at {step}: {said}"));
            Outcome { error_tail: lines.clone(), ..with_refusal(end, &lines.join("\n")) }
        }
        ImageError::EnvironmentFailed { name, lines, .. } => Outcome {
            whose: Whose::Configuration,
            advice: Some(format!("correct its requirements, and try them with `wharf env build {name}`")),
            error_tail: lines.clone(),
            ..outcome(Cause::ImageBuildFailed, sentence)
        },
        ImageError::IndexUnreachable { lines, .. } => Outcome {
            whose: Whose::Network,
            retry_helps: true,
            advice: Some(INDEX_AWAY.to_owned()),
            error_tail: lines.clone(),
            ..outcome(Cause::ImageBuildFailed, sentence)
        },
        ImageError::NoCredentials { .. } | ImageError::LoginRefused { .. } => Outcome {
            whose: Whose::Configuration,
            advice: Some(LOGIN.to_owned()),
            ..outcome(Cause::ImageMissing, sentence)
        },
        ImageError::BootstrapFailed { suite, mirror, status, lines } => {
            let said = last_words::reason(lines).unwrap_or("it says nothing");
            let sentence = format!("making a root file system of {suite} from {mirror} failed ({status}): {said}");
            Outcome { error_tail: lines.clone(), ..outcome(Cause::ImageMissing, sentence) }
        }
        _ => outcome(Cause::ImageMissing, sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_is_a_sentence_and_its_lines() {
        let lines = vec!["Step 1".to_owned(), "E: Unable to locate package nope".to_owned(), String::new()];
        let error = ImageError::BuildFailed { image: "python-r".to_owned(), step: "step 3 of 7".to_owned(), lines };
        let end = image_outcome(&error);
        assert_eq!(end.cause, Cause::ImageBuildFailed);
        assert_eq!(end.sentence, "building python-r failed at step 3 of 7: E: Unable to locate package nope");
        assert_eq!(end.error_tail.len(), 3);
    }

    #[test]
    fn each_end_of_an_environment_says_whose_it_is_and_what_to_do() {
        let name = "ml".to_owned();
        let end = image_outcome(&ImageError::EnvironmentFailed {
            name: name.clone(),
            reason: "code-envs/ml/requirements.txt:1: the index has no package sixx".to_owned(),
            lines: vec!["x".to_owned()],
        });
        assert_eq!((end.whose, end.retry_helps), (Whose::Configuration, false));
        assert!(end.advice.is_some_and(|advice| advice.contains("wharf env build ml")));
        let lines = vec!["x".to_owned()];
        let end = image_outcome(&ImageError::IndexUnreachable { name, reason: "refused".to_owned(), lines });
        assert_eq!((end.cause, end.whose, end.retry_helps), (Cause::ImageBuildFailed, Whose::Network, true));
        assert!(end.advice.is_some_and(|advice| advice.contains("extra_ca")));
        let (registry, who) = ("r.example".to_owned(), "ana".to_owned());
        let end = image_outcome(&ImageError::LoginRefused { registry, who, reason: "denied".to_owned() });
        assert!(end.advice.is_some_and(|advice| advice.contains("registries.json")));
    }

    #[test]
    fn a_full_disk_and_a_name_nobody_knows_are_told_apart() {
        let lines = vec!["write /var/lib/docker/tmp/x: no space left on device".to_owned()];
        let error = ImageError::BuildFailed { image: "python-r".to_owned(), step: "step 3 of 7".to_owned(), lines };
        let end = image_outcome(&error);
        assert_eq!((end.whose, end.retry_helps), (Whose::Capacity, true));
        let reason = "pull access denied for nope, repository does not exist or may require 'docker login'".to_owned();
        let end = image_outcome(&ImageError::PullFailed { image: "nope".to_owned(), reason });
        assert_eq!((end.cause, end.whose, end.retry_helps), (Cause::ImageMissing, Whose::Configuration, false));
        assert!(end.advice.is_some_and(|advice| advice.contains("docker login")));
    }
}
