//! The double-entry ledger: accounts, balanced transactions, and the posting of each business fact.
//!
//! Owns the posting table. Refuses to know stored balances. Invariants: amounts are signed, debit above zero, and the
//! entries of a transaction sum to zero; a transaction has one currency and a source key that makes it happen once;
//! nothing is edited, a mistake is reversed, or the object is that posted it (see [`Owner`]). A contract's funds are credit-normal: what the customer has is minus
//! the sum of the entries.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::id::{BindingId, ContractId, ProductId};
use crate::money::{Currency, Money, MoneyError};
use crate::text::{shorten, text_enum};

pub use account::{AccountCode, Side};
pub use owner::{Owner, owner};

mod account;
mod owner;

/// Why a transaction was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Too few or too many entries.
    #[error("a transaction has 2 to 200 entries, got {0}")]
    Count(usize),
    /// An entry of nothing.
    #[error("the entry on {0} is zero; leave it out")]
    ZeroEntry(AccountCode),
    /// The entries do not sum to zero.
    #[error("the entries sum to {0} minor units instead of zero")]
    Unbalanced(i128),
    /// The source key is empty, too long or unprintable.
    #[error("a source key has 1 to 200 visible characters without spaces, got \"{0}\"")]
    SourceKey(String),
    /// The text is not an account.
    #[error("\"{0}\" is not a ledger account; write for example cash, deferred-revenue or contract/ctr_…/funds")]
    Account(String),
    /// An amount that must be above zero is not.
    #[error("{what} must be above zero, got {amount}")]
    NotPositive {
        /// Which amount.
        what: &'static str,
        /// The amount.
        amount: Money,
    },
    /// The kind is not for people to post.
    #[error("\"{0}\" {how}; by hand are posted {by_hand}", how = .0.comes(), by_hand = by_hand())]
    KindNotByHand(TransactionKind),
    /// An object of billing answers for the account.
    #[error("{account} is moved {moves}")]
    AccountNotByHand {
        /// The account.
        account: AccountCode,
        /// How it is moved.
        moves: &'static str,
    },
    /// The account has nothing to do with what the posting records.
    #[error("a {kind} does not stand on {account}; post an adjustment if that is what it is")]
    AccountOfOtherKind {
        /// The account.
        account: AccountCode,
        /// What the posting records.
        kind: TransactionKind,
    },
    /// Money moves from a contract to itself.
    #[error("a transfer needs two contracts, got {0} twice")]
    SameContract(ContractId),
    /// Currencies differ or a sum is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

text_enum! {
    /// What a transaction records.
    pub enum TransactionKind as "transaction kind" {
        /// A payment came in.
        PaymentReceived = "payment-received",
        /// A gateway paid out what it had collected, less its fee.
        GatewaySettled = "gateway-settled",
        /// A charge fell due.
        ChargeDue = "charge-due",
        /// A charged service was provided.
        ChargeRealised = "charge-realised",
        /// An unused part was given back to the contract.
        CreditUnused = "credit-unused",
        /// Money went back to where it came from.
        Refund = "refund",
        /// Money moved between contracts.
        Transfer = "transfer",
        /// A promised payment was granted.
        PromiseGiven = "promise-given",
        /// A promised payment was kept, revoked or expired.
        PromiseEnded = "promise-ended",
        /// Granting a promised payment was charged.
        PromiseFee = "promise-fee",
        /// A balance was taken over from other books.
        OpeningBalance = "opening-balance",
        /// Money was reserved for an order.
        FundsBlocked = "funds-blocked",
        /// Reserved money is free again: the order is charged with it now, or was taken back.
        FundsReleased = "funds-released",
        /// A person put something right by hand.
        Adjustment = "adjustment",
        /// A transaction was taken back.
        Reversal = "reversal",
    }
}

/// The kinds that people post, for a message.
fn by_hand() -> String {
    let kinds: Vec<&str> =
        TransactionKind::ALL.iter().filter(|kind| kind.by_hand()).map(|kind| kind.as_str()).collect();
    kinds.join(", ")
}

/// One side of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entry {
    /// The account.
    pub account: AccountCode,
    /// Minor units, debit above zero, credit below.
    pub amount_minor: i64,
}

/// What a transaction is called and when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Makes the transaction happen once per tenant: `charge/chg_…/due`.
    pub source_key: String,
    /// The date that it counts on.
    pub effective_on: NaiveDate,
    /// For people.
    pub description: String,
}

/// A balanced set of entries in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transaction {
    /// Makes the transaction happen once per tenant.
    pub source_key: String,
    /// What it records.
    pub kind: TransactionKind,
    /// The date that it counts on.
    pub effective_on: NaiveDate,
    /// The currency of all entries.
    pub currency: Currency,
    /// For people.
    pub description: String,
    /// The entries; they sum to zero.
    pub entries: Vec<Entry>,
}

/// Most entries of a transaction.
pub const MAX_ENTRIES: usize = 200;
/// Longest source key, in characters.
pub const MAX_SOURCE_KEY_CHARACTERS: usize = 200;

impl Transaction {
    /// A transaction of 2 to 200 entries, none of them zero, that sum to zero.
    pub fn try_new(
        about: About,
        kind: TransactionKind,
        currency: Currency,
        entries: Vec<Entry>,
    ) -> Result<Self, LedgerError> {
        let transaction = Self {
            source_key: about.source_key,
            kind,
            effective_on: about.effective_on,
            currency,
            description: about.description,
            entries,
        };
        transaction.check()?;
        Ok(transaction)
    }

    /// Checks a transaction that came from outside.
    pub fn check(&self) -> Result<(), LedgerError> {
        let visible = self.source_key.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if !visible || !(1..=MAX_SOURCE_KEY_CHARACTERS).contains(&self.source_key.chars().count()) {
            return Err(LedgerError::SourceKey(shorten(&self.source_key)));
        }
        if !(2..=MAX_ENTRIES).contains(&self.entries.len()) {
            return Err(LedgerError::Count(self.entries.len()));
        }
        for entry in &self.entries {
            if entry.amount_minor == 0 {
                return Err(LedgerError::ZeroEntry(entry.account.clone()));
            }
            entry.account.check()?;
        }
        let sum: i128 = self.entries.iter().map(|entry| i128::from(entry.amount_minor)).sum();
        if sum == 0 { Ok(()) } else { Err(LedgerError::Unbalanced(sum)) }
    }
}

/// Collects entries of one currency, one per account, and leaves out those that come to nothing.
struct Sheet {
    currency: Currency,
    entries: Vec<Entry>,
    place: HashMap<AccountCode, usize>,
}

impl Sheet {
    fn new(currency: Currency) -> Self {
        Self { currency, entries: Vec::with_capacity(4), place: HashMap::new() }
    }

    fn debit(&mut self, account: AccountCode, amount: Money) -> Result<(), LedgerError> {
        let amount = Money::zero(self.currency).add(amount)?;
        if let Some(place) = self.place.get(&account) {
            let entry = &mut self.entries[*place];
            entry.amount_minor = entry.amount_minor.checked_add(amount.minor).ok_or(MoneyError::Overflow)?;
        } else {
            self.place.insert(account.clone(), self.entries.len());
            self.entries.push(Entry { account, amount_minor: amount.minor });
        }
        Ok(())
    }

    fn credit(&mut self, account: AccountCode, amount: Money) -> Result<(), LedgerError> {
        self.debit(account, amount.neg()?)
    }

    fn post(mut self, about: About, kind: TransactionKind) -> Result<Transaction, LedgerError> {
        self.entries.retain(|entry| entry.amount_minor != 0);
        Transaction::try_new(about, kind, self.currency, self.entries)
    }
}

fn positive(what: &'static str, amount: Money) -> Result<(), LedgerError> {
    if amount.minor > 0 { Ok(()) } else { Err(LedgerError::NotPositive { what, amount }) }
}

fn not_negative(what: &'static str, amount: Money) -> Result<(), LedgerError> {
    if amount.minor >= 0 { Ok(()) } else { Err(LedgerError::NotPositive { what, amount }) }
}

/// A transaction of one amount between two accounts.
fn pair(
    about: About,
    kind: TransactionKind,
    debit: AccountCode,
    credit: AccountCode,
    amount: Money,
) -> Result<Transaction, LedgerError> {
    positive("the amount", amount)?;
    let mut sheet = Sheet::new(amount.currency);
    sheet.debit(debit, amount)?;
    sheet.credit(credit, amount)?;
    sheet.post(about, kind)
}

/// Where money comes in and goes out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A payment gateway, by its binding.
    Gateway(BindingId),
    /// A bank account of the seller, by its number.
    Bank(String),
    /// The cash desk.
    Cash,
}

impl Channel {
    fn account(self) -> AccountCode {
        match self {
            Self::Gateway(binding) => AccountCode::Clearing(binding),
            Self::Bank(account) => AccountCode::Bank(account),
            Self::Cash => AccountCode::Cash,
        }
    }
}

/// What a provided (or taken back) service is worth, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realised {
    /// The product whose revenue it is.
    pub product: ProductId,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Amount without tax, zero or more.
    pub net: Money,
    /// The tax, zero or more.
    pub tax: Money,
}

/// A payment came in: channel against contract funds.
pub fn payment_received(
    about: About,
    contract: ContractId,
    channel: Channel,
    amount: Money,
) -> Result<Transaction, LedgerError> {
    let funds = AccountCode::ContractFunds(contract);
    pair(about, TransactionKind::PaymentReceived, channel.account(), funds, amount)
}

/// A gateway paid out `gross` less its `fee`: bank and gateway-fees against clearing.
pub fn gateway_settled(
    about: About,
    binding: BindingId,
    bank_account: String,
    gross: Money,
    fee: Money,
) -> Result<Transaction, LedgerError> {
    positive("the settled amount", gross)?;
    not_negative("the fee", fee)?;
    let paid_out = gross.sub(fee)?;
    not_negative("the settled amount less the fee", paid_out)?;
    let mut sheet = Sheet::new(gross.currency);
    sheet.debit(AccountCode::Bank(bank_account), paid_out)?;
    sheet.debit(AccountCode::GatewayFees, fee)?;
    sheet.credit(AccountCode::Clearing(binding), gross)?;
    sheet.post(about, TransactionKind::GatewaySettled)
}

/// A charge fell due: contract funds against deferred revenue, tax included. A charge of zero has no posting.
pub fn charge_due(about: About, contract: ContractId, gross: Money) -> Result<Transaction, LedgerError> {
    let funds = AccountCode::ContractFunds(contract);
    pair(about, TransactionKind::ChargeDue, funds, AccountCode::DeferredRevenue, gross)
}

/// Charged services were provided: deferred revenue (`prepaid`) and contract funds (`postpaid`) against revenue and
/// tax. The two sum to the net and tax of all parts.
pub fn charge_realised(
    about: About,
    contract: ContractId,
    prepaid: Money,
    postpaid: Money,
    parts: &[Realised],
) -> Result<Transaction, LedgerError> {
    not_negative("the prepaid part", prepaid)?;
    not_negative("the postpaid part", postpaid)?;
    let mut sheet = Sheet::new(prepaid.currency);
    sheet.debit(AccountCode::DeferredRevenue, prepaid)?;
    sheet.debit(AccountCode::ContractFunds(contract), postpaid)?;
    for part in parts {
        not_negative("net", part.net)?;
        not_negative("tax", part.tax)?;
        sheet.credit(AccountCode::Revenue(part.product), part.net)?;
        sheet.credit(AccountCode::TaxPayable(part.tax_code.clone()), part.tax)?;
    }
    sheet.post(about, TransactionKind::ChargeRealised)
}

/// An unused part is given back: deferred revenue (`deferred`), and revenue and tax where it was realised already,
/// against contract funds.
pub fn credit_unused(
    about: About,
    contract: ContractId,
    deferred: Money,
    realised: &[Realised],
) -> Result<Transaction, LedgerError> {
    not_negative("the deferred part", deferred)?;
    let mut sheet = Sheet::new(deferred.currency);
    sheet.debit(AccountCode::DeferredRevenue, deferred)?;
    let mut credited = deferred;
    for part in realised {
        not_negative("net", part.net)?;
        not_negative("tax", part.tax)?;
        sheet.debit(AccountCode::Revenue(part.product), part.net)?;
        sheet.debit(AccountCode::TaxPayable(part.tax_code.clone()), part.tax)?;
        credited = credited.add(part.net)?.add(part.tax)?;
    }
    sheet.credit(AccountCode::ContractFunds(contract), credited)?;
    sheet.post(about, TransactionKind::CreditUnused)
}

/// Money goes back to where it came from: contract funds against the channel.
pub fn refund(about: About, contract: ContractId, channel: Channel, amount: Money) -> Result<Transaction, LedgerError> {
    let funds = AccountCode::ContractFunds(contract);
    pair(about, TransactionKind::Refund, funds, channel.account(), amount)
}

/// Money moves between two contracts.
pub fn transfer(about: About, from: ContractId, to: ContractId, amount: Money) -> Result<Transaction, LedgerError> {
    if from == to {
        return Err(LedgerError::SameContract(from));
    }
    let (from, to) = (AccountCode::ContractFunds(from), AccountCode::ContractFunds(to));
    pair(about, TransactionKind::Transfer, from, to, amount)
}

/// A promised payment was granted: promises against the contract's promised amount; never funds, cash or revenue.
pub fn promise_given(about: About, contract: ContractId, amount: Money) -> Result<Transaction, LedgerError> {
    let promised = AccountCode::ContractPromised(contract);
    pair(about, TransactionKind::PromiseGiven, AccountCode::Promises, promised, amount)
}

/// A promised payment was kept, revoked or expired: the way back of [`promise_given`].
pub fn promise_ended(about: About, contract: ContractId, amount: Money) -> Result<Transaction, LedgerError> {
    let promised = AccountCode::ContractPromised(contract);
    pair(about, TransactionKind::PromiseEnded, promised, AccountCode::Promises, amount)
}

/// Granting a promised payment is charged: contract funds against promise fees.
pub fn promise_fee(about: About, contract: ContractId, fee: Money) -> Result<Transaction, LedgerError> {
    let funds = AccountCode::ContractFunds(contract);
    pair(about, TransactionKind::PromiseFee, funds, AccountCode::PromiseFees, fee)
}

/// An order is paid for: contract funds against the contract's reserved money.
pub fn funds_blocked(about: About, contract: ContractId, amount: Money) -> Result<Transaction, LedgerError> {
    let (funds, blocked) = (AccountCode::ContractFunds(contract), AccountCode::ContractBlocked(contract));
    pair(about, TransactionKind::FundsBlocked, funds, blocked, amount)
}

/// An order is charged or taken back: the way back of [`funds_blocked`].
pub fn funds_released(about: About, contract: ContractId, amount: Money) -> Result<Transaction, LedgerError> {
    let (funds, blocked) = (AccountCode::ContractFunds(contract), AccountCode::ContractBlocked(contract));
    pair(about, TransactionKind::FundsReleased, blocked, funds, amount)
}

/// A balance taken over from other books; above zero the customer has money, below zero a debt.
pub fn opening_balance(about: About, contract: ContractId, balance: Money) -> Result<Transaction, LedgerError> {
    let funds = AccountCode::ContractFunds(contract);
    let kind = TransactionKind::OpeningBalance;
    if balance.minor < 0 {
        pair(about, kind, funds, AccountCode::OpeningBalances, balance.neg()?)
    } else {
        pair(about, kind, AccountCode::OpeningBalances, funds, balance)
    }
}

/// Takes a whole transaction back: the same accounts with negated amounts.
pub fn reversal(about: About, original: &Transaction) -> Result<Transaction, LedgerError> {
    let negated = |entry: &Entry| {
        let amount_minor = entry.amount_minor.checked_neg().ok_or(MoneyError::Overflow)?;
        Ok(Entry { account: entry.account.clone(), amount_minor })
    };
    let entries = original.entries.iter().map(negated).collect::<Result<Vec<_>, MoneyError>>()?;
    Transaction::try_new(about, TransactionKind::Reversal, original.currency, entries)
}

/// What a customer has, from the sum of the entries on the contract's funds (credit-normal).
pub fn customer_balance(entries_sum: Money) -> Result<Money, MoneyError> {
    entries_sum.neg()
}

/// What a contract may spend: `funds + promises + credit limit − blocked`, each as the customer sees it. `funds` is all
/// that the customer has, what is reserved on an account of its own included.
pub fn available(funds: Money, promises: Money, credit_limit: Money, blocked: Money) -> Result<Money, MoneyError> {
    funds.add(promises)?.add(credit_limit)?.sub(blocked)
}

#[cfg(test)]
mod tests;
