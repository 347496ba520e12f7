use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use chrono::DateTime;

/// Writes batches whose columns have the types of DSS as CSV.
pub(crate) struct CsvWriter<W> {
    output: W,
    line: Vec<u8>,
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
        Ok(Self { output, line })
    }

    /// Writes rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (index, column) in batch.columns().iter().enumerate() {
                if index > 0 {
                    self.line.push(b',');
                }
                if column.is_valid(row) {
                    push_value(&mut self.line, column.as_ref(), row)?;
                }
            }
            self.line.push(b'\n');
            self.output.write_all(&self.line)?;
        }
        Ok(())
    }

    /// The output, all being written.
    pub(crate) fn into_inner(self) -> W {
        self.output
    }
}

fn push_value(line: &mut Vec<u8>, column: &dyn Array, row: usize) -> io::Result<()> {
    match column.data_type() {
        DataType::Utf8 => push_text(line, column.as_string::<i32>().value(row).as_bytes()),
        DataType::Int64 => write!(line, "{}", column.as_primitive::<Int64Type>().value(row))?,
        DataType::Int32 => write!(line, "{}", column.as_primitive::<Int32Type>().value(row))?,
        DataType::Int16 => write!(line, "{}", column.as_primitive::<Int16Type>().value(row))?,
        DataType::Int8 => write!(line, "{}", column.as_primitive::<Int8Type>().value(row))?,
        // Debug writes the shortest text that reads back as the same number, with an exponent where that is shorter.
        DataType::Float64 => write!(line, "{:?}", column.as_primitive::<Float64Type>().value(row))?,
        DataType::Float32 => write!(line, "{:?}", column.as_primitive::<Float32Type>().value(row))?,
        DataType::Boolean => line.extend_from_slice(if column.as_boolean().value(row) { b"true" } else { b"false" }),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let date = format_instant(micros).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the date {micros} µs is out of range"))
            })?;
            line.extend_from_slice(date.as_bytes());
        }
        other => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{other} is not a type of rows"))),
    }
    Ok(())
}

/// An instant as DSS writes it: ISO in UTC, with milliseconds, or microseconds where there are some.
pub(crate) fn format_instant(micros: i64) -> Option<String> {
    let form = if micros % 1000 == 0 { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    Some(DateTime::from_timestamp_micros(micros)?.format(form).to_string())
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
