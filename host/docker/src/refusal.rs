//! What the daemon's refusals mean, recognised by its own words.
//!
//! The status doesn't tell refusals apart: one and the same comes as 400, 404 or 500, by version and by step. Words that
//! aren't known stay as the daemon said them.

use wharf_model::outcome::Whose;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose doing it is.
    pub whose: Whose,
    /// Whether trying again, unchanged, can help.
    pub retry_helps: bool,
    /// What to do.
    pub advice: &'static str,
}

/// A kind of refusal: all of its words must be in the text, which is compared in lower case.
struct Pattern {
    words: &'static [&'static str],
    refusal: Refusal,
}

const fn pattern(whose: Whose, retry_helps: bool, words: &'static [&'static str], advice: &'static str) -> Pattern {
    Pattern { words, refusal: Refusal { whose, retry_helps, advice } }
}

const CONFIGURED: Whose = Whose::Configuration;

const NO_ROOM: &str = "its disk is full: make room on the engine's machine (`docker system df`, `docker image prune`), or try again \
                       when other runs have ended";
const NO_RUNNER: &str =
    "the image isn't whole: remove it (`docker image rm`) and build it anew, `wharf base build NAME`";
const NO_CPUS: &str = "ask for no more CPUs than the engine's machine has: `--resource cpus=...`, or `cpus` in the resources of the \
                       configuration";
const NO_DRIVER: &str = "leave `gpus` out, or install a GPU driver and its container toolkit on the engine's machine";
const CPU_SHARE: &str = "correct `cpus`, `cpu-period` or `cpu-quota` in the resources: a share of at least 0.01 CPUs";

/// The first one that fits is taken, so the narrower stands above the wider.
const PATTERNS: &[Pattern] = &[
    // The machine has no more of something.
    pattern(Whose::Capacity, true, &["no space left on device"], NO_ROOM),
    pattern(Whose::Capacity, true, &["disk quota exceeded"], NO_ROOM),
    pattern(
        Whose::Capacity,
        true,
        &["no available ipv4 addresses"],
        "all addresses of that network are in use: try again when other containers of it have ended, or name a larger one as \
         `network` under [security]",
    ),
    pattern(
        Whose::Capacity,
        true,
        &["resource temporarily unavailable"],
        "the engine's machine has no room for another process: try again when other runs have ended",
    ),
    pattern(
        Whose::Capacity,
        true,
        &["cannot allocate memory"],
        "the engine's machine has no memory left: try again when other runs have ended",
    ),
    // What the execution configuration asks for and the daemon doesn't have.
    pattern(
        CONFIGURED,
        false,
        &["unknown runtime specified"],
        "correct `runtime` of the execution configuration: `docker info` lists the runtimes of its daemon",
    ),
    pattern(
        CONFIGURED,
        false,
        &["unknown or invalid runtime name"],
        "correct `runtime` of the execution configuration: `docker info` lists the runtimes of its daemon",
    ),
    pattern(CONFIGURED, false, &["could not select device driver"], NO_DRIVER),
    pattern(CONFIGURED, false, &["nvidia-container-cli"], NO_DRIVER),
    pattern(CONFIGURED, false, &["unresolvable cdi devices"], NO_DRIVER),
    pattern(
        CONFIGURED,
        false,
        &["network", "not found"],
        "correct `network` under [security] of the execution configuration: `docker network ls` lists those of its daemon",
    ),
    pattern(
        CONFIGURED,
        false,
        &["bind source path does not exist"],
        "make that folder on the engine's machine, or take it out of `host_mounts` under [security]",
    ),
    pattern(
        CONFIGURED,
        false,
        &["duplicate mount point"],
        "`host_mounts` under [security] has two folders in one place: give each a place of its own",
    ),
    pattern(
        CONFIGURED,
        false,
        &["error mounting", "to rootfs at"],
        "correct `host_mounts` under [security]: a folder goes over a folder, a file over a file, and nothing into /proc or /sys",
    ),
    pattern(
        CONFIGURED,
        false,
        &["apparmor"],
        "load the AppArmor profile on the engine's machine again: `systemctl restart apparmor docker`",
    ),
    pattern(
        CONFIGURED,
        false,
        &["authorization denied by plugin"],
        "an authorization plugin of the daemon forbids it: ask whoever administers that daemon",
    ),
    // Amounts.
    pattern(Whose::Capacity, false, &["range of cpus is from"], NO_CPUS),
    pattern(
        Whose::Capacity,
        false,
        &["requested cpus are not available"],
        "correct `cpuset-cpus` in the resources: the engine's machine has other CPUs",
    ),
    pattern(
        Whose::Capacity,
        false,
        &["requested memory nodes are not available"],
        "correct `cpuset-mems` in the resources: the engine's machine has other memory nodes",
    ),
    pattern(CONFIGURED, false, &["cpu cfs"], CPU_SHARE),
    pattern(CONFIGURED, false, &["cpu.cfs_quota_us", "invalid argument"], CPU_SHARE),
    pattern(CONFIGURED, false, &["cpu.max", "invalid argument"], CPU_SHARE),
    pattern(CONFIGURED, false, &["nano cpus and cpu"], "name `cpus`, or `cpu-period` and `cpu-quota`, not both"),
    pattern(
        CONFIGURED,
        false,
        &["memory limit can not be less than memory reservation"],
        "make `memory-reservation` in the resources at most as large as `memory`",
    ),
    pattern(
        CONFIGURED,
        false,
        &["memoryswap limit should be larger than memory limit"],
        "`memory-swap` in the resources is memory and swap together: make it at least as large as `memory`, or leave it out",
    ),
    pattern(CONFIGURED, false, &["minimum memory limit allowed"], "ask for more memory: `--resource memory=...`"),
    pattern(CONFIGURED, false, &["memory swappiness"], "correct `memory-swappiness` in the resources: from 0 to 100"),
    pattern(CONFIGURED, false, &["oom score adj"], "correct `oom-score-adj` in the resources: from -1000 to 1000"),
    pattern(CONFIGURED, false, &["shm size"], "correct `shm-size` in the resources"),
    pattern(CONFIGURED, false, &["shares", "invalid argument"], "correct `cpu-shares` in the resources"),
    pattern(
        CONFIGURED,
        false,
        &["rlimit"],
        "correct `ulimit` in the resources: its name, and a soft limit up to the hard one",
    ),
    // The image.
    pattern(Whose::Host, false, &["wharf-runner", "permission denied"], NO_RUNNER),
    pattern(Whose::Host, false, &["wharf-runner", "no such file or directory"], NO_RUNNER),
    pattern(
        CONFIGURED,
        false,
        &["pull access denied"],
        "correct the image's name in `from`, or log the daemon's user in to its registry (`docker login`)",
    ),
    pattern(CONFIGURED, false, &["unauthorized"], "log the daemon's user in to the registry (`docker login`)"),
    pattern(
        CONFIGURED,
        false,
        &["manifest unknown"],
        "correct the image's tag in `from`: the registry doesn't have it",
    ),
    pattern(
        Whose::Capacity,
        true,
        &["toomanyrequests"],
        "the registry limits pulls: wait, log the daemon's user in (`docker login`), or load the image (`docker load`)",
    ),
    pattern(
        Whose::Network,
        true,
        &["no such host"],
        "the engine's machine can't find that server: see its name service and proxy, or load the image (`docker load`)",
    ),
    pattern(
        Whose::Network,
        true,
        &["tls handshake timeout"],
        "the engine's machine can't reach that server: see its network and proxy, or load the image (`docker load`)",
    ),
    pattern(
        Whose::Network,
        true,
        &["i/o timeout"],
        "the engine's machine can't reach that server: see its network and proxy, or load the image (`docker load`)",
    ),
    // The daemon's machine itself.
    pattern(
        Whose::Engine,
        true,
        &["could not find bridge"],
        "the daemon's network is gone from its machine: restart the daemon",
    ),
    pattern(
        Whose::Engine,
        true,
        &["did not receive an exit event"],
        "the daemon has lost hold of that container: restart the daemon",
    ),
    pattern(
        Whose::Engine,
        false,
        &["unable to apply cgroup configuration"],
        "the engine's machine can't limit that resource: `docker info` names what its kernel lacks",
    ),
];

/// What the daemon's words mean; `None` when they aren't known.
#[must_use]
pub fn refusal(words: &str) -> Option<Refusal> {
    let words = words.to_lowercase();
    PATTERNS.iter().find(|pattern| pattern.words.iter().all(|part| words.contains(part))).map(|pattern| pattern.refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What daemons said, and a word of the advice.
    const RECORDED: &[(&str, &str)] = &[
        // Docker 20.10.24.
        ("Unknown runtime specified nope", "`runtime`"),
        ("could not select device driver \"\" with capabilities: [[gpu]]", "`gpus`"),
        ("network nope not found", "`network`"),
        ("invalid mount config for type \"bind\": bind source path does not exist: /nope/x", "`host_mounts`"),
        ("Duplicate mount point: /x", "two folders in one place"),
        ("Requested CPUs are not available - requested 7, available: 0-1", "`cpuset-cpus`"),
        ("Requested memory nodes are not available - requested 3, available: 0", "`cpuset-mems`"),
        ("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "no more CPUs"),
        ("Minimum memory limit allowed is 6MB", "memory=..."),
        ("Minimum memoryswap limit should be larger than memory limit, see usage", "`memory-swap`"),
        ("Minimum memory limit can not be less than memory reservation limit, see usage", "`memory-reservation`"),
        ("Invalid value: 200, valid memory swappiness range is 0-100", "`memory-swappiness`"),
        ("Invalid value 5000, range for oom score adj is [-1000, 1000]", "`oom-score-adj`"),
        ("SHM size can not be less than 0", "`shm-size`"),
        ("shares: invalid argument", "`cpu-shares`"),
        ("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)", "`cpu-period`"),
        ("CPU cfs quota can not be less than 1ms (i.e. 1000)", "`cpu-quota`"),
        ("Conflicting options: Nano CPUs and CPU Quota cannot both be set", "not both"),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error \
             during container init: error setting cgroup config for procHooks process: failed to write \"100\": write \
             /sys/fs/cgroup/cpu/docker/d8a3/cpu.cfs_quota_us: invalid argument: unknown",
            "0.01 CPUs",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: wrong rlimit value: RLIMIT_NOPE: unknown",
            "`ulimit`",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error \
             during container init: error setting rlimits for ready process: error setting rlimit type 7: operation not \
             permitted: unknown",
            "`ulimit`",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error \
             during container init: error mounting \"/tmp\" to rootfs at \"/etc/passwd\": mount /tmp:/etc/passwd (via \
             /proc/self/fd/6), flags: 0x5000: not a directory: unknown: Are you trying to mount a directory onto a file (or \
             vice-versa)? Check if the specified host path exists and is the expected type",
            "a folder goes over a folder",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \
             \"/opt/wharf/bin/wharf-runner\": stat /opt/wharf/bin/wharf-runner: no such file or directory: unknown",
            "wharf base build",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \
             \"/opt/wharf/bin/wharf-runner\": permission denied: unknown",
            "wharf base build",
        ),
        (
            "no available IPv4 addresses on this network's address pools: small (cfd4bea3d9ac)",
            "all addresses of that network",
        ),
        ("write /var/lib/docker/overlay2/b85e4000097a-init/link: no space left on device", "docker system df"),
        (
            "failed to update store for object type *libnetwork.endpoint: write /var/lib/docker/network/files/local-kv.db: no \
             space left on device",
            "docker system df",
        ),
        ("Error processing tar file(exit status 1): write /Dockerfile: no space left on device", "docker system df"),
        (
            "failed to create endpoint x on network bridge: adding interface veth0 to bridge docker0 failed: could not find \
             bridge docker0: route ip+net: no such network interface",
            "restart the daemon",
        ),
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: \
             unable to apply cgroup configuration: failed to write \"95000\": write \
             /sys/fs/cgroup/cpu/docker/f1c8/cpu.rt_runtime_us: invalid argument: unknown",
            "can't limit that resource",
        ),
        // Newer daemons, by hand from their sources and documentation.
        ("unknown or invalid runtime name: nope", "`runtime`"),
        (
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: \
             unable to start container process: error during container init: error running prestart hook #0: exit status 1, \
             stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: initialization error: load library \
             failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown",
            "GPU driver",
        ),
        ("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all", "GPU driver"),
        ("authorization denied by plugin opa: request rejected by administrative policy", "authorization plugin"),
        ("AppArmor enabled on system but the docker-default profile could not be loaded", "AppArmor"),
        ("pull access denied for nope, repository does not exist or may require 'docker login'", "docker login"),
        ("manifest for debian:nope not found: manifest unknown: manifest unknown", "tag"),
        ("toomanyrequests: You have reached your pull rate limit.", "limits pulls"),
        ("Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host", "name service"),
        ("Get \"https://registry.example/v2/\": net/http: TLS handshake timeout", "proxy"),
        ("tried to kill container, but did not receive an exit event", "restart the daemon"),
    ];

    /// Words that no daemon said to us yet.
    const UNRECORDED: &[&[&str]] = &[
        &["disk quota exceeded"],
        &["resource temporarily unavailable"],
        &["cannot allocate memory"],
        &["cpu.max", "invalid argument"],
        &["unauthorized"],
        &["i/o timeout"],
    ];

    #[test]
    fn each_recorded_refusal_has_its_advice() {
        for (words, advice) in RECORDED {
            let found = refusal(words).unwrap_or_else(|| panic!("not known: {words}"));
            assert!(found.advice.contains(advice), "{words}: {}", found.advice);
        }
    }

    #[test]
    fn no_pattern_is_without_a_record_and_none_hides_another() {
        for (at, pattern) in PATTERNS.iter().enumerate() {
            let takes = |words: &str| {
                let words = words.to_lowercase();
                PATTERNS.iter().position(|one| one.words.iter().all(|part| words.contains(part))) == Some(at)
            };
            let known = RECORDED.iter().any(|(words, _)| takes(words));
            assert!(known || UNRECORDED.contains(&pattern.words), "{:?} is never taken", pattern.words);
        }
    }

    #[test]
    fn unknown_words_stay_as_they_are() {
        assert_eq!(refusal("flux capacitor discharged"), None);
        assert_eq!(refusal(""), None);
    }
}
