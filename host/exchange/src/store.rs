use std::fmt;
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use wharf_model::Binding;
use wharf_model::protocol::{FileInfo, Schema};

use crate::folder_path::{BadPath, FolderPath};

/// Bytes on their way. An error ends the stream, and whatever was made of the bytes before it is thrown away.
pub type ByteStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// How rows cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// UTF-8, a header line, comma and double quote; an empty unquoted field is null, a quoted one is the empty string.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// Which rows, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// How they are written.
    pub format: Format,
    /// Only these columns, in this order.
    pub columns: Option<Vec<String>>,
    /// At most so many rows, from the start.
    pub limit: Option<u64>,
}

/// What a run will do with a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is an input.
    Read,
    /// It is an output.
    Write,
}

/// Who writes: one attempt of one run. All outputs of a token are committed together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    run: String,
    attempt: u32,
}

impl Token {
    /// The token of an attempt.
    #[must_use]
    pub fn new(run: &str, attempt: u32) -> Self {
        Self { run: run.to_owned(), attempt }
    }

    /// Whose.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Which attempt of it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The token as a part of a file name.
    pub(crate) fn file_name(&self) -> String {
        let mut name = String::new();
        for byte in self.run.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
                other => {
                    name.push('%');
                    name.push_str(&hex::encode([other]));
                }
            }
        }
        format!("{name}.{}", self.attempt)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}, attempt {}", self.run, self.attempt)
    }
}

/// What was staged of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedRows {
    /// How many rows.
    pub rows: u64,
}

/// What a commit put in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Committed {
    /// The names of the bindings that were written.
    pub bindings: Vec<String>,
    /// How many files were put in place or removed.
    pub changes: u64,
}

/// How far a token's outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    /// Nothing is known of it: nothing was staged, or it was aborted, or forgotten.
    Unknown,
    /// Something is staged, nothing is in place.
    Staged,
    /// A commit has begun and not ended: it must be committed again, and can't be aborted.
    Committing,
    /// All is in place.
    Committed,
}

/// Why a store didn't do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data isn't there.
    #[error("{object} does not exist")]
    NotFound {
        /// Dataset, folder or file.
        object: String,
    },
    /// It is there and is not what was asked for, or not in a form that can be used.
    #[error("{object} cannot be used: {reason}")]
    Unusable {
        /// Dataset, folder or file.
        object: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Rows that don't fit their schema, or aren't rows.
    #[error("{object}: {reason}")]
    BadRows {
        /// The dataset.
        object: String,
        /// Which row and column, and what is wrong.
        reason: String,
    },
    /// A path that is refused.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// A name that can't be beside another one.
    #[error("the path {path:?} is refused: {reason}")]
    NameTaken {
        /// Which.
        path: String,
        /// What it collides with.
        reason: String,
    },
    /// A column that was asked for and isn't there.
    #[error("{object} has no column {column:?}; it has {columns}")]
    NoSuchColumn {
        /// The dataset.
        object: String,
        /// Which.
        column: String,
        /// Those that are there.
        columns: String,
    },
    /// The token's outputs are committed, being committed or aborted: nothing can be staged any more.
    #[error("the outputs of {token} are closed")]
    Closed {
        /// Whose.
        token: String,
    },
    /// There is no room for it: the run may not have more, or the disk has no more.
    #[error("{object} cannot be written: {source}")]
    Full {
        /// What.
        object: String,
        /// Which of the two, as a sentence.
        source: io::Error,
    },
    /// An upload ended before its end.
    #[error("the upload of {object} broke before its end")]
    Broken {
        /// Of what.
        object: String,
        /// How.
        source: io::Error,
    },
    /// The file system or the database refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// Not to be had, for a reason of the store's own.
    #[error("cannot {operation} {object}")]
    Other {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// Its words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Where datasets and folders are.
///
/// A run goes through it in phases. Before the run starts, [`check`](Self::check) is called for each binding. While it
/// runs, inputs are read (`schema`, `read`, `list`, `read_file`), and outputs are *staged* (`stage_schema`,
/// `stage_rows`, `stage_file`, `stage_delete`): nothing of that is seen by anybody but the run itself. At the end
/// either [`commit`](Self::commit) puts everything in place or [`abort`](Self::abort) throws everything away.
///
/// The methods are called on an async runtime: they must not block it, but may take as long as they need. A call's future
/// may be dropped at any time, when the container's connection breaks: whatever it staged must be as if it had never been
/// called. Different bindings of a token, and different tokens, are used at the same time.
///
/// The host may be killed between any two steps. What was staged stays staged, and a process that opens the store anew must
/// find it by its token.
#[async_trait]
pub trait DatasetStore: Send + Sync {
    /// Says, before a run starts, whether a binding can be used.
    ///
    /// # Errors
    /// It can't: the sentence tells the person who submitted the run what to do.
    async fn check(&self, binding: &Binding, access: Access) -> Result<(), StoreError>;

    /// Says how many bytes a token may have staged at once; `None` is no limit. Called before it stages anything, and again
    /// when another process has opened the store.
    fn limit(&self, token: &Token, bytes: Option<u64>);

    /// The schema of a dataset: the one that `token` staged, else the one in place.
    ///
    /// May take a full pass over the data. Equal data gives equal schemas.
    ///
    /// # Errors
    /// There is no data, or it isn't rows.
    async fn schema(&self, binding: &Binding, token: Option<&Token>) -> Result<Schema, StoreError>;

    /// The rows of a dataset: those that `token` staged, else those in place.
    ///
    /// # Errors
    /// There is no data, or it isn't rows. An error found in mid-stream ends the stream.
    async fn read(
        &self,
        binding: &Binding,
        request: ReadRequest,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError>;

    /// The files of a folder, in the order of their paths; with a token as they will be once it is committed.
    ///
    /// # Errors
    /// The folder isn't there or can't be read.
    async fn list(&self, binding: &Binding, token: Option<&Token>) -> Result<Vec<FileInfo>, StoreError>;

    /// One file of a folder; with a token as it will be once it is committed.
    ///
    /// # Errors
    /// There is no such file, or it lies outside the folder.
    async fn read_file(
        &self,
        binding: &Binding,
        path: &FolderPath,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError>;

    /// Sets the schema of a dataset that will be written, and stages it without rows.
    ///
    /// The schema that was set before changes nothing: recipes set it again after their rows, with descriptions that it
    /// doesn't hold here.
    ///
    /// # Errors
    /// The schema can't be written to this dataset.
    async fn stage_schema(&self, token: &Token, binding: &Binding, schema: &Schema) -> Result<(), StoreError>;

    /// Stages the rows of a dataset, in place of those that the token staged before.
    ///
    /// Rows follow the staged schema. Without one, CSV makes columns of strings, and Arrow brings its own schema.
    ///
    /// # Errors
    /// The rows don't fit; nothing of them is staged then.
    async fn stage_rows(
        &self,
        token: &Token,
        binding: &Binding,
        format: Format,
        rows: ByteStream,
    ) -> Result<StagedRows, StoreError>;

    /// Stages a file of a folder.
    ///
    /// # Errors
    /// The name can't be beside those that are there, or the upload broke.
    async fn stage_file(
        &self,
        token: &Token,
        binding: &Binding,
        path: &FolderPath,
        bytes: ByteStream,
    ) -> Result<(), StoreError>;

    /// Stages the removal of a file of a folder.
    ///
    /// # Errors
    /// There is no such file.
    async fn stage_delete(&self, token: &Token, binding: &Binding, path: &FolderPath) -> Result<(), StoreError>;

    /// Puts all that a token staged in place: all or nothing.
    ///
    /// The intent is recorded before the first effect. May be called again, in another process too: it goes on where the
    /// first call was cut off, and answers the same when all had been done already. A token that staged nothing commits
    /// nothing.
    ///
    /// # Errors
    /// Something can't be put in place. Unless [`status`](Self::status) says [`TokenStatus::Committing`], nothing is.
    async fn commit(&self, token: &Token) -> Result<Committed, StoreError>;

    /// Throws away all that a token staged. May be called again, and for a token that staged nothing.
    ///
    /// # Errors
    /// The token is committed or being committed.
    async fn abort(&self, token: &Token) -> Result<(), StoreError>;

    /// How far a token's outputs are.
    ///
    /// # Errors
    /// The store can't tell.
    async fn status(&self, token: &Token) -> Result<TokenStatus, StoreError>;

    /// Called once the outcome of a run is in its record: nobody will ask for this token again.
    ///
    /// # Errors
    /// None that matter to the run.
    async fn forget(&self, token: &Token) -> Result<(), StoreError>;
}

impl fmt::Debug for dyn DatasetStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatasetStore")
    }
}
