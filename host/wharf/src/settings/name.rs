//! The names of configurations, base images and components: names of files, so they can't lead anywhere else.

use wharf_model::{Fault, document};

/// Whether a name can be a file's: letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// What is wrong with a name that isn't one.
pub(super) fn not_a_name(what: &str, text: &str) -> String {
    format!(
        "\"{text}\" can't be the name of {what}: at most 63 letters, digits, dots, underscores and dashes, beginning with a \
         letter or a digit"
    )
}

/// The error for a name that stands for nothing here.
pub(super) fn not_found(code: &str, what: &str, folder: &str, name: &str, there: &[String]) -> Fault {
    let mut message = format!("there is no {what} \"{name}\"");
    if let Some(near) = document::nearest(name, there.iter().map(String::as_str)) {
        message.push_str(&format!("; did you mean \"{near}\"?"));
    }
    Fault::new(code, message).hint(if there.is_empty() {
        format!("there is none yet: write {folder}/{name}.toml")
    } else {
        format!("there are: {}; or write {folder}/{name}.toml", there.join(", "))
    })
}
