//! What administrators write: the files of a home, read and checked.
//!
//! Each file has a type that is its shape ([`SiteFile`], [`ConfigurationFile`], [`BaseImageFile`], [`ActivityFile`]: their
//! JSON schemas are in `docs/schemas`), and a method of [`Home`] that reads it, checks every value and gives the type
//! that the rest of the host works with. Errors are [`wharf_model::Fault`]s with file, line and the nearest valid spelling.

mod activity;
mod base_image;
mod byte_size;
mod code_env;
mod configuration;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod guide;
mod history;
mod home;
mod kubernetes;
mod label;
mod name;
mod resource;
mod schema;
mod secret;
mod security;
mod site;
mod source;
mod time_span;
mod trust;

pub use activity::{ActivityFile, Direction, Places, RecipeKind, binding, load_task, role_binding};
pub use base_image::{BaseImageFile, BootstrapTable, LanguageTable, LanguagesTable, MirrorsTable};
pub use byte_size::ByteSize;
pub use code_env::{Availability, CodeEnvFile, CodeEnvLanguage, CodeEnvSettings, ConfigurationNames, Names};
pub use configuration::{ConfigurationFile, EngineType, ExchangeTable, LogsTable, PermissionsTable};
pub use history::{History, HistoryTable, OnDamage};
pub use home::Home;
pub use kubernetes::{NamespacePolicyTable, PatienceTable, ScratchTable};
pub(crate) use name::is_name;
pub use resource::{Amount, ResourcesTable, check_resources, resource_argument};
pub use schema::schemas;
pub use secret::secret_argument;
pub(crate) use secret::{check_reference, is_secret_name};
pub use security::SecurityTable;
pub use site::{
    CanaryRules, CanaryTable, NeverLaunched, ProjectTable, RecoveryTable, RunTimes, RunsTable, Site, SiteExchange,
    SiteExchangeTable, SiteFile, UnknownObjects,
};
pub use time_span::TimeSpan;
pub use trust::TrustTable;
