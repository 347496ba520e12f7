//! Ending a run, and clearing it away.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wharf_model::launch::BackendError;

use crate::backend::KubernetesBackend;
use crate::client::Failure;
use crate::end::finish::node_is_away;
use crate::end::view::PodView;
use crate::id::Id;

/// How long a node may take to end a pod, beyond the time that the pod has for itself.
const MARGIN: Duration = Duration::from_secs(15);
/// How long a pod may take to go when its node isn't asked any more.
const FORCED: Duration = Duration::from_secs(15);
/// The first and the longest pause between two looks at the pods that are to end.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a controller may take to make a pod of a Job that it hasn't yet seen to be deleted.
const LATE: Duration = Duration::from_millis(500);
/// How much of a log is kept before its pod is deleted, and how long that may take.
const LOG: (usize, Duration) = (16 << 10, Duration::from_secs(3));

impl KubernetesBackend {
    /// Deletes the Job, so that it makes no pod any more, and its pods with the time that they have to end. Returns when none
    /// of them runs; whose node doesn't answer is deleted all the same.
    pub(crate) async fn end(&self, id: &Id, grace: Duration) -> Result<(), BackendError> {
        self.keep(id).await;
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let failed = |failure| async {
            self.client().backend(&format!("stop the Job {}", id.name), &id.namespace, failure).await
        };
        if let Err(failure) = self.delete_job(id).await {
            return Err(failed(failure).await);
        }
        let begun = Instant::now();
        let mut asked = false;
        let mut ever = false;
        let mut forced = None;
        let mut pause = LOOK.0;
        loop {
            let pods = match self.pods(id).await {
                Ok(pods) => pods,
                Err(failure) => return Err(failed(failure).await),
            };
            ever |= !pods.is_empty();
            let running: Vec<PodView> = pods.into_iter().filter(|pod| !pod.has_ended()).collect();
            if running.is_empty() && (ever || begun.elapsed() >= LATE) {
                return Ok(());
            }
            let overdue = begun.elapsed() >= grace + MARGIN;
            if overdue && forced.is_none() {
                forced = Some(Instant::now());
                tracing::info!(job = id.name, "its pod doesn't end; deleting it without its node");
            }
            if forced.is_some_and(|since: Instant| since.elapsed() >= FORCED) {
                let reason = "its pod doesn't go, though it is deleted: see its finalizers, `kubectl get pod -o yaml`"
                    .to_owned();
                return Err(BackendError::Refused { operation: format!("stop the Job {}", id.name), reason });
            }
            for pod in &running {
                // Those that come late are asked, too.
                if pod.deleting.is_some() && asked && forced.is_none() {
                    continue;
                }
                let seconds = if forced.is_some() { 0 } else { seconds };
                if let Err(failure) = self.delete_pod(id, pod, seconds).await {
                    return Err(failed(failure).await);
                }
            }
            asked = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
        }
    }

    /// Deletes the Job, and with it all that belongs to it, in the background.
    pub(crate) async fn clear(&self, id: &Id) -> Result<(), BackendError> {
        let known = self.watches().knowing(&id.namespace, &id.uid);
        if let Err(failure) = self.delete_job(id).await {
            return Err(self.client().backend(&format!("remove the Job {}", id.name), &id.namespace, failure).await);
        }
        let Some(watch) = known else { return Ok(()) };
        // Nobody else ever deletes a pod whose node is gone.
        if let Some(pod) = watch.seen(&id.uid).and_then(|seen| seen.pod.clone().filter(|_| !seen.pod_gone))
            && !pod.has_ended()
            && (pod.deleting.is_some() || node_is_away(&pod))
            && let Err(failure) = self.delete_pod(id, &pod, 0).await
        {
            tracing::warn!(pod = pod.name, ?failure, "a pod of a lost node is left");
        }
        watch.forget(&id.uid);
        Ok(())
    }

    /// Keeps what is known of a run, and the end of its log, before all of that is deleted.
    async fn keep(&self, id: &Id) {
        let Some(watch) = self.watches().knowing(&id.namespace, &id.uid) else { return };
        let running =
            watch.seen(&id.uid).is_some_and(|seen| !seen.pod_gone && seen.pod.as_ref().is_some_and(PodView::has_begun));
        let log = if running {
            tokio::time::timeout(LOG.1, self.read_log(id, LOG.0)).await.ok().and_then(Result::ok)
        } else {
            None
        };
        watch.keep(&id.uid, log);
    }

    async fn delete_job(&self, id: &Id) -> Result<(), Failure> {
        let options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "preconditions": {"uid": id.uid},
        });
        gone_is_well(self.client().delete(&id.job(), &options).await)
    }

    async fn delete_pod(&self, id: &Id, pod: &PodView, seconds: u64) -> Result<(), Failure> {
        let options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": seconds, "preconditions": {"uid": pod.uid},
        });
        gone_is_well(self.client().delete(&format!("{}/{}", id.pods(), pod.name), &options).await)
    }

    pub(crate) async fn pods(&self, id: &Id) -> Result<Vec<PodView>, Failure> {
        let listed = self.client().list(&id.pods(), &[("labelSelector", &id.selector())]).await?;
        Ok(listed.items.iter().map(|pod: &Value| PodView::of(pod)).collect())
    }
}

/// What isn't there, or is another one of the same name, needs no deleting.
fn gone_is_well(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(()),
        outcome => outcome,
    }
}
