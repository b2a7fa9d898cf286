//! What the numbers mean: money, time, catalogue, subscriptions, charges, the ledger and runs as pure values.
//!
//! Owns every rule that can be stated without knowing who asks and where facts are kept.
//! Refuses to know clocks, random numbers, databases, sockets and plugins; it mints no id.
//! Invariant: each function is a total, deterministic function of its arguments, and amounts are exact:
//! nothing here computes with floating point, and only [`money`] rounds.

mod text;

pub mod binding;
pub mod block;
pub mod calendar;
pub mod canary;
pub mod catalogue;
pub mod change;
pub mod charge;
pub mod credit;
pub mod dunning;
pub mod exchange;
pub mod form;
pub mod gateway;
pub mod grant;
pub mod id;
pub mod invoice;
pub mod ledger;
pub mod manifest;
pub mod metered;
pub mod money;
pub mod notice;
pub mod numbering;
pub mod order;
pub mod party;
pub mod plugin;
pub mod price_override;
pub mod promise;
pub mod proration;
pub mod recommend;
pub mod requisites;
pub mod run;
pub mod stay;
pub mod subscription;
pub mod tax;
pub mod terms;
pub mod trust;

pub use text::{Expected, UnknownName, visible};

#[cfg(test)]
#[cfg(feature = "openapi")]
mod openapi_tests;
