//! The values of a PRESET: those of a preset that has a name, or an activity's own.

use serde_json::{Map, Value as Json};

use super::parameters::{Parameters, Place};
use crate::json::{quoted, shown};
use crate::nearest::nearest;
use crate::param::Param;
use crate::parameter_set::ParameterSet;
use crate::plugin::names;
use crate::value;

impl Parameters<'_> {
    /// The values of a preset, as an object, which is what a recipe gets.
    pub(super) fn preset(&mut self, param: &Param, given: &Json, place: &Place) -> Option<Json> {
        let id = param.parameter_set.as_deref().unwrap_or_default();
        let sets = self.sets;
        let Some(set) = sets.get(id) else {
            let name = place.name(&param.name);
            self.errors.push(format!(
                "parameter {name} can't be given: the plugin's parameter set {} can't be used",
                quoted(id)
            ));
            return None;
        };
        let below = place.below(&param.name);
        match (value::object(given), given) {
            (Some(object), _) => self.preset_object(param, set, object, place),
            (None, Json::String(preset)) => self.named(param, set, preset, place),
            (None, other) => {
                let name = place.name(&param.name);
                let given = shown(other);
                self.errors.push(format!(
                    "parameter {name} is PRESET: {given} was given, not the name of a preset or an object"
                ));
                None
            }
        }
        .map(|values| Json::Object(self.object(set.all_params(), &values, &below)))
    }

    /// An object that says which preset, or has the values in it.
    fn preset_object(
        &mut self,
        param: &Param,
        set: &ParameterSet,
        mut object: Map<String, Json>,
        place: &Place,
    ) -> Option<Map<String, Json>> {
        if set.all_params().any(|param| param.name == "mode") && !object.contains_key("inlinedConfig") {
            return Some(object);
        }
        let name = place.name(&param.name);
        match object.remove("mode") {
            None => Some(object),
            Some(Json::String(mode)) if mode == "PRESET" => match object.get("name") {
                Some(Json::String(preset)) => self.named(param, set, preset, place),
                _ => {
                    self.errors.push(format!(
                        "parameter {name} has the mode \"PRESET\" and no name of a preset; add \"name\""
                    ));
                    None
                }
            },
            Some(Json::String(mode)) if mode == "INLINE" => {
                for key in ["inlinedConfig", "inlinedPluginConfig"] {
                    match object.remove(key) {
                        None => {}
                        Some(Json::Object(values)) => object.extend(values),
                        Some(_) => self.errors.push(format!("parameter {name} has {key} that is no object")),
                    }
                }
                // A name is of no use to values of its own.
                if !set.all_params().any(|param| param.name == "name") {
                    object.remove("name");
                }
                Some(object)
            }
            Some(_) => {
                self.errors.push(format!("parameter {name} has a mode that isn't known; PRESET or INLINE"));
                None
            }
        }
    }

    /// The values that the settings have for a preset.
    fn named(&mut self, param: &Param, set: &ParameterSet, preset: &str, place: &Place) -> Option<Map<String, Json>> {
        let presets = self.presets.get(&set.id);
        if let Some(values) = presets.and_then(|presets| presets.get(preset)) {
            return Some(values.clone());
        }
        let there: Vec<&String> = presets.map(|presets| presets.keys().collect()).unwrap_or_default();
        // Whoever puts a password or a token here by mistake mustn't find it in a log.
        let near = nearest(preset, there.iter().copied());
        let said = if set.has_secrets() && near.is_none() { "the given name".to_owned() } else { quoted(preset) };
        let hint = match (near, there.as_slice()) {
            (Some(near), _) => format!("did you mean {}?", quoted(near)),
            (None, []) => "the settings have none".to_owned(),
            (None, there) => format!("there are {}", names(there.iter().copied())),
        };
        let (name, id) = (place.name(&param.name), quoted(&set.id));
        self.errors.push(format!("parameter {name}: the parameter set {id} has no preset of {said}; {hint}"));
        None
    }
}
