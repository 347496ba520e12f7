//! `code-envs/NAME/`: what code environments are made from.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use wharf_model::Fault;
use wharf_model::image::CodeEnvironment;

use super::name::{is_name, not_a_name};
use super::source::{Source, unreadable};
use super::time_span::TimeSpan;

/// The code of the errors of these files.
pub(super) const CODE: &str = "code-env-invalid";
/// More than this isn't a list of requirements.
const LARGEST: u64 = 1 << 20;
/// What the library that recipes import needs, and a fresh environment doesn't have.
const CORE_PACKAGE: &str = "pandas";
/// Options of pip that may stand in requirements: they say which of an index's files are taken.
const OPTIONS: [&str; 5] = ["--require-hashes", "--prefer-binary", "--only-binary", "--no-binary", "--pre"];

/// The shape of `env.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CodeEnvFile {
    /// The language. Beside the files of a plugin's code environment it can be left out.
    pub language: Option<CodeEnvLanguage>,
    /// The interpreter that it is made with, e.g. `"python3.11"`, or several, best first: the first that the base image has. By
    /// default the base image's own. Only for Python.
    pub interpreter: Names,
    /// The execution configurations that may use it: `"all"`, or a list of their names. `"all"` by default.
    pub configurations: ConfigurationNames,
    /// Packages, as pip takes them, beside those of `requirements.txt`; for R, names of CRAN's packages, or of the distribution's
    /// (`r-cran-...`).
    pub packages: Vec<String>,
    /// Put in what the library that recipes import needs (pandas), unless it is asked for anyway. `true` by default. Only for
    /// Python.
    pub install_core_packages: Option<bool>,
    /// Look again at packages that aren't pinned, after this time: `"30d"`. By default never.
    pub refresh_after: Option<TimeSpan>,
}

/// The language of a code environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CodeEnvLanguage {
    /// Python.
    Python,
    /// R.
    R,
}

impl CodeEnvLanguage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::R => "r",
        }
    }
}

/// A name, or a list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// `"all"`, or a list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationNames(pub Availability);

/// Which execution configurations may use a code environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(Vec<String>),
}

impl Availability {
    /// Whether this one may.
    #[must_use]
    pub fn includes(&self, configuration: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == configuration),
        }
    }

    /// Their names; `None` for all.
    #[must_use]
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names.clone()),
        }
    }
}

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
    let toml = folder.join("env.toml");
    let mut file = CodeEnvFile::default();
    let source = match toml.is_file() {
        true => {
            let source = Source::open(CODE, &toml)?;
            file = source.parse()?;
            Some(source)
        }
        false => None,
    };
    let fault = |path: &[&str], message: String| match &source {
        Some(source) => source.fault(path, message),
        None => Fault::new(CODE, message).at(&toml, None),
    };
    if let Availability::Only(names) = &file.configurations.0 {
        for (at, name) in names.iter().enumerate() {
            if !is_name(name) {
                return Err(fault(
                    &["configurations", &at.to_string()],
                    not_a_name("an execution configuration", name),
                ));
            }
        }
    }
    let own = folder.join("requirements.txt");
    let (language, requirements_path) = match layout {
        Layout::Own => {
            let language = file.language.ok_or_else(|| {
                fault(&["language"], "`language` is missing".to_owned()).hint("write language = \"python\" or \"r\"")
            })?;
            (language, own)
        }
        Layout::Plugin(language, at) => {
            if own.exists() {
                return Err(Fault::new(
                    CODE,
                    format!("there are two lists of packages: this one, and that in {}", at.display()),
                )
                .at(&own, None)
                .hint("keep one of them"));
            }
            let beside = file.language.is_some_and(|other| other != *language)
                || !file.packages.is_empty()
                || !file.interpreter.0.is_empty()
                || file.install_core_packages.is_some();
            if beside {
                return Err(fault(
                    &[],
                    format!(
                        "only `configurations` and `refresh_after` may stand here: the rest is in {}",
                        at.display()
                    ),
                ));
            }
            let description = Description::read(&at.join("desc.json"))?;
            file.interpreter = Names(description.interpreters());
            file.install_core_packages = Some(description.install_core_packages);
            if *language == CodeEnvLanguage::R {
                file.install_core_packages = None;
                file.interpreter = Names::default();
                file.packages = r_packages(&at.join("spec/rPackages.txt"))?;
            }
            (*language, at.join("spec/requirements.txt"))
        }
    };
    let shown = shown(folder, name, &requirements_path);
    let requirements = match language {
        CodeEnvLanguage::Python => read(&requirements_path)?,
        CodeEnvLanguage::R => {
            if matches!(layout, Layout::Own) && requirements_path.exists() {
                return Err(Fault::new(CODE, "an R environment has no requirements.txt")
                    .at(&requirements_path, None)
                    .hint("name its packages in env.toml: packages = [\"r-cran-forecast\"]"));
            }
            for (key, there) in [
                ("interpreter", !file.interpreter.0.is_empty()),
                ("install_core_packages", file.install_core_packages.is_some()),
            ] {
                if there {
                    return Err(fault(&[key], format!("`{key}` is for Python, and this environment is R's")));
                }
            }
            None
        }
    };
    for (at, interpreter) in file.interpreter.0.iter().enumerate() {
        if !is_name(interpreter) {
            let message = format!("`interpreter` has \"{interpreter}\"; expected a command such as \"python3.11\"");
            return Err(fault(&["interpreter", &at.to_string()], message));
        }
    }
    for (at, package) in file.packages.iter().enumerate() {
        // A package is an argument of pip or of R: it must not be read as an option there, nor be two of them.
        if package.trim().is_empty() || package.starts_with('-') || package.chars().any(char::is_control) {
            let message = format!("`packages` has \"{package}\", which can't be the name of a package");
            return Err(fault(&["packages", &at.to_string()], message));
        }
    }
    let mut hashed = false;
    if let Some(text) = &requirements {
        let lines = requirement_lines(text);
        lines.iter().try_for_each(|(line, text)| check_requirement(text, *line, &requirements_path))?;
        let named = lines.iter().filter(|(_, text)| !text.starts_with('-'));
        hashed = file.packages.is_empty()
            && named.clone().count() > 0
            && named.clone().all(|(_, text)| text.contains("--hash="));
    }
    let mut packages = file.packages;
    if language == CodeEnvLanguage::Python && file.install_core_packages.unwrap_or(true) {
        let lines = requirements.as_deref().map(requirement_lines).unwrap_or_default();
        let wanted = lines.iter().map(|(_, text)| text.as_str()).chain(packages.iter().map(String::as_str));
        if !wanted.into_iter().any(|text| project(text) == CORE_PACKAGE) {
            packages.push(CORE_PACKAGE.to_owned());
            hashed = false;
        }
    }
    let empty = |text: &String| requirement_lines(text).is_empty();
    Ok(CodeEnvSettings {
        environment: CodeEnvironment {
            name: name.to_owned(),
            language: language.as_str().to_owned(),
            interpreters: file.interpreter.0,
            packages,
            requirements: requirements.filter(|text| !empty(text)),
            generation: 0,
        },
        available: file.configurations.0,
        refresh_after: file.refresh_after.map(TimeSpan::duration),
        requirements_file: shown,
        hashed,
    })
}

/// A path of a code environment, as people know it.
fn shown(folder: &Path, name: &str, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    format!("code-envs/{name}/{}", below.display())
}

/// The lines of requirements without comments, those that go on in the next line put together; each with its number.
fn requirement_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        // A comment begins with the line, or after a space.
        let bare = match line.find(" #") {
            _ if line.starts_with('#') => "",
            Some(at) => line[..at].trim_end(),
            None => line,
        };
        let (bare, goes_on) = match bare.strip_suffix('\\') {
            Some(bare) => (bare.trim_end(), true),
            None => (bare, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some((_, before)) => before.extend([" ", bare]),
            None if bare.is_empty() => {}
            None => lines.push((number, bare.to_owned())),
        }
        open = goes_on;
    }
    lines
}

fn check_requirement(text: &str, line: u32, path: &Path) -> Result<(), Fault> {
    let fault = |message: String, hint: &str| Err(Fault::new(CODE, message).at(path, Some(line)).hint(hint));
    if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return fault(format!("the line has the control character {control:?} in it"), "remove it");
    }
    let option = text.split([' ', '=']).next().unwrap_or(text);
    if option.starts_with('-') {
        if OPTIONS.contains(&option) {
            return Ok(());
        }
        return match option {
            "-r" | "--requirement" | "-c" | "--constraint" => {
                fault(format!("{option} can't be used: the host knows no other file"), "put its lines into this file")
            }
            "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index" | "--trusted-host" => {
                fault(
                    format!("{option} can't be used: where packages come from is the base image's"),
                    "write it into the base image: [mirrors] with pip = \"https://...\"",
                )
            }
            "-e" | "--editable" => fault(
                format!("{option} can't be used: there is no source in the image"),
                "name the package, or its URL",
            ),
            _ => fault(format!("{option} can't be used here"), "pip's options that choose files of an index can"),
        };
    }
    let target = text.split_once(" @ ").map_or(text, |(_, target)| target.trim());
    let local = ["./", "../", "/", "~/", "file:", "."].iter().any(|begin| target.starts_with(begin));
    let archive = [".whl", ".tar.gz", ".zip"].iter().any(|end| target.ends_with(end)) && !target.contains("://");
    if local || archive {
        return fault(
            format!("\"{target}\" is a path, which the image doesn't have"),
            "put the package into an index, and name it; or copy it into the base image with `files` and `post_install`",
        );
    }
    Ok(())
}

/// The name that a requirement begins with, as indexes compare names.
fn project(requirement: &str) -> String {
    let end = requirement.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
    let name = requirement[..end.unwrap_or(requirement.len())].to_ascii_lowercase();
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '.' | '_' | '-' if out.ends_with('-') => {}
            '.' | '_' | '-' => out.push('-'),
            c => out.push(c),
        }
    }
    out
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

/// `desc.json` of a plugin's code environment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Description {
    accepted_python_interpreters: Vec<String>,
    install_core_packages: bool,
    force_conda: bool,
}

impl Default for Description {
    fn default() -> Self {
        Self { accepted_python_interpreters: Vec::new(), install_core_packages: true, force_conda: false }
    }
}

impl Description {
    fn read(path: &Path) -> Result<Self, Fault> {
        let text = read(path)?.unwrap_or_default();
        let description: Self = serde_json::from_str(&text).map_err(|error| {
            let line = u32::try_from(error.line()).ok();
            Fault::new(CODE, format!("this isn't the description of a code environment: {error}")).at(path, line)
        })?;
        if description.force_conda {
            return Err(Fault::new(CODE, "`forceConda` asks for conda, which wharf doesn't have")
                .at(path, None)
                .hint("list its packages in spec/requirements.txt, and set forceConda to false"));
        }
        Ok(description)
    }

    /// `PYTHON39` is `python3.9`; the newest first, since all of them are accepted.
    fn interpreters(&self) -> Vec<String> {
        let version = |name: &String| {
            let digits = name.strip_prefix("PYTHON")?;
            let (major, minor) = digits.split_at_checked(1)?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        };
        let mut versions: Vec<(u32, u32)> = self.accepted_python_interpreters.iter().filter_map(version).collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions.dedup();
        versions.into_iter().map(|(major, minor)| format!("python{major}.{minor}")).collect()
    }
}

/// `spec/rPackages.txt`: a package a line, with or without quotes; what comes after a comma is the least version that will do,
/// and CRAN has the newest.
fn r_packages(path: &Path) -> Result<Vec<String>, Fault> {
    let text = read(path)?.unwrap_or_default();
    let lines = text.lines().map(|line| line.split(',').next().unwrap_or_default().trim().trim_matches('"').trim());
    Ok(lines.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect())
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for ConfigurationNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrSome;
        impl<'de> Visitor<'de> for AllOrSome {
            type Value = ConfigurationNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\", or a list of execution configurations")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ConfigurationNames, E> {
                match text {
                    "all" => Ok(ConfigurationNames(Availability::All)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ConfigurationNames, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(ConfigurationNames(Availability::Only(names)))
            }
        }
        deserializer.deserialize_any(AllOrSome)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, or a list of names.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}

impl JsonSchema for ConfigurationNames {
    fn schema_name() -> Cow<'static, str> {
        "ConfigurationNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "All execution configurations, or a list of their names.",
            "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
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
