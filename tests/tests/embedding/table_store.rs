//! A dataset store over a database, as an embedder would write one.
//!
//! A dataset's place is the name of a table. What a run stages is a table of its own, named for its token, and noted in the table
//! `staged`. A commit renames those in one transaction that also notes the token in `tokens`: whoever is killed before the end of it
//! has changed nothing, and who comes again after it finds that all is done.

use std::path::PathBuf;
use std::pin::pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use wharf::datasets::{
    Access, ByteStream, Column, Committed, CsvRows, DatasetStore, FileInfo, FolderPath, Format, ReadRequest, Schema,
    StagedRows, StoreError, Token, TokenStatus,
};
use wharf::model::{Binding, BindingKind};

/// The moment at which a process ends, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dies {
    Never,
    BeforeTheCommit,
    InTheCommit,
    AfterTheCommit,
}

/// Tables of an SQLite database.
pub(crate) struct TableStore {
    file: PathBuf,
    dies: Dies,
    rows: CsvRows,
}

type Sql<T> = rusqlite::Result<T>;

impl TableStore {
    pub(crate) fn open(file: PathBuf, dies: Dies) -> Sql<Self> {
        let store = Self { file, dies, rows: CsvRows::default() };
        store.connect()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS staged (token TEXT, binding TEXT, target TEXT, name TEXT, PRIMARY KEY (token, binding));
             CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, bindings INTEGER);
             CREATE TABLE IF NOT EXISTS commits (token TEXT);",
        )?;
        Ok(store)
    }

    fn connect(&self) -> Sql<Connection> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(std::time::Duration::from_secs(60))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Ok(connection)
    }

    /// Works with the database on a thread that may wait.
    async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.connect();
        let worked = tokio::task::spawn_blocking(move || work(&mut connection?)).await;
        let failed = |source| StoreError::Other { operation: what, object: "the tables of a run".to_owned(), source };
        worked.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
    }

    fn dies_at(&self, moment: Dies) {
        if self.dies == moment {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }

    /// The table that has a dataset's rows, as this token sees them, and its columns.
    async fn table(&self, binding: &Binding, token: Option<&Token>) -> Result<(String, Schema), StoreError> {
        let (place, name, token) = (place(binding), binding.name.clone(), token.map(Token::to_string));
        let found = self
            .with("look up", move |connection| {
                let own = match token {
                    Some(token) => staged(connection, &token, &name)?,
                    None => None,
                };
                let table = own.unwrap_or(place);
                let schema = schema_of(connection, &table)?;
                Ok((table, schema))
            })
            .await?;
        match found {
            (table, Some(schema)) => Ok((table, schema)),
            (table, None) => Err(StoreError::NotFound { object: format!("the table {table}") }),
        }
    }

    async fn stage(
        &self,
        token: &Token,
        binding: &Binding,
        schema: &Schema,
        csv: ByteStream,
    ) -> Result<u64, StoreError> {
        // A database that takes rows as they come would need no more than this channel; SQLite has one writer, so they are taken
        // whole before its turn.
        let mut csv = pin!(csv);
        let mut text = Vec::new();
        while let Some(piece) = csv.next().await {
            text.extend_from_slice(&piece?);
        }
        let (token, binding, schema) = (token.clone(), binding.clone(), schema.clone());
        self.with("write", move |connection| {
            let transaction = connection.transaction()?;
            let table = format!("staged {token} {}", binding.name);
            let columns: Vec<String> = schema
                .columns
                .iter()
                .map(|column| format!("{} {}", quoted(&column.name), declared(&column.kind)))
                .collect();
            transaction.execute_batch(&format!(
                "DROP TABLE IF EXISTS {0}; CREATE TABLE {0} ({1});",
                quoted(&table),
                columns.join(", ")
            ))?;
            let marks = vec!["?"; columns.len()].join(", ");
            let mut count = 0;
            {
                let mut insert = transaction.prepare(&format!("INSERT INTO {} VALUES ({marks})", quoted(&table)))?;
                for row in records(&String::from_utf8_lossy(&text)).skip(1) {
                    count += insert.execute(rusqlite::params_from_iter(row))? as u64;
                }
            }
            transaction.execute(
                "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?)",
                params![token.to_string(), binding.name, place(&binding), table],
            )?;
            transaction.commit()?;
            Ok(count)
        })
        .await
    }
}

#[async_trait]
impl DatasetStore for TableStore {
    async fn check(&self, binding: &Binding, access: Access) -> Result<(), StoreError> {
        if binding.kind == BindingKind::Folder {
            return Err(no_folders(binding));
        }
        match access {
            Access::Read => self.table(binding, None).await.map(drop),
            Access::Write => Ok(()),
        }
    }

    fn limit(&self, _token: &Token, _bytes: Option<u64>) {}

    async fn schema(&self, binding: &Binding, token: Option<&Token>) -> Result<Schema, StoreError> {
        Ok(self.table(binding, token).await?.1)
    }

    async fn read(
        &self,
        binding: &Binding,
        request: ReadRequest,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError> {
        let (table, schema) = self.table(binding, token).await?;
        let header = schema.columns.iter().map(|column| text(Some(column.name.clone()))).collect::<Vec<_>>().join(",");
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, StoreError>>(4);
        let columns = schema.columns.len();
        let connection = self.connect();
        // One row after the other, as fast as the container takes them.
        std::thread::spawn(move || {
            let read = || -> Sql<()> {
                let connection = connection?;
                let mut statement = connection.prepare(&format!("SELECT * FROM {}", quoted(&table)))?;
                let mut rows = statement.query([])?;
                let mut lines = header + "\n";
                while let Some(row) = rows.next()? {
                    let values = (0..columns).map(|at| Ok(text(value(row, at)?))).collect::<Sql<Vec<_>>>()?;
                    lines += &(values.join(",") + "\n");
                    if lines.len() > 64 << 10 && sender.blocking_send(Ok(std::mem::take(&mut lines).into())).is_err() {
                        return Ok(());
                    }
                }
                let _ = sender.blocking_send(Ok(lines.into()));
                Ok(())
            };
            if let Err(error) = read() {
                let object = "a table".to_owned();
                let _ =
                    sender.blocking_send(Err(StoreError::Other { operation: "read", object, source: error.into() }));
            }
        });
        let csv = futures_util::stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((piece, receiver))
        });
        self.rows.send(binding, schema, request, csv.boxed())
    }

    async fn list(&self, binding: &Binding, _token: Option<&Token>) -> Result<Vec<FileInfo>, StoreError> {
        Err(no_folders(binding))
    }

    async fn read_file(&self, binding: &Binding, _: &FolderPath, _: Option<&Token>) -> Result<ByteStream, StoreError> {
        Err(no_folders(binding))
    }

    async fn stage_schema(&self, token: &Token, binding: &Binding, schema: &Schema) -> Result<(), StoreError> {
        let (of, name) = (token.to_string(), binding.name.clone());
        let known = self
            .with("look up", move |connection| {
                let Some(table) = staged(connection, &of, &name)? else { return Ok(None) };
                schema_of(connection, &table)
            })
            .await?;
        if known.as_ref() == Some(schema) {
            return Ok(());
        }
        self.stage(token, binding, schema, futures_util::stream::empty().boxed()).await.map(drop)
    }

    async fn stage_rows(
        &self,
        token: &Token,
        binding: &Binding,
        format: Format,
        rows: ByteStream,
    ) -> Result<StagedRows, StoreError> {
        let (of, name) = (token.to_string(), binding.name.clone());
        let set = self
            .with("look up", move |connection| {
                let Some(table) = staged(connection, &of, &name)? else { return Ok(None) };
                schema_of(connection, &table)
            })
            .await?;
        let received = self.rows.receive(token, binding, format, set, rows).await?;
        Ok(StagedRows { rows: self.stage(token, binding, &received.schema, received.csv).await? })
    }

    async fn stage_file(&self, _: &Token, binding: &Binding, _: &FolderPath, _: ByteStream) -> Result<(), StoreError> {
        Err(no_folders(binding))
    }

    async fn stage_delete(&self, _: &Token, binding: &Binding, _: &FolderPath) -> Result<(), StoreError> {
        Err(no_folders(binding))
    }

    async fn commit(&self, token: &Token) -> Result<Committed, StoreError> {
        self.dies_at(Dies::BeforeTheCommit);
        let (token, dies) = (token.to_string(), self.dies);
        let own = Self { file: self.file.clone(), dies, rows: CsvRows::default() };
        let changes = self
            .with("put in place", move |connection| {
                let transaction = connection.transaction()?;
                let done = "SELECT bindings FROM tokens WHERE token = ?";
                let done: Option<u64> = transaction.query_row(done, [&token], |row| row.get(0)).optional()?;
                if let Some(done) = done {
                    return Ok(done);
                }
                let bindings = put_in_place(&transaction, &token)?;
                own.dies_at(Dies::InTheCommit);
                transaction.execute("INSERT INTO tokens VALUES (?, ?)", params![token, bindings])?;
                // For the test: how often it happened.
                transaction.execute("INSERT INTO commits VALUES (?)", [&token])?;
                transaction.commit()?;
                Ok(bindings)
            })
            .await?;
        self.dies_at(Dies::AfterTheCommit);
        Ok(Committed { bindings: Vec::new(), changes })
    }

    async fn abort(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.to_string();
        self.with("throw away", move |connection| {
            let transaction = connection.transaction()?;
            for (_, table) in staged_tables(&transaction, &token)? {
                transaction.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&table)))?;
            }
            transaction.execute("DELETE FROM staged WHERE token = ?", [&token])?;
            transaction.commit()
        })
        .await
    }

    async fn status(&self, token: &Token) -> Result<TokenStatus, StoreError> {
        let token = token.to_string();
        self.with("look up", move |connection| {
            let there = |table: &str| {
                let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE token = ?)");
                connection.query_row(&sql, [&token], |row| row.get::<_, bool>(0))
            };
            Ok(match (there("tokens")?, there("staged")?) {
                (true, _) => TokenStatus::Committed,
                (false, true) => TokenStatus::Staged,
                (false, false) => TokenStatus::Unknown,
            })
        })
        .await
    }

    async fn forget(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.to_string();
        self.with("forget", move |connection| {
            connection.execute("DELETE FROM tokens WHERE token = ?", [token]).map(drop)
        })
        .await
    }
}

/// Renames what is staged. Nobody sees it before the transaction's end.
fn put_in_place(transaction: &Transaction<'_>, token: &str) -> Sql<u64> {
    let mut count = 0;
    for (target, table) in staged_tables(transaction, token)? {
        transaction.execute_batch(&format!(
            "DROP TABLE IF EXISTS {0}; ALTER TABLE {1} RENAME TO {0};",
            quoted(&target),
            quoted(&table)
        ))?;
        count += 1;
    }
    transaction.execute("DELETE FROM staged WHERE token = ?", [token])?;
    Ok(count)
}

fn staged_tables(connection: &Connection, token: &str) -> Sql<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT target, name FROM staged WHERE token = ?")?;
    statement.query_map([token], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn staged(connection: &Connection, token: &str, binding: &str) -> Sql<Option<String>> {
    connection
        .query_row("SELECT name FROM staged WHERE token = ? AND binding = ?", [token, binding], |row| row.get(0))
        .optional()
}

/// In front of the types whose values SQLite is to keep as they are.
const TEXT: &str = "text_";

/// A dataset's type as SQLite's.
fn declared(kind: &str) -> String {
    match kind {
        "tinyint" | "smallint" | "int" | "bigint" | "float" | "double" => kind.to_owned(),
        other => format!("{TEXT}{other}"),
    }
}

/// The columns as they were declared; none if there is no such table.
fn schema_of(connection: &Connection, table: &str) -> Sql<Option<Schema>> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?)")?;
    let columns = statement.query_map([table], |row| {
        let kind: String = row.get(1)?;
        Ok(Column { name: row.get(0)?, kind: kind.strip_prefix(TEXT).unwrap_or(&kind).to_owned() })
    })?;
    let columns = columns.collect::<Sql<Vec<_>>>()?;
    Ok((!columns.is_empty()).then_some(Schema { columns }))
}

fn value(row: &rusqlite::Row<'_>, at: usize) -> Sql<Option<String>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null => None,
    })
}

/// A value as CSV.
fn text(value: Option<String>) -> String {
    match value {
        None => String::new(),
        Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
    }
}

/// The rows of a CSV text.
fn records(text: &str) -> impl Iterator<Item = Vec<Option<String>>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut record = Vec::new();
        if rest.is_empty() {
            return None;
        }
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let mut end = 0;
                    while !quoted[end..].starts_with('"') || quoted[end..].starts_with("\"\"") {
                        end += if quoted[end..].starts_with("\"\"") {
                            2
                        } else {
                            quoted[end..].chars().next()?.len_utf8()
                        };
                    }
                    (Some(quoted[..end].replace("\"\"", "\"")), &quoted[end + 1..])
                }
                None => {
                    let end = rest.find([',', '\n']).unwrap_or(rest.len());
                    ((end > 0).then(|| rest[..end].to_owned()), &rest[end..])
                }
            };
            record.push(field);
            rest = after.get(1..).unwrap_or_default();
            if !after.starts_with(',') {
                return Some(record);
            }
        }
    })
}

fn place(binding: &Binding) -> String {
    binding.place.path.display().to_string()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn no_folders(binding: &Binding) -> StoreError {
    StoreError::Unusable {
        object: format!("folder {:?}", binding.name),
        reason: "this store has tables alone".to_owned(),
    }
}
