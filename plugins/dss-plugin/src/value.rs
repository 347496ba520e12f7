//! Whether a value fits the declaration of a parameter.

use serde_json::{Map, Value as Json};

use crate::json::{shown, to_number};
use crate::param::{Param, ParamType};

/// The value as a recipe gets it; `None` when the parameter doesn't take it.
///
/// Text is turned into what is declared: command lines have nothing else. For lists and objects it is JSON. Of presets,
/// secrets and objects in lists only the outermost is looked at.
pub(crate) fn fit(param: &Param, value: &Json) -> Option<Json> {
    match &param.kind {
        ParamType::String | ParamType::Textarea | ParamType::Column | ParamType::Object(_) => text(value),
        ParamType::Date => date(value),
        ParamType::Int => whole(value, param),
        ParamType::Double => number(value, param),
        ParamType::Boolean => boolean(value),
        ParamType::Select if has_choices(param) => choice(value, param),
        // Which ones there are isn't known here.
        ParamType::Select => {
            if matches!(value, Json::Array(_) | Json::Object(_)) {
                None
            } else {
                Some(value.clone())
            }
        }
        ParamType::Strings | ParamType::Columns | ParamType::Objects(_) => list(value, text),
        ParamType::Doubles => list(value, |item| number(item, param)),
        ParamType::Multiselect if has_choices(param) => list(value, |item| choice(item, param)),
        ParamType::Multiselect => list(value, text),
        ParamType::Array => list(value, |item| Some(item.clone())),
        ParamType::ObjectList => list(value, |item| item.is_object().then(|| item.clone())),
        ParamType::Map => from_text(value).filter(Json::is_object),
        ParamType::KeyValueList => pairs(value),
        ParamType::Separator => None,
        ParamType::Password | ParamType::Preset | ParamType::CredentialRequest | ParamType::Unknown(_) => {
            Some(value.clone())
        }
    }
}

/// Whether a parameter's default is a value that a required parameter may have.
pub(crate) fn has_default(param: &Param) -> bool {
    let default = param.default.as_ref().filter(|_| !param.kind.is_secret());
    default.and_then(|default| fit(param, default)).is_some_and(|value| !is_empty(param, &value))
}

/// Whether a form would show a value as nothing.
pub(crate) fn is_empty(param: &Param, value: &Json) -> bool {
    let is_choice = param.choices.iter().any(|choice| choice.value == *value);
    match value {
        _ if is_choice => false,
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        // A preset all of whose parameters are optional may have no values.
        Json::Object(map) => map.is_empty() && param.kind != ParamType::Preset,
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// Whether the choices of a SELECT or MULTISELECT are known.
fn has_choices(param: &Param) -> bool {
    !param.choices.is_empty() && !param.choices_from_code
}

fn text(value: &Json) -> Option<Json> {
    value.is_string().then(|| value.clone())
}

fn boolean(value: &Json) -> Option<Json> {
    match value {
        Json::Bool(_) => Some(value.clone()),
        Json::String(text) if text.eq_ignore_ascii_case("true") => Some(Json::Bool(true)),
        Json::String(text) if text.eq_ignore_ascii_case("false") => Some(Json::Bool(false)),
        _ => None,
    }
}

fn in_range(number: f64, param: &Param) -> bool {
    param.min.is_none_or(|min| number >= min) && param.max.is_none_or(|max| number <= max)
}

fn number(value: &Json, param: &Param) -> Option<Json> {
    let number = match value {
        Json::Number(number) => number.clone(),
        Json::String(text) => to_number(text.trim())?,
        _ => return None,
    };
    in_range(number.as_f64()?, param).then_some(Json::Number(number))
}

fn whole(value: &Json, param: &Param) -> Option<Json> {
    /// From here on, not every whole number has a floating-point number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Json::Number(number) = number(value, param)? else { return None };
    if number.is_i64() || number.is_u64() {
        return Some(Json::Number(number));
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number below 2^53")]
    Some(Json::from(float as i64))
}

/// The given value stays what it is: whether recipes compare with text or with a number isn't known.
fn choice(value: &Json, param: &Param) -> Option<Json> {
    let plain = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if matches!(value, Json::Array(_) | Json::Object(_)) {
        return None;
    }
    let same = param.choices.iter().any(|choice| choice.value == *value);
    let alike = || param.choices.iter().any(|choice| !choice.value.is_null() && plain(&choice.value) == plain(value));
    (same || alike()).then(|| value.clone())
}

fn date(value: &Json) -> Option<Json> {
    let text = value.as_str()?;
    let (day, rest) = text.split_at_checked(10)?;
    let mut parts = day.split('-');
    let mut part = |digits: usize, least: u32, most: u32| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|part| part.parse::<u32>().ok()).is_some_and(|n| (least..=most).contains(&n))
    };
    let is_day = part(4, 0, 9999) && part(2, 1, 12) && part(2, 1, 31);
    let is_time = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | 'Z');
    let time_follows =
        rest.is_empty() || (rest.starts_with(['T', ' ']) && rest.len() > 1 && rest[1..].chars().all(is_time));
    (is_day && time_follows).then(|| value.clone())
}

/// What text says as JSON; anything else is what it is.
fn from_text(value: &Json) -> Option<Json> {
    match value {
        Json::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

/// An object out of a value that is one, or whose text says one.
pub(crate) fn object(value: &Json) -> Option<Map<String, Json>> {
    match value {
        Json::Object(map) => Some(map.clone()),
        Json::String(text) if text.trim_start().starts_with('{') => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn list(value: &Json, item: impl Fn(&Json) -> Option<Json>) -> Option<Json> {
    let Json::Array(items) = from_text(value)? else { return None };
    items.iter().map(item).collect::<Option<_>>().map(Json::Array)
}

/// Pairs, or an object with the same meaning.
fn pairs(value: &Json) -> Option<Json> {
    let is_pair =
        |item: &Json| item.as_object().is_some_and(|pair| pair.contains_key("from") && pair.contains_key("to"));
    match from_text(value)? {
        Json::Array(items) => items.iter().all(is_pair).then_some(Json::Array(items)),
        Json::Object(map) => {
            Some(map.into_iter().map(|(from, to)| serde_json::json!({"from": from, "to": to})).collect())
        }
        _ => None,
    }
}

/// A value that a parameter doesn't take, for a sentence. Of a list, what is wrong in it.
pub(crate) fn misfit(param: &Param, value: &Json) -> String {
    let list = from_text(value).filter(|_| example(param).is_some());
    let items = list.as_ref().and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    match items.iter().find(|item| fit(param, &Json::Array(vec![(*item).clone()])).is_none()) {
        Some(item) if param.kind != ParamType::Map => format!("a list with {} in it", shown(item)),
        _ => shown(value),
    }
}

/// What a parameter takes, for a sentence about a value that it doesn't take.
pub(crate) fn expected(param: &Param) -> String {
    match &param.kind {
        ParamType::String | ParamType::Textarea | ParamType::Unknown(_) => "text".to_owned(),
        ParamType::Column => "the name of a column".to_owned(),
        ParamType::Object(kind) => format!("the name of a {kind}"),
        ParamType::Date => "a date such as 2024-01-31".to_owned(),
        ParamType::Int => format!("a whole number{}", range(param)),
        ParamType::Double => format!("a number{}", range(param)),
        ParamType::Boolean => "true or false".to_owned(),
        ParamType::Select if has_choices(param) => format!("one of {}", choices(param)),
        ParamType::Select => "text or a number".to_owned(),
        ParamType::Multiselect if has_choices(param) => format!("a list of some of {}", choices(param)),
        ParamType::Strings | ParamType::Multiselect => "a list of texts".to_owned(),
        ParamType::Columns => "a list of names of columns".to_owned(),
        ParamType::Objects(kind) => format!("a list of names of {kind}"),
        ParamType::Doubles => format!("a list of numbers{}", range(param)),
        ParamType::Array => "a list".to_owned(),
        ParamType::ObjectList => "a list of objects".to_owned(),
        ParamType::Map => "an object".to_owned(),
        ParamType::KeyValueList => "a list of pairs".to_owned(),
        ParamType::Separator => "nothing: it is a heading".to_owned(),
        ParamType::Password | ParamType::CredentialRequest => "the name of a secret".to_owned(),
        ParamType::Preset => "the name of a preset".to_owned(),
    }
}

/// How to write a list or an object as text, for whoever wrote other text.
pub(crate) fn example(param: &Param) -> Option<&'static str> {
    Some(match &param.kind {
        ParamType::Strings | ParamType::Multiselect | ParamType::Columns | ParamType::Objects(_) => "[\"a\", \"b\"]",
        ParamType::Doubles => "[1, 2.5]",
        ParamType::Array => "[1, \"a\"]",
        ParamType::ObjectList => "[{\"a\": 1}]",
        ParamType::Map => "{\"a\": \"b\"}",
        ParamType::KeyValueList => "[{\"from\": \"a\", \"to\": \"b\"}]",
        _ => return None,
    })
}

fn range(param: &Param) -> String {
    match (param.min, param.max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(", at least {min}"),
        (None, Some(max)) => format!(", at most {max}"),
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
    }
}

fn choices(param: &Param) -> String {
    const LISTED: usize = 20;
    let mut listed: Vec<String> = param.choices.iter().take(LISTED).map(|choice| shown(&choice.value)).collect();
    if param.choices.len() > LISTED {
        listed.push(format!("{} more", param.choices.len() - LISTED));
    }
    listed.join(", ")
}
