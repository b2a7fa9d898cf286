//! The ledger's rows: accounts with their cached balance, transactions, entries.
//!
//! Entries are written before the header that seals them (the database checks the balance when the header arrives), and
//! cached balances move in the same transaction. Rows are only ever added.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// An account to open.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: Uuid,
    /// Its code, for example `contract/ctr_…/funds`.
    pub code: String,
    /// Its currency.
    pub currency: String,
}

/// An account with its cached balance.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AccountRow {
    /// Its id.
    pub id: Uuid,
    /// Its code.
    pub code: String,
    /// Its currency.
    pub currency: String,
    /// Sum of its entries, debit positive, minor units.
    pub balance_minor: i64,
    /// How many entries it has.
    pub entry_count: i64,
}

/// A transaction's header.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TransactionRow {
    /// Its id.
    pub id: Uuid,
    /// The idempotency key of the posting.
    pub source_key: String,
    /// What happened.
    pub kind: String,
    /// Currency of all entries.
    pub currency: String,
    /// The business date.
    pub effective_on: NaiveDate,
    /// For people.
    pub description: String,
    /// The transaction this one reverses.
    pub reverses_id: Option<Uuid>,
    /// When it was written.
    pub posted_at: DateTime<Utc>,
}

/// An entry with its account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EntryRow {
    /// The transaction.
    pub transaction_id: Uuid,
    /// Place in the transaction, from 0.
    pub position: i32,
    /// The account.
    pub account_id: Uuid,
    /// The account's code.
    pub code: String,
    /// Debit positive, minor units.
    pub amount_minor: i64,
}

const ACCOUNTS_OPEN: &str = "insert into ledger_accounts (tenant_id, id, code, currency, balance_minor, entry_count)
    select $1, v.id, v.code, v.currency, 0, 0 from {rows} where true
    on conflict (tenant_id, code, currency) do nothing";
/// Opens the accounts that do not exist yet.
pub async fn accounts_open(tx: &mut Tx, tenant: Uuid, accounts: &[NewAccount]) -> Result<()> {
    let rows = Rows::new()
        .with("id", accounts.iter().map(|account| account.id).collect::<Vec<_>>())
        .with("code", accounts.iter().map(|account| account.code.clone()).collect::<Vec<_>>())
        .with("currency", accounts.iter().map(|account| account.currency.clone()).collect::<Vec<_>>());
    tx.execute_rows(ACCOUNTS_OPEN, (tenant,), &rows).await.map(|_| ())
}

const ACCOUNTS_BY_CODE: &str = "select a.id, a.code, a.currency, a.balance_minor, a.entry_count from {rows}
    join ledger_accounts a on a.tenant_id = $1 and a.code = v.code and a.currency = v.currency";
/// The accounts with these codes and currencies; missing ones are absent.
pub async fn accounts_by_code(tx: &mut Tx, tenant: Uuid, keys: &[(String, String)]) -> Result<Vec<AccountRow>> {
    let rows = Rows::new()
        .with("code", keys.iter().map(|(code, _)| code.clone()).collect::<Vec<_>>())
        .with("currency", keys.iter().map(|(_, currency)| currency.clone()).collect::<Vec<_>>());
    tx.fetch_rows(ACCOUNTS_BY_CODE, (tenant,), &rows).await
}

const ACCOUNT_FIND: &str = "select id, code, currency, balance_minor, entry_count from ledger_accounts
    where tenant_id = $1 and id = $2";
/// One account.
pub async fn account_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<AccountRow>> {
    tx.fetch_optional(ACCOUNT_FIND, (tenant, id)).await
}

const ACCOUNTS_LIST: &str = "select id, code, currency, balance_minor, entry_count from ledger_accounts
    where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of accounts by id.
pub async fn accounts_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<AccountRow>> {
    tx.fetch_all(ACCOUNTS_LIST, (tenant, after, limit)).await
}

const SOURCE_KEYS: &str = "select t.id, t.source_key from {rows}
    join ledger_transactions t on t.tenant_id = $1 and t.source_key = v.source_key";
/// Which of these source keys are posted already, with their transactions.
pub async fn source_keys_posted(tx: &mut Tx, tenant: Uuid, keys: Vec<String>) -> Result<Vec<(Uuid, String)>> {
    tx.fetch_rows(SOURCE_KEYS, (tenant,), &Rows::new().with("source_key", keys)).await
}

const ENTRIES_INSERT: &str =
    "insert into ledger_entries (tenant_id, transaction_id, position, account_id, amount_minor)
    select $1, v.transaction_id, v.position, v.account_id, v.amount_minor from {rows}";
/// Columns `transaction_id, position, account_id, amount_minor`; to be followed by the headers.
pub async fn entries_insert(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<()> {
    tx.execute_rows(ENTRIES_INSERT, (tenant,), rows).await.map(|_| ())
}

const TRANSACTIONS_INSERT: &str = "insert into ledger_transactions
    (tenant_id, id, source_key, kind, currency, effective_on, description, reverses_id, posted_at)
    select $1, v.id, v.source_key, v.kind, v.currency, v.effective_on, v.description, v.reverses_id, $2 from {rows}";
/// Columns `id, source_key, kind, currency, effective_on, description, reverses_id`; seals their entries.
pub async fn transactions_insert(tx: &mut Tx, tenant: Uuid, posted_at: DateTime<Utc>, rows: &Rows) -> Result<()> {
    tx.execute_rows(TRANSACTIONS_INSERT, (tenant, posted_at), rows).await.map(|_| ())
}

const BALANCES_ADD: &str = "update ledger_accounts
    set balance_minor = ledger_accounts.balance_minor + v.amount_minor,
        entry_count = ledger_accounts.entry_count + v.entries
    from {rows} where ledger_accounts.tenant_id = $1 and ledger_accounts.id = {key}v.id";
/// Columns `id, amount_minor, entries`, one row an account; answers how many accounts moved.
pub async fn balances_add(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(BALANCES_ADD, (tenant,), rows).await
}

const TRANSACTION_FIND: &str =
    "select id, source_key, kind, currency, effective_on, description, reverses_id, posted_at
    from ledger_transactions where tenant_id = $1 and id = $2";
/// One header.
pub async fn transaction_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<TransactionRow>> {
    tx.fetch_optional(TRANSACTION_FIND, (tenant, id)).await
}

const TRANSACTIONS_LIST: &str =
    "select id, source_key, kind, currency, effective_on, description, reverses_id, posted_at
    from ledger_transactions where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of headers by id.
pub async fn transactions_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<TransactionRow>> {
    tx.fetch_all(TRANSACTIONS_LIST, (tenant, after, limit)).await
}

const REVERSALS: &str = "select count(*) from ledger_transactions where tenant_id = $1 and reverses_id = $2";
/// How many transactions reverse this one.
pub async fn reversals(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(REVERSALS, (tenant, id)).await?.0)
}

const TRANSACTIONS_AMONG: &str =
    "select t.id, t.source_key, t.kind, t.currency, t.effective_on, t.description, t.reverses_id, t.posted_at
    from {rows} join ledger_transactions t on t.tenant_id = $1 and t.id = {key}v.id";
/// The headers among ids of anything, in no order.
pub async fn transactions_among(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<Vec<TransactionRow>> {
    tx.fetch_rows(TRANSACTIONS_AMONG, (tenant,), &Rows::new().with("id", ids)).await
}

const ENTRIES_AMONG: &str = "select e.transaction_id, e.position, e.account_id, a.code, e.amount_minor
    from {rows} join ledger_entries e on e.tenant_id = $1 and e.transaction_id = {key}v.id
    join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id";
/// The entries of transactions, in no order.
pub async fn entries_among(tx: &mut Tx, tenant: Uuid, transactions: Vec<Uuid>) -> Result<Vec<EntryRow>> {
    tx.fetch_rows(ENTRIES_AMONG, (tenant,), &Rows::new().with("id", transactions)).await
}

const ENTRIES_OF: &str = "select e.transaction_id, e.position, e.account_id, a.code, e.amount_minor
    from ledger_entries e join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
    where e.tenant_id = $1 and e.transaction_id = $2 order by e.position limit 200";
/// The entries of a transaction.
pub async fn entries_of(tx: &mut Tx, tenant: Uuid, transaction: Uuid) -> Result<Vec<EntryRow>> {
    tx.fetch_all(ENTRIES_OF, (tenant, transaction)).await
}

const ENTRIES_ON: &str = "select e.transaction_id, e.position, e.account_id, a.code, e.amount_minor
    from ledger_entries e join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
    where e.tenant_id = $1 and e.account_id = $2 and e.transaction_id > $3
    order by e.transaction_id, e.position limit $4";
/// A page of an account's entries, by transaction.
pub async fn entries_on(tx: &mut Tx, tenant: Uuid, account: Uuid, after: Uuid, limit: i64) -> Result<Vec<EntryRow>> {
    tx.fetch_all(ENTRIES_ON, (tenant, account, after, limit)).await
}

/// One currency's totals over all accounts.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TrialRow {
    /// The currency.
    pub currency: String,
    /// The group: an account's code up to its first `/`.
    pub account_group: String,
    /// Sum of balances, debit positive, minor units.
    pub balance_minor: i64,
    /// How many accounts.
    pub accounts: i64,
}

const TRIAL_BALANCE: crate::Sql = crate::Sql::each(
    "select currency, case when instr(code, '/') = 0 then code else substr(code, 1, instr(code, '/') - 1) end as account_group,
        cast(sum(balance_minor) as integer) as balance_minor, count(*) as accounts
    from ledger_accounts where tenant_id = $1 group by 1, 2 order by 1, 2 limit 1000",
    "select currency, split_part(code, '/', 1) as account_group,
        cast(sum(balance_minor) as bigint) as balance_minor, count(*) as accounts
    from ledger_accounts where tenant_id = $1 group by 1, 2 order by 1, 2 limit 1000",
);
/// The trial balance by currency and group of accounts.
pub async fn trial_balance(tx: &mut Tx, tenant: Uuid) -> Result<Vec<TrialRow>> {
    tx.fetch_all(TRIAL_BALANCE, (tenant,)).await
}
