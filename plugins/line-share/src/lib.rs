//! From a part of a line to an exact answer.
//!
//! Owns the two ways in which a strategy can state a part: what is used, or what is given back. Refuses to know how
//! the part is measured. Invariant: an answer keeps what is used between zero and what is still billed, gives back
//! exactly the rest, charges the whole for the whole period, and never charges twice what was credited before.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Fault, round_div};

pub mod month;
#[cfg(feature = "vectors")]
pub mod vectors;

/// What the part is measured against: what was billed on the line, or its price when nothing was; minor units.
pub fn total(question: &Question) -> i64 {
    if question.billed.minor == 0 { question.price.minor } else { question.billed.minor }
}

/// The answer of a strategy that measures what is **used**: `part` of the total stays charged, the rest is given back.
pub fn used(question: Question, part: Option<i64>, explanation: impl Into<String>) -> Result<Share, Fault> {
    let basis = question.basis()?;
    let used = if question.used == question.period { basis } else { fits(&question, part)?.clamp(0, basis) };
    Share::of(question, used, explanation)
}

/// The answer of a strategy that measures what is **given back** of a billed line and what is charged of a new one:
/// `part(n)` is the price of `n` of the `whole` units. The complement of what is given back stays charged, so a rounded
/// unit price never leaves a remainder; a part of all units is the whole.
pub fn given_back(
    question: Question,
    (counted, whole): (i64, i64),
    part: impl Fn(i64) -> Option<i64>,
    explanation: impl Into<String>,
) -> Result<Share, Fault> {
    let (total, basis) = (total(&question), question.basis()?);
    let price_of = |units: i64| -> Result<i64, Fault> {
        match units {
            0 => Ok(0),
            units if units == whole => Ok(total),
            units => Ok(fits(&question, part(units))?.clamp(0, total)),
        }
    };
    let kept = if question.used == question.period {
        basis
    } else if question.billed.minor == 0 {
        price_of(counted)?
    } else {
        (total - price_of(whole - counted)?).min(basis)
    };
    Share::of(question, kept, explanation)
}

/// `round(total / units)`: the price of one unit, half-up away from zero.
pub fn rate(total: i64, units: i64) -> Option<i64> {
    round_div(i128::from(total), i128::from(units))
}

fn fits(question: &Question, part: Option<i64>) -> Result<i64, Fault> {
    part.ok_or_else(|| Fault::Unsupported(format!("line {}: the amount is too large", question.line)))
}
