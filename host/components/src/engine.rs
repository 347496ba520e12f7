//! The engine that all components of a process share.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};
use wharf_fetch::Roots;

use crate::cache::Cache;
use crate::gate::Gate;
use crate::observation::Observer;
use crate::ticker::Ticker;

/// How many calls run at once; more wait their turn. Each may use as much memory as its component's limit.
const CALLS: u32 = 32;
/// The most memory that a component's TOML can allow it.
pub(crate) const MAX_MEMORY_MB: u32 = 1024;
/// Core instances in one component. Python guests have more than twenty.
pub(crate) const MAX_INSTANCES: u32 = 64;
/// Tables in one component.
pub(crate) const MAX_TABLES: u32 = 64;
/// Memories in one component.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// Elements in one table.
pub(crate) const MAX_TABLE_ELEMENTS: u32 = 100_000;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where compiled code is kept; a folder for this alone. Without one, everything is compiled at every start.
    pub cache_dir: Option<PathBuf>,
    /// Whether guest traps may use the signals of the process: faster, but not possible in a process that needs them for
    /// itself, such as a JVM.
    pub signals_based_traps: bool,
    /// How long one component may take to compile and to be checked.
    pub compile_limit: Duration,
    /// Whether traps name lines of the source, from the debug information of the component. That is read outside of all
    /// limits, so it is for tools that run the components of whoever calls them, not for hosts.
    pub source_lines: bool,
    /// Who wants to know what calls did.
    pub observer: Option<Observer>,
    /// Whom TLS trusts when components send HTTP requests.
    pub roots: Roots,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            signals_based_traps: true,
            compile_limit: Duration::from_secs(120),
            source_lines: false,
            observer: None,
            roots: Roots::default(),
        }
    }
}

/// An engine that can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    /// The compiler or the runtime doesn't work on this machine.
    #[error("can't set up the WebAssembly engine")]
    Engine {
        /// What wasmtime says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No thread for the clock that ends calls.
    #[error("can't start the thread that limits the time of components")]
    Ticker {
        /// What the system says.
        source: io::Error,
    },
}

/// Compiles and runs components. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
}

struct Shared {
    wasmtime: wasmtime::Engine,
    ticker: Ticker,
    cache: Option<Cache>,
    calls: Arc<Semaphore>,
    compile_limit: Duration,
    overdue: Arc<AtomicUsize>,
    observer: Option<Observer>,
    roots: Roots,
    pooled: bool,
}

impl Engine {
    /// Sets up an engine.
    ///
    /// A cache folder that can't be used is left alone, with a warning in the log: everything works without it.
    ///
    /// # Errors
    /// The machine can't run WebAssembly, or no thread could be started.
    pub fn new(options: EngineOptions) -> Result<Self, ComponentsError> {
        let EngineOptions { cache_dir, signals_based_traps, compile_limit, source_lines, observer, roots } = options;
        let mut pooled = true;
        let wasmtime = wasmtime::Engine::new(&config(signals_based_traps, source_lines, pooled))
            .or_else(|error| {
                tracing::warn!(%error, "can't reserve memory for components ahead; each call will ask for its own");
                pooled = false;
                wasmtime::Engine::new(&config(signals_based_traps, source_lines, pooled))
            })
            .map_err(|error| ComponentsError::Engine { source: error.into() })?;
        let cache = cache_dir.and_then(|dir| match Cache::open(&dir, &wasmtime) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled components aren't kept");
                None
            }
        });
        let ticker = Ticker::start(wasmtime.clone()).map_err(|source| ComponentsError::Ticker { source })?;
        Ok(Self {
            gate: Arc::default(),
            shared: Arc::new(Shared {
                wasmtime,
                ticker,
                cache,
                calls: Arc::new(Semaphore::new(CALLS as usize)),
                compile_limit,
                overdue: Arc::default(),
                observer,
                roots,
                pooled,
            }),
        })
    }

    /// The same engine, with another gate before what it loads from now on.
    #[must_use]
    pub fn with_gate(&self, gate: Gate) -> Self {
        Self { shared: Arc::clone(&self.shared), gate: Arc::new(gate) }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn roots(&self) -> &Roots {
        &self.shared.roots
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.shared.wasmtime
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.shared.ticker
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.shared.cache.as_ref()
    }

    pub(crate) fn calls(&self) -> &Arc<Semaphore> {
        &self.shared.calls
    }

    pub(crate) fn compile_limit(&self) -> Duration {
        self.shared.compile_limit
    }

    pub(crate) fn observer(&self) -> Option<&Observer> {
        self.shared.observer.as_ref()
    }

    /// Compilations that took too long and haven't ended yet.
    pub(crate) fn overdue(&self) -> &Arc<AtomicUsize> {
        &self.shared.overdue
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("pooled", &self.shared.pooled)
            .field("cache", &self.shared.cache)
            .finish_non_exhaustive()
    }
}

fn config(signals_based_traps: bool, source_lines: bool, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .signals_based_traps(signals_based_traps)
        // Said, since the default asks the environment.
        .wasm_backtrace_details(if source_lines {
            WasmBacktraceDetails::Enable
        } else {
            WasmBacktraceDetails::Disable
        });
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    } else {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    }
    config
}

/// Address space for every call that can run at once; memory is only used when a guest touches it.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .total_core_instances(CALLS * MAX_INSTANCES)
        .total_memories(CALLS * MAX_MEMORIES)
        .total_tables(CALLS * MAX_TABLES)
        .total_stacks(CALLS)
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size((MAX_MEMORY_MB as usize) << 20)
        .table_elements(MAX_TABLE_ELEMENTS as usize)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        // Without these two, taking back a guest's memory costs more than running it. The kernel call that the second one
        // asks for is used where there is one.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_start_with_and_without_signals() {
        for signals_based_traps in [true, false] {
            let engine = Engine::new(EngineOptions { signals_based_traps, ..EngineOptions::default() }).unwrap();
            assert!(engine.shared.pooled, "no pool with signals_based_traps = {signals_based_traps}");
        }
    }
}
