//! Kubernetes' quantities: `500m`, `1.5Gi`, `2e3`, exactly.
//!
//! The grammar is the one of `k8s.io/apimachinery/pkg/api/resource`: a signed decimal number, and a suffix that is a power of
//! 1,024 (`Ki` … `Ei`), a power of 1,000 (`n`, `u`, `m`, none, `k`, `M` … `E`) or an exponent (`e3`, `E-3`).

use super::{Quantity, QuantityError};

/// What a container may ask for that isn't another's: `DOMAIN/NAME` and `hugepages-SIZE` are the rest.
pub const KUBERNETES_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// In front of a resource that a pod is limited to.
pub const LIMITS: &str = "limits.";
/// In front of a resource that a node must have for a pod.
pub const REQUESTS: &str = "requests.";

const NANOS: i128 = 1_000_000_000;

/// Kubernetes' largest, 2⁶³ − 1, in billionths.
const LARGEST: i128 = i64::MAX as i128 * NANOS;

const BYTES: &str = "an amount of bytes such as \"512Mi\" or \"4Gi\"";
const CPUS: &str = "a number of CPUs such as 2, 1.5 or \"500m\"";
const COUNT: &str = "a whole number";

/// The key by which policies and limits compare an amount, whatever the engine: a cluster's `limits.memory` is Docker's `memory`,
/// its `limits.cpu` is `cpus`. Other keys have no other name.
#[must_use]
pub fn common_key(key: &str) -> &str {
    match key {
        "limits.memory" => "memory",
        "limits.cpu" => "cpus",
        other => other,
    }
}

impl Quantity {
    /// Reads the value of `requests.NAME` or `limits.NAME`, as Kubernetes would.
    ///
    /// CPUs are [`Cpus`](Self::Cpus), memory and storage [`Bytes`](Self::Bytes), and what has a domain, such as
    /// `nvidia.com/gpu`, is a [`Count`](Self::Count).
    ///
    /// # Errors
    /// Names an unknown key, or says what the key takes. A limit of 0 is refused, which to Kubernetes is none.
    pub fn parse_kubernetes(key: &str, value: &str) -> Result<Self, QuantityError> {
        let bad = |expected| QuantityError::BadValue { value: value.to_owned(), expected };
        let unknown = || QuantityError::UnknownKey { key: key.to_owned() };
        let (name, limits) = match (key.strip_prefix(LIMITS), key.strip_prefix(REQUESTS)) {
            (Some(name), _) => (name, true),
            (_, Some(name)) => (name, false),
            (None, None) => return Err(unknown()),
        };
        let (unit, expected) = match name {
            "cpu" => (1_000_000, CPUS),
            "memory" | "ephemeral-storage" => (NANOS, BYTES),
            _ if name.strip_prefix("hugepages-").is_some_and(|size| !size.is_empty()) => (NANOS, BYTES),
            _ if name.split_once('/').is_some_and(|(domain, name)| !domain.is_empty() && !name.is_empty()) => {
                (NANOS, COUNT)
            }
            _ => return Err(unknown()),
        };
        let nanos = parse_nanos(value.trim()).ok_or_else(|| bad(expected))?;
        if nanos < 0 {
            return Err(bad(expected));
        }
        if nanos % unit != 0 {
            return Err(bad(match expected {
                CPUS => "a number of CPUs in thousandths (\"1m\") or more",
                // The usual slip: to Kubernetes, `m` is a thousandth, and a thousandth of a byte is one too few.
                BYTES => "a whole number of bytes: \"m\" is a thousandth, so write \"Mi\" for MiB and \"M\" for MB",
                _ => expected,
            }));
        }
        if nanos == 0 && limits && expected != COUNT {
            return Err(bad("more than 0: to Kubernetes, a limit of 0 is none, so leave the key out for that"));
        }
        let amount = |of: i128| u64::try_from(nanos / of).map_err(|_| bad(expected));
        Ok(match expected {
            CPUS => Self::Cpus(amount(1)?),
            BYTES => Self::Bytes(amount(NANOS)?),
            _ => Self::Count(i64::try_from(nanos / NANOS).map_err(|_| bad(expected))?),
        })
    }

    /// As Kubernetes would take it back: `4Gi`, `1500m`, `2`.
    #[must_use]
    pub fn to_kubernetes(&self) -> String {
        match self {
            Self::Bytes(bytes) => {
                for (shift, suffix) in [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
                    if *bytes != 0 && bytes.is_multiple_of(1 << shift) {
                        return format!("{}{suffix}", bytes >> shift);
                    }
                }
                bytes.to_string()
            }
            Self::Cpus(nanos) => {
                for (unit, suffix) in [(1_000_000_000, ""), (1_000_000, "m"), (1_000, "u")] {
                    if nanos.is_multiple_of(unit) {
                        return format!("{}{suffix}", nanos / unit);
                    }
                }
                format!("{nanos}n")
            }
            other => other.to_string(),
        }
    }
}

/// The same resource in the other engine's words: `limits.memory` is Docker's `memory`. None where there is none.
#[must_use]
pub fn other_words(key: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 3] =
        [("memory", "limits.memory"), ("cpus", "limits.cpu"), ("gpus", "limits.nvidia.com/gpu")];
    PAIRS.iter().find_map(|(docker, kubernetes)| match key {
        _ if key == *docker => Some(*kubernetes),
        _ if key == *kubernetes => Some(*docker),
        _ => None,
    })
}

/// Reads a quantity as billionths. `None` for what isn't one, is beyond 2⁶³ − 1, or is finer than a billionth.
#[must_use]
pub fn parse_nanos(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mantissa: i128 = match format!("{whole}{fraction}").trim_start_matches('0') {
        "" => return suffix_of(suffix).map(|_| 0),
        digits => digits.parse().ok()?,
    };
    let (powers_of_two, powers_of_ten) = suffix_of(suffix)?;
    let tens = powers_of_ten.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scaled = mantissa.checked_mul(1_i128.checked_shl(powers_of_two)?)?;
    let power = 10_i128.checked_pow(tens.unsigned_abs())?;
    let nanos = if tens >= 0 { scaled.checked_mul(power)? } else { (scaled % power == 0).then_some(scaled / power)? };
    (nanos <= LARGEST).then_some(if negative { -nanos } else { nanos })
}

/// The powers of 2 and of 10 that a suffix stands for.
fn suffix_of(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (0, exponent.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_published_grammar() {
        let suffixes: [(&str, i128, i128); 18] = [
            ("n", 1, NANOS),
            ("u", 1_000, NANOS),
            ("m", 1_000_000, NANOS),
            ("", 1, 1),
            ("k", 1_000, 1),
            ("M", 1_000_000, 1),
            ("G", 1_000_000_000, 1),
            ("T", 1_000_000_000_000, 1),
            ("Ki", 1 << 10, 1),
            ("Mi", 1 << 20, 1),
            ("Gi", 1 << 30, 1),
            ("Ti", 1 << 40, 1),
            ("e3", 1_000, 1),
            ("E3", 1_000, 1),
            ("e+3", 1_000, 1),
            ("E-3", 1_000_000, NANOS),
            ("e0", 1, 1),
            ("e09", 1_000_000_000, 1),
        ];
        // <number> ::= <digits> | <digits>.<digits> | <digits>. | .<digits>, with a value in sixteenths.
        let numbers: [(&str, i128); 8] =
            [("0", 0), ("1", 16), ("12", 192), ("1.5", 24), ("2.", 32), (".5", 8), ("007.50", 120), ("0.0625", 1)];
        let mut read = 0;
        for (suffix, times, per) in suffixes {
            for (number, sixteenths) in numbers {
                for (sign, factor) in [("", 1), ("+", 1), ("-", -1)] {
                    let text = format!("{sign}{number}{suffix}");
                    let (nominator, denominator) = (factor * sixteenths * times * NANOS, 16 * per);
                    let expected = (nominator % denominator == 0).then_some(nominator / denominator);
                    assert_eq!(parse_nanos(&text), expected, "{text}");
                    read += usize::from(expected.is_some());
                }
            }
        }
        assert!(read > 350, "{read}");
        assert_eq!(parse_nanos("1E"), Some(NANOS * 1_000_000_000_000_000_000));
        assert_eq!(parse_nanos("7Ei"), Some(NANOS * (7 << 60)));
        assert_eq!(parse_nanos("3P"), Some(NANOS * 3_000_000_000_000_000));
        assert_eq!(parse_nanos("9223372036854775807"), Some(LARGEST));
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        let huge = "9".repeat(60);
        for text in [
            "",
            ".",
            "+",
            "-",
            "m",
            "Gi",
            "1g",
            "1mi",
            "1KI",
            "1Kb",
            "1 Gi",
            " 1",
            "1.2.3",
            "1e",
            "1e+",
            "1e1.5",
            "1ee3",
            "--1",
            "1-",
            "0x1",
            "1,5",
            "½",
            "1E3k",
            "1e999999999999",
            "1e2147483647",
            "1e-2147483648",
            "9223372036854775808",
            "8Ei",
            "10E",
            "0.5n",
            "1e-10",
            "NaN",
            "inf",
            huge.as_str(),
        ] {
            assert_eq!(parse_nanos(text), None, "{text}");
        }
    }

    #[test]
    fn each_key_has_its_unit() {
        let parse = Quantity::parse_kubernetes;
        assert_eq!(parse("limits.cpu", "1500m"), Ok(Quantity::Cpus(1_500_000_000)));
        assert_eq!(parse("requests.cpu", "0.1"), Ok(Quantity::Cpus(100_000_000)));
        assert_eq!(parse("limits.memory", "4Gi"), Ok(Quantity::Bytes(4 << 30)));
        assert_eq!(parse("limits.memory", "4G"), Ok(Quantity::Bytes(4_000_000_000)));
        assert_eq!(parse("requests.ephemeral-storage", "1e9"), Ok(Quantity::Bytes(1_000_000_000)));
        assert_eq!(parse("limits.hugepages-2Mi", "64Mi"), Ok(Quantity::Bytes(64 << 20)));
        assert_eq!(parse("limits.nvidia.com/gpu", "2"), Ok(Quantity::Count(2)));
        assert_eq!(parse("limits.nvidia.com/gpu", "0"), Ok(Quantity::Count(0)));
        assert_eq!(parse("requests.memory", "0"), Ok(Quantity::Bytes(0)));
    }

    #[test]
    fn refuses_with_what_is_expected() {
        let said = |key: &str, value: &str| Quantity::parse_kubernetes(key, value).unwrap_err().to_string();
        assert!(said("limits.memory", "400m").contains("\"Mi\" for MiB"));
        assert!(said("limits.memory", "4g").contains("\"4Gi\""));
        assert!(said("limits.memory", "0").contains("a limit of 0 is none"));
        assert!(said("limits.cpu", "-1").contains("such as 2"));
        assert!(said("limits.cpu", "0.0005").contains("thousandths"));
        assert!(said("limits.nvidia.com/gpu", "0.5").contains("whole number"));
        for key in [
            "memory",
            "cpus",
            "limits.memmory",
            "limits.",
            "limits.hugepages-",
            "limit.memory",
            "limits./gpu",
            "limits.a/",
        ] {
            assert!(matches!(Quantity::parse_kubernetes(key, "1"), Err(QuantityError::UnknownKey { .. })), "{key}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for (key, value) in [
            ("limits.memory", "4Gi"),
            ("limits.memory", "1536Mi"),
            ("limits.memory", "1000"),
            ("limits.cpu", "1500m"),
            ("limits.cpu", "2"),
            ("requests.cpu", "0"),
            ("requests.memory", "0"),
            ("limits.nvidia.com/gpu", "8"),
        ] {
            assert_eq!(Quantity::parse_kubernetes(key, value).map(|read| read.to_kubernetes()), Ok(value.to_owned()));
        }
        let mut number = 1_u64;
        for step in 0..2_000_u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = (number >> (step % 63 + 1)).max(1);
            let written = Quantity::Bytes(bytes).to_kubernetes();
            assert_eq!(Quantity::parse_kubernetes("limits.memory", &written), Ok(Quantity::Bytes(bytes)), "{written}");
            let written = Quantity::Cpus(bytes).to_kubernetes();
            assert_eq!(parse_nanos(&written), Some(i128::from(bytes)), "{written}");
        }
    }

    #[test]
    fn the_same_has_two_words() {
        assert_eq!(other_words("memory"), Some("limits.memory"));
        assert_eq!(other_words("limits.cpu"), Some("cpus"));
        assert_eq!(other_words("pids-limit"), None);
    }
}
