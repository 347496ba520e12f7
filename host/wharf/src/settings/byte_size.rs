//! Amounts of bytes as people write them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use wharf_model::quantity::parse_bytes;

/// An amount of bytes, at least one: `"512m"`, `"4g"`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(u64);

impl ByteSize {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of bytes such as \"512m\" or \"4g\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                let bytes = parse_bytes(text.trim()).filter(|bytes| *bytes > 0);
                bytes.map(ByteSize).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                let bytes = Some(number).filter(|bytes| *bytes > 0);
                bytes.map(ByteSize).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                let bytes = u64::try_from(number).ok().filter(|bytes| *bytes > 0);
                bytes.map(ByteSize).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of bytes: \"512m\", \"4g\", or a number.",
            "oneOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?([kKmMgGtT]([iI]?[bB])?|[bB])?$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_nothing_is_no_size() {
        let read = |text: &str| {
            toml::from_str::<toml::Table>(text)
                .unwrap()
                .remove("size")
                .unwrap()
                .try_into::<ByteSize>()
                .map(ByteSize::bytes)
        };
        for (text, bytes) in [("\"1g\"", 1 << 30), ("\"1.5m\"", 3 << 19), ("4096", 4096), ("\"7\"", 7)] {
            assert_eq!(read(&format!("size = {text}")).unwrap(), bytes, "{text}");
        }
        for text in ["0", "-1", "\"\"", "\"much\"", "\"0g\"", "true", "\"-1\""] {
            let error = read(&format!("size = {text}")).unwrap_err().to_string();
            assert!(error.contains("such as"), "{text}: {error}");
        }
    }
}
