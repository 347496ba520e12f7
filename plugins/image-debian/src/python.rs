//! Python: Debian's own, or the one that an image brings.

use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::{Language, Mirrors};

use crate::packages::Packages;
use crate::{Origin, check_suite, names, version_check};

/// What `get_dataframe` needs, and pip for what comes on top.
const PACKAGES: [&str; 3] = ["python3", "python3-pandas", "python3-pip"];

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
    let pip = pip(mirrors.pip.as_deref())?;
    if origin == Origin::Image {
        // A Python that the image brought has no pandas of Debian's.
        let script = format!("python3 -c 'import pandas' 2>/dev/null || {{\n  {pip} pandas\n}}\n");
        steps.push(Step::run("install pandas", script));
    }
    let mut requirements = language.packages.clone();
    requirements.sort();
    requirements.dedup();
    for requirement in &requirements {
        names::pip_requirement(requirement)?;
    }
    if !requirements.is_empty() {
        let quoted: Vec<String> = requirements.iter().map(|requirement| format!("'{requirement}'")).collect();
        steps.push(Step::run("install Python packages", format!("{pip} {}\n", quoted.join(" "))));
    }
    Ok(steps)
}

/// As variables and not as options, which older releases of pip wouldn't know.
fn pip(index: Option<&str>) -> Result<String, String> {
    let mut command = "PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore \
                       python3 -m pip install --no-cache-dir --disable-pip-version-check"
        .to_owned();
    if let Some(index) = index {
        names::url("the pip mirror", index)?;
        command.push_str(&format!(" --index-url {index}"));
        // pip leaves out an index without TLS unless it is told that this is meant.
        if let Some(rest) = index.strip_prefix("http://") {
            command.push_str(&format!(" --trusted-host {}", rest.split('/').next().unwrap_or_default()));
        }
    }
    Ok(command)
}
