//! Step 6: the image is looked for by its content key, and made when it is missing.

use std::sync::Arc;

use wharf_images::{ImageError, Progress, ReadyImage};
use wharf_model::{Cause, EventKind, Outcome, Phase};

use super::admission::Admitted;
use super::{Judged, Step, Way};
use crate::conclude::{ENGINE_AWAY, engine_outcome, outcome, sentence_of};
use crate::engines::Engine;

/// A run whose image is at its engine. Only [`resolve`] makes one.
pub(crate) struct Resolved {
    admitted: Admitted,
    engine: Arc<Engine>,
    image: ReadyImage,
}

impl Resolved {
    pub(crate) fn judged(&self) -> &Judged {
        self.admitted.judged()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn image(&self) -> &ReadyImage {
        &self.image
    }
}

/// Finds or makes the image.
pub(crate) async fn resolve(way: &Way, admitted: Admitted) -> Step<Resolved> {
    let phase = way.journal.phase(Phase::Image);
    let daemon = admitted.judged().plan().configuration.engine.daemon();
    let engine = way.host.engines().at(daemon).map_err(|error| Box::new(engine_outcome(&error)))?;
    let journal = way.journal.clone();
    let progress: Progress = Arc::new(move |text| journal.note(EventKind::Progress { phase: Phase::Image, text }));
    let image = engine
        .images
        .ensure(admitted.judged().image(), &progress)
        .await
        .map_err(|error| Box::new(image_outcome(&error)))?;
    phase.done();
    Ok(Resolved { admitted, engine, image })
}

/// Makes the image again, after the engine said that it lost it.
pub(crate) async fn again(way: &Way, resolved: Resolved) -> Step<Resolved> {
    resolved.engine.images.forget(&resolved.image.key);
    resolve(way, resolved.admitted).await
}

/// An outcome for an image that couldn't be had.
pub(crate) fn image_outcome(error: &ImageError) -> Outcome {
    let cause = match error {
        ImageError::Unreachable { .. } => Cause::EngineUnreachable,
        ImageError::Refused { .. } => Cause::EngineRefused,
        ImageError::BuildFailed { .. } => Cause::ImageBuildFailed,
        _ => Cause::ImageMissing,
    };
    let advice = (cause == Cause::EngineUnreachable).then(|| ENGINE_AWAY.to_owned());
    Outcome { advice, ..outcome(cause, sentence_of(error)) }
}
