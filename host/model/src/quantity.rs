//! Resource restriction keys and their amounts.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod gpus;
mod kubernetes;

pub use gpus::{ALL_GPUS, gpus};
pub use kubernetes::{KUBERNETES_RESOURCES, LIMITS, REQUESTS, common_key, other_words, parse_nanos};

/// The unit that an amount of a key is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `512m`, `4g`, `1073741824`.
    Bytes,
    /// `2`, `1.5`.
    Cpus,
    /// A whole number; -1 for "no limit" where Docker has that.
    Count,
    /// As written.
    Text,
    /// One text or a list of them.
    Texts,
}

/// Docker's own names of the resource restriction keys, as `docker run` spells them.
pub const DOCKER_KEYS: [(&str, Unit); 16] = [
    ("blkio-weight", Unit::Count),
    ("cpu-period", Unit::Count),
    ("cpu-quota", Unit::Count),
    ("cpu-shares", Unit::Count),
    ("cpus", Unit::Cpus),
    ("cpuset-cpus", Unit::Text),
    ("cpuset-mems", Unit::Text),
    ("gpus", Unit::Text),
    ("memory", Unit::Bytes),
    ("memory-reservation", Unit::Bytes),
    ("memory-swap", Unit::Bytes),
    ("memory-swappiness", Unit::Count),
    ("oom-score-adj", Unit::Count),
    ("pids-limit", Unit::Count),
    ("shm-size", Unit::Bytes),
    ("ulimit", Unit::Texts),
];

/// An amount in the one unit of its kind, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Bytes.
    Bytes(u64),
    /// Billionths of a CPU.
    Cpus(u64),
    /// A plain number.
    Count(i64),
    /// Anything else.
    Text(String),
    /// Several.
    Texts(Vec<String>),
}

/// Resources by the engine's name for each.
pub type Resources = BTreeMap<String, Quantity>;

/// Why a text isn't an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No key of that name.
    #[error("no resource key is called \"{key}\"")]
    UnknownKey {
        /// What was written.
        key: String,
    },
    /// The value doesn't fit the key.
    #[error("\"{value}\" isn't {expected}")]
    BadValue {
        /// What was written.
        value: String,
        /// What would be accepted, with an example.
        expected: &'static str,
    },
}

impl Quantity {
    /// Reads the value of a Docker resource key, as `docker run` would.
    ///
    /// # Errors
    /// Names an unknown key, or says what the key takes.
    pub fn parse_docker(key: &str, value: &str) -> Result<Self, QuantityError> {
        let Some((_, unit)) = DOCKER_KEYS.iter().find(|(name, _)| *name == key) else {
            return Err(QuantityError::UnknownKey { key: key.to_owned() });
        };
        let bad = |expected| QuantityError::BadValue { value: value.to_owned(), expected };
        let text = value.trim();
        match unit {
            // Docker's own "-1": swap without limit.
            Unit::Bytes if key == "memory-swap" && text == "-1" => Ok(Self::Count(-1)),
            Unit::Bytes => {
                parse_bytes(text).map(Self::Bytes).ok_or_else(|| bad("an amount of bytes such as \"512m\" or \"4g\""))
            }
            Unit::Cpus => parse_cpus(text).map(Self::Cpus).ok_or_else(|| bad("a number of CPUs such as 2 or 1.5")),
            Unit::Count => text.parse().map(Self::Count).map_err(|_| bad("a whole number")),
            Unit::Text if text.is_empty() => Err(bad("a text")),
            Unit::Text => Ok(Self::Text(text.to_owned())),
            Unit::Texts => Ok(Self::Texts(text.split(',').map(|part| part.trim().to_owned()).collect())),
        }
    }
}

impl fmt::Display for Quantity {
    /// As Docker would take it back: `4g`, `1.5`, `512`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&format_bytes(*bytes)),
            Self::Cpus(nanos) => {
                let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Count(count) => count.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => f.write_str(&texts.join(",")),
        }
    }
}

/// Reads `512m`, `4g`, `1.5GiB`, `1024`: powers of 1,024 as Docker counts them. `None` for anything else.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, suffix) = lower.split_at(digits);
    let shift = match suffix.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let nanos = parse_decimal(number)?;
    u64::try_from(nanos.checked_mul(1u128 << shift)? / 1_000_000_000).ok()
}

fn parse_cpus(text: &str) -> Option<u64> {
    u64::try_from(parse_decimal(text)?).ok().filter(|nanos| *nanos > 0)
}

/// A decimal number times a billion, without floating point.
fn parse_decimal(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.len() > 9 || !(whole.to_owned() + fraction).bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u128 = format!("{fraction:0<9}").parse().ok()?;
    Some(u128::from(whole) * 1_000_000_000 + fraction)
}

/// Writes bytes as `4g`, `1536m`, `1000`: the largest unit that stays whole.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    for (shift, suffix) in [(40, "t"), (30, "g"), (20, "m"), (10, "k")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Writes bytes for a sentence: `3.9 GiB`, `12 MiB`.
#[must_use]
pub fn describe_bytes(bytes: u64) -> String {
    for (shift, suffix) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        let unit = 1u64 << shift;
        if bytes >= unit {
            let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
            return if tenths.is_multiple_of(10) {
                format!("{} {suffix}", tenths / 10)
            } else {
                format!("{}.{} {suffix}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_reads() {
        let parse = |key, value| Quantity::parse_docker(key, value);
        assert_eq!(parse("memory", "4g"), Ok(Quantity::Bytes(4 << 30)));
        assert_eq!(parse("memory", "1.5GiB"), Ok(Quantity::Bytes(3 << 29)));
        assert_eq!(parse("memory-swap", "-1"), Ok(Quantity::Count(-1)));
        assert_eq!(parse("cpus", "1.5"), Ok(Quantity::Cpus(1_500_000_000)));
        assert_eq!(parse("pids-limit", "100"), Ok(Quantity::Count(100)));
        assert_eq!(parse("ulimit", "nofile=1024:2048"), Ok(Quantity::Texts(vec!["nofile=1024:2048".into()])));
    }

    #[test]
    fn refuses_what_means_nothing() {
        for (key, value) in [
            ("memory", "4 gigs"),
            ("memory", ""),
            ("memory", "-1"),
            ("memory", "99999999999999999999g"),
            ("cpus", "two"),
            ("cpus", "0"),
            ("pids-limit", "1.5"),
            ("memmory", "4g"),
        ] {
            assert!(Quantity::parse_docker(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for (key, value) in [("memory", "4g"), ("memory", "1536m"), ("memory", "1000"), ("cpus", "1.5"), ("cpus", "2")]
        {
            assert_eq!(Quantity::parse_docker(key, value).map(|q| q.to_string()), Ok(value.to_owned()));
        }
    }

    #[test]
    fn describes_bytes_for_people() {
        assert_eq!(describe_bytes(4 << 30), "4 GiB");
        assert_eq!(describe_bytes((3 << 30) + (9 << 30) / 10), "3.9 GiB");
        assert_eq!(describe_bytes(512), "512 B");
    }
}
