//! Parameters whose values are secrets: activities and presets have only the secrets' names.
//!
//! No sentence of this file has a given value in it: it may be a secret by mistake.

use serde_json::{Map, Value as Json, json};

use super::parameters::{Parameters, Place};
use crate::param::{Credential, Param};
use crate::value;

/// The longest name of a secret.
const MAX_NAME: usize = 255;

impl Parameters<'_> {
    /// Null in the place of a secret, whose name is noted.
    pub(super) fn password(&mut self, param: &Param, given: &Json, place: &Place) -> Option<Json> {
        let Some(secret) = value::object(given).as_ref().and_then(reference) else {
            let (name, kind) = (place.name(&param.name), param.kind.name());
            self.errors.push(format!(
                "parameter {name} is {kind}: give the name of a secret, {{\"secret\": \"NAME\"}}, and never the secret itself"
            ));
            return None;
        };
        self.secrets.insert(place.pointer(&param.name), secret);
        Some(Json::Null)
    }

    /// A secret, or user and password.
    pub(super) fn credential(&mut self, param: &Param, given: &Json, place: &Place) -> Option<Json> {
        let object = value::object(given).unwrap_or_default();
        let is_basic = match param.credential {
            Some(Credential::Basic) => true,
            Some(Credential::Token(_)) => false,
            None => object.contains_key("user"),
        };
        if !is_basic {
            return self.password(param, given, place);
        }
        let user = object.get("user").and_then(Json::as_str);
        let secret = object.get("password").and_then(Json::as_object).and_then(reference);
        let (Some(user), Some(secret), 2) = (user, secret, object.len()) else {
            self.errors.push(format!(
                "parameter {} is {}: give {{\"user\": \"NAME\", \"password\": {{\"secret\": \"NAME\"}}}}, and never the password itself",
                place.name(&param.name),
                param.kind.name()
            ));
            return None;
        };
        self.secrets.insert(format!("{}/password", place.pointer(&param.name)), secret);
        Some(json!({"user": user, "password": null}))
    }
}

/// The name of a secret, of an object that has it and nothing else.
fn reference(object: &Map<String, Json>) -> Option<String> {
    let name = object.get("secret").filter(|_| object.len() == 1)?.as_str()?;
    let usable = !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    usable.then(|| name.to_owned())
}
