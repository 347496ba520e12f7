//! Files that change whole at once.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wharf_components::Evidence;
use wharf_model::Fault;

use crate::settings::Home;

/// How the folders begin in which something comes.
const STAGE: &str = ".installing-";
/// An older one is what a process left that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Writes a file beside its place and renames it.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    fresh.write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fs::set_permissions(fresh.path(), fs::Permissions::from_mode(0o644))?;
    fresh.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// A folder in the home in which something comes; it goes with this. On the home's own disk, so that renaming is enough.
pub(super) fn stage(home: &Home) -> Result<TempDir, Fault> {
    for entry in fs::read_dir(home.root()).into_iter().flatten().flatten() {
        let left = entry.file_name().to_string_lossy().starts_with(STAGE)
            && entry
                .metadata()
                .and_then(|about| about.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED));
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new().prefix(STAGE).tempdir_in(home.root()).map_err(|error| unusable(home.root(), &error))
}

/// Held while files of components change: two at once would lose one's line in the lock file.
pub(super) fn hold(home: &Home) -> Result<File, Fault> {
    let file = home.state_dir().join("components.changing");
    let open = || {
        fs::create_dir_all(home.state_dir())?;
        let held = File::options().write(true).create(true).truncate(false).open(&file)?;
        held.lock()?;
        Ok(held)
    };
    open().map_err(|error: io::Error| unusable(&file, &error))
}

/// Puts a staged component with its signatures where the host finds it.
pub(super) fn put(staged: &Path, target: &Path) -> Result<(), Fault> {
    let failed = |error: io::Error| unusable(target, &error);
    fs::create_dir_all(target.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    for (from, to) in signatures(staged).into_iter().zip(signatures(target)) {
        if from.is_file() {
            fs::rename(&from, &to).map_err(failed)?;
        } else {
            remove_file(&to).map_err(failed)?;
        }
    }
    fs::rename(staged, target).map_err(failed)?;
    // The names are on the disk when this returns.
    target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(failed)
}

/// Copies a component with its signatures.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    for (from, to) in signatures(from).into_iter().zip(signatures(to)) {
        if from.is_file() {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Removes a component with its signatures.
pub(super) fn remove(file: &Path) -> Result<(), Fault> {
    std::iter::once(file.to_owned())
        .chain(signatures(file))
        .try_for_each(|path| remove_file(&path).map_err(|error| unusable(&path, &error)))
}

fn signatures(wasm: &Path) -> [PathBuf; 2] {
    [Evidence::minisig_file(wasm), Evidence::cosign_file(wasm)]
}

fn remove_file(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> Fault {
    Fault::new("component-folder-unusable", format!("the files of components can't be changed: {error}"))
        .at(path, None)
        .hint("see whether this user may write there, and whether the disk has room")
}
