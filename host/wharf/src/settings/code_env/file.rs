//! The shape of `env.toml`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::settings::time_span::TimeSpan;

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
    pub(super) fn as_str(self) -> &'static str {
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
