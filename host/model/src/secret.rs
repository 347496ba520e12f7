//! Secrets: references are plain names, and values have a type that nothing prints or records.

use std::fmt;

/// The value of a secret.
///
/// It has neither `Serialize` nor a `Debug` that shows it, so it can't get into a record, an event or a log by being a part of
/// something larger. The one place where it is written is the [`Task`](crate::protocol::Task) that a runner asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// Takes a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for whoever needs it: the recipe's environment and the mask of its log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a task's secrets are written: an object of texts.
pub(crate) mod in_task {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::SecretValue;

    pub(crate) fn serialize<S: Serializer>(
        secrets: &BTreeMap<String, SecretValue>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(secrets.iter().map(|(variable, value)| (variable, value.expose())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, SecretValue>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(|(variable, value)| (variable, SecretValue::new(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_value_is_not_shown() {
        let secrets: BTreeMap<String, SecretValue> = [("TOKEN".to_owned(), SecretValue::new("hunter22"))].into();
        assert_eq!(format!("{secrets:?}"), r#"{"TOKEN": ***}"#);
        assert_eq!(format!("{:#?}", secrets["TOKEN"]), "***");
    }

    #[test]
    fn a_task_carries_values_and_only_it_does() {
        let task = serde_json::json!({
            "run": "r1", "attempt": 1, "argv": [], "env": {}, "secrets": { "TOKEN": "hunter22" }, "files": [],
            "context": crate::protocol::Context::default(), "heartbeat_seconds": 1, "grace_seconds": 1,
            "logs": crate::configuration::LogSettings::default()
        });
        let read: crate::protocol::Task = serde_json::from_value(task.clone()).unwrap();
        assert_eq!(read.secrets["TOKEN"].expose(), "hunter22");
        assert!(!format!("{read:?}").contains("hunter22"));
        assert_eq!(serde_json::to_value(&read).unwrap(), task);
    }
}
