//! Activity files: what somebody wants to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_model::{Activity, ActivityKind, Binding, BindingKind, Fault, Identity, Place};

use super::label::check_labels;
use super::name::{is_name, not_a_name};
use super::resource::{ResourcesTable, Words, in_common_words};
use super::secret::check_secrets;
use super::source::{Source, unreadable};
use super::time_span::TimeSpan;

/// The shape of an activity's file. It has either `code` or `script`, or it names a plugin's recipe, or it has a task of machine
/// learning. Who asks isn't in it: the caller says that.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityFile {
    /// What the code is written in; `plugin` for a plugin's recipe; `ml-train`, `ml-retrain` or `ml-score` for machine learning.
    pub kind: RecipeKind,
    /// The file with the code, relative to this one.
    #[serde(default)]
    pub code: Option<String>,
    /// The code itself.
    #[serde(default)]
    pub script: Option<String>,
    /// The plugin whose recipe it is.
    #[serde(default)]
    pub plugin: Option<String>,
    /// Which of the plugin's recipes.
    #[serde(default)]
    pub recipe: Option<String>,
    /// The file with the task of machine learning, TOML or JSON, relative to this one. Without it the task is in `parameters`.
    #[serde(default)]
    pub task: Option<String>,
    /// The recipe's parameters. The value of a secret is `{ secret = "NAME" }`.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// The execution configuration. By default the project's, else the site's.
    #[serde(default)]
    pub configuration: Option<String>,
    /// The code environment that it runs in. By default the base image's own packages.
    #[serde(default)]
    pub code_env: Option<String>,
    /// The project that it belongs to.
    #[serde(default)]
    pub project: Option<String>,
    /// Whose turn it is first when several wait for room: the highest. 0 by default; its configuration says how high it may be.
    #[serde(default)]
    pub priority: i32,
    /// How long it may take. By default as long as its configuration allows.
    #[serde(default)]
    pub time_limit: Option<TimeSpan>,
    /// What it reads: names as the code has them, and paths relative to this file. A `.csv` or `.parquet` file is a
    /// dataset; a path that ends in `/` is a folder. For a plugin's recipe and for machine learning roles instead of names, each with
    /// a path, a list of paths, or a table of names and paths.
    #[serde(default)]
    pub inputs: BTreeMap<String, Places>,
    /// What it writes, as `inputs`.
    #[serde(default)]
    pub outputs: BTreeMap<String, Places>,
    /// Resources that it asks for instead of its configuration's.
    #[serde(default)]
    pub resources: ResourcesTable,
    /// The project's variables, as `dataiku.get_custom_variables()` gives them.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Secrets that it needs: the variable that gets it, and its name, never its value. Its configuration must allow them.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Labels of the run.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What an activity's recipe is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeKind {
    /// Python.
    Python,
    /// R.
    R,
    /// A plugin's recipe, in its own language.
    Plugin,
    /// Initial training of an in-memory model.
    MlTrain,
    /// Retraining of an in-memory model.
    MlRetrain,
    /// Scoring with an in-memory model.
    MlScore,
}

/// One path, or several, some with names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path, a list of paths, or a table of names and paths")]
pub enum Places {
    /// None.
    #[default]
    #[serde(skip)]
    None,
    /// One path.
    One(String),
    /// Several paths.
    Several(Vec<String>),
    /// Names and their paths.
    Named(BTreeMap<String, String>),
}

impl RecipeKind {
    fn kind(self) -> ActivityKind {
        match self {
            Self::Python => ActivityKind::Python,
            Self::R => ActivityKind::R,
            Self::Plugin => ActivityKind::Plugin,
            Self::MlTrain => ActivityKind::MlTrain,
            Self::MlRetrain => ActivityKind::MlRetrain,
            Self::MlScore => ActivityKind::MlScore,
        }
    }

    /// Whether it has code of its own, whose names its inputs and outputs have. Others have roles.
    fn has_code(self) -> bool {
        !self.kind().has_roles()
    }

    /// The name of a file with code that has none of its own.
    fn file_name(self) -> &'static str {
        match self {
            Self::R => "recipe.R",
            _ => "recipe.py",
        }
    }
}

/// Whether a recipe reads or writes what a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It reads it.
    Input,
    /// It writes it.
    Output,
}

/// The path without `..`, so that one place has one path. A folder that isn't there yet leaves it as it is.
fn settled(path: &Path) -> PathBuf {
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Makes a binding of a name and a path as people write it: a path that ends in `/` is a folder, another one a `.csv` or
/// `.parquet` file. `base` is what a relative path is relative to.
///
/// # Errors
/// The name is empty, the path is no dataset's, or an input isn't there. The error has no place: the caller knows it.
pub fn binding(direction: Direction, name: &str, path: &str, base: &Path) -> Result<Binding, Fault> {
    let (word, invalid) = match direction {
        Direction::Input => ("input", "input-format-unknown"),
        Direction::Output => ("output", "output-format-unknown"),
    };
    if name.trim().is_empty() || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Err(Fault::new("binding-name-invalid", format!("\"{name}\" can't be the name of an {word}"))
            .hint("any text without slashes, as the recipe spells it"));
    }
    let folder = path.ends_with('/');
    let place = std::path::absolute(base.join(path))
        .map_err(|_| Fault::new(invalid, format!("the {word} `{name}` has no path")))?;
    let place = settled(&place);
    let kind = if folder {
        BindingKind::Folder
    } else if place.is_dir() {
        return Err(Fault::new(
            invalid,
            format!("the {word} `{name}` is the folder \"{path}\"; did you mean \"{path}/\"?"),
        )
        .hint("a path that ends in / is a folder, another one a dataset"));
    } else if place.extension().is_some_and(|extension| extension == "csv" || extension == "parquet") {
        BindingKind::Dataset
    } else {
        return Err(Fault::new(
            invalid,
            format!("the {word} `{name}` is \"{path}\", which is neither a dataset nor a folder"),
        )
        .hint("a dataset is a file whose name ends in .csv or .parquet; a folder's path ends in /"));
    };
    if direction == Direction::Input {
        let there = if folder { place.is_dir() } else { place.is_file() };
        if !there {
            return Err(Fault::new(
                "input-missing",
                format!(
                    "the input `{name}` isn't there: no {} {}",
                    if folder { "folder" } else { "file" },
                    place.display()
                ),
            )
            .hint("correct the path, or make the data first"));
        }
    }
    Ok(Binding { name: name.to_owned(), role: "main".to_owned(), kind, place: Place { path: place } })
}

/// Checks a parsed file and reads the code that it names.
pub(super) fn resolve(source: &Source<'_>, file: ActivityFile, requester: Identity) -> Result<Activity, Fault> {
    let base = source.file.parent().unwrap_or(Path::new("")).to_owned();
    let code = if file.kind.has_code() { Some(code(source, &base, &file)?) } else { None };
    let (code, code_name) = code.unzip();
    if !file.kind.has_code() {
        check_no_code(source, &file)?;
    }
    match file.kind {
        RecipeKind::Plugin => check_plugin(source, &file)?,
        _ => check_no_plugin(source, &file)?,
    }
    let parameters = match &file.task {
        Some(task) => self::task(source, &base, &file, task)?,
        None => file.parameters.clone(),
    };
    if let Some(configuration) = &file.configuration
        && !is_name(configuration)
    {
        return Err(source.fault(&["configuration"], not_a_name("an execution configuration", configuration)));
    }
    if let Some(code_env) = &file.code_env
        && !is_name(code_env)
    {
        return Err(source.fault(&["code_env"], not_a_name("a code environment", code_env)));
    }
    if file.project.as_deref().is_some_and(|project| project.trim().is_empty()) {
        return Err(source.fault(&["project"], "`project` is empty"));
    }
    let inputs = bindings(source, Direction::Input, &file, &base)?;
    let outputs = bindings(source, Direction::Output, &file, &base)?;
    check_outputs(source, &inputs, &outputs)?;
    check_labels(source, &file.labels)?;
    check_secrets(source, &file.secrets, &BTreeMap::new())?;
    Ok(Activity {
        kind: file.kind.kind(),
        requester,
        project: file.project,
        configuration: file.configuration,
        code_env: file.code_env,
        code,
        code_name,
        plugin: file.plugin,
        recipe: file.recipe,
        parameters,
        inputs,
        outputs,
        resources: in_common_words(file.resources.check(source, Words::Either)?),
        priority: file.priority,
        time_limit: file.time_limit.map(TimeSpan::seconds),
        variables: file.variables,
        secrets: file.secrets,
        labels: file.labels,
    })
}

fn check_no_code(source: &Source<'_>, file: &ActivityFile) -> Result<(), Fault> {
    let kind = file.kind.kind();
    let why = if file.kind == RecipeKind::Plugin { "the plugin has the code" } else { "there is a task instead" };
    for (key, there) in [("code", file.code.is_some()), ("script", file.script.is_some())] {
        if there {
            return Err(source.fault(&[key], format!("`{key}` can't be used with kind = \"{kind}\": {why}")));
        }
    }
    Ok(())
}

fn check_no_plugin(source: &Source<'_>, file: &ActivityFile) -> Result<(), Fault> {
    for (key, value) in [("plugin", &file.plugin), ("recipe", &file.recipe)] {
        if value.is_some() {
            return Err(source.fault(&[key], format!("`{key}` needs kind = \"plugin\"")));
        }
    }
    Ok(())
}

/// The task that a file has.
fn task(
    source: &Source<'_>,
    base: &Path,
    file: &ActivityFile,
    task: &str,
) -> Result<serde_json::Map<String, serde_json::Value>, Fault> {
    if file.kind.has_code() || file.kind == RecipeKind::Plugin {
        return Err(source.fault(&["task"], "`task` needs kind = \"ml-train\", \"ml-retrain\" or \"ml-score\""));
    }
    if !file.parameters.is_empty() {
        return Err(
            source.fault(&["task"], "the task is there twice: `task` names a file and `parameters` has another")
        );
    }
    load_task(&base.join(task)).map_err(|fault| source.place(&["task"], fault))
}

/// Reads the task of machine learning in a file, TOML or JSON.
///
/// # Errors
/// The file can't be read, is neither, or has something else than a table in it.
pub fn load_task(path: &Path) -> Result<serde_json::Map<String, serde_json::Value>, Fault> {
    let invalid = |what: String| {
        Fault::new("activity-invalid", format!("the task in {}: {what}", path.display()))
            .hint("a task is a TOML table or a JSON object; docs/machine-learning.md has its keys")
    };
    let text = std::fs::read_to_string(path).map_err(|error| invalid(format!("it can't be read: {error}")))?;
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if json {
        return serde_json::from_str(&text).map_err(|error| invalid(format!("it isn't a JSON object: {error}")));
    }
    toml::from_str(&text).map_err(|error| invalid(format!("it isn't TOML: {}", error.to_string().trim())))
}

/// A plugin's recipe is named.
fn check_plugin(source: &Source<'_>, file: &ActivityFile) -> Result<(), Fault> {
    for (key, value) in [("plugin", &file.plugin), ("recipe", &file.recipe)] {
        if value.as_deref().is_none_or(|value| value.trim().is_empty()) {
            return Err(source
                .fault(&[key], format!("`{key}` is missing: it says which recipe of which plugin"))
                .hint("`wharf plugin list` and `wharf plugin show PLUGIN` say what there is"));
        }
    }
    Ok(())
}

/// The code and the name of its file.
fn code(source: &Source<'_>, base: &Path, file: &ActivityFile) -> Result<(String, String), Fault> {
    let (key, code, name) = match (&file.code, &file.script) {
        (Some(path), None) => {
            let path: PathBuf = base.join(path);
            let code = std::fs::read_to_string(&path).map_err(|error| {
                source.fault(&["code"], format!("the file of `code`, {}", unreadable(&path, &error)))
            })?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            ("code", code, name.unwrap_or_else(|| file.kind.file_name().to_owned()))
        }
        (None, Some(script)) => ("script", script.clone(), file.kind.file_name().to_owned()),
        (Some(_), Some(_)) => {
            return Err(source.fault(&["script"], "there is code twice: `code` names a file and `script` has another"));
        }
        (None, None) => {
            return Err(source
                .fault(&[], "there is no code: `code` or `script` is missing")
                .hint("write code = \"FILE\", or script = \"\"\"...\"\"\""));
        }
    };
    if code.trim().is_empty() {
        return Err(source.fault(&[key], format!("`{key}` has nothing to run in it")));
    }
    Ok((code, code_name_checked(&name)))
}

/// A name that can be a file's in the container, whatever it was called here.
fn code_name_checked(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "._- ".contains(c) { c } else { '-' }).collect()
}

fn bindings(
    source: &Source<'_>,
    direction: Direction,
    file: &ActivityFile,
    base: &Path,
) -> Result<Vec<Binding>, Fault> {
    let (key, table) = match direction {
        Direction::Input => ("inputs", &file.inputs),
        Direction::Output => ("outputs", &file.outputs),
    };
    let mut all: Vec<Binding> = Vec::new();
    for (name, places) in table {
        let placed = |fault| source.place(&[key, name], fault);
        if file.kind.has_code() {
            let Places::One(path) = places else {
                return Err(source.fault(&[key, name], format!("`{name}` of a code recipe is one path")));
            };
            all.push(binding(direction, name, path, base).map_err(placed)?);
            continue;
        }
        let named: Vec<(Option<&str>, &str)> = match places {
            Places::None => Vec::new(),
            Places::One(path) => vec![(None, path)],
            Places::Several(paths) => paths.iter().map(|path| (None, path.as_str())).collect(),
            Places::Named(paths) => paths.iter().map(|(name, path)| (Some(name.as_str()), path.as_str())).collect(),
        };
        for (own, path) in named {
            let bound = role_binding(direction, name, own, path, base).map_err(placed)?;
            if all.iter().any(|other| other.name == bound.name) {
                let message = format!("two of the {key} are called `{}`", bound.name);
                return Err(source
                    .fault(&[key, name], message)
                    .hint(format!("give them names: [{key}.{name}] with NAME = \"PATH\"")));
            }
            all.push(bound);
        }
    }
    Ok(all)
}

/// Makes a binding for a role: without a name of its own, it has that of its file or folder.
///
/// # Errors
/// As [`binding`].
pub fn role_binding(
    direction: Direction,
    role: &str,
    name: Option<&str>,
    path: &str,
    base: &Path,
) -> Result<Binding, Fault> {
    let own = Path::new(path.trim_end_matches('/')).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.map(str::to_owned).or(own).unwrap_or_default();
    Ok(Binding { role: role.to_owned(), ..binding(direction, &name, path, base)? })
}

/// Nothing is written twice, and nothing that is read is written: it would be gone while it is read.
fn check_outputs(source: &Source<'_>, inputs: &[Binding], outputs: &[Binding]) -> Result<(), Fault> {
    for (at, output) in outputs.iter().enumerate() {
        let place = ["outputs", output.name.as_str()];
        if inputs.iter().any(|input| input.name == output.name) {
            return Err(source.fault(&place, format!("`{}` is the name of an input and of an output", output.name)));
        }
        if let Some(input) = inputs.iter().find(|input| input.place == output.place) {
            return Err(source
                .fault(&place, format!("the output `{}` would overwrite the input `{}`", output.name, input.name)));
        }
        if let Some(other) = outputs[..at].iter().find(|other| other.place == output.place) {
            return Err(
                source.fault(&place, format!("the outputs `{}` and `{}` are the same file", other.name, output.name))
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;
    use wharf_model::Quantity;

    fn load(fixture: &Fixture) -> Result<Activity, Fault> {
        let ana = Identity { user: "ana".to_owned(), groups: vec!["analysts".to_owned()] };
        fixture.home().load_activity(&fixture.home().activities_dir().join("a.toml"), ana)
    }

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.write("activities/recipe one.py", "print(1)\n");
        fixture.write("activities/empty.py", "\n");
        fixture.write("data/flights.csv", "a\n1\n");
        fixture.write("data/folder/x", "");
        fixture
    }

    #[test]
    fn reads_everything() {
        let fixture = fixture();
        fixture.write(
            "activities/a.toml",
            r#"
kind = "python"
code = "recipe one.py"
configuration = "docker-local"
project = "FLIGHTS"
time_limit = 90

[inputs]
flights = "../data/flights.csv"
pictures = "../data/folder/"

[outputs]
delays = "../data/out.parquet"
report = "../data/report/"

[resources]
memory = "1g"

[variables]
late = "15"

[secrets]
DB_PASSWORD = "warehouse"
"#,
        );
        let activity = load(&fixture).expect("sound");
        assert_eq!(activity.kind, ActivityKind::Python);
        assert_eq!(activity.requester.user, "ana");
        assert_eq!(activity.code.as_deref(), Some("print(1)\n"));
        assert_eq!(activity.code_name.as_deref(), Some("recipe one.py"));
        assert_eq!(activity.time_limit, Some(90));
        assert_eq!(activity.resources["memory"], Quantity::Bytes(1 << 30));
        assert_eq!(activity.secrets["DB_PASSWORD"], "warehouse");
        let kinds: Vec<_> =
            activity.inputs.iter().chain(&activity.outputs).map(|b| (b.name.as_str(), b.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("flights", BindingKind::Dataset),
                ("pictures", BindingKind::Folder),
                ("delays", BindingKind::Dataset),
                ("report", BindingKind::Folder)
            ]
        );
        assert!(activity.inputs.iter().all(|input| input.place.path.is_absolute() && input.place.path.exists()));
    }

    #[test]
    fn a_script_needs_no_file() {
        let fixture = fixture();
        fixture.write("activities/a.toml", "kind = \"r\"\nscript = \"\"\"\nprint(1)\n\"\"\"\n");
        let activity = load(&fixture).expect("sound");
        assert_eq!((activity.code.as_deref(), activity.code_name.as_deref()), (Some("print(1)\n"), Some("recipe.R")));
    }

    #[test]
    fn a_task_stands_in_the_file_or_beside_it() {
        let fixture = fixture();
        let places = "[inputs]\nmain = \"../data/flights.csv\"\n[outputs]\nmodel = \"../data/late/\"\n";
        fixture.write("activities/late.json", r#"{ "target": "late", "seed": 7 }"#);
        fixture.write("activities/late-task.toml", "target = \"late\"\nseed = 7\n");
        let inside = format!("kind = \"ml-train\"\n{places}[parameters]\ntarget = \"late\"\nseed = 7\n");
        let beside = |file: &str| format!("kind = \"ml-train\"\ntask = \"{file}\"\n{places}");
        for text in [inside, beside("late.json"), beside("late-task.toml")] {
            fixture.write("activities/a.toml", &text);
            let activity = load(&fixture).expect(&text);
            assert_eq!((activity.kind, activity.code), (ActivityKind::MlTrain, None));
            let task = serde_json::Value::Object(activity.parameters);
            assert_eq!(task, serde_json::json!({ "target": "late", "seed": 7 }));
            let roles = |bindings: &[Binding]| {
                bindings.iter().map(|b| (b.role.clone(), b.name.clone(), b.kind)).collect::<Vec<_>>()
            };
            assert_eq!(roles(&activity.inputs), [("main".to_owned(), "flights".to_owned(), BindingKind::Dataset)]);
            assert_eq!(roles(&activity.outputs), [("model".to_owned(), "late".to_owned(), BindingKind::Folder)]);
        }
    }

    #[test]
    fn each_slip_has_its_code_and_its_line() {
        let fixture = fixture();
        let script = "kind = \"python\"\nscript = \"print(1)\"\n";
        for (text, code, expected) in [
            (
                "kind = \"pyhton\"\n",
                "activity-invalid",
                "1: `kind` is \"pyhton\", which isn't valid here; did you mean \"python\"?",
            ),
            ("kind = \"python\"\n", "activity-invalid", "1: there is no code: `code` or `script` is missing"),
            (
                "kind = \"python\"\ncode = \"none.py\"\n",
                "activity-invalid",
                "2: the file of `code`, activities/none.py: can't be read: No such file or directory (os error 2)",
            ),
            ("kind = \"python\"\ncode = \"empty.py\"\n", "activity-invalid", "2: `code` has nothing to run in it"),
            (
                "kind = \"python\"\ncode = \"recipe one.py\"\nscript = \"x\"\n",
                "activity-invalid",
                "3: there is code twice: `code` names a file and `script` has another",
            ),
            (&format!("{script}user = \"root\"\n"), "activity-invalid", "3: unknown key `user`"),
            (
                &format!("{script}task = \"late.toml\"\n"),
                "activity-invalid",
                "3: `task` needs kind = \"ml-train\", \"ml-retrain\" or \"ml-score\"",
            ),
            (
                "kind = \"ml-train\"\nscript = \"print(1)\"\n",
                "activity-invalid",
                "2: `script` can't be used with kind = \"ml-train\": there is a task instead",
            ),
            ("kind = \"ml-score\"\nplugin = \"p\"\n", "activity-invalid", "2: `plugin` needs kind = \"plugin\""),
            (
                "kind = \"ml-train\"\ntask = \"x.json\"\n[parameters]\na = 1\n",
                "activity-invalid",
                "2: the task is there twice: `task` names a file and `parameters` has another",
            ),
            (
                &format!("{script}[inputs]\nf = \"../data/flight.csv\"\n"),
                "input-missing",
                "4: the input `f` isn't there: no file data/flight.csv",
            ),
            (
                &format!("{script}[inputs]\nf = \"../data/none/\"\n"),
                "input-missing",
                "4: the input `f` isn't there: no folder data/none",
            ),
            (
                &format!("{script}[inputs]\nf = \"../data/folder\"\n"),
                "input-format-unknown",
                "4: the input `f` is the folder \"../data/folder\"; did you mean \"../data/folder/\"?",
            ),
            (
                &format!("{script}[outputs]\no = \"out.xlsx\"\n"),
                "output-format-unknown",
                "4: the output `o` is \"out.xlsx\", which is neither a dataset nor a folder",
            ),
            (
                &format!("{script}[outputs]\n\"\" = \"out.csv\"\n"),
                "binding-name-invalid",
                "4: \"\" can't be the name of an output",
            ),
            (
                &format!("{script}[inputs]\nf = \"../data/flights.csv\"\n[outputs]\no = \"../data/flights.csv\"\n"),
                "activity-invalid",
                "6: the output `o` would overwrite the input `f`",
            ),
            (
                &format!("{script}[outputs]\na = \"x.csv\"\nb = \"x.csv\"\n"),
                "activity-invalid",
                "5: the outputs `a` and `b` are the same file",
            ),
            (
                &format!("{script}[resources]\nmemroy = \"1g\"\n"),
                "activity-invalid",
                "4: unknown key `memroy` in [resources]; did you mean `memory`?",
            ),
            (
                &format!("{script}[secrets]\nWHARF_SOCKET = \"db\"\n"),
                "activity-invalid",
                "4: the variable `WHARF_SOCKET` is wharf's own",
            ),
            (
                &format!("{script}[variables]\nlate = 15\n"),
                "activity-invalid",
                "4: `variables.late` is the number 15; expected a text in quotes",
            ),
        ] {
            fixture.write("activities/a.toml", text);
            let fault = load(&fixture).expect_err(text);
            assert_eq!(fixture.spell(&fault), format!("activities/a.toml:{expected}"), "{text}");
            assert_eq!(fault.code, code, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_so() {
        let fault = load(&Fixture::new()).expect_err("there is none");
        assert_eq!(fault.code, "file-unreadable");
    }
}
