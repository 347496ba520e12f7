//! Kubernetes' strategic merge patch, for pod templates.
//!
//! Maps merge key by key and `null` deletes. Lists are replaced, except for those whose elements have a key of their own:
//! these merge element by element. The keys are those of Kubernetes' API types; where a list has two (`containerPort` and
//! `protocol`), both count, as in server-side apply. The directives are `$patch`, `$retainKeys`, `$setElementOrder/LIST` and
//! `$deleteFromPrimitiveList/LIST`.

use serde_json::{Map, Value};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// What a value is, as far as merging needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `PodTemplateSpec`.
    Template,
    /// Its metadata.
    Metadata,
    /// A `PodSpec`.
    Pod,
    /// A container.
    Container,
    /// All else: no list in it merges.
    Plain,
}

/// How a list takes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// It is replaced.
    Whole,
    /// Elements that aren't there yet are added.
    Set,
    /// Elements with the same values of these fields merge.
    By(&'static [&'static str]),
}

/// What a field of a kind is, and how it merges when it is a list.
fn field(of: Kind, name: &str) -> (Kind, List) {
    match (of, name) {
        (Kind::Template, "metadata") => (Kind::Metadata, List::Whole),
        (Kind::Template, "spec") => (Kind::Pod, List::Whole),
        (Kind::Metadata, "finalizers") => (Kind::Plain, List::Set),
        (Kind::Metadata, "ownerReferences") => (Kind::Plain, List::By(&["uid"])),
        (Kind::Pod, "containers" | "initContainers" | "ephemeralContainers") => (Kind::Container, List::By(&["name"])),
        (Kind::Pod, "volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims") => {
            (Kind::Plain, List::By(&["name"]))
        }
        (Kind::Pod, "hostAliases") => (Kind::Plain, List::By(&["ip"])),
        (Kind::Pod, "topologySpreadConstraints") => (Kind::Plain, List::By(&["topologyKey", "whenUnsatisfiable"])),
        (Kind::Container, "env") => (Kind::Plain, List::By(&["name"])),
        (Kind::Container, "ports") => (Kind::Plain, List::By(&["containerPort", "protocol"])),
        (Kind::Container, "volumeMounts") => (Kind::Plain, List::By(&["mountPath"])),
        (Kind::Container, "volumeDevices") => (Kind::Plain, List::By(&["devicePath"])),
        _ => (Kind::Plain, List::Whole),
    }
}

/// Merges a patch into a value.
///
/// # Errors
/// One sentence: where in the patch something can't be merged, and why.
pub(super) fn merge(kind: Kind, original: &mut Value, patch: Value, at: &str) -> Result<(), String> {
    match (original, patch) {
        (Value::Object(original), Value::Object(patch)) => merge_map(kind, original, patch, at),
        (original, Value::Object(patch)) => {
            let mut fresh = Map::new();
            merge_map(kind, &mut fresh, patch, at)?;
            *original = Value::Object(fresh);
            Ok(())
        }
        (original, patch) => {
            *original = patch;
            Ok(())
        }
    }
}

fn merge_map(
    kind: Kind,
    original: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    at: &str,
) -> Result<(), String> {
    match patch.remove(PATCH) {
        None => {}
        Some(directive) => match directive.as_str() {
            Some("merge") => {}
            Some("replace") => original.clear(),
            Some("delete") => {
                original.clear();
                return Ok(());
            }
            _ => return Err(format!("{at} has `{PATCH}: {directive}`; expected merge, replace or delete")),
        },
    }
    if let Some(retained) = patch.remove(RETAIN) {
        let names = texts(&retained).ok_or_else(|| format!("`{RETAIN}` in {at} isn't a list of texts"))?;
        if let Some(name) = patch.keys().find(|name| !name.starts_with('$') && !names.contains(&name.as_str())) {
            return Err(format!("{at} has the field {name}, which isn't in its `{RETAIN}`"));
        }
        original.retain(|name, _| names.contains(&name.as_str()));
    }
    // What orders a list comes after what changes it.
    let mut orders = Vec::new();
    let mut fields = Vec::new();
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            delete_from(original, list, &value, at)?;
        } else if let Some(list) = name.strip_prefix(ORDER) {
            orders.push((list.to_owned(), value));
        } else if name.starts_with('$') {
            return Err(format!("{at} has the directive `{name}`, which isn't one"));
        } else {
            fields.push((name, value));
        }
    }
    for (name, value) in fields {
        let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let (child, list) = field(kind, &name);
        match value {
            Value::Null => {
                original.remove(&name);
            }
            Value::Array(patch) if list != List::Whole => {
                let order = orders.iter().position(|(ordered, _)| *ordered == name);
                let order = order.map(|position| orders.swap_remove(position).1);
                let into = match original.remove(&name) {
                    Some(Value::Array(elements)) => elements,
                    _ => Vec::new(),
                };
                let merged = match list {
                    List::By(keys) => merge_elements(child, keys, into, patch, order.as_ref(), &at)?,
                    List::Set | List::Whole => merge_set(into, patch),
                };
                original.insert(name, Value::Array(merged));
            }
            value @ Value::Object(_) => merge(child, original.entry(name).or_insert(Value::Null), value, &at)?,
            value => {
                original.insert(name, value);
            }
        }
    }
    for (name, order) in orders {
        let at = format!("{at}.{name}");
        let (_, List::By(keys)) = field(kind, &name) else {
            return Err(format!("{at} has no elements with a key, so `{ORDER}{name}` can't order them"));
        };
        if let Some(Value::Array(elements)) = original.get_mut(&name) {
            let order = order_keys(keys, &order, &at)?;
            let before: Vec<Key> = elements.iter().map(|element| key(keys, element, &at)).collect::<Result<_, _>>()?;
            *elements = ordered(keys, std::mem::take(elements), &before, &order, &at)?;
        }
    }
    Ok(())
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn delete_from(original: &mut Map<String, Value>, list: &str, gone: &Value, at: &str) -> Result<(), String> {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    let Some(gone) = gone.as_array().filter(|gone| gone.iter().all(is_plain)) else {
        return Err(format!("`{DELETE_FROM}{list}` in {at} isn't a list of texts or numbers"));
    };
    if let Some(Value::Array(elements)) = original.get_mut(list) {
        elements.retain(|element| !gone.contains(element));
    }
    Ok(())
}

fn merge_set(mut original: Vec<Value>, patch: Vec<Value>) -> Vec<Value> {
    for element in patch {
        if !original.contains(&element) {
            original.push(element);
        }
    }
    original
}

/// The values of an element's key fields.
type Key = Vec<Value>;

fn key(keys: &[&str], element: &Value, at: &str) -> Result<Key, String> {
    key_of(keys, element, at, false)
}

/// Whether a directive's key is an element's; `null` is any.
fn is_named(key: &Key, by: &Key) -> bool {
    key.iter().zip(by).all(|(key, by)| key == by || by.is_null())
}

fn key_of(keys: &[&str], element: &Value, at: &str, partly: bool) -> Result<Key, String> {
    let Value::Object(fields) = element else {
        return Err(format!("{at} has an element that isn't a map: {element}"));
    };
    keys.iter()
        .enumerate()
        .map(|(position, name)| match (fields.get(*name), *name) {
            (Some(value), _) if !value.is_null() => Ok(value.clone()),
            // What Kubernetes takes where there is none.
            (_, "protocol") => Ok(Value::from("TCP")),
            // A directive may name elements by the first field alone.
            _ if position > 0 && (partly || fields.contains_key(PATCH)) => Ok(Value::Null),
            _ => Err(format!("{at} has an element without `{name}`, by which its elements are told apart")),
        })
        .collect()
}

fn merge_elements(
    kind: Kind,
    keys: &[&str],
    mut original: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&Value>,
    at: &str,
) -> Result<Vec<Value>, String> {
    let directive = |element: &Value| element.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    if patch.iter().any(|element| directive(element).as_deref() == Some("replace")) {
        let rest = patch.into_iter().filter(|element| directive(element).as_deref() != Some("replace")).collect();
        return merge_elements(kind, keys, Vec::new(), rest, order, at);
    }
    let server: Vec<Key> = original.iter().map(|element| key(keys, element, at)).collect::<Result<_, _>>()?;
    let mut named: Vec<Key> = Vec::new();
    for element in patch {
        let wanted = key(keys, &element, at)?;
        if directive(&element).as_deref() == Some("delete") {
            let is_it = |have: &Value| key(keys, have, at).is_ok_and(|have| is_named(&have, &wanted));
            original.retain(|have| !is_it(have));
            continue;
        }
        let name: Vec<String> =
            wanted.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
        let here = format!("{at}[{}]", name.join("/"));
        let found = original.iter_mut().find(|have| key(keys, have, at).is_ok_and(|have| have == wanted));
        match found {
            Some(have) => merge(kind, have, element, &here)?,
            None => {
                let mut fresh = Value::Object(Map::new());
                merge(kind, &mut fresh, element, &here)?;
                original.push(fresh);
            }
        }
        named.push(wanted);
    }
    let order = match order {
        Some(order) => {
            let order = order_keys(keys, order, at)?;
            let mut last = 0;
            for key in &named {
                match order.iter().position(|named| is_named(key, named)) {
                    Some(position) if position >= last => last = position,
                    Some(_) => return Err(format!("{at} isn't in the order of its `{ORDER}`")),
                    None => {
                        let key = Value::from(key.clone());
                        return Err(format!("`{ORDER}` of {at} doesn't have the element {key}"));
                    }
                }
            }
            order
        }
        None => named,
    };
    ordered(keys, original, &server, &order, at)
}

fn order_keys(keys: &[&str], order: &Value, at: &str) -> Result<Vec<Key>, String> {
    let elements = order.as_array().ok_or_else(|| format!("`{ORDER}` of {at} isn't a list"))?;
    elements.iter().map(|element| key_of(keys, element, at, true)).collect()
}

/// Puts a list in order: what the patch names in its own order, and the others between them where they were, as far as that
/// can be said: each goes before the first named one that it was before.
fn ordered(keys: &[&str], elements: Vec<Value>, server: &[Key], order: &[Key], at: &str) -> Result<Vec<Value>, String> {
    let mut named: Vec<(usize, Key, Value)> = Vec::new();
    let mut others: Vec<(Key, Value)> = Vec::new();
    for element in elements {
        let key = key(keys, &element, at)?;
        match order.iter().position(|named| is_named(&key, named)) {
            Some(position) => named.push((position, key, element)),
            None => others.push((key, element)),
        }
    }
    named.sort_by_key(|(position, _, _)| *position);
    let place = |key: &Key| server.iter().position(|known| known == key);
    let mut result = Vec::new();
    let mut others = others.into_iter().peekable();
    for (_, key, element) in named {
        while let Some((other, _)) = others.peek()
            && let (Some(left), Some(right)) = (place(other), place(&key))
            && left < right
        {
            result.extend(others.next().map(|(_, element)| element));
        }
        result.push(element);
    }
    result.extend(others.map(|(_, element)| element));
    Ok(result)
}

/// A value without directives and without `null`: what it says, as far as one can see without an original.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        Value::Array(elements) => Value::Array(
            elements
                .iter()
                .filter(|element| element.as_object().is_none_or(|fields| !is_directive(fields)))
                .map(plain)
                .collect(),
        ),
        other => other.clone(),
    }
}

/// `{$patch: replace}` in a list of maps is about the list, and no element of it.
fn is_directive(fields: &Map<String, Value>) -> bool {
    fields.len() == 1 && fields.contains_key(PATCH)
}

#[cfg(test)]
mod tests;
