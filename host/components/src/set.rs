//! All components of a home, as one unchanging set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use wharf_model::Fault;

use crate::adapter::Adapter;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::group::{Body, Group, GroupFile, Single};
use crate::image_recipe::ImageRecipeMaker;
use crate::keep;
use crate::load;
use crate::loaded::{ComponentInfo, Kind, Loaded};
use crate::permission::Permission;
use crate::policy::{Policy, PolicyRole};
use crate::registry_hook::RegistryHook;
use crate::snapshot::{Entries, Found, Snapshot, list};
use crate::source::Source;
use crate::trial::FilePrint;
use crate::world::World;

/// A component or group that couldn't be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFailure {
    /// The file that it is listed by.
    pub file: PathBuf,
    /// What kind it is, when that much was found out.
    pub world: Option<World>,
    /// Whether it means to be a group of components.
    pub group: bool,
    /// Why.
    pub fault: Fault,
    /// What was loaded from this file before stays in use.
    pub kept: bool,
    /// What its files are, where it is one component's.
    pub print: Option<FilePrint>,
}

/// Changes on disk that aren't taken, because something in them can't be loaded: the set of before goes on as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// When that was found.
    pub since: SystemTime,
    /// The files that changed, and how: `added`, `changed` or `removed`.
    pub changes: Vec<(PathBuf, &'static str)>,
}

/// All components of a home: loaded, checked and unchanging.
///
/// A run that began with one set ends with it. [`LiveSet`](crate::LiveSet) holds the one for the next run.
pub struct ComponentSet {
    engine: Engine,
    folders: Vec<PathBuf>,
    /// The files as they were seen last: those that are in use, unless they are held back.
    seen: Entries,
    /// What couldn't be loaded of what was seen last.
    failures: Vec<LoadFailure>,
    used: Arc<Used>,
    held_back: Option<HeldBack>,
}

/// What is in use.
struct Used {
    entries: Entries,
    permissions: BTreeMap<String, Permission>,
    mutating: Vec<Policy>,
    validating: Vec<Policy>,
    adapters: Vec<Adapter>,
    image_recipes: BTreeMap<String, ImageRecipeMaker>,
    registry_hooks: Vec<RegistryHook>,
    infos: Vec<ComponentInfo>,
    failures: Vec<LoadFailure>,
}

impl ComponentSet {
    /// Loads every component and group of these folders. Blocks: it may compile.
    ///
    /// What can't be loaded is in [`failures`](Self::failures). The version of it that an earlier process had in force is in its place,
    /// if there is one and it may be loaded; else it is absent. A folder that doesn't exist is empty.
    #[must_use]
    pub fn load(engine: &Engine, folders: &[PathBuf]) -> Self {
        let none = Entries::new();
        // Files that never keep still are taken as they were last.
        let found = Snapshot::settled(engine, folders, &none, &none).unwrap_or_else(|found| found);
        let entries = found.entries.into_iter().map(|(file, entry)| {
            let kept = entry.failed().then(|| keep::in_force(engine, &file)).flatten();
            let entry = kept.map_or(Arc::clone(&entry), |kept| Arc::new(entry.with_kept(kept)));
            (file, entry)
        });
        let used = Arc::new(Used::of(entries.collect(), found.unreadable));
        used.put_in_force(engine, &none);
        Self {
            engine: engine.clone(),
            folders: folders.to_vec(),
            seen: used.entries.clone(),
            failures: used.failures.clone(),
            used,
            held_back: None,
        }
    }

    /// Whether the files are what they were when they were seen last. That costs a few looks at files.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let (files, unreadable) = list(&self.folders, &self.used.entries);
        files.len() == self.seen.len()
            && unreadable.iter().all(|failure| self.failures.contains(failure))
            && files.iter().all(|file| self.seen.get(file).is_some_and(|entry| entry.is_unchanged(file)))
            && self.failures.iter().filter(|failure| self.folders.contains(&failure.file)).count() == unreadable.len()
    }

    /// Looks at the folders again, and loads what changed since. `None` when nothing did. Blocks when something did.
    ///
    /// All changes are taken, or none: when something that changed can't be loaded, what is in use stays as it is, and
    /// [`held_back`](Self::held_back) and [`failures`](Self::failures) say so. What couldn't be loaded from the beginning keeps no
    /// other change from being taken. What didn't change is shared with this set.
    #[must_use]
    pub fn reload(&self) -> Option<Self> {
        if self.is_current() {
            return None;
        }
        let Ok(found) = Snapshot::settled(&self.engine, &self.folders, &self.seen, &self.used.entries) else {
            tracing::debug!(
                "components change faster than they can be read; they are looked at again before the next run"
            );
            return None;
        };
        let entries = found.entries.into_iter().map(|(file, entry)| {
            let kept = self.used.entries.get(&file).filter(|_| entry.failed()).and_then(|before| before.kept());
            let entry = kept.map_or(Arc::clone(&entry), |kept| Arc::new(entry.with_kept(kept)));
            (file, entry)
        });
        let used = Used::of(entries.collect(), found.unreadable);
        let known = |failure: &LoadFailure| self.used.failures.iter().any(|other| other.file == failure.file);
        let (seen, mut failures) = (used.entries.clone(), used.failures.clone());
        let changes = changes(&self.used.entries, &seen);
        let (used, held_back) = if failures.iter().all(known) {
            used.put_in_force(&self.engine, &self.used.entries);
            (Arc::new(used), None)
        } else {
            for failure in &mut failures {
                failure.kept = self.used.infos.iter().any(|info| info.source == failure.file);
            }
            let since = self.held_back.as_ref().map_or_else(SystemTime::now, |held| held.since);
            (Arc::clone(&self.used), Some(HeldBack { since, changes: changes.clone() }))
        };
        let set = Self { engine: self.engine.clone(), folders: self.folders.clone(), seen, failures, used, held_back };
        set.tell(&changes);
        Some(set)
    }

    /// Loads all of it again behind another gate. What was loaded before counts for nothing: who isn't trusted any more goes.
    #[must_use]
    pub fn behind(&self, gate: Gate) -> Self {
        Self::load(&self.engine.with_gate(gate), &self.folders)
    }

    /// What stood before it.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.engine.gate()
    }

    /// Says in the log what became of the changes.
    fn tell(&self, changes: &[(PathBuf, &'static str)]) {
        let list: Vec<String> = changes.iter().map(|(file, how)| format!("{} ({how})", file.display())).collect();
        let list = list.join(", ");
        if self.held_back.is_none() {
            tracing::info!(changes = list, "components changed, and were taken");
            return;
        }
        for LoadFailure { fault, .. } in &self.failures {
            tracing::error!(code = %fault.code, changes = list, "components changed, and none of it is taken: {fault}");
        }
    }

    /// Loads one file, wherever it is, and says what it is: for trying a component before it is put in its folder. It may be the
    /// TOML file of one.
    ///
    /// # Errors
    /// What [`failures`](Self::failures) would say.
    pub fn check(engine: &Engine, file: &Path) -> Result<ComponentInfo, Fault> {
        load::load(engine, Source::read(file), None).map(|loaded| loaded.info).map_err(|refusal| refusal.fault)
    }

    /// What compiles and runs these components.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The permission component, or the group of them, of this name.
    #[must_use]
    pub fn permission(&self, name: &str) -> Option<&Permission> {
        self.used.permissions.get(name)
    }

    /// The policies that change plans, in the order in which they are called.
    #[must_use]
    pub fn policies_mutating(&self) -> &[Policy] {
        &self.used.mutating
    }

    /// The policies and groups that judge plans, in the order in which they are called. Members of groups are only in these.
    #[must_use]
    pub fn policies_validating(&self) -> &[Policy] {
        &self.used.validating
    }

    /// The policy of this name, or the group; not one that only answers as a member of one.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.used.mutating.iter().chain(&self.used.validating).find(|policy| policy.name() == name)
    }

    /// The adapter for a kind of activity: of several, the first by order and name.
    #[must_use]
    pub fn adapter_for(&self, kind: &str) -> Option<&Adapter> {
        self.adapters_for(kind).next()
    }

    /// All adapters that prepare activities of a kind, in their order.
    pub fn adapters_for(&self, kind: &str) -> impl Iterator<Item = &Adapter> {
        self.used.adapters.iter().filter(move |adapter| adapter.offers().iter().any(|offer| offer.kind == kind))
    }

    /// The image-recipe component of this name.
    #[must_use]
    pub fn image_recipe(&self, name: &str) -> Option<&ImageRecipeMaker> {
        self.used.image_recipes.get(name)
    }

    /// The components that prepare pushes, in the order in which they are called.
    #[must_use]
    pub fn registry_hooks(&self) -> &[RegistryHook] {
        &self.used.registry_hooks
    }

    /// All components and groups that are in use, in the order in which they are called.
    #[must_use]
    pub fn components(&self) -> &[ComponentInfo] {
        &self.used.infos
    }

    /// The changes on disk that aren't taken, if there are any.
    #[must_use]
    pub fn held_back(&self) -> Option<&HeldBack> {
        self.held_back.as_ref()
    }

    /// A group that is there and can't be used: what it would have judged can't be let pass. Groups of permission components aren't
    /// meant: who names one has no permission.
    #[must_use]
    pub fn closed_by(&self) -> Option<&LoadFailure> {
        self.used.failures.iter().find(|failure| failure.group && failure.world != Some(World::Permission))
    }

    /// All that couldn't be loaded, and why.
    #[must_use]
    pub fn failures(&self) -> &[LoadFailure] {
        &self.failures
    }
}

impl fmt::Debug for ComponentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.used.infos.iter().map(|info| info.name.as_str()).collect();
        f.debug_struct("ComponentSet").field("components", &names).field("failures", &self.failures).finish()
    }
}

impl Used {
    /// What can be used of these files, and what can't.
    fn of(entries: Entries, mut failures: Vec<LoadFailure>) -> Self {
        failures.extend(entries.values().filter_map(|entry| entry.failure.clone()));
        // A name must mean one thing, in records as in files.
        let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
        let (mut loaded, mut group_files) = (Vec::new(), Vec::new());
        for (file, entry) in &entries {
            let (name, world) = match &entry.found {
                Found::Component(new) => (&new.info.name, Some(new.info.world)),
                Found::Group(group) => (&group.name, None),
                Found::Nothing => continue,
            };
            if let Some(other) = named.get(name) {
                let message = format!("there is another component called {name}: {}", other.display());
                failures.push(LoadFailure {
                    file: file.clone(),
                    world,
                    group: matches!(entry.found, Found::Group(_)),
                    fault: Fault::new("component-name-taken", message).at(file, None).hint("rename one of them"),
                    kept: false,
                    print: None,
                });
                continue;
            }
            named.insert(name.clone(), file.clone());
            match &entry.found {
                Found::Component(new) => loaded.push(Arc::clone(new)),
                Found::Group(group) => group_files.push((file, Arc::clone(group))),
                Found::Nothing => {}
            }
        }
        loaded.sort_by(|a, b| (a.info.order, &a.info.name).cmp(&(b.info.order, &b.info.name)));
        let mut groups = Vec::new();
        for (file, group) in group_files {
            match group.members(&loaded) {
                Ok((world, members)) => groups.push((group, world, members)),
                Err((fault, world)) => {
                    failures.push(LoadFailure {
                        file: file.clone(),
                        world,
                        group: true,
                        fault,
                        kept: false,
                        print: None,
                    });
                }
            }
        }
        let mut used = Self {
            permissions: BTreeMap::new(),
            mutating: Vec::new(),
            validating: Vec::new(),
            adapters: Vec::new(),
            image_recipes: BTreeMap::new(),
            registry_hooks: Vec::new(),
            infos: loaded.iter().map(|loaded| loaded.info.clone()).collect(),
            failures,
            entries: Entries::new(),
        };
        used.add_components(loaded);
        used.add_groups(groups);
        used.infos.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        used.entries = entries;
        used
    }

    /// Records the components that are in force from now on, and weren't before.
    fn put_in_force(&self, engine: &Engine, before: &Entries) {
        for (file, entry) in &self.entries {
            let is_new = before.get(file).is_none_or(|other| !Arc::ptr_eq(other, entry));
            if let Found::Component(loaded) = &entry.found
                && is_new
                && !entry.failed()
            {
                keep::put_in_force(engine, loaded);
            }
        }
    }

    fn add_components(&mut self, loaded: Vec<Arc<Loaded>>) {
        for loaded in loaded {
            let name = loaded.info.name.clone();
            match loaded.kind.clone() {
                Kind::Permission(indices) => {
                    self.permissions.insert(name, Permission { body: Body::Single(Single { loaded, indices }) });
                }
                Kind::Policy(indices, role) => {
                    let policies = match role {
                        PolicyRole::Mutating => &mut self.mutating,
                        PolicyRole::Validating => &mut self.validating,
                    };
                    policies.push(Policy { body: Body::Single(Single { loaded, indices }), role });
                }
                Kind::ImageRecipe(indices) => {
                    self.image_recipes.insert(name, ImageRecipeMaker { loaded, indices });
                }
                Kind::RecipeAdapter(indices) => self.adapters.push(Adapter { loaded, indices }),
                Kind::RegistryHook(indices) => self.registry_hooks.push(RegistryHook { loaded, indices }),
            }
        }
    }

    fn add_groups(&mut self, groups: Vec<(Arc<GroupFile>, World, Vec<Arc<Loaded>>)>) {
        for (file, world, members) in groups {
            for info in &mut self.infos {
                if file.table.members.contains(&info.name) {
                    info.member_of.push(file.name.clone());
                }
            }
            self.infos.push(file.info(world));
            let (mut checks, mut policies) = (Vec::new(), Vec::new());
            for loaded in members {
                match loaded.kind.clone() {
                    Kind::Permission(indices) => checks.push(Single { loaded, indices }),
                    Kind::Policy(indices, _) => policies.push(Single { loaded, indices }),
                    Kind::ImageRecipe(_) | Kind::RecipeAdapter(_) | Kind::RegistryHook(_) => {}
                }
            }
            let name = file.name.clone();
            if world == World::Permission {
                let body = Body::Group(Arc::new(Group { file, members: checks }));
                self.permissions.insert(name, Permission { body });
            } else {
                // They are asked as members, and not once more on their own.
                self.validating.retain(|policy| !file.table.members.iter().any(|member| member == policy.name()));
                let order = |policy: &Policy| (policy.info().order, policy.name().to_owned());
                let body = Body::Group(Arc::new(Group { file, members: policies }));
                self.validating.push(Policy { body, role: PolicyRole::Validating });
                self.validating.sort_by_key(order);
            }
        }
    }
}

/// How the files of one set differ from those of another.
fn changes(before: &Entries, after: &Entries) -> Vec<(PathBuf, &'static str)> {
    let mut changes = Vec::new();
    for (file, entry) in after {
        match before.get(file) {
            None => changes.push((file.clone(), "added")),
            Some(other) if !Arc::ptr_eq(other, entry) => changes.push((file.clone(), "changed")),
            Some(_) => {}
        }
    }
    changes.extend(before.keys().filter(|file| !after.contains_key(*file)).map(|file| (file.clone(), "removed")));
    changes.sort();
    changes
}
