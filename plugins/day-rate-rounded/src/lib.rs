//! Proration by a rounded price of the day: `r = round(B / D)`, a part is `r * days`, the rest is its complement.
//!
//! B is what was billed on the line, or its price when nothing was. D is the days of the period, or `month_days` for a
//! period of one month (twice as many for two, and so on). Of a billed line the **unused** days are priced and given
//! back, and what stays charged is the complement; of a new line the used days are priced. So 1000.00 a month cancelled
//! with 16 of 31 days left gives 16 * 32.26 = 516.16 back and keeps 483.84, not 15 * 32.26 = 483.90.
//! Calendar days are counted whatever the length of the month; a part never costs more than the whole.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, ProrationStrategy, describe};
use line_share::{given_back, month, rate, total};
use serde::Deserialize;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Proration by a rounded price of the day",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "month_days": { "type": "integer", "minimum": 1, "maximum": 31, "description": "days that a month counts; its own when absent" }
  }
}"#;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Days that a month counts; its own when absent.
    pub month_days: Option<i64>,
}

/// The strategy.
pub struct DayRateRounded;

impl ProrationStrategy for DayRateRounded {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("day-rate-rounded", env!("CARGO_PKG_VERSION"), "Proration by a rounded price of the day", SCHEMA)
    }

    fn share(config: &Config, _: &Context, question: Question) -> Result<Share, Fault> {
        let (days, whole) = question.days()?;
        let divisor = match config.month_days {
            Some(month_days) => month::days(&question.period, month::checked(month_days)?).unwrap_or(whole),
            None => whole,
        };
        let rate = rate(total(&question), divisor);
        let told = format!("{days} of {whole} days, the day at 1/{divisor} rounded");
        given_back(question, (days, whole), |days| rate?.checked_mul(days), told)
    }
}

altyn_plugin::proration_strategy!(DayRateRounded);

#[cfg(test)]
mod tests {
    use line_share::vectors::{self, period, rub};

    use super::*;

    #[test]
    fn published_vectors_hold() {
        vectors::hold::<DayRateRounded>(include_str!("../tests/vectors.json"));
    }

    #[test]
    fn money_is_conserved_on_every_split() {
        vectors::conserves::<DayRateRounded>("{}");
        vectors::conserves::<DayRateRounded>(r#"{"month_days":30}"#);
        vectors::conserves::<DayRateRounded>(r#"{"month_days":1}"#);
    }

    #[test]
    fn a_month_of_an_impossible_length_is_a_wrong_configuration() {
        let question = Question {
            line: "1".into(),
            price: rub(100),
            period: period("2026-11-01", "2026-12-01"),
            used: period("2026-11-01", "2026-11-02"),
            current_day: altyn_plugin::proration::CurrentDay::New,
            billed: rub(0),
            credited: rub(0),
            exponent: 2,
        };
        for config in [r#"{"month_days":0}"#, r#"{"month_days":32}"#, r#"{"month_days":"30"}"#] {
            let answer = vectors::ask::<DayRateRounded>("UTC", config, question.clone());
            assert!(matches!(answer, Err(Fault::Misconfigured(_))), "{config}: {answer:?}");
        }
    }
}
