//! The zone that days are counted in while a change of it waits for the next boundary.
//!
//! Owns the instants at which days begin on either side of the change. Invariants: the days of a subscription are the same
//! before and after; each period ends at the instant at which the next one begins, so nothing that happens is in two of
//! them or in none; a period that has begun keeps its length.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

use super::{instant_of, local_date};

/// A zone, and the one before it as far as that still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zones {
    /// The zone from the boundary on.
    pub zone: Tz,
    /// The zone before it, and the boundary: the day that still begins by it.
    pub former: Option<(Tz, NaiveDate)>,
}

impl Zones {
    /// A zone that did not change.
    pub fn of(zone: Tz) -> Self {
        Self { zone, former: None }
    }

    /// The instant at which a day begins.
    ///
    /// A zone farther east by more than the first period is long would end it before it begins: it ends where it begins.
    pub fn begins(&self, day: NaiveDate) -> DateTime<Utc> {
        match self.former {
            Some((former, until)) if day <= until => instant_of(day, NaiveTime::MIN, former),
            Some((former, until)) => {
                instant_of(day, NaiveTime::MIN, self.zone).max(instant_of(until, NaiveTime::MIN, former))
            }
            None => instant_of(day, NaiveTime::MIN, self.zone),
        }
    }

    /// The day at an instant; it never goes back, and lies before the boundary exactly until that begins.
    pub fn day_of(&self, now: DateTime<Utc>) -> NaiveDate {
        match self.former {
            Some((former, until)) if now < instant_of(until, NaiveTime::MIN, former) => local_date(now, former),
            Some((_, until)) => local_date(now, self.zone).max(until),
            None => local_date(now, self.zone),
        }
    }

    /// The zone that an instant is told in.
    pub fn at(&self, now: DateTime<Utc>) -> Tz {
        match self.former {
            Some((former, until)) if now < instant_of(until, NaiveTime::MIN, former) => former,
            _ => self.zone,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::{Cadence, index_of, period};

    /// Zones that change their clocks at midnight, by half an hour, twice a year, and never.
    const ZONES: [Tz; 8] = [
        Tz::Europe__Moscow,
        Tz::Europe__Berlin,
        Tz::America__New_York,
        Tz::America__Santiago,
        Tz::Australia__Lord_Howe,
        Tz::Asia__Vladivostok,
        Tz::Asia__Kolkata,
        Tz::Pacific__Auckland,
    ];

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_period_that_has_begun_ends_by_the_old_zone_and_the_next_begins_there() {
        let moved = Zones { zone: Tz::Asia__Vladivostok, former: Some((Tz::Europe__Moscow, day("2026-04-01"))) };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(moved.begins(day("2026-03-01")), at("2026-02-28T21:00:00Z"));
        assert_eq!(moved.begins(day("2026-04-01")), at("2026-03-31T21:00:00Z"));
        assert_eq!(moved.begins(day("2026-05-01")), at("2026-04-30T14:00:00Z"));
        // It is the first of April in Vladivostok long before the boundary in Moscow.
        assert_eq!(moved.day_of(at("2026-03-31T20:59:59Z")), day("2026-03-31"));
        assert_eq!(moved.day_of(at("2026-03-31T21:00:00Z")), day("2026-04-01"));
        assert_eq!(moved.at(at("2026-03-31T21:00:00Z")), Tz::Asia__Vladivostok);
        // Westward the boundary's day lasts on where the new zone still has the day before.
        let back = Zones { zone: Tz::Europe__Moscow, former: Some((Tz::Asia__Vladivostok, day("2026-04-01"))) };
        assert_eq!(back.day_of(at("2026-03-31T14:00:00Z")), day("2026-04-01"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_change_of_the_zone_loses_no_period_and_has_none_twice(
            (from, to) in (0..ZONES.len(), 0..ZONES.len()), anchor in 0_u64..1_500, months in 1_u16..=12,
            in_days in any::<bool>(), changed_in in 0_i32..12, hour in 0_i64..24 * 400,
        ) {
            let (from, to) = (ZONES[from], ZONES[to]);
            let anchor = day("2025-01-01") + chrono::Days::new(anchor);
            let cadence = if in_days { Cadence::Days(months * 3) } else { Cadence::Months(months) };
            let until = period(anchor, cadence, changed_in).unwrap().end;
            let (before, after) = (Zones::of(from), Zones { zone: to, former: Some((from, until)) });
            for k in 0..16 {
                let days = period(anchor, cadence, k).unwrap();
                let (begins, ends) = (after.begins(days.start), after.begins(days.end));
                prop_assert!(begins < ends, "{days} has no time");
                prop_assert_eq!(ends, after.begins(period(anchor, cadence, k + 1).unwrap().start));
                if k <= changed_in {
                    prop_assert_eq!((begins, ends), (before.begins(days.start), before.begins(days.end)));
                }
                if k > changed_in + 1 {
                    prop_assert_eq!((begins, ends), (Zones::of(to).begins(days.start), Zones::of(to).begins(days.end)));
                }
                // Every instant of the period is on one of its days, whatever either zone says.
                for instant in [begins, begins + (ends - begins) / 2, ends - chrono::TimeDelta::seconds(1)] {
                    prop_assert_eq!(index_of(anchor, cadence, after.day_of(instant)).unwrap(), k);
                }
            }
            let now = before.begins(anchor) + chrono::TimeDelta::hours(hour);
            prop_assert!(after.day_of(now) <= after.day_of(now + chrono::TimeDelta::hours(1)), "days never go back");
        }
    }
}
