//! Where the data of runs is: what an embedder implements whose datasets aren't files.
//!
//! A [`DatasetStore`] goes into [`HostOptions::datasets`](crate::HostOptions::datasets). [`CsvRows`] is for stores that have
//! their rows as CSV; containers read Arrow, too. `tests/tests/embedding/table_store.rs` of the source is one over SQLite.

pub use wharf_exchange::{
    Access, BadPath, ByteStream, Committed, CsvRows, DatasetStore, FileStore, FolderPath, Format, ReadRequest,
    Received, StagedRows, StoreError, Token, TokenStatus,
};
pub use wharf_model::protocol::{Column, FileInfo, Schema};
