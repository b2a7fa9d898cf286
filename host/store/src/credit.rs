//! Credit policies, where contracts stand among others, what each has and may spend, and the credit control of a day.
//!
//! Concurrency: whoever decides about a contract's block or promises locks the contract's funds account first and reads
//! afterwards. A posting to the account either was committed before and is seen, or waits and then sees what was decided.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// What a tenant, a channel or a group is allowed in one currency.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PolicyRow {
    /// Its id.
    pub id: Uuid,
    /// `tenant`, `channel` or `group`.
    pub scope: String,
    /// The channel's or group's code; empty for the tenant.
    pub code: String,
    /// ISO 4217 code.
    pub currency: String,
    /// How far a contract may go into debt; absent leaves it to the level above.
    pub credit_limit_minor: Option<i64>,
    /// For how many days a new block is postponed.
    pub deferral_days: Option<i32>,
    /// The most that active promises of a contract may come to; absent leaves promises to the level above.
    pub promise_most_minor: Option<i64>,
    /// The most days a promise lasts.
    pub promise_days: Option<i32>,
    /// What a promise costs.
    pub promise_fee_minor: Option<i64>,
    /// The most promises a month.
    pub promises_per_month: Option<i32>,
    /// The most active promises.
    pub promises_at_once: Option<i32>,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const POLICY_INSERT: &str = "insert into credit_policies (tenant_id, id, scope, code, currency, credit_limit_minor,
        deferral_days, promise_most_minor, promise_days, promise_fee_minor, promises_per_month, promises_at_once, version,
        created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13)
    on conflict (tenant_id, scope, code, currency) do nothing";
/// Adds a policy; `false` when its level has one in this currency.
pub async fn policy_insert(tx: &mut Tx, tenant: Uuid, row: &PolicyRow) -> Result<bool> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.scope,
        row.code,
        row.currency,
        row.credit_limit_minor,
        row.deferral_days,
        row.promise_most_minor,
        row.promise_days,
        row.promise_fee_minor,
        row.promises_per_month,
        row.promises_at_once,
        row.created_at,
    );
    Ok(tx.execute(POLICY_INSERT, params).await? == 1)
}

const POLICY_UPDATE: &str = "update credit_policies set credit_limit_minor = $4, deferral_days = $5,
        promise_most_minor = $6, promise_days = $7, promise_fee_minor = $8, promises_per_month = $9,
        promises_at_once = $10, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves what a policy allows; `false` when its version is another.
pub async fn policy_update(tx: &mut Tx, tenant: Uuid, row: &PolicyRow, if_match: i64) -> Result<bool> {
    let params = (
        tenant,
        row.id,
        if_match,
        row.credit_limit_minor,
        row.deferral_days,
        row.promise_most_minor,
        row.promise_days,
        row.promise_fee_minor,
        row.promises_per_month,
        row.promises_at_once,
    );
    Ok(tx.execute(POLICY_UPDATE, params).await? == 1)
}

const POLICY_FIND: &str = "select id, scope, code, currency, credit_limit_minor, deferral_days, promise_most_minor,
        promise_days, promise_fee_minor, promises_per_month, promises_at_once, version, created_at
    from credit_policies where tenant_id = $1 and id = $2";
/// One policy.
pub async fn policy_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<PolicyRow>> {
    tx.fetch_optional(POLICY_FIND, (tenant, id)).await
}

const POLICY_LIST: &str = "select id, scope, code, currency, credit_limit_minor, deferral_days, promise_most_minor,
        promise_days, promise_fee_minor, promises_per_month, promises_at_once, version, created_at
    from credit_policies where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of policies by id.
pub async fn policy_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<PolicyRow>> {
    tx.fetch_all(POLICY_LIST, (tenant, after, limit)).await
}

const POLICIES_OF: &str = "select p.id, p.scope, p.code, p.currency, p.credit_limit_minor, p.deferral_days,
        p.promise_most_minor, p.promise_days, p.promise_fee_minor, p.promises_per_month, p.promises_at_once, p.version,
        p.created_at
    from contracts c
    left join contract_controls k on k.tenant_id = c.tenant_id and k.contract_id = c.id
    join credit_policies p on p.tenant_id = c.tenant_id and p.currency = c.currency
        and ((p.scope = 'group' and p.code = k.group_code) or (p.scope = 'channel' and p.code = k.channel_code)
            or p.scope = 'tenant')
    where c.tenant_id = $1 and c.id = $2
    order by case p.scope when 'group' then 0 when 'channel' then 1 else 2 end limit 3";
/// The policies that apply to a contract, the most specific first.
pub async fn policies_of(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Vec<PolicyRow>> {
    tx.fetch_all(POLICIES_OF, (tenant, contract)).await
}

const CODE_EXISTS: &str = "select count(*) from credit_policies where tenant_id = $1 and scope = $2 and code = $3";
/// Whether a group or channel of this code is known, in any currency.
pub async fn code_exists(tx: &mut Tx, tenant: Uuid, scope: &str, code: &str) -> Result<bool> {
    let found: (i64,) = tx.fetch_one(CODE_EXISTS, (tenant, scope.to_owned(), code.to_owned())).await?;
    Ok(found.0 > 0)
}

/// Where a contract stands among others.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ControlRow {
    /// The contract.
    pub contract_id: Uuid,
    /// Its group.
    pub group_code: Option<String>,
    /// The sales channel it came through.
    pub channel_code: Option<String>,
    /// Whether its own limit counts even when it is zero.
    pub own_limit: bool,
    /// The contract right above it.
    pub parent_id: Option<Uuid>,
    /// Its turn among the contracts below the same one, the lower the earlier.
    pub priority: i32,
    /// JSON array of texts.
    pub tags: String,
    /// For optimistic locking.
    pub version: i64,
}

const CONTROL_FIND: &str = "select contract_id, group_code, channel_code, own_limit, parent_id, priority, tags, version
    from contract_controls where tenant_id = $1 and contract_id = $2";
/// Where a contract stands; absent when it stands alone.
pub async fn control_find(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Option<ControlRow>> {
    tx.fetch_optional(CONTROL_FIND, (tenant, contract)).await
}

const CONTROL_SAVE: &str = "insert into contract_controls (tenant_id, contract_id, group_code, channel_code, own_limit,
        parent_id, priority, tags, version, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9 + 1, $10)
    on conflict (tenant_id, contract_id) do update set group_code = excluded.group_code,
        channel_code = excluded.channel_code, own_limit = excluded.own_limit, parent_id = excluded.parent_id,
        priority = excluded.priority, tags = excluded.tags, version = excluded.version, updated_at = excluded.updated_at
    where contract_controls.version = $9";
/// Saves where a contract stands, over version `if_match` (0 for none yet); `false` when its version is another.
pub async fn control_save(
    tx: &mut Tx,
    tenant: Uuid,
    row: &ControlRow,
    if_match: i64,
    now: DateTime<Utc>,
) -> Result<bool> {
    let row = row.clone();
    let params = (
        tenant,
        row.contract_id,
        row.group_code,
        row.channel_code,
        row.own_limit,
        row.parent_id,
        row.priority,
        row.tags,
        if_match,
        now,
    );
    Ok(tx.execute(CONTROL_SAVE, params).await? == 1)
}

/// A contract below another.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BelowRow {
    /// The contract.
    pub contract_id: Uuid,
    /// The contract right above it.
    pub parent_id: Uuid,
    /// Its turn.
    pub priority: i32,
    /// How far below the first contract, 1 for right below.
    pub depth: i32,
    /// Its currency.
    pub currency: String,
    /// Its funds account.
    pub funds_account_id: Uuid,
}

const BELOW: &str = "with recursive below (contract_id, parent_id, priority, depth) as (
        select k.contract_id, k.parent_id, k.priority, 1 from contract_controls k
        where k.tenant_id = $1 and k.parent_id = $2
        union all
        select k.contract_id, k.parent_id, k.priority, b.depth + 1 from below b
        join contract_controls k on k.tenant_id = $1 and k.parent_id = b.contract_id
        where b.depth < $3
    )
    select b.contract_id, b.parent_id, b.priority, b.depth, c.currency, c.funds_account_id from below b
    join contracts c on c.tenant_id = $1 and c.id = b.contract_id order by b.depth, b.contract_id limit $4";
/// The contracts below one, `deepest` levels down, at most `limit`.
pub async fn below(tx: &mut Tx, tenant: Uuid, contract: Uuid, deepest: i32, limit: i64) -> Result<Vec<BelowRow>> {
    tx.fetch_all(BELOW, (tenant, contract, deepest, limit)).await
}

const ABOVE: &str = "with recursive above (contract_id, depth) as (
        select k.parent_id, 1 from contract_controls k
        where k.tenant_id = $1 and k.contract_id = $2 and k.parent_id is not null
        union all
        select k.parent_id, a.depth + 1 from above a
        join contract_controls k on k.tenant_id = $1 and k.contract_id = a.contract_id and k.parent_id is not null
        where a.depth < 100
    )
    select contract_id from above order by depth limit 100";
/// The contracts above one, the nearest first.
pub async fn above(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Vec<Uuid>> {
    Ok(tx.fetch_all::<(Uuid,)>(ABOVE, (tenant, contract)).await?.into_iter().map(|row| row.0).collect())
}

const HIERARCHY_LOCK: &str = "update tenants set version = version where id = $1";
/// Lets one transaction at a time change who stands above whom: two that each look fine can close a circle together.
pub async fn hierarchy_lock(tx: &mut Tx, tenant: Uuid) -> Result<()> {
    tx.execute(HIERARCHY_LOCK, (tenant,)).await.map(|_| ())
}

/// What a contract has and may spend.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MoneyRow {
    /// The contract.
    pub contract_id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// The contract's number.
    pub number: String,
    /// `prepaid`, `postpaid` or `mixed`.
    pub kind: String,
    /// ISO 4217 code.
    pub currency: String,
    /// An IANA time zone.
    pub zone: String,
    /// Its funds account.
    pub funds_account_id: Uuid,
    /// What the customer has, minor units; below zero a debt.
    pub balance_minor: i64,
    /// Sum of active promises.
    pub promised_minor: i64,
    /// Reserved for paid orders.
    pub blocked_minor: i64,
    /// The limit in effect; absent when none is set at any level.
    pub limit_minor: Option<i64>,
    /// `contract`, `group`, `channel` or `tenant`.
    pub limit_source: Option<String>,
    /// For how many days a new block is postponed.
    pub deferral_days: i32,
    /// What the contract may spend.
    pub available_minor: i64,
}

const MONEY: &str = "select contract_id, customer_id, number, kind, currency, zone, funds_account_id, balance_minor,
        promised_minor, blocked_minor, limit_minor, limit_source, deferral_days, available_minor
    from contract_money where tenant_id = $1 and contract_id = $2";
/// What a contract has and may spend.
pub async fn money(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Option<MoneyRow>> {
    tx.fetch_optional(MONEY, (tenant, contract)).await
}

const MONEY_OF: &str = "select m.contract_id, m.customer_id, m.number, m.kind, m.currency, m.zone, m.funds_account_id,
        m.balance_minor, m.promised_minor, m.blocked_minor, m.limit_minor, m.limit_source, m.deferral_days,
        m.available_minor
    from {rows} join contract_money m on m.tenant_id = $1 and m.contract_id = v.id";
/// What contracts have and may spend, in no order.
pub async fn money_of(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<MoneyRow>> {
    tx.fetch_rows(MONEY_OF, (tenant,), &Rows::new().with("id", contracts)).await
}

const CONCERNED: &str = "select v.id from {rows} where
    exists (select 1 from promises p where p.tenant_id = $1 and p.contract_id = v.id and p.status = 'active')
    or exists (select 1 from blocks b where b.tenant_id = $1 and b.object_id = v.id and b.type = 'credit-limit'
        and b.lifted_at is null)
    or exists (select 1 from contract_controls k where k.tenant_id = $1 and k.parent_id = v.id)
    or exists (select 1 from orders o where o.tenant_id = $1 and o.contract_id = v.id
        and o.status in ('opened', 'blocked') and o.status = 'opened')
    or exists (select 1 from dunning_cases d where d.tenant_id = $1 and d.contract_id = v.id)
    or exists (select 1 from subscription_lives l where l.tenant_id = $1 and l.contract_id = v.id
        and (l.unpaid_since is not null or l.stopped_on is not null))";
/// Those of some contracts for which money that arrives has consequences.
pub async fn concerned(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_rows(CONCERNED, (tenant,), &Rows::new().with("id", contracts)).await?;
    Ok(found.into_iter().map(|row| row.0).collect())
}

const LOCK: &str = "update ledger_accounts set entry_count = ledger_accounts.entry_count
    from {rows} where ledger_accounts.tenant_id = $1 and ledger_accounts.id = {key}v.id";
/// Locks funds accounts until the transaction ends; callers give them in the order of their ids.
pub async fn lock(tx: &mut Tx, tenant: Uuid, mut accounts: Vec<Uuid>) -> Result<()> {
    accounts.sort_unstable();
    accounts.dedup();
    tx.execute_rows(LOCK, (tenant,), &Rows::new().with("id", accounts)).await.map(|_| ())
}

/// How far the credit control of a day has come.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DayRow {
    /// The day that is closed.
    pub business_on: NaiveDate,
    /// The last contract that was decided about.
    pub cursor: Option<Uuid>,
    /// Contracts blocked.
    pub blocked: i64,
    /// Blocks lifted.
    pub lifted: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was done.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts chunks.
    pub version: i64,
}

const DAY_OPEN: &str =
    "insert into credit_days (tenant_id, business_on, cursor, blocked, lifted, started_at, finished_at, version)
    values ($1, $2, null, 0, 0, $3, null, 1) on conflict (tenant_id, business_on) do nothing";
/// Begins the credit control of a day, once.
pub async fn day_open(tx: &mut Tx, tenant: Uuid, on: NaiveDate, now: DateTime<Utc>) -> Result<()> {
    tx.execute(DAY_OPEN, (tenant, on, now)).await.map(|_| ())
}

const DAY_FIND: &str = "select business_on, cursor, blocked, lifted, started_at, finished_at, version from credit_days
    where tenant_id = $1 and business_on = $2";
/// The credit control of a day.
pub async fn day_find(tx: &mut Tx, tenant: Uuid, on: NaiveDate) -> Result<Option<DayRow>> {
    tx.fetch_optional(DAY_FIND, (tenant, on)).await
}

const DAY_ADVANCE: &str = "update credit_days set cursor = $4, blocked = blocked + $5, lifted = lifted + $6,
        finished_at = $7, version = version + 1
    where tenant_id = $1 and business_on = $2 and version = $3";
/// Moves the checkpoint of a day; `false` when another host moved it meanwhile.
#[expect(clippy::too_many_arguments, reason = "the columns of a checkpoint")]
pub async fn day_advance(
    tx: &mut Tx,
    tenant: Uuid,
    on: NaiveDate,
    version: i64,
    cursor: Option<Uuid>,
    blocked: i64,
    lifted: i64,
    finished_at: Option<DateTime<Utc>>,
) -> Result<bool> {
    let params = (tenant, on, version, cursor, blocked, lifted, finished_at);
    Ok(tx.execute(DAY_ADVANCE, params).await? == 1)
}

const CHUNK_END: &str = "select id from contracts where tenant_id = $1 and id > $2 order by id limit 1 offset $3";
/// The contract that stands `size` places behind another; none when fewer are left.
pub async fn chunk_end(tx: &mut Tx, tenant: Uuid, after: Uuid, size: i64) -> Result<Option<Uuid>> {
    Ok(tx.fetch_optional::<(Uuid,)>(CHUNK_END, (tenant, after, size - 1)).await?.map(|row| row.0))
}

/// A contract whose block does not fit its money.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MisfitRow {
    /// The contract.
    pub contract_id: Uuid,
    /// Its funds account.
    pub funds_account_id: Uuid,
    /// The block of the credit control that stands on it.
    pub block_id: Option<Uuid>,
    /// What it may spend.
    pub available_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// An IANA time zone.
    pub zone: String,
    /// For how many days a new block is postponed.
    pub deferral_days: i32,
}

const MISFITS: &str =
    "select m.contract_id, m.funds_account_id, b.id as block_id, m.available_minor, m.currency, m.zone,
        m.deferral_days
    from contract_money m
    left join blocks b on b.tenant_id = m.tenant_id and b.object_id = m.contract_id and b.type = 'credit-limit'
        and b.lifted_at is null
    where m.tenant_id = $1 and m.contract_id > $2 and m.contract_id <= $3
        and case when m.limit_minor is not null and m.available_minor < 0 then b.id is null
            else b.id is not null end";
/// The contracts between two, the second included, that are to be blocked (no block) or unblocked (a block).
pub async fn misfits(tx: &mut Tx, tenant: Uuid, after: Uuid, through: Uuid) -> Result<Vec<MisfitRow>> {
    tx.fetch_all(MISFITS, (tenant, after, through)).await
}

const MISFITS_OF: &str = "select m.contract_id, m.funds_account_id, b.id as block_id, m.available_minor, m.currency,
        m.zone, m.deferral_days
    from {rows}
    join contract_money m on m.tenant_id = $1 and m.contract_id = v.id
    left join blocks b on b.tenant_id = m.tenant_id and b.object_id = m.contract_id and b.type = 'credit-limit'
        and b.lifted_at is null
    where case when m.limit_minor is not null and m.available_minor < 0 then b.id is null
        else b.id is not null end";
/// Those of some contracts that are to be blocked (no block) or unblocked (a block).
pub async fn misfits_of(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<MisfitRow>> {
    tx.fetch_rows(MISFITS_OF, (tenant,), &Rows::new().with("id", contracts)).await
}

const CONTROLLED: &str = "select case when exists (select 1 from credit_policies
        where tenant_id = $1 and credit_limit_minor is not null)
    or exists (select 1 from contract_controls where tenant_id = $1 and own_limit = $2)
    or exists (select 1 from contracts where tenant_id = $1 and credit_limit_minor > 0)
    or exists (select 1 from blocks where tenant_id = $1 and type = 'credit-limit' and lifted_at is null)
    then cast(1 as bigint) else cast(0 as bigint) end";
/// Whether any contract of the tenant has a limit, or is blocked by one.
pub async fn controlled(tx: &mut Tx, tenant: Uuid) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(CONTROLLED, (tenant, true)).await?.0 == 1)
}
