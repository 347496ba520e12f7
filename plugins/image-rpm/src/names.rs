//! What may stand in a script and is a package of the distribution. The rest is in the SDK's `names`.

pub(crate) use wharf_plugin_sdk::names::version;

/// A package: a name, with `-VERSION` or `.ARCHITECTURE`.
pub(crate) fn rpm_package(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+:~^_-".contains(&b));
    (first && rest).then_some(()).ok_or_else(|| format!("\"{text}\" is no name of a package, such as gdal-libs"))
}

/// A package of CRAN.
pub(crate) fn cran_package(text: &str) -> Result<(), String> {
    wharf_plugin_sdk::names::cran_package(text)
        .map_err(|error| format!("{error}; a name of the distribution's packages begins with R-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_never_gets_in() {
        for text in [
            "", "-y", "a;b", "a b", "a$(b)", "a`b`", "a'b", "a\"b", "a\nb", "a|b", "a&b", "a>b", "a/../b", "@dev", "a*",
        ] {
            assert!(rpm_package(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_people_write_passes() {
        for text in ["gcc-c++", "python3.12-devel", "glibc.i686", "git-core-2.43.0-1.el9", "R-Rcpp", "7zip"] {
            rpm_package(text).unwrap();
        }
        assert!(cran_package("r-cran-dplyr").unwrap_err().contains("R-"));
    }
}
