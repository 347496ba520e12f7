//! The values of a list of parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Errors, Presets};
use crate::json::quoted;
use crate::nearest::nearest;
use crate::param::{Param, ParamType};
use crate::parameter_set::ParameterSet;
use crate::plugin::names;
use crate::value;

/// How deep presets and lists of objects may be in each other: a preset can name itself.
const MAX_DEPTH: usize = 8;

/// Where an object of parameters is in the whole.
#[derive(Clone)]
pub(super) struct Place {
    /// Before the parameters' names in sentences.
    shown: String,
    /// Before the parameters' names in JSON pointers.
    pointer: String,
    depth: usize,
}

impl Place {
    pub(super) fn top() -> Self {
        Self { shown: String::new(), pointer: String::new(), depth: 0 }
    }

    /// The place of the parameters below one.
    pub(super) fn below(&self, name: &str) -> Self {
        Self { shown: format!("{}{name}.", self.shown), pointer: self.pointer(name), depth: self.depth + 1 }
    }

    /// The place of the parameters of one element of a list.
    pub(super) fn element(&self, name: &str, index: usize) -> Self {
        Self {
            shown: format!("{}{name}[{index}].", self.shown),
            pointer: format!("{}/{index}", self.pointer(name)),
            depth: self.depth + 1,
        }
    }

    /// A parameter's name in quotes, with where it is.
    pub(super) fn name(&self, name: &str) -> String {
        quoted(&format!("{}{name}", self.shown))
    }

    pub(super) fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

/// Checks lists of parameters, and collects what is wrong and which secrets belong where.
pub(super) struct Parameters<'a> {
    pub(super) sets: &'a BTreeMap<String, ParameterSet>,
    pub(super) presets: &'a Presets,
    pub(super) errors: &'a mut Errors,
    pub(super) secrets: BTreeMap<String, String>,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(sets: &'a BTreeMap<String, ParameterSet>, presets: &'a Presets, errors: &'a mut Errors) -> Self {
        Self { sets, presets, errors, secrets: BTreeMap::new() }
    }

    pub(super) fn into_secrets(self) -> BTreeMap<String, String> {
        self.secrets
    }

    /// The values of an object of parameters, as a recipe gets them.
    pub(super) fn object<'p>(
        &mut self,
        params: impl IntoIterator<Item = &'p Param>,
        given: &Map<String, Json>,
        place: &Place,
    ) -> Map<String, Json> {
        let mut values = Map::new();
        if place.depth > MAX_DEPTH {
            self.errors.push(format!("parameter {} is nested too deep", quoted(place.shown.trim_end_matches('.'))));
            return values;
        }
        let mut declared: BTreeMap<&String, Vec<&Param>> = BTreeMap::new();
        for param in params.into_iter().filter(|param| param.kind != ParamType::Separator) {
            declared.entry(&param.name).or_default().push(param);
        }
        self.unknown(&declared, given, place);
        let model = model(&declared, given);
        for (name, params) in declared {
            let is_visible = |param: &&Param| param.condition.as_ref().is_none_or(|condition| condition.holds(&model));
            let visible = params.iter().copied().find(is_visible);
            let Some(param) = visible.or_else(|| params.first().copied()) else { continue };
            if let Some(value) = self.one(param, visible.is_some(), given.get(name), place) {
                values.insert(name.clone(), value);
            }
        }
        values
    }

    fn unknown(&mut self, declared: &BTreeMap<&String, Vec<&Param>>, given: &Map<String, Json>, place: &Place) {
        for name in given.keys().filter(|name| !declared.contains_key(name)) {
            let hint = match nearest(name, declared.keys().copied()) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None if declared.is_empty() => "there are none".to_owned(),
                None => format!("there are {}", names(declared.keys().copied())),
            };
            self.errors.push(format!("parameter {} isn't known; {hint}", place.name(name)));
        }
    }

    /// The value of one parameter; `None` when it has none, or a wrong one.
    fn one(&mut self, param: &Param, visible: bool, given: Option<&Json>, place: &Place) -> Option<Json> {
        let takes_null = param.choices.iter().any(|choice| choice.value.is_null());
        let given = given.filter(|given| takes_null || !given.is_null());
        let required = param.mandatory && visible;
        let Some(given) = given else {
            let default = param.default.as_ref().filter(|_| !param.kind.is_secret());
            if required && !value::has_default(param) {
                self.missing(param, place);
            }
            // A default that doesn't fit is passed on as it is, since recipes were written with it.
            return default.map(|default| value::fit(param, default).unwrap_or_else(|| default.clone()));
        };
        let value = match param.kind {
            ParamType::Password => self.password(param, given, place),
            ParamType::CredentialRequest => self.credential(param, given, place),
            ParamType::Preset => self.preset(param, given, place),
            ParamType::ObjectList => self.object_list(param, given, place),
            _ => self.plain(param, given, place),
        }?;
        if required && !param.kind.is_secret() && value::is_empty(param, &value) {
            self.missing(param, place);
            return None;
        }
        Some(value)
    }

    fn plain(&mut self, param: &Param, given: &Json, place: &Place) -> Option<Json> {
        let value = value::fit(param, given);
        if value.is_none() {
            self.misfit(param, given, place);
        }
        value
    }

    fn object_list(&mut self, param: &Param, given: &Json, place: &Place) -> Option<Json> {
        let Json::Array(items) = self.plain(param, given, place)? else { return None };
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let item = item.as_object()?;
            values.push(Json::Object(self.object(&param.sub_params, item, &place.element(&param.name, index))));
        }
        Some(Json::Array(values))
    }

    fn misfit(&mut self, param: &Param, given: &Json, place: &Place) {
        let (name, kind, expected) = (place.name(&param.name), param.kind.name(), value::expected(param));
        // Whoever wrote text for a list may not know that it is to be JSON.
        let example = value::example(param).filter(|_| given.is_string());
        let hint = example.map(|example| format!("; as text it is JSON, e.g. {example}")).unwrap_or_default();
        self.errors.push(format!(
            "parameter {name} is {kind}: {} was given, not {expected}{hint}",
            value::misfit(param, given)
        ));
    }

    fn missing(&mut self, param: &Param, place: &Place) {
        let label = match param.label.trim() {
            "" => String::new(),
            label => format!(" ({})", quoted(label)),
        };
        self.errors.push(format!(
            "parameter {}{label} is required; it is {}",
            place.name(&param.name),
            param.kind.name()
        ));
    }
}

/// What visibility conditions see: the given values, and the defaults of the others. Of secrets only that they are there.
fn model(declared: &BTreeMap<&String, Vec<&Param>>, given: &Map<String, Json>) -> Map<String, Json> {
    let mut model = Map::new();
    for (name, params) in declared {
        let Some(param) = params.first() else { continue };
        let default = params.iter().find_map(|param| param.default.as_ref());
        let Some(raw) = given.get(*name).filter(|given| !given.is_null()).or(default) else { continue };
        let value = match param.kind.is_secret() {
            true => Json::Bool(true),
            false => value::fit(param, raw).unwrap_or_else(|| raw.clone()),
        };
        model.insert((*name).clone(), value);
    }
    model
}
