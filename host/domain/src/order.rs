//! Orders (заказы): a subscription that is ordered, paid for in advance and not in service yet.
//!
//! Owns what becomes of an order when money is looked at, when it expires, and how far its charges have come. Refuses to
//! know prices and accounts. Invariant: what is reserved for the orders of a contract never exceeds what it could spend,
//! unless it pays afterwards.

use chrono::{Days, NaiveDate};

use crate::charge::ChargeStatus;
use crate::id::OrderId;
use crate::money::{Money, MoneyError};
use crate::party::ContractKind;
use crate::text::text_enum;

text_enum! {
    /// Where an order stands.
    pub enum OrderStatus as "order status" {
        /// It waits for money.
        Opened = "opened",
        /// Its money is reserved until its first period is charged.
        Blocked = "blocked",
        /// Its first period was charged with the reserved money.
        Closed = "closed",
        /// It was taken back; what was reserved is free again.
        Cancelled = "cancelled",
        /// Nobody paid for it in time.
        Expired = "expired",
    }
}

impl OrderStatus {
    /// Whether something is still to come of it.
    pub fn is_standing(self) -> bool {
        matches!(self, Self::Opened | Self::Blocked)
    }

    /// How far the charges of such an order have come; `paid` is whether its money was ever reserved.
    pub fn charges(self, paid: bool) -> ChargeStatus {
        match self {
            Self::Opened => ChargeStatus::Opened,
            // Charged with reserved money they stand in deferred revenue until the service is provided.
            Self::Blocked | Self::Closed => ChargeStatus::Blocked,
            Self::Cancelled | Self::Expired if paid => ChargeStatus::Refunded,
            Self::Cancelled | Self::Expired => ChargeStatus::New,
        }
    }
}

/// An order that waits for money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The order.
    pub id: OrderId,
    /// What is to be reserved, zero or more.
    pub amount: Money,
}

/// Which of the waiting orders of a contract are paid with what it may spend, in the order in which they are given.
///
/// An order is paid whole or not at all (`available ≥ amount`); one that does not fit leaves the money to those behind it
/// and is looked at again. A contract that pays afterwards is never short.
pub fn reserve(waiting: &[Waiting], kind: ContractKind, available: Money) -> Result<Vec<OrderId>, MoneyError> {
    let mut left = available;
    let mut paid = Vec::new();
    for order in waiting {
        let after = left.sub(order.amount)?;
        if order.amount.is_zero() || after.minor >= 0 || kind == ContractKind::Postpaid {
            left = after;
            paid.push(order.id);
        }
    }
    Ok(paid)
}

/// The last day on which an order that was made on a day waits for money: `days` later.
pub fn expires_on(ordered_on: NaiveDate, days: u32) -> Option<NaiveDate> {
    ordered_on.checked_add_days(Days::new(u64::from(days)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::money::Currency;

    fn rub(minor: i64) -> Money {
        Money::new(minor, Currency::RUB)
    }

    fn waiting(amounts: &[i64]) -> Vec<Waiting> {
        let id = |index: usize| OrderId(Uuid::from_u128(index as u128));
        amounts.iter().enumerate().map(|(index, minor)| Waiting { id: id(index), amount: rub(*minor) }).collect()
    }

    fn paid(amounts: &[i64], kind: ContractKind, available: i64) -> Vec<u128> {
        let found = reserve(&waiting(amounts), kind, rub(available)).unwrap();
        found.into_iter().map(|id| id.0.as_u128()).collect()
    }

    #[test]
    fn money_to_the_last_unit_pays_and_one_less_does_not() {
        assert_eq!(paid(&[590], ContractKind::Prepaid, 590), [0]);
        assert_eq!(paid(&[590], ContractKind::Prepaid, 589), [] as [u128; 0]);
        assert_eq!(paid(&[0], ContractKind::Prepaid, -1), [0], "what costs nothing needs no money");
        assert_eq!(paid(&[590], ContractKind::Postpaid, -1), [0]);
    }

    #[test]
    fn an_order_that_does_not_fit_leaves_the_money_to_the_next() {
        assert_eq!(paid(&[300, 500, 200], ContractKind::Prepaid, 550), [0, 2]);
    }

    #[test]
    fn charges_of_an_order_that_ended_were_given_back_only_if_they_were_paid() {
        assert_eq!(OrderStatus::Expired.charges(false), ChargeStatus::New);
        assert_eq!(OrderStatus::Cancelled.charges(true), ChargeStatus::Refunded);
        assert_eq!(OrderStatus::Closed.charges(true), ChargeStatus::Blocked);
    }

    #[test]
    fn an_order_waits_its_days() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(expires_on(day("2027-01-31"), 0), Some(day("2027-01-31")));
        assert_eq!(expires_on(day("2027-01-31"), 28), Some(day("2027-02-28")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_more_is_reserved_than_may_be_spent(
            amounts in prop::collection::vec(0_i64..1_000, 0..12), available in -500_i64..3_000,
        ) {
            let found = paid(&amounts, ContractKind::Prepaid, available);
            let of = |id: &u128| amounts[usize::try_from(*id).unwrap()];
            let spent: i64 = found.iter().map(of).sum();
            prop_assert!(spent <= available.max(0));
            prop_assert!(found.is_sorted());
            for (index, amount) in amounts.iter().enumerate() {
                let index = index as u128;
                // Whoever was left out did not fit into what those before him left.
                let before: i64 = found.iter().filter(|id| **id < index).map(of).sum();
                prop_assert!(found.contains(&index) || *amount > available - before);
            }
        }
    }
}
