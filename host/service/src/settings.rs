//! Sizes and bounds of the use cases, with defaults that suit two cores.

use altyn_domain::trust::Unsigned;
use serde::{Deserialize, Serialize};

/// Bounds of billing runs and writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Subscriptions read, computed and written at once in a run.
    pub run_chunk: u32,
    /// How long a host may work on a run without a sign of life before another takes it over, in milliseconds.
    pub run_lease_ms: u64,
    /// The most lines one contract may get in one run; more park it.
    pub max_lines_per_contract_day: u32,
    /// How far ahead a line may reach, in months; further parks the contract.
    pub max_months_ahead: u32,
    /// The most missed periods one subscription catches up in one run; more park the contract.
    pub max_missed_periods: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            run_chunk: 2_000,
            run_lease_ms: 30_000,
            max_lines_per_contract_day: 40_000,
            max_months_ahead: 36,
            max_missed_periods: 120,
        }
    }
}

/// How long what is of use for a while is kept, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Answers that idempotency keys repeat.
    pub answers_days: u32,
    /// Events of the outbox.
    pub events_days: u32,
    /// Jobs that are done.
    pub jobs_days: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { answers_days: 30, events_days: 90, jobs_days: 30 }
    }
}

/// Whose plugins are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustSettings {
    /// Whether components without a signature are installed: `deny`, or `allow` for development.
    pub unsigned: Unsigned,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self { unsigned: Unsigned::Deny }
    }
}

impl TrustSettings {
    /// Takes unsigned components: for development, demonstrations and tests.
    pub const fn development() -> Self {
        Self { unsigned: Unsigned::Allow }
    }
}
