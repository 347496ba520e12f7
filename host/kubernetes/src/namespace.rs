//! What is kept in a namespace besides runs: its labels, a quota, a limit range and a pull secret.
//!
//! These are for server-side apply, under one field manager: what somebody else has set besides is left alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec, Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use wharf_model::kubernetes::NamespacePolicy;

use crate::resources;

/// The field manager of what is applied.
pub const FIELD_MANAGER: &str = "wharf";

/// The name of the quota and of the limit range.
pub const NAME: &str = "wharf";

/// What a policy wants a namespace to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceObjects {
    /// The namespace itself; none where the policy neither creates it nor labels it.
    pub namespace: Option<Namespace>,
    /// The quota.
    pub quota: Option<ResourceQuota>,
    /// The limit range.
    pub limit_range: Option<LimitRange>,
}

/// The objects of a policy for one namespace.
///
/// # Errors
/// One sentence: an amount or a limit that isn't one.
pub fn objects(name: &str, policy: &NamespacePolicy) -> Result<NamespaceObjects, String> {
    let namespace = (policy.create || !policy.labels.is_empty()).then(|| Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels(&policy.labels)),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    });
    let metadata = || ObjectMeta {
        name: Some(NAME.to_owned()),
        namespace: Some(name.to_owned()),
        labels: Some(labels(&BTreeMap::new())),
        ..ObjectMeta::default()
    };
    for (resource, amount) in &policy.resource_quota {
        resources::check_amount(resource, amount)?;
    }
    let hard: BTreeMap<String, Written> =
        policy.resource_quota.iter().map(|(resource, amount)| (resource.clone(), Written(amount.clone()))).collect();
    let limits = policy.limit_range.iter().map(check_limit).collect::<Result<Vec<_>, _>>()?;
    Ok(NamespaceObjects {
        namespace,
        quota: (!hard.is_empty()).then(|| ResourceQuota {
            metadata: metadata(),
            spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
            ..ResourceQuota::default()
        }),
        limit_range: (!limits.is_empty())
            .then(|| LimitRange { metadata: metadata(), spec: Some(LimitRangeSpec { limits }) }),
    })
}

/// What is applied to a namespace, in this order: each object, and the path that it is patched at.
///
/// # Errors
/// One sentence: an amount or a limit that isn't one, or a secret that isn't for pulling images.
pub fn applications(
    name: &str,
    policy: &NamespacePolicy,
    secret: Option<&Value>,
) -> Result<Vec<(String, Value)>, String> {
    let objects = objects(name, policy)?;
    let secret = match secret {
        Some(source) => {
            let source =
                Secret::deserialize(source).map_err(|error| format!("the pull secret can't be read: {error}"))?;
            Some(pull_secret(&source, name)?)
        }
        None => None,
    };
    let at = format!("/api/v1/namespaces/{name}");
    let mut found = Vec::new();
    let mut add = |path: String, object: Result<Value, serde_json::Error>| {
        object.map(|object| found.push((path, object))).map_err(|error| format!("an object can't be written: {error}"))
    };
    if let Some(namespace) = &objects.namespace {
        add(at.clone(), serde_json::to_value(namespace))?;
    }
    if let Some(quota) = &objects.quota {
        add(format!("{at}/resourcequotas/{NAME}"), serde_json::to_value(quota))?;
    }
    if let Some(range) = &objects.limit_range {
        add(format!("{at}/limitranges/{NAME}"), serde_json::to_value(range))?;
    }
    if let Some(secret) = &secret {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        add(format!("{at}/secrets/{name}"), serde_json::to_value(secret))?;
    }
    Ok(found)
}

fn labels(own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    labels.entry("app.kubernetes.io/managed-by".to_owned()).or_insert_with(|| FIELD_MANAGER.to_owned());
    labels
}

/// The copy of a pull secret in another namespace.
///
/// # Errors
/// One sentence: it isn't a secret that images are pulled with.
pub fn pull_secret(source: &Secret, namespace: &str) -> Result<Secret, String> {
    const KINDS: [&str; 2] = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];
    let name = source.metadata.name.clone().unwrap_or_default();
    let kind = source.type_.clone().unwrap_or_default();
    // A copy leads into a namespace that others may read.
    if !KINDS.contains(&kind.as_str()) {
        return Err(format!(
            "the secret {name} is of the type \"{kind}\"; only one of the type {} is copied for pulling images",
            KINDS[0]
        ));
    }
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels(&BTreeMap::new())),
            ..ObjectMeta::default()
        },
        data: source.data.clone(),
        type_: Some(kind),
        ..Secret::default()
    })
}

/// Checks one of the `limits` of a limit range.
///
/// # Errors
/// One sentence: what in it isn't as Kubernetes has it.
pub(crate) fn check_limit(limit: &Value) -> Result<LimitRangeItem, String> {
    const FIELDS: [&str; 5] = ["default", "defaultRequest", "max", "maxLimitRequestRatio", "min"];
    const KINDS: [&str; 3] = ["Container", "Pod", "PersistentVolumeClaim"];
    let Value::Object(fields) = limit else { return Err(format!("the limit {limit} isn't a table")) };
    for (field, amounts) in fields {
        if field == "type" {
            continue;
        }
        if !FIELDS.contains(&field.as_str()) {
            return Err(format!("a limit has the field \"{field}\"; expected type, {}", FIELDS.join(", ")));
        }
        for (resource, amount) in amounts.as_object().into_iter().flatten() {
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            resources::check_amount(&format!("{field}.{resource}"), &text)?;
        }
    }
    let item: LimitRangeItem = serde_path_to_error::deserialize(limit)
        .map_err(|error| format!("a limit's {} isn't as it should be: {}", error.path(), error.inner()))?;
    if KINDS.contains(&item.type_.as_str()) {
        Ok(item)
    } else {
        Err(format!("a limit has the type \"{}\"; expected {}", item.type_, KINDS.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn policy(value: Value) -> NamespacePolicy {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_policy_that_says_nothing_makes_nothing() {
        assert_eq!(objects("data", &NamespacePolicy::default()), Ok(NamespaceObjects::default()));
    }

    #[test]
    fn each_part_is_an_object_to_apply() {
        let policy = policy(json!({
            "create": true, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            "resource-quota": {"limits.memory": "64Gi", "count/jobs.batch": "100"},
            "limit-range": [{"type": "Container", "default": {"memory": "1Gi"}, "max": {"cpu": 4}}]
        }));
        let objects = objects("data-ana", &policy).unwrap();
        let metadata =
            json!({"name": "wharf", "namespace": "data-ana", "labels": {"app.kubernetes.io/managed-by": "wharf"}});
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "data-ana", "labels": {
                "app.kubernetes.io/managed-by": "wharf", "pod-security.kubernetes.io/enforce": "restricted"
            }}
        });
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata,
            "spec": {"hard": {"limits.memory": "64Gi", "count/jobs.batch": "100"}}
        });
        let range = json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": metadata,
            "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}, "max": {"cpu": "4"}}]}
        });
        assert_eq!(serde_json::to_value(objects.namespace).unwrap(), namespace);
        assert_eq!(serde_json::to_value(objects.quota).unwrap(), quota);
        assert_eq!(serde_json::to_value(objects.limit_range).unwrap(), range);
    }

    #[test]
    fn labels_alone_leave_quotas_alone() {
        let objects = objects("data", &policy(json!({"labels": {"team": "data"}}))).unwrap();
        assert!(objects.namespace.is_some() && objects.quota.is_none() && objects.limit_range.is_none());
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for (value, said) in [
            (json!({"resource-quota": {"limits.memory": "64 gigs"}}), "limits.memory is \"64 gigs\""),
            (json!({"limit-range": [{"type": "Container", "default": {"memory": "much"}}]}), "default.memory"),
            (json!({"limit-range": [{"type": "Container", "defaults": {}}]}), "\"defaults\""),
            (json!({"limit-range": [{"default": {"memory": "1Gi"}}]}), "expected Container, Pod"),
            (json!({"limit-range": [{"type": "Container", "max": 3}]}), "max"),
            (json!({"limit-range": ["Container"]}), "isn't a table"),
        ] {
            let error = objects("data", &policy(value.clone())).unwrap_err();
            assert!(error.contains(said), "{value}: {error}");
        }
    }

    #[test]
    fn each_object_has_its_path() {
        let policy = policy(json!({
            "create": true, "resource-quota": {"pods": "10"}, "limit-range": [{"type": "Pod", "max": {"cpu": "4"}}]
        }));
        let secret = json!({"metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson"});
        let all = applications("data", &policy, Some(&secret)).unwrap();
        let paths: Vec<(&str, &str)> =
            all.iter().map(|(path, object)| (path.as_str(), object["kind"].as_str().unwrap())).collect();
        let expected = [
            ("/api/v1/namespaces/data", "Namespace"),
            ("/api/v1/namespaces/data/resourcequotas/wharf", "ResourceQuota"),
            ("/api/v1/namespaces/data/limitranges/wharf", "LimitRange"),
            ("/api/v1/namespaces/data/secrets/registry", "Secret"),
        ];
        assert_eq!(paths, expected);
        assert!(applications("data", &policy, Some(&json!({"metadata": 1}))).unwrap_err().contains("pull secret"));
        assert_eq!(applications("data", &NamespacePolicy::default(), None), Ok(Vec::new()));
    }

    #[test]
    fn only_a_pull_secret_is_copied() {
        let mut source = Secret {
            metadata: ObjectMeta {
                name: Some("registry".to_owned()),
                namespace: Some("infra".to_owned()),
                uid: Some("u".to_owned()),
                resource_version: Some("7".to_owned()),
                ..ObjectMeta::default()
            },
            data: Some([(".dockerconfigjson".to_owned(), ByteString(b"{}".to_vec()))].into()),
            type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
            ..Secret::default()
        };
        let copy = serde_json::to_value(pull_secret(&source, "data-ana").unwrap()).unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "registry", "namespace": "data-ana", "labels": {"app.kubernetes.io/managed-by": "wharf"}},
            "data": {".dockerconfigjson": "e30="}
        });
        assert_eq!(copy, expected);
        source.type_ = Some("Opaque".to_owned());
        assert!(pull_secret(&source, "data-ana").unwrap_err().contains("Opaque"));
    }
}
