//! VAT of Kazakhstan: 12 % for what was supplied until the end of 2025, 16 % from 1 January 2026.
//!
//! | category | registered seller | seller that is not |
//! |---|---|---|
//! | `standard` (or empty) | `vat12`, `vat16` | `none` |
//! | `zero` (exports, international carriage) | `vat0`, rate 0 | `none` |
//! | `exempt` | `exempt` | `none` |
//!
//! A seller that carries the attribute `vat-registered` with `yes` or `no` needs no configuration.

use altyn_plugin::tax::{Assessment, Document, Line, LineTax, PriceMode};
use altyn_plugin::{Context, Date, Descriptor, Fault, TaxRule, describe};
use serde::Deserialize;

/// The JSON Schema of [`Config`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "VAT of Kazakhstan",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "registered": { "title": "Sellers are registered for VAT unless they say otherwise", "type": "boolean", "default": true }
  }
}"#;

/// The configuration.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    registered: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { registered: true }
    }
}

/// The rule.
pub struct KzVat;

impl TaxRule for KzVat {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("kz-vat", env!("CARGO_PKG_VERSION"), "VAT of Kazakhstan by the day of supply", SCHEMA)
    }

    fn assess(config: &Config, _: &Context, document: Document) -> Result<Assessment, Fault> {
        let Document { id, seller, lines, mode, .. } = document;
        let registered = match seller.attribute("vat-registered") {
            None => config.registered,
            Some("yes") => true,
            Some("no") => false,
            Some(other) => {
                let what = format!("document {id}: the seller's vat-registered is \"{other}\"; say yes or no");
                return Err(Fault::Invalid(what));
            }
        };
        let tax = |line: Line| taxed(line, mode, registered, &id);
        let lines = lines.into_iter().map(tax).collect::<Result<_, _>>()?;
        Ok(Assessment { document: id, lines })
    }
}

fn taxed(line: Line, mode: PriceMode, registered: bool, document: &str) -> Result<LineTax, Fault> {
    if !registered {
        return Ok(LineTax::untaxed(line, "none"));
    }
    match line.category.as_str() {
        "" | "standard" => match rate(&line.supplied_on) {
            Some(rate) => LineTax::at_rate(line, mode, rate, &format!("vat{rate}")),
            None => Err(Fault::Unsupported(format!(
                "document {document}, line {}: supplied on {}, and rates before 2009 are not known here",
                line.id, line.supplied_on
            ))),
        },
        "zero" => LineTax::at_rate(line, mode, 0, "vat0"),
        "exempt" => Ok(LineTax::untaxed(line, "exempt")),
        other => Err(Fault::Invalid(format!(
            "document {document}, line {}: unknown category \"{other}\"; use standard, zero or exempt",
            line.id
        ))),
    }
}

/// The base rate of a day, per cent.
fn rate(day: &Date) -> Option<u8> {
    match day.year {
        2026.. => Some(16),
        2009..=2025 => Some(12),
        _ => None,
    }
}

altyn_plugin::tax_rule!(KzVat);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_day_of_supply() {
        let day = |year, month, day| Date { year, month, day };
        assert_eq!(rate(&day(2025, 12, 31)), Some(12));
        assert_eq!(rate(&day(2026, 1, 1)), Some(16));
        assert_eq!(rate(&day(2008, 12, 31)), None);
    }
}
