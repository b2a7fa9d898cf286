//! Numbers such as `INV-2026-000042`, counted anew each year.

use altyn_plugin::numbering::{Draft, Sequence};
use altyn_plugin::{Context, Descriptor, Fault, NumberingScheme, describe};
use serde::Deserialize;

/// The JSON Schema of [`Config`]; the operator's form is made from it.
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "prefix": { "title": "What every number begins with", "type": "string", "minLength": 1, "maxLength": 20, "default": "INV" }
  }
}"#;

/// The configuration of a binding.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { prefix: "INV".into() }
    }
}

struct Plugin;

impl NumberingScheme for Plugin {
    type Config = Config;

    fn describe() -> Descriptor {
        describe(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Numbers by year", SCHEMA)
    }

    fn sequence(_: &Config, _: &Context, draft: &Draft) -> Result<Sequence, Fault> {
        Ok(Sequence { key: format!("{}/{:04}", draft.kind, draft.issued_on.year), start: 1 })
    }

    fn number(config: &Config, _: &Context, draft: &Draft, value: u64) -> Result<String, Fault> {
        Ok(format!("{}-{:04}-{value:06}", config.prefix, draft.issued_on.year))
    }
}

altyn_plugin::numbering_scheme!(Plugin);
