//! The cluster's own log of a run.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::AsyncReadExt;

use crate::backend::KubernetesBackend;
use crate::client::{Failure, with_query};
use crate::id::Id;

/// How long the API server may take to send the end of a log.
const READ: Duration = Duration::from_secs(20);
/// The most lines of a log that are asked for.
const LINES: usize = 10_000;

impl KubernetesBackend {
    /// At most `limit` bytes from the end of a run's log; what was kept of it when its pod isn't there any more.
    pub(crate) async fn read_log(&self, id: &Id, limit: usize) -> Result<Vec<u8>, Failure> {
        let watch = self.watches().knowing(&id.namespace, &id.uid);
        let seen = watch.as_ref().and_then(|watch| watch.seen(&id.uid));
        let pod = match seen.as_ref().and_then(|seen| seen.pod.clone().filter(|_| !seen.pod_gone)) {
            Some(pod) => Some(pod),
            None => self.pods(id).await?.into_iter().next(),
        };
        let kept = || {
            let mut log = watch.as_ref().and_then(|watch| watch.log(&id.uid)).unwrap_or_default();
            log.drain(..log.len().saturating_sub(limit));
            log
        };
        let Some(pod) = pod else { return Ok(kept()) };
        let container =
            pod.container.map_or_else(|| crate::end::view::CONTAINER.to_owned(), |container| container.name);
        let lines = limit.clamp(1, LINES).to_string();
        // A limit of bytes would be counted from the beginning.
        let query = [("container", container.as_str()), ("tailLines", &lines)];
        let mut stream =
            match self.client().stream(&with_query(&format!("{}/{}/log", id.pods(), pod.name), &query)).await {
                Ok(stream) => stream,
                // A container that hasn't begun has none.
                Err(failure) if matches!(failure.code(), Some(400 | 404)) => return Ok(kept()),
                Err(failure) => return Err(failure),
            };
        let mut pieces: VecDeque<Vec<u8>> = VecDeque::new();
        let mut length = 0;
        let read = async {
            loop {
                let mut piece = vec![0; 64 << 10];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => {
                        piece.truncate(count);
                        length += count;
                        pieces.push_back(piece);
                    }
                }
                while pieces.front().is_some_and(|first| length - first.len() >= limit) {
                    length -= pieces.pop_front().map_or(0, |first| first.len());
                }
            }
        };
        // What has come by then is better than nothing.
        let _ = tokio::time::timeout(READ, read).await;
        let mut log: Vec<u8> = pieces.into_iter().flatten().collect();
        log.drain(..log.len().saturating_sub(limit));
        Ok(if log.is_empty() { kept() } else { log })
    }
}
