//! Which inputs and outputs are bound to which roles.

use std::collections::BTreeMap;

use super::{Binding, BindingKind, Errors};
use crate::json::quoted;
use crate::nearest::nearest;
use crate::plugin::names;
use crate::recipe::{Arity, Role};

/// Every role with the names that are bound to it. `side` is `input` or `output`.
pub(super) fn bind(
    side: &str,
    roles: &[Role],
    bindings: &[Binding],
    errors: &mut Errors,
) -> BTreeMap<String, Vec<String>> {
    let mut bound: BTreeMap<String, Vec<String>> = roles.iter().map(|role| (role.name.clone(), Vec::new())).collect();
    // A role whose binding is wrong isn't also missing.
    let mut meant = Vec::new();
    for binding in bindings {
        let Some(role) = role_of(side, roles, binding, errors) else { continue };
        meant.push(role.name.as_str());
        if let Some(problem) = problem(side, role, binding.kind) {
            errors.push(format!(
                "{side} {} can't have the role {}: {problem}",
                quoted(&binding.name),
                quoted(&role.name)
            ));
        } else if let Some(names) = bound.get_mut(&role.name) {
            if names.contains(&binding.name) {
                errors.push(format!("{side} {} has the role {} twice", quoted(&binding.name), quoted(&role.name)));
            }
            names.push(binding.name.clone());
        }
    }
    for role in roles {
        let of_role = bound.get(&role.name).map(Vec::as_slice).unwrap_or_default();
        if role.arity == Arity::Unary && of_role.len() > 1 {
            let given = names(of_role.iter());
            errors.push(format!(
                "the role {} takes one {side}; {} have it: {given}",
                quoted(&role.name),
                of_role.len()
            ));
        }
        if role.required && !meant.contains(&role.name.as_str()) {
            errors.push(format!(
                "the role {} is required, and no {side} has it; give it {}",
                quoted(&role.name),
                one_of(role)
            ));
        }
    }
    bound
}

fn role_of<'r>(side: &str, roles: &'r [Role], binding: &Binding, errors: &mut Errors) -> Option<&'r Role> {
    let all = || names(roles.iter().map(|role| &role.name));
    let name = quoted(&binding.name);
    match (&binding.role, roles) {
        (_, []) => {
            errors.push(format!("{side} {name} has no place: the recipe has no {side} roles"));
            None
        }
        (None, [only]) => Some(only),
        (None, _) => {
            errors.push(format!("{side} {name} has no role; the recipe's {side} roles are {}", all()));
            None
        }
        (Some(wanted), _) => {
            let found = roles.iter().find(|role| role.name == *wanted);
            if found.is_none() {
                let near = nearest(wanted, roles.iter().map(|role| &role.name));
                let near = near.map(|near| format!("; did you mean {}?", quoted(near))).unwrap_or_default();
                errors.push(format!(
                    "{side} {name} has the role {}, and the recipe's {side} roles are {}{near}",
                    quoted(wanted),
                    all()
                ));
            }
            found
        }
    }
}

/// Why something can't have a role.
fn problem(side: &str, role: &Role, kind: BindingKind) -> Option<String> {
    // A saved model is a folder here, which recipes can read only.
    let as_model = role.saved_models && side == "input";
    let (taken, what) = match kind {
        BindingKind::Dataset => (role.datasets, "a dataset"),
        BindingKind::Folder => (role.folders || as_model, "a folder"),
    };
    if !taken && role.saved_models && side != "input" {
        return Some("the role writes a saved model, and recipes can only read them here".to_owned());
    }
    if !taken {
        return Some(format!("it is {what}, and the role takes {}", one_of(role)));
    }
    // Datasets are files here.
    if kind == BindingKind::Dataset && role.must_be_sql {
        return Some("the role takes only datasets in an SQL database".to_owned());
    }
    match &role.must_be_type {
        Some(wanted) if kind == BindingKind::Dataset => {
            Some(format!("the role takes only datasets of the type {}", quoted(wanted)))
        }
        _ => None,
    }
}

fn one_of(role: &Role) -> String {
    let model = "a saved model (its folder)";
    let all = [(role.datasets, "a dataset"), (role.folders, "a folder"), (role.saved_models, model)];
    let taken: Vec<&str> = all.into_iter().filter(|(taken, _)| *taken).map(|(_, what)| what).collect();
    if taken.is_empty() { "nothing".to_owned() } else { taken.join(" or ") }
}
