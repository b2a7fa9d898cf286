//! Published vectors: questions with the answers that a strategy must give, read from `tests/vectors.json`.

#![expect(clippy::unwrap_used, reason = "a vector that does not read fails its test")]

use altyn_plugin::proration::{CurrentDay, Question, Share};
use altyn_plugin::{Context, Date, Fault, Money, Period, ProrationStrategy};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    config: Option<serde_json::Value>,
    #[serde(default)]
    zone: Option<String>,
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

/// A date from `YYYY-MM-DD`.
///
/// # Panics
/// When the text is no such date.
pub fn date(text: &str) -> Date {
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap();
    Date { year: next().parse().unwrap(), month: next().parse().unwrap(), day: next().parse().unwrap() }
}

/// A period from two dates.
///
/// # Panics
/// When one of them does not read.
pub fn period(start: &str, end: &str) -> Period {
    Period { start: date(start), end: date(end) }
}

/// Roubles.
pub fn rub(minor: i64) -> Money {
    Money { minor, currency: "RUB".into() }
}

/// What a plugin is told besides its questions.
pub fn context(zone: &str, config: &str) -> Context {
    Context {
        tenant: String::new(),
        binding: String::new(),
        config: config.into(),
        now: 0,
        zone: zone.into(),
        locale: "ru-RU".into(),
    }
}

/// A policy of the day of a change from its name.
///
/// # Panics
/// When there is no such policy.
pub fn current_day(text: &str) -> CurrentDay {
    match text {
        "old" => CurrentDay::Old,
        "new" => CurrentDay::New,
        "both" => CurrentDay::Both,
        "neither" => CurrentDay::Neither,
        other => panic!("{other} is not a policy of the current day"),
    }
}

/// Asks a strategy one question with a configuration.
pub fn ask<S: ProrationStrategy>(zone: &str, config: &str, question: Question) -> Result<Share, Fault> {
    let ctx = context(zone, config);
    S::share(&altyn_plugin::config(&ctx)?, &ctx, question)
}

/// Holds a strategy against every vector of a file.
///
/// # Panics
/// When an answer differs, naming the vector.
pub fn hold<S: ProrationStrategy>(fixture: &str) {
    let fixture: Fixture = serde_json::from_str(fixture).unwrap();
    assert!(!fixture.cases.is_empty());
    for case in fixture.cases {
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
        let config = case.config.unwrap_or_else(|| serde_json::json!({})).to_string();
        let expected = Share {
            line: "1".into(),
            used: rub(case.used_minor),
            credit: rub(case.credit_minor),
            explanation: case.explanation,
        };
        let zone = case.zone.as_deref().unwrap_or("Europe/Moscow");
        assert_eq!(ask::<S>(zone, &config, question).unwrap(), expected, "{}", case.name);
    }
}

/// Holds a strategy against the promises of the contract on every split of a November: nothing negative, used and
/// credit sum to what is still billed, the whole costs the whole.
///
/// # Panics
/// When one of them does not hold.
pub fn conserves<S: ProrationStrategy>(config: &str) {
    for billed in [1, 7, 99, 100, 10_001, 59_000, 1_000_000_007] {
        for credited in [0, 1, billed / 3, billed] {
            for day in 1..=30 {
                for current_day in [CurrentDay::Old, CurrentDay::New, CurrentDay::Both, CurrentDay::Neither] {
                    let split = format!("2026-11-{day:02}");
                    let old = Question {
                        line: "7".into(),
                        price: rub(billed),
                        period: period("2026-11-01", "2026-12-01"),
                        used: period("2026-11-01", &split),
                        current_day,
                        billed: rub(billed),
                        credited: rub(credited),
                        exponent: 2,
                    };
                    let new = Question {
                        used: period(&split, "2026-12-01"),
                        billed: rub(0),
                        credited: rub(0),
                        ..old.clone()
                    };
                    let share = ask::<S>("Europe/Moscow", config, old).unwrap();
                    assert!(share.used.minor >= 0 && share.credit.minor >= 0, "{share:?}");
                    assert_eq!(share.used.minor + share.credit.minor, billed - credited);
                    let share = ask::<S>("Europe/Moscow", config, new).unwrap();
                    assert!((0..=billed).contains(&share.used.minor) && share.credit.minor == 0, "{share:?}");
                    if day == 1 {
                        assert_eq!(share.used.minor, billed, "the whole period costs the whole");
                    }
                }
            }
        }
    }
}
