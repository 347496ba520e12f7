use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wharf_model::protocol::{FileInfo, Schema};

use crate::file_store::folder::Names;
use crate::file_store::room::Room;
use crate::folder_path::{FolderPath, RESERVED};
use crate::memory::UploadMemory;
use crate::store::{StoreError, Token};

/// So many files may one token stage.
const MAX_ITEMS: usize = 500_000;
/// So many bytes may the names of a token's files and of the folders above them take: a path of a thousand folders has a
/// thousand names.
const MAX_NAMES: usize = 64 << 20;
/// So long may the journal of a token become: it grows with each file, and with each that takes another's place.
const MAX_JOURNAL: u64 = 256 << 20;

/// One thing that a token staged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Item {
    /// A dataset.
    Rows {
        target: PathBuf,
        data: PathBuf,
        written_schema: Option<PathBuf>,
        schema: Schema,
        /// The run set the schema; otherwise it came with the rows, and other rows may bring another.
        set: bool,
    },
    /// A file of a folder.
    File { root: PathBuf, staged: PathBuf, size: u64, modified: u64 },
    /// The removal of a file of a folder.
    Removed { root: PathBuf },
}

impl Item {
    /// What is on the disk for it.
    fn files(&self) -> impl Iterator<Item = &Path> {
        let (one, other) = match self {
            Self::Rows { data, written_schema, .. } => (Some(data), written_schema.as_ref()),
            Self::File { staged, .. } => (Some(staged), None),
            Self::Removed { .. } => (None, None),
        };
        one.into_iter().chain(other).map(PathBuf::as_path)
    }
}

/// The name of a binding, and a path for files of a folder.
type Key = (String, Option<String>);

/// One line of a journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
enum Line {
    /// A file or folder is about to be made.
    Made { path: PathBuf },
    /// Something is staged whole, in place of what was there of the same name.
    Ready { binding: String, path: Option<String>, item: Item },
    /// Nothing of that name is staged any more.
    Dropped { binding: String, path: Option<String> },
}

/// What one token has staged, and the journal from which another process can tell.
///
/// Staged files lie beside their targets, on the same file system, under names that begin with `.wharf-`. Each is in the
/// journal before it is made, so that nothing is left lying when it is thrown away. The journal isn't synced line by
/// line: what it is for is the death of the host's process; after that of its machine the container is gone too.
#[derive(Debug)]
pub(crate) struct Stage {
    token: String,
    journal_path: PathBuf,
    journal: Option<File>,
    made: Vec<PathBuf>,
    counter: u64,
    items: BTreeMap<Key, Item>,
    names: HashMap<String, Names>,
    /// How many bytes the names of staged files take.
    name_bytes: usize,
    room: Arc<Room>,
    memory: Arc<UploadMemory>,
    /// How long the journal is.
    written: u64,
    /// Nothing can be staged any more.
    closed: bool,
}

impl Stage {
    /// The state of a token, read from its journal if it has one; at most `limit` bytes may be staged at once.
    pub(crate) fn open(state_dir: &Path, token: &Token, limit: Option<u64>) -> Result<Self, StoreError> {
        let mut stage = Self {
            token: token.file_name(),
            journal_path: journal_path(state_dir, token),
            journal: None,
            made: Vec::new(),
            counter: 0,
            items: BTreeMap::new(),
            names: HashMap::new(),
            name_bytes: 0,
            room: Arc::new(Room::new(limit, 0)),
            memory: Arc::default(),
            written: 0,
            closed: false,
        };
        match fs::read(&stage.journal_path) {
            Ok(bytes) => {
                stage.written = bytes.len() as u64;
                stage.replay(&bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::Io { operation: "read", path: stage.journal_path, source });
            }
        }
        let size = |path: &Path| fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        let used = stage.items.values().flat_map(Item::files).map(size).sum();
        stage.room = Arc::new(Room::new(limit, used));
        Ok(stage)
    }

    pub(crate) fn memory(&self) -> &Arc<UploadMemory> {
        &self.memory
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    fn replay(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            // A line that was cut off is the last, and what it announces was never made.
            match serde_json::from_slice(line) {
                Ok(Line::Made { path }) => self.made.push(path),
                Ok(Line::Ready { binding, path, item }) => drop(self.items.insert((binding, path), item)),
                Ok(Line::Dropped { binding, path }) => drop(self.items.remove(&(binding, path))),
                Err(_) => {}
            }
        }
        // Names are never used twice.
        self.counter = self.made.len() as u64;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.items.iter()
    }

    pub(crate) fn get(&self, binding: &str, path: Option<&FolderPath>) -> Option<&Item> {
        self.items.get(&(binding.to_owned(), path.map(ToString::to_string)))
    }

    /// Whether the run set this schema for the dataset, and may still write.
    pub(crate) fn has_set(&self, binding: &str, schema: &Schema) -> bool {
        let item = self.get(binding, None);
        !self.closed && matches!(item, Some(Item::Rows { schema: staged, set: true, .. }) if staged == schema)
    }

    /// A path for a new file in `folder`, announced in the journal.
    pub(crate) fn announce(&mut self, folder: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
        self.check_open()?;
        self.counter += 1;
        let path = folder.join(format!("{RESERVED}{}-{}{suffix}", self.token, self.counter));
        self.write(&Line::Made { path: path.clone() })?;
        self.made.push(path.clone());
        Ok(path)
    }

    /// A folder for staged files in `parent`, made when it isn't there yet.
    pub(crate) fn folder(&mut self, parent: &Path) -> Result<PathBuf, StoreError> {
        self.check_open()?;
        let path = parent.join(format!("{RESERVED}{}", self.token));
        if !self.made.contains(&path) {
            self.write(&Line::Made { path: path.clone() })?;
            self.made.push(path.clone());
        }
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::Io { operation: "create", path, source: error })
            }
            _ => Ok(path),
        }
    }

    /// A path for a new file in a folder that is announced itself.
    pub(crate) fn path_in(&mut self, folder: &Path) -> PathBuf {
        loop {
            self.counter += 1;
            let path = folder.join(self.counter.to_string());
            // Another process may have counted further before it died.
            if fs::symlink_metadata(&path).is_err() {
                return path;
            }
        }
    }

    /// Records that something is staged, and removes what it replaces.
    pub(crate) fn ready(&mut self, binding: &str, path: Option<&FolderPath>, item: Item) -> Result<(), StoreError> {
        self.check_open()?;
        let key = (binding.to_owned(), path.map(ToString::to_string));
        if self.items.len() >= MAX_ITEMS && !self.items.contains_key(&key) {
            let reason = format!("a run can write at most {MAX_ITEMS} files");
            return Err(StoreError::Unusable { object: format!("output {binding:?}"), reason });
        }
        if let (Some(path), Some(names)) = (path, self.names.get_mut(binding)) {
            if matches!(item, Item::Removed { .. }) {
                names.remove(path);
            } else {
                names.check(path)?;
                if self.name_bytes > MAX_NAMES {
                    let reason =
                        "the paths of its files are too long together; write fewer, or shorter ones".to_owned();
                    return Err(StoreError::Unusable { object: format!("output {binding:?}"), reason });
                }
                self.name_bytes += names.add(path);
            }
        }
        self.write(&Line::Ready { binding: key.0.clone(), path: key.1.clone(), item: item.clone() })?;
        if let Some(former) = self.items.insert(key, item) {
            self.remove(&former);
        }
        Ok(())
    }

    /// Forgets something that was staged.
    pub(crate) fn drop_item(&mut self, binding: &str, path: &FolderPath) -> Result<(), StoreError> {
        self.check_open()?;
        let key = (binding.to_owned(), Some(path.to_string()));
        self.write(&Line::Dropped { binding: key.0.clone(), path: key.1.clone() })?;
        if let Some(former) = self.items.remove(&key) {
            self.remove(&former);
        }
        if let Some(names) = self.names.get_mut(binding) {
            names.remove(path);
        }
        Ok(())
    }

    /// The names of a folder, with what is staged of it; `there` tells what is in place, and is asked once.
    pub(crate) fn names(
        &mut self,
        binding: &str,
        there: impl FnOnce() -> Result<Vec<FileInfo>, StoreError>,
    ) -> Result<&Names, StoreError> {
        if !self.names.contains_key(binding) {
            let files = self.overlay(binding, there()?);
            self.names.insert(binding.to_owned(), Names::of(&files));
        }
        Ok(&self.names[binding])
    }

    /// The files of a folder as they will be.
    pub(crate) fn overlay(&self, binding: &str, there: Vec<FileInfo>) -> Vec<FileInfo> {
        let mut files: BTreeMap<String, FileInfo> = there.into_iter().map(|file| (file.path.clone(), file)).collect();
        for ((name, path), item) in &self.items {
            let Some(path) = path.as_ref().filter(|_| name == binding) else { continue };
            match item {
                Item::File { size, modified, .. } => {
                    let file = FileInfo { path: path.clone(), size: *size, modified: *modified };
                    files.insert(path.clone(), file);
                }
                Item::Removed { .. } => drop(files.remove(path)),
                Item::Rows { .. } => {}
            }
        }
        files.into_values().collect()
    }

    /// Removes everything that was ever made and isn't in place, and the journal last.
    pub(crate) fn clean(&mut self) -> Result<(), StoreError> {
        self.closed = true;
        for path in self.made.drain(..) {
            let removed = match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Io { operation: "remove", path, source: error });
                }
                _ => {}
            }
        }
        self.items.clear();
        self.journal = None;
        match fs::remove_file(&self.journal_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io { operation: "remove", path: self.journal_path.clone(), source: error })
            }
            _ => Ok(()),
        }
    }

    fn remove(&self, former: &Item) {
        for path in former.files() {
            self.room.discard(path);
        }
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::Closed { token: self.token.clone() }) } else { Ok(()) }
    }

    fn write(&mut self, line: &Line) -> Result<(), StoreError> {
        let fail = |source| StoreError::Io { operation: "write", path: self.journal_path.clone(), source };
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => {
                let mut file = OpenOptions::new().create(true).append(true).open(&self.journal_path).map_err(fail)?;
                // Behind a line that was cut off.
                file.write_all(b"\n").map_err(fail)?;
                none.insert(file)
            }
        };
        let mut bytes = serde_json::to_vec(line).map_err(|error| fail(error.into()))?;
        bytes.push(b'\n');
        self.written += bytes.len() as u64;
        if self.written > MAX_JOURNAL {
            let reason = "the run has written its outputs anew too often".to_owned();
            return Err(StoreError::Unusable { object: "an output".to_owned(), reason });
        }
        journal.write_all(&bytes).map_err(fail)
    }
}

pub(crate) fn journal_path(state_dir: &Path, token: &Token) -> PathBuf {
    state_dir.join(format!("{}.staged", token.file_name()))
}
