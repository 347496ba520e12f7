use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wharf_model::quantity::describe_bytes;

/// What a disk has left for everybody else: no run is given the last of it.
const RESERVE: u64 = 1 << 30;
/// After so many bytes of a file the disk is looked at again.
const LOOK: u64 = 16 << 20;

/// How much a run has staged, and how much it may.
#[derive(Debug)]
pub(crate) struct Room {
    limit: Option<u64>,
    reserve: u64,
    used: AtomicU64,
}

impl Room {
    pub(crate) fn new(limit: Option<u64>, used: u64) -> Self {
        Self { limit, reserve: RESERVE, used: AtomicU64::new(used) }
    }

    /// Takes so many bytes; the error is a sentence.
    pub(crate) fn take(&self, bytes: u64) -> io::Result<()> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match self.limit.filter(|limit| used > *limit) {
            None => Ok(()),
            Some(limit) => {
                self.give_back(bytes);
                let limit = describe_bytes(limit);
                let text = format!(
                    "the outputs of this run are over {limit}, the most that its configuration allows (`[exchange] output_limit`)"
                );
                Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
            }
        }
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // It always gives a value.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Removes a staged file, and gives back what it took. What can't be removed now is in the journal, and goes at the end.
    pub(crate) fn discard(&self, path: &Path) {
        let size = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        if fs::remove_file(path).is_ok() {
            self.give_back(size);
        }
    }

    /// Looks whether the disk of a file has more left than nobody may have.
    fn look(&self, file: &File) -> io::Result<()> {
        // A file system that doesn't tell is taken as it is: writing fails soon enough.
        let Ok(disk) = rustix::fs::fstatvfs(file) else { return Ok(()) };
        if disk.f_bavail.saturating_mul(disk.f_frsize) >= self.reserve {
            return Ok(());
        }
        let text = format!("the host's disk for this output has less than {} left", describe_bytes(self.reserve));
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }
}

/// A staged file that is being written.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: File,
    room: Arc<Room>,
    /// What may be written before the disk is looked at again.
    unseen: u64,
}

impl StagedFile {
    /// Creates a file that isn't there yet.
    pub(crate) fn create(path: &Path, room: &Arc<Room>) -> io::Result<Self> {
        Ok(Self { file: File::create_new(path)?, room: Arc::clone(room), unseen: 0 })
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len() as u64;
        if self.unseen < count {
            self.room.look(&self.file)?;
            self.unseen = LOOK.max(count);
        }
        self.room.take(count)?;
        let written = self.file.write(bytes).inspect_err(|_| self.room.give_back(count))?;
        self.room.give_back(count - written as u64);
        self.unseen -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::new(Some(10), 0));
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, count: usize| StagedFile::create(&path(name), &room)?.write_all(&vec![1; count]);
        write("a", 6).unwrap();
        let full = write("b", 5).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::QuotaExceeded);
        assert!(full.to_string().contains("over 10 B") && full.to_string().contains("output_limit"), "{full}");
        room.discard(&path("b"));
        write("c", 4).unwrap();
        room.discard(&path("a"));
        room.discard(&path("a"));
        write("d", 6).unwrap();
        assert!(write("e", 1).is_err());
    }

    #[test]
    fn the_last_of_a_disk_is_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let room = Arc::new(Room { limit: None, reserve: u64::MAX, used: AtomicU64::new(0) });
        let full = StagedFile::create(&folder.path().join("a"), &room).unwrap().write_all(b"x").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let room = Arc::new(Room::new(None, 0));
        StagedFile::create(&folder.path().join("b"), &room).unwrap().write_all(&vec![0; 40 << 20]).unwrap();
    }
}
