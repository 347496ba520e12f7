//! What a template says that a plan has its own fields for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wharf_model::configuration::Security;
use wharf_model::quantity::{LIMITS, REQUESTS};
use wharf_model::{Quantity, Resources};

use super::{containers, containers_mut, is_ours};
use crate::resources;

/// Moves what a template says of security, resources and labels into a configuration's own fields, so that policies judge it
/// and it is said once; what is left of the template is the answer.
///
/// Of security that is users and groups, `privileged`, `allowPrivilegeEscalation`, `readOnlyRootFilesystem`, capabilities,
/// `hostNetwork`, and the run's mounts of `hostPath` volumes. What a plan has no field for stays, `hostPID` and other
/// containers among it: validating policies see it in the engine's object.
///
/// # Errors
/// One sentence: the configuration says something else, or a policy couldn't see what is said.
pub fn absorb(
    template: &Value,
    security: &mut Security,
    resources: &mut Resources,
    labels: &mut BTreeMap<String, String>,
) -> Result<Value, String> {
    let mut rest = template.clone();
    let (mut secure, mut amounts, mut names) = (security.clone(), resources.clone(), labels.clone());
    take_labels(&mut rest, &mut names)?;
    take_security(&mut rest, &mut secure)?;
    take_mounts(&mut rest, &mut secure)?;
    take_resources(&mut rest, &mut amounts)?;
    tidy(&mut rest);
    (*security, *resources, *labels) = (secure, amounts, names);
    Ok(rest)
}

fn ours(template: &mut Value) -> Option<&mut Map<String, Value>> {
    containers_mut(template)?.iter_mut().find(|container| is_ours(container))?.as_object_mut()
}

/// Takes a field out of a map; `null` is nothing, since there is nothing of the run's own that it may delete.
fn take(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

/// Takes one field of a map in a map out.
fn take_in(fields: &mut Map<String, Value>, map: &str, name: &str) -> Option<Value> {
    take(fields.get_mut(map)?.as_object_mut()?, name)
}

/// Sets what the configuration left at its default; two that say different things are one too many.
fn set<T: PartialEq>(
    slot: &mut T,
    default: &T,
    said: T,
    what: &str,
    show: impl Fn(&T) -> String,
) -> Result<(), String> {
    if *slot != said && *slot != *default {
        return Err(format!(
            "the pod template says {what} is {}, and the configuration {}; say it in one of them",
            show(&said),
            show(slot)
        ));
    }
    *slot = said;
    Ok(())
}

fn take_labels(template: &mut Value, labels: &mut BTreeMap<String, String>) -> Result<(), String> {
    let Some(said) =
        template.get_mut("metadata").and_then(Value::as_object_mut).and_then(|fields| take(fields, "labels"))
    else {
        return Ok(());
    };
    for (name, value) in said.as_object().into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        let slot = labels.entry(name.clone()).or_insert_with(|| value.to_owned());
        // No label is at a default.
        let default = value.to_owned();
        set(slot, &default, value.to_owned(), &format!("the label {name}"), |text| format!("\"{text}\""))?;
    }
    Ok(())
}

fn take_security(template: &mut Value, security: &mut Security) -> Result<(), String> {
    let default = Security::default();
    let flag = |value: &Value| value.as_bool().unwrap_or_default();
    let mut ids: [Option<Value>; 2] = [None, None];
    let mut non_root = None;
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        if take(spec, "hostNetwork").as_ref().is_some_and(flag) {
            set(&mut security.network, &default.network, "host".to_owned(), "the network", String::clone)?;
        }
        ids = ["runAsUser", "runAsGroup"].map(|name| take_in(spec, "securityContext", name));
        non_root = take_in(spec, "securityContext", "runAsNonRoot");
    }
    if let Some(container) = ours(template) {
        let mut said = |name: &str| take_in(container, "securityContext", name);
        for (slot, default, name, turned) in [
            (&mut security.privileged, default.privileged, "privileged", false),
            (&mut security.no_new_privileges, default.no_new_privileges, "allowPrivilegeEscalation", true),
            (&mut security.read_only_root, default.read_only_root, "readOnlyRootFilesystem", false),
        ] {
            if let Some(value) = said(name) {
                set(slot, &default, flag(&value) != turned, name, |on| (*on != turned).to_string())?;
            }
        }
        for (position, name) in ["runAsUser", "runAsGroup"].into_iter().enumerate() {
            let Some(own) = said(name) else { continue };
            if let Some(pods) = &ids[position]
                && *pods != own
            {
                return Err(format!(
                    "the pod template says {name} is {pods} for the pod and {own} for the run; say it once"
                ));
            }
            ids[position] = Some(own);
        }
        non_root = said("runAsNonRoot").or(non_root);
        if let Some(Value::Object(mut capabilities)) = said("capabilities") {
            for (slot, default, name) in [
                (&mut security.add_capabilities, &default.add_capabilities, "add"),
                (&mut security.drop_capabilities, &default.drop_capabilities, "drop"),
            ] {
                let Some(said) = take(&mut capabilities, name) else { continue };
                let names = said.as_array().into_iter().flatten().filter_map(Value::as_str);
                let names = names.map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned()).collect();
                set(slot, default, names, &format!("capabilities.{name}"), |names| names.join(","))?;
            }
        }
    }
    let (user, group) =
        security.user.split_once(':').map_or((&*security.user, None), |(user, group)| (user, Some(group)));
    let [said_user, said_group] = &ids;
    let user = said_user.as_ref().map_or_else(|| user.to_owned(), Value::to_string);
    let group = said_group.as_ref().map(Value::to_string).or_else(|| group.map(str::to_owned));
    if ids.iter().any(Option::is_some) {
        let said = group.map_or_else(|| user.clone(), |group| format!("{user}:{group}"));
        set(&mut security.user, &default.user, said, "the user", String::clone)?;
    }
    if non_root.as_ref().is_some_and(flag) && user.parse() == Ok(0_u32) {
        return Err("the pod template says runAsNonRoot, and the user is 0, which is root".to_owned());
    }
    Ok(())
}

/// Moves the run's mounts of `hostPath` volumes, and the volumes that nobody else mounts.
fn take_mounts(template: &mut Value, security: &mut Security) -> Result<(), String> {
    let name_of = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let volumes = template.pointer("/spec/volumes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let on_node: BTreeMap<String, Value> = volumes
        .iter()
        .filter_map(|volume| Some((name_of(volume), volume.get("hostPath").filter(|path| !path.is_null())?.clone())))
        .collect();
    if on_node.is_empty() {
        return Ok(());
    }
    let mut moved = Vec::new();
    if let Some(Value::Array(mounts)) = ours(template).and_then(|container| container.get_mut("volumeMounts")) {
        let (of_node, others) = mounts.drain(..).partition(|mount| on_node.contains_key(&name_of(mount)));
        *mounts = others;
        moved = of_node;
    }
    for mount in &moved {
        let name = name_of(mount);
        let text = on_node.get(&name).map_or_else(|| Ok(String::new()), |path| mount_text(&name, path, mount))?;
        if !security.host_mounts.contains(&text) {
            security.host_mounts.push(text);
        }
    }
    let users = ["containers", "initContainers"].map(|list| template.pointer(&format!("/spec/{list}")).cloned());
    let mounted: Vec<String> = users
        .iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|container| container.get("volumeMounts")?.as_array())
        .flatten()
        .map(name_of)
        .collect();
    if let Some(Value::Array(volumes)) = template.pointer_mut("/spec/volumes") {
        let gone = |name: &String| moved.iter().any(|mount| name_of(mount) == *name) && !mounted.contains(name);
        volumes.retain(|volume| !gone(&name_of(volume)));
    }
    Ok(())
}

/// `/path:/inside[:ro]`, as a plan has it.
fn mount_text(volume: &str, host_path: &Value, mount: &Value) -> Result<String, String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let said = |what: &str| format!("the pod template mounts {what}, which a policy couldn't see; leave it out");
    let kind = text(host_path, "type");
    if kind.ends_with("OrCreate") {
        return Err(said(&format!("the hostPath volume {volume} with the type {kind}")));
    }
    let known = ["name", "mountPath", "readOnly", "subPath"];
    if let Some(field) =
        mount.as_object().and_then(|fields| fields.keys().find(|field| !known.contains(&field.as_str())))
    {
        return Err(said(&format!("the hostPath volume {volume} with `{field}`")));
    }
    let mut path = text(host_path, "path");
    let below = text(mount, "subPath");
    if !below.is_empty() {
        path = format!("{}/{below}", path.trim_end_matches('/'));
    }
    if !path.starts_with('/') || path.contains(':') || path.split('/').any(|part| part == "..") {
        return Err(format!(
            "the pod template has the hostPath volume {volume} at \"{path}\"; expected a path that begins with /"
        ));
    }
    let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or_default();
    Ok(format!("{path}:{}{}", text(mount, "mountPath"), if read_only { ":ro" } else { "" }))
}

fn take_resources(template: &mut Value, resources: &mut Resources) -> Result<(), String> {
    let Some(container) = ours(template) else { return Ok(()) };
    for (side, prefix) in [("limits", LIMITS), ("requests", REQUESTS)] {
        let Some(Value::Object(amounts)) = take_in(container, "resources", side) else { continue };
        for (name, amount) in amounts {
            let text = match amount {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            let key = format!("{prefix}{name}");
            let said =
                resources::check(&key, &text).map_err(|error| format!("the pod template can't be used: {error}"))?;
            let slot = resources.entry(key.clone()).or_insert_with(|| said.clone());
            // Nor is any resource.
            let default = said.clone();
            set(slot, &default, said, &format!("the resource {key}"), Quantity::to_kubernetes)?;
        }
    }
    Ok(())
}

/// Takes out what is empty now.
fn tidy(template: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Null => true,
        _ => false,
    };
    let drop_empty = |fields: &mut Map<String, Value>, names: &[&str]| {
        for name in names {
            if fields.get(*name).is_some_and(is_empty) {
                fields.remove(*name);
            }
        }
    };
    if let Some(container) = ours(template) {
        drop_empty(container, &["securityContext", "resources", "volumeMounts"]);
    }
    if containers(template)
        .iter()
        .any(|container| is_ours(container) && container.as_object().is_some_and(|c| c.len() == 1))
        && let Some(containers) = containers_mut(template)
    {
        containers.retain(|container| !is_ours(container));
    }
    if let Some(Value::Object(spec)) = template.get_mut("spec") {
        drop_empty(spec, &["securityContext", "volumes", "containers"]);
    }
    if let Value::Object(fields) = template {
        drop_empty(fields, &["spec", "metadata"]);
    }
}
