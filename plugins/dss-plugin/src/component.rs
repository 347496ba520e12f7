//! The component: what the host asks, answered from the files below the granted folder.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use wharf_plugin_sdk::adapter::{
    Activity, Environment, FileContents, ImageFolder, Job, JobFile, Offer, Plugin as ShownPlugin, PluginNote,
    PluginRecipe, Problems, RecipeAdapter, RecipeParameter, RecipeRole,
};
use wharf_plugin_sdk::grants::folder::{self, ReadError};
use wharf_plugin_sdk::{BindingKind, KeyValue, Language};

use crate::check::{self, Binding, Given, Presets, check, check_settings};
use crate::code_env::{CodeEnvironment, Language as CodeLanguage};
use crate::describe::{Description, ParameterDescription, RoleDescription};
use crate::fault::Position;
use crate::files::Files;
use crate::plugin::Plugin;
use crate::recipe::RecipeKind;

/// Where an image has the package `dataiku`.
const LIBRARY: &str = "/opt/wharf/python";
/// Where an image has R's part of it.
const PROFILE: &str = "/opt/wharf/r/profile.R";
/// Where an image has the folders that the host puts there.
const FOLDERS: &str = "/opt/plugin";
/// What the library that recipes import needs.
const CORE_PACKAGE: &str = "pandas";
/// The folders of a plugin that its image gets.
const PYTHON_LIB: &str = "python-lib";
const R_LIB: &str = "R-lib";
const RESOURCE: &str = "resource";

/// The `[settings]` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The interpreter of Python recipes: a name in the image's PATH, or an absolute path.
    python: String,
    /// The interpreter of R recipes.
    rscript: String,
    /// Presets, by plugin, parameter set and name. The value of a secret is `{ secret = "NAME" }`.
    presets: BTreeMap<String, Presets>,
    /// Values of the parameters that plugins have as a whole, by plugin.
    plugins: BTreeMap<String, Map<String, Json>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            python: "python3".to_owned(),
            rscript: "Rscript".to_owned(),
            presets: BTreeMap::new(),
            plugins: BTreeMap::new(),
        }
    }
}

struct DssPlugin;

impl RecipeAdapter for DssPlugin {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        for (key, value) in [("python", &settings.python), ("rscript", &settings.rscript)] {
            if value.trim().is_empty() {
                return Err(format!("{key} is empty; leave the key out for the default"));
            }
        }
        Ok(())
    }

    fn offers() -> Vec<Offer> {
        vec![Offer::new("plugin", "Plugin recipe", "Runs recipes of plugins that were written for DSS.")]
    }

    fn read_plugin(_: &Settings, folder: &str) -> Result<Option<ShownPlugin>, String> {
        let files = Granted { folder };
        if files.read("plugin.json")?.is_none() {
            return Ok(None);
        }
        let plugin = Plugin::read(&files);
        if plugin.id.is_empty() {
            let faults: Vec<String> = plugin.findings.faults.iter().map(ToString::to_string).take(5).collect();
            return Err(if faults.is_empty() { "plugin.json has no id".to_owned() } else { faults.join("; ") });
        }
        Ok(Some(shown(&plugin)))
    }

    fn prepare(settings: &Settings, activity: &Activity) -> Result<Job, Problems> {
        let (Some(id), Some(name)) = (&activity.plugin, &activity.recipe) else {
            return Err("the activity names no plugin, or no recipe of it".into());
        };
        let files = Granted { folder: id };
        if files.read("plugin.json")?.is_none() {
            return Err(format!("there is no plugin {id}: its folder has no plugin.json").into());
        }
        let plugin = Plugin::read(&files);
        let recipe = plugin.recipe(name)?;
        let asked: Map<String, Json> = serde_json::from_str(&activity.parameters)
            .map_err(|error| format!("the parameters aren't an object: {error}"))?;
        let (inputs, outputs) = (bindings(&activity.inputs), bindings(&activity.outputs));
        let no_presets = Presets::new();
        let presets = settings.presets.get(id).unwrap_or(&no_presets);
        let given = Given { inputs: &inputs, outputs: &outputs, parameters: &asked };
        let checked = check(&plugin, recipe, given, presets)?;
        let nothing = Map::new();
        let own =
            check_settings(&plugin, settings.plugins.get(id).unwrap_or(&nothing), presets).map_err(|problems| {
                let of_plugin = |problem: String| format!("in the plugin's own settings (plugins.{id}): {problem}");
                problems.into_iter().map(of_plugin).collect::<Vec<_>>()
            })?;

        let mut env = vec![KeyValue::new("DKU_CONTAINER_EXEC", "1")];
        let mut secrets = Vec::new();
        for (variable, places) in
            [("WHARF_SECRET_PARAMETERS", &checked.secrets), ("WHARF_SECRET_PLUGIN_CONFIG", &own.secrets)]
        {
            let mut map = Map::new();
            for (pointer, name) in places {
                let holder = format!("WHARF_PARAMETER_{}", secrets.len() + 1);
                secrets.push(KeyValue::new(&holder, name));
                map.insert(pointer.clone(), Json::String(holder));
            }
            if !map.is_empty() {
                env.push(KeyValue::new(variable, Json::Object(map).to_string()));
            }
        }
        if !own.parameters.is_empty() {
            env.push(KeyValue::new("WHARF_PLUGIN_CONFIG", Json::Object(own.parameters).to_string()));
        }
        if let Some(project) = &activity.project {
            env.push(KeyValue::new("DKU_CURRENT_PROJECT_KEY", project));
        }
        let mut folders = Vec::new();
        for (there, folder) in [(plugin.python_lib, PYTHON_LIB), (plugin.r_lib, R_LIB), (plugin.resource, RESOURCE)] {
            if there {
                let path = format!("{id}/{folder}");
                folders.push(ImageFolder { source: path.clone(), target: path });
            }
        }
        if plugin.resource {
            env.push(KeyValue::new("WHARF_RECIPE_RESOURCE", format!("{FOLDERS}/{id}/{RESOURCE}")));
        }
        let code = recipe.code.clone();
        let language = match recipe.kind {
            RecipeKind::Python => CodeLanguage::Python,
            RecipeKind::R => CodeLanguage::R,
        };
        let argv = match language {
            CodeLanguage::Python => {
                let mut path = LIBRARY.to_owned();
                if plugin.python_lib {
                    path.push_str(&format!(":{FOLDERS}/{id}/{PYTHON_LIB}"));
                }
                env.push(KeyValue::new("PYTHONPATH", path));
                // -u: a line is in the log when it was printed, not when a buffer is full.
                vec![
                    settings.python.clone(),
                    "-u".to_owned(),
                    "-m".to_owned(),
                    "dataiku.recipe".to_owned(),
                    code.clone(),
                ]
            }
            CodeLanguage::R => {
                env.push(KeyValue::new("R_PROFILE_USER", PROFILE));
                // Without a locale, R takes every letter outside ASCII apart.
                env.push(KeyValue::new("LANG", "C.UTF-8"));
                vec![settings.rscript.clone(), "--no-save".to_owned(), "--no-restore".to_owned(), code.clone()]
            }
        };
        Ok(Job {
            env,
            files: vec![JobFile {
                contents: FileContents::Granted(format!("{id}/{code}")),
                path: code,
                executable: false,
            }],
            languages: vec![Language { name: language_name(language).to_owned(), version: None, packages: Vec::new() }],
            parameters: Some(Json::Object(checked.parameters).to_string()),
            secrets,
            environment: environment(&plugin, language, &files)?,
            folders,
            ..Job::of(argv)
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(DssPlugin);

/// The files of one plugin, below the granted folder.
struct Granted<'a> {
    folder: &'a str,
}

impl Granted<'_> {
    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.folder)
    }
}

/// What a failed reading means: nothing there, or a sentence.
fn missing<T>(error: ReadError) -> Result<Option<T>, String> {
    match error {
        ReadError::NotFound => Ok(None),
        ReadError::Outside => Err("it leads out of the folder of plugins".to_owned()),
        ReadError::TooLarge => Err("it is larger than 8 MiB".to_owned()),
        ReadError::Other(text) => Err(text),
    }
}

impl Files for Granted<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        folder::read(&self.at(path)).map_or_else(missing, |bytes| Ok(Some(bytes)))
    }

    fn entries(&self, path: &str) -> Result<Option<Vec<String>>, String> {
        folder::entries(&self.at(path)).map_or_else(missing, |names| Ok(Some(names)))
    }
}

fn bindings(bindings: &[wharf_plugin_sdk::Binding]) -> Vec<Binding> {
    let binding = |binding: &wharf_plugin_sdk::Binding| Binding {
        name: binding.name.clone(),
        role: Some(binding.role.clone()),
        kind: match binding.kind {
            BindingKind::Dataset => check::BindingKind::Dataset,
            BindingKind::Folder => check::BindingKind::Folder,
        },
    };
    bindings.iter().map(binding).collect()
}

fn language_name(language: CodeLanguage) -> &'static str {
    match language {
        CodeLanguage::Python => "python",
        CodeLanguage::R => "r",
    }
}

/// The plugin's own code environment for a language, if it has one.
fn environment(plugin: &Plugin, language: CodeLanguage, files: &Granted<'_>) -> Result<Option<Environment>, String> {
    let Some(declared) = plugin.environments.iter().find(|environment| environment.language == language) else {
        return Ok(None);
    };
    let spec = |name: &str| declared.spec.iter().find(|path| path.ends_with(name));
    let text = |path: &String| -> Result<String, String> {
        let bytes = files.read(path)?.unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| format!("{path} of the plugin isn't UTF-8"))
    };
    let requirements = spec("requirements.txt").map(text).transpose()?;
    let r_packages = spec("rPackages.txt").map(text).transpose()?;
    if declared.force_conda {
        return Err(format!(
            "the code environment of the plugin {} can only be made with conda, which isn't there; name another one with \
             --code-env, or in the activity's code_env",
            plugin.id
        ));
    }
    let mut packages = match language {
        CodeLanguage::Python => Vec::new(),
        CodeLanguage::R => r_names(r_packages.as_deref().unwrap_or_default()),
    };
    let core = language == CodeLanguage::Python && declared.install_core_packages;
    if core && !asks_for(requirements.as_deref().unwrap_or_default(), CORE_PACKAGE) {
        packages.push(CORE_PACKAGE.to_owned());
    }
    Ok(Some(Environment {
        name: plugin.id.clone(),
        language: language_name(language).to_owned(),
        interpreters: interpreters(declared),
        packages,
        requirements_file: spec("requirements.txt").map(|path| format!("{}/{path}", plugin.id)),
        requirements,
    }))
}

/// `PYTHON39` is `python3.9`; the newest first, since all of them are accepted.
fn interpreters(environment: &CodeEnvironment) -> Vec<String> {
    let version = |name: &String| {
        let digits = name.strip_prefix("PYTHON")?;
        let (major, minor) = digits.split_at_checked(1)?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let mut versions: Vec<(u32, u32)> = environment.interpreters.iter().filter_map(version).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.dedup();
    versions.into_iter().map(|(major, minor)| format!("python{major}.{minor}")).collect()
}

/// Whether requirements ask for a project, by its plain name.
fn asks_for(requirements: &str, project: &str) -> bool {
    let name = |line: &str| -> String {
        let name: String =
            line.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        name.to_ascii_lowercase()
    };
    requirements.lines().any(|line| name(line) == project)
}

/// `rPackages.txt`: a package a line, with or without quotes; what comes after a comma is the least version that will do.
fn r_names(text: &str) -> Vec<String> {
    let names = text.lines().map(|line| line.split(',').next().unwrap_or_default().trim().trim_matches('"').trim());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// A plugin as the host shows it.
fn shown(plugin: &Plugin) -> ShownPlugin {
    let description = Description::new(plugin);
    let note = |at: &Position, message: String| PluginNote {
        file: at.file.clone(),
        line: u32::try_from(at.line).ok().filter(|line| *line > 0),
        message,
    };
    let findings = &plugin.findings;
    ShownPlugin {
        id: description.id,
        version: Some(description.version).filter(|version| !version.is_empty()),
        label: description.label,
        description: description.description,
        recipes: description
            .recipes
            .into_iter()
            .map(|recipe| PluginRecipe {
                name: recipe.name,
                label: recipe.label,
                description: recipe.description,
                language: recipe.language.to_ascii_lowercase(),
                inputs: recipe.inputs.into_iter().map(role).collect(),
                outputs: recipe.outputs.into_iter().map(role).collect(),
                parameters: recipe.parameters.into_iter().map(parameter).collect(),
            })
            .collect(),
        faults: findings.faults.iter().map(|fault| note(&fault.at, fault.text.clone())).collect(),
        unknown: findings.unknown.iter().map(|unknown| note(&unknown.at, unknown.path.clone())).collect(),
    }
}

fn role(role: RoleDescription) -> RecipeRole {
    let accepts = role.accepts.iter().filter_map(|kind| match *kind {
        "dataset" => Some(BindingKind::Dataset),
        "folder" => Some(BindingKind::Folder),
        _ => None,
    });
    RecipeRole {
        accepts: accepts.collect(),
        name: role.name,
        label: role.label,
        required: role.required,
        many: role.many,
    }
}

fn parameter(parameter: ParameterDescription) -> RecipeParameter {
    let text = |choice: &Json| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned);
    RecipeParameter {
        name: parameter.name,
        label: parameter.label,
        kind: parameter.kind,
        required: parameter.required,
        default: parameter.default.map(|default| default.to_string()),
        choices: parameter.choices.iter().map(text).collect(),
        secret: parameter.secret,
    }
}
