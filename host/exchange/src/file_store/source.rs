use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter as ArrowWriter;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use wharf_model::Binding;
use wharf_model::protocol::Schema;

use crate::canonical::canonical;
use crate::csv::{self, BatchReader, CsvError, CsvReader, CsvWriter};
use crate::pump::StreamWriter;
use crate::store::{Format, ReadRequest, StoreError};
use crate::types::{arrow_schema, schema_of, strings};

/// Schemas that are remembered.
const REMEMBERED: usize = 1024;
/// The largest `PATH.schema.json`.
const MAX_SCHEMA: u64 = 16 << 20;

/// How a dataset is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Csv,
    Parquet,
}

impl FileFormat {
    /// By the file's extension.
    pub(crate) fn of(object: &str, path: &Path) -> Result<Self, StoreError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_lowercase();
        match extension.as_str() {
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(StoreError::Unusable {
                object: object.to_owned(),
                reason: format!("{} ends neither in .csv nor in .parquet", path.display()),
            }),
        }
    }
}

/// Inferred schemas, by file, size and time.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache {
    known: Mutex<HashMap<PathBuf, (u64, SystemTime, Schema)>>,
}

/// A dataset's file, for reading.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As people are told: `dataset "flights"`.
    object: String,
    path: PathBuf,
    format: FileFormat,
    /// The schema, where it is known without the file: it was staged.
    schema: Option<Schema>,
}

/// `dataset "NAME"` or `folder "NAME"`.
pub(crate) fn object(binding: &Binding) -> String {
    let kind = match binding.kind {
        wharf_model::BindingKind::Dataset => "dataset",
        wharf_model::BindingKind::Folder => "folder",
    };
    format!("{kind} {:?}", binding.name)
}

/// Where the schema of a CSV file is written beside it.
pub(crate) fn schema_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".schema.json");
    PathBuf::from(name)
}

impl Source {
    pub(crate) fn of(binding: &Binding) -> Result<Self, StoreError> {
        let object = object(binding);
        let path = binding.place.path.clone();
        Ok(Self { format: FileFormat::of(&object, &path)?, object, path, schema: None })
    }

    pub(crate) fn staged(binding: &Binding, path: PathBuf, format: FileFormat, schema: Schema) -> Self {
        Self { object: object(binding), path, format, schema: Some(schema) }
    }

    pub(crate) fn open(&self) -> Result<File, StoreError> {
        let file = File::open(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                StoreError::NotFound { object: format!("{} ({})", self.object, self.path.display()) }
            }
            _ => StoreError::Io { operation: "open", path: self.path.clone(), source },
        })?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(self.unusable(format!("{} is not a file", self.path.display())));
        }
        Ok(file)
    }

    /// The schema of the data. May read all of a CSV file.
    pub(crate) fn schema(&self, cache: &SchemaCache) -> Result<Schema, StoreError> {
        if let Some(schema) = &self.schema {
            return Ok(schema.clone());
        }
        match self.format {
            FileFormat::Parquet => {
                let reader = self.parquet()?;
                schema_of(reader.schema()).map_err(|reason| self.unusable(reason))
            }
            FileFormat::Csv => match self.written_schema()? {
                Some(schema) => Ok(schema),
                None => self.inferred_schema(cache),
            },
        }
    }

    fn written_schema(&self) -> Result<Option<Schema>, StoreError> {
        let path = schema_path(&self.path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { operation: "open", path, source }),
        };
        let bad = |reason: String| self.unusable(format!("{}: {reason}", path.display()));
        let schema: Schema = serde_json::from_reader(io::BufReader::new(file.take(MAX_SCHEMA)))
            .map_err(|error| bad(format!("it is not a schema: {error}")))?;
        arrow_schema(&schema).map_err(bad)?;
        let reader = CsvReader::new(self.open()?).map_err(|error| self.csv_error(error))?;
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        if reader.columns() != names {
            return Err(bad(format!(
                "it has the columns {names:?}, and the file has {:?}; correct it, or remove it to have the types found",
                reader.columns()
            )));
        }
        Ok(Some(schema))
    }

    fn inferred_schema(&self, cache: &SchemaCache) -> Result<Schema, StoreError> {
        let file = self.open()?;
        let stamp = file.metadata().and_then(|metadata| Ok((metadata.len(), metadata.modified()?)));
        let (len, modified) =
            stamp.map_err(|source| StoreError::Io { operation: "examine", path: self.path.clone(), source })?;
        let known = || cache.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at_len, at, schema)) = known().get(&self.path)
            && (*at_len, *at) == (len, modified)
        {
            return Ok(schema.clone());
        }
        let schema = csv::infer(file).map_err(|error| self.csv_error(error))?;
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(self.path.clone(), (len, modified, schema.clone()));
        Ok(schema)
    }

    /// Writes the rows that were asked for. Blocks.
    pub(crate) fn write(
        &self,
        request: &ReadRequest,
        cache: &SchemaCache,
        output: &mut StreamWriter,
    ) -> Result<(), StoreError> {
        match (self.format, request.format) {
            (FileFormat::Csv, Format::Csv) if request.columns.is_none() && request.limit.is_none() => {
                self.write_as_it_is(output)
            }
            (FileFormat::Csv, format) => {
                // As CSV the values stay as they are written.
                let schema = if format == Format::Csv { None } else { Some(self.schema(cache)?) };
                self.write_csv(self.open()?, schema, request, output)
            }
            (FileFormat::Parquet, format) => {
                let builder = self.parquet()?;
                let schema = schema_of(builder.schema()).map_err(|reason| self.unusable(reason))?;
                let (schema, wanted) = self.choose(&schema, request)?;
                let mut sorted = wanted.clone();
                sorted.sort_unstable();
                sorted.dedup();
                // The reader gives the columns in the file's order: from there into the order that was asked for.
                let order: Vec<usize> = wanted.iter().filter_map(|column| sorted.binary_search(column).ok()).collect();
                let mask = ProjectionMask::roots(builder.parquet_schema(), sorted);
                let mut builder = builder.with_projection(mask).with_batch_size(8192);
                if let Some(limit) = request.limit {
                    builder = builder.with_limit(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                let reader = builder.build().map_err(|error| self.parquet_error(&error))?;
                let batches = reader.map(|batch| {
                    let batch = batch.and_then(|batch| batch.project(&order));
                    let batch = batch.map_err(|error| self.unusable(error.to_string()))?;
                    canonical(&batch, &schema).map_err(|reason| self.bad_rows(reason))
                });
                self.write_batches(batches, &schema, format, output)
            }
        }
    }

    /// Writes the rows that were asked for out of a CSV text, whose values are strings without a schema. Blocks.
    pub(crate) fn write_csv(
        &self,
        text: impl Read,
        schema: Option<Schema>,
        request: &ReadRequest,
        output: &mut StreamWriter,
    ) -> Result<(), StoreError> {
        let reader = CsvReader::new(text).map_err(|error| self.csv_error(error))?;
        let (schema, wanted) = self.choose(&schema.unwrap_or_else(|| strings(reader.columns())), request)?;
        let mut batches = BatchReader::new(reader, schema.clone(), wanted, request.limit);
        let next = || batches.read().map_err(|error| self.csv_error(error)).transpose();
        self.write_batches(std::iter::from_fn(next), &schema, request.format, output)
    }

    fn write_as_it_is(&self, output: &mut StreamWriter) -> Result<(), StoreError> {
        let mut file = self.open()?;
        let fail = |source| StoreError::Io { operation: "read", path: self.path.clone(), source };
        let mut start = [0; 3];
        let mut len = 0;
        while len < 3 {
            match file.read(&mut start[len..]).map_err(fail)? {
                0 => break,
                more => len += more,
            }
        }
        if len == 0 {
            return Err(self.unusable("it is empty; a CSV file has at least a header line".to_owned()));
        }
        if start != *b"\xef\xbb\xbf" {
            file.seek(SeekFrom::Start(0)).map_err(fail)?;
        }
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer).map_err(fail)? {
                0 => return Ok(()),
                len => output.write_all(&buffer[..len]).map_err(|source| self.broken(source))?,
            }
        }
    }

    fn write_batches(
        &self,
        batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
        schema: &SchemaRef,
        format: Format,
        output: &mut StreamWriter,
    ) -> Result<(), StoreError> {
        match format {
            Format::Csv => {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let mut writer = CsvWriter::new(output, names).map_err(|source| self.broken(source))?;
                for batch in batches {
                    writer.write(&batch?).map_err(|source| self.broken(source))?;
                }
            }
            Format::Arrow => {
                let broken = |error: arrow_schema::ArrowError| self.broken(io::Error::other(error));
                let mut writer = ArrowWriter::try_new(output, schema).map_err(broken)?;
                for batch in batches {
                    writer.write(&batch?).map_err(broken)?;
                }
                writer.finish().map_err(broken)?;
            }
        }
        Ok(())
    }

    /// The schema of the columns that are wanted, and their positions.
    fn choose(&self, schema: &Schema, request: &ReadRequest) -> Result<(SchemaRef, Vec<usize>), StoreError> {
        let wanted: Vec<usize> = match &request.columns {
            None => (0..schema.columns.len()).collect(),
            Some(names) => names.iter().map(|name| self.position(schema, name)).collect::<Result<_, _>>()?,
        };
        let columns = wanted.iter().map(|at| schema.columns[*at].clone()).collect();
        let chosen = arrow_schema(&Schema { columns }).map_err(|reason| self.unusable(reason))?;
        Ok((chosen, wanted))
    }

    fn position(&self, schema: &Schema, name: &str) -> Result<usize, StoreError> {
        schema.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
            StoreError::NoSuchColumn { object: self.object.clone(), column: name.to_owned(), columns: names.join(", ") }
        })
    }

    fn parquet(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
        ParquetRecordBatchReaderBuilder::try_new(self.open()?).map_err(|error| self.parquet_error(&error))
    }

    fn parquet_error(&self, error: &parquet::errors::ParquetError) -> StoreError {
        self.unusable(format!("it is not readable as Parquet: {error}"))
    }

    fn csv_error(&self, error: CsvError) -> StoreError {
        match error {
            CsvError::Read(source) => StoreError::Io { operation: "read", path: self.path.clone(), source },
            form @ CsvError::Form { .. } => self.bad_rows(form.to_string()),
        }
    }

    fn unusable(&self, reason: String) -> StoreError {
        StoreError::Unusable { object: self.object.clone(), reason }
    }

    fn bad_rows(&self, reason: String) -> StoreError {
        StoreError::BadRows { object: self.object.clone(), reason }
    }

    fn broken(&self, source: io::Error) -> StoreError {
        StoreError::Broken { object: self.object.clone(), source }
    }
}

/// Whether a dataset is there and can be opened.
pub(crate) fn check(binding: &Binding) -> Result<(), StoreError> {
    let source = Source::of(binding)?;
    match source.format {
        FileFormat::Csv => source.open().map(drop),
        FileFormat::Parquet => source.parquet().map(drop),
    }?;
    let written = schema_path(&source.path);
    if source.format == FileFormat::Csv && fs::exists(&written).unwrap_or(false) {
        source.written_schema()?;
    }
    Ok(())
}
