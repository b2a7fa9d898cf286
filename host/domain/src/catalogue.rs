//! Plans: what is sold, at which price, for which period.
//!
//! Owns the rules that make a plan version sellable. Refuses to know who bought it. Invariant: a checked version has
//! components of one currency with prices of zero or more, and is never edited once sold; a change is a new version.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::calendar::Cadence;
use crate::charge::ChargeKind;
use crate::id::{ComponentId, PlanVersionId, ProductId};
use crate::metered::{MeteredError, MeteredTerms};
use crate::money::{Currency, Money};
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
    /// What is counted and what it costs; exactly for what is metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metered: Option<MeteredTerms>,
}

impl Component {
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
}

impl PlanVersion {
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
            component.check_metered()?;
            if component.metered.as_ref().is_some_and(|terms| !meters.insert(terms.meter_id)) {
                return Err(MeteredError::MeterTwice.into());
            }
        }
        Ok(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn component(n: u128, minor: i64, currency: Currency) -> Component {
        Component {
            id: ComponentId(Uuid::from_u128(n)),
            code: format!("c{n}"),
            title: "Internet".into(),
            kind: ComponentKind::Recurring,
            unit_price: Money::new(minor, currency),
            prepayment_percent: 100,
            tax_category: "service".into(),
            product: ProductId(Uuid::from_u128(1)),
            metered: None,
        }
    }

    fn version(components: Vec<Component>) -> PlanVersion {
        PlanVersion {
            id: PlanVersionId(Uuid::from_u128(7)),
            cadence: Cadence::Months(1),
            price_mode: PriceMode::Included,
            billing_day: BillingDay::Fixed(1),
            stub: StubPolicy::Prorate,
            components,
        }
    }

    #[test]
    fn a_billing_day_has_one_spelling() {
        assert_eq!("anniversary".parse(), Ok(BillingDay::Anniversary));
        assert_eq!("fixed:15".parse(), Ok(BillingDay::Fixed(15)));
        assert_eq!(BillingDay::Fixed(31).to_string(), "fixed:31");
        for text in ["fixed:0", "fixed:32", "fixed:015", "fixed:+1", "fixed", "fixed:", "15", ""] {
            assert!(text.parse::<BillingDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn policies_read_back_from_their_texts() {
        for text in ["anniversary", "anniversary:restore", "contract-aligned", "fixed:31"] {
            assert_eq!(text.parse::<BillingDay>().map(|day| day.to_string()).as_deref(), Ok(text));
        }
        for text in ["prorate", "free", "absorb:1", "absorb:31"] {
            assert_eq!(text.parse::<StubPolicy>().map(|stub| stub.to_string()).as_deref(), Ok(text));
        }
        for text in ["absorb", "absorb:0", "absorb:32", "absorb:016", "absorb:+1", "Free", ""] {
            assert!(text.parse::<StubPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_day_of_the_month_comes_from_the_policy() {
        let (started, signed): (NaiveDate, NaiveDate) = ("2026-01-30".parse().unwrap(), "2025-06-12".parse().unwrap());
        let day = |policy: BillingDay, months| policy.day_of_month(Cadence::Months(months), started, signed);
        assert_eq!(day(BillingDay::Anniversary, 1), None);
        assert_eq!(day(BillingDay::AnniversaryRestored, 1), Some(30));
        assert_eq!(day(BillingDay::AnniversaryRestored, 12), None);
        assert_eq!(day(BillingDay::Fixed(31), 3), Some(31));
        assert_eq!(day(BillingDay::ContractAligned, 1), Some(12));
    }

    #[test]
    fn a_version_has_one_currency_and_no_negative_price() {
        let rub = Currency::RUB;
        assert_eq!(version(vec![component(1, 59_000, rub), component(2, 0, rub)]).check(), Ok(rub));
        assert_eq!(version(vec![]).check(), Err(CatalogueError::NoComponent));
        assert!(matches!(
            version(vec![component(1, 1, rub), component(2, 1, Currency::EUR)]).check(),
            Err(CatalogueError::MixedCurrencies { .. })
        ));
        assert!(matches!(version(vec![component(1, -1, rub)]).check(), Err(CatalogueError::NegativePrice { .. })));
        assert!(matches!(
            version(vec![component(1, 1, rub), component(1, 1, rub)]).check(),
            Err(CatalogueError::DuplicateComponent(_))
        ));
    }

    #[test]
    fn what_is_metered_has_terms_and_no_other_price() {
        let terms = |meter| MeteredTerms {
            meter_id: crate::id::MeterId(Uuid::from_u128(meter)),
            included: rust_decimal::Decimal::ZERO,
            model: crate::metered::TierModel::Graduated,
            tiers: vec![crate::metered::Tier { up_to: None, unit_price: rust_decimal::Decimal::ONE }],
            volume_discounts: Vec::new(),
        };
        let metered = |n, meter, minor| Component {
            kind: ComponentKind::Metered,
            prepayment_percent: 0,
            metered: Some(terms(meter)),
            ..component(n, minor, Currency::RUB)
        };
        assert!(version(vec![metered(1, 1, 0), metered(2, 2, 0)]).check().is_ok());
        let without = Component { metered: None, ..metered(1, 1, 0) };
        let foreign = Component { metered: Some(terms(1)), ..component(1, 0, Currency::RUB) };
        let advanced = Component { prepayment_percent: 50, ..metered(1, 1, 0) };
        for wrong in [vec![without], vec![foreign], vec![advanced], vec![metered(1, 1, 5)]] {
            assert!(matches!(version(wrong.clone()).check(), Err(CatalogueError::Metered(_))), "{wrong:?}");
        }
        let twice = version(vec![metered(1, 1, 0), metered(2, 1, 0)]).check();
        assert_eq!(twice, Err(CatalogueError::Metered(MeteredError::MeterTwice)));
    }

    #[test]
    fn a_fixed_day_of_the_month_needs_months() {
        let by_days = PlanVersion { cadence: Cadence::Days(30), ..version(vec![component(1, 1, Currency::RUB)]) };
        assert_eq!(by_days.check(), Err(CatalogueError::FixedDayOfDays(Cadence::Days(30))));
        let anniversary = PlanVersion { billing_day: BillingDay::Anniversary, ..by_days };
        assert!(anniversary.check().is_ok());
    }
}
