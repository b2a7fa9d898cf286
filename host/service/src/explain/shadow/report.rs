//! What a shadow run is asked and what it answers.

use altyn_domain::{
    id::{BindingId, CallId, ContractId, ExchangeId},
    manifest::SignedManifest,
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Which business days a shadow run is about, and how the candidate is configured.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShadowOptions {
    /// The first business day; of a gateway, the first day on which exchanges began.
    pub from: NaiveDate,
    /// The day after the last; all days when absent.
    pub until: Option<NaiveDate>,
    /// Configuration for the candidate, JSON text; the recorded one when absent.
    pub config: Option<String>,
}

/// What is asked instead.
#[derive(Clone, Debug)]
pub struct ShadowCandidate {
    /// The bytes of a component.
    pub wasm: Vec<u8>,
    /// What its publisher signed; not needed for an installed component, and none for an unsigned one.
    pub manifest: Option<SignedManifest>,
}

impl From<Vec<u8>> for ShadowCandidate {
    fn from(wasm: Vec<u8>) -> Self {
        Self { wasm, manifest: None }
    }
}

/// How an answer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowReason {
    /// The candidate failed on it.
    Fault,
    /// The candidate's answer breaks a rule, so that it would be parked.
    Refused,
    /// Another amount is owed.
    OtherSum,
    /// The same amount is owed, with another tax in it.
    OtherTax,
    /// Another number or sequence.
    OtherNumber,
    /// Another text only.
    OtherText,
    /// A gateway sends another request, or none where one was sent.
    OtherRequest,
    /// A gateway says that a payment stands otherwise, or believes a notification otherwise.
    OtherVerdict,
    /// A gateway was never asked it, because an earlier answer of the exchange is another.
    NotReached,
}

impl ShadowReason {
    /// Kebab-case text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Refused => "refused",
            Self::OtherSum => "other-sum",
            Self::OtherTax => "other-tax",
            Self::OtherNumber => "other-number",
            Self::OtherText => "other-text",
            Self::OtherRequest => "other-request",
            Self::OtherVerdict => "other-verdict",
            Self::NotReached => "not-reached",
        }
    }
}

/// What all answers come to in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowTotal {
    /// ISO 4217 code.
    pub currency: String,
    /// What the recorded answers come to, minor units; lines that a plan asked about twice count twice. Of a gateway, what
    /// each answer says was taken or held, less what was given back.
    pub recorded_minor: i64,
    /// What the candidate's answers come to, with the recorded amount where it gave none.
    pub candidate_minor: i64,
    /// The difference in lines that stand in the books: more to pay is positive. Payments through gateways stand in none.
    pub posted_difference_minor: i64,
}

/// What would have changed for one contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowContract {
    /// The contract.
    pub contract_id: ContractId,
    /// Its number.
    pub number: String,
    /// ISO 4217 code; absent when no amount differs.
    pub currency: Option<String>,
    /// More to pay is positive, minor units.
    pub difference_minor: i64,
    /// How many of its posted lines differ.
    pub lines: i64,
    /// How they differ.
    pub reasons: Vec<ShadowReason>,
}

/// What would have changed for one payment through a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowPayment {
    /// The exchange that began it.
    pub payment_id: ExchangeId,
    /// ISO 4217 code; absent when no amount is known on both sides.
    pub currency: Option<String>,
    /// More that is taken or held, or less that is given back, is positive, minor units.
    pub difference_minor: i64,
    /// How many of its recorded calls differ.
    pub lines: i64,
    /// How they differ.
    pub reasons: Vec<ShadowReason>,
}

/// One line that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowLine {
    /// The recorded call.
    pub call_id: CallId,
    /// The line inside the call; of a gateway, the exchange and the place of the call in it.
    pub line: String,
    /// How it differs.
    pub reason: ShadowReason,
    /// The recorded answer.
    pub recorded: String,
    /// The candidate's answer, or why there is none.
    pub candidate: String,
}

/// How often answers differ in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowCount {
    /// The way.
    pub reason: ShadowReason,
    /// How many lines.
    pub lines: i64,
}

/// What the candidate would have decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowReport {
    /// The binding whose history was asked about.
    pub binding_id: BindingId,
    /// Its world.
    pub world: String,
    /// SHA-256 of the candidate.
    pub candidate: String,
    /// What the candidate calls itself, and its version.
    pub candidate_name: String,
    /// Recorded calls that were asked again.
    pub calls: i64,
    /// Recorded calls that had failed, so that there is nothing to compare with.
    pub recorded_faults: i64,
    /// Recorded calls whose evidence is gone or changed.
    pub unreadable_calls: i64,
    /// Lines asked about; of a gateway, each recorded call is one.
    pub lines: i64,
    /// Lines with the recorded answer.
    pub identical_lines: i64,
    /// Per cent of lines with the recorded answer, two decimals, cut off: 100.00 means all of them.
    pub identical_percent: String,
    /// Lines that differ, by the way they do.
    pub reasons: Vec<ShadowCount>,
    /// In money, by currency.
    pub totals: Vec<ShadowTotal>,
    /// Fuel that the recorded calls took.
    pub recorded_fuel: i64,
    /// Fuel that the candidate took.
    pub candidate_fuel: i64,
    /// Up to 100 contracts, the largest difference first.
    pub contracts: Vec<ShadowContract>,
    /// How many contracts differ.
    pub contracts_different: i64,
    /// Up to 100 payments through a gateway, the largest difference first.
    #[serde(default)]
    pub payments: Vec<ShadowPayment>,
    /// How many payments differ.
    #[serde(default)]
    pub payments_different: i64,
    /// Lines that differ and stand in no books: of plans that were never executed, or of numbers' sequences; of a gateway,
    /// notifications that name no payment.
    pub unposted_lines: i64,
    /// Up to 20 lines that differ.
    pub examples: Vec<ShadowLine>,
}
