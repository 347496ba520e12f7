//! A component that passed its checks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::component::{Component, InstancePre};
use wharf_model::Mode;

use crate::application::{Application, GroupTable};
use crate::bindings::{image_recipe_generation, permission_check, recipe_adaptation, registry_preparation};
use crate::call::{Attribution, Callee, Session};
use crate::call_error::CallError;
use crate::contract::PolicyIndices;
use crate::engine::Engine;
use crate::folder::GrantedFolder;
use crate::http::GrantedHttp;
use crate::policy::PolicyRole;
use crate::settings_file::{CallLimits, Grants, OnError};
use crate::state::State;
use crate::trust::Voucher;
use crate::world::World;

/// A kind of activity that an adapter can prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// The activity's kind.
    pub kind: String,
    /// A few words.
    pub label: String,
    /// A sentence.
    pub description: String,
}

/// What is known of a loaded component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentInfo {
    /// The name by which all files call it: its file's.
    pub name: String,
    /// Its file; a group's TOML file.
    pub file: PathBuf,
    /// The file that it is listed by: the same, or the TOML file that names it as its `component`.
    pub source: PathBuf,
    /// What kind it is.
    pub world: World,
    /// What it calls itself.
    pub title: String,
    /// Its own version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// A JSON schema of its settings; none when it takes none.
    pub settings_schema: Option<String>,
    /// SHA-256 of its file.
    pub digest: String,
    /// SHA-256 of its settings.
    pub settings_digest: String,
    /// Its changes are tried before they come into force.
    pub canary: bool,
    /// The configurations under which it has other settings.
    pub settings_for: Vec<String>,
    /// When it is called among its kind.
    pub order: i32,
    /// About which runs it is asked, and what its answer means for them.
    pub application: Application,
    /// For a group: its members and their logic.
    pub group: Option<GroupTable>,
    /// The groups of policies that it answers in. Such a policy isn't asked on its own.
    pub member_of: Vec<String>,
    /// For policies: whether it changes plans or judges them.
    pub role: Option<PolicyRole>,
    /// For adapters: what it can prepare.
    pub offers: Vec<Offer>,
    /// What an error of it means for a run.
    pub on_error: OnError,
    /// How much a call may use.
    pub limits: CallLimits,
    /// What it was granted.
    pub grants: Grants,
    /// All that it imports, standard WASI included.
    pub imports: Vec<String>,
    /// Why it is trusted.
    pub voucher: Voucher,
}

/// A component, ready to be called.
pub(crate) struct Loaded {
    /// The text of its TOML file.
    pub(crate) toml: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) info: ComponentInfo,
    pub(crate) compiled: Component,
    pub(crate) instance: InstancePre<State>,
    pub(crate) kind: Kind,
    pub(crate) settings: Arc<str>,
    pub(crate) settings_for: BTreeMap<String, OwnSettings>,
    pub(crate) folder: Option<GrantedFolder>,
    pub(crate) http: Option<GrantedHttp>,
    pub(crate) names: Names,
}

/// The settings under one configuration.
pub(crate) struct OwnSettings {
    pub(crate) json: Arc<str>,
    pub(crate) digest: Arc<str>,
}

/// What every call's attribution shares.
pub(crate) struct Names {
    component: Arc<str>,
    version: Arc<str>,
    digest: Arc<str>,
    settings_digest: Arc<str>,
}

/// How to call a component of each world.
#[derive(Clone)]
pub(crate) enum Kind {
    Permission(permission_check::GuestIndices),
    Policy(PolicyIndices, PolicyRole),
    ImageRecipe(image_recipe_generation::GuestIndices),
    RecipeAdapter(recipe_adaptation::GuestIndices),
    RegistryHook(registry_preparation::GuestIndices),
}

impl Names {
    pub(crate) fn of(info: &ComponentInfo) -> Self {
        Self {
            component: info.name.as_str().into(),
            version: info.version.as_str().into(),
            digest: info.digest.as_str().into(),
            settings_digest: info.settings_digest.as_str().into(),
        }
    }

    /// Who answered a call that began then.
    pub(crate) fn attribution(&self, started: Instant) -> Attribution {
        Attribution {
            component: Arc::clone(&self.component),
            version: Arc::clone(&self.version),
            digest: Arc::clone(&self.digest),
            settings_digest: Arc::clone(&self.settings_digest),
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            mode: Mode::Enforce,
            votes: None,
        }
    }
}

impl Loaded {
    /// A fresh instance within the component's limits.
    pub(crate) async fn session(&self) -> Result<Session, CallError> {
        self.session_with(&self.settings).await
    }

    /// The same, with the settings that it has under a configuration.
    pub(crate) async fn session_under(&self, configuration: &str) -> Result<Session, CallError> {
        self.session_with(self.settings_for.get(configuration).map_or(&self.settings, |own| &own.json)).await
    }

    async fn session_with(&self, settings: &Arc<str>) -> Result<Session, CallError> {
        let limits = self.info.limits;
        let state = State::new(
            Arc::clone(&self.names.component),
            Arc::clone(settings),
            self.folder.clone(),
            self.http.clone(),
            (limits.memory_mb as usize) << 20,
        );
        let callee = Callee { engine: &self.engine, instance: &self.instance, bounds: limits.bounds() };
        Session::begin(callee, state).await
    }

    /// Who answered a call that began then.
    pub(crate) fn attribution(&self, started: Instant) -> Attribution {
        self.names.attribution(started)
    }

    /// The same, with the settings that it has under a configuration.
    pub(crate) fn attribution_under(&self, configuration: &str, started: Instant) -> Attribution {
        let mut attribution = self.names.attribution(started);
        if let Some(own) = self.settings_for.get(configuration) {
            attribution.settings_digest = Arc::clone(&own.digest);
        }
        attribution
    }
}
