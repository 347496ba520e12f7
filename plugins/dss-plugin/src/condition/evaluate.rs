//! From an expression and the parameters' values to true or false.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use super::parse::{Comparison, Expression, Function};

type Model = Map<String, Json>;

/// A value; `None` is `undefined`.
type Value = Option<Json>;

pub(super) fn is_true(expression: &Expression, model: &Model) -> bool {
    // Without a copy of what is only looked at for being there.
    match expression {
        Expression::Model => true,
        Expression::Not(inner) => !is_true(inner, model),
        Expression::And(left, right) => is_true(left, model) && is_true(right, model),
        Expression::Or(left, right) => is_true(left, model) || is_true(right, model),
        other => truthy(&value(other, model)),
    }
}

fn value(expression: &Expression, model: &Model) -> Value {
    match expression {
        Expression::Model => Some(Json::Object(model.clone())),
        Expression::Undefined => None,
        Expression::Literal(literal) => Some(literal.clone()),
        Expression::List(list) => {
            Some(Json::Array(list.iter().map(|item| value(item, model).unwrap_or(Json::Null)).collect()))
        }
        Expression::Not(inner) => Some(Json::Bool(!is_true(inner, model))),
        Expression::Negative(inner) => number(&value(inner, model)).map(|n| Json::from(-n)),
        Expression::And(left, right) => {
            let left = value(left, model);
            if truthy(&left) { value(right, model) } else { left }
        }
        Expression::Or(left, right) => {
            let left = value(left, model);
            if truthy(&left) { left } else { value(right, model) }
        }
        Expression::Choice(parts) => {
            let [condition, yes, no] = parts.as_ref();
            value(if is_true(condition, model) { yes } else { no }, model)
        }
        Expression::Compare(left, comparison, right) => {
            Some(Json::Bool(compare(&value(left, model), *comparison, &value(right, model))))
        }
        Expression::Member(of, key) => {
            let key = value(key, model);
            match of.as_ref() {
                // Without a copy of all parameters.
                Expression::Model => key.as_ref().and_then(Json::as_str).and_then(|key| model.get(key)).cloned(),
                of => member(&value(of, model)?, &key?),
            }
        }
        Expression::Call(of, function, arguments) => {
            let argument = arguments.first().and_then(|argument| value(argument, model));
            call(&value(of, model)?, *function, &argument)
        }
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        None | Some(Json::Null) => false,
        Some(Json::Bool(yes)) => *yes,
        Some(Json::Number(number)) => number.as_f64().is_some_and(|n| n != 0.0),
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Array(_) | Json::Object(_)) => true,
    }
}

fn member(of: &Json, key: &Json) -> Value {
    match (of, key) {
        (Json::String(text), Json::String(key)) if key == "length" => Some(Json::from(text.encode_utf16().count())),
        (Json::Array(list), Json::String(key)) if key == "length" => Some(Json::from(list.len())),
        (Json::Array(list), Json::Number(index)) => list.get(usize::try_from(index.as_u64()?).ok()?).cloned(),
        (Json::Object(map), Json::String(key)) => map.get(key).cloned(),
        _ => None,
    }
}

fn call(of: &Json, function: Function, argument: &Value) -> Value {
    if let Json::Array(list) = of {
        let place = list.iter().position(|item| same(&Some(item.clone()), argument));
        return match function {
            Function::Includes => Some(Json::Bool(place.is_some())),
            Function::IndexOf => Some(place.map_or_else(|| Json::from(-1), Json::from)),
            _ => None,
        };
    }
    let Json::String(text) = of else { return None };
    let part = match argument {
        Some(Json::String(part)) => part.as_str(),
        _ => "undefined",
    };
    Some(match function {
        Function::Includes => Json::Bool(text.contains(part)),
        Function::IndexOf => {
            text.find(part).map_or_else(|| Json::from(-1), |at| Json::from(text[..at].encode_utf16().count()))
        }
        Function::StartsWith => Json::Bool(text.starts_with(part)),
        Function::EndsWith => Json::Bool(text.ends_with(part)),
        Function::ToLowerCase => Json::String(text.to_lowercase()),
        Function::ToUpperCase => Json::String(text.to_uppercase()),
        Function::Trim => Json::String(text.trim().to_owned()),
    })
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::Unequal => !equal(left, right),
        Comparison::Same => same(left, right),
        Comparison::NotSame => !same(left, right),
        Comparison::Less => order(left, right) == Some(Ordering::Less),
        Comparison::AtMost => order(left, right).is_some_and(Ordering::is_le),
        Comparison::More => order(left, right) == Some(Ordering::Greater),
        Comparison::AtLeast => order(left, right).is_some_and(Ordering::is_ge),
    }
}

/// `===`. Lists and objects are the same only as themselves, and nothing here is there twice.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (None, None) | (Some(Json::Null), Some(Json::Null)) => true,
        (Some(Json::Bool(left)), Some(Json::Bool(right))) => left == right,
        (Some(Json::String(left)), Some(Json::String(right))) => left == right,
        (Some(Json::Number(left)), Some(Json::Number(right))) => left.as_f64() == right.as_f64(),
        _ => false,
    }
}

/// `==`.
fn equal(left: &Value, right: &Value) -> bool {
    let nothing = |value: &Value| matches!(value, None | Some(Json::Null));
    let compound = |value: &Value| matches!(value, Some(Json::Array(_) | Json::Object(_)));
    if nothing(left) || nothing(right) {
        return nothing(left) && nothing(right);
    }
    if same(left, right) {
        return true;
    }
    if compound(left) || compound(right) || (is_text(left) && is_text(right)) {
        return false;
    }
    matches!((number(left), number(right)), (Some(left), Some(right)) if left == right)
}

fn is_text(value: &Value) -> bool {
    matches!(value, Some(Json::String(_)))
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Some(Json::String(left)), Some(Json::String(right))) = (left, right) {
        return Some(left.cmp(right));
    }
    number(left)?.partial_cmp(&number(right)?)
}

/// What JavaScript makes a number of; `None` is not-a-number.
fn number(value: &Value) -> Option<f64> {
    match value {
        Some(Json::Null) => Some(0.0),
        Some(Json::Bool(yes)) => Some(f64::from(u8::from(*yes))),
        Some(Json::Number(number)) => number.as_f64(),
        Some(Json::String(text)) if text.trim().is_empty() => Some(0.0),
        Some(Json::String(text)) => crate::json::to_number(text.trim()).and_then(|number| number.as_f64()),
        None | Some(Json::Array(_) | Json::Object(_)) => None,
    }
}
