//! The test double of the numbering world. An element is named by the contract of its draft. It misbehaves when it
//! forms numbers and when it names sequences; `wrong-sum` gives every document the same number, `foreign-currency`
//! names a sequence that no host takes.

use altyn_plugin::numbering::{Draft, Sequence};
use altyn_plugin::{Context, Descriptor, Fault, NumberingScheme};
use hostile::{Config, Deed, told};

/// The scheme.
pub struct Hostile;

impl NumberingScheme for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        hostile::describe("numbering")
    }

    fn sequence(config: &Config, _: &Context, draft: &Draft) -> Result<Sequence, Fault> {
        let key = match config.provoke(&draft.contract)? {
            Deed::ForeignCurrency => " \u{7} ".into(),
            Deed::NotANumber => String::new(),
            deed => told(deed).unwrap_or_else(|| draft.kind.clone()),
        };
        Ok(Sequence { key, start: 1 })
    }

    fn number(config: &Config, _: &Context, draft: &Draft, value: u64) -> Result<String, Fault> {
        Ok(match config.provoke(&draft.contract)? {
            Deed::WrongSum => "1".into(),
            Deed::ShortAnswer => String::new(),
            deed => told(deed).unwrap_or_else(|| format!("H-{value}")),
        })
    }
}

altyn_plugin::numbering_scheme!(Hostile);
