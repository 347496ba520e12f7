//! R: Debian's own.

use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::{Language, Mirrors};

use crate::packages::Packages;
use crate::{Origin, check_suite, names, version_check};

/// jsonlite is what the R library reads the host's answers with.
const PACKAGES: [&str; 2] = ["r-base-core", "r-cran-jsonlite"];
/// Compilers, since CRAN has sources.
const BUILD_PACKAGE: &str = "r-base-dev";
const DEFAULT_CRAN: &str = "https://cloud.r-project.org";

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
    let mut wanted = language.packages.clone();
    wanted.sort();
    wanted.dedup();
    let (debian, cran): (Vec<String>, Vec<String>) = wanted.into_iter().partition(|name| name.starts_with("r-"));
    for package in &debian {
        names::debian_package(package)?;
        packages.add(&[package]);
    }
    for package in &cran {
        names::cran_package(package)?;
    }
    if !cran.is_empty() {
        packages.add(&[BUILD_PACKAGE]);
        let mirror = mirrors.cran.as_deref().unwrap_or(DEFAULT_CRAN);
        names::url("the CRAN mirror", mirror)?;
        let quoted: Vec<String> = cran.iter().map(|package| format!("\"{package}\"")).collect();
        // install.packages only warns when a package doesn't build.
        let script = format!(
            "Rscript -e 'wanted <- c({})' \\\n  \
               -e 'install.packages(wanted, repos = \"{mirror}\")' \\\n  \
               -e 'missing <- wanted[!wanted %in% rownames(installed.packages())]' \\\n  \
               -e 'if (length(missing)) stop(\"not installed: \", paste(missing, collapse = \", \"))'\n",
            quoted.join(", ")
        );
        steps.push(Step::run("install R packages", script));
    }
    Ok(steps)
}
