//! The checks between a file and a component that may be called.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};
use wharf_model::{Fault, Mode, document};

use crate::answer;
use crate::bindings::{image_recipe_generation, metadata, permission_check, recipe_adaptation, registry_preparation};
use crate::call::{Callee, Session, within};
use crate::call_error::{CallError, cut};
use crate::contract::{MetadataIndices, PolicyIndices};
use crate::engine::Engine;
use crate::folder::GrantedFolder;
use crate::gate;
use crate::http::{GrantedHttp, GrantedPlaces};
use crate::imports;
use crate::inspect::{Inspection, Metadata};
use crate::keep;
use crate::loaded::{ComponentInfo, Kind, Loaded, Names, Offer, OwnSettings};
use crate::needs;
use crate::policy::PolicyRole;
use crate::settings_file::{self, ComponentSettingsFile, Grants};
use crate::source::{self, Source};
use crate::state::State;
use crate::trust::Voucher;
use crate::world::{Contract, InterfaceName, PACKAGE, VERSION, World};

/// How many compilations may be overdue before no more are begun.
const MAX_OVERDUE: usize = 2;

/// How far a load is.
const RUNNING: u8 = 0;
/// Nobody waits for it any more; it counts as overdue until it ends.
const LATE: u8 = 1;
const DONE: u8 = 2;

/// A component that can't be loaded.
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// Its world, when that much was found out.
    pub(crate) world: Option<World>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, world: None }
    }
}

/// Checks a component on a thread of its own, and gives up waiting after the engine's limit.
///
/// `compiled` is what the same bytes were compiled to before.
pub(crate) fn load(engine: &Engine, source: Source, compiled: Option<Component>) -> Result<Loaded, Refusal> {
    let file = source.wasm_file().to_owned();
    let overdue = Arc::clone(engine.overdue());
    if overdue.load(Ordering::SeqCst) >= MAX_OVERDUE {
        return Err(Fault::new("component-compile-timeout", "other components are still being compiled, far too long")
            .at(file, None)
            .hint("remove the components that take so long, and start again")
            .into());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let progress = Arc::new(AtomicU8::new(RUNNING));
    let (worker, seen) = (engine.clone(), Arc::clone(&progress));
    let begun = thread::Builder::new().name("wharf-load".to_owned()).spawn(move || {
        let result = check(&worker, &source, compiled);
        if seen.swap(DONE, Ordering::SeqCst) == LATE {
            worker.overdue().fetch_sub(1, Ordering::SeqCst);
        }
        // Nobody listens any more when it took too long.
        let _ = sender.send(result);
    });
    if let Err(error) = begun {
        let message = format!("there is no thread to load it: {error}");
        return Err(Fault::new("component-unreadable", message).at(file, None).into());
    }
    let failed = || Fault::new("component-invalid", "the compiler failed on it").at(&file, None).into();
    match receiver.recv_timeout(engine.compile_limit()) {
        Ok(result) => return result,
        Err(RecvTimeoutError::Disconnected) => return Err(failed()),
        Err(RecvTimeoutError::Timeout) => {}
    }
    overdue.fetch_add(1, Ordering::SeqCst);
    if progress.compare_exchange(RUNNING, LATE, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        // It ended just now.
        overdue.fetch_sub(1, Ordering::SeqCst);
        return receiver.recv().unwrap_or_else(|_| Err(failed()));
    }
    let message = format!("it isn't compiled after {} s", engine.compile_limit().as_secs());
    Err(Fault::new("component-compile-timeout", message)
        .at(&file, None)
        .hint("a component of ordinary size takes less than a second; build it with optimisation")
        .into())
}

fn check(engine: &Engine, source: &Source, compiled: Option<Component>) -> Result<Loaded, Refusal> {
    let file = source.wasm_file();
    let bytes = source.bytes()?;
    source::check_shape(file, bytes)?;
    let digest = source.print.wasm.clone().unwrap_or_default();
    let voucher = engine.gate().admit(source, &digest, bytes)?;
    let place = Place { source, toml: source.toml_text()? };
    let mut settings_file = ComponentSettingsFile::read(&source.files.toml, place.toml)?;
    check_kind_of_file(&place, &settings_file)?;
    let compiled = match compiled {
        Some(compiled) => compiled,
        None => compile(engine, file, bytes, &digest)?,
    };
    let (world, contract) = world(engine, file, &compiled)?;
    let imports = needs::imports_of(engine, &compiled);
    let known = |fault| Refusal { fault, world: Some(world) };
    engine.gate().hold_back(source, &digest, &imports, &settings_file).map_err(known)?;
    engine.gate().try_first(source, &settings_file).map_err(known)?;
    settings_file.grants = engine.gate().grants(source, &digest, &settings_file);
    let loaded = finish(engine, &place, &settings_file, compiled, (world, contract), digest, voucher).map_err(known)?;
    keep::save(engine, source, &loaded.info.digest);
    Ok(loaded)
}

/// What is in the TOML file must be about the component beside it.
fn check_kind_of_file(place: &Place<'_>, file: &ComponentSettingsFile) -> Result<(), Fault> {
    let beside = place.source.file.file_name().unwrap_or_default();
    if place.source.file != place.source.wasm_file() {
        return Ok(());
    }
    let other = file.component.as_ref().filter(|name| beside != name.as_str());
    let Some(key) = other.map(|_| "component").or(file.group.as_ref().map(|_| "group")) else { return Ok(()) };
    let message = format!("`{key}` stands in the file of a component: {} is beside it", beside.display());
    Err(place.toml(settings_file::CODE, message, &[key]).hint("give one of the two files another name"))
}

/// Finds out what a component's file says: what it is, and what it says of itself when everything that it imports is there.
pub(crate) fn look(engine: &Engine, source: &Source, inspection: &mut Inspection) {
    let file = source.wasm_file().to_owned();
    let seen = (|| {
        let bytes = source.bytes()?;
        let compiled = compile(engine, &file, bytes, &inspection.digest)?;
        let ty = compiled.component_type();
        inspection.note_names(
            ty.imports(engine.wasmtime()).map(|(name, _)| name),
            ty.exports(engine.wasmtime()).map(|(name, _)| name),
        );
        let (world, contract) = world(engine, &file, &compiled)?;
        inspection.world = Some(world);
        let http = vec!["localhost:80".to_owned()];
        let all = Grants { clock: true, random: true, folder: Some(".".into()), http, digest: None };
        let settings_file = ComponentSettingsFile { grants: all, ..ComponentSettingsFile::default() };
        let place = Place { source, toml: "" };
        check_imports(engine, &place, &settings_file, &compiled, (world, contract))?;
        let wrong = |error: wasmtime::Error| place.wasm("component-invalid", cut(&format!("{error:#}")));
        let linker = imports::link(engine.wasmtime(), contract, &settings_file.grants).map_err(wrong)?;
        let instance = linker.instantiate_pre(&compiled).map_err(wrong)?;
        let metadata = MetadataIndices::new(contract, &instance).map_err(wrong)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let ask = Ask {
            engine,
            instance: &instance,
            name: name.as_ref().into(),
            settings: "{}".into(),
            settings_for: &BTreeMap::new(),
            folder: None,
            file: &settings_file,
        };
        let info = ask.wait(ask.describe(&metadata)).map_err(|(question, error)| question.fault(&place, &error))?;
        inspection.metadata = Some(Metadata {
            name: info.name,
            version: info.version,
            description: info.description,
            settings_schema: Some(info.settings_schema).filter(|schema| !schema.trim().is_empty()),
        });
        Ok(())
    })();
    inspection.fault = seen.err();
}

/// The files, for errors that point into them.
struct Place<'a> {
    source: &'a Source,
    toml: &'a str,
}

impl Place<'_> {
    fn wasm(&self, code: &str, message: impl Into<String>) -> Fault {
        Fault::new(code, message).at(self.source.wasm_file(), None)
    }

    fn toml(&self, code: &str, message: impl Into<String>, key: &[&str]) -> Fault {
        Fault::new(code, message).at(&self.source.files.toml, document::line_of(self.toml, key))
    }

    fn digest(&self) -> &str {
        self.source.print.wasm.as_deref().unwrap_or_default()
    }

    fn toml_name(&self) -> String {
        self.source.files.toml.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn finish(
    engine: &Engine,
    place: &Place<'_>,
    file: &ComponentSettingsFile,
    compiled: Component,
    (world, contract): (World, Contract),
    digest: String,
    voucher: Voucher,
) -> Result<Loaded, Fault> {
    if world != World::Policy && file.on_error.is_some() {
        let message = format!("`on_error` is for policies; {world} components always fail closed");
        return Err(place.toml(settings_file::CODE, message, &["on_error"]));
    }
    if !matches!(world, World::Permission | World::Policy) {
        for (key, is_there) in [
            ("mode", file.mode != Mode::Enforce),
            ("mode_for", !file.mode_for.is_empty()),
            ("when", !file.when.is_empty()),
            ("settings_for", !file.settings_for.is_empty()),
        ] {
            if is_there {
                let message = format!("`{key}` is for permission components and policies; this is {world}");
                return Err(place.toml(settings_file::CODE, message, &[key]));
            }
        }
    }
    let imports = check_imports(engine, place, file, &compiled, (world, contract))?;
    let folder = match &file.grants.folder {
        Some(folder) if world.takes_grants() => Some(open_folder(place, folder)?),
        _ => None,
    };
    let granted = GrantedPlaces::read(&file.grants.http);
    let http = granted.ok().filter(|_| world.takes_grants() && !file.grants.http.is_empty());
    let http = http.map(|places| GrantedHttp { places, roots: engine.roots().clone() });
    let wrong_types = |error: wasmtime::Error| {
        let message = format!("it doesn't fit {PACKAGE} {VERSION}: {}", cut(&format!("{error:#}")));
        place.wasm("component-invalid", message).hint("build it again from the wit/ folder of this version")
    };
    let linker = imports::link(engine.wasmtime(), contract, &file.grants).map_err(wrong_types)?;
    let instance = linker.instantiate_pre(&compiled).map_err(wrong_types)?;
    let metadata = MetadataIndices::new(contract, &instance).map_err(wrong_types)?;
    let kind = kind(world, contract, &instance).map_err(wrong_types)?;
    let name = place.source.name();
    let settings: Arc<str> = file.settings_json().into();
    let own_settings = |json: String| OwnSettings { digest: source::digest(json.as_bytes()).into(), json: json.into() };
    let settings_for: BTreeMap<String, OwnSettings> =
        file.settings_for_json().into_iter().map(|(name, json)| (name, own_settings(json))).collect();
    let ask = Ask {
        engine,
        instance: &instance,
        name: name.as_str().into(),
        settings: Arc::clone(&settings),
        settings_for: &settings_for,
        folder: folder.clone(),
        file,
    };
    let said = ask.introduce(&metadata, kind).map_err(|(failure, call)| failure.fault(place, &call))?;
    let info = ComponentInfo {
        name,
        file: place.source.wasm_file().to_owned(),
        source: place.source.file.clone(),
        world,
        title: said.title,
        version: said.version,
        description: said.description,
        settings_schema: said.settings_schema,
        digest,
        settings_digest: source::digest(settings.as_bytes()),
        settings_for: settings_for.keys().cloned().collect(),
        canary: file.canary,
        order: file.order,
        application: file.application(),
        group: None,
        member_of: Vec::new(),
        role: said.role,
        offers: said.offers,
        on_error: file.on_error.unwrap_or_default(),
        limits: file.limits,
        grants: file.grants.clone(),
        imports,
        voucher,
    };
    let names = Names::of(&info);
    Ok(Loaded {
        engine: engine.clone(),
        toml: place.toml.into(),
        info,
        compiled,
        instance,
        kind: said.kind,
        settings,
        settings_for,
        folder,
        http,
        names,
    })
}

pub(crate) fn compile(engine: &Engine, file: &Path, bytes: &[u8], digest: &str) -> Result<Component, Fault> {
    if let Some(component) = engine.cache().and_then(|cache| cache.load(engine.wasmtime(), digest)) {
        return Ok(component);
    }
    // All of it is validated before any of it is compiled.
    let component = Component::from_binary(engine.wasmtime(), bytes).map_err(|error| {
        Fault::new("component-invalid", format!("it isn't a valid component: {}", cut(&format!("{error:#}"))))
            .at(file, None)
    })?;
    if let Some(cache) = engine.cache() {
        cache.store(digest, &component);
    }
    Ok(component)
}

/// What a component is, from what it exports.
pub(crate) fn world(engine: &Engine, file: &Path, component: &Component) -> Result<(World, Contract), Fault> {
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(engine.wasmtime()).map(|(name, _)| name).collect();
    let fault = |message: String| {
        let worlds = World::ALL.map(World::as_str).join(", ");
        Fault::new("component-unknown-world", message)
            .at(file, None)
            .hint(format!("build it for one of the worlds of {PACKAGE}@{VERSION}: {worlds}"))
    };
    let names: Vec<InterfaceName<'_>> = exports.iter().map(|name| InterfaceName::of(name)).collect();
    if let Some(other) = names.iter().find(|name| name.package == PACKAGE && !name.is_ours()) {
        let message =
            format!("it is made for {PACKAGE} {}; this host speaks {}", cut(other.version), Contract::known());
        return Err(fault(message));
    }
    let mut contracts = names.iter().filter_map(InterfaceName::contract);
    let contract = contracts.next();
    if let (Some(one), Some(other)) = (contract, contracts.find(|other| Some(*other) != contract)) {
        return Err(fault(format!("it is of two versions at once: {} and {}", one.version(), other.version())));
    }
    let has = |interface: &str| names.iter().any(|name| name.is_ours() && name.interface == interface);
    let worlds: Vec<World> = World::ALL.into_iter().filter(|world| has(world.interface())).collect();
    match worlds.as_slice() {
        [world] if has("metadata") => Ok((*world, contract.unwrap_or(Contract::V0_1))),
        [world] => Err(fault(format!("it exports {} but not metadata", world.interface()))),
        [] if exports.is_empty() => Err(fault("it exports nothing".to_owned())),
        [] => Err(fault(format!("it exports nothing of {PACKAGE}, only {}", cut(&exports.join(", "))))),
        [one, other, ..] => Err(fault(format!("it is of two worlds at once: {one} and {other}"))),
    }
}

/// All imports by name, once each of them may be there.
fn check_imports(
    engine: &Engine,
    place: &Place<'_>,
    file: &ComponentSettingsFile,
    component: &Component,
    (world, contract): (World, Contract),
) -> Result<Vec<String>, Fault> {
    let ty = component.component_type();
    let mut imports = Vec::new();
    for (import, item) in ty.imports(engine.wasmtime()) {
        let name = InterfaceName::of(import);
        imports.push(cut(import));
        let shown = cut(import);
        if !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            return Err(place
                .wasm("component-import-unknown", format!("it imports `{shown}`, which isn't an interface"))
                .hint(format!("components import interfaces of {PACKAGE}@{VERSION} and standard WASI 0.2")));
        }
        if name.is_standard() {
            continue;
        }
        let granted = match name.interface {
            _ if name.contract() != Some(contract) => None,
            "types" | "log" | "settings" => Some(true),
            "clock" => Some(file.grants.clock),
            "random" => Some(file.grants.random),
            "folder" => Some(file.grants.folder.is_some()),
            "http" => Some(!file.grants.http.is_empty()),
            _ => None,
        };
        match granted {
            Some(_) if !world.takes_grants() && !matches!(name.interface, "types" | "log" | "settings") => {
                return Err(place
                    .wasm("component-import-not-granted", format!("it imports {shown}; image recipes are pure"))
                    .hint("no grant helps: build it without this import"));
            }
            Some(true) => {}
            Some(false) => {
                let line = gate::grant_line(name.interface);
                let elsewhere = gate::is_pinned_elsewhere(&file.grants, place.digest());
                if let Some(pinned) = file.grants.digest.as_ref().filter(|_| elsewhere) {
                    let message = format!("it imports {shown}, which was granted to another file alone: {pinned}");
                    return Err(place
                        .toml("component-import-not-granted", message, &["grants", "digest"])
                        .hint(format!("if this one may have it, write its digest there: sha256:{}", place.digest())));
                }
                return Err(place
                    .wasm("component-import-not-granted", format!("it imports {shown}, which it wasn't granted"))
                    .hint(format!("if it may have that, write `{line}` under [grants] in {}", place.toml_name())));
            }
            None if name.package == PACKAGE && name.contract() != Some(contract) => {
                let message = match name.contract() {
                    Some(_) => format!("it imports {shown}, and exports what is of {}", contract.version()),
                    None => format!("it imports {shown}; this host speaks {PACKAGE} {}", Contract::known()),
                };
                return Err(place.wasm("component-import-unknown", message).hint("build it for that version"));
            }
            None => {
                return Err(place
                    .wasm("component-import-unknown", format!("it imports {shown}, which this host doesn't have"))
                    .hint(format!("components import interfaces of {PACKAGE}@{VERSION} and standard WASI 0.2")));
            }
        }
    }
    Ok(imports)
}

/// The granted folder; a relative path is below the home, which the component's own folder is in.
fn open_folder(place: &Place<'_>, folder: &Path) -> Result<GrantedFolder, Fault> {
    let path = place.source.home().join(folder);
    GrantedFolder::open(&path).map_err(|error| {
        let message = format!("the granted folder {} can't be opened: {error}", path.display());
        place.toml(settings_file::CODE, message, &["grants", "folder"])
    })
}

fn kind(world: World, contract: Contract, instance: &InstancePre<State>) -> wasmtime::Result<Kind> {
    Ok(match world {
        World::Permission => Kind::Permission(permission_check::GuestIndices::new(instance)?),
        // The role is asked for as soon as it can be.
        World::Policy => Kind::Policy(PolicyIndices::new(contract, instance)?, PolicyRole::Validating),
        World::ImageRecipe => Kind::ImageRecipe(image_recipe_generation::GuestIndices::new(instance)?),
        World::RecipeAdapter => Kind::RecipeAdapter(recipe_adaptation::GuestIndices::new(instance)?),
        World::RegistryHook => Kind::RegistryHook(registry_preparation::GuestIndices::new(instance)?),
    })
}

/// What a component says of itself.
struct Said {
    title: String,
    version: String,
    description: String,
    settings_schema: Option<String>,
    kind: Kind,
    role: Option<PolicyRole>,
    offers: Vec<Offer>,
}

/// Which of the first questions failed.
#[derive(Clone, Copy)]
enum Question {
    Start,
    Describe,
    Role,
    Offers,
    ValidateSettings,
    /// The settings under one configuration, by their place among those.
    SettingsFor(usize),
}

impl Question {
    fn fault(self, place: &Place<'_>, error: &CallError) -> Fault {
        let what = match self {
            Self::Start => "when it was started, it",
            Self::Describe => "asked to describe itself, it",
            Self::Role => "asked for its role, it",
            Self::Offers => "asked for its offers, it",
            Self::ValidateSettings => {
                // The component's own sentence stands for itself.
                let message = match error {
                    CallError::Refused { message } => format!("its settings aren't valid: {message}"),
                    error => format!("asked to check its settings, it {error}"),
                };
                return place
                    .toml("component-settings-invalid", message, &["settings"])
                    .hint("`wharf component list` says which settings it takes");
            }
            Self::SettingsFor(at) => {
                let message = match error {
                    CallError::Refused { message } => message.clone(),
                    error => format!("asked to check them, it {error}"),
                };
                let file = ComponentSettingsFile::read(&place.source.files.toml, place.toml).unwrap_or_default();
                let name = file.settings_for.keys().nth(at).map(String::as_str).unwrap_or_default();
                let message = format!("its settings under {name}, [settings] included, aren't valid: {message}");
                return place
                    .toml("component-settings-invalid", message, &["settings_for", name])
                    .hint("`wharf component list` says which settings it takes");
            }
        };
        place.wasm("component-invalid", format!("{what} {error}"))
    }
}

/// Asks a component the questions that it must answer before it is used.
struct Ask<'a> {
    engine: &'a Engine,
    instance: &'a InstancePre<State>,
    name: Arc<str>,
    settings: Arc<str>,
    settings_for: &'a BTreeMap<String, OwnSettings>,
    folder: Option<GrantedFolder>,
    file: &'a ComponentSettingsFile,
}

impl Ask<'_> {
    fn introduce(&self, metadata: &MetadataIndices, kind: Kind) -> Result<Said, (Question, CallError)> {
        self.wait(self.introduce_async(metadata, kind))
    }

    /// Waits for an answer on this thread.
    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, (Question, CallError)>>,
    ) -> Result<T, (Question, CallError)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| {
            let message = format!("there is no runtime for it: {error}");
            (Question::Start, CallError::Trap { message, at: String::new(), words: String::new() })
        })?;
        let said = runtime.block_on(answer);
        // A read of a disk that doesn't answer isn't waited for.
        runtime.shutdown_background();
        said
    }

    async fn introduce_async(&self, metadata: &MetadataIndices, mut kind: Kind) -> Result<Said, (Question, CallError)> {
        let info = self.describe(metadata).await?;
        let (mut role, mut offers) = (None, Vec::new());
        match &mut kind {
            Kind::Policy(indices, slot) => {
                *slot = self.role(indices, &self.settings).await.map_err(|error| (Question::Role, error))?;
                role = Some(*slot);
            }
            Kind::RecipeAdapter(indices) => {
                let mut session = self.session().await?;
                let said = match indices.load(&mut session.store, &session.instance) {
                    Ok(guest) => within(session.deadline(), guest.call_offers(&mut session.store)).await,
                    Err(error) => Err(error),
                };
                offers = session.finish(said).and_then(check_offers).map_err(|error| (Question::Offers, error))?;
            }
            Kind::Permission(_) | Kind::ImageRecipe(_) | Kind::RegistryHook(_) => {}
        }
        // A component that is only there for others to name, or switched off, needs no settings yet.
        if !self.file.application().is_never_asked() {
            self.validate(metadata, &self.settings, Question::ValidateSettings).await?;
        }
        for (at, own) in self.settings_for.values().enumerate() {
            self.validate(metadata, &own.json, Question::SettingsFor(at)).await?;
            if let Kind::Policy(indices, role) = &kind {
                let question = Question::SettingsFor(at);
                let own_role = self.role(indices, &own.json).await.map_err(|error| (question, error))?;
                if own_role != *role {
                    let message =
                        "with them it takes another part: one set of settings changes plans, the other judges";
                    return Err((question, CallError::Refused { message: message.to_owned() }));
                }
            }
        }
        let metadata::Info { name: title, version, description, settings_schema } = info;
        let settings_schema = Some(settings_schema).filter(|schema| !schema.trim().is_empty());
        Ok(Said { title, version, description, settings_schema, kind, role, offers })
    }

    async fn describe(&self, metadata: &MetadataIndices) -> Result<metadata::Info, (Question, CallError)> {
        let mut session = self.session().await?;
        let info = metadata.describe(&mut session).await;
        session.finish(info).and_then(check_info).map_err(|error| (Question::Describe, error))
    }

    async fn role(&self, indices: &PolicyIndices, settings: &Arc<str>) -> Result<PolicyRole, CallError> {
        let mut session = self.session_with(settings).await?;
        let said = indices.role(&mut session).await;
        session.finish(said)
    }

    async fn validate(
        &self,
        metadata: &MetadataIndices,
        settings: &Arc<str>,
        question: Question,
    ) -> Result<(), (Question, CallError)> {
        let failed = |error| (question, error);
        let mut session = self.session_with(settings).await.map_err(failed)?;
        let valid = metadata.validate_settings(&mut session, settings).await;
        session
            .finish(valid)
            .map_err(failed)?
            .map_err(|message| failed(CallError::Refused { message: cut(message.trim()) }))
    }

    async fn session(&self) -> Result<Session, (Question, CallError)> {
        self.session_with(&self.settings).await.map_err(|error| (Question::Start, error))
    }

    async fn session_with(&self, settings: &Arc<str>) -> Result<Session, CallError> {
        let limits = self.file.limits;
        let state = State::new(
            Arc::clone(&self.name),
            Arc::clone(settings),
            self.folder.clone(),
            None,
            (limits.memory_mb as usize) << 20,
        );
        let callee = Callee { engine: self.engine, instance: self.instance, bounds: limits.bounds() };
        Session::begin(callee, state).await
    }
}

fn check_info(info: metadata::Info) -> Result<metadata::Info, CallError> {
    let schema = info.settings_schema.trim();
    if !schema.is_empty() && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema).is_err() {
        return Err(CallError::invalid("settings-schema", "it isn't a JSON object"));
    }
    Ok(metadata::Info {
        name: answer::name("name", info.name)?,
        version: answer::name("version", info.version)?,
        description: cut(info.description.trim()),
        settings_schema: info.settings_schema,
    })
}

fn check_offers(offers: Vec<recipe_adaptation::Offer>) -> Result<Vec<Offer>, CallError> {
    answer::list("offers", offers, |at, offer| {
        Ok(Offer {
            kind: answer::name(&format!("{at}.kind"), offer.kind)?,
            label: cut(offer.label.trim()),
            description: cut(offer.description.trim()),
        })
    })
}
