//! Rows of notices before a charge, and of how many days ahead a tenant wants them.
//!
//! A notice is a row beside an event of the outbox, in one transaction; its key is the subscription, the charge date and
//! which notice it is, so that nobody is told twice, whoever closes the day and how often.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// How many days ahead a tenant wants notices.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NoticePolicyRow {
    /// Days before the charge of the first notice; none for no notices.
    pub first_days: Option<i32>,
    /// Days of the second one.
    pub second_days: Option<i32>,
    /// For optimistic locking.
    pub version: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const POLICY_FIND: &str =
    "select first_days, second_days, version, updated_at from notice_policies where tenant_id = $1";
/// The days; none while nobody said.
pub async fn policy_find(tx: &mut Tx, tenant: Uuid) -> Result<Option<NoticePolicyRow>> {
    tx.fetch_optional(POLICY_FIND, (tenant,)).await
}

const POLICY_INSERT: &str = "insert into notice_policies (tenant_id, first_days, second_days, version, updated_at)
    values ($1, $2, $3, 1, $4) on conflict (tenant_id) do nothing";
const POLICY_UPDATE: &str =
    "update notice_policies set first_days = $2, second_days = $3, updated_at = $4, version = version + 1
    where tenant_id = $1 and version = $5";
/// Saves the days over the version that was read, 0 while there was none; `false` when it is another.
pub async fn policy_put(
    tx: &mut Tx,
    tenant: Uuid,
    days: (Option<i32>, Option<i32>),
    now: DateTime<Utc>,
    if_match: i64,
) -> Result<bool> {
    let written = if if_match == 0 {
        tx.execute(POLICY_INSERT, (tenant, days.0, days.1, now)).await?
    } else {
        tx.execute(POLICY_UPDATE, (tenant, days.0, days.1, now, if_match)).await?
    };
    Ok(written == 1)
}

/// A subscription that will be charged, as far as a notice tells of it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct UpcomingRow {
    /// The subscription.
    pub id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// Its plan version.
    pub plan_version_id: Uuid,
    /// Decimal text.
    pub quantity: String,
    /// Decimal text.
    pub discount_percent: String,
    /// A sum off each period, minor units.
    pub discount_minor: i64,
    /// The first charge date that the discount holds on.
    pub discount_from: Option<NaiveDate>,
    /// The last charge date that the discount holds on.
    pub discount_until: Option<NaiveDate>,
    /// Anchor of its periods.
    pub anchor_on: NaiveDate,
    /// The next period's number.
    pub next_index: i32,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// 1 when what is charged once is still to be charged.
    pub once_due: i32,
    /// First day of the present terms, if they were changed or it returned to service.
    pub terms_from: Option<NaiveDate>,
    /// The charge date.
    pub charge_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// 1 when the customer wants to be told.
    pub notify: i32,
    /// Which notices of this charge date were given: bit 1 for the first, bit 2 for the second.
    pub given: i64,
}

// By id, so that a page costs what it reads: nothing tells subscriptions by their charge date, which moves with every run.
const UPCOMING: &str =
    "select s.id, s.contract_id, s.plan_version_id, s.quantity, s.discount_percent, s.discount_minor,
        s.discount_from, s.discount_until, s.anchor_on, s.next_index,
        s.starts_on, s.once_due,
        case when s.resumed_on > coalesce(s.terms_from, s.starts_on) then s.resumed_on else s.terms_from end as terms_from,
        s.next_charge_on as charge_on, s.ends_on,
        s.notify_on_activation as notify,
        cast(coalesce((select sum(n.notice) from charge_notices n where n.tenant_id = $1 and n.subscription_id = s.id
            and n.charge_on = s.next_charge_on), 0) as bigint) as given
    from subscriptions s
    where s.tenant_id = $1 and s.id > $2 and s.next_charge_on > $3 and s.next_charge_on <= $4
        and s.status in ('active', 'grace') and s.manual = 0 and (s.charges_left is null or s.charges_left > 0)
        and (s.ends_on is null or s.ends_on > s.next_charge_on)
    order by s.id limit $5";
/// Subscriptions behind one whose next charge lies behind `on` and at or before `through`, by id.
pub async fn upcoming(
    tx: &mut Tx,
    tenant: Uuid,
    after: Uuid,
    on: NaiveDate,
    through: NaiveDate,
    limit: i64,
) -> Result<Vec<UpcomingRow>> {
    tx.fetch_all(UPCOMING, (tenant, after, on, through, limit)).await
}

/// A notice that is given.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The subscription.
    pub subscription: Uuid,
    /// The charge date.
    pub charge_on: NaiveDate,
    /// 1 or 2.
    pub notice: i32,
    /// The event of the outbox that tells of it.
    pub event: Uuid,
    /// What that event is about.
    pub subject: String,
    /// Its payload, JSON text.
    pub payload: String,
}

const NOTICES_INSERT: &str =
    "insert into charge_notices (tenant_id, subscription_id, charge_on, notice, event_id, business_on,
        noticed_at)
    select $1, v.subscription_id, v.charge_on, v.notice, v.event_id, $2, $3 from {rows} where true
    on conflict (tenant_id, subscription_id, charge_on, notice) do nothing";
const EVENTS_INSERT: &str = "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
    select $1, v.id, $2, v.subject, v.payload, $3, null from {rows}";
/// Gives notices: a row and an event of `kind` each. `false` when one of them was given before: roll back then.
pub async fn give(
    tx: &mut Tx,
    tenant: Uuid,
    kind: &str,
    on: NaiveDate,
    now: DateTime<Utc>,
    notices: &[Notice],
) -> Result<bool> {
    let rows = Rows::new()
        .with("subscription_id", column(notices, |notice| notice.subscription))
        .with("charge_on", column(notices, |notice| notice.charge_on))
        .with("notice", column(notices, |notice| notice.notice))
        .with("event_id", column(notices, |notice| notice.event));
    if tx.execute_rows(NOTICES_INSERT, (tenant, on, now), &rows).await? != notices.len() as u64 {
        return Ok(false);
    }
    let events = Rows::new()
        .with("id", column(notices, |notice| notice.event))
        .with("subject", column(notices, |notice| notice.subject.clone()))
        .with("payload", column(notices, |notice| notice.payload.clone()));
    tx.execute_rows(EVENTS_INSERT, (tenant, kind.to_owned(), now), &events).await?;
    Ok(true)
}
