//! What may stand in a script and is Debian's own. The rest is in the SDK's `names`.

pub(crate) use wharf_plugin_sdk::names::{url, version};

/// A Debian package: a name, with `=VERSION` or `:ARCHITECTURE`.
pub(crate) fn debian_package(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+:=~_-".contains(&b));
    (first && rest).then_some(()).ok_or_else(|| format!("\"{text}\" is no name of a Debian package, such as libgdal32"))
}

/// A package of CRAN.
pub(crate) fn cran_package(text: &str) -> Result<(), String> {
    wharf_plugin_sdk::names::cran_package(text)
        .map_err(|error| format!("{error}; a Debian package's name begins with r-cran-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_never_gets_in() {
        for text in
            ["", "-y", "a;b", "a b", "a$(b)", "a`b`", "a'b", "a\"b", "a\nb", "a|b", "a&b", "a>b", "a/../b", "r-x/sid"]
        {
            assert!(debian_package(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_people_write_passes() {
        for text in ["g++", "libgdal32", "python3=3.11.2-1+b1", "libc6:amd64", "0ad", "r-cran-data.table"] {
            debian_package(text).unwrap();
        }
    }
}
