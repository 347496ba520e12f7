//! References to secrets: which variable gets which.

use std::collections::BTreeMap;

use wharf_model::Fault;

use super::label::check_variable;
use super::name::{is_name, not_a_name};
use super::source::Source;

/// Whether a text can be the name of a secret: one of a file, so that it can't lead anywhere else.
pub(crate) fn is_secret_name(text: &str) -> bool {
    is_name(text)
}

/// Checks one reference. The error has no place: the caller knows it.
pub(crate) fn check_reference(code: &str, variable: &str, name: &str) -> Result<(), Fault> {
    check_variable(variable).map_err(|(message, hint)| Fault::new(code, message).hint(hint))?;
    if is_name(name) {
        return Ok(());
    }
    // Whoever takes the value for the name has a value in a file: it isn't shown once more.
    Err(Fault::new(code, format!("what the variable `{variable}` gets isn't the name of a secret"))
        .hint("write the name of a file in secrets/, never a value"))
}

/// Checks a `[secrets]` table, beside the `[env]` table of the same file.
pub(super) fn check_secrets(
    source: &Source<'_>,
    secrets: &BTreeMap<String, String>,
    env: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    for (variable, name) in secrets {
        let place = ["secrets", variable];
        check_reference(source.code, variable, name).map_err(|fault| source.place(&place, fault))?;
        if env.contains_key(variable) {
            return Err(source
                .fault(&place, format!("the variable `{variable}` is in [env] and in [secrets]"))
                .hint("a variable has a value or gets a secret: take it out of one of the tables"));
        }
    }
    Ok(())
}

/// Checks the secrets that a `[permissions]` table allows.
pub(super) fn check_allowed(source: &Source<'_>, names: &[String]) -> Result<(), Fault> {
    for (at, name) in names.iter().enumerate() {
        if !is_name(name) {
            return Err(source
                .fault(&["permissions", "secrets", &at.to_string()], not_a_name("a secret", name))
                .hint("each secret that activities may use is named in full"));
        }
    }
    Ok(())
}

/// Reads a reference as the command line has it: `VARIABLE=NAME`.
///
/// # Errors
/// It isn't of that form, or one of the two can't be what it should be.
pub fn secret_argument(argument: &str) -> Result<(String, String), Fault> {
    let Some((variable, name)) = argument.split_once('=') else {
        return Err(Fault::new("usage", format!("the secret \"{argument}\" isn't of the form VARIABLE=NAME")));
    };
    check_reference("usage", variable, name)?;
    Ok((variable.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_names_a_variable_and_a_secret() {
        assert_eq!(secret_argument("TOKEN=db.token"), Ok(("TOKEN".to_owned(), "db.token".to_owned())));
        for (argument, expected) in [
            ("TOKEN", "the secret \"TOKEN\" isn't of the form VARIABLE=NAME"),
            ("A-B=x", "\"A-B\" can't be the name of an environment variable"),
            ("WHARF_TICKET=x", "the variable `WHARF_TICKET` is wharf's own"),
            ("TOKEN=", "what the variable `TOKEN` gets isn't the name of a secret"),
            ("TOKEN=hunter22!", "what the variable `TOKEN` gets isn't the name of a secret"),
        ] {
            let fault = secret_argument(argument).expect_err(argument);
            assert_eq!((fault.code.as_str(), fault.message.as_str()), ("usage", expected));
            assert!(!fault.to_string().contains("hunter22"));
        }
    }
}
