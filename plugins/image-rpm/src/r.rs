//! R: Fedora's own, or EPEL's.

use wharf_plugin_sdk::base::version_check;
use wharf_plugin_sdk::cran::{self, Cran};
use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, Language, Mirrors, environment};

use crate::names;
use crate::packages;
use wharf_plugin_sdk::packages::Packages;

/// With compilers: few packages of R are in these distributions, and CRAN has sources.
const PACKAGES: [&str; 2] = ["R-core", "R-core-devel"];
/// What the R library reads the host's answers with. Not all of these distributions have a package of it.
const JSONLITE: &str = "jsonlite";
/// What the names of the distribution's packages begin with.
const PREFIX: &str = "R-";

/// Adds the distribution's packages to those of the image, and returns the steps that come after them.
pub(crate) fn add(language: &Language, mirrors: &Mirrors, packages: &mut Packages) -> Result<Vec<Step>, String> {
    packages.add(&PACKAGES);
    let mut steps = Vec::new();
    if let Some(version) = &language.version {
        names::version("R", version)?;
        let ask = "Rscript -e 'cat(as.character(getRversion()))'";
        steps.push(Step::run("check R's version", version_check("R", version, ask)));
    }
    let (own, mut cran) = wanted(&language.packages)?;
    for package in &own {
        packages.add(&[package]);
    }
    cran.retain(|package| package != JSONLITE);
    let mirror = Cran::new(mirrors.cran.as_deref())?;
    steps.push(Step::run("install jsonlite", mirror.install(&[JSONLITE.to_owned()])?));
    if !cran.is_empty() {
        steps.push(Step::run("install R packages", mirror.install(&cran)?));
    }
    Ok(steps)
}

/// The steps of a code environment of R. The base image has all that is needed to compile.
pub(crate) fn environment(base: &ImageSpec, environment: &CodeEnvironment) -> Result<Vec<Step>, String> {
    let (own, cran) = wanted(&environment.packages)?;
    let system = if own.is_empty() {
        Vec::new()
    } else {
        vec![Step::run("install packages of the distribution", packages::install(&own.join(" ")))]
    };
    environment::r(base, environment, system, &cran)
}

/// Packages of the distribution and those of CRAN, as they may stand in a script.
fn wanted(packages: &[String]) -> Result<(Vec<String>, Vec<String>), String> {
    let (own, cran) = cran::split(packages, PREFIX);
    for package in &own {
        names::rpm_package(package)?;
    }
    for package in &cran {
        names::cran_package(package)?;
    }
    Ok((own, cran))
}
