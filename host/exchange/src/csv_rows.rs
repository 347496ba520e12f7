//! Rows for stores that know CSV alone.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wharf_model::Binding;
use wharf_model::protocol::Schema;

use crate::file_store::{FileFormat, Source, object, write_rows};
use crate::memory::UploadMemory;
use crate::pump::produce;
use crate::store::{ByteStream, Format, ReadRequest, StoreError, Token};

/// What stands between containers, which read and write CSV or Arrow, and a store that has its rows as CSV, such as one over a
/// database.
///
/// The CSV is that of [`Format::Csv`]. Memory is bounded, however many rows there are.
#[derive(Debug, Default)]
pub struct CsvRows {
    /// What the uploads of each run that has some share.
    memories: Mutex<HashMap<Token, Weak<UploadMemory>>>,
}

/// Rows that a container sends, as CSV.
pub struct Received {
    /// What the rows follow.
    pub schema: Schema,
    /// A header line and the rows, each value checked against its column's type. An error in mid-stream ends it.
    pub csv: ByteStream,
}

impl CsvRows {
    /// Makes what a container asked for out of all rows of a dataset.
    ///
    /// # Errors
    /// No thread can be started. What is wrong with the rows ends the stream.
    pub fn send(
        &self,
        binding: &Binding,
        schema: Schema,
        request: ReadRequest,
        csv: ByteStream,
    ) -> Result<ByteStream, StoreError> {
        let plain = request.format == Format::Csv && request.columns.is_none() && request.limit.is_none();
        if plain {
            return Ok(csv);
        }
        let source = Source::staged(binding, PathBuf::new(), FileFormat::Csv, schema.clone());
        let schema = (request.format == Format::Arrow).then_some(schema);
        let (text, broken) = Blocking::new(csv);
        produce(move |output| {
            let written = source.write_csv(text, schema, &request, output);
            written.map_err(|error| broken.or(error))
        })
    }

    /// Takes the rows that a container sends. `schema` is the one that was staged before; without it CSV makes columns of
    /// strings, and Arrow brings its own.
    ///
    /// # Errors
    /// They aren't rows, or don't fit the schema.
    pub async fn receive(
        &self,
        token: &Token,
        binding: &Binding,
        format: Format,
        schema: Option<Schema>,
        rows: ByteStream,
    ) -> Result<Received, StoreError> {
        let memory = self.memory(token);
        let object = object(binding);
        let (text, broken) = Blocking::new(rows);
        let (begun, follows) = oneshot::channel();
        let mut csv = produce(move |output| {
            let begun = |schema: &Schema| drop(begun.send(schema.clone()));
            let written = write_rows(&object, text, format, schema, output, FileFormat::Csv, &memory, begun);
            written.map(drop).map_err(|error| broken.or(error))
        })?;
        match follows.await {
            Ok(schema) => Ok(Received { schema, csv }),
            // It ended before there was one, and says why.
            Err(_) => match csv.next().await {
                Some(Err(error)) => Err(error),
                _ => Err(StoreError::BadRows { object: "the data".to_owned(), reason: "it has no header".to_owned() }),
            },
        }
    }

    fn memory(&self, token: &Token) -> Arc<UploadMemory> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = memories.get(token).and_then(Weak::upgrade) {
            return memory;
        }
        memories.retain(|_, memory| memory.strong_count() > 0);
        let memory = Arc::new(UploadMemory::default());
        memories.insert(token.clone(), Arc::downgrade(&memory));
        memory
    }
}

/// An asynchronous stream, for code on a thread of its own.
struct Blocking {
    stream: ByteStream,
    runtime: Handle,
    current: Bytes,
    broken: Broken,
}

/// Why the stream broke, in its own words.
#[derive(Clone, Default)]
struct Broken(Arc<Mutex<Option<StoreError>>>);

impl Broken {
    fn or(&self, error: StoreError) -> StoreError {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

impl Blocking {
    /// Called on the runtime that the stream belongs to.
    fn new(stream: ByteStream) -> (Self, Broken) {
        let broken = Broken::default();
        // Whoever reads asks once more behind the end.
        let stream = stream.fuse().boxed();
        (Self { stream, runtime: Handle::current(), current: Bytes::new(), broken: broken.clone() }, broken)
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(Ok(bytes)) => self.current = bytes,
                Some(Err(error)) => {
                    *self.broken.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the sender stopped in the middle"));
                }
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::protocol::Column;
    use wharf_model::{BindingKind, Place};

    fn binding() -> Binding {
        Binding {
            name: "flights".to_owned(),
            role: "main".to_owned(),
            kind: BindingKind::Dataset,
            place: Place { path: "table:flights".into() },
        }
    }

    fn schema() -> Schema {
        let column = |name: &str, kind: &str| Column { name: name.to_owned(), kind: kind.to_owned() };
        Schema { columns: vec![column("carrier", "string"), column("delay", "bigint")] }
    }

    fn text(parts: &[&'static str]) -> ByteStream {
        futures_util::stream::iter(parts.to_vec()).map(|part| Ok(Bytes::from(part))).boxed()
    }

    async fn all(stream: ByteStream) -> Result<Vec<u8>, StoreError> {
        let parts: Vec<_> = stream.collect().await;
        Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn request(format: Format, columns: Option<&[&str]>, limit: Option<u64>) -> ReadRequest {
        ReadRequest { format, columns: columns.map(|names| names.iter().map(|&name| name.to_owned()).collect()), limit }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_go_out_as_arrow_and_come_back_as_csv() {
        let rows = CsvRows::default();
        let csv = ["carrier,delay\nAA,", "3\n\"\",\n,-1\n"];
        let arrow = rows.send(&binding(), schema(), request(Format::Arrow, None, None), text(&csv)).unwrap();
        let back = rows.receive(&Token::new("r", 1), &binding(), Format::Arrow, None, arrow).await.unwrap();
        assert_eq!(back.schema, schema());
        assert_eq!(all(back.csv).await.unwrap(), csv.concat().as_bytes());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn columns_and_limits_are_kept() {
        let rows = CsvRows::default();
        let wanted = request(Format::Csv, Some(&["delay"]), Some(2));
        let out = rows.send(&binding(), schema(), wanted, text(&["carrier,delay\nAA,3\nBB,\nCC,7\n"])).unwrap();
        assert_eq!(all(out).await.unwrap(), b"delay\n3\n\n");
        let wanted = request(Format::Csv, Some(&["arrival"]), None);
        let out = rows.send(&binding(), schema(), wanted, text(&["carrier,delay\nAA,3\n"])).unwrap();
        assert!(matches!(all(out).await, Err(StoreError::NoSuchColumn { .. })));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_wrong_is_said_in_its_own_words() {
        let rows = CsvRows::default();
        let (token, bound) = (Token::new("r", 1), binding());
        let receive = |parts: Vec<Result<Bytes, StoreError>>| {
            let parts = futures_util::stream::iter(parts).boxed();
            rows.receive(&token, &bound, Format::Csv, Some(schema()), parts)
        };
        let other = receive(vec![Ok(Bytes::from("carrier\nAA\n"))]).await.err().unwrap();
        assert!(other.to_string().contains("the rows have the columns [\"carrier\"]"), "{other}");
        let late = receive(vec![Ok(Bytes::from("carrier,delay\nAA,late\n"))]).await.unwrap();
        assert!(all(late.csv).await.unwrap_err().to_string().contains("\"late\" is not an integer"));
        let gone = || StoreError::NotFound { object: "the sender".to_owned() };
        let cut = receive(vec![Ok(Bytes::from("carrier,delay\nAA,1\n")), Err(gone())]).await.unwrap();
        assert!(matches!(all(cut.csv).await, Err(StoreError::NotFound { .. })));
        assert!(matches!(receive(vec![Err(gone())]).await, Err(StoreError::NotFound { .. })));
    }
}
