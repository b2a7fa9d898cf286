//! Russian VAT: the rate of the day of supply, the category of the line, and the regime of the seller.
//!
//! Base rate: 18 % from 2004, 20 % from 2019 (law 303-FZ), 22 % from 2026 (law 425-FZ); reduced rate 10 %. Sellers on
//! the simplified system who pay VAT at 5 % or 7 % do so from 2025 (law 176-FZ), whatever the category at a rate.
//!
//! | category | general | usn-5, usn-7 | none |
//! |---|---|---|---|
//! | `standard` (or empty) | `vat22`, `vat20`, `vat18` | `vat5`, `vat7` | `none` |
//! | `reduced` | `vat10` | `vat5`, `vat7` | `none` |
//! | `zero` | `vat0`, rate 0 | `vat0`, rate 0 | `none` |
//! | `exempt` (article 149) | `exempt` | `exempt` | `none` |
//! | `none` (not a payer) | `none` | `none` | `none` |
//!
//! Advances are taxed at inverse rates: the same arithmetic under codes such as `vat22-122`. The regime is that of the
//! configuration unless the seller carries the attribute `vat-regime`.

mod rates;

use altyn_plugin::tax::{Assessment, Document, Line, LineTax, PriceMode};
use altyn_plugin::{Context, Descriptor, Fault, TaxRule, describe};
use rates::{Regime, Treatment};
use serde::Deserialize;

/// The JSON Schema of [`Config`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Russian VAT",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "regime": {
      "title": "VAT regime of sellers that carry no regime of their own",
      "description": "general: base and reduced rates; usn-5, usn-7: simplified system with VAT at 5 % or 7 % (from 2025-01-01); none: not a VAT payer",
      "enum": ["general", "usn-5", "usn-7", "none"],
      "default": "general"
    }
  }
}"#;

/// The configuration.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    regime: Regime,
}

/// The rule.
pub struct RuVat;

impl TaxRule for RuVat {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("ru-vat", env!("CARGO_PKG_VERSION"), "Russian VAT by the day of supply", SCHEMA)
    }

    fn assess(config: &Config, _: &Context, document: Document) -> Result<Assessment, Fault> {
        let Document { id, seller, lines, mode, advance, .. } = document;
        let at_document = |text: String| format!("document {id}: {text}");
        let regime = match seller.attribute("vat-regime") {
            Some(text) => Regime::parse(text).map_err(|text| Fault::Invalid(at_document(text)))?,
            None => config.regime,
        };
        let tax = |line: Line| {
            let fault = |text: String| Fault::Invalid(format!("document {id}, line {}: {text}", line.id));
            let treatment = rates::treatment(regime, &line.category, line.supplied_on).map_err(fault)?;
            tax_line(line, mode, advance, treatment)
        };
        let lines = lines.into_iter().map(tax).collect::<Result<_, _>>()?;
        Ok(Assessment { document: id, lines })
    }
}

fn tax_line(line: Line, mode: PriceMode, advance: bool, treatment: Treatment) -> Result<LineTax, Fault> {
    match treatment {
        Treatment::Rate(rate) => LineTax::at_rate(line, mode, rate.percent(), rate.code(advance)),
        Treatment::Exempt => Ok(LineTax::untaxed(line, "exempt")),
        Treatment::None => Ok(LineTax::untaxed(line, "none")),
    }
}

altyn_plugin::tax_rule!(RuVat);

#[cfg(test)]
mod tests;
