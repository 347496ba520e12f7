use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What the large messages of all uploads of a run may take at once.
const MESSAGES: usize = 64 << 20;
/// What their dictionaries may.
const DICTIONARIES: usize = 64 << 20;
/// Messages up to this size don't wait for others.
const SMALL: usize = 2 << 20;

/// The memory that the uploads of one run share: however many there are at once, the host needs no more.
#[derive(Debug, Default)]
pub(crate) struct UploadMemory {
    messages: Mutex<usize>,
    freed: Condvar,
    dictionaries: AtomicUsize,
}

/// A part of it, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<UploadMemory>,
    bytes: usize,
}

impl UploadMemory {
    /// Waits until there is memory for a message. Whoever has a share must not wait for another: give it back before.
    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Share {
        let bytes = if bytes <= SMALL { 0 } else { bytes.min(MESSAGES) };
        let mut used = self.used();
        while *used + bytes > MESSAGES {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Share { memory: Arc::clone(self), bytes }
    }

    /// Counts dictionaries; false when there is no more memory for them.
    pub(crate) fn take_dictionaries(&self, bytes: usize) -> bool {
        self.dictionaries.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= DICTIONARIES
    }

    pub(crate) fn give_back_dictionaries(&self, bytes: usize) {
        self.dictionaries.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn used(&self) -> MutexGuard<'_, usize> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.memory.used() -= self.bytes;
        self.memory.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_wait_for_each_other_and_small_ones_for_nobody() {
        let memory = Arc::new(UploadMemory::default());
        let first = memory.share(MESSAGES * 2);
        let _small = memory.share(SMALL);
        let waiting = std::thread::spawn({
            let memory = Arc::clone(&memory);
            move || drop(memory.share(SMALL + 1))
        });
        assert_eq!(*memory.used(), MESSAGES);
        drop(first);
        waiting.join().unwrap();
        assert_eq!(*memory.used(), 0);
    }
}
