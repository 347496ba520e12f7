//! Takes an object of a file apart, key by key.

use std::collections::BTreeSet;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use serde_json::Value as Json;

use crate::fault::{Findings, Position};
use crate::json::{Document, kind_of, quoted, short, to_json};

/// An object whose keys are asked for one by one; the others are listed as unknown by [`Fields::finish`].
///
/// Keys whose value is null count as absent.
pub(crate) struct Fields<'d> {
    pub(crate) document: &'d Document<'d>,
    path: String,
    object: &'d Object<'d>,
    known: Vec<&'static str>,
}

impl<'d> Fields<'d> {
    /// `None`, with a fault, when the value is no object. `what` names it in that sentence.
    pub(crate) fn new(
        document: &'d Document<'d>,
        path: &str,
        what: &str,
        value: &'d Value<'d>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let Value::Object(object) = value else {
            findings.error(document.position(value), format!("{what} is {}; an object is expected", kind_of(value)));
            return None;
        };
        let mut seen = BTreeSet::new();
        for property in &object.properties {
            let name = property.name.as_str();
            if !seen.insert(name) {
                findings.lazy_warning(|| {
                    let text = format!("the key {} is there twice; the last one counts", quoted(name));
                    (document.position(property), text)
                });
            }
        }
        Some(Self { document, path: path.to_owned(), object, known: Vec::new() })
    }

    /// Where the object begins.
    pub(crate) fn position(&self) -> Position {
        self.document.position(self.object)
    }

    /// Where a key is, or the object when it isn't there.
    pub(crate) fn position_of(&self, key: &str) -> Position {
        self.property(key).map_or_else(|| self.position(), |property| self.document.position(property))
    }

    /// The JSON path of a key.
    pub(crate) fn path_of(&self, key: &str) -> String {
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain { format!("{}.{key}", self.path) } else { format!("{}[{}]", self.path, quoted(key)) }
    }

    fn property(&self, key: &str) -> Option<&'d ObjectProp<'d>> {
        self.object.properties.iter().rev().find(|property| property.name.as_str() == key)
    }

    /// The value of a key.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'d Value<'d>> {
        self.known.push(key);
        let value = &self.property(key)?.value;
        if matches!(value, Value::NullKeyword(_)) { None } else { Some(value) }
    }

    fn wrong(&self, key: &str, value: &Value<'_>, expected: &str, findings: &mut Findings) {
        findings.error(self.position_of(key), format!("{key} is {}; {expected} is expected", kind_of(value)));
    }

    /// Text that something depends on.
    pub(crate) fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<String> {
        match self.value(key)? {
            Value::StringLit(literal) => Some(literal.value.clone().into_owned()),
            other => {
                self.wrong(key, other, "text", findings);
                None
            }
        }
    }

    /// Text that is only shown: something else in its place hurts nobody.
    pub(crate) fn label(&mut self, key: &'static str, findings: &mut Findings) -> Option<String> {
        match self.value(key)? {
            Value::StringLit(literal) => Some(literal.value.clone().into_owned()),
            Value::NumberLit(literal) => Some(short(literal.value)),
            other => {
                let text = format!("{key} is {}; text is expected, and nothing is shown", kind_of(other));
                findings.warning(self.position_of(key), text);
                None
            }
        }
    }

    /// True or false, which may be written as text.
    pub(crate) fn flag(&mut self, key: &'static str, findings: &mut Findings) -> Option<bool> {
        match self.value(key)? {
            Value::BooleanLit(literal) => Some(literal.value),
            Value::StringLit(literal) if literal.value.eq_ignore_ascii_case("true") => Some(true),
            Value::StringLit(literal) if literal.value.eq_ignore_ascii_case("false") => Some(false),
            other => {
                self.wrong(key, other, "true or false", findings);
                None
            }
        }
    }

    /// A number, which may be written as text.
    pub(crate) fn number(&mut self, key: &'static str, findings: &mut Findings) -> Option<f64> {
        let value = self.value(key)?;
        let written = match value {
            Value::NumberLit(literal) => literal.value,
            Value::StringLit(literal) => literal.value.trim(),
            other => {
                self.wrong(key, other, "a number", findings);
                return None;
            }
        };
        let number = crate::json::to_number(written).and_then(|number| number.as_f64());
        if number.is_none() {
            findings.error(self.position_of(key), format!("{key} is {}; a number is expected", short(written)));
        }
        number
    }

    /// Any value, as plain JSON.
    pub(crate) fn json(&mut self, key: &'static str, findings: &mut Findings) -> Option<Json> {
        let value = self.value(key)?;
        to_json(value).map_err(|(at, text)| findings.error(self.document.position(at), text)).ok()
    }

    /// The elements of a list, each with its JSON path.
    pub(crate) fn items(&mut self, key: &'static str, findings: &mut Findings) -> Vec<(String, &'d Value<'d>)> {
        match self.value(key) {
            None => Vec::new(),
            Some(Value::Array(array)) => {
                let path = self.path_of(key);
                array.elements.iter().enumerate().map(|(index, value)| (format!("{path}[{index}]"), value)).collect()
            }
            Some(other) => {
                self.wrong(key, other, "a list", findings);
                Vec::new()
            }
        }
    }

    /// A list of texts; one text alone is a list of one.
    pub(crate) fn texts(&mut self, key: &'static str, findings: &mut Findings) -> Vec<String> {
        if let Some(Value::StringLit(literal)) = self.value(key) {
            return vec![literal.value.clone().into_owned()];
        }
        let mut texts = Vec::new();
        for (_, value) in self.items(key, findings) {
            match value {
                Value::StringLit(literal) => texts.push(literal.value.clone().into_owned()),
                other => {
                    let text = format!("{key} has {} in it; text is expected", kind_of(other));
                    findings.error(self.document.position(other), text);
                }
            }
        }
        texts
    }

    /// Another object below a key.
    pub(crate) fn object(&mut self, key: &'static str, findings: &mut Findings) -> Option<Self> {
        let value = self.value(key)?;
        Self::new(self.document, &self.path_of(key), key, value, findings)
    }

    /// Lists the keys that nobody asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for property in &self.object.properties {
            let name = property.name.as_str();
            if !self.known.contains(&name) {
                findings.unknown(|| (self.document.position(property), self.path_of(name)));
            }
        }
    }
}

/// Whether a name can be referred to and shown in a line; says so when not.
pub(crate) fn is_good_name(what: &str, name: &str, at: &Position, findings: &mut Findings) -> bool {
    let wrong = if name.is_empty() {
        format!("{what} has an empty name")
    } else if name.len() > 255 {
        format!("{what} has a name of {} bytes; at most 255 are possible", name.len())
    } else if name.chars().any(char::is_control) {
        format!("{what} has a control character in its name, {}", quoted(name))
    } else {
        return true;
    };
    findings.error(at.clone(), wrong);
    false
}
