//! Components come, change and go: from a file, a web server or a registry into a home, and from a file into a registry.
//!
//! All of it is work on the files of a home, so it needs no owner: whoever owns the home sees what changed before the next run.
//! What comes is fetched beside its place, checked there, shown ([`Review`]), and then renamed. A TOML file is never written.

mod change;
mod fault;
mod fetch;
mod findings;
mod lock;
mod place;
mod push;
mod review;

use std::path::{Path, PathBuf};

use wharf_components::{Engine, EngineOptions, Gate, Keeper};
use wharf_images::{FileLogins, Logins as _};
use wharf_model::Fault;
use wharf_registry::{Client, Credentials, Limits};

use crate::conclude::sentence_of;
use crate::settings::Home;

pub use change::Installed;
pub use fetch::Fetched;
pub(crate) use findings::findings;
pub(crate) use lock::Lock;
pub use push::PushReport;
pub use review::{Review, ReviewedVersion};
pub use wharf_components::{Grants, World};

/// What is done with the components of a home.
pub struct Distribution {
    home: Home,
    engine: Engine,
    client: Client,
    logins: FileLogins,
}

impl Distribution {
    /// Opens a home for it. `docker_config` is Docker's own file of logins.
    ///
    /// # Errors
    /// There is no home, or the machine can't run WebAssembly.
    pub fn open(home: &Path, docker_config: Option<PathBuf>) -> Result<Self, Fault> {
        Self::with_limits(home, docker_config, Limits::default())
    }

    /// The same, with other bounds for what is fetched.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_limits(home: &Path, docker_config: Option<PathBuf>, limits: Limits) -> Result<Self, Fault> {
        let home = Home::at(home);
        home.check_exists()?;
        let roots = home.load_site()?.roots;
        let client =
            Client::new(limits, &roots).map_err(|reason| Fault::new("component-source-unreachable", reason))?;
        let options =
            EngineOptions { cache_dir: Some(home.cache_dir().join("components")), roots, ..EngineOptions::default() };
        let engine = Engine::new(options).map_err(|error| Fault::new("components-unavailable", sentence_of(&error)))?;
        let logins = FileLogins::new(home.registries_file(), docker_config);
        Ok(Self { home, engine, client, logins })
    }

    /// The gate of the home, as its files have it now.
    fn gate(&self) -> Result<Gate, Fault> {
        crate::gate::of(&self.home, &self.home.load_site()?)
    }

    /// Where the versions of a component are: `policies/NAME`.
    fn keeper(&self, component: &str) -> Keeper {
        Keeper::new(self.home.kept_components_dir().join(component))
    }

    async fn credentials(&self, registry: &str) -> Result<Option<Credentials>, Fault> {
        let login = self.logins.login(registry).await.map_err(|error| {
            Fault::new("component-source-denied", sentence_of(&error)).hint("`docker login` writes such files")
        })?;
        Ok(login.map(|login| Credentials { user: login.user, secret: login.secret }))
    }

    /// The file of an installed component: `NAME`, `policies/NAME` or `plugins/NAME`.
    fn find(&self, name: &str) -> Result<PathBuf, Fault> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        let folders = [self.home.policies_dir(), self.home.plugins_dir()];
        let is_named = |file: &PathBuf| !name.contains('/') || wharf_components::component_path(file) == name;
        if crate::settings::is_name(bare) {
            let file = folders
                .iter()
                .map(|folder| folder.join(format!("{bare}.wasm")))
                .find(|file| is_named(file) && file.is_file());
            if let Some(file) = file {
                return Ok(file);
            }
        }
        Err(Fault::new("component-not-found", format!("there is no component \"{name}\""))
            .hint("`wharf component list` shows them"))
    }
}
