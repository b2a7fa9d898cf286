//! The recommended amount of a payment: what a customer should pay, by a chosen method, part by part.
//!
//! Owns the methods and the sum. Refuses to know taxes: an upcoming charge is an estimate by list price. Invariant: the
//! amount is the sum of the parts, or zero when that is below zero.

use chrono::{Datelike as _, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::id::SubscriptionId;
use crate::money::{Money, MoneyError};
use crate::text::text_enum;

text_enum! {
    /// How the amount is found.
    pub enum RecommendMethod as "method" {
        /// What is owed now.
        Debt = "debt",
        /// What it takes to be within the limit without promises.
        Unblock = "unblock",
        /// What is owed and the next charge of each subscription.
        NextCharge = "next-charge",
        /// What is owed and all that falls due in this month; from a given day of the month on, in the next one too.
        Month = "month",
    }
}

text_enum! {
    /// What a part is for.
    pub enum RecommendPart as "part of a recommendation" {
        /// What is owed, or, below zero, what is there already.
        Balance = "balance",
        /// The limit up to which nothing has to be paid.
        CreditLimit = "credit-limit",
        /// Money that is reserved for other orders.
        Reserved = "reserved",
        /// A charge that falls due.
        Upcoming = "upcoming",
    }
}

/// A charge that will fall due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upcoming {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// When.
    pub on: NaiveDate,
    /// How much, by list price and discount.
    pub amount: Money,
}

/// One part of the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Part {
    /// What it is for.
    pub part: RecommendPart,
    /// How much, minor units; below zero it lowers the amount.
    pub amount_minor: i64,
    /// The subscription, for an upcoming charge.
    pub subscription_id: Option<SubscriptionId>,
    /// When it falls due, for an upcoming charge.
    pub due_on: Option<NaiveDate>,
}

/// What a contract has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purse {
    /// Its balance; below zero a debt.
    pub balance: Money,
    /// Reserved for paid orders.
    pub blocked: Money,
    /// The limit in effect.
    pub limit: Money,
}

/// The last day whose charges a method covers; none when it covers none. `from_day` is the day of the month from which
/// [`RecommendMethod::Month`] looks into the next month as well.
pub fn horizon(method: RecommendMethod, today: NaiveDate, from_day: u32) -> Option<NaiveDate> {
    match method {
        RecommendMethod::Debt | RecommendMethod::Unblock => None,
        RecommendMethod::NextCharge => Some(NaiveDate::MAX),
        RecommendMethod::Month => {
            let months = if today.day() >= from_day { 2 } else { 1 };
            today
                .with_day(1)
                .and_then(|first| first.checked_add_months(Months::new(months)))
                .and_then(|day| day.pred_opt())
        }
    }
}

/// The amount and its parts.
pub fn recommend(
    method: RecommendMethod,
    purse: Purse,
    upcoming: &[Upcoming],
) -> Result<(Money, Vec<Part>), MoneyError> {
    let plain = |part, amount: Money| Part { part, amount_minor: amount.minor, subscription_id: None, due_on: None };
    let mut parts = vec![plain(RecommendPart::Balance, purse.balance.neg()?)];
    if !purse.blocked.is_zero() {
        parts.push(plain(RecommendPart::Reserved, purse.blocked));
    }
    if method == RecommendMethod::Unblock && !purse.limit.is_zero() {
        parts.push(plain(RecommendPart::CreditLimit, purse.limit.neg()?));
    }
    parts.extend(upcoming.iter().map(|charge| Part {
        part: RecommendPart::Upcoming,
        amount_minor: charge.amount.minor,
        subscription_id: Some(charge.subscription),
        due_on: Some(charge.on),
    }));
    let currency = purse.balance.currency;
    let sum = Money::sum(currency, parts.iter().map(|part| Money::new(part.amount_minor, currency)))?;
    Ok((if sum.minor < 0 { Money::zero(currency) } else { sum }, parts))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::money::Currency;

    fn rub(minor: i64) -> Money {
        Money::new(minor, Currency::RUB)
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_reaches_into_the_next_from_its_day_on() {
        let until = |today: &str| horizon(RecommendMethod::Month, day(today), 20).unwrap().to_string();
        assert_eq!(until("2026-11-19"), "2026-11-30");
        assert_eq!(until("2026-11-20"), "2026-12-31");
        assert_eq!(until("2026-12-31"), "2027-01-31");
        assert_eq!(until("2028-01-31"), "2028-02-29");
        assert_eq!(horizon(RecommendMethod::Debt, day("2026-11-19"), 1), None);
    }

    #[test]
    fn the_amount_is_the_sum_of_its_parts_and_never_below_zero() {
        let charge =
            Upcoming { subscription: SubscriptionId(Uuid::from_u128(1)), on: day("2026-12-01"), amount: rub(59_000) };
        let purse = Purse { balance: rub(-10_000), blocked: rub(0), limit: rub(4_000) };
        let amount = |method, purse, upcoming: &[Upcoming]| recommend(method, purse, upcoming).unwrap().0.minor;
        assert_eq!(amount(RecommendMethod::Debt, purse, &[]), 10_000);
        assert_eq!(amount(RecommendMethod::Unblock, purse, &[]), 6_000);
        assert_eq!(amount(RecommendMethod::NextCharge, purse, &[charge]), 69_000);
        let rich = Purse { balance: rub(70_000), blocked: rub(5_000), limit: rub(0) };
        assert_eq!(amount(RecommendMethod::Month, rich, &[charge]), 0);
        let (_, parts) = recommend(RecommendMethod::Month, rich, &[charge]).unwrap();
        let told: Vec<(&str, i64)> = parts.iter().map(|part| (part.part.as_str(), part.amount_minor)).collect();
        assert_eq!(told, [("balance", -70_000), ("reserved", 5_000), ("upcoming", 59_000)]);
    }
}
