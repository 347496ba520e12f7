//! Pod templates: read, merged, and taken apart so that policies judge what they say.

mod absorb;
mod merge;
mod shape;

use serde_json::{Map, Value, json};

pub use absorb::absorb;
pub(crate) use shape::shape;

/// The name of the container that a run is in.
pub const CONTAINER: &str = "wharf";

/// The largest template, in bytes.
const LARGEST: usize = 256 << 10;

/// Reads a template: a `PodTemplateSpec`, a `PodSpec`, or a `Pod` or `PodTemplate` as `kubectl` has them. The answer is a
/// `PodTemplateSpec`, which may have the directives of a strategic merge patch in it.
///
/// The run's container is the one called `wharf`, or else the first, which gets that name. Its image and its command are the
/// run's own, and can't be in a template.
///
/// # Errors
/// One sentence that begins with the file: where something isn't YAML, isn't a field, or is for wharf to say.
pub fn parse(file: &str, yaml: &str) -> Result<Value, String> {
    read(yaml).map_err(|error| format!("{file}: {error}"))
}

fn read(yaml: &str) -> Result<Value, String> {
    if yaml.len() > LARGEST {
        return Err(format!("it is larger than {} KiB", LARGEST >> 10));
    }
    let value: Value =
        serde_saphyr::from_str(yaml).map_err(|error| format!("it isn't YAML as it should be: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("expected a pod's template: a map with `spec`, or with a pod's fields".to_owned());
    };
    let mut template = template_of(fields)?;
    name_container(&mut template)?;
    shape(&template, "")?;
    check_metadata(&template)?;
    check_pod(&template)?;
    Ok(template)
}

/// The `PodTemplateSpec` in what somebody may have written.
fn template_of(mut fields: Map<String, Value>) -> Result<Value, String> {
    let kind = fields.remove("kind");
    fields.remove("apiVersion");
    match kind.as_ref().map(|kind| kind.as_str()) {
        None if fields.contains_key("spec") || fields.contains_key("metadata") => {}
        None => return Ok(json!({ "spec": fields })),
        Some(Some("Pod")) => {
            fields.remove("status");
        }
        Some(Some("PodTemplate")) => {
            return fields.remove("template").ok_or_else(|| "the PodTemplate has no `template`".to_owned());
        }
        Some(_) => {
            let kind = kind.unwrap_or_default();
            return Err(format!(
                "it is of the kind {kind}; expected a Pod, a PodTemplate, or a pod template without a kind"
            ));
        }
    }
    Ok(Value::Object(fields))
}

fn containers_mut(template: &mut Value) -> Option<&mut Vec<Value>> {
    template.get_mut("spec")?.get_mut("containers")?.as_array_mut()
}

fn containers(template: &Value) -> &[Value] {
    template.pointer("/spec/containers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_ours(container: &Value) -> bool {
    container.get("name").and_then(Value::as_str) == Some(CONTAINER)
}

/// Finds the run's container and gives it its name.
fn name_container(template: &mut Value) -> Result<(), String> {
    let Some(containers) = containers_mut(template) else { return Ok(()) };
    let at = containers.iter().position(is_ours);
    let Some(container) = containers.get_mut(at.unwrap_or(0)) else { return Ok(()) };
    let Value::Object(fields) = container else {
        return Err("spec.containers[0] isn't a map".to_owned());
    };
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    for field in ["image", "command", "args"] {
        if !fields.contains_key(field) {
            continue;
        }
        let mut sentence =
            format!("the container {name} has `{field}`, and those of the run's container are wharf's to say");
        if at.is_none() {
            sentence.push_str(&format!(
                "; the first container is taken for the run's: put one with `name: {CONTAINER}` before it if it is another"
            ));
        }
        return Err(sentence);
    }
    fields.insert("name".to_owned(), Value::from(CONTAINER));
    Ok(())
}

fn check_metadata(template: &Value) -> Result<(), String> {
    let metadata = match template.get("metadata") {
        None => return Ok(()),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err("metadata isn't a map".to_owned()),
    };
    for (name, value) in metadata {
        if !matches!(name.as_str(), "labels" | "annotations") {
            return Err(format!("metadata.{name} is wharf's to say; a template may have labels and annotations"));
        }
        let own =
            value.as_object().and_then(|entries| entries.keys().find(|key| is_reserved(key) || key.starts_with('$')));
        if let Some(key) = own {
            return Err(format!("metadata.{name} has {key}, which is wharf's or Kubernetes' own"));
        }
    }
    Ok(())
}

/// Labels and annotations by which objects are found again, of ours and of the Job controller's.
pub(crate) fn is_reserved(key: &str) -> bool {
    key == "wharf"
        || key.starts_with("wharf.")
        || key.starts_with("batch.kubernetes.io/")
        || matches!(key, "job-name" | "controller-uid")
}

fn check_pod(template: &Value) -> Result<(), String> {
    for map in [template, &template["spec"], &template["metadata"]] {
        if let Some(name) = map.as_object().and_then(|fields| fields.keys().find(|name| is_whole(name))) {
            return Err(format!("`{name}` there would take all of the run's own pod away; say it of a part of it"));
        }
    }
    let spec = match template.get("spec") {
        None => return Ok(()),
        Some(Value::Object(spec)) => spec,
        Some(_) => return Err("spec isn't a map".to_owned()),
    };
    if spec.get("restartPolicy").is_some_and(|policy| policy != "Never") {
        return Err("spec.restartPolicy can only be Never: a run has one attempt at a time".to_owned());
    }
    for (name, instead) in [
        ("activeDeadlineSeconds", "say `time_limit` in the configuration"),
        ("terminationGracePeriodSeconds", "it comes from the home's grace time"),
        ("ephemeralContainers", "a template can't have them"),
        ("resources", "say the resources of the container, which policies judge"),
    ] {
        if spec.contains_key(name) {
            return Err(format!("spec.{name} isn't taken from a template; {instead}"));
        }
    }
    let containers = spec.get("containers");
    if containers.is_some_and(|list| !list.is_array())
        || self::containers(template).iter().any(|c| c.get("$patch").is_some())
    {
        return Err("spec.containers may add containers and change the run's own; it can't take any away".to_owned());
    }
    let volumes = spec.get("volumes").and_then(Value::as_array);
    let name_of = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if let Some(name) = volumes.into_iter().flatten().filter_map(name_of).find(|name| name.starts_with("wharf-")) {
        return Err(format!("spec.volumes has {name}, and names that begin with `wharf-` are wharf's own"));
    }
    self::containers(template).iter().filter(|container| is_ours(container)).try_for_each(check_container)
}

fn is_whole(name: &str) -> bool {
    matches!(name, "$patch" | "$retainKeys")
}

fn check_container(container: &Value) -> Result<(), String> {
    let list = |name: &str| container.get(name).and_then(Value::as_array).into_iter().flatten();
    for part in [container, &container["securityContext"], &container["resources"]] {
        if part.as_object().is_some_and(|fields| fields.keys().any(|name| is_whole(name))) {
            return Err("directives such as `$patch` can't be in the run's container itself".to_owned());
        }
    }
    for variable in list("env").filter_map(|variable| variable.get("name")?.as_str()) {
        if variable.starts_with("WHARF_") {
            return Err(format!(
                "the variable {variable} is wharf's own: those that begin with WHARF_ lead the runner to the host"
            ));
        }
    }
    for path in list("volumeMounts").filter_map(|mount| mount.get("mountPath")?.as_str()) {
        check_mount_path(path)?;
    }
    Ok(())
}

/// Whether something may be mounted there: not over what the run needs.
fn check_mount_path(path: &str) -> Result<(), String> {
    let covers = |place: &str| path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    let trimmed = path.trim_end_matches('/');
    if !path.starts_with('/')
        || path.contains(':')
        || path.split('/').any(|part| part == "..")
        || ["", "/wharf", "/opt"].contains(&trimmed)
        || covers(wharf_model::protocol::INSIDE)
    {
        return Err(format!("the run's container has a mount at {path}, which would cover files that the run needs"));
    }
    Ok(())
}

/// Merges a template into a pod's, in Kubernetes' strategic way.
///
/// # Errors
/// One sentence: what can't be merged, or what became of it that no pod can be.
pub fn merge(base: &mut Value, template: Value) -> Result<(), String> {
    merge::merge(merge::Kind::Template, base, template, "")
        .map_err(|error| format!("the pod template can't be merged: {error}"))?;
    let volumes = base.pointer("/spec/volumes").and_then(Value::as_array);
    for volume in volumes.into_iter().flatten().filter_map(Value::as_object) {
        let sources: Vec<&str> = volume.keys().map(String::as_str).filter(|name| *name != "name").collect();
        if sources.len() > 1 {
            return Err(format!(
                "the pod template leaves the volume {} with {}; take one out with `null`",
                volume.get("name").unwrap_or_default(),
                sources.join(" and ")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
