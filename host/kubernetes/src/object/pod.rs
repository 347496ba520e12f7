//! The pod of an attempt.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, HostPathVolumeSource, LocalObjectReference,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecretKeySelector, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use wharf_model::Quantity;
use wharf_model::configuration::Security;
use wharf_model::kubernetes::{KubernetesPlace, NetworkRule};
use wharf_model::launch::LaunchSpec;

use super::settings::without_null;
use super::undone;
use crate::resources;
use crate::template::{self, CONTAINER};

/// The folders that a run writes.
const WORK: &str = "/wharf/work";
const TMP: &str = "/tmp";
const HOME: &str = "/wharf/home";
const SHM: &str = "/dev/shm";

/// The template of an attempt's pod, with the configuration's template merged in.
pub(super) fn template(
    spec: &LaunchSpec,
    place: &KubernetesPlace,
    secret: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Result<PodTemplateSpec, String> {
    let mut annotations = annotations.clone();
    annotations.insert("kubectl.kubernetes.io/default-container".to_owned(), CONTAINER.to_owned());
    let base = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels.clone()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(spec, place, secret)?),
    };
    let said = |error: serde_json::Error| format!("the pod can't be made: {error}");
    let mut merged = serde_json::to_value(base).map_err(said)?;
    let settings = &place.pod;
    if let Value::Object(fields) = &mut merged["spec"] {
        if !settings.tolerations.is_empty() {
            fields.insert("tolerations".to_owned(), Value::Array(settings.tolerations.clone()));
        }
        fields.extend(without_null(settings.affinity.as_ref()).map(|affinity| ("affinity".to_owned(), affinity)));
    }
    let before = merged.clone();
    if let Some(context) = without_null(settings.security_context.as_ref()) {
        template::merge(&mut merged, json!({ "spec": { "securityContext": context } }))?;
    }
    if let Some(patch) = &place.template {
        is_absorbed(patch)?;
        template::merge(&mut merged, patch.clone())?;
    }
    undone::check(&before, &merged)?;
    confine_others(&mut merged, &spec.security);
    drop_unmounted(&mut merged);
    serde_json::from_value(merged).map_err(said)
}

/// Gives the containers that a template adds what ours has by default, unless the template says it: without it, a namespace of
/// the level "restricted" takes no such pod.
fn confine_others(template: &mut Value, security: &Security) {
    for list in ["initContainers", "containers"] {
        let Some(Value::Array(containers)) = template["spec"].get_mut(list) else { continue };
        for container in containers.iter_mut().filter(|container| container["name"] != CONTAINER) {
            let privileged = container.pointer("/securityContext/privileged") == Some(&Value::Bool(true));
            let Value::Object(fields) = container else { continue };
            let context = fields.entry("securityContext").or_insert_with(|| json!({}));
            if context.is_null() {
                *context = json!({});
            }
            let Value::Object(context) = context else { continue };
            // The API server refuses a privileged container that may not gain rights.
            if !privileged && security.no_new_privileges {
                context.entry("allowPrivilegeEscalation").or_insert(Value::Bool(false));
            }
            if !privileged && !security.drop_capabilities.is_empty() {
                context.entry("capabilities").or_insert_with(|| json!({ "drop": security.drop_capabilities }));
            }
        }
    }
}

/// Takes our own volumes out that a template has put another in the place of.
fn drop_unmounted(template: &mut Value) {
    let ours = template["spec"]["containers"]
        .as_array()
        .and_then(|containers| containers.iter().find(|c| c["name"] == CONTAINER));
    let mounts = ours.and_then(|container| container["volumeMounts"].as_array()).cloned().unwrap_or_default();
    if let Value::Object(spec) = &mut template["spec"]
        && let Some(Value::Array(volumes)) = spec.get_mut("volumes")
    {
        let is_left = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("wharf-"));
        volumes
            .retain(|volume| !is_left(&volume["name"]) || mounts.iter().any(|mount| mount["name"] == volume["name"]));
    }
}

/// What a policy judges is in the specification, and must not be said by the template once more.
fn is_absorbed(patch: &Value) -> Result<(), String> {
    let rest = template::absorb(patch, &mut Security::default(), &mut BTreeMap::new(), &mut BTreeMap::new());
    match rest {
        Ok(rest) if rest == *patch => Ok(()),
        _ => Err("the pod template still says what the plan says: labels, resources or security".to_owned()),
    }
}

fn pod(spec: &LaunchSpec, place: &KubernetesPlace, secret: &str) -> Result<PodSpec, String> {
    let settings = &place.pod;
    let security = &spec.security;
    let (user, group) = ids(&security.user)?;
    let on_host = on_host_network(&security.network)?;
    if on_host && settings.network_policy == NetworkRule::ExchangeOnly {
        return Err(
            "a network policy doesn't hold for a pod on its node's own network; take one of the two out".to_owned()
        );
    }
    let (volumes, volume_mounts) = volumes(spec, place)?;
    let mut pull_secrets = settings.image_pull_secrets.clone();
    let copied = settings.namespace_policy.as_ref().and_then(|policy| policy.pull_secret.as_ref());
    pull_secrets
        .extend(copied.map(|source| source.name.clone()).filter(|name| !settings.image_pull_secrets.contains(name)));
    Ok(PodSpec {
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(spec.image.clone()),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            command: Some(spec.argv.iter().map(|word| unexpanded(word)).collect()),
            env: Some(env(spec, secret)),
            resources: Some(resources::requirements(&spec.resources)?),
            security_context: Some(context(security, user, group)),
            // What a runner that never came up has said is in the pod's status then, and outlives its log.
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: listed(volume_mounts),
            ..Container::default()
        }],
        volumes: listed(volumes),
        security_context: Some(PodSecurityContext {
            run_as_user: Some(user),
            run_as_group: group,
            run_as_non_root: Some(user != 0),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(i64::from(spec.grace_seconds)),
        // A recipe has no business with the cluster's API.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: settings.service_account.clone(),
        image_pull_secrets: listed(pull_secrets.into_iter().map(|name| LocalObjectReference { name }).collect()),
        node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
        priority_class_name: settings.priority_class.clone(),
        runtime_class_name: settings.runtime_class.clone(),
        host_network: on_host.then_some(true),
        dns_policy: on_host.then(|| "ClusterFirstWithHostNet".to_owned()),
        ..PodSpec::default()
    })
}

fn listed<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// The ids of a user, and of a group where there is one.
fn ids(user: &str) -> Result<(i64, Option<i64>), String> {
    let mut ids = user.split(':').map(|id| id.parse::<u32>().map(i64::from));
    match (ids.next(), ids.next(), ids.next()) {
        (Some(Ok(user)), None, _) => Ok((user, None)),
        (Some(Ok(user)), Some(Ok(group)), None) => Ok((user, Some(group))),
        _ => Err(format!(
            "the user is \"{user}\", and Kubernetes takes a user's and a group's id, such as \"1000:1000\""
        )),
    }
}

/// Whether a pod is on its node's network. `bridge` is Docker's word for a network of its own.
fn on_host_network(network: &str) -> Result<bool, String> {
    match network {
        "bridge" => Ok(false),
        "host" => Ok(true),
        "none" => Err(
            "the network is \"none\", and Kubernetes has no pods without one; `network_policy = \"exchange-only\"` \
                       keeps a pod from all but the host, where the cluster's network knows policies"
                .to_owned(),
        ),
        other => Err(format!(
            "the network is \"{other}\", and a pod is in its cluster's (\"bridge\") or its node's (\"host\")"
        )),
    }
}

/// A text in which Kubernetes finds no `$(VARIABLE)`: a doubled `$` is one that stands for itself.
fn unexpanded(text: &str) -> String {
    text.replace('$', "$$")
}

fn env(spec: &LaunchSpec, secret: &str) -> Vec<EnvVar> {
    let plain = spec.env.iter().filter(|(name, _)| !spec.secret_env.contains_key(*name)).map(|(name, value)| EnvVar {
        name: name.clone(),
        value: Some(unexpanded(value)),
        value_from: None,
    });
    let home = spec.kubernetes.as_ref().is_some_and(|place| place.pod.scratch.home.is_some())
        && !spec.env.contains_key("HOME");
    let home = home.then(|| EnvVar { name: "HOME".to_owned(), value: Some(HOME.to_owned()), value_from: None });
    let hidden = spec.secret_env.keys().map(|name| EnvVar {
        name: name.clone(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector { name: secret.to_owned(), key: name.clone(), optional: None }),
            ..EnvVarSource::default()
        }),
    });
    plain.chain(home).chain(hidden).collect()
}

fn context(security: &Security, user: i64, group: Option<i64>) -> SecurityContext {
    SecurityContext {
        privileged: Some(security.privileged),
        // The API server refuses a privileged container that may not gain rights.
        allow_privilege_escalation: (!security.privileged).then_some(!security.no_new_privileges),
        read_only_root_filesystem: Some(security.read_only_root),
        capabilities: Some(Capabilities {
            add: listed(security.add_capabilities.clone()),
            drop: listed(security.drop_capabilities.clone()),
        }),
        run_as_user: Some(user),
        run_as_group: group,
        run_as_non_root: Some(user != 0),
        ..SecurityContext::default()
    }
}

fn volumes(spec: &LaunchSpec, place: &KubernetesPlace) -> Result<(Vec<Volume>, Vec<VolumeMount>), String> {
    let mut volumes = Vec::new();
    let mut mounts: Vec<VolumeMount> = Vec::new();
    for (at, text) in spec.security.host_mounts.iter().enumerate() {
        let name = format!("wharf-host-{at}");
        let parts: Vec<&str> = text.split(':').collect();
        let (outside, inside, read_only) = match parts.as_slice() {
            [outside, inside] | [outside, inside, "rw"] => (*outside, *inside, None),
            [outside, inside, "ro"] => (*outside, *inside, Some(true)),
            _ => return Err(format!("the mount \"{text}\" isn't \"/path:/inside\" or \"/path:/inside:ro\"")),
        };
        if !outside.starts_with('/') || !inside.starts_with('/') || text.split(['/', ':']).any(|part| part == "..") {
            return Err(format!("the mount \"{text}\" has a path that doesn't begin with /, or has \"..\""));
        }
        volumes.push(Volume {
            name: name.clone(),
            host_path: Some(HostPathVolumeSource { path: outside.to_owned(), type_: None }),
            ..Volume::default()
        });
        mounts.push(VolumeMount { name, mount_path: inside.to_owned(), read_only, ..VolumeMount::default() });
    }
    let scratch = &place.pod.scratch;
    let closed = spec.security.read_only_root;
    let shm = resources::shm_size(&spec.resources)?.or(scratch.shm);
    for (name, path, limit, needed, medium) in [
        ("wharf-work", WORK, scratch.work, closed, None),
        ("wharf-tmp", TMP, scratch.tmp, closed, None),
        ("wharf-home", HOME, scratch.home, false, None),
        ("wharf-shm", SHM, shm, false, Some("Memory".to_owned())),
    ] {
        let taken = mounts.iter().any(|mount| mount.mount_path.trim_end_matches('/') == path);
        if taken || !(needed || limit.is_some()) {
            continue;
        }
        volumes.push(Volume {
            name: name.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                medium,
                size_limit: limit.map(|bytes| Written(Quantity::Bytes(bytes).to_kubernetes())),
            }),
            ..Volume::default()
        });
        mounts.push(VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() });
    }
    Ok((volumes, mounts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kubernetes' own rule of `$(VARIABLE)`, as its documents have it, with a variable that must not be found.
    fn expanded(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = match after.chars().next() {
                Some('$') => {
                    out.push('$');
                    &after[1..]
                }
                Some('(') if after.contains(')') => {
                    out.push_str("EXPANDED");
                    after.split_once(')').unwrap().1
                }
                _ => {
                    out.push('$');
                    after
                }
            };
        }
        out + rest
    }

    #[test]
    fn what_looks_like_a_variable_stays_text() {
        assert_eq!(expanded("a$(B)c$$d"), "aEXPANDEDc$d");
        for text in ["", "$", "$$", "$$$", "$(A)", "$$(A)", "a$b", "a$", "$(", "$)$(", "(${A})", "é$(Ü)"] {
            assert_eq!(expanded(&unexpanded(text)), text);
        }
    }

    #[test]
    fn containers_of_a_template_are_confined_unless_it_says_otherwise() {
        let mut template = json!({"spec": {
            "initContainers": [{"name": "before"}],
            "containers": [
                {"name": CONTAINER},
                {"name": "proxy", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 7}},
                {"name": "root", "securityContext": {"privileged": true}},
                {"name": "empty", "securityContext": null},
            ],
        }});
        let security =
            Security { no_new_privileges: true, drop_capabilities: vec!["ALL".to_owned()], ..Security::default() };
        confine_others(&mut template, &security);
        let confined = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(template["spec"]["initContainers"][0]["securityContext"], confined);
        let containers = &template["spec"]["containers"];
        assert_eq!(containers[0], json!({"name": CONTAINER}));
        let proxy = json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 7});
        assert_eq!(containers[1]["securityContext"], proxy);
        assert_eq!(containers[2]["securityContext"], json!({"privileged": true}));
        assert_eq!(containers[3]["securityContext"], confined);
    }

    #[test]
    fn a_user_is_two_numbers() {
        assert_eq!(ids("1000:100"), Ok((1000, Some(100))));
        assert_eq!(ids("0"), Ok((0, None)));
        for user in ["", "root", "1000:", "1000:root", ":1", "1:2:3", "-1", "4294967296"] {
            assert!(ids(user).unwrap_err().contains("1000:1000"), "{user}");
        }
    }
}
