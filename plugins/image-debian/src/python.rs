//! Python: Debian's own, or the one that an image brings.

use wharf_plugin_sdk::base::version_check;
use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::pip::Index;
use wharf_plugin_sdk::{Language, Mirrors};

use crate::{Origin, check_suite, names};
use wharf_plugin_sdk::packages::Packages;

/// What `get_dataframe` needs, pip for what comes on top, and what code environments are made with.
const PACKAGES: [&str; 4] = ["python3", "python3-pandas", "python3-pip", "python3-venv"];

/// The versions that suites have.
const SUITES: [(&str, &str); 3] = [("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13")];

/// Adds Debian's packages to those of the image, and returns the steps that come after them.
pub(crate) fn add(
    language: &Language,
    origin: Origin<'_>,
    mirrors: &Mirrors,
    packages: &mut Packages,
) -> Result<Vec<Step>, String> {
    packages.add_python(&PACKAGES);
    let mut steps = Vec::new();
    if let Some(version) = &language.version {
        names::version("Python", version)?;
        check_suite("Python", version, origin, &SUITES)?;
        let ask = "python3 -c 'import platform; print(platform.python_version())'";
        steps.push(Step::run("check Python's version", version_check("Python", version, ask)));
    }
    // A Python that the image brought has no pandas of Debian's.
    steps.extend(Index::new(mirrors.pip.as_deref())?.steps(&language.packages, origin == Origin::Image)?);
    Ok(steps)
}
