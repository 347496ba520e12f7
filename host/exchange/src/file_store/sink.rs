use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use wharf_model::protocol::Schema;

use crate::arrow_stream::{ArrowReader, ArrowStreamError};
use crate::canonical::canonical;
use crate::csv::{BatchReader, CsvError, CsvReader, CsvWriter};
use crate::file_store::full;
use crate::file_store::room::StagedFile;
use crate::file_store::source::FileFormat;
use crate::memory::UploadMemory;
use crate::store::{Format, StoreError};
use crate::types::{arrow_schema, schema_of, strings};

/// A row group is written when it has so many bytes: that much memory is used.
const ROW_GROUP: usize = 64 << 20;

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) schema: Schema,
}

/// Writes rows from an upload into a new file, or whatever else they go to. Blocks.
///
/// `schema` is the one that was set; without it CSV makes strings and Arrow brings its own. `begun` gets the one that the rows
/// follow, before the first of them.
#[expect(clippy::too_many_arguments, reason = "where the rows come from, what they are, and where they go")]
pub(crate) fn write_rows(
    object: &str,
    input: impl Read,
    format: Format,
    schema: Option<Schema>,
    file: impl Write + Send,
    stored: FileFormat,
    memory: &Arc<UploadMemory>,
    begun: impl FnOnce(&Schema),
) -> Result<Written, StoreError> {
    let bad = |reason: String| StoreError::BadRows { object: object.to_owned(), reason };
    match format {
        Format::Csv => {
            let fail = |error: CsvError| match error {
                CsvError::Read(source) => StoreError::Broken { object: object.to_owned(), source },
                form @ CsvError::Form { .. } => bad(form.to_string()),
            };
            let reader = CsvReader::new(input).map_err(fail)?;
            let schema = schema.unwrap_or_else(|| strings(reader.columns()));
            same_columns(&schema, reader.columns().iter().map(String::as_str)).map_err(bad)?;
            let arrow = arrow_schema(&schema).map_err(bad)?;
            begun(&schema);
            let wanted = (0..schema.columns.len()).collect();
            let mut batches = BatchReader::new(reader, arrow.clone(), wanted, None);
            let next = || batches.read().map_err(fail).transpose();
            let rows = write_batches(object, std::iter::from_fn(next), &arrow, file, stored)?;
            Ok(Written { rows, schema })
        }
        Format::Arrow => {
            let fail = |error: ArrowStreamError| match error {
                ArrowStreamError::Read(source) => StoreError::Broken { object: object.to_owned(), source },
                ArrowStreamError::Form(reason) => bad(reason),
            };
            let mut reader = ArrowReader::new(input, Arc::clone(memory)).map_err(fail)?;
            let own = schema_of(reader.schema()).map_err(bad)?;
            let schema = schema.unwrap_or(own);
            same_columns(&schema, reader.schema().fields().iter().map(|field| field.name().as_str())).map_err(bad)?;
            let arrow = arrow_schema(&schema).map_err(bad)?;
            begun(&schema);
            let next = || reader.read().map_err(fail).transpose();
            let batches = std::iter::from_fn(next).map(|batch| canonical(&batch?, &arrow).map_err(bad));
            let rows = write_batches(object, batches, &arrow, file, stored)?;
            Ok(Written { rows, schema })
        }
    }
}

/// Writes a file without rows. Blocks.
pub(crate) fn write_no_rows(
    object: &str,
    schema: &Schema,
    file: StagedFile,
    stored: FileFormat,
) -> Result<(), StoreError> {
    let unusable = |reason: String| StoreError::Unusable { object: object.to_owned(), reason };
    let arrow = arrow_schema(schema).map_err(unusable)?;
    write_batches(object, std::iter::empty(), &arrow, file, stored).map(drop)
}

fn same_columns<'a>(schema: &Schema, found: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let found: Vec<&str> = found.collect();
    let expected: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    if found == expected {
        return Ok(());
    }
    Err(format!("the rows have the columns {found:?}, and the schema has {expected:?}"))
}

fn write_batches(
    object: &str,
    batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    schema: &SchemaRef,
    file: impl Write + Send,
    stored: FileFormat,
) -> Result<u64, StoreError> {
    let fail = |source: io::Error| match source.kind() {
        // A value that can't be written, such as a date beyond the calendar.
        io::ErrorKind::InvalidData => StoreError::BadRows { object: object.to_owned(), reason: source.to_string() },
        _ => full(object, source).unwrap_or_else(|source| StoreError::Other {
            operation: "write",
            object: object.to_owned(),
            source: source.into(),
        }),
    };
    let mut rows = 0;
    match stored {
        FileFormat::Csv => {
            let output = BufWriter::with_capacity(256 << 10, file);
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let mut writer = CsvWriter::new(output, names).map_err(fail)?;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                writer.write(&batch).map_err(fail)?;
            }
            writer.into_inner().flush().map_err(fail)?;
        }
        FileFormat::Parquet => {
            let fail = |error| match error {
                ParquetError::External(source) => fail(match source.downcast::<io::Error>() {
                    Ok(source) => *source,
                    Err(source) => io::Error::other(source),
                }),
                error => fail(io::Error::other(error)),
            };
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(fail)?;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                writer.write(&batch).map_err(fail)?;
                if writer.memory_size() > ROW_GROUP {
                    writer.flush().map_err(fail)?;
                }
            }
            writer.close().map_err(fail)?;
        }
    }
    Ok(rows)
}
