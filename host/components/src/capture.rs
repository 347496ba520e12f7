//! What a component writes to its standard output and error.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How much of the end is kept.
const KEPT: usize = 8 * 1024;
/// How much a component may write at once.
const PERMIT: usize = 64 * 1024;

/// Keeps the last few kilobytes of what was written; clones share them.
///
/// Writing never fails and never waits, however much it is: a component that couldn't print would panic over that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    /// The last of it, as text.
    pub(crate) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let start = bytes.len().saturating_sub(KEPT);
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }

    fn append(&self, new: &[u8]) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(&new[new.len().saturating_sub(KEPT)..]);
        // Moved rarely, so that many small writes stay cheap.
        if bytes.len() > 4 * KEPT {
            let surplus = bytes.len() - KEPT;
            bytes.drain(..surplus);
        }
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

impl AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_no_more() {
        let capture = Capture::default();
        for line in 0..100_000 {
            capture.append(format!("line {line}\n").as_bytes());
        }
        assert!(capture.text().ends_with("line 99999\n"));
        assert!(capture.text().len() <= KEPT);
        assert!(capture.bytes.lock().unwrap().capacity() < 20 * KEPT);
    }
}
