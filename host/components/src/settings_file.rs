//! The TOML file beside a component.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::Fault;
use wharf_model::document;

use crate::call_error::Bounds;
use crate::engine::MAX_MEMORY_MB;
use crate::http::GrantedPlaces;

/// The code of every fault of this file.
pub(crate) const CODE: &str = "component-toml-invalid";

const MAX_TIME_MS: u32 = 60_000;
const MAX_ANSWER_KB: u32 = 64 * 1024;

/// Settings, limits and grants of one component: `NAME.toml` beside `NAME.wasm`. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComponentSettingsFile {
    /// The component's own settings. `wharf component list` says which it takes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// Components of a kind are called in this order, then by name.
    pub order: i32,
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
            settings: toml::Table::new(),
            order: 100,
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
        if let Err((entry, problem)) = GrantedPlaces::read(&settings.grants.http) {
            let said = &settings.grants.http[entry];
            return Err(Fault::new(CODE, format!("`http` has \"{said}\": {problem}"))
                .at(file, document::line_of(text, &["grants", "http", &entry.to_string()])));
        }
        if let Some(key) = not_json(&settings.settings) {
            return Err(Fault::new(CODE, format!("`{key}` isn't a finite number"))
                .at(file, document::line_of(text, &["settings", key])));
        }
        Ok(settings)
    }

    /// The `[settings]` table as JSON: equal tables give equal texts.
    pub(crate) fn settings_json(&self) -> String {
        json_of_table(&self.settings).to_string()
    }
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
    fn mistakes_have_a_line() {
        for (text, line, words) in [
            ("order = \"first\"", 1, "order"),
            ("\nordre = 5", 2, "ordre"),
            ("[limits]\ntime_ms = 0", 2, "time_ms"),
            ("[limits]\nmemory_mb = 100_000", 2, "1024"),
            ("[grants]\nnetwork = true", 2, "network"),
            ("[grants]\nclock = true\nfolder = \"../x\"", 3, "folder"),
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
