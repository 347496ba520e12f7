//! All components of a home, as one unchanging set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use wharf_model::Fault;

use crate::adapter::Adapter;
use crate::engine::Engine;
use crate::image_recipe::ImageRecipeMaker;
use crate::load::{self, Refusal};
use crate::loaded::{ComponentInfo, Kind, Loaded};
use crate::permission::Permission;
use crate::policy::{Policy, PolicyRole};
use crate::registry_hook::RegistryHook;
use crate::source::{self, Fingerprint, Look, Source};
use crate::world::World;

/// A component that couldn't be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFailure {
    /// Its file.
    pub file: PathBuf,
    /// What kind it is, when that much was found out.
    pub world: Option<World>,
    /// Why.
    pub fault: Fault,
    /// What was loaded from this file before stays in use.
    pub kept: bool,
}

/// All components of a home: loaded, checked and unchanging.
///
/// Hosts hold one in an `Arc`, and put what [`ComponentSet::reload`] gives in its place as a whole: a run that began
/// with one set ends with it.
pub struct ComponentSet {
    engine: Engine,
    folders: Vec<PathBuf>,
    entries: BTreeMap<PathBuf, Arc<Entry>>,
    permissions: BTreeMap<String, Permission>,
    mutating: Vec<Policy>,
    validating: Vec<Policy>,
    adapters: Vec<Adapter>,
    image_recipes: BTreeMap<String, ImageRecipeMaker>,
    registry_hooks: Vec<RegistryHook>,
    infos: Vec<ComponentInfo>,
    failures: Vec<LoadFailure>,
}

/// One file, and what became of it.
struct Entry {
    /// The last look at it: changes when only the look of the file did.
    seen: Mutex<Seen>,
    print: Fingerprint,
    loaded: Option<Arc<Loaded>>,
    failure: Option<LoadFailure>,
    /// The granted folder that wasn't there: when it comes, the files are tried again.
    waits_for: Option<PathBuf>,
}

#[derive(Clone, Copy)]
struct Seen {
    look: Look,
    settled: bool,
}

impl ComponentSet {
    /// Loads every `.wasm` file of these folders, each with the TOML file beside it. Blocks: it may compile.
    ///
    /// What can't be loaded is in [`failures`](Self::failures), and absent otherwise. A folder that doesn't exist is empty.
    #[must_use]
    pub fn load(engine: &Engine, folders: &[PathBuf]) -> Self {
        let (files, unreadable) = list(folders);
        let entries = files.into_iter().map(|file| (file.clone(), Arc::new(read(engine, &file, None)))).collect();
        Self::assemble(engine.clone(), folders.to_vec(), entries, unreadable)
    }

    /// Looks at the folders again, and loads what changed since. `None` when nothing did: that costs a few looks at
    /// files. Blocks when something did.
    ///
    /// What didn't change is shared with this set. A changed component that can't be loaded leaves the one before it in
    /// place, with a failure that says so; one whose file is gone goes.
    #[must_use]
    pub fn reload(&self) -> Option<Self> {
        let (files, unreadable) = list(&self.folders);
        let mut changed = files.len() != self.entries.len();
        let mut entries = BTreeMap::new();
        for file in files {
            let before = self.entries.get(&file);
            let entry = match before {
                Some(entry) if entry.is_unchanged(&file) => Arc::clone(entry),
                _ => {
                    changed = true;
                    Arc::new(read(&self.engine, &file, before.map(|entry| &**entry)))
                }
            };
            entries.insert(file, entry);
        }
        let listed = |failure: &&LoadFailure| self.folders.contains(&failure.file);
        changed |= unreadable.iter().ne(self.failures.iter().filter(listed));
        changed.then(|| Self::assemble(self.engine.clone(), self.folders.clone(), entries, unreadable))
    }

    /// Loads one file, wherever it is, and says what it is: for trying a component before it is put in its folder.
    ///
    /// # Errors
    /// What [`failures`](Self::failures) would say.
    pub fn check(engine: &Engine, file: &Path) -> Result<ComponentInfo, Fault> {
        load::load(engine, Source::read(file), None).map(|loaded| loaded.info).map_err(|refusal| refusal.fault)
    }

    fn assemble(
        engine: Engine,
        folders: Vec<PathBuf>,
        entries: BTreeMap<PathBuf, Arc<Entry>>,
        mut failures: Vec<LoadFailure>,
    ) -> Self {
        failures.extend(entries.values().filter_map(|entry| entry.failure.clone()));
        let mut loaded: Vec<Arc<Loaded>> = Vec::new();
        for entry in entries.values() {
            let Some(new) = &entry.loaded else { continue };
            // A name must mean one component, in records as in files.
            match loaded.iter().find(|other| other.info.name == new.info.name) {
                None => loaded.push(Arc::clone(new)),
                Some(other) => failures.push(LoadFailure {
                    file: new.info.file.clone(),
                    world: Some(new.info.world),
                    fault: Fault::new(
                        "component-name-taken",
                        format!("there is another component called {}: {}", new.info.name, other.info.file.display()),
                    )
                    .at(&new.info.file, None)
                    .hint("rename one of them"),
                    kept: false,
                }),
            }
        }
        loaded.sort_by(|a, b| (a.info.order, &a.info.name).cmp(&(b.info.order, &b.info.name)));
        let mut set = Self {
            engine,
            folders,
            entries,
            permissions: BTreeMap::new(),
            mutating: Vec::new(),
            validating: Vec::new(),
            adapters: Vec::new(),
            image_recipes: BTreeMap::new(),
            registry_hooks: Vec::new(),
            infos: loaded.iter().map(|loaded| loaded.info.clone()).collect(),
            failures,
        };
        for loaded in loaded {
            let name = loaded.info.name.clone();
            match loaded.kind.clone() {
                Kind::Permission(indices) => {
                    set.permissions.insert(name, Permission { loaded, indices });
                }
                Kind::Policy(indices, role) => {
                    let policies = match role {
                        PolicyRole::Mutating => &mut set.mutating,
                        PolicyRole::Validating => &mut set.validating,
                    };
                    policies.push(Policy { loaded, indices, role });
                }
                Kind::ImageRecipe(indices) => {
                    set.image_recipes.insert(name, ImageRecipeMaker { loaded, indices });
                }
                Kind::RecipeAdapter(indices) => set.adapters.push(Adapter { loaded, indices }),
                Kind::RegistryHook(indices) => set.registry_hooks.push(RegistryHook { loaded, indices }),
            }
        }
        set
    }

    /// The permission component of this name.
    #[must_use]
    pub fn permission(&self, name: &str) -> Option<&Permission> {
        self.permissions.get(name)
    }

    /// The policies that change plans, in the order in which they are called.
    #[must_use]
    pub fn policies_mutating(&self) -> &[Policy] {
        &self.mutating
    }

    /// The policies that judge plans, in the order in which they are called.
    #[must_use]
    pub fn policies_validating(&self) -> &[Policy] {
        &self.validating
    }

    /// The policy of this name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.mutating.iter().chain(&self.validating).find(|policy| policy.name() == name)
    }

    /// The adapter for a kind of activity: of several, the first by order and name.
    #[must_use]
    pub fn adapter_for(&self, kind: &str) -> Option<&Adapter> {
        self.adapters_for(kind).next()
    }

    /// All adapters that prepare activities of a kind, in their order.
    pub fn adapters_for(&self, kind: &str) -> impl Iterator<Item = &Adapter> {
        self.adapters.iter().filter(move |adapter| adapter.offers().iter().any(|offer| offer.kind == kind))
    }

    /// The image-recipe component of this name.
    #[must_use]
    pub fn image_recipe(&self, name: &str) -> Option<&ImageRecipeMaker> {
        self.image_recipes.get(name)
    }

    /// The components that prepare pushes, in the order in which they are called.
    #[must_use]
    pub fn registry_hooks(&self) -> &[RegistryHook] {
        &self.registry_hooks
    }

    /// All components that are loaded, in the order in which they are called.
    #[must_use]
    pub fn components(&self) -> &[ComponentInfo] {
        &self.infos
    }

    /// All that couldn't be loaded, and why.
    #[must_use]
    pub fn failures(&self) -> &[LoadFailure] {
        &self.failures
    }
}

impl fmt::Debug for ComponentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.infos.iter().map(|info| info.name.as_str()).collect();
        f.debug_struct("ComponentSet").field("components", &names).field("failures", &self.failures).finish()
    }
}

impl Entry {
    /// Whether the files are what they were. Reads them when their looks don't say.
    fn is_unchanged(&self, file: &Path) -> bool {
        let look = Look::at(file);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.waits_for.as_ref().is_some_and(|folder| folder.is_dir()) {
            return false;
        }
        if seen.look == look && seen.settled {
            return true;
        }
        let settled = look.is_settled();
        if Source::read(file).print != self.print {
            return false;
        }
        *seen = Seen { look, settled };
        true
    }
}

/// The component files of all folders, and the folders that can't be read.
fn list(folders: &[PathBuf]) -> (Vec<PathBuf>, Vec<LoadFailure>) {
    let mut files = Vec::new();
    let mut failures = Vec::new();
    for folder in folders {
        match source::wasm_files(folder) {
            Ok(found) => files.extend(found),
            Err(error) => failures.push(LoadFailure {
                file: folder.clone(),
                world: None,
                fault: Fault::new("component-unreadable", format!("the folder can't be read: {error}"))
                    .at(folder, None),
                kept: false,
            }),
        }
    }
    (files, failures)
}

/// Reads a file and loads it. `before` is what it was.
fn read(engine: &Engine, file: &Path, before: Option<&Entry>) -> Entry {
    // Looked at before it is read: a change in between is seen at the next look.
    let look = Look::at(file);
    let seen = Mutex::new(Seen { look, settled: look.is_settled() });
    let source = Source::read(file);
    let print = source.print.clone();
    let waits_for = source.granted_folder().filter(|folder| !folder.is_dir());
    let old = before.and_then(|entry| entry.loaded.clone());
    let compiled = old
        .as_ref()
        .filter(|old| print.wasm.as_deref() == Some(old.info.digest.as_str()))
        .map(|old| old.compiled.clone());
    match load::load(engine, source, compiled) {
        Ok(loaded) => Entry { seen, print, loaded: Some(Arc::new(loaded)), failure: None, waits_for: None },
        Err(Refusal { mut fault, world }) => {
            let kept = old.is_some();
            if kept {
                fault.message.push_str("; the one that was loaded before stays in use");
            }
            tracing::warn!(code = %fault.code, "{fault}");
            let failure = LoadFailure { file: file.to_owned(), world, fault, kept };
            Entry { seen, print, loaded: old, failure: Some(failure), waits_for }
        }
    }
}
