//! Invoices (счета): statuses, and totals that are sums of lines.
//!
//! Refuses to know numbers and plugins. Invariant: a total is the sum of its lines, never a rate applied to a sum.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError};
use crate::text::text_enum;

text_enum! {
    /// How far an invoice has come.
    pub enum InvoiceStatus as "invoice status" {
        /// Being prepared; has no number.
        Draft = "draft",
        /// Numbered and sent; immutable.
        Issued = "issued",
        /// Paid in full.
        Paid = "paid",
        /// Withdrawn; keeps its number.
        Void = "void",
    }
}

impl InvoiceStatus {
    /// Whether an invoice of this status may take the next one. A paid one is issued again when its payment is undone.
    pub fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Draft | Self::Paid, Self::Issued) | (Self::Issued, Self::Paid | Self::Void))
    }

    /// Whether a payment may be allocated to an invoice of this status.
    pub fn takes_payment(self) -> bool {
        matches!(self, Self::Issued)
    }
}

/// An amount without tax, its tax, and both together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Amounts {
    /// Without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// With tax.
    pub gross: Money,
}

impl Amounts {
    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        let zero = Money::zero(currency);
        Self { net: zero, tax: zero, gross: zero }
    }
}

/// Why lines have no total.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TotalsError {
    /// A line that does not balance.
    #[error("line {index}: net {net} and tax {tax} must sum to gross {gross}")]
    Line {
        /// Place of the line, from 0.
        index: usize,
        /// Without tax.
        net: Money,
        /// The tax.
        tax: Money,
        /// With tax.
        gross: Money,
    },
    /// Currencies differ or the sum is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// Sums lines; each must balance, all must have the currency.
pub fn totals(currency: Currency, lines: impl IntoIterator<Item = Amounts>) -> Result<Amounts, TotalsError> {
    lines.into_iter().enumerate().try_fold(Amounts::zero(currency), |sum, (index, line)| {
        let Amounts { net, tax, gross } = line;
        if net.add(tax)? != gross {
            return Err(TotalsError::Line { index, net, tax, gross });
        }
        Ok(Amounts { net: sum.net.add(net)?, tax: sum.tax.add(tax)?, gross: sum.gross.add(gross)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(net: i64, tax: i64, gross: i64) -> Amounts {
        let rub = |minor| Money::new(minor, Currency::RUB);
        Amounts { net: rub(net), tax: rub(tax), gross: rub(gross) }
    }

    #[test]
    fn a_total_is_the_sum_of_its_lines() {
        // 2 × 0.03 at 22 % on top: the tax of the sum would be 0.01, the sum of the line taxes is 0.02.
        assert_eq!(totals(Currency::RUB, [line(3, 1, 4), line(3, 1, 4)]), Ok(line(6, 2, 8)));
        assert_eq!(totals(Currency::RUB, []), Ok(Amounts::zero(Currency::RUB)));
    }

    #[test]
    fn a_line_that_does_not_balance_has_no_total() {
        assert!(matches!(
            totals(Currency::RUB, [line(3, 1, 4), line(3, 1, 5)]),
            Err(TotalsError::Line { index: 1, .. })
        ));
        assert!(matches!(totals(Currency::EUR, [line(3, 1, 4)]), Err(TotalsError::Money(_))));
        assert_eq!(
            totals(Currency::RUB, [line(i64::MAX, 0, i64::MAX), line(1, 0, 1)]),
            Err(TotalsError::Money(MoneyError::Overflow))
        );
    }

    #[test]
    fn a_voided_invoice_takes_no_payment() {
        assert!(InvoiceStatus::Issued.takes_payment());
        assert!(!InvoiceStatus::Void.takes_payment());
        assert!(!InvoiceStatus::Draft.takes_payment());
        assert!(!InvoiceStatus::Void.may_become(InvoiceStatus::Issued));
        assert!(!InvoiceStatus::Issued.may_become(InvoiceStatus::Draft));
    }
}
