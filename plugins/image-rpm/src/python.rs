//! Python: the distribution's own, another version of its packages, or the one that an image brings.

use wharf_plugin_sdk::base::version_check;
use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::pip::Index;
use wharf_plugin_sdk::{Language, Mirrors};

use crate::names;
use crate::packages::install_or;
use wharf_plugin_sdk::packages::Packages;

/// pip brings pandas, which not all of these distributions have a package of, and what comes on top. `venv` is in `python3`.
const PACKAGES: [&str; 2] = ["python3", "python3-pip"];

const ASK: &str = "python3 -c 'import platform; print(platform.python_version())'";

/// Adds the distribution's packages to those of the image, and returns the steps that come after them.
pub(crate) fn add(language: &Language, mirrors: &Mirrors, packages: &mut Packages) -> Result<Vec<Step>, String> {
    packages.add_python(&PACKAGES);
    let mut steps = Vec::new();
    if let Some(version) = &language.version {
        names::version("Python", version)?;
        if let Some(short) = two_parts(version) {
            steps.push(Step::run(format!("use Python {short}"), another(short)));
        }
        steps.push(Step::run("check Python's version", version_check("Python", version, ASK)));
    }
    steps.extend(Index::new(mirrors.pip.as_deref())?.steps(&language.packages, true)?);
    Ok(steps)
}

/// The major and the minor number, by which packages are named.
fn two_parts(version: &str) -> Option<&str> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split('.').next()?;
    version.get(..major.len() + 1 + minor.len())
}

/// Has `python3` be another version than the distribution's own, which stays for the distribution's own tools.
///
/// Some distributions have a package of pip for it and some don't; every Python can install the pip that it brings.
fn another(short: &str) -> String {
    let installed = install_or(&format!("python{short}"), &format!("the distribution has no Python {short}"));
    format!(
        "have=$({ASK})\n\
         case \"$have.\" in\n  \
           {short}.*) exit 0 ;;\n\
         esac\n\
         # An image that brings a Python of its own keeps it.\n\
         [ ! -x /usr/local/bin/python3 ] || exit 0\n\
         {installed}\
         python{short} -m ensurepip\n\
         ln -s /usr/bin/python{short} /usr/local/bin/python3\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_for_two_numbers() {
        assert_eq!(two_parts("3.11.4"), Some("3.11"));
        assert_eq!(two_parts("3.12"), Some("3.12"));
        assert_eq!(two_parts("3"), None);
    }
}
