//! The `[resources]` table: Docker's own names or Kubernetes' own, with their amounts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wharf_kubernetes::resources as kubernetes;
use wharf_model::quantity::{DOCKER_KEYS, LIMITS, QuantityError, REQUESTS, Unit, common_key};
use wharf_model::{Fault, Quantity, Resources, document};

use super::source::Source;

/// An amount as it was written: a text, a number, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// A text or a number.
    One(String),
    /// A list.
    Many(Vec<String>),
    /// A table: Kubernetes' `requests` or `limits`.
    Group(BTreeMap<String, String>),
}

/// Whose names a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Docker's.
    Docker,
    /// Kubernetes', and those of Docker's that a cluster has something for.
    Kubernetes,
    /// Either: where it will run isn't known here.
    Either,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text such as \"4g\", a list of texts, or a table")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount::One(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount::One(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::One(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount::One(number.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Amount, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Amount::Many(texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Amount, A::Error> {
                let mut group = BTreeMap::new();
                while let Some((name, amount)) = table.next_entry::<String, Amount>()? {
                    let Amount::One(amount) = amount else {
                        return Err(de::Error::custom(format!("`{name}` isn't a number or a text")));
                    };
                    group.insert(name, amount);
                }
                Ok(Amount::Group(group))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// Resource restrictions under Docker's own names, e.g. `cpus = 1.5`, `memory = "4g"`, `pids-limit = 512`; or under Kubernetes' own,
/// in the tables `requests` and `limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct ResourcesTable(pub BTreeMap<String, Amount>);

impl ResourcesTable {
    /// The amounts, checked; errors are at the lines of the file that the table is from.
    pub(super) fn check(&self, source: &Source<'_>, words: Words) -> Result<Resources, Fault> {
        let mut resources = Resources::new();
        for (key, amount) in &self.0 {
            if let Amount::Group(group) = amount {
                if words == Words::Docker || !["requests", "limits"].contains(&key.as_str()) {
                    return Err(source
                        .fault(&["resources", key], format!("`{key}` in [resources] is a table; expected one value"))
                        .hint("the tables `requests` and `limits` are for type = \"kubernetes\""));
                }
                for (name, amount) in group {
                    let full = format!("{key}.{name}");
                    let quantity = kubernetes::check(&full, amount)
                        .map_err(|problem| source.fault(&["resources", key, name], problem))?;
                    resources.insert(full, quantity);
                }
                continue;
            }
            let quantity =
                quantity(source.code, key, amount).map_err(|fault| source.place(&["resources", key], fault))?;
            resources.insert(key.clone(), quantity);
        }
        check_resources(&resources).map_err(|(key, message)| source.fault(&["resources", key], message))?;
        if words == Words::Kubernetes {
            kubernetes::in_kubernetes_words(&resources).map_err(|problem| source.fault(&["resources"], problem))?;
        }
        Ok(resources)
    }
}

/// Resources in the words that policies and limits compare, whatever the engine: a cluster's `limits.memory` is `memory`, its
/// `limits.cpu` is `cpus`.
pub(super) fn in_common_words(resources: Resources) -> Resources {
    resources.into_iter().map(|(key, quantity)| (common_key(&key).to_owned(), quantity)).collect()
}

fn quantity(code: &str, key: &str, amount: &Amount) -> Result<Quantity, Fault> {
    let text = match amount {
        Amount::One(text) => Cow::Borrowed(text),
        Amount::Many(texts) => {
            if DOCKER_KEYS.iter().any(|(name, unit)| *name == key && *unit != Unit::Texts) {
                return Err(Fault::new(code, format!("`{key}` in [resources] is a list; expected one value")));
            }
            Cow::Owned(texts.join(","))
        }
        Amount::Group(_) => {
            return Err(Fault::new(code, format!("`{key}` in [resources] is a table; expected one value")));
        }
    };
    if key.starts_with(LIMITS) || key.starts_with(REQUESTS) {
        return kubernetes::check(key, &text).map_err(|problem| Fault::new(code, problem));
    }
    Quantity::parse_docker(key, &text).map_err(|error| match error {
        QuantityError::UnknownKey { .. } => {
            let names: Vec<&str> = DOCKER_KEYS.iter().map(|(name, _)| *name).collect();
            document::unknown_key(code, key, &["resources"], &names)
        }
        QuantityError::BadValue { value, expected } => {
            Fault::new(code, format!("`{key}` in [resources] is \"{value}\"; expected {expected}"))
        }
    })
}

/// Reads `KEY=VALUE`, as `--resource` takes it.
///
/// # Errors
/// No `=`, an unknown key with the nearest valid one, or what the key takes.
pub fn resource_argument(argument: &str) -> Result<(String, Quantity), Fault> {
    let Some((key, value)) = argument.split_once('=') else {
        return Err(Fault::new("usage", format!("the resource \"{argument}\" has no value"))
            .hint("write KEY=VALUE, for example memory=4g"));
    };
    let quantity = quantity("usage", key, &Amount::One(value.to_owned()))?;
    check_resources(&Resources::from([(key.to_owned(), quantity.clone())]))
        .map_err(|(_, message)| Fault::new("usage", message))?;
    Ok((common_key(key).to_owned(), quantity))
}

/// Checks what a Docker daemon would only refuse when a container is created: ranges, and keys that exclude each other.
///
/// # Errors
/// The key, and what is wrong with it.
pub fn check_resources(resources: &Resources) -> Result<(), (&'static str, String)> {
    let count = |key: &str| match resources.get(key) {
        Some(Quantity::Count(count)) => Some(*count),
        _ => None,
    };
    let bytes = |key: &str| match resources.get(key) {
        Some(Quantity::Bytes(bytes)) => Some(*bytes),
        _ => None,
    };
    for (key, least, most) in [
        ("blkio-weight", 10, 1_000),
        ("cpu-period", 1_000, 1_000_000),
        ("cpu-quota", 1_000, i64::MAX),
        ("cpu-shares", 2, 262_144),
        ("memory-swappiness", 0, 100),
        ("oom-score-adj", -1_000, 1_000),
    ] {
        if let Some(value) = count(key).filter(|value| !(least..=most).contains(value)) {
            let range = if most == i64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
            return Err((key, format!("`{key}` is {value}, which is outside {range}")));
        }
    }
    if let Some(value) = count("pids-limit").filter(|value| *value < 1 && *value != -1) {
        return Err(("pids-limit", format!("`pids-limit` is {value}; expected 1 or more, or -1 for no limit")));
    }
    if let Some(memory) = bytes("memory") {
        if memory < 6 << 20 {
            return Err(("memory", format!("`memory` is {memory} bytes, less than the 6m that Docker needs")));
        }
        if bytes("memory-swap").is_some_and(|swap| swap < memory) {
            return Err((
                "memory-swap",
                "`memory-swap` is less than `memory`: it is the sum of memory and swap, so at least as much".to_owned(),
            ));
        }
        if bytes("memory-reservation").is_some_and(|reserved| reserved > memory) {
            return Err(("memory-reservation", "`memory-reservation` is more than `memory`".to_owned()));
        }
    } else if bytes("memory-swap").is_some() {
        return Err(("memory-swap", "`memory-swap` is there without `memory`, which it needs".to_owned()));
    }
    if resources.contains_key("cpus") {
        for key in ["cpu-quota", "cpu-period"] {
            if resources.contains_key(key) {
                return Err((key, format!("`{key}` and `cpus` say the same thing twice: keep one of them")));
            }
        }
    }
    if let Some(Quantity::Texts(limits)) = resources.get("ulimit") {
        for limit in limits {
            let sound = limit.split_once('=').is_some_and(|(name, values)| {
                let mut numbers = values.split(':');
                !name.is_empty()
                    && numbers.clone().count() <= 2
                    && numbers.all(|number| number.parse::<i64>().is_ok_and(|number| number >= -1))
            });
            if !sound {
                return Err((
                    "ulimit",
                    format!(
                        "`ulimit` has \"{limit}\"; expected NAME=SOFT or NAME=SOFT:HARD, for example \"nofile=1024:2048\""
                    ),
                ));
            }
        }
    }
    Ok(())
}

impl JsonSchema for ResourcesTable {
    fn schema_name() -> Cow<'static, str> {
        "Resources".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties: serde_json::Map<String, serde_json::Value> = DOCKER_KEYS
            .iter()
            .map(|(key, unit)| {
                let schema = match unit {
                    Unit::Bytes => serde_json::json!({
                        "description": "Bytes: \"512m\", \"4g\", or a number.",
                        "type": ["string", "integer"]
                    }),
                    Unit::Cpus => serde_json::json!({
                        "description": "A number of CPUs: 2, 1.5.",
                        "type": ["number", "string"]
                    }),
                    Unit::Count => serde_json::json!({
                        "description": "A whole number.",
                        "type": ["integer", "string"]
                    }),
                    Unit::Text => serde_json::json!({
                        "description": "A text, as docker run takes it.",
                        "type": ["string", "integer"]
                    }),
                    Unit::Texts => serde_json::json!({
                        "description": "One text or a list of them, for example \"nofile=1024:2048\".",
                        "type": ["string", "array"],
                        "items": { "type": "string" }
                    }),
                };
                ((*key).to_owned(), schema)
            })
            .collect();
        for key in ["requests", "limits"] {
            let description = format!("Kubernetes: {key} by resource, as a pod has them: cpu, memory, nvidia.com/gpu.");
            let amounts = serde_json::json!({ "type": ["string", "number"] });
            let table = serde_json::json!({
                "description": description, "type": "object", "additionalProperties": amounts
            });
            properties.insert(key.to_owned(), table);
        }
        json_schema!({
            "description": "Resource restrictions under Docker's own names, as docker run spells them, or Kubernetes' own.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false
        })
    }
}
