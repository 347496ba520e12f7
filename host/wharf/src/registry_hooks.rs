//! The components that prepare pushes, as the images see them.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_components::{ComponentSet, Push, World};
use wharf_images::{BeforePush, ImageError, Login, registry_of};

/// The registry hooks of a set of components.
pub(crate) struct RegistryHooks(pub(crate) Arc<ComponentSet>);

#[async_trait]
impl BeforePush for RegistryHooks {
    async fn before_push(&self, name: &str) -> Result<Option<Login>, ImageError> {
        let push = read(name);
        let failed = |component: String, reason: String| {
            let registry = push.registry.clone();
            ImageError::HookFailed { component, registry, reason }
        };
        // One that can't be loaded was put there for something.
        let broken =
            self.0.failures().iter().find(|failure| failure.world == Some(World::RegistryHook) && !failure.kept);
        if let Some(failure) = broken {
            let name = failure.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Err(failed(name, format!("it isn't loaded: {}", failure.fault.message)));
        }
        let mut login = None;
        for hook in self.0.registry_hooks() {
            let call = hook.before_push(&push).await;
            let micros = call.by.micros;
            tracing::debug!(hook = hook.name(), push.registry, push.repository, micros, "a push is prepared");
            let credentials = call.answer.map_err(|error| failed(hook.name().to_owned(), words(&error)))?;
            if login.is_none() {
                login = credentials.map(|found| Login {
                    registry: push.registry.clone(),
                    user: found.user,
                    secret: found.secret,
                });
            }
        }
        Ok(login)
    }
}

/// A refusal is a sentence of its own; other errors go on after "it".
fn words(error: &wharf_components::CallError) -> String {
    match error {
        wharf_components::CallError::Refused { message } => message.clone(),
        other => format!("it {other}"),
    }
}

fn read(name: &str) -> Push {
    let registry = registry_of(name);
    let rest = name.strip_prefix(registry).unwrap_or(name).trim_start_matches('/');
    let (repository, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
    Push { registry: registry.to_owned(), repository: repository.to_owned(), tag: tag.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart() {
        let push = read("registry.example:5000/data/wharf-run/python-r:0123");
        let parts = (push.registry.as_str(), push.repository.as_str(), push.tag.as_str());
        assert_eq!(parts, ("registry.example:5000", "data/wharf-run/python-r", "0123"));
    }
}
