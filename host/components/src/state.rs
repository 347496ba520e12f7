//! What belongs to one call: its limits, its WASI, its log.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::capture::Capture;
use crate::engine::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use crate::folder::GrantedFolder;
use crate::http::GrantedHttp;
use crate::observation::Observation;

/// How many WASI handles a call may have open.
const MAX_HANDLES: usize = 4096;
/// How many bytes of random numbers WASI gives at once.
const MAX_RANDOM: u64 = 64 * 1024;
/// What WASI's random numbers are made of: any will do, as long as they are the same for every call.
const SEED: [u8; 16] = *b"\x9e\x37\x79\xb9\x7f\x4a\x7c\x15\xf3\x9c\xc0\x60\x5c\xed\xc8\x34";
/// What time it is in WASI: the first second of 2020, since some libraries don't take 1970 for a time.
const STANDSTILL: Duration = Duration::from_secs(1_577_836_800);

/// The data of one call's store.
pub(crate) struct State {
    /// The component's name, for the log.
    pub(crate) component: Arc<str>,
    /// Its settings as JSON.
    pub(crate) settings: Arc<str>,
    /// The folder that it was granted.
    pub(crate) folder: Option<GrantedFolder>,
    /// Where it may send HTTP requests; none while it is loaded.
    pub(crate) http: Option<GrantedHttp>,
    /// How many it sent.
    pub(crate) http_requests: u32,
    /// How many lines it wrote to the log.
    pub(crate) log_lines: u32,
    pub(crate) memory: MemoryLimit,
    /// What it does, when somebody wants to know.
    pub(crate) seen: Option<Box<Observation>>,
    /// Made when the component first asks for something of WASI: many never do, and making it costs as much as they do.
    wasi: Option<Box<Wasi>>,
}

struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    output: Capture,
}

impl State {
    pub(crate) fn new(
        component: Arc<str>,
        settings: Arc<str>,
        folder: Option<GrantedFolder>,
        http: Option<GrantedHttp>,
        memory_bytes: usize,
    ) -> Self {
        let memory = MemoryLimit { bytes: memory_bytes, used: 0, table_elements: 0, denied: false };
        Self { component, settings, folder, http, http_requests: 0, log_lines: 0, memory, seen: None, wasi: None }
    }

    /// Notes something that it used or tried.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> (String, Option<String>)) {
        if let Some(seen) = &mut self.seen {
            let (what, refused) = what();
            seen.note(what, refused);
        }
    }

    /// The end of what it wrote to its standard output and error.
    pub(crate) fn output(&self) -> String {
        self.wasi.as_ref().map(|wasi| wasi.output.text()).unwrap_or_default()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { context, table, .. } = &mut **self.wasi.get_or_insert_with(|| Box::new(inert()));
        WasiCtxView { ctx: context, table }
    }
}

/// WASI without a world around it: no environment, no folders, no network, no time.
fn inert() -> Wasi {
    let output = Capture::default();
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(output.clone())
        .stderr(output.clone())
        .wall_clock(Standstill)
        .monotonic_clock(Standstill)
        .secure_random(Deterministic::new(SEED.to_vec()))
        .insecure_random(Deterministic::new(SEED.to_vec()))
        .insecure_random_seed(u128::from_le_bytes(SEED))
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    Wasi { context: builder.build(), table, output }
}

struct Standstill;

impl HostWallClock for Standstill {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        STANDSTILL
    }
}

impl HostMonotonicClock for Standstill {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Bounds what all memories and tables of a call have together.
pub(crate) struct MemoryLimit {
    bytes: usize,
    pub(crate) used: usize,
    table_elements: usize,
    /// Something was asked for and not given.
    pub(crate) denied: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let more = desired.saturating_sub(current);
        let fits = self.used.saturating_add(more) <= self.bytes;
        if fits {
            self.used += more;
        } else {
            self.denied = true;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let more = desired.saturating_sub(current);
        let fits = self.table_elements.saturating_add(more) <= MAX_TABLE_ELEMENTS as usize;
        if fits {
            self.table_elements += more;
        } else {
            self.denied = true;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}
