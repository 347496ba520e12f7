//! Whether an activity gives a recipe what it needs.

mod parameters;
mod presets;
mod roles;
mod secrets;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::param::Param;
use crate::parameter_set::ParameterSet;
use crate::plugin::Plugin;
use crate::recipe::Recipe;
use parameters::{Parameters, Place};

/// How many sentences are kept.
const KEPT: usize = 100;

/// Presets as an administrator wrote them: id of the parameter set → name of the preset → values.
pub type Presets = BTreeMap<String, BTreeMap<String, Map<String, Json>>>;

/// What is bound to a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// A dataset, which is a file.
    Dataset,
    /// A folder, which may have a saved model in it.
    Folder,
}

/// One input or output of an activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// The role that it is bound to. It may be left out where the recipe has one alone.
    pub role: Option<String>,
    /// What it is.
    pub kind: BindingKind,
}

/// What an activity gives a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its inputs, in order.
    pub inputs: &'a [Binding],
    /// Its outputs, in order.
    pub outputs: &'a [Binding],
    /// Its parameters. Those of a command line may all be text.
    pub parameters: &'a Map<String, Json>,
}

/// What a recipe gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Every input role, with the names that are bound to it in order.
    pub inputs: BTreeMap<String, Vec<String>>,
    /// Every output role, with the names that are bound to it in order.
    pub outputs: BTreeMap<String, Vec<String>>,
    /// The parameters, with defaults; null where a secret belongs.
    pub parameters: Map<String, Json>,
    /// The names of secrets, by the JSON pointers (RFC 6901) into `parameters` of where their values belong.
    pub secrets: BTreeMap<String, String>,
}

/// Values of parameters alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// The parameters, with defaults; null where a secret belongs.
    pub parameters: Map<String, Json>,
    /// The names of secrets, by JSON pointers into `parameters`.
    pub secrets: BTreeMap<String, String>,
}

/// Checks what an activity gives a recipe of a plugin.
///
/// # Errors
/// All that is wrong, each as a sentence that names the role or parameter. None has the value of a secret in it.
pub fn check(plugin: &Plugin, recipe: &Recipe, given: Given<'_>, presets: &Presets) -> Result<Checked, Vec<String>> {
    let mut errors = Errors::default();
    let mut checked = Checked {
        inputs: roles::bind("input", &recipe.inputs, given.inputs, &mut errors),
        outputs: roles::bind("output", &recipe.outputs, given.outputs, &mut errors),
        ..Checked::default()
    };
    let mut parameters = Parameters::new(&plugin.parameter_sets, presets, &mut errors);
    // Those of a form of the plugin's own are for the recipe to check.
    let is_declared = |name: &str| recipe.params.iter().any(|param| param.name == name);
    let (declared, others): (Map<String, Json>, Map<String, Json>) =
        given.parameters.clone().into_iter().partition(|(name, _)| !recipe.has_own_form || is_declared(name));
    checked.parameters = parameters.object(&recipe.params, &declared, &Place::top());
    checked.parameters.extend(others);
    checked.secrets = parameters.into_secrets();
    errors.or(checked)
}

/// Checks values of the plugin's own parameters, which an administrator gives.
///
/// # Errors
/// As of [`check`].
pub fn check_settings(plugin: &Plugin, given: &Map<String, Json>, presets: &Presets) -> Result<Values, Vec<String>> {
    check_params(&plugin.params, &plugin.parameter_sets, given, presets)
}

/// Checks the values of one preset, so that an administrator hears of a fault before a run does.
///
/// # Errors
/// As of [`check`].
pub fn check_preset(plugin: &Plugin, set: &ParameterSet, given: &Map<String, Json>) -> Result<(), Vec<String>> {
    let params: Vec<Param> = set.all_params().cloned().collect();
    check_params(&params, &plugin.parameter_sets, given, &Presets::new()).map(|_| ())
}

fn check_params(
    params: &[Param],
    sets: &BTreeMap<String, ParameterSet>,
    given: &Map<String, Json>,
    presets: &Presets,
) -> Result<Values, Vec<String>> {
    let mut errors = Errors::default();
    let mut parameters = Parameters::new(sets, presets, &mut errors);
    let values = parameters.object(params, given, &Place::top());
    let secrets = parameters.into_secrets();
    errors.or(Values { parameters: values, secrets })
}

/// The sentences, as many as are kept.
#[derive(Default)]
struct Errors {
    sentences: Vec<String>,
    count: usize,
}

impl Errors {
    fn push(&mut self, sentence: String) {
        self.count += 1;
        if self.count <= KEPT {
            self.sentences.push(sentence);
        }
    }

    fn or<T>(mut self, value: T) -> Result<T, Vec<String>> {
        if self.count == 0 {
            return Ok(value);
        }
        if self.count > KEPT {
            self.sentences.push(format!("{} more things are wrong", self.count - KEPT));
        }
        Err(self.sentences)
    }
}
