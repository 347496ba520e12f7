//! The one folder that a component may have been granted.

use std::io::{self, Read};
use std::path::{Component, Path};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};

use crate::tree::Digests;

/// The largest file that can be read through a grant.
pub(crate) const MAX_FILE: u64 = 8 * 1024 * 1024;
/// The most names that a listing gives.
const MAX_ENTRIES: usize = 10_000;

/// A folder that is read through a capability: no path, and no link in it, leads out of it.
#[derive(Clone, Debug)]
pub(crate) struct GrantedFolder {
    dir: Arc<Dir>,
    digests: Arc<Digests>,
    path: Arc<Path>,
}

/// Why something couldn't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("it isn't there")]
    NotFound,
    #[error("it is outside of the granted folder")]
    Outside,
    #[error("it is larger than {} MiB", MAX_FILE >> 20)]
    TooLarge,
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            // What the capability refuses has no number of the system's.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::Outside,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl GrantedFolder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = Arc::new(Dir::open_ambient_dir(path, ambient_authority())?);
        Ok(Self { dir, digests: Arc::default(), path: path.into() })
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Reads a whole file. Blocks.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, FolderError> {
        check(path)?;
        let mut options = OpenOptions::new();
        // A named pipe would wait for a writer, perhaps for ever.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = self.dir.open_with(path, options.read(true).custom_flags(nonblocking))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(FolderError::Other("it isn't a file".to_owned()));
        }
        if metadata.len() > MAX_FILE {
            return Err(FolderError::TooLarge);
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE { Err(FolderError::TooLarge) } else { Ok(bytes) }
    }

    /// The names in a folder, sorted; those of folders end in `/`. Blocks.
    pub(crate) fn entries(&self, path: &str) -> Result<Vec<String>, FolderError> {
        let list = if path.is_empty() {
            self.dir.entries()?
        } else {
            check(path)?;
            self.dir.read_dir(path)?
        };
        let mut names = Vec::new();
        for entry in list {
            let entry = entry?;
            // A name that isn't UTF-8 can't be given to a component, nor asked for by one.
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_dir() {
                name.push('/');
            }
            names.push(name);
            if names.len() > MAX_ENTRIES {
                return Err(FolderError::Other(format!("it has more than {MAX_ENTRIES} entries")));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Says "outside" by the path alone, before anything is opened.
fn check(path: &str) -> Result<(), FolderError> {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if path.contains('\0') {
        Err(FolderError::NotFound)
    } else if inside {
        Ok(())
    } else {
        Err(FolderError::Outside)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leaves_the_folder() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("secret"), "s").unwrap();
        let granted = home.path().join("granted");
        fs::create_dir_all(granted.join("sub")).unwrap();
        fs::write(granted.join("sub/a.txt"), "a").unwrap();
        symlink("../secret", granted.join("link")).unwrap();
        symlink("/etc/passwd", granted.join("absolute")).unwrap();
        let folder = GrantedFolder::open(&granted).unwrap();

        assert_eq!(folder.read("sub/a.txt").unwrap(), b"a");
        for path in ["../secret", "/etc/passwd", "sub/../../secret", "link", "absolute"] {
            assert!(matches!(folder.read(path), Err(FolderError::Outside)), "{path}: {:?}", folder.read(path));
        }
        assert!(matches!(folder.read("nothing"), Err(FolderError::NotFound)));
        assert!(matches!(folder.read("sub"), Err(FolderError::Other(_))));
        assert_eq!(folder.entries("").unwrap(), ["absolute", "link", "sub/"]);
        assert!(matches!(folder.entries(".."), Err(FolderError::Outside)));
    }

    #[test]
    fn large_files_and_pipes_end_at_once() {
        let home = tempfile::tempdir().unwrap();
        let large = fs::File::create(home.path().join("large")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, home.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
        let folder = GrantedFolder::open(home.path()).unwrap();
        assert!(matches!(folder.read("large"), Err(FolderError::TooLarge)));
        assert!(matches!(folder.read("pipe"), Err(FolderError::Other(_))));
    }
}
