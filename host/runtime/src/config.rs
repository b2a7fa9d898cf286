//! What an operator may set about the plugin host: the engine's size and one table of limits per world.
//!
//! Invariant: every limit is finite; the defaults serve batches of several thousand lines.

use std::path::PathBuf;

use altyn_domain::plugin::World;
use serde::{Deserialize, Serialize};

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
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            proration_strategy: Limits::default(),
            tax_rule: Limits::default(),
            numbering_scheme: Limits::default(),
            // Batches of one, but each may hold a body of 256 KiB.
            payment_gateway: Limits { fuel: 100_000_000, hostcall_bytes: 1 << 20, ..Limits::default() },
        }
    }
}

impl LimitsTable {
    /// The limits of a world.
    pub fn of(&self, world: World) -> &Limits {
        match world {
            World::ProrationStrategy => &self.proration_strategy,
            World::TaxRule => &self.tax_rule,
            World::NumberingScheme => &self.numbering_scheme,
            World::PaymentGateway => &self.payment_gateway,
        }
    }

    pub(crate) fn largest_memory_bytes(&self) -> usize {
        World::ALL.iter().map(|&world| self.of(world).memory_bytes).max().unwrap_or_default()
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 5_000_000,
            fuel_per_line: 200_000,
            memory_bytes: 32 << 20,
            wall_ms: 5_000,
            hostcall_bytes: 64 << 10,
            hostcall_bytes_per_line: 4 << 10,
            log_bytes: 16 << 10,
            log_lines: 100,
            component_bytes: 4 << 20,
        }
    }
}

impl Limits {
    pub(crate) fn fuel_for(&self, lines: usize) -> u64 {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.fuel.saturating_add(self.fuel_per_line.saturating_mul(lines))
    }

    pub(crate) fn hostcall_bytes_for(&self, lines: usize) -> usize {
        self.hostcall_bytes.saturating_add(self.hostcall_bytes_per_line.saturating_mul(lines))
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
