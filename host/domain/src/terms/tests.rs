use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn subscription(number: u128) -> SubscriptionId {
    SubscriptionId(Uuid::from_u128(number))
}

fn charge(number: u128, on: &str, gross_minor: i64) -> ContractCharge {
    ContractCharge { subscription: subscription(number), charged_on: day(on), gross_minor }
}

const LADDER: Ladder = Ladder {
    stop: TermMode::Auto,
    delete: TermMode::Auto,
    grace_days: 3,
    keep_days: 5,
    billing_day: None,
    payable_by_promise: false,
};

fn life(status: SubscriptionStatus) -> Life {
    Life { status, ends_on: None, stopped_on: None, resumed_on: None, held: false }
}

#[test]
fn what_is_missing_is_what_is_available_below_zero_and_a_promise_counts_only_where_the_term_says_so() {
    let money = ContractMoney { available_minor: -1_000 + 400 + 100, promised_minor: 400 };
    assert_eq!(money.shortfall_minor(false), 900);
    assert_eq!(money.shortfall_minor(true), 500);
    let rich = ContractMoney { available_minor: 1, promised_minor: 0 };
    assert_eq!(rich.shortfall_minor(true), 0);
    assert_eq!(ContractMoney { available_minor: i64::MIN, ..rich }.shortfall_minor(false), i64::MAX);
}

#[test]
fn money_covers_the_oldest_charges_so_the_newest_are_unpaid() {
    let charges = [charge(1, "2026-11-03", 300), charge(2, "2026-11-02", 200), charge(1, "2026-11-01", 300)];
    let unpaid = |shortfall| uncovered(&charges, shortfall).into_iter().collect::<Vec<_>>();
    assert_eq!(unpaid(0), []);
    assert_eq!(unpaid(1), [(subscription(1), day("2026-11-03"))]);
    assert_eq!(unpaid(300), [(subscription(1), day("2026-11-03"))]);
    assert_eq!(unpaid(301), [(subscription(1), day("2026-11-03")), (subscription(2), day("2026-11-02"))]);
    assert_eq!(unpaid(501), [(subscription(1), day("2026-11-01")), (subscription(2), day("2026-11-02"))]);
    // A debt beyond all charges, such as one brought over from other books, makes all of them unpaid.
    assert_eq!(unpaid(9_999), [(subscription(1), day("2026-11-01")), (subscription(2), day("2026-11-02"))]);
}

#[test]
fn a_charge_is_due_on_the_first_financial_day_on_or_after_it() {
    for (charged, billing_day, due) in [
        ("2026-11-10", None, "2026-11-10"),
        ("2026-11-10", Some(10), "2026-11-10"),
        ("2026-11-10", Some(9), "2026-12-09"),
        ("2026-12-31", Some(1), "2027-01-01"),
        ("2027-01-31", Some(28), "2027-02-28"),
        ("2028-02-29", Some(28), "2028-03-28"),
    ] {
        assert_eq!(due_on(day(charged), billing_day), Ok(day(due)), "{charged} {billing_day:?}");
    }
}

#[test]
fn an_unpaid_subscription_has_its_days_of_grace_and_is_then_stopped() {
    let since = day("2026-11-01");
    let at = |on: &str| step(&LADDER, &life(SubscriptionStatus::Active), Some(since), day(on)).unwrap();
    assert_eq!(at("2026-10-31"), Step::Keep, "the charge is not due yet");
    for on in ["2026-11-01", "2026-11-02", "2026-11-03"] {
        assert_eq!(at(on), Step::Grace { since }, "{on}");
    }
    assert_eq!(at("2026-11-04"), Step::Stop { since });
    assert_eq!(at("2026-11-30"), Step::Stop { since }, "after a long outage of the host");
    let without = Ladder { grace_days: 0, ..LADDER };
    let at = step(&without, &life(SubscriptionStatus::Active), Some(since), since).unwrap();
    assert_eq!(at, Step::Stop { since }, "without grace it is stopped at the close of the day");
}

#[test]
fn a_manual_mode_asks_instead() {
    let since = day("2026-11-01");
    let ladder = Ladder { stop: TermMode::Manual, delete: TermMode::Manual, ..LADDER };
    let grace = life(SubscriptionStatus::Grace);
    assert_eq!(step(&ladder, &grace, Some(since), day("2026-11-03")).unwrap(), Step::Grace { since });
    assert_eq!(step(&ladder, &grace, Some(since), day("2026-11-04")).unwrap(), Step::AskToStop { since });
    let stopped = Life { stopped_on: Some(day("2026-11-05")), ..life(SubscriptionStatus::Stopped) };
    assert_eq!(step(&ladder, &stopped, Some(since), day("2026-11-08")).unwrap(), Step::Keep);
    let asked = step(&ladder, &stopped, Some(since), day("2026-11-09")).unwrap();
    assert_eq!(asked, Step::AskToDelete { since: day("2026-11-05") });
}

#[test]
fn a_stopped_subscription_is_kept_its_full_days_and_then_deleted() {
    let stopped = Life { stopped_on: Some(day("2026-11-05")), ..life(SubscriptionStatus::Stopped) };
    let at = |on: &str| step(&LADDER, &stopped, Some(day("2026-11-01")), day(on)).unwrap();
    assert_eq!(at("2026-11-05"), Step::Keep);
    assert_eq!(at("2026-11-08"), Step::Keep);
    assert_eq!(at("2026-11-09"), Step::Delete, "the fifth full day without service is over");
}

#[test]
fn what_is_paid_returns_whatever_the_modes_are() {
    for mode in [TermMode::Auto, TermMode::Manual] {
        let ladder = Ladder { stop: mode, delete: mode, ..LADDER };
        let stopped = Life { stopped_on: Some(day("2026-11-05")), ..life(SubscriptionStatus::Stopped) };
        assert_eq!(step(&ladder, &stopped, None, day("2027-01-01")).unwrap(), Step::Return);
        assert_eq!(step(&ladder, &life(SubscriptionStatus::Grace), None, day("2026-11-03")).unwrap(), Step::Return);
        assert_eq!(step(&ladder, &life(SubscriptionStatus::Active), None, day("2026-11-03")).unwrap(), Step::Keep);
    }
}

#[test]
fn who_returned_has_the_whole_grace_again() {
    let returned = Life { resumed_on: Some(day("2026-12-10")), ..life(SubscriptionStatus::Active) };
    let at = |on: &str| step(&LADDER, &returned, Some(day("2026-12-01")), day(on)).unwrap();
    assert_eq!(at("2026-12-12"), Step::Grace { since: day("2026-12-10") });
    assert_eq!(at("2026-12-13"), Step::Stop { since: day("2026-12-10") });
}

#[test]
fn what_is_held_or_has_ended_stays_as_it_is() {
    for status in SubscriptionStatus::ALL {
        let held = Life { held: true, stopped_on: Some(day("2026-01-01")), ..life(*status) };
        assert_eq!(step(&LADDER, &held, Some(day("2026-01-01")), day("2026-11-01")).unwrap(), Step::Keep);
    }
    for status in [
        SubscriptionStatus::Pending,
        SubscriptionStatus::Deleted,
        SubscriptionStatus::Cancelled,
        SubscriptionStatus::Completed,
    ] {
        let at = step(&LADDER, &life(status), Some(day("2026-01-01")), day("2026-11-01")).unwrap();
        assert_eq!(at, Step::Keep, "{status}");
    }
    let ended = Life {
        ends_on: Some(day("2026-11-10")),
        stopped_on: Some(day("2026-11-05")),
        ..life(SubscriptionStatus::Stopped)
    };
    assert_eq!(step(&LADDER, &ended, None, day("2026-11-10")).unwrap(), Step::Cancel);
    assert_eq!(step(&LADDER, &ended, None, day("2026-11-09")).unwrap(), Step::Return);
}

fn stood(next_index: i32, stopped_on: &str) -> Stood {
    Stood {
        anchor_on: day("2026-01-31"),
        cadence: Cadence::Months(1),
        next_index,
        starts_on: day("2026-01-31"),
        ends_on: None,
        stopped_on: day(stopped_on),
    }
}

#[test]
fn a_return_within_the_charged_period_changes_no_schedule() {
    // The period [28 February, 31 March) is charged; the next index is 2.
    let resumed = resume(&stood(2, "2026-03-04"), day("2026-03-20")).unwrap();
    assert_eq!(resumed, Resumed { next_index: 2, next_charge_on: day("2026-03-31"), resumed_on: None });
}

#[test]
fn periods_that_passed_while_it_was_stopped_are_not_charged_and_the_present_one_from_the_return_on() {
    let resumed = resume(&stood(2, "2026-03-04"), day("2026-06-10")).unwrap();
    // [31 May, 30 June) is the fourth period behind the anchor.
    let expected = Resumed { next_index: 4, next_charge_on: day("2026-06-10"), resumed_on: Some(day("2026-06-10")) };
    assert_eq!(resumed, expected);
    let on_boundary = resume(&stood(2, "2026-03-04"), day("2026-05-31")).unwrap();
    assert_eq!(on_boundary, Resumed { next_index: 4, next_charge_on: day("2026-05-31"), resumed_on: None });
    let ended = Stood { ends_on: Some(day("2026-06-05")), ..stood(2, "2026-03-04") };
    assert_eq!(resume(&ended, day("2026-06-10")).unwrap().next_charge_on, day("2026-06-05"));
}

#[test]
fn a_period_that_began_in_service_is_charged_whole() {
    // Stopped on 2 April, before the run of 31 March charged the period that began then.
    let resumed = resume(&stood(2, "2026-04-02"), day("2026-04-03")).unwrap();
    assert_eq!(resumed, Resumed { next_index: 2, next_charge_on: day("2026-03-31"), resumed_on: None });
}

#[test]
fn a_key_has_small_letters_digits_and_underscores() {
    for good in ["a", "basic_2", "0", "_"] {
        assert!(is_key(good), "{good}");
    }
    for bad in ["", "A", "a-b", "ключ", "a b", &"x".repeat(65)] {
        assert!(!is_key(bad), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_uncovered_is_never_less_than_what_is_missing(
        grosses in prop::collection::vec(0..1_000_i64, 0..20),
        shortfall in 0..12_000_i64,
    ) {
        let on = |index: usize| day("2026-01-01") + Days::new(u64::try_from(20 - index).unwrap());
        let charges: Vec<ContractCharge> = grosses.iter().enumerate()
            .map(|(index, gross)| ContractCharge { subscription: subscription(index as u128), charged_on: on(index), gross_minor: *gross })
            .collect();
        let found = uncovered(&charges, shortfall);
        let sum: i64 = charges.iter().filter(|c| found.contains_key(&c.subscription)).map(|c| c.gross_minor).sum();
        let all: i64 = grosses.iter().sum();
        prop_assert!(sum >= shortfall.min(all));
        // The newest are taken, and not one more than is needed.
        let oldest = found.values().min().copied();
        if let Some(oldest) = oldest {
            let last = charges.iter().find(|c| c.charged_on == oldest).unwrap().gross_minor;
            prop_assert!(sum - last < shortfall);
        }
    }

    #[test]
    fn a_return_never_charges_a_day_of_the_stop(stopped in 0..400_u64, away in 0..400_u64, charged in 1..14_i32) {
        let anchor = day("2026-01-31");
        let next_start = period(anchor, Cadence::Months(1), charged).unwrap().start;
        let stopped_on = day("2026-02-01") + Days::new(stopped);
        let on = stopped_on + Days::new(away);
        let resumed = resume(&Stood { stopped_on, ..stood(charged, "2026-02-01") }, on).unwrap();
        let next = period(anchor, Cadence::Months(1), resumed.next_index).unwrap();
        let from = next.start.max(resumed.resumed_on.unwrap_or(NaiveDate::MIN));
        prop_assert_eq!(resumed.next_charge_on, from);
        prop_assert!(next.end > on);
        // Only a period that began before the stop may reach into it.
        prop_assert!(from >= on || next_start < stopped_on);
    }
}
