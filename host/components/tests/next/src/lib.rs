//! A policy of a made-up version of the contracts: it gives advice.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", generate_all });
    use super::Next;
    export!(Next);
}

use bindings::exports::wharf::plugin::metadata::{Guest as Metadata, Info};
use bindings::exports::wharf::plugin::policy_evaluation::{
    Acceptance, Change, Decision, Edit, Guest, Plan, PolicyRole, Usage,
};
use bindings::wharf::plugin::types::KeyValue;
use bindings::wharf::plugin::{log, settings};

struct Next;

impl Metadata for Next {
    fn describe() -> Info {
        Info {
            name: "next".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Gives advice".to_owned(),
            settings_schema: String::new(),
        }
    }

    fn validate_settings(_: String) -> Result<(), String> {
        Ok(())
    }
}

impl Guest for Next {
    fn role() -> PolicyRole {
        PolicyRole::Mutating
    }

    fn evaluate(plan: Plan, _: Usage) -> Decision {
        log::log(log::Level::Info, "advising");
        let edit = Edit::SetLabel(KeyValue { key: "settings".to_owned(), value: settings::get() });
        Decision::Accept(Acceptance {
            changes: vec![Change { edit, rule: "settings".to_owned(), reason: "So that they are seen.".to_owned() }],
            limits: Vec::new(),
            warnings: Vec::new(),
            advice: Some(format!("{}, ask for less memory", plan.requester.user)),
        })
    }
}
