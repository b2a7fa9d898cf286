//! The table of billing days, written by hand: days 29, 30 and 31, leap and common years, 1, 2, 3, 6 and 12 months, and
//! the instants at which those days begin in zones that change their clocks.

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// (anchor, months of a period, the boundaries from the anchor on).
const TABLE: &[(&str, u16, &[&str])] = &[
    // One month, common year 2027.
    (
        "2027-01-29",
        1,
        &[
            "2027-01-29",
            "2027-02-28",
            "2027-03-29",
            "2027-04-29",
            "2027-05-29",
            "2027-06-29",
            "2027-07-29",
            "2027-08-29",
            "2027-09-29",
            "2027-10-29",
            "2027-11-29",
            "2027-12-29",
            "2028-01-29",
            "2028-02-29",
        ],
    ),
    (
        "2027-01-30",
        1,
        &[
            "2027-01-30",
            "2027-02-28",
            "2027-03-30",
            "2027-04-30",
            "2027-05-30",
            "2027-06-30",
            "2027-07-30",
            "2027-08-30",
            "2027-09-30",
            "2027-10-30",
            "2027-11-30",
            "2027-12-30",
            "2028-01-30",
            "2028-02-29",
        ],
    ),
    (
        "2027-01-31",
        1,
        &[
            "2027-01-31",
            "2027-02-28",
            "2027-03-31",
            "2027-04-30",
            "2027-05-31",
            "2027-06-30",
            "2027-07-31",
            "2027-08-31",
            "2027-09-30",
            "2027-10-31",
            "2027-11-30",
            "2027-12-31",
            "2028-01-31",
            "2028-02-29",
        ],
    ),
    // One month, leap year 2028.
    ("2028-01-29", 1, &["2028-01-29", "2028-02-29", "2028-03-29", "2028-04-29"]),
    ("2028-01-30", 1, &["2028-01-30", "2028-02-29", "2028-03-30", "2028-04-30"]),
    ("2028-01-31", 1, &["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]),
    ("2028-02-29", 1, &["2028-02-29", "2028-03-29", "2028-04-29", "2028-05-29"]),
    // Two months; from December they pass February.
    ("2026-12-29", 2, &["2026-12-29", "2027-02-28", "2027-04-29", "2027-06-29", "2027-08-29", "2027-10-29"]),
    ("2026-12-30", 2, &["2026-12-30", "2027-02-28", "2027-04-30", "2027-06-30", "2027-08-30", "2027-10-30"]),
    ("2026-12-31", 2, &["2026-12-31", "2027-02-28", "2027-04-30", "2027-06-30", "2027-08-31", "2027-10-31"]),
    ("2027-12-29", 2, &["2027-12-29", "2028-02-29", "2028-04-29", "2028-06-29"]),
    ("2027-12-30", 2, &["2027-12-30", "2028-02-29", "2028-04-30", "2028-06-30"]),
    ("2027-12-31", 2, &["2027-12-31", "2028-02-29", "2028-04-30", "2028-06-30", "2028-08-31", "2028-10-31"]),
    // Three months; from November they pass February.
    ("2026-11-29", 3, &["2026-11-29", "2027-02-28", "2027-05-29", "2027-08-29", "2027-11-29", "2028-02-29"]),
    ("2026-11-30", 3, &["2026-11-30", "2027-02-28", "2027-05-30", "2027-08-30", "2027-11-30", "2028-02-29"]),
    ("2026-08-31", 3, &["2026-08-31", "2026-11-30", "2027-02-28", "2027-05-31", "2027-08-31", "2027-11-30"]),
    ("2027-08-31", 3, &["2027-08-31", "2027-11-30", "2028-02-29", "2028-05-31", "2028-08-31"]),
    // Half a year; from August they pass February.
    ("2026-08-29", 6, &["2026-08-29", "2027-02-28", "2027-08-29", "2028-02-29", "2028-08-29"]),
    ("2026-08-30", 6, &["2026-08-30", "2027-02-28", "2027-08-30", "2028-02-29", "2028-08-30"]),
    ("2026-08-31", 6, &["2026-08-31", "2027-02-28", "2027-08-31", "2028-02-29", "2028-08-31"]),
    // A year; the leap day comes back every fourth.
    ("2028-02-29", 12, &["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
    ("2027-01-30", 12, &["2027-01-30", "2028-01-30", "2029-01-30"]),
    ("2027-01-31", 12, &["2027-01-31", "2028-01-31", "2029-01-31"]),
    // Two years, the longest period sold.
    ("2028-02-29", 24, &["2028-02-29", "2030-02-28", "2032-02-29"]),
];

/// (zone, local day, the instant at which it begins).
const INSTANTS: &[(Tz, &str, &str)] = &[
    // Summer from 28 March to 31 October 2027.
    (chrono_tz::Europe::Berlin, "2027-01-31", "2027-01-30T23:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-02-28", "2027-02-27T23:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-03-29", "2027-03-28T22:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-03-31", "2027-03-30T22:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-10-30", "2027-10-29T22:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-10-31", "2027-10-30T22:00:00Z"),
    (chrono_tz::Europe::Berlin, "2027-11-30", "2027-11-29T23:00:00Z"),
    // Summer from 14 March to 7 November 2027.
    (chrono_tz::America::New_York, "2027-02-28", "2027-02-28T05:00:00Z"),
    (chrono_tz::America::New_York, "2027-03-30", "2027-03-30T04:00:00Z"),
    (chrono_tz::America::New_York, "2027-10-31", "2027-10-31T04:00:00Z"),
    (chrono_tz::America::New_York, "2027-11-30", "2027-11-30T05:00:00Z"),
    // Midnight of 30 April 2027 does not exist: summer begins there, and with it the day, at one o'clock.
    (chrono_tz::Africa::Cairo, "2027-03-30", "2027-03-29T22:00:00Z"),
    (chrono_tz::Africa::Cairo, "2027-04-30", "2027-04-29T22:00:00Z"),
    (chrono_tz::Africa::Cairo, "2027-05-30", "2027-05-29T21:00:00Z"),
    // No clock change.
    (chrono_tz::Europe::Moscow, "2027-02-28", "2027-02-27T21:00:00Z"),
    (chrono_tz::Europe::Moscow, "2027-03-31", "2027-03-30T21:00:00Z"),
    (chrono_tz::Asia::Vladivostok, "2027-10-31", "2027-10-30T14:00:00Z"),
];

#[test]
fn every_boundary_is_the_one_written_by_hand() {
    for (anchor, months, expected) in TABLE {
        for (k, expected) in (0..).zip(*expected) {
            let found = boundary(day(anchor), Cadence::Months(*months), k).unwrap();
            assert_eq!(found, day(expected), "boundary {k} of {anchor} every {months} months");
        }
    }
}

#[test]
fn a_billing_day_begins_at_the_instant_written_by_hand() {
    for (zone, local, instant) in INSTANTS {
        let begins = instant_of(day(local), NaiveTime::MIN, *zone);
        assert_eq!(begins, instant.parse::<DateTime<Utc>>().unwrap(), "{local} in {zone}");
        assert_eq!(local_date(begins, *zone), day(local));
        assert_eq!(local_date(begins - TimeDelta::seconds(1), *zone), day(local).pred_opt().unwrap());
    }
}

#[test]
fn every_day_of_a_period_leads_back_to_its_index() {
    for (anchor, months, expected) in TABLE {
        let cadence = Cadence::Months(*months);
        for k in 0..i32::try_from(expected.len()).unwrap() - 1 {
            let period = period(day(anchor), cadence, k).unwrap();
            for date in period.start.iter_days().take_while(|date| *date < period.end) {
                assert_eq!(index_of(day(anchor), cadence, date), Ok(k), "{date} from {anchor} every {months}");
            }
        }
    }
}
