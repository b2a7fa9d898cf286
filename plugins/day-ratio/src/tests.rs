use altyn_plugin::proration::CurrentDay;
use altyn_plugin::{Date, Money, Period};
use serde::Deserialize;

use super::*;

const FIXTURE: &str = include_str!("../tests/vectors.json");

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
    change_on_11_november_of_30_days: Vec<Change>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    price: i64,
    #[serde(default)]
    billed: i64,
    #[serde(default)]
    credited: i64,
    period: (String, String),
    used: (String, String),
    current_day: String,
    used_minor: i64,
    #[serde(default)]
    credit_minor: i64,
    explanation: String,
}

#[derive(Deserialize)]
struct Change {
    current_day: String,
    old_side_days: i64,
    new_side_days: i64,
}

fn fixture() -> Fixture {
    serde_json::from_str(FIXTURE).unwrap()
}

fn date(text: &str) -> Date {
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap();
    Date { year: next().parse().unwrap(), month: next().parse().unwrap(), day: next().parse().unwrap() }
}

fn period(start: &str, end: &str) -> Period {
    Period { start: date(start), end: date(end) }
}

fn current_day(text: &str) -> CurrentDay {
    match text {
        "old" => CurrentDay::Old,
        "new" => CurrentDay::New,
        "both" => CurrentDay::Both,
        "neither" => CurrentDay::Neither,
        other => panic!("{other}"),
    }
}

fn rub(minor: i64) -> Money {
    Money { minor, currency: "RUB".into() }
}

fn november(used: (&str, &str), day: CurrentDay, billed: i64) -> Question {
    Question {
        line: "7".into(),
        price: rub(30_000),
        period: period("2026-11-01", "2026-12-01"),
        used: period(used.0, used.1),
        current_day: day,
        billed: rub(billed),
        credited: rub(0),
        exponent: 2,
    }
}

fn share(question: Question) -> Result<Share, Fault> {
    let ctx = Context {
        tenant: String::new(),
        binding: String::new(),
        config: String::new(),
        now: 0,
        zone: "Europe/Moscow".into(),
        locale: "ru-RU".into(),
    };
    DayRatio::share(&NoConfig {}, &ctx, question)
}

#[test]
fn published_vectors_hold() {
    for case in fixture().cases {
        let question = Question {
            line: "1".into(),
            price: rub(case.price),
            period: period(&case.period.0, &case.period.1),
            used: period(&case.used.0, &case.used.1),
            current_day: current_day(&case.current_day),
            billed: rub(case.billed),
            credited: rub(case.credited),
            exponent: 2,
        };
        let expected = Share {
            line: "1".into(),
            used: rub(case.used_minor),
            credit: rub(case.credit_minor),
            explanation: case.explanation,
        };
        assert_eq!(share(question).unwrap(), expected, "{}", case.name);
    }
}

#[test]
fn the_day_of_a_change_goes_where_the_policy_says() {
    for change in fixture().change_on_11_november_of_30_days {
        let day = current_day(&change.current_day);
        let old = share(november(("2026-11-01", "2026-11-11"), day, 30_000)).unwrap();
        let new = share(november(("2026-11-11", "2026-12-01"), day, 0)).unwrap();
        assert_eq!(old.used.minor, change.old_side_days * 1_000, "old side, {}", change.current_day);
        assert_eq!(new.used.minor, change.new_side_days * 1_000, "new side, {}", change.current_day);
    }
}

#[test]
fn used_and_credit_sum_to_what_is_still_billed() {
    for billed in [1, 7, 99, 100, 10_001, 59_000, 1_000_000_007] {
        for credited in [0, 1, billed / 3, billed] {
            for day in 1..=30 {
                for policy in [CurrentDay::Old, CurrentDay::New, CurrentDay::Both, CurrentDay::Neither] {
                    let used = format!("2026-11-{day:02}");
                    let question =
                        Question { credited: rub(credited), ..november(("2026-11-01", &used), policy, billed) };
                    let share = share(question).unwrap();
                    assert!(share.used.minor >= 0 && share.credit.minor >= 0);
                    assert_eq!(share.used.minor + share.credit.minor, billed - credited);
                }
            }
        }
    }
}

#[test]
fn a_question_that_makes_no_sense_is_a_fault_and_names_the_line() {
    let sound = || november(("2026-11-05", "2026-12-01"), CurrentDay::New, 0);
    let bad = [
        Question { used: period("2026-10-31", "2026-12-01"), ..sound() },
        Question { used: period("2026-11-10", "2026-11-09"), ..sound() },
        Question { used: period("2026-11-31", "2026-12-01"), ..sound() },
        Question { period: period("2026-11-01", "2026-11-01"), used: period("2026-11-01", "2026-11-01"), ..sound() },
        Question { price: rub(-1), ..sound() },
        Question { credited: rub(1), ..sound() },
        Question { billed: Money { minor: 5, currency: "EUR".into() }, ..sound() },
    ];
    for question in bad {
        let Err(Fault::Invalid(text)) = share(question.clone()) else { panic!("{question:?}") };
        assert!(text.contains('7'), "{text}");
    }
}
