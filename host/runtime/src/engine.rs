//! The engines: one for all plain plugins with a pool made once, one for composed ones made when the first comes.
//!
//! Owns what is the same for every call: which features of WebAssembly exist, the pool, the compiled cache, and the
//! threads that advance the clock of deadlines. Invariant: nothing that a guest can compute differs between two
//! machines: no threads, no relaxed SIMD, canonical NaNs, and fuel decides before the wall clock does.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use wasmtime::component::Linker;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    WasmBacktraceDetails,
};

use crate::admission::Places;
use crate::breaker::Breakers;
use crate::config::{Limits, RuntimeConfig};
use crate::contract;
use crate::meter::Meter;
use crate::recheck::Rechecks;
use crate::shape::{Build, PLAIN_MODULES};
use crate::state::State;

/// Why the plugin host could not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A setting makes no sense.
    #[error("plugin host setting {name} must be {must}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The folder for compiled components cannot be made or read.
    #[error("cannot use {} for compiled components", .path.display())]
    CacheFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may write native code into the folder for compiled components.
    #[error("{} may be written by others; compiled components are native code, so run: chmod 700 {}", .path.display(), .path.display())]
    CacheFolderOpen {
        /// The folder.
        path: PathBuf,
    },
    /// wasmtime refused its settings.
    #[error("the WebAssembly engine did not start: {0}")]
    Engine(String),
}

/// The plugin host.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

/// What all clones of a [`Runtime`] have in common.
pub(crate) struct Shared {
    plain: Realm,
    composed: OnceLock<Realm>,
    pub(crate) config: RuntimeConfig,
    pub(crate) places: Places,
    pub(crate) breakers: Breakers,
    pub(crate) meter: Meter,
    pub(crate) rechecks: Rechecks,
    /// Held while a component is compiled that is to be called.
    pub(crate) compiling: Mutex<()>,
    /// Held while a component is compiled that somebody wants to know something of.
    pub(crate) examining: Mutex<()>,
    started: Instant,
}

/// An engine and what its guests may import.
#[derive(Clone)]
pub(crate) struct Realm {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
}

impl Realm {
    fn new(engine: Engine, tick_ms: u64) -> Result<Self, RuntimeError> {
        let mut linker = Linker::new(&engine);
        contract::add_to_linker(&mut linker).map_err(engine_error)?;
        start_clock(&engine, tick_ms)?;
        Ok(Self { engine, linker })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Starts the engine and its clock thread; the thread ends when the last clone and the last plugin are dropped.
    pub fn new(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let must_be_positive =
            |name, ok| if ok { Ok(()) } else { Err(RuntimeError::Setting { name, must: "above zero" }) };
        must_be_positive("instances", config.instances > 0)?;
        must_be_positive("tick_ms", config.tick_ms > 0)?;
        must_be_positive("breaker.failures", config.breaker.failures > 0)?;
        if config.recheck_percent > 100 {
            return Err(RuntimeError::Setting { name: "recheck_percent", must: "between 0 and 100" });
        }
        Ok(Self {
            shared: Arc::new(Shared {
                plain: Realm::new(engine(config)?, config.tick_ms)?,
                composed: OnceLock::new(),
                config: config.clone(),
                places: Places::new(&config.admission, config.instances),
                breakers: Breakers::new(config.breaker),
                meter: Meter::new(config.metrics.series)?,
                rechecks: Rechecks::default(),
                compiling: Mutex::default(),
                examining: Mutex::default(),
                started: Instant::now(),
            }),
        })
    }

    /// The settings in force.
    pub fn config(&self) -> &RuntimeConfig {
        &self.shared.config
    }
}

impl Shared {
    /// The clock of the circuit breakers: milliseconds since the host started.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Where components of that build live. The one for composed components is made when the first of them comes: it
    /// keeps no instances ready, since they differ in size by a hundred times.
    pub(crate) fn realm(&self, build: Build) -> Result<&Realm, RuntimeError> {
        if build == Build::Plain {
            return Ok(&self.plain);
        }
        if let Some(realm) = self.composed.get() {
            return Ok(realm);
        }
        let mut config = base_config(&self.config)?;
        // Calls between the memories of two components pass through a module that sees both.
        config.wasm_multi_memory(true);
        let realm = Realm::new(Engine::new(&config).map_err(engine_error)?, self.config.tick_ms)?;
        Ok(self.composed.get_or_init(|| realm))
    }

    /// A fresh store with the limits of a call of that many lines.
    pub(crate) fn store(
        &self,
        engine: &Engine,
        state: State,
        limits: &Limits,
        lines: usize,
    ) -> wasmtime::Result<Store<State>> {
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_fuel(limits.fuel_for(lines))?;
        store.set_hostcall_fuel(limits.hostcall_bytes_for(lines));
        // No world has resources, so no guest has a reason to hold handles.
        store.set_max_component_handles(16);
        // The first tick may come at once, hence one more.
        store.set_epoch_deadline(limits.wall_ms.div_ceil(self.config.tick_ms) + 1);
        Ok(store)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn engine_error(error: wasmtime::Error) -> RuntimeError {
    RuntimeError::Engine(format!("{error:#}"))
}

fn engine(config: &RuntimeConfig) -> Result<Engine, RuntimeError> {
    let base = base_config(config)?;
    if config.pooling {
        let mut pooled = base.clone();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
        match Engine::new(&pooled) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::warn!(
                instances = config.instances,
                error = format!("{error:#}"),
                "cannot reserve the plugin pool; instances are made on demand and calls start slower. \
                 Lower instances, or lift the address-space limit of the process"
            ),
        }
    }
    Engine::new(&base).map_err(engine_error)
}

fn base_config(config: &RuntimeConfig) -> Result<Config, RuntimeError> {
    let mut engine = Config::new();
    engine
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(config.stack_bytes)
        // A compiler on all processors would be felt by every call under way.
        .parallel_compilation(false)
        .memory_init_cow(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    if let Some(folder) = &config.cache_dir {
        guard_folder(folder)?;
        let mut cache = CacheConfig::new();
        cache.with_directory(folder);
        engine.cache(Some(Cache::new(cache).map_err(engine_error)?));
    }
    Ok(engine)
}

fn pool(config: &RuntimeConfig) -> PoolingAllocationConfig {
    let instances = config.instances;
    // Where the kernel can tell which pages a call wrote (Linux 6.7), those of a batch of a thousand lines are wiped
    // and kept, not given back and faulted in again. Elsewhere all kept memory is wiped, so little is kept.
    let keep_resident = if PoolingAllocationConfig::is_pagemap_scan_available() { 4 << 20 } else { 128 << 10 };
    let mut pool = PoolingAllocationConfig::new();
    // A component as the tools make it is its module plus small adapters: up to four instances, two tables, one memory.
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(PLAIN_MODULES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .max_core_instances_per_component(PLAIN_MODULES)
        .max_memories_per_component(1)
        .max_tables_per_component(2)
        .max_memory_size(config.limits.largest(Build::Plain).memory_bytes)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Makes the folder for compiled components, readable and writable by this user only, or refuses one that is not.
fn guard_folder(folder: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::CacheFolder { path: folder.to_owned(), source };
    if !folder.is_absolute() {
        return Err(RuntimeError::Setting { name: "cache_dir", must: "an absolute path" });
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let found = std::fs::symlink_metadata(folder).map_err(failed)?;
    // A folder of another user could be swapped under us, whatever its mode says now.
    let ours = std::fs::metadata("/proc/self").map_or(true, |me| me.uid() == found.uid());
    if !found.is_dir() || found.permissions().mode() & 0o022 != 0 || !ours {
        return Err(RuntimeError::CacheFolderOpen { path: folder.to_owned() });
    }
    Ok(())
}

/// Advances the epoch every `tick_ms`, so that deadlines of running calls pass. Holds the engine weakly.
fn start_clock(engine: &Engine, tick_ms: u64) -> Result<(), RuntimeError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("altyn-plugin-clock".to_owned())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(tick_ms));
            }
        })
        .map(drop)
        .map_err(|error| RuntimeError::Engine(format!("no thread for the clock: {error}")))
}
