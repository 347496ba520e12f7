//! JSON as plugins have it: with comments, trailing commas, single quotes, names without quotes, a byte order mark.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Number, Value as Json};

use crate::fault::{Fault, Position, Severity};

/// The largest file that is read.
const MAX_BYTES: usize = 8 << 20;

/// The most values that a file may have: in the syntax tree, an element takes up to 25 times what it takes as text.
const MAX_VALUES: usize = 200_000;

/// How far apart the places are of which the line is kept.
const STRIDE: usize = 1024;

/// A file of the plugin, parsed.
///
/// The syntax tree borrows from the text, so that a large file isn't in memory several times.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    /// How many lines end before each multiple of [`STRIDE`].
    lines: Vec<u32>,
    /// What the file has in it.
    pub(crate) root: Value<'a>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(file: &'a str, bytes: &'a [u8]) -> Result<Self, Fault> {
        let fault = |line, text: String| Fault {
            at: Position { file: file.to_owned(), line },
            severity: Severity::Error,
            text,
        };
        let text = decode(bytes).map_err(|(line, text)| fault(line, text))?;
        // Each value but one comes after one of these. Those in texts are counted along: no prose has so many.
        let values = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        if values > MAX_VALUES {
            return Err(fault(0, format!("the file has too many values; at most {MAX_VALUES} are read")));
        }
        let options = ParseOptions {
            // A missing comma is a missing quote as often, and then the rest means something else.
            allow_missing_commas: false,
            // JSON can't carry them on to the recipe.
            allow_non_finite_numbers: false,
            ..ParseOptions::default()
        };
        let parsed = parse_to_ast(text, &CollectOptions::default(), &options)
            .map_err(|e| fault(e.line_display(), syntax(e.kind())))?;
        let Some(root) = parsed.value else { return Err(fault(0, "the file is empty".to_owned())) };
        let mut lines = Vec::with_capacity(text.len() / STRIDE + 1);
        let mut count = 0;
        for part in text.as_bytes().chunks(STRIDE) {
            lines.push(count);
            count += newlines(part);
        }
        Ok(Self { file, text, lines, root })
    }

    /// Where something of the syntax tree begins.
    pub(crate) fn position(&self, of: &impl Ranged) -> Position {
        let offset = of.start().min(self.text.len());
        let before = self.lines.get(offset / STRIDE).copied().unwrap_or_default();
        let line = before + newlines(&self.text.as_bytes()[offset / STRIDE * STRIDE..offset]) + 1;
        Position { file: self.file.to_owned(), line: line as usize }
    }
}

fn newlines(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(*byte == b'\n')).sum()
}

/// The text of a file, without a byte order mark; or the line and a sentence.
fn decode(bytes: &[u8]) -> Result<&str, (usize, String)> {
    if bytes.len() > MAX_BYTES {
        return Err((0, format!("the file has {} bytes; at most {MAX_BYTES} are read", bytes.len())));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((0, "the file is UTF-16; save it as UTF-8".to_owned()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(e) => {
            let line = newlines(&bytes[..e.valid_up_to()]) as usize + 1;
            Err((line, "the file isn't UTF-8; save it as UTF-8".to_owned()))
        }
    }
}

/// The parser's messages begin with a capital and stand alone; these go on after `file:line: `.
fn syntax(kind: &ParseErrorKind) -> String {
    match kind {
        ParseErrorKind::NestingDepthExceeded => "values are nested too deep".to_owned(),
        ParseErrorKind::MultipleRootJsonValues => "there is something after the end of the JSON value".to_owned(),
        other => {
            let text = other.to_string();
            let mut chars = text.chars();
            let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
            format!("not JSON: {first}{}", chars.as_str())
        }
    }
}

/// A value as plain JSON.
///
/// # Errors
/// A number that JSON can't carry, and where it is. The depth is that of the parser, which limits it.
pub(crate) fn to_json<'v, 'a>(value: &'v Value<'a>) -> Result<Json, (&'v Value<'a>, String)> {
    Ok(match value {
        Value::NullKeyword(_) => Json::Null,
        Value::BooleanLit(literal) => Json::Bool(literal.value),
        Value::StringLit(literal) => Json::String(literal.value.clone().into_owned()),
        Value::NumberLit(literal) => Json::Number(
            to_number(literal.value)
                .ok_or_else(|| (value, format!("the number {} is out of range", short(literal.value))))?,
        ),
        Value::Array(array) => Json::Array(array.elements.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Object(object) => {
            let mut map = Map::new();
            for property in &object.properties {
                map.insert(property.name.as_str().to_owned(), to_json(&property.value)?);
            }
            Json::Object(map)
        }
    })
}

/// A number as it is written, with the liberties of JSON5: `+1`, `.5`, `5.`, `0x1F`.
pub(crate) fn to_number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let magnitude = i64::from_str_radix(hexadecimal, 16).ok()?;
        return Some(Number::from(if negative { -magnitude } else { magnitude }));
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = signed.parse::<i64>() {
        return Some(Number::from(whole));
    }
    if let Ok(whole) = signed.parse::<u64>() {
        return Some(Number::from(whole));
    }
    Number::from_f64(signed.parse::<f64>().ok()?)
}

/// A text that can be of any length, for a sentence.
pub(crate) fn short(text: &str) -> String {
    const KEPT: usize = 60;
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text in quotes, with its control characters escaped, and shortened.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", short(text))
}

/// A value for a sentence: what is short is written out, the rest is named by its kind.
pub(crate) fn shown(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    }
}

/// What kind of value this is, for a sentence.
pub(crate) fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::NullKeyword(_) => "null",
        Value::BooleanLit(_) => "true or false",
        Value::StringLit(_) => "text",
        Value::NumberLit(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Json, String> {
        let document = Document::parse("f.json", text.as_bytes()).map_err(|fault| fault.to_string())?;
        to_json(&document.root).map_err(|(at, text)| format!("{}: {text}", document.position(at)))
    }

    #[test]
    fn what_editors_of_plugins_write_is_read() {
        let text = "\u{feff}// a comment\n{ /* another */ 'one': 'it\\'s', two: [1, 2.5, +3, .5, 5., 0x1f,], \"e\": \"\\ud83d\\ude00\\u0000\",\n}\n";
        let expected = serde_json::json!({"one": "it's", "two": [1, 2.5, 3, 0.5, 5.0, 31], "e": "😀\0"});
        assert_eq!(json(text), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("", "f.json: the file is empty"),
            ("// nothing\n", "f.json: the file is empty"),
            ("{\n\"a\": 1\n\"b\": 2}", "f.json:2: not JSON: expected comma"),
            ("{\n\n\"a\" 1}", "f.json:3: not JSON: expected colon after the string or word in object property"),
            ("{\"a\": 1}\n{}", "f.json:2: there is something after the end of the JSON value"),
            ("[1,\n1e999]", "f.json:2: the number 1e999 is out of range"),
            ("[NaN]", "f.json:1: not JSON: unexpected token"),
            ("[\"a\n", "f.json:1: not JSON: unterminated string literal"),
            ("[,]", "f.json:1: not JSON: unexpected comma"),
        ] {
            assert_eq!(json(text), Err(expected.to_owned()), "{text}");
        }
        let lone = json("[\n\"\\ud800\"]").expect_err("a lone surrogate");
        assert!(lone.starts_with("f.json:2: not JSON: invalid unicode escape"), "{lone}");
    }

    #[test]
    fn bytes_that_are_no_utf_8_and_large_files_are_refused() {
        let said = |bytes: &[u8]| Document::parse("f.json", bytes).err().map(|fault| fault.to_string());
        assert_eq!(said(b"{\n\"a\": \"\xff\"}").as_deref(), Some("f.json:2: the file isn't UTF-8; save it as UTF-8"));
        assert_eq!(said(b"\xff\xfe{\0}\0").as_deref(), Some("f.json: the file is UTF-16; save it as UTF-8"));
        let mut large = vec![b' '; MAX_BYTES];
        large[0] = b'7';
        assert_eq!(said(&large), None);
        large.push(b' ');
        assert_eq!(said(&large).as_deref(), Some("f.json: the file has 8388609 bytes; at most 8388608 are read"));
    }

    #[test]
    fn deep_nesting_is_an_error() {
        for open in ["[", "{\"a\":", "[{a:"] {
            let text = open.repeat(100_000);
            assert_eq!(json(&text), Err("f.json:1: values are nested too deep".to_owned()), "{open}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(json(&deep).is_ok());
    }

    #[test]
    fn files_of_very_many_values_are_refused() {
        let list = |count: usize| json(&format!("[{}]", "0,".repeat(count)));
        assert!(list(MAX_VALUES - 1).is_ok());
        assert_eq!(list(MAX_VALUES), Err("f.json: the file has too many values; at most 200000 are read".to_owned()));
    }

    #[test]
    fn positions_are_right_in_long_files() {
        let text = format!("[\n{}]", "1,\n".repeat(5000));
        let document = Document::parse("f.json", text.as_bytes()).expect("a list");
        let Value::Array(array) = &document.root else { panic!("not a list") };
        for (index, element) in array.elements.iter().enumerate() {
            assert_eq!(document.position(element).line, index + 2);
        }
    }
}
