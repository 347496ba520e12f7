use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use wharf_model::protocol::frame::CONTINUES;
use wharf_model::protocol::{MAX_LINE, Stream};

use crate::spool::Spool;

/// How long output is waited for after the recipe's end, when processes that it left behind hold the pipe.
const AFTER_END: Duration = Duration::from_secs(5);
/// How much of it is taken: more than a pipe can hold at the end.
const BYTES_AFTER_END: usize = 4 << 20;

/// Splits bytes into lines, and lines into pieces of at most [`MAX_LINE`].
#[derive(Default)]
struct Splitter {
    partial: Vec<u8>,
    /// So much of it was given out.
    taken: usize,
}

impl Splitter {
    /// The next piece that is whole, and whether its line goes on; takes what it needs off `bytes`.
    ///
    /// `None` means that all of them were taken, and what is left of them waits for more.
    fn next<'a, 'b: 'a>(&'a mut self, bytes: &mut &'b [u8]) -> Option<(&'a [u8], bool)> {
        self.partial.drain(..std::mem::take(&mut self.taken));
        let end = memchr::memchr(b'\n', bytes);
        let room = MAX_LINE - self.partial.len();
        if end.unwrap_or(bytes.len()) > room {
            let (part, rest) = bytes.split_at(room);
            *bytes = rest;
            self.partial.extend_from_slice(part);
            self.taken = whole_characters(&self.partial);
            return Some((&self.partial[..self.taken], true));
        }
        let Some(end) = end else {
            self.partial.extend_from_slice(bytes);
            *bytes = &[];
            return None;
        };
        let (part, rest) = (&bytes[..end], &bytes[end + 1..]);
        *bytes = rest;
        if self.partial.is_empty() {
            return Some((part, false));
        }
        self.partial.extend_from_slice(part);
        self.taken = self.partial.len();
        Some((&self.partial, false))
    }

    /// What no newline came for.
    fn rest(&self) -> &[u8] {
        &self.partial[self.taken..]
    }
}

/// How many bytes there are without a last character that is cut off.
fn whole_characters(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let len = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if len > back + 1 { bytes.len() - back - 1 } else { bytes.len() };
    }
    bytes.len()
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads one of the recipe's pipes into the spool, to its end.
///
/// `ended` turns true when the recipe's own process has ended. Then all that is in the pipe is still taken, but
/// processes that it left behind aren't followed for ever.
pub(crate) async fn follow(pipe: OwnedFd, stream: Stream, spool: Rc<Spool>, mut ended: watch::Receiver<bool>) {
    let mut pipe = match Receiver::from_owned_fd(pipe) {
        Ok(pipe) => pipe,
        Err(error) => {
            let text = format!("cannot read the recipe's output: {error}");
            return spool.push_now(Stream::Runner, 0, now(), text.as_bytes());
        }
    };
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 << 10];
    let mut waited = Duration::ZERO;
    let mut after_end = 0;
    loop {
        let over = *ended.borrow_and_update();
        let began = Instant::now();
        let read = tokio::select! {
            read = pipe.read(&mut buffer) => read,
            // Only a change matters; a sender that is gone has said all it will.
            _ = ended.changed(), if !over => continue,
            () = tokio::time::sleep(AFTER_END.saturating_sub(waited)), if over => {
                left_behind(&spool, stream);
                break;
            }
        };
        let len = match read {
            Ok(0) | Err(_) => break,
            Ok(len) => len,
        };
        if over {
            // Time in which the host made us wait doesn't count.
            waited += began.elapsed();
            after_end += len;
        }
        // One look at the clock for all that came at once.
        let at = now();
        let mut bytes = &buffer[..len];
        while let Some((line, goes_on)) = splitter.next(&mut bytes) {
            spool.push(stream, if goes_on { CONTINUES } else { 0 }, at, line).await;
        }
        if after_end > BYTES_AFTER_END {
            left_behind(&spool, stream);
            break;
        }
    }
    if !splitter.rest().is_empty() {
        spool.push(stream, 0, now(), splitter.rest()).await;
    }
}

fn left_behind(spool: &Spool, stream: Stream) {
    let name = if stream == Stream::Stdout { "standard output" } else { "standard error" };
    let text =
        format!("the recipe has ended; a process that it left behind holds its {name}, which is not followed any more");
    spool.push_now(Stream::Runner, 0, now(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> (Vec<(Vec<u8>, bool)>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for mut chunk in chunks.iter().copied() {
            while let Some((line, goes_on)) = splitter.next(&mut chunk) {
                lines.push((line.to_vec(), goes_on));
            }
        }
        (lines, splitter.rest().to_vec())
    }

    #[test]
    fn lines_are_whole_whatever_the_reads() {
        let expected = vec![(b"one".to_vec(), false), (b"".to_vec(), false), (b"two\r".to_vec(), false)];
        assert_eq!(split(&[b"one\n\ntwo\r\nrest"]), (expected.clone(), b"rest".to_vec()));
        assert_eq!(split(&[b"o", b"ne", b"\n", b"\nt", b"wo\r\nre", b"st"]), (expected, b"rest".to_vec()));
    }

    #[test]
    fn a_long_line_goes_in_pieces() {
        let long = vec![b'x'; 2 * MAX_LINE + 5];
        let (lines, partial) = split(&[&long, b"y\n"]);
        let pieces: Vec<_> = lines.iter().map(|(line, goes_on)| (line.len(), *goes_on)).collect();
        assert_eq!(pieces, [(MAX_LINE, true), (MAX_LINE, true), (6, false)]);
        assert_eq!(partial, b"");
        let exact = vec![b'x'; MAX_LINE];
        assert_eq!(split(&[&exact, b"\n"]).0, [(exact, false)]);
    }

    #[test]
    fn no_piece_cuts_a_character() {
        for character in ["é", "€", "😀"] {
            for before in 0..4 {
                let line = "x".repeat(before) + &character.repeat(MAX_LINE / 2 + 1);
                let (pieces, _) = split(&[line.as_bytes(), b"\n"]);
                let texts: Vec<&str> = pieces.iter().map(|(piece, _)| std::str::from_utf8(piece).unwrap()).collect();
                assert!(texts.len() > 1 && texts.concat() == line, "{character} {before}");
            }
        }
        // What is no text is cut anywhere.
        let (pieces, _) = split(&[&vec![0x80; MAX_LINE + 1], b"\n"]);
        assert_eq!(pieces.iter().map(|(piece, _)| piece.len()).collect::<Vec<_>>(), [MAX_LINE, 1]);
    }
}
