//! CSV as it crosses and as the file store keeps it.
//!
//! UTF-8, a header line, comma, double quote doubled inside quotes. An empty field is null, a quoted empty one is the
//! empty string: general readers don't tell the two apart, so this has a reader and a writer of its own.

mod batches;
mod infer;
mod instant;
mod reader;
mod writer;

pub(crate) use batches::{BatchReader, parse_date};
pub(crate) use infer::infer;
pub(crate) use reader::{CsvError, CsvReader};
pub(crate) use writer::{CsvWriter, format_instant};
