use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use wharf_model::protocol::FileInfo;

use crate::folder_path::{FolderPath, RESERVED};
use crate::pump::StreamWriter;
use crate::store::StoreError;

/// A folder of the host, out of which no link leads.
#[derive(Debug)]
pub(crate) struct Folder {
    object: String,
    dir: Dir,
}

impl Folder {
    /// Opens a folder; `None` when it isn't there.
    pub(crate) fn open(object: &str, path: &Path) -> Result<Option<Self>, StoreError> {
        match Dir::open_ambient_dir(path, ambient_authority()) {
            Ok(dir) => Ok(Some(Self { object: object.to_owned(), dir })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(StoreError::Unusable {
                object: object.to_owned(),
                reason: format!("{} is not a folder", path.display()),
            }),
            Err(source) => Err(StoreError::Io { operation: "open", path: path.to_owned(), source }),
        }
    }

    /// Its files, in the order of their paths.
    ///
    /// Links to files inside are files; links to folders aren't followed. Names that can't be written in a request
    /// are left out, and said in the host's log.
    pub(crate) fn list(&self) -> Result<Vec<FileInfo>, StoreError> {
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = if folder.is_empty() { self.dir.entries() } else { self.dir.read_dir(&folder) };
            for entry in entries.map_err(|source| self.io("list", &folder, source))? {
                let entry = entry.map_err(|source| self.io("list", &folder, source))?;
                let name = entry.file_name();
                let joined = name
                    .to_str()
                    .map(|name| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
                if name.as_encoded_bytes().starts_with(RESERVED.as_bytes()) {
                    continue;
                }
                let Some(path) = joined.and_then(|path| FolderPath::new(&path).ok()) else {
                    tracing::warn!(object = self.object, ?name, "a file is left out: its name cannot be used");
                    continue;
                };
                let kind = entry.file_type().map_err(|source| self.io("list", path.as_str(), source))?;
                if kind.is_dir() {
                    folders.push(path.to_string());
                } else if let Ok(metadata) = self.dir.metadata(path.as_str())
                    && metadata.is_file()
                {
                    files.push(info(&path, &metadata));
                }
            }
        }
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    /// Opens a file of it, if it is one.
    pub(crate) fn file(&self, path: &FolderPath) -> Result<File, StoreError> {
        let object = || format!("the file {:?} of {}", path.as_str(), self.object);
        let mut options = OpenOptions::new();
        // Opening a pipe would wait for its other end.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self.dir.open_with(path.as_str(), &options).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreError::NotFound { object: object() },
            // Not the system's word, but that of the library that holds us inside.
            io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => StoreError::Unusable {
                object: object(),
                reason: "it is a link that leads out of the folder".to_owned(),
            },
            _ => self.io("open", path.as_str(), source),
        })?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(StoreError::Unusable { object: object(), reason: "it is not a file".to_owned() });
        }
        Ok(file)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.dir.metadata(path).is_ok_and(|metadata| metadata.is_file())
    }

    fn io(&self, operation: &'static str, path: &str, source: io::Error) -> StoreError {
        StoreError::Io { operation, path: Path::new(&self.object).join(path), source }
    }
}

/// Writes a file into a stream. Blocks.
pub(crate) fn copy_out(mut file: impl Read, object: &str, output: &mut StreamWriter) -> Result<(), StoreError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let len = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(StoreError::Io { operation: "read", path: Path::new(object).to_owned(), source });
            }
        };
        output.write_all(&buffer[..len]).map_err(|source| StoreError::Broken { object: object.to_owned(), source })?;
    }
}

fn info(path: &FolderPath, metadata: &Metadata) -> FileInfo {
    let modified = metadata.modified().ok().and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
    FileInfo {
        path: path.to_string(),
        size: metadata.len(),
        modified: modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// The names that a folder has and will have: which ones can't be beside others.
///
/// Names that differ by case alone are refused: on some systems they are one, and one file would silently replace the
/// other.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_lowercase: HashMap<String, Vec<(String, Kind)>>,
}

impl Names {
    pub(crate) fn of(files: &[FileInfo]) -> Self {
        let mut names = Self::default();
        for file in files {
            if let Ok(path) = FolderPath::new(&file.path) {
                names.add(&path);
            }
        }
        names
    }

    /// Whether a file of this path can be beside those that are there.
    pub(crate) fn check(&self, path: &FolderPath) -> Result<(), StoreError> {
        for (name, kind) in parts(path) {
            let Some(there) = self.by_lowercase.get(&name.to_lowercase()) else { continue };
            let taken = |reason: String| Err(StoreError::NameTaken { path: path.to_string(), reason });
            match there.iter().find(|(other, _)| other == name) {
                Some((_, other)) if *other == kind => {}
                Some((_, Kind::File)) => return taken(format!("{name:?} is a file, not a folder")),
                Some((_, Kind::Folder)) => return taken(format!("{name:?} is a folder, not a file")),
                None => {
                    let other = &there[0].0;
                    return taken(format!("{other:?} is there, and names must differ by more than case"));
                }
            }
        }
        Ok(())
    }

    /// Returns how many bytes of names are new.
    pub(crate) fn add(&mut self, path: &FolderPath) -> usize {
        let mut new = 0;
        for (name, kind) in parts(path) {
            let there = self.by_lowercase.entry(name.to_lowercase()).or_default();
            if !there.iter().any(|(other, _)| other == name) {
                there.push((name.to_owned(), kind));
                new += 2 * name.len();
            }
        }
        new
    }

    pub(crate) fn remove(&mut self, path: &FolderPath) {
        if let Some(there) = self.by_lowercase.get_mut(&path.as_str().to_lowercase()) {
            there.retain(|(other, _)| other != path.as_str());
            if there.is_empty() {
                self.by_lowercase.remove(&path.as_str().to_lowercase());
            }
        }
    }
}

fn parts(path: &FolderPath) -> impl Iterator<Item = (&str, Kind)> {
    path.parents().map(|parent| (parent, Kind::Folder)).chain([(path.as_str(), Kind::File)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn path(path: &str) -> FolderPath {
        FolderPath::new(path).unwrap()
    }

    #[test]
    fn no_link_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("folder");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(place.path().join("secret"), "secret").unwrap();
        fs::write(root.join("sub/file"), "inside").unwrap();
        symlink("sub/file", root.join("inside")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let folder = Folder::open("folder \"f\"", &root).unwrap().unwrap();
        let listed: Vec<String> = folder.list().unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(listed, ["inside", "sub/file"]);
        let mut text = String::new();
        folder.file(&path("inside")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        for out in ["out", "absolute", "up/secret", "up/folder/sub/file"] {
            let error = folder.file(&path(out)).unwrap_err();
            assert!(error.to_string().contains("leads out of the folder"), "{out}: {error}");
        }
        assert!(folder.file(&path("loop")).is_err());
        assert!(folder.file(&path("pipe")).unwrap_err().to_string().contains("not a file"));
        assert!(folder.file(&path("sub")).unwrap_err().to_string().contains("not a file"));
        assert!(matches!(folder.file(&path("sub/none")), Err(StoreError::NotFound { .. })));
        assert!(matches!(folder.file(&path("inside/none")), Err(StoreError::NotFound { .. })));
    }

    #[test]
    fn names_that_cannot_be_beside_others() {
        let mut names = Names::default();
        names.add(&path("a/B/c"));
        names.add(&path("é"));
        for good in ["a/B/c", "a/B/d", "a/x", "b"] {
            names.check(&path(good)).unwrap();
        }
        for bad in ["A/x", "a/b/c", "a/B/C", "a/B", "a/B/c/d", "É"] {
            assert!(matches!(names.check(&path(bad)), Err(StoreError::NameTaken { .. })), "{bad}");
        }
        names.remove(&path("a/B/c"));
        names.check(&path("a/B/C")).unwrap();
    }
}
