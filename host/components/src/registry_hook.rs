//! Components that prepare pushes to registries.

use std::sync::Arc;
use std::time::Instant;

use wharf_model::SecretValue;

use crate::bindings::registry_preparation::{self as wit, GuestIndices};
use crate::call::{Call, within};
use crate::call_error::{CallError, cut};
use crate::loaded::Loaded;

/// The longest user name.
const USER: usize = 1_024;
/// The longest password or token.
const SECRET: usize = 64 * 1024;

/// A loaded registry-hook component.
#[derive(Clone)]
pub struct RegistryHook {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: GuestIndices,
}

/// An image that is about to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The registry: `registry.example.com:5000`.
    pub registry: String,
    /// The repository there: `data/wharf-run/python-r`.
    pub repository: String,
    /// The tag that it gets.
    pub tag: String,
}

/// Who the host is at a registry, for one push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Empty when `secret` is an identity token.
    pub user: String,
    /// A password or a token.
    pub secret: SecretValue,
}

impl RegistryHook {
    /// The component's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// Has the component prepare a push. `None`: it has no credentials for it.
    ///
    /// [`CallError::Refused`] is the component's own sentence about why the image can't be pushed.
    pub async fn before_push(&self, push: &Push) -> Call<Option<Credentials>> {
        let started = Instant::now();
        let answer = self.answer(push).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    async fn answer(&self, push: &Push) -> Result<Option<Credentials>, CallError> {
        let asked =
            wit::Push { registry: push.registry.clone(), repository: push.repository.clone(), tag: push.tag.clone() };
        let mut session = self.loaded.session().await?;
        let guest = self.indices.load(&mut session.store, &session.instance);
        let answer = match guest {
            Ok(guest) => within(session.deadline(), guest.call_before_push(&mut session.store, &asked)).await,
            Err(error) => Err(error),
        };
        match session.finish(answer)? {
            Ok(credentials) => credentials.map(checked).transpose(),
            Err(message) => Err(CallError::Refused { message: cut(message.trim()) }),
        }
    }
}

/// The problems are said without the values.
fn checked(credentials: wit::Credentials) -> Result<Credentials, CallError> {
    let wit::Credentials { user, secret } = credentials;
    let bad = |field: &str, problem: String| Err(CallError::invalid(format!("credentials.{field}"), problem));
    if user.len() > USER || user.contains([':', '\0']) || user.chars().any(char::is_control) {
        return bad("user", format!("a user has at most {USER} bytes, and no colon or control character"));
    }
    if secret.is_empty() || secret.len() > SECRET || secret.chars().any(char::is_control) {
        return bad("secret", format!("a secret has 1 to {SECRET} bytes, and no control character"));
    }
    Ok(Credentials { user, secret: SecretValue::new(secret) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_cannot_be_are_refused_without_being_shown() {
        let check =
            |user: &str, secret: &str| checked(wit::Credentials { user: user.to_owned(), secret: secret.to_owned() });
        let good = check("AWS", "hunter22").unwrap();
        assert_eq!((good.user.as_str(), good.secret.expose()), ("AWS", "hunter22"));
        assert!(!format!("{good:?}").contains("hunter22"));
        assert!(check("", "token").is_ok());
        for (user, secret) in [("a:b", "hunter22"), ("a", ""), ("a", "hunter22\n"), ("a\u{1b}", "hunter22")] {
            let error = check(user, secret).unwrap_err().to_string();
            assert!(error.contains("credentials.") && !error.contains("hunter22"), "{error}");
        }
        assert!(check("a", &"x".repeat(SECRET + 1)).is_err());
    }
}
