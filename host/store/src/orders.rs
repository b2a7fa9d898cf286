//! Rows of orders, and for how long they wait for money.
//!
//! An order ends once and keeps its row; what is reserved for those that are paid stands on the ledger's account of the
//! contract's reserved money too, in the same transaction. Concurrency: whoever moves an order locks the contract's funds
//! account first, and names the version that was read.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// An order.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OrderRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// The subscription that was ordered.
    pub subscription_id: Uuid,
    /// `opened`, `blocked`, `closed`, `cancelled` or `expired`.
    pub status: String,
    /// ISO 4217 code.
    pub currency: String,
    /// What is reserved, minor units.
    pub amount_minor: i64,
    /// What its first period costs, with tax.
    pub gross_minor: i64,
    /// The lines as they were priced, JSON text.
    pub lines: String,
    /// The day on which it was made.
    pub ordered_on: NaiveDate,
    /// When it was made.
    pub ordered_at: DateTime<Utc>,
    /// Who made it.
    pub ordered_by: String,
    /// The last day on which it waits for money.
    pub expires_on: Option<NaiveDate>,
    /// The first instant after that day.
    pub expires_at: Option<DateTime<Utc>>,
    /// When its money was reserved.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// Counts changes.
    pub version: i64,
}

const INSERT: &str = "insert into orders (tenant_id, id, contract_id, subscription_id, status, currency, amount_minor,
        gross_minor, lines, ordered_on, ordered_at, ordered_by, expires_on, expires_at, paid_at, ended_at, ended_by, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, null, null, 1)";
/// Adds an order that stands.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &OrderRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.contract_id,
        row.subscription_id,
        row.status,
        row.currency,
        row.amount_minor,
        row.gross_minor,
        row.lines,
        row.ordered_on,
        row.ordered_at,
        row.ordered_by,
        row.expires_on,
        row.expires_at,
        row.paid_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select o.id, o.contract_id, o.subscription_id, o.status, o.currency, o.amount_minor, o.gross_minor, o.lines,
                o.ordered_on, o.ordered_at, o.ordered_by, o.expires_on, o.expires_at, o.paid_at, o.ended_at, o.ended_by,
                o.version
            from ",
            $rest
        )
    };
}

const FIND: &str = select!("orders o where o.tenant_id = $1 and o.id = $2");
/// One order.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<OrderRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    select!("orders o where o.tenant_id = $1 and o.id > $2 and ($4 = '' or o.status = $4) order by o.id limit $3");
const LIST_BY_CONTRACT: &str = select!(
    "orders o where o.tenant_id = $1 and o.contract_id = $5 and o.id > $2 and ($4 = '' or o.status = $4)
    order by o.id limit $3"
);
/// A page of orders by id: of one contract when it is named, and in one status; `status` empty means all.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    status: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<OrderRow>> {
    let status = status.to_owned();
    match contract {
        None => tx.fetch_all(LIST, (tenant, after, limit, status)).await,
        Some(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, status, contract)).await,
    }
}

const STANDING_OF: &str =
    select!("orders o where o.tenant_id = $1 and o.subscription_id = $2 and o.status in ('opened', 'blocked')");
/// The order of a subscription that stands.
pub async fn standing_of(tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<Option<OrderRow>> {
    tx.fetch_optional(STANDING_OF, (tenant, subscription)).await
}

const STANDING_AMONG: &str = select!(
    "{rows} join orders o on o.tenant_id = $1 and o.subscription_id = {key}v.id and o.status in ('opened', 'blocked')"
);
/// The orders of subscriptions that stand, in no order.
pub async fn standing_among(tx: &mut Tx, tenant: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<OrderRow>> {
    tx.fetch_rows(STANDING_AMONG, (tenant,), &Rows::new().with("id", subscriptions)).await
}

const WAITING_OF: &str = select!(
    "orders o where o.tenant_id = $1 and o.contract_id = $2 and o.status = 'opened'
    order by o.ordered_at, o.id limit 1000"
);
/// The orders of a contract that wait for money, the oldest first.
pub async fn waiting_of(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Vec<OrderRow>> {
    tx.fetch_all(WAITING_OF, (tenant, contract)).await
}

const PAY: &str = "update orders set status = 'blocked', paid_at = $4, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and status = 'opened'";
/// Notes that the money of an order is reserved; `false` when somebody moved it.
pub async fn pay(tx: &mut Tx, tenant: Uuid, id: Uuid, version: i64, at: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(PAY, (tenant, id, version, at)).await? == 1)
}

const END: &str = "update orders set status = v.status, ended_at = $2, ended_by = $3, version = orders.version + 1
    from {rows} where orders.tenant_id = $1 and orders.id = {key}v.id and orders.version = v.version
        and orders.status in ('opened', 'blocked')";
/// Ends orders that have the version they were read with: columns `id, version, status`; answers how many.
pub async fn end_all(tx: &mut Tx, tenant: Uuid, at: DateTime<Utc>, by: &str, rows: &Rows) -> Result<u64> {
    tx.execute_rows(END, (tenant, at, by.to_owned()), rows).await
}

/// Ends one order; `false` when somebody moved it.
pub async fn end(tx: &mut Tx, tenant: Uuid, row: &OrderRow, status: &str, at: DateTime<Utc>, by: &str) -> Result<bool> {
    let one =
        Rows::new().with("id", vec![row.id]).with("version", vec![row.version]).with("status", vec![status.to_owned()]);
    Ok(end_all(tx, tenant, at, by, &one).await? == 1)
}

const SUBSCRIPTION_END: &str =
    "update subscriptions set status = 'cancelled', ends_on = starts_on, next_charge_on = starts_on, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and status = 'pending'";
/// Ends a subscription that was ordered and never began; `false` when it began or somebody moved it.
pub async fn subscription_end(tx: &mut Tx, tenant: Uuid, subscription: Uuid, version: i64) -> Result<bool> {
    Ok(tx.execute(SUBSCRIPTION_END, (tenant, subscription, version)).await? == 1)
}

/// Reserved money that a run may meet: of an order whose subscription is due.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ReservedRow {
    /// The order.
    pub id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// The subscription that was ordered.
    pub subscription_id: Uuid,
    /// What is reserved, minor units.
    pub amount_minor: i64,
    /// Version of the order.
    pub version: i64,
    /// The contract's account of reserved money; absent when nothing was ever reserved.
    pub blocked_account_id: Option<Uuid>,
}

macro_rules! reserved {
    ($contract:literal, $rest:literal) => {
        concat!(
            "select o.id, o.contract_id, o.subscription_id, o.amount_minor, o.version, a.id as blocked_account_id
            from ",
            $rest,
            " left join ledger_accounts a on a.tenant_id = $1 and a.currency = o.currency and a.code like '%/blocked'
                and a.code = 'contract/ctr_' || ",
            $contract,
            " || '/blocked'"
        )
    };
}

const RESERVED_BETWEEN: crate::Sql = crate::Sql::each(
    reserved!(
        "lower(hex(o.contract_id))",
        "(select id, contract_id, subscription_id, amount_minor, version, currency from orders indexed by orders_standing
            where tenant_id = $1 and contract_id >= $2 and contract_id <= $3 and status in ('opened', 'blocked')
                and status = 'blocked') o"
    ),
    reserved!(
        "replace(cast(o.contract_id as text), '-', '')",
        "(select id, contract_id, subscription_id, amount_minor, version, currency from orders
            where tenant_id = $1 and contract_id >= $2 and contract_id <= $3 and status in ('opened', 'blocked')
                and status = 'blocked') o"
    ),
);
/// The paid orders of the contracts from one to another, both included, in no order.
pub async fn reserved_between(tx: &mut Tx, tenant: Uuid, first: Uuid, last: Uuid) -> Result<Vec<ReservedRow>> {
    tx.fetch_all(RESERVED_BETWEEN, (tenant, first, last)).await
}

const RESERVED_OF: crate::Sql = crate::Sql::each(
    reserved!(
        "lower(hex(o.contract_id))",
        "{rows} join orders o on o.tenant_id = $1 and o.subscription_id = {key}v.id and o.status in ('opened', 'blocked')
            and o.status = 'blocked'"
    ),
    reserved!(
        "replace(cast(o.contract_id as text), '-', '')",
        "{rows} join orders o on o.tenant_id = $1 and o.subscription_id = v.id and o.status in ('opened', 'blocked')
            and o.status = 'blocked'"
    ),
);
/// The paid orders of subscriptions, in no order.
pub async fn reserved_of(tx: &mut Tx, tenant: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<ReservedRow>> {
    tx.fetch_rows(RESERVED_OF, (tenant,), &Rows::new().with("id", subscriptions)).await
}

const WAITING_CONTRACTS: &str = "select contract_id, min(amount_minor) as least_minor from orders
    where tenant_id = $1 and contract_id > $2 and status in ('opened', 'blocked') and status = 'opened'
    group by contract_id order by contract_id limit $3";
/// Contracts behind one with orders that wait for money, each with the least that one of them needs, minor units.
pub async fn waiting_contracts(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<(Uuid, i64)>> {
    tx.fetch_all(WAITING_CONTRACTS, (tenant, after, limit)).await
}

const WAITING_AMONG: &str = "select v.id from {rows} where exists (select 1 from orders o
    where o.tenant_id = $1 and o.contract_id = v.id and o.status in ('opened', 'blocked') and o.status = 'opened')";
/// Those of some contracts that have an order which waits for money.
pub async fn waiting_among(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_rows(WAITING_AMONG, (tenant,), &Rows::new().with("id", contracts)).await?;
    Ok(found.into_iter().map(|row| row.0).collect())
}

const ORPHANED: &str = select!(
    "orders o join subscriptions s on s.tenant_id = $1 and s.id = o.subscription_id
    where o.tenant_id = $1 and o.status in ('opened', 'blocked') and s.status in ('deleted', 'cancelled', 'completed')
    order by o.contract_id, o.id limit $2"
);
/// Orders that stand although their subscription has ended.
pub async fn orphaned(tx: &mut Tx, tenant: Uuid, limit: i64) -> Result<Vec<OrderRow>> {
    tx.fetch_all(ORPHANED, (tenant, limit)).await
}

const UNPAID_EXPIRED: &str = "select id from orders where tenant_id = $1 and status in ('opened', 'blocked')
    and status = 'opened' and expires_at <= $2 order by id limit $3";
/// Orders that nobody paid for in time.
pub async fn expired(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_all(UNPAID_EXPIRED, (tenant, now, limit)).await?;
    Ok(found.into_iter().map(|row| row.0).collect())
}

/// For how long orders of a tenant wait for money.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OrderPolicyRow {
    /// How many days; none for ever.
    pub cancel_unpaid_days: Option<i32>,
    /// For optimistic locking.
    pub version: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const POLICY_FIND: &str = "select cancel_unpaid_days, version, updated_at from order_policies where tenant_id = $1";
/// For how long orders wait; none while nobody said.
pub async fn policy_find(tx: &mut Tx, tenant: Uuid) -> Result<Option<OrderPolicyRow>> {
    tx.fetch_optional(POLICY_FIND, (tenant,)).await
}

const POLICY_INSERT: &str = "insert into order_policies (tenant_id, cancel_unpaid_days, version, updated_at)
    values ($1, $2, 1, $3) on conflict (tenant_id) do nothing";
const POLICY_UPDATE: &str = "update order_policies set cancel_unpaid_days = $2, updated_at = $3, version = version + 1
    where tenant_id = $1 and version = $4";
/// Saves it over the version that was read, 0 while there was none; `false` when it is another.
pub async fn policy_put(
    tx: &mut Tx,
    tenant: Uuid,
    days: Option<i32>,
    now: DateTime<Utc>,
    if_match: i64,
) -> Result<bool> {
    let written = if if_match == 0 {
        tx.execute(POLICY_INSERT, (tenant, days, now)).await?
    } else {
        tx.execute(POLICY_UPDATE, (tenant, days, now, if_match)).await?
    };
    Ok(written == 1)
}

/// The columns that [`end_all`] takes.
pub fn ended(orders: &[(Uuid, i64)], status: &str) -> Rows {
    Rows::new()
        .with("id", column(orders, |order| order.0))
        .with("version", column(orders, |order| order.1))
        .with("status", column(orders, |_| status.to_owned()))
}
