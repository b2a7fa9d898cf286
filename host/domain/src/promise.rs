//! Promised payments (обещанные платежи): who may promise how much, and what becomes of promises when money arrives.
//!
//! A promise raises what a contract may spend at once and is neither money nor revenue: it has a ledger account of its
//! own and is never paid out. Refuses to know stored rows and policies' levels. Invariant: settling promises with an
//! amount that arrived changes `funds + promises` by the part that no promise consumed, and by nothing else.

use chrono::NaiveDate;

use crate::id::PromiseId;
use crate::money::{Money, MoneyError};
use crate::party::ContractKind;
use crate::text::text_enum;

text_enum! {
    /// Where a promise stands.
    pub enum PromiseStatus as "promise status" {
        /// It counts.
        Active = "active",
        /// Money arrived for all of it.
        Kept = "kept",
        /// Money arrived for a part; a promise of the rest took its place.
        Reduced = "reduced",
        /// A person took it back.
        Revoked = "revoked",
        /// Its day has passed.
        Expired = "expired",
    }
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromisePolicy {
    /// The most that all active promises of a contract may come to.
    pub most: Money,
    /// The most days a promise lasts, today not counted.
    pub days: u32,
    /// What granting costs, charged at once; zero for nothing.
    pub fee: Money,
    /// The most promises in a calendar month; absent for no limit.
    pub per_month: Option<u32>,
    /// The most promises that are active at once.
    pub at_once: u32,
}

/// What is known about the contract that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromiseFacts {
    /// When the contract pays.
    pub kind: ContractKind,
    /// Today where the contract lives.
    pub today: NaiveDate,
    /// Sum of its active promises.
    pub active: Money,
    /// How many they are.
    pub active_count: u32,
    /// How many were asked for in the present month; what a partial payment put in place of another does not count.
    pub asked_this_month: u32,
}

/// Why a promise is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromiseRefusal {
    /// The contract pays afterwards.
    #[error("a contract that pays after the service needs no promise; only prepaid and mixed contracts take one")]
    Postpaid,
    /// No policy allows promises.
    #[error("promised payments are not allowed here; set promise_most_minor in a credit policy")]
    NotAllowed,
    /// The amount is not above zero.
    #[error("a promise must be above zero, got {0}")]
    NotPositive(Money),
    /// The amount does not exceed what the promise costs.
    #[error("the fee of {fee} would eat the promise; promise more than that")]
    EatenByFee {
        /// The fee.
        fee: Money,
    },
    /// Together with the others it is too much.
    #[error("active promises may come to {most} at most, {left} is left")]
    TooMuch {
        /// The most.
        most: Money,
        /// What can still be promised.
        left: Money,
    },
    /// It lasts too long, or has expired already.
    #[error("a promise lasts from today to {last} at most, asked is {asked}")]
    BadExpiry {
        /// The last day allowed.
        last: NaiveDate,
        /// The day asked for.
        asked: NaiveDate,
    },
    /// The month is used up.
    #[error("a contract may promise {0} times a month, and did")]
    MonthUsedUp(u32),
    /// Earlier promises are not kept yet.
    #[error("a contract may have {0} active promises at once; the earlier ones come first")]
    TooMany(u32),
    /// Currencies differ or a sum is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// Whether a promise of `amount` through `expires_on` (its last day) may be given.
pub fn permit(
    policy: Option<&PromisePolicy>,
    facts: &PromiseFacts,
    amount: Money,
    expires_on: NaiveDate,
) -> Result<(), PromiseRefusal> {
    if facts.kind == ContractKind::Postpaid {
        return Err(PromiseRefusal::Postpaid);
    }
    let policy = policy.ok_or(PromiseRefusal::NotAllowed)?;
    if amount.minor <= 0 {
        return Err(PromiseRefusal::NotPositive(amount));
    }
    if amount.sub(policy.fee)?.minor <= 0 {
        return Err(PromiseRefusal::EatenByFee { fee: policy.fee });
    }
    let left = policy.most.sub(facts.active)?;
    if left.sub(amount)?.minor < 0 {
        let left = if left.minor < 0 { Money::zero(left.currency) } else { left };
        return Err(PromiseRefusal::TooMuch { most: policy.most, left });
    }
    let last = facts.today.checked_add_days(chrono::Days::new(u64::from(policy.days))).unwrap_or(NaiveDate::MAX);
    if !(facts.today..=last).contains(&expires_on) {
        return Err(PromiseRefusal::BadExpiry { last, asked: expires_on });
    }
    if let Some(most) = policy.per_month.filter(|most| facts.asked_this_month >= *most) {
        return Err(PromiseRefusal::MonthUsedUp(most));
    }
    if facts.active_count >= policy.at_once {
        return Err(PromiseRefusal::TooMany(policy.at_once));
    }
    Ok(())
}

/// An active promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promised {
    /// The promise.
    pub id: PromiseId,
    /// What is promised.
    pub amount: Money,
}

/// What becomes of a promise when money arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// All of it came.
    Kept(Promised),
    /// A part came: the promise ends, and one of `rest` with the same expiry takes its place.
    Reduced {
        /// The promise that ends.
        promise: Promised,
        /// What is still promised, above zero.
        rest: Money,
    },
}

/// Consumes promises, oldest first, with an amount that arrived. For each promise G and what is left of the amount T:
/// T ≥ G ends it and goes on with T − G; T < G ends it, puts G − T in its place and stops.
pub fn settle(oldest_first: &[Promised], received: Money) -> Result<Vec<Settlement>, MoneyError> {
    let mut settled = Vec::new();
    let mut left = received;
    for promise in oldest_first {
        if left.minor <= 0 {
            break;
        }
        let after = left.sub(promise.amount)?;
        if after.minor >= 0 {
            settled.push(Settlement::Kept(*promise));
        } else {
            settled.push(Settlement::Reduced { promise: *promise, rest: after.neg()? });
        }
        left = after;
    }
    Ok(settled)
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

    fn promised(id: u128, minor: i64) -> Promised {
        Promised { id: PromiseId(Uuid::from_u128(id)), amount: rub(minor) }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    const POLICY: PromisePolicy = PromisePolicy {
        most: Money::new(50_000, Currency::RUB),
        days: 5,
        fee: Money::new(1_000, Currency::RUB),
        per_month: Some(2),
        at_once: 2,
    };

    fn facts() -> PromiseFacts {
        PromiseFacts {
            kind: ContractKind::Prepaid,
            today: day("2026-11-28"),
            active: rub(0),
            active_count: 0,
            asked_this_month: 0,
        }
    }

    #[test]
    fn a_top_up_that_covers_a_promise_ends_it() {
        assert_eq!(settle(&[promised(1, 300)], rub(300)).unwrap(), [Settlement::Kept(promised(1, 300))]);
        assert_eq!(settle(&[promised(1, 300)], rub(500)).unwrap(), [Settlement::Kept(promised(1, 300))]);
    }

    #[test]
    fn a_top_up_below_a_promise_leaves_the_rest_promised() {
        let rest = Settlement::Reduced { promise: promised(1, 300), rest: rub(180) };
        assert_eq!(settle(&[promised(1, 300)], rub(120)).unwrap(), [rest]);
    }

    #[test]
    fn a_top_up_consumes_the_oldest_promise_first() {
        let promises = [promised(1, 300), promised(2, 200), promised(3, 100)];
        let expected =
            [Settlement::Kept(promised(1, 300)), Settlement::Reduced { promise: promised(2, 200), rest: rub(50) }];
        assert_eq!(settle(&promises, rub(450)).unwrap(), expected);
        assert_eq!(settle(&promises, rub(300)).unwrap(), [Settlement::Kept(promised(1, 300))]);
        assert_eq!(settle(&promises, rub(0)).unwrap(), []);
        assert_eq!(settle(&promises, rub(-5)).unwrap(), []);
    }

    #[test]
    fn each_limit_refuses_by_itself() {
        let ask = |facts: PromiseFacts, minor, on: &str| permit(Some(&POLICY), &facts, rub(minor), day(on));
        assert_eq!(ask(facts(), 50_000, "2026-12-03"), Ok(()));
        assert_eq!(ask(facts(), 1_001, "2026-11-28"), Ok(()));
        let postpaid = PromiseFacts { kind: ContractKind::Postpaid, ..facts() };
        assert_eq!(ask(postpaid, 5_000, "2026-12-01"), Err(PromiseRefusal::Postpaid));
        assert_eq!(ask(PromiseFacts { kind: ContractKind::Mixed, ..facts() }, 5_000, "2026-12-01"), Ok(()));
        assert_eq!(permit(None, &facts(), rub(1), day("2026-12-01")), Err(PromiseRefusal::NotAllowed));
        assert_eq!(ask(facts(), 0, "2026-12-01"), Err(PromiseRefusal::NotPositive(rub(0))));
        assert_eq!(ask(facts(), 1_000, "2026-12-01"), Err(PromiseRefusal::EatenByFee { fee: rub(1_000) }));
        let one = PromiseFacts { active: rub(30_000), active_count: 1, asked_this_month: 1, ..facts() };
        assert_eq!(ask(one, 20_000, "2026-12-01"), Ok(()));
        let refused = PromiseRefusal::TooMuch { most: rub(50_000), left: rub(20_000) };
        assert_eq!(ask(one, 20_001, "2026-12-01"), Err(refused));
        for asked in ["2026-11-27", "2026-12-04"] {
            let refused = PromiseRefusal::BadExpiry { last: day("2026-12-03"), asked: day(asked) };
            assert_eq!(ask(facts(), 5_000, asked), Err(refused));
        }
        let often = PromiseFacts { asked_this_month: 2, ..facts() };
        assert_eq!(ask(often, 5_000, "2026-12-01"), Err(PromiseRefusal::MonthUsedUp(2)));
        let many = PromiseFacts { active_count: 2, ..facts() };
        assert_eq!(ask(many, 5_000, "2026-12-01"), Err(PromiseRefusal::TooMany(2)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// A top-up T raises what may be spent by what exceeds the promises, and never by more than T.
        #[test]
        fn settling_conserves_what_may_be_spent(promises in prop::collection::vec(1..1_000_i64, 0..8), top_ups in prop::collection::vec(1..1_500_i64, 1..12)) {
            let mut open: Vec<Promised> = promises.iter().enumerate().map(|(at, minor)| promised(at as u128, *minor)).collect();
            let mut funds = 0_i64;
            let sum = |open: &[Promised]| open.iter().map(|promise| promise.amount.minor).sum::<i64>();
            for received in top_ups {
                let (before, promised_before) = (funds + sum(&open), sum(&open));
                let settled = settle(&open, rub(received)).unwrap();
                funds += received;
                for (at, settlement) in settled.iter().enumerate() {
                    match settlement {
                        Settlement::Kept(promise) => {
                            prop_assert_eq!(open.remove(0), *promise);
                        }
                        Settlement::Reduced { promise, rest } => {
                            prop_assert_eq!(at, settled.len() - 1, "only the last is reduced");
                            prop_assert!(rest.minor > 0 && rest.minor < promise.amount.minor);
                            prop_assert_eq!(open[0], *promise);
                            open[0].amount = *rest;
                        }
                    }
                }
                prop_assert_eq!(funds + sum(&open), before + (received - promised_before).max(0));
            }
        }
    }
}
