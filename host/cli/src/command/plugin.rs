//! `wharf plugin`.

use std::path::Path;

use wharf::message::InstalledPlugin;
use wharf_model::{BindingKind, Fault, Plugin, PluginNote, PluginRecipe, RecipeParameter, RecipeRole};

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::failure::Failure;
use crate::table::Table;
use crate::text::counted;

pub(super) async fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let plugins = access.plugins().await;
    access.shutdown().await;
    let plugins = plugins?;
    if console.is_json() {
        console.json_line(&plugins)?;
        return Ok(exit_code::SUCCEEDED);
    }
    if plugins.is_empty() {
        console.note("no plugin yet: `wharf plugin install FOLDER|ZIP`");
        return Ok(exit_code::SUCCEEDED);
    }
    let mut table = Table::new(["NAME", "VERSION", "RECIPES", "ADAPTER", "STATE"]);
    for installed in plugins {
        let plugin = installed.plugin.as_ref();
        let state = match (&installed.problem, plugin) {
            (Some(problem), _) => format!("broken: {problem}"),
            (None, Some(plugin)) if !plugin.faults.is_empty() => {
                format!(
                    "{} in its files: wharf plugin show {}",
                    counted(plugin.faults.len() as u64, "fault"),
                    installed.name
                )
            }
            _ => "ok".to_owned(),
        };
        let recipes = plugin.map(|plugin| plugin.recipes.iter().map(|recipe| recipe.name.as_str()).collect::<Vec<_>>());
        table.row([
            installed.name.clone(),
            plugin.and_then(|plugin| plugin.version.clone()).unwrap_or_default(),
            recipes.unwrap_or_default().join(","),
            installed.adapter.clone().unwrap_or_default(),
            state,
        ]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn show(global: &GlobalArguments, name: &str, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let plugins = access.plugins().await;
    access.shutdown().await;
    let plugins = plugins?;
    let names: Vec<String> = plugins.iter().map(|installed| installed.name.clone()).collect();
    let Some(installed) = plugins.into_iter().find(|installed| installed.name == name) else {
        let hint = match names.as_slice() {
            [] => "install it: `wharf plugin install FOLDER|ZIP`".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        return Err(Fault::new("plugin-not-found", format!("there is no plugin \"{name}\"")).hint(hint).into());
    };
    if console.is_json() {
        console.json_line(&installed)?;
        return Ok(exit_code::SUCCEEDED);
    }
    describe(&installed, console)?;
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn install(global: &GlobalArguments, source: &Path, replace: bool, console: &mut Console) -> Ending {
    // Another process may do it, which has another current folder.
    let source = std::path::absolute(source).map_err(|error| {
        Fault::new("usage", format!("{} isn't a path: {error}", source.display())).hint("name a folder or a zip file")
    })?;
    let access = open(global).await?;
    let installed = access.install_plugin(&source, replace).await;
    access.shutdown().await;
    let installed = installed?;
    if console.is_json() {
        console.json_line(&installed)?;
        return Ok(exit_code::SUCCEEDED);
    }
    describe(&installed, console)?;
    console.note(&format!("installed in {}", installed.folder.display()));
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn remove(global: &GlobalArguments, name: &str, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let removed = access.remove_plugin(name).await;
    access.shutdown().await;
    let folder = removed?;
    if console.is_json() {
        console.json_line(&folder)?;
    } else {
        console.note(&format!("removed {}", folder.display()));
    }
    Ok(exit_code::SUCCEEDED)
}

fn describe(installed: &InstalledPlugin, console: &mut Console) -> Result<(), Failure> {
    let heading = |console: &Console, text: &str| console.out().paint(Tone::Title, &for_terminal(text));
    let Some(plugin) = &installed.plugin else {
        let problem = installed.problem.clone().unwrap_or_default();
        console.line(&format!("{}: {}", heading(console, &installed.name), for_terminal(&problem)))?;
        return Ok(());
    };
    let version = plugin.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let title = format!("{}{version}", installed.name);
    console.line(&format!("{}  {}", heading(console, &title), for_terminal(&plugin.label)))?;
    for recipe in &plugin.recipes {
        console.line("")?;
        let line = format!("{}  {} ({})", heading(console, &recipe.name), for_terminal(&recipe.label), recipe.language);
        console.line(&line)?;
        lines_of(recipe).iter().try_for_each(|line| console.line(&for_terminal(line)))?;
    }
    notes(plugin, console)?;
    Ok(())
}

/// Roles and parameters, a line each.
fn lines_of(recipe: &PluginRecipe) -> Vec<String> {
    let inputs = recipe.inputs.iter().map(|role| format!("  input   {}", role_line(role)));
    let outputs = recipe.outputs.iter().map(|role| format!("  output  {}", role_line(role)));
    let parameters = recipe.parameters.iter().map(|parameter| format!("  param   {}", parameter_line(parameter)));
    inputs.chain(outputs).chain(parameters).collect()
}

fn role_line(role: &RecipeRole) -> String {
    let kinds: Vec<&str> = role
        .accepts
        .iter()
        .map(|kind| match kind {
            BindingKind::Dataset => "dataset",
            BindingKind::Folder => "folder",
        })
        .collect();
    let many = if role.many { ", one or more" } else { "" };
    let required = if role.required { "" } else { ", optional" };
    format!("{}: {}{many}{required}", role.name, kinds.join(" or "))
}

fn parameter_line(parameter: &RecipeParameter) -> String {
    let mut line = format!("{}: {}", parameter.name, parameter.kind);
    if !parameter.choices.is_empty() {
        line.push_str(&format!(" ({})", parameter.choices.join(", ")));
    }
    if parameter.required {
        line.push_str(", required");
    }
    if let Some(default) = &parameter.default {
        line.push_str(&format!(", by default {default}"));
    }
    if parameter.secret {
        line.push_str(", the name of a secret");
    }
    line
}

fn notes(plugin: &Plugin, console: &mut Console) -> Result<(), Failure> {
    for (title, notes) in [("faults", &plugin.faults), ("not known, and left alone", &plugin.unknown)] {
        if notes.is_empty() {
            continue;
        }
        console.line("")?;
        console.line(&console.out().paint(Tone::Title, title))?;
        for PluginNote { file, line, message } in notes {
            let at = line.map(|line| format!(":{line}")).unwrap_or_default();
            console.line(&for_terminal(&format!("  {file}{at}: {message}")))?;
        }
    }
    Ok(())
}
