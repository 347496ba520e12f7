//! Why the store couldn't do something.

use std::path::PathBuf;

use super::tables::VERSION;

/// Why the store couldn't do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own error.
    #[error("the record store couldn't {operation}")]
    Database {
        /// What was asked.
        operation: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file isn't a sound database.
    #[error("the record store {} is damaged: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the integrity check said.
        reason: String,
    },
    /// The file isn't a sound database, and can't be put aside.
    #[error("the record store {} is damaged and can't be put aside", file.display())]
    NotPutAside {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A newer version of the host wrote it.
    #[error("the record store {} was written by a newer version (its tables have version {found}, this one knows {VERSION})", file.display())]
    TooNew {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Something in it can't be read back.
    #[error("the record of {what} can't be read back")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}
