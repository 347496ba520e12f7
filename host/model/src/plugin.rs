//! Plugins: folders with recipes, as their adapter reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::BindingKind;

/// A plugin, as a recipe adapter read its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    /// What it calls itself.
    pub id: String,
    /// Its own version.
    pub version: Option<String>,
    /// A few words.
    pub label: String,
    /// A sentence or more.
    pub description: String,
    /// The recipes that can be used.
    pub recipes: Vec<PluginRecipe>,
    /// What is wrong with its files.
    pub faults: Vec<PluginNote>,
    /// What its files say and the adapter doesn't know.
    pub unknown: Vec<PluginNote>,
}

/// One thing to say of a plugin's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginNote {
    /// Below the plugin's folder.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
    /// A sentence.
    pub message: String,
}

/// A recipe of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginRecipe {
    /// By which activities name it.
    pub name: String,
    /// A few words.
    pub label: String,
    /// A sentence or more.
    pub description: String,
    /// `python` or `r`.
    pub language: String,
    /// What it reads.
    pub inputs: Vec<RecipeRole>,
    /// What it writes.
    pub outputs: Vec<RecipeRole>,
    /// What can be set.
    pub parameters: Vec<RecipeParameter>,
}

/// A role that datasets and folders play in a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecipeRole {
    /// By which activities name it.
    pub name: String,
    /// A few words.
    pub label: String,
    /// Whether something must play it.
    pub required: bool,
    /// Whether several may.
    pub many: bool,
    /// What may.
    pub accepts: Vec<BindingKind>,
}

/// A parameter of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecipeParameter {
    /// By which activities name it.
    pub name: String,
    /// A few words.
    pub label: String,
    /// As the plugin spells it, e.g. `INT`.
    pub kind: String,
    /// Whether a value must be given.
    pub required: bool,
    /// The value when none is given.
    pub default: Option<serde_json::Value>,
    /// The values that it takes, where they are listed.
    pub choices: Vec<String>,
    /// Whether its value is a secret, which activities give as `{"secret": "NAME"}`.
    pub secret: bool,
}

/// What takes the place of a secret's value in a parameter: `{"secret": "NAME"}`.
pub const SECRET_REFERENCE: &str = "secret";
