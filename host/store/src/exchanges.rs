//! Exchanges with payment gateways, their trail, and the addresses that notifications come to.
//!
//! Concurrency: a host takes an exchange up by raising its `fence` together with a lease; every later write of that host
//! names the fence, so a host whose lease ran out writes nothing. What a notification or another exchange teaches about a
//! payment is written under a row lock and does not touch the fence.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// An exchange.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ExchangeRow {
    /// Its id.
    pub id: Uuid,
    /// The binding it goes through.
    pub binding_id: Uuid,
    /// The component that began it and ends it.
    pub component_digest: Vec<u8>,
    /// The configuration that it was begun with, JSON; none in rows from before configurations were kept.
    pub config: Option<String>,
    /// The trial that the payment it is, or is about, began in; none for those that the present component began.
    pub canary_id: Option<Uuid>,
    /// What it is.
    pub kind: String,
    /// The payment or refund that it is about, when it is about another exchange.
    pub about_id: Option<Uuid>,
    /// The number of the payment within its binding; zero for everything else.
    pub number: i64,
    /// The amount.
    pub amount_minor: i64,
    /// Its currency.
    pub currency: String,
    /// What was asked, JSON.
    pub asked: String,
    /// How far it is.
    pub state: String,
    /// How many requests it has sent.
    pub requests: i32,
    /// How it stands; for a payment or a refund, what is known of it.
    pub verdict: Option<String>,
    /// How the gateway names it.
    pub external_id: String,
    /// The outcome, JSON.
    pub outcome: Option<String>,
    /// Stable code of a failure.
    pub fault_code: Option<String>,
    /// The failure in words.
    pub fault: Option<String>,
    /// Counts the hosts that took it up.
    pub fence: i64,
    /// Counts changes.
    pub version: i64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// One step of a trail.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StepRow {
    /// Its place, from 0.
    pub position: i32,
    /// What happened.
    pub kind: String,
    /// The plugin call that decided it.
    pub call_id: Option<Uuid>,
    /// A request, JSON, with the names of its secrets.
    pub request: Option<String>,
    /// What the plugin wants back with the answer.
    pub continuation: Option<Vec<u8>>,
    /// Status of an answer.
    pub status: Option<i32>,
    /// Headers of an answer, JSON.
    pub headers: Option<String>,
    /// Body of an answer.
    pub body: Option<Vec<u8>>,
    /// In words.
    pub note: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

const ENDPOINT_INSERT: &str = "insert into gateway_endpoints (binding_id, tenant_id, last_number, created_at)
    values ($1, $2, 0, $3) on conflict (binding_id) do nothing";
/// Gives a binding of a gateway its address.
pub async fn endpoint_insert(tx: &mut Tx, tenant: Uuid, binding: Uuid, now: DateTime<Utc>) -> Result<()> {
    tx.execute(ENDPOINT_INSERT, (binding, tenant, now)).await.map(|_| ())
}

const ENDPOINT_TENANT: &str = "select tenant_id from gateway_endpoints where binding_id = $1";
/// Whose binding has this address.
pub async fn endpoint_tenant(tx: &mut Tx, binding: Uuid) -> Result<Option<Uuid>> {
    Ok(tx.fetch_optional::<(Uuid,)>(ENDPOINT_TENANT, (binding,)).await?.map(|row| row.0))
}

const NEXT_NUMBER: &str = "update gateway_endpoints set last_number = last_number + 1
    where tenant_id = $1 and binding_id = $2 returning last_number";
/// The next number of a payment within a binding.
pub async fn next_number(tx: &mut Tx, tenant: Uuid, binding: Uuid) -> Result<Option<i64>> {
    Ok(tx.fetch_optional::<(i64,)>(NEXT_NUMBER, (tenant, binding)).await?.map(|row| row.0))
}

const INSERT: &str = "insert into exchanges (tenant_id, id, binding_id, component_digest, kind, about_id, number,
    amount_minor, currency, asked, state, requests, verdict, external_id, outcome, fault_code, fault, lease_owner,
    lease_until, fence, version, created_at, updated_at, config, canary_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'begun', 0, null, '', null, null, null, null, null, 0, 1, $11, $11, $12,
        $13)";
/// Begins an exchange.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &ExchangeRow) -> Result<()> {
    let params = (
        tenant,
        row.id,
        row.binding_id,
        row.component_digest.clone(),
        row.kind.clone(),
        row.about_id,
        row.number,
        row.amount_minor,
        row.currency.clone(),
        row.asked.clone(),
        row.created_at,
        row.config.clone(),
        row.canary_id,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "select id, binding_id, component_digest, config, canary_id, kind, about_id, number, amount_minor, currency, asked, state,
            requests, verdict, external_id, outcome, fault_code, fault, fence, version, created_at, updated_at
            from exchanges ",
            $rest
        )
    };
}

const FIND: &str = columns!("where tenant_id = $1 and id = $2");
/// One exchange.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ExchangeRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LOCK: Sql =
    Sql::each(columns!("where tenant_id = $1 and id = $2"), columns!("where tenant_id = $1 and id = $2 for update"));
/// One exchange, locked until the transaction ends.
pub async fn lock(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ExchangeRow>> {
    tx.fetch_optional(LOCK, (tenant, id)).await
}

const BY_NUMBER: &str =
    columns!("where tenant_id = $1 and binding_id = $2 and number = $3 and kind = 'pay' order by id limit 1");
/// The payment of this number.
pub async fn find_by_number(tx: &mut Tx, tenant: Uuid, binding: Uuid, number: i64) -> Result<Option<ExchangeRow>> {
    tx.fetch_optional(BY_NUMBER, (tenant, binding, number)).await
}

const BY_EXTERNAL: &str =
    columns!("where tenant_id = $1 and binding_id = $2 and external_id = $3 and kind = 'pay' order by id limit 1");
/// The payment that the gateway names so.
pub async fn find_by_external(tx: &mut Tx, tenant: Uuid, binding: Uuid, name: &str) -> Result<Option<ExchangeRow>> {
    tx.fetch_optional(BY_EXTERNAL, (tenant, binding, name.to_owned())).await
}

// The last condition is that of the index exchanges_in_flight, word for word.
const IN_FLIGHT: &str = "select c.component_digest, c.config from binding_changes c
    where c.tenant_id = $1 and c.binding_id = $2 and exists (select 1 from exchanges e
        where e.tenant_id = $1 and e.binding_id = $2 and e.component_digest = c.component_digest and e.config = c.config
            and e.kind = 'pay'
            and (e.verdict is null or e.verdict in ('pending', 'unknown', 'requires-action', 'authorized', 'other')))
    group by c.component_digest, c.config order by max(c.version) desc limit $3";
/// Components with configurations that a binding had, and that began payments whose end is not known: the latest first.
pub async fn in_flight(tx: &mut Tx, tenant: Uuid, binding: Uuid, limit: i64) -> Result<Vec<(Vec<u8>, String)>> {
    tx.fetch_all(IN_FLIGHT, (tenant, binding, limit)).await
}

const IN_FLIGHT_ON_TRIAL: &str = "select c.component_digest, c.config from canaries c
    where c.tenant_id = $1 and c.binding_id = $2 and exists (select 1 from exchanges e
        where e.tenant_id = $1 and e.binding_id = $2 and e.component_digest = c.component_digest and e.canary_id = c.id
            and e.kind = 'pay'
            and (e.verdict is null or e.verdict in ('pending', 'unknown', 'requires-action', 'authorized', 'other')))
    group by c.component_digest, c.config order by max(c.started_at) desc limit $3";
/// Components with configurations that are or were on trial in a binding, and that began payments whose end is not known:
/// the latest first.
pub async fn in_flight_on_trial(
    tx: &mut Tx,
    tenant: Uuid,
    binding: Uuid,
    limit: i64,
) -> Result<Vec<(Vec<u8>, String)>> {
    tx.fetch_all(IN_FLIGHT_ON_TRIAL, (tenant, binding, limit)).await
}

const LIST: &str = columns!("where tenant_id = $1 and id > $2 order by id limit $3");
/// A page of exchanges by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<ExchangeRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const BEGUN_BETWEEN: &str = columns!(
    "where tenant_id = $1 and binding_id = $2 and id > $3 and created_at >= $4 and created_at < $5 order by id limit $6"
);
/// A page of the exchanges of a binding that began from one instant until before another, by id.
pub async fn begun_between(
    tx: &mut Tx,
    tenant: Uuid,
    binding: Uuid,
    after: Uuid,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> Result<Vec<ExchangeRow>> {
    tx.fetch_all(BEGUN_BETWEEN, (tenant, binding, after, from, until, limit)).await
}

const TAKE: &str = "update exchanges set lease_owner = $3, lease_until = $4, fence = fence + 1
    where tenant_id = $1 and id = $2 and state <> 'done'
        and (lease_until is null or lease_until <= $5 or lease_owner = $3)";
/// Takes an unfinished exchange up; `false` when it is done or another host is at it.
pub async fn take(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    owner: &str,
    until: DateTime<Utc>,
    wall: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(TAKE, (tenant, id, owner.to_owned(), until, wall)).await? == 1)
}

const ADVANCE: &str = "update exchanges set state = $4, requests = $5, lease_until = $6, version = version + 1,
    updated_at = $7 where tenant_id = $1 and id = $2 and fence = $3 and state <> 'done'";
/// Goes on to another state; `false` when another host took the exchange over.
#[expect(clippy::too_many_arguments, reason = "the columns of the state")]
pub async fn advance(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    fence: i64,
    state: &str,
    requests: i32,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(ADVANCE, (tenant, id, fence, state.to_owned(), requests, until, now)).await? == 1)
}

const END: &str = "update exchanges set state = 'done', lease_owner = null, lease_until = null, fault_code = $4,
    fault = $5, version = version + 1, updated_at = $6 where tenant_id = $1 and id = $2 and fence = $3 and state <> 'done'";
/// Ends an exchange; `false` when another host took it over.
pub async fn end(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    fence: i64,
    fault: Option<(&str, &str)>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let (code, text) = fault.unzip();
    let params = (tenant, id, fence, code.map(str::to_owned), text.map(str::to_owned), now);
    Ok(tx.execute(END, params).await? == 1)
}

const LEARN: &str = "update exchanges set verdict = $3, external_id = $4, outcome = $5, version = version + 1,
    updated_at = $6 where tenant_id = $1 and id = $2";
/// Writes what is known of an exchange that was locked before.
pub async fn learn(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    verdict: &str,
    external_id: &str,
    outcome: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let params = (tenant, id, verdict.to_owned(), external_id.to_owned(), outcome.to_owned(), now);
    tx.execute(LEARN, params).await.map(|_| ())
}

const STEP_INSERT: &str = "insert into exchange_steps (tenant_id, exchange_id, position, kind, call_id, request,
    continuation, status, headers, body, note, at)
    values ($1, $2, (select coalesce(max(position), -1) + 1 from exchange_steps where tenant_id = $1 and exchange_id = $2),
    $3, $4, $5, $6, $7, $8, $9, $10, $11)";
/// Adds a step to a trail whose exchange was locked or taken up before; its `position` is given here.
pub async fn step_insert(tx: &mut Tx, tenant: Uuid, exchange: Uuid, step: StepRow) -> Result<()> {
    let params = (
        tenant,
        exchange,
        step.kind,
        step.call_id,
        step.request,
        step.continuation,
        step.status,
        step.headers,
        step.body,
        step.note,
        step.at,
    );
    tx.execute(STEP_INSERT, params).await.map(|_| ())
}

const STEPS: &str = "select position, kind, call_id, request, continuation, status, headers, body, note, at
    from exchange_steps where tenant_id = $1 and exchange_id = $2 and position > $3 order by position limit $4";
/// A page of a trail by position.
pub async fn steps(tx: &mut Tx, tenant: Uuid, exchange: Uuid, after: i32, limit: i64) -> Result<Vec<StepRow>> {
    tx.fetch_all(STEPS, (tenant, exchange, after, limit)).await
}

const REFUNDED: &str = "select cast(coalesce(sum(amount_minor), 0) as bigint) from exchanges
    where tenant_id = $1 and about_id = $2 and kind = 'refund'
        and (verdict is null or verdict not in ('declined', 'not-attempted'))";
/// How much of a payment was given back or may have been, minor units.
pub async fn refunded_minor(tx: &mut Tx, tenant: Uuid, payment: Uuid) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(REFUNDED, (tenant, payment)).await?.0)
}
