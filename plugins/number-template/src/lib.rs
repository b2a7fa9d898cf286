//! Document numbers from a template: `СЧ-{year}-{seq:6}` gives `СЧ-2026-000042`.
//!
//! The template says how the number looks, `reset` when the counter begins again. The sequence is named by the kind of
//! the document and its reset scope: `invoice/2026`. A template that does not show its reset scope gives the same number
//! again after a reset, which the host may refuse; the plugin notes it in the log.

mod template;

use altyn_plugin::numbering::{Draft, Sequence};
use altyn_plugin::{Context, Descriptor, Fault, NumberingScheme, describe};
use serde::Deserialize;
use template::Template;

/// The JSON Schema of [`Config`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Document numbers by template",
  "type": "object",
  "additionalProperties": false,
  "required": ["template"],
  "properties": {
    "template": {
      "title": "Template",
      "description": "Text with tokens: {seq} {seq:N} (N digits at least, 1..18; required), {year} {yy} {month} {month:2} {day} {day:2} {contract} {seller} {kind}",
      "type": "string",
      "minLength": 5,
      "maxLength": 100,
      "pattern": "\\{seq(:[0-9]+)?\\}",
      "examples": ["СЧ-{year}-{seq:6}"]
    },
    "reset": {
      "title": "When the counter begins again",
      "enum": ["yearly", "monthly", "daily", "never"],
      "default": "yearly"
    },
    "start": {
      "title": "First value of a counter",
      "type": "integer",
      "minimum": 1,
      "maximum": 1000000000000,
      "default": 1
    }
  }
}"#;

/// The largest first value.
const MAX_START: u64 = 1_000_000_000_000;

/// When a counter begins again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    /// On 1 January.
    #[default]
    Yearly,
    /// On the first of each month.
    Monthly,
    /// Each day.
    Daily,
    /// Never.
    Never,
}

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    template: String,
    #[serde(default)]
    reset: Reset,
    #[serde(default = "one")]
    start: u64,
}

fn one() -> u64 {
    1
}

/// The configuration, checked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Config {
    template: Template,
    reset: Reset,
    start: u64,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if !(1..=MAX_START).contains(&written.start) {
            return Err(format!("start {} is out of range; use 1 to {MAX_START}", written.start));
        }
        let template = Template::parse(&written.template)?;
        if let Err(note) = template.shows(written.reset) {
            altyn_plugin::warn(&note);
        }
        Ok(Self { template, reset: written.reset, start: written.start })
    }
}

/// The scheme.
pub struct NumberTemplate;

impl NumberingScheme for NumberTemplate {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("number-template", env!("CARGO_PKG_VERSION"), "Document numbers by template", SCHEMA)
    }

    fn sequence(config: &Config, _: &Context, draft: &Draft) -> Result<Sequence, Fault> {
        let (kind, on) = (&draft.kind, &draft.issued_on);
        let key = match config.reset {
            Reset::Yearly => format!("{kind}/{:04}", on.year),
            Reset::Monthly => format!("{kind}/{:04}-{:02}", on.year, on.month),
            Reset::Daily => format!("{kind}/{on}"),
            Reset::Never => kind.clone(),
        };
        Ok(Sequence { key, start: config.start })
    }

    fn number(config: &Config, _: &Context, draft: &Draft, value: u64) -> Result<String, Fault> {
        config.template.form(draft, value).map_err(|text| Fault::Invalid(format!("draft {}: {text}", draft.id)))
    }
}

altyn_plugin::numbering_scheme!(NumberTemplate);

#[cfg(test)]
mod tests;
