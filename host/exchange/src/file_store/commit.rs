use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::file_store::source::schema_path;
use crate::file_store::stage::{Item, Stage};
use crate::store::{Committed, StoreError, Token};

/// Up to so many files are synced one by one; more are faster with their whole file system.
const SYNC_EACH: usize = 64;

/// What a commit will do, written to the disk before it does anything.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    steps: Vec<Step>,
    committed: Committed,
}

/// One step; doing it again changes nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
enum Step {
    /// Moves a staged file to `path` below `root`.
    Put { staged: PathBuf, root: PathBuf, path: PathBuf },
    /// Removes a file.
    Remove { root: PathBuf, path: PathBuf },
}

impl Manifest {
    pub(crate) fn of(stage: &Stage) -> Result<Self, StoreError> {
        let mut steps = Vec::new();
        let mut bindings = BTreeSet::new();
        for ((binding, path), item) in stage.items() {
            bindings.insert(binding.clone());
            match item {
                Item::Rows { target, data, written_schema, .. } => {
                    if let Some(staged) = written_schema {
                        steps.push(put(staged, &schema_path(target))?);
                    }
                    steps.push(put(data, target)?);
                }
                Item::File { root, staged, .. } => {
                    let path = PathBuf::from(path.as_deref().unwrap_or_default());
                    steps.push(Step::Put { staged: staged.clone(), root: root.clone(), path });
                }
                Item::Removed { root } => {
                    let path = PathBuf::from(path.as_deref().unwrap_or_default());
                    steps.push(Step::Remove { root: root.clone(), path });
                }
            }
        }
        // Removals first: a file may make way for a folder of its name.
        steps.sort_by_key(|step| matches!(step, Step::Put { .. }));
        let committed = Committed { bindings: bindings.into_iter().collect(), changes: steps.len() as u64 };
        Ok(Self { steps, committed })
    }

    /// Finds what would fail, as far as that can be known before.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let removed: BTreeSet<PathBuf> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Remove { root, path } => Some(root.join(path)),
                Step::Put { .. } => None,
            })
            .collect();
        for step in &self.steps {
            let Step::Put { staged, root, path } = step else { continue };
            let target = root.join(path);
            let fail = |reason: String| {
                Err(StoreError::Unusable { object: format!("the output {}", target.display()), reason })
            };
            let Ok(file) = fs::symlink_metadata(staged) else {
                return fail(format!("what was staged for it, {}, is gone", staged.display()));
            };
            if fs::symlink_metadata(&target).is_ok_and(|there| there.is_dir()) {
                return fail("it is a folder".to_owned());
            }
            if leads_out(root, path) {
                return fail("a link in its path leads out of the folder".to_owned());
            }
            // The nearest folder that exists takes the file, or the folders above it.
            let mut place = target.parent().unwrap_or(root);
            let metadata = loop {
                match fs::metadata(place) {
                    Ok(metadata) => break metadata,
                    Err(_) => match place.parent() {
                        Some(parent) => place = parent,
                        None => return fail("no folder above it exists".to_owned()),
                    },
                }
            };
            if removed.contains(place) {
                continue;
            }
            if !metadata.is_dir() {
                return fail(format!("{} is not a folder", place.display()));
            }
            if metadata.dev() != file.dev() {
                return fail(format!("{} is on another file system than {}", place.display(), staged.display()));
            }
            if let Err(error) = rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK) {
                return fail(format!("{} cannot be written: {error}", place.display()));
            }
        }
        Ok(())
    }

    /// Writes the contents of all staged files to the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let staged: Vec<&Path> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Put { staged, .. } => Some(staged.as_path()),
                Step::Remove { .. } => None,
            })
            .collect();
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { operation: "sync", path, source }
        };
        let mut synced = BTreeSet::new();
        for path in &staged {
            let file = File::open(path).map_err(fail(path))?;
            if staged.len() <= SYNC_EACH {
                file.sync_all().map_err(fail(path))?;
            } else if synced.insert(file.metadata().map_err(fail(path))?.dev()) {
                rustix::fs::syncfs(&file).map_err(|error| fail(path)(error.into()))?;
            }
        }
        Ok(())
    }

    /// Does all steps that aren't done yet.
    pub(crate) fn carry_out(&self) -> Result<(), StoreError> {
        self.carry_out_first(usize::MAX)
    }

    pub(crate) fn carry_out_first(&self, count: usize) -> Result<(), StoreError> {
        let mut changed = BTreeSet::new();
        for step in self.steps.iter().take(count) {
            match step {
                Step::Put { staged, root, path } => put_in_place(staged, root, path)?,
                Step::Remove { root, path } => remove(root, path)?,
            }
            let (Step::Put { root, path, .. } | Step::Remove { root, path }) = step;
            if let Some(parent) = root.join(path).parent() {
                changed.insert(parent.to_owned());
            }
        }
        for folder in changed {
            sync_folder(&folder)?;
        }
        Ok(())
    }

    pub(crate) fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Writes the intent: from here on the commit can only go forward.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StoreError> {
        let fail = |source| StoreError::Io { operation: "write", path: path.to_owned(), source };
        let temporary = path.with_extension("new");
        let bytes = serde_json::to_vec(self).map_err(|error| fail(error.into()))?;
        let mut file = File::create(&temporary).map_err(fail)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&temporary, path).map_err(fail)?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Reads a manifest; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let fail = |source| StoreError::Io { operation: "read", path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| fail(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(fail(source)),
        }
    }
}

/// Whether a link on the way to a path leads out of its folder.
fn leads_out(root: &Path, path: &Path) -> bool {
    let Ok(inside) = Dir::open_ambient_dir(root, ambient_authority()) else { return false };
    path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()).any(|parent| {
        // Not the system's word, but that of the library that holds us inside.
        inside
            .metadata(parent)
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none())
    })
}

/// The intent of a commit that has begun.
pub(crate) fn manifest_path(state_dir: &Path, token: &Token) -> PathBuf {
    state_dir.join(format!("{}.commit", token.file_name()))
}

/// The same, once it is carried out.
pub(crate) fn done_path(state_dir: &Path, token: &Token) -> PathBuf {
    state_dir.join(format!("{}.committed", token.file_name()))
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| StoreError::Io { operation: "sync", path: path.to_owned(), source })
}

fn put(staged: &Path, target: &Path) -> Result<Step, StoreError> {
    match (target.parent(), target.file_name()) {
        (Some(root), Some(name)) => {
            Ok(Step::Put { staged: staged.to_owned(), root: root.to_owned(), path: PathBuf::from(name) })
        }
        _ => Err(StoreError::Unusable {
            object: format!("the output {}", target.display()),
            reason: "it is not the path of a file".to_owned(),
        }),
    }
}

fn put_in_place(staged: &Path, root: &Path, path: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::Io { operation: "put in place", path: root.join(path), source };
    match fs::create_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        _ => {}
    }
    // Held inside the folder: a link in it must not lead the file somewhere else.
    let inside = Dir::open_ambient_dir(root, ambient_authority()).map_err(fail)?;
    let (Some(from), Some(name)) = (staged.parent(), staged.file_name()) else {
        return Err(fail(io::Error::other("it was staged nowhere")));
    };
    match fs::symlink_metadata(staged) {
        Ok(_) => {}
        // Done before, in a commit that was cut off.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return inside.symlink_metadata(path).map(drop).map_err(fail);
        }
        Err(error) => return Err(fail(error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        inside.create_dir_all(parent).map_err(fail)?;
    }
    let from = Dir::open_ambient_dir(from, ambient_authority()).map_err(fail)?;
    from.rename(name, &inside, path).map_err(fail)
}

fn remove(root: &Path, path: &Path) -> Result<(), StoreError> {
    let removed = Dir::open_ambient_dir(root, ambient_authority()).and_then(|inside| inside.remove_file(path));
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { operation: "remove", path: root.join(path), source: error })
        }
        _ => Ok(()),
    }
}
