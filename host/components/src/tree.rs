//! A folder below a granted one, as an image gets it.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use sha2::{Digest as _, Sha256};

use crate::folder::GrantedFolder;

/// The most files that a folder may have.
const MAX_FILES: usize = 20_000;
/// The most bytes that its files may have together.
const MAX_BYTES: u64 = 1 << 30;
/// The deepest that its folders may go.
const MAX_DEPTH: usize = 64;
/// What interpreters leave behind, different on every machine.
const LEFT_OUT: &str = "__pycache__";

/// Why a folder can't be in an image.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Its component was granted no folder.
    #[error("no folder was granted; its TOML says `folder = \"PATH\"` under [grants]")]
    NotGranted,
    /// Something in it can't be.
    #[error("\"{path}\" {problem}")]
    Unfit {
        /// Below the granted folder.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It can't be read.
    #[error("\"{path}\" can't be read: {source}")]
    Io {
        /// Below the granted folder.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A folder with its files, as they were when it was looked at.
#[derive(Clone, Debug)]
pub struct Tree {
    dir: Arc<Dir>,
    path: String,
    files: Vec<TreeFile>,
    digest: String,
}

/// One file of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Below the folder.
    pub path: String,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// In bytes.
    pub size: u64,
    /// Changes whenever the file does.
    stamp: (u64, i64, i64, i64, i64),
}

/// What folders were when they were hashed last, by their path.
pub(crate) type Digests = Mutex<HashMap<String, (Vec<TreeFile>, String)>>;

impl Tree {
    /// Looks at a folder. Blocks: one that changed since is read whole, for its digest.
    ///
    /// # Errors
    /// It has links in it or is too large for an image, or can't be read.
    pub(crate) fn look(granted: &GrantedFolder, path: &str) -> Result<Self, TreeError> {
        let dir = granted.dir().open_dir(path).map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
        let mut tree = Self { dir: Arc::new(dir), path: path.to_owned(), files: Vec::new(), digest: String::new() };
        let root = tree.dir.try_clone().map_err(|source| tree.io("", source))?;
        tree.walk(&root, "", 0)?;
        tree.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        if tree.files.iter().map(|file| file.size).sum::<u64>() > MAX_BYTES {
            return Err(tree.unfit("", format!("has more than {} MiB in it", MAX_BYTES >> 20)));
        }
        let known = granted.digests().lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        tree.digest = match known {
            Some((files, digest)) if files == tree.files => digest,
            _ => {
                let digest = tree.hash()?;
                let mut digests = granted.digests().lock().unwrap_or_else(PoisonError::into_inner);
                digests.insert(path.to_owned(), (tree.files.clone(), digest.clone()));
                digest
            }
        };
        Ok(tree)
    }

    /// SHA-256 over the paths, the modes and the contents of its files, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its files, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    /// Reads one of its files whole. Blocks.
    ///
    /// # Errors
    /// It is another one than it was, or can't be read.
    pub fn read(&self, file: &TreeFile) -> Result<Vec<u8>, TreeError> {
        let mut options = OpenOptions::new();
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let failed = |source| self.io(&file.path, source);
        let opened = self.dir.open_with(&file.path, options.read(true).custom_flags(nonblocking)).map_err(failed)?;
        let changed = || self.unfit(&file.path, "was changed while it was read".to_owned());
        if stamp(&opened.metadata().map_err(failed)?) != file.stamp {
            return Err(changed());
        }
        let mut bytes = Vec::new();
        opened.take(file.size + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 == file.size { Ok(bytes) } else { Err(changed()) }
    }

    fn walk(&mut self, dir: &Dir, below: &str, depth: usize) -> Result<(), TreeError> {
        if depth > MAX_DEPTH {
            return Err(self.unfit(below, format!("is more than {MAX_DEPTH} folders deep")));
        }
        let entries = dir.entries().map_err(|source| self.io(below, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| self.io(below, source))?;
            let join = |name: &str| if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| self.unfit(&join(&name.to_string_lossy()), "has a name that isn't UTF-8".to_owned()))?;
            let path = join(&name);
            let kind = entry.file_type().map_err(|source| self.io(&path, source))?;
            if kind.is_dir() {
                if name != LEFT_OUT {
                    let inner = entry.open_dir().map_err(|source| self.io(&path, source))?;
                    self.walk(&inner, &path, depth + 1)?;
                }
                continue;
            }
            if !kind.is_file() {
                let what = if kind.is_symlink() { "is a link" } else { "is neither a file nor a folder" };
                return Err(self.unfit(&path, format!("{what}, which an image doesn't get; put a copy in its place")));
            }
            let about = entry.metadata().map_err(|source| self.io(&path, source))?;
            let executable = about.mode() & 0o100 != 0;
            self.files.push(TreeFile { path, executable, size: about.len(), stamp: stamp(&about) });
            if self.files.len() > MAX_FILES {
                return Err(self.unfit("", format!("has more than {MAX_FILES} files")));
            }
        }
        Ok(())
    }

    fn hash(&self) -> Result<String, TreeError> {
        let mut all = Sha256::new();
        for file in &self.files {
            let contents = Sha256::digest(self.read(file)?);
            all.update(format!("{}\0{}\0{}\0", file.path, u8::from(file.executable), file.size));
            all.update(contents);
        }
        Ok(hex::encode(all.finalize()))
    }

    fn shown(&self, path: &str) -> String {
        if path.is_empty() { self.path.clone() } else { format!("{}/{path}", self.path) }
    }

    fn unfit(&self, path: &str, problem: String) -> TreeError {
        TreeError::Unfit { path: self.shown(path), problem }
    }

    fn io(&self, path: &str, source: io::Error) -> TreeError {
        TreeError::Io { path: self.shown(path), source }
    }
}

fn stamp(about: &cap_std::fs::Metadata) -> (u64, i64, i64, i64, i64) {
    (about.ino(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn granted() -> (tempfile::TempDir, GrantedFolder) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("plugin/lib/sub/__pycache__")).unwrap();
        fs::write(dir.path().join("plugin/lib/b.py"), "b = 1\n").unwrap();
        fs::write(dir.path().join("plugin/lib/sub/a.py"), "a = 1\n").unwrap();
        fs::write(dir.path().join("plugin/lib/sub/__pycache__/a.pyc"), "x").unwrap();
        let folder = GrantedFolder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn the_same_files_have_the_same_digest() {
        let (dir, folder) = granted();
        let first = Tree::look(&folder, "plugin/lib").unwrap();
        let paths: Vec<&str> = first.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["b.py", "sub/a.py"]);
        assert_eq!(first.read(&first.files()[1]).unwrap(), b"a = 1\n");
        fs::write(dir.path().join("plugin/lib/sub/__pycache__/a.pyc"), "y").unwrap();
        assert_eq!(Tree::look(&folder, "plugin/lib").unwrap().digest(), first.digest());

        fs::write(dir.path().join("plugin/lib/b.py"), "b = 2\n").unwrap();
        let changed = Tree::look(&folder, "plugin/lib").unwrap();
        assert_ne!(changed.digest(), first.digest());
        assert!(first.read(&first.files()[0]).unwrap_err().to_string().contains("was changed while it was read"));
        // Elsewhere, with other times: the same contents.
        let (_other, other) = granted();
        assert_eq!(Tree::look(&other, "plugin/lib").unwrap().digest(), first.digest());
    }

    #[test]
    fn links_and_what_is_no_file_are_named() {
        let (dir, folder) = granted();
        symlink("/etc/passwd", dir.path().join("plugin/lib/sub/passwd")).unwrap();
        let refused = Tree::look(&folder, "plugin/lib").unwrap_err().to_string();
        assert!(refused.starts_with("\"plugin/lib/sub/passwd\" is a link"), "{refused}");
        fs::remove_file(dir.path().join("plugin/lib/sub/passwd")).unwrap();
        symlink("/etc", dir.path().join("plugin/etc")).unwrap();
        assert!(Tree::look(&folder, "plugin/etc").is_err());
        assert!(Tree::look(&folder, "../").is_err());
        assert!(Tree::look(&folder, "nothing").unwrap_err().to_string().contains("can't be read"));
    }
}
