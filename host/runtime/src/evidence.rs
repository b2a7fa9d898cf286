//! The bytes that stand for a call: compact JSON of the contract's own values, in the contract's field order.
//!
//! Invariant: equal arguments give equal bytes, and the bytes give the arguments back, so a call can be made again.
//! Nothing here depends on the domain's types, which may change while old evidence stays readable.

use serde::{Deserialize, Serialize};

use crate::bindings::{wit_exchange, wit_gateway, wit_numbering, wit_proration, wit_tax, wit_types};
use crate::vault::Entry;

/// Arguments of `proration.prorate`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prorate {
    pub(crate) ctx: wit_types::Context,
    pub(crate) questions: Vec<wit_proration::Question>,
}

/// Arguments of `tax.assess`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assess {
    pub(crate) ctx: wit_types::Context,
    pub(crate) documents: Vec<wit_tax::Document>,
}

/// Arguments of `numbering.sequences`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sequences {
    pub(crate) ctx: wit_types::Context,
    pub(crate) drafts: Vec<wit_numbering::Draft>,
}

/// Arguments of `numbering.numbers`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Numbers {
    pub(crate) ctx: wit_types::Context,
    pub(crate) drafts: Vec<wit_numbering::Draft>,
    pub(crate) values: Vec<u64>,
}

/// Arguments of `gateway.capabilities-of`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capabilities {
    pub(crate) ctx: wit_types::Context,
}

/// Arguments of `gateway.begin`, and what the vault answered meanwhile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    pub(crate) ctx: wit_types::Context,
    pub(crate) operation: wit_gateway::Operation,
    pub(crate) vault: Vec<Entry>,
}

/// Arguments of `gateway.resume` and `gateway.receive-resume`, and what the vault answered meanwhile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    pub(crate) ctx: wit_types::Context,
    pub(crate) continuation: Vec<u8>,
    pub(crate) answer: wit_exchange::Answer,
    pub(crate) vault: Vec<Entry>,
}

/// Arguments of `gateway.receive`, and what the vault answered meanwhile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receive {
    pub(crate) ctx: wit_types::Context,
    pub(crate) notification: wit_exchange::Incoming,
    pub(crate) vault: Vec<Entry>,
}

/// The bytes of a value.
pub(crate) fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // These types have text keys and no floats: writing them to memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}
