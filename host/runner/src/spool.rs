use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use wharf_model::configuration::{LogSettings, WhenFull};
use wharf_model::protocol::Stream;
use wharf_model::protocol::frame::{self, FrameRef};

use crate::mask::Mask;

/// The most that is sent at once. A host far away wants much at once; one that is near gets less, since it is faster.
const LARGEST_BATCH: usize = 4 << 20;
/// So much is sent without waiting for more.
const URGENT: usize = 256 << 10;
/// How long the first line of a batch waits for others.
const PATIENCE: Duration = Duration::from_millis(20);

/// The log frames that the host hasn't acknowledged, numbered over all streams.
pub(crate) struct Spool {
    /// How many bytes are held at the most, but for one frame.
    capacity: usize,
    batch: usize,
    when_full: WhenFull,
    state: RefCell<State>,
    mask: Mask,
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
    dropped: u64,
    /// Bytes of the lines that weren't dropped.
    bytes: u64,
    /// Of all that was ever sent.
    hash: Sha256,
    closed: bool,
}

struct Batch {
    first: u64,
    next: u64,
    frames: Frames,
}

enum Frames {
    /// Nothing of it was sent yet. What was dropped is still in front of it.
    Growing { bytes: Vec<u8>, dropped: usize },
    /// The host may have it already, so that it can't be dropped any more.
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
    pub(crate) dropped: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Spool {
    pub(crate) fn new(settings: &LogSettings, mask: Mask) -> Self {
        let capacity = usize::try_from(settings.spool).unwrap_or(usize::MAX);
        Self {
            capacity,
            batch: (capacity / 4).min(LARGEST_BATCH),
            when_full: settings.when_full,
            mask,
            state: RefCell::default(),
            room: Notify::new(),
            filled: Notify::new(),
        }
    }

    /// Adds a line that was read at that time, in milliseconds since 1970. Waits for room, or makes some.
    pub(crate) async fn push(&self, stream: Stream, flags: u8, at: u64, line: &[u8]) {
        while !self.has_room() {
            let room = self.room.notified();
            if self.has_room() {
                break;
            }
            room.await;
        }
        self.push_now(stream, flags, at, line);
    }

    fn has_room(&self) -> bool {
        let mut state = self.state.borrow_mut();
        while state.held >= self.capacity {
            if self.when_full == WhenFull::Wait {
                return false;
            }
            if !state.drop_oldest() {
                break;
            }
        }
        true
    }

    /// Adds a line in any case: the runner's own, which are few.
    pub(crate) fn push_now(&self, stream: Stream, flags: u8, at: u64, line: &[u8]) {
        // Before it is counted and hashed: what is logged is what is proven.
        let line = &*self.mask.hide(line);
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let frame = FrameRef { seq: state.next, at, stream, flags, bytes: line };
        state.next += 1;
        state.bytes += line.len() as u64;
        state.held += frame.size();
        match state.batches.back_mut() {
            Some(Batch { next, frames: Frames::Growing { bytes, .. }, .. }) if bytes.len() < self.batch => {
                frame::encode(frame, bytes);
                *next = state.next;
            }
            _ => {
                let mut bytes = Vec::new();
                frame::encode(frame, &mut bytes);
                let frames = Frames::Growing { bytes, dropped: 0 };
                state.batches.push_back(Batch { first: frame.seq, next: state.next, frames });
            }
        }
        self.filled.notify_one();
    }

    /// A sentence as the log would have it.
    pub(crate) fn masked(&self, sentence: &str) -> String {
        String::from_utf8_lossy(&self.mask.hide(sentence.as_bytes())).into_owned()
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
        let State { batches, hash, .. } = &mut *state;
        let batch = batches.front_mut()?;
        let frames = match &mut batch.frames {
            Frames::Growing { bytes, dropped } => {
                let frames = Bytes::from(std::mem::take(bytes)).split_off(*dropped);
                hash.update(&frames);
                frames
            }
            Frames::Sealed(frames) => frames.clone(),
        };
        batch.frames = Frames::Sealed(frames.clone());
        Some(Shipment { first: batch.first, frames })
    }

    fn is_urgent(&self) -> bool {
        let state = self.state.borrow();
        state.closed
            || state.batches.len() > 1
            || state.batches.front().is_some_and(|batch| match &batch.frames {
                Frames::Growing { bytes, .. } => bytes.len() >= URGENT.min(self.batch),
                Frames::Sealed(_) => true,
            })
    }

    /// The host has all frames before `next`.
    pub(crate) fn acknowledge(&self, next: u64) {
        let mut state = self.state.borrow_mut();
        while let Some(Batch { next: end, frames: Frames::Sealed(frames), .. }) = state.batches.front()
            && *end <= next
        {
            let len = frames.len();
            state.held -= len;
            state.batches.pop_front();
        }
        self.room.notify_waiters();
    }

    /// What there was in all, once everything was sent.
    pub(crate) fn totals(&self) -> Totals {
        let state = self.state.borrow();
        Totals {
            frames: state.next,
            dropped: state.dropped,
            bytes: state.bytes,
            sha256: hex::encode(state.hash.clone().finalize()),
        }
    }
}

impl State {
    /// Drops the oldest frame that wasn't sent; false when there is none.
    fn drop_oldest(&mut self) -> bool {
        let unsent = self.batches.iter().position(|batch| matches!(batch.frames, Frames::Growing { .. }));
        let Some((at, batch)) = unsent.and_then(|at| Some((at, self.batches.get_mut(at)?))) else { return false };
        let Frames::Growing { bytes, dropped } = &mut batch.frames else { return false };
        let Ok(Some(frame)) = frame::decode(&bytes[*dropped..]) else { return false };
        self.held -= frame.size();
        self.bytes -= frame.bytes.len() as u64;
        self.dropped += 1;
        *dropped += frame.size();
        batch.first += 1;
        if batch.first == batch.next {
            self.batches.remove(at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(when_full: WhenFull) -> Spool {
        Spool::new(&LogSettings { spool: 1 << 20, when_full, ..LogSettings::default() }, Mask::default())
    }

    async fn push(spool: &Spool, line: &[u8]) {
        spool.push(Stream::Stdout, 0, 1, line).await;
    }

    #[tokio::test]
    async fn what_is_not_acknowledged_is_sent_again() {
        let spool = spool(WhenFull::Wait);
        for _ in 0..3 {
            push(&spool, b"x").await;
        }
        let one = spool.shipment().await.unwrap();
        push(&spool, b"y").await;
        let again = spool.shipment().await.unwrap();
        assert_eq!((again.first, &again.frames), (0, &one.frames));
        spool.acknowledge(2);
        assert_eq!(spool.shipment().await.unwrap().first, 0);
        spool.acknowledge(3);
        let two = spool.shipment().await.unwrap();
        assert_eq!(two.first, 3);
        spool.acknowledge(4);
        spool.close();
        assert!(spool.shipment().await.is_none());
        let totals = spool.totals();
        assert_eq!((totals.frames, totals.dropped, totals.bytes), (4, 0, 4));
        assert_eq!(totals.sha256, hex::encode(Sha256::digest([one.frames, two.frames].concat())));
        assert_eq!(spool.state.borrow().held, 0);
    }

    #[tokio::test]
    async fn a_full_spool_makes_the_output_wait() {
        let spool = spool(WhenFull::Wait);
        for _ in 0..16 {
            push(&spool, &[0; 64 << 10]).await;
        }
        let waiting = tokio::time::timeout(Duration::from_millis(50), push(&spool, &[1]));
        assert!(waiting.await.is_err());
        let first = spool.shipment().await.unwrap();
        let frames = first.frames.len() / (frame::HEADER + (64 << 10));
        let (pushed, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), push(&spool, &[1])), async {
            spool.acknowledge(frames as u64);
        });
        pushed.unwrap();
    }

    #[tokio::test]
    async fn a_full_spool_drops_the_oldest_that_was_not_sent() {
        const LINE: usize = 1000;
        let spool = spool(WhenFull::Drop);
        push(&spool, &[0; LINE]).await;
        let sent = spool.shipment().await.unwrap();
        for _ in 0..5000 {
            push(&spool, &[1; LINE]).await;
        }
        assert!(spool.state.borrow().held <= (1 << 20) + frame::HEADER + LINE);
        // What may have reached the host is still there.
        assert_eq!(spool.shipment().await.unwrap().frames, sent.frames);
        spool.acknowledge(1);
        spool.close();
        let (mut all, mut next, mut frames) = (sent.frames.to_vec(), None, 1);
        while let Some(shipment) = spool.shipment().await {
            let mut at = 0;
            while let Some(frame) = frame::decode(&shipment.frames[at..]).unwrap() {
                assert_eq!(frame.seq, *next.get_or_insert(shipment.first));
                next = Some(frame.seq + 1);
                at += frame.size();
                frames += 1;
            }
            all.extend_from_slice(&shipment.frames);
            spool.acknowledge(next.unwrap());
        }
        let totals = spool.totals();
        assert_eq!((next, totals.frames), (Some(5001), 5001));
        assert_eq!((totals.dropped, totals.bytes), (5001 - frames, frames * LINE as u64));
        assert!(totals.dropped > 3900, "{}", totals.dropped);
        assert_eq!(totals.sha256, hex::encode(Sha256::digest(&all)));
    }

    #[tokio::test]
    async fn a_line_larger_than_the_spool_takes_the_place_of_all_others() {
        let spool = spool(WhenFull::Drop);
        for size in [10, 4 << 20, 20] {
            push(&spool, &vec![0; size]).await;
        }
        spool.close();
        let shipment = spool.shipment().await.unwrap();
        assert_eq!((shipment.first, shipment.frames.len()), (2, frame::HEADER + 20));
        assert_eq!(spool.totals().dropped, 2);
    }
}
