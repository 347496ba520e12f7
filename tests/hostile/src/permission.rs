//! The permission component.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "permission", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::wharf::plugin::permission_check::{Guest, Request, Usage, Verdict};
use bindings::wharf::plugin::settings;
use bindings::wharf::plugin::types::{Limit, Reason, WhenFull};

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn check(request: Request, usage: Usage) -> Verdict {
        match crate::setting(&settings::get(), "do").as_str() {
            "loop" => crate::endless(),
            "panic" => panic!("no idea who {} is", request.requester.user),
            "deny-without-reason" => Verdict::Deny(Vec::new()),
            "deny" => Verdict::Deny(vec![Reason {
                rule: "nobody".to_owned(),
                message: format!("nobody may use {}", request.execution_configuration.name),
                field: None,
            }]),
            _ => Verdict::Allow(vec![Limit {
                scope: format!("user:{}", request.requester.user),
                counter: "running".to_owned(),
                maximum: usage.entries.iter().map(|entry| u64::from(entry.running)).sum::<u64>() + 1,
                when_full: WhenFull::Wait,
            }]),
        }
    }
}
