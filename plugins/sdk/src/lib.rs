//! Write an Altyn billing plugin: one trait and one macro per world of the contract.
//!
//! A plugin is a pure function. Implement the trait of its world ([`ProrationStrategy`], [`TaxRule`],
//! [`NumberingScheme`] or [`PaymentGateway`]), name the type in the macro of that world, and build for `wasm32-unknown-unknown`:
//!
//! ```
//! use altyn_plugin::proration::{Question, Share};
//! use altyn_plugin::{Context, Descriptor, Fault, ProrationStrategy};
//!
//! struct FullPrice;
//!
//! impl ProrationStrategy for FullPrice {
//!     type Config = altyn_plugin::NoConfig;
//!
//!     fn describe() -> Descriptor {
//!         altyn_plugin::describe("full-price", "1.0.0", "Full price always", altyn_plugin::NO_CONFIG_SCHEMA)
//!     }
//!
//!     fn share(_: &Self::Config, _: &Context, question: Question) -> Result<Share, Fault> {
//!         let basis = question.basis()?;
//!         Share::of(question, basis, "full price")
//!     }
//! }
//!
//! altyn_plugin::proration_strategy!(FullPrice);
//! # fn main() {}
//! ```
//!
//! The logic is ordinary Rust that compiles natively too, so it is tested by plain `cargo test`.
//! This crate re-exports the one `wit-bindgen` that its macros use; a plugin needs no other.

#[cfg(all(target_arch = "wasm32", feature = "call-arena"))]
mod allocator;
#[expect(
    missing_docs,
    clippy::same_length_and_capacity,
    reason = "generated; the contract's files document every item"
)]
mod bindings;
mod config;
mod days;
pub mod encoding;
mod gateway_world;
mod money;
mod notes;
mod numbering_world;
mod proration_world;
mod tax_world;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod vault;

pub use bindings::metadata::altyn::billing::types::{
    Attribute, Context, Date, Descriptor, Fault, Money, Party, Period,
};
pub use config::{NO_CONFIG_SCHEMA, NoConfig, config};
pub use gateway_world::PaymentGateway;
pub use money::{major, minor, round_div, share_of};
pub use notes::{debug, error, info, warn};
pub use numbering_world::NumberingScheme;
pub use proration_world::ProrationStrategy;
pub use rust_decimal;
pub use rust_decimal::Decimal;
pub use tax_world::TaxRule;
pub use wit_bindgen;

/// Types of the `proration-strategy` world.
pub mod proration {
    pub use crate::bindings::proration::exports::altyn::billing::proration::{CurrentDay, Question, Share};
}

/// Types of the `tax-rule` world.
pub mod tax {
    pub use crate::bindings::tax::exports::altyn::billing::tax::{Assessment, Document, Line, LineTax, PriceMode};
}

/// Types of the `numbering-scheme` world.
pub mod numbering {
    pub use crate::bindings::numbering::exports::altyn::billing::numbering::{Draft, Sequence};
}

/// Types of the `payment-gateway` world, with shorthands to make them.
pub mod gateway {
    pub use crate::bindings::gateway::altyn::billing::exchange::{
        Answer, Call, Capture, Field, Header, Incoming, Method, Repetition, Reply, Request, Response, Segment,
    };
    pub use crate::bindings::gateway::exports::altyn::billing::gateway::{
        Action, Capabilities, Claim, Decline, Form, Intent, Operation, Outcome, Receipt, ReceiptLine, ReceiptOfClaims,
        ReceiveStep, Received, Reference, Refund, Rejection, Step, Subject, Verdict,
    };
    pub use crate::gateway_world::{bearer, header, reply, state, text};
}

/// What the macros expand to. Not for plugins.
#[doc(hidden)]
pub mod macros {
    pub use crate::bindings::{gateway, metadata, numbering, proration, tax};
    pub use crate::gateway_world::{begin, capabilities, receive, receive_resume, resume};
    pub use crate::notes::note_panics;
    pub use crate::numbering_world::{numbers, sequences};
    pub use crate::proration_world::prorate;
    pub use crate::tax_world::assess;
}

/// A description without secrets and hosts, which only gateways have.
pub fn describe(id: &str, version: &str, title: &str, config_schema: &str) -> Descriptor {
    Descriptor {
        id: id.into(),
        version: version.into(),
        title: title.into(),
        config_schema: config_schema.into(),
        secrets: Vec::new(),
        hosts: Vec::new(),
    }
}

/// A description of a gateway: what it wants the host to fill in, and where it sends requests.
pub fn describe_gateway(
    id: &str,
    version: &str,
    title: &str,
    config_schema: &str,
    secrets: &[&str],
    hosts: &[&str],
) -> Descriptor {
    let owned = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
    Descriptor { secrets: owned(secrets), hosts: owned(hosts), ..describe(id, version, title, config_schema) }
}

impl Party {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.attributes, name)
    }
}

/// The value of an attribute in a list.
pub fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value.as_str())
}
