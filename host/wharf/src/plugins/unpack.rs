//! A plugin's files, copied out of a folder or a zip file: nothing of them leaves their place, and nothing is a link.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

use wharf_model::Fault;
use zip::ZipArchive;
use zip::result::ZipError;

use super::INVALID;

/// The most files and folders of a plugin.
const MAX_ENTRIES: usize = 20_000;
/// The most bytes of all its files.
const MAX_BYTES: u64 = 1 << 30;
/// The longest path.
const MAX_PATH: usize = 1_024;
/// What isn't part of a plugin.
const LEFT_OUT: [&str; 4] = [".git", "__pycache__", "__MACOSX", ".DS_Store"];

/// Copies the plugin at `source` into the empty folder `target`.
pub(super) fn unpack(source: &Path, target: &Path) -> Result<(), Fault> {
    let about = fs::metadata(source).map_err(|error| {
        Fault::new("plugin-not-found", format!("it can't be read: {error}"))
            .at(source, None)
            .hint("name a folder or a zip file with a plugin in it")
    })?;
    let mut room = Room { bytes: MAX_BYTES, entries: MAX_ENTRIES };
    let unpacked = if about.is_dir() {
        copy_folder(source, Path::new(""), target, &mut room)
    } else {
        File::open(source).map_err(Problem::from).and_then(|file| unzip(file, target, &mut room))
    };
    unpacked.map_err(|problem| match problem {
        Problem::Said(message) => Fault::new(INVALID, message).at(source, None),
        Problem::Io(error) => Fault::new("plugin-folder-unusable", format!("it can't be unpacked: {error}"))
            .at(source, None)
            .hint("see whether the disk has room, and whether this user may read and write there"),
    })
}

enum Problem {
    /// The plugin's fault.
    Said(String),
    /// The machine's.
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What may still come.
struct Room {
    bytes: u64,
    entries: usize,
}

impl Room {
    fn entry(&mut self) -> Result<(), Problem> {
        self.entries = self.entries.checked_sub(1).ok_or_else(|| {
            Problem::Said(format!("it has more than {MAX_ENTRIES} files and folders, which no plugin needs"))
        })?;
        Ok(())
    }

    /// Writes a file of at most what is left; what it says of its own size counts for nothing.
    fn write(&mut self, from: impl Read, to: &Path, executable: bool) -> Result<(), Problem> {
        let mut file = File::create_new(to)?;
        let written = io::copy(&mut from.take(self.bytes + 1), &mut file).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                Problem::Said(format!("{} in it is damaged: {error}", shown(to)))
            }
            _ => Problem::Io(error),
        })?;
        self.bytes = self.bytes.checked_sub(written).ok_or_else(|| {
            Problem::Said(format!("it unpacks to more than {} MiB, which no plugin needs", MAX_BYTES >> 20))
        })?;
        file.flush()?;
        if executable {
            fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn copy_folder(root: &Path, below: &Path, target: &Path, room: &mut Room) -> Result<(), Problem> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        room.entry()?;
        let path = below.join(&name);
        check(&path)?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(target.join(&path))?;
            copy_folder(root, &path, target, room)?;
        } else if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            room.write(File::open(entry.path())?, &target.join(&path), executable)?;
        } else {
            let what = if kind.is_symlink() { "a link" } else { "neither a file nor a folder" };
            return Err(Problem::Said(format!("{} is {what}; a plugin has files and folders only", path.display())));
        }
    }
    Ok(())
}

fn unzip(file: File, target: &Path, room: &mut Room) -> Result<(), Problem> {
    let said = |error: ZipError| match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::InvalidData && error.raw_os_error().is_some() => {
            Problem::Io(error)
        }
        error => Problem::Said(format!("it isn't a folder, nor a zip file that can be read: {error}")),
    };
    let mut archive = ZipArchive::new(file).map_err(said)?;
    for at in 0..archive.len() {
        room.entry()?;
        let entry = archive.by_index(at).map_err(said)?;
        // As `zip -r plugin.zip ./` has them.
        let name = entry.name().map_err(said)?.trim_start_matches("./").to_owned();
        if name.is_empty() {
            continue;
        }
        let path = Path::new(&name);
        if entry.encrypted() {
            return Err(Problem::Said(format!("{name} in it is encrypted")));
        }
        // Backslashes are how some archives of Windows mean folders; here they would be part of a name.
        if name.contains('\\') {
            return Err(Problem::Said(format!("the name \"{}\" in it has a backslash", name.escape_debug())));
        }
        check(path)?;
        if path.iter().any(|part| LEFT_OUT.iter().any(|left_out| part == *left_out)) {
            continue;
        }
        if entry.is_symlink() {
            return Err(Problem::Said(format!("{name} in it is a link; a plugin has files and folders only")));
        }
        let to = target.join(path);
        if entry.is_dir() {
            fs::create_dir_all(&to)?;
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        if to.symlink_metadata().is_ok() {
            return Err(Problem::Said(format!("{name} is in it twice")));
        }
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        room.write(entry, &to, executable)?;
    }
    Ok(())
}

/// Refuses whatever could mean another place than one below the plugin's folder.
fn check(path: &Path) -> Result<(), Problem> {
    let shown = || path.to_string_lossy().escape_debug().to_string();
    let Some(text) = path.to_str() else {
        return Err(Problem::Said(format!("the name \"{}\" isn't UTF-8", shown())));
    };
    if text.chars().any(char::is_control) || text.len() > MAX_PATH {
        return Err(Problem::Said(format!("the name \"{}\" can't be a plugin's file", shown())));
    }
    if text.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Problem::Said(format!("\"{}\" leads out of the plugin's folder", shown())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn zip(fill: impl FnOnce(&mut ZipWriter<&mut File>)) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ZipWriter::new(file.as_file_mut());
        fill(&mut writer);
        writer.finish().unwrap();
        file
    }

    fn put(writer: &mut ZipWriter<&mut File>, name: &str, contents: &[u8]) {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(contents).unwrap();
    }

    fn why(source: &Path) -> String {
        let target = tempfile::tempdir().unwrap();
        let fault = unpack(source, target.path()).unwrap_err();
        assert_eq!(fault.code, INVALID, "{fault}");
        fault.message
    }

    #[test]
    fn a_zip_and_a_folder_give_the_same_files() {
        let zipped = zip(|writer| {
            put(writer, "geo/plugin.json", b"{}");
            put(writer, "geo/python-lib/geo/a b.py", b"1");
            put(writer, "__MACOSX/geo/._plugin.json", b"x");
        });
        let one = tempfile::tempdir().unwrap();
        unpack(zipped.path(), one.path()).unwrap();
        fs::create_dir(one.path().join("geo/.git")).unwrap();
        let other = tempfile::tempdir().unwrap();
        unpack(&one.path().join("geo"), other.path()).unwrap();
        assert_eq!(fs::read(other.path().join("python-lib/geo/a b.py")).unwrap(), b"1");
        assert!(other.path().join("plugin.json").exists() && !other.path().join(".git").exists());
        assert!(!one.path().join("__MACOSX").exists());
    }

    #[test]
    fn what_leads_out_is_refused() {
        for name in ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "a/\n", "./../evil"] {
            let zipped = zip(|writer| put(writer, name, b"x"));
            let why = why(zipped.path());
            let said = ["leads out", "backslash", "can't be a plugin's file"].iter().any(|words| why.contains(words));
            assert!(said, "{name:?}: {why}");
        }
        let linked = zip(|writer| writer.add_symlink("lib", "/etc", SimpleFileOptions::default()).unwrap());
        assert!(why(linked.path()).contains("lib in it is a link"));
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", folder.path().join("passwd")).unwrap();
        assert!(why(folder.path()).contains("passwd is a link"));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = zip(|writer| put(writer, "zeros", &vec![0; 8 << 20]));
        assert!(bomb.path().metadata().unwrap().len() < 64 << 10);
        let target = tempfile::tempdir().unwrap();
        let mut room = Room { bytes: 1 << 20, entries: 10 };
        let Err(Problem::Said(why)) = unzip(bomb.reopen().unwrap(), target.path(), &mut room) else {
            panic!("it was unpacked")
        };
        assert!(why.contains("unpacks to more than"), "{why}");
        let written = target.path().join("zeros").metadata().unwrap().len();
        assert!(written <= (1 << 20) + 1, "{written}");

        let crowd = zip(|writer| (0..11).for_each(|at| put(writer, &format!("{at}"), b"")));
        let target = tempfile::tempdir().unwrap();
        let mut room = Room { bytes: 1 << 20, entries: 10 };
        assert!(matches!(unzip(crowd.reopen().unwrap(), target.path(), &mut room), Err(Problem::Said(_))));
    }

    #[test]
    fn what_is_no_zip_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "PK no").unwrap();
        assert!(why(file.path()).contains("nor a zip file that can be read"));
        let missing = unpack(Path::new("/nowhere/x.zip"), file.path()).unwrap_err();
        assert_eq!(missing.code, "plugin-not-found");
        let zipped = zip(|writer| put(writer, "a", &[7; 1000]));
        let mut bytes = fs::read(zipped.path()).unwrap();
        let at = bytes.len() / 2;
        bytes.truncate(at);
        fs::write(file.path(), bytes).unwrap();
        assert!(why(file.path()).contains("can't") || why(file.path()).contains("zip"));
    }
}
