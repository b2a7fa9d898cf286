use altyn_domain::subscription::Schedule;
use chrono::DateTime;

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn subscription(starts_on: &str, schedule: Schedule, next_index: i32, next_charge_on: &str) -> SubscriptionRow {
    SubscriptionRow {
        id: Uuid::from_u128(1),
        contract_id: Uuid::from_u128(2),
        plan_version_id: Uuid::from_u128(3),
        status: "active".into(),
        quantity: "1".into(),
        discount_percent: "0".into(),
        anchor_on: schedule.anchor_on,
        next_index,
        starts_on: day(starts_on),
        ends_on: None,
        next_charge_on: day(next_charge_on),
        charges_left: None,
        once_due: 0,
        discount_minor: 0,
        discount_from: None,
        discount_until: None,
        manual: 0,
        documents_on_activation: 0,
        notify_on_activation: 0,
        description: None,
        short_funds: "debt".to_owned(),
        retry_days: None,
        waits_from: None,
        former_zone: None,
        former_zone_until: None,
        terms_from: None,
        change_ordinal: 0,
        external_system: None,
        external_id: None,
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
    }
}

fn charge(start: &str, end: &str) -> rows::ChargedPeriodRow {
    rows::ChargedPeriodRow {
        id: Uuid::from_u128(9),
        subscription_id: Uuid::from_u128(1),
        component_id: Uuid::from_u128(4),
        period_start: day(start),
        period_end: day(end),
        change_ordinal: 0,
        used_start: day(start),
        covered_until: day(end),
    }
}

const MONTHLY: Cadence = Cadence::Months(1);

fn renewing(on: NaiveDate) -> Schedule {
    Schedule { anchor_on: on, next_index: 0 }
}

#[test]
fn the_index_of_a_day_is_that_of_the_period_that_holds_it() {
    for (anchor, cadence) in [
        ("2026-01-31", MONTHLY),
        ("2024-02-29", Cadence::Months(12)),
        ("2026-03-01", Cadence::Months(3)),
        ("2026-01-30", Cadence::Days(30)),
        ("2026-01-01", Cadence::Days(1)),
    ] {
        let anchor = day(anchor);
        for offset in 0..1_500 {
            let date = anchor + chrono::Days::new(offset);
            let index = index_of(anchor, cadence, date).unwrap();
            assert!(period(anchor, cadence, index).unwrap().contains(date), "{anchor} {cadence} {date}");
        }
    }
}

#[test]
fn the_last_day_of_short_months_is_no_gap() {
    let row = subscription("2026-01-31", renewing(day("2026-01-31")), 3, "2026-04-30");
    let seen = add(&row, &[], Some(MONTHLY), &charge("2026-01-31", "2026-02-28"), None).unwrap();
    let seen = add(&row, &[], Some(MONTHLY), &charge("2026-02-28", "2026-03-31"), Some(seen)).unwrap();
    let seen = add(&row, &[], Some(MONTHLY), &charge("2026-03-31", "2026-04-30"), Some(seen)).unwrap();
    assert_eq!(check_ends(&row, &[], MONTHLY, Some(seen)), Ok(()));
    assert_eq!(check_next(&row, &[], MONTHLY), Ok(()));
}

#[test]
fn a_drift_from_the_anchor_is_found_although_the_periods_touch() {
    let row = subscription("2026-01-31", renewing(day("2026-01-31")), 2, "2026-03-31");
    let seen = add(&row, &[], Some(MONTHLY), &charge("2026-01-31", "2026-02-28"), None).unwrap();
    assert!(add(&row, &[], Some(MONTHLY), &charge("2026-02-28", "2026-03-28"), Some(seen)).is_err());
}

#[test]
fn a_missing_period_in_the_middle_at_the_start_or_at_the_end_is_found() {
    let row = subscription("2026-01-01", renewing(day("2026-01-01")), 3, "2026-04-01");
    let first = add(&row, &[], Some(MONTHLY), &charge("2026-01-01", "2026-02-01"), None).unwrap();
    assert!(add(&row, &[], Some(MONTHLY), &charge("2026-03-01", "2026-04-01"), Some(first)).is_err());
    let second = add(&row, &[], Some(MONTHLY), &charge("2026-02-01", "2026-03-01"), None).unwrap();
    let third = add(&row, &[], Some(MONTHLY), &charge("2026-03-01", "2026-04-01"), Some(second)).unwrap();
    assert!(check_ends(&row, &[], MONTHLY, Some(third)).is_err());
    assert!(check_ends(&row, &[], MONTHLY, Some(first)).is_err());
    assert!(check_ends(&row, &[], MONTHLY, None).is_err());
}

#[test]
fn a_subscription_with_a_fixed_day_starts_inside_its_first_period() {
    let schedule = Schedule::first(day("2026-11-20"), MONTHLY, Some(31)).unwrap();
    let fresh = subscription("2026-11-20", schedule, schedule.next_index, "2026-11-20");
    assert_eq!(check_ends(&fresh, &[], MONTHLY, None), Ok(()));
    assert_eq!(check_next(&fresh, &[], MONTHLY), Ok(()));
    let billed = subscription("2026-11-20", schedule, schedule.next_index + 1, "2026-11-30");
    let seen = add(&billed, &[], Some(MONTHLY), &charge("2026-10-31", "2026-11-30"), None).unwrap();
    assert_eq!(check_ends(&billed, &[], MONTHLY, Some(seen)), Ok(()));
    assert_eq!(check_next(&billed, &[], MONTHLY), Ok(()));
}

#[test]
fn an_end_comes_before_the_next_charge() {
    let schedule = renewing(day("2026-01-01"));
    let mut row = subscription("2026-01-01", schedule, 1, "2026-01-15");
    row.ends_on = Some(day("2026-01-15"));
    assert_eq!(check_next(&row, &[], MONTHLY), Ok(()));
    row.next_charge_on = day("2026-02-01");
    assert!(check_next(&row, &[], MONTHLY).is_err());
    row.status = "cancelled".into();
    assert_eq!(check_next(&row, &[], MONTHLY), Ok(()));
}

#[test]
fn what_passed_out_of_service_is_no_gap_and_nothing_else_is_excused() {
    let stop = |from: &str, until: Option<&str>| lives::StopRow {
        subscription_id: Uuid::from_u128(1),
        from_on: day(from),
        until_on: until.map(day),
    };
    // In service again on 10 May, in the middle of the fifth period.
    let row = subscription("2026-01-01", renewing(day("2026-01-01")), 4, "2026-05-10");
    let first =
        |stops: &[lives::StopRow]| add(&row, stops, Some(MONTHLY), &charge("2026-01-01", "2026-02-01"), None).unwrap();
    let whole = [stop("2026-01-20", Some("2026-05-10"))];
    assert_eq!(check_ends(&row, &whole, MONTHLY, Some(first(&whole))), Ok(()));
    assert_eq!(check_next(&row, &whole, MONTHLY), Ok(()));
    let may = add(&row, &whole, Some(MONTHLY), &charge("2026-05-01", "2026-06-01"), Some(first(&whole)));
    assert!(may.is_ok());
    // February ended in service.
    let short = [stop("2026-01-20", Some("2026-02-20")), stop("2026-03-01", Some("2026-05-10"))];
    assert!(check_ends(&row, &short, MONTHLY, Some(first(&short))).is_err());
    assert!(add(&row, &short, Some(MONTHLY), &charge("2026-05-01", "2026-06-01"), Some(first(&short))).is_err());
    assert!(check_next(&row, &[], MONTHLY).is_err());
    let open = [stop("2026-01-20", None)];
    assert_eq!(check_ends(&row, &open, MONTHLY, Some(first(&open))), Ok(()));
}

#[test]
fn charges_of_one_set_of_terms_touch_one_another() {
    let (a, b, c) = (day("2026-01-01"), day("2026-01-11"), day("2026-02-01"));
    assert_eq!(segments::covers(vec![(b, c), (a, b)], &[], (a, c), c), Ok(()));
    assert_eq!(segments::covers(vec![], &[], (b, b), b), Ok(()));
    assert!(segments::covers(vec![(a, b)], &[], (a, c), c).unwrap_err().contains("up to 2026-01-11"));
    assert!(segments::covers(vec![(b, c)], &[], (a, c), c).is_err());
    assert!(segments::covers(vec![(a, c), (b, c)], &[], (a, c), c).is_err());
    assert!(segments::covers(vec![(a, b)], &[], (a, a), a).is_err());
    // An end that is set later gives nothing back.
    assert_eq!(segments::covers(vec![(a, c)], &[], (a, b), c), Ok(()));
    assert!(segments::covers(vec![(a, c)], &[], (a, a), b).is_err());
}
