//! The store that is shipped: CSV and Parquet files, and folders.

mod commit;
mod folder;
mod room;
mod sink;
mod source;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rustix::fs::Access as FileAccess;
use wharf_model::protocol::{FileInfo, Schema};
use wharf_model::{Binding, BindingKind};

use crate::folder_path::FolderPath;
use crate::pump::{blocking, consume, produce};
use crate::store::{
    Access, ByteStream, Committed, DatasetStore, Format, ReadRequest, StagedRows, StoreError, Token, TokenStatus,
};

use commit::{Manifest, done_path, manifest_path, sync_folder};
use folder::{Folder, copy_out};
use room::{Room, StagedFile};
use sink::write_no_rows;
pub(crate) use sink::write_rows;
pub(crate) use source::{FileFormat, Source, object};
use source::{SchemaCache, schema_path};
use stage::{Item, Stage, journal_path};

/// Datasets in CSV and Parquet files, and folders, on the host's own file systems.
///
/// A dataset's place is a file that ends in `.csv` or `.parquet`. The types of a CSV file are read from
/// `PATH.schema.json` beside it (`{"columns": [{"name": ..., "type": ...}]}`), else they are found in one full pass over its
/// values. Written CSV files get one. A folder's place is a directory; what links in it lead to outside of it isn't there
/// for the run.
///
/// Outputs are staged beside their targets, under names that begin with `.wharf-`, and put in place by renaming, so a target
/// is always whole: either what was there before, or all of the new. A commit that was cut off between two of its renames goes
/// on from the intent in `state_dir` when it is called again.
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

struct Inner {
    state_dir: PathBuf,
    schemas: SchemaCache,
    stages: Mutex<HashMap<Token, Arc<Mutex<Stage>>>>,
    /// How many bytes a token may stage, for those that have a limit.
    limits: Mutex<HashMap<Token, u64>>,
}

impl FileStore {
    /// A store that keeps its intents in `state_dir`, which is created when it isn't there. Blocks for a moment.
    ///
    /// # Errors
    /// The folder can't be created.
    pub fn open(state_dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let state_dir = state_dir.into();
        fs::create_dir_all(&state_dir).map_err(|source| StoreError::Io {
            operation: "create",
            path: state_dir.clone(),
            source,
        })?;
        let (schemas, stages, limits) = (SchemaCache::default(), Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { state_dir, schemas, stages, limits }) })
    }

    async fn blocking<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl DatasetStore for FileStore {
    async fn check(&self, binding: &Binding, access: Access) -> Result<(), StoreError> {
        let binding = binding.clone();
        blocking(move || match (binding.kind, access) {
            (BindingKind::Dataset, Access::Read) => source::check(&binding),
            (BindingKind::Folder, Access::Read) => input_folder(&binding).map(drop),
            (kind, Access::Write) => check_target(&binding, kind),
        })
        .await
    }

    fn limit(&self, token: &Token, bytes: Option<u64>) {
        let mut limits = lock(&self.inner.limits);
        match bytes {
            Some(bytes) => drop(limits.insert(token.clone(), bytes)),
            None => drop(limits.remove(token)),
        }
    }

    async fn schema(&self, binding: &Binding, token: Option<&Token>) -> Result<Schema, StoreError> {
        let (binding, token) = (binding.clone(), token.cloned());
        self.blocking(move |inner| inner.source(&binding, token.as_ref())?.schema(&inner.schemas)).await
    }

    async fn read(
        &self,
        binding: &Binding,
        request: ReadRequest,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError> {
        let (binding, token) = (binding.clone(), token.cloned());
        let source = self.blocking(move |inner| inner.source(&binding, token.as_ref())).await?;
        let inner = Arc::clone(&self.inner);
        produce(move |output| source.write(&request, &inner.schemas, output))
    }

    async fn list(&self, binding: &Binding, token: Option<&Token>) -> Result<Vec<FileInfo>, StoreError> {
        let (binding, token) = (binding.clone(), token.cloned());
        self.blocking(move |inner| match token {
            None => input_folder(&binding)?.list(),
            Some(token) => {
                let there = files_in_place(&binding)?;
                let stage = inner.stage(&token)?;
                Ok(lock(&stage).overlay(&binding.name, there))
            }
        })
        .await
    }

    async fn read_file(
        &self,
        binding: &Binding,
        path: &FolderPath,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError> {
        let (binding, path, token) = (binding.clone(), path.clone(), token.cloned());
        let name = format!("the file {:?} of {}", path.as_str(), object(&binding));
        let opening = name.clone();
        let file = self.blocking(move |inner| inner.open_file(&binding, &path, token.as_ref(), opening)).await?;
        produce(move |output| copy_out(file, &name, output))
    }

    async fn stage_schema(&self, token: &Token, binding: &Binding, schema: &Schema) -> Result<(), StoreError> {
        let (token, binding, schema) = (token.clone(), binding.clone(), schema.clone());
        self.blocking(move |inner| {
            if lock(&*inner.stage(&token)?).has_set(&binding.name, &schema) {
                return Ok(());
            }
            let object = object(&binding);
            let new = inner.new_rows(&token, &binding)?;
            write_no_rows(&object, &schema, new.file()?, new.format)?;
            new.finish(inner, &token, &binding, schema, true)
        })
        .await
    }

    async fn stage_rows(
        &self,
        token: &Token,
        binding: &Binding,
        format: Format,
        rows: ByteStream,
    ) -> Result<StagedRows, StoreError> {
        let (token, binding, inner) = (token.clone(), binding.clone(), Arc::clone(&self.inner));
        consume(rows, move |input| {
            let (schema, memory) = {
                let stage = inner.stage(&token)?;
                let stage = lock(&stage);
                let schema = match stage.get(&binding.name, None) {
                    Some(Item::Rows { schema, set: true, .. }) => Some(schema.clone()),
                    _ => None,
                };
                (schema, Arc::clone(stage.memory()))
            };
            let new = inner.new_rows(&token, &binding)?;
            let set = schema.is_some();
            let written =
                write_rows(&object(&binding), input, format, schema, new.file()?, new.format, &memory, |_| ())?;
            new.finish(&inner, &token, &binding, written.schema, set)?;
            Ok(StagedRows { rows: written.rows })
        })
        .await
    }

    async fn stage_file(
        &self,
        token: &Token,
        binding: &Binding,
        path: &FolderPath,
        bytes: ByteStream,
    ) -> Result<(), StoreError> {
        let (token, binding, path) = (token.clone(), binding.clone(), path.clone());
        let inner = Arc::clone(&self.inner);
        consume(bytes, move |input| inner.stage_file(&token, &binding, &path, input)).await
    }

    async fn stage_delete(&self, token: &Token, binding: &Binding, path: &FolderPath) -> Result<(), StoreError> {
        let (token, binding, path) = (token.clone(), binding.clone(), path.clone());
        self.blocking(move |inner| inner.stage_delete(&token, &binding, &path)).await
    }

    async fn commit(&self, token: &Token) -> Result<Committed, StoreError> {
        let token = token.clone();
        self.blocking(move |inner| inner.commit(&token)).await
    }

    async fn abort(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.clone();
        self.blocking(move |inner| inner.abort(&token)).await
    }

    async fn status(&self, token: &Token) -> Result<TokenStatus, StoreError> {
        let token = token.clone();
        self.blocking(move |inner| {
            Ok(if done_path(&inner.state_dir, &token).exists() {
                TokenStatus::Committed
            } else if manifest_path(&inner.state_dir, &token).exists() {
                TokenStatus::Committing
            } else if journal_path(&inner.state_dir, &token).exists() {
                TokenStatus::Staged
            } else {
                TokenStatus::Unknown
            })
        })
        .await
    }

    async fn forget(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.clone();
        self.blocking(move |inner| {
            lock(&inner.stages).remove(&token);
            lock(&inner.limits).remove(&token);
            remove_if_there(&done_path(&inner.state_dir, &token))
        })
        .await
    }
}

/// Files for the rows of a dataset, announced and not yet written.
struct NewRows {
    target: PathBuf,
    format: FileFormat,
    data: PathBuf,
    written_schema: Option<PathBuf>,
    room: Arc<Room>,
    /// Removed again unless they became part of the stage.
    unfinished: bool,
}

impl NewRows {
    /// The file for the rows.
    fn file(&self) -> Result<StagedFile, StoreError> {
        StagedFile::create(&self.data, &self.room).map_err(|source| StoreError::Io {
            operation: "create",
            path: self.data.clone(),
            source,
        })
    }

    fn finish(
        mut self,
        inner: &Inner,
        token: &Token,
        binding: &Binding,
        schema: Schema,
        set: bool,
    ) -> Result<(), StoreError> {
        if let Some(path) = &self.written_schema {
            let fail = |source| StoreError::Io { operation: "write", path: path.clone(), source };
            let mut text = serde_json::to_string_pretty(&schema).map_err(|error| fail(error.into()))?;
            text.push('\n');
            let object = object(binding);
            let mut file = StagedFile::create(path, &self.room).map_err(fail)?;
            file.write_all(text.as_bytes()).map_err(|source| full(&object, source).unwrap_or_else(fail))?;
        }
        let item = Item::Rows {
            target: self.target.clone(),
            data: self.data.clone(),
            written_schema: self.written_schema.clone(),
            schema,
            set,
        };
        let stage = inner.stage(token)?;
        lock(&stage).ready(&binding.name, None, item)?;
        self.unfinished = false;
        Ok(())
    }
}

impl Drop for NewRows {
    fn drop(&mut self) {
        if self.unfinished {
            self.room.discard(&self.data);
            if let Some(path) = &self.written_schema {
                self.room.discard(path);
            }
        }
    }
}

impl Inner {
    fn stage(&self, token: &Token) -> Result<Arc<Mutex<Stage>>, StoreError> {
        let mut stages = lock(&self.stages);
        if let Some(stage) = stages.get(token) {
            return Ok(Arc::clone(stage));
        }
        let mut stage = Stage::open(&self.state_dir, token, lock(&self.limits).get(token).copied())?;
        if manifest_path(&self.state_dir, token).exists() || done_path(&self.state_dir, token).exists() {
            stage.close();
        }
        let stage = Arc::new(Mutex::new(stage));
        stages.insert(token.clone(), Arc::clone(&stage));
        Ok(stage)
    }

    fn source(&self, binding: &Binding, token: Option<&Token>) -> Result<Source, StoreError> {
        if let Some(token) = token {
            let stage = self.stage(token)?;
            if let Some(Item::Rows { data, schema, .. }) = lock(&stage).get(&binding.name, None) {
                let format = FileFormat::of(&object(binding), &binding.place.path)?;
                return Ok(Source::staged(binding, data.clone(), format, schema.clone()));
            }
        }
        let source = Source::of(binding)?;
        source.open()?;
        Ok(source)
    }

    fn new_rows(&self, token: &Token, binding: &Binding) -> Result<NewRows, StoreError> {
        let format = FileFormat::of(&object(binding), &binding.place.path)?;
        // Where the target is a link, what it leads to is replaced and not the link.
        let target = fs::canonicalize(&binding.place.path).unwrap_or_else(|_| binding.place.path.clone());
        let folder = target.parent().unwrap_or(Path::new("/"));
        let stage = self.stage(token)?;
        let mut stage = lock(&stage);
        let data = stage.announce(folder, "")?;
        let written_schema = match format {
            FileFormat::Csv => Some(stage.announce(folder, "")?),
            FileFormat::Parquet => None,
        };
        Ok(NewRows { target, format, data, written_schema, room: Arc::clone(stage.room()), unfinished: true })
    }

    fn open_file(
        &self,
        binding: &Binding,
        path: &FolderPath,
        token: Option<&Token>,
        name: String,
    ) -> Result<fs::File, StoreError> {
        let Some(token) = token else { return Ok(input_folder(binding)?.file(path)?.into_std()) };
        let stage = self.stage(token)?;
        let stage = lock(&stage);
        match stage.get(&binding.name, Some(path)) {
            Some(Item::File { staged, .. }) => fs::File::open(staged).map_err(|source| StoreError::Io {
                operation: "open",
                path: staged.clone(),
                source,
            }),
            Some(Item::Removed { .. }) => Err(StoreError::NotFound { object: name }),
            _ => match Folder::open(&object(binding), &binding.place.path)? {
                Some(folder) => Ok(folder.file(path)?.into_std()),
                None => Err(StoreError::NotFound { object: name }),
            },
        }
    }

    fn stage_file(
        &self,
        token: &Token,
        binding: &Binding,
        path: &FolderPath,
        mut input: impl Read,
    ) -> Result<(), StoreError> {
        let root = binding.place.path.clone();
        let stage = self.stage(token)?;
        let (staged, room) = {
            let mut stage = lock(&stage);
            stage.names(&binding.name, || files_in_place(binding))?.check(path)?;
            // Inside the folder when it is there, for it may be a file system of its own.
            let parent = if root.is_dir() { root.as_path() } else { root.parent().unwrap_or(&root) };
            let folder = stage.folder(parent)?;
            (stage.path_in(&folder), Arc::clone(stage.room()))
        };
        let written = copy_in(&mut input, &staged, path, &room).and_then(|size| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let modified = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            let item = Item::File { root, staged: staged.clone(), size, modified };
            lock(&stage).ready(&binding.name, Some(path), item)
        });
        written.inspect_err(|_| room.discard(&staged))
    }

    fn stage_delete(&self, token: &Token, binding: &Binding, path: &FolderPath) -> Result<(), StoreError> {
        let folder = Folder::open(&object(binding), &binding.place.path)?;
        let there = folder.is_some_and(|folder| folder.has(path.as_str()));
        let stage = self.stage(token)?;
        let mut stage = lock(&stage);
        stage.names(&binding.name, || files_in_place(binding))?;
        let staged = match stage.get(&binding.name, Some(path)) {
            Some(Item::Removed { .. }) => None,
            Some(_) => Some(true),
            None => Some(false),
        };
        match (staged, there) {
            (Some(true), false) => stage.drop_item(&binding.name, path),
            (Some(_), true) => {
                stage.ready(&binding.name, Some(path), Item::Removed { root: binding.place.path.clone() })
            }
            (None, _) | (Some(false), false) => {
                Err(StoreError::NotFound { object: format!("the file {:?} of {}", path.as_str(), object(binding)) })
            }
        }
    }

    fn commit(&self, token: &Token) -> Result<Committed, StoreError> {
        let (intent, done) = (manifest_path(&self.state_dir, token), done_path(&self.state_dir, token));
        let stage = self.stage(token)?;
        // Held to the end: of two commits at once the second finds all done.
        let mut stage = lock(&stage);
        if let Some(manifest) = Manifest::read(&done)? {
            stage.clean()?;
            return Ok(manifest.committed().clone());
        }
        let manifest = match Manifest::read(&intent)? {
            Some(begun) => begun,
            None => {
                stage.close();
                let manifest = Manifest::of(&stage)?;
                if !stage.is_empty() {
                    manifest.check()?;
                    manifest.sync()?;
                }
                manifest.write(&intent)?;
                manifest
            }
        };
        manifest.carry_out()?;
        fs::rename(&intent, &done).map_err(|source| StoreError::Io { operation: "write", path: done, source })?;
        sync_folder(&self.state_dir)?;
        stage.clean()?;
        Ok(manifest.committed().clone())
    }

    fn abort(&self, token: &Token) -> Result<(), StoreError> {
        let stage = self.stage(token)?;
        let mut stage = lock(&stage);
        if manifest_path(&self.state_dir, token).exists() || done_path(&self.state_dir, token).exists() {
            return Err(StoreError::Closed { token: token.to_string() });
        }
        stage.clean()
    }
}

fn input_folder(binding: &Binding) -> Result<Folder, StoreError> {
    let object = object(binding);
    let path = &binding.place.path;
    Folder::open(&object, path)?
        .ok_or_else(|| StoreError::NotFound { object: format!("{object} ({})", path.display()) })
}

fn files_in_place(binding: &Binding) -> Result<Vec<FileInfo>, StoreError> {
    Folder::open(&object(binding), &binding.place.path)?.map_or(Ok(Vec::new()), |folder| folder.list())
}

fn check_target(binding: &Binding, kind: BindingKind) -> Result<(), StoreError> {
    let object = object(binding);
    let path = &binding.place.path;
    let unusable = |reason: String| Err(StoreError::Unusable { object: object.clone(), reason });
    let place = match kind {
        BindingKind::Dataset => {
            FileFormat::of(&object, path)?;
            if path.is_dir() {
                return unusable(format!("{} is a folder, not a file", path.display()));
            }
            if schema_path(path).is_dir() {
                return unusable(format!("{} is a folder, not a file", schema_path(path).display()));
            }
            path.parent()
        }
        BindingKind::Folder if path.exists() => {
            if !path.is_dir() {
                return unusable(format!("{} is a file, not a folder", path.display()));
            }
            Some(path.as_path())
        }
        BindingKind::Folder => path.parent(),
    };
    match place {
        Some(place) if !place.is_dir() => unusable(format!("the folder {} does not exist; create it", place.display())),
        Some(place) => match rustix::fs::access(place, FileAccess::WRITE_OK | FileAccess::EXEC_OK) {
            Ok(()) => Ok(()),
            Err(error) => unusable(format!("the folder {} cannot be written: {error}", place.display())),
        },
        None => unusable(format!("{} cannot be written", path.display())),
    }
}

fn copy_in(input: &mut impl Read, staged: &Path, path: &FolderPath, room: &Arc<Room>) -> Result<u64, StoreError> {
    let object = format!("the file {:?}", path.as_str());
    let fail = |source| {
        full(&object, source).unwrap_or_else(|source| StoreError::Io {
            operation: "write",
            path: staged.to_owned(),
            source,
        })
    };
    let mut file = StagedFile::create(staged, room).map_err(fail)?;
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let len = match input.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(len) => len,
            Err(source) => {
                return Err(StoreError::Broken { object, source });
            }
        };
        file.write_all(&buffer[..len]).map_err(fail)?;
        size += len as u64;
    }
}

/// The error of a write for which there was no room; any other comes back.
fn full(object: &str, source: io::Error) -> Result<StoreError, io::Error> {
    match source.kind() {
        io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => {
            Ok(StoreError::Full { object: object.to_owned(), source })
        }
        _ => Err(source),
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { operation: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left half done is on the disk as after a crash, and is read from there as such.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
