//! The texts of a plan that a person may have put a secret into.

use serde_json::Value;
use wharf_plugin_sdk::Plan;

/// A text, and where it is.
pub(crate) struct Place {
    /// As decisions name it: `env.TOKEN`, `argv[2]`, `parameters.login.key`.
    pub(crate) field: String,
    /// The name that somebody gave it.
    pub(crate) name: Option<String>,
    pub(crate) text: String,
}

impl Place {
    pub(crate) fn new(field: String, name: Option<&str>, text: &str) -> Self {
        Self { field, name: name.map(str::to_owned), text: text.to_owned() }
    }
}

/// The command, variables, labels and parameters. Names of secrets are references and no secrets.
pub(crate) fn places(plan: &Plan) -> Vec<Place> {
    let mut places = Vec::new();
    let mut option: Option<&str> = None;
    for (at, argument) in plan.argv.iter().enumerate() {
        // `--password x` and `--password=x`.
        let (name, text) = match argument.strip_prefix('-').and_then(|option| option.split_once('=')) {
            Some((name, text)) => (Some(name), text),
            None => (option, argument.as_str()),
        };
        option = argument.strip_prefix('-').filter(|option| !option.contains('='));
        places.push(Place::new(format!("argv[{at}]"), name, text));
    }
    for (kind, pairs) in [("env", &plan.env), ("labels", &plan.labels)] {
        places
            .extend(pairs.iter().map(|pair| Place::new(format!("{kind}.{}", pair.key), Some(&pair.key), &pair.value)));
    }
    if let Ok(parameters) = serde_json::from_str::<Value>(&plan.parameters) {
        walk("parameters".to_owned(), None, &parameters, &mut places);
    }
    places
}

/// `serde_json` reads no value that is deeper than this can go.
fn walk(field: String, name: Option<&str>, value: &Value, places: &mut Vec<Place>) {
    match value {
        Value::String(text) => places.push(Place::new(field, name, text)),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                walk(format!("{field}[{at}]"), name, value, places);
            }
        }
        // A reference: `{"secret": "NAME"}`.
        Value::Object(map) if map.len() == 1 && map.contains_key("secret") => {}
        Value::Object(map) => {
            for (key, value) in map {
                walk(format!("{field}.{key}"), Some(key), value, places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
