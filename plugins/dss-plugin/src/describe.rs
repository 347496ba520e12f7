//! What people are shown of a plugin.

use serde_json::Value as Json;

use crate::param::Param;
use crate::plugin::Plugin;
use crate::recipe::{Arity, Recipe, Role};

/// A plugin, as people are shown it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The id.
    pub id: String,
    /// The version, as it is written.
    pub version: String,
    /// Its name for people.
    pub label: String,
    /// What it does.
    pub description: String,
    /// The recipes that can be used, sorted by name.
    pub recipes: Vec<RecipeDescription>,
    /// The names of the recipes that can't be used; `faults` says why.
    pub unusable: Vec<String>,
    /// The parameters of the plugin as a whole.
    pub parameters: Vec<ParameterDescription>,
    /// The parameter sets, sorted by id.
    pub parameter_sets: Vec<ParameterSetDescription>,
    /// The folders of its code environments, e.g. `code-env/python`.
    pub code_environments: Vec<String>,
    /// Whether it has Python modules of its own.
    pub python_lib: bool,
    /// Whether it has R files of its own.
    pub r_lib: bool,
    /// Whether it has resources.
    pub resource: bool,
    /// What is wrong with its files, each as `file:line: sentence`.
    pub faults: Vec<String>,
    /// The keys that have no effect, each as `file:line: JSON path`.
    pub unknown_keys: Vec<String>,
}

/// A recipe of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeDescription {
    /// The name, by which it is asked for.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What it does.
    pub description: String,
    /// `PYTHON` or `R`.
    pub language: String,
    /// The roles of its inputs.
    pub inputs: Vec<RoleDescription>,
    /// The roles of its outputs.
    pub outputs: Vec<RoleDescription>,
    /// Its parameters, in the order of the form, without headings.
    pub parameters: Vec<ParameterDescription>,
}

/// A role of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDescription {
    /// The name, by which something is bound to it.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// Whether something must be bound to it.
    pub required: bool,
    /// Whether it takes more than one.
    pub many: bool,
    /// What it takes: `dataset`, `folder`, `saved model`.
    pub accepts: Vec<&'static str>,
    /// What a dataset must be, when that is more than a dataset: `SQL`, or a type.
    pub only: Option<String>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterDescription {
    /// The name, by which it is given.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// The type, e.g. `INT`.
    pub kind: String,
    /// Whether it must be given: there is no default that would do.
    pub required: bool,
    /// The value when none is given.
    pub default: Option<Json>,
    /// The values of a SELECT or MULTISELECT; empty when code of the plugin makes them.
    pub choices: Vec<Json>,
    /// Whether the name of a secret is given instead of a value.
    pub secret: bool,
    /// When it counts, as the file has it.
    pub condition: Option<String>,
    /// The parameter set of a PRESET.
    pub parameter_set: Option<String>,
    /// The parameters of each object of an OBJECT_LIST.
    pub parameters: Vec<Self>,
}

/// A parameter set.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSetDescription {
    /// The id, by which settings give its presets.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// Its parameters, in the order of the form, without headings.
    pub parameters: Vec<ParameterDescription>,
}

impl Description {
    /// Describes a plugin.
    #[must_use]
    pub fn new(plugin: &Plugin) -> Self {
        Self {
            id: plugin.id.clone(),
            version: plugin.version.clone(),
            label: plugin.label.clone(),
            description: plugin.description.clone(),
            recipes: plugin.recipes.values().map(RecipeDescription::new).collect(),
            unusable: plugin.unusable.clone(),
            parameters: parameters(&plugin.params),
            parameter_sets: plugin
                .parameter_sets
                .values()
                .map(|set| ParameterSetDescription {
                    id: set.id.clone(),
                    label: set.label.clone(),
                    description: set.description.clone(),
                    parameters: parameters(set.all_params()),
                })
                .collect(),
            code_environments: plugin
                .environments
                .iter()
                .map(|environment| format!("code-env/{}", environment.language.folder()))
                .collect(),
            python_lib: plugin.python_lib,
            r_lib: plugin.r_lib,
            resource: plugin.resource,
            faults: plugin.findings.faults.iter().map(ToString::to_string).collect(),
            unknown_keys: plugin.findings.unknown.iter().map(ToString::to_string).collect(),
        }
    }
}

impl RecipeDescription {
    fn new(recipe: &Recipe) -> Self {
        Self {
            name: recipe.name.clone(),
            label: recipe.label.clone(),
            description: recipe.description.clone(),
            language: recipe.kind.name().to_owned(),
            inputs: recipe.inputs.iter().map(RoleDescription::new).collect(),
            outputs: recipe.outputs.iter().map(RoleDescription::new).collect(),
            parameters: parameters(&recipe.params),
        }
    }
}

impl RoleDescription {
    fn new(role: &Role) -> Self {
        let kinds = [(role.datasets, "dataset"), (role.folders, "folder"), (role.saved_models, "saved model")];
        Self {
            name: role.name.clone(),
            label: role.label.clone(),
            description: role.description.clone(),
            required: role.required,
            many: role.arity == Arity::Nary,
            accepts: kinds.into_iter().filter(|(taken, _)| *taken).map(|(_, kind)| kind).collect(),
            only: if role.must_be_sql { Some("SQL".to_owned()) } else { role.must_be_type.clone() },
        }
    }
}

fn parameters<'a>(params: impl IntoIterator<Item = &'a Param>) -> Vec<ParameterDescription> {
    let with_value = params.into_iter().filter(|param| param.kind.name() != "SEPARATOR");
    with_value.map(ParameterDescription::new).collect()
}

impl ParameterDescription {
    fn new(param: &Param) -> Self {
        let secret = param.kind.is_secret();
        // The default of a secret isn't used, and may be one.
        let default = param.default.clone().filter(|_| !secret);
        Self {
            name: param.name.clone(),
            label: param.label.clone(),
            description: param.description.clone(),
            kind: param.kind.name().to_owned(),
            required: param.mandatory && !crate::value::has_default(param),
            default,
            choices: param
                .choices
                .iter()
                .filter(|_| !param.choices_from_code)
                .map(|choice| choice.value.clone())
                .collect(),
            secret,
            condition: param.condition.as_ref().map(|condition| condition.text.clone()),
            parameter_set: param.parameter_set.clone(),
            parameters: parameters(&param.sub_params),
        }
    }
}
