//! Proration by days of a month of fixed length: `part = round(B * days / D)`, D = `month_days` a month, 30 by default.
//!
//! B is what was billed on the line, or its price when nothing was. Calendar days are counted: 16 days of January cost
//! 16/30. Of a billed line the unused days are priced and given back and the complement stays charged; of a new line the
//! used days are priced. A part never costs more than the whole, and a period that is counted in days (not in whole
//! months) keeps its own length.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, ProrationStrategy, describe, share_of};
use line_share::{given_back, month, total};
use serde::Deserialize;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Proration by days of a month of fixed length",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "month_days": { "type": "integer", "minimum": 1, "maximum": 31, "default": 30, "description": "days that a month counts" }
  }
}"#;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Days that a month counts.
    pub month_days: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { month_days: 30 }
    }
}

/// The strategy.
pub struct FixedDays;

impl ProrationStrategy for FixedDays {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("fixed-days", env!("CARGO_PKG_VERSION"), "Proration by days of a month of fixed length", SCHEMA)
    }

    fn share(config: &Config, _: &Context, question: Question) -> Result<Share, Fault> {
        let (days, whole) = question.days()?;
        let month_days = month::checked(config.month_days)?;
        let divisor = month::days(&question.period, month_days).unwrap_or(whole);
        let total = total(&question);
        let told = format!("{days} of {whole} days, counted as {divisor}");
        given_back(question, (days, whole), |days| share_of(total, days, divisor), told)
    }
}

altyn_plugin::proration_strategy!(FixedDays);

#[cfg(test)]
mod tests {
    use line_share::vectors;

    use super::*;

    #[test]
    fn published_vectors_hold() {
        vectors::hold::<FixedDays>(include_str!("../tests/vectors.json"));
    }

    #[test]
    fn money_is_conserved_on_every_split() {
        vectors::conserves::<FixedDays>("{}");
        vectors::conserves::<FixedDays>(r#"{"month_days":28}"#);
        vectors::conserves::<FixedDays>(r#"{"month_days":31}"#);
    }
}
