//! Public plugins, from a folder that isn't part of the project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::check::{Binding, BindingKind, Checked, Given, Presets, check};
use crate::fault::Severity;
use crate::files::Files;
use crate::param::{Credential, Param, ParamType};
use crate::plugin::Plugin;
use crate::recipe::{Recipe, Role};

/// A plugin's files on disk.
struct DiskFiles(PathBuf);

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let file = self.0.join(path);
        if !file.is_file() {
            return Ok(None);
        }
        std::fs::read(file).map(Some).map_err(|e| e.to_string())
    }

    fn entries(&self, path: &str) -> Result<Option<Vec<String>>, String> {
        let folder = self.0.join(path);
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
            let entry = entry.map_err(|e| e.to_string())?;
            let slash = if entry.path().is_dir() { "/" } else { "" };
            names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
        }
        Ok(Some(names))
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).expect("the folder of plugins");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.join("plugin.json").is_file()).collect();
    folders.sort();
    folders
}

/// What somebody gives who gives no more than is required.
fn least_values<'p>(plugin: &Plugin, params: impl IntoIterator<Item = &'p Param>) -> Map<String, Json> {
    let required = params.into_iter().filter(|param| param.mandatory && !crate::value::has_default(param));
    required.map(|param| (param.name.clone(), least_value(plugin, param))).collect()
}

fn least_value(plugin: &Plugin, param: &Param) -> Json {
    let first = param.choices.iter().map(|choice| &choice.value).find(|value| !value.is_null());
    let number = param.min.or(param.max).unwrap_or(1.0);
    match &param.kind {
        ParamType::Select => first.cloned().unwrap_or_else(|| json!("x")),
        ParamType::Multiselect => json!([first.cloned().unwrap_or_else(|| json!("x"))]),
        ParamType::Strings | ParamType::Columns | ParamType::Objects(_) => json!(["x"]),
        ParamType::Array => json!(["x"]),
        // As a command line has it.
        ParamType::Int | ParamType::Double => json!(number.to_string()),
        ParamType::Doubles => json!([number]),
        ParamType::Boolean => json!(true),
        ParamType::Map => json!({"a": "b"}),
        ParamType::KeyValueList => json!([{"from": "a", "to": "b"}]),
        ParamType::Date => json!("2024-01-31"),
        ParamType::ObjectList => json!([least_values(plugin, &param.sub_params)]),
        ParamType::Preset => {
            let set = &plugin.parameter_sets[param.parameter_set.as_deref().unwrap_or_default()];
            Json::Object(least_values(plugin, set.all_params()))
        }
        ParamType::CredentialRequest if param.credential == Some(Credential::Basic) => {
            json!({"user": "ana", "password": {"secret": "S"}})
        }
        kind if kind.is_secret() => json!({"secret": "S"}),
        _ => json!("x"),
    }
}

fn least_bindings(roles: &[Role]) -> Vec<Binding> {
    let kind = |role: &Role| if role.datasets { BindingKind::Dataset } else { BindingKind::Folder };
    let required = roles.iter().filter(|role| role.required);
    required.map(|role| Binding { name: "x".to_owned(), role: Some(role.name.clone()), kind: kind(role) }).collect()
}

fn check_least(plugin: &Plugin, recipe: &Recipe) -> Result<Checked, Vec<String>> {
    let inputs = least_bindings(&recipe.inputs);
    let outputs = least_bindings(&recipe.outputs);
    let parameters = least_values(plugin, &recipe.params);
    check(plugin, recipe, Given { inputs: &inputs, outputs: &outputs, parameters: &parameters }, &Presets::new())
}

#[test]
#[ignore = "needs public plugins, one folder each, in WHARF_TEST_PLUGINS"]
fn public_plugins_can_be_read() {
    let Some(folder) = std::env::var_os("WHARF_TEST_PLUGINS") else {
        panic!("set WHARF_TEST_PLUGINS to a folder of plugins");
    };
    let (mut plugins, mut recipes, mut unusable, mut sets, mut environments) = (0, 0, 0, 0, 0);
    let (mut unparsed, mut refused, mut conditions) = (Vec::new(), Vec::new(), 0);
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for path in folders(Path::new(&folder)) {
        let plugin = Plugin::read(&DiskFiles(path.clone()));
        plugins += 1;
        recipes += plugin.recipes.len();
        unusable += plugin.unusable.len();
        sets += plugin.parameter_sets.len();
        environments += plugin.environments.len();
        for fault in &plugin.findings.faults {
            let sign = if fault.severity == Severity::Error { "ERROR  " } else { "warning" };
            println!("{sign} {}/{fault}", path.file_name().unwrap_or_default().to_string_lossy());
            let is_recipe = fault.at.file.ends_with("/recipe.json");
            if is_recipe && (fault.text.contains("not JSON") || fault.text.contains("UTF-8")) {
                unparsed.push(fault.to_string());
            }
        }
        for recipe in plugin.recipes.values() {
            conditions += recipe.params.iter().filter(|param| param.condition.is_some()).count();
            let errors = check_least(&plugin, recipe).err().unwrap_or_default();
            // Roles for datasets in databases can't be filled here.
            let other = errors.iter().filter(|error| !error.contains("the role takes only datasets"));
            refused.extend(other.map(|error| format!("{}: {}: {error}", plugin.id, recipe.name)));
        }
        for key in &plugin.findings.unknown {
            *unknown.entry(key.path.replace(|c: char| c.is_ascii_digit(), "")).or_default() += 1;
        }
    }
    println!("{conditions} visibility conditions");
    println!("unknown keys: {unknown:#?}");
    println!(
        "{plugins} plugins: {recipes} recipes can be used, {unusable} can't; {sets} parameter sets, {environments} code environments"
    );
    assert!(recipes > 0, "no recipe was found");
    assert_eq!(unparsed, Vec::<String>::new());
    assert_eq!(refused, Vec::<String>::new());
}
