//! The bytes that stand for a call: the contract's own values in the contract's field order, in postcard's wire format 1.
//!
//! Names of fields are not repeated in every line, which makes evidence about five times smaller and cheaper than JSON.
//! Reading it takes the types of the version that wrote it; they never change within a version of the contract, and
//! [`as_json`] shows it to people. Invariant: equal arguments give equal bytes, and the bytes give the arguments back,
//! so a call can be made again. Nothing here depends on the domain's types.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bindings::{wit_exchange, wit_gateway, wit_numbering, wit_proration, wit_tax, wit_types};
use crate::call::Export;
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

/// What a piece of evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The arguments of a call.
    Input,
    /// Its answer.
    Output,
}

/// The bytes of a value of about `lines` lines.
pub(crate) fn bytes<T: Serialize>(value: &T, lines: usize) -> Vec<u8> {
    let buffer = Vec::with_capacity(256 + lines * 64);
    // These types have known lengths and no writer that could fail.
    postcard::to_extend(value, buffer).unwrap_or_default()
}

/// The value that the bytes stand for; says why when they stand for none.
pub(crate) fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// A piece of evidence as JSON with the contract's field names; `export` is that of its [`crate::CallRecord`].
///
/// No bytes are `null`: a question that could not be put has none. Says what is wrong when the bytes do not read.
pub fn as_json(export: &str, side: Side, bytes: &[u8]) -> Result<serde_json::Value, String> {
    if bytes.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    let Some(export) = Export::named(export) else {
        return Err(format!("\"{export}\" is not an export of this contract"));
    };
    match (export, side) {
        (Export::Prorate, Side::Input) => shown::<Prorate>(bytes),
        (Export::Prorate, Side::Output) => shown::<Vec<wit_proration::Share>>(bytes),
        (Export::Assess, Side::Input) => shown::<Assess>(bytes),
        (Export::Assess, Side::Output) => shown::<Vec<wit_tax::Assessment>>(bytes),
        (Export::Sequences, Side::Input) => shown::<Sequences>(bytes),
        (Export::Sequences, Side::Output) => shown::<Vec<wit_numbering::Sequence>>(bytes),
        (Export::Numbers, Side::Input) => shown::<Numbers>(bytes),
        (Export::Numbers, Side::Output) => shown::<Vec<String>>(bytes),
        (Export::Capabilities, Side::Input) => shown::<Capabilities>(bytes),
        (Export::Capabilities, Side::Output) => shown::<wit_gateway::Capabilities>(bytes),
        (Export::Begin, Side::Input) => shown::<Begin>(bytes),
        (Export::Resume | Export::ReceiveResume, Side::Input) => shown::<Resume>(bytes),
        (Export::Begin | Export::Resume, Side::Output) => shown::<wit_gateway::Step>(bytes),
        (Export::Receive, Side::Input) => shown::<Receive>(bytes),
        (Export::Receive | Export::ReceiveResume, Side::Output) => shown::<wit_gateway::ReceiveStep>(bytes),
    }
}

/// The bytes of a question that was written as JSON with the contract's field names; says what does not read.
pub(crate) fn from_json(export: Export, value: &serde_json::Value) -> Result<Vec<u8>, String> {
    match export {
        Export::Prorate => read::<Prorate>(value),
        Export::Assess => read::<Assess>(value),
        Export::Sequences => read::<Sequences>(value),
        Export::Numbers => read::<Numbers>(value),
        Export::Capabilities => read::<Capabilities>(value),
        Export::Begin => read::<Begin>(value),
        Export::Resume | Export::ReceiveResume => read::<Resume>(value),
        Export::Receive => read::<Receive>(value),
    }
}

fn read<T: Serialize + DeserializeOwned>(value: &serde_json::Value) -> Result<Vec<u8>, String> {
    T::deserialize(value).map(|value| bytes(&value, 1)).map_err(|error| error.to_string())
}

fn shown<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::to_value(value::<T>(bytes)?).map_err(|error| error.to_string())
}
