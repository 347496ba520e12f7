//! What of a plan's security isn't at its strict default, and whose doing that is.

use std::collections::HashMap;

use serde_json::{Map, Value};
use wharf_model::decision::Receipt;
use wharf_model::{Decision, Judgement, Plan, Security};

use crate::message::{ChangedBy, SecurityDifference};

/// The differences, in the order of their keys. `decisions` are those of the way that led to the plan.
pub(crate) fn differences(plan: &Plan, decisions: &[Decision]) -> Vec<SecurityDifference> {
    let writers = writers(decisions);
    // By what is serialised, so that no key can be forgotten here.
    let mut strict = keys(&Security::default());
    keys(&plan.security)
        .into_iter()
        .filter_map(|(key, value)| {
            let strict = strict.remove(&key).unwrap_or_default();
            let from = match writers.get(format!("security.{key}").as_str()) {
                Some((component, receipt)) => ChangedBy::Policy {
                    component: (*component).to_owned(),
                    rule: receipt.change.rule.clone(),
                    reason: receipt.change.reason.clone(),
                },
                None => ChangedBy::Configuration(plan.configuration.name.clone()),
            };
            (value != strict).then(|| SecurityDifference { key: key.replace('-', "_"), strict, value, from })
        })
        .collect()
}

fn keys(security: &Security) -> Map<String, Value> {
    match serde_json::to_value(security) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

/// The last policy that changed each field.
fn writers(decisions: &[Decision]) -> HashMap<&str, (&str, &Receipt)> {
    let mut writers = HashMap::new();
    for decision in decisions.iter().filter(|decision| decision.step == "policy" && decision.is_enforced()) {
        let Judgement::Accept { changes, .. } = &decision.judgement else { continue };
        for receipt in changes {
            writers.insert(receipt.field.as_str(), (decision.component.as_str(), receipt));
        }
        // Sent to another configuration, a run begins anew there.
        if changes.iter().any(|receipt| receipt.field == "execution-configuration") {
            writers.clear();
        }
    }
    writers
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_model::{Change, Edit, Mode};

    use super::*;

    fn plan(security: &Value) -> Plan {
        serde_json::from_value(json!({
            "run": "r1", "kind": "python", "requester": { "user": "ana", "groups": [] }, "project": null,
            "configuration": {
                "name": "large", "base_image": "base", "registry": null, "resources": {}, "allowed_groups": [], "checks": [],
                "workload_types": [], "security": security, "exchange": { "mode": "dial-back", "advertise": null },
                "env": {}, "labels": {}, "time_limit": null,
                "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null }
            },
            "job": { "argv": [], "env": {}, "files": [], "languages": [] }, "env": {},
            "image": {
                "name": "base", "origin": { "from": "debian:12" }, "languages": [], "system_packages": [], "mirrors": {},
                "extra_ca": [], "labels": {}, "made_by": "image-debian"
            },
            "image_key": null, "resources": {}, "security": security, "labels": {}, "time_limit": null, "inputs": [],
            "outputs": []
        }))
        .expect("a plan")
    }

    /// A policy's decision, with the receipts that its edits really give.
    fn decided(component: &str, plan: &mut Plan, edits: &[Edit]) -> Decision {
        let mut changes = Vec::new();
        for edit in edits {
            let change =
                Change { edit: edit.clone(), rule: format!("{component}-rule"), reason: "It must.".to_owned() };
            changes.extend(plan.apply(edit).into_iter().map(|done| Receipt {
                change: change.clone(),
                field: done.field,
                before: done.before,
                after: done.after,
                overrides: None,
            }));
        }
        Decision {
            step: "policy".to_owned(),
            component: component.to_owned(),
            version: String::new(),
            digest: String::new(),
            settings_digest: String::new(),
            micros: 0,
            mode: Mode::Enforce,
            votes: None,
            judgement: Judgement::Accept { changes, limits: Vec::new(), warnings: Vec::new() },
        }
    }

    /// Each key with another value than the strict one, as a configuration has it, and the edit that sets it.
    fn every_key() -> Vec<(&'static str, Value, Edit)> {
        let text = |text: &str| text.to_owned();
        vec![
            ("user", json!("0:0"), Edit::SetUser(text("0:0"))),
            ("privileged", json!(true), Edit::SetPrivileged(true)),
            ("no-new-privileges", json!(false), Edit::SetNoNewPrivileges(false)),
            ("read-only-root", json!(true), Edit::SetReadOnlyRoot(true)),
            ("drop-capabilities", json!([]), Edit::SetDropCapabilities(vec![])),
            ("add-capabilities", json!(["NET_RAW"]), Edit::SetAddCapabilities(vec![text("NET_RAW")])),
            ("host-mounts", json!(["/a:/b:ro"]), Edit::SetHostMounts(vec![text("/a:/b:ro")])),
            ("network", json!("host"), Edit::SetNetwork(text("host"))),
        ]
    }

    #[test]
    fn what_is_strict_does_not_differ() {
        assert_eq!(differences(&plan(&json!({})), &[]), []);
    }

    #[test]
    fn every_key_shows_from_a_configuration_and_by_a_policy() {
        let all = every_key();
        let mut known: Vec<String> = keys(&Security::default()).into_iter().map(|(key, _)| key).collect();
        known.sort();
        let mut tested: Vec<&str> = all.iter().map(|(key, ..)| *key).collect();
        tested.sort_unstable();
        assert_eq!(known, tested, "a key has no case here");
        for (key, value, edit) in all {
            let shown = |from| {
                vec![SecurityDifference {
                    key: key.replace('-', "_"),
                    strict: keys(&Security::default())[key].clone(),
                    value: value.clone(),
                    from,
                }]
            };
            let by_configuration = plan(&json!({ (key): value }));
            assert_eq!(
                differences(&by_configuration, &[]),
                shown(ChangedBy::Configuration("large".to_owned())),
                "{key}"
            );
            let mut by_policy = plan(&json!({}));
            let decision = decided("opener", &mut by_policy, &[edit]);
            let from = ChangedBy::Policy {
                component: "opener".to_owned(),
                rule: "opener-rule".to_owned(),
                reason: "It must.".to_owned(),
            };
            assert_eq!(differences(&by_policy, &[decision]), shown(from), "{key}");
        }
    }

    #[test]
    fn the_last_policy_is_named_and_one_that_closed_again_is_not() {
        let mut plan = plan(&json!({}));
        let decisions = [
            decided("first", &mut plan, &[Edit::SetNetwork("one".to_owned()), Edit::SetPrivileged(true)]),
            decided("second", &mut plan, &[Edit::SetNetwork("two".to_owned()), Edit::SetPrivileged(false)]),
        ];
        let found = differences(&plan, &decisions);
        let [SecurityDifference { key, from: ChangedBy::Policy { component, .. }, .. }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((key.as_str(), component.as_str()), ("network", "second"));
    }

    #[test]
    fn what_was_only_audited_changed_nothing() {
        let mut other = plan(&json!({}));
        let mut decision = decided("opener", &mut other, &[Edit::SetNetwork("host".to_owned())]);
        decision.mode = Mode::Audit;
        let found = differences(&plan(&json!({ "network": "host" })), &[decision]);
        assert!(matches!(&found[0].from, ChangedBy::Configuration(name) if name == "large"), "{found:?}");
    }

    #[test]
    fn what_was_changed_before_a_move_is_of_another_plan() {
        let mut before = plan(&json!({}));
        let edits = [Edit::SetNetwork("one".to_owned()), Edit::SetExecutionConfiguration("other".to_owned())];
        let decision = decided("mover", &mut before, &edits);
        let found = differences(&plan(&json!({ "network": "host" })), &[decision]);
        assert!(matches!(&found[0].from, ChangedBy::Configuration(name) if name == "large"), "{found:?}");
    }
}
