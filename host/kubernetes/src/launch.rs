//! Making the objects of an attempt: its Job, and the Secret that belongs to it.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use wharf_model::EngineCause;
use wharf_model::kubernetes::{KubernetesPlace, Patience};
use wharf_model::launch::{BackendError, Caller, LaunchSpec, Launched};

use crate::backend::KubernetesBackend;
use crate::client::{self, Failure};
use crate::end;
use crate::id::Id;
use crate::names;
use crate::object;
use crate::patience;
use crate::wait::{Teller, about};
use crate::watch::Kind;
use crate::{namespace, network};

/// The first and the longest pause before an object is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long an object of the same name may take to go that is being deleted.
const GOING: Duration = Duration::from_secs(30);
/// How long what was applied to a namespace is believed to hold.
const FRESH: Duration = Duration::from_secs(600);

/// What was applied to which namespace, and when. One after the other: many runs begin at once.
#[derive(Default)]
pub(crate) struct Policies(Mutex<HashMap<String, (String, Instant)>>);

impl KubernetesBackend {
    pub(crate) async fn create(&self, spec: &LaunchSpec, caller: &dyn Caller) -> Result<Launched, BackendError> {
        let name = names::job_name(&spec.run, spec.attempt);
        let operation = format!("create the Job {name}");
        let refused = |reason: String| BackendError::Refused { operation: operation.clone(), reason };
        let Some(place) = &spec.kubernetes else {
            return Err(refused("its specification names no place on a cluster".to_owned()));
        };
        let job = value(object::job(spec).map_err(&refused)?).map_err(&refused)?;
        let patience = patience::of_settings(&place.pod);
        self.remember(&place.namespace);
        let mut making = Making { backend: self, place, patience, caller, teller: Teller::new(caller), since: None };
        // Both are applied, so whoever breaks them off leaves nothing that the next run doesn't set right.
        tokio::select! {
            prepared = making.prepare(spec) => prepared?,
            () = caller.given_up() => return Err(BackendError::GivenUp { operation }),
        }
        let path = Kind::Jobs.path(&place.namespace);
        let (job, adopted) = making.object(&operation, &path, &job, true).await?;
        let Some(id) = Id::of(&job) else {
            return Err(refused("the API server's answer names no Job".to_owned()));
        };
        let host = names::label_value(&spec.host);
        self.watches().of(&place.namespace, &host).take(&job);
        if let Err(error) = making.ticket(spec, &id).await {
            // Nobody will ever learn its id, and without them it never begins.
            if let Err(left) = self.clear(&id).await {
                tracing::warn!(job = id.name, %left, "a Job that can't begin is left");
            }
            return Err(error);
        }
        Ok(Launched { id: id.to_string(), adopted })
    }

    /// Whether a Job's Secret was never made: its host was killed between the two.
    pub(crate) async fn lacks_secret(&self, id: &Id) -> Result<bool, BackendError> {
        match self.client().get(&format!("{}/{}", secrets(&id.namespace), id.name)).await {
            Ok(secret) => Ok(owner(&secret) != id.uid),
            Err(failure) if failure.code() == Some(404) => Ok(true),
            Err(failure) => {
                Err(self.client().backend(&format!("look for the Secret {}", id.name), &id.namespace, failure).await)
            }
        }
    }

    /// Makes the Secret of a Job that is there.
    pub(crate) async fn complete(&self, id: &Id, spec: &LaunchSpec, caller: &dyn Caller) -> Result<(), BackendError> {
        let operation = format!("create the Secret {}", id.name);
        let Some(place) = &spec.kubernetes else {
            return Err(BackendError::Refused { operation, reason: "the run has no place on a cluster".to_owned() });
        };
        let patience = patience::of_settings(&place.pod);
        let mut making = Making { backend: self, place, patience, caller, teller: Teller::new(caller), since: None };
        match making.ticket(spec, id).await? {
            false => Ok(()),
            // Its ticket is another one, which nobody knows any more.
            true => Err(BackendError::Conflict { object: format!("the Secret {}/{}", id.namespace, id.name) }),
        }
    }
}

fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// Makes objects one after the other, within the patience of the run.
struct Making<'a> {
    backend: &'a KubernetesBackend,
    place: &'a KubernetesPlace,
    patience: Patience,
    caller: &'a dyn Caller,
    teller: Teller<'a>,
    /// What is waited for, since when.
    since: Option<(String, Instant)>,
}

impl Making<'_> {
    /// What comes before the first object of the run's own.
    async fn prepare(&mut self, spec: &LaunchSpec) -> Result<(), BackendError> {
        self.namespace().await?;
        self.network(spec).await
    }

    /// Does to the namespace what the configuration says, unless that was done a short while ago.
    async fn namespace(&mut self) -> Result<(), BackendError> {
        let Some(policy) = &self.place.pod.namespace_policy else { return Ok(()) };
        let name = &self.place.namespace;
        let operation = format!("set the namespace {name} up");
        let digest = serde_json::to_string(policy).unwrap_or_default();
        let mut done = self.backend.policies().0.lock().await;
        if done.get(name).is_some_and(|(known, at)| *known == digest && at.elapsed() < FRESH) {
            return Ok(());
        }
        let client = self.backend.client();
        let mut secret = None;
        if let Some(source) = &policy.pull_secret {
            let path = format!("/api/v1/namespaces/{}/secrets/{}", source.namespace, source.name);
            match client.get(&path).await {
                Ok(found) => secret = Some(found),
                Err(failure) => return Err(client.backend(&operation, &source.namespace, failure).await),
            }
        }
        for (path, object) in namespace::applications(name, policy, secret.as_ref())
            .map_err(|reason| BackendError::Refused { operation: operation.clone(), reason })?
        {
            let mut pause = PAUSE.0;
            while let Err(failure) = client.apply(&path, &object).await {
                self.bear(&operation, failure, &mut pause, true).await?;
            }
        }
        done.insert(name.clone(), (digest, Instant::now()));
        Ok(())
    }

    /// Applies the policy of whom the pod may reach. It is one for many runs.
    async fn network(&mut self, spec: &LaunchSpec) -> Result<(), BackendError> {
        let operation = "apply the NetworkPolicy of its pod";
        let refused = |reason| BackendError::Refused { operation: operation.to_owned(), reason };
        let Some(policy) = network::policy(spec).map_err(refused)? else { return Ok(()) };
        let policy = value(policy).map_err(refused)?;
        let namespace = &self.place.namespace;
        let name = text(&policy, "/metadata/name");
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}");
        let mut pause = PAUSE.0;
        while let Err(failure) = self.backend.client().apply(&path, &policy).await {
            self.bear(operation, failure, &mut pause, true).await?;
        }
        Ok(())
    }

    /// The ticket, without which the Job's container doesn't begin. Whether it was there.
    async fn ticket(&mut self, spec: &LaunchSpec, id: &Id) -> Result<bool, BackendError> {
        let operation = format!("create the Secret {}", id.name);
        let refused = |reason| BackendError::Refused { operation: operation.clone(), reason };
        let secret = value(object::secret(spec, Some(&id.uid)).map_err(refused)?).map_err(refused)?;
        let (_, found) = self.object(&operation, &secrets(&id.namespace), &secret, false).await?;
        Ok(found)
    }

    /// An object under its fixed name: created, or found to be what an earlier call created. Whether it was found.
    async fn object(
        &mut self,
        operation: &str,
        path: &str,
        object: &Value,
        first: bool,
    ) -> Result<(Value, bool), BackendError> {
        let client = self.backend.client();
        let name = text(object, "/metadata/name");
        let mut pause = PAUSE.0;
        let mut going: Option<Instant> = None;
        let mut look = false;
        loop {
            if look {
                match client.get(&format!("{path}/{name}")).await {
                    Ok(found) if text(&found, "/metadata/deletionTimestamp").is_empty() && is_same(&found, object) => {
                        return Ok((found, true));
                    }
                    // Of an attempt before, about to go: nothing of it counts any more.
                    Ok(found)
                        if is_going(&found, object) && going.get_or_insert_with(Instant::now).elapsed() < GOING =>
                    {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                        continue;
                    }
                    Ok(_) => {
                        let kind = text(object, "/kind");
                        let namespace = &self.place.namespace;
                        return Err(BackendError::Conflict { object: format!("the {kind} {namespace}/{name}") });
                    }
                    // It wasn't, or isn't any more.
                    Err(failure) if failure.code() == Some(404) => {}
                    Err(failure) => {
                        self.bear(operation, failure, &mut pause, first).await?;
                        continue;
                    }
                }
            }
            match client.create_warned(path, object).await {
                Ok((created, warnings)) => {
                    let kind = text(object, "/kind");
                    for warning in warnings {
                        self.caller.notice(format!("the API server warns of the {kind} {name}: {warning}"));
                    }
                    return Ok((created, false));
                }
                // By an earlier call, or by this one, when its first answer was lost.
                Err(failure) if failure.code() == Some(409) => look = true,
                Err(failure) => {
                    look = matches!(failure, Failure::Lost(_));
                    self.bear(operation, failure, &mut pause, first).await?;
                }
            }
        }
    }

    /// Bears a failure: returns when it is worth another try, within the patience for it. `first` says that nothing was
    /// created yet, so that the caller may give up.
    async fn bear(
        &mut self,
        operation: &str,
        failure: Failure,
        pause: &mut Duration,
        first: bool,
    ) -> Result<(), BackendError> {
        let client = self.backend.client();
        let cause = client::cause(&failure, &self.place.namespace);
        let (about, text, span) = match &cause {
            // Where the namespace isn't there and nobody makes it, it won't be there in a moment.
            Some(EngineCause::Missing { .. } | EngineCause::NamespaceEnding { .. }) if first => {
                return Err(client.backend(operation, &self.place.namespace, failure).await);
            }
            Some(cause) => {
                let span = patience::span(&self.patience, end::patience_for(cause));
                (about(cause), cause.sentence(), span)
            }
            None if failure.may_pass() => {
                let text = format!("the API server doesn't answer: {}", failure.words());
                ("api".to_owned(), text, Some(Duration::from_secs(self.patience.api)))
            }
            None => return Err(client.backend(operation, &self.place.namespace, failure).await),
        };
        let since = match &self.since {
            Some((same, since)) if *same == about => *since,
            _ => Instant::now(),
        };
        self.since = Some((about.clone(), since));
        if span.is_some_and(|span| since.elapsed() >= span) {
            return Err(client.backend(operation, &self.place.namespace, failure).await);
        }
        let limit = span.map_or_else(String::new, |span| format!("; it is waited for up to {} s", span.as_secs()));
        self.teller.tell(&about, &format!("{text}{limit}"));
        let given_up = async {
            if first {
                self.caller.given_up().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let left = span.map_or(*pause, |span| (span.saturating_sub(since.elapsed())).min(*pause));
        tokio::select! {
            () = given_up => return Err(BackendError::GivenUp { operation: operation.to_owned() }),
            () = tokio::time::sleep(left) => {}
        }
        *pause = (*pause * 2).min(PAUSE.1);
        Ok(())
    }
}

fn value(object: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(object).map_err(|error| error.to_string())
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether an object that is there was made from the same; what belongs to a Job, whether it belongs to the same, which was made
/// from the same then.
fn is_same(found: &Value, meant: &Value) -> bool {
    let spec = |object: &Value| {
        let annotations = object.pointer("/metadata/annotations");
        annotations.and_then(|annotations| annotations.get(object::ANNOTATION_SPEC)).cloned()
    };
    if owner(meant).is_empty() {
        spec(found).is_some() && spec(found) == spec(meant)
    } else {
        owner(found) == owner(meant)
    }
}

/// Whether an object that is there goes by itself: it is deleted, or belongs to what is.
fn is_going(found: &Value, meant: &Value) -> bool {
    !text(found, "/metadata/deletionTimestamp").is_empty() || (!owner(meant).is_empty() && owner(found) != owner(meant))
}

fn owner(object: &Value) -> String {
    text(object, "/metadata/ownerReferences/0/uid")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_the_same_by_what_it_was_made_from_or_whose_it_is() {
        let job = |spec: &str| json!({"metadata": {"annotations": {object::ANNOTATION_SPEC: spec}}});
        assert!(is_same(&job("a"), &job("a")) && !is_same(&job("a"), &job("b")));
        assert!(!is_same(&json!({}), &json!({})), "what says nothing of itself is not ours");
        let owned = |owner: &str| json!({"metadata": {"ownerReferences": [{"uid": owner}]}});
        assert!(is_same(&owned("1"), &owned("1")) && !is_going(&owned("1"), &owned("1")));
        assert!(!is_same(&owned("1"), &owned("2")) && is_going(&owned("1"), &owned("2")));
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(is_going(&going, &json!({})) && !is_going(&json!({}), &json!({})));
    }
}
