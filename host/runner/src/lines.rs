use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
}

impl Splitter {
    /// Gives `take` each piece that is whole, and whether its line goes on.
    fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Vec<u8>, bool)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &bytes[bytes.len()..]),
            };
            self.partial.extend_from_slice(part);
            while self.partial.len() > MAX_LINE {
                let rest = self.partial.split_off(MAX_LINE);
                take(std::mem::replace(&mut self.partial, rest), true);
            }
            if end.is_some() {
                take(std::mem::take(&mut self.partial), false);
            }
            bytes = rest;
        }
    }
}

/// Reads one of the recipe's pipes into the spool, to its end.
///
/// `ended` turns true when the recipe's own process has ended. Then all that is in the pipe is still taken, but
/// processes that it left behind aren't followed for ever.
pub(crate) async fn follow(pipe: OwnedFd, stream: Stream, spool: Rc<Spool>, mut ended: watch::Receiver<bool>) {
    let mut pipe = match Receiver::from_owned_fd(pipe) {
        Ok(pipe) => pipe,
        Err(error) => {
            return spool.push_now(Stream::Runner, 0, format!("cannot read the recipe's output: {error}").into());
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
        let mut lines = Vec::new();
        splitter.feed(&buffer[..len], |line, goes_on| lines.push((line, goes_on)));
        for (line, goes_on) in lines {
            spool.push(stream, if goes_on { CONTINUES } else { 0 }, line).await;
        }
        if after_end > BYTES_AFTER_END {
            left_behind(&spool, stream);
            break;
        }
    }
    if !splitter.partial.is_empty() {
        spool.push(stream, 0, splitter.partial).await;
    }
}

fn left_behind(spool: &Spool, stream: Stream) {
    let name = if stream == Stream::Stdout { "standard output" } else { "standard error" };
    let text =
        format!("the recipe has ended; a process that it left behind holds its {name}, which is not followed any more");
    spool.push_now(Stream::Runner, 0, text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> (Vec<(Vec<u8>, bool)>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |line, goes_on| lines.push((line, goes_on)));
        }
        (lines, splitter.partial)
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
}
