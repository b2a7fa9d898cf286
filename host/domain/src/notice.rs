//! Notices before a charge: how many days ahead a customer is told, and which of the notices a day brings.
//!
//! Owns the days. Refuses to know what a charge costs and how the customer is told. Invariants: a charge date brings each
//! notice at most once; on one day it brings one notice at most, the nearest.

use chrono::{Days, NaiveDate};

/// How many days before a charge date there are notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeDays {
    /// The first notice.
    pub first: u32,
    /// The second one, nearer to the charge date; none for a single notice.
    pub second: Option<u32>,
}

/// The most days ahead.
pub const MOST_DAYS: u32 = 90;

/// Why days of notices are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Too far ahead, or not ahead at all.
    #[error("must be between 1 and {MOST_DAYS} days")]
    Days,
    /// The second notice does not come after the first.
    #[error("the second notice must be nearer to the charge than the first, {0} days before it")]
    Order(u32),
}

impl NoticeDays {
    /// Days of one or two notices, the first farther from the charge.
    pub fn try_new(first: u32, second: Option<u32>) -> Result<Self, NoticeError> {
        let fits = |days: u32| (1..=MOST_DAYS).contains(&days);
        if !fits(first) || second.is_some_and(|second| !fits(second)) {
            return Err(NoticeError::Days);
        }
        match second {
            Some(second) if second >= first => Err(NoticeError::Order(first)),
            _ => Ok(Self { first, second }),
        }
    }

    /// The last charge date that the close of `on` tells of. The close of a day is made in the night after it, so days are
    /// counted from the day after.
    pub fn through(&self, on: NaiveDate) -> Option<NaiveDate> {
        on.checked_add_days(Days::new(u64::from(self.first) + 1))
    }

    /// Which notice the close of `on` brings for a charge date: 1 or 2; none when it is too early or the date is past.
    pub fn notice(&self, on: NaiveDate, charge_on: NaiveDate) -> Option<u8> {
        let ahead = charge_on.signed_duration_since(on).num_days() - 1;
        if ahead < 0 || ahead > i64::from(self.first) {
            return None;
        }
        Some(if self.second.is_some_and(|second| ahead <= i64::from(second)) { 2 } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_notice_comes_in_the_morning_so_many_days_before_the_charge() {
        let days = NoticeDays::try_new(7, Some(2)).unwrap();
        let at = |on: &str| days.notice(day(on), day("2027-02-01"));
        // The close of the 24th is made on the 25th, seven days before the 1st.
        assert_eq!((at("2027-01-23"), at("2027-01-24"), at("2027-01-28")), (None, Some(1), Some(1)));
        assert_eq!((at("2027-01-29"), at("2027-01-31"), at("2027-02-01")), (Some(2), Some(2), None));
        assert_eq!(days.through(day("2027-01-24")), Some(day("2027-02-01")));
    }

    #[test]
    fn the_second_notice_is_nearer_than_the_first() {
        assert_eq!(NoticeDays::try_new(3, Some(3)), Err(NoticeError::Order(3)));
        assert_eq!(NoticeDays::try_new(0, None), Err(NoticeError::Days));
        assert_eq!(NoticeDays::try_new(MOST_DAYS + 1, None), Err(NoticeError::Days));
        assert!(NoticeDays::try_new(3, None).is_ok());
    }
}
