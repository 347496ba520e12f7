//! Components that know how images are made.

use std::sync::Arc;
use std::time::Instant;

use wharf_model::image::CodeEnvironment;
use wharf_model::{ImageRecipe, ImageSpec};

use crate::answer;
use crate::bindings::image_recipe_generation::GuestIndices;
use crate::call::{Call, within};
use crate::call_error::{CallError, cut};
use crate::loaded::Loaded;
use crate::view;

/// A loaded image-recipe component.
#[derive(Clone)]
pub struct ImageRecipeMaker {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: GuestIndices,
}

impl ImageRecipeMaker {
    /// The name by which base images call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// Turns a spec into a recipe. Pure: the component sees nothing but the spec and its settings.
    ///
    /// [`CallError::Refused`] is the component's own sentence about what in the spec can't be done.
    pub async fn generate(&self, spec: &ImageSpec) -> Call<ImageRecipe> {
        let started = Instant::now();
        let answer = self.answer(spec).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    /// The steps of a code environment over the base image of a spec. Pure, too.
    pub async fn generate_environment(&self, base: &ImageSpec, environment: &CodeEnvironment) -> Call<ImageRecipe> {
        let started = Instant::now();
        let answer = self.environment_answer(base, environment).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    async fn environment_answer(
        &self,
        base: &ImageSpec,
        environment: &CodeEnvironment,
    ) -> Result<ImageRecipe, CallError> {
        let (base_asked, asked) = (view::image_spec(base), view::code_environment(environment));
        let mut session = self.loaded.session().await?;
        let guest = self.indices.load(&mut session.store, &session.instance);
        let recipe = match guest {
            Ok(guest) => {
                let deadline = session.deadline();
                let call = guest.call_generate_environment(&mut session.store, &base_asked, &asked);
                within(deadline, call).await
            }
            Err(error) => Err(error),
        };
        match session.finish(recipe)? {
            Ok(recipe) => answer::environment_recipe(recipe, base),
            Err(message) => Err(CallError::Refused { message: cut(message.trim()) }),
        }
    }

    async fn answer(&self, spec: &ImageSpec) -> Result<ImageRecipe, CallError> {
        let asked = view::image_spec(spec);
        let mut session = self.loaded.session().await?;
        let guest = self.indices.load(&mut session.store, &session.instance);
        let recipe = match guest {
            Ok(guest) => within(session.deadline(), guest.call_generate(&mut session.store, &asked)).await,
            Err(error) => Err(error),
        };
        match session.finish(recipe)? {
            Ok(recipe) => answer::image_recipe(recipe, spec),
            Err(message) => Err(CallError::Refused { message: cut(message.trim()) }),
        }
    }
}
