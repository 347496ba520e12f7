//! `wharf error`.

use serde::Serialize;
use wharf::catalogue;
use wharf_model::Fault;

use super::Ending;
use crate::arguments::ErrorArguments;
use crate::console::Console;
use crate::exit_code;

/// The page of a code, for programs.
#[derive(Serialize)]
struct Page<'a> {
    code: &'a str,
    page: &'a str,
}

pub(super) fn execute(arguments: &ErrorArguments, console: &mut Console) -> Ending {
    let Some(typed) = &arguments.code else {
        let codes: Vec<&str> = catalogue::codes().collect();
        if console.is_json() {
            console.json_line(&codes)?;
        } else {
            for code in codes {
                console.line(code)?;
            }
        }
        return Ok(exit_code::SUCCEEDED);
    };
    // As it stands in a message, brackets and all.
    let code = typed.trim_start_matches("error").trim_matches(['[', ']', ':']);
    let Some(page) = catalogue::page(code) else {
        return Err(unknown(code).into());
    };
    if console.is_json() {
        console.json_line(&Page { code, page })?;
    } else {
        console.line(page.trim_end())?;
    }
    Ok(exit_code::SUCCEEDED)
}

fn unknown(code: &str) -> Fault {
    // The one that shares the longest beginning is the likeliest slip of the pen.
    let shared = |other: &str| code.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let near = catalogue::codes().max_by_key(|other| shared(other)).filter(|other| shared(other) >= 3);
    let guess = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Fault::new("usage", format!("there is no error code `{code}`{guess}")).hint("`wharf error` lists them all")
}
