//! The rights that a host needs on a cluster, as manifests to apply.

use std::fmt::Write;

use wharf_model::kubernetes::{NamespacePolicy, NetworkRule, PodSettings};

use crate::names;

/// A right: what may be done with one kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core's.
    pub group: &'static str,
    /// The resource: `jobs`, `pods/log`.
    pub resource: &'static str,
    /// What may be done.
    pub verbs: Vec<&'static str>,
    /// What for, in a few words.
    pub reason: &'static str,
}

/// Who gets rights, and what for.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleRequest<'a> {
    /// The service account, which is made, too.
    pub account: &'a str,
    /// Its namespace.
    pub account_namespace: &'a str,
    /// The namespace of runs, as the configuration has it.
    pub namespace: &'a str,
    /// What the configuration's pods get.
    pub pod: &'a PodSettings,
    /// Whether the host comes to its runners through the API server.
    pub attach: bool,
}

fn right(group: &'static str, resource: &'static str, verbs: &[&'static str], reason: &'static str) -> Right {
    Right { group, resource, verbs: verbs.to_vec(), reason }
}

/// The rights in a namespace of runs.
#[must_use]
pub fn rights(request: &RoleRequest<'_>) -> Vec<Right> {
    let mut rights = vec![
        right("batch", "jobs", &["create", "get", "list", "watch", "delete"], "one Job for each attempt"),
        right("", "secrets", &["create", "get"], "its ticket, which goes with the Job"),
        right("", "pods", &["get", "list", "watch", "delete"], "how it does, and to stop it for certain"),
        right("", "pods/log", &["get"], "what a runner that never came up has said"),
        right("", "events", &["get", "list", "watch"], "why it waits"),
        right("", "resourcequotas", &["get", "list"], "which quota is full"),
    ];
    if request.attach {
        // A WebSocket begins with a GET, and newer API servers ask for what a POST would need as well.
        rights.push(right("", "pods/portforward", &["create", "get"], "mode = \"attach\": the way to the runner"));
    }
    if request.pod.network_policy != NetworkRule::Open {
        let group = "networking.k8s.io";
        rights.push(right(group, "networkpolicies", &["create", "get", "patch"], "network_policy = \"exchange-only\""));
    }
    let Some(policy) = &request.pod.namespace_policy else { return rights };
    if !policy.resource_quota.is_empty() {
        rights.push(right("", "resourcequotas", &["create", "get", "patch"], "[namespace_policy]: the quota"));
    }
    if !policy.limit_range.is_empty() {
        rights.push(right("", "limitranges", &["create", "get", "patch"], "[namespace_policy]: the limit range"));
    }
    if policy.pull_secret.is_some() {
        rights.push(right(
            "",
            "secrets",
            &["create", "get", "patch"],
            "[namespace_policy]: the copy of the pull secret",
        ));
    }
    rights
}

/// The rights on namespaces themselves, which only a cluster role gives.
#[must_use]
pub fn cluster_rights(policy: Option<&NamespacePolicy>) -> Vec<Right> {
    let Some(policy) = policy.filter(|policy| policy.create || !policy.labels.is_empty()) else { return Vec::new() };
    let verbs: &[&str] = if policy.create { &["create", "get", "patch"] } else { &["get", "patch"] };
    vec![right("", "namespaces", verbs, "[namespace_policy]: the namespaces of runs")]
}

/// The manifests that give a service account the least rights that a configuration needs: for `kubectl apply -f -`.
///
/// Where the namespace depends on the run, or is created, the rights are the same in all namespaces, since Kubernetes has no
/// rights for those that aren't there yet.
#[must_use]
pub fn role(request: &RoleRequest<'_>) -> String {
    let policy = request.pod.namespace_policy.as_ref();
    let everywhere = names::has_variables(request.namespace) || policy.is_some_and(|policy| policy.create);
    let name = names::label_value(&format!("wharf-{}", request.account)).to_lowercase();
    let mut of_cluster = cluster_rights(policy);
    let mut text = String::new();
    document(&mut text, "v1", "ServiceAccount", request.account, Some(request.account_namespace));
    if everywhere {
        of_cluster.splice(0..0, rights(request));
    } else {
        bound(&mut text, request, "Role", &name, Some(request.namespace), &rights(request), None);
    }
    if !of_cluster.is_empty() {
        bound(&mut text, request, "ClusterRole", &name, None, &of_cluster, None);
    }
    if let Some(source) = policy.and_then(|policy| policy.pull_secret.as_ref()) {
        let read = [right("", "secrets", &["get"], "[namespace_policy]: the pull secret that is copied")];
        let name = format!("{name}-pull-secret");
        bound(&mut text, request, "Role", &name, Some(&source.namespace), &read, Some(&source.name));
    }
    text
}

fn document(text: &mut String, version: &str, kind: &str, name: &str, namespace: Option<&str>) {
    if !text.is_empty() {
        text.push_str("---\n");
    }
    line(text, format_args!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {}", quoted(name)));
    if let Some(namespace) = namespace {
        line(text, format_args!("  namespace: {}", quoted(namespace)));
    }
}

/// A role and its binding.
fn bound(
    text: &mut String,
    request: &RoleRequest<'_>,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    rights: &[Right],
    only: Option<&str>,
) {
    const VERSION: &str = "rbac.authorization.k8s.io/v1";
    document(text, VERSION, kind, name, namespace);
    text.push_str("rules:\n");
    for right in rights {
        line(text, format_args!("# {}", right.reason));
        rule(text, right.group, right.resource, &right.verbs, only);
    }
    document(text, VERSION, &format!("{kind}Binding"), name, namespace);
    line(
        text,
        format_args!("roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {}", quoted(name)),
    );
    line(text, format_args!("subjects:\n- kind: ServiceAccount\n  name: {}", quoted(request.account)));
    line(text, format_args!("  namespace: {}", quoted(request.account_namespace)));
}

fn rule(text: &mut String, group: &str, resource: &str, verbs: &[&str], only: Option<&str>) {
    let verbs: Vec<String> = verbs.iter().map(|verb| quoted(verb)).collect();
    line(text, format_args!("- apiGroups: [{}]\n  resources: [{}]", quoted(group), quoted(resource)));
    if let Some(name) = only {
        line(text, format_args!("  resourceNames: [{}]", quoted(name)));
    }
    line(text, format_args!("  verbs: [{}]", verbs.join(", ")));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A text takes all that is written to it.
    let _ = writeln!(text, "{line}");
}

/// A text as YAML's quoted one, which is JSON's: names may look like numbers, and may come from an API server.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The rule that gives one right, to paste under `rules:` of a role; a comment says of which.
#[must_use]
pub fn rule_for(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> String {
    let mut text = String::new();
    match namespace {
        Some(namespace) => line(&mut text, format_args!("# in a Role of the namespace {}", quoted(namespace))),
        None => line(&mut text, format_args!("# in a ClusterRole")),
    }
    rule(&mut text, group, resource, &[verb], None);
    text
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ServiceAccount;
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding};
    use serde_json::{Value, json};

    use super::*;

    fn documents(text: &str) -> Vec<Value> {
        text.split("---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
    }

    fn settings(value: Value) -> PodSettings {
        serde_json::from_value(value).unwrap()
    }

    fn request<'a>(namespace: &'a str, pod: &'a PodSettings, attach: bool) -> RoleRequest<'a> {
        RoleRequest { account: "wharf", account_namespace: "infra", namespace, pod, attach }
    }

    fn kinds(documents: &[Value]) -> Vec<(&str, &str)> {
        let text = |value: &'_ Value| -> String { value.as_str().unwrap_or("-").to_owned() };
        documents
            .iter()
            .map(|document| {
                let namespace = document["metadata"]["namespace"].as_str().unwrap_or("-");
                assert!(!text(&document["metadata"]["name"]).is_empty());
                (document["kind"].as_str().unwrap(), namespace)
            })
            .collect()
    }

    #[test]
    fn one_namespace_needs_one_role() {
        let pod = PodSettings::default();
        let documents = documents(&role(&request("data", &pod, false)));
        assert_eq!(kinds(&documents), [("ServiceAccount", "infra"), ("Role", "data"), ("RoleBinding", "data")]);
        serde_json::from_value::<ServiceAccount>(documents[0].clone()).unwrap();
        let role: Role = serde_json::from_value(documents[1].clone()).unwrap();
        let binding: RoleBinding = serde_json::from_value(documents[2].clone()).unwrap();
        assert_eq!(
            (&binding.role_ref.kind, &binding.role_ref.name),
            (&"Role".to_owned(), role.metadata.name.as_ref().unwrap())
        );
        assert_eq!(binding.subjects.unwrap()[0].namespace.as_deref(), Some("infra"));
        let rules = role.rules.unwrap();
        let jobs = rules.iter().find(|rule| rule.resources == Some(vec!["jobs".to_owned()])).unwrap();
        assert_eq!(jobs.api_groups, Some(vec!["batch".to_owned()]));
        assert_eq!(jobs.verbs, ["create", "get", "list", "watch", "delete"]);
        let all: Vec<String> = rules.iter().flat_map(|rule| rule.resources.clone().unwrap()).collect();
        assert_eq!(all, ["jobs", "secrets", "pods", "pods/log", "events", "resourcequotas"]);
    }

    #[test]
    fn each_setting_adds_what_it_needs() {
        let pod = settings(json!({
            "network-policy": "exchange-only",
            "namespace-policy": {
                "create": true, "resource-quota": {"pods": "1"}, "limit-range": [{"type": "Pod"}],
                "pull-secret": {"namespace": "images", "name": "registry"}
            }
        }));
        let documents = documents(&role(&request("data-${user.login}", &pod, true)));
        let expected = [
            ("ServiceAccount", "infra"),
            ("ClusterRole", "-"),
            ("ClusterRoleBinding", "-"),
            ("Role", "images"),
            ("RoleBinding", "images"),
        ];
        assert_eq!(kinds(&documents), expected);
        let of_cluster: ClusterRole = serde_json::from_value(documents[1].clone()).unwrap();
        let rules = of_cluster.rules.unwrap();
        let may = |verb: &str, resource: &str| {
            rules.iter().any(|rule| {
                rule.verbs.iter().any(|v| v == verb) && rule.resources.iter().flatten().any(|name| name == resource)
            })
        };
        for (verb, resource) in [
            ("create", "jobs"),
            ("create", "pods/portforward"),
            ("patch", "networkpolicies"),
            ("patch", "namespaces"),
            ("create", "namespaces"),
            ("patch", "resourcequotas"),
            ("patch", "limitranges"),
            ("patch", "secrets"),
        ] {
            assert!(may(verb, resource), "{verb} {resource}");
        }
        assert!(!may("delete", "namespaces") && !may("delete", "secrets") && !may("list", "secrets"));
        let source: Role = serde_json::from_value(documents[3].clone()).unwrap();
        let rule: &PolicyRule = &source.rules.as_ref().unwrap()[0];
        assert_eq!(rule.resource_names, Some(vec!["registry".to_owned()]));
        assert_eq!(rule.verbs, ["get"]);
    }

    #[test]
    fn labels_of_a_namespace_that_is_there_need_no_creating() {
        let pod = settings(json!({"namespace-policy": {"labels": {"team": "data"}}}));
        let documents = documents(&role(&request("data", &pod, false)));
        let expected = [
            ("ServiceAccount", "infra"),
            ("Role", "data"),
            ("RoleBinding", "data"),
            ("ClusterRole", "-"),
            ("ClusterRoleBinding", "-"),
        ];
        assert_eq!(kinds(&documents), expected);
        let of_cluster: ClusterRole = serde_json::from_value(documents[3].clone()).unwrap();
        assert_eq!(of_cluster.rules.unwrap()[0].verbs, ["get", "patch"]);
    }

    #[test]
    fn a_missing_right_is_a_rule_to_paste() {
        let text = rule_for("create", "batch", "jobs", Some("data"));
        let rule = "- apiGroups: [\"batch\"]\n  resources: [\"jobs\"]\n  verbs: [\"create\"]\n";
        let expected = format!("# in a Role of the namespace \"data\"\n{rule}");
        assert_eq!(text, expected);
        let rules: Vec<PolicyRule> = serde_saphyr::from_str(&rule_for("get", "", "nodes", None)).unwrap();
        assert_eq!(rules[0].api_groups, Some(vec![String::new()]));
        // Whatever an API server says, it is one rule.
        let odd = rule_for("get\"]\n- verbs: [\"*", "", "x\ny", Some("a\nb: c"));
        assert_eq!(serde_saphyr::from_str::<Vec<PolicyRule>>(&odd).unwrap().len(), 1);
    }
}
