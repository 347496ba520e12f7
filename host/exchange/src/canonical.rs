//! Any Arrow batch, as a batch whose columns have the types of DSS.

use std::fmt::Write;
use std::sync::Arc;

use crate::csv::{format_instant, parse_date};
use arrow_array::builder::{Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray};
use arrow_cast::display::array_value_to_string;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};

/// What the texts of a nested column may be in one batch; readers give those in parts.
const MAX_TEXT: usize = 64 << 20;

/// Converts a batch's columns, by position, to a schema; an error names the column and what is wrong.
pub(crate) fn canonical(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        convert(column, field.data_type()).map_err(|error| format!("column {:?}: {error}", field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| error.to_string())
}

fn convert(column: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    match (column.data_type(), target) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (DataType::Dictionary(_, value), _) => convert(&cast_with_options(column, value, &strict)?, target),
        (DataType::Float16 | DataType::Float32 | DataType::Float64, to) if to.is_integer() => {
            let doubles = cast_with_options(column, &DataType::Float64, &strict)?;
            cast_with_options(&integers(doubles.as_primitive::<Float64Type>())?, to, &strict)
        }
        (from, DataType::Utf8) if from.is_nested() => {
            let mut texts = StringBuilder::new();
            let mut written = 0;
            for row in 0..column.len() {
                if column.is_null(row) {
                    texts.append_null();
                } else {
                    let mut text = String::new();
                    write_json(&mut text, column.as_ref(), row)?;
                    written += text.len();
                    if written > MAX_TEXT {
                        return Err(too_large());
                    }
                    texts.append_value(text);
                }
            }
            Ok(Arc::new(texts.finish()))
        }
        (DataType::Timestamp(_, Some(_)), DataType::Utf8) => {
            let instants = instants(column)?;
            let texts = instants.iter().map(|micros| micros.and_then(format_instant)).collect::<StringArray>();
            Ok(Arc::new(texts))
        }
        (DataType::Timestamp(..) | DataType::Date32 | DataType::Date64, DataType::Timestamp(..)) => {
            Ok(Arc::new(instants(column)?))
        }
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, DataType::Timestamp(..)) => {
            let texts = cast_with_options(column, &DataType::Utf8, &strict)?;
            let mut values = TimestampMicrosecondBuilder::with_capacity(texts.len());
            for text in texts.as_string::<i32>() {
                values.append_option(match text.filter(|text| !text.is_empty()) {
                    Some(text) => Some(
                        parse_date(text)
                            .ok_or_else(|| ArrowError::CastError(format!("{:?} is not a date", shortened(text))))?,
                    ),
                    None => None,
                });
            }
            Ok(Arc::new(values.finish().with_timezone("UTC")))
        }
        (from, DataType::Timestamp(..)) if *from != DataType::Null => {
            Err(ArrowError::CastError(format!("a value of type {from} is not a date")))
        }
        _ => cast_with_options(column, target, &strict),
    }
}

/// Instants in UTC. What has no zone is in UTC, and what has one counts from the same moment whatever its zone.
fn instants(column: &ArrayRef) -> Result<TimestampMicrosecondArray, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let plain = match column.data_type() {
        // By way of a number: a cast would have to know the zone by its name.
        DataType::Timestamp(unit, Some(_)) => {
            let number = cast_with_options(column, &DataType::Int64, &strict)?;
            cast_with_options(&number, &DataType::Timestamp(*unit, None), &strict)?
        }
        _ => Arc::clone(column),
    };
    let micros = cast_with_options(&plain, &DataType::Timestamp(TimeUnit::Microsecond, None), &strict)?;
    Ok(micros.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC"))
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Doubles that are integers, as integers. Not a number is null: so tables write a missing integer.
fn integers(doubles: &arrow_array::Float64Array) -> Result<ArrayRef, ArrowError> {
    /// 2^63: the first that is too large; every double below it that is an integer fits.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    let mut values = Int64Builder::with_capacity(doubles.len());
    for value in doubles {
        match value {
            None => values.append_null(),
            Some(value) if value.is_nan() => values.append_null(),
            Some(value) if value.fract() == 0.0 && (-TOO_LARGE..TOO_LARGE).contains(&value) => {
                #[expect(clippy::cast_possible_truncation, reason = "an integer within the range, as just checked")]
                values.append_value(value as i64);
            }
            Some(value) => return Err(ArrowError::CastError(format!("{value} is not an integer"))),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn write_json(text: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
    // Nulls take no memory in Arrow and four letters here, and many rows of a dictionary may share one text.
    if text.len() > MAX_TEXT {
        return Err(too_large());
    }
    if array.is_null(row) {
        text.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::List(_) => write_json_list(text, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => write_json_list(text, &array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => write_json_list(text, &array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            text.push('{');
            for (index, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                separate(text, index);
                push_quoted(text, field.name());
                text.push(':');
                write_json(text, column.as_ref(), row)?;
            }
            text.push('}');
            Ok(())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            text.push('{');
            for entry in 0..entries.len() {
                separate(text, entry);
                push_quoted(text, &array_value_to_string(entries.column(0), entry)?);
                text.push(':');
                write_json(text, entries.column(1).as_ref(), entry)?;
            }
            text.push('}');
            Ok(())
        }
        DataType::Boolean => {
            text.push_str(if array.as_boolean().value(row) { "true" } else { "false" });
            Ok(())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let value = array_value_to_string(array, row)?;
            let finite = value.parse::<f64>().is_ok_and(f64::is_finite);
            text.push_str(if finite { &value } else { "null" });
            Ok(())
        }
        number if number.is_integer() => {
            let _ = write!(text, "{}", array_value_to_string(array, row)?);
            Ok(())
        }
        other if other.is_nested() => {
            Err(ArrowError::CastError(format!("a value of type {other} inside another cannot be written")))
        }
        _ => {
            push_quoted(text, &array_value_to_string(array, row)?);
            Ok(())
        }
    }
}

fn write_json_list(text: &mut String, values: &dyn Array) -> Result<(), ArrowError> {
    text.push('[');
    for index in 0..values.len() {
        separate(text, index);
        write_json(text, values, index)?;
    }
    text.push(']');
    Ok(())
}

fn too_large() -> ArrowError {
    ArrowError::ComputeError("its texts are over 64 MiB; write smaller batches".to_owned())
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn push_quoted(text: &mut String, value: &str) {
    text.push_str(&serde_json::Value::from(value).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{
        Date32Array, Float64Array, Int64Array, ListArray, StructArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow_schema::Field;

    fn texts(column: &ArrayRef, target: &DataType) -> Vec<String> {
        let column = convert(column, target).unwrap();
        assert_eq!(column.data_type(), target);
        (0..column.len())
            .map(
                |row| {
                    if column.is_null(row) { "null".to_owned() } else { array_value_to_string(&column, row).unwrap() }
                },
            )
            .collect()
    }

    #[test]
    fn doubles_become_integers_only_when_they_are() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(-3.0)]));
        assert_eq!(texts(&column, &DataType::Int64), ["1", "null", "null", "-3"]);
        for bad in [1.5, 9_223_372_036_854_775_808.0, f64::INFINITY] {
            let column: ArrayRef = Arc::new(Float64Array::from(vec![bad]));
            assert!(convert(&column, &DataType::Int64).is_err(), "{bad}");
        }
        let column: ArrayRef = Arc::new(Float64Array::from(vec![300.0]));
        assert!(convert(&column, &DataType::Int8).is_err());
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert!(convert(&column, &DataType::Int64).is_err());
    }

    #[test]
    fn instants_are_in_utc() {
        let nanos = 1_357_034_400_123_000_000;
        let micros = |column: &ArrayRef| {
            let column = convert(column, &crate::types::instant()).unwrap();
            assert_eq!(column.data_type(), &crate::types::instant());
            column.as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>()
        };
        let plain: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![nanos]));
        assert_eq!(micros(&plain), [Some(nanos / 1000)]);
        for zone in ["+02:00", "Europe/Paris", "UTC"] {
            let zoned: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![nanos]).with_timezone(zone));
            assert_eq!(micros(&zoned), [Some(nanos / 1000)], "{zone}");
            assert_eq!(texts(&zoned, &DataType::Utf8), ["2013-01-01T10:00:00.123Z"], "{zone}");
        }
        let day: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None]));
        assert_eq!(micros(&day), [Some(86_400_000_000), None]);
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("1970-01-02T02:00:00+02:00"), Some(""), None]));
        assert_eq!(micros(&text), [Some(86_400_000_000), None, None]);
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(convert(&number, &crate::types::instant()).unwrap_err().to_string().contains("not a date"));
    }

    #[test]
    fn nested_values_become_json() {
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]));
        assert_eq!(texts(&list, &DataType::Utf8), ["[1,null]", "null", "[]"]);
        let name: ArrayRef = Arc::new(StringArray::from(vec!["a\"b"]));
        let count: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
        let object: ArrayRef = Arc::new(StructArray::from(vec![
            (Arc::new(Field::new("n", DataType::Utf8, true)), name),
            (Arc::new(Field::new("c", DataType::Int64, true)), count),
        ]));
        assert_eq!(texts(&object, &DataType::Utf8), [r#"{"n":"a\"b","c":9223372036854775807}"#]);
    }
}
