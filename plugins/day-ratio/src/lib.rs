//! Proration by days: `used = round(B * days / D)`, half-up away from zero.
//!
//! B is what was billed on the line, or its price when nothing was; D the days of the period; `days` the days counted
//! by the contract's rule of the change day. The whole period costs the whole, no day costs nothing. What was credited
//! before is not charged again: the used part is capped at what is still billed, and the rest is given back.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, NO_CONFIG_SCHEMA, NoConfig, ProrationStrategy, describe, share_of};

/// The strategy.
pub struct DayRatio;

impl ProrationStrategy for DayRatio {
    type Config = NoConfig;

    fn describe() -> Descriptor {
        describe("day-ratio", env!("CARGO_PKG_VERSION"), "Proration by days", NO_CONFIG_SCHEMA)
    }

    fn share(_: &NoConfig, _: &Context, question: Question) -> Result<Share, Fault> {
        let basis = question.basis()?;
        let (days, whole) = question.days()?;
        let total = if question.billed.minor == 0 { question.price.minor } else { question.billed.minor };
        let used = if days == whole {
            basis
        } else {
            let part = share_of(total, days, whole);
            part.ok_or_else(|| Fault::Unsupported(format!("line {}: the amount is too large", question.line)))?
                .min(basis)
        };
        Share::of(question, used, format!("{days} of {whole} days"))
    }
}

altyn_plugin::proration_strategy!(DayRatio);

#[cfg(test)]
mod tests;
