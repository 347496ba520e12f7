//! `wharf component inspect`.

use std::path::Path;

use serde_json::Value;
use wharf::Inspection;
use wharf_model::quantity::describe_bytes;

use super::{Ending, cases};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::failure::fault_lines;
use crate::resolved;
use crate::table::Table;

pub(super) fn execute(global: &GlobalArguments, path: &Path, console: &mut Console) -> Ending {
    let subject = cases::project(path)?.subject()?;
    // It needs no home; the keys of one are used where there is one.
    let home = resolved::home(global.home.as_deref()).ok().filter(|home| home.site_file().is_file());
    let trust = home.map(|home| home.load_site()).transpose()?.map(|site| site.trust).unwrap_or_default();
    let inspection = wharf::inspect_component(&subject.file, &trust)?;
    let code = inspection.fault.as_ref().map_or(exit_code::SUCCEEDED, exit_code::of_fault);
    if console.is_json() {
        console.json_line(&inspection)?;
        return Ok(code);
    }
    show(&inspection, console)?;
    Ok(code)
}

fn show(inspection: &Inspection, console: &mut Console) -> std::io::Result<()> {
    let mut rows = vec![("file", inspection.file.display().to_string())];
    if let Some(metadata) = &inspection.metadata {
        rows.push(("name", metadata.name.clone()));
        rows.push(("version", metadata.version.clone()));
        rows.push(("about", metadata.description.clone()));
    }
    rows.push(("kind", inspection.world.map_or_else(|| "unknown".to_owned(), |world| world.to_string())));
    rows.push(("made for", format!("wharf:plugin {}", inspection.wit_version.as_deref().unwrap_or("(no version)"))));
    rows.push(("size", describe_bytes(inspection.size)));
    rows.push(("digest", format!("sha256:{}", inspection.digest)));
    rows.push(("signature", inspection.signature.clone().unwrap_or_else(|| "none beside it".to_owned())));
    for producer in &inspection.producers {
        rows.push(("made with", format!("{} {} ({})", producer.name, producer.version, producer.field)));
    }
    for (name, value) in rows {
        console.line(&format!("{name:<10} {}", for_terminal(&value)))?;
    }
    let mut table = Table::new(["IMPORTS", "LETS IT", "NEEDS"]);
    for import in &inspection.imports {
        table.row([
            for_terminal(&import.name),
            import.meaning.to_owned(),
            import.grant.map_or_else(String::new, |grant| format!("[grants] {grant}")),
        ]);
    }
    section(&table, inspection.imports.is_empty(), console)?;
    let mut table = Table::new(["EXPORTS"]);
    inspection.exports.iter().for_each(|name| table.row([for_terminal(name)]));
    section(&table, inspection.exports.is_empty(), console)?;
    let schema = inspection.metadata.as_ref().and_then(|metadata| metadata.settings_schema.as_deref());
    let settings = schema.and_then(|text| serde_json::from_str(text).ok()).map(|schema: Value| settings(&schema));
    let settings = settings.unwrap_or_default();
    let mut table = Table::new(["SETTING", "TYPE", "DEFAULT", "ABOUT"]);
    for [name, kind, default, about] in &settings {
        table.row([for_terminal(name), for_terminal(kind), for_terminal(default), for_terminal(about)]);
    }
    section(&table, settings.is_empty(), console)?;
    if let Some(fault) = &inspection.fault {
        let head = console.out().paint(Tone::Bad, &format!("it can't be loaded: error[{}]", fault.code));
        for line in fault_lines(&head, fault) {
            console.line(&line)?;
        }
    }
    Ok(())
}

fn section(table: &Table, empty: bool, console: &mut Console) -> std::io::Result<()> {
    if empty {
        return Ok(());
    }
    console.line("")?;
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(())
}

/// The rows of a settings table: name, type, default, description.
fn settings(schema: &Value) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    collect(schema, schema, "", 0, &mut rows);
    rows
}

/// How deep tables in tables are shown.
const DEEPEST: usize = 4;

fn collect(root: &Value, schema: &Value, prefix: &str, depth: usize, rows: &mut Vec<[String; 4]>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = |name: &str| schema["required"].as_array().is_some_and(|list| list.iter().any(|key| key == name));
    for (name, property) in properties {
        let target = resolve(root, property);
        let name_shown = format!("{prefix}{name}");
        let default = match &property["default"] {
            Value::Null if required(name) => "(required)".to_owned(),
            Value::Null => String::new(),
            value => value.to_string(),
        };
        let about = property["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        rows.push([name_shown.clone(), kind(root, property, 0), default, about.replace('\n', " ")]);
        if depth < DEEPEST {
            collect(root, target, &format!("{name_shown}."), depth + 1, rows);
        }
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) else { return schema };
    root.pointer(path).unwrap_or(schema)
}

fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > DEEPEST {
        return "…".to_owned();
    }
    let schema = resolve(root, schema);
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(list) = schema[choice].as_array() {
            let kinds: Vec<String> = list.iter().map(|one| kind(root, one, depth + 1)).collect();
            return kinds.into_iter().filter(|kind| kind != "null").collect::<Vec<_>>().join(" | ");
        }
    }
    if !schema["const"].is_null() {
        return schema["const"].to_string();
    }
    let word = match &schema["type"] {
        Value::String(word) => word.clone(),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect();
            words.join(" | ")
        }
        _ => "any".to_owned(),
    };
    match (word.as_str(), &schema["items"], &schema["additionalProperties"]) {
        ("array", items @ Value::Object(_), _) => format!("list of {}", kind(root, items, depth + 1)),
        ("object", _, values @ Value::Object(_)) => format!("table of {}", kind(root, values, depth + 1)),
        ("object", ..) => "table".to_owned(),
        ("array", ..) => "list".to_owned(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_becomes_rows() {
        let schema = json!({
            "properties": {
                "ceilings": { "type": "object", "additionalProperties": { "$ref": "#/$defs/ceiling" }, "description": "By\ngroup." },
                "except": { "type": "array", "items": { "type": "string" }, "default": [] },
                "mode": { "enum": ["clamp", "reject"] },
                "inner": { "$ref": "#/$defs/ceiling" },
                "loop": { "$ref": "#/$defs/loop" },
            },
            "required": ["mode"],
            "$defs": {
                "ceiling": { "type": "object", "properties": { "memory": { "type": ["string", "null"] } } },
                "loop": { "anyOf": [{ "$ref": "#/$defs/loop" }] },
            },
        });
        let rows = settings(&schema);
        let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap().clone();
        assert_eq!(row("ceilings")[1..], ["table of table", "", "By group."]);
        assert_eq!(row("except")[1..], ["list of string", "[]", ""]);
        assert_eq!(row("mode")[1..3], ["\"clamp\" | \"reject\"", "(required)"]);
        assert_eq!(row("inner.memory")[1], "string");
        assert!(row("loop")[1].contains('…'));
    }
}
