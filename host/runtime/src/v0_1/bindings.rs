//! Rust types of this track, generated from `wit/`: one module per world, one set of shared types.
//!
//! The serde derives make these types the evidence format: field names are those of the contract.

/// The `proration-strategy` world, and the home of the types that all worlds share.
pub(crate) mod proration {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "proration-strategy",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

/// The `tax-rule` world.
pub(crate) mod tax {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "tax-rule",
        with: {
            "altyn:billing/types": crate::v0_1::bindings::proration::altyn::billing::types,
            "altyn:billing/log": crate::v0_1::bindings::proration::altyn::billing::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

/// The `numbering-scheme` world.
pub(crate) mod numbering {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "numbering-scheme",
        with: {
            "altyn:billing/types": crate::v0_1::bindings::proration::altyn::billing::types,
            "altyn:billing/log": crate::v0_1::bindings::proration::altyn::billing::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

/// The `payment-gateway` world.
pub(crate) mod gateway {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "payment-gateway",
        with: {
            "altyn:billing/types": crate::v0_1::bindings::proration::altyn::billing::types,
            "altyn:billing/log": crate::v0_1::bindings::proration::altyn::billing::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub(crate) use gateway::altyn::billing::{exchange as wit_exchange, vault as wit_vault};
pub(crate) use gateway::exports::altyn::billing::gateway as wit_gateway;
pub(crate) use numbering::exports::altyn::billing::numbering as wit_numbering;
pub(crate) use proration::altyn::billing::{log as wit_log, types as wit_types};
pub(crate) use proration::exports::altyn::billing::proration as wit_proration;
pub(crate) use tax::exports::altyn::billing::tax as wit_tax;
