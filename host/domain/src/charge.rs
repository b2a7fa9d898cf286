//! Charges (списания): kinds, statuses, what is taken when, and what is given back.
//!
//! A charge has three dates: the service begins (charge date), the service ends (realisation date), money came
//! (payment date). Its gross amount has a prepaid part, taken when it falls due, and the rest, taken when it is realised.
//! Refuses to know accounts, which are the ledger's. Invariant: the credits of a charge never exceed it, and net, tax
//! and gross of what remains balance after each of them.

use crate::invoice::Amounts;
use crate::money::{Money, MoneyError, ratio};
use crate::text::text_enum;

text_enum! {
    /// What a charge is for.
    pub enum ChargeKind as "charge kind" {
        /// Starting the service.
        SetUp = "set-up",
        /// A period of the service.
        Recurring = "recurring",
        /// Metered use.
        Usage = "usage",
        /// A single sale.
        OneOff = "one-off",
        /// A correction.
        Adjustment = "adjustment",
    }
}

text_enum! {
    /// How far a charge has come.
    pub enum ChargeStatus as "charge status" {
        /// Made, no money moved yet.
        New = "new",
        /// The money was taken and stands in deferred revenue until the service is provided.
        Blocked = "blocked",
        /// The service was provided and the revenue is recognised.
        Closed = "closed",
        /// The service is being provided, and a part of the money is still to be taken.
        Opened = "opened",
        /// All of it was given back.
        Refunded = "refunded",
    }
}

/// Why a credit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditError {
    /// Less than nothing.
    #[error("a credit is zero or more, got {0}")]
    Negative(Money),
    /// More than is left.
    #[error("{asked} cannot be given back: {left} of the charge is left")]
    Exceeds {
        /// What was asked for, with or without tax as it was asked.
        asked: Money,
        /// What is left of the charge, on the same side.
        left: Money,
    },
    /// Currencies differ or a sum is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// How much of a charge is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditAmount {
    /// So much with tax.
    Gross(Money),
    /// So much without tax: what prices on top of which tax comes are stated in.
    Net(Money),
    /// All that is left.
    Rest,
}

/// A charge as far as credits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creditable {
    /// What its invoice line says.
    pub charged: Amounts,
    /// What was given back before.
    pub credited: Amounts,
    /// The part of the gross amount that was taken when the charge fell due.
    pub prepaid: Money,
    /// Whether the service is provided and the revenue recognised.
    pub realised: bool,
}

/// What a credit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Net, tax and gross given back.
    pub amounts: Amounts,
    /// The part that leaves deferred revenue for the contract's funds; zero once realised.
    pub deferred: Money,
    /// The part that leaves revenue and tax for the contract's funds; zero before.
    pub realised: Amounts,
}

impl Creditable {
    /// What is left of the charge.
    pub fn left(&self) -> Result<Amounts, MoneyError> {
        Ok(Amounts {
            net: self.charged.net.sub(self.credited.net)?,
            tax: self.charged.tax.sub(self.credited.tax)?,
            gross: self.charged.gross.sub(self.credited.gross)?,
        })
    }

    /// The part of the gross amount that stands in deferred revenue while the charge is not realised.
    pub fn held(&self) -> Result<Money, MoneyError> {
        self.prepaid.sub(self.given_from_deferred(self.credited.gross)?)
    }

    /// How much of `credited` gross came out of deferred revenue: what was never taken is given back first.
    fn given_from_deferred(&self, credited: Money) -> Result<Money, MoneyError> {
        let never_taken = self.charged.gross.sub(self.prepaid)?;
        let beyond = credited.sub(never_taken)?;
        Ok(Money::new(beyond.minor.max(0), beyond.currency))
    }

    /// Gives a part back.
    ///
    /// The tax of all credits together is the charge's tax in the proportion of what was given back, rounded once; so a
    /// charge given back in any parts gives back exactly its net, its tax and its gross.
    pub fn credit(&self, amount: CreditAmount) -> Result<Credit, CreditError> {
        let left = self.left()?;
        let currency = self.charged.gross.currency;
        let (asked, side, whole, before) = match amount {
            CreditAmount::Gross(asked) => (asked, left.gross, self.charged.gross, self.credited.gross),
            CreditAmount::Net(asked) => (asked, left.net, self.charged.net, self.credited.net),
            CreditAmount::Rest => (left.gross, left.gross, self.charged.gross, self.credited.gross),
        };
        if asked.minor < 0 {
            return Err(CreditError::Negative(asked));
        }
        // Compared by subtraction, which refuses a foreign currency.
        if side.sub(asked)?.minor < 0 {
            return Err(CreditError::Exceeds { asked, left: side });
        }
        let after = before.add(asked)?;
        let tax_after = if whole.is_zero() { 0 } else { ratio(self.charged.tax.minor, after.minor, whole.minor)? };
        let tax = Money::new(tax_after, currency).sub(self.credited.tax)?.minor;
        // Credits with and without tax may follow one another, so the proportions may be a unit apart.
        let (least, most) = match amount {
            CreditAmount::Net(_) if asked == left.net => (left.tax.minor, left.tax.minor),
            CreditAmount::Net(_) => (0, left.tax.minor),
            _ => ((asked.minor - left.net.minor).max(0), asked.minor.min(left.tax.minor)),
        };
        let tax = Money::new(tax.clamp(least, most), currency);
        let amounts = match amount {
            CreditAmount::Net(net) => Amounts { net, tax, gross: net.add(tax)? },
            _ => Amounts { net: asked.sub(tax)?, tax, gross: asked },
        };
        let gross = self.credited.gross.add(amounts.gross)?;
        let zero = Money::zero(currency);
        Ok(if self.realised {
            Credit { amounts, deferred: zero, realised: amounts }
        } else {
            let deferred = self.given_from_deferred(gross)?.sub(self.given_from_deferred(self.credited.gross)?)?;
            Credit { amounts, deferred, realised: Amounts::zero(currency) }
        })
    }
}

/// The part of a gross amount that is taken when the charge falls due: `round(gross · percent / 100)`.
pub fn prepaid_part(gross: Money, prepayment_percent: u8) -> Result<Money, MoneyError> {
    Ok(Money::new(ratio(gross.minor, i64::from(prepayment_percent), 100)?, gross.currency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use proptest::prelude::*;

    const RUB: Currency = Currency::RUB;

    fn amounts(net: i64, tax: i64) -> Amounts {
        Amounts { net: Money::new(net, RUB), tax: Money::new(tax, RUB), gross: Money::new(net + tax, RUB) }
    }

    fn charge(net: i64, tax: i64) -> Creditable {
        let charged = amounts(net, tax);
        Creditable { charged, credited: Amounts::zero(RUB), prepaid: charged.gross, realised: false }
    }

    fn after(charge: Creditable, credit: &Credit) -> Creditable {
        let sum = |a: Money, b: Money| a.add(b).unwrap();
        let (was, now) = (charge.credited, credit.amounts);
        let credited =
            Amounts { net: sum(was.net, now.net), tax: sum(was.tax, now.tax), gross: sum(was.gross, now.gross) };
        Creditable { credited, ..charge }
    }

    #[test]
    fn a_credit_takes_its_share_of_the_tax_back() {
        // 590.00 with 22 % inside has 106.39 of tax; 295.00 of it has 53.195, rounded away from zero.
        let half = charge(48_361, 10_639).credit(CreditAmount::Gross(Money::new(29_500, RUB))).unwrap();
        assert_eq!(half.amounts, amounts(24_180, 5_320));
        let other = after(charge(48_361, 10_639), &half).credit(CreditAmount::Rest).unwrap();
        assert_eq!(other.amounts, amounts(24_181, 5_319));
    }

    #[test]
    fn no_more_is_given_back_than_is_left() {
        let whole = charge(100, 20);
        let refused = whole.credit(CreditAmount::Gross(Money::new(121, RUB)));
        assert!(matches!(refused, Err(CreditError::Exceeds { .. })));
        let all = whole.credit(CreditAmount::Net(Money::new(100, RUB))).unwrap();
        assert_eq!(all.amounts, amounts(100, 20));
        assert!(after(whole, &all).credit(CreditAmount::Gross(Money::new(1, RUB))).is_err());
        assert!(matches!(whole.credit(CreditAmount::Gross(Money::new(-1, RUB))), Err(CreditError::Negative(_))));
        assert!(whole.credit(CreditAmount::Gross(Money::new(1, Currency::EUR))).is_err());
    }

    #[test]
    fn what_was_never_taken_is_given_back_first() {
        let mixed = Creditable { prepaid: Money::new(40, RUB), ..charge(100, 0) };
        let first = mixed.credit(CreditAmount::Gross(Money::new(50, RUB))).unwrap();
        assert_eq!(first.deferred.minor, 0);
        let second = after(mixed, &first).credit(CreditAmount::Gross(Money::new(30, RUB))).unwrap();
        assert_eq!(second.deferred.minor, 20);
        assert_eq!(after(after(mixed, &first), &second).held().unwrap().minor, 20);
    }

    #[test]
    fn after_realisation_a_credit_takes_revenue_and_tax_back() {
        let realised = Creditable { realised: true, prepaid: Money::new(0, RUB), ..charge(100, 20) };
        let credit = realised.credit(CreditAmount::Gross(Money::new(60, RUB))).unwrap();
        assert_eq!((credit.deferred.minor, credit.realised), (0, amounts(50, 10)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn credits_in_any_parts_give_back_exactly_what_was_charged(
            net in 0_i64..1_000_000, tax_percent in 0_i64..=100, prepaid_percent in 0_u8..=100,
            parts in prop::collection::vec((0_i64..400_000, any::<bool>()), 0..12),
        ) {
            let charged = amounts(net, net * tax_percent / 100);
            let prepaid = prepaid_part(charged.gross, prepaid_percent).unwrap();
            let mut charge = Creditable { charged, credited: Amounts::zero(RUB), prepaid, realised: false };
            let mut deferred = 0;
            for (minor, with_tax) in parts {
                let minor = Money::new(minor, RUB);
                let amount = if with_tax { CreditAmount::Gross(minor) } else { CreditAmount::Net(minor) };
                let Ok(credit) = charge.credit(amount) else { continue };
                prop_assert!(credit.amounts.net.minor >= 0 && credit.amounts.tax.minor >= 0 && credit.deferred.minor >= 0);
                prop_assert_eq!(credit.amounts.net.add(credit.amounts.tax).unwrap(), credit.amounts.gross);
                deferred += credit.deferred.minor;
                charge = after(charge, &credit);
                let left = charge.left().unwrap();
                prop_assert!(left.net.minor >= 0 && left.tax.minor >= 0);
                prop_assert_eq!(left.net.add(left.tax).unwrap(), left.gross);
                prop_assert!(charge.held().unwrap().minor >= 0 && charge.held().unwrap().minor <= left.gross.minor);
            }
            let rest = charge.credit(CreditAmount::Rest).unwrap();
            deferred += rest.deferred.minor;
            charge = after(charge, &rest);
            prop_assert_eq!(charge.credited, charged);
            prop_assert_eq!(deferred, prepaid.minor);
        }
    }

    #[test]
    fn a_charge_reads_back_from_its_text() {
        for kind in ChargeKind::ALL {
            assert_eq!(kind.as_str().parse().as_ref(), Ok(kind));
        }
        for status in ChargeStatus::ALL {
            assert_eq!(status.as_str().parse().as_ref(), Ok(status));
        }
    }
}
