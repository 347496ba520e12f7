//! Times of several ways to do the same, taken in rounds, so that whatever else the machine does hits all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The times of each way.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// In the order in which they were first taken.
    ways: Vec<String>,
    by_way: BTreeMap<String, Vec<Duration>>,
}

impl Times {
    /// Does it, and notes how long it took.
    pub fn take<T>(&mut self, way: &str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.note(way, started.elapsed());
        done
    }

    /// Notes how long it took.
    pub fn note(&mut self, way: &str, time: Duration) {
        if !self.by_way.contains_key(way) {
            self.ways.push(way.to_owned());
        }
        self.by_way.entry(way.to_owned()).or_default().push(time);
    }

    /// Whether a way was taken.
    #[must_use]
    pub fn has(&self, way: &str) -> bool {
        self.by_way.contains_key(way)
    }

    /// The median of a way in seconds.
    ///
    /// # Panics
    /// It was never taken.
    #[must_use]
    pub fn median(&self, way: &str) -> f64 {
        let mut times = self.by_way.get(way).unwrap_or_else(|| panic!("{way} was never taken")).clone();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    }

    /// A table of them: the median and the best, and how many megabytes a second the median is.
    #[must_use]
    pub fn table(&self, bytes: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "sizes of benchmarks")]
        let megabytes = bytes as f64 / 1e6;
        let mut text = "| way | median, s | best, s | MB/s |\n| --- | ---: | ---: | ---: |\n".to_owned();
        for way in &self.ways {
            let best = self.by_way[way].iter().min().map_or(0.0, Duration::as_secs_f64);
            let median = self.median(way);
            text.push_str(&format!("| {way} | {median:.2} | {best:.2} | {:.0} |\n", megabytes / median));
        }
        text
    }

    /// `WAY / BASE: 1.05`.
    #[must_use]
    pub fn ratio(&self, way: &str, base: &str) -> String {
        format!("{way} / {base}: {:.2}", self.median(way) / self.median(base))
    }
}

/// The machine, in one line.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_matches([' ', '\t', ':']).to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    format!(
        "{cpus} CPUs ({}), {} of memory, load {} at the beginning",
        value(&read("/proc/cpuinfo"), "model name"),
        value(&read("/proc/meminfo"), "MemTotal"),
        load.split(' ').next().unwrap_or_default()
    )
}
