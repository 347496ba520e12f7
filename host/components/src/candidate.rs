//! A component that judges runs and isn't in use: for asking it about runs of the past.

use std::path::Path;
use std::sync::Arc;

use wharf_model::Fault;

use crate::engine::Engine;
use crate::group::{Body, Single};
use crate::load;
use crate::loaded::{ComponentInfo, Kind};
use crate::permission::Permission;
use crate::policy::Policy;
use crate::source::Source;

/// A component that could judge runs, loaded and checked as if it were in its folder.
#[derive(Clone)]
pub enum Candidate {
    /// A permission component.
    Permission(Permission),
    /// A policy.
    Policy(Policy),
}

impl Candidate {
    /// Loads a component file with the TOML file beside it, or with another one. Blocks: it may compile.
    ///
    /// # Errors
    /// What [`failures`](crate::ComponentSet::failures) would say, or it is of a world that judges nothing.
    pub fn load(engine: &Engine, file: &Path, toml: Option<&Path>) -> Result<Self, Fault> {
        let source = match toml {
            // One that was named must be there; the one beside a component need not be.
            Some(toml) if !toml.is_file() => {
                return Err(Fault::new("file-unreadable", "there is no such file").at(toml, None));
            }
            Some(toml) => Source::read_with(file, toml),
            None => Source::read(file),
        };
        let loaded = Arc::new(load::load(engine, source, None).map_err(|refusal| refusal.fault)?);
        match loaded.kind.clone() {
            Kind::Permission(indices) => {
                Ok(Self::Permission(Permission { body: Body::Single(Single { loaded, indices }) }))
            }
            Kind::Policy(indices, role) => {
                Ok(Self::Policy(Policy { body: Body::Single(Single { loaded, indices }), role }))
            }
            Kind::ImageRecipe(_) | Kind::RecipeAdapter(_) | Kind::RegistryHook(_) => {
                let message = format!("it is of the world {}, and judges no runs", loaded.info.world);
                Err(Fault::new("component-judges-nothing", message)
                    .at(file, None)
                    .hint("name a policy or a permission component"))
            }
        }
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &ComponentInfo {
        match self {
            Self::Permission(permission) => permission.info(),
            Self::Policy(policy) => policy.info(),
        }
    }
}
