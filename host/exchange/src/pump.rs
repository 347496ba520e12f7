//! Between asynchronous streams and blocking code: a thread on one side, a bounded channel in between.
//!
//! A thread each, not the runtime's pool: a container that stops reading would hold a place of that pool for as long as
//! it likes.

use std::io::{self, Read, Write};
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::store::{ByteStream, StoreError};

/// Pieces on their way; with a piece's size this bounds the memory of a stream.
const IN_FLIGHT: usize = 4;
/// The size of the pieces that are produced.
const PIECE: usize = 256 << 10;

enum Piece<T> {
    Some(T),
    /// Without it, a channel that closes has broken.
    End,
}

/// Runs blocking work over a stream, and returns what it made of it.
///
/// When the stream breaks, or this future is dropped, the reader fails before its end.
pub(crate) async fn consume<T, W>(mut stream: ByteStream, work: W) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: FnOnce(StreamReader) -> Result<T, StoreError> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let (done, result) = oneshot::channel();
    spawn("wharf-upload", move || {
        // The asker may be gone.
        let _ = done.send(work(StreamReader { receiver, current: Bytes::new(), over: false }));
    })?;
    let mut broken = None;
    loop {
        let piece = match stream.next().await {
            Some(Ok(bytes)) => Piece::Some(bytes),
            Some(Err(error)) => {
                broken = Some(error);
                break;
            }
            None => Piece::End,
        };
        let last = matches!(piece, Piece::End);
        // A worker that doesn't take any more has failed, and says why.
        if sender.send(piece).await.is_err() || last {
            break;
        }
    }
    drop(sender);
    let result = result.await.unwrap_or_else(|_| Err(panicked("read")));
    match broken {
        Some(error) => Err(error),
        None => result,
    }
}

/// Runs blocking work that writes, and returns what it writes as a stream.
pub(crate) fn produce<W>(work: W) -> Result<ByteStream, StoreError>
where
    W: FnOnce(&mut StreamWriter) -> Result<(), StoreError> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    spawn("wharf-download", move || {
        let mut writer = StreamWriter { sender, buffer: BytesMut::with_capacity(PIECE) };
        match work(&mut writer).and_then(|()| writer.flush().map_err(gone)) {
            Ok(()) => drop(writer.sender.blocking_send(Piece::End)),
            Err(error) => drop(writer.sender.blocking_send(Piece::Some(Err(error)))),
        }
    })?;
    Ok(futures_util::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::Some(Ok(bytes))) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::Some(Err(error))) => Some((Err(error), None)),
            Some(Piece::End) => None,
            None => Some((Err(panicked("write")), None)),
        }
    })
    .boxed())
}

/// Runs short blocking work on the runtime's pool.
pub(crate) async fn blocking<T, W>(work: W) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(panicked("work on")))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|source| StoreError::Other {
        operation: "start a thread for",
        object: "a stream".to_owned(),
        source: source.into(),
    })
}

fn panicked(operation: &'static str) -> StoreError {
    StoreError::Other { operation, object: "the data".to_owned(), source: "the host's worker panicked".into() }
}

fn gone(source: io::Error) -> StoreError {
    StoreError::Broken { object: "a download".to_owned(), source }
}

/// Reads a stream in blocking code.
pub(crate) struct StreamReader {
    receiver: mpsc::Receiver<Piece<Bytes>>,
    current: Bytes,
    over: bool,
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.over {
            match self.receiver.blocking_recv() {
                Some(Piece::Some(bytes)) => self.current = bytes,
                Some(Piece::End) => self.over = true,
                None => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the sender stopped in the middle"));
                }
            }
        }
        let len = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

/// Writes a stream in blocking code. Fails when nobody reads it any more.
pub(crate) struct StreamWriter {
    sender: mpsc::Sender<Piece<Result<Bytes, StoreError>>>,
    buffer: BytesMut,
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..len]);
        if self.buffer.len() == PIECE {
            self.flush()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(PIECE)).freeze();
        self.sender
            .blocking_send(Piece::Some(Ok(piece)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(count: usize) -> ByteStream {
        futures_util::stream::iter((0..count).map(|_| Ok(Bytes::from(vec![7; 1000])))).boxed()
    }

    #[tokio::test]
    async fn streams_go_through_threads() {
        let stream = produce(|writer| {
            for _ in 0..3000 {
                writer.write_all(&[1; 1000]).map_err(gone)?;
            }
            Ok(())
        });
        let total = consume(stream.unwrap(), |mut reader| {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map_err(gone)?;
            Ok(all.len())
        });
        assert_eq!(total.await.unwrap(), 3_000_000);
    }

    #[tokio::test]
    async fn a_worker_that_stops_early_answers() {
        let refused = consume::<(), _>(pieces(1000), |_| Err(panicked("stop"))).await;
        assert!(matches!(refused, Err(StoreError::Other { operation: "stop", .. })));
    }

    #[tokio::test]
    async fn a_broken_stream_and_a_panic_are_no_end() {
        let broken = pieces(3).chain(futures_util::stream::iter([Err(panicked("test"))])).boxed();
        let (saw, seen) = std::sync::mpsc::channel();
        let result = consume(broken, move |mut reader| {
            let read = reader.read_to_end(&mut Vec::new());
            saw.send(read.is_err()).unwrap();
            Ok(())
        });
        assert!(matches!(result.await, Err(StoreError::Other { operation: "test", .. })));
        assert!(seen.recv().unwrap());

        let stream = produce(|writer| {
            writer.write_all(&[0; PIECE]).map_err(gone)?;
            panic!("a test panics here");
        });
        let items: Vec<_> = stream.unwrap().collect().await;
        assert!(items.len() == 2 && items[0].is_ok() && items[1].is_err());
    }
}
