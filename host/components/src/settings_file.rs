//! The TOML file beside a component.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::decision::Mode;
use wharf_model::document;
use wharf_model::{Fault, is_digest};

use crate::application::{Application, Conditions, GroupTable, ModeFor};
use crate::call_error::Bounds;
use crate::engine::MAX_MEMORY_MB;
use crate::http::GrantedPlaces;

/// The code of every fault of this file.
pub(crate) const CODE: &str = "component-toml-invalid";

const MAX_TIME_MS: u32 = 60_000;
const MAX_ANSWER_KB: u32 = 64 * 1024;

/// Settings, limits and grants of one component: `NAME.toml` beside `NAME.wasm`. Every key may be left out.
///
/// Without a `NAME.wasm`, it names the `component` that it is for, or makes a `group` of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComponentSettingsFile {
    /// A `.wasm` file of the same folder, when there is none of this file's own name: so one file serves many rules.
    pub component: Option<String>,
    /// Several components that answer as one, instead of a component.
    pub group: Option<GroupTable>,
    /// What its answer means for a run. Only for permission components, policies and groups.
    pub mode: Mode,
    /// Other modes for some runs: the first that matches holds.
    pub mode_for: Vec<ModeFor>,
    /// The runs that it is asked about. All when not said. Only for permission components, policies and groups.
    pub when: Conditions,
    /// The component's own settings. `wharf component list` says which it takes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// What is different in its settings under an execution configuration, by the configuration's name: tables are merged, all
    /// else is replaced. Only for permission components and policies.
    #[schemars(with = "BTreeMap<String, serde_json::Map<String, serde_json::Value>>")]
    pub settings_for: BTreeMap<String, toml::Table>,
    /// Components of a kind are called in this order, then by name.
    pub order: i32,
    /// A change of this component, or of this file, is tried before it comes into force: its own cases run, and it is asked about
    /// recorded runs. Meanwhile, and when it doesn't pass, what was in force stays.
    pub canary: bool,
    /// What happens to a run when this policy fails: a trap, a time-out, an answer that isn't valid. Only for policies;
    /// permission components always fail closed. `deny` when not said.
    pub on_error: Option<OnError>,
    /// How much a call may use.
    pub limits: CallLimits,
    /// What the component may use beyond its settings and the log.
    pub grants: Grants,
}

impl Default for ComponentSettingsFile {
    fn default() -> Self {
        Self {
            component: None,
            group: None,
            mode: Mode::Enforce,
            mode_for: Vec::new(),
            when: Conditions::default(),
            settings: toml::Table::new(),
            settings_for: BTreeMap::new(),
            order: 100,
            canary: false,
            on_error: None,
            limits: CallLimits::default(),
            grants: Grants::default(),
        }
    }
}

/// What happens to a run when a policy fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// The run is refused.
    #[default]
    Deny,
    /// The run goes on as if the policy weren't there; the record says so.
    Allow,
}

/// How much one call of a component may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallLimits {
    /// Milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub time_ms: u32,
    /// Memory in MB.
    #[schemars(range(min = 1, max = 1_024))]
    pub memory_mb: u32,
    /// How much it may hand over to the host at once, in KB.
    #[schemars(range(min = 1, max = 65_536))]
    pub answer_kb: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { time_ms: 1_000, memory_mb: 64, answer_kb: 1_024 }
    }
}

impl CallLimits {
    pub(crate) fn bounds(self) -> Bounds {
        Bounds {
            time: Duration::from_millis(self.time_ms.into()),
            memory_mb: self.memory_mb,
            answer_kb: self.answer_kb,
        }
    }
}

/// What a component may use beyond its settings and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// The real time.
    pub clock: bool,
    /// Real random numbers.
    pub random: bool,
    /// One folder, to read: relative to the home, or absolute.
    pub folder: Option<PathBuf>,
    /// Where it may send HTTP requests: "HOST:PORT", or "https://HOST/PATH" for what is below that path.
    pub http: Vec<String>,
    /// The one file that these grants are for: `sha256:` and its digest. Without it, they are for whatever has this name, but
    /// don't let a new version import more than the one in force.
    pub digest: Option<String>,
}

impl ComponentSettingsFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It isn't TOML, has unknown keys, or a limit is out of its range: with the line.
    pub fn read(file: &Path, text: &str) -> Result<Self, Fault> {
        let settings: Self = document::read_as(CODE, file, text)?;
        let CallLimits { time_ms, memory_mb, answer_kb } = settings.limits;
        for (key, value, maximum) in [
            ("time_ms", time_ms, MAX_TIME_MS),
            ("memory_mb", memory_mb, MAX_MEMORY_MB),
            ("answer_kb", answer_kb, MAX_ANSWER_KB),
        ] {
            if value == 0 || value > maximum {
                return Err(Fault::new(CODE, format!("`{key}` is {value}; it takes 1 to {maximum}"))
                    .at(file, document::line_of(text, &["limits", key])));
            }
        }
        if let Some(folder) = &settings.grants.folder
            && (folder.as_os_str().is_empty() || folder.components().any(|part| part == Component::ParentDir))
        {
            return Err(Fault::new(
                CODE,
                format!("`folder` is \"{}\"; it takes a path without `..`", folder.display()),
            )
            .at(file, document::line_of(text, &["grants", "folder"])));
        }
        if let Some(digest) = settings.grants.digest.as_ref().filter(|digest| !is_digest(digest)) {
            let message = format!("`digest` is \"{digest}\"; it takes `sha256:` and 64 hexadecimal digits");
            return Err(Fault::new(CODE, message).at(file, document::line_of(text, &["grants", "digest"])));
        }
        if let Err((entry, problem)) = GrantedPlaces::read(&settings.grants.http) {
            let said = &settings.grants.http[entry];
            return Err(Fault::new(CODE, format!("`http` has \"{said}\": {problem}"))
                .at(file, document::line_of(text, &["grants", "http", &entry.to_string()])));
        }
        if let Some(key) = not_json(&settings.settings) {
            return Err(Fault::new(CODE, format!("`{key}` isn't a finite number"))
                .at(file, document::line_of(text, &["settings", key])));
        }
        for (name, table) in &settings.settings_for {
            if let Some(key) = not_json(table) {
                return Err(Fault::new(CODE, format!("`{key}` isn't a finite number"))
                    .at(file, document::line_of(text, &["settings_for", name, key])));
            }
        }
        settings.application().check(file, text)?;
        if let Some(component) = &settings.component
            && (!component.ends_with(".wasm") || component.starts_with('.') || component.contains(['/', '\\', '\0']))
        {
            let message = format!("`component` is \"{component}\"; it takes the name of a .wasm file of this folder");
            return Err(Fault::new(CODE, message).at(file, document::line_of(text, &["component"])));
        }
        settings.check_group(file, text)?;
        Ok(settings)
    }

    /// A group has no component of its own that anything else could be for.
    fn check_group(&self, file: &Path, text: &str) -> Result<(), Fault> {
        let Some(group) = &self.group else { return Ok(()) };
        let fault = |message: String, path: &[&str]| Fault::new(CODE, message).at(file, document::line_of(text, path));
        let standard = Self::default();
        for (key, is_there) in [
            ("component", self.component.is_some()),
            ("settings", self.settings != standard.settings),
            ("settings_for", self.settings_for != standard.settings_for),
            ("on_error", self.on_error.is_some()),
            ("limits", self.limits != standard.limits),
            ("grants", self.grants != standard.grants),
        ] {
            if is_there {
                return Err(fault(format!("a group has no `{key}`: its members have their own"), &[key]));
            }
        }
        if group.members.is_empty() {
            return Err(fault("the group has no members".to_owned(), &["group", "members"]));
        }
        for (at, name) in group.members.iter().enumerate() {
            if group.members[..at].contains(name) {
                return Err(fault(format!("`members` names \"{name}\" twice"), &["group", "members"]));
            }
        }
        Ok(())
    }

    /// When it is asked, and what its answer means.
    #[must_use]
    pub fn application(&self) -> Application {
        Application { mode: self.mode, mode_for: self.mode_for.clone(), when: self.when.clone() }
    }

    /// The `[settings]` table as JSON: equal tables give equal texts.
    pub(crate) fn settings_json(&self) -> String {
        json_of_table(&self.settings).to_string()
    }

    /// The settings under each configuration that has its own, as JSON.
    pub(crate) fn settings_for_json(&self) -> BTreeMap<String, String> {
        let merged = |own: &toml::Table| json_of_table(&merge(&self.settings, own)).to_string();
        self.settings_for.iter().map(|(configuration, own)| (configuration.clone(), merged(own))).collect()
    }
}

/// A table with what another says differently.
fn merge(table: &toml::Table, other: &toml::Table) -> toml::Table {
    let mut merged = table.clone();
    for (key, value) in other {
        let value = match (merged.get(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => toml::Value::Table(merge(inner, value)),
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

/// The key of `[settings]` below which something stands that JSON can't say.
fn not_json(settings: &toml::Table) -> Option<&str> {
    fn bad(value: &toml::Value) -> bool {
        match value {
            toml::Value::Float(number) => !number.is_finite(),
            toml::Value::Array(list) => list.iter().any(bad),
            toml::Value::Table(table) => table.values().any(bad),
            _ => false,
        }
    }
    settings.iter().find(|(_, value)| bad(value)).map(|(key, _)| key.as_str())
}

fn json_of_table(table: &toml::Table) -> serde_json::Value {
    // Sorted, whatever the order of the maps underneath.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    serde_json::Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), json(value))).collect())
}

fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(on) => (*on).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(table) => json_of_table(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ComponentSettingsFile, Fault> {
        ComponentSettingsFile::read(Path::new("p.toml"), text)
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        let file = read("").unwrap();
        assert_eq!(file, ComponentSettingsFile::default());
        assert_eq!((file.order, file.limits.time_ms, file.limits.memory_mb), (100, 1_000, 64));
        assert_eq!(file.settings_json(), "{}");
    }

    #[test]
    fn settings_become_json() {
        let file =
            read("order = 5\n[settings]\nb = 1.5\na = [1, \"x\"]\nday = 2024-01-02\n[settings.t]\nz = true").unwrap();
        assert_eq!(file.settings_json(), r#"{"a":[1,"x"],"b":1.5,"day":"2024-01-02","t":{"z":true}}"#);
    }

    #[test]
    fn settings_of_a_configuration_are_merged() {
        let file = read(
            "[settings]\na = 1\nlist = [1, 2]\n[settings.t]\nx = 1\ny = 2\n[settings_for.big]\nlist = [3]\n[settings_for.big.t]\ny = 9\n\
             [settings_for.plain]\nt = false",
        )
        .unwrap();
        let settings = file.settings_for_json();
        assert_eq!(settings["big"], r#"{"a":1,"list":[3],"t":{"x":1,"y":9}}"#);
        assert_eq!(settings["plain"], r#"{"a":1,"list":[1,2],"t":false}"#);
        assert_eq!(file.settings_json(), r#"{"a":1,"list":[1,2],"t":{"x":1,"y":2}}"#);
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, line, words) in [
            ("component = \"a/b.wasm\"", 1, "of this folder"),
            ("component = \"../b.wasm\"", 1, "of this folder"),
            ("component = \"b\"", 1, "of this folder"),
            ("[group]\nlogic = \"some\"\nmembers = [\"a\"]", 2, "some"),
            ("[group]\nlogic = \"any\"\nmembers = []", 3, "no members"),
            ("[group]\nlogic = \"any\"\nmembers = [\"a\", \"a\"]", 3, "twice"),
            ("on_error = \"deny\"\n[group]\nlogic = \"any\"\nmembers = [\"a\"]", 1, "a group has no `on_error`"),
            ("[settings_for.big]\nx = inf", 2, "`x`"),
            ("order = \"first\"", 1, "order"),
            ("\nordre = 5", 2, "ordre"),
            ("[limits]\ntime_ms = 0", 2, "time_ms"),
            ("[limits]\nmemory_mb = 100_000", 2, "1024"),
            ("[grants]\nnetwork = true", 2, "network"),
            ("[grants]\nclock = true\nfolder = \"../x\"", 3, "folder"),
            ("[grants]\nclock = true\ndigest = \"sha256:ABC\"", 3, "sha256:ABC"),
            ("[grants]\nhttp = [\n  \"a.example:443\",\n  \"a.example\",\n]", 4, "expected \"HOST:PORT\""),
            ("[grants]\nhttp = [\"http://169.254.169.254\"]", 2, "can't be granted"),
            ("on_error = \"maybe\"", 1, "maybe"),
            ("[settings]\nx = nan", 2, "`x`"),
            ("[settings", 1, "TOML"),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.code, CODE);
            assert!(fault.message.contains(words), "{text:?}: {fault}");
            assert_eq!(fault.at.and_then(|at| at.line), Some(line), "{text:?}");
        }
    }
}
