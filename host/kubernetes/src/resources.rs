//! Resource keys: `requests.NAME` and `limits.NAME`, with Kubernetes' own names and quantities.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use wharf_model::quantity::{KUBERNETES_RESOURCES, LIMITS, QuantityError, REQUESTS, other_words, parse_nanos};
use wharf_model::{Quantity, Resources};

use crate::names;

/// The size of `/dev/shm`, which Kubernetes has no resource for: it is a volume.
pub const SHM_SIZE: &str = "shm-size";

/// What `gpus` means on a cluster.
const GPUS: &str = "limits.nvidia.com/gpu";

/// Reads the value of a key.
///
/// # Errors
/// One sentence: no such key, and which is near; or what the key takes.
pub fn check(key: &str, value: &str) -> Result<Quantity, String> {
    let quantity = Quantity::parse_kubernetes(key, value).map_err(|error| match error {
        QuantityError::UnknownKey { .. } => unknown(key),
        QuantityError::BadValue { value, expected } => {
            format!("the resource {key} is \"{value}\"; expected {expected}")
        }
    })?;
    let name = name_of(key).unwrap_or(key);
    if names::is_label_key(name) && !name.starts_with("kubernetes.io/") { Ok(quantity) } else { Err(unknown(key)) }
}

/// The name of a resource, without what is done with it.
fn name_of(key: &str) -> Option<&str> {
    key.strip_prefix(LIMITS).or_else(|| key.strip_prefix(REQUESTS))
}

fn unknown(key: &str) -> String {
    let said = format!("no resource key is called \"{key}\"");
    let known = [LIMITS, REQUESTS].iter().flat_map(|prefix| KUBERNETES_RESOURCES.map(|name| format!("{prefix}{name}")));
    let near = known
        .map(|known| (strsim::damerau_levenshtein(&known, key), known))
        .min()
        // A GPU is one letter from a CPU, and isn't meant for one.
        .filter(|(distance, known)| *distance * 3 <= known.len() && !key.contains("gpu"));
    match (near, Quantity::parse_docker(key, "1")) {
        (Some((_, known)), _) => format!("{said}; did you mean \"{known}\"?"),
        (None, Ok(_)) => match other_words(key) {
            Some(word) => format!("{said} on a cluster: that is Docker's; did you mean \"{word}\"?"),
            None => format!(
                "{said} on a cluster: that is Docker's; there are requests.NAME and limits.NAME, for cpu, memory, \
                 ephemeral-storage, hugepages-SIZE and DOMAIN/NAME"
            ),
        },
        (None, Err(_)) => format!(
            "{said}; there are requests.NAME and limits.NAME, for cpu, memory, ephemeral-storage, hugepages-SIZE and \
             DOMAIN/NAME, such as nvidia.com/gpu"
        ),
    }
}

/// Resources with what activities and policies say in Docker's words put in Kubernetes' words: `memory` is `limits.memory`,
/// `cpus` is `limits.cpu`, `gpus` is `limits.nvidia.com/gpu`. `shm-size` stays: it becomes a volume.
///
/// Whoever says it in Docker's words says it later than the configuration, so it replaces the limit that is there; a request
/// over that limit is lowered to it.
///
/// # Errors
/// One sentence: a key that a cluster has nothing for, or an amount that can't be said.
pub fn in_kubernetes_words(resources: &Resources) -> Result<Resources, String> {
    let mut found = Resources::new();
    let mut said = Resources::new();
    for (key, quantity) in resources {
        if name_of(key).is_some() {
            found.insert(key.clone(), read(key, quantity)?);
            continue;
        }
        let quantity = match quantity {
            // A component may have set a text where the key takes a number.
            Quantity::Text(text) => Quantity::parse_docker(key, text)
                .map_err(|error| format!("the resource {key} can't be used: {error}"))?,
            other => other.clone(),
        };
        let word = match (key.as_str(), &quantity) {
            ("memory", Quantity::Bytes(_)) => "limits.memory",
            ("cpus", Quantity::Cpus(_)) => "limits.cpu",
            (SHM_SIZE, Quantity::Bytes(bytes)) => {
                // 0 is Docker's word for the usual size.
                if *bytes > 0 {
                    found.insert(key.clone(), quantity);
                }
                continue;
            }
            ("gpus", Quantity::Text(text)) => {
                said.insert(GPUS.to_owned(), gpus(text)?);
                continue;
            }
            _ => return Err(no_word(key, &quantity)),
        };
        said.insert(word.to_owned(), read(word, &quantity)?);
    }
    for (key, limit) in said {
        if let Some(name) = key.strip_prefix(LIMITS)
            && let Some(request) = found.get_mut(&format!("{REQUESTS}{name}"))
            && (size(request) > size(&limit) || is_whole_device(name))
        {
            *request = limit.clone();
        }
        found.insert(key, limit);
    }
    Ok(found)
}

/// The amount of a key that Kubernetes has, checked again: a component may have set it.
fn read(key: &str, quantity: &Quantity) -> Result<Quantity, String> {
    let read = check(key, &quantity.to_kubernetes())?;
    match (quantity, &read) {
        // Billionths of a CPU are no bytes, and no count of anything.
        (Quantity::Bytes(_), Quantity::Cpus(_) | Quantity::Count(_))
        | (Quantity::Cpus(_), Quantity::Bytes(_) | Quantity::Count(_)) => Err(no_amount(key, quantity)),
        _ => Ok(read),
    }
}

fn no_amount(key: &str, quantity: &Quantity) -> String {
    format!("the resource {key} is \"{quantity}\", which isn't an amount that it takes")
}

fn no_word(key: &str, quantity: &Quantity) -> String {
    match key {
        "memory" | "cpus" | SHM_SIZE => no_amount(key, quantity),
        "pids-limit" => "Kubernetes has no pids-limit for a pod: a node has one for all of its pods (the kubelet's \
                         podPidsLimit); take the key out for this configuration"
            .to_owned(),
        "memory-reservation" => {
            "Kubernetes has no memory-reservation: say requests.memory, which is what a node must have free".to_owned()
        }
        "cpu-shares" | "cpu-period" | "cpu-quota" => {
            format!("Kubernetes has no {key}: say requests.cpu and limits.cpu, which it makes them of")
        }
        _ if Quantity::parse_docker(key, "1").is_ok() => format!(
            "Kubernetes has nothing for the resource key {key}, which is Docker's; take it out for this configuration"
        ),
        _ => unknown(key),
    }
}

fn gpus(text: &str) -> Result<Quantity, String> {
    let count = text.strip_prefix("count=").unwrap_or(text).trim().parse::<u32>();
    count.map(|count| Quantity::Count(i64::from(count))).map_err(|_| {
        format!(
            "the resource gpus is \"{text}\", and on a cluster only a number can be asked for: nodes choose which; say \
             gpus=1, or limits.nvidia.com/gpu"
        )
    })
}

/// An amount in billionths, for comparing amounts of one key.
fn size(quantity: &Quantity) -> Option<i128> {
    match quantity {
        Quantity::Bytes(amount) => Some(i128::from(*amount) * 1_000_000_000),
        Quantity::Cpus(nanos) => Some(i128::from(*nanos)),
        Quantity::Count(count) => Some(i128::from(*count) * 1_000_000_000),
        Quantity::Text(_) | Quantity::Texts(_) => None,
    }
}

/// What a pod gets whole or not at all: its request and its limit are one.
fn is_whole_device(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-")
}

/// Kubernetes' own object of resources; `shm-size` isn't in it.
///
/// # Errors
/// One sentence: a key or an amount that Kubernetes wouldn't take, or a request that its limit doesn't allow.
pub fn requirements(resources: &Resources) -> Result<ResourceRequirements, String> {
    let mut limits = BTreeMap::new();
    let mut requests = BTreeMap::new();
    for (key, quantity) in resources.iter().filter(|(key, _)| *key != SHM_SIZE) {
        let Some(name) = name_of(key) else { return Err(no_word(key, quantity)) };
        let quantity = read(key, quantity)?;
        let side = if key.starts_with(LIMITS) { &mut limits } else { &mut requests };
        side.insert(name.to_owned(), quantity);
    }
    for (name, request) in &requests {
        let limit = limits.get(name);
        match limit {
            None if is_whole_device(name) => {
                return Err(format!(
                    "the resource {REQUESTS}{name} needs {LIMITS}{name}, with the same amount: a pod gets all of it or none"
                ));
            }
            Some(limit) if is_whole_device(name) && request != limit => {
                return Err(format!(
                    "the resource {REQUESTS}{name} is {} and {LIMITS}{name} is {}; Kubernetes takes only the same of both",
                    request.to_kubernetes(),
                    limit.to_kubernetes()
                ));
            }
            Some(limit) if size(request) > size(limit) => {
                return Err(format!(
                    "the resource {REQUESTS}{name} is {}, more than {LIMITS}{name}, which is {}",
                    request.to_kubernetes(),
                    limit.to_kubernetes()
                ));
            }
            _ => {}
        }
    }
    if let Some(name) = limits.keys().find(|name| name.starts_with("hugepages-"))
        && !["cpu", "memory"].iter().any(|name| limits.contains_key(*name) || requests.contains_key(*name))
    {
        return Err(format!("the resource {LIMITS}{name} needs one of cpu or memory beside it"));
    }
    let written = |side: BTreeMap<String, Quantity>| {
        let side: BTreeMap<String, Written> =
            side.into_iter().map(|(name, quantity)| (name, Written(quantity.to_kubernetes()))).collect();
        (!side.is_empty()).then_some(side)
    };
    Ok(ResourceRequirements { limits: written(limits), requests: written(requests), ..ResourceRequirements::default() })
}

/// The size of `/dev/shm` that resources ask for.
pub(crate) fn shm_size(resources: &Resources) -> Result<Option<u64>, String> {
    match resources.get(SHM_SIZE) {
        None => Ok(None),
        Some(Quantity::Bytes(bytes)) => Ok((*bytes > 0).then_some(*bytes)),
        Some(Quantity::Text(text)) => match Quantity::parse_docker(SHM_SIZE, text) {
            Ok(Quantity::Bytes(bytes)) => Ok((bytes > 0).then_some(bytes)),
            _ => Err(no_word(SHM_SIZE, &Quantity::Text(text.clone()))),
        },
        Some(other) => Err(no_word(SHM_SIZE, other)),
    }
}

/// Checks a quantity that isn't a container's: of a quota or a limit range.
///
/// # Errors
/// One sentence.
pub fn check_amount(name: &str, value: &str) -> Result<(), String> {
    match parse_nanos(value) {
        Some(nanos) if nanos >= 0 => Ok(()),
        _ => Err(format!("{name} is \"{value}\"; expected an amount such as 10, \"500m\" or \"64Gi\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(pairs: &[(&str, &str)]) -> Resources {
        pairs
            .iter()
            .map(|(key, value)| {
                let quantity = Quantity::parse_kubernetes(key, value).or_else(|_| Quantity::parse_docker(key, value));
                ((*key).to_owned(), quantity.unwrap())
            })
            .collect()
    }

    #[test]
    fn a_key_is_read_or_the_near_one_named() {
        assert_eq!(check("limits.memory", "4Gi"), Ok(Quantity::Bytes(4 << 30)));
        assert_eq!(check("limits.nvidia.com/gpu", "1"), Ok(Quantity::Count(1)));
        for (key, value, said) in [
            ("limits.memmory", "4Gi", "did you mean \"limits.memory\"?"),
            ("request.cpu", "1", "did you mean \"requests.cpu\"?"),
            ("ulimit", "nofile=1", "that is Docker's"),
            ("limits.gpu", "1", "DOMAIN/NAME, such as nvidia.com/gpu"),
            ("limits.NVIDIA_COM/gpu", "1", "no resource key"),
            ("limits.kubernetes.io/gpu", "1", "no resource key"),
            ("limits.memory", "400m", "\"Mi\" for MiB"),
            ("requests.cpu", "a lot", "such as 2, 1.5 or \"500m\""),
        ] {
            let error = check(key, value).unwrap_err();
            assert!(error.contains(said), "{key}={value}: {error}");
        }
    }

    #[test]
    fn dockers_words_are_said_in_kubernetes_words() {
        let said = resources(&[("memory", "2g"), ("cpus", "1.5"), ("gpus", "2"), ("shm-size", "1g")]);
        let expected = resources(&[
            ("limits.memory", "2Gi"),
            ("limits.cpu", "1500m"),
            ("limits.nvidia.com/gpu", "2"),
            ("shm-size", "1g"),
        ]);
        assert_eq!(in_kubernetes_words(&said), Ok(expected.clone()));
        assert_eq!(in_kubernetes_words(&expected), Ok(expected));
    }

    #[test]
    fn what_is_said_later_replaces_the_limit_and_lowers_the_request() {
        let plan = resources(&[
            ("requests.memory", "4Gi"),
            ("limits.memory", "8Gi"),
            ("memory", "1g"),
            ("requests.cpu", "500m"),
            ("limits.cpu", "1"),
            ("cpus", "2"),
            ("requests.nvidia.com/gpu", "1"),
            ("limits.nvidia.com/gpu", "1"),
            ("gpus", "2"),
        ]);
        let expected = resources(&[
            ("requests.memory", "1Gi"),
            ("limits.memory", "1Gi"),
            ("requests.cpu", "500m"),
            ("limits.cpu", "2"),
            ("requests.nvidia.com/gpu", "2"),
            ("limits.nvidia.com/gpu", "2"),
        ]);
        assert_eq!(in_kubernetes_words(&plan), Ok(expected));
    }

    #[test]
    fn what_a_cluster_does_not_have_is_refused_with_what_to_do() {
        for (key, value, said) in [
            ("pids-limit", "100", "podPidsLimit"),
            ("memory-reservation", "1g", "requests.memory"),
            ("cpu-shares", "512", "requests.cpu"),
            ("memory-swap", "-1", "take it out"),
            ("ulimit", "nofile=1", "take it out"),
            ("gpus", "all", "only a number"),
            ("gpus", "device=0", "only a number"),
            ("cpus", "0.0005", "thousandths"),
            ("memory", "0", "a limit of 0 is none"),
        ] {
            let error = in_kubernetes_words(&resources(&[(key, value)])).unwrap_err();
            assert!(error.contains(said), "{key}={value}: {error}");
        }
        let odd = [
            ("memory", Quantity::Cpus(1)),
            ("limits.cpu", Quantity::Bytes(1)),
            ("limits.memory", Quantity::Cpus(1_000_000_000)),
            ("cpus", Quantity::Count(-1)),
        ];
        for (key, quantity) in odd {
            assert!(in_kubernetes_words(&[(key.to_owned(), quantity)].into()).is_err(), "{key}");
        }
    }

    #[test]
    fn a_component_may_write_numbers_as_text() {
        let text = |text: &str| Quantity::Text(text.to_owned());
        let plan = [("memory".to_owned(), text("1g")), ("limits.cpu".to_owned(), text("1500m"))].into();
        assert_eq!(in_kubernetes_words(&plan), Ok(resources(&[("limits.memory", "1Gi"), ("limits.cpu", "1500m")])));
        assert!(in_kubernetes_words(&[("limits.cpu".to_owned(), text("lots"))].into()).unwrap_err().contains("lots"));
    }

    #[test]
    fn kubernetes_gets_its_own_object() {
        let plan = resources(&[
            ("requests.cpu", "250m"),
            ("limits.memory", "4Gi"),
            ("limits.nvidia.com/gpu", "1"),
            ("shm-size", "1g"),
        ]);
        let value = serde_json::to_value(requirements(&plan).unwrap()).unwrap();
        let expected = serde_json::json!({
            "requests": {"cpu": "250m"}, "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"}
        });
        assert_eq!(value, expected);
        assert_eq!(shm_size(&plan), Ok(Some(1 << 30)));
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_before() {
        for (pairs, said) in [
            (vec![("requests.memory", "2Gi"), ("limits.memory", "1Gi")], "more than limits.memory"),
            (vec![("requests.nvidia.com/gpu", "1")], "needs limits.nvidia.com/gpu"),
            (vec![("requests.nvidia.com/gpu", "1"), ("limits.nvidia.com/gpu", "2")], "the same of both"),
            (vec![("limits.hugepages-2Mi", "64Mi")], "cpu or memory"),
            (vec![("memory", "1g")], "isn't an amount"),
        ] {
            let error = requirements(&resources(&pairs)).unwrap_err();
            assert!(error.contains(said), "{pairs:?}: {error}");
        }
        assert!(requirements(&resources(&[("limits.hugepages-2Mi", "64Mi"), ("requests.cpu", "1")])).is_ok());
    }

    #[test]
    fn a_quotas_amount_is_an_amount() {
        assert_eq!(check_amount("pods", "10"), Ok(()));
        assert!(check_amount("pods", "ten").unwrap_err().contains("pods"));
        assert!(check_amount("pods", "-1").is_err());
    }
}
