use std::io::Read;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, SchemaRef};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::instant;
use super::reader::{CsvError, CsvField, CsvReader, Place, Record};

/// Rows of a batch.
const ROWS: usize = 8192;
/// Bytes of a batch, from which on it has fewer rows.
const BYTES: usize = 32 << 20;

/// Reads CSV as Arrow batches of given types.
pub(crate) struct BatchReader<R> {
    reader: CsvReader<R>,
    /// Of the columns that are wanted.
    schema: SchemaRef,
    /// Which columns are wanted.
    wanted: Vec<usize>,
    left: u64,
}

impl<R: Read> BatchReader<R> {
    /// `schema` describes the columns at the positions `wanted`, and `limit` is the most rows that are read.
    pub(crate) fn new(reader: CsvReader<R>, schema: SchemaRef, wanted: Vec<usize>, limit: Option<u64>) -> Self {
        Self { reader, schema, wanted, left: limit.unwrap_or(u64::MAX) }
    }

    /// The next rows, or none at the end.
    pub(crate) fn read(&mut self) -> Result<Option<RecordBatch>, CsvError> {
        let mut builders: Vec<Builder> = self.schema.fields().iter().map(|f| Builder::new(f.data_type())).collect();
        let mut record = Record::default();
        let mut rows = 0;
        let mut bytes = 0;
        while rows < ROWS && bytes < BYTES && self.left > 0 && self.reader.read(&mut record)? {
            for (builder, column) in builders.iter_mut().zip(&self.wanted) {
                builder.push(record.get(*column)).map_err(|what| CsvError::Form {
                    place: Place::Row(self.reader.rows()),
                    reason: format!("column {:?}: {what}", self.reader.columns()[*column]),
                })?;
            }
            self.left -= 1;
            rows += 1;
            bytes += record.size();
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = builders.into_iter().zip(self.schema.fields());
        let columns = columns.map(|(builder, field)| builder.finish(field.data_type())).collect::<Result<_, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        columns
            .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options))
            .map(Some)
            .map_err(|error| CsvError::Form { place: Place::Row(self.reader.rows()), reason: error.to_string() })
    }
}

enum Builder {
    Text(StringBuilder),
    Integer { values: Int64Builder, min: i64, max: i64 },
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Date(TimestampMicrosecondBuilder),
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        let integer = |min, max| Self::Integer { values: Int64Builder::new(), min, max };
        match data_type {
            DataType::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => integer(i64::MIN, i64::MAX),
            DataType::Float32 | DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Timestamp(..) => Self::Date(TimestampMicrosecondBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, field: CsvField<'_>) -> Result<(), String> {
        // A quoted empty field is a value of text alone.
        let null = if matches!(self, Self::Text(_)) { field.is_null() } else { field.bytes.is_empty() };
        if let Self::Integer { values, min, max } = self
            && let Some(value) = plain_integer(field.bytes)
            && (*min..=*max).contains(&value)
        {
            values.append_value(value);
            return Ok(());
        }
        if let Self::Double(values) = self
            && let Some(value) = plain_double(field.bytes)
        {
            values.append_value(value);
            return Ok(());
        }
        let text = std::str::from_utf8(field.bytes).map_err(|_| "its text is not UTF-8".to_owned())?;
        let not = |what: &str| format!("{:?} is not {what}", text.chars().take(100).collect::<String>());
        match self {
            Self::Text(values) => values.append_option((!null).then_some(text)),
            Self::Integer { values, .. } if null => values.append_null(),
            Self::Integer { values, min, max } => {
                let value = parse_integer(text).ok_or_else(|| not("an integer"))?;
                if !(*min..=*max).contains(&value) {
                    return Err(format!("{value} is not between {min} and {max}"));
                }
                values.append_value(value);
            }
            Self::Double(values) if null => values.append_null(),
            Self::Double(values) => values.append_value(text.trim().parse().map_err(|_| not("a number"))?),
            Self::Boolean(values) if null => values.append_null(),
            Self::Boolean(values) => {
                values.append_value(parse_boolean(field.bytes).ok_or_else(|| not("true or false"))?);
            }
            Self::Date(values) if null => values.append_null(),
            Self::Date(values) => values.append_value(parse_date(text).ok_or_else(|| not("a date"))?),
        }
        Ok(())
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef, arrow_schema::ArrowError> {
        let array: ArrayRef = match self {
            Self::Text(mut values) => Arc::new(values.finish()),
            Self::Integer { mut values, .. } => Arc::new(values.finish()),
            Self::Double(mut values) => Arc::new(values.finish()),
            Self::Boolean(mut values) => Arc::new(values.finish()),
            Self::Date(mut values) => Arc::new(values.finish().with_timezone("UTC")),
        };
        if array.data_type() == data_type { Ok(array) } else { arrow_cast::cast(&array, data_type) }
    }
}

/// An integer of at most 18 digits and nothing else around it, which is how nearly all are written.
pub(super) fn plain_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}

/// A number of at most 15 digits with a point between some of them, which is how most are written.
///
/// Its digits as an integer and the power of ten below it are doubles without loss, so their quotient is the nearest double.
fn plain_double(bytes: &[u8]) -> Option<f64> {
    const DIGITS: usize = 15;
    const POWERS: [f64; DIGITS + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS + 1 {
        return None;
    }
    let mut value = 0_u64;
    let mut count = 0;
    let mut point = None;
    for digit in digits {
        match digit {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(digit - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    let fraction = count - point.unwrap_or(count);
    // A point at either end is for the parser to judge.
    if count > DIGITS || count == fraction || (point.is_some() && fraction == 0) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "15 digits are below 2^53")]
    let value = value as f64 / POWERS[fraction];
    Some(if negative { -value } else { value })
}

fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    // Tables that hold integers as doubles, because some are missing, write 1.0.
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    whole.parse().ok()
}

pub(crate) fn parse_boolean(bytes: &[u8]) -> Option<bool> {
    if bytes.eq_ignore_ascii_case(b"true") || bytes == b"1" {
        Some(true)
    } else if bytes.eq_ignore_ascii_case(b"false") || bytes == b"0" {
        Some(false)
    } else {
        None
    }
}

/// An ISO date with time and zone, as microseconds since 1970.
pub(crate) fn parse_zoned_date(bytes: &[u8]) -> Option<i64> {
    if let Some(micros) = instant::parse(bytes) {
        return Some(micros);
    }
    if bytes.len() > 40 {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    // RFC 3339 begins with a year: most texts aren't worth a look.
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// Any ISO date: what lacks a zone is in UTC, and what lacks a time is midnight.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_zoned_date(text.as_bytes()).or_else(|| {
        let time = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN)));
        Some(match time {
            Some(time) => time.and_utc().timestamp_micros(),
            // RFC 3339 wants a colon in the zone; others write +0000.
            None => DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?.timestamp_micros(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_forms() {
        let micros = 1_357_034_400_000_000;
        for text in [
            "2013-01-01T10:00:00Z",
            "2013-01-01T10:00:00.000Z",
            "2013-01-01T12:00:00+02:00",
            "2013-01-01T12:00:00+0200",
            "2013-01-01T10:00:00",
            "2013-01-01 10:00:00.000",
            "2013-01-01 10:00",
            "2013-01-01 10:00:00+00:00",
        ] {
            assert_eq!(parse_date(text), Some(micros), "{text}");
        }
        assert_eq!(parse_date("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_date("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(parse_date("01/02/2013"), None);
    }

    #[test]
    fn plain_doubles_are_those_of_the_parser() {
        let mut state = 1_u64;
        for round in 0..100_000_usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut text = format!("{:015}", state % 1_000_000_000_000_000);
            text.truncate(2 + round % 14);
            text.insert(1 + round % (text.len() - 1), '.');
            if round % 3 == 0 {
                text.insert(0, '-');
            }
            let parsed: f64 = text.parse().unwrap();
            assert_eq!(plain_double(text.as_bytes()).map(f64::to_bits), Some(parsed.to_bits()), "{text}");
        }
        assert_eq!(plain_double(b"12"), Some(12.0));
        assert_eq!(plain_double(b"-0.0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
        for text in ["", "-", ".", "1.", ".5", "1.2.3", "1e5", "+1.0", " 1.0", "nan", "0.1234567890123456", "--1.0"] {
            assert_eq!(plain_double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_with_a_zero_fraction() {
        assert_eq!(parse_integer("12.0"), Some(12));
        assert_eq!(parse_integer("12.5"), None);
        assert_eq!(parse_integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_integer("9223372036854775808"), None);
        assert_eq!(plain_integer(b"-0123"), Some(-123));
        assert_eq!(plain_integer(b"999999999999999999"), Some(999_999_999_999_999_999));
        for text in ["", "-", "1000000000000000000", "1.0", "+1", " 1"] {
            assert_eq!(plain_integer(text.as_bytes()), None, "{text}");
        }
    }
}
