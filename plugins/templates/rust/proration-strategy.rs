//! A price shared by days: the days used of the days of the period.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, NO_CONFIG_SCHEMA, NoConfig, ProrationStrategy, describe, share_of};

struct Plugin;

impl ProrationStrategy for Plugin {
    type Config = NoConfig;

    fn describe() -> Descriptor {
        describe(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Price by days", NO_CONFIG_SCHEMA)
    }

    fn share(_: &NoConfig, _: &Context, question: Question) -> Result<Share, Fault> {
        let basis = question.basis()?;
        let (used, whole) = question.days()?;
        let share = share_of(basis, used, whole)
            .ok_or_else(|| Fault::Unsupported(format!("line {}: the price is too large", question.line)))?;
        Share::of(question, share, format!("{used} of {whole} days"))
    }
}

altyn_plugin::proration_strategy!(Plugin);
