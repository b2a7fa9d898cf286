//! The plugin host: one wasmtime engine, its limits, its cache and the conversion between the contract and the domain.
//!
//! Owns everything that happens between a component's bytes and a typed answer: the checks at installation, the
//! compiled artefact, the fresh store of each call, its limits, its log, and the evidence bytes of what was asked and
//! answered. Refuses to know databases, tenants' rights and money rules: what an answer may say is checked by
//! [`altyn_domain`], which the caller applies to every answer. Invariant: a call sees its arguments and nothing else,
//! so the same component and the same recorded input give the same output bytes for ever.
//!
//! # Concurrency
//! Calls are synchronous and block their thread; run them on blocking threads, never on an async reactor.
//! [`Runtime`] and [`Plugin`] are cheap to clone and may be used by any number of threads at once. Each call has a
//! store of its own, so calls share nothing that a guest could touch. The number of calls at one moment is bounded for
//! the host, for each component and for each tenant ([`Admission`]); one more than that waits, and answers
//! [`CallFailure::Busy`] when its time is up. A binding whose plugin only fails is left alone for a while
//! ([`Circuit`]).

mod admission;
mod breaker;
mod call;
mod config;
mod contract;
mod digest;
mod engine;
mod failure;
mod gateway;
mod guard;
mod install;
mod keyring;
pub mod kit;
mod meter;
mod recheck;
mod rehearsal;
mod replay;
mod shape;
mod signature;
mod state;
mod v0_1;
mod vault;

// The newest track is the one that calls are put through.
use v0_1::{bindings, convert, convert_gateway, evidence};

pub use altyn_domain::plugin::{CallContext, Descriptor, World};
pub use breaker::{Admitted, Circuit, Heard};
pub use call::{Call, CallRecord};
pub use config::{Admission, Breaker, Limits, LimitsTable, Metrics, MetricsReaders, RuntimeConfig};
pub use digest::Digest;
pub use engine::{Runtime, RuntimeError};
pub use evidence::{Side, as_json};
pub use failure::{Bulkhead, CallFailure, FaultKind};
pub use gateway::{GatewayAnswer, GatewayCall, RehearsedVault, read_gateway_answer};
pub use install::{DescriptorError, Examination, Inspection, InstallError, Plugin, check_descriptor};
pub use keyring::{Captured, Keyring, Masks, VaultError};
pub use meter::{Purpose, Usage, UsageKey};
pub use recheck::{Difference, Rechecked};
pub use rehearsal::{Answer, Batch, Element};
pub use shape::{Build, Unsound};
