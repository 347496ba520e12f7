//! Plugins: folders with recipes. Their adapters read them; the host finds, installs and removes them.

mod install;
mod unpack;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_components::{Adapter, CallError, ComponentSet, Tree};
use wharf_images::{FolderFile, FolderSource, FoldersPlan, ImageFolder};
use wharf_model::document::nearest;
use wharf_model::{ActivityKind, Fault, Job, Plugin};

pub(crate) use self::install::{install, remove};
use crate::settings::is_name;

/// The code of the errors of plugins that nothing can be made of.
const INVALID: &str = "plugin-invalid";

/// A plugin of the home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstalledPlugin {
    /// By which activities name it: the name of its folder.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The adapter that reads it; none when no one can.
    pub adapter: Option<String>,
    /// What is in it; none when nothing can be made of it.
    pub plugin: Option<Plugin>,
    /// Why nothing can be made of it.
    pub problem: Option<String>,
}

/// The adapters that know plugins, each with its folder.
fn adapters(set: &ComponentSet) -> impl Iterator<Item = (&Adapter, &Path)> {
    set.adapters_for(ActivityKind::Plugin.as_str()).filter_map(|adapter| Some((adapter, adapter.granted_folder()?)))
}

/// The plugin in a folder below an adapter's own; `None` when the adapter doesn't know it.
async fn read(adapter: &Adapter, name: &str) -> Result<Option<Plugin>, Fault> {
    adapter.read_plugin(name).await.answer.map_err(|error| {
        let message = match error {
            CallError::Refused { message } => message,
            error => format!("{} couldn't read it: {error}", adapter.name()),
        };
        Fault::new(INVALID, format!("the plugin {name} can't be used: {message}"))
    })
}

/// The adapter that reads a plugin.
pub(crate) async fn adapter_of<'a>(set: &'a ComponentSet, name: &str) -> Result<&'a Adapter, Fault> {
    if is_name(name) {
        for (adapter, folder) in adapters(set) {
            if folder.join(name).is_dir() && read(adapter, name).await?.is_some() {
                return Ok(adapter);
            }
        }
    }
    Err(not_found(set, name))
}

fn not_found(set: &ComponentSet, name: &str) -> Fault {
    let names = names(set);
    let near = nearest(name, names.iter().map(|(_, name)| name.as_str()));
    let message = match near {
        Some(near) => format!("there is no plugin \"{name}\"; did you mean \"{near}\"?"),
        None => format!("there is no plugin \"{name}\""),
    };
    let hint = match names.as_slice() {
        _ if adapters(set).next().is_none() => {
            "no recipe adapter for plugins is loaded: `wharf component list` says what is".to_owned()
        }
        [] => "install it: `wharf plugin install FOLDER|ZIP`".to_owned(),
        names => {
            let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
            format!("there are: {}", names.join(", "))
        }
    };
    Fault::new("plugin-not-found", message).hint(hint)
}

/// The folders that may be plugins, each with the one that it is in.
fn names(set: &ComponentSet) -> Vec<(PathBuf, String)> {
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    for (_, folder) in adapters(set) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_name(&name)
                && entry.path().is_dir()
                && !found.iter().any(|(at, other)| at == folder && *other == name)
            {
                found.push((folder.to_owned(), name));
            }
        }
    }
    found.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
    found
}

/// All plugins of a home, those that nothing can be made of included.
pub(crate) async fn list(set: &ComponentSet) -> Vec<InstalledPlugin> {
    let mut all = Vec::new();
    for (at, name) in names(set) {
        let folder = at.join(&name);
        let mut installed = InstalledPlugin {
            problem: Some("no adapter knows what it is".to_owned()),
            name: name.clone(),
            folder,
            adapter: None,
            plugin: None,
        };
        for (adapter, _) in adapters(set).filter(|(_, folder)| *folder == at) {
            match read(adapter, &name).await {
                Ok(None) => continue,
                Ok(Some(plugin)) => {
                    installed.plugin = Some(plugin);
                    installed.problem = None;
                }
                Err(fault) => installed.problem = Some(fault.message),
            }
            installed.adapter = Some(adapter.name().to_owned());
            break;
        }
        all.push(installed);
    }
    all
}

/// The folders that a job's image gets.
pub(crate) async fn folders(adapter: &Adapter, name: &str, job: &Job) -> Result<Option<FoldersPlan>, Fault> {
    let mut folders = Vec::new();
    for folder in &job.folders {
        let unfit =
            |error: String| Fault::new(INVALID, format!("the plugin {name} can't be put into an image: {error}"));
        let tree = adapter.tree(&folder.source).await.map_err(|error| unfit(error.to_string()))?;
        let source = Arc::new(Files(tree));
        let digest = source.0.digest().to_owned();
        folders.push(ImageFolder { target: folder.target.clone(), digest, source });
    }
    Ok((!folders.is_empty()).then(|| FoldersPlan { name: name.to_owned(), folders }))
}

/// A folder that is read through its adapter's grant.
struct Files(Tree);

impl FolderSource for Files {
    fn files(&self) -> std::io::Result<Vec<FolderFile>> {
        let read = |file: &wharf_components::TreeFile| {
            let contents = self.0.read(file).map_err(std::io::Error::other)?;
            Ok(FolderFile { path: file.path.clone(), contents, executable: file.executable })
        };
        self.0.files().iter().map(read).collect()
    }
}
