//! A component's settings: from the JSON that the host passes to a Rust type.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};

/// For components that take no settings: any key is an error that says so.
///
/// ```
/// use wharf_plugin_sdk::settings::{self, NoSettings};
///
/// assert!(settings::parse::<NoSettings>("{}").is_ok());
/// assert!(settings::parse::<NoSettings>(r#"{"a": 1}"#).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// An amount as an administrator writes it: `2`, `1.5`, `"512m"`.
///
/// Which amounts make sense depends on the key: [`Quantity::parse`](crate::Quantity::parse) decides.
///
/// ```
/// use std::collections::BTreeMap;
/// use wharf_plugin_sdk::Quantity;
/// use wharf_plugin_sdk::settings::{self, Amount};
///
/// let ceilings: BTreeMap<String, Amount> = settings::parse(r#"{"cpus": 2, "memory": "4g"}"#)?;
/// for (key, amount) in &ceilings {
///     Quantity::parse(key, amount.as_str())?;
/// }
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(String);

impl Amount {
    /// As it was written.
    ///
    /// ```
    /// use wharf_plugin_sdk::settings::Amount;
    ///
    /// assert_eq!(Amount::from("512m").as_str(), "512m");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as 2, 1.5 or \"512m\"")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Amount, E> {
                // Through serde_json, which is there already: the standard library's own writer would be 12 KB more.
                serde_json::Number::from_f64(number)
                    .map(|number| Amount(number.to_string()))
                    .ok_or_else(|| E::custom("it isn't a finite number"))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                if text.trim().is_empty() {
                    return Err(E::custom("an empty text is no amount; write one such as \"512m\""));
                }
                Ok(Amount(text.to_owned()))
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An amount such as 2, 1.5 or \"512m\".",
            "type": ["number", "string"],
        })
    }
}

/// The JSON schema of a settings type; the empty string for one without keys.
///
/// ```
/// use schemars::JsonSchema;
/// use wharf_plugin_sdk::settings;
///
/// /// The `[settings]` table.
/// #[derive(JsonSchema)]
/// #[expect(dead_code, reason = "an example")]
/// struct Settings {
///     /// Who may do everything.
///     trusted: Vec<String>,
/// }
///
/// assert!(settings::schema::<Settings>().contains("Who may do everything."));
/// assert_eq!(settings::schema::<settings::NoSettings>(), "");
/// ```
#[must_use]
pub fn schema<S: JsonSchema>() -> String {
    let schema = schemars::schema_for!(S);
    if schema.get("properties").is_none() && schema.get("additionalProperties") == Some(&false.into()) {
        return String::new();
    }
    schema.as_value().to_string()
}

/// Reads settings.
///
/// ```
/// use serde::Deserialize;
/// use wharf_plugin_sdk::settings;
///
/// #[derive(Debug, Deserialize)]
/// #[expect(dead_code, reason = "an example")]
/// struct Settings {
///     trusted: Vec<String>,
/// }
///
/// let error = settings::parse::<Settings>(r#"{"trusted": "ana"}"#).unwrap_err();
/// assert_eq!(error, "trusted: invalid type: string \"ana\", expected a sequence");
/// ```
///
/// # Errors
/// Names the key by its path, e.g. ``ceilings.memory: invalid type: map, expected an amount``.
pub fn parse<S: DeserializeOwned>(json: &str) -> Result<S, String> {
    serde_json::from_str(json).map_err(|error| describe(json, &error))
}

/// An error as an administrator can use it, who wrote TOML and never saw this JSON: a path instead of a column.
fn describe(json: &str, error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    let path = path_at(json, error.line(), error.column());
    // An unknown field's own name is both the path and in the message.
    if path.is_empty() || message.starts_with("unknown field") && !path.contains('.') {
        message
    } else {
        format!("{path}: {message}")
    }
}

/// The keys that lead to the value which ends at or before a place in a JSON text.
fn path_at(json: &str, line: usize, column: usize) -> String {
    let before: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = (before + column).min(json.len());
    // One entry per open object or list: the key whose value is being read.
    let mut path: Vec<Option<String>> = Vec::new();
    let mut last_text = None;
    let mut rest = json.bytes().take(end).enumerate();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'"' => {
                let mut escaped = false;
                let mut close = end;
                for (at, byte) in rest.by_ref() {
                    if byte == b'"' && !escaped {
                        close = at;
                        break;
                    }
                    escaped = byte == b'\\' && !escaped;
                }
                last_text = json.get(at + 1..close).map(str::to_owned);
            }
            b':' => {
                if let Some(key) = path.last_mut() {
                    *key = last_text.take();
                }
            }
            b'{' | b'[' => path.push(None),
            // The value that ends here is the one the error is about, when the text ends with it.
            b'}' | b']' if at + 1 < end => {
                path.pop();
            }
            b',' if at + 1 < end => {
                if let Some(key) = path.last_mut() {
                    *key = None;
                }
            }
            _ => {}
        }
    }
    path.into_iter().flatten().collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Settings {
        #[serde(default)]
        ceilings: BTreeMap<String, Amount>,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        nested: Nested,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nested {
        #[serde(default)]
        count: u8,
    }

    fn error(json: &str) -> String {
        parse::<Settings>(json).unwrap_err()
    }

    #[test]
    fn amounts_are_numbers_or_texts() {
        let json = r#"{"ceilings":{"cpus":1.5,"pids-limit":-1,"memory":"4g"},"names":["a"],"nested":{"count":2}}"#;
        let settings: Settings = parse(json).unwrap();
        assert_eq!((settings.names.len(), settings.nested.count), (1, 2));
        assert_eq!(settings.ceilings["cpus"].as_str(), "1.5");
        assert_eq!(settings.ceilings["pids-limit"].as_str(), "-1");
        assert_eq!(settings.ceilings["memory"].as_str(), "4g");
    }

    #[test]
    fn an_error_names_the_key() {
        assert_eq!(
            error(r#"{"names":["a"],"ceilings":{"cpus":2,"memory":true}}"#),
            "ceilings.memory: invalid type: boolean `true`, expected an amount such as 2, 1.5 or \"512m\""
        );
        assert_eq!(error(r#"{"nested":{"count":300}}"#), "nested.count: invalid value: integer `300`, expected u8");
        assert_eq!(error(r#"{"names":["a",7]}"#), "names: invalid type: integer `7`, expected a string");
        assert_eq!(
            error(r#"{"ceilings":{"memory":" "}}"#),
            "ceilings.memory: an empty text is no amount; write one such as \"512m\""
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        assert_eq!(
            error(r#"{"ceiling":{}}"#),
            "unknown field `ceiling`, expected one of `ceilings`, `names`, `nested`"
        );
        assert!(error(r#"{"nested":{"cont":1}}"#).contains("unknown field `cont`, expected `count`"));
        assert!(parse::<NoSettings>(r#"{"a":1}"#).is_err());
    }

    #[test]
    fn schemas_say_what_there_is() {
        assert!(schema::<Settings>().contains("\"ceilings\""));
        assert_eq!(schema::<NoSettings>(), "");
    }
}
