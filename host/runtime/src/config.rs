//! What an operator may set about the plugin host: the engine's size and one table of limits per world.
//!
//! Invariant: every limit is finite; the defaults serve batches of several thousand lines.

use std::path::PathBuf;

use altyn_domain::grant::LoweredLimits;
use altyn_domain::plugin::World;
use serde::{Deserialize, Serialize};

use crate::shape::Build;

/// Settings of the plugin host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// How many calls may run at one moment; each takes about 4 GiB of address space, not of memory.
    pub instances: u32,
    /// Whether to reserve all instances at start. Off, or when the reservation fails, instances are made on demand
    /// and a call starts slower.
    pub pooling: bool,
    /// Absolute path of the folder for compiled components. It is made with mode 0700 and refused when group or
    /// others may write to it. None compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// How often the wall clock is compared with the deadline of running calls, milliseconds.
    pub tick_ms: u64,
    /// Stack of a guest, bytes.
    pub stack_bytes: usize,
    /// Limits per world.
    pub limits: LimitsTable,
    /// How many calls may run and wait.
    pub admission: Admission,
    /// When a plugin that only fails is left alone.
    pub breaker: Breaker,
    /// Which share of the decisions is made a second time in the background and compared, per cent: 0 to 100.
    pub recheck_percent: u8,
    /// Who reads the metrics, and how many there may be.
    pub metrics: Metrics,
}

/// Bulkheads in front of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// Calls of one tenant at one moment; half of the processors when absent. Never more than `instances`.
    pub tenant_calls: Option<u32>,
    /// Calls of one component at one moment; half of `instances` when absent.
    pub plugin_calls: Option<u32>,
    /// Calls of one tenant that may wait for a place.
    pub queue: u32,
    /// How long a call waits for a place, milliseconds.
    pub queue_ms: u64,
}

impl Default for Admission {
    fn default() -> Self {
        Self { tenant_calls: None, plugin_calls: None, queue: 32, queue_ms: 5_000 }
    }
}

/// Circuit breakers, one for each component, tenant and binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that open a circuit.
    pub failures: u32,
    /// How long it stays open at first, milliseconds; each failed probe doubles it.
    pub cool_down_ms: u64,
    /// How long it stays open at most, milliseconds.
    pub longest_cool_down_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 50, cool_down_ms: 1_000, longest_cool_down_ms: 60_000 }
    }
}

/// Metrics of plugin calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Who may read them at `/metrics`.
    pub readers: MetricsReaders,
    /// How many pairs of tenant and component have time series of their own; the others are counted together.
    pub series: u32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { readers: MetricsReaders::default(), series: 1_000 }
    }
}

/// Who may read the metrics. They name tenants and tell how much each computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsReaders {
    /// Nobody: there is no such page.
    Nobody,
    /// Who has an administrator's key of a root tenant.
    #[default]
    Key,
    /// Whoever reaches the port.
    Everybody,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            instances: 64,
            pooling: true,
            cache_dir: None,
            tick_ms: 5,
            stack_bytes: 512 << 10,
            limits: LimitsTable::default(),
            admission: Admission::default(),
            breaker: Breaker::default(),
            recheck_percent: 1,
            metrics: Metrics::default(),
        }
    }
}

/// Limits of each world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsTable {
    /// Limits of `proration-strategy`.
    pub proration_strategy: Limits,
    /// Limits of `tax-rule`.
    pub tax_rule: Limits,
    /// Limits of `numbering-scheme`.
    pub numbering_scheme: Limits,
    /// Limits of `payment-gateway`.
    pub payment_gateway: Limits,
    /// Limits of composed components, whatever their world: those that carry an interpreter of their language.
    pub composed: Limits,
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            proration_strategy: Limits::default(),
            tax_rule: Limits::default(),
            numbering_scheme: Limits::default(),
            // Batches of one, but each may hold a body of 256 KiB.
            payment_gateway: Limits {
                fuel: 100_000_000,
                input_bytes: 1 << 20,
                hostcall_bytes: 1 << 20,
                ..Limits::default()
            },
            composed: Limits::composed(),
        }
    }
}

impl LimitsTable {
    /// The limits of a component of a world.
    pub fn of(&self, world: World, build: Build) -> &Limits {
        match (build, world) {
            (Build::Composed, _) => &self.composed,
            (Build::Plain, World::ProrationStrategy) => &self.proration_strategy,
            (Build::Plain, World::TaxRule) => &self.tax_rule,
            (Build::Plain, World::NumberingScheme) => &self.numbering_scheme,
            (Build::Plain, World::PaymentGateway) => &self.payment_gateway,
        }
    }

    /// The size of the largest component that any world and build takes, bytes.
    pub fn largest_component_bytes(&self) -> usize {
        self.largest(Build::Plain).component_bytes.max(self.composed.component_bytes)
    }

    /// The highest limits that a component of this build can have, of those that are known before its world is.
    pub(crate) fn largest(&self, build: Build) -> Limits {
        let all = World::ALL.iter().map(|&world| *self.of(world, build));
        all.reduce(|largest, limits| largest.at_least(&limits)).unwrap_or_default()
    }
}

/// What one call may use. Lines are questions, lines of tax documents, or drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel of a call without lines; a unit is about one instruction.
    pub fuel: u64,
    /// Fuel for each line.
    pub fuel_per_line: u64,
    /// Linear memory, bytes.
    pub memory_bytes: usize,
    /// Wall time, milliseconds. A net below the fuel: it depends on the machine, fuel does not.
    pub wall_ms: u64,
    /// Bytes of the question as evidence, without lines.
    pub input_bytes: usize,
    /// Bytes of the question for each line.
    pub input_bytes_per_line: usize,
    /// Bytes that leave the guest in one answer or note, without lines.
    pub hostcall_bytes: usize,
    /// Bytes that leave the guest for each line.
    pub hostcall_bytes_per_line: usize,
    /// Bytes of notes kept of one call.
    pub log_bytes: usize,
    /// Notes kept of one call.
    pub log_lines: usize,
    /// Size of a component, bytes.
    pub component_bytes: usize,
    /// Functions of a component.
    pub component_functions: u32,
    /// Size of one function of a component, bytes.
    pub function_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 5_000_000,
            fuel_per_line: 200_000,
            memory_bytes: 32 << 20,
            wall_ms: 5_000,
            input_bytes: 64 << 10,
            input_bytes_per_line: 8 << 10,
            hostcall_bytes: 64 << 10,
            hostcall_bytes_per_line: 4 << 10,
            log_bytes: 16 << 10,
            log_lines: 100,
            component_bytes: 4 << 20,
            component_functions: 30_000,
            function_bytes: 256 << 10,
        }
    }
}

impl Limits {
    /// What a component with the interpreter of a language inside needs: its code is read as data, and so it costs about
    /// fifty times as much.
    fn composed() -> Self {
        Self {
            fuel: 500_000_000,
            fuel_per_line: 10_000_000,
            memory_bytes: 96 << 20,
            wall_ms: 10_000,
            component_bytes: 32 << 20,
            component_functions: 60_000,
            function_bytes: 1 << 20,
            input_bytes: 1 << 20,
            hostcall_bytes: 1 << 20,
            ..Self::default()
        }
    }

    /// Each limit, or the other's where that is higher, of those that are known before the world is.
    pub(crate) fn at_least(&self, other: &Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            component_bytes: self.component_bytes.max(other.component_bytes),
            component_functions: self.component_functions.max(other.component_functions),
            function_bytes: self.function_bytes.max(other.function_bytes),
            ..*self
        }
    }

    /// Each limit, or what was wished where that is lower.
    #[must_use]
    pub fn lowered(&self, wished: LoweredLimits) -> Self {
        let narrow = |n: Option<u64>, limit: usize| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(limit);
        self.at_most(&Self {
            fuel: wished.fuel.unwrap_or(self.fuel),
            fuel_per_line: wished.fuel_per_line.unwrap_or(self.fuel_per_line),
            memory_bytes: narrow(wished.memory_bytes, self.memory_bytes),
            wall_ms: wished.wall_ms.unwrap_or(self.wall_ms),
            input_bytes: narrow(wished.input_bytes, self.input_bytes),
            input_bytes_per_line: narrow(wished.input_bytes_per_line, self.input_bytes_per_line),
            hostcall_bytes: narrow(wished.hostcall_bytes, self.hostcall_bytes),
            hostcall_bytes_per_line: narrow(wished.hostcall_bytes_per_line, self.hostcall_bytes_per_line),
            log_bytes: narrow(wished.log_bytes, self.log_bytes),
            log_lines: narrow(wished.log_lines, self.log_lines),
            ..*self
        })
    }

    pub(crate) fn fuel_for(&self, lines: usize) -> u64 {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.fuel.saturating_add(self.fuel_per_line.saturating_mul(lines))
    }

    pub(crate) fn input_bytes_for(&self, lines: usize) -> usize {
        self.input_bytes.saturating_add(self.input_bytes_per_line.saturating_mul(lines))
    }

    /// Each limit, or the other's where that is lower: nobody raises a limit by this.
    #[must_use]
    pub fn at_most(&self, other: &Self) -> Self {
        Self {
            fuel: self.fuel.min(other.fuel),
            fuel_per_line: self.fuel_per_line.min(other.fuel_per_line),
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
            wall_ms: self.wall_ms.min(other.wall_ms),
            input_bytes: self.input_bytes.min(other.input_bytes),
            input_bytes_per_line: self.input_bytes_per_line.min(other.input_bytes_per_line),
            hostcall_bytes: self.hostcall_bytes.min(other.hostcall_bytes),
            hostcall_bytes_per_line: self.hostcall_bytes_per_line.min(other.hostcall_bytes_per_line),
            log_bytes: self.log_bytes.min(other.log_bytes),
            log_lines: self.log_lines.min(other.log_lines),
            component_bytes: self.component_bytes.min(other.component_bytes),
            component_functions: self.component_functions.min(other.component_functions),
            function_bytes: self.function_bytes.min(other.function_bytes),
        }
    }

    pub(crate) fn hostcall_bytes_for(&self, lines: usize) -> usize {
        self.hostcall_bytes.saturating_add(self.hostcall_bytes_per_line.saturating_mul(lines))
    }
}

/// What tenants and operators may lower of these.
impl From<&Limits> for LoweredLimits {
    fn from(limits: &Limits) -> Self {
        let wide = |n: usize| u64::try_from(n).ok();
        Self {
            fuel: Some(limits.fuel),
            fuel_per_line: Some(limits.fuel_per_line),
            memory_bytes: wide(limits.memory_bytes),
            wall_ms: Some(limits.wall_ms),
            input_bytes: wide(limits.input_bytes),
            input_bytes_per_line: wide(limits.input_bytes_per_line),
            hostcall_bytes: wide(limits.hostcall_bytes),
            hostcall_bytes_per_line: wide(limits.hostcall_bytes_per_line),
            log_bytes: wide(limits.log_bytes),
            log_lines: wide(limits.log_lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_batch_and_never_wrap() {
        let limits = Limits { fuel: 10, fuel_per_line: 3, ..Limits::default() };
        assert_eq!(limits.fuel_for(4), 22);
        assert_eq!(limits.fuel_for(usize::MAX), u64::MAX);
    }

    #[test]
    fn lowering_never_raises_a_limit() {
        let table = Limits::default();
        let other = Limits { fuel: 1, memory_bytes: usize::MAX, log_lines: 0, ..table };
        assert_eq!(table.at_most(&other), Limits { fuel: 1, log_lines: 0, ..table });
        assert_eq!(other.at_most(&table), table.at_most(&other));
        let wished = LoweredLimits { fuel: Some(7), memory_bytes: Some(u64::MAX), ..LoweredLimits::default() };
        assert_eq!(table.lowered(wished), Limits { fuel: 7, ..table });
        assert_eq!(table.lowered(LoweredLimits::default()), table);
        assert_eq!(table.lowered(LoweredLimits::from(&other)), table.at_most(&other));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = serde_json::from_str::<RuntimeConfig>(r#"{"limits":{"tax_rule":{"feul":1}}}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `feul`"), "{error}");
    }

    #[test]
    fn a_partial_table_keeps_the_other_defaults() {
        let config: RuntimeConfig = serde_json::from_str(r#"{"limits":{"tax_rule":{"fuel":1}}}"#).unwrap();
        assert_eq!(config.limits.tax_rule, Limits { fuel: 1, ..Limits::default() });
        assert_eq!(config.limits.proration_strategy, Limits::default());
    }
}
