//! Rows about the life of subscriptions: which term they live by, since when they are unpaid, stopped or held, what
//! happened to them, and the checkpoints of the close of day.
//!
//! Concurrency: a chunk of a close moves its checkpoint first, by comparing it, so that two hosts never write the same
//! chunk; statuses are changed by comparing the subscription's version, so that a change in between is never overwritten.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// Where a subscription stands, with the facts that its next step follows from.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LifeRow {
    /// The subscription.
    pub id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// Its status.
    pub status: String,
    /// Its version.
    pub version: i64,
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Index of the first period that was not charged.
    pub next_index: i32,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// The next day on which something happens.
    pub next_charge_on: NaiveDate,
    /// The day from which it was last in service again.
    pub resumed_on: Option<NaiveDate>,
    /// Length of its periods.
    pub cadence: String,
    /// Its own term.
    pub own_term_id: Option<Uuid>,
    /// Its plan's term.
    pub plan_term_id: Option<Uuid>,
    /// Since when it is unpaid.
    pub unpaid_since: Option<NaiveDate>,
    /// The first day without service, while it is stopped for want of money.
    pub stopped_on: Option<NaiveDate>,
    /// The status it was held in.
    pub held_from: Option<String>,
    /// The first day on which it was held.
    pub held_on: Option<NaiveDate>,
    /// 1 when it never renews by itself.
    pub manual: i32,
    /// How many charges are left; none for ever.
    pub charges_left: Option<i32>,
}

macro_rules! select {
    ($from:literal) => {
        concat!(
            "select s.id, s.contract_id, s.status, s.version, s.anchor_on, s.next_index, s.starts_on, s.ends_on,
                s.next_charge_on, s.resumed_on, p.cadence, l.service_term_id as own_term_id,
                t.service_term_id as plan_term_id, l.unpaid_since, l.stopped_on, l.held_from, l.held_on,
                s.manual, s.charges_left ",
            $from,
            " join plan_versions p on p.tenant_id = $1 and p.id = s.plan_version_id
            left join service_term_plans t on t.tenant_id = $1 and t.plan_id = p.plan_id
            left join subscription_lives l on l.tenant_id = $1 and l.subscription_id = s.id "
        )
    };
}

const FIND: &str = concat!(select!("from subscriptions s"), "where s.tenant_id = $1 and s.id = $2");
/// One subscription's life.
pub async fn find(tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<Option<LifeRow>> {
    tx.fetch_optional(FIND, (tenant, subscription)).await
}

const ENDED: &str = concat!(
    select!("from subscriptions s"),
    "where s.tenant_id = $1 and s.id > $3
        and ((s.ends_on <= $2 and s.status = 'paused')
            or (s.status in ('active', 'grace') and s.manual = 1
                and (s.ends_on <= $2 or (s.charges_left = 0 and s.next_charge_on <= $2)))) order by s.id limit $4"
);
/// A page of the subscriptions that are over by a day and that no run looks at, by id: paused ones and those whose
/// periods begin by hand, the latter also when they have no charge left.
pub async fn ended(tx: &mut Tx, tenant: Uuid, on: NaiveDate, after: Uuid, limit: i64) -> Result<Vec<LifeRow>> {
    tx.fetch_all(ENDED, (tenant, on, after, limit)).await
}

const OF_CONTRACTS: &str = concat!(
    select!("from {rows} join subscriptions s on s.tenant_id = $1 and s.contract_id = v.contract_id"),
    "where s.status not in ('deleted', 'cancelled', 'completed') order by s.contract_id, s.id"
);
/// The lives of the living subscriptions of contracts.
pub async fn of_contracts(tx: &mut Tx, tenant: Uuid, contracts: &[Uuid]) -> Result<Vec<LifeRow>> {
    tx.fetch_rows(OF_CONTRACTS, (tenant,), &Rows::new().with("contract_id", contracts.to_vec())).await
}

/// A contract that the close of a day looks at, with its money as the customer sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OwingRow {
    /// The contract.
    pub id: Uuid,
    /// What is promised and not yet paid.
    pub promised_minor: i64,
    /// What it may spend, promises included.
    pub available_minor: i64,
}

const OWING: &str = "select m.contract_id as id, m.promised_minor, m.available_minor
    from contract_money m
    where m.tenant_id = $1 and m.contract_id > $2 and (m.available_minor < m.promised_minor or exists (
        select 1 from subscription_lives l where l.tenant_id = $1 and l.contract_id = m.contract_id
            and (l.unpaid_since is not null or l.stopped_on is not null or l.held_from is not null)))
    order by m.contract_id limit $3";
/// Contracts behind a cursor that owe more than their limit, or one of whose subscriptions is on its way down.
pub async fn owing(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<OwingRow>> {
    tx.fetch_all(OWING, (tenant, after, limit)).await
}

const OWING_ONE: &str = "select m.contract_id as id, m.promised_minor, m.available_minor
    from contract_money m where m.tenant_id = $1 and m.contract_id = $2";
/// The money of one contract.
pub async fn owing_one(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Option<OwingRow>> {
    tx.fetch_optional(OWING_ONE, (tenant, contract)).await
}

/// A charge that a contract's money may not reach.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NewestChargeRow {
    /// The contract.
    pub contract_id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// Its charge date.
    pub charged_on: NaiveDate,
    /// With tax, minor units.
    pub gross_minor: i64,
}

const NEWEST_CHARGES: &str = "select contract_id, subscription_id, charged_on, gross_minor from (
        select c.contract_id, c.subscription_id, c.id, c.charged_on, l.gross_minor - c.credited_minor as gross_minor,
            v.shortfall_minor,
            cast(sum(l.gross_minor - c.credited_minor) over (partition by c.contract_id
                order by c.charged_on desc, c.id desc rows between unbounded preceding and current row) as bigint)
                - (l.gross_minor - c.credited_minor) as newer_minor
        from {rows} join subscriptions s on s.tenant_id = $1 and s.contract_id = v.contract_id
        join charges c on c.tenant_id = $1 and c.subscription_id = s.id and c.status <> 'refunded'
        join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id and l.position = c.invoice_position
            and l.charge_id = c.id) found
    where newer_minor < shortfall_minor order by contract_id, charged_on desc, id desc";
/// The newest charges of contracts, newest first, as far as their shortfall reaches: pairs of contract and shortfall.
pub async fn newest_charges(tx: &mut Tx, tenant: Uuid, shortfalls: &[(Uuid, i64)]) -> Result<Vec<NewestChargeRow>> {
    let rows = Rows::new()
        .with("contract_id", shortfalls.iter().map(|(contract, _)| *contract).collect::<Vec<_>>())
        .with("shortfall_minor", shortfalls.iter().map(|(_, minor)| *minor).collect::<Vec<_>>());
    tx.fetch_rows(NEWEST_CHARGES, (tenant,), &rows).await
}

const TERM_SET: &str = "insert into subscription_lives (tenant_id, subscription_id, contract_id, service_term_id,
        unpaid_since, stopped_on, held_from, held_on, version, updated_at)
    values ($1, $2, $3, $4, null, null, null, null, 1, $5)
    on conflict (tenant_id, subscription_id) do update set service_term_id = excluded.service_term_id,
        version = subscription_lives.version + 1, updated_at = excluded.updated_at";
/// Gives a subscription a term of its own, or takes it away.
pub async fn term_set(
    tx: &mut Tx,
    tenant: Uuid,
    subscription: Uuid,
    contract: Uuid,
    term: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<()> {
    tx.execute(TERM_SET, (tenant, subscription, contract, term, now)).await.map(|_| ())
}

const LIVES_PUT: &str = "insert into subscription_lives (tenant_id, subscription_id, contract_id, service_term_id,
        unpaid_since, stopped_on, held_from, held_on, version, updated_at)
    select $1, v.subscription_id, v.contract_id, null, v.unpaid_since, v.stopped_on, v.held_from, v.held_on, 1, $2
    from {rows} where true
    on conflict (tenant_id, subscription_id) do update set unpaid_since = excluded.unpaid_since,
        stopped_on = excluded.stopped_on, held_from = excluded.held_from, held_on = excluded.held_on,
        version = subscription_lives.version + 1, updated_at = excluded.updated_at";
/// Writes where lives stand: columns `subscription_id, contract_id, unpaid_since, stopped_on, held_from, held_on`.
pub async fn put_all(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, rows: &Rows) -> Result<()> {
    tx.execute_rows(LIVES_PUT, (tenant, now), rows).await.map(|_| ())
}

const STATUSES_SET: &str = "update subscriptions set status = v.status, next_index = v.next_index,
        next_charge_on = v.next_charge_on, resumed_on = v.resumed_on, version = subscriptions.version + 1
    from {rows} where subscriptions.tenant_id = $1 and subscriptions.id = {key}v.id and subscriptions.version = v.version";
/// Moves subscriptions that still have the version they were read with: columns `id, version, status, next_index,
/// next_charge_on, resumed_on`; answers how many.
pub async fn statuses_set(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(STATUSES_SET, (tenant,), rows).await
}

const STOPS_OPEN: &str = "insert into subscription_stops (tenant_id, id, subscription_id, from_on, until_on)
    select $1, v.id, v.subscription_id, v.from_on, null from {rows}";
/// Notes that subscriptions are out of service from a day on: columns `id, subscription_id, from_on`.
pub async fn stops_open(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<()> {
    tx.execute_rows(STOPS_OPEN, (tenant,), rows).await.map(|_| ())
}

const STOPS_PASSED: &str = "insert into subscription_stops (tenant_id, id, subscription_id, from_on, until_on)
    select $1, v.id, v.subscription_id, v.from_on, v.until_on from {rows}";
/// Notes days on which subscriptions were out of service and are over: columns `id, subscription_id, from_on, until_on`.
pub async fn stops_passed(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<()> {
    tx.execute_rows(STOPS_PASSED, (tenant,), rows).await.map(|_| ())
}

const STOPS_END: &str =
    "update subscription_stops set until_on = case when v.until_on < from_on then from_on else v.until_on end
    from {rows} where subscription_stops.tenant_id = $1 and subscription_stops.subscription_id = v.subscription_id
        and subscription_stops.until_on is null";
/// Notes that subscriptions are in service again from a day on: columns `subscription_id, until_on`.
pub async fn stops_end(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<()> {
    tx.execute_rows(STOPS_END, (tenant,), rows).await.map(|_| ())
}

/// Days on which a subscription was out of service.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StopRow {
    /// The subscription.
    pub subscription_id: Uuid,
    /// The first such day.
    pub from_on: NaiveDate,
    /// The day after the last one; none while it is out of service.
    pub until_on: Option<NaiveDate>,
}

const STOPS: &str = "select subscription_id, from_on, until_on from subscription_stops
    where tenant_id = $1 and subscription_id > $2 and subscription_id <= $3
    order by subscription_id, from_on, id limit 100000";
/// When the subscriptions behind one and through another were out of service.
pub async fn stops(tx: &mut Tx, tenant: Uuid, after: Uuid, through: Uuid) -> Result<Vec<StopRow>> {
    tx.fetch_all(STOPS, (tenant, after, through)).await
}

const OUT_ON: &str = "select subscription_id, from_on, until_on from subscription_stops
    where tenant_id = $1 and subscription_id = $2 and from_on <= $3 and (until_on is null or until_on > $3)
    order by from_on limit 1";
/// Whether a subscription is out of service on a day, and when that began and ends.
pub async fn out_on(tx: &mut Tx, tenant: Uuid, subscription: Uuid, day: NaiveDate) -> Result<Option<StopRow>> {
    tx.fetch_optional(OUT_ON, (tenant, subscription, day)).await
}

/// A change of a subscription's status.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TransitionRow {
    /// Its id.
    pub id: Uuid,
    /// The status before.
    pub from_status: String,
    /// The status after.
    pub to_status: String,
    /// Why.
    pub cause: String,
    /// The business date it belongs to.
    pub business_on: NaiveDate,
    /// The manual operation that decided it.
    pub operation_id: Option<Uuid>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

const TRANSITIONS_INSERT: &str = "insert into subscription_transitions (tenant_id, id, subscription_id, from_status,
        to_status, cause, business_on, operation_id, recorded_at)
    select $1, v.id, v.subscription_id, v.from_status, v.to_status, v.cause, v.business_on, v.operation_id, $2
    from {rows}";
/// Records changes of status: columns `id, subscription_id, from_status, to_status, cause, business_on, operation_id`.
pub async fn transitions_insert(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, rows: &Rows) -> Result<()> {
    tx.execute_rows(TRANSITIONS_INSERT, (tenant, now), rows).await.map(|_| ())
}

const TRANSITIONS: &str = "select id, from_status, to_status, cause, business_on, operation_id, recorded_at
    from subscription_transitions where tenant_id = $1 and subscription_id = $2 and id > $3 order by id limit $4";
/// A page of a subscription's changes of status, oldest first.
pub async fn transitions(
    tx: &mut Tx,
    tenant: Uuid,
    subscription: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<TransitionRow>> {
    tx.fetch_all(TRANSITIONS, (tenant, subscription, after, limit)).await
}

const HOLD: &str = "insert into subscription_holds (tenant_id, subscription_id, hold_key, reason, held_at)
    values ($1, $2, $3, $4, $5) on conflict (tenant_id, subscription_id, hold_key) do nothing";
/// Adds a reason to hold a subscription; `false` when it has this one.
pub async fn hold(
    tx: &mut Tx,
    tenant: Uuid,
    subscription: Uuid,
    key: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(HOLD, (tenant, subscription, key.to_owned(), reason.to_owned(), now)).await? == 1)
}

const UNHOLD: &str = "delete from subscription_holds where tenant_id = $1 and subscription_id = $2 and hold_key = $3";
/// Takes a reason to hold away; `false` when there was none.
pub async fn unhold(tx: &mut Tx, tenant: Uuid, subscription: Uuid, key: &str) -> Result<bool> {
    Ok(tx.execute(UNHOLD, (tenant, subscription, key.to_owned())).await? == 1)
}

/// A reason to hold a subscription.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct HoldRow {
    /// What names it, such as a block's id.
    pub hold_key: String,
    /// For people.
    pub reason: String,
    /// Since when.
    pub held_at: DateTime<Utc>,
}

const HELD_UNDER: &str = "select subscription_id from subscription_holds where tenant_id = $1 and hold_key = $2
    order by subscription_id limit 100000";
/// The subscriptions that are held under a key.
pub async fn held_under(tx: &mut Tx, tenant: Uuid, key: &str) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_all(HELD_UNDER, (tenant, key.to_owned())).await?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

const HOLDS: &str = "select hold_key, reason, held_at from subscription_holds
    where tenant_id = $1 and subscription_id = $2 order by held_at, hold_key limit 1000";
/// Why a subscription is held.
pub async fn holds(tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<Vec<HoldRow>> {
    tx.fetch_all(HOLDS, (tenant, subscription)).await
}

/// How far the close of a day came.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CloseRow {
    /// The day.
    pub business_on: NaiveDate,
    /// The last contract that was closed.
    pub cursor: Uuid,
    /// Contracts looked at.
    pub contracts: i64,
    /// Subscriptions that went into grace.
    pub graced: i64,
    /// Subscriptions stopped.
    pub stopped: i64,
    /// Subscriptions that returned.
    pub returned: i64,
    /// Subscriptions deleted.
    pub deleted: i64,
    /// Manual operations asked for.
    pub requested: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

const CLOSE_OPEN: &str = "insert into day_closes (tenant_id, business_on, cursor, contracts, graced, stopped, returned,
        deleted, requested, created_at, finished_at)
    values ($1, $2, $3, 0, 0, 0, 0, 0, 0, $4, null) on conflict (tenant_id, business_on) do nothing";
/// Opens the close of a day; one that is open stays as it is.
pub async fn close_open(tx: &mut Tx, tenant: Uuid, on: NaiveDate, now: DateTime<Utc>) -> Result<()> {
    tx.execute(CLOSE_OPEN, (tenant, on, Uuid::nil(), now)).await.map(|_| ())
}

const CLOSE_FIND: &str = "select business_on, cursor, contracts, graced, stopped, returned, deleted, requested,
    created_at, finished_at from day_closes where tenant_id = $1 and business_on = $2";
/// The close of a day.
pub async fn close_find(tx: &mut Tx, tenant: Uuid, on: NaiveDate) -> Result<Option<CloseRow>> {
    tx.fetch_optional(CLOSE_FIND, (tenant, on)).await
}

const CLOSED_LATER: &str =
    "select count(*) from (select business_on from day_closes where tenant_id = $1 and business_on > $2 limit 1) found";
/// Whether the close of a later day has begun.
pub async fn closed_later(tx: &mut Tx, tenant: Uuid, on: NaiveDate) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(CLOSED_LATER, (tenant, on)).await?.0 > 0)
}

/// What one chunk adds to the report of a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Contracts looked at.
    pub contracts: i64,
    /// Subscriptions that went into grace.
    pub graced: i64,
    /// Subscriptions stopped.
    pub stopped: i64,
    /// Subscriptions that returned.
    pub returned: i64,
    /// Subscriptions deleted.
    pub deleted: i64,
    /// Manual operations asked for.
    pub requested: i64,
}

const CLOSE_MOVE: &str = "update day_closes set cursor = $4, contracts = contracts + $5, graced = graced + $6,
        stopped = stopped + $7, returned = returned + $8, deleted = deleted + $9, requested = requested + $10
    where tenant_id = $1 and business_on = $2 and cursor = $3 and finished_at is null";
/// Moves the checkpoint from one contract to another; `false` when another host has moved it.
pub async fn close_move(
    tx: &mut Tx,
    tenant: Uuid,
    on: NaiveDate,
    (from, to): (Uuid, Uuid),
    add: Closed,
) -> Result<bool> {
    let params =
        (tenant, on, from, to, add.contracts, add.graced, add.stopped, add.returned, add.deleted, add.requested);
    Ok(tx.execute(CLOSE_MOVE, params).await? == 1)
}

const CLOSE_FINISH: &str = "update day_closes set finished_at = $4
    where tenant_id = $1 and business_on = $2 and cursor = $3 and finished_at is null";
/// Ends the close of a day whose checkpoint stands where it was seen.
pub async fn close_finish(tx: &mut Tx, tenant: Uuid, on: NaiveDate, cursor: Uuid, now: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(CLOSE_FINISH, (tenant, on, cursor, now)).await? == 1)
}
