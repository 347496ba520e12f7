//! `code-env/python/desc.json` and `code-env/R/desc.json`: what a plugin's code needs around it.

use crate::fault::Findings;
use crate::fields::Fields;
use crate::json::Document;

/// The language of a code environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python, in `code-env/python`.
    Python,
    /// R, in `code-env/R`.
    R,
}

impl Language {
    /// The folder, below `code-env`.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::R => "R",
        }
    }

    /// The files of `spec/` that something is made of.
    pub(crate) fn spec_files(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["requirements.txt", "environment.spec", "resources_init.py"],
            Self::R => &["rPackages.txt", "environment.spec"],
        }
    }
}

/// A code environment as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeEnvironment {
    /// Its language.
    pub language: Language,
    /// The versions of Python that will do, e.g. `PYTHON39`; any, when there are none.
    pub interpreters: Vec<String>,
    /// Which core packages it gets, e.g. `AUTO` or `PANDAS13`.
    pub core_packages: Option<String>,
    /// Whether it gets the core packages at all.
    pub install_core_packages: bool,
    /// Whether it gets what notebooks need.
    pub jupyter: bool,
    /// Whether it can only be made with Conda.
    pub force_conda: bool,
    /// How the base packages are installed.
    pub base_packages_method: Option<String>,
    /// The files of `spec/` that there are, below the plugin's folder.
    pub spec: Vec<String>,
}

/// Reads the description of a code environment; `None` when a fault makes it unusable.
pub(crate) fn read_code_environment(
    language: Language,
    document: &Document<'_>,
    spec: Vec<String>,
    findings: &mut Findings,
) -> Option<CodeEnvironment> {
    let errors = findings.errors();
    let mut fields = Fields::new(document, "$", "the code environment", &document.root, findings)?;
    let mut interpreters = fields.texts("acceptedPythonInterpreters", findings);
    interpreters.extend(fields.text("pythonInterpreter", findings));
    let environment = CodeEnvironment {
        language,
        interpreters,
        core_packages: fields.text("corePackagesSet", findings),
        install_core_packages: fields.flag("installCorePackages", findings).unwrap_or(true),
        jupyter: fields.flag("installJupyterSupport", findings).unwrap_or_default(),
        force_conda: [fields.flag("forceConda", findings), fields.flag("conda", findings)].contains(&Some(true)),
        base_packages_method: fields.text("basePackagesInstallMethod", findings),
        spec,
    };
    for key in ["deploymentMode", "envSettings"] {
        // How a server keeps the environment.
        let _ = fields.value(key);
    }
    fields.finish(findings);
    (findings.errors() == errors).then_some(environment)
}
