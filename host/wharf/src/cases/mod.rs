//! Cases: what a component is asked and what it must answer, as folders that a person can read.
//!
//! A case is a folder `cases/NAME` of a component's project, with
//! - what is asked: `request.json` (permission), `plan.json` (policy, perhaps with `object.json`, the engine's object),
//!   `activity.json` or `plugin.json` (recipe adapter), `spec.json` and perhaps `environment.json` (image recipe), or
//!   `request.json` for any of them; perhaps `usage.json`, what other runs use. They are the types of `wharf-model`, and only
//!   say what differs from an ordinary run, unless they say `"whole": true`;
//! - perhaps `settings.toml`, the component's TOML file; without it, the project's own;
//! - `expected.json`, the answer.
//!
//! Cases run through the real component host, without a home and without an engine.

mod ask;
mod ordinary;
mod project;
mod record;

pub use project::Project;
pub use record::{RecordedCase, record};

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use wharf_components::{ComponentInfo, ComponentSet, Engine, EngineOptions, Grants, Observation, Observer};
use wharf_model::Fault;

use crate::conclude::sentence_of;

/// The lines around a difference that are shown with it.
const CONTEXT: usize = 3;

/// What is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The component's name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The folder with its cases.
    pub cases: PathBuf,
    /// The TOML file of cases that have none; it need not be there.
    pub toml: PathBuf,
    /// What a granted folder is relative to.
    pub root: PathBuf,
}

/// How cases are run.
#[derive(Clone, Debug, Default)]
pub struct CaseOptions {
    /// Where compiled components are kept from one time to the next; without one, only for this time.
    pub cache_dir: Option<PathBuf>,
    /// Only cases whose name contains this.
    pub filter: Option<String>,
    /// Write what is answered into `expected.json`.
    pub update: bool,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseOutcome {
    /// The answer is the expected one.
    Passed,
    /// The answer is another one, or a rule for all answers was broken.
    Failed,
    /// The files of the case can't be used: nothing was asked.
    Invalid,
    /// The answer was written into `expected.json`, which was another one or none.
    Updated,
}

/// One case, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseResult {
    /// Its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// How it ended.
    pub outcome: CaseOutcome,
    /// Why, when it didn't pass: the difference of the answers, line by line, or what is wrong.
    pub problem: Option<String>,
    /// What was answered.
    pub answer: Option<Value>,
    /// What the component was granted, in words.
    pub granted: Vec<String>,
    /// The calls that were made to load it: describing itself, checking its settings.
    pub loading: Vec<Observation>,
    /// The calls that answered. A mutating policy is called a second time, on its own result.
    pub calls: Vec<Observation>,
}

impl CaseResult {
    /// Whether nobody needs to look at it.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.outcome, CaseOutcome::Passed | CaseOutcome::Updated)
    }
}

/// Runs the cases of a component, in the order of their names, and tells each result as it comes.
///
/// # Errors
/// There are no cases, or the component host can't be set up. What is wrong with a component is the answer of a case.
pub async fn run(
    subject: &Subject,
    options: &CaseOptions,
    mut each: impl FnMut(&CaseResult),
) -> Result<Vec<CaseResult>, Fault> {
    let mut folders = case_folders(&subject.cases)?;
    if folders.is_empty() {
        let message = format!("{} has no cases", subject.name);
        return Err(Fault::new("case-missing", message).at(&subject.cases, None).hint(
            "a case is a folder in there with what is asked, and expected.json; `wharf component test --record RUN` makes one",
        ));
    }
    if let Some(filter) = &options.filter {
        let all = folders.len();
        folders.retain(|folder| name_of(folder).contains(filter.as_str()));
        if folders.is_empty() {
            let message = format!("none of the {all} cases of {} has \"{filter}\" in its name", subject.name);
            return Err(Fault::new("case-missing", message).at(&subject.cases, None));
        }
    }
    let bench = Bench::new(options)?;
    let mut results = Vec::with_capacity(folders.len());
    for folder in folders {
        let result = bench.run(subject, &folder, options.update).await;
        each(&result);
        results.push(result);
    }
    Ok(results)
}

/// The folders of cases, sorted. A folder that isn't there has none.
fn case_folders(cases: &Path) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new("file-unreadable", format!("the cases can't be read: {error}")).at(cases, None)
    };
    let entries = match fs::read_dir(cases) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && !name_of(&path).starts_with('.') {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// An engine that watches, and the folder in which its compiled code is for now.
struct Bench {
    engine: Engine,
    observer: Observer,
    _cache: Option<tempfile::TempDir>,
}

impl Bench {
    fn new(options: &CaseOptions) -> Result<Self, Fault> {
        let observer = Observer::default();
        // Each case loads its component anew, with its own settings, and compiles only the first time.
        let (cache, cache_dir) = match &options.cache_dir {
            Some(dir) => (None, dir.clone()),
            None => {
                let cache = temporary()?;
                let dir = cache.path().join("compiled");
                (Some(cache), dir)
            }
        };
        let engine = Engine::new(EngineOptions {
            cache_dir: Some(cache_dir),
            source_lines: true,
            observer: Some(observer.clone()),
            ..EngineOptions::default()
        })
        .map_err(|error| Fault::new("components-unavailable", sentence_of(&error)))?;
        Ok(Self { engine, observer, _cache: cache })
    }

    async fn run(&self, subject: &Subject, folder: &Path, update: bool) -> CaseResult {
        let mut result = CaseResult {
            name: name_of(folder),
            folder: folder.to_owned(),
            outcome: CaseOutcome::Invalid,
            problem: None,
            answer: None,
            granted: Vec::new(),
            loading: Vec::new(),
            calls: Vec::new(),
        };
        match self.ask(subject, folder, &mut result).await {
            Ok(ask::Answered { answer, broken }) => judge(&mut result, answer, broken, update),
            Err(fault) => result.problem = Some(fault.to_string()),
        }
        result
    }

    /// Loads the component in a home of its own, and asks it.
    async fn ask(&self, subject: &Subject, case: &Path, result: &mut CaseResult) -> Result<ask::Answered, Fault> {
        let home = temporary()?;
        let set = self.load(subject, case, home.path()).await?;
        result.loading = self.observer.take();
        if let Some(failure) = set.failures().first() {
            // The folder is another one each time.
            let message = failure.fault.message.replace(&format!("{}/", home.path().display()), "");
            let answer = json!({ "not-loaded": { "code": failure.fault.code, "message": message } });
            return Ok(ask::Answered { answer, broken: None });
        }
        let Some(info) = set.components().first() else {
            return Err(Fault::new("component-failed", "it was neither loaded nor refused").at(&subject.file, None));
        };
        result.granted = granted(&info.grants);
        let answered = ask::ask(&set, info, case).await;
        result.calls = self.observer.take();
        answered
    }

    async fn load(&self, subject: &Subject, case: &Path, home: &Path) -> Result<ComponentSet, Fault> {
        let folder = home.join("policies");
        let file = folder.join(&subject.name).with_extension("wasm");
        let own = case.join("settings.toml");
        let toml = if own.is_file() { own } else { subject.toml.clone() };
        let placed = || -> std::io::Result<()> {
            fs::create_dir_all(&folder)?;
            symlink(fs::canonicalize(&subject.file)?, &file)?;
            if toml.is_file() {
                let text = fs::read_to_string(&toml)?;
                if let Some(granted) = granted_folder(&text) {
                    let link = home.join(&granted);
                    if let Some(parent) = link.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    if let Ok(target) = fs::canonicalize(subject.root.join(&granted)) {
                        symlink(target, link)?;
                    }
                }
                fs::write(file.with_extension("toml"), text)?;
            }
            Ok(())
        };
        placed().map_err(|error| {
            Fault::new("file-unreadable", format!("the component can't be put in place: {error}"))
                .at(&subject.file, None)
        })?;
        let engine = self.engine.clone();
        // That it can't be loaded may be what is expected, and is no warning.
        let load = move || {
            let quiet = tracing::subscriber::NoSubscriber::new();
            tracing::subscriber::with_default(quiet, || ComponentSet::load(&engine, &[folder]))
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.map_err(|error| Fault::new("component-failed", error.to_string()).at(&subject.file, None))
    }
}

/// The relative folder that a TOML file grants. What else is in it is checked when it is loaded.
fn granted_folder(toml: &str) -> Option<PathBuf> {
    let table: toml::Table = toml.parse().ok()?;
    let folder = PathBuf::from(table.get("grants")?.get("folder")?.as_str()?);
    let plain = folder.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && folder != Path::new("policies")).then_some(folder)
}

fn temporary() -> Result<tempfile::TempDir, Fault> {
    tempfile::tempdir().map_err(|error| Fault::new("file-unwritable", format!("no temporary folder: {error}")))
}

fn granted(grants: &Grants) -> Vec<String> {
    let mut words = Vec::new();
    if grants.clock {
        words.push("the real time".to_owned());
    }
    if grants.random {
        words.push("real random numbers".to_owned());
    }
    if let Some(folder) = &grants.folder {
        words.push(format!("the folder {}, to read", folder.display()));
    }
    words
}

/// Compares an answer with what was expected.
fn judge(result: &mut CaseResult, answer: Value, broken: Option<String>, update: bool) {
    let file = result.folder.join("expected.json");
    let text = pretty(&answer);
    result.answer = Some(answer);
    if let Some(broken) = broken {
        (result.outcome, result.problem) = (CaseOutcome::Failed, Some(broken));
        return;
    }
    let expected = match fs::read_to_string(&file) {
        Ok(expected) => Some(expected),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            result.problem = Some(format!("{}: it can't be read: {error}", file.display()));
            return;
        }
    };
    // The same values are the same answer, however they are written.
    let parsed = expected.as_ref().map(|text| serde_json::from_str::<Value>(text));
    if let Some(Ok(expected)) = &parsed
        && result.answer.as_ref() == Some(expected)
    {
        result.outcome = CaseOutcome::Passed;
        return;
    }
    if update {
        match fs::write(&file, &text) {
            Ok(()) => result.outcome = CaseOutcome::Updated,
            Err(error) => result.problem = Some(format!("{}: it can't be written: {error}", file.display())),
        }
        return;
    }
    match parsed {
        None => {
            (result.outcome, result.problem) = (
                CaseOutcome::Failed,
                Some(format!("there is no expected.json; `--update` writes this into it:\n{}", text.trim_end())),
            );
        }
        Some(Ok(expected)) => {
            (result.outcome, result.problem) = (CaseOutcome::Failed, Some(difference(&pretty(&expected), &text)));
        }
        Some(Err(error)) => result.problem = Some(format!("{}: it isn't JSON: {error}", file.display())),
    }
}

pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What is expected and isn't answered (`-`), and what is answered and isn't expected (`+`).
fn difference(expected: &str, answered: &str) -> String {
    let difference = similar::TextDiff::from_lines(expected, answered);
    let hunks = difference.unified_diff().context_radius(CONTEXT).header("expected", "answered").to_string();
    hunks.trim_end().to_owned()
}

/// Loads the component as its cases would, without asking it anything.
pub(super) async fn describe(subject: &Subject) -> Result<ComponentInfo, Fault> {
    let bench = Bench::new(&CaseOptions::default())?;
    let home = temporary()?;
    let set = bench.load(subject, &subject.cases.join("."), home.path()).await?;
    match (set.failures().first(), set.components().first()) {
        (Some(failure), _) => Err(Fault { at: None, ..failure.fault.clone() }.at(&subject.file, None)),
        (None, Some(info)) => Ok(info.clone()),
        (None, None) => {
            Err(Fault::new("component-failed", "it was neither loaded nor refused").at(&subject.file, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_show_the_line_and_what_is_around_it() {
        let expected = pretty(&json!({ "accept": { "changes": [], "limits": [], "warnings": ["a"] } }));
        let answered = pretty(&json!({ "accept": { "changes": [], "limits": [], "warnings": ["b"] } }));
        let text = difference(&expected, &answered);
        assert!(text.contains("\n-      \"a\"\n+      \"b\"\n"), "{text}");
        assert!(text.starts_with("--- expected\n+++ answered\n"), "{text}");
    }

    #[test]
    fn only_plain_folders_are_linked() {
        assert_eq!(granted_folder("[grants]\nfolder = \"data/teams\""), Some("data/teams".into()));
        for toml in
            ["", "[grants]\nfolder = \"/etc\"", "[grants]\nfolder = \"../x\"", "[grants]\nfolder = \"policies\""]
        {
            assert_eq!(granted_folder(toml), None, "{toml}");
        }
    }
}
