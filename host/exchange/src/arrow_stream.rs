//! Arrow IPC streams from containers: what they claim is checked before memory is given to it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;
use arrow_schema::{DataType, SchemaRef};

use crate::memory::{Share, UploadMemory};

/// In front of every message.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The largest description of a message.
const MAX_METADATA: usize = 16 << 20;
/// The largest message. Writers that stream send far smaller ones.
const MAX_BODY: i64 = 64 << 20;
/// Rows of a message: without columns that take memory there could be any number.
const MAX_ROWS: usize = 1 << 24;
/// Values of a message: columns of nulls take no memory either, and some in the file that they are written to.
const MAX_VALUES: usize = 1 << 26;
/// What a message may be once nothing in it is shared any more.
const MAX_WRITTEN: usize = 1 << 30;
/// So much of a message is taken at once, written out.
const PART: usize = 16 << 20;
/// Values of a part.
const PART_VALUES: usize = 1 << 20;
/// Rows of a part with nested values, of which nobody knows how long they are as text.
const PART_NESTED: usize = 1_024;

/// A stream that isn't one, or goes beyond what is taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrowStreamError {
    #[error("it cannot be read to its end")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Form(String),
}

/// Reads batches from an Arrow IPC stream.
pub(crate) struct ArrowReader<R> {
    input: R,
    decoder: StreamDecoder,
    schema: SchemaRef,
    memory: Arc<UploadMemory>,
    /// The share of the message that is being taken.
    share: Option<Share>,
    /// The sizes of the dictionaries that the decoder has, by their ids.
    dictionaries: HashMap<i64, usize>,
    /// Decoded and not yet taken.
    ready: VecDeque<RecordBatch>,
    over: bool,
}

impl<R: Read> ArrowReader<R> {
    /// Reads the schema.
    pub(crate) fn new(input: R, memory: Arc<UploadMemory>) -> Result<Self, ArrowStreamError> {
        let mut reader = Self {
            input,
            decoder: StreamDecoder::new(),
            schema: SchemaRef::new(arrow_schema::Schema::empty()),
            memory,
            share: None,
            dictionaries: HashMap::new(),
            ready: VecDeque::new(),
            over: false,
        };
        match reader.message()? {
            Some(schema) => reader.schema = schema,
            None => return Err(ArrowStreamError::Form("it does not begin with a schema".to_owned())),
        }
        Ok(reader)
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows, or none at the end: of a message that would become large when it is written out, a part.
    pub(crate) fn read(&mut self) -> Result<Option<RecordBatch>, ArrowStreamError> {
        while self.ready.is_empty() && !self.over {
            self.message()?;
            for batch in &self.ready {
                check(batch)?;
            }
        }
        let Some(batch) = self.ready.pop_front() else { return Ok(None) };
        let rows = part_rows(&batch);
        if rows >= batch.num_rows() {
            return Ok(Some(batch));
        }
        self.ready.push_front(batch.slice(rows, batch.num_rows() - rows));
        Ok(Some(batch.slice(0, rows)))
    }

    /// Reads one message; returns the schema if it is one.
    fn message(&mut self) -> Result<Option<SchemaRef>, ArrowStreamError> {
        let form = |what: String| ArrowStreamError::Form(what);
        // What it was for is gone.
        self.share = None;
        let mut bytes = Vec::with_capacity(4096);
        match self.take(4, &mut bytes)? {
            // Some writers end without the end mark.
            0 => return self.end(),
            4 => {}
            _ => return Err(cut_off()),
        }
        if bytes == CONTINUATION {
            self.take_all(4, &mut bytes)?;
        }
        let mut size = [0; 4];
        size.copy_from_slice(&bytes[bytes.len() - 4..]);
        let size = u32::from_le_bytes(size) as usize;
        if size == 0 {
            return self.end();
        }
        if size > MAX_METADATA {
            return Err(form(format!("a message's description claims {size} bytes; at most {MAX_METADATA} are taken")));
        }
        let start = bytes.len();
        self.take_all(size, &mut bytes)?;
        let message =
            root_as_message(&bytes[start..]).map_err(|error| form(format!("it is no Arrow stream: {error}")))?;
        let body = message.bodyLength();
        let schema = match message.header_as_schema() {
            Some(schema) => {
                let schema = try_fb_to_schema(schema).map_err(|error| form(error.to_string()))?;
                Some(SchemaRef::new(schema))
            }
            None => None,
        };
        if !(0..=MAX_BODY).contains(&body) {
            return Err(form(format!("a message claims {body} bytes; write batches of at most {MAX_BODY}")));
        }
        let rows =
            message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch().and_then(|it| it.data()));
        if rows.is_some_and(|rows| !fits(rows, body)) {
            return Err(form("a message describes data that lies outside of it".to_owned()));
        }
        let body = usize::try_from(body).unwrap_or(0);
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            self.count_dictionary(dictionary.id(), dictionary.isDelta(), body)?;
        } else {
            self.share = Some(self.memory.share(body));
        }
        self.take_all(body, &mut bytes)?;
        self.decode(bytes)?;
        Ok(schema)
    }

    /// A dictionary stays in the decoder until another takes its place.
    fn count_dictionary(&mut self, id: i64, delta: bool, bytes: usize) -> Result<(), ArrowStreamError> {
        let size = self.dictionaries.entry(id).or_default();
        if !delta {
            self.memory.give_back_dictionaries(std::mem::take(size));
        }
        *size += bytes;
        if self.memory.take_dictionaries(bytes) {
            return Ok(());
        }
        Err(ArrowStreamError::Form(
            "its dictionaries are too large; write the values themselves, or smaller dictionaries".to_owned(),
        ))
    }

    /// Takes the end of the stream.
    fn end(&mut self) -> Result<Option<SchemaRef>, ArrowStreamError> {
        self.over = true;
        // A last message without a body is decoded only when something follows.
        self.decode([CONTINUATION, [0; 4]].concat())?;
        Ok(None)
    }

    fn decode(&mut self, bytes: Vec<u8>) -> Result<(), ArrowStreamError> {
        let mut buffer = bytes.into();
        loop {
            // The decoder checks much and panics at the rest. It isn't used again after that.
            let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode(&mut buffer)));
            match decoded {
                Ok(Ok(Some(batch))) => self.ready.push_back(batch),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(ArrowStreamError::Form(error.to_string())),
                Err(_) => return Err(ArrowStreamError::Form("a message contradicts itself".to_owned())),
            }
        }
    }

    /// Takes so many bytes, or fewer at the end. Memory grows with what comes, not with what was claimed.
    fn take(&mut self, count: usize, bytes: &mut Vec<u8>) -> io::Result<usize> {
        (&mut self.input).take(count as u64).read_to_end(bytes)
    }

    fn take_all(&mut self, count: usize, bytes: &mut Vec<u8>) -> Result<(), ArrowStreamError> {
        if self.take(count, bytes)? < count {
            return Err(cut_off());
        }
        Ok(())
    }
}

/// Whether all that a message describes lies in its body.
fn fits(rows: arrow_ipc::RecordBatch<'_>, body: i64) -> bool {
    let buffers = rows.buffers().is_none_or(|buffers| {
        buffers.iter().all(|buffer| {
            let end = buffer.offset().checked_add(buffer.length());
            buffer.offset() >= 0 && buffer.length() >= 0 && end.is_some_and(|end| end <= body)
        })
    });
    let nodes = rows.nodes().is_none_or(|nodes| nodes.iter().all(|node| node.length() >= 0 && node.null_count() >= 0));
    rows.length() >= 0 && buffers && nodes
}

fn cut_off() -> ArrowStreamError {
    ArrowStreamError::Form("it ends in the middle of a message".to_owned())
}

impl<R> Drop for ArrowReader<R> {
    fn drop(&mut self) {
        self.memory.give_back_dictionaries(self.dictionaries.values().sum());
    }
}

/// Refuses rows that would become far larger when they are written out.
fn check(batch: &RecordBatch) -> Result<(), ArrowStreamError> {
    let (rows, columns) = (batch.num_rows(), batch.num_columns());
    let form = |what: String| Err(ArrowStreamError::Form(format!("a batch {what}; write smaller batches")));
    if rows > MAX_ROWS {
        return form(format!("claims {rows} rows, and may have {MAX_ROWS}"));
    }
    if rows.saturating_mul(columns) > MAX_VALUES {
        return form(format!("claims {rows} rows of {columns} columns, and may have {MAX_VALUES} values"));
    }
    for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
        if longest_shared(column).saturating_mul(rows) > MAX_WRITTEN {
            return form(format!(
                "has the column {:?}, which is over 1 GiB when each row has its own copy",
                field.name()
            ));
        }
    }
    Ok(())
}

/// How many rows of a batch are taken at once, so that none of its columns becomes large when it is converted.
fn part_rows(batch: &RecordBatch) -> usize {
    let shared = batch.columns().iter().map(longest_shared).fold(0, usize::saturating_add);
    let by_values = PART_VALUES / batch.num_columns().max(1);
    let by_texts = PART.checked_div(shared).unwrap_or(usize::MAX);
    let nested = batch.columns().iter().any(|column| column.data_type().is_nested());
    let by_nesting = if nested { PART_NESTED } else { usize::MAX };
    by_values.min(by_texts).min(by_nesting).max(1)
}

/// The longest text of a column whose rows can share it: each row's own copy may be as long.
fn longest_shared(column: &ArrayRef) -> usize {
    let longest = |values: &ArrayRef| match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().flatten().map(str::len).max(),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().flatten().map(str::len).max(),
        DataType::Utf8View => values.as_string_view().iter().flatten().map(str::len).max(),
        // Fixed widths.
        _ => Some(32),
    };
    match column.data_type() {
        DataType::Dictionary(..) => longest(column.as_any_dictionary().values()).unwrap_or(0),
        DataType::Utf8View => longest(column).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int32Array, Int64Array, RecordBatchOptions, StringArray};
    use arrow_ipc::writer::StreamWriter;

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), batches[0].schema_ref()).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn numbers() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)]).unwrap()
    }

    #[test]
    fn batches_come_through() {
        let bytes = stream(&[numbers(), numbers()]);
        let mut reader = ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap();
        assert_eq!(reader.schema().field(0).name(), "n");
        assert_eq!(reader.read().unwrap(), Some(numbers()));
        assert_eq!(reader.read().unwrap(), Some(numbers()));
        assert_eq!(reader.read().unwrap(), None);
    }

    #[test]
    fn no_cut_and_no_flipped_bit_does_harm() {
        let bytes = stream(&[numbers()]);
        let read = |bytes: &[u8]| -> Result<usize, ArrowStreamError> {
            let mut reader = ArrowReader::new(bytes, Arc::default())?;
            let mut rows = 0;
            while let Some(batch) = reader.read()? {
                rows += batch.num_rows();
            }
            Ok(rows)
        };
        for cut in 0..bytes.len() {
            let _ = read(&bytes[..cut]);
        }
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let _ = read(&bytes);
        }
    }

    #[test]
    fn claims_are_not_believed() {
        let error = |bytes: &[u8]| ArrowReader::new(bytes, Arc::default()).err().unwrap().to_string();
        assert!(error(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).contains("claims 2147483647 bytes"));
        assert!(error(b"").contains("does not begin"));
        assert!(error(b"not an arrow stream at all").contains("claims"));
    }

    #[test]
    fn a_text_that_all_rows_share_is_counted_for_each() {
        let values = StringArray::from(vec!["x".repeat(1 << 20)]);
        let keys = Int32Array::from(vec![0; 2000]);
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)));
        let bytes = stream(&[RecordBatch::try_from_iter([("big", column)]).unwrap()]);
        let mut reader = ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap();
        assert!(reader.read().unwrap_err().to_string().contains("\"big\""));
    }

    #[test]
    fn what_many_rows_share_comes_in_parts() {
        let values = StringArray::from(vec!["x".repeat(1 << 20)]);
        let column: ArrayRef =
            Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; 100]), Arc::new(values)));
        let bytes = stream(&[RecordBatch::try_from_iter([("big", column)]).unwrap()]);
        let mut reader = ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap();
        let mut parts = Vec::new();
        while let Some(part) = reader.read().unwrap() {
            parts.push(part.num_rows());
        }
        assert_eq!(parts, [16, 16, 16, 16, 16, 16, 4]);
    }

    #[test]
    fn a_dictionary_that_replaces_another_takes_its_room() {
        let memory = Arc::new(UploadMemory::default());
        let bytes = stream(&[numbers()]);
        let mut reader = ArrowReader::new(bytes.as_slice(), Arc::clone(&memory)).unwrap();
        for _ in 0..10 {
            reader.count_dictionary(1, false, 30 << 20).unwrap();
        }
        reader.count_dictionary(1, true, 30 << 20).unwrap();
        assert!(reader.count_dictionary(2, false, 30 << 20).is_err());
        drop(reader);
        assert!(memory.take_dictionaries(60 << 20), "all of it was given back");
    }

    #[test]
    fn columns_of_nulls_are_counted() {
        let nulls = |columns: usize, rows: usize| {
            let column = || arrow_array::new_null_array(&DataType::Null, rows);
            let names: Vec<String> = (0..columns).map(|column| column.to_string()).collect();
            stream(&[RecordBatch::try_from_iter(names.iter().map(|name| (name, column()))).unwrap()])
        };
        let bytes = nulls(1_000, 1 << 20);
        assert!(bytes.len() < 1 << 20);
        let error = ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap().read().unwrap_err();
        assert!(error.to_string().contains("1000 columns"), "{error}");
        let bytes = nulls(1_000, 20_000);
        let part = ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap().read().unwrap().unwrap();
        assert_eq!(part.num_rows(), PART_VALUES / 1_000);
    }

    #[test]
    fn rows_without_columns_are_counted_too() {
        let options = RecordBatchOptions::new().with_row_count(Some(MAX_ROWS + 1));
        let schema = Arc::new(arrow_schema::Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let bytes = stream(&[batch]);
        assert!(ArrowReader::new(bytes.as_slice(), Arc::default()).unwrap().read().is_err());
    }
}
