//! Rows of recorded use: events, and the facts that each is accepted or refused by.
//!
//! Events are only ever added, by the thousand. Concurrency: whoever adds events shares the tenant's lock of recording
//! until its transaction ends, and whoever bills their windows takes it alone (see [`crate::usage_windows`]); so a billed
//! window has counted all events that were recorded before it, and later ones see that it is billed. SQLite has one writer.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::{Result, Rows, Sql, Tx, rows::column};

/// The lock of recording among the advisory locks of PostgreSQL; the second key is the tenant's.
const SHARE: Sql =
    Sql::each("select $1", "select pg_advisory_xact_lock_shared(1633465460, hashtext(cast(cast($1 as uuid) as text)))");
const ALONE: Sql =
    Sql::each("select $1", "select pg_advisory_xact_lock(1633465460, hashtext(cast(cast($1 as uuid) as text)))");

/// Shares the tenant's lock of recording until the transaction ends.
pub async fn lock_shared(tx: &mut Tx, tenant: Uuid) -> Result<()> {
    tx.execute(SHARE, (tenant,)).await.map(|_| ())
}

/// Takes the tenant's lock of recording alone until the transaction ends: all events recorded before are seen.
pub async fn lock_alone(tx: &mut Tx, tenant: Uuid) -> Result<()> {
    tx.execute(ALONE, (tenant,)).await.map(|_| ())
}

/// An event of use.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    /// The sender's id of it, unique within the tenant.
    pub event_id: String,
    /// The subscription that is used.
    pub subscription_id: Uuid,
    /// What it is counted by.
    pub meter_id: Uuid,
    /// When it happened, microseconds since 1970.
    pub occurred_us: i64,
    /// Whole units of its quantity.
    pub units: i64,
    /// Billionths of a unit of its quantity.
    pub nanos: i32,
    /// What was used, where different items are counted.
    pub item: Option<String>,
    /// When it was recorded, microseconds since 1970.
    pub received_us: i64,
}

fn event_rows(events: &[EventRow]) -> Rows {
    Rows::new()
        .with("event_id", column(events, |row| row.event_id.clone()))
        .with("subscription_id", column(events, |row| row.subscription_id))
        .with("meter_id", column(events, |row| row.meter_id))
        .with("occurred_us", column(events, |row| row.occurred_us))
        .with("units", column(events, |row| row.units))
        .with("nanos", column(events, |row| row.nanos))
        .with("item", column(events, |row| row.item.clone()))
}

const INSERT: &str = "insert into usage_events
        (tenant_id, event_id, subscription_id, meter_id, occurred_us, units, nanos, item, received_us)
    select $1, v.event_id, v.subscription_id, v.meter_id, v.occurred_us, v.units, v.nanos, v.item, $2
    from {rows} where true on conflict (tenant_id, event_id) do nothing";
/// Adds events whose ids are new and answers how many were. The events come in the order of their ids, so that two
/// senders of the same events wait for one another in one direction.
pub async fn insert(tx: &mut Tx, tenant: Uuid, received_us: i64, events: &[EventRow]) -> Result<u64> {
    tx.execute_rows(INSERT, (tenant, received_us), &event_rows(events)).await
}

const RECORDED: &str = "select e.event_id, e.subscription_id, e.meter_id, e.occurred_us, e.units, e.nanos, e.item,
        e.received_us
    from {rows} join usage_events e on e.tenant_id = $1 and e.event_id = v.event_id";
/// The events with these ids; missing ones are absent.
pub async fn recorded(tx: &mut Tx, tenant: Uuid, ids: Vec<String>) -> Result<Vec<EventRow>> {
    tx.fetch_rows(RECORDED, (tenant,), &Rows::new().with("event_id", ids)).await
}

const KNOWN: &str = "select v.event_id from {rows} join usage_events e on e.tenant_id = $1 and e.event_id = v.event_id";
/// Which of these ids are recorded.
pub async fn known(tx: &mut Tx, tenant: Uuid, ids: Vec<String>) -> Result<Vec<(String,)>> {
    tx.fetch_rows(KNOWN, (tenant,), &Rows::new().with("event_id", ids)).await
}

/// What an event's subscription says about it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SubscriberRow {
    /// The subscription.
    pub id: Uuid,
    /// Where it stands.
    pub status: String,
    /// What it is sold by.
    pub plan_version_id: Uuid,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// From when on nothing is charged yet.
    pub next_charge_on: NaiveDate,
    /// 1 when each period begins by hand.
    pub manual: i32,
    /// The first day of the period that it stands still for, until there is money.
    pub suspended_from: Option<NaiveDate>,
    /// The contract's zone.
    pub zone: String,
    /// The zone before that was changed.
    pub former_zone: Option<String>,
    /// The boundary up to which it holds.
    pub former_zone_until: Option<NaiveDate>,
}

const SUBSCRIBERS: &str = "select s.id, s.status, s.plan_version_id,
        case when s.terms_from > s.starts_on then s.terms_from else s.starts_on end as starts_on, s.ends_on,
        s.next_charge_on, s.manual, case when s.short_funds = 'suspend' then s.waits_from end as suspended_from, c.zone,
        s.former_zone, s.former_zone_until
    from {rows} join subscriptions s on s.tenant_id = $1 and s.id = {key}v.id
    join contracts c on c.tenant_id = $1 and c.id = s.contract_id";
/// The subscriptions with these ids; missing ones are absent.
pub async fn subscribers(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<Vec<SubscriberRow>> {
    tx.fetch_rows(SUBSCRIBERS, (tenant,), &Rows::new().with("id", ids)).await
}

const METERED: &str = "select c.plan_version_id, c.meter_id from {rows}
    join plan_components c on c.tenant_id = $1 and c.plan_version_id = v.id and c.meter_id is not null";
/// What plan versions count: pairs of version and meter.
pub async fn metered(tx: &mut Tx, tenant: Uuid, versions: Vec<Uuid>) -> Result<Vec<(Uuid, Uuid)>> {
    tx.fetch_rows(METERED, (tenant,), &Rows::new().with("id", versions)).await
}

const LIST: &str = "select event_id, subscription_id, meter_id, occurred_us, units, nanos, item, received_us
    from usage_events where tenant_id = $1 and subscription_id = $2 and meter_id = $3
        and (occurred_us, event_id) > ($4, $5) and occurred_us < $6
    order by occurred_us, event_id limit $7";
/// A page of a subscription's events of one meter before an instant, behind (instant, id), by instant.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    (subscription, meter): (Uuid, Uuid),
    after: (i64, String),
    before_us: i64,
    limit: i64,
) -> Result<Vec<EventRow>> {
    tx.fetch_all(LIST, (tenant, subscription, meter, after.0, after.1, before_us, limit)).await
}

/// The bounds of which the figures are asked.
#[derive(Clone, Debug)]
pub struct Span {
    /// What names the answer.
    pub id: Uuid,
    /// The subscription.
    pub subscription: Uuid,
    /// The meter.
    pub meter: Uuid,
    /// The first instant, microseconds since 1970.
    pub starts_us: i64,
    /// The instant behind the last.
    pub ends_us: i64,
}

/// What events come to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FiguresRow {
    /// What was asked.
    pub id: Uuid,
    /// How events become one figure.
    pub aggregation: String,
    /// How many.
    pub events: i64,
    /// The sum of whole units.
    pub units: i64,
    /// The sum of billionths.
    pub nanos: i64,
    /// The largest quantity, see [`quantity_of`].
    pub largest: Option<String>,
    /// The smallest.
    pub smallest: Option<String>,
    /// The latest, behind 19 digits of its instant.
    pub latest: Option<String>,
    /// How many different items.
    pub items: i64,
}

// Added to a number so that its digits sort as the number does.
// units + 10^13, nanos + 10^9, occurred_us + 4·10^18 (instants from 1900 to 2100 have 19 digits then).
const FIGURES: &str = "select v.id, max(m.aggregation) as aggregation, count(e.event_id) as events,
        cast(coalesce(sum(e.units), 0) as bigint) as units, cast(coalesce(sum(e.nanos), 0) as bigint) as nanos,
        max(case when m.aggregation = 'max' then
            cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text) end) as largest,
        min(case when m.aggregation = 'min' then
            cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text) end) as smallest,
        max(case when m.aggregation = 'last' then cast(e.occurred_us + 4000000000000000000 as text)
            || cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text) end) as latest,
        count(distinct case when m.aggregation = 'unique' then e.item end) as items
    from {rows} join meters m on m.tenant_id = $1 and m.id = v.meter_id
    left join usage_events e on e.tenant_id = $1 and e.subscription_id = v.subscription_id and e.meter_id = v.meter_id
        and e.occurred_us >= v.starts_us and e.occurred_us < v.ends_us
    group by v.id";
/// What the events of each span come to, in one statement for all of them.
pub async fn figures(tx: &mut Tx, tenant: Uuid, spans: &[Span]) -> Result<Vec<FiguresRow>> {
    tx.fetch_rows(FIGURES, (tenant,), &span_rows(spans)).await
}

/// The readings of one counter in a span.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ReadingsRow {
    /// What was asked.
    pub id: Uuid,
    /// The counter; empty for the only one of a subscription and meter.
    pub item: String,
    /// The instant of the earliest, microseconds since 1970.
    pub earliest_us: i64,
    /// The earliest, behind 19 digits of its instant; see [`quantity_of`].
    pub earliest: String,
    /// The highest.
    pub highest: String,
}

const READINGS: &str = "select v.id, coalesce(e.item, '') as item, min(e.occurred_us) as earliest_us,
        min(cast(e.occurred_us + 4000000000000000000 as text)
            || cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text)) as earliest,
        max(cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text)) as highest
    from {rows} join usage_events e on e.tenant_id = $1 and e.subscription_id = v.subscription_id
        and e.meter_id = v.meter_id and e.occurred_us >= v.starts_us and e.occurred_us < v.ends_us
    group by v.id, coalesce(e.item, '')";
/// The readings of each span, by counter.
pub async fn readings(tx: &mut Tx, tenant: Uuid, spans: &[Span]) -> Result<Vec<ReadingsRow>> {
    tx.fetch_rows(READINGS, (tenant,), &span_rows(spans)).await
}

/// The readings beside an event's.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BesideRow {
    /// The event.
    pub event_id: String,
    /// The last reading of the same counter before it, see [`quantity_of`].
    pub before: Option<String>,
    /// The next one after it.
    pub after: Option<String>,
}

/// The reading of the same counter nearest to an event's, on one side.
macro_rules! nearest {
    ($side:literal, $order:literal) => {
        concat!(
            "(select cast(e.units + 10000000000000 as text) || cast(e.nanos + 1000000000 as text) from usage_events e
            where e.tenant_id = $1 and e.subscription_id = v.subscription_id and e.meter_id = v.meter_id
                and coalesce(e.item, '') = coalesce(v.item, '') and e.occurred_us ",
            $side,
            " v.occurred_us order by e.occurred_us ",
            $order,
            ", e.units ",
            $order,
            ", e.nanos ",
            $order,
            " limit 1)"
        )
    };
}

const BESIDE: &str = concat!(
    "select v.event_id, ",
    nearest!("<", "desc"),
    " as before, ",
    nearest!(">", "asc"),
    " as after from {rows}"
);
/// The recorded readings of the same counters beside these events', one before and one after each.
pub async fn beside(tx: &mut Tx, tenant: Uuid, events: &[EventRow]) -> Result<Vec<BesideRow>> {
    tx.fetch_rows(BESIDE, (tenant,), &event_rows(events)).await
}

const COUNTS: &str = "select v.id, (select count(*) from usage_events e
        where e.tenant_id = $1 and e.subscription_id = v.subscription_id and e.meter_id = v.meter_id
            and e.occurred_us >= v.starts_us and e.occurred_us < v.ends_us) as events
    from {rows}";
/// How many events each span has.
pub async fn counts(tx: &mut Tx, tenant: Uuid, spans: &[Span]) -> Result<Vec<(Uuid, i64)>> {
    tx.fetch_rows(COUNTS, (tenant,), &span_rows(spans)).await
}

fn span_rows(spans: &[Span]) -> Rows {
    Rows::new()
        .with("id", column(spans, |span| span.id))
        .with("subscription_id", column(spans, |span| span.subscription))
        .with("meter_id", column(spans, |span| span.meter))
        .with("starts_us", column(spans, |span| span.starts_us))
        .with("ends_us", column(spans, |span| span.ends_us))
}

/// Reads the last 24 digits of a sortable text: (whole units, billionths).
pub fn quantity_of(text: &str) -> Option<(i64, i64)> {
    let digits = text.get(text.len().checked_sub(24)?..)?;
    let units: i64 = digits[..14].parse().ok()?;
    let nanos: i64 = digits[14..].parse().ok()?;
    Some((units - 10_000_000_000_000, nanos - 1_000_000_000))
}
