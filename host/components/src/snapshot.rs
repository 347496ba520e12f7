//! All files of the component folders as they were at one moment, loaded.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::Component;
use wharf_model::Fault;

use crate::engine::Engine;
use crate::group::GroupFile;
use crate::load::{self, Refusal};
use crate::loaded::Loaded;
use crate::set::LoadFailure;
use crate::source::{self, Files, Fingerprint, FolderIdentity, Look, Source};
use crate::trial::FilePrint;

/// How often files that change while they are read are read again.
const READS: usize = 20;
/// How often what changed while it was loaded is loaded again. Files that are replaced as a whole are never half; this is for
/// those that are written in place.
const LOADS: usize = 3;

/// What the files of the folders are, by the file that each is listed by.
pub(crate) type Entries = BTreeMap<PathBuf, Arc<Entry>>;

/// One component or group, and what became of it.
pub(crate) struct Entry {
    files: Files,
    /// The last look at it: changes when only the look of the files did.
    seen: Mutex<Seen>,
    print: Fingerprint,
    pub(crate) found: Found,
    pub(crate) failure: Option<LoadFailure>,
    /// The granted folder, and which one it was: when another one stands there, the component is loaded anew.
    folder: Option<(PathBuf, Option<FolderIdentity>)>,
}

/// What an entry is good for.
pub(crate) enum Found {
    Component(Arc<Loaded>),
    Group(Arc<GroupFile>),
    /// It failed, or its component is gone.
    Nothing,
}

#[derive(Clone, Copy)]
struct Seen {
    look: Look,
    settled: bool,
}

impl Entry {
    /// Whether the files are what they were. Reads them when their looks don't say.
    pub(crate) fn is_unchanged(&self, file: &Path) -> bool {
        // Where there is no folder for the moment, the one that was opened is as good as any.
        if let Some((folder, before)) = &self.folder
            && let Some(now) = FolderIdentity::of(folder)
            && Some(now) != *before
        {
            return false;
        }
        let look = Look::at(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.look == look && seen.settled {
            return true;
        }
        // What couldn't be loaded is tried again when somebody touches it.
        if self.failure.is_some() && seen.look != look {
            return false;
        }
        let settled = look.is_settled();
        if Source::read(file).print != self.print {
            return false;
        }
        *seen = Seen { look, settled };
        true
    }

    /// Whether the files can't be loaded as they are.
    pub(crate) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The earlier version that is used in the place of files that can't be loaded.
    pub(crate) fn kept(&self) -> Option<Arc<Loaded>> {
        match &self.found {
            Found::Component(loaded) if self.failed() => Some(Arc::clone(loaded)),
            _ => None,
        }
    }

    /// The same, with an earlier version in its place.
    pub(crate) fn with_kept(&self, kept: Arc<Loaded>) -> Self {
        let mut failure = self.failure.clone();
        if let Some(failure) = failure.as_mut().filter(|failure| !failure.kept) {
            failure.kept = true;
            failure.fault.message.push_str("; the one that was loaded before stays in use");
        }
        Self {
            files: self.files.clone(),
            seen: Mutex::new(*self.seen.lock().unwrap_or_else(PoisonError::into_inner)),
            print: self.print.clone(),
            found: Found::Component(kept),
            failure,
            folder: self.folder.clone(),
        }
    }

    /// Whether no later look at the files is needed to know that they were whole when they were read.
    fn is_settled(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).settled
    }
}

/// All files at one moment, loaded.
pub(crate) struct Snapshot {
    pub(crate) entries: Entries,
    /// The folders that can't be read.
    pub(crate) unreadable: Vec<LoadFailure>,
}

impl Snapshot {
    /// Reads and loads what isn't as it was in `before`. `used` is what runs are judged by meanwhile.
    ///
    /// # Errors
    /// The files never kept still; with what was found last, which may be of several moments.
    pub(crate) fn settled(
        engine: &Engine,
        folders: &[PathBuf],
        before: &Entries,
        used: &Entries,
    ) -> Result<Self, Self> {
        let mut known = before.clone();
        let mut loads = 0;
        loop {
            let mut reading = Reading::of(folders, &known, used);
            let mut consistent = reading.is_still_so(folders, used);
            for _ in 1..READS {
                if consistent {
                    break;
                }
                reading = Reading::of(folders, &known, used);
                consistent = reading.is_still_so(folders, used);
            }
            let Reading { kept: mut entries, sources, unreadable } = reading;
            let mut fresh = Vec::new();
            for source in sources {
                let file = source.file.clone();
                let entry = Arc::new(load_entry(engine, source, &entries, &known));
                fresh.push((file.clone(), Arc::clone(&entry)));
                entries.insert(file, entry);
            }
            loads += 1;
            let torn = fresh.iter().any(|(file, entry)| !entry.is_settled() && !entry.is_unchanged(file));
            if torn && loads < LOADS {
                known = entries;
                continue;
            }
            let found = Self { entries, unreadable };
            return if consistent { Ok(found) } else { Err(found) };
        }
    }
}

/// All files at one moment, read.
struct Reading {
    kept: Entries,
    sources: Vec<Source>,
    unreadable: Vec<LoadFailure>,
}

impl Reading {
    fn of(folders: &[PathBuf], before: &Entries, used: &Entries) -> Self {
        let (files, unreadable) = list(folders, used);
        let (mut kept, mut sources) = (Entries::new(), Vec::new());
        for file in files {
            match before.get(&file) {
                Some(entry) if entry.is_unchanged(&file) => {
                    kept.insert(file, Arc::clone(entry));
                }
                _ => sources.push(Source::read(&file)),
            }
        }
        Self { kept, sources, unreadable }
    }

    /// Whether nothing changed since the first file was looked at, so that there was a moment at which all was so.
    fn is_still_so(&self, folders: &[PathBuf], used: &Entries) -> bool {
        let (files, unreadable) = list(folders, used);
        files.len() == self.kept.len() + self.sources.len()
            && unreadable == self.unreadable
            && self
                .sources
                .iter()
                .all(|source| files.binary_search(&source.file).is_ok() && Look::at(&source.files) == source.look)
            && self.kept.iter().all(|(file, entry)| files.binary_search(file).is_ok() && entry.is_unchanged(file))
    }
}

/// The files of all folders that stand for something, sorted, and the folders that can't be read.
pub(crate) fn list(folders: &[PathBuf], used: &Entries) -> (Vec<PathBuf>, Vec<LoadFailure>) {
    let mut files = Vec::new();
    let mut failures = Vec::new();
    for folder in folders {
        let message = match source::component_files(folder) {
            Ok(found) => {
                files.extend(found);
                continue;
            }
            // A folder that is moved or linked anew is away for a moment, and nobody's policies go with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if used.keys().all(|file| file.parent() != Some(folder)) {
                    continue;
                }
                "the folder isn't there any more".to_owned()
            }
            Err(error) => format!("the folder can't be read: {error}"),
        };
        failures.push(LoadFailure {
            file: folder.clone(),
            world: None,
            group: false,
            fault: Fault::new("component-unreadable", message)
                .at(folder, None)
                .hint("let the host's user read it; if nothing is meant to be in it, leave it empty"),
            kept: false,
            print: None,
        });
    }
    files.sort();
    (files, failures)
}

/// Loads what was read. What the same bytes were compiled to is taken from the other entries.
fn load_entry(engine: &Engine, source: Source, entries: &Entries, before: &Entries) -> Entry {
    let (files, print, look, file) = (source.files.clone(), source.print.clone(), source.look, source.file.clone());
    let seen = Mutex::new(Seen { look, settled: look.is_settled() });
    let folder = source.granted_folder().map(|folder| {
        let identity = FolderIdentity::of(&folder);
        (folder, identity)
    });
    let group = source.is_group();
    let (found, refusal) = if source.wasm.is_some() {
        let compiled =
            print.wasm.as_deref().and_then(|digest| compiled(digest, entries).or_else(|| compiled(digest, before)));
        match load::load(engine, source, compiled) {
            Ok(loaded) => (Found::Component(Arc::new(loaded)), None),
            Err(refusal) => (Found::Nothing, Some(refusal)),
        }
    } else {
        match GroupFile::read(&source) {
            Ok(Some(group)) => (Found::Group(Arc::new(group)), None),
            // Left over from a component that is gone.
            Ok(None) => (Found::Nothing, None),
            Err(fault) => (Found::Nothing, Some(Refusal { fault, world: None })),
        }
    };
    let failure = refusal.map(|Refusal { fault, world }| LoadFailure {
        file,
        world,
        group,
        fault,
        kept: false,
        print: Some(FilePrint::from(&print)),
    });
    Entry { files, seen, print, found, failure, folder }
}

fn compiled(digest: &str, entries: &Entries) -> Option<Component> {
    entries.values().find_map(|entry| match &entry.found {
        Found::Component(loaded) if loaded.info.digest == digest => Some(loaded.compiled.clone()),
        _ => None,
    })
}
