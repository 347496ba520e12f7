//! A component's two files, as they are on disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wharf_model::Fault;

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

/// What one look at both files shows. Equal looks mean equal files only when the earlier one was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    wasm: Option<Stamp>,
    toml: Option<Stamp>,
    /// The files with signatures.
    evidence: [Option<Stamp>; 2],
}

impl Look {
    pub(crate) fn at(wasm: &Path) -> Self {
        Self {
            wasm: Stamp::of(wasm),
            toml: Stamp::of(&toml_beside(wasm)),
            evidence: [Evidence::minisig_file(wasm), Evidence::cosign_file(wasm)].map(|file| Stamp::of(&file)),
        }
    }

    /// Whether nothing changed just before now.
    pub(crate) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        [self.wasm, self.toml].into_iter().chain(self.evidence).flatten().all(|stamp| stamp.is_settled(now))
    }
}

/// The settings file of a component.
pub(crate) fn toml_beside(wasm: &Path) -> PathBuf {
    wasm.with_extension("toml")
}

/// The `.wasm` files of a folder, in order. A folder that isn't there has none.
pub(crate) fn wasm_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // Names that begin with a dot are of files that are still being written.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Both files, read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) wasm_file: PathBuf,
    pub(crate) toml_file: PathBuf,
    pub(crate) wasm: Result<Vec<u8>, Fault>,
    /// None when there is no such file.
    pub(crate) toml: Result<Option<String>, Fault>,
    /// The signatures beside it.
    pub(crate) evidence: Evidence,
    pub(crate) print: Fingerprint,
}

/// What is in both files, hashed; none for one that isn't there or can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) wasm: Option<String>,
    pub(crate) toml: Option<String>,
    pub(crate) evidence: Option<String>,
}

impl Source {
    pub(crate) fn read(wasm_file: &Path) -> Self {
        let toml_file = toml_beside(wasm_file);
        let wasm = read_file(wasm_file, MAX_WASM).map_err(|error| match error {
            ReadError::TooLarge => {
                Fault::new("component-too-large", format!("it is larger than {} MiB", MAX_WASM >> 20))
                    .at(wasm_file, None)
                    .hint("build it for size, without debugging information")
            }
            ReadError::Io(error) => {
                Fault::new("component-unreadable", format!("it can't be read: {error}")).at(wasm_file, None)
            }
        });
        let toml = match read_file(&toml_file, MAX_TOML) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| "it isn't UTF-8 text".to_owned()),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(format!("it can't be read: {error}")),
            Err(ReadError::TooLarge) => Err(format!("it is larger than {} MiB", MAX_TOML >> 20)),
        }
        .map_err(|message| Fault::new(settings_file::CODE, message).at(&toml_file, None));
        let evidence = read_evidence(wasm_file);
        let print = Fingerprint {
            wasm: wasm.as_ref().ok().map(|bytes| digest(bytes)),
            toml: toml.as_ref().ok().and_then(Option::as_ref).map(|text| digest(text.as_bytes())),
            evidence: (!evidence.is_empty()).then(|| digest(format!("{evidence:?}").as_bytes())),
        };
        Self { wasm_file: wasm_file.to_owned(), toml_file, wasm, toml, evidence, print }
    }

    /// The home: what a component's own folder is in.
    pub(crate) fn home(&self) -> &Path {
        self.wasm_file.parent().and_then(Path::parent).unwrap_or(Path::new("."))
    }

    /// The folder that the TOML file grants, if it can be read.
    pub(crate) fn granted_folder(&self) -> Option<PathBuf> {
        let text = self.toml.as_ref().ok()?.as_ref()?;
        let settings = ComponentSettingsFile::read(&self.toml_file, text).ok()?;
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
        let file = home.path().join("a.wasm");
        fs::write(&file, "x").unwrap();
        assert!(!Look::at(&file).is_settled());
        std::thread::sleep(SETTLED * 2);
        assert!(Look::at(&file).is_settled());
        let before = Look::at(&file);
        fs::write(toml_beside(&file), "").unwrap();
        assert_ne!(before, Look::at(&file));
    }
}
