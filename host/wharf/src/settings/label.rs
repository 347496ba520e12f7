//! Labels and environment variables that people add.

use std::collections::BTreeMap;

use wharf_model::Fault;

use super::source::Source;

/// Checks the labels of a `[labels]` table.
pub(super) fn check_labels(source: &Source<'_>, labels: &BTreeMap<String, String>) -> Result<(), Fault> {
    for key in labels.keys() {
        if key == "wharf" || key.starts_with("wharf.") {
            return Err(source
                .fault(&["labels", key], format!("the label `{key}` is wharf's own"))
                .hint("labels that begin with `wharf.` say which home and which run an object belongs to; choose another name"));
        }
        if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control() || c == '=') {
            return Err(source.fault(&["labels", key], format!("\"{key}\" can't be a label's name")));
        }
    }
    Ok(())
}

/// Checks the variables of an `[env]` table.
pub(super) fn check_env(source: &Source<'_>, env: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (key, value) in env {
        check_variable(key).map_err(|(message, hint)| source.fault(&["env", key], message).hint(hint))?;
        if value.contains('\0') {
            return Err(source.fault(&["env", key], format!("the value of `{key}` has a NUL character")));
        }
    }
    Ok(())
}

/// Checks the name of a variable that somebody wants to set; the error is what is wrong, and what to do.
pub(super) fn check_variable(key: &str) -> Result<(), (String, &'static str)> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !key.starts_with(first) || !key.chars().all(|c| first(c) || c.is_ascii_digit()) {
        return Err((
            format!("\"{key}\" can't be the name of an environment variable"),
            "letters, digits and underscores, not beginning with a digit",
        ));
    }
    if key.starts_with("WHARF_") {
        return Err((
            format!("the variable `{key}` is wharf's own"),
            "variables that begin with `WHARF_` lead the runner to the host; choose another name",
        ));
    }
    Ok(())
}
