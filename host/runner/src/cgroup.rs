use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use wharf_model::protocol::Usage;

/// The container's control group, of either version: what the kernel itself counts.
pub(crate) struct Cgroup {
    version: Version,
    /// The highest seen, where the kernel doesn't keep it.
    peak: Cell<u64>,
}

enum Version {
    One { memory: PathBuf, cpu: PathBuf, pids: PathBuf },
    Two { folder: PathBuf },
}

impl Cgroup {
    pub(crate) fn find() -> Self {
        Self::find_in(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    fn find_in(root: &Path, memberships: &str) -> Self {
        // Lines are `ID:CONTROLLERS:PATH`. In a container the path is mostly the root of what is mounted there,
        // whatever it says.
        let folder = |mounted: PathBuf, controller: &str| {
            let path = memberships.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let controllers = parts.next()?;
                controllers.split(',').any(|name| name == controller).then(|| parts.next())?
            });
            path.map(|path| mounted.join(path.trim_start_matches('/')))
                .filter(|folder| folder.is_dir())
                .unwrap_or(mounted)
        };
        let version = if root.join("memory").is_dir() {
            let cpu = if root.join("cpuacct").is_dir() { "cpuacct" } else { "cpu,cpuacct" };
            Version::One {
                memory: folder(root.join("memory"), "memory"),
                cpu: folder(root.join(cpu), "cpuacct"),
                pids: folder(root.join("pids"), "pids"),
            }
        } else {
            Version::Two { folder: folder(root.to_owned(), "") }
        };
        Self { version, peak: Cell::new(0) }
    }

    pub(crate) fn usage(&self) -> Usage {
        let (memory, peak, cpu_seconds, oom_kills, memory_limit_hits, processes) = match &self.version {
            Version::One { memory, cpu, pids } => (
                number(&memory.join("memory.usage_in_bytes")),
                number(&memory.join("memory.max_usage_in_bytes")),
                seconds(number(&cpu.join("cpuacct.usage")), 1e9),
                entry(&memory.join("memory.oom_control"), "oom_kill"),
                number(&memory.join("memory.failcnt")),
                pids,
            ),
            Version::Two { folder } => (
                number(&folder.join("memory.current")),
                number(&folder.join("memory.peak")),
                seconds(entry(&folder.join("cpu.stat"), "usage_usec"), 1e6),
                // With those of groups below this one; `memory.events.local` leaves them out.
                entry(&folder.join("memory.events"), "oom_kill"),
                entry(&folder.join("memory.events"), "max"),
                folder,
            ),
        };
        let memory = memory.unwrap_or(0);
        self.peak.set(self.peak.get().max(memory).max(peak.unwrap_or(0)));
        Usage {
            memory,
            memory_peak: self.peak.get(),
            cpu_seconds,
            oom_kills: oom_kills.unwrap_or(0),
            memory_limit_hits,
            process_refusals: entry(&processes.join("pids.events"), "max").unwrap_or(0),
        }
    }

    pub(crate) fn memory_limit(&self) -> Option<u64> {
        match &self.version {
            // "No limit" is a number near 2^63.
            Version::One { memory, .. } => {
                number(&memory.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 60)
            }
            Version::Two { folder } => number(&folder.join("memory.max")),
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of a line `NAME VALUE`.
fn entry(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

fn seconds(count: Option<u64>, a_second: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a century fit into a double")]
    let count = count.unwrap_or(0) as f64;
    count / a_second
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn version_one_as_a_container_sees_it() {
        let root = tempfile::tempdir().unwrap();
        files(
            root.path(),
            &[
                ("memory/memory.usage_in_bytes", "1000\n"),
                ("memory/memory.max_usage_in_bytes", "5000\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                ("memory/memory.failcnt", "12\n"),
                ("pids/pids.events", "max 3\n"),
                ("cpu,cpuacct/cpuacct.usage", "2500000000\n"),
            ],
        );
        let cgroup = Cgroup::find_in(root.path(), "11:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
        let expected = Usage {
            memory: 1000,
            memory_peak: 5000,
            cpu_seconds: 2.5,
            oom_kills: 2,
            memory_limit_hits: Some(12),
            process_refusals: 3,
        };
        assert_eq!(cgroup.usage(), expected);
        assert_eq!(cgroup.memory_limit(), None);
    }

    #[test]
    fn version_two_with_and_without_a_kept_peak() {
        let root = tempfile::tempdir().unwrap();
        files(
            root.path(),
            &[
                ("a/b/memory.current", "1000\n"),
                ("a/b/memory.max", "4096\n"),
                ("a/b/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 0\n"),
                // What a nested group's processes suffered is counted above, not here.
                ("a/b/memory.events.local", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"),
                ("a/b/cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
            ],
        );
        let cgroup = Cgroup::find_in(root.path(), "0::/a/b\n");
        let expected = Usage {
            memory: 1000,
            memory_peak: 1000,
            cpu_seconds: 1.5,
            oom_kills: 1,
            memory_limit_hits: Some(4),
            process_refusals: 0,
        };
        assert_eq!(cgroup.usage(), expected);
        files(root.path(), &[("a/b/memory.current", "10\n")]);
        assert_eq!(cgroup.usage().memory_peak, 1000);
        assert_eq!(cgroup.memory_limit(), Some(4096));
    }

    #[test]
    fn without_any_it_is_zeros() {
        let root = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::find_in(root.path(), "");
        assert_eq!(cgroup.usage(), Usage::default());
    }
}
