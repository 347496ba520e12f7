//! The checks between a file and a component that may be called.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};
use wharf_model::{Fault, document};

use crate::answer;
use crate::bindings::{image_recipe_generation, metadata, permission_check, recipe_adaptation};
use crate::call::{Callee, Session, within};
use crate::call_error::{CallError, cut};
use crate::contract::{MetadataIndices, PolicyIndices};
use crate::engine::Engine;
use crate::folder::GrantedFolder;
use crate::imports;
use crate::inspect::{Inspection, Metadata};
use crate::loaded::{ComponentInfo, Kind, Loaded, Names, Offer};
use crate::policy::PolicyRole;
use crate::settings_file::{self, ComponentSettingsFile, Grants};
use crate::source::{self, Source};
use crate::state::State;
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
    let file = source.wasm_file.clone();
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
    let file = source.wasm_file.as_path();
    let bytes = source.wasm.as_ref().map_err(Clone::clone)?;
    source::check_shape(file, bytes)?;
    let toml = source.toml.as_ref().map_err(Clone::clone)?.as_deref();
    let settings_file = match toml {
        Some(text) => ComponentSettingsFile::read(&source.toml_file, text)?,
        None => ComponentSettingsFile::default(),
    };
    let digest = source.print.wasm.clone().unwrap_or_default();
    let compiled = match compiled {
        Some(compiled) => compiled,
        None => compile(engine, file, bytes, &digest)?,
    };
    let (world, contract) = world(engine, file, &compiled)?;
    let place = Place { source, toml: toml.unwrap_or_default() };
    finish(engine, &place, &settings_file, compiled, (world, contract), digest)
        .map_err(|fault| Refusal { fault, world: Some(world) })
}

/// Finds out what a component's file says: what it is, and what it says of itself when everything that it imports is there.
pub(crate) fn look(engine: &Engine, source: &Source, inspection: &mut Inspection) {
    let file = source.wasm_file.clone();
    let seen = (|| {
        let bytes = source.wasm.as_ref().map_err(Clone::clone)?;
        let compiled = compile(engine, &file, bytes, &inspection.digest)?;
        let ty = compiled.component_type();
        inspection.note_names(
            ty.imports(engine.wasmtime()).map(|(name, _)| name),
            ty.exports(engine.wasmtime()).map(|(name, _)| name),
        );
        let (world, contract) = world(engine, &file, &compiled)?;
        inspection.world = Some(world);
        let all = Grants { clock: true, random: true, folder: Some(".".into()) };
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
        Fault::new(code, message).at(&self.source.wasm_file, None)
    }

    fn toml(&self, code: &str, message: impl Into<String>, key: &[&str]) -> Fault {
        Fault::new(code, message).at(&self.source.toml_file, document::line_of(self.toml, key))
    }

    fn toml_name(&self) -> String {
        self.source.toml_file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn finish(
    engine: &Engine,
    place: &Place<'_>,
    file: &ComponentSettingsFile,
    compiled: Component,
    (world, contract): (World, Contract),
    digest: String,
) -> Result<Loaded, Fault> {
    if world != World::Policy && file.on_error.is_some() {
        let message = format!("`on_error` is for policies; {world} components always fail closed");
        return Err(place.toml(settings_file::CODE, message, &["on_error"]));
    }
    let imports = check_imports(engine, place, file, &compiled, (world, contract))?;
    let folder = match &file.grants.folder {
        Some(folder) if world.takes_grants() => Some(open_folder(place, folder)?),
        _ => None,
    };
    let wrong_types = |error: wasmtime::Error| {
        let message = format!("it doesn't fit {PACKAGE} {VERSION}: {}", cut(&format!("{error:#}")));
        place.wasm("component-invalid", message).hint("build it again from the wit/ folder of this version")
    };
    let linker = imports::link(engine.wasmtime(), contract, &file.grants).map_err(wrong_types)?;
    let instance = linker.instantiate_pre(&compiled).map_err(wrong_types)?;
    let metadata = MetadataIndices::new(contract, &instance).map_err(wrong_types)?;
    let kind = kind(world, contract, &instance).map_err(wrong_types)?;
    let name = place.source.wasm_file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let settings: Arc<str> = file.settings_json().into();
    let ask = Ask {
        engine,
        instance: &instance,
        name: name.as_str().into(),
        settings: Arc::clone(&settings),
        folder: folder.clone(),
        file,
    };
    let said = ask.introduce(&metadata, kind).map_err(|(failure, call)| failure.fault(place, &call))?;
    let info = ComponentInfo {
        name,
        file: place.source.wasm_file.clone(),
        world,
        title: said.title,
        version: said.version,
        description: said.description,
        settings_schema: said.settings_schema,
        digest,
        settings_digest: source::digest(settings.as_bytes()),
        order: file.order,
        role: said.role,
        offers: said.offers,
        on_error: file.on_error.unwrap_or_default(),
        limits: file.limits,
        grants: file.grants.clone(),
        imports,
    };
    let names = Names::of(&info);
    Ok(Loaded { engine: engine.clone(), info, compiled, instance, kind: said.kind, settings, folder, names })
}

fn compile(engine: &Engine, file: &Path, bytes: &[u8], digest: &str) -> Result<Component, Fault> {
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
fn world(engine: &Engine, file: &Path, component: &Component) -> Result<(World, Contract), Fault> {
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
                let value = if name.interface == "folder" { "\"PATH\"" } else { "true" };
                let line = format!("{} = {value}", name.interface);
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
                let mut session = self.session().await?;
                let said = indices.role(&mut session).await;
                *slot = session.finish(said).map_err(|error| (Question::Role, error))?;
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
            Kind::Permission(_) | Kind::ImageRecipe(_) => {}
        }
        let mut session = self.session().await?;
        let valid = metadata.validate_settings(&mut session, &self.settings).await;
        let failed = |error| (Question::ValidateSettings, error);
        if let Err(message) = session.finish(valid).map_err(failed)? {
            return Err(failed(CallError::Refused { message: cut(message.trim()) }));
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

    async fn session(&self) -> Result<Session, (Question, CallError)> {
        let limits = self.file.limits;
        let state = State::new(
            Arc::clone(&self.name),
            Arc::clone(&self.settings),
            self.folder.clone(),
            (limits.memory_mb as usize) << 20,
        );
        let callee = Callee { engine: self.engine, instance: self.instance, bounds: limits.bounds() };
        Session::begin(callee, state).await.map_err(|error| (Question::Start, error))
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
