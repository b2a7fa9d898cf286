use altyn_plugin::Money;
use altyn_plugin::proration::CurrentDay;
use line_share::vectors::{self, ask, current_day, period, rub};
use serde::Deserialize;

use super::*;

const FIXTURE: &str = include_str!("../tests/vectors.json");

#[derive(Deserialize)]
struct Fixture {
    change_on_11_november_of_30_days: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    current_day: String,
    old_side_days: i64,
    new_side_days: i64,
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
    ask::<DayRatio>("Europe/Moscow", "", question)
}

#[test]
fn published_vectors_hold() {
    vectors::hold::<DayRatio>(FIXTURE);
}

#[test]
fn the_day_of_a_change_goes_where_the_policy_says() {
    let fixture: Fixture = serde_json::from_str(FIXTURE).unwrap();
    assert!(!fixture.change_on_11_november_of_30_days.is_empty());
    for change in fixture.change_on_11_november_of_30_days {
        let day = current_day(&change.current_day);
        let old = share(november(("2026-11-01", "2026-11-11"), day, 30_000)).unwrap();
        let new = share(november(("2026-11-11", "2026-12-01"), day, 0)).unwrap();
        assert_eq!(old.used.minor, change.old_side_days * 1_000, "old side, {}", change.current_day);
        assert_eq!(new.used.minor, change.new_side_days * 1_000, "new side, {}", change.current_day);
    }
}

#[test]
fn used_and_credit_sum_to_what_is_still_billed_whatever_the_price_is_now() {
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
fn money_is_conserved_on_every_split() {
    vectors::conserves::<DayRatio>("");
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
