//! Between the domain's types and the contract's: total on the way out, structural checks on the way back.
//!
//! Owns shape only: known currencies, real dates, canonical decimals, lengths, counts. Whether an amount is right is
//! the domain's to check. Invariant: what comes back is representable in the domain without rounding or guessing.

use altyn_domain::calendar::Period;
use altyn_domain::money::{Currency, Money};
use altyn_domain::numbering::{Draft, Sequence};
use altyn_domain::plugin::{CallContext, Descriptor};
use altyn_domain::proration::{CurrentDay, Question, Share};
use altyn_domain::tax::{Assessment, LineTax, Party, PriceMode, TaxDocument, TaxableLine};
use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;

use crate::bindings::{wit_numbering, wit_proration, wit_tax, wit_types};

/// Longest text in an answer, bytes. Meaning has tighter bounds, which the domain checks line by line.
const MAX_TEXT_BYTES: usize = 4_096;
/// Longest decimal text, as the contract says.
const MAX_DECIMAL_BYTES: usize = 40;

/// What is structurally wrong with an answer.
pub(crate) type Wrong = String;

pub(crate) fn context(ctx: &CallContext) -> wit_types::Context {
    wit_types::Context {
        tenant: ctx.tenant.clone(),
        binding: ctx.binding.clone(),
        config: ctx.config.clone(),
        now: ctx.now_ms,
        zone: ctx.zone.clone(),
        locale: ctx.locale.clone(),
    }
}

pub(crate) fn money(money: Money) -> wit_types::Money {
    wit_types::Money { minor: money.minor, currency: money.currency.code().to_owned() }
}

fn date(date: NaiveDate) -> wit_types::Date {
    // chrono's months and days fit a byte.
    let byte = |n: u32| u8::try_from(n).unwrap_or_default();
    wit_types::Date { year: date.year(), month: byte(date.month()), day: byte(date.day()) }
}

fn period(period: Period) -> wit_types::Period {
    wit_types::Period { start: date(period.start), end: date(period.end) }
}

pub(crate) fn attributes(pairs: &[(String, String)]) -> Vec<wit_types::Attribute> {
    pairs.iter().map(|(name, value)| wit_types::Attribute { name: name.clone(), value: value.clone() }).collect()
}

pub(crate) fn question(question: &Question) -> wit_proration::Question {
    wit_proration::Question {
        line: question.line.clone(),
        price: money(question.price),
        period: period(question.period),
        used: period(question.used),
        current_day: match question.current_day {
            CurrentDay::Old => wit_proration::CurrentDay::Old,
            CurrentDay::New => wit_proration::CurrentDay::New,
            CurrentDay::Both => wit_proration::CurrentDay::Both,
            CurrentDay::Neither => wit_proration::CurrentDay::Neither,
        },
        billed: money(question.billed),
        credited: money(question.credited),
        exponent: question.price.currency.exponent(),
    }
}

fn party(party: &Party) -> wit_types::Party {
    wit_types::Party {
        id: party.id.clone(),
        kind: party.kind.clone(),
        country: party.country.clone(),
        tax_ids: attributes(&party.tax_ids),
        attributes: attributes(&party.attributes),
    }
}

fn taxable_line(line: &TaxableLine) -> wit_tax::Line {
    wit_tax::Line {
        id: line.id.clone(),
        amount: money(line.amount),
        supplied_on: date(line.supplied_on),
        category: line.category.clone(),
        attributes: attributes(&line.attributes),
    }
}

/// A document with at least one line, all lines in one currency.
pub(crate) fn document(document: &TaxDocument) -> Result<wit_tax::Document, Wrong> {
    let currency = match document.lines.first() {
        Some(line) => line.amount.currency,
        None => return Err(format!("document \"{}\" has no lines", document.id)),
    };
    if document.lines.iter().any(|line| line.amount.currency != currency) {
        return Err(format!("document \"{}\" has lines in several currencies", document.id));
    }
    Ok(wit_tax::Document {
        id: document.id.clone(),
        seller: party(&document.seller),
        buyer: party(&document.buyer),
        issued_on: date(document.issued_on),
        advance: document.advance,
        mode: match document.mode {
            PriceMode::Included => wit_tax::PriceMode::Included,
            PriceMode::OnTop => wit_tax::PriceMode::OnTop,
        },
        lines: document.lines.iter().map(taxable_line).collect(),
        exponent: currency.exponent(),
    })
}

pub(crate) fn draft(draft: &Draft) -> wit_numbering::Draft {
    wit_numbering::Draft {
        id: draft.id.clone(),
        kind: draft.kind.clone(),
        seller: draft.seller.clone(),
        contract: draft.contract.clone(),
        issued_on: date(draft.issued_on),
        attributes: attributes(&draft.attributes),
    }
}

pub(crate) fn descriptor(descriptor: wit_types::Descriptor) -> Descriptor {
    let wit_types::Descriptor { id, version, title, config_schema, secrets, hosts } = descriptor;
    Descriptor { id, version, title, config_schema, secrets, hosts }
}

/// As many answers as questions, each in its place.
pub(crate) fn counted<T>(answers: &[T], asked: usize) -> Result<(), Wrong> {
    if answers.len() == asked {
        Ok(())
    } else {
        Err(format!("{asked} questions were asked and {} answered", answers.len()))
    }
}

fn text(name: &str, text: String) -> Result<String, Wrong> {
    if text.len() <= MAX_TEXT_BYTES {
        Ok(text)
    } else {
        Err(format!("{name} has {} bytes, at most {MAX_TEXT_BYTES} are taken", text.len()))
    }
}

/// `near` is the currency of the question: nearly every answer has it, and a look at three letters is cheaper than the
/// list of all currencies.
fn amount(money: &wit_types::Money, near: Currency) -> Result<Money, Wrong> {
    let currency = if money.currency == near.code() {
        near
    } else {
        Currency::parse(&money.currency).map_err(|error| error.to_string())?
    };
    Ok(Money::new(money.minor, currency))
}

pub(crate) fn share(question: &Question, share: wit_proration::Share) -> Result<Share, Wrong> {
    let near = question.price.currency;
    Ok(Share {
        used: amount(&share.used, near)?,
        credit: amount(&share.credit, near)?,
        line: text("line", share.line)?,
        explanation: text("explanation", share.explanation)?,
    })
}

pub(crate) fn assessment(document: &TaxDocument, answer: wit_tax::Assessment) -> Result<Assessment, Wrong> {
    let Some(near) = document.lines.first().map(|line| line.amount.currency) else {
        return Err(format!("document \"{}\" has no lines", document.id));
    };
    let line = |line: wit_tax::LineTax| {
        Ok(LineTax {
            net: amount(&line.net, near)?,
            tax: amount(&line.tax, near)?,
            gross: amount(&line.gross, near)?,
            rate: line.rate.as_deref().map(decimal).transpose()?,
            line: text("line", line.line)?,
            code: text("code", line.code)?,
        })
    };
    Ok(Assessment {
        lines: answer.lines.into_iter().map(line).collect::<Result<_, Wrong>>()?,
        document: text("document", answer.document)?,
    })
}

pub(crate) fn sequence(sequence: wit_numbering::Sequence) -> Result<Sequence, Wrong> {
    Ok(Sequence { key: text("key", sequence.key)?, start: sequence.start })
}

pub(crate) fn number(number: String) -> Result<String, Wrong> {
    text("number", number)
}

/// Reads `-?(0|[1-9][0-9]*)(\.[0-9]+)?` of at most 40 characters, exactly.
pub(crate) fn decimal(text: &str) -> Result<Decimal, Wrong> {
    let wrong = || {
        let shown: String = text.chars().take(MAX_DECIMAL_BYTES).collect();
        format!("\"{}\" is not a canonical decimal", shown.escape_debug())
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if text.len() > MAX_DECIMAL_BYTES
        || !numeric(whole)
        || !numeric(fraction)
        || (whole.len() > 1 && whole.starts_with('0'))
        || text == "-0"
    {
        return Err(wrong());
    }
    Decimal::from_str_exact(text).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimals_are_read() {
        for good in ["0", "22", "-1.50", "0.000000000000000000000000001", "16.666666666666666666666666667"] {
            assert_eq!(decimal(good).unwrap().to_string(), good);
        }
        for bad in ["", "-", "-0", ".5", "5.", "05", "1e3", "+1", "1,5", " 1", "1_0", "٣", "1.1.1", "NaN"] {
            assert!(decimal(bad).is_err(), "{bad:?}");
        }
        assert!(decimal(&"9".repeat(41)).is_err());
        // Fits the grammar, but not without rounding.
        assert!(decimal(&format!("0.{}", "1".repeat(38))).is_err());
    }

    #[test]
    fn a_foreign_but_real_currency_passes_to_the_domain_and_an_unknown_one_does_not() {
        let wit = |code: &str| wit_types::Money { minor: 5, currency: code.to_owned() };
        assert_eq!(amount(&wit("RUB"), Currency::RUB), Ok(Money::new(5, Currency::RUB)));
        assert_eq!(amount(&wit("EUR"), Currency::RUB), Ok(Money::new(5, Currency::EUR)));
        assert!(amount(&wit("rub"), Currency::RUB).is_err());
        assert!(amount(&wit("XQQ"), Currency::RUB).is_err());
    }
}
