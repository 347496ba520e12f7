//! The service that a run's container talks to, and the data that goes in and out through it.
//!
//! An [`Exchange`] listens; [`Exchange::open`] registers one attempt of a run and returns its [`Session`], for as long as
//! which the attempt's ticket is good. What the runner says comes out of the session's [`SessionSink`]; its log is kept
//! in a [`LogFile`]; its data comes from and goes to a [`DatasetStore`]. [`FileStore`] is the store that is shipped: CSV
//! and Parquet files, and folders.
//!
//! Whatever comes out of a container is hostile until checked. Nothing that one sends makes the exchange use more than a
//! fixed amount of memory, and nothing but its own run's data is within its reach.

mod answer;
mod arrow_stream;
mod canonical;
mod csv;
mod csv_rows;
mod exchange;
mod file_store;
mod folder_path;
mod identity;
mod log_file;
mod memory;
mod pump;
mod route;
mod service;
mod session;
mod store;
mod strangers;
mod ticket;
mod types;

pub use csv_rows::{CsvRows, Received};
pub use exchange::{Exchange, ExchangeError};
pub use file_store::FileStore;
pub use folder_path::{BadPath, FolderPath};
pub use identity::{IdentityError, TlsIdentity};
pub use log_file::{LogError, LogFile, LogFrames, LogLine, LogReader, verify_log};
pub use session::{Session, SessionEvent, SessionSink, SessionSpec};
pub use store::{
    Access, ByteStream, Committed, DatasetStore, Format, ReadRequest, StagedRows, StoreError, Token, TokenStatus,
};
pub use ticket::Ticket;
