//! A stream to the runner in a pod, by the API server's port-forward.
//!
//! Not by "exec": a command that is started in a container has the container's environment, the ticket in it, and whoever runs
//! under the same user could read it there before the command has hidden it. A port-forward starts nothing: the node connects
//! to a port of the pod's own loopback, on which the runner listens.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Instant;
use wharf_model::launch::{BackendError, Duplex};
use wharf_model::protocol::ATTACH_PORT;

use crate::backend::KubernetesBackend;
use crate::client::{self, ANSWER, Failure};
use crate::end::view::PodView;
use crate::id::Id;

/// How long the container may take to begin.
const BEGINNING: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(500);

impl KubernetesBackend {
    pub(crate) async fn forward(&self, id: &Id) -> Result<Box<dyn Duplex>, BackendError> {
        let operation = format!("reach into the pod of the Job {}", id.name);
        let pod = self.running_pod(id, &operation).await?;
        let failed = |failure| self.client().backend(&operation, &id.namespace, failure);
        let kube = match self.client().kube().await {
            Ok(kube) => kube,
            Err(failure) => return Err(failed(failure).await),
        };
        let pods: Api<Pod> = Api::namespaced(kube, &id.namespace);
        let forwarder = match tokio::time::timeout(ANSWER, pods.portforward(&pod, &[ATTACH_PORT])).await {
            Ok(Ok(forwarder)) => forwarder,
            Ok(Err(error)) => return Err(failed(client::failure(&error)).await),
            Err(_) => return Err(failed(Failure::Lost("no answer in time".to_owned())).await),
        };
        let mut forwarder = forwarder;
        let (stream, error) = (forwarder.take_stream(ATTACH_PORT), forwarder.take_error(ATTACH_PORT));
        match (stream, error) {
            (Some(stream), Some(error)) => Ok(Box::new(Forwarded { stream, error: Some(Box::pin(error)), forwarder })),
            _ => Err(BackendError::Refused { operation, reason: "the API server gave no stream".to_owned() }),
        }
    }

    async fn running_pod(&self, id: &Id, operation: &str) -> Result<String, BackendError> {
        let begun = Instant::now();
        loop {
            let pods = match self.pods(id).await {
                Ok(pods) => pods,
                Err(failure) => return Err(self.client().backend(operation, &id.namespace, failure).await),
            };
            if let Some(pod) = pods.iter().find(|pod| pod.is_running()) {
                return Ok(pod.name.clone());
            }
            if begun.elapsed() >= BEGINNING || pods.iter().any(PodView::has_ended) {
                let reason = "its container doesn't run".to_owned();
                return Err(BackendError::Refused { operation: operation.to_owned(), reason });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A forwarded port. Its end may have words, which the API server sends beside the stream.
struct Forwarded {
    stream: DuplexStream,
    error: Option<Pin<Box<dyn Future<Output = Option<String>> + Send>>>,
    forwarder: Portforwarder,
}

impl Forwarded {
    /// Why the stream is at its end, if the API server said so.
    fn words(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let mut error = self.error.take()?;
        match error.as_mut().poll(cx) {
            Poll::Ready(Some(words)) => Some(io::Error::other(format!("the engine says: {}", words.trim()))),
            Poll::Ready(None) => None,
            Poll::Pending => {
                self.error = Some(error);
                None
            }
        }
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() == before => Poll::Ready(self.words(cx).map_or(Ok(()), Err)),
            read => read,
        }
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, buf) {
            Poll::Ready(Err(broken)) => Poll::Ready(Err(self.words(cx).unwrap_or(broken))),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}
