//! Subscriptions that go on with the component they were started with, when their binding has got another.
//!
//! Owns which of a binding's stays a subscription has. Refuses to know components, and how stays are kept. Invariants: what
//! began after the last upgrade stays on nothing; a migrated subscription never returns to a stay that it was taken out of;
//! and who is migrated between two upgrades stays on what it was migrated to.

use chrono::{DateTime, Utc};

use crate::text::text_enum;

/// The most stays that a binding has at a time: its subscriptions go on with so many former components at most.
pub const MOST_STAYS: usize = 8;

text_enum! {
    /// What becomes of the subscriptions that are there when their binding gets another component.
    pub enum Existing as "existing subscriptions" {
        /// They go on with the component that they have.
        Stay = "stay",
        /// They go over with the binding.
        Migrate = "migrate",
    }
}

/// The stay of a subscription, as its place in `stays`, which are the instants of the upgrades that left one, in their order;
/// none when the present component decides.
///
/// A stay has what was started before its upgrade and not before that of the stay ahead of it. `left` is the last of them that
/// the subscription was taken out of by name; it has gone over to what the binding had until the next one.
pub fn stay_of(stays: &[DateTime<Utc>], started_at: DateTime<Utc>, left: Option<usize>) -> Option<usize> {
    match left {
        Some(left) => Some(left + 1).filter(|next| *next < stays.len()),
        None => stays.iter().position(|upgraded_at| started_at < *upgraded_at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn what_was_started_before_an_upgrade_stays_and_what_comes_with_it_does_not() {
        let stays = [at(10), at(20)];
        let of = |started| stay_of(&stays, at(started), None);
        assert_eq!((of(9), of(10), of(19), of(20), of(21)), (Some(0), Some(1), Some(1), None, None));
        assert_eq!(stay_of(&[], at(0), None), None);
    }

    #[test]
    fn who_is_migrated_by_name_stays_on_what_the_next_upgrade_supersedes() {
        assert_eq!(stay_of(&[at(10)], at(9), Some(0)), None);
        assert_eq!(stay_of(&[at(10), at(20)], at(9), Some(0)), Some(1));
        assert_eq!(stay_of(&[at(10), at(20)], at(9), Some(1)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_later_start_never_has_an_earlier_stay(
            instants in prop::collection::vec(0..100_i64, 0..=MOST_STAYS), one in 0..100_i64, other in 0..100_i64,
        ) {
            let mut stays: Vec<_> = instants.into_iter().map(at).collect();
            stays.sort();
            let rank = |started| stay_of(&stays, at(started), None).unwrap_or(stays.len());
            prop_assert!(rank(one.min(other)) <= rank(one.max(other)));
        }

        #[test]
        fn another_upgrade_changes_nothing_for_whom_it_does_not_find_on_the_present_component(
            instants in prop::collection::vec(0..100_i64, 0..MOST_STAYS), started in 0..100_i64,
        ) {
            let mut stays: Vec<_> = instants.into_iter().map(at).collect();
            stays.sort();
            let before = stay_of(&stays, at(started), None);
            let last = stays.len();
            stays.push(at(1_000));
            prop_assert_eq!(stay_of(&stays, at(started), None), before.or(Some(last)));
        }
    }
}
