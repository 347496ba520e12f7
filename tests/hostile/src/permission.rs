//! The permission component.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "permission", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::wharf::plugin::permission_check::{Guest, Request, Usage, Verdict};
use bindings::wharf::plugin::types::{Limit, Reason, WhenFull};
use bindings::wharf::plugin::{log, settings};

use crate::misdeed;

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn check(request: Request, usage: Usage) -> Verdict {
        let wanted = crate::setting(&settings::get(), "do");
        misdeed::misbehave(&wanted);
        let reason = |message: String| Reason { rule: "nobody".to_owned(), message, field: None };
        if let Some(words) = misdeed::words(&wanted) {
            return Verdict::Deny(words.into_iter().map(reason).collect());
        }
        if let Some(message) = misdeed::sentence(&wanted) {
            return Verdict::Deny(vec![reason(message)]);
        }
        match wanted.as_str() {
            "flood" => {
                for line in 0..100_000 {
                    log::log(log::Level::Info, &format!("line {line}"));
                }
                Verdict::Allow(Vec::new())
            }
            #[cfg(feature = "clock")]
            "clock" => Verdict::Deny(vec![reason(bindings::wharf::plugin::clock::now().to_string())]),
            "many-reasons" => Verdict::Deny(vec![reason("x".repeat(400)); 1_500]),
            "odd-rule" => Verdict::Deny(vec![Reason { rule: "Odd Rule\n".to_owned(), ..reason("no".to_owned()) }]),
            "odd-counter" => Verdict::Allow(vec![Limit {
                scope: "all".to_owned(),
                counter: "sheep".to_owned(),
                maximum: 0,
                when_full: WhenFull::Wait,
            }]),
            "deny-without-reason" => Verdict::Deny(Vec::new()),
            "deny" => Verdict::Deny(vec![reason(format!("nobody may use {}", request.execution_configuration.name))]),
            _ => Verdict::Allow(vec![Limit {
                scope: format!("user:{}", request.requester.user),
                counter: "running".to_owned(),
                maximum: usage.entries.iter().map(|entry| u64::from(entry.running)).sum::<u64>() + 1,
                when_full: WhenFull::Wait,
            }]),
        }
    }
}
