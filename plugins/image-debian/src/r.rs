//! R: Debian's own.

use wharf_plugin_sdk::base::version_check;
use wharf_plugin_sdk::cran::{self, Cran};
use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, Language, Mirrors, environment};

use crate::packages;
use crate::{Origin, check_suite, names};
use wharf_plugin_sdk::packages::Packages;

/// jsonlite is what the R library reads the host's answers with.
const PACKAGES: [&str; 2] = ["r-base-core", "r-cran-jsonlite"];
/// Compilers, since CRAN has sources.
const BUILD_PACKAGE: &str = "r-base-dev";
/// What the names of Debian's packages begin with.
const PREFIX: &str = "r-";

/// The versions that suites have.
const SUITES: [(&str, &str); 3] = [("bullseye", "4.0"), ("bookworm", "4.2"), ("trixie", "4.5")];

/// Adds Debian's packages to those of the image, and returns the steps that come after them.
pub(crate) fn add(
    language: &Language,
    origin: Origin<'_>,
    mirrors: &Mirrors,
    packages: &mut Packages,
) -> Result<Vec<Step>, String> {
    packages.add(&PACKAGES);
    let mut steps = Vec::new();
    if let Some(version) = &language.version {
        names::version("R", version)?;
        check_suite("R", version, origin, &SUITES)?;
        let ask = "Rscript -e 'cat(as.character(getRversion()))'";
        steps.push(Step::run("check R's version", version_check("R", version, ask)));
    }
    let (debian, cran) = wanted(&language.packages)?;
    for package in &debian {
        packages.add(&[package]);
    }
    if !cran.is_empty() {
        packages.add(&[BUILD_PACKAGE]);
        let script = Cran::new(mirrors.cran.as_deref())?.install(&cran)?;
        steps.push(Step::run("install R packages", script));
    }
    Ok(steps)
}

/// The steps of a code environment of R.
pub(crate) fn environment(base: &ImageSpec, environment: &CodeEnvironment) -> Result<Vec<Step>, String> {
    let (mut debian, cran) = wanted(&environment.packages)?;
    if !cran.is_empty() {
        debian.insert(0, BUILD_PACKAGE.to_owned());
    }
    let system = if debian.is_empty() {
        Vec::new()
    } else {
        vec![Step::run("install Debian packages", packages::install(&debian.join(" ")))]
    };
    environment::r(base, environment, system, &cran)
}

/// Debian's packages and those of CRAN, as they may stand in a script.
fn wanted(packages: &[String]) -> Result<(Vec<String>, Vec<String>), String> {
    let (debian, cran) = cran::split(packages, PREFIX);
    for package in &debian {
        names::debian_package(package)?;
    }
    for package in &cran {
        names::cran_package(package)?;
    }
    Ok((debian, cran))
}
