//! Which way a change of plan goes: a classification that people see and may overrule.
//!
//! Refuses to compare what cannot be compared: another product is a crossgrade whatever it costs. Another period decides
//! before the price does, because a year instead of a month is more of the same at a lower price a month, and a month
//! instead of a year must not end the year at once.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rust_decimal::Decimal;

use crate::calendar::Cadence;
use crate::catalogue::{ComponentKind, PlanVersion};
use crate::money::MoneyError;
use crate::text::text_enum;

text_enum! {
    /// Which way a change goes.
    pub enum Direction as "direction of a change" {
        /// An upgrade: the customer takes more.
        Up = "up",
        /// A downgrade: the customer takes less.
        Down = "down",
        /// Neither: another product (a crossgrade), or as much as before.
        Lateral = "lateral",
    }
}

text_enum! {
    /// What happens to the length of the period.
    pub enum PeriodChange as "change of the period" {
        /// The new one is longer.
        Longer = "longer",
        /// The new one is shorter.
        Shorter = "shorter",
        /// Both are equally long.
        Same = "same",
    }
}

/// The length of a cadence in hundred-thousandths of a day; a month counts a twelfth of 365.25 days.
fn length(cadence: Cadence) -> u64 {
    match cadence {
        Cadence::Days(days) => u64::from(days) * 100_000,
        Cadence::Months(months) => u64::from(months) * 3_043_750,
    }
}

/// What happens to the length of the period.
pub fn period_change(old: Cadence, new: Cadence) -> PeriodChange {
    match length(new).cmp(&length(old)) {
        Ordering::Greater => PeriodChange::Longer,
        Ordering::Less => PeriodChange::Shorter,
        Ordering::Equal => PeriodChange::Same,
    }
}

/// Which way a change goes, and why in words.
pub fn classify(
    (old, old_quantity): (&PlanVersion, Decimal),
    (new, new_quantity): (&PlanVersion, Decimal),
) -> Result<(Direction, PeriodChange, String), MoneyError> {
    let products = |plan: &PlanVersion| plan.components.iter().map(|c| c.product).collect::<BTreeSet<_>>();
    let change = period_change(old.cadence, new.cadence);
    if products(old).is_disjoint(&products(new)) {
        return Ok((Direction::Lateral, change, "another product".to_owned()));
    }
    let told = match change {
        PeriodChange::Longer => Some((Direction::Up, "a longer period")),
        PeriodChange::Shorter => Some((Direction::Down, "a shorter period")),
        PeriodChange::Same => None,
    };
    if let Some((direction, why)) = told {
        return Ok((direction, change, format!("{why}: {} instead of {}", new.cadence, old.cadence)));
    }
    let (before, after) = (price(old, old_quantity)?, price(new, new_quantity)?);
    let (direction, why) = match after.cmp(&before) {
        Ordering::Greater => (Direction::Up, "a higher price of the period"),
        Ordering::Less => (Direction::Down, "a lower price of the period"),
        Ordering::Equal => (Direction::Lateral, "the same price of the period"),
    };
    Ok((direction, change, why.to_owned()))
}

/// What a period costs without discount, minor units; what is charged once is no part of it.
fn price(plan: &PlanVersion, quantity: Decimal) -> Result<i64, MoneyError> {
    let mut recurring = plan.components.iter().filter(|component| component.kind == ComponentKind::Recurring);
    recurring.try_fold(0_i64, |sum, component| {
        let price = component.price(component.unit_price, quantity, Decimal::ZERO)?;
        sum.checked_add(price.minor).ok_or(MoneyError::Overflow)
    })
}
