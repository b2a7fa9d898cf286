//! What a numbering plugin is asked, and what the host accepts from it.
//!
//! Owns the shape of sequence keys and of document numbers. Refuses to know counters: the host takes the value
//! inside the issuing transaction, so numbers are gapless whatever a plugin does.
//! Invariant: what passes these checks can be printed on one line of a document.

use crate::text::is_invisible_mark;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A document that waits for its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Name of the draft inside the batch.
    pub id: String,
    /// Kind of the document, such as `invoice`.
    pub kind: String,
    /// The seller that issues it.
    pub seller: String,
    /// The contract that it belongs to.
    pub contract: String,
    /// Date of issue.
    pub issued_on: NaiveDate,
    /// Further facts, name and value.
    pub attributes: Vec<(String, String)>,
}

/// The counter that a document draws from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sequence {
    /// Name of the counter within seller and document kind.
    pub key: String,
    /// First value of a counter that does not exist yet.
    pub start: u64,
}

/// Why an answer of a numbering plugin was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberingViolation {
    /// The key has no characters or too many.
    #[error("a sequence key has 1 to 100 characters, got {0}")]
    KeyLength(usize),
    /// The key has a character that is not visible.
    #[error("a sequence key is made of visible Latin or Cyrillic characters, got {0:?}")]
    KeyCharacter(char),
    /// The first value is zero or absurdly large.
    #[error("a sequence starts at 1 to 1000000000000, got {0}")]
    Start(u64),
    /// The number has no characters or too many.
    #[error("a document number has 1 to 64 characters, got {0}")]
    NumberLength(usize),
    /// The number has a control character.
    #[error("a document number has no control characters, got {0:?}")]
    NumberCharacter(char),
    /// The number begins or ends with a space.
    #[error("a document number neither begins nor ends with a space")]
    NumberSpace,
}

/// Longest key of a sequence, in characters.
pub const MAX_KEY_CHARACTERS: usize = 100;
/// Largest first value of a sequence.
pub const MAX_START: u64 = 1_000_000_000_000;
/// Longest document number, in characters.
pub const MAX_NUMBER_CHARACTERS: usize = 64;

/// Checks the sequence that a plugin named.
pub fn check_sequence(sequence: &Sequence) -> Result<(), NumberingViolation> {
    let length = sequence.key.chars().count();
    if !(1..=MAX_KEY_CHARACTERS).contains(&length) {
        return Err(NumberingViolation::KeyLength(length));
    }
    let visible = |c: char| c.is_ascii_graphic() || ('\u{400}'..='\u{4ff}').contains(&c);
    if let Some(refused) = sequence.key.chars().find(|c| !visible(*c)) {
        return Err(NumberingViolation::KeyCharacter(refused));
    }
    if !(1..=MAX_START).contains(&sequence.start) {
        return Err(NumberingViolation::Start(sequence.start));
    }
    Ok(())
}

/// Checks the number that a plugin formatted.
pub fn check_number(number: &str) -> Result<(), NumberingViolation> {
    let length = number.chars().count();
    if !(1..=MAX_NUMBER_CHARACTERS).contains(&length) {
        return Err(NumberingViolation::NumberLength(length));
    }
    if let Some(refused) = number.chars().find(|c| c.is_control() || is_invisible_mark(*c)) {
        return Err(NumberingViolation::NumberCharacter(refused));
    }
    if number.trim() != number {
        return Err(NumberingViolation::NumberSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(key: &str, start: u64) -> Result<(), NumberingViolation> {
        check_sequence(&Sequence { key: key.to_owned(), start })
    }

    #[test]
    fn a_sequence_key_is_visible_and_bounded() {
        assert_eq!(sequence("СЧ/2026", 1), Ok(()));
        assert_eq!(sequence("invoice-2026", MAX_START), Ok(()));
        assert_eq!(sequence(&"я".repeat(100), 1), Ok(()));
        assert_eq!(sequence(&"я".repeat(101), 1), Err(NumberingViolation::KeyLength(101)));
        assert_eq!(sequence("", 1), Err(NumberingViolation::KeyLength(0)));
        assert_eq!(sequence("a b", 1), Err(NumberingViolation::KeyCharacter(' ')));
        assert_eq!(sequence("a\u{200b}b", 1), Err(NumberingViolation::KeyCharacter('\u{200b}')));
    }

    #[test]
    fn a_sequence_starts_at_one_or_above() {
        assert_eq!(sequence("x", 0), Err(NumberingViolation::Start(0)));
        assert_eq!(sequence("x", MAX_START + 1), Err(NumberingViolation::Start(MAX_START + 1)));
    }

    #[test]
    fn a_number_fits_one_line_of_a_document() {
        assert_eq!(check_number("СЧ-2026-000123"), Ok(()));
        assert_eq!(check_number("№ 12"), Ok(()));
        assert_eq!(check_number(&"9".repeat(64)), Ok(()));
        assert_eq!(check_number(&"9".repeat(65)), Err(NumberingViolation::NumberLength(65)));
        assert_eq!(check_number(""), Err(NumberingViolation::NumberLength(0)));
        assert_eq!(check_number("a\nb"), Err(NumberingViolation::NumberCharacter('\n')));
        assert_eq!(check_number("1\u{202e}2"), Err(NumberingViolation::NumberCharacter('\u{202e}')));
        assert_eq!(check_number(" 1"), Err(NumberingViolation::NumberSpace));
        assert_eq!(check_number("1 "), Err(NumberingViolation::NumberSpace));
    }
}
