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
        discount_percent, anchor_on, next_index, starts_on, ends_on, next_charge_on, charges_left, discount_minor,
        discount_from, discount_until, manual, documents_on_activation, notify_on_activation, description,
        external_system, external_id, version, created_at)
    select $1, v.id, v.contract_id, v.plan_version_id, v.status, v.quantity,
        v.discount_percent, v.anchor_on, v.next_index, v.starts_on, v.ends_on, v.next_charge_on, v.charges_left,
        v.discount_minor, v.discount_from, v.discount_until, v.manual, v.documents_on_activation,
        v.notify_on_activation, v.description, v.external_system, v.external_id, 1, $2 from {rows}";
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
        .with("discount_minor", column(items, |row| row.discount_minor))
        .with("discount_from", column(items, |row| row.discount_from))
        .with("discount_until", column(items, |row| row.discount_until))
        .with("manual", column(items, |row| row.manual))
        .with("documents_on_activation", column(items, |row| row.documents_on_activation))
        .with("notify_on_activation", column(items, |row| row.notify_on_activation))
        .with("description", column(items, |row| row.description.clone()))
        .with("external_system", column(items, |row| row.external_system.clone()))
        .with("external_id", column(items, |row| row.external_id.clone()));
    tx.execute_rows(INSERT_ALL, (tenant, now), &rows).await.map(|_| ())
}

const FIND: &str = "select id, contract_id, plan_version_id, status, quantity, discount_percent, anchor_on, next_index,
        starts_on, ends_on, next_charge_on, charges_left, terms_from, change_ordinal, discount_minor,
        discount_from, discount_until, manual, documents_on_activation, notify_on_activation, description,
        external_system, external_id, version, created_at
    from subscriptions where tenant_id = $1 and id = $2";
/// One subscription.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<SubscriptionRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = "select id, contract_id, plan_version_id, status, quantity, discount_percent, anchor_on, next_index,
        starts_on, ends_on, next_charge_on, charges_left, terms_from, change_ordinal, discount_minor,
        discount_from, discount_until, manual, documents_on_activation, notify_on_activation, description,
        external_system, external_id, version, created_at
    from subscriptions where tenant_id = $1 and id > $2 order by id limit $3";
const LIST_BY_CONTRACT: &str = "select id, contract_id, plan_version_id, status, quantity, discount_percent, anchor_on,
        next_index, starts_on, ends_on, next_charge_on, charges_left, terms_from, change_ordinal, discount_minor,
        discount_from, discount_until, manual, documents_on_activation, notify_on_activation, description,
        external_system, external_id, version, created_at
    from subscriptions where tenant_id = $1 and contract_id = $4 and id > $2 order by id limit $3";
/// A page of subscriptions, of one contract when it is named, by id.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<SubscriptionRow>> {
    match contract {
        None => tx.fetch_all(LIST, (tenant, after, limit)).await,
        Some(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, contract)).await,
    }
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
