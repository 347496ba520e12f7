use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wharf_model::protocol::TaskFile;

/// Where recipes work, in an image.
const WORK: &str = "/wharf/work";

/// The folder that the recipe starts in: the image's own, or a fresh one where that can't be written.
pub(crate) fn work_folder() -> Result<PathBuf, String> {
    let work = Path::new(WORK);
    if is_writable(work) { Ok(work.to_owned()) } else { private_folder("work") }
}

/// A fresh folder that nobody else can enter.
pub(crate) fn private_folder(purpose: &str) -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let temporary = std::env::temp_dir();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = temporary.join(format!("wharf-{purpose}-{}-{count}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(format!(
                    "neither {WORK} nor {} can be written: {error}; give the container a writable /tmp",
                    temporary.display()
                ));
            }
        }
    }
}

pub(crate) fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok() && folder.is_dir()
}

/// Writes the task's files; the error is a sentence.
pub(crate) fn write_files(folder: &Path, files: &[TaskFile]) -> Result<(), String> {
    for file in files {
        let inside = !file.path.is_empty()
            && Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(format!("the file {:?} of the task is not inside the working folder", file.path));
        }
        let contents = STANDARD
            .decode(&file.base64)
            .map_err(|error| format!("the file {:?} of the task is not base64: {error}", file.path))?;
        write_file(&folder.join(&file.path), &contents, file.executable)
            .map_err(|error| format!("cannot write the file {:?} of the task: {error}", file.path))?;
    }
    Ok(())
}

fn write_file(path: &Path, contents: &[u8], executable: bool) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str| TaskFile { path: path.to_owned(), base64: "aGk=".to_owned(), executable: false };
        write_files(folder.path(), &[file("a"), file("b/c")]).unwrap();
        assert_eq!(fs::read(folder.path().join("b/c")).unwrap(), b"hi");
        for bad in ["", "/etc/x", "../x", "a/../../x"] {
            assert!(write_files(folder.path(), &[file(bad)]).unwrap_err().contains("not inside"), "{bad}");
        }
    }
}
