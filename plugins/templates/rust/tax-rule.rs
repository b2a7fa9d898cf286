//! A flat tax on every line, at the rate of the configuration.

use altyn_plugin::tax::{Assessment, Document, LineTax};
use altyn_plugin::{Context, Descriptor, Fault, TaxRule, describe};
use serde::Deserialize;

/// The JSON Schema of [`Config`]; the operator's form is made from it.
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "rate": { "title": "Rate, per cent", "type": "integer", "minimum": 0, "maximum": 100, "default": 20 }
  }
}"#;

/// The configuration of a binding.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    rate: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { rate: 20 }
    }
}

struct Plugin;

impl TaxRule for Plugin {
    type Config = Config;

    fn describe() -> Descriptor {
        describe(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "A flat tax on every line", SCHEMA)
    }

    fn assess(config: &Config, _: &Context, document: Document) -> Result<Assessment, Fault> {
        let rate = config.rate;
        if rate > 100 {
            return Err(Fault::Misconfigured(format!("rate {rate} is not between 0 and 100 per cent")));
        }
        let code = format!("tax{rate}");
        let mode = document.mode;
        let tax = |line| LineTax::at_rate(line, mode, rate, &code);
        let lines = document.lines.into_iter().map(tax).collect::<Result<_, _>>()?;
        Ok(Assessment { document: document.id, lines })
    }
}

altyn_plugin::tax_rule!(Plugin);
