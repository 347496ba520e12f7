//! Lengths of time as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A length of time of at least a second: `"90s"`, `"30m"`, `"2h"`, `"1h30m"`, `"7d"`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(u64);

const EXPECTED: &str = "a time such as \"90s\", \"30m\" or \"2h\", or a number of seconds";

/// A text that isn't a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" isn't {EXPECTED}")]
pub struct NotATimeSpan {
    text: String,
}

impl TimeSpan {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// As the standard library has it.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    fn of(seconds: u64) -> Option<Self> {
        // A century is longer than anybody means, and short enough that adding it to a clock never overflows.
        (1..=100 * 365 * 86_400).contains(&seconds).then_some(Self(seconds))
    }
}

impl FromStr for TimeSpan {
    type Err = NotATimeSpan;

    fn from_str(text: &str) -> Result<Self, NotATimeSpan> {
        parse(text.trim()).and_then(Self::of).ok_or_else(|| NotATimeSpan { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        // From large to small, each once: `30m1h` is more likely a slip than a time.
        if seconds >= largest {
            return None;
        }
        largest = seconds;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(seconds)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Span;
        impl Visitor<'_> for Span {
            type Value = TimeSpan;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeSpan, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<TimeSpan, E> {
                TimeSpan::of(seconds).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<TimeSpan, E> {
                u64::try_from(seconds)
                    .ok()
                    .and_then(TimeSpan::of)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }
        }
        deserializer.deserialize_any(Span)
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: \"90s\", \"30m\", \"2h\", \"1h30m\", \"7d\", or a number of seconds.",
            "oneOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^([0-9]+d)? ?([0-9]+h)? ?([0-9]+m(in)?)? ?([0-9]+s(ec)?)?$|^[0-9]+$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("2h", 7_200),
            ("1h30m", 5_400),
            ("1h 30m", 5_400),
            ("7d", 604_800),
            ("45", 45),
        ] {
            assert_eq!(text.parse(), Ok(TimeSpan(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "0", "0s", "m", "5 parsecs", "-3", "30m1h", "1h1h", "1.5h", "99999999999999999999d", "30M"] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
        assert_eq!(
            "soon".parse::<TimeSpan>().map_err(|error| error.to_string()),
            Err("\"soon\" isn't a time such as \"90s\", \"30m\" or \"2h\", or a number of seconds".to_owned())
        );
    }
}
