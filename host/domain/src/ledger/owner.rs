//! Whose postings are: what an object of billing posts follows that object, and what is left is people's.
//!
//! A charge, a credit, a promise or an order tells by its own state what it posted. Postings of theirs are neither made
//! by hand nor taken back alone, or the books would say one thing and the object another. Refuses to know the objects.
//! Invariant: what may be posted by hand may be reversed, and touches no account that an object answers for.

use super::{AccountCode, LedgerError, TransactionKind};
use crate::text::text_enum;

text_enum! {
    /// What answers for a posting by its own state.
    pub enum Owner as "owner of a posting" {
        /// A charge: what falls due and what is realised.
        Charge = "charge",
        /// A credit of a charge.
        Credit = "credit",
        /// A promised payment, with its fee.
        Promise = "promise",
        /// An order that money is reserved for.
        Order = "order",
    }
}

impl Owner {
    /// The stable code of the refusal to take its posting back.
    pub const fn stands(self) -> &'static str {
        match self {
            Self::Charge => "charge-stands",
            Self::Credit => "credit-stands",
            Self::Promise => "promise-stands",
            Self::Order => "order-stands",
        }
    }

    /// What to do instead of taking its posting back.
    pub const fn instead(self) -> &'static str {
        match self {
            Self::Charge => "credit the charge",
            Self::Credit => "a credit is final: post an adjustment that takes the money again",
            Self::Promise => "revoke the promise; its fee is given back by an adjustment",
            Self::Order => "take the order back",
        }
    }

    /// How its accounts are moved.
    const fn moves(self) -> &'static str {
        match self {
            Self::Charge | Self::Credit => "by charges alone; credit a charge, or let a run realise it",
            Self::Promise => "by promises alone; give a promise, or revoke one",
            Self::Order => "by orders alone; place an order, or take one back",
        }
    }
}

impl TransactionKind {
    /// The object that posts this and answers for it; `None` for what may be taken back by a reversal, and for reversals.
    pub const fn owner(self) -> Option<Owner> {
        match self {
            Self::ChargeDue | Self::ChargeRealised => Some(Owner::Charge),
            Self::CreditUnused => Some(Owner::Credit),
            Self::PromiseGiven | Self::PromiseEnded | Self::PromiseFee => Some(Owner::Promise),
            Self::FundsBlocked | Self::FundsReleased => Some(Owner::Order),
            Self::PaymentReceived
            | Self::GatewaySettled
            | Self::Refund
            | Self::Transfer
            | Self::OpeningBalance
            | Self::Adjustment
            | Self::Reversal => None,
        }
    }

    /// Whether a person may post this.
    pub const fn by_hand(self) -> bool {
        self.owner().is_none() && !matches!(self, Self::OpeningBalance | Self::Reversal)
    }

    /// Refuses a kind that people do not post, and tells what to do.
    pub fn check_by_hand(self) -> Result<(), LedgerError> {
        if self.by_hand() { Ok(()) } else { Err(LedgerError::KindNotByHand(self)) }
    }

    /// How what is not posted by hand comes about.
    pub(super) const fn comes(self) -> &'static str {
        match self {
            Self::Reversal => "comes from reversing a transaction; reverse it by its id",
            Self::OpeningBalance => "comes with an import",
            _ => match self.owner() {
                Some(Owner::Charge) => "comes from billing; run a day, or change a subscription",
                Some(Owner::Credit) => "comes from a credit; credit the charge",
                Some(Owner::Promise) => "comes from a promise; give one, or revoke it",
                Some(Owner::Order) => "comes from an order; place one, or take it back",
                None => "is posted by hand",
            },
        }
    }

    /// Whether a posting of this kind by hand may stand on an account; an adjustment may on every one that no object
    /// answers for.
    fn stands_on(self, account: &AccountCode) -> bool {
        use AccountCode as Code;
        match self {
            Self::PaymentReceived | Self::Refund => matches!(
                account,
                Code::ContractFunds(_) | Code::Clearing(_) | Code::Bank(_) | Code::Cash | Code::GatewayFees
            ),
            Self::GatewaySettled => matches!(account, Code::Clearing(_) | Code::Bank(_) | Code::GatewayFees),
            Self::Transfer => matches!(account, Code::ContractFunds(_)),
            _ => true,
        }
    }
}

impl AccountCode {
    /// The object that answers for what stands on the account.
    pub const fn owner(&self) -> Option<Owner> {
        match self {
            Self::ContractBlocked(_) => Some(Owner::Order),
            Self::ContractPromised(_) | Self::Promises => Some(Owner::Promise),
            Self::DeferredRevenue => Some(Owner::Charge),
            Self::ContractFunds(_)
            | Self::PromiseFees
            | Self::Revenue(_)
            | Self::TaxPayable(_)
            | Self::Clearing(_)
            | Self::Bank(_)
            | Self::Cash
            | Self::GatewayFees
            | Self::Discounts
            | Self::Adjustments
            | Self::OpeningBalances => None,
        }
    }

    /// Refuses an account that a posting of this kind by hand has no business on, and tells what to do.
    pub fn check_by_hand(&self, kind: TransactionKind) -> Result<(), LedgerError> {
        if let Some(owner) = self.owner() {
            return Err(LedgerError::AccountNotByHand { account: self.clone(), moves: owner.moves() });
        }
        if kind.stands_on(self) { Ok(()) } else { Err(LedgerError::AccountOfOtherKind { account: self.clone(), kind }) }
    }
}

/// The object that answers for a posting, by what it records or else by an account that it moves; `None` when it may be
/// taken back by a reversal.
pub fn owner<'a>(kind: TransactionKind, accounts: impl IntoIterator<Item = &'a AccountCode>) -> Option<Owner> {
    kind.owner().or_else(|| accounts.into_iter().find_map(AccountCode::owner))
}
