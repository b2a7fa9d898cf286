//! Posting to the ledger and reading it.
//!
//! One write path: [`post_all`] turns domain transactions into rows inside the caller's transaction. Accounts open by
//! themselves on their first posting, in the transaction that posts.

use std::collections::{BTreeMap, HashMap, HashSet};

use altyn_domain::{
    id::{AccountId, Id as _, TenantId, TransactionId},
    ledger::{self, AccountCode, Entry, Transaction, TransactionKind},
    money::Currency,
};
use altyn_store::{Rows, StoreError, Tx, ledger as rows};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    funds,
    page::{Listed, Page},
    ports::Ids,
};

/// A transaction with the id it was posted under, or was posted under before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its id.
    pub id: TransactionId,
    /// Whether this call posted it; `false` when its source key was taken.
    pub fresh: bool,
}

/// Posts transactions; those whose source key is taken are left out. Answers how many were posted.
pub async fn post_all(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    now: DateTime<Utc>,
    transactions: &[Transaction],
) -> Result<usize> {
    let posted = post_each(tx, ids, tenant, now, transactions, None).await?;
    Ok(posted.iter().filter(|posted| posted.fresh).count())
}

/// Posts transactions and answers for each, in order; `reverses` is set on all of them.
pub async fn post_each(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    now: DateTime<Utc>,
    transactions: &[Transaction],
    reverses: Option<TransactionId>,
) -> Result<Vec<Posted>> {
    let keys = transactions.iter().map(|transaction| transaction.source_key.clone()).collect();
    let mut taken: HashMap<String, Uuid> =
        rows::source_keys_posted(tx, tenant.0, keys).await?.into_iter().map(|(id, key)| (key, id)).collect();
    let mut answers = Vec::with_capacity(transactions.len());
    let mut fresh = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        if let Some(id) = taken.get(&transaction.source_key) {
            answers.push(Posted { id: TransactionId(*id), fresh: false });
        } else {
            let id = ids.next();
            taken.insert(transaction.source_key.clone(), id);
            fresh.push((id, transaction));
            answers.push(Posted { id: TransactionId(id), fresh: true });
        }
    }
    if fresh.is_empty() {
        return Ok(answers);
    }
    let accounts = accounts_for(tx, ids, tenant, fresh.iter().map(|(_, transaction)| *transaction)).await?;
    write(tx, tenant, now, &fresh, &accounts, reverses).await?;
    Ok(answers)
}

/// Account ids by code and currency. An account keeps its id for ever, so what was read once stays true.
pub(crate) type Accounts = HashMap<(String, Currency), Uuid>;

/// The ids of all accounts the transactions name; opens missing ones.
pub(crate) async fn accounts_for<'a>(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    transactions: impl Iterator<Item = &'a Transaction>,
) -> Result<Accounts> {
    let mut wanted: HashSet<(String, Currency)> = HashSet::new();
    for transaction in transactions {
        for entry in &transaction.entries {
            wanted.insert((entry.account.to_string(), transaction.currency));
        }
    }
    let mut keys: Vec<(String, String)> =
        wanted.into_iter().map(|(code, currency)| (code, currency.code().to_owned())).collect();
    keys.sort();
    let mut found = rows::accounts_by_code(tx, tenant.0, &keys).await?;
    if found.len() < keys.len() {
        let known: HashSet<(String, String)> =
            found.iter().map(|row| (row.code.clone(), row.currency.clone())).collect();
        let missing: Vec<(String, String)> = keys.iter().filter(|key| !known.contains(*key)).cloned().collect();
        let new: Vec<rows::NewAccount> = missing
            .iter()
            .map(|(code, currency)| rows::NewAccount { id: ids.next(), code: code.clone(), currency: currency.clone() })
            .collect();
        rows::accounts_open(tx, tenant.0, &new).await?;
        // Read again: another transaction may have opened one of them first.
        found.extend(rows::accounts_by_code(tx, tenant.0, &missing).await?);
    }
    found
        .into_iter()
        .map(|row| {
            let currency = row
                .currency
                .parse::<Currency>()
                .map_err(|error| StoreError::Corrupt("ledger_accounts.currency", error.to_string()))?;
            Ok(((row.code, currency), row.id))
        })
        .collect()
}

/// Writes transactions under their ids; their accounts are open and their source keys new.
///
/// A taken source key is a [`StoreError::Duplicate`] and the caller's transaction is lost.
pub(crate) async fn write(
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    transactions: &[(Uuid, &Transaction)],
    accounts: &Accounts,
    reverses: Option<TransactionId>,
) -> Result<()> {
    let (mut of, mut position, mut account, mut amount) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut moved: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for (id, transaction) in transactions {
        for (index, entry) in transaction.entries.iter().enumerate() {
            let key = (entry.account.to_string(), transaction.currency);
            let account_id = *accounts
                .get(&key)
                .ok_or_else(|| ServiceError::Internal(format!("account {} was not opened", key.0)))?;
            of.push(*id);
            position.push(i32::try_from(index).unwrap_or(i32::MAX));
            account.push(account_id);
            amount.push(entry.amount_minor);
            let sum = moved.entry(account_id).or_default();
            sum.0 = sum
                .0
                .checked_add(entry.amount_minor)
                .ok_or_else(|| ServiceError::invalid("/entries", "the amounts are too large"))?;
            sum.1 += 1;
        }
    }
    let entries = Rows::new()
        .with("transaction_id", of)
        .with("position", position)
        .with("account_id", account)
        .with("amount_minor", amount);
    rows::entries_insert(tx, tenant.0, &entries).await?;
    let headers = Rows::new()
        .with("id", transactions.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .with("source_key", transactions.iter().map(|(_, t)| t.source_key.clone()).collect::<Vec<_>>())
        .with("kind", transactions.iter().map(|(_, t)| t.kind.as_str().to_owned()).collect::<Vec<_>>())
        .with("currency", transactions.iter().map(|(_, t)| t.currency.code().to_owned()).collect::<Vec<_>>())
        .with("effective_on", transactions.iter().map(|(_, t)| t.effective_on).collect::<Vec<_>>())
        .with("description", transactions.iter().map(|(_, t)| t.description.clone()).collect::<Vec<_>>())
        .with("reverses_id", vec![reverses.map(|id| id.0); transactions.len()]);
    rows::transactions_insert(tx, tenant.0, now, &headers).await?;
    let balances = Rows::new()
        .with("id", moved.keys().copied().collect::<Vec<_>>())
        .with("amount_minor", moved.values().map(|(amount, _)| *amount).collect::<Vec<_>>())
        .with("entries", moved.values().map(|(_, entries)| *entries).collect::<Vec<_>>());
    let changed = rows::balances_add(tx, tenant.0, &balances).await?;
    if changed != moved.len() as u64 {
        return Err(ServiceError::Internal("a ledger account vanished while it was posted to".into()));
    }
    Ok(())
}

/// A ledger account as callers see it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its code, for example `deferred-revenue`.
    pub code: String,
    /// Its currency.
    #[schema(value_type = String, example = "RUB")]
    pub currency: Currency,
    /// Sum of its entries, debit positive, minor units.
    pub balance_minor: i64,
    /// How many entries it has.
    pub entry_count: i64,
}

/// One entry of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EntryView {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Place in the transaction, from 0.
    pub position: i32,
    /// The account.
    pub account_id: AccountId,
    /// The account's code.
    pub account: String,
    /// Debit positive, minor units.
    pub amount_minor: i64,
}

/// A posted transaction.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// The posting's idempotency key.
    pub source_key: String,
    /// What happened.
    pub kind: String,
    /// Currency of the entries.
    pub currency: String,
    /// The business date.
    pub effective_on: NaiveDate,
    /// For people.
    pub description: String,
    /// The transaction it reverses.
    pub reverses_id: Option<TransactionId>,
    /// When it was posted.
    pub posted_at: DateTime<Utc>,
    /// Its entries; empty in lists.
    pub entries: Vec<EntryView>,
}

/// One group of accounts in the trial balance.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrialBalanceLine {
    /// The currency.
    pub currency: String,
    /// The group, for example `contract`.
    pub group: String,
    /// How many accounts.
    pub accounts: i64,
    /// Sum of their balances, debit positive, minor units.
    pub balance_minor: i64,
}

/// The trial balance of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrialBalance {
    /// By currency and group.
    pub lines: Vec<TrialBalanceLine>,
    /// Sum per currency; each must be zero.
    pub totals: BTreeMap<String, i64>,
}

/// A manual posting.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostTransaction {
    /// What makes this posting happen once, 1 to 150 visible characters without spaces.
    pub source_key: String,
    /// The business date.
    pub effective_on: NaiveDate,
    /// Currency of all entries.
    #[schema(value_type = String, example = "RUB")]
    pub currency: Currency,
    /// Why, for people.
    pub description: String,
    /// What is recorded: `payment-received`, `gateway-settled`, `refund`, `transfer` or `adjustment`; everything else
    /// follows from an object of billing.
    pub kind: TransactionKind,
    /// 2 to 200 entries that sum to zero, on accounts of that kind; an adjustment stands on every account but those that
    /// charges, promises and orders answer for.
    pub entries: Vec<Entry>,
}

/// A request to reverse a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseTransaction {
    /// The business date of the reversal.
    pub effective_on: NaiveDate,
    /// Why, for people.
    pub description: String,
}

impl PostTransaction {
    /// The transaction, or what is wrong with it.
    pub(crate) fn checked(self) -> Result<Transaction> {
        let mut fields = Fields::default();
        fields.text("/source_key", &self.source_key, 150);
        fields.text("/description", &self.description, 500);
        match self.kind.check_by_hand() {
            Err(refused) => fields.refuse("/kind", refused.to_string()),
            Ok(()) => {
                for (index, entry) in self.entries.iter().enumerate().take(ledger::MAX_ENTRIES) {
                    if let Err(refused) = entry.account.check_by_hand(self.kind) {
                        fields.refuse(format!("/entries/{index}/account"), refused.to_string());
                    }
                }
            }
        }
        fields.finish()?;
        let about = ledger::About {
            source_key: format!("manual/{}", self.source_key),
            effective_on: self.effective_on,
            description: self.description,
        };
        Transaction::try_new(about, self.kind, self.currency, self.entries)
            .map_err(|error| ServiceError::invalid("/entries", error.to_string()))
    }
}

impl Altyn {
    /// Posts a manual transaction; its source key is prefixed with `manual/`.
    pub async fn transaction_post(
        &self,
        request: &Request,
        command: PostTransaction,
    ) -> Result<Reply<TransactionView>> {
        self.poster.post(self, request, command.checked()?).await
    }

    /// Posts one transaction in a database transaction of its own.
    pub(crate) async fn transaction_post_alone(
        &self,
        request: &Request,
        transaction: &Transaction,
    ) -> Result<Reply<TransactionView>> {
        let mut attempt = 1;
        loop {
            match self.transaction_post_try(request, transaction).await {
                Err(ServiceError::Store(error)) if attempt < funds::ATTEMPTS && error.is_race() => attempt += 1,
                other => return other,
            }
        }
    }

    async fn transaction_post_try(
        &self,
        request: &Request,
        transaction: &Transaction,
    ) -> Result<Reply<TransactionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        self.contracts_of_entries_exist(&mut work.tx, request, transaction).await?;
        let one = std::slice::from_ref(transaction);
        let posted = post_each(&mut work.tx, &*self.ids, request.tenant, work.now, one, None).await?;
        let Some(Posted { id, fresh: true }) = posted.first().copied() else {
            return Err(ServiceError::conflict(
                "source-key-taken",
                "a transaction with this source key is posted already; read it instead of posting again",
            ));
        };
        funds::arrived(self, &mut work.tx, request, work.now, &[(id, transaction)]).await?;
        let view = transaction_view(&mut work.tx, request.tenant, id).await?;
        work.finish(201, view).await
    }

    /// Reverses a transaction whole; a transaction is reversed at most once, and what an object of billing posted only
    /// by way of that object: the conflict `charge-stands`, `credit-stands`, `promise-stands` or `order-stands`.
    pub async fn transaction_reverse(
        &self,
        request: &Request,
        id: TransactionId,
        command: ReverseTransaction,
    ) -> Result<Reply<TransactionView>> {
        let mut fields = Fields::default();
        fields.text("/description", &command.description, 500);
        fields.finish()?;
        let mut attempt = 1;
        loop {
            match self.transaction_reverse_try(request, id, &command).await {
                Err(ServiceError::Store(error)) if attempt < funds::ATTEMPTS && error.is_race() => attempt += 1,
                other => return other,
            }
        }
    }

    async fn transaction_reverse_try(
        &self,
        request: &Request,
        id: TransactionId,
        command: &ReverseTransaction,
    ) -> Result<Reply<TransactionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let original = transaction_view(&mut work.tx, request.tenant, id).await?;
        if original.reverses_id.is_some() {
            return Err(ServiceError::conflict(
                "reverses-a-reversal",
                "this transaction is itself a reversal; post the right transaction instead",
            ));
        }
        let currency = original
            .currency
            .parse::<Currency>()
            .map_err(|error| StoreError::Corrupt("ledger_transactions.currency", error.to_string()))?;
        let mut entries = Vec::with_capacity(original.entries.len());
        for entry in &original.entries {
            let account = entry
                .account
                .parse::<AccountCode>()
                .map_err(|error| StoreError::Corrupt("ledger_accounts.code", error.to_string()))?;
            let amount_minor = entry
                .amount_minor
                .checked_neg()
                .ok_or_else(|| ServiceError::Internal("an entry cannot be negated".into()))?;
            entries.push(Entry { account, amount_minor });
        }
        let kind: TransactionKind = stored("ledger_transactions.kind", &original.kind)?;
        if let Some(owner) = ledger::owner(kind, entries.iter().map(|entry| &entry.account)) {
            let message = format!("the transaction follows from a {owner} that stands; {}", owner.instead());
            return Err(ServiceError::conflict(owner.stands(), message));
        }
        // The source key makes a second reversal impossible, whoever asks at the same time.
        let about = ledger::About {
            source_key: format!("reversal/{id}"),
            effective_on: command.effective_on,
            description: command.description.clone(),
        };
        let transaction = Transaction::try_new(about, TransactionKind::Reversal, currency, entries)
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        let posted = post_each(&mut work.tx, &*self.ids, request.tenant, work.now, &[transaction], Some(id)).await?;
        let Some(Posted { id: reversal, fresh: true }) = posted.first().copied() else {
            return Err(ServiceError::conflict("already-reversed", "this transaction is reversed already"));
        };
        let view = transaction_view(&mut work.tx, request.tenant, reversal).await?;
        work.finish(201, view).await
    }

    async fn contracts_of_entries_exist(
        &self,
        tx: &mut Tx,
        request: &Request,
        transaction: &Transaction,
    ) -> Result<()> {
        for (index, entry) in transaction.entries.iter().enumerate() {
            if entry.account.contract().is_none() {
                continue;
            }
            let key = (entry.account.to_string(), transaction.currency.code().to_owned());
            if rows::accounts_by_code(tx, request.tenant.0, &[key]).await?.is_empty() {
                return Err(ServiceError::invalid(
                    format!("/entries/{index}/account"),
                    format!(
                        "there is no account {} in {}; name an existing contract",
                        entry.account,
                        transaction.currency.code()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A transaction with its entries.
    pub async fn transaction_get(&self, request: &Request, id: TransactionId) -> Result<TransactionView> {
        let mut tx = self.read(request).await?;
        transaction_view(&mut tx, request.tenant, id).await
    }

    /// A page of transactions without their entries, by id. Ids are minted before the commit: beside writers, a transaction may
    /// appear behind one with a greater id, so whoever follows the list reads the last minutes again.
    pub async fn transaction_list(&self, request: &Request, page: &Page) -> Result<Listed<TransactionView>> {
        let (limit, after) = page.bounds::<TransactionId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::transactions_list(&mut tx, request.tenant.0, after, limit).await?;
        Ok(page.listed(found, |row| TransactionId(row.id).to_string(), |row| header_view(row, Vec::new())))
    }

    /// One account.
    pub async fn account_get(&self, request: &Request, id: AccountId) -> Result<AccountView> {
        let mut tx = self.read(request).await?;
        let row = rows::account_find(&mut tx, request.tenant.0, id.0).await?;
        account_view(row.ok_or(ServiceError::NotFound("account"))?)
    }

    /// A page of accounts.
    pub async fn account_list(&self, request: &Request, page: &Page) -> Result<Listed<AccountView>> {
        let (limit, after) = page.bounds::<AccountId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::accounts_list(&mut tx, request.tenant.0, after, limit).await?;
        let views = found.into_iter().map(account_view).collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.id.to_string(), |view| view))
    }

    /// A page of an account's entries, by transaction; the cursor is a transaction's id, with which it is as with
    /// [`Self::transaction_list`].
    pub async fn account_entries(&self, request: &Request, id: AccountId, page: &Page) -> Result<Listed<EntryView>> {
        let (limit, after) = page.bounds::<TransactionId>()?;
        let mut tx = self.read(request).await?;
        if rows::account_find(&mut tx, request.tenant.0, id.0).await?.is_none() {
            return Err(ServiceError::NotFound("account"));
        }
        let found = rows::entries_on(&mut tx, request.tenant.0, id.0, after, limit).await?;
        Ok(page.listed(found, |row| TransactionId(row.transaction_id).to_string(), entry_view))
    }

    /// The trial balance by currency and group of accounts.
    pub async fn trial_balance(&self, request: &Request) -> Result<TrialBalance> {
        let mut tx = self.read(request).await?;
        let mut totals = BTreeMap::new();
        let mut lines = Vec::new();
        for row in rows::trial_balance(&mut tx, request.tenant.0).await? {
            *totals.entry(row.currency.clone()).or_insert(0) += row.balance_minor;
            lines.push(TrialBalanceLine {
                currency: row.currency,
                group: row.account_group,
                accounts: row.accounts,
                balance_minor: row.balance_minor,
            });
        }
        Ok(TrialBalance { lines, totals })
    }
}

pub(crate) async fn transaction_view(tx: &mut Tx, tenant: TenantId, id: TransactionId) -> Result<TransactionView> {
    let row = rows::transaction_find(tx, tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("transaction"))?;
    let entries = rows::entries_of(tx, tenant.0, id.uuid()).await?.into_iter().map(entry_view).collect();
    Ok(header_view(row, entries))
}

fn header_view(row: rows::TransactionRow, entries: Vec<EntryView>) -> TransactionView {
    TransactionView {
        id: TransactionId(row.id),
        source_key: row.source_key,
        kind: row.kind,
        currency: row.currency,
        effective_on: row.effective_on,
        description: row.description,
        reverses_id: row.reverses_id.map(TransactionId),
        posted_at: row.posted_at,
        entries,
    }
}

fn entry_view(row: rows::EntryRow) -> EntryView {
    EntryView {
        transaction_id: TransactionId(row.transaction_id),
        position: row.position,
        account_id: AccountId(row.account_id),
        account: row.code,
        amount_minor: row.amount_minor,
    }
}

fn account_view(row: rows::AccountRow) -> Result<AccountView> {
    Ok(AccountView {
        id: AccountId(row.id),
        code: row.code,
        currency: row.currency.parse().map_err(|error: altyn_domain::money::MoneyError| {
            StoreError::Corrupt("ledger_accounts.currency", error.to_string())
        })?,
        balance_minor: row.balance_minor,
        entry_count: row.entry_count,
    })
}
