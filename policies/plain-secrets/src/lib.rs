//! Rejects runs that have secrets in plain sight, or variables that a site forbids.
//!
//! What it finds is never repeated: a sentence says where it is and what it looks like.

mod places;
mod tokens;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::pattern::any_matches;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

use places::{Place, places};

/// The `[settings]` table. With no settings at all, names, tokens and entropy are looked at.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Variables that no run may have, as patterns: `["LD_*", "PYTHONSTARTUP"]`. Also such as get a secret.
    forbidden_env: Vec<String>,
    /// Whether a variable or a parameter that is named like a secret (`DB_PASSWORD`) may have a plain value.
    names: bool,
    /// Whether texts are searched for tokens that can be told by their form: keys of clouds, private keys, addresses with a
    /// password.
    tokens: bool,
    /// Whether texts are searched for long random words.
    entropy: bool,
    /// Beginnings of your own tokens: a word that begins so and goes on for 16 characters or more is one.
    prefixes: Vec<String>,
    /// Places that are left alone, as patterns: `["env.SENTRY_KEY", "parameters.seed"]`.
    except: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            forbidden_env: Vec::new(),
            names: true,
            tokens: true,
            entropy: true,
            prefixes: Vec::new(),
            except: Vec::new(),
        }
    }
}

struct PlainSecrets;

impl Policy for PlainSecrets {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if settings.prefixes.iter().any(|prefix| prefix.len() < 3) {
            return Err("prefixes: a beginning has at least 3 characters; a shorter one is in every text".to_owned());
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let forbidden = plan.env.iter().chain(&plan.secrets).filter_map(|pair| {
            let message = format!("the variable {} isn't allowed here; leave it out", short(&pair.key));
            any_matches(&settings.forbidden_env, &pair.key)
                .then(|| Reason::new("forbidden-variable", message).about(format!("env.{}", short(&pair.key))))
        });
        let found = places(plan).into_iter().filter_map(|place| judge(settings, &place));
        Decision::unless(forbidden.chain(found).take(MOST_REASONS).collect())
    }
}

wharf_plugin_sdk::policy!(PlainSecrets);

/// So many sentences are enough for a person.
const MOST_REASONS: usize = 50;

fn judge(settings: &Settings, place: &Place) -> Option<Reason> {
    if any_matches(&settings.except, &place.field) || place.text.is_empty() {
        return None;
    }
    let (rule, what) = if let Some(kind) = settings.tokens.then(|| tokens::known(&place.text)).flatten() {
        ("token", kind)
    } else if settings.prefixes.iter().any(|prefix| tokens::begins_with(&place.text, prefix)) {
        ("token", "one of this site's tokens")
    } else if settings.names
        && place.name.as_deref().is_some_and(tokens::is_secret_name)
        && !tokens::is_placeholder(&place.text)
    {
        ("secret-by-name", "a plain value under a name for secrets")
    } else if settings.entropy && tokens::has_random_word(&place.text) {
        ("random-word", "a long random word, as keys are")
    } else {
        return None;
    };
    let field = short(&place.field);
    let advice = if place.field.starts_with("argv") {
        "let the recipe read a variable that gets it as a secret"
    } else {
        "give it as a secret, by its name"
    };
    let message = format!("{field} has {what}; {advice}");
    Some(Reason::new(rule, message).about(field))
}

/// A name as a sentence can have it.
fn short(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control()).take(120).collect();
    if plain.len() < name.len() { plain + "…" } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(field: &str, name: Option<&str>, text: &str) -> Option<String> {
        judge(&Settings::default(), &Place::new(field.to_owned(), name, text)).map(|reason| {
            assert!(text.len() < 8 || !reason.message.contains(text), "it repeats what it found: {}", reason.message);
            reason.rule
        })
    }

    #[test]
    fn what_is_found_is_named_and_not_repeated() {
        let aws = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        assert_eq!(rule("argv[2]", None, &aws).as_deref(), Some("token"));
        assert_eq!(rule("env.DB_PASSWORD", Some("DB_PASSWORD"), "hunter22").as_deref(), Some("secret-by-name"));
        assert_eq!(rule("env.X", Some("X"), "q7Vd93kLs0PzW1aYtRb8mNc4Ej6Hf2Gu").as_deref(), Some("random-word"));
        assert_eq!(rule("env.HOME", Some("HOME"), "/work"), None);
        assert_eq!(rule("env.DB_PASSWORD", Some("DB_PASSWORD"), ""), None);
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        let settings: Settings = wharf_plugin_sdk::settings::parse(r#"{"prefixes":["a"]}"#).unwrap();
        assert!(PlainSecrets::check_settings(&settings).unwrap_err().starts_with("prefixes: "));
    }
}
