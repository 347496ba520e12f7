//! The declaration of a parameter, in a recipe, a parameter set or the plugin itself.

use std::collections::BTreeMap;

use jsonc_parser::ast::Value;
use serde_json::Value as Json;

use crate::condition::Condition;
use crate::fault::{Findings, Position};
use crate::fields::{Fields, is_good_name};
use crate::json::{Document, quoted};
use crate::value;

/// The most parameters that one list may declare.
const MAX_PARAMS: usize = 10_000;

/// What values a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A line of text.
    String,
    /// Several lines of text.
    Textarea,
    /// A list of texts.
    Strings,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A list of numbers.
    Doubles,
    /// True or false.
    Boolean,
    /// One of the choices.
    Select,
    /// A list of choices.
    Multiselect,
    /// The name of a column.
    Column,
    /// A list of names of columns.
    Columns,
    /// An object: names and values.
    Map,
    /// A list of pairs, `{"from": …, "to": …}`.
    KeyValueList,
    /// A heading of the form: it has no value.
    Separator,
    /// A secret.
    Password,
    /// A date, with or without a time, as ISO 8601 has it.
    Date,
    /// A list of objects, each with the parameters in `sub_params`.
    ObjectList,
    /// A list of anything.
    Array,
    /// Values of a parameter set.
    Preset,
    /// Credentials of the user.
    CredentialRequest,
    /// The name of an object of the platform, e.g. `DATASET`.
    Object(String),
    /// A list of names of objects, e.g. `DATASETS`.
    Objects(String),
    /// A type that this crate doesn't know: any value is taken.
    Unknown(String),
}

/// The types of one name of an object, and of a list of them.
const OBJECTS: [&str; 22] = [
    "API_SERVICE",
    "API_SERVICE_VERSION",
    "BUNDLE",
    "CLUSTER",
    "CODE_ENV",
    "CONNECTION",
    "DATASET",
    "DATASET_COLUMN",
    "FOLDER",
    "KNOWLEDGE_BANK",
    "LLM",
    "MANAGED_FOLDER",
    "ML_TASK",
    "MODEL",
    "MODEL_EVALUATION_STORE",
    "PLUGIN",
    "PROJECT",
    "SAVED_MODEL",
    "SCENARIO",
    "VISUAL_ANALYSIS",
    "WEBAPP",
    "WORKSPACE",
];

/// The types that aren't names of objects, as files spell them.
const TYPES: [(&str, ParamType); 20] = [
    ("STRING", ParamType::String),
    ("TEXTAREA", ParamType::Textarea),
    ("STRINGS", ParamType::Strings),
    ("INT", ParamType::Int),
    ("DOUBLE", ParamType::Double),
    ("DOUBLES", ParamType::Doubles),
    ("BOOLEAN", ParamType::Boolean),
    ("SELECT", ParamType::Select),
    ("MULTISELECT", ParamType::Multiselect),
    ("COLUMN", ParamType::Column),
    ("COLUMNS", ParamType::Columns),
    ("MAP", ParamType::Map),
    ("KEY_VALUE_LIST", ParamType::KeyValueList),
    ("SEPARATOR", ParamType::Separator),
    ("PASSWORD", ParamType::Password),
    ("DATE", ParamType::Date),
    ("OBJECT_LIST", ParamType::ObjectList),
    ("ARRAY", ParamType::Array),
    ("PRESET", ParamType::Preset),
    ("CREDENTIAL_REQUEST", ParamType::CredentialRequest),
];

impl ParamType {
    fn new(name: &str) -> Self {
        if let Some((_, known)) = TYPES.into_iter().find(|(known, _)| *known == name) {
            known
        } else if OBJECTS.contains(&name) {
            Self::Object(name.to_owned())
        } else if name.strip_suffix('S').is_some_and(|one| OBJECTS.contains(&one)) {
            Self::Objects(name.to_owned())
        } else {
            Self::Unknown(name.to_owned())
        }
    }

    /// As files spell it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object(name) | Self::Objects(name) | Self::Unknown(name) => name,
            other => TYPES.iter().find(|(_, known)| known == other).map_or("", |(name, _)| name),
        }
    }

    /// Whether values of this type are secrets, or have secrets in them.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Password | Self::CredentialRequest)
    }
}

/// One of the values that a SELECT or MULTISELECT takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value, most often text; null where the choice is to have none.
    pub value: Json,
    /// What people see.
    pub label: String,
}

/// What a recipe gets of a CREDENTIAL_REQUEST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An object with user and password.
    Basic,
    /// One text, e.g. a token; with the type that the file gives.
    Token(String),
}

/// A parameter as it is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name, by which a recipe finds the value; empty only for a SEPARATOR.
    pub name: String,
    /// What values it takes.
    pub kind: ParamType,
    /// What people see.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// The value when none is given.
    pub default: Option<Json>,
    /// Whether there must be a value, while the parameter is visible.
    pub mandatory: bool,
    /// When it is visible; always, without one.
    pub condition: Option<Condition>,
    /// The role whose dataset has the column.
    pub column_role: Option<String>,
    /// What types the column may have. It isn't checked here, where no schema is known.
    pub allowed_column_types: Vec<String>,
    /// The values of a SELECT or MULTISELECT.
    pub choices: Vec<Choice>,
    /// Whether code of the plugin makes the choices, so that they aren't known here.
    pub choices_from_code: bool,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
    /// The parameter set of a PRESET.
    pub parameter_set: Option<String>,
    /// The parameters of each object of an OBJECT_LIST.
    pub sub_params: Vec<Self>,
    /// What a CREDENTIAL_REQUEST asks for.
    pub credential: Option<Credential>,
    /// Where it is declared.
    pub at: Position,
}

/// The parameters that a key of an object declares.
pub(crate) fn read_params(fields: &mut Fields<'_>, key: &'static str, findings: &mut Findings) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let mut names: BTreeMap<String, ParamType> = BTreeMap::new();
    let items = fields.items(key, findings);
    if items.len() > MAX_PARAMS {
        let text = format!("{key} has {} parameters; at most {MAX_PARAMS} are read", items.len());
        findings.error(fields.position_of(key), text);
        return params;
    }
    for (path, value) in items {
        let Some(param) = read_param(fields.document, &path, value, findings) else { continue };
        match names.get(&param.name) {
            _ if param.kind == ParamType::Separator => {}
            None => {
                names.insert(param.name.clone(), param.kind.clone());
            }
            Some(_) => {
                let text = format!(
                    "the parameter {} is declared twice; a value is checked by the visible one",
                    quoted(&param.name)
                );
                findings.warning(param.at.clone(), text);
            }
        }
        params.push(param);
    }
    params
}

fn read_param(document: &Document<'_>, path: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Param> {
    let mut fields = Fields::new(document, path, "the parameter", value, findings)?;
    let at = fields.position();
    let errors = findings.errors();
    let name = fields.text("name", findings).unwrap_or_default();
    let kind = ParamType::new(&fields.text("type", findings).unwrap_or_default());
    if findings.errors() > errors {
        return None;
    }
    // Files have headings with and without a name.
    if kind != ParamType::Separator && !is_good_name("a parameter", &name, &at, findings) {
        return None;
    }
    if let ParamType::Unknown(kind) = &kind {
        let text = match kind.as_str() {
            "" => format!("the parameter {} has no type; its values aren't checked", quoted(&name)),
            kind => format!("the type {} isn't known; values of {} aren't checked", quoted(kind), quoted(&name)),
        };
        findings.warning(fields.position_of("type"), text);
    }
    let (min, max) = match kind {
        ParamType::Int => (fields.number("minI", findings), fields.number("maxI", findings)),
        _ => (fields.number("minD", findings), fields.number("maxD", findings)),
    };
    let mut param = Param {
        label: fields.label("label", findings).unwrap_or_default(),
        description: fields.label("description", findings).unwrap_or_default(),
        default: fields.json("defaultValue", findings),
        mandatory: fields.flag("mandatory", findings).unwrap_or_default(),
        condition: read_condition(&mut fields, findings),
        column_role: fields.text("columnRole", findings),
        allowed_column_types: fields.texts("allowedColumnTypes", findings),
        choices: Vec::new(),
        choices_from_code: has_choices_from_code(&mut fields),
        min,
        max,
        parameter_set: fields.text("parameterSetId", findings),
        sub_params: read_params(&mut fields, "subParams", findings),
        credential: None,
        name,
        kind,
        at,
    };
    param.choices = read_choices(&mut fields, findings);
    if let Some(mut settings) = fields.object("credentialRequestSettings", findings) {
        let kind = settings.text("type", findings).unwrap_or_default();
        param.credential = Some(if kind == "BASIC" { Credential::Basic } else { Credential::Token(kind) });
    }
    if param.kind == ParamType::Preset && param.parameter_set.is_none() {
        findings.error(param.at.clone(), format!("the PRESET {} has no parameterSetId", quoted(&param.name)));
    }
    check_default(&param, &fields, findings);
    for key in ["triggerParameters", "disableAutoReload", "allowDuplicates", "datasetParamName", "canSelectForeign"] {
        // They concern the form alone.
        let _ = fields.value(key);
    }
    fields.finish(findings);
    Some(param)
}

/// A default that doesn't fit is passed on as it is: recipes were written with it.
fn check_default(param: &Param, fields: &Fields<'_>, findings: &mut Findings) {
    let Some(default) = &param.default else { return };
    if param.kind.is_secret() {
        let text = format!("the secret {} has a defaultValue; it isn't used", quoted(&param.name));
        findings.warning(fields.position_of("defaultValue"), text);
    } else if value::fit(param, default).is_none() {
        let (name, given, expected) = (quoted(&param.name), value::misfit(param, default), value::expected(param));
        let text = format!("defaultValue of {name} is {given}, not {expected}; recipes get it as it is");
        findings.warning(fields.position_of("defaultValue"), text);
    }
}

fn read_condition(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Condition> {
    let text = match fields.value("visibilityCondition")? {
        Value::StringLit(literal) if literal.value.trim().is_empty() => return None,
        Value::StringLit(literal) => literal.value.clone().into_owned(),
        Value::BooleanLit(literal) => literal.value.to_string(),
        _ => {
            findings.warning(
                fields.position_of("visibilityCondition"),
                "visibilityCondition is no text; the parameter counts as visible",
            );
            return None;
        }
    };
    let condition = Condition::new(&text);
    if let Some(why) = condition.not_understood() {
        let text = format!("visibilityCondition isn't understood, and the parameter counts as visible: {why}");
        findings.warning(fields.position_of("visibilityCondition"), text);
    }
    Some(condition)
}

fn has_choices_from_code(fields: &mut Fields<'_>) -> bool {
    match fields.value("getChoicesFromPython") {
        None => false,
        Some(Value::BooleanLit(literal)) => literal.value,
        Some(_) => true,
    }
}

fn read_choices(fields: &mut Fields<'_>, findings: &mut Findings) -> Vec<Choice> {
    let mut choices = Vec::new();
    for (path, item) in fields.items("selectChoices", findings) {
        if let Value::StringLit(literal) = item {
            choices.push(Choice { value: Json::String(literal.value.clone().into_owned()), label: String::new() });
            continue;
        }
        let Some(mut choice) = Fields::new(fields.document, &path, "the choice", item, findings) else { continue };
        let label = choice.label("label", findings).unwrap_or_default();
        // A choice of null is one to have no value.
        let value = choice.json("value", findings).unwrap_or_default();
        choice.finish(findings);
        if matches!(value, Json::Array(_) | Json::Object(_)) {
            findings.error(fields.document.position(item), "the value of a choice is neither text nor a number");
        } else {
            choices.push(Choice { value, label });
        }
    }
    choices
}
