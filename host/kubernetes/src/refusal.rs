//! What the API server, its admission and its controllers mean by a refusal, recognised by their own words.
//!
//! A status has a code and a reason, but most of what matters is in the message alone; and of what a controller was refused
//! there is nothing but the message, in an event.

use wharf_model::EngineCause;
use wharf_model::engine_cause::{MissingRight, QuotaItem};

use crate::role;

/// The cause that words name; none when they aren't known.
pub(crate) fn cause(words: &str, namespace: &str) -> Option<EngineCause> {
    // A controller's words have those of the API server behind its own.
    let words = words.strip_prefix("Error creating: ").unwrap_or(words).trim();
    forbidden(words)
        .or_else(|| quota(words, namespace))
        .or_else(|| pod_security(words))
        .or_else(|| webhook(words))
        .or_else(|| missing(words))
        .or_else(|| bounds(words))
        .or_else(|| ending(words))
        .or_else(|| policy(words))
}

/// The cause of a status with its code and reason; none when neither they nor the words are known.
pub(crate) fn cause_of(code: u16, reason: &str, words: &str, namespace: &str) -> Option<EngineCause> {
    match (code, reason) {
        (401, _) => Some(EngineCause::Unauthorized { words: words.to_owned() }),
        (422, _) | (400, "BadRequest") => {
            cause(words, namespace).or_else(|| Some(EngineCause::Invalid { words: words.to_owned() }))
        }
        _ => cause(words, namespace),
    }
}

/// What is between two pieces of a text, and what follows.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(start)?.1.split_once(end)
}

/// `jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch" in the namespace "n"`, with what an
/// authorizer has to say behind it.
fn forbidden(words: &str) -> Option<EngineCause> {
    let (user, rest) = between(words, "User \"", "\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let (group, rest) = between(rest, "in API group \"", "\"")?;
    let namespace = between(rest, "in the namespace \"", "\"").map(|(namespace, _)| namespace);
    Some(EngineCause::Forbidden(right(user, verb, group, resource, namespace)))
}

/// A missing right, with the rule that grants it.
pub(crate) fn right(user: &str, verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> MissingRight {
    MissingRight {
        user: user.to_owned(),
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        rule: role::rule_for(verb, group, resource, namespace),
    }
}

/// `exceeded quota: q, requested: pods=1,limits.cpu=2, used: pods=3,limits.cpu=8, limited: pods=3,limits.cpu=8`, or `failed
/// quota: q: must specify limits.cpu for: wharf`.
fn quota(words: &str, namespace: &str) -> Option<EngineCause> {
    if let Some((_, rest)) = words.split_once("failed quota: ") {
        let (quota, words) = rest.split_once(": ")?;
        return Some(EngineCause::QuotaNeeds { quota: quota.to_owned(), words: words.to_owned() });
    }
    let (quota, rest) = between(words, "exceeded quota: ", ", requested: ")?;
    let (requested, rest) = rest.split_once(", used: ")?;
    let (used, hard) = rest.split_once(", limited: ")?;
    let amounts = |text: &str| -> Vec<(String, String)> {
        let pair = |item: &str| item.trim().split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        text.split(',').filter_map(pair).collect()
    };
    let (used, hard) = (amounts(used), amounts(hard));
    let of = |amounts: &[(String, String)], key: &str| {
        amounts.iter().find(|(name, _)| name == key).map_or_else(String::new, |(_, value)| value.clone())
    };
    let item = |(resource, requested): (String, String)| QuotaItem {
        used: of(&used, &resource),
        hard: of(&hard, &resource),
        resource,
        requested,
    };
    let items: Vec<QuotaItem> = amounts(requested).into_iter().map(item).collect();
    Some(EngineCause::QuotaExceeded { namespace: namespace.to_owned(), quota: quota.to_owned(), items })
}

/// `pods "p" is forbidden: violates PodSecurity "restricted:latest": what (container "wharf" must ...)`
fn pod_security(words: &str) -> Option<EngineCause> {
    let (level, words) = between(words, "violates PodSecurity \"", "\": ")?;
    Some(EngineCause::PodSecurity { level: level.to_owned(), words: words.to_owned() })
}

fn webhook(words: &str) -> Option<EngineCause> {
    if let Some((name, rest)) = between(words, "admission webhook \"", "\" denied the request") {
        let said = rest.trim_start_matches(':').trim();
        let said = if said.is_empty() { "without explanation" } else { said };
        return Some(EngineCause::AdmissionRefused {
            by: format!("the admission webhook {name}"),
            words: said.to_owned(),
        });
    }
    let (name, rest) = between(words, "failed calling webhook \"", "\"")?;
    Some(EngineCause::AdmissionAway {
        by: format!("the admission webhook {name}"),
        words: rest.trim_start_matches(':').trim().to_owned(),
    })
}

/// What a pod or a Job names and isn't there.
fn missing(words: &str) -> Option<EngineCause> {
    let found = |object: &str, name: &str| {
        Some(EngineCause::Missing { object: object.to_owned(), name: name.to_owned(), words: words.to_owned() })
    };
    const NOT_FOUND: &str = "\" not found";
    for (start, object) in [
        ("serviceaccount \"", "ServiceAccount"),
        ("namespaces \"", "Namespace"),
        ("RuntimeClass \"", "RuntimeClass"),
        ("secret \"", "Secret"),
        ("configmap \"", "ConfigMap"),
        ("persistentvolumeclaim \"", "PersistentVolumeClaim"),
    ] {
        // The words may have the same name in quotes before, as part of another sentence.
        for (at, _) in words.match_indices(start) {
            let name = &words[at + start.len()..];
            if let Some((name, rest)) = name.split_once('"')
                && format!("\"{rest}").starts_with(NOT_FOUND)
            {
                return found(object, name);
            }
        }
    }
    if let Some((name, _)) = between(words, "no PriorityClass with name ", " was found") {
        return found("PriorityClass", name);
    }
    if let Some((key, rest)) = between(words, "couldn't find key ", " in ") {
        return found("key", &format!("{key} in {rest}"));
    }
    None
}

/// What a LimitRange says, one sentence or some in brackets.
fn bounds(words: &str) -> Option<EngineCause> {
    let (_, said) = words.split_once(" is forbidden: ")?;
    let is_bound = said.contains(" usage per ") || said.contains("limit to request ratio per ");
    is_bound.then(|| EngineCause::LimitRange { words: said.trim_matches(['[', ']']).to_owned() })
}

fn ending(words: &str) -> Option<EngineCause> {
    let (namespace, _) =
        between(words, "unable to create new content in namespace ", " because it is being terminated")?;
    Some(EngineCause::NamespaceEnding { namespace: namespace.to_owned() })
}

/// `... is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: words`
fn policy(words: &str) -> Option<EngineCause> {
    let (name, rest) = between(words, "ValidatingAdmissionPolicy '", "'")?;
    let (_, said) = rest.split_once("denied request: ")?;
    Some(EngineCause::AdmissionRefused { by: format!("the admission policy {name}"), words: said.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(words: &str) -> EngineCause {
        super::cause(words, "team-a").unwrap_or_else(|| panic!("not known: {words}"))
    }

    #[test]
    fn a_missing_right_is_named() {
        let job = "jobs.batch is forbidden: User \"system:serviceaccount:team-a:host\" cannot create resource \"jobs\" in API \
                   group \"batch\" in the namespace \"team-a\"";
        let EngineCause::Forbidden(right) = cause(job) else { panic!() };
        assert_eq!((right.verb.as_str(), right.group.as_str(), right.resource.as_str()), ("create", "batch", "jobs"));
        assert_eq!(right.namespace.as_deref(), Some("team-a"));
        assert!(right.rule.contains("jobs") && right.rule.contains("create"), "{}", right.rule);
        let whole = "namespaces is forbidden: User \"u\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope";
        let EngineCause::Forbidden(right) = cause(whole) else { panic!() };
        assert_eq!((right.group.as_str(), right.namespace), ("", None));
        let part = "pods \"p-x\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"n\": \
                    RBAC: role.rbac.authorization.k8s.io \"r\" not found";
        let EngineCause::Forbidden(right) = cause(part) else { panic!() };
        assert_eq!((right.resource.as_str(), right.namespace.as_deref()), ("pods/log", Some("n")));
    }

    #[test]
    fn a_quota_is_told_with_its_numbers() {
        let words = "Error creating: pods \"a-b\" is forbidden: exceeded quota: team, requested: limits.cpu=2,limits.memory=1Gi, \
                     used: limits.cpu=3,limits.memory=7Gi, limited: limits.cpu=4,limits.memory=8Gi";
        let EngineCause::QuotaExceeded { namespace, quota, items } = cause(words) else { panic!() };
        assert_eq!((namespace.as_str(), quota.as_str(), items.len()), ("team-a", "team", 2));
        let memory = &items[1];
        assert_eq!(
            (memory.resource.as_str(), memory.requested.as_str(), memory.used.as_str(), memory.hard.as_str()),
            ("limits.memory", "1Gi", "7Gi", "8Gi")
        );
        let words =
            "pods \"a\" is forbidden: failed quota: team: must specify limits.cpu for: wharf; limits.memory for: wharf";
        let EngineCause::QuotaNeeds { quota, words } = cause(words) else { panic!() };
        assert_eq!((quota.as_str(), words.starts_with("must specify limits.cpu")), ("team", true));
    }

    #[test]
    fn admission_is_told_in_its_own_words() {
        let words = "admission webhook \"validate.kyverno.svc\" denied the request: no latest tags";
        let by = "the admission webhook validate.kyverno.svc".to_owned();
        assert_eq!(cause(words), EngineCause::AdmissionRefused { by, words: "no latest tags".to_owned() });
        let words = "admission webhook \"w\" denied the request without explanation";
        assert!(matches!(cause(words), EngineCause::AdmissionRefused { words, .. } if words == "without explanation"));
        let words = "Internal error occurred: failed calling webhook \"w\": failed to call webhook: Post \"https://w.svc:443/\": \
                     dial tcp 10.0.0.1:443: connect: connection refused";
        assert!(
            matches!(cause(words), EngineCause::AdmissionAway { words, .. } if words.starts_with("failed to call"))
        );
        let words =
            "jobs.batch \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too big";
        assert!(
            matches!(cause(words), EngineCause::AdmissionRefused { by, words } if by.ends_with(" p") && words == "too big")
        );
        let words =
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true (pod must not)";
        assert!(matches!(cause(words), EngineCause::PodSecurity { level, .. } if level == "restricted:latest"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (words, object, name) in [
            (
                "Error creating: pods \"a-\" is forbidden: error looking up service account n/sa: serviceaccount \"sa\" not found",
                "ServiceAccount",
                "sa",
            ),
            ("namespaces \"nope\" not found", "Namespace", "nope"),
            ("pods \"a\" is forbidden: no PriorityClass with name high was found", "PriorityClass", "high"),
            ("pods \"a\" is forbidden: pod rejected: RuntimeClass \"kata\" not found", "RuntimeClass", "kata"),
            ("secret \"db\" not found", "Secret", "db"),
            ("MountVolume.SetUp failed for volume \"c\" : configmap \"conf\" not found", "ConfigMap", "conf"),
            ("MountVolume.SetUp failed for volume \"secret\" : secret \"s\" not found", "Secret", "s"),
            ("couldn't find key a in Secret n/b", "key", "a in Secret n/b"),
        ] {
            let EngineCause::Missing { object: found, name: called, .. } = cause(words) else { panic!("{words}") };
            assert_eq!((found.as_str(), called.as_str()), (object, name), "{words}");
        }
    }

    #[test]
    fn bounds_are_told() {
        let words = "pods \"a\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Pod \
                     is 1Gi, but limit is 2Gi]";
        assert!(matches!(cause(words), EngineCause::LimitRange { words } if words.starts_with("maximum cpu")));
        let words =
            "jobs.batch \"a\" is forbidden: unable to create new content in namespace n because it is being terminated";
        assert_eq!(cause(words), EngineCause::NamespaceEnding { namespace: "n".to_owned() });
    }

    #[test]
    fn a_wrong_object_is_that_by_its_code() {
        let words = "Job.batch \"a\" is invalid: spec.template.spec.containers[0].image: Required value";
        assert_eq!(cause_of(422, "Invalid", words, "n"), Some(EngineCause::Invalid { words: words.to_owned() }));
        assert!(matches!(cause_of(401, "Unauthorized", "Unauthorized", "n"), Some(EngineCause::Unauthorized { .. })));
        assert_eq!(cause_of(500, "", "flux capacitor discharged", "n"), None);
        assert_eq!(super::cause("", "n"), None);
    }
}
