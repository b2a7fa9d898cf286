//! The test double of the numbering world. An element is named by the contract of its draft. It misbehaves when it
//! forms numbers and when it names sequences; `wrong-sum` gives every document the same number, `foreign-currency`
//! names a sequence that no host takes.

use altyn_plugin::numbering::{Draft, Sequence};
use altyn_plugin::{Context, Descriptor, Fault, NumberingScheme};
use hostile::{BAD_TEXT, Config, Deed, huge};

/// The scheme.
pub struct Hostile;

impl NumberingScheme for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        hostile::describe("numbering")
    }

    fn sequence(config: &Config, _: &Context, draft: &Draft) -> Result<Sequence, Fault> {
        let key = match config.provoke(&draft.contract)? {
            Deed::HugeAnswer => huge(),
            Deed::ForeignCurrency => " \u{7} ".into(),
            Deed::NotANumber => String::new(),
            _ => draft.kind.clone(),
        };
        Ok(Sequence { key, start: 1 })
    }

    fn number(config: &Config, _: &Context, draft: &Draft, value: u64) -> Result<String, Fault> {
        Ok(match config.provoke(&draft.contract)? {
            Deed::HugeAnswer => huge(),
            Deed::WrongSum => "1".into(),
            Deed::ShortAnswer => String::new(),
            Deed::BadText => BAD_TEXT.into(),
            _ => format!("H-{value}"),
        })
    }
}

altyn_plugin::numbering_scheme!(Hostile);
