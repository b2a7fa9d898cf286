//! The billing run: what a plan of a contract is, what its hash covers, and the bounds that no plan may pass.
//!
//! Owns the states of runs and plans, the hash that a confirmation carries, and the safety bounds. Refuses to know how
//! lines came about. Invariant: two plans have one hash only if they would bill the same lines, from the same
//! versions, decided by the same plugins with the same configuration.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::calendar::{Cadence, CalendarError, Period, boundary};
use crate::charge::{ChargeKind, prepaid_part};
use crate::id::{ChargeId, ComponentId, ContractId, OrderId, PlanVersionId, ProductId, SubscriptionId, UsageWindowId};
use crate::invoice::{Amounts, TotalsError, totals};
use crate::money::{Money, MoneyError};
use crate::plugin::World;
use crate::subscription::ShortFunds;
use crate::text::{serde_as_text, shorten, text_enum};

pub use difference::difference;
pub use hash::plan_hash;

mod difference;
mod hash;

text_enum! {
    /// Whether plans wait for a person.
    pub enum RunMode as "run mode" {
        /// Each plan waits until it is confirmed.
        WithConfirmation = "with-confirmation",
        /// Plans are approved by themselves.
        Automatic = "automatic",
    }
}

text_enum! {
    /// How far a run has come.
    pub enum RunState as "run state" {
        /// Plans are being computed.
        Computing = "computing",
        /// Plans wait for confirmation.
        Awaiting = "awaiting",
        /// Approved plans are being executed.
        Executing = "executing",
        /// Nothing is left to do.
        Done = "done",
        /// Given up before the end.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Whether a run in this state may take the next one. Executing goes back to awaiting while plans still wait.
    pub fn may_become(self, next: Self) -> bool {
        use RunState::{Awaiting, Cancelled, Computing, Done, Executing};
        matches!(
            (self, next),
            (Computing, Awaiting | Executing | Cancelled)
                | (Awaiting, Computing | Executing | Done | Cancelled)
                | (Executing, Awaiting | Done)
        )
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

text_enum! {
    /// How far the plan of one contract has come.
    pub enum PlanState as "plan state" {
        /// Being computed.
        Computing = "computing",
        /// Waits for confirmation.
        Awaiting = "awaiting",
        /// Confirmed, or approved by itself.
        Approved = "approved",
        /// Its effects are being saved.
        Executing = "executing",
        /// Its effects are saved.
        Done = "done",
        /// Turned down by a person.
        Rejected = "rejected",
        /// A relevant change came in between; to be computed again.
        Superseded = "superseded",
        /// Set aside with a reason; may be tried again.
        Parked = "parked",
    }
}

impl PlanState {
    /// Whether a plan in this state may take the next one.
    pub fn may_become(self, next: Self) -> bool {
        use PlanState::{Approved, Awaiting, Computing, Done, Executing, Parked, Rejected, Superseded};
        matches!(
            (self, next),
            (Computing, Awaiting | Approved | Parked | Superseded)
                | (Awaiting, Approved | Rejected | Superseded | Parked)
                | (Approved, Executing | Superseded | Parked)
                | (Executing, Done | Superseded | Parked)
                | (Superseded | Parked, Computing)
        )
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Rejected)
    }
}

text_enum! {
    /// What a plan that waits for a yes is about.
    pub enum PlanStage as "plan stage" {
        /// The scheduled changes whose day has come: the contract's day is planned once they are made.
        Changes = "changes",
        /// The contract's day.
        Day = "day",
        /// The scheduled changes that waited until the contract's day was billed.
        ChangesAfter = "changes-after",
    }
}

/// A SHA-256 digest; its text is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lower-case hexadecimal digits, got \"{0}\"")]
pub struct DigestError(String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(DigestError(shorten(text))),
        }
    }
}

serde_as_text!(
    Digest,
    "SHA-256 digest: 64 lower-case hexadecimal digits.",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
);

/// A plugin that decided something in a plan: which component, with which configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginPin {
    /// The extension point.
    pub world: World,
    /// Digest of the component's bytes.
    pub component: Digest,
    /// Digest of the configuration's bytes.
    pub config: Digest,
}

/// A subscription and the version of its row that a plan was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubscriptionPin {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Version of its row.
    pub version: i64,
}

/// One line that a plan would bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanLine {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The component of its plan version.
    pub component: ComponentId,
    /// The product whose revenue it is.
    pub product: ProductId,
    /// What is charged.
    #[serde(default = "recurring")]
    pub kind: ChargeKind,
    /// How much of it is taken when it falls due, per cent; the rest is taken when it is realised.
    #[serde(default = "all_of_it")]
    pub prepayment_percent: u8,
    /// The full period.
    pub period: Period,
    /// The part of it in which the subscription is in service.
    pub used: Period,
    /// Charge date: the service begins.
    pub charged_on: NaiveDate,
    /// Realisation date: the service ends.
    pub realises_on: NaiveDate,
    /// What the proration left of the price, on the side of the tax that the price is stated on.
    pub amount: Money,
    /// Amount without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// Amount with tax.
    pub gross: Money,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Rate in per cent; none when the line is not taxed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "22"))]
    pub tax_rate: Option<Decimal>,
    /// Name on documents.
    pub title: String,
    /// How the proration, or the price of the use, came about, for people.
    pub proration_explanation: String,
    /// What was used; exactly for usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<LineUsage>,
}

/// What a usage line bills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LineUsage {
    /// The days that are billed.
    pub window: UsageWindowId,
    /// How often they were billed before: above zero when the events came late.
    pub billings: i32,
    /// How many events they have by now.
    pub events: i64,
    /// The figure that these come to.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "105"))]
    pub used: Decimal,
}

fn recurring() -> ChargeKind {
    ChargeKind::Recurring
}

fn all_of_it() -> u8 {
    100
}

impl PlanLine {
    /// Net, tax and gross together.
    pub fn amounts(&self) -> Amounts {
        Amounts { net: self.net, tax: self.tax, gross: self.gross }
    }

    /// The part of the gross amount that is taken when the line falls due.
    pub fn prepaid(&self) -> Result<Money, MoneyError> {
        prepaid_part(self.gross, self.prepayment_percent)
    }
}

/// A charge whose service was provided: what of it becomes revenue and tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanRealisation {
    /// The charge; none for a line of the same plan, which has no identity yet.
    pub charge: Option<ChargeId>,
    /// The product whose revenue it is.
    pub product: ProductId,
    /// Code of the tax treatment of its invoice line.
    pub tax_code: String,
    /// Realisation date: the last day of the service.
    pub realises_on: NaiveDate,
    /// Revenue, less what was given back.
    pub net: Money,
    /// Tax, less what was given back.
    pub tax: Money,
    /// Both.
    pub gross: Money,
    /// The part of the gross amount that stands in deferred revenue; the rest is taken from the contract's funds now.
    pub prepaid: Money,
    /// What was given back before, with tax.
    pub credited: Money,
}

impl PlanRealisation {
    /// Net, tax and gross together.
    pub fn amounts(&self) -> Amounts {
        Amounts { net: self.net, tax: self.tax, gross: self.gross }
    }
}

text_enum! {
    /// What becomes of a period that is not charged for want of money.
    pub enum WithheldOutcome as "outcome of short funds" {
        /// It is looked at again the next day.
        Waits = "waits",
        /// It is neither served nor charged.
        Skipped = "skipped",
    }
}

/// A period that a plan does not charge for want of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanWithheld {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// What it does when money is short.
    pub policy: ShortFunds,
    /// What becomes of the period.
    pub outcome: WithheldOutcome,
    /// The first day of it.
    pub from: NaiveDate,
    /// The day after its last one.
    pub until: NaiveDate,
    /// What would be taken in advance.
    pub needed: Money,
    /// What the contract may spend.
    pub available: Money,
}

/// A subscription that goes over to a later version of its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanMove {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The first day of the renewal that the later version charges.
    pub on: NaiveDate,
    /// The version before.
    pub from: PlanVersionId,
    /// The later version.
    pub to: PlanVersionId,
}

/// A part of a charge of use that a plan gives back, because events that came late lowered the figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanCredit {
    /// The charge.
    pub charge: ChargeId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The days and what was used of them by now.
    pub usage: LineUsage,
    /// Net given back.
    pub net: Money,
    /// Tax given back, at the rate of the charge's line.
    pub tax: Money,
    /// Both.
    pub gross: Money,
    /// How it came about, for people.
    pub reason: String,
}

/// An order whose first period a plan charges: what was reserved for it is free again, to be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanOrder {
    /// The order.
    pub order: OrderId,
    /// The subscription that was ordered.
    pub subscription: SubscriptionId,
    /// What was reserved.
    pub reserved: Money,
}

/// What a run would do for one contract on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContractPlan {
    /// The contract.
    pub contract: ContractId,
    /// Version of its row that the plan was computed from.
    pub contract_version: i64,
    /// Its subscriptions with the versions that the plan was computed from, in the order of the lines.
    pub subscriptions: Vec<SubscriptionPin>,
    /// The plugins that decided, in the order of their worlds.
    pub plugins: Vec<PluginPin>,
    /// Date of the documents.
    pub issued_on: NaiveDate,
    /// What would be billed, in the order of documents.
    pub lines: Vec<PlanLine>,
    /// Sums of the lines.
    pub totals: Amounts,
    /// The charges that would be realised, by realisation date; those of the lines come last.
    #[serde(default)]
    pub realisations: Vec<PlanRealisation>,
    /// The periods that are not charged for want of money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<PlanWithheld>,
    /// The subscriptions that go over to a later version of their plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<PlanMove>,
    /// The orders that are charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<PlanOrder>,
    /// What is given back of use that fell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<PlanCredit>,
}

impl ContractPlan {
    /// What would become revenue and tax.
    pub fn realised(&self) -> Result<Amounts, TotalsError> {
        totals(self.totals.gross.currency, self.realisations.iter().map(PlanRealisation::amounts))
    }

    /// What is taken from the contract's funds for the lines when they fall due.
    pub fn prepaid(&self) -> Result<Money, MoneyError> {
        self.lines.iter().try_fold(Money::zero(self.totals.gross.currency), |sum, line| sum.add(line.prepaid()?))
    }
}

/// Bounds that hold whatever configuration and plugins say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafetyBounds {
    /// Most lines of one contract on one day.
    pub max_lines_per_contract_day: u32,
    /// How many months ahead of the day a line may end at most.
    pub max_months_ahead: u32,
}

impl Default for SafetyBounds {
    fn default() -> Self {
        Self { max_lines_per_contract_day: 500, max_months_ahead: 36 }
    }
}

/// The bound that a plan passed; its contract is parked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundTripped {
    /// One component of a subscription would be charged twice for one period.
    #[error("{component} of {subscription} would be charged twice for the period from {start}")]
    ChargedTwice {
        /// The subscription.
        subscription: SubscriptionId,
        /// The component.
        component: ComponentId,
        /// First day of the period.
        start: NaiveDate,
    },
    /// Too many lines.
    #[error("the plan has {lines} lines, more than the {bound} allowed per contract and day")]
    TooManyLines {
        /// Lines of the plan.
        lines: usize,
        /// The bound.
        bound: u32,
    },
    /// A line reaches too far into the future.
    #[error("{component} of {subscription} would be charged up to {end}, later than {latest}")]
    TooFarAhead {
        /// The subscription.
        subscription: SubscriptionId,
        /// The component.
        component: ComponentId,
        /// The day after its last one.
        end: NaiveDate,
        /// The latest end allowed.
        latest: NaiveDate,
    },
    /// The bound itself lies outside the calendar.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

/// Checks a plan of the day `on` against the bounds.
pub fn check_bounds(plan: &ContractPlan, on: NaiveDate, bounds: &SafetyBounds) -> Result<(), BoundTripped> {
    let bound = bounds.max_lines_per_contract_day;
    let count = plan.lines.len() + plan.credits.len();
    if count > usize::try_from(bound).unwrap_or(usize::MAX) {
        return Err(BoundTripped::TooManyLines { lines: count, bound });
    }
    let months = i32::try_from(bounds.max_months_ahead).map_err(|_| CalendarError::OutOfRange)?;
    let latest = boundary(on, Cadence::Months(1), months)?;
    let mut seen = HashSet::with_capacity(plan.lines.len());
    for line in &plan.lines {
        let (subscription, component) = (line.subscription, line.component);
        // Use is billed by windows, and of each again when events came late.
        if !seen.insert((subscription, component, line.period.start, line.usage.as_ref().map(|usage| usage.window))) {
            return Err(BoundTripped::ChargedTwice { subscription, component, start: line.period.start });
        }
        let end = line.used.end.max(line.realises_on);
        if end > latest {
            return Err(BoundTripped::TooFarAhead { subscription, component, end, latest });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
