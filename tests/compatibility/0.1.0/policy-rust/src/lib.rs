//! Rejects privileged runs, except of some groups.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

/// The `[settings]` table. Its comments are descriptions in the schema that administrators see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The groups whose runs may be privileged.
    #[serde(default)]
    except: Vec<String>,
}

struct Component;

impl Policy for Component {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        if !plan.security.privileged || plan.requester.is_in_any(&settings.except) {
            return Decision::yes();
        }
        let message = format!("{} may not run privileged containers; set privileged = false", plan.requester.user);
        Decision::Reject(vec![Reason::new("privileged", message).about("security.privileged")])
    }
}

wharf_plugin_sdk::policy!(Component);
