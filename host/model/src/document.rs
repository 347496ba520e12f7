//! Reading TOML files for people: every error names the file, the line, what is wrong and what would be right.
//!
//! [`read`] gives a typed document. Checks that need more than a type look up the line of what they refuse with
//! [`line_of`], and offer the [`nearest`] valid spelling.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::Fault;

/// The code of a document's errors when the caller has no better one.
pub const CODE: &str = "file-invalid";

/// With more valid names than this, a hint doesn't list them all.
const LISTED: usize = 20;

/// Reads a TOML document; errors have the code `file-invalid`.
///
/// # Errors
/// The text isn't TOML, has a key that `T` doesn't know, lacks one that it needs, or has a value of another type.
pub fn read<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Fault> {
    read_as(CODE, file, text)
}

/// Reads a TOML document; errors have the given code.
///
/// # Errors
/// As [`read`].
pub fn read_as<T: DeserializeOwned>(code: &str, file: &Path, text: &str) -> Result<T, Fault> {
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        Fault::new(code, format!("this isn't TOML: {}", syntax(error.message())))
            .at(file, line)
            .hint("texts need quotes, tables are written [name], and every key stands once")
    })?;
    T::deserialize(root.into_deserializer()).map_err(|error| explain(code, file, text, &error))
}

/// The line of a key, counted from 1; a number in the path is the position in a list. `None` when it isn't there.
#[must_use]
pub fn line_of(text: &str, path: &[&str]) -> Option<u32> {
    let root = DeTable::parse(text).ok()?.into_inner();
    let (first, rest) = path.split_first()?;
    let (key, mut value) = root.get_key_value(*first)?;
    let mut start = key.span().start;
    for element in rest {
        match value.get_ref() {
            DeValue::Table(table) => {
                let (key, inner) = table.get_key_value(*element)?;
                start = key.span().start;
                value = inner;
            }
            DeValue::Array(list) => {
                value = list.get(element.parse::<usize>().ok()?)?;
                start = value.span().start;
            }
            _ => return None,
        }
    }
    Some(line_at(text, start))
}

/// The line on which the first line of a text stands, counted from 1. `None` when the path leads to no text.
#[must_use]
pub fn text_line_of(text: &str, key: &str) -> Option<u32> {
    let root = DeTable::parse(text).ok()?.into_inner();
    let value = root.get(key).filter(|value| matches!(value.get_ref(), DeValue::String(_)))?;
    let start = value.span().start;
    let written = text.get(start..)?;
    // A line break right after the quotes isn't part of the text.
    let skipped = ["'''", "\"\"\""].iter().any(|quotes| {
        written.strip_prefix(quotes).is_some_and(|rest| rest.starts_with('\n') || rest.starts_with("\r\n"))
    });
    Some(line_at(text, start) + u32::from(skipped))
}

/// The candidate that a misspelt word was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' ', '.'], "-");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| {
            let other = plain(candidate);
            let alike = strsim::jaro_winkler(&word, &other);
            // One that goes on where the other stops (`mem`, `memory`) is close, however long the rest is; and so is a
            // short word with two letters swapped, of which the measure thinks little.
            let begins = word.len() >= 3 && (other.starts_with(&word) || word.starts_with(&other));
            let slip = word.len() >= 3 && strsim::osa_distance(&word, &other) == 1;
            (candidate, if begins || slip { alike.max(0.9) } else { alike })
        })
        .filter(|(_, score)| *score >= 0.8)
        .max_by(|(one, near), (other, nearer)| near.total_cmp(nearer).then(other.len().cmp(&one.len())))
        .map(|(candidate, _)| candidate)
}

/// The error for a key that isn't one of the valid ones; `table` is the path of the table that it stands in.
#[must_use]
pub fn unknown_key(code: &str, key: &str, table: &[&str], valid: &[&str]) -> Fault {
    let mut message = format!("unknown key `{key}`");
    if !table.is_empty() {
        let _ = write!(message, " in [{}]", table.join("."));
    }
    if let Some(nearest) = nearest(key, valid.iter().copied()) {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    let fault = Fault::new(code, message);
    match valid {
        [] => fault.hint("nothing is expected here"),
        _ if valid.len() <= LISTED => fault.hint(format!("valid here: {}", valid.join(", "))),
        _ => fault,
    }
}

/// The error for a value that isn't one of the valid ones.
#[must_use]
pub fn unknown_value(code: &str, key: &str, value: &str, valid: &[&str]) -> Fault {
    let mut message = format!("`{key}` is \"{value}\", which isn't valid here");
    if let Some(nearest) = nearest(value, valid.iter().copied()) {
        let _ = write!(message, "; did you mean \"{nearest}\"?");
    }
    let fault = Fault::new(code, message);
    if valid.len() <= LISTED { fault.hint(format!("valid: {}", valid.join(", "))) } else { fault }
}

/// A typed error of the deserializer, in words.
fn explain(code: &str, file: &Path, text: &str, error: &toml::de::Error) -> Fault {
    let message = error.message();
    // A document's own error has no span when it is about the whole: then the first line is as good as any.
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let path = error.span().and_then(|span| path_at(text, &span)).unwrap_or_default();
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let (key, table) = match names.split_last() {
        Some((key, table)) => (*key, table),
        None => ("", [].as_slice()),
    };
    let fault = if message.starts_with("unknown field ") {
        unknown_key(code, key, table, &quoted_after(message, key))
    } else if message.starts_with("unknown variant ") {
        let value = value_at(text, &names).unwrap_or_default();
        unknown_value(code, &spell(&names), &value, &quoted_after(message, &value))
    } else if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let place = if names.is_empty() { String::new() } else { format!(" in [{}]", names.join(".")) };
        Fault::new(code, format!("`{missing}` is missing{place}"))
            .hint(format!("`{missing}` has no default: write it down"))
    } else if let Some((found, expected)) = found_and_expected(message) {
        let object = if key.is_empty() { "the document".to_owned() } else { format!("`{}`", spell(&names)) };
        Fault::new(code, format!("{object} is {found}; expected {expected}"))
    } else if key.is_empty() {
        Fault::new(code, message)
    } else {
        Fault::new(code, format!("`{}`: {message}", spell(&names)))
    };
    fault.at(file, Some(line))
}

/// A path as a person reads it: positions in lists count from 1 there.
fn spell(path: &[&str]) -> String {
    let mut spelt = String::new();
    for (at, element) in path.iter().enumerate() {
        match element.parse::<usize>() {
            Ok(position) if at > 0 => {
                let _ = write!(spelt, "[{}]", position + 1);
            }
            _ => {
                if at > 0 {
                    spelt.push('.');
                }
                spelt.push_str(element);
            }
        }
    }
    spelt
}

/// The words in backticks that a message lists after the one it is about.
fn quoted_after<'m>(message: &'m str, subject: &str) -> Vec<&'m str> {
    let subject = format!("`{subject}`");
    let rest = message.find(&subject).map_or(message, |at| &message[at + subject.len()..]);
    rest.split('`').skip(1).step_by(2).collect()
}

/// Takes "invalid type: map, expected f64" apart, and says both sides in TOML's words.
fn found_and_expected(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = match found {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        other => match other.split_once(' ') {
            Some(("string", text)) => format!("the text {text}"),
            Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
            Some(("floating", number)) => {
                format!("the number {}", number.trim_start_matches("point ").trim_matches('`'))
            }
            Some(("boolean", value)) => value.trim_matches('`').to_owned(),
            _ => other.to_owned(),
        },
    };
    let expected = match expected {
        "a string" | "string" | "str" | "a borrowed string" => "a text in quotes".to_owned(),
        "a boolean" | "bool" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("path ") => "a path in quotes".to_owned(),
        other => other.to_owned(),
    };
    Some((found, expected))
}

/// A parser's message, shortened to a sentence's part.
fn syntax(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("; ")
}

fn line_at(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    // At the end of a text that ends in a newline, the last line is the one above.
    let before = if offset == text.len() { before.strip_suffix(b"\n").unwrap_or(before) } else { before };
    u32::try_from(before.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX - 1) + 1
}

/// The path of the key or of the value that has this span.
fn path_at(text: &str, span: &Range<usize>) -> Option<Vec<String>> {
    fn search(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
        if value.span() == *span {
            return true;
        }
        match value.get_ref() {
            DeValue::Table(table) => search_table(table, span, path),
            DeValue::Array(list) => list.iter().enumerate().any(|(at, inner)| {
                path.push(at.to_string());
                search(inner, span, path) || {
                    path.pop();
                    false
                }
            }),
            _ => false,
        }
    }
    fn search_table(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
        table.iter().any(|(key, inner)| {
            path.push(key.get_ref().to_string());
            key.span() == *span || search(inner, span, path) || {
                path.pop();
                false
            }
        })
    }
    let root = DeTable::parse(text).ok()?.into_inner();
    let mut path = Vec::new();
    search_table(&root, span, &mut path).then_some(path)
}

/// The text at a path.
fn value_at(text: &str, path: &[&str]) -> Option<String> {
    let root = DeTable::parse(text).ok()?.into_inner();
    let (first, rest) = path.split_first()?;
    let mut value = root.get(*first)?.get_ref();
    for element in rest {
        value = match value {
            DeValue::Table(table) => table.get(*element)?.get_ref(),
            DeValue::Array(list) => list.get(element.parse::<usize>().ok()?)?.get_ref(),
            _ => return None,
        };
    }
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read to be refused")]
    struct Doc {
        name: String,
        #[serde(default)]
        cpus: Option<f64>,
        #[serde(default)]
        keep: u32,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        color: Option<Color>,
        #[serde(default)]
        colors: Vec<Color>,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        resources: Option<Resources>,
        #[serde(default)]
        free: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Color {
        Red,
        DarkBlue,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read to be refused")]
    struct Resources {
        memory: String,
        #[serde(default)]
        shm: Option<String>,
    }

    fn fault(text: &str) -> Fault {
        read::<Doc>(Path::new("a.toml"), text).expect_err(text)
    }

    #[test]
    fn says_where_and_what() {
        for (text, expected) in [
            ("name = \"a\"\nkepe = 1\n", "a.toml:2: unknown key `kepe`; did you mean `keep`?"),
            (
                "name = \"a\"\n\n[resources]\nmemory = \"1g\"\nmemmory = \"2g\"\n",
                "a.toml:5: unknown key `memmory` in [resources]; did you mean `memory`?",
            ),
            ("name = \"a\"\nzzz = 1\n", "a.toml:2: unknown key `zzz`"),
            ("name = \"a\"\n[cpus]\n", "a.toml:2: `cpus` is a table; expected a number"),
            ("name = 3\n", "a.toml:1: `name` is the number 3; expected a text in quotes"),
            ("name = \"a\"\nkeep = -5\n", "a.toml:2: `keep` is the number -5; expected a whole number, 0 or more"),
            ("name = \"a\"\nkeep = 1.5\n", "a.toml:2: `keep` is the number 1.5; expected a whole number, 0 or more"),
            ("name = \"a\"\non = \"yes\"\n", "a.toml:2: `on` is the text \"yes\"; expected true or false"),
            ("name = \"a\"\nlist = \"x\"\n", "a.toml:2: `list` is the text \"x\"; expected a list"),
            ("name = \"a\"\nlist = [\n\"x\",\n5]\n", "a.toml:4: `list[2]` is the number 5; expected a text in quotes"),
            ("name = \"a\"\nresources = 5\n", "a.toml:2: `resources` is the number 5; expected a table"),
            ("name = \"a\"\n[free]\nA = true\n", "a.toml:3: `free.A` is true; expected a text in quotes"),
            (
                "name = \"a\"\ncolor = \"dark-bleu\"\n",
                "a.toml:2: `color` is \"dark-bleu\", which isn't valid here; did you mean \"dark-blue\"?",
            ),
            (
                "name = \"a\"\ncolors = [\"red\", \"rde\"]\n",
                "a.toml:2: `colors[2]` is \"rde\", which isn't valid here; did you mean \"red\"?",
            ),
            ("keep = 1\n", "a.toml:1: `name` is missing"),
            ("name = \"a\"\n\n[resources]\nshm = \"1\"\n", "a.toml:3: `memory` is missing in [resources]"),
        ] {
            assert_eq!(fault(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn syntax_errors_have_a_line() {
        for (text, line) in [
            ("name = \"a\"\nkeep = one\n", 2),
            ("name = \"a\n", 1),
            ("name = \"a\"\n[resources\n", 2),
            ("name = \"a\"\n\nname = \"b\"\n", 3),
            ("name\n", 1),
        ] {
            let fault = fault(text);
            assert!(fault.message.starts_with("this isn't TOML: "), "{fault}");
            assert_eq!(fault.at.as_ref().and_then(|at| at.line), Some(line), "{fault}");
        }
    }

    #[test]
    fn lists_what_is_valid() {
        assert_eq!(
            fault("name = \"a\"\nzzz = 1\n").hint.as_deref(),
            Some("valid here: name, cpus, keep, on, color, colors, list, resources, free")
        );
        assert_eq!(fault("name = \"a\"\ncolor = \"x\"\n").hint.as_deref(), Some("valid: red, dark-blue"));
    }

    #[test]
    fn takes_the_callers_code() {
        let fault = read_as::<Doc>("config-invalid", Path::new("a.toml"), "").expect_err("empty");
        assert_eq!(fault.code, "config-invalid");
        assert_eq!(super::read::<Doc>(Path::new("a.toml"), "").expect_err("empty").code, CODE);
    }

    #[test]
    fn finds_lines() {
        let text = "a = 1\n\n[b]\nc = [\n  \"x\",\n  \"y\",\n]\n[b.\"d.e\"]\nf = { g = 2 }\n";
        assert_eq!(line_of(text, &["a"]), Some(1));
        assert_eq!(line_of(text, &["b"]), Some(3));
        assert_eq!(line_of(text, &["b", "c"]), Some(4));
        assert_eq!(line_of(text, &["b", "c", "1"]), Some(6));
        assert_eq!(line_of(text, &["b", "d.e", "f", "g"]), Some(9));
        assert_eq!(line_of(text, &["b", "x"]), None);
        assert_eq!(line_of(text, &[]), None);
        assert_eq!(line_of("not toml", &["a"]), None);
    }

    #[test]
    fn offers_only_what_is_near() {
        let keys = ["memory", "memory-swap", "cpus", "shm-size", "pids-limit"];
        assert_eq!(nearest("memmory", keys), Some("memory"));
        assert_eq!(nearest("mem", keys), Some("memory"));
        assert_eq!(nearest("MEMORY", keys), Some("memory"));
        assert_eq!(nearest("memory_swap", keys), Some("memory-swap"));
        assert_eq!(nearest("cpu", keys), Some("cpus"));
        assert_eq!(nearest("shm_size", keys), Some("shm-size"));
        assert_eq!(nearest("gpu-count", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_text_begins_after_its_quotes() {
        let text = "a = 1\nb = \"x\"\nc = '''\nfirst\nsecond\n'''\nd = \"\"\"first\n\"\"\"\n";
        let lines = ["a", "b", "c", "d", "e"].map(|key| text_line_of(text, key));
        assert_eq!(lines, [None, Some(2), Some(4), Some(7), None]);
    }
}
