//! The types of DSS's columns, and what they are in Arrow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use wharf_model::protocol::{Column, Schema};

/// Under this key a field remembers its DSS type, where Arrow's says less.
const KIND_KEY: &str = "dss.type";
/// More columns than anybody has; so many at most are parsed.
pub(crate) const MAX_COLUMNS: usize = 16_384;

/// `date`: an instant, in UTC.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What a DSS type is in Arrow; `None` for one that doesn't exist.
pub(crate) fn arrow_type(kind: &str) -> Option<DataType> {
    Some(match kind {
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "date" => instant(),
        // These five travel as JSON or WKT text.
        "string" | "array" | "map" | "object" | "geopoint" | "geometry" => DataType::Utf8,
        _ => return None,
    })
}

/// What an Arrow type is in DSS; `None` for one that rows can't have.
fn dss_kind(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Int8 => "tinyint",
        DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "int",
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint",
        DataType::Float16 | DataType::Float32 => "float",
        DataType::Float64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "double",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => "date",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "string",
        DataType::Time32(_) | DataType::Time64(_) => "string",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "array",
        DataType::Map(..) => "map",
        DataType::Struct(_) => "object",
        DataType::Dictionary(_, value) if !value.is_nested() => dss_kind(value)?,
        _ => return None,
    })
}

/// The DSS schema of Arrow's; the error names the column that can't be one of a dataset.
pub(crate) fn schema_of(arrow: &arrow_schema::Schema) -> Result<Schema, String> {
    let columns = arrow.fields().iter().map(|field| {
        let remembered = field
            .metadata()
            .get(KIND_KEY)
            .filter(|kind| arrow_type(kind).is_some_and(|data_type| data_type == *field.data_type()));
        let kind = match remembered {
            Some(kind) => kind.as_str(),
            None => dss_kind(field.data_type()).ok_or_else(|| {
                format!("its column {:?} is of type {}, which a dataset cannot have", field.name(), field.data_type())
            })?,
        };
        Ok(Column { name: field.name().clone(), kind: kind.to_owned() })
    });
    columns.collect::<Result<_, _>>().map(|columns| Schema { columns })
}

/// The Arrow schema of DSS's; the error names the column whose type doesn't exist.
pub(crate) fn arrow_schema(schema: &Schema) -> Result<SchemaRef, String> {
    if schema.columns.is_empty() {
        return Err("a schema has at least one column".to_owned());
    }
    if schema.columns.len() > MAX_COLUMNS {
        return Err(format!("a schema has at most {MAX_COLUMNS} columns"));
    }
    let fields = schema.columns.iter().map(|column| {
        let data_type = arrow_type(&column.kind).ok_or_else(|| {
            format!(
                "its column {:?} has the type {:?}, which does not exist; there are string, tinyint, smallint, int, \
                 bigint, float, double, boolean, date, array, map, object, geopoint and geometry",
                column.name, column.kind
            )
        })?;
        let metadata = HashMap::from([(KIND_KEY.to_owned(), column.kind.clone())]);
        Ok(Field::new(&column.name, data_type, true).with_metadata(metadata))
    });
    let fields = fields.collect::<Result<Vec<_>, String>>()?;
    Ok(Arc::new(arrow_schema::Schema::new(fields)))
}

/// Every column a string.
pub(crate) fn strings(names: &[String]) -> Schema {
    let columns = names.iter().map(|name| Column { name: name.clone(), kind: "string".to_owned() });
    Schema { columns: columns.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_comes_back_as_itself() {
        let kinds = [
            "string", "tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "date", "array", "map",
            "object", "geopoint", "geometry",
        ];
        let columns = kinds.iter().map(|kind| Column { name: format!("a {kind}"), kind: (*kind).to_owned() });
        let schema = Schema { columns: columns.collect() };
        assert_eq!(schema_of(&arrow_schema(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn what_cannot_be_a_column_is_named() {
        let odd = Schema { columns: vec![Column { name: "x".to_owned(), kind: "text".to_owned() }] };
        assert!(arrow_schema(&odd).unwrap_err().contains("\"text\""));
        let binary = arrow_schema::Schema::new(vec![Field::new("b", DataType::Binary, true)]);
        assert!(schema_of(&binary).unwrap_err().contains("\"b\" is of type Binary"));
    }
}
