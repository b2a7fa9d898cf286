//! Plans: what is sold, at which price, for which period.
//!
//! Owns the rules that make a plan version sellable. Refuses to know who bought it. Invariant: a checked version has
//! components of one currency with prices of zero or more, and is never edited once sold; a change is a new version, and a
//! version says itself whether the subscribers of older ones go over to it.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::calendar::Cadence;
use crate::charge::ChargeKind;
use crate::id::{ComponentId, PlanId, PlanVersionId, ProductId};
use crate::metered::{MeteredError, MeteredTerms};
use crate::money::{Currency, Money, MoneyError, line_price};
use crate::tax::PriceMode;
use crate::text::{serde_as_text, shorten, text_enum};

/// Why a plan version cannot be sold, or a part of it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The text is not a billing day.
    #[error(
        "\"{0}\" is not a billing day; write anniversary, anniversary:restore, contract-aligned or fixed:1 to fixed:31"
    )]
    BillingDay(String),
    /// The text does not say what becomes of existing subscribers.
    #[error(
        "\"{0}\" does not say what becomes of existing subscribers; write keep, or from: and a day, as from:2027-01-01"
    )]
    Existing(String),
    /// The text is not a stub policy.
    #[error("\"{0}\" is not a stub policy; write prorate, free or absorb:1 to absorb:31")]
    Stub(String),
    /// Nothing to charge.
    #[error("a plan version needs at least one component")]
    NoComponent,
    /// Two components share an identifier or a code.
    #[error("component \"{0}\" stands twice in the plan version; give each its own code")]
    DuplicateComponent(String),
    /// A price below zero.
    #[error("component \"{code}\" costs {price}; a price is zero or more, use a discount to charge less")]
    NegativePrice {
        /// Code of the component.
        code: String,
        /// Its price.
        price: Money,
    },
    /// A prepayment of more than everything.
    #[error("component \"{code}\" asks for {percent} % in advance; a prepayment is 0 to 100 %")]
    Prepayment {
        /// Code of the component.
        code: String,
        /// Its prepayment.
        percent: u8,
    },
    /// Components in different currencies.
    #[error("component \"{code}\" is priced in {found}, the plan version in {expected}; make one version per currency")]
    MixedCurrencies {
        /// Code of the component.
        code: String,
        /// Its currency.
        found: Currency,
        /// Currency of the first component.
        expected: Currency,
    },
    /// An included quantity, a minimum or a maximum that cannot be.
    #[error(
        "component \"{0}\": quantities are from 0 to 1000000 with at most 6 decimals, and the minimum is no more than the maximum"
    )]
    Quantities(String),
    /// Quantities of something that does not recur.
    #[error("component \"{0}\" does not recur; included, min_quantity and max_quantity are for what recurs")]
    QuantitiesOfKind(String),
    /// More or fewer units than are sold.
    #[error("component \"{code}\" is sold {sold}, not {quantity}; choose such a quantity, or another plan")]
    NotSold {
        /// Code of the component.
        code: String,
        /// How many units it is sold, in words.
        sold: String,
        /// How many were wished.
        quantity: Decimal,
    },
    /// What is metered cannot be sold so.
    #[error(transparent)]
    Metered(#[from] MeteredError),
    /// A day of the month with a period counted in days.
    #[error("a day of the month needs a period in months, got {0}; use anniversary for periods in days")]
    FixedDayOfDays(Cadence),
}

text_enum! {
    /// Whether a plan may be sold.
    pub enum PlanStatus as "plan status" {
        /// Being prepared.
        Draft = "draft",
        /// On sale.
        Active = "active",
        /// No longer sold; what was sold goes on.
        Archived = "archived",
    }
}

text_enum! {
    /// Who may sell a plan.
    pub enum Visibility as "visibility of a plan" {
        /// Whoever may subscribe, a customer who helps himself included.
        Public = "public",
        /// Managers only; who helps himself neither sees nor takes it.
        Private = "private",
    }
}

/// What becomes of the subscribers of a plan's older versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExistingSubscribers {
    /// They stay on the version that they are on.
    #[default]
    Keep,
    /// Each goes over at the first renewal on or after this day; never in the middle of a period.
    From(NaiveDate),
}

impl ExistingSubscribers {
    /// The day from which on they go over.
    pub fn from_day(self) -> Option<NaiveDate> {
        match self {
            Self::Keep => None,
            Self::From(day) => Some(day),
        }
    }
}

impl From<Option<NaiveDate>> for ExistingSubscribers {
    fn from(day: Option<NaiveDate>) -> Self {
        day.map_or(Self::Keep, Self::From)
    }
}

impl fmt::Display for ExistingSubscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::From(day) => write!(f, "from:{day}"),
        }
    }
}

impl FromStr for ExistingSubscribers {
    type Err = CatalogueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = |digits: &str| digits.parse::<NaiveDate>().ok().filter(|day| day.to_string() == digits);
        match (text, text.strip_prefix("from:").and_then(day)) {
            ("keep", _) => Ok(Self::Keep),
            (_, Some(day)) => Ok(Self::From(day)),
            _ => Err(CatalogueError::Existing(shorten(text))),
        }
    }
}

serde_as_text!(
    ExistingSubscribers,
    "What becomes of the subscribers of older versions: `keep`, or `from:` and a day, such as `from:2027-01-01`.",
    "from:2027-01-01"
);

/// What a first period costs that is shorter than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StubPolicy {
    /// Its share of the price, as the proration strategy decides.
    #[default]
    Prorate,
    /// Nothing; it is charged with zero, so that the days stay covered.
    Free,
    /// Its share of the price; when service begins on this day of the month or later, the period after it is charged
    /// on the same day, so that the customer pays once for both.
    Absorb(u8),
}

impl fmt::Display for StubPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prorate => f.write_str("prorate"),
            Self::Free => f.write_str("free"),
            Self::Absorb(day) => write!(f, "absorb:{day}"),
        }
    }
}

impl FromStr for StubPolicy {
    type Err = CatalogueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || CatalogueError::Stub(shorten(text));
        match text {
            "prorate" => Ok(Self::Prorate),
            "free" => Ok(Self::Free),
            _ => day_of_month(text, "absorb:").map(Self::Absorb).ok_or_else(malformed),
        }
    }
}

serde_as_text!(StubPolicy, "Stub policy: `prorate`, `free` or `absorb:1` to `absorb:31`.", "prorate");

/// A day of the month behind a prefix; one spelling only: no sign, no leading zero.
fn day_of_month(text: &str, prefix: &str) -> Option<u8> {
    let digits = text.strip_prefix(prefix)?;
    let day: u8 = digits.parse().ok()?;
    ((1..=31).contains(&day) && day.to_string() == digits).then_some(day)
}

text_enum! {
    /// How a component is charged.
    pub enum ComponentKind as "component kind" {
        /// Once per period and unit.
        Recurring = "recurring",
        /// With the first period only, such as a connection fee; never prorated.
        SetUp = "set-up",
        /// Once, on the first day of service, such as a device; never prorated.
        OneOff = "one-off",
        /// By recorded use, at the close of the period; see [`MeteredTerms`].
        Metered = "metered",
    }
}

impl ComponentKind {
    /// What its charges are for.
    pub fn charge_kind(self) -> ChargeKind {
        match self {
            Self::Recurring => ChargeKind::Recurring,
            Self::SetUp => ChargeKind::SetUp,
            Self::OneOff => ChargeKind::OneOff,
            Self::Metered => ChargeKind::Usage,
        }
    }
}

/// On which day of the month periods begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BillingDay {
    /// On the day on which the subscription started, or came back from a longer period.
    Anniversary,
    /// On the day on which the subscription started, also after a stint on longer periods. For periods of one month;
    /// longer ones begin on the day of the change.
    AnniversaryRestored,
    /// On a day of the month, 1 to 31; a short month uses its last day.
    Fixed(u8),
    /// On the day of the month on which the contract was signed.
    ContractAligned,
}

impl BillingDay {
    /// The day of the month that periods of this length begin on; none when they begin on the day of the change.
    ///
    /// `started_on` is the subscription's first day of service, `signed_on` the contract's day of signing.
    pub fn day_of_month(self, cadence: Cadence, started_on: NaiveDate, signed_on: NaiveDate) -> Option<u8> {
        let day = match self {
            Self::Anniversary => return None,
            Self::AnniversaryRestored if cadence != Cadence::Months(1) => return None,
            Self::AnniversaryRestored => started_on.day(),
            Self::Fixed(day) => u32::from(day),
            Self::ContractAligned => signed_on.day(),
        };
        u8::try_from(day).ok()
    }
}

impl fmt::Display for BillingDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anniversary => f.write_str("anniversary"),
            Self::AnniversaryRestored => f.write_str("anniversary:restore"),
            Self::Fixed(day) => write!(f, "fixed:{day}"),
            Self::ContractAligned => f.write_str("contract-aligned"),
        }
    }
}

impl FromStr for BillingDay {
    type Err = CatalogueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "anniversary" => Ok(Self::Anniversary),
            "anniversary:restore" => Ok(Self::AnniversaryRestored),
            "contract-aligned" => Ok(Self::ContractAligned),
            _ => day_of_month(text, "fixed:").map(Self::Fixed).ok_or_else(|| CatalogueError::BillingDay(shorten(text))),
        }
    }
}

serde_as_text!(
    BillingDay,
    "Billing day: `anniversary`, `anniversary:restore`, `contract-aligned` or `fixed:1` to `fixed:31`.",
    "fixed:1"
);

/// One priced part of a plan version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Component {
    /// Identifier.
    pub id: ComponentId,
    /// Short name, unique within the version.
    pub code: String,
    /// Name on documents.
    pub title: String,
    /// How it is charged.
    pub kind: ComponentKind,
    /// Price per unit and whole period.
    pub unit_price: Money,
    /// How much of the price is taken when it falls due, per cent, 0 to 100; the rest is taken when it is realised.
    pub prepayment_percent: u8,
    /// Tax category, such as `service`.
    pub tax_category: String,
    /// The product whose revenue it is.
    pub product: ProductId,
    /// Units that cost nothing; for what recurs.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2"))]
    pub included: Decimal,
    /// The fewest units that may be taken; for what recurs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "1"))]
    pub min_quantity: Option<Decimal>,
    /// The most units that may be taken; for what recurs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "10"))]
    pub max_quantity: Option<Decimal>,
    /// What is counted and what it costs; exactly for what is metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metered: Option<MeteredTerms>,
}

impl Component {
    /// The price of so many units and a whole period at a price of one unit: `unit · max(0, quantity − included)`, less the
    /// discount in per cent, rounded once.
    pub fn price(&self, unit: Money, quantity: Decimal, discount_percent: Decimal) -> Result<Money, MoneyError> {
        line_price(unit, (quantity - self.included).max(Decimal::ZERO), discount_percent)
    }

    /// Checks that so many units are sold.
    fn takes(&self, quantity: Decimal) -> Result<(), CatalogueError> {
        let few = self.min_quantity.filter(|least| quantity < *least);
        let many = self.max_quantity.filter(|most| *most < quantity);
        if few.or(many).is_none() {
            return Ok(());
        }
        let sold = match (self.min_quantity, self.max_quantity) {
            (Some(least), Some(most)) => format!("{} to {} times", least.normalize(), most.normalize()),
            (Some(least), None) => format!("at least {} times", least.normalize()),
            (None, most) => format!("at most {} times", most.unwrap_or_default().normalize()),
        };
        Err(CatalogueError::NotSold { code: self.code.clone(), sold, quantity: quantity.normalize() })
    }

    /// Checks the included quantity and the bounds.
    fn check_quantities(&self) -> Result<(), CatalogueError> {
        let fits = |value: Decimal| {
            let value = value.normalize();
            value.scale() <= 6 && value >= Decimal::ZERO && value <= Decimal::from(1_000_000)
        };
        let bounds = [Some(self.included), self.min_quantity, self.max_quantity];
        let crossed = self.min_quantity.zip(self.max_quantity).is_some_and(|(least, most)| most < least);
        if crossed || self.max_quantity.is_some_and(|most| most.is_zero()) || !bounds.into_iter().flatten().all(fits) {
            return Err(CatalogueError::Quantities(self.code.clone()));
        }
        let any = !self.included.is_zero() || self.min_quantity.is_some() || self.max_quantity.is_some();
        if any && self.kind != ComponentKind::Recurring {
            return Err(CatalogueError::QuantitiesOfKind(self.code.clone()));
        }
        Ok(())
    }

    /// Checks that what is metered has its terms and nothing else has.
    fn check_metered(&self) -> Result<(), MeteredError> {
        match (&self.metered, self.kind) {
            (None, ComponentKind::Metered) => Err(MeteredError::Kind(self.code.clone())),
            (None, _) => Ok(()),
            (Some(_), kind) if kind != ComponentKind::Metered => Err(MeteredError::Kind(self.code.clone())),
            (Some(_), _) if !self.unit_price.is_zero() || self.prepayment_percent != 0 => {
                Err(MeteredError::PriceElsewhere(self.code.clone()))
            }
            (Some(terms), _) => terms.check(),
        }
    }
}

/// An immutable version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanVersion {
    /// Identifier.
    pub id: PlanVersionId,
    /// The plan.
    pub plan: PlanId,
    /// Length of a period.
    pub cadence: Cadence,
    /// Whether prices include tax.
    pub price_mode: PriceMode,
    /// On which day periods begin.
    pub billing_day: BillingDay,
    /// What a short first period costs.
    pub stub: StubPolicy,
    /// What is charged, in the order of documents.
    pub components: Vec<Component>,
    /// The later versions that its subscribers go over to, oldest first; empty where nobody is renewed.
    #[serde(skip)]
    pub successors: Vec<Successor>,
}

/// A later version of a plan that subscribers go over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// From which day on, each at a renewal.
    pub from: NaiveDate,
    /// The version; of the same currency and cadence.
    pub version: Arc<PlanVersion>,
}

impl PlanVersion {
    /// The version by which a renewal is charged whose period begins on a day: the last one that has come by then.
    pub fn on(&self, start: NaiveDate) -> &Self {
        let come = self.successors.iter().rev().find(|successor| successor.from <= start);
        come.map_or(self, |successor| &successor.version)
    }

    /// This version or the later one with the id.
    pub fn version(&self, id: PlanVersionId) -> Option<&Self> {
        let later = self.successors.iter().map(|successor| &*successor.version);
        std::iter::once(self).chain(later).find(|version| version.id == id)
    }

    /// Checks that so many units of every component are sold.
    pub fn takes(&self, quantity: Decimal) -> Result<(), CatalogueError> {
        self.components.iter().try_for_each(|component| component.takes(quantity))
    }

    /// Checks that the version can be sold and answers with its currency.
    pub fn check(&self) -> Result<Currency, CatalogueError> {
        let expected = self.components.first().ok_or(CatalogueError::NoComponent)?.unit_price.currency;
        if let (BillingDay::Fixed(_) | BillingDay::ContractAligned, Cadence::Days(_)) = (self.billing_day, self.cadence)
        {
            return Err(CatalogueError::FixedDayOfDays(self.cadence));
        }
        let (mut ids, mut codes, mut meters) = (HashSet::new(), HashSet::new(), HashSet::new());
        for component in &self.components {
            let code = || component.code.clone();
            if !ids.insert(component.id) || !codes.insert(component.code.as_str()) {
                return Err(CatalogueError::DuplicateComponent(code()));
            }
            let price = component.unit_price;
            if price.currency != expected {
                return Err(CatalogueError::MixedCurrencies { code: code(), found: price.currency, expected });
            }
            if price.minor < 0 {
                return Err(CatalogueError::NegativePrice { code: code(), price });
            }
            let percent = component.prepayment_percent;
            if percent > 100 {
                return Err(CatalogueError::Prepayment { code: code(), percent });
            }
            component.check_quantities()?;
            component.check_metered()?;
            if component.metered.as_ref().is_some_and(|terms| !meters.insert(terms.meter_id)) {
                return Err(MeteredError::MeterTwice.into());
            }
        }
        Ok(expected)
    }
}

#[cfg(test)]
mod tests;
