//! The chart of accounts: each account's text, which is its identity within a tenant and currency.
//!
//! Refuses to know balances. Invariant: `parse(code.to_string()) == code`.

use std::fmt;
use std::str::FromStr;

use super::LedgerError;
use crate::id::{BindingId, ContractId, ProductId};
use crate::text::{serde_as_text, shorten, text_enum};

text_enum! {
    /// The side on which an account usually stands.
    pub enum Side as "side" {
        /// Above zero: assets and costs.
        Debit = "debit",
        /// Below zero: what is owed, and revenue.
        Credit = "credit",
    }
}

/// A ledger account of a tenant and currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountCode {
    /// Money of a contract.
    ContractFunds(ContractId),
    /// Money of a contract that is reserved for paid orders.
    ContractBlocked(ContractId),
    /// Promised payments of a contract.
    ContractPromised(ContractId),
    /// The other side of promised payments.
    Promises,
    /// What granting promised payments earned.
    PromiseFees,
    /// Charged but not provided yet.
    DeferredRevenue,
    /// Revenue of a product.
    Revenue(ProductId),
    /// Tax owed, by its code: 1 to 32 of a-z, 0-9, `_` and `-`.
    TaxPayable(String),
    /// What a gateway collected and did not pay out yet.
    Clearing(BindingId),
    /// A bank account of a seller: 1 to 64 of A-Z, a-z, 0-9, `_`, `-` and `.`.
    Bank(String),
    /// The cash desk.
    Cash,
    /// Fees of gateways.
    GatewayFees,
    /// Discounts granted.
    Discounts,
    /// Corrections.
    Adjustments,
    /// The other side of balances taken over from other books.
    OpeningBalances,
}

impl AccountCode {
    /// The side on which the account usually stands.
    pub fn normal_side(&self) -> Side {
        match self {
            Self::ContractFunds(_)
            | Self::ContractBlocked(_)
            | Self::ContractPromised(_)
            | Self::PromiseFees
            | Self::DeferredRevenue
            | Self::Revenue(_)
            | Self::TaxPayable(_) => Side::Credit,
            Self::Promises
            | Self::Clearing(_)
            | Self::Bank(_)
            | Self::Cash
            | Self::GatewayFees
            | Self::Discounts
            | Self::Adjustments
            | Self::OpeningBalances => Side::Debit,
        }
    }

    /// The contract that the account belongs to, if any.
    pub fn contract(&self) -> Option<ContractId> {
        match self {
            Self::ContractFunds(id) | Self::ContractBlocked(id) | Self::ContractPromised(id) => Some(*id),
            _ => None,
        }
    }

    /// Checks the free text of a code or bank account, so that the account reads back as itself.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let (text, longest, allowed): (&str, usize, fn(u8) -> bool) = match self {
            Self::TaxPayable(code) => (code, 32, |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')),
            Self::Bank(account) => (account, 64, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')),
            _ => return Ok(()),
        };
        let fits = (1..=longest).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(()) } else { Err(LedgerError::Account(shorten(&self.to_string()))) }
    }
}

impl fmt::Display for AccountCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContractFunds(id) => write!(f, "contract/{id}/funds"),
            Self::ContractBlocked(id) => write!(f, "contract/{id}/blocked"),
            Self::ContractPromised(id) => write!(f, "contract/{id}/promised"),
            Self::Promises => f.write_str("promises"),
            Self::PromiseFees => f.write_str("promise-fees"),
            Self::DeferredRevenue => f.write_str("deferred-revenue"),
            Self::Revenue(id) => write!(f, "revenue/{id}"),
            Self::TaxPayable(code) => write!(f, "tax-payable/{code}"),
            Self::Clearing(id) => write!(f, "clearing/{id}"),
            Self::Bank(account) => write!(f, "bank/{account}"),
            Self::Cash => f.write_str("cash"),
            Self::GatewayFees => f.write_str("gateway-fees"),
            Self::Discounts => f.write_str("discounts"),
            Self::Adjustments => f.write_str("adjustments"),
            Self::OpeningBalances => f.write_str("opening-balances"),
        }
    }
}

impl FromStr for AccountCode {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || LedgerError::Account(shorten(text));
        let parts: Vec<&str> = text.split('/').collect();
        let account = match parts.as_slice() {
            ["contract", id, "funds"] => Self::ContractFunds(id.parse().map_err(|_| unknown())?),
            ["contract", id, "blocked"] => Self::ContractBlocked(id.parse().map_err(|_| unknown())?),
            ["contract", id, "promised"] => Self::ContractPromised(id.parse().map_err(|_| unknown())?),
            ["promises"] => Self::Promises,
            ["promise-fees"] => Self::PromiseFees,
            ["deferred-revenue"] => Self::DeferredRevenue,
            ["revenue", id] => Self::Revenue(id.parse().map_err(|_| unknown())?),
            ["tax-payable", code] => Self::TaxPayable((*code).to_owned()),
            ["clearing", id] => Self::Clearing(id.parse().map_err(|_| unknown())?),
            ["bank", account] => Self::Bank((*account).to_owned()),
            ["cash"] => Self::Cash,
            ["gateway-fees"] => Self::GatewayFees,
            ["discounts"] => Self::Discounts,
            ["adjustments"] => Self::Adjustments,
            ["opening-balances"] => Self::OpeningBalances,
            _ => return Err(unknown()),
        };
        account.check()?;
        Ok(account)
    }
}

serde_as_text!(
    AccountCode,
    "Ledger account, such as `contract/ctr_…/funds`, `revenue/prd_…`, `tax-payable/vat22` or `deferred-revenue`.",
    "deferred-revenue"
);
