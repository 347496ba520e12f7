//! Asking a policy about a plan of the past, and comparing what it says with what was said then.

use std::collections::{BTreeMap, HashMap};

use wharf_components::{OnError, Policy, PolicyAnswer};
use wharf_model::{Decision, Judgement, Limit, Mode, Plan, UsageEntry};

use super::FlipKind;
use super::past::passes;
use crate::way::judgement::apply;

/// Asks a policy, and makes its edits; on a copy, where they don't count.
pub(super) async fn policy(
    policy: &Policy,
    plan: &mut Plan,
    object: Option<&str>,
    usage: &[UsageEntry],
    writers: &mut HashMap<String, String>,
) -> Decision {
    let call = policy.evaluate(plan, object, usage).await;
    let is_enforced = call.by.mode == Mode::Enforce;
    let judgement = match call.answer {
        Ok(PolicyAnswer::Accept { changes, limits, warnings }) => {
            let changes = if is_enforced {
                apply(plan, &changes, policy.name(), writers)
            } else {
                apply(&mut plan.clone(), &changes, policy.name(), &mut writers.clone())
            };
            Judgement::Accept { changes, limits, warnings }
        }
        Ok(PolicyAnswer::Reject { reasons }) => Judgement::Reject { reasons },
        Err(error) => Judgement::Error {
            message: error.to_string(),
            ignored: !is_enforced || policy.on_error() == OnError::Allow,
        },
    };
    call.by.decision("policy", judgement)
}

/// How a run would have gone otherwise, if it would. A component that wasn't asked then let everything pass unchanged.
pub(super) fn flip(then: Option<&Judgement>, now: &Judgement) -> Option<FlipKind> {
    match (then.is_none_or(passes), passes(now)) {
        (true, false) => Some(FlipKind::Refused),
        (false, true) => Some(FlipKind::Allowed),
        (false, false) => None,
        (true, true) if then.map(changes).unwrap_or_default() != changes(now) => Some(FlipKind::Changed),
        (true, true) if then.map(limits).unwrap_or_default() != limits(now) => Some(FlipKind::Limited),
        (true, true) => None,
    }
}

/// Each field that was changed, and what it became.
fn changes(judgement: &Judgement) -> BTreeMap<&str, Option<&str>> {
    match judgement {
        Judgement::Accept { changes, .. } => {
            changes.iter().map(|receipt| (receipt.field.as_str(), receipt.after.as_deref())).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn limits(judgement: &Judgement) -> &[Limit] {
    match judgement {
        Judgement::Accept { limits, .. } => limits,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use wharf_model::decision::{Receipt, WhenFull};
    use wharf_model::{Change, Edit, Reason};

    use super::*;

    fn accept(memory: Option<&str>, limits: &[u64]) -> Judgement {
        let receipt = |after: &str| Receipt {
            change: Change {
                edit: Edit::RemoveResource("memory".to_owned()),
                rule: "rule".to_owned(),
                reason: "It must.".to_owned(),
            },
            field: "resources.memory".to_owned(),
            before: Some("8g".to_owned()),
            after: Some(after.to_owned()),
            overrides: None,
        };
        let limit = |maximum: &u64| Limit {
            scope: "all".to_owned(),
            counter: "running".to_owned(),
            maximum: *maximum,
            when_full: WhenFull::Wait,
        };
        Judgement::Accept {
            changes: memory.map(receipt).into_iter().collect(),
            limits: limits.iter().map(limit).collect(),
            warnings: vec![],
        }
    }

    #[test]
    fn each_way_of_going_otherwise_has_its_name() {
        let reject = Judgement::Reject {
            reasons: vec![Reason { rule: "r".to_owned(), message: "No.".to_owned(), field: None }],
        };
        let error = |ignored| Judgement::Error { message: "failed".to_owned(), ignored };
        let plain = accept(None, &[]);
        for (then, now, expected) in [
            (None, &plain, None),
            (None, &accept(Some("4g"), &[]), Some(FlipKind::Changed)),
            (None, &accept(None, &[1]), Some(FlipKind::Limited)),
            (None, &reject, Some(FlipKind::Refused)),
            (None, &error(false), Some(FlipKind::Refused)),
            (None, &error(true), None),
            (Some(&plain), &reject, Some(FlipKind::Refused)),
            (Some(&reject), &plain, Some(FlipKind::Allowed)),
            (Some(&reject), &error(false), None),
            (Some(&error(false)), &plain, Some(FlipKind::Allowed)),
            (Some(&accept(Some("4g"), &[1])), &accept(Some("4g"), &[1]), None),
            (Some(&accept(Some("4g"), &[])), &accept(Some("2g"), &[]), Some(FlipKind::Changed)),
            (Some(&accept(Some("4g"), &[])), &plain, Some(FlipKind::Changed)),
            (Some(&accept(None, &[2])), &accept(None, &[1]), Some(FlipKind::Limited)),
        ] {
            assert_eq!(flip(then, now), expected, "{then:?} {now:?}");
        }
    }
}
