use super::*;
use proptest::prelude::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn time(text: &str) -> NaiveTime {
    text.parse().unwrap()
}

/// Boundaries 0, 1, 2 … of an anchor, as `year-month-day` texts.
fn assert_boundaries(anchor: &str, months: u16, expected: &[&str]) {
    for (k, date) in (0..).zip(expected) {
        let found = boundary(day(anchor), Cadence::Months(months), k).unwrap();
        assert_eq!(found, day(date), "anchor {anchor}, every {months} months, boundary {k}");
    }
}

#[test]
fn the_31st_is_cut_in_short_months_and_comes_back() {
    assert_boundaries(
        "2026-01-31",
        1,
        &[
            "2026-01-31",
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-30",
            "2026-12-31",
            "2027-01-31",
        ],
    );
    assert_boundaries("2026-01-31", 2, &["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-09-30"]);
    assert_boundaries("2025-12-31", 2, &["2025-12-31", "2026-02-28", "2026-04-30", "2026-06-30", "2026-08-31"]);
    assert_boundaries("2026-08-31", 3, &["2026-08-31", "2026-11-30", "2027-02-28", "2027-05-31", "2027-08-31"]);
    assert_boundaries("2026-08-31", 6, &["2026-08-31", "2027-02-28", "2027-08-31", "2028-02-29", "2028-08-31"]);
    assert_boundaries("2026-01-31", 12, &["2026-01-31", "2027-01-31", "2028-01-31"]);
}

#[test]
fn a_leap_year_cuts_february_at_the_29th() {
    assert_boundaries("2028-01-31", 1, &["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]);
    assert_boundaries("2028-01-30", 1, &["2028-01-30", "2028-02-29", "2028-03-30", "2028-04-30"]);
    assert_boundaries("2028-01-29", 1, &["2028-01-29", "2028-02-29", "2028-03-29", "2028-04-29"]);
    assert_boundaries("2027-12-31", 2, &["2027-12-31", "2028-02-29", "2028-04-30"]);
    assert_boundaries("2027-11-30", 3, &["2027-11-30", "2028-02-29", "2028-05-30", "2028-08-30"]);
    assert_boundaries("2027-08-29", 6, &["2027-08-29", "2028-02-29", "2028-08-29", "2029-02-28", "2029-08-29"]);
    assert_boundaries("2028-02-29", 12, &["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]);
    // 2100 is not a leap year.
    assert_boundaries("2096-02-29", 12, &["2096-02-29", "2097-02-28", "2098-02-28", "2099-02-28", "2100-02-28"]);
}

#[test]
fn a_common_year_cuts_the_29th_and_the_30th() {
    assert_boundaries("2026-01-29", 1, &["2026-01-29", "2026-02-28", "2026-03-29", "2026-04-29"]);
    assert_boundaries("2026-01-30", 1, &["2026-01-30", "2026-02-28", "2026-03-30", "2026-04-30"]);
    assert_boundaries("2025-12-29", 2, &["2025-12-29", "2026-02-28", "2026-04-29"]);
    assert_boundaries("2025-12-30", 2, &["2025-12-30", "2026-02-28", "2026-04-30"]);
    assert_boundaries("2025-11-29", 3, &["2025-11-29", "2026-02-28", "2026-05-29"]);
    assert_boundaries("2025-11-30", 3, &["2025-11-30", "2026-02-28", "2026-05-30"]);
    assert_boundaries("2025-08-29", 6, &["2025-08-29", "2026-02-28", "2026-08-29"]);
    assert_boundaries("2025-08-30", 6, &["2025-08-30", "2026-02-28", "2026-08-30"]);
    assert_boundaries("2026-04-30", 12, &["2026-04-30", "2027-04-30", "2028-04-30"]);
    assert_boundaries("2026-01-29", 12, &["2026-01-29", "2027-01-29", "2028-01-29"]);
}

#[test]
fn boundaries_go_backwards_too() {
    let anchor = day("2026-03-31");
    assert_eq!(boundary(anchor, Cadence::Months(1), -1), Ok(day("2026-02-28")));
    assert_eq!(boundary(anchor, Cadence::Months(1), -3), Ok(day("2025-12-31")));
    assert_eq!(boundary(anchor, Cadence::Days(30), -1), Ok(day("2026-03-01")));
}

#[test]
fn dates_stay_within_four_digit_years() {
    assert_eq!(boundary(day("9999-12-01"), Cadence::Months(1), 1), Err(CalendarError::OutOfRange));
    assert_eq!(boundary(day("2026-01-01"), Cadence::Days(3660), i32::MAX), Err(CalendarError::OutOfRange));
    assert_eq!(boundary(day("2026-01-01"), Cadence::Months(120), i32::MIN), Err(CalendarError::OutOfRange));
    assert_eq!(period(day("2026-01-01"), Cadence::Days(1), i32::MAX), Err(CalendarError::OutOfRange));
    assert_eq!(next_day(day("2026-02-28")), Ok(day("2026-03-01")));
    assert_eq!(next_day(day("9999-12-31")), Err(CalendarError::OutOfRange));
}

#[test]
fn a_period_is_half_open_and_not_empty() {
    let february = Period::try_new(day("2026-02-01"), day("2026-03-01")).unwrap();
    assert_eq!(february.days(), 28);
    assert!(february.contains(day("2026-02-01")) && february.contains(day("2026-02-28")));
    assert!(!february.contains(day("2026-03-01")));
    let march = Period::try_new(day("2026-03-01"), day("2026-04-01")).unwrap();
    assert_eq!(february.intersect(&march), None);
    let late = Period::try_new(day("2026-02-20"), day("2026-03-10")).unwrap();
    assert_eq!(february.intersect(&late), Period::try_new(day("2026-02-20"), day("2026-03-01")).ok());
    assert!(matches!(Period::try_new(day("2026-02-01"), day("2026-02-01")), Err(CalendarError::Empty { .. })));
    assert!(serde_json::from_str::<Period>(r#"{"start":"2026-02-02","end":"2026-02-01"}"#).is_err());
    let json = r#"{"start":"2026-02-01","end":"2026-03-01"}"#;
    assert_eq!(serde_json::from_str::<Period>(json).unwrap(), february);
    assert_eq!(serde_json::to_string(&february).unwrap(), json);
}

#[test]
fn a_cadence_has_one_spelling() {
    for (text, cadence) in [("1m", Cadence::Months(1)), ("120m", Cadence::Months(120)), ("3660d", Cadence::Days(3660))]
    {
        assert_eq!(text.parse(), Ok(cadence));
        assert_eq!(cadence.to_string(), text);
        assert_eq!(serde_json::to_value(cadence).unwrap(), serde_json::Value::from(text));
    }
    for text in ["0m", "121m", "0d", "3661d", "01m", "+1m", "m", "1", "1y", "1M", "99999999m", ""] {
        assert!(matches!(text.parse::<Cadence>(), Err(CalendarError::Cadence(_))), "{text}");
    }
}

const MIDNIGHT: NaiveTime = NaiveTime::MIN;

#[test]
fn a_local_day_begins_where_its_zone_says() {
    for (zone, date, instant) in [
        (chrono_tz::Europe::Berlin, "2026-01-15", "2026-01-14T23:00:00Z"),
        (chrono_tz::Europe::Berlin, "2026-07-15", "2026-07-14T22:00:00Z"),
        (chrono_tz::America::New_York, "2026-01-15", "2026-01-15T05:00:00Z"),
        (chrono_tz::America::New_York, "2026-07-15", "2026-07-15T04:00:00Z"),
        (chrono_tz::Europe::Moscow, "2026-01-15", "2026-01-14T21:00:00Z"),
        (chrono_tz::Europe::Moscow, "2026-07-15", "2026-07-14T21:00:00Z"),
        // Kazakhstan moved from +06 to +05 on 1 March 2024.
        (chrono_tz::Asia::Almaty, "2024-01-15", "2024-01-14T18:00:00Z"),
        (chrono_tz::Asia::Almaty, "2026-01-15", "2026-01-14T19:00:00Z"),
    ] {
        assert_eq!(instant_of(day(date), MIDNIGHT, zone), at(instant), "{date} in {zone}");
        assert_eq!(local_date(at(instant), zone), day(date), "{instant} in {zone}");
        let just_before = at(instant) - TimeDelta::seconds(1);
        assert_eq!(local_date(just_before, zone), day(date).pred_opt().unwrap(), "before {instant} in {zone}");
    }
}

#[test]
fn a_skipped_time_gives_the_first_instant_after_the_gap() {
    for (zone, date, wanted, instant) in [
        (chrono_tz::Europe::Berlin, "2026-03-29", "02:30:00", "2026-03-29T01:00:00Z"),
        (chrono_tz::Europe::Berlin, "2026-03-29", "02:00:00", "2026-03-29T01:00:00Z"),
        (chrono_tz::Europe::Berlin, "2026-03-29", "02:59:59", "2026-03-29T01:00:00Z"),
        (chrono_tz::Europe::Berlin, "2026-03-29", "03:00:00", "2026-03-29T01:00:00Z"),
        (chrono_tz::America::New_York, "2026-03-08", "02:30:00", "2026-03-08T07:00:00Z"),
        // The last summer time of Moscow, and its permanent one.
        (chrono_tz::Europe::Moscow, "2011-03-27", "02:30:00", "2011-03-26T23:00:00Z"),
        (chrono_tz::Asia::Almaty, "2004-03-28", "02:30:00", "2004-03-27T20:00:00Z"),
        // Midnight itself is skipped in Beirut, a whole day in Samoa.
        (chrono_tz::Asia::Beirut, "2026-03-29", "00:00:00", "2026-03-28T22:00:00Z"),
        (chrono_tz::Pacific::Apia, "2011-12-30", "12:00:00", "2011-12-30T10:00:00Z"),
    ] {
        assert_eq!(instant_of(day(date), time(wanted), zone), at(instant), "{date} {wanted} in {zone}");
    }
}

#[test]
fn a_time_that_comes_twice_gives_the_earlier_instant() {
    for (zone, date, wanted, instant) in [
        (chrono_tz::Europe::Berlin, "2026-10-25", "02:30:00", "2026-10-25T00:30:00Z"),
        (chrono_tz::America::New_York, "2026-11-01", "01:30:00", "2026-11-01T05:30:00Z"),
        (chrono_tz::Europe::Moscow, "2014-10-26", "01:30:00", "2014-10-25T21:30:00Z"),
        (chrono_tz::Asia::Almaty, "2024-02-29", "23:30:00", "2024-02-29T17:30:00Z"),
    ] {
        assert_eq!(instant_of(day(date), time(wanted), zone), at(instant), "{date} {wanted} in {zone}");
    }
}

const ZONES: [Tz; 4] =
    [chrono_tz::Europe::Berlin, chrono_tz::America::New_York, chrono_tz::Europe::Moscow, chrono_tz::Asia::Almaty];

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0_u64..40_000).prop_map(|days| day("1990-01-01").checked_add_days(Days::new(days)).unwrap())
}

fn any_cadence() -> impl Strategy<Value = Cadence> {
    prop_oneof![
        (1_u16..=400).prop_map(Cadence::Days),
        prop::sample::select(vec![1_u16, 2, 3, 6, 12]).prop_map(Cadence::Months),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn successive_periods_touch_and_never_overlap(anchor in any_day(), cadence in any_cadence(), k in -24_i32..240) {
        let (this, next) = (period(anchor, cadence, k).unwrap(), period(anchor, cadence, k + 1).unwrap());
        prop_assert_eq!(this.end, next.start);
        prop_assert_eq!(this.intersect(&next), None);
    }

    #[test]
    fn a_boundary_in_months_is_the_anchors_day_or_the_last_of_the_month(anchor in any_day(), months in 1_u16..=24, k in 0_i32..120) {
        let found = boundary(anchor, Cadence::Months(months), k).unwrap();
        let last_of_month = found.succ_opt().unwrap().day() == 1;
        prop_assert!(found.day() == anchor.day() || (found.day() < anchor.day() && last_of_month));
        let elapsed = (found.year() - anchor.year()) * 12 + i32::try_from(found.month()).unwrap()
            - i32::try_from(anchor.month()).unwrap();
        prop_assert_eq!(elapsed, k * i32::from(months));
    }

    #[test]
    fn a_local_time_leads_to_its_own_date_unless_the_zone_skips_it(
        date in any_day(), minute in 0_u32..1440, zone in prop::sample::select(ZONES.to_vec()),
    ) {
        let wanted = NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
        let instant = instant_of(date, wanted, zone);
        let local = instant.with_timezone(&zone).naive_local();
        if zone.from_local_datetime(&date.and_time(wanted)).earliest().is_some() {
            prop_assert_eq!(local, date.and_time(wanted));
            prop_assert_eq!(local_date(instant, zone), date);
        } else {
            prop_assert!(local > date.and_time(wanted));
            let before = (instant - TimeDelta::seconds(1)).with_timezone(&zone).naive_local();
            prop_assert!(before < date.and_time(wanted));
        }
    }

    #[test]
    fn local_days_begin_in_order(date in any_day(), zone in prop::sample::select(ZONES.to_vec())) {
        let today = instant_of(date, MIDNIGHT, zone);
        let tomorrow = instant_of(next_day(date).unwrap(), MIDNIGHT, zone);
        let hours = (tomorrow - today).num_hours();
        prop_assert!((22..=26).contains(&hours), "{hours} hours");
    }
}
