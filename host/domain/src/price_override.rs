//! Price overrides: what a single contract pays for one unit of a component instead of the plan's price.
//!
//! Owns which price holds for a period. Refuses to know what was billed: a price that ends or is removed changes no charge.
//! Invariant: a period has one price a component, that of the day on which the period begins for the subscription.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Component, PlanVersion};
use crate::id::PlanId;
use crate::money::Money;

/// A price of a single contract, or of one of its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceOverride {
    /// The plan, in whatever version.
    pub plan: PlanId,
    /// Code of the component.
    pub component: String,
    /// Price per unit and whole period.
    pub unit_price: Money,
    /// The first day on which a period may begin that it holds for.
    pub from: NaiveDate,
    /// The day after the last one; none for ever.
    pub until: Option<NaiveDate>,
}

impl PriceOverride {
    /// Whether it holds for a period that begins on a day.
    pub fn holds_on(&self, start: NaiveDate) -> bool {
        self.from <= start && self.until.is_none_or(|until| start < until)
    }
}

/// Whether two spans of days have a day in common; the ends are not part of them.
pub fn overlap(one: (NaiveDate, Option<NaiveDate>), other: (NaiveDate, Option<NaiveDate>)) -> bool {
    let before_end = |day: NaiveDate, end: Option<NaiveDate>| end.is_none_or(|end| day < end);
    before_end(one.0, other.1) && before_end(other.0, one.1)
}

/// The price of one unit of a component for a period that begins on a day: the first override that holds, or the plan's.
pub fn unit_price(overrides: &[PriceOverride], plan: &PlanVersion, component: &Component, start: NaiveDate) -> Money {
    let holds =
        |price: &&PriceOverride| price.plan == plan.plan && price.component == component.code && price.holds_on(start);
    overrides.iter().find(holds).map_or(component.unit_price, |price| price.unit_price)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;
    use chrono::Days;
    use uuid::Uuid;

    fn day(n: u64) -> NaiveDate {
        "2027-01-01".parse::<NaiveDate>().unwrap() + Days::new(n)
    }

    fn price(from: u64, until: Option<u64>) -> PriceOverride {
        PriceOverride {
            plan: PlanId(Uuid::from_u128(5)),
            component: "access".into(),
            unit_price: Money::new(1, Currency::RUB),
            from: day(from),
            until: until.map(day),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn spans_overlap_exactly_when_both_hold_on_some_day(
            a in 0_u64..40, b in proptest::option::of(1_u64..20), c in 0_u64..40, d in proptest::option::of(1_u64..20)
        ) {
            let (one, other) = (price(a, b.map(|b| a + b)), price(c, d.map(|d| c + d)));
            let both = (0..100).any(|n| one.holds_on(day(n)) && other.holds_on(day(n)));
            prop_assert_eq!(overlap((one.from, one.until), (other.from, other.until)), both);
        }
    }
}
