use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wharf_model::outcome::LogState;
use wharf_model::protocol::frame::{self, Frame};
use wharf_model::protocol::{MAX_LINE, RunnerResult, Stream};
use wharf_model::quantity::describe_bytes;

/// The log of one attempt: an append-only file of [frames](wharf_model::protocol::frame), as they crossed.
///
/// Frames are written before they are acknowledged, so a host that is killed loses none. They aren't synced to the disk
/// one by one: after a power failure the file may be shorter than what was acknowledged. The runner, which has
/// forgotten that part by then, says where it goes on, and the log is known to have a gap.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    kept: Kept,
    limit: u64,
}

/// The flag of the frame that the host itself writes where a log reached its limit. It takes the place of the first frame
/// that wasn't kept.
const LIMIT: u8 = 0x80;

/// A log that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the log {}", path.display())]
pub struct LogError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What a file is known to hold.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// The length of the whole frames.
    end: u64,
    /// The next sequence number.
    next: u64,
    frames: u64,
    bytes: u64,
    hash: Sha256,
    /// The first gap: its first sequence number, and the one after its last.
    gap: Option<(u64, u64)>,
    /// The log reached its limit: what comes is counted in `next` and `hash` and not kept.
    limited: bool,
    /// The file was read anew behind its limit, so not all of what wasn't kept is in `hash`.
    reopened: bool,
}

impl LogFile {
    /// Opens a log, or begins one; drops a last frame that was cut off by a crash.
    ///
    /// Blocks for as long as reading the file takes.
    ///
    /// # Errors
    /// The file can't be opened, read or cut.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        let fail = |operation| {
            let path = path.clone();
            move |source| LogError { operation, path, source }
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(fail("open"))?;
        let kept = Kept::scan(&file).map_err(fail("read"))?;
        file.set_len(kept.end).map_err(fail("cut"))?;
        file.seek(SeekFrom::Start(kept.end)).map_err(fail("seek in"))?;
        Ok(Self { path, file, kept, limit: u64::MAX })
    }

    /// Keeps at most so many bytes. Frames beyond are acknowledged and counted, and a last line says so.
    #[must_use]
    pub fn limited_to(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// The next sequence number: all before it are here, or are known to be missing.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.kept.next
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the log is whole, by what the runner said of it at its end.
    #[must_use]
    pub fn state(&self, result: &RunnerResult) -> LogState {
        self.kept.state(result)
    }

    /// Appends the frames that continue the log; those that are here already are left out, and so are those behind a gap.
    /// Returns the ones that are new, those beyond the limit among them.
    ///
    /// `base` is the oldest frame that the sender still has: whatever is missing before it won't come any more.
    pub(crate) fn append(&mut self, frames: Vec<Frame>, base: u64) -> Result<Vec<Frame>, LogError> {
        // A hostile runner may claim any base; what it can spoil is its own log.
        let mut kept = self.kept.clone();
        kept.skip_to(base);
        let mut buffer = Vec::new();
        let mut fresh = Vec::with_capacity(frames.len());
        for mut frame in frames {
            // The last number has none after it.
            if frame.seq != kept.next || frame.seq == u64::MAX {
                continue;
            }
            // The other flags are the host's own.
            frame.flags &= frame::CONTINUES;
            let size = (frame::HEADER + frame.bytes.len()) as u64;
            if !kept.limited && kept.end.saturating_add(size) > self.limit {
                let text = format!("the log's limit of {} is reached: what follows isn't kept", describe_bytes(self.limit));
                let last =
                    Frame { stream: Stream::Runner, flags: LIMIT, bytes: text.into_bytes(), ..frame.clone() };
                frame::encode(&last, &mut buffer);
                kept.end += (frame::HEADER + last.bytes.len()) as u64;
                kept.limited = true;
            }
            if kept.limited {
                kept.leave_out(&frame);
            } else {
                frame::encode(&frame, &mut buffer);
                kept.add(&frame);
            }
            fresh.push(frame);
        }
        self.file.write_all(&buffer).and_then(|()| self.file.flush()).map_err(|source| {
            // What was written of it is overwritten by the next attempt.
            let _ = self.file.seek(SeekFrom::Start(self.kept.end));
            LogError { operation: "append to", path: self.path.clone(), source }
        })?;
        self.kept = kept;
        Ok(fresh)
    }
}

/// Whether a log is whole, by what the runner said of it at its end: reads all of it.
///
/// # Errors
/// The file can't be read.
pub fn verify_log(path: &Path, result: &RunnerResult) -> Result<LogState, LogError> {
    let fail = |source| LogError { operation: "verify", path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    Ok(Kept::scan(&file).map_err(fail)?.state(result))
}

impl Kept {
    fn scan(file: &File) -> io::Result<Self> {
        let mut kept = Self::default();
        let mut reader = FrameReader::new(file)?;
        while let Some(frame) = reader.next_frame()? {
            if frame.seq < kept.next {
                // Frames are only ever appended upwards: this is the rest of something else.
                break;
            }
            kept.skip_to(frame.seq);
            if frame.flags & LIMIT != 0 {
                kept.end += (frame::HEADER + frame.bytes.len()) as u64;
                (kept.limited, kept.reopened) = (true, true);
                break;
            }
            kept.add(&frame);
        }
        Ok(kept)
    }

    fn skip_to(&mut self, base: u64) {
        if base > self.next && self.limited && self.reopened {
            // Acknowledged to the runner before, and not kept.
            self.next = base;
        }
        if base > self.next {
            self.gap =
                Some(self.gap.map_or((self.next, base), |(from, to)| (from, if to == self.next { base } else { to })));
            self.next = base;
        }
    }

    fn add(&mut self, frame: &Frame) {
        frame::hash_into(frame, &mut self.hash);
        self.end += (frame::HEADER + frame.bytes.len()) as u64;
        self.next = frame.seq.saturating_add(1);
        self.frames += 1;
        self.bytes += frame.bytes.len() as u64;
    }

    fn leave_out(&mut self, frame: &Frame) {
        frame::hash_into(frame, &mut self.hash);
        self.next = frame.seq.saturating_add(1);
    }

    fn state(&self, result: &RunnerResult) -> LogState {
        if let Some((from, to)) = self.gap {
            return LogState::Incomplete { from, to: Some(to) };
        }
        if self.next < result.log_frames {
            return LogState::Incomplete { from: self.next, to: Some(result.log_frames) };
        }
        let hash = hex::encode(self.hash.clone().finalize());
        if self.limited && self.next == result.log_frames && (self.reopened || hash == result.log_sha256) {
            let left_out = result.log_frames.saturating_sub(self.frames);
            return LogState::Limited { lines: self.frames, bytes: self.bytes, left_out };
        }
        if self.frames == result.log_frames && self.bytes == result.log_bytes && hash == result.log_sha256 {
            LogState::Complete { lines: self.frames, bytes: self.bytes }
        } else {
            // As many as were counted or more, and others than were sent: nobody knows which.
            LogState::Incomplete { from: 0, to: None }
        }
    }
}

/// One line of a log, or one piece of a line that is longer than [`MAX_LINE`].
pub type LogLine = Frame;

/// Reads a log from one of its lines on.
///
/// At the end of the file it returns `None`, and goes on when it is asked again after more was appended.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    from: u64,
    frames: FrameReader<File>,
}

impl LogReader {
    /// Opens a log for reading, from the line with the number `from` on; lines count from 0.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(path: impl Into<PathBuf>, from: u64) -> Result<Self, LogError> {
        let path = path.into();
        let frames = File::open(&path).and_then(FrameReader::new).map_err(|source| LogError {
            operation: "open",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, from, frames })
    }
}

impl Iterator for LogReader {
    type Item = Result<LogLine, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.frames.next_frame_from(self.from) {
                Ok(Some(frame)) if frame.seq < self.from => {}
                Ok(frame) => return frame.map(Ok),
                Err(source) => {
                    return Some(Err(LogError { operation: "read", path: self.path.clone(), source }));
                }
            }
        }
    }
}

#[derive(Debug)]
struct FrameReader<F> {
    reader: BufReader<F>,
    /// Where the next frame begins.
    at: u64,
}

impl<F: Read + Seek> FrameReader<F> {
    fn new(mut file: F) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { reader: BufReader::with_capacity(256 << 10, file), at: 0 })
    }

    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        self.next_frame_from(0)
    }

    /// The next frame; one before `from` comes without its bytes, which are skipped. `None` at the end of what is whole.
    fn next_frame_from(&mut self, from: u64) -> io::Result<Option<Frame>> {
        let mut bytes = vec![0; frame::HEADER];
        if !self.fill(&mut bytes)? {
            return Ok(None);
        }
        let len = u32::from_le_bytes([bytes[18], bytes[19], bytes[20], bytes[21]]) as usize;
        let seq = u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]);
        if len > MAX_LINE {
            return self.rewind();
        }
        if seq < from {
            self.reader.seek_relative(i64::try_from(len).unwrap_or(0))?;
            bytes[18..22].fill(0);
        } else {
            bytes.resize(frame::HEADER + len, 0);
            if !self.fill(&mut bytes[frame::HEADER..])? {
                return Ok(None);
            }
        }
        match frame::decode(&bytes) {
            Ok(Some((frame, _))) => {
                self.at += (frame::HEADER + len) as u64;
                Ok(Some(frame))
            }
            Ok(None) | Err(_) => self.rewind(),
        }
    }

    /// Reads all of `bytes`; when the file ends before, goes back to the frame's beginning and says so.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.reader.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.rewind()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn rewind(&mut self) -> io::Result<Option<Frame>> {
        self.reader.seek(SeekFrom::Start(self.at))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(range: std::ops::Range<u64>) -> Vec<Frame> {
        range
            .map(|seq| Frame {
                seq,
                at: 1,
                stream: Stream::Stdout,
                flags: 0,
                bytes: format!("line {seq}").into_bytes(),
            })
            .collect()
    }

    fn result(count: u64) -> RunnerResult {
        let mut hash = Sha256::new();
        let mut bytes = 0;
        for frame in frames(0..count) {
            frame::hash_into(&frame, &mut hash);
            bytes += frame.bytes.len() as u64;
        }
        RunnerResult {
            log_frames: count,
            log_bytes: bytes,
            log_sha256: hex::encode(hash.finalize()),
            ..RunnerResult::default()
        }
    }

    fn seqs(path: &Path, from: u64) -> Vec<u64> {
        LogReader::open(path, from).unwrap().map(|frame| frame.unwrap().seq).collect()
    }

    #[test]
    fn each_frame_is_kept_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        assert_eq!(log.append(frames(0..3), 0).unwrap().len(), 3);
        assert_eq!(log.append(frames(1..5), 0).unwrap(), frames(3..5));
        assert_eq!(log.append(frames(9..10), 0).unwrap(), []);
        assert_eq!(log.next(), 5);
        assert!(matches!(log.state(&result(5)), LogState::Complete { lines: 5, .. }));
        assert_eq!(log.state(&result(7)), LogState::Incomplete { from: 5, to: Some(7) });
        assert_eq!(log.state(&result(4)), LogState::Incomplete { from: 0, to: None });
        let lie = RunnerResult { log_sha256: "00".repeat(32), ..result(5) };
        assert_eq!(log.state(&lie), LogState::Incomplete { from: 0, to: None });
        assert_eq!(seqs(&path, 0), [0, 1, 2, 3, 4]);
        assert_eq!(seqs(&path, 3), [3, 4]);
        assert_eq!(verify_log(&path, &result(5)).unwrap(), log.state(&result(5)));
    }

    #[test]
    fn a_torn_frame_is_dropped_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        LogFile::open(&path).unwrap().append(frames(0..3), 0).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.len() / 3 * 2;
        for cut in second + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut log = LogFile::open(&path).unwrap();
            assert_eq!(log.next(), 2, "cut at {cut}");
            log.append(frames(2..4), 0).unwrap();
            assert!(matches!(LogFile::open(&path).unwrap().state(&result(4)), LogState::Complete { .. }));
        }
        // Zeros, as a power failure leaves them, are no frame.
        let mut zeros = whole.clone();
        zeros.resize(whole.len() + 100, 0);
        std::fs::write(&path, &zeros).unwrap();
        assert_eq!(LogFile::open(&path).unwrap().next(), 3);
    }

    #[test]
    fn what_the_runner_has_forgotten_is_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(frames(0..2), 0).unwrap();
        assert_eq!(log.append(frames(5..7), 5).unwrap().len(), 2);
        let gap = LogState::Incomplete { from: 2, to: Some(5) };
        assert_eq!(log.state(&result(7)), gap);
        assert_eq!(LogFile::open(&path).unwrap().state(&result(7)), gap);
        assert_eq!(seqs(&path, 2), [5, 6]);
    }

    #[test]
    fn beyond_its_limit_a_log_is_counted_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let one = (frame::HEADER + "line 0".len()) as u64;
        let open = || LogFile::open(&path).unwrap().limited_to(3 * one + 1);
        let mut log = open();
        assert_eq!(log.append(frames(0..2), 0).unwrap().len(), 2);
        assert_eq!(log.append(frames(2..6), 0).unwrap().len(), 4);
        assert_eq!(log.append(frames(6..8), 0).unwrap().len(), 2);
        assert_eq!(log.next(), 8);
        let limited = LogState::Limited { lines: 3, bytes: 18, left_out: 5 };
        assert_eq!(log.state(&result(8)), limited);
        assert_eq!(log.state(&result(9)), LogState::Incomplete { from: 8, to: Some(9) });
        let lie = RunnerResult { log_sha256: "00".repeat(32), ..result(8) };
        assert_eq!(log.state(&lie), LogState::Incomplete { from: 0, to: None });
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 3 * one + 200, "{size}");
        let last = LogReader::open(&path, 3).unwrap().next().unwrap().unwrap();
        assert!(String::from_utf8(last.bytes).unwrap().contains("isn't kept"));

        // A host that was started anew: the runner has forgotten what was acknowledged.
        let mut log = open();
        assert_eq!(log.append(frames(8..10), 8).unwrap().len(), 2);
        assert_eq!(log.state(&result(10)), LogState::Limited { lines: 3, bytes: 18, left_out: 7 });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    }

    #[test]
    fn numbers_that_lie_spoil_their_own_log_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(frames(0..2), 0).unwrap();
        let last = Frame { seq: u64::MAX, flags: 0xff, ..frames(0..1).remove(0) };
        assert_eq!(log.append(vec![last.clone(), last], u64::MAX).unwrap(), []);
        assert_eq!(log.next(), u64::MAX);
        assert_eq!(log.append(frames(2..4), 0).unwrap(), []);
        assert_eq!(log.state(&result(4)), LogState::Incomplete { from: 2, to: Some(u64::MAX) });
        // Nobody but the host marks where the limit was.
        let path = folder.path().join("marked");
        let mut log = LogFile::open(&path).unwrap();
        let marked = Frame { flags: LIMIT | frame::CONTINUES, ..frames(0..1).remove(0) };
        assert_eq!(log.append(vec![marked], 0).unwrap()[0].flags, frame::CONTINUES);
        assert_eq!(LogFile::open(&path).unwrap().next(), 1);
    }

    #[test]
    fn a_reader_goes_on_when_more_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        let mut reader = LogReader::open(&path, 0).unwrap();
        assert!(reader.next().is_none());
        log.append(frames(0..2), 0).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().seq, 0);
        assert_eq!(reader.next().unwrap().unwrap().bytes, b"line 1");
        assert!(reader.next().is_none());
        log.append(frames(2..3), 0).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().seq, 2);
    }
}
