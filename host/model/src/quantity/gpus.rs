//! How many GPUs a resource asks for, in the words of either engine.

use super::{LIMITS, Quantity};

/// What "all GPUs of the machine" counts as: how many that is, only the machine knows.
pub const ALL_GPUS: u64 = u32::MAX as u64;

/// Whose extended resources are GPUs, or parts of one.
const VENDORS: [&str; 3] = ["nvidia.com", "amd.com", "gpu.intel.com"];

/// How many GPUs a resource asks for; none when its key isn't about GPUs. A text that can't be read counts as all.
#[must_use]
pub fn gpus(key: &str, value: &Quantity) -> Option<u64> {
    if key == "gpus" {
        return Some(match value {
            Quantity::Text(text) => of_docker(text),
            Quantity::Count(count) => u64::try_from(*count).unwrap_or(ALL_GPUS),
            _ => ALL_GPUS,
        });
    }
    let (vendor, _) = key.strip_prefix(LIMITS)?.split_once('/')?;
    VENDORS.contains(&vendor).then(|| match value {
        Quantity::Count(count) => u64::try_from(*count).unwrap_or(ALL_GPUS),
        _ => ALL_GPUS,
    })
}

/// `all`, `2`, `device=0,1`, `"device=0,1",capabilities=compute`; options alone ask for one.
fn of_docker(text: &str) -> u64 {
    let (mut count, mut devices) = (None, 0);
    let mut list = "count";
    for word in text.split(',').map(|word| word.trim().trim_matches('"')) {
        let (key, value) = word.split_once('=').map_or((list, word), |(key, value)| (key.trim(), value.trim()));
        list = key;
        match (key, value) {
            ("count" | "device", "all") => return ALL_GPUS,
            ("count", value) => match value.parse::<u32>() {
                Ok(number) => count = Some(u64::from(number)),
                Err(_) => return ALL_GPUS,
            },
            ("device", _) => devices += 1,
            _ => {}
        }
    }
    if devices > 0 { devices } else { count.unwrap_or(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_in_the_words_of_both_engines() {
        for (text, count) in [
            ("2", 2),
            ("0", 0),
            ("all", ALL_GPUS),
            ("device=0", 1),
            ("device=0,2,3", 3),
            ("device=all", ALL_GPUS),
            ("\"device=0,1\",capabilities=compute", 2),
            ("capabilities=compute,utility", 1),
            ("count=3,driver=nvidia", 3),
            ("many", ALL_GPUS),
        ] {
            assert_eq!(gpus("gpus", &Quantity::Text(text.to_owned())), Some(count), "{text}");
        }
        for (key, count) in [
            ("limits.nvidia.com/gpu", Some(2)),
            ("limits.nvidia.com/mig-1g.5gb", Some(2)),
            ("limits.amd.com/gpu", Some(2)),
            ("requests.nvidia.com/gpu", None),
            ("limits.example.com/fpga", None),
            ("limits.memory", None),
            ("memory", None),
        ] {
            assert_eq!(gpus(key, &Quantity::Count(2)), count, "{key}");
        }
    }
}
