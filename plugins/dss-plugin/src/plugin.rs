//! A plugin: everything that its files declare.

use std::collections::BTreeMap;

use crate::code_env::{CodeEnvironment, Language, read_code_environment};
use crate::fault::{Fault, Findings, Position, Severity};
use crate::fields::{Fields, is_good_name};
use crate::files::{Files, is_plain_name};
use crate::json::{Document, quoted};
use crate::nearest::nearest;
use crate::param::{Param, ParamType, read_params};
use crate::parameter_set::{ParameterSet, read_parameter_set};
use crate::recipe::{Recipe, read_meta, read_recipe};

/// The most recipes, and parameter sets, of one plugin.
const MAX_COMPONENTS: usize = 1000;

/// A plugin as its files declare it.
///
/// Reading never fails: what is wrong is listed, and what is usable is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plugin {
    /// The id; empty when `plugin.json` has none.
    pub id: String,
    /// The version, as it is written.
    pub version: String,
    /// What people see.
    pub label: String,
    /// What it does.
    pub description: String,
    /// The parameters of the plugin as a whole, which an administrator gives.
    pub params: Vec<Param>,
    /// The recipes that can be used, by name.
    pub recipes: BTreeMap<String, Recipe>,
    /// The names of the recipes that can't be used.
    pub unusable: Vec<String>,
    /// The parameter sets that can be used, by id.
    pub parameter_sets: BTreeMap<String, ParameterSet>,
    /// The code environments that can be used.
    pub environments: Vec<CodeEnvironment>,
    /// Whether there is a folder `python-lib`.
    pub python_lib: bool,
    /// Whether there is a folder `R-lib`.
    pub r_lib: bool,
    /// Whether there is a folder `resource`.
    pub resource: bool,
    /// What is wrong or unknown, in the order of the files.
    pub findings: Findings,
}

impl Plugin {
    /// Reads the files of a plugin.
    pub fn read(files: &dyn Files) -> Self {
        let mut plugin = Self::default();
        plugin.read_plugin_json(files);
        for id in plugin.folders(files, "parameter-sets") {
            let file = format!("parameter-sets/{id}/parameter-set.json");
            let set = plugin.read_json(files, &file, |document, findings| read_parameter_set(&id, document, findings));
            plugin.parameter_sets.extend(set.map(|set| (id, set)));
        }
        for name in plugin.folders(files, "custom-recipes") {
            let folder = format!("custom-recipes/{name}");
            let names = plugin.entries(files, &folder);
            let sets = std::mem::take(&mut plugin.parameter_sets);
            let recipe = plugin.read_json(files, &format!("{folder}/recipe.json"), |document, findings| {
                let recipe = read_recipe(&name, document, &names, findings)?;
                check_presets(&recipe.params, &sets, findings);
                Some(recipe)
            });
            plugin.parameter_sets = sets;
            match recipe {
                Some(recipe) => {
                    plugin.recipes.insert(name, recipe);
                }
                None => plugin.unusable.push(name),
            }
        }
        for language in [Language::Python, Language::R] {
            plugin.read_environment(files, language);
        }
        plugin.python_lib = plugin.has_folder(files, "python-lib");
        plugin.r_lib = plugin.has_folder(files, "R-lib");
        plugin.resource = plugin.has_folder(files, "resource");
        plugin
    }

    /// A recipe by its name.
    ///
    /// # Errors
    /// Sentences: there is no such recipe, and which there are; or what is wrong with it.
    pub fn recipe(&self, name: &str) -> Result<&Recipe, Vec<String>> {
        if let Some(recipe) = self.recipes.get(name) {
            return Ok(recipe);
        }
        if self.unusable.iter().any(|unusable| unusable == name) {
            let folder = format!("custom-recipes/{name}/");
            let faults = self.findings.faults.iter();
            let errors = faults.filter(|fault| fault.severity == Severity::Error && fault.at.file.starts_with(&folder));
            return Err(errors.map(ToString::to_string).collect());
        }
        let there = match self.recipes.len() {
            0 => "none can be used".to_owned(),
            _ => format!("there are {}", names(self.recipes.keys())),
        };
        let meant = nearest(name, self.recipes.keys()).map(|near| format!(", did you mean {}?", quoted(near)));
        Err(vec![format!("plugin {} has no recipe {}; {there}{}", self.id, quoted(name), meant.unwrap_or_default())])
    }

    fn read_plugin_json(&mut self, files: &dyn Files) {
        let read = self.read_json(files, "plugin.json", |document, findings| {
            let mut fields = Fields::new(document, "$", "the plugin", &document.root, findings)?;
            let errors = findings.errors();
            let id = fields.text("id", findings).unwrap_or_default();
            let at = fields.position_of("id");
            if findings.errors() == errors && is_good_name("the plugin", &id, &at, findings) && !is_plain_name(&id) {
                findings.error(at, format!("the id {} can't be the name of a file", quoted(&id)));
            }
            let version = fields.label("version", findings).unwrap_or_default();
            let (mut label, mut description) = (String::new(), String::new());
            if let Some(mut meta) = fields.object("meta", findings) {
                for key in ["recipesCategory", "supported", "deprecated"] {
                    let _ = meta.value(key);
                }
                (label, description) = read_meta(&mut meta, findings);
                meta.finish(findings);
            }
            let params = read_params(&mut fields, "params", findings);
            fields.finish(findings);
            Some((id, version, label, description, params))
        });
        if let Some(read) = read {
            (self.id, self.version, self.label, self.description, self.params) = read;
        }
    }

    fn read_environment(&mut self, files: &dyn Files, language: Language) {
        let folder = format!("code-env/{}", language.folder());
        if !self.has_folder(files, &folder) {
            return;
        }
        let there = self.entries(files, &format!("{folder}/spec"));
        let wanted = language.spec_files().iter().filter(|file| there.iter().any(|name| name == *file));
        let spec = wanted.map(|file| format!("{folder}/spec/{file}")).collect();
        let environment = self.read_json(files, &format!("{folder}/desc.json"), |document, findings| {
            read_code_environment(language, document, spec, findings)
        });
        self.environments.extend(environment);
    }

    /// Reads one file and takes over what was found in it.
    fn read_json<T>(
        &mut self,
        files: &dyn Files,
        file: &str,
        read: impl FnOnce(&Document<'_>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let mut findings = Findings::default();
        let value = match files.read(file) {
            Ok(Some(bytes)) => match Document::parse(file, &bytes) {
                Ok(document) => read(&document, &mut findings),
                Err(Fault { at, text, .. }) => {
                    findings.error(at, text);
                    None
                }
            },
            Ok(None) => {
                findings.error(Position::file(file), "the file is missing");
                None
            }
            Err(text) => {
                findings.error(Position::file(file), text);
                None
            }
        };
        self.findings.absorb(file, findings);
        value
    }

    /// The names in a folder, sorted; none when it isn't there.
    fn entries(&mut self, files: &dyn Files, folder: &str) -> Vec<String> {
        match files.entries(folder) {
            Ok(names) => {
                let mut names = names.unwrap_or_default();
                names.sort();
                names
            }
            Err(text) => {
                self.findings.of_folder(folder, text);
                Vec::new()
            }
        }
    }

    /// The names of the folders in a folder, sorted, without hidden ones.
    fn folders(&mut self, files: &dyn Files, folder: &str) -> Vec<String> {
        let mut folders = Vec::new();
        for entry in self.entries(files, folder) {
            let Some(name) = entry.strip_suffix('/') else { continue };
            if !is_plain_name(name) {
                let text = format!("a folder has the name {}, which can't be used", quoted(name));
                self.findings.of_folder(folder, text);
            } else if !name.starts_with('.') && name != "__pycache__" {
                folders.push(name.to_owned());
            }
        }
        folders.dedup();
        if folders.len() > MAX_COMPONENTS {
            let text = format!("there are {} folders; the first {MAX_COMPONENTS} are read", folders.len());
            self.findings.of_folder(folder, text);
            folders.truncate(MAX_COMPONENTS);
        }
        folders
    }

    fn has_folder(&mut self, files: &dyn Files, folder: &str) -> bool {
        match files.entries(folder) {
            Ok(names) => names.is_some(),
            Err(text) => {
                self.findings.of_folder(folder, text);
                false
            }
        }
    }
}

/// Names for a sentence, in quotes.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    const LISTED: usize = 20;
    let all: Vec<&String> = names.collect();
    let mut listed: Vec<String> = all.iter().take(LISTED).map(|name| quoted(name)).collect();
    if all.len() > LISTED {
        listed.push(format!("{} more", all.len() - LISTED));
    }
    listed.join(", ")
}

/// Says which PRESETs are of a parameter set that the plugin doesn't have.
fn check_presets(params: &[Param], sets: &BTreeMap<String, ParameterSet>, findings: &mut Findings) {
    for param in params.iter().filter(|param| param.kind == ParamType::Preset) {
        let Some(id) = &param.parameter_set else { continue };
        if !sets.contains_key(id) {
            let text = format!(
                "{} is a preset of the parameter set {}, which can't be used; the parameter has no value",
                quoted(&param.name),
                quoted(id)
            );
            findings.warning(param.at.clone(), text);
        }
        check_presets(&param.sub_params, sets, findings);
    }
}
