//! `code-envs/NAME/`: what code environments are made from.

mod file;
mod plugin_files;
mod requirements;

use std::path::{Path, PathBuf};
use std::time::Duration;

use wharf_model::Fault;
use wharf_model::image::CodeEnvironment;

pub use self::file::{Availability, CodeEnvFile, CodeEnvLanguage, ConfigurationNames, Names};
use self::plugin_files::{Description, r_packages};
use super::name::{is_name, not_a_name};
use super::source::{Source, unreadable};
use super::time_span::TimeSpan;

/// The code of the errors of these files.
pub(super) const CODE: &str = "code-env-invalid";
/// More than this isn't a list of requirements.
const LARGEST: u64 = 1 << 20;
/// What the library that recipes import needs, and a fresh environment doesn't have.
const CORE_PACKAGE: &str = "pandas";

/// A code environment, as the rest of the host works with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeEnvSettings {
    /// What it is made from.
    pub environment: CodeEnvironment,
    /// Who may use it.
    pub available: Availability,
    /// After which time packages that aren't pinned are looked at again.
    pub refresh_after: Option<Duration>,
    /// The file with its requirements, as people know it: `code-envs/ml/requirements.txt`.
    pub requirements_file: String,
    /// Every requirement has its hashes, so that nothing can be another one later.
    pub hashed: bool,
}

/// Where the files of a code environment are.
pub(super) enum Layout {
    /// `env.toml` and `requirements.txt`.
    Own,
    /// A plugin's, for this language: the folder that has `desc.json`.
    Plugin(CodeEnvLanguage, PathBuf),
}

/// How a folder is laid out; `None` when it has no code environment.
pub(super) fn layout(folder: &Path) -> Option<Layout> {
    for root in [folder.to_owned(), folder.join("code-env")] {
        for (name, language) in [("python", CodeEnvLanguage::Python), ("R", CodeEnvLanguage::R)] {
            let at = root.join(name);
            if at.join("desc.json").is_file() {
                return Some(Layout::Plugin(language, at));
            }
        }
    }
    folder.join("env.toml").is_file().then_some(Layout::Own)
}

/// Reads the code environment of a folder.
pub(super) fn load(folder: &Path, name: &str, layout: &Layout) -> Result<CodeEnvSettings, Fault> {
    let path = folder.join("env.toml");
    let toml = Toml::open(&path)?;
    toml.check_configurations()?;
    let made = match layout {
        Layout::Own => own(&toml, folder)?,
        Layout::Plugin(language, at) => plugins(&toml, folder, *language, at)?,
    };
    let refresh_after = toml.file.refresh_after.map(TimeSpan::duration);
    let available = toml.file.configurations.0.clone();
    toml.check_names(&made.interpreters, &made.packages)?;
    let requirements = match made.language {
        CodeEnvLanguage::Python => read(&made.requirements)?,
        CodeEnvLanguage::R => None,
    };
    let wanted = requirements.as_deref().unwrap_or_default();
    requirements::check(wanted, &made.requirements)?;
    let mut hashed = made.packages.is_empty() && requirements::is_hashed(wanted);
    let mut packages = made.packages;
    let there =
        packages.iter().map(String::as_str).chain([wanted]).any(|text| requirements::asks_for(text, CORE_PACKAGE));
    if made.core_packages && !there {
        packages.push(CORE_PACKAGE.to_owned());
        hashed = false;
    }
    Ok(CodeEnvSettings {
        environment: CodeEnvironment {
            name: name.to_owned(),
            language: made.language.as_str().to_owned(),
            interpreters: made.interpreters,
            packages,
            requirements: requirements.filter(|text| !requirements::is_empty(text)),
            generation: 0,
        },
        available,
        refresh_after,
        requirements_file: shown(folder, name, &made.requirements),
        hashed,
    })
}

/// What both layouts say, each in its own way.
struct Made {
    language: CodeEnvLanguage,
    interpreters: Vec<String>,
    packages: Vec<String>,
    core_packages: bool,
    /// Where its requirements are, if it has some.
    requirements: PathBuf,
}

/// `env.toml`, which a plugin's code environment may do without.
struct Toml<'a> {
    path: &'a Path,
    file: CodeEnvFile,
    source: Option<Source<'a>>,
}

impl<'a> Toml<'a> {
    fn open(path: &'a Path) -> Result<Self, Fault> {
        if !path.is_file() {
            return Ok(Self { path, file: CodeEnvFile::default(), source: None });
        }
        let source = Source::open(CODE, path)?;
        Ok(Self { file: source.parse()?, path, source: Some(source) })
    }

    fn fault(&self, key: &[&str], message: String) -> Fault {
        match &self.source {
            Some(source) => source.fault(key, message),
            None => Fault::new(CODE, message).at(self.path, None),
        }
    }

    fn check_configurations(&self) -> Result<(), Fault> {
        let Availability::Only(names) = &self.file.configurations.0 else { return Ok(()) };
        match names.iter().enumerate().find(|(_, name)| !is_name(name)) {
            Some((at, name)) => {
                Err(self.fault(&["configurations", &at.to_string()], not_a_name("an execution configuration", name)))
            }
            None => Ok(()),
        }
    }

    /// Each of them becomes an argument of a command: it must not be read as an option there, nor be two of them.
    fn check_names(&self, interpreters: &[String], packages: &[String]) -> Result<(), Fault> {
        if let Some((at, name)) = interpreters.iter().enumerate().find(|(_, name)| !is_name(name)) {
            let message = format!("`interpreter` has \"{name}\"; expected a command such as \"python3.11\"");
            return Err(self.fault(&["interpreter", &at.to_string()], message));
        }
        let bad = |name: &str| name.trim().is_empty() || name.starts_with('-') || name.chars().any(char::is_control);
        if let Some((at, name)) = packages.iter().enumerate().find(|(_, name)| bad(name)) {
            let message = format!("`packages` has \"{name}\", which can't be the name of a package");
            return Err(self.fault(&["packages", &at.to_string()], message));
        }
        Ok(())
    }
}

/// `env.toml` and `requirements.txt`.
fn own(toml: &Toml<'_>, folder: &Path) -> Result<Made, Fault> {
    let file = &toml.file;
    let requirements = folder.join("requirements.txt");
    let language = file.language.ok_or_else(|| {
        toml.fault(&["language"], "`language` is missing".to_owned()).hint("write language = \"python\" or \"r\"")
    })?;
    if language == CodeEnvLanguage::R {
        if requirements.exists() {
            return Err(Fault::new(CODE, "an R environment has no requirements.txt")
                .at(&requirements, None)
                .hint("name its packages in env.toml: packages = [\"r-cran-forecast\"]"));
        }
        let given = [
            ("interpreter", !file.interpreter.0.is_empty()),
            ("install_core_packages", file.install_core_packages.is_some()),
        ];
        if let Some((key, _)) = given.iter().find(|(_, there)| *there) {
            return Err(toml.fault(&[key], format!("`{key}` is for Python, and this environment is R's")));
        }
    }
    Ok(Made {
        language,
        interpreters: file.interpreter.0.clone(),
        packages: file.packages.clone(),
        core_packages: language == CodeEnvLanguage::Python && file.install_core_packages.unwrap_or(true),
        requirements,
    })
}

/// The files of a plugin's code environment.
fn plugins(toml: &Toml<'_>, folder: &Path, language: CodeEnvLanguage, at: &Path) -> Result<Made, Fault> {
    let file = &toml.file;
    let second = folder.join("requirements.txt");
    if second.exists() {
        let message = format!("there are two lists of packages: this one, and that in {}", at.display());
        return Err(Fault::new(CODE, message).at(&second, None).hint("keep one of them"));
    }
    let beside = file.language.is_some_and(|other| other != language)
        || !file.packages.is_empty()
        || !file.interpreter.0.is_empty()
        || file.install_core_packages.is_some();
    if beside {
        let message =
            format!("only `configurations` and `refresh_after` may stand here: the rest is in {}", at.display());
        return Err(toml.fault(&[], message));
    }
    let description = Description::read(&at.join("desc.json"))?;
    let requirements = at.join("spec/requirements.txt");
    Ok(match language {
        CodeEnvLanguage::Python => Made {
            language,
            interpreters: description.interpreters(),
            packages: Vec::new(),
            core_packages: description.install_core_packages,
            requirements,
        },
        CodeEnvLanguage::R => Made {
            language,
            interpreters: Vec::new(),
            packages: r_packages(&at.join("spec/rPackages.txt"))?,
            core_packages: false,
            requirements,
        },
    })
}

/// A path of a code environment, as people know it.
fn shown(folder: &Path, name: &str, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    format!("code-envs/{name}/{}", below.display())
}

/// The text of a file, if it is there.
fn read(path: &Path) -> Result<Option<String>, Fault> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > LARGEST => {
            return Err(Fault::new(CODE, "it is too large to be a list of packages").at(path, None));
        }
        _ => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| unreadable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    #[test]
    fn reads_everything() {
        let fixture = Fixture::new();
        fixture.write(
            "code-envs/ml/env.toml",
            "language = \"python\"\ninterpreter = [\"python3.12\", \"python3.11\"]\nconfigurations = [\"gpu\"]\npackages = [\"polars\"]\nrefresh_after = \"30d\"\n",
        );
        fixture.write("code-envs/ml/requirements.txt", "# what it needs\nscikit-learn>=1.4  # models\n\n");
        let env = fixture.home().load_code_env("ml").expect("sound");
        assert_eq!(env.environment.interpreters, ["python3.12", "python3.11"]);
        assert_eq!(env.environment.packages, ["polars", "pandas"]);
        assert!(env.environment.requirements.is_some_and(|text| text.starts_with("# what it needs")));
        assert!(env.available.includes("gpu") && !env.available.includes("other"));
        assert_eq!(env.refresh_after, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!((env.requirements_file.as_str(), env.hashed), ("code-envs/ml/requirements.txt", false));
    }

    #[test]
    fn pandas_is_added_once_and_hashes_are_seen() {
        let fixture = Fixture::new();
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\n");
        for (text, packages, hashed) in [
            ("", vec!["pandas"], false),
            ("Pandas == 2.2\n", vec![], false),
            ("pandas==2.2 \\\n  --hash=sha256:00 \\\n  --hash=sha256:01\n", vec![], true),
            ("pandas==2.2 --hash=sha256:00\nsix\n", vec![], false),
            ("pandas-stubs==2 --hash=sha256:00\n", vec!["pandas"], false),
        ] {
            fixture.write("code-envs/ml/requirements.txt", text);
            let env = fixture.home().load_code_env("ml").expect("sound");
            assert_eq!(
                (env.environment.packages, env.hashed),
                (packages.iter().map(|&name| name.to_owned()).collect(), hashed),
                "{text}"
            );
        }
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\ninstall_core_packages = false\n");
        fixture.write("code-envs/ml/requirements.txt", "six\n");
        assert_eq!(fixture.home().load_code_env("ml").expect("sound").environment.packages, [""; 0]);
    }

    #[test]
    fn a_plugins_own_layout_is_read() {
        let fixture = Fixture::new();
        fixture.write(
            "code-envs/forecast/code-env/python/desc.json",
            r#"{"acceptedPythonInterpreters": ["PYTHON36", "PYTHON39", "PYTHON310"], "forceConda": false, "installCorePackages": true}"#,
        );
        fixture.write("code-envs/forecast/code-env/python/spec/requirements.txt", "prophet==1.1\n");
        fixture.write("code-envs/forecast/env.toml", "configurations = [\"big\"]\n");
        let env = fixture.home().load_code_env("forecast").expect("sound");
        assert_eq!(env.environment.interpreters, ["python3.10", "python3.9", "python3.6"]);
        assert_eq!(env.environment.packages, ["pandas"]);
        assert_eq!(env.requirements_file, "code-envs/forecast/code-env/python/spec/requirements.txt");
        assert_eq!(env.available, Availability::Only(vec!["big".to_owned()]));

        fixture.write("code-envs/stats/R/desc.json", "{}");
        fixture.write("code-envs/stats/R/spec/rPackages.txt", "\"forecast\",\"8.5\"\nzoo\n\n");
        let env = fixture.home().load_code_env("stats").expect("sound");
        assert_eq!(
            (env.environment.language.as_str(), env.environment.packages),
            ("r", vec!["forecast".to_owned(), "zoo".to_owned()])
        );
        assert_eq!(fixture.home().code_env_names(), Ok(vec!["forecast".to_owned(), "stats".to_owned()]));
    }

    #[test]
    fn each_slip_has_its_file_and_its_line() {
        let fixture = Fixture::new();
        let python = "language = \"python\"\n";
        for (toml, requirements, expected) in [
            ("", None, "env.toml:1: `language` is missing"),
            (
                "language = \"pyhton\"\n",
                None,
                "env.toml:1: `language` is \"pyhton\", which isn't valid here; did you mean \"python\"?",
            ),
            ("language = \"python\"\nconfigurations = \"some\"\n", None, "env.toml:2: `configurations`"),
            (
                "language = \"python\"\ninterpreter = \"/usr/bin/x\"\n",
                None,
                "env.toml:2: `interpreter` has \"/usr/bin/x\"",
            ),
            ("language = \"python\"\npackages = [\"-r x\"]\n", None, "env.toml:2: `packages` has \"-r x\""),
            ("language = \"r\"\ninterpreter = \"R\"\n", None, "env.toml:2: `interpreter` is for Python"),
            ("language = \"r\"\n", Some("six\n"), "requirements.txt: an R environment has no requirements.txt"),
            (python, Some("six\n-r more.txt\n"), "requirements.txt:2: -r can't be used"),
            (
                python,
                Some("--index-url=https://x/simple\n"),
                "requirements.txt:1: --index-url can't be used: where packages",
            ),
            (python, Some("six\n\n./local\n"), "requirements.txt:3: \"./local\" is a path"),
            (python, Some("mine @ file:///srv/mine\n"), "requirements.txt:1: \"file:///srv/mine\" is a path"),
            (
                python,
                Some("mine-1.0-py3-none-any.whl\n"),
                "requirements.txt:1: \"mine-1.0-py3-none-any.whl\" is a path",
            ),
        ] {
            fixture.write("code-envs/ml/env.toml", toml);
            let path = fixture.home().code_envs_dir().join("ml/requirements.txt");
            let _ = std::fs::remove_file(path);
            if let Some(text) = requirements {
                fixture.write("code-envs/ml/requirements.txt", text);
            }
            let fault = fixture.home().load_code_env("ml").expect_err(toml);
            let shown = fixture.spell(&fault);
            assert!(shown.starts_with(&format!("code-envs/ml/{expected}")), "{shown}");
            assert_eq!(fault.code, "code-env-invalid");
        }
        for text in [
            "git+https://example.org/x@v1\n",
            "x @ https://example.org/x-1.whl\n",
            "x; python_version < '3.12'\n",
            "--pre\n",
        ] {
            fixture.write("code-envs/ml/env.toml", python);
            fixture.write("code-envs/ml/requirements.txt", text);
            fixture.home().load_code_env("ml").expect(text);
        }
    }

    #[test]
    fn what_is_not_there_says_what_is() {
        let fixture = Fixture::new();
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\nconfigurations = [\"god\"]\n");
        let fault = fixture.home().load_code_env("mll").expect_err("misspelt");
        assert_eq!(fault.code, "code-env-not-found");
        assert!(fault.message.ends_with("did you mean \"ml\"?"), "{fault}");
        fixture.write("configs/good.toml", "base_image = \"python-r\"\n");
        let faults: Vec<String> = fixture.home().check().iter().map(|fault| fixture.spell(fault)).collect();
        assert_eq!(
            faults,
            ["code-envs/ml/env.toml:2: there is no execution configuration \"god\"; did you mean \"good\"?"]
        );
    }
}
