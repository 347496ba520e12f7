//! The runs of a home at a cluster.

use std::collections::BTreeMap;

use serde_json::Value;
use wharf_model::launch::{BackendError, Found, LaunchSpec};
use wharf_model::{LABEL_ATTEMPT, LABEL_HOST, LABEL_RUN};

use crate::backend::KubernetesBackend;
use crate::client::Failure;
use crate::end::view::JobView;
use crate::id::Id;
use crate::names;
use crate::watch::Kind;

impl KubernetesBackend {
    /// The Jobs of a home in all namespaces; where this home may not look at all of them, in those that it knows of.
    pub(crate) async fn find_jobs(&self, host: &str) -> Result<Vec<Found>, BackendError> {
        let selector = format!("{LABEL_HOST}={}", names::label_value(host));
        let query = [("labelSelector", selector.as_str())];
        match self.client().list("/apis/batch/v1/jobs", &query).await {
            Ok(listed) => return Ok(listed.items.iter().filter_map(found).collect()),
            Err(failure) if failure.code() == Some(403) && !self.namespaces().is_empty() => {}
            Err(failure) => return Err(self.client().backend("list its Jobs", "", failure).await),
        }
        let mut jobs = Vec::new();
        let mut failures: BTreeMap<String, Failure> = BTreeMap::new();
        let namespaces = self.namespaces();
        let many = namespaces.len();
        for namespace in namespaces {
            match self.client().list(&Kind::Jobs.path(&namespace), &query).await {
                Ok(listed) => jobs.extend(listed.items.iter().filter_map(found)),
                Err(failure) => {
                    tracing::warn!(namespace, words = failure.words(), "the Jobs of a namespace can't be listed");
                    failures.insert(namespace, failure);
                }
            }
        }
        match failures.into_iter().next() {
            // Of one namespace it says nothing; with all of them it says that nothing can be said.
            Some((namespace, failure)) if many == 1 || jobs.is_empty() => {
                Err(self.client().backend("list its Jobs", &namespace, failure).await)
            }
            _ => Ok(jobs),
        }
    }

    /// The Job of one attempt.
    pub(crate) async fn find_job(&self, spec: &LaunchSpec, namespace: &str) -> Result<Option<Found>, BackendError> {
        let name = names::job_name(&spec.run, spec.attempt);
        match self.client().get(&format!("{}/{name}", Kind::Jobs.path(namespace))).await {
            Ok(job) => {
                let of_host = job.pointer("/metadata/labels").and_then(|labels| labels.get(LABEL_HOST)?.as_str());
                // A Job of another home that happens to have the name is none of ours.
                if of_host != Some(&names::label_value(&spec.host)) {
                    return Ok(None);
                }
                Ok(found(&job).map(|found| Found { run: spec.run.clone(), attempt: spec.attempt, ..found }))
            }
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(self.client().backend(&format!("look for the Job {name}"), namespace, failure).await),
        }
    }
}

/// A Job of ours; none for one with our home's label and no run.
fn found(job: &Value) -> Option<Found> {
    let labels = job.pointer("/metadata/labels")?;
    let label = |name: &str| labels.get(name).and_then(Value::as_str);
    let view = JobView::of(job);
    let ended = view.deleting || view.holds("Complete").is_some() || view.holds("Failed").is_some();
    Some(Found {
        id: Id::of(job)?.to_string(),
        run: label(LABEL_RUN)?.to_owned(),
        attempt: label(LABEL_ATTEMPT)?.parse().ok()?,
        running: !ended,
        paused: false,
    })
}
