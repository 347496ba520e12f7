//! The files of a component or of a group, as they are on disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wharf_model::{Fault, document};

use crate::evidence::{Evidence, MAX_EVIDENCE};
use crate::settings_file::{self, ComponentSettingsFile};

/// The largest file that is loaded.
const MAX_WASM: u64 = 64 * 1024 * 1024;
/// The largest TOML file that is read.
const MAX_TOML: u64 = 1024 * 1024;
/// A file changed so recently may change again without any sign of it: file systems keep time in ticks.
const SETTLED: Duration = Duration::from_millis(50);

/// What one look at a file shows without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            // Nobody can set this one back.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_settled(&self, now: Duration) -> bool {
        let changed = Duration::new(self.changed.0.try_into().unwrap_or(0), self.changed.1.try_into().unwrap_or(0));
        now.checked_sub(changed).is_some_and(|age| age >= SETTLED)
    }
}

/// What one look at the files shows. Equal looks mean equal files only when the earlier one was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    wasm: Option<Stamp>,
    toml: Option<Stamp>,
    /// The files with signatures.
    evidence: [Option<Stamp>; 2],
}

impl Look {
    pub(crate) fn at(files: &Files) -> Self {
        let wasm = files.wasm.as_deref();
        Self {
            wasm: wasm.and_then(Stamp::of),
            toml: Stamp::of(&files.toml),
            evidence: [wasm.map(Evidence::minisig_file), wasm.map(Evidence::cosign_file)]
                .map(|file| file.as_deref().and_then(Stamp::of)),
        }
    }

    /// Whether nothing changed just before now.
    pub(crate) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        [self.wasm, self.toml].into_iter().chain(self.evidence).flatten().all(|stamp| stamp.is_settled(now))
    }
}

/// Where a component's two files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// None for a TOML file that names no component: a group, or one whose component is gone.
    pub(crate) wasm: Option<PathBuf>,
    /// It needn't be there.
    pub(crate) toml: PathBuf,
}

/// Which folder it is, whatever path led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FolderIdentity {
    device: u64,
    inode: u64,
    /// Inodes are used again; where the file system keeps it, this tells them apart.
    made: Option<SystemTime>,
}

impl FolderIdentity {
    /// None when there is no folder.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let metadata = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
        Some(Self { device: metadata.dev(), inode: metadata.ino(), made: metadata.created().ok() })
    }
}

fn is_wasm(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm")
}

/// The files of a folder that stand for something, in order: its `.wasm` files, and the `.toml` files beside which there is none.
///
/// # Errors
/// Also that the folder isn't there.
pub(crate) fn component_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Names that begin with a dot are of files that are still being written.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && (is_wasm(&path) || path.extension().is_some_and(|extension| extension == "toml")) {
            files.push(path);
        }
    }
    files.sort();
    let with_wasm: Vec<PathBuf> =
        files.iter().filter(|file| is_wasm(file)).map(|file| file.with_extension("toml")).collect();
    files.retain(|file| with_wasm.binary_search(file).is_err());
    Ok(files)
}

/// A component's files, read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file that it is listed by, and named for: the `.wasm`, or a TOML file that has none beside it.
    pub(crate) file: PathBuf,
    pub(crate) files: Files,
    /// None when there is no such file to be.
    pub(crate) wasm: Option<Result<Vec<u8>, Fault>>,
    /// None when there is no such file.
    pub(crate) toml: Result<Option<String>, Fault>,
    /// The signatures beside the `.wasm`.
    pub(crate) evidence: Evidence,
    pub(crate) print: Fingerprint,
    /// Each file was looked at before it was read: a change in between is seen at the next look.
    pub(crate) look: Look,
}

/// What is in both files, hashed; none for one that isn't there or can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) wasm: Option<String>,
    pub(crate) toml: Option<String>,
    pub(crate) evidence: Option<String>,
}

impl Source {
    pub(crate) fn read(file: &Path) -> Self {
        Self::read_with(file, &file.with_extension("toml"))
    }

    /// The same, with a TOML file that stands elsewhere.
    pub(crate) fn read_with(file: &Path, toml_file: &Path) -> Self {
        let toml_stamp = Stamp::of(toml_file);
        let toml = match read_file(toml_file, MAX_TOML) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| "it isn't UTF-8 text".to_owned()),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(format!("it can't be read: {error}")),
            Err(ReadError::TooLarge) => Err(format!("it is larger than {} MiB", MAX_TOML >> 20)),
        }
        .map_err(|message| Fault::new(settings_file::CODE, message).at(toml_file, None));
        let text = toml.as_ref().ok().and_then(Option::as_deref);
        let wasm_file = if is_wasm(file) {
            Some(file.to_owned())
        } else {
            let settings = text.and_then(|text| ComponentSettingsFile::read(toml_file, text).ok());
            settings.and_then(|settings| settings.component).map(|name| file.with_file_name(name))
        };
        let files = Files { wasm: wasm_file.clone(), toml: toml_file.to_owned() };
        let look = Look { toml: toml_stamp, ..Look::at(&files) };
        let wasm = wasm_file.as_deref().map(|wasm_file| {
            read_file(wasm_file, MAX_WASM).map_err(|error| match error {
                ReadError::TooLarge => {
                    Fault::new("component-too-large", format!("it is larger than {} MiB", MAX_WASM >> 20))
                        .at(wasm_file, None)
                        .hint("build it for size, without debugging information")
                }
                ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound && wasm_file != file => {
                    let name = wasm_file.file_name().unwrap_or_default().display();
                    let line = text.and_then(|text| document::line_of(text, &["component"]));
                    Fault::new(settings_file::CODE, format!("`component` is \"{name}\", which isn't there"))
                        .at(toml_file, line)
                        .hint("put it into the same folder")
                }
                ReadError::Io(error) => {
                    Fault::new("component-unreadable", format!("it can't be read: {error}")).at(wasm_file, None)
                }
            })
        });
        let evidence = wasm_file.as_deref().map(read_evidence).unwrap_or_default();
        let print = Fingerprint {
            wasm: wasm.as_ref().and_then(|wasm| wasm.as_ref().ok()).map(|bytes| digest(bytes)),
            toml: text.map(|text| digest(text.as_bytes())),
            evidence: (!evidence.is_empty()).then(|| digest(format!("{evidence:?}").as_bytes())),
        };
        Self { file: file.to_owned(), files, wasm, toml, evidence, print, look }
    }

    /// The name by which all files call it.
    pub(crate) fn name(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The file that an error of the component itself is about.
    pub(crate) fn wasm_file(&self) -> &Path {
        self.files.wasm.as_deref().unwrap_or(&self.file)
    }

    /// What is in its `.wasm`.
    pub(crate) fn bytes(&self) -> Result<&[u8], Fault> {
        match &self.wasm {
            Some(bytes) => bytes.as_deref().map_err(Clone::clone),
            None => Err(Fault::new("component-unreadable", "there is no component in it").at(&self.file, None)),
        }
    }

    /// The text of its TOML file; empty when there is none.
    pub(crate) fn toml_text(&self) -> Result<&str, Fault> {
        self.toml.as_ref().map(|text| text.as_deref().unwrap_or_default()).map_err(Clone::clone)
    }

    /// Whether it means to be a group, as far as one can tell.
    pub(crate) fn is_group(&self) -> bool {
        !is_wasm(&self.file)
            && match self.toml.as_ref().ok().and_then(Option::as_deref) {
                Some(text) => toml::from_str::<toml::Table>(text)
                    .map_or(text.contains("[group]"), |table| table.contains_key("group")),
                None => true,
            }
    }

    /// The home: what a component's own folder is in.
    pub(crate) fn home(&self) -> &Path {
        self.file.parent().and_then(Path::parent).unwrap_or(Path::new("."))
    }

    /// The folder that the TOML file grants, if it can be read.
    pub(crate) fn granted_folder(&self) -> Option<PathBuf> {
        let settings = ComponentSettingsFile::read(&self.files.toml, self.toml_text().ok()?).ok()?;
        Some(self.home().join(settings.grants.folder?))
    }
}

/// The signatures beside a file. One that can't be read is one that isn't right.
fn read_evidence(wasm: &Path) -> Evidence {
    let text = |file: PathBuf| match read_file(&file, MAX_EVIDENCE) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(String::new()),
    };
    Evidence { minisig: text(Evidence::minisig_file(wasm)), cosign: text(Evidence::cosign_file(wasm)) }
}

/// SHA-256 in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

enum ReadError {
    TooLarge,
    Io(io::Error),
}

fn read_file(file: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // A named pipe would wait for a writer, and may have come in the place of a file just now.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(file).map_err(ReadError::Io)?;
    let metadata = file.metadata().map_err(ReadError::Io)?;
    if !metadata.is_file() {
        return Err(ReadError::Io(io::Error::other("it isn't a file")));
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > limit { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

/// Says what is wrong with a file that can't be a component, before a compiler sees it.
pub(crate) fn check_shape(file: &Path, bytes: &[u8]) -> Result<(), Fault> {
    const MAGIC: &[u8] = b"\0asm";
    let fault = |code: &str, message: &str| Fault::new(code, message).at(file, None);
    if bytes.is_empty() {
        return Err(fault("component-truncated", "the file is empty").hint("copy it again"));
    }
    if bytes.len() < 8 && MAGIC.starts_with(&bytes[..bytes.len().min(4)]) {
        return Err(fault("component-truncated", "the file ends in its first line").hint("copy it again"));
    }
    if !bytes.starts_with(MAGIC) {
        let text = bytes.trim_ascii_start();
        let fault = fault("component-not-wasm", "it isn't WebAssembly");
        return Err(if text.starts_with(b"(component") || text.starts_with(b"(module") {
            fault.hint("it is the text form of WebAssembly: translate it, for example with `wasm-tools parse`")
        } else {
            fault.hint("only components belong in this folder as .wasm files")
        });
    }
    match &bytes[4..8] {
        [0x0d, 0, 1, 0] => {}
        [1, 0, 0, 0] => {
            return Err(fault("component-core-module", "it is a core module, not a component")
                .hint("build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"));
        }
        _ => return Err(fault("component-not-wasm", "it is WebAssembly of a version that this host doesn't know")),
    }
    let mut rest = &bytes[8..];
    while let Some((_, after)) = rest.split_first() {
        rest = skip_section(after).ok_or_else(|| {
            fault("component-truncated", "the file ends in the middle of a section")
                .hint("copy it again; copying under another name and renaming keeps half a file from being seen")
        })?;
    }
    Ok(())
}

/// What follows a section, from its size on; none when the section isn't whole.
fn skip_section(bytes: &[u8]) -> Option<&[u8]> {
    let mut size = 0u64;
    for (number, byte) in bytes.iter().take(5).enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * number);
        if byte & 0x80 == 0 {
            return bytes[number + 1..].get(usize::try_from(size).ok()?..);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> Option<String> {
        check_shape(Path::new("x.wasm"), bytes).err().map(|fault| fault.code)
    }

    #[test]
    fn shapes_have_names() {
        assert_eq!(code(b"\0asm\x0d\0\x01\0"), None);
        assert_eq!(code(b"\0asm\x0d\0\x01\0\x00\x02\x01a\x00\x01\x00"), None);
        assert_eq!(code(b"\0asm\x0d\0\x01\0\x00\x05\x01a").as_deref(), Some("component-truncated"));
        assert_eq!(code(b"\0asm\x0d\0\x01\0\x00\x80").as_deref(), Some("component-truncated"));
        assert_eq!(code(b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\x0f").as_deref(), Some("component-truncated"));
        assert_eq!(code(b"").as_deref(), Some("component-truncated"));
        assert_eq!(code(b"\0as").as_deref(), Some("component-truncated"));
        assert_eq!(code(b"\0asm\x01\0\0\0").as_deref(), Some("component-core-module"));
        assert_eq!(code(b"\0asm\x09\0\0\0").as_deref(), Some("component-not-wasm"));
        assert_eq!(code(b"hello, world").as_deref(), Some("component-not-wasm"));
        assert_eq!(code(b"(component)").as_deref(), Some("component-not-wasm"));
    }

    #[test]
    fn a_fresh_file_is_not_settled() {
        let home = tempfile::tempdir().unwrap();
        let wasm = home.path().join("a.wasm");
        let files = Files { toml: wasm.with_extension("toml"), wasm: Some(wasm.clone()) };
        fs::write(&wasm, "x").unwrap();
        assert!(!Look::at(&files).is_settled());
        std::thread::sleep(SETTLED * 2);
        assert!(Look::at(&files).is_settled());
        let before = Look::at(&files);
        fs::write(&files.toml, "").unwrap();
        assert_ne!(before, Look::at(&files));
    }

    /// As rsync's `--inplace --times` does: same file, same size, same time of modification.
    #[test]
    fn a_change_that_keeps_size_and_time_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let files = Files { wasm: None, toml: home.path().join("a.toml") };
        fs::write(&files.toml, "order = 1").unwrap();
        let time = fs::metadata(&files.toml).unwrap().modified().unwrap();
        std::thread::sleep(SETTLED * 2);
        let before = Look::at(&files);
        assert!(before.is_settled());
        fs::write(&files.toml, "order = 2").unwrap();
        fs::File::options().write(true).open(&files.toml).unwrap().set_modified(time).unwrap();
        assert_eq!(fs::metadata(&files.toml).unwrap().modified().unwrap(), time);
        assert_ne!(before, Look::at(&files));
    }

    #[test]
    fn a_toml_file_stands_for_itself_only_without_a_component() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "a.toml", "b.toml", ".c.wasm", "d.txt", "e.wasm"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let names: Vec<_> = component_files(home.path()).unwrap();
        assert_eq!(names, ["a.wasm", "b.toml", "e.wasm"].map(|name| home.path().join(name)));
        assert!(component_files(&home.path().join("nothing")).is_err());
    }

    #[test]
    fn a_group_is_known_even_when_its_file_is_wrong() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("g.toml");
        for (text, group) in [
            ("[group]\nlogic = \"any\"\nmembers = [\"a\"]", true),
            ("[group]\nlogic = 3", true),
            ("order = = 3\n[group]", true),
            ("component = \"a.wasm\"", false),
            ("order = 3", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(Source::read(&file).is_group(), group, "{text}");
        }
    }
}
