use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use wharf_model::protocol::Stream;
use wharf_model::protocol::frame::{self, Frame};

/// Frames that aren't acknowledged take so many bytes at the most; then the recipe's output has to wait.
const CAPACITY: usize = 16 << 20;
/// What is sent at once.
const BATCH: usize = 1 << 20;
/// How long the first line of a batch waits for others.
const PATIENCE: Duration = Duration::from_millis(20);

/// The log frames that the host hasn't acknowledged, numbered over all streams.
pub(crate) struct Spool {
    state: RefCell<State>,
    /// There is room again.
    room: Notify,
    /// There is something to send, or nothing will come any more.
    filled: Notify,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Bytes in all batches.
    held: usize,
    next: u64,
    bytes: u64,
    hash: Sha256,
    closed: bool,
}

struct Batch {
    first: u64,
    next: u64,
    frames: Frames,
}

enum Frames {
    Growing(Vec<u8>),
    Sealed(Bytes),
}

/// Frames to send.
pub(crate) struct Shipment {
    pub(crate) first: u64,
    pub(crate) frames: Bytes,
}

/// What the runner says of the log at its end.
pub(crate) struct Totals {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self { state: RefCell::default(), room: Notify::new(), filled: Notify::new() }
    }

    /// Adds a line, when there is room.
    pub(crate) async fn push(&self, stream: Stream, flags: u8, line: Vec<u8>) {
        loop {
            let room = self.room.notified();
            if self.state.borrow().held < CAPACITY {
                break;
            }
            room.await;
        }
        self.push_now(stream, flags, line);
    }

    /// Adds a line in any case: the runner's own, which are few.
    pub(crate) fn push_now(&self, stream: Stream, flags: u8, line: Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let frame = Frame { seq: state.next, at, stream, flags, bytes: line };
        frame::hash_into(&frame, &mut state.hash);
        state.bytes += frame.bytes.len() as u64;
        state.next += 1;
        state.held += frame::HEADER + frame.bytes.len();
        match state.batches.back_mut() {
            Some(Batch { next, frames: Frames::Growing(bytes), .. }) if bytes.len() < BATCH => {
                frame::encode(&frame, bytes);
                *next = state.next;
            }
            _ => {
                let mut bytes = Vec::new();
                frame::encode(&frame, &mut bytes);
                let (first, next) = (frame.seq, state.next);
                state.batches.push_back(Batch { first, next, frames: Frames::Growing(bytes) });
            }
        }
        self.filled.notify_one();
    }

    /// Nothing will be added any more.
    pub(crate) fn close(&self) {
        self.state.borrow_mut().closed = true;
        self.filled.notify_one();
    }

    /// The oldest frames that aren't acknowledged, once there are some; `None` once all are, and no more will come.
    pub(crate) async fn shipment(&self) -> Option<Shipment> {
        loop {
            {
                let state = self.state.borrow();
                if !state.batches.is_empty() {
                    break;
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.is_urgent() {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                () = self.filled.notified() => {}
            }
        }
        let mut state = self.state.borrow_mut();
        let batch = state.batches.front_mut()?;
        let frames = match &mut batch.frames {
            Frames::Growing(bytes) => Bytes::from(std::mem::take(bytes)),
            Frames::Sealed(bytes) => bytes.clone(),
        };
        batch.frames = Frames::Sealed(frames.clone());
        Some(Shipment { first: batch.first, frames })
    }

    fn is_urgent(&self) -> bool {
        let state = self.state.borrow();
        state.closed
            || state.batches.len() > 1
            || state.batches.front().is_some_and(|batch| match &batch.frames {
                Frames::Growing(bytes) => bytes.len() >= BATCH,
                Frames::Sealed(_) => true,
            })
    }

    /// The host has all frames before `next`.
    pub(crate) fn acknowledge(&self, next: u64) {
        let mut state = self.state.borrow_mut();
        while let Some(batch) = state.batches.front().filter(|batch| batch.next <= next) {
            let len = match &batch.frames {
                Frames::Growing(bytes) => bytes.len(),
                Frames::Sealed(bytes) => bytes.len(),
            };
            state.held -= len;
            state.batches.pop_front();
        }
        self.room.notify_waiters();
    }

    pub(crate) fn totals(&self) -> Totals {
        let state = self.state.borrow();
        Totals { frames: state.next, bytes: state.bytes, sha256: hex::encode(state.hash.clone().finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_acknowledged_is_sent_again() {
        let spool = Spool::new();
        for _ in 0..3 {
            spool.push(Stream::Stdout, 0, b"x".to_vec()).await;
        }
        let one = spool.shipment().await.unwrap();
        spool.push(Stream::Stdout, 0, b"y".to_vec()).await;
        let again = spool.shipment().await.unwrap();
        assert_eq!((again.first, &again.frames), (0, &one.frames));
        spool.acknowledge(2);
        assert_eq!(spool.shipment().await.unwrap().first, 0);
        spool.acknowledge(3);
        assert_eq!(spool.shipment().await.unwrap().first, 3);
        spool.acknowledge(4);
        spool.close();
        assert!(spool.shipment().await.is_none());
        assert_eq!(spool.totals().frames, 4);
        assert_eq!(spool.state.borrow().held, 0);
    }

    #[tokio::test]
    async fn a_full_spool_makes_the_output_wait() {
        let spool = Spool::new();
        for _ in 0..16 {
            spool.push(Stream::Stdout, 0, vec![0; 1 << 20]).await;
        }
        let waiting = tokio::time::timeout(Duration::from_millis(50), spool.push(Stream::Stdout, 0, vec![1]));
        assert!(waiting.await.is_err());
        let (pushed, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(5), spool.push(Stream::Stdout, 0, vec![1])), async {
                spool.acknowledge(16);
            });
        pushed.unwrap();
    }
}
