//! Short funds: what becomes of a period that its contract cannot pay for.
//!
//! Owns the four policies and the decision about one period on one day. Refuses to know where money is and what the period
//! costs. Invariants: a period that can be paid for is charged whatever the policy; one that costs nothing needs no money; no
//! period is both charged and passed over.

use chrono::{Days, NaiveDate};

use crate::text::text_enum;

text_enum! {
    /// What a subscription does when a period begins that the contract cannot pay for in advance.
    pub enum ShortFunds as "policy for short funds" {
        /// The period is charged all the same.
        Debt = "debt",
        /// It is tried again every day, and charged from its first day when the money is there; if it never is, or not in
        /// the days it is tried for, the period is skipped.
        Retry = "retry",
        /// The period is neither served nor charged; the next one is tried at its boundary.
        Skip = "skip",
        /// Service stands still until the money is there; the rest of the period is charged from that day on.
        Suspend = "suspend",
    }
}

/// A period that falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuePeriod {
    /// The day on which it is charged.
    pub charged_on: NaiveDate,
    /// The day after its last one.
    pub until: NaiveDate,
    /// What is taken for it in advance, minor units.
    pub cost_minor: i64,
}

/// What becomes of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is charged.
    Charge,
    /// It is neither served nor charged, and is over with.
    Pass,
    /// It is looked at again tomorrow; nothing behind it is charged before it.
    Wait,
}

/// Decides about one period at the close of `on`, when `available_minor` is what the contract may still spend.
///
/// `retry_days` is how long [`ShortFunds::Retry`] tries; to the end of the period when absent.
pub fn verdict(
    policy: ShortFunds,
    retry_days: Option<u16>,
    due: DuePeriod,
    available_minor: i64,
    on: NaiveDate,
) -> Verdict {
    if policy == ShortFunds::Debt || due.cost_minor == 0 || due.cost_minor <= available_minor {
        return Verdict::Charge;
    }
    let over = due.until <= on;
    let tried_enough = match (policy, retry_days) {
        (ShortFunds::Skip, _) => true,
        (ShortFunds::Retry, Some(days)) => {
            due.charged_on.checked_add_days(Days::new(u64::from(days))).is_some_and(|last| last <= on)
        }
        _ => false,
    };
    if over || tried_enough { Verdict::Pass } else { Verdict::Wait }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn march(cost_minor: i64) -> DuePeriod {
        DuePeriod { charged_on: day("2027-03-01"), until: day("2027-04-01"), cost_minor }
    }

    #[test]
    fn money_to_the_last_unit_is_enough() {
        for policy in [ShortFunds::Retry, ShortFunds::Skip, ShortFunds::Suspend] {
            let at = |available| verdict(policy, None, march(59_000), available, day("2027-03-01"));
            assert_eq!(at(59_000), Verdict::Charge);
            assert_ne!(at(58_999), Verdict::Charge);
            assert_eq!(verdict(policy, None, march(0), -1, day("2027-03-01")), Verdict::Charge, "free needs no money");
        }
        assert_eq!(verdict(ShortFunds::Debt, None, march(59_000), -1, day("2027-03-01")), Verdict::Charge);
    }

    #[test]
    fn a_retried_period_waits_its_days_and_is_skipped_then() {
        let at = |days, on: &str| verdict(ShortFunds::Retry, days, march(1), 0, day(on));
        assert_eq!(at(Some(3), "2027-03-01"), Verdict::Wait);
        assert_eq!(at(Some(3), "2027-03-03"), Verdict::Wait);
        assert_eq!(at(Some(3), "2027-03-04"), Verdict::Pass);
        assert_eq!(at(None, "2027-03-31"), Verdict::Wait, "its last day may still be paid");
        assert_eq!(at(None, "2027-04-01"), Verdict::Pass);
    }

    #[test]
    fn a_skipped_period_waits_for_nothing_and_a_suspended_one_to_its_end() {
        assert_eq!(verdict(ShortFunds::Skip, None, march(1), 0, day("2027-03-01")), Verdict::Pass);
        assert_eq!(verdict(ShortFunds::Suspend, None, march(1), 0, day("2027-03-31")), Verdict::Wait);
        assert_eq!(verdict(ShortFunds::Suspend, None, march(1), 0, day("2027-04-01")), Verdict::Pass);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn more_money_never_charges_less(cost in 0_i64..1_000, available in -1_000_i64..1_000, more in 0_i64..1_000, late in 0_u64..60) {
            let on = day("2027-03-01") + Days::new(late);
            for policy in [ShortFunds::Debt, ShortFunds::Retry, ShortFunds::Skip, ShortFunds::Suspend] {
                let charged = |available| verdict(policy, Some(5), march(cost), available, on) == Verdict::Charge;
                prop_assert!(!charged(available) || charged(available + more));
                prop_assert!(policy == ShortFunds::Debt || !charged(available) || cost == 0 || cost <= available);
            }
        }
    }
}
