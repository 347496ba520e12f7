//! Plugins come and go as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wharf_components::ComponentSet;
use wharf_model::Fault;

use super::{INVALID, InstalledPlugin, adapters, not_found, read, unpack};
use crate::settings::is_name;

/// Installs the plugin of a folder or a zip file into the folder of the first adapter that knows what it is.
///
/// It is unpacked beside its place, read by the adapter, and then renamed, so that no run sees half of it.
pub(crate) async fn install(set: &ComponentSet, source: &Path, replace: bool) -> Result<InstalledPlugin, Fault> {
    if adapters(set).next().is_none() {
        return Err(Fault::new("plugin-invalid", "no recipe adapter for plugins is loaded")
            .hint("`wharf component list` says what is loaded, and why others aren't"));
    }
    let mut tried = Vec::new();
    for (adapter, folder) in adapters(set) {
        let failed = |error: io::Error| io_fault(folder, &error);
        let staging = tempfile::Builder::new().prefix(".installing-").tempdir_in(folder).map_err(failed)?;
        let (from, to) = (source.to_owned(), staging.path().to_owned());
        let unpacked = tokio::task::spawn_blocking(move || unpack::unpack(&from, &to));
        unpacked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let staged = staging.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        // An archive often has one folder with everything in it.
        let inner = only_folder(staging.path()).map(|name| format!("{staged}/{name}"));
        for below in [Some(staged), inner].into_iter().flatten() {
            let Some(plugin) = read(adapter, &below).await.map_err(|fault| fault.at(source, None))? else { continue };
            if !is_name(&plugin.id) {
                let message = format!("its id is \"{}\", which can't be the name of a folder", plugin.id);
                return Err(Fault::new(INVALID, message).at(source, None));
            }
            put_in_place(&folder.join(&below), &folder.join(&plugin.id), replace)?;
            return Ok(InstalledPlugin {
                name: plugin.id.clone(),
                folder: folder.join(&plugin.id),
                adapter: Some(adapter.name().to_owned()),
                plugin: Some(plugin),
                problem: None,
            });
        }
        tried.push(adapter.name());
    }
    Err(Fault::new(INVALID, "this is no plugin that a recipe adapter knows")
        .at(source, None)
        .hint(format!("asked: {}; a DSS plugin has a plugin.json at its top", tried.join(", "))))
}

/// Removes a plugin. Runs that have begun keep what their images have.
pub(crate) async fn remove(set: &ComponentSet, name: &str) -> Result<PathBuf, Fault> {
    let installed = super::list(set).await.into_iter().find(|installed| installed.name == name);
    let folder = installed.ok_or_else(|| not_found(set, name))?.folder;
    let parent = folder.parent().unwrap_or(Path::new("."));
    let failed = |error: io::Error| io_fault(&folder, &error);
    // Gone at once for whoever looks, however long the removal takes.
    let aside = tempfile::Builder::new().prefix(".removing-").tempdir_in(parent).map_err(failed)?;
    fs::rename(&folder, aside.path().join(name)).map_err(failed)?;
    aside.close().map_err(failed)?;
    Ok(folder)
}

fn put_in_place(from: &Path, to: &Path, replace: bool) -> Result<(), Fault> {
    let failed = |error: io::Error| io_fault(to, &error);
    let parent = to.parent().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(".removing-").tempdir_in(parent).map_err(failed)?;
    if to.symlink_metadata().is_ok() {
        if !replace {
            return Err(Fault::new("plugin-exists", "there is a plugin of this name already")
                .at(to, None)
                .hint("`--replace` puts this one in its place"));
        }
        fs::rename(to, aside.path().join("old")).map_err(failed)?;
    }
    fs::rename(from, to).map_err(failed)
}

/// The only thing in a folder, where that is a folder.
fn only_folder(folder: &Path) -> Option<String> {
    let mut entries = fs::read_dir(folder).ok()?;
    let first = entries.next()?.ok()?;
    let alone = entries.next().is_none() && first.file_type().ok()?.is_dir();
    alone.then(|| first.file_name().into_string().ok()).flatten()
}

fn io_fault(path: &Path, error: &io::Error) -> Fault {
    Fault::new("plugin-folder-unusable", format!("the folder of plugins can't be changed: {error}"))
        .at(path, None)
        .hint("see whether this user may write there, and whether the disk has room")
}
