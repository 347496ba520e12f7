use std::io::Read;

use wharf_model::protocol::{Column, Schema};

use super::batches::{parse_boolean, parse_zoned_date, plain_integer};
use super::reader::{CsvError, CsvReader, Record};

/// Up to here a double holds every integer.
const EXACT: u64 = 1 << 53;

/// What the values of a column have in common so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Integer { exact: bool },
    Double,
    Boolean,
    Date,
    Text,
}

/// The schema that a file's values have in common: reads all of it.
///
/// `bigint`, `double`, `boolean` (`true` and `false`), `date` (ISO with time and zone) or `string`. Numbers with leading
/// zeros are text, and so are integers that neither `bigint` nor `double` would keep digit by digit.
pub(crate) fn infer(input: impl Read) -> Result<Schema, CsvError> {
    let mut reader = CsvReader::new(input)?;
    let mut kinds = vec![Kind::Nothing; reader.columns().len()];
    let mut record = Record::default();
    while reader.read(&mut record)? {
        for (index, kind) in kinds.iter_mut().enumerate() {
            let field = record.get(index);
            if *kind != Kind::Text && !field.is_null() {
                *kind = join(*kind, kind_of(field.bytes));
            }
        }
    }
    let columns = reader.columns().iter().zip(kinds).map(|(name, kind)| Column {
        name: name.clone(),
        kind: match kind {
            Kind::Nothing | Kind::Text => "string",
            Kind::Integer { .. } => "bigint",
            Kind::Double => "double",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
        }
        .to_owned(),
    });
    Ok(Schema { columns: columns.collect() })
}

fn join(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::Nothing, kind) | (kind, Kind::Nothing) => kind,
        (Kind::Integer { exact: one }, Kind::Integer { exact: other }) => Kind::Integer { exact: one && other },
        (Kind::Double, Kind::Integer { exact: true }) | (Kind::Integer { exact: true }, Kind::Double) => Kind::Double,
        (one, other) if one == other => one,
        _ => Kind::Text,
    }
}

fn kind_of(bytes: &[u8]) -> Kind {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    match digits {
        [b'0'..=b'9', ..] => number_or_date(bytes, digits),
        [b'.', b'0'..=b'9', ..] => double(bytes),
        _ if parse_boolean(bytes).is_some() && !matches!(bytes, b"0" | b"1") => Kind::Boolean,
        _ => Kind::Text,
    }
}

fn number_or_date(bytes: &[u8], digits: &[u8]) -> Kind {
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole > 1 && digits[0] == b'0' && whole != 4 {
        return Kind::Text;
    }
    if whole == digits.len() {
        if whole > 1 && digits[0] == b'0' {
            return Kind::Text;
        }
        let value =
            plain_integer(bytes).or_else(|| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok()));
        return match value {
            Some(value) => Kind::Integer { exact: value.unsigned_abs() <= EXACT },
            None => Kind::Text,
        };
    }
    if digits[whole] == b'-' {
        return if parse_zoned_date(bytes).is_some() { Kind::Date } else { Kind::Text };
    }
    if whole > 1 && digits[0] == b'0' {
        return Kind::Text;
    }
    double(bytes)
}

fn double(bytes: &[u8]) -> Kind {
    // Without an exponent, and far from 309 digits, it is finite whatever it is.
    let points = bytes.iter().filter(|byte| **byte == b'.').count();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    if points == 1 && digits > 0 && digits + points + sign == bytes.len() && bytes.len() < 100 {
        return Kind::Double;
    }
    let finite = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite);
    if finite { Kind::Double } else { Kind::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> String {
        let text = format!("x,y\n{}", values.iter().map(|value| format!("{value},\n")).collect::<String>());
        infer(text.as_bytes()).unwrap().columns[0].kind.clone()
    }

    #[test]
    fn values_have_a_type_in_common() {
        for (values, expected) in [
            (&["1", "", "-5"][..], "bigint"),
            (&["9223372036854775807", "-9223372036854775808"], "bigint"),
            (&["9223372036854775808"], "string"),
            (&["1", "2.5", "1e10", "-.5"], "double"),
            (&["9007199254740993", "0.5"], "string"),
            (&["0.5", "0"], "double"),
            (&["01234"], "string"),
            (&["0123"], "string"),
            (&["007.5"], "string"),
            (&["1e999"], "string"),
            (&["true", "False", ""], "boolean"),
            (&["0", "1"], "bigint"),
            (&["true", "1"], "string"),
            (&["2013-01-01T10:00:00Z", "2013-01-01T10:00:00.123+02:00"], "date"),
            (&["0001-01-01T00:00:00Z"], "date"),
            (&["2013-01-01T10:00:00"], "string"),
            (&["2013-01-01"], "string"),
            (&["2013-13-01T10:00:00Z"], "string"),
            (&["", ""], "string"),
            (&["1", "\"\""], "string"),
            (&["NaN"], "string"),
            (&["1 "], "string"),
            (&["-"], "string"),
        ] {
            assert_eq!(kind(values), expected, "{values:?}");
        }
    }
}
