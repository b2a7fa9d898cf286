//! Why a call gave no usable answer.
//!
//! Invariant: each failure is a value with a stable code; whatever a guest does, the process goes on.

use altyn_domain::plugin::World;
use serde::{Deserialize, Serialize};

/// What a plugin says of its own refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The configuration is wrong; every call with it fails.
    Misconfigured,
    /// The plugin does not serve such cases.
    Unsupported,
    /// The question makes no sense.
    Invalid,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// Kebab-case text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Misconfigured => "misconfigured",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}

/// Why a call gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The guest panicked or broke a rule of the machine.
    #[error("the plugin crashed: {message}{}", trace(.backtrace))]
    Trap {
        /// What the machine says, with the guest's last error note when it left one.
        message: String,
        /// Function names of the guest, innermost first.
        backtrace: Vec<String>,
    },
    /// The guest used its whole instruction budget.
    #[error("the plugin used its budget of {fuel} fuel; raise limits.fuel or limits.fuel_per_line, or split the batch")]
    OutOfFuel {
        /// The budget.
        fuel: u64,
    },
    /// The guest ran longer than its wall time.
    #[error("the plugin ran longer than {wall_ms} ms; raise limits.wall_ms or split the batch")]
    TimedOut {
        /// The limit.
        wall_ms: u64,
    },
    /// The guest asked for more memory than it may have.
    #[error("the plugin asked for {asked} bytes of memory of at most {limit}; raise limits.memory_bytes")]
    MemoryLimit {
        /// What was asked, bytes.
        asked: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The guest handed out more bytes than it may.
    #[error("the plugin handed out more than {limit} bytes; raise limits.hostcall_bytes or hostcall_bytes_per_line")]
    OutputLimit {
        /// The limit, bytes.
        limit: usize,
    },
    /// The plugin refused, in its own words.
    #[error("the plugin refused the call ({}): {message}", .kind.as_str())]
    Refused {
        /// What kind of refusal.
        kind: FaultKind,
        /// The plugin's text, at most 1,000 characters.
        message: String,
    },
    /// The answer has not the shape of an answer.
    #[error("the plugin's answer is not usable: {0}")]
    InvalidAnswer(String),
    /// The host asked something that the contract cannot say.
    #[error("the question is not usable: {0}")]
    InvalidQuestion(String),
    /// The plugin belongs to another extension point.
    #[error("a {has} plugin cannot serve a {needs} call; bind another plugin")]
    WrongWorld {
        /// What the plugin is.
        has: World,
        /// What the call needs.
        needs: World,
    },
    /// The question is larger than a question may be.
    #[error(
        "the question has {bytes} bytes, at most {limit} are taken; raise limits.input_bytes or input_bytes_per_line, or split the batch"
    )]
    InputLimit {
        /// Its size as evidence.
        bytes: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// All places for such calls are in use.
    #[error("no place for another plugin call of this {}, after {waited_ms} ms of waiting; try again, or raise {}", .bulkhead.as_str(), .bulkhead.setting())]
    Busy {
        /// Which bulkhead is full.
        bulkhead: Bulkhead,
        /// How long the call waited; 0 when the queue was full as well.
        waited_ms: u64,
    },
    /// The plugin only failed lately and is left alone for a while.
    #[error(
        "the plugin only failed lately and is not asked for another {retry_after_ms} ms; bind another version or configuration, or try again then"
    )]
    CircuitOpen {
        /// When a call may be tried again.
        retry_after_ms: u64,
    },
}

/// What bounds the calls of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bulkhead {
    /// The places of a tenant.
    Tenant,
    /// The places of a component.
    Plugin,
    /// The places of the host.
    Host,
}

impl Bulkhead {
    /// Kebab-case text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Plugin => "plugin",
            Self::Host => "host",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Tenant => "plugins.admission.tenant_calls",
            Self::Plugin => "plugins.admission.plugin_calls",
            Self::Host => "plugins.instances",
        }
    }
}

fn trace(frames: &[String]) -> String {
    if frames.is_empty() { String::new() } else { format!(" (in {})", frames.join(" < ")) }
}

impl CallFailure {
    /// Stable kebab-case name for reports and for the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "plugin-trap",
            Self::OutOfFuel { .. } => "plugin-out-of-fuel",
            Self::TimedOut { .. } => "plugin-timed-out",
            Self::MemoryLimit { .. } => "plugin-memory-limit",
            Self::OutputLimit { .. } => "plugin-output-limit",
            Self::Refused { kind: FaultKind::Misconfigured, .. } => "plugin-misconfigured",
            Self::Refused { kind: FaultKind::Unsupported, .. } => "plugin-unsupported",
            Self::Refused { kind: FaultKind::Invalid, .. } => "plugin-invalid",
            Self::Refused { kind: FaultKind::Other, .. } => "plugin-refused",
            Self::InvalidAnswer(_) => "plugin-invalid-answer",
            Self::InvalidQuestion(_) => "plugin-invalid-question",
            Self::WrongWorld { .. } => "plugin-wrong-world",
            Self::InputLimit { .. } => "plugin-input-limit",
            Self::Busy { .. } => "plugin-busy",
            Self::CircuitOpen { .. } => "plugin-circuit-open",
        }
    }

    /// Whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TimedOut { .. })
    }
}
