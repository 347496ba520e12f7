//! Resource keys, as `docker run` has them, in Docker's own fields.

use bollard::models::{DeviceRequest, HostConfig, ResourcesUlimits};
use wharf_model::configuration::DEFAULT_PIDS_LIMIT;
use wharf_model::quantity::{Quantity, Resources};

/// Puts resource restrictions into a container's host configuration.
///
/// Where `memory` is set and `memory-swap` isn't, swap is set to the same: `docker run` would allow as much again in
/// swap, and a limit that is twice what it says isn't one. Where `pids-limit` isn't set, it is [`DEFAULT_PIDS_LIMIT`].
///
/// # Errors
/// One sentence: the key, and what it takes.
pub(crate) fn apply(resources: &Resources, host: &mut HostConfig) -> Result<(), String> {
    host.pids_limit = Some(DEFAULT_PIDS_LIMIT);
    for (key, quantity) in resources {
        let number = || number(key, quantity);
        match key.as_str() {
            "blkio-weight" => {
                let weight = u16::try_from(number()?).map_err(|_| wrong(key, quantity, "a number from 10 to 1000"))?;
                host.blkio_weight = Some(weight);
            }
            "cpu-period" => host.cpu_period = Some(number()?),
            "cpu-quota" => host.cpu_quota = Some(number()?),
            "cpu-shares" => host.cpu_shares = Some(number()?),
            "cpus" => host.nano_cpus = Some(number()?),
            "cpuset-cpus" => host.cpuset_cpus = Some(quantity.to_string()),
            "cpuset-mems" => host.cpuset_mems = Some(quantity.to_string()),
            "gpus" => host.device_requests = Some(vec![gpus(&quantity.to_string())?]),
            "memory" => host.memory = Some(number()?),
            "memory-reservation" => host.memory_reservation = Some(number()?),
            "memory-swap" => host.memory_swap = Some(number()?),
            "memory-swappiness" => host.memory_swappiness = Some(number()?),
            "oom-score-adj" => host.oom_score_adj = Some(number()?),
            "pids-limit" => host.pids_limit = Some(number()?),
            "shm-size" => host.shm_size = Some(number()?),
            "ulimit" => host.ulimits = Some(ulimits(quantity)?),
            other => return Err(format!("Docker has no resource key {other}")),
        }
    }
    if host.memory_swap.is_none() {
        host.memory_swap = host.memory;
    }
    Ok(())
}

fn wrong(key: &str, quantity: &Quantity, expected: &str) -> String {
    format!("the resource {key} is \"{quantity}\", which isn't {expected}")
}

/// The amount as Docker takes it. A component may have set a text where the key takes a number: it is read as one.
fn number(key: &str, quantity: &Quantity) -> Result<i64, String> {
    let read = match quantity {
        Quantity::Text(text) => {
            Quantity::parse_docker(key, text).map_err(|error| format!("the resource {key} can't be used: {error}"))?
        }
        other => other.clone(),
    };
    match (key, read) {
        ("cpus", Quantity::Cpus(nanos)) => i64::try_from(nanos).ok(),
        // Billionths of a CPU are no bytes, and no count of anything.
        ("cpus", _) | (_, Quantity::Cpus(_)) => None,
        (_, Quantity::Bytes(amount)) => i64::try_from(amount).ok(),
        (_, Quantity::Count(count)) => Some(count),
        (_, Quantity::Text(_) | Quantity::Texts(_)) => None,
    }
    .ok_or_else(|| wrong(key, quantity, "an amount that it takes"))
}

/// `all`, `2`, `device=0,1`, `"device=0,1",capabilities=compute`, as `docker run --gpus` reads them.
fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let bad = || format!("the resource gpus is \"{text}\", which isn't \"all\", a number, or \"device=ID,ID\"");
    let mut request = DeviceRequest::default();
    let mut capabilities = vec!["gpu".to_owned()];
    let mut ids: Vec<String> = Vec::new();
    // The list that a word without a key goes on with: `docker run` wants such a list quoted, a file has it plain.
    let mut list: Option<&str> = None;
    for (position, word) in text.split(',').map(|word| word.trim().trim_matches('"')).enumerate() {
        let (key, value) = match (word.split_once('='), list) {
            (Some((key, value)), _) => (key.trim(), value.trim()),
            (None, Some(key)) => (key, word),
            (None, None) if position == 0 => ("count", word),
            (None, None) => return Err(bad()),
        };
        if value.is_empty() {
            return Err(bad());
        }
        list = matches!(key, "device" | "capabilities").then_some(key);
        match key {
            "device" => ids.push(value.to_owned()),
            "capabilities" => capabilities.push(value.to_owned()),
            "driver" => request.driver = Some(value.to_owned()),
            "count" if value == "all" => request.count = Some(-1),
            "count" => {
                let count: u32 = value.parse().map_err(|_| bad())?;
                request.count = Some(i64::from(count));
            }
            _ => return Err(bad()),
        }
    }
    if ids.is_empty() {
        // As `docker run` has it: options alone ask for one.
        request.count = request.count.or(Some(1));
    } else if request.count.is_some() {
        return Err(format!("the resource gpus is \"{text}\", which has both devices and a count"));
    } else {
        request.device_ids = Some(ids);
    }
    request.capabilities = Some(vec![capabilities]);
    Ok(request)
}

/// `nofile=1024`, `nofile=1024:2048`.
fn ulimits(quantity: &Quantity) -> Result<Vec<ResourcesUlimits>, String> {
    let texts = match quantity {
        Quantity::Texts(texts) => texts.clone(),
        other => other.to_string().split(',').map(|text| text.trim().to_owned()).collect(),
    };
    texts
        .iter()
        .map(|text| {
            let bad = || format!("the resource ulimit has \"{text}\", which isn't NAME=SOFT or NAME=SOFT:HARD");
            let (name, values) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
            let (soft, hard) = values.split_once(':').unwrap_or((values, values));
            let value = |text: &str| text.trim().parse::<i64>().map_err(|_| bad());
            Ok(ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value(soft)?), hard: Some(value(hard)?) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(pairs: &[(&str, &str)]) -> Result<serde_json::Value, String> {
        let resources =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Quantity::parse_docker(key, value).unwrap())).collect();
        let mut host = HostConfig::default();
        apply(&resources, &mut host)?;
        Ok(serde_json::to_value(host).unwrap())
    }

    #[test]
    fn every_key_has_its_field() {
        let value = applied(&[
            ("blkio-weight", "300"),
            ("cpu-period", "100000"),
            ("cpu-quota", "50000"),
            ("cpu-shares", "512"),
            ("cpus", "1.5"),
            ("cpuset-cpus", "0-1"),
            ("cpuset-mems", "0"),
            ("gpus", "all"),
            ("memory", "2g"),
            ("memory-reservation", "1g"),
            ("memory-swap", "-1"),
            ("memory-swappiness", "0"),
            ("oom-score-adj", "500"),
            ("pids-limit", "100"),
            ("shm-size", "64m"),
            ("ulimit", "nofile=1024:2048,core=0"),
        ])
        .unwrap();
        let expected = serde_json::json!({
            "BlkioWeight": 300, "CpuPeriod": 100_000, "CpuQuota": 50_000, "CpuShares": 512,
            "NanoCpus": 1_500_000_000, "CpusetCpus": "0-1", "CpusetMems": "0",
            "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
            "Memory": 2_147_483_648_u64, "MemoryReservation": 1_073_741_824, "MemorySwap": -1, "MemorySwappiness": 0,
            "OomScoreAdj": 500, "PidsLimit": 100, "ShmSize": 67_108_864,
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "core", "Soft": 0, "Hard": 0}]
        });
        assert_eq!(value, expected);
        // A key that the model knows and this file doesn't would be refused at launch: there is none.
        for (key, _) in wharf_model::quantity::DOCKER_KEYS {
            assert!(expected.to_string().len() > key.len());
            let error = apply(&[(key.to_owned(), Quantity::Count(10))].into(), &mut HostConfig::default()).err();
            assert!(error.is_none_or(|error| !error.contains("no resource key")), "{key}");
        }
    }

    #[test]
    fn a_memory_limit_is_a_limit_of_swap_too() {
        assert_eq!(applied(&[("memory", "64m")]).unwrap()["MemorySwap"], 67_108_864);
        assert_eq!(applied(&[("memory", "64m"), ("memory-swap", "128m")]).unwrap()["MemorySwap"], 134_217_728);
        assert_eq!(applied(&[]).unwrap(), serde_json::json!({"PidsLimit": DEFAULT_PIDS_LIMIT}));
    }

    #[test]
    fn gpus_are_read_as_docker_run_reads_them() {
        let read = |text| serde_json::to_value(gpus(text).unwrap()).unwrap();
        let caps = serde_json::json!([["gpu"]]);
        assert_eq!(read("2"), serde_json::json!({"Count": 2, "Capabilities": caps}));
        assert_eq!(read("device=0,1"), serde_json::json!({"DeviceIDs": ["0", "1"], "Capabilities": caps}));
        assert_eq!(
            read("\"device=GPU-3a,1\""),
            serde_json::json!({"DeviceIDs": ["GPU-3a", "1"], "Capabilities": caps})
        );
        assert_eq!(
            read("driver=nvidia,capabilities=compute,utility"),
            serde_json::json!({"Driver": "nvidia", "Count": 1, "Capabilities": [["gpu", "compute", "utility"]]})
        );
        for text in ["", "some", "2,3", "device=", "count=-2", "device=0,count=1", "speed=9"] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_component_may_write_numbers_as_text() {
        let apply_one = |key: &str, quantity| {
            let mut host = HostConfig::default();
            apply(&[(key.to_owned(), quantity)].into(), &mut host).map(|()| host)
        };
        assert_eq!(apply_one("memory", Quantity::Text("1g".to_owned())).unwrap().memory, Some(1 << 30));
        let error = apply_one("memory", Quantity::Text("lots".to_owned())).unwrap_err();
        assert!(error.contains("memory") && error.contains("lots"), "{error}");
        assert!(apply_one("memory", Quantity::Cpus(5)).is_err());
        assert!(apply_one("cpus", Quantity::Count(5)).is_err());
        assert!(apply_one("memory", Quantity::Bytes(u64::MAX)).is_err());
        assert!(apply_one("memmory", Quantity::Bytes(1)).unwrap_err().contains("memmory"));
    }
}
