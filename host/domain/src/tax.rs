//! What a tax rule is asked about a document, and what the host accepts as an answer.
//!
//! Owns the arithmetic of a taxed line: where a rate is named, the tax is recomputed and must agree to the minor
//! unit. Refuses to know countries, rates and dates. Invariant: net + tax = gross on every line, the side that the
//! price is stated on is kept as it is, and there is no tax without a rate.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::money::{Money, percent_included, percent_on_top};
use crate::text::{shorten, text_enum};

text_enum! {
    /// Which side of the tax a price is stated on.
    pub enum PriceMode as "price mode" {
        /// The price includes the tax.
        Included = "included",
        /// The tax comes on top of the price.
        OnTop = "on-top",
    }
}

/// A seller or buyer as a tax rule sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Name of the party inside the batch, or its identifier.
    pub id: String,
    /// Kind, such as `legal-entity`.
    pub kind: String,
    /// Country code of ISO 3166, two letters.
    pub country: String,
    /// Tax identifiers, scheme and value.
    pub tax_ids: Vec<(String, String)>,
    /// Further facts, name and value.
    pub attributes: Vec<(String, String)>,
}

/// A line to be taxed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxableLine {
    /// Name of the line inside the document.
    pub id: String,
    /// The price on the side that the document's mode names.
    pub amount: Money,
    /// Date of supply, which selects the rate.
    pub supplied_on: NaiveDate,
    /// Tax category of what is sold.
    pub category: String,
    /// Further facts, name and value.
    pub attributes: Vec<(String, String)>,
}

/// A document to be taxed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxDocument {
    /// Name of the document inside the batch.
    pub id: String,
    /// Who sells.
    pub seller: Party,
    /// Who buys.
    pub buyer: Party,
    /// Date of issue.
    pub issued_on: NaiveDate,
    /// Whether the document is about an advance payment.
    pub advance: bool,
    /// Which side the amounts are stated on.
    pub mode: PriceMode,
    /// The lines.
    pub lines: Vec<TaxableLine>,
}

/// The tax of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTax {
    /// Name of the line inside the document.
    pub line: String,
    /// Amount without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// Amount with tax.
    pub gross: Money,
    /// Code of the treatment, such as `vat22` or `none`.
    pub code: String,
    /// Rate in per cent; none when the line is not taxed.
    pub rate: Option<Decimal>,
}

/// The answer of a tax rule about one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// Name of the document inside the batch.
    pub document: String,
    /// One tax per line, in the order of the document.
    pub lines: Vec<LineTax>,
}

/// What is wrong with an answer of a tax rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxViolation {
    /// The answer is about another document.
    #[error("asked about document \"{asked}\", answered about document \"{answered}\"")]
    Document {
        /// The document of the question.
        asked: String,
        /// The document of the answer.
        answered: String,
    },
    /// Lines are missing or superfluous.
    #[error("document has {asked} lines, the answer has {answered}")]
    Count {
        /// Lines of the question.
        asked: usize,
        /// Lines of the answer.
        answered: usize,
    },
    /// A line is wrong.
    #[error("line \"{line}\": {fault}")]
    Line {
        /// The line of the question.
        line: String,
        /// What is wrong.
        fault: LineFault,
    },
}

/// What is wrong with one line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Lines are out of order.
    #[error("the answer at this place is about line \"{0}\"")]
    Order(String),
    /// Another currency.
    #[error("net, tax and gross must be in the currency of the amount")]
    Currency,
    /// Net and tax do not sum to gross.
    #[error("net {net} and tax {tax} must sum to gross {gross}")]
    Sum {
        /// Amount without tax.
        net: Money,
        /// The tax.
        tax: Money,
        /// Amount with tax.
        gross: Money,
    },
    /// The side on which the price is stated was changed.
    #[error("the price is stated as {stated}, the answer made it {answered}")]
    Amount {
        /// What the document says.
        stated: Money,
        /// What the answer says about the same side.
        answered: Money,
    },
    /// A tax of the other sign than the amount.
    #[error("tax {tax} must have the sign of the amount {amount}")]
    Sign {
        /// The tax.
        tax: Money,
        /// The amount.
        amount: Money,
    },
    /// The code is not one.
    #[error("tax code \"{0}\" must have 1 to 32 characters of a-z, 0-9, _ and -")]
    Code(String),
    /// The rate is not a percentage.
    #[error("rate {0} % must lie between 0 and 100")]
    Rate(Decimal),
    /// Tax without a rate.
    #[error("a line without a rate has no tax, got {0}")]
    TaxWithoutRate(Money),
    /// The tax is not what its rate gives.
    #[error("{rate} % {mode} of {amount} is {expected}, got {tax}")]
    Formula {
        /// The rate, per cent.
        rate: Decimal,
        /// Which side the amount is stated on.
        mode: PriceMode,
        /// The amount.
        amount: Money,
        /// What the rate gives.
        expected: Money,
        /// What was answered.
        tax: Money,
    },
}

/// The tax that a rate (per cent, 0 to 100) gives on an amount that is stated on the side `mode`: included
/// `round(gross · r / (100 + r))`, on top `round(net · r / 100)`.
pub fn tax_at(mode: PriceMode, amount: Money, rate: Decimal) -> Result<Money, crate::money::MoneyError> {
    match mode {
        PriceMode::Included => percent_included(amount, rate),
        PriceMode::OnTop => percent_on_top(amount, rate),
    }
}

/// Checks an answer against its document.
pub fn check(document: &TaxDocument, assessment: &Assessment) -> Result<(), TaxViolation> {
    if assessment.document != document.id {
        let answered = shorten(&assessment.document);
        return Err(TaxViolation::Document { asked: document.id.clone(), answered });
    }
    if assessment.lines.len() != document.lines.len() {
        return Err(TaxViolation::Count { asked: document.lines.len(), answered: assessment.lines.len() });
    }
    document.lines.iter().zip(&assessment.lines).try_for_each(|(line, answer)| {
        check_line(document.mode, line, answer).map_err(|fault| TaxViolation::Line { line: line.id.clone(), fault })
    })
}

fn check_line(mode: PriceMode, line: &TaxableLine, answer: &LineTax) -> Result<(), LineFault> {
    let LineTax { net, tax, gross, .. } = *answer;
    if answer.line != line.id {
        return Err(LineFault::Order(shorten(&answer.line)));
    }
    if [net, tax, gross].iter().any(|m| m.currency != line.amount.currency) {
        return Err(LineFault::Currency);
    }
    if net.minor.checked_add(tax.minor) != Some(gross.minor) {
        return Err(LineFault::Sum { net, tax, gross });
    }
    let stated = match mode {
        PriceMode::Included => gross,
        PriceMode::OnTop => net,
    };
    if stated != line.amount {
        return Err(LineFault::Amount { stated: line.amount, answered: stated });
    }
    if tax.minor != 0 && tax.minor.signum() != line.amount.minor.signum() {
        return Err(LineFault::Sign { tax, amount: line.amount });
    }
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !(1..=32).contains(&answer.code.len()) || !answer.code.bytes().all(allowed) {
        return Err(LineFault::Code(shorten(&answer.code)));
    }
    let Some(rate) = answer.rate else {
        return if tax.is_zero() { Ok(()) } else { Err(LineFault::TaxWithoutRate(tax)) };
    };
    // A percentage out of range and one with absurdly many digits fail alike.
    let expected = tax_at(mode, line.amount, rate).map_err(|_| LineFault::Rate(rate))?;
    if tax != expected {
        return Err(LineFault::Formula { rate, mode, amount: line.amount, expected, tax });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
