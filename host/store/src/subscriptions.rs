//! Rows of subscriptions. The billing run advances them by the thousand in its own statements.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// A subscription.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SubscriptionRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// What was sold.
    pub plan_version_id: Uuid,
    /// Where it stands.
    pub status: String,
    /// How many units, canonical decimal.
    pub quantity: String,
    /// Per cent, canonical decimal.
    pub discount_percent: String,
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
    /// How many charges are left; none for ever.
    pub charges_left: Option<i32>,
    /// 1 when what is charged once is still to be charged.
    pub once_due: i32,
    /// First day of the present terms; none while they are those it began with.
    pub terms_from: Option<NaiveDate>,
    /// How many changes were executed.
    pub change_ordinal: i32,
    /// A sum off each period, minor units.
    pub discount_minor: i64,
    /// The first charge date that the discount holds on.
    pub discount_from: Option<NaiveDate>,
    /// The last charge date that the discount holds on.
    pub discount_until: Option<NaiveDate>,
    /// 1 when each period begins by hand.
    pub manual: i32,
    /// 1 when documents are wanted on activation.
    pub documents_on_activation: i32,
    /// 1 when the customer is told of an activation.
    pub notify_on_activation: i32,
    /// What the customer reads about it.
    pub description: Option<String>,
    /// What becomes of a period that the contract cannot pay for.
    pub short_funds: String,
    /// For how many days such a period is tried again.
    pub retry_days: Option<i32>,
    /// The first day of the period that waits for money.
    pub waits_from: Option<NaiveDate>,
    /// The zone before the contract's was changed.
    pub former_zone: Option<String>,
    /// The boundary up to which that zone holds.
    pub former_zone_until: Option<NaiveDate>,
    /// The system that the subscription came from.
    pub external_system: Option<String>,
    /// Its id there.
    pub external_id: Option<String>,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const INSERT_ALL: &str = "insert into subscriptions (tenant_id, id, contract_id, plan_version_id, status, quantity,
        discount_percent, anchor_on, next_index, starts_on, ends_on, next_charge_on, charges_left, once_due, terms_from,
        discount_minor, discount_from, discount_until, manual, documents_on_activation, notify_on_activation, description, short_funds,
        retry_days, external_system, external_id, version, created_at)
    select $1, v.id, v.contract_id, v.plan_version_id, v.status, v.quantity,
        v.discount_percent, v.anchor_on, v.next_index, v.starts_on, v.ends_on, v.next_charge_on, v.charges_left,
        v.once_due, v.terms_from, v.discount_minor, v.discount_from, v.discount_until, v.manual, v.documents_on_activation,
        v.notify_on_activation, v.description, v.short_funds, v.retry_days, v.external_system, v.external_id, 1, $2 from {rows}";
/// Adds subscriptions in their first version.
pub async fn insert_all(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, items: &[SubscriptionRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(items, |row| row.id))
        .with("contract_id", column(items, |row| row.contract_id))
        .with("plan_version_id", column(items, |row| row.plan_version_id))
        .with("status", column(items, |row| row.status.clone()))
        .with("quantity", column(items, |row| row.quantity.clone()))
        .with("discount_percent", column(items, |row| row.discount_percent.clone()))
        .with("anchor_on", column(items, |row| row.anchor_on))
        .with("next_index", column(items, |row| row.next_index))
        .with("starts_on", column(items, |row| row.starts_on))
        .with("ends_on", column(items, |row| row.ends_on))
        .with("next_charge_on", column(items, |row| row.next_charge_on))
        .with("charges_left", column(items, |row| row.charges_left))
        .with("once_due", column(items, |row| row.once_due))
        .with("terms_from", column(items, |row| row.terms_from))
        .with("discount_minor", column(items, |row| row.discount_minor))
        .with("discount_from", column(items, |row| row.discount_from))
        .with("discount_until", column(items, |row| row.discount_until))
        .with("manual", column(items, |row| row.manual))
        .with("documents_on_activation", column(items, |row| row.documents_on_activation))
        .with("notify_on_activation", column(items, |row| row.notify_on_activation))
        .with("description", column(items, |row| row.description.clone()))
        .with("short_funds", column(items, |row| row.short_funds.clone()))
        .with("retry_days", column(items, |row| row.retry_days))
        .with("external_system", column(items, |row| row.external_system.clone()))
        .with("external_id", column(items, |row| row.external_id.clone()));
    tx.execute_rows(INSERT_ALL, (tenant, now), &rows).await.map(|_| ())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, contract_id, plan_version_id, status, quantity, discount_percent, anchor_on, next_index, starts_on,
                ends_on, next_charge_on, charges_left, once_due, terms_from, change_ordinal, discount_minor, discount_from,
                discount_until, manual, documents_on_activation, notify_on_activation, description, short_funds,
                retry_days, waits_from, former_zone, former_zone_until, external_system, external_id, version, created_at
            from subscriptions ",
            $rest
        )
    };
}

const FIND: &str = select!("where tenant_id = $1 and id = $2");
/// One subscription.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<SubscriptionRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = select!("where tenant_id = $1 and id > $2 and ($4 = '' or status = $4) order by id limit $3");
const LIST_BY_CONTRACT: &str =
    select!("where tenant_id = $1 and contract_id = $5 and id > $2 and ($4 = '' or status = $4) order by id limit $3");
/// A page of subscriptions by id: of one contract when it is named, and in one status; `status` empty means all.
pub async fn list_in(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    status: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<SubscriptionRow>> {
    let status = status.to_owned();
    match contract {
        None => tx.fetch_all(LIST, (tenant, after, limit, status)).await,
        Some(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, status, contract)).await,
    }
}

/// A page of subscriptions, of one contract when it is named, by id.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<SubscriptionRow>> {
    list_in(tx, tenant, contract, "", after, limit).await
}

/// What a subscription shows of its contract and its charges.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CardRow {
    /// The subscription.
    pub id: Uuid,
    /// Number of the contract.
    pub contract_number: String,
    /// The customer.
    pub customer_id: Uuid,
    /// The contract's zone.
    pub zone: String,
    /// The latest day on which a recurring charge was made.
    pub last_charge_on: Option<NaiveDate>,
}

const CARDS: &str = "select s.id, c.number as contract_number, c.customer_id, c.zone,
        (select max(g.charged_on) from charges g where g.tenant_id = $1 and g.subscription_id = s.id
            and g.kind = 'recurring') as last_charge_on
    from {rows} join subscriptions s on s.tenant_id = $1 and s.id = {key}v.id
    join contracts c on c.tenant_id = $1 and c.id = s.contract_id";
/// What subscriptions show of their contracts and charges, in no order.
pub async fn cards(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<Vec<CardRow>> {
    tx.fetch_rows(CARDS, (tenant,), &Rows::new().with("id", ids)).await
}

const UPDATE: &str = "update subscriptions set discount_percent = $4, discount_minor = $5, discount_from = $6,
        discount_until = $7, charges_left = $8, manual = $9, documents_on_activation = $10, notify_on_activation = $11,
        description = $12, short_funds = $13, retry_days = $14, waits_from = $15, external_system = $16,
        external_id = $17, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves what is edited without a change of the terms; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &SubscriptionRow, if_match: i64) -> Result<bool> {
    let params = (
        tenant,
        row.id,
        if_match,
        row.discount_percent.clone(),
        row.discount_minor,
        row.discount_from,
        row.discount_until,
        row.charges_left,
        row.manual,
        row.documents_on_activation,
        row.notify_on_activation,
        row.description.clone(),
        row.short_funds.clone(),
        row.retry_days,
        row.waits_from,
        row.external_system.clone(),
        row.external_id.clone(),
    );
    Ok(tx.execute(UPDATE, params).await? == 1)
}

const ACTIVATE: &str = "update subscriptions set status = $4, anchor_on = $5, next_index = $6, starts_on = $7,
        next_charge_on = $7, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves where a subscription begins; `false` when it is gone or its version is another.
pub async fn activate(tx: &mut Tx, tenant: Uuid, row: &SubscriptionRow, if_match: i64) -> Result<bool> {
    let params = (tenant, row.id, if_match, row.status.clone(), row.anchor_on, row.next_index, row.starts_on);
    Ok(tx.execute(ACTIVATE, params).await? == 1)
}

// What has not reached the boundary of an earlier change keeps the zone that it runs in; what never began has none to keep.
const ZONE_KEEP: &str = "update subscriptions set former_zone = $3, former_zone_until = next_charge_on,
        version = version + 1
    where tenant_id = $1 and contract_id = $2 and next_charge_on > starts_on
        and (former_zone_until is null or former_zone_until < next_charge_on)
        and status not in ('deleted', 'cancelled', 'completed')";
/// Keeps the zone of a contract that is about to change for what its subscriptions have begun; answers how many.
pub async fn zone_keep(tx: &mut Tx, tenant: Uuid, contract: Uuid, zone: &str) -> Result<u64> {
    tx.execute(ZONE_KEEP, (tenant, contract, zone.to_owned())).await
}

const END: &str = "update subscriptions set ends_on = $4, next_charge_on = $5, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Sets the end of a subscription; `false` when it is gone or its version is another.
pub async fn end(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    if_match: i64,
    ends_on: NaiveDate,
    next_charge_on: NaiveDate,
) -> Result<bool> {
    Ok(tx.execute(END, (tenant, id, if_match, ends_on, next_charge_on)).await? == 1)
}

const KNOWN: &str = "select s.external_system, s.external_id from {rows} join subscriptions s
    on s.tenant_id = $1 and s.external_system = v.external_system and s.external_id = v.external_id";
/// Which of these pairs of external system and id exist.
pub async fn known(tx: &mut Tx, tenant: Uuid, pairs: &[(String, String)]) -> Result<Vec<(String, String)>> {
    let rows = Rows::new()
        .with("external_system", column(pairs, |pair| pair.0.clone()))
        .with("external_id", column(pairs, |pair| pair.1.clone()));
    tx.fetch_rows(KNOWN, (tenant,), &rows).await
}
