use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};

use super::instant;

/// So many bytes of lines are written at once.
const PART: usize = 64 << 10;

/// The values of a column.
enum Cells<'a> {
    Text(&'a StringArray),
    Int64(&'a Int64Array),
    Int32(&'a Int32Array),
    Int16(&'a Int16Array),
    Int8(&'a Int8Array),
    Double(&'a Float64Array),
    Float(&'a Float32Array),
    Boolean(&'a BooleanArray),
    Instant(&'a TimestampMicrosecondArray),
}

/// Writes batches whose columns have the types of DSS as CSV.
pub(crate) struct CsvWriter<W> {
    output: W,
    lines: Vec<u8>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header.
    pub(crate) fn new<'a>(mut output: W, names: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let mut line = Vec::new();
        for (index, name) in names.enumerate() {
            if index > 0 {
                line.push(b',');
            }
            push_text(&mut line, name.as_bytes());
        }
        line.push(b'\n');
        output.write_all(&line)?;
        line.clear();
        Ok(Self { output, lines: line })
    }

    /// Writes rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = batch.columns().iter().map(|column| Ok((Cells::of(column.as_ref())?, column.nulls())));
        let columns = columns.collect::<io::Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            for (index, (cells, nulls)) in columns.iter().enumerate() {
                if index > 0 {
                    self.lines.push(b',');
                }
                if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    cells.push(&mut self.lines, row)?;
                }
            }
            self.lines.push(b'\n');
            if self.lines.len() >= PART {
                self.output.write_all(&self.lines)?;
                self.lines.clear();
            }
        }
        self.output.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }

    /// The output, all being written.
    pub(crate) fn into_inner(self) -> W {
        self.output
    }
}

impl<'a> Cells<'a> {
    fn of(column: &'a dyn Array) -> io::Result<Self> {
        Ok(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Int64 => Self::Int64(column.as_primitive()),
            DataType::Int32 => Self::Int32(column.as_primitive()),
            DataType::Int16 => Self::Int16(column.as_primitive()),
            DataType::Int8 => Self::Int8(column.as_primitive()),
            DataType::Float64 => Self::Double(column.as_primitive()),
            DataType::Float32 => Self::Float(column.as_primitive()),
            DataType::Boolean => Self::Boolean(column.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Instant(column.as_primitive()),
            other => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{other} is not a type of rows")));
            }
        })
    }

    fn push(&self, line: &mut Vec<u8>, row: usize) -> io::Result<()> {
        match self {
            Self::Text(values) => push_text(line, values.value(row).as_bytes()),
            Self::Int64(values) => push_integer(line, values.value(row)),
            Self::Int32(values) => push_integer(line, values.value(row).into()),
            Self::Int16(values) => push_integer(line, values.value(row).into()),
            Self::Int8(values) => push_integer(line, values.value(row).into()),
            Self::Double(values) => push_number(line, values.value(row)),
            Self::Float(values) => push_number(line, values.value(row)),
            Self::Boolean(values) => line.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Self::Instant(values) => {
                let micros = values.value(row);
                if !instant::push(line, micros) {
                    let text = format!("the date {micros} µs is out of range");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(())
    }
}

/// The shortest text that reads back as the same number, with an exponent where that is shorter; `NaN`, `inf`.
fn push_number(line: &mut Vec<u8>, value: impl ryu::Float) {
    line.extend_from_slice(ryu::Buffer::new().format(value).as_bytes());
}

fn push_integer(line: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        line.push(b'-');
    }
    line.extend_from_slice(&digits[at..]);
}

/// An instant as DSS writes it: ISO in UTC, with milliseconds, or microseconds where there are some.
pub(crate) fn format_instant(micros: i64) -> Option<String> {
    let mut text = Vec::with_capacity(27);
    if instant::push(&mut text, micros) { String::from_utf8(text).ok() } else { None }
}

fn push_text(line: &mut Vec<u8>, text: &[u8]) {
    let plain = !text.is_empty() && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if plain {
        line.extend_from_slice(text);
        return;
    }
    line.push(b'"');
    for byte in text {
        if *byte == b'"' {
            line.push(b'"');
        }
        line.push(*byte);
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::{BatchReader, CsvReader};
    use super::*;
    use crate::types::arrow_schema;
    use wharf_model::protocol::{Column, Schema};

    #[test]
    fn values_come_back_as_they_were() {
        let kinds = ["string", "bigint", "int", "smallint", "tinyint", "double", "float", "boolean", "date", "object"];
        let columns = kinds.iter().map(|kind| Column { name: format!("a \"{kind}\", ü"), kind: (*kind).to_owned() });
        let schema = arrow_schema(&Schema { columns: columns.collect() }).unwrap();
        let header = kinds.map(|kind| format!("\"a \"\"{kind}\"\", ü\"")).join(",");
        let text = format!(
            "{header}\n\
             \"\",9223372036854775807,2147483647,32767,127,1.7976931348623157e308,3.4028235e38,true,9999-12-31T23:59:59.999Z,{{}}\n\
             ,,,,,,,,,\n\
             \"é, \"\"x\"\"\ny\",-9223372036854775808,-2147483648,-32768,-128,5e-324,-0.1,false,0001-01-01T00:00:00.000001Z,\"\"\n\
             x,0,0,0,0,0.1,1.0,false,1970-01-01T00:00:00.000Z,\"[1,2]\"\n"
        );
        let reader = CsvReader::new(text.as_bytes()).unwrap();
        let wanted = (0..kinds.len()).collect();
        let mut batches = BatchReader::new(reader, std::sync::Arc::clone(&schema), wanted, None);
        let mut writer = CsvWriter::new(Vec::new(), schema.fields().iter().map(|f| f.name().as_str())).unwrap();
        while let Some(batch) = batches.read().unwrap() {
            writer.write(&batch).unwrap();
        }
        assert_eq!(String::from_utf8(writer.into_inner()).unwrap(), text);
    }

    #[test]
    fn numbers_are_short_and_read_back_as_the_same() {
        let written = |value: f64| {
            let mut line = Vec::new();
            push_number(&mut line, value);
            String::from_utf8(line).unwrap()
        };
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.3, "0.3"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(written(value), text);
        }
        let mut state = 1_u64;
        for _ in 0..10_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(written(value).parse::<f64>().unwrap().to_bits(), state);
            }
        }
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        let schema = Schema { columns: vec![Column { name: "n".to_owned(), kind: "tinyint".to_owned() }] };
        for (value, expected) in [("x", "row 2: column \"n\": \"x\" is not an integer"), ("300", "300 is not between")]
        {
            let text = format!("n\n1\n{value}\n");
            let reader = CsvReader::new(text.as_bytes()).unwrap();
            let error = BatchReader::new(reader, arrow_schema(&schema).unwrap(), vec![0], None).read().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
