//! The question that a proration strategy answers, and what the host accepts as an answer.
//!
//! Owns conservation: a strategy decides how a price is shared, never how much money there is. Refuses to know any
//! formula. Invariant: the answer keeps a new line within its price, and splits a line that was billed before into
//! a used and a credited part that sum to what is still billed, to the minor unit.

use serde::{Deserialize, Serialize};

use crate::calendar::Period;
use crate::money::Money;
use crate::text::is_invisible_mark;
use crate::text::text_enum;

text_enum! {
    /// Who pays for the day on which a change happens.
    pub enum CurrentDay as "current-day policy" {
        /// The old plan.
        Old = "old",
        /// The new plan.
        New = "new",
        /// Both plans.
        Both = "both",
        /// Neither plan.
        Neither = "neither",
    }
}

/// How much of a price falls on a part of its period?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name of the line inside the batch.
    pub line: String,
    /// Price of the whole period; zero or more.
    pub price: Money,
    /// The whole period.
    pub period: Period,
    /// The part of it in which the service is provided.
    pub used: Period,
    /// Who pays for the day of the change.
    pub current_day: CurrentDay,
    /// What was billed on this line before; zero for a new line.
    pub billed: Money,
    /// What of it was given back already.
    pub credited: Money,
}

impl Question {
    /// What the answer divides: what is still billed of an old line, or the price of a new one.
    pub fn basis(&self) -> Result<Money, ProrationViolation> {
        if self.billed.is_zero() {
            Ok(self.price)
        } else {
            self.billed.sub(self.credited).map_err(|_| ProrationViolation::Question("billed and credited do not match"))
        }
    }
}

/// The answer of a strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Name of the line inside the batch.
    pub line: String,
    /// What the used part costs.
    pub used: Money,
    /// What is given back; zero for a new line.
    pub credit: Money,
    /// How the figure came about, for people; up to 1000 characters.
    pub explanation: String,
}

/// Why an answer of a proration strategy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProrationViolation {
    /// The explanation would print as something else.
    #[error("line \"{line}\": an explanation has no control or invisible characters, got {refused:?}")]
    ExplanationCharacter {
        /// The line.
        line: String,
        /// The first of them.
        refused: char,
    },
    /// The host asked something that has no answer.
    #[error("the proration question is malformed: {0}")]
    Question(&'static str),
    /// The answer is about another line.
    #[error("asked about line \"{asked}\", answered about line \"{answered}\"")]
    Line {
        /// The line of the question.
        asked: String,
        /// The line of the answer.
        answered: String,
    },
    /// The answer is in another currency.
    #[error("line \"{line}\": the answer must be in the currency of the price")]
    Currency {
        /// The line.
        line: String,
    },
    /// The used part is negative or costs more than there is.
    #[error("line \"{line}\": used {used} must lie between zero and {basis}")]
    Used {
        /// The line.
        line: String,
        /// What was answered.
        used: Money,
        /// What there is to share.
        basis: Money,
    },
    /// The whole period is used but does not cost the whole.
    #[error("line \"{line}\": a fully used period costs {basis}, got {used}")]
    Full {
        /// The line.
        line: String,
        /// What was answered.
        used: Money,
        /// What the whole costs.
        basis: Money,
    },
    /// The credit is negative or more than is still billed.
    #[error("line \"{line}\": credit {credit} must lie between zero and {cap}")]
    Credit {
        /// The line.
        line: String,
        /// What was answered.
        credit: Money,
        /// What may be given back at most.
        cap: Money,
    },
    /// Used and credited parts do not sum to what is billed.
    #[error("line \"{line}\": used {used} and credit {credit} must sum to {basis}")]
    Conservation {
        /// The line.
        line: String,
        /// Used part.
        used: Money,
        /// Credited part.
        credit: Money,
        /// What is still billed.
        basis: Money,
    },
    /// The explanation is too long to keep.
    #[error("line \"{line}\": an explanation has at most 1000 characters, got {characters}")]
    Explanation {
        /// The line.
        line: String,
        /// Its length.
        characters: usize,
    },
}

/// Longest explanation, in characters.
pub const MAX_EXPLANATION_CHARACTERS: usize = 1000;

/// Checks one answer against its question.
pub fn check(question: &Question, share: &Share) -> Result<(), ProrationViolation> {
    if !question.period.covers(&question.used) {
        return Err(ProrationViolation::Question("the used part lies outside the period"));
    }
    if question.price.minor < 0 || question.credited.minor < 0 || question.billed.minor < question.credited.minor {
        return Err(ProrationViolation::Question("price, credited and billed less credited are zero or more"));
    }
    if share.line != question.line {
        return Err(ProrationViolation::Line {
            asked: question.line.clone(),
            answered: crate::text::shorten(&share.line),
        });
    }
    let line = || question.line.clone();
    let currency = question.price.currency;
    if [question.billed, question.credited].iter().any(|m| m.currency != currency) {
        return Err(ProrationViolation::Question("price, billed and credited have different currencies"));
    }
    if share.used.currency != currency || share.credit.currency != currency {
        return Err(ProrationViolation::Currency { line: line() });
    }
    let basis = question.basis()?;
    let cap = if question.billed.is_zero() { Money::zero(currency) } else { basis };
    if !(0..=cap.minor).contains(&share.credit.minor) {
        return Err(ProrationViolation::Credit { line: line(), credit: share.credit, cap });
    }
    if !(0..=basis.minor).contains(&share.used.minor) {
        return Err(ProrationViolation::Used { line: line(), used: share.used, basis });
    }
    if question.used == question.period && share.used != basis {
        return Err(ProrationViolation::Full { line: line(), used: share.used, basis });
    }
    // Both parts lie within the basis, so their sum is checked as a difference that cannot overflow.
    if !question.billed.is_zero() && basis.minor - share.used.minor != share.credit.minor {
        return Err(ProrationViolation::Conservation { line: line(), used: share.used, credit: share.credit, basis });
    }
    let characters = share.explanation.chars().count();
    if characters > MAX_EXPLANATION_CHARACTERS {
        return Err(ProrationViolation::Explanation { line: line(), characters });
    }
    if let Some(refused) = share.explanation.chars().find(|c| c.is_control() || is_invisible_mark(*c)) {
        return Err(ProrationViolation::ExplanationCharacter { line: line(), refused });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, ratio};
    use chrono::NaiveDate;
    use proptest::prelude::*;

    fn rub(minor: i64) -> Money {
        Money::new(minor, Currency::RUB)
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn january(from: &str, to: &str) -> Period {
        Period::try_new(day(from), day(to)).unwrap()
    }

    fn cancelled_on_the_15th() -> Question {
        Question {
            line: "0".into(),
            price: rub(100_000),
            period: january("2026-01-01", "2026-02-01"),
            used: january("2026-01-01", "2026-01-16"),
            current_day: CurrentDay::Old,
            billed: rub(100_000),
            credited: rub(0),
        }
    }

    fn share(used: i64, credit: i64) -> Share {
        Share { line: "0".into(), used: rub(used), credit: rub(credit), explanation: String::new() }
    }

    #[test]
    fn a_billed_line_is_split_without_a_remainder() {
        let question = cancelled_on_the_15th();
        assert_eq!(check(&question, &share(48_384, 51_616)), Ok(()));
        assert!(matches!(check(&question, &share(48_390, 51_616)), Err(ProrationViolation::Conservation { .. })));
        assert!(matches!(check(&question, &share(48_384, 51_615)), Err(ProrationViolation::Conservation { .. })));
    }

    #[test]
    fn a_credit_never_exceeds_what_is_still_billed() {
        let question = Question { credited: rub(60_000), ..cancelled_on_the_15th() };
        assert_eq!(check(&question, &share(0, 40_000)), Ok(()));
        assert!(matches!(check(&question, &share(0, 51_616)), Err(ProrationViolation::Credit { .. })));
        assert!(matches!(check(&question, &share(40_001, -1)), Err(ProrationViolation::Credit { .. })));
    }

    #[test]
    fn a_new_line_has_nothing_to_credit() {
        let question = Question { billed: rub(0), ..cancelled_on_the_15th() };
        assert_eq!(check(&question, &share(48_387, 0)), Ok(()));
        assert!(matches!(check(&question, &share(48_387, 1)), Err(ProrationViolation::Credit { .. })));
    }

    #[test]
    fn a_used_part_costs_between_nothing_and_the_price() {
        let question = Question { billed: rub(0), ..cancelled_on_the_15th() };
        assert_eq!(check(&question, &share(0, 0)), Ok(()));
        assert!(matches!(check(&question, &share(-1, 0)), Err(ProrationViolation::Used { .. })));
        assert!(matches!(check(&question, &share(100_001, 0)), Err(ProrationViolation::Used { .. })));
    }

    #[test]
    fn a_fully_used_period_costs_the_full_price() {
        let whole = january("2026-01-01", "2026-02-01");
        let question = Question { used: whole, billed: rub(0), ..cancelled_on_the_15th() };
        assert_eq!(check(&question, &share(100_000, 0)), Ok(()));
        assert!(matches!(check(&question, &share(99_999, 0)), Err(ProrationViolation::Full { .. })));
    }

    #[test]
    fn an_answer_about_another_line_or_currency_is_refused() {
        let question = cancelled_on_the_15th();
        let other_line = Share { line: "1".into(), ..share(48_384, 51_616) };
        assert!(matches!(check(&question, &other_line), Err(ProrationViolation::Line { .. })));
        let foreign = Share { used: Money::new(48_384, Currency::EUR), ..share(48_384, 51_616) };
        assert!(matches!(check(&question, &foreign), Err(ProrationViolation::Currency { .. })));
    }

    #[test]
    fn an_explanation_is_bounded() {
        let question = cancelled_on_the_15th();
        let told = |n: usize| Share { explanation: "я".repeat(n), ..share(48_384, 51_616) };
        assert_eq!(check(&question, &told(1000)), Ok(()));
        assert!(matches!(check(&question, &told(1001)), Err(ProrationViolation::Explanation { characters: 1001, .. })));
    }

    #[test]
    fn a_question_whose_used_part_lies_outside_is_a_fault_of_the_host() {
        let question = Question { used: january("2025-12-31", "2026-01-16"), ..cancelled_on_the_15th() };
        assert!(matches!(check(&question, &share(0, 0)), Err(ProrationViolation::Question(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_ratio_of_days_and_its_complement_always_pass(
            billed in 1_i64..1_000_000_000, credited in 0_i64..1_000_000_000, days in 1_i64..31,
        ) {
            let credited = credited.min(billed);
            let used = january("2026-01-01", "2026-02-01").start.checked_add_days(chrono::Days::new(days.unsigned_abs()));
            let question = Question {
                billed: rub(billed),
                credited: rub(credited),
                used: Period::try_new(day("2026-01-01"), used.unwrap()).unwrap(),
                ..cancelled_on_the_15th()
            };
            let part = ratio(billed - credited, days, 31).unwrap();
            prop_assert_eq!(check(&question, &share(part, billed - credited - part)), Ok(()));
        }
    }
}
