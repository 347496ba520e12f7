use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wharf_model::outcome::LogState;
use wharf_model::protocol::frame::{self, CONTINUES, Frame, FrameRef, HEADER, Header};
use wharf_model::protocol::{MAX_LINE, RunnerResult, Stream};
use wharf_model::quantity::describe_bytes;

/// How much of a file is looked at once.
const PART: u64 = 1 << 20;

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

/// Frames as they crossed, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFrames(Bytes);

impl LogFrames {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = FrameRef<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let frame = frame::decode(rest).ok()??;
            rest = &rest[frame.size()..];
            Some(frame)
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
    /// How many frames are missing in gaps.
    missing: u64,
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
    pub(crate) fn append(&mut self, frames: &Bytes, base: u64) -> Result<LogFrames, LogError> {
        // A hostile runner may claim any base; what it can spoil is its own log.
        let mut kept = self.kept.clone();
        kept.skip_to(base);
        let mut start = 0;
        while let Ok(Some(frame)) = frame::decode(&frames[start..])
            && frame.seq < kept.next
        {
            start += frame.size();
        }
        let fresh = frames.slice(start..);
        let len = kept.take(&fresh, self.limit);
        let last = kept.limited_now(&fresh[len..], self.limit);
        let beyond = kept.leave_out(&fresh[len..]);
        let written = self.file.write_all(&fresh[..len]).and_then(|()| self.file.write_all(&last));
        written.and_then(|()| self.file.flush()).map_err(|source| {
            // What was written of it is overwritten by the next attempt.
            let _ = self.file.seek(SeekFrom::Start(self.kept.end));
            LogError { operation: "append to", path: self.path.clone(), source }
        })?;
        let fresh = fresh.slice(..len + beyond);
        self.kept = kept;
        Ok(LogFrames(fresh))
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
    fn scan(mut file: &File) -> io::Result<Self> {
        let mut kept = Self::default();
        let mut buffer = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        loop {
            let more = file.take(PART).read_to_end(&mut buffer)?;
            let taken = kept.take_back(&buffer);
            buffer.drain(..taken);
            // What isn't a frame now, and can't become one, is the rest of something else.
            if more == 0 || kept.limited || buffer.len() > HEADER + MAX_LINE {
                return Ok(kept);
            }
        }
    }

    /// Takes the frames of our own file, with the gaps between them. Returns how many bytes they are.
    fn take_back(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        // Frames are only ever appended upwards.
        while let Ok(Some(frame)) = frame::decode(&bytes[at..])
            && frame.seq >= self.next
        {
            self.skip_to(frame.seq);
            if frame.flags & LIMIT != 0 {
                self.hash.update(&bytes[..at]);
                at += frame.size();
                self.end += at as u64;
                (self.limited, self.reopened) = (true, true);
                return at;
            }
            at += frame.size();
            self.count(&frame);
        }
        self.hash.update(&bytes[..at]);
        self.end += at as u64;
        at
    }

    /// Takes a runner's frames that continue the log without a gap, as many as there is room for. Returns how many bytes
    /// they are.
    fn take(&mut self, bytes: &[u8], limit: u64) -> usize {
        let mut at = 0;
        while let Some(frame) = self.following(&bytes[at..])
            && !self.limited
            && self.end.saturating_add((at + frame.size()) as u64) <= limit
        {
            at += frame.size();
            self.count(&frame);
        }
        self.hash.update(&bytes[..at]);
        self.end += at as u64;
        at
    }

    /// The host's own last line, at the first frame that there is no room for.
    fn limited_now(&mut self, rest: &[u8], limit: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(frame) = self.following(rest).filter(|_| !self.limited) {
            let text = format!("the log's limit of {} is reached: what follows isn't kept", describe_bytes(limit));
            let last = FrameRef { stream: Stream::Runner, flags: LIMIT, bytes: text.as_bytes(), ..frame };
            frame::encode(last, &mut bytes);
            self.end += bytes.len() as u64;
            self.limited = true;
        }
        bytes
    }

    /// Counts the frames that follow and aren't kept. Returns how many bytes they are.
    fn leave_out(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while let Some(frame) = self.following(&rest[at..]) {
            at += frame.size();
            self.next += 1;
        }
        self.hash.update(&rest[..at]);
        at
    }

    /// The next frame, if it is the one that continues the log.
    fn following<'a>(&self, bytes: &'a [u8]) -> Option<FrameRef<'a>> {
        let frame = frame::decode(bytes).ok()??;
        // The last number has none after it, and the other flags are the host's own.
        (frame.seq == self.next && frame.seq < u64::MAX && frame.flags & !CONTINUES == 0).then_some(frame)
    }

    fn count(&mut self, frame: &FrameRef<'_>) {
        self.next = frame.seq.saturating_add(1);
        self.frames += 1;
        self.bytes += frame.bytes.len() as u64;
    }

    fn skip_to(&mut self, base: u64) {
        if self.limited && self.reopened {
            // Acknowledged to the runner before, and not kept.
            self.next = self.next.max(base);
        }
        self.miss_until(base);
    }

    fn miss_until(&mut self, base: u64) {
        if base > self.next {
            self.missing += base - self.next;
            match &mut self.gap {
                None => self.gap = Some((self.next, base)),
                Some((_, to)) if *to == self.next => *to = base,
                Some(_) => {}
            }
            self.next = base;
        }
    }

    fn state(&self, result: &RunnerResult) -> LogState {
        let mut all = self.clone();
        all.miss_until(result.log_frames);
        let counted = all.next == result.log_frames
            && (self.limited || all.frames.checked_add(all.missing) == Some(result.log_frames));
        // Of what the container dropped there is no hash, and of all the rest there is one.
        let rest_is_known = all.missing == result.log_dropped;
        let equal = || {
            let hash = || hex::encode(self.hash.clone().finalize()) == result.log_sha256;
            if self.limited { self.reopened || hash() } else { self.bytes == result.log_bytes && hash() }
        };
        match all.gap {
            None if counted && rest_is_known && equal() => {
                if self.limited {
                    let left_out = result.log_frames.saturating_sub(self.frames);
                    LogState::Limited { lines: self.frames, bytes: self.bytes, left_out }
                } else {
                    LogState::Complete { lines: self.frames, bytes: self.bytes }
                }
            }
            Some((from, to)) if counted && (!rest_is_known || equal()) => LogState::Incomplete {
                missing: Some(all.missing),
                dropped: result.log_dropped.min(all.missing),
                from,
                to: Some(to),
            },
            // As many as were counted or more, and others than were sent: nobody knows which.
            _ => LogState::Incomplete { missing: None, dropped: 0, from: 0, to: None },
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
        let read = self.frames.next_frame_from(self.from);
        read.map_err(|source| LogError { operation: "read", path: self.path.clone(), source }).transpose()
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

    /// The next frame that isn't before `from`: those are skipped. `None` at the end of what is whole.
    fn next_frame_from(&mut self, from: u64) -> io::Result<Option<Frame>> {
        loop {
            let mut header = [0; HEADER];
            if !self.fill(&mut header)? {
                return Ok(None);
            }
            let Ok(Header { seq, at, stream, flags, len }) = Header::read(&header) else { return self.rewind() };
            let size = (HEADER + len) as u64;
            if seq < from {
                self.reader.seek_relative(i64::try_from(len).unwrap_or(0))?;
                self.at += size;
                continue;
            }
            let mut bytes = vec![0; len];
            if !self.fill(&mut bytes)? {
                return Ok(None);
            }
            self.at += size;
            return Ok(Some(Frame { seq, at, stream, flags, bytes }));
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

    fn frames(range: std::ops::Range<u64>) -> Bytes {
        let mut bytes = Vec::new();
        for seq in range {
            let line = format!("line {seq}");
            let frame = FrameRef { seq, at: 1, stream: Stream::Stdout, flags: 0, bytes: line.as_bytes() };
            frame::encode(frame, &mut bytes);
        }
        bytes.into()
    }

    /// What a runner says that sent these frames of so many.
    fn result_of(count: u64, sent: impl IntoIterator<Item = std::ops::Range<u64>>) -> RunnerResult {
        let sent: Vec<Bytes> = sent.into_iter().map(frames).collect();
        let found: Vec<LogFrames> = sent.iter().cloned().map(LogFrames).collect();
        let lines: Vec<FrameRef<'_>> = found.iter().flat_map(LogFrames::iter).collect();
        RunnerResult {
            log_frames: count,
            log_dropped: count - lines.len() as u64,
            log_bytes: lines.iter().map(|line| line.bytes.len() as u64).sum(),
            log_sha256: hex::encode(Sha256::digest(sent.concat())),
            ..RunnerResult::default()
        }
    }

    fn result(count: u64) -> RunnerResult {
        result_of(count, std::iter::once(0..count))
    }

    fn gap(missing: u64, dropped: u64, from: u64, to: u64) -> LogState {
        LogState::Incomplete { missing: Some(missing), dropped, from, to: Some(to) }
    }

    const UNKNOWN: LogState = LogState::Incomplete { missing: None, dropped: 0, from: 0, to: None };

    fn seqs(path: &Path, from: u64) -> Vec<u64> {
        LogReader::open(path, from).unwrap().map(|frame| frame.unwrap().seq).collect()
    }

    #[test]
    fn each_frame_is_kept_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        assert_eq!(log.append(&frames(0..3), 0).unwrap().iter().count(), 3);
        assert_eq!(log.append(&frames(1..5), 0).unwrap(), LogFrames(frames(3..5)));
        assert!(log.append(&frames(9..10), 0).unwrap().is_empty());
        assert_eq!(log.next(), 5);
        assert!(matches!(log.state(&result(5)), LogState::Complete { lines: 5, .. }));
        assert_eq!(log.state(&result(7)), gap(2, 0, 5, 7));
        assert_eq!(log.state(&result(4)), UNKNOWN);
        let lie = RunnerResult { log_sha256: "00".repeat(32), ..result(5) };
        assert_eq!(log.state(&lie), UNKNOWN);
        assert_eq!(seqs(&path, 0), [0, 1, 2, 3, 4]);
        assert_eq!(seqs(&path, 3), [3, 4]);
        assert_eq!(verify_log(&path, &result(5)).unwrap(), log.state(&result(5)));
    }

    #[test]
    fn a_torn_frame_is_dropped_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        LogFile::open(&path).unwrap().append(&frames(0..3), 0).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.len() / 3 * 2;
        for cut in second + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut log = LogFile::open(&path).unwrap();
            assert_eq!(log.next(), 2, "cut at {cut}");
            log.append(&frames(2..4), 0).unwrap();
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
        log.append(&frames(0..2), 0).unwrap();
        assert_eq!(log.append(&frames(5..7), 5).unwrap().iter().count(), 2);
        assert_eq!(log.state(&result(7)), gap(3, 0, 2, 5));
        assert_eq!(LogFile::open(&path).unwrap().state(&result(7)), gap(3, 0, 2, 5));
        assert_eq!(seqs(&path, 2), [5, 6]);
    }

    #[test]
    fn every_gap_is_counted_and_the_rest_is_proven() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(&frames(0..2), 0).unwrap();
        log.append(&frames(5..7), 5).unwrap();
        log.append(&frames(7..9), 7).unwrap();
        log.append(&frames(20..21), 20).unwrap();
        let said = result_of(21, [0..2, 5..9, 20..21]);
        assert_eq!(said.log_dropped, 14);
        for log in [log, LogFile::open(&path).unwrap()] {
            assert_eq!(log.state(&said), gap(14, 14, 2, 5));
            // Other bytes than were sent.
            assert_eq!(log.state(&RunnerResult { log_sha256: "00".repeat(32), ..said.clone() }), UNKNOWN);
            // Fewer were dropped than are missing: the host lost some, and nobody can hash those.
            assert_eq!(log.state(&RunnerResult { log_dropped: 4, ..said.clone() }), gap(14, 4, 2, 5));
            // More came than were sent.
            assert_eq!(log.state(&RunnerResult { log_frames: 20, ..said.clone() }), UNKNOWN);
        }
    }

    #[test]
    fn beyond_its_limit_a_log_is_counted_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let one = (HEADER + "line 0".len()) as u64;
        let open = || LogFile::open(&path).unwrap().limited_to(3 * one + 1);
        let mut log = open();
        assert_eq!(log.append(&frames(0..2), 0).unwrap(), LogFrames(frames(0..2)));
        assert_eq!(log.append(&frames(2..6), 0).unwrap(), LogFrames(frames(2..6)));
        assert_eq!(log.append(&frames(5..8), 0).unwrap(), LogFrames(frames(6..8)));
        assert_eq!(log.next(), 8);
        let limited = LogState::Limited { lines: 3, bytes: 18, left_out: 5 };
        assert_eq!(log.state(&result(8)), limited);
        assert_eq!(log.state(&result(9)), gap(1, 0, 8, 9));
        let lie = RunnerResult { log_sha256: "00".repeat(32), ..result(8) };
        assert_eq!(log.state(&lie), UNKNOWN);
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 3 * one + 200, "{size}");
        let last = LogReader::open(&path, 3).unwrap().next().unwrap().unwrap();
        assert!(String::from_utf8(last.bytes).unwrap().contains("isn't kept"));

        // A host that was started anew: the runner has forgotten what was acknowledged.
        let mut log = open();
        assert_eq!(log.append(&frames(8..10), 8).unwrap(), LogFrames(frames(8..10)));
        assert_eq!(log.state(&result(10)), LogState::Limited { lines: 3, bytes: 18, left_out: 7 });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    }

    #[test]
    fn numbers_that_lie_spoil_their_own_log_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(&frames(0..2), 0).unwrap();
        log.append(&frames(u64::MAX - 1..u64::MAX), u64::MAX - 1).unwrap();
        let one = |seq, flags| {
            let mut bytes = Vec::new();
            let frame = FrameRef { seq, at: 1, stream: Stream::Stdout, flags, bytes: b"x" };
            frame::encode(frame, &mut bytes);
            Bytes::from(bytes)
        };
        assert!(log.append(&one(u64::MAX, 0), u64::MAX).unwrap().is_empty());
        assert!(log.append(&frames(2..4), u64::MAX).unwrap().is_empty());
        assert_eq!(log.next(), u64::MAX);
        assert_eq!(log.state(&result(3)), UNKNOWN);
        // Nobody but the host marks where the limit was.
        let path = folder.path().join("marked");
        let mut log = LogFile::open(&path).unwrap();
        assert!(log.append(&one(0, LIMIT), 0).unwrap().is_empty());
        assert_eq!(LogFile::open(&path).unwrap().next(), 0);
    }

    #[test]
    fn a_reader_goes_on_when_more_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        let mut reader = LogReader::open(&path, 0).unwrap();
        assert!(reader.next().is_none());
        log.append(&frames(0..2), 0).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().seq, 0);
        assert_eq!(reader.next().unwrap().unwrap().bytes, b"line 1");
        assert!(reader.next().is_none());
        log.append(&frames(2..3), 0).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().seq, 2);
    }
}
