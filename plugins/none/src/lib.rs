//! No proration: a part of a period costs the whole price, or nothing, and nothing is given back.
//!
//! A first period that is cut short is charged in full (`"part": "full"`, the default) or is free (`"part": "free"`). A
//! line that was billed stays billed whatever happens on it: the used part is all that is still billed, the credit is
//! zero. Who pays for the day of a change is of no importance here.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, ProrationStrategy, describe};
use serde::Deserialize;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "No proration",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "part": { "enum": ["full", "free"], "default": "full", "description": "what a part of a new period costs" }
  }
}"#;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What a part of a new period costs.
    pub part: Part,
}

/// What a part of a new period costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The price of the whole period.
    #[default]
    Full,
    /// Nothing.
    Free,
}

/// The strategy.
pub struct NoProration;

impl ProrationStrategy for NoProration {
    type Config = Config;

    fn describe() -> Descriptor {
        describe("none", env!("CARGO_PKG_VERSION"), "No proration", SCHEMA)
    }

    fn share(config: &Config, _: &Context, question: Question) -> Result<Share, Fault> {
        let basis = question.basis()?;
        question.days()?;
        if question.billed.minor > 0 {
            line_share::used(question, Some(basis), "nothing is given back")
        } else if config.part == Part::Free && question.used != question.period {
            line_share::used(question, Some(0), "a part of a period is free")
        } else {
            line_share::used(question, Some(basis), "the full price")
        }
    }
}

altyn_plugin::proration_strategy!(NoProration);

#[cfg(test)]
mod tests {
    use line_share::vectors;

    use super::*;

    #[test]
    fn published_vectors_hold() {
        vectors::hold::<NoProration>(include_str!("../tests/vectors.json"));
    }

    #[test]
    fn money_is_conserved_on_every_split() {
        vectors::conserves::<NoProration>("{}");
        vectors::conserves::<NoProration>(r#"{"part":"free"}"#);
    }
}
