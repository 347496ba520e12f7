//! `custom-recipes/NAME/recipe.json`.

use std::collections::BTreeSet;

use jsonc_parser::ast::Value;

use crate::fault::{Findings, Position};
use crate::fields::{Fields, is_good_name};
use crate::json::{Document, quoted};
use crate::param::{Param, read_params};

/// The most roles that one list may declare.
const MAX_ROLES: usize = 1000;

/// What a recipe is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeKind {
    /// Python.
    Python,
    /// R.
    R,
}

impl RecipeKind {
    /// As `recipe.json` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "PYTHON",
            Self::R => "R",
        }
    }
}

/// How many datasets, folders or models a role takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One.
    Unary,
    /// Any number.
    Nary,
}

/// A role of inputs or of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The name, by which a recipe finds what is bound to it.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// How many it takes.
    pub arity: Arity,
    /// Whether something must be bound to it.
    pub required: bool,
    /// Whether it takes datasets.
    pub datasets: bool,
    /// Whether it takes folders.
    pub folders: bool,
    /// Whether it takes saved models.
    pub saved_models: bool,
    /// Whether a dataset must be in an SQL database.
    pub must_be_sql: bool,
    /// The one type that a dataset must have.
    pub must_be_type: Option<String>,
    /// Where it is declared.
    pub at: Position,
}

/// A recipe as it is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The name of its folder.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What it is written in.
    pub kind: RecipeKind,
    /// The file with its code, below the plugin's folder.
    pub code: String,
    /// The roles of its inputs.
    pub inputs: Vec<Role>,
    /// The roles of its outputs.
    pub outputs: Vec<Role>,
    /// Its parameters, in the order of the form.
    pub params: Vec<Param>,
    /// The input roles by which the recipe can be begun from a dataset.
    pub from_dataset: Vec<String>,
    /// The input roles by which the recipe can be begun from a folder.
    pub from_folder: Vec<String>,
    /// The input roles by which the recipe can be begun from a saved model.
    pub from_saved_model: Vec<String>,
    /// The Python file that makes choices for the form.
    pub choices_code: Option<String>,
    /// Whether the form is a page of the plugin's own, whose parameters aren't declared.
    pub has_own_form: bool,
}

/// Reads a recipe; `None` when a fault makes it unusable. `names` are those in its folder.
pub(crate) fn read_recipe(
    name: &str,
    document: &Document<'_>,
    names: &[String],
    findings: &mut Findings,
) -> Option<Recipe> {
    let errors = findings.errors();
    let mut fields = Fields::new(document, "$", "the recipe", &document.root, findings)?;
    let (mut label, mut description) = (String::new(), String::new());
    if let Some(mut meta) = fields.object("meta", findings) {
        (label, description) = read_meta(&mut meta, findings);
        meta.finish(findings);
    }
    let kind = read_kind(&mut fields, names, findings);
    let code = kind.and_then(|kind| find_code(kind, name, names, &fields, findings));
    let inputs = read_roles(&mut fields, "inputRoles", findings);
    let outputs = read_roles(&mut fields, "outputRoles", findings);
    let params = read_params(&mut fields, "params", findings);
    let from_dataset = selectable(&mut fields, "selectableFromDataset", &inputs, findings);
    let from_folder = selectable(&mut fields, "selectableFromFolder", &inputs, findings);
    let mut from_saved_model = selectable(&mut fields, "selectableFromSavedModel", &inputs, findings);
    from_saved_model.extend(selectable(&mut fields, "selectableFromMLModel", &inputs, findings));
    let choices_code = fields.text("paramsPythonSetup", findings);
    let has_own_form = fields.value("paramsTemplate").is_some();
    for key in ["paramsModule", "resourceKeys"] {
        // They concern the form alone, or resources that no container asks for.
        let _ = fields.value(key);
    }
    fields.finish(findings);
    check_column_roles(&params, &inputs, &outputs, findings);
    if findings.errors() > errors {
        return None;
    }
    Some(Recipe {
        name: name.to_owned(),
        label,
        description,
        kind: kind?,
        code: code?,
        inputs,
        outputs,
        params,
        from_dataset,
        from_folder,
        from_saved_model,
        choices_code,
        has_own_form,
    })
}

/// Label and description; the rest of a `meta` is for catalogues.
pub(crate) fn read_meta(meta: &mut Fields<'_>, findings: &mut Findings) -> (String, String) {
    for key in
        ["author", "icon", "iconColor", "tags", "displayOrderRank", "supportLevel", "licenseInfo", "url", "category"]
    {
        let _ = meta.value(key);
    }
    let label = meta.label("label", findings).unwrap_or_default();
    (label, meta.label("description", findings).unwrap_or_default())
}

fn read_kind(fields: &mut Fields<'_>, names: &[String], findings: &mut Findings) -> Option<RecipeKind> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let errors = findings.errors();
    match fields.text("kind", findings).as_deref() {
        Some("PYTHON") => Some(RecipeKind::Python),
        Some("R") => Some(RecipeKind::R),
        Some(other) => {
            findings.error(fields.position_of("kind"), format!("kind is {}; PYTHON or R", quoted(other)));
            None
        }
        None if findings.errors() > errors => None,
        None => {
            let kind = if has("recipe.py") { RecipeKind::Python } else { RecipeKind::R };
            let text = format!("kind is missing, PYTHON or R; it counts as {}, by the file of the code", kind.name());
            findings.warning(fields.position(), text);
            Some(kind)
        }
    }
}

fn find_code(
    kind: RecipeKind,
    name: &str,
    names: &[String],
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let wanted: &[&str] = match kind {
        RecipeKind::Python => &["recipe.py"],
        RecipeKind::R => &["recipe.r", "recipe.R"],
    };
    let found = wanted.iter().find(|wanted| names.iter().any(|name| name == *wanted));
    if found.is_none() {
        let text = format!("kind is {}, and there is no {} beside recipe.json", kind.name(), wanted.join(" or "));
        findings.error(fields.position_of("kind"), text);
    }
    found.map(|file| format!("custom-recipes/{name}/{file}"))
}

fn read_roles(fields: &mut Fields<'_>, key: &'static str, findings: &mut Findings) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    let items = fields.items(key, findings);
    if items.len() > MAX_ROLES {
        findings
            .error(fields.position_of(key), format!("{key} has {} roles; at most {MAX_ROLES} are read", items.len()));
        return roles;
    }
    let mut names = BTreeSet::new();
    for (path, value) in items {
        let Some(role) = read_role(fields.document, &path, value, findings) else { continue };
        if names.insert(role.name.clone()) {
            roles.push(role);
        } else {
            findings.error(role.at, format!("the role {} is declared twice in {key}", quoted(&role.name)));
        }
    }
    roles
}

fn read_role(document: &Document<'_>, path: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Role> {
    let mut fields = Fields::new(document, path, "the role", value, findings)?;
    let at = fields.position();
    let errors = findings.errors();
    let name = fields.text("name", findings).unwrap_or_default();
    if findings.errors() > errors || !is_good_name("a role", &name, &at, findings) {
        return None;
    }
    let arity = match fields.text("arity", findings).as_deref() {
        None | Some("UNARY") => Arity::Unary,
        Some("NARY") => Arity::Nary,
        Some(other) => {
            findings.error(fields.position_of("arity"), format!("arity is {}; UNARY or NARY", quoted(other)));
            Arity::Unary
        }
    };
    // Of the keys for folders and models, plugins use two spellings each.
    let mut flag = |key| fields.flag(key, findings);
    let role = Role {
        datasets: flag("acceptsDataset").unwrap_or(true),
        folders: [flag("acceptsManagedFolder"), flag("acceptsFolder")].contains(&Some(true)),
        saved_models: [flag("acceptsSavedModel"), flag("acceptsMLModel")].contains(&Some(true)),
        required: flag("required").unwrap_or_default(),
        must_be_sql: flag("mustBeSQL").unwrap_or_default(),
        label: fields.label("label", findings).unwrap_or_default(),
        description: fields.label("description", findings).unwrap_or_default(),
        must_be_type: fields.text("mustBeStrictlyType", findings),
        name,
        arity,
        at,
    };
    if !(role.datasets || role.folders || role.saved_models) {
        let text =
            format!("the role {} accepts nothing: neither datasets, folders nor saved models", quoted(&role.name));
        if role.required { findings.error(role.at.clone(), text) } else { findings.warning(role.at.clone(), text) }
    }
    fields.finish(findings);
    Some(role)
}

fn selectable(fields: &mut Fields<'_>, key: &'static str, roles: &[Role], findings: &mut Findings) -> Vec<String> {
    let names = fields.texts(key, findings);
    for name in &names {
        if !roles.iter().any(|role| role.name == *name) {
            findings.warning(fields.position_of(key), format!("{key} names {}, which is no input role", quoted(name)));
        }
    }
    names
}

fn check_column_roles(params: &[Param], inputs: &[Role], outputs: &[Role], findings: &mut Findings) {
    let names: BTreeSet<&str> = inputs.iter().chain(outputs).map(|role| role.name.as_str()).collect();
    for param in params {
        let Some(role) = &param.column_role else { continue };
        if !names.contains(role.as_str()) {
            let text = format!("columnRole of {} is {}, which is no role", quoted(&param.name), quoted(role));
            findings.warning(param.at.clone(), text);
        }
    }
}
