//! Metered use: how recorded events become one figure, and what that figure costs.
//!
//! Owns aggregations, tiers, included quantities and volume discounts. Refuses to know events, windows and who pays.
//! Invariant: a price is an exact sum, rounded once; of graduated tiers the parts sum to the billable quantity, and more
//! use never costs less unless a volume discount says so.
//!
//! Source of the formula: the worked counter of the vocabulary, (105 − 10) · 16 · 0.9 = 1368.00.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::id::MeterId;
use crate::money::{Currency, Money, MoneyError, quantity_share, usage_price};
use crate::text::text_enum;

/// The largest quantity of one event, and the largest bound of a tier.
pub const LARGEST_QUANTITY: i64 = 1_000_000_000_000;
/// How many decimals a quantity may have.
pub const QUANTITY_DECIMALS: u32 = 9;
/// How many decimals a price of one unit may have.
const PRICE_DECIMALS: u32 = 6;
/// How many tiers or discounts a component may have.
const MOST_TIERS: usize = 20;
const NANO: i128 = 1_000_000_000;

text_enum! {
    /// How the events of a window become one figure.
    pub enum Aggregation as "aggregation" {
        /// Their quantities are added.
        Sum = "sum",
        /// They are counted; they carry no quantity.
        Count = "count",
        /// The largest quantity counts, such as a peak.
        Max = "max",
        /// The smallest quantity counts.
        Min = "min",
        /// The mean of the quantities, to nine decimals.
        Average = "average",
        /// The quantity of the latest event counts; of several at one instant the largest.
        Last = "last",
        /// Their different items are counted; they carry an item and no quantity.
        Unique = "unique",
        /// The quantities are readings of counters, and what the counters advanced counts; an item names the counter where
        /// a subscription has several, or one is replaced.
        Difference = "difference",
    }
}

impl Aggregation {
    /// Whether an event carries a quantity.
    pub fn takes_quantity(self) -> bool {
        !matches!(self, Self::Count | Self::Unique)
    }
}

text_enum! {
    /// Which tier prices what.
    pub enum TierModel as "tier model" {
        /// Each unit has the price of the tier that it lies in.
        Graduated = "graduated",
        /// All units have the price of the tier that the last of them lies in.
        Volume = "volume",
    }
}

/// A quantity as it is kept: whole units and billionths, both exact on every database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    /// Whole units, 0 to [`LARGEST_QUANTITY`].
    pub units: i64,
    /// Billionths of a unit, below a whole one.
    pub nanos: i32,
}

/// Why a quantity or a price was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeteredError {
    /// The text is no quantity.
    #[error("a quantity is written as a decimal from 0 to {LARGEST_QUANTITY} with at most 9 decimals, got \"{0}\"")]
    Quantity(String),
    /// No tier.
    #[error("at least one tier is needed, and at most {MOST_TIERS}; a single price is one tier without `up_to`")]
    Tiers,
    /// Bounds out of order.
    #[error("`up_to` rises from tier to tier, and the last tier has none")]
    Bounds,
    /// A price out of range.
    #[error("a price of one unit is from 0 to {LARGEST_QUANTITY} with at most 6 decimals, got {0}")]
    Price(Decimal),
    /// An included quantity out of range.
    #[error("an included quantity is from 0 to {LARGEST_QUANTITY} with at most 9 decimals, got {0}")]
    Included(Decimal),
    /// A package size out of range.
    #[error("a package has more than 0 and at most {LARGEST_QUANTITY} units with at most 9 decimals, got {0}")]
    Package(Decimal),
    /// Discounts out of order or range.
    #[error(
        "`from` rises from discount to discount, at most {MOST_TIERS} of them, each of 0 to 100 % with at most 2 decimals"
    )]
    Discounts,
    /// Two components count the same.
    #[error("two components of the plan version count by the same meter; one event would be billed twice")]
    MeterTwice,
    /// What is metered costs by its tiers.
    #[error(
        "component \"{0}\" is metered: its price is in `metered`, `unit_price_minor` is 0 and nothing is taken in advance"
    )]
    PriceElsewhere(String),
    /// A kind that does not fit.
    #[error("component \"{0}\" needs `metered` exactly when its kind is metered")]
    Kind(String),
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { units: 0, nanos: 0 };

    /// Reads plain digits with at most nine decimals; no sign, no exponent.
    pub fn parse(text: &str) -> Result<Self, MeteredError> {
        let refused = || MeteredError::Quantity(crate::text::shorten(text));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 || whole.len() > 18 {
            return Err(refused());
        }
        let units: i64 = whole.parse().map_err(|_| refused())?;
        let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| refused())?;
        if units > LARGEST_QUANTITY || (units == LARGEST_QUANTITY && nanos > 0) {
            return Err(refused());
        }
        Ok(Self { units, nanos })
    }

    /// The exact decimal.
    pub fn to_decimal(self) -> Decimal {
        total(self.units, i64::from(self.nanos))
    }
}

/// Sums of whole units and of billionths as one exact decimal.
pub fn total(units: i64, nanos: i64) -> Decimal {
    let billionths = i128::from(units) * NANO + i128::from(nanos);
    // Sums of 64 bits stay below 2^94, which a decimal holds.
    Decimal::from_i128_with_scale(billionths, QUANTITY_DECIMALS).normalize()
}

/// What the events of a window came to, before its aggregation is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// How many events.
    pub events: i64,
    /// The sum of their quantities.
    pub sum: Decimal,
    /// The largest quantity.
    pub max: Decimal,
    /// The smallest quantity.
    pub min: Decimal,
    /// The latest quantity.
    pub last: Decimal,
    /// How many different items.
    pub items: i64,
    /// What the counters advanced, see [`Counter`].
    pub advanced: Decimal,
}

impl Figures {
    /// The figure that is billed.
    pub fn used(&self, aggregation: Aggregation) -> Result<Decimal, MoneyError> {
        Ok(match aggregation {
            Aggregation::Sum => self.sum,
            Aggregation::Count => Decimal::from(self.events),
            Aggregation::Max => self.max,
            Aggregation::Min => self.min,
            Aggregation::Average if self.events == 0 => Decimal::ZERO,
            Aggregation::Average => quantity_share(self.sum, Decimal::ONE, self.events)?,
            Aggregation::Last => self.last,
            Aggregation::Unique => Decimal::from(self.items),
            Aggregation::Difference => self.advanced,
        })
    }
}

/// What the readings of one counter are in some span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings {
    /// The instant of the earliest one, microseconds since 1970.
    pub earliest_us: i64,
    /// The earliest one; of several at one instant the smallest.
    pub earliest: Quantity,
    /// The highest one.
    pub highest: Quantity,
}

/// How far a counter is billed: from its first reading to its highest.
///
/// A span of readings is billed by how much it widens this range. So in all the range is billed and nothing twice, in
/// whatever order the readings come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The instant of the first reading, microseconds since 1970.
    pub first_us: i64,
    /// The first reading: nothing before it is known.
    pub first: Quantity,
    /// The highest reading that is billed.
    pub highest: Quantity,
}

impl Counter {
    /// A counter of which nothing is billed, on its first reading of a span.
    fn starting(readings: &Readings) -> Self {
        Self { first_us: readings.earliest_us, first: readings.earliest, highest: readings.earliest }
    }

    /// What a counter advances by more readings, and how far it is billed then; none as long as nothing of it is billed.
    pub fn advance(billed: Option<Self>, readings: &Readings) -> (Decimal, Self) {
        let before = billed.unwrap_or_else(|| Self::starting(readings));
        // Only an earlier reading tells of more before the first one.
        let (first_us, first) = if readings.earliest_us < before.first_us {
            (readings.earliest_us, before.first.min(readings.earliest))
        } else {
            (before.first_us, before.first)
        };
        let after = Self { first_us, first, highest: before.highest.max(readings.highest) };
        (after.range() - before.range(), after)
    }

    /// All that is billed of it.
    pub fn range(&self) -> Decimal {
        self.highest.to_decimal() - self.first.to_decimal()
    }
}

/// A price up to a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last unit of the tier, counted from the first billable one; absent in the last tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "100"))]
    pub up_to: Option<Decimal>,
    /// Price of one unit in major units of the plan version's currency, at most six decimals.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "0.0125"))]
    pub unit_price: Decimal,
}

/// What is taken off the whole price from some quantity on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VolumeDiscount {
    /// The billable quantity from which it holds.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "50"))]
    pub from: Decimal,
    /// Per cent, 0 to 100.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "10"))]
    pub percent: Decimal,
}

/// What a metered component counts, and what that costs.
///
/// Quantities are those of one unit of the subscription and a whole period: for `n` units, or a part of the days, the
/// included quantity, the bounds and the thresholds are taken `n`-fold and by their share of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MeteredTerms {
    /// The meter.
    pub meter_id: MeterId,
    /// The quantity that costs nothing.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "10"))]
    pub included: Decimal,
    /// How many units a package has; then prices, bounds and thresholds are those of packages, and one that is begun is paid
    /// whole. Each unit by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "100"))]
    pub package: Option<Decimal>,
    /// Which tier prices what.
    #[serde(default = "graduated")]
    pub model: TierModel,
    /// The prices, by rising bounds; a single price is one tier without a bound.
    pub tiers: Vec<Tier>,
    /// Discounts by volume, by rising thresholds; the last that is reached holds for all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_discounts: Vec<VolumeDiscount>,
}

fn graduated() -> TierModel {
    TierModel::Graduated
}

/// What a window adds to the terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// Units of the subscription.
    pub quantity: Decimal,
    /// Days of the window.
    pub days: i64,
    /// Days of the whole period.
    pub of_days: i64,
    /// The subscription's own discount, per cent.
    pub discount_percent: Decimal,
}

/// What a figure costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// The price, rounded once.
    pub amount: Money,
    /// What of the figure is billed: units, or packages.
    pub billable: Decimal,
    /// Billable quantities and the prices of their units, by tier.
    pub parts: Vec<(Decimal, Decimal)>,
    /// How it came about, for people.
    pub explanation: String,
}

impl MeteredTerms {
    /// Checks that the terms can be sold.
    pub fn check(&self) -> Result<(), MeteredError> {
        let fits = |value: Decimal, decimals: u32| {
            (!value.is_sign_negative() || value.is_zero())
                && value <= Decimal::from(LARGEST_QUANTITY)
                && value.normalize().scale() <= decimals
        };
        if !fits(self.included, QUANTITY_DECIMALS) {
            return Err(MeteredError::Included(self.included));
        }
        if let Some(size) = self.package.filter(|size| size.is_zero() || !fits(*size, QUANTITY_DECIMALS)) {
            return Err(MeteredError::Package(size));
        }
        if self.tiers.is_empty() || self.tiers.len() > MOST_TIERS {
            return Err(MeteredError::Tiers);
        }
        let mut below = Decimal::ZERO;
        for (place, tier) in self.tiers.iter().enumerate() {
            if !fits(tier.unit_price, PRICE_DECIMALS) {
                return Err(MeteredError::Price(tier.unit_price));
            }
            match tier.up_to {
                None if place + 1 == self.tiers.len() => {}
                Some(bound) if place + 1 < self.tiers.len() && bound > below && fits(bound, QUANTITY_DECIMALS) => {
                    below = bound;
                }
                _ => return Err(MeteredError::Bounds),
            }
        }
        let rising = self.volume_discounts.windows(2).all(|two| two[0].from < two[1].from);
        let ranged = self.volume_discounts.iter().all(|discount| {
            fits(discount.from, QUANTITY_DECIMALS)
                && fits(discount.percent, 2)
                && discount.percent <= Decimal::ONE_HUNDRED
        });
        if !rising || !ranged || self.volume_discounts.len() > MOST_TIERS {
            return Err(MeteredError::Discounts);
        }
        Ok(())
    }

    /// What a figure costs.
    pub fn rate(&self, used: Decimal, basis: &Basis, currency: Currency) -> Result<Rated, MoneyError> {
        let scaled = |quantity: Decimal| {
            let days = basis.quantity.checked_mul(Decimal::from(basis.days)).ok_or(MoneyError::Overflow)?;
            quantity_share(quantity, days, basis.of_days)
        };
        let included = scaled(self.included)?;
        let units = (used - included).max(Decimal::ZERO).normalize();
        let billable = self.package.map_or(Ok(units), |size| packages(units, size))?;
        let mut parts = Vec::with_capacity(self.tiers.len());
        let mut below = Decimal::ZERO;
        for tier in &self.tiers {
            let bound = tier.up_to.map(scaled).transpose()?;
            let reached = bound.map_or(billable, |bound| bound.min(billable));
            match self.model {
                TierModel::Graduated if reached > below => parts.push((reached - below, tier.unit_price)),
                TierModel::Volume if bound.is_none_or(|bound| billable <= bound) => {
                    parts.push((billable, tier.unit_price));
                    break;
                }
                TierModel::Graduated | TierModel::Volume => {}
            }
            below = reached;
        }
        let mut volume = Decimal::ZERO;
        for discount in &self.volume_discounts {
            if billable >= scaled(discount.from)? {
                volume = discount.percent;
            }
        }
        let amount = usage_price(&parts, &[volume, basis.discount_percent], currency)?;
        Ok(Rated { amount, billable, explanation: self.explained(used, included, &parts, volume, basis), parts })
    }

    fn explained(
        &self,
        used: Decimal,
        included: Decimal,
        parts: &[(Decimal, Decimal)],
        volume: Decimal,
        basis: &Basis,
    ) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{} used", used.normalize());
        // Writing into a text cannot fail.
        if !included.is_zero() {
            let _ = write!(text, ", {included} included");
        }
        if basis.days != basis.of_days {
            let _ = write!(text, " for {} of {} days", basis.days, basis.of_days);
        }
        if let Some(size) = self.package {
            let _ = write!(text, ", in packages of {}", size.normalize());
        }
        for (place, (quantity, price)) in parts.iter().filter(|(quantity, _)| !quantity.is_zero()).enumerate() {
            let joint = if place == 0 { ": " } else { " + " };
            let _ = write!(text, "{joint}{} × {}", quantity.normalize(), price.normalize());
        }
        for percent in [volume, basis.discount_percent].into_iter().filter(|percent| !percent.is_zero()) {
            let _ = write!(text, ", less {} %", percent.normalize());
        }
        text
    }
}

/// How many packages of a size are begun by so many units.
fn packages(units: Decimal, size: Decimal) -> Result<Decimal, MoneyError> {
    let whole = units.checked_div(size).ok_or(MoneyError::Overflow)?.trunc();
    // A quotient may be rounded up to a whole number; what it leaves over or lacks is exact.
    let filled = whole.checked_mul(size).ok_or(MoneyError::Overflow)?;
    let more = if filled < units {
        Decimal::ONE
    } else if filled >= units + size {
        Decimal::NEGATIVE_ONE
    } else {
        Decimal::ZERO
    };
    Ok((whole + more).normalize())
}

#[cfg(test)]
mod tests;
