//! Whether a configuration's pod settings are ones that Kubernetes takes.

use serde_json::{Value, json};
use wharf_model::kubernetes::PodSettings;

use crate::names;
use crate::resources;
use crate::template::{is_reserved, shape};

/// Fields of a pod's security context that `[security]` says.
const SECURITY: [&str; 3] = ["runAsUser", "runAsGroup", "runAsNonRoot"];

/// Checks pod settings before there is a run.
///
/// # Errors
/// The setting, as it is called in a configuration's file, and one sentence.
pub fn check_settings(settings: &PodSettings) -> Result<(), (&'static str, String)> {
    let fail = |setting: &'static str| move |reason: String| (setting, reason);
    let objects = [
        ("tolerations", json!({ "tolerations": settings.tolerations })),
        ("affinity", json!({ "affinity": settings.affinity })),
        ("security_context", json!({ "securityContext": settings.security_context })),
    ];
    for (setting, pod) in objects {
        shape(&json!({ "spec": pod }), "spec.").map_err(fail(setting))?;
    }
    if let Some(context) = &settings.security_context
        && let Some(field) = SECURITY.iter().find(|field| context.get(**field).is_some_and(|value| !value.is_null()))
    {
        return Err(("security_context", format!("`{field}` is said by `user` in [security]")));
    }
    let subdomains = [
        ("service_account", settings.service_account.as_ref()),
        ("priority_class", settings.priority_class.as_ref()),
        ("runtime_class", settings.runtime_class.as_ref()),
        ("queue", settings.queue.as_ref()),
    ];
    let secrets = settings.image_pull_secrets.iter().map(|name| ("image_pull_secrets", Some(name)));
    for (setting, name) in subdomains.into_iter().chain(secrets) {
        if let Some(name) = name
            && !names::is_dns_subdomain(name)
        {
            return Err((setting, format!("\"{name}\" can't be the name of an object")));
        }
    }
    for (name, value) in &settings.node_selector {
        if !names::is_label_key(name) || !names::is_label_value(value) {
            return Err(("node_selector", format!("\"{name}\" = \"{value}\" can't be a label of a node")));
        }
    }
    if let Some(name) = settings.annotations.keys().find(|name| is_reserved(name) || !names::is_label_key(name)) {
        return Err(("annotations", format!("\"{name}\" can't be the name of an annotation here")));
    }
    let Some(policy) = &settings.namespace_policy else { return Ok(()) };
    let setting = "namespace_policy";
    for (name, value) in &policy.labels {
        if !names::is_label_key(name) || !names::is_label_value(value) {
            return Err((setting, format!("\"{name}\" = \"{value}\" can't be a label of a namespace")));
        }
    }
    for (name, value) in &policy.resource_quota {
        resources::check_amount(name, value).map_err(fail(setting))?;
    }
    for limit in &policy.limit_range {
        crate::namespace::check_limit(limit).map_err(fail(setting))?;
    }
    if let Some(source) = &policy.pull_secret
        && !(names::is_dns_label(&source.namespace) && names::is_dns_subdomain(&source.name))
    {
        return Err((
            setting,
            format!("\"{}/{}\" can't be a secret's namespace and name", source.namespace, source.name),
        ));
    }
    Ok(())
}

/// A value that isn't there is no part of an object.
pub(super) fn without_null(value: Option<&Value>) -> Option<Value> {
    value.filter(|value| !value.is_null()).cloned()
}
