//! Rows of usage windows: which days of a subscription one component bills the use of, and what was billed of them.
//!
//! A window opens when its period begins to be charged, is cut when its terms end early, and is billed at its end; events
//! that come later make it `late`, and it is billed again for what they add. What is billed is never cut.
//! Concurrency: see [`crate::metering`] for the lock that billing takes alone; a window is billed by comparing what it was
//! read with.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{
    Result, Rows, Sql, Tx,
    metering::{self, Span},
    rows::column,
};

/// A window.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WindowRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// The plan version that prices it.
    pub plan_version_id: Uuid,
    /// The component that prices it.
    pub component_id: Uuid,
    /// The meter.
    pub meter_id: Uuid,
    /// How many changes of the subscription were executed before it opened.
    pub change_ordinal: i32,
    /// First day of the whole period.
    pub period_start: NaiveDate,
    /// The day after the whole period.
    pub period_end: NaiveDate,
    /// Its first day.
    pub used_start: NaiveDate,
    /// The day after its last one.
    pub used_end: NaiveDate,
    /// Its first instant, microseconds since 1970.
    pub starts_us: i64,
    /// The instant behind its last.
    pub ends_us: i64,
    /// Units of the subscription when it opened.
    pub quantity: String,
    /// The subscription's discount when it opened, per cent.
    pub discount_percent: String,
    /// `open`, `billed`, or `late`: billed, and events came since.
    pub state: String,
    /// The day whose run bills it.
    pub due_on: NaiveDate,
    /// How many events were billed.
    pub billed_events: i64,
    /// The figure that was billed.
    pub billed_use: String,
    /// What was billed, as the plan states prices, minor units.
    pub billed_minor: i64,
    /// How often it was billed.
    pub billings: i32,
}

/// A window to bill, with what its contract adds.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DueWindowRow {
    /// The window.
    #[sqlx(flatten)]
    pub window: WindowRow,
    /// When the subscription was created.
    pub subscription_created_at: DateTime<Utc>,
    /// The contract's version.
    pub contract_version: i64,
    /// The contract's number.
    pub contract_number: String,
    /// The contract's currency.
    pub currency: String,
    /// The seller.
    pub seller_id: Uuid,
    /// The contract's funds account.
    pub funds_account_id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// Kind of customer.
    pub customer_kind: String,
    /// Country of the customer.
    pub customer_country: String,
    /// Taxpayer number of the customer.
    pub customer_inn: Option<String>,
    /// Reason code of registration of the customer.
    pub customer_kpp: Option<String>,
}

impl WindowRow {
    /// The span of its events.
    pub fn span(&self) -> Span {
        Span {
            id: self.id,
            subscription: self.subscription_id,
            meter: self.meter_id,
            starts_us: self.starts_us,
            ends_us: self.ends_us,
        }
    }
}

/// The columns of a [`WindowRow`].
macro_rules! columns {
    () => {
        "w.id, w.contract_id, w.subscription_id, w.plan_version_id, w.component_id, w.meter_id,
            w.change_ordinal, w.period_start, w.period_end, w.used_start, w.used_end, w.starts_us, w.ends_us,
            w.quantity, w.discount_percent, w.state, w.due_on, w.billed_events, w.billed_use, w.billed_minor,
            w.billings"
    };
}
macro_rules! window {
    ($rest:literal) => {
        concat!("select ", columns!(), $rest)
    };
}

/// Something of the windows of pairs; SQLite keeps the order of cross joins and is told the index of the table's only unique
/// key, or it walks all windows of the tenant for each pair.
macro_rules! of_pairs {
    ($columns:expr, $join:literal, $by:literal, $rest:literal) => {
        concat!(
            "select ",
            $columns,
            " from {rows}",
            $join,
            " usage_windows w",
            $by,
            " on w.tenant_id = $1 and w.subscription_id = v.subscription_id and w.meter_id = v.meter_id",
            $rest
        )
    };
    ($columns:expr, $rest:literal) => {
        Sql::each(
            of_pairs!($columns, " cross join", " indexed by sqlite_autoindex_usage_windows_2", $rest),
            of_pairs!($columns, " join", "", $rest),
        )
    };
}

const PENDING: &str =
    "select count(*) from (select 1 from usage_windows where tenant_id = $1 and state <> 'billed' limit 1) found";
/// Whether a tenant has any window to bill, now or later.
pub async fn any_pending(tx: &mut Tx, tenant: Uuid) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(PENDING, (tenant,)).await?.0 > 0)
}

/// The contract's columns of a [`DueWindowRow`] and where they come from; `$join` ties the tables. SQLite keeps the order of
/// cross joins and is told the index, whatever its statistics say.
macro_rules! due {
    ($from:literal, $join:literal, $rest:literal) => {
        concat!(
            window!(
                ", s.created_at as subscription_created_at, c.version as contract_version, c.number as contract_number, c.currency, c.seller_id,
                c.funds_account_id, c.customer_id, k.kind as customer_kind, k.country as customer_country,
                k.inn as customer_inn, k.kpp as customer_kpp from "
            ),
            $from,
            $join,
            " contracts c on c.tenant_id = $1 and c.id = w.contract_id",
            $join,
            " customers k on k.tenant_id = $1 and k.id = c.customer_id ",
            $join,
            " subscriptions s on s.tenant_id = $1 and s.id = w.subscription_id ",
            $rest
        )
    };
    (sqlite $from:literal, $rest:literal) => {
        due!($from, " cross join", $rest)
    };
    (postgres $from:literal, $rest:literal) => {
        due!($from, " join", $rest)
    };
}

const DUE: Sql = Sql::each(
    due!(sqlite "usage_windows w indexed by usage_windows_to_bill",
        "where w.tenant_id = $1 and w.contract_id > $2 and w.due_on <= $3 and w.state <> 'billed'
        order by w.contract_id, w.due_on, w.id limit $4"
    ),
    due!(postgres "usage_windows w",
        "where w.tenant_id = $1 and w.contract_id > $2 and w.due_on <= $3 and w.state <> 'billed'
        order by w.contract_id, w.due_on, w.id limit $4"
    ),
);
/// Windows to bill in contract order after a contract.
pub async fn due(tx: &mut Tx, tenant: Uuid, after: Uuid, through: NaiveDate, limit: i64) -> Result<Vec<DueWindowRow>> {
    tx.fetch_all(DUE, (tenant, after, through, limit)).await
}

const DUE_OF: Sql = Sql::each(
    due!(sqlite "{rows} cross join usage_windows w indexed by usage_windows_to_bill
            on w.tenant_id = $1 and w.contract_id = v.contract_id",
        "where w.due_on <= $2 and w.state <> 'billed' order by w.contract_id, w.due_on, w.id"
    ),
    due!(postgres "{rows} join usage_windows w on w.tenant_id = $1 and w.contract_id = v.contract_id",
        "where w.due_on <= $2 and w.state <> 'billed' order by w.contract_id, w.due_on, w.id"
    ),
);
/// Windows to bill of the named contracts, in contract order.
pub async fn due_of(tx: &mut Tx, tenant: Uuid, contracts: &[Uuid], through: NaiveDate) -> Result<Vec<DueWindowRow>> {
    let rows = Rows::new().with("contract_id", contracts.to_vec());
    let mut found: Vec<DueWindowRow> = tx.fetch_rows(DUE_OF, (tenant, through), &rows).await?;
    found.sort_by_key(|row| (row.window.contract_id, row.window.due_on, row.window.id));
    Ok(found)
}

/// A window to open.
#[derive(Clone, Debug)]
pub struct NewWindow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract: Uuid,
    /// The subscription.
    pub subscription: Uuid,
    /// The plan version that prices it.
    pub plan_version: Uuid,
    /// The component that prices it.
    pub component: Uuid,
    /// The meter.
    pub meter: Uuid,
    /// How many changes of the subscription were executed before.
    pub change_ordinal: i32,
    /// The whole period: first day, and the day after the last.
    pub period: (NaiveDate, NaiveDate),
    /// The days in service.
    pub used: (NaiveDate, NaiveDate),
    /// Their instants in the contract's zone, microseconds since 1970.
    pub instants: (i64, i64),
    /// Units of the subscription.
    pub quantity: String,
    /// Its discount, per cent.
    pub discount_percent: String,
}

// A window begins where the one before it ended, in days and in the same instant, whatever zone the contract has by now.
const OPEN: &str =
    "insert into usage_windows (tenant_id, id, contract_id, subscription_id, plan_version_id, component_id,
        meter_id, change_ordinal, period_start, period_end, used_start, used_end, starts_us, ends_us, quantity,
        discount_percent, state, due_on, billed_events, billed_use, billed_minor, billings, created_at)
    select $1, v.id, v.contract_id, v.subscription_id, v.plan_version_id, v.component_id, v.meter_id, v.change_ordinal,
        v.period_start, v.period_end, case when p.used_end > v.used_start then p.used_end else v.used_start end,
        v.used_end, case when p.used_end >= v.used_start then p.ends_us else v.starts_us end, v.ends_us, v.quantity,
        v.discount_percent, 'open', v.used_end, 0, '0', 0, 0, $2
    from {rows} left join usage_windows p on p.tenant_id = $1 and p.subscription_id = v.subscription_id
        and p.meter_id = v.meter_id and p.starts_us = (select max(l.starts_us) from usage_windows l
            where l.tenant_id = $1 and l.subscription_id = v.subscription_id and l.meter_id = v.meter_id)
    where p.used_end is null or (p.used_end < v.used_end and p.ends_us < v.ends_us)";
/// Opens windows; of days that are billed already nothing is opened again.
pub async fn open(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, windows: &[NewWindow]) -> Result<u64> {
    let rows = Rows::new()
        .with("id", column(windows, |row| row.id))
        .with("contract_id", column(windows, |row| row.contract))
        .with("subscription_id", column(windows, |row| row.subscription))
        .with("plan_version_id", column(windows, |row| row.plan_version))
        .with("component_id", column(windows, |row| row.component))
        .with("meter_id", column(windows, |row| row.meter))
        .with("change_ordinal", column(windows, |row| row.change_ordinal))
        .with("period_start", column(windows, |row| row.period.0))
        .with("period_end", column(windows, |row| row.period.1))
        .with("used_start", column(windows, |row| row.used.0))
        .with("used_end", column(windows, |row| row.used.1))
        .with("starts_us", column(windows, |row| row.instants.0))
        .with("ends_us", column(windows, |row| row.instants.1))
        .with("quantity", column(windows, |row| row.quantity.clone()))
        .with("discount_percent", column(windows, |row| row.discount_percent.clone()));
    tx.execute_rows(OPEN, (tenant, now), &rows).await
}

/// A statement about the open windows of a subscription; SQLite would go over all windows of the tenant, and is told the index
/// of the table's only unique key.
macro_rules! open_windows {
    ($verb:literal, $rest:literal) => {
        Sql::each(concat!($verb, " indexed by sqlite_autoindex_usage_windows_2 ", $rest), concat!($verb, " ", $rest))
    };
}

const DROP: Sql = open_windows!(
    "delete from usage_windows",
    "where tenant_id = $1 and subscription_id = $2 and state = 'open' and used_start >= $3"
);
const CUT: Sql = open_windows!(
    "update usage_windows",
    "set used_end = $3, ends_us = $4, due_on = $3
    where tenant_id = $1 and subscription_id = $2 and state = 'open' and used_end > $3"
);
/// Ends the open windows of a subscription on a day, which begins at the instant `on_us`; those that would only begin on
/// it or later vanish. Answers how many windows it touched.
pub async fn cut(tx: &mut Tx, tenant: Uuid, subscription: Uuid, on: NaiveDate, on_us: i64) -> Result<u64> {
    let dropped = tx.execute(DROP, (tenant, subscription, on)).await?;
    Ok(dropped + tx.execute(CUT, (tenant, subscription, on, on_us)).await?)
}

/// Use that is recorded in open windows of a subscription, of one meter.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RecordedRow {
    /// The meter.
    pub meter_id: Uuid,
    /// Its code.
    pub code: String,
    /// The first event, microseconds since 1970.
    pub first_us: i64,
    /// The last one.
    pub last_us: i64,
}

const RECORDED: &str = "select w.meter_id, m.code, min(e.occurred_us) as first_us, max(e.occurred_us) as last_us
    from usage_windows w
    join usage_events e on e.tenant_id = w.tenant_id and e.subscription_id = w.subscription_id
        and e.meter_id = w.meter_id and e.occurred_us >= w.starts_us and e.occurred_us < w.ends_us
    join meters m on m.tenant_id = w.tenant_id and m.id = w.meter_id
    where w.tenant_id = $1 and w.subscription_id = $2 and w.state = 'open' and w.ends_us > $3
        and e.occurred_us >= $3 and e.occurred_us < $4
    group by w.meter_id, m.code";
/// What was used of each meter between two instants, microseconds, and waits in an open window to be billed.
pub async fn recorded(
    tx: &mut Tx,
    tenant: Uuid,
    subscription: Uuid,
    from_us: i64,
    to_us: i64,
) -> Result<Vec<RecordedRow>> {
    tx.fetch_all(RECORDED, (tenant, subscription, from_us, to_us)).await
}

const UNBILLED: Sql = of_pairs!(columns!(), " and w.state <> 'billed'");
/// The windows of (subscription, meter) that are to be billed, now or later, in no order.
pub async fn unbilled(tx: &mut Tx, tenant: Uuid, pairs: &[(Uuid, Uuid)]) -> Result<Vec<WindowRow>> {
    tx.fetch_rows(UNBILLED, (tenant,), &pair_rows(pairs)).await
}

const USES: Sql = of_pairs!("w.subscription_id, w.meter_id, w.billed_use", "");
/// The figures that were billed of all windows of (subscription, meter).
pub async fn uses(tx: &mut Tx, tenant: Uuid, pairs: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid, String)>> {
    tx.fetch_rows(USES, (tenant,), &pair_rows(pairs)).await
}

fn pair_rows(pairs: &[(Uuid, Uuid)]) -> Rows {
    Rows::new().with("subscription_id", column(pairs, |pair| pair.0)).with("meter_id", column(pairs, |pair| pair.1))
}

/// How far a counter is billed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CounterRow {
    /// The subscription.
    pub subscription_id: Uuid,
    /// The meter.
    pub meter_id: Uuid,
    /// The counter; empty for the only one of a subscription and meter.
    pub item: String,
    /// The instant of its first reading, microseconds since 1970.
    pub first_us: i64,
    /// Whole units of the first reading.
    pub first_units: i64,
    /// Billionths of a unit of it.
    pub first_nanos: i32,
    /// Whole units of the highest reading that is billed.
    pub highest_units: i64,
    /// Billionths of a unit of it.
    pub highest_nanos: i32,
    /// How often it was billed on.
    pub billings: i32,
}

const COUNTERS: &str = "select c.subscription_id, c.meter_id, c.item, c.first_us, c.first_units, c.first_nanos,
        c.highest_units, c.highest_nanos, c.billings
    from {rows} join usage_counters c on c.tenant_id = $1 and c.subscription_id = v.subscription_id
        and c.meter_id = v.meter_id";
/// How far the counters of (subscription, meter) are billed.
pub async fn counters(tx: &mut Tx, tenant: Uuid, pairs: &[(Uuid, Uuid)]) -> Result<Vec<CounterRow>> {
    tx.fetch_rows(COUNTERS, (tenant,), &pair_rows(pairs)).await
}

// A row that was billed on since it was read has another number, and stays.
const ADVANCE: &str = "insert into usage_counters (tenant_id, subscription_id, meter_id, item, first_us, first_units,
        first_nanos, highest_units, highest_nanos, billings)
    select $1, v.subscription_id, v.meter_id, v.item, v.first_us, v.first_units, v.first_nanos, v.highest_units,
        v.highest_nanos, v.billings
    from {rows} where true
    on conflict (tenant_id, subscription_id, meter_id, item) do update set
        first_us = excluded.first_us, first_units = excluded.first_units, first_nanos = excluded.first_nanos,
        highest_units = excluded.highest_units, highest_nanos = excluded.highest_nanos, billings = excluded.billings
    where usage_counters.billings = excluded.billings - 1";
/// Bills counters on; `false` when one was billed on since it was read.
async fn advance(tx: &mut Tx, tenant: Uuid, billed: &[Billed]) -> Result<bool> {
    // Of two windows of one counter the later one went on from where the earlier one ended, so it ranges further.
    let mut furthest: std::collections::BTreeMap<(Uuid, Uuid, &str), &CounterRow> = std::collections::BTreeMap::new();
    for counter in billed.iter().flat_map(|billed| &billed.counters) {
        let kept = furthest.entry((counter.subscription_id, counter.meter_id, &counter.item)).or_insert(counter);
        let reach = |row: &CounterRow| (row.highest_units, row.highest_nanos, std::cmp::Reverse(row.first_us));
        if reach(counter) > reach(kept) {
            *kept = counter;
        }
    }
    let counters: Vec<&CounterRow> = furthest.into_values().collect();
    if counters.is_empty() {
        return Ok(true);
    }
    let rows = Rows::new()
        .with("subscription_id", column(&counters, |row| row.subscription_id))
        .with("meter_id", column(&counters, |row| row.meter_id))
        .with("item", column(&counters, |row| row.item.clone()))
        .with("first_us", column(&counters, |row| row.first_us))
        .with("first_units", column(&counters, |row| row.first_units))
        .with("first_nanos", column(&counters, |row| row.first_nanos))
        .with("highest_units", column(&counters, |row| row.highest_units))
        .with("highest_nanos", column(&counters, |row| row.highest_nanos))
        .with("billings", column(&counters, |row| row.billings));
    Ok(tx.execute_rows(ADVANCE, (tenant,), &rows).await? == counters.len() as u64)
}

// A charge of late use has an ordinal below zero: ten thousand times that of its window and the number of the billing. Tied
// by an equation, so that the unique key of charges finds the few of the period.
const CHARGED: &str =
    "select v.id, c.id from {rows} join charges c on c.tenant_id = $1 and c.subscription_id = v.subscription_id
        and c.component_id = v.component_id and c.period_start = v.period_start
        and v.ordinal = case when c.change_ordinal < 0 then -c.change_ordinal / 10000 else c.change_ordinal end
    where c.kind = 'usage'";
/// The windows with the charges that were made for them, in no order.
pub async fn charged(tx: &mut Tx, tenant: Uuid, windows: &[&WindowRow]) -> Result<Vec<(Uuid, Uuid)>> {
    let rows = Rows::new()
        .with("id", column(windows, |row| row.id))
        .with("subscription_id", column(windows, |row| row.subscription_id))
        .with("component_id", column(windows, |row| row.component_id))
        .with("period_start", column(windows, |row| row.period_start))
        .with("ordinal", column(windows, |row| row.change_ordinal));
    tx.fetch_rows(CHARGED, (tenant,), &rows).await
}

/// What was billed of a window.
#[derive(Clone, Debug)]
pub struct Billed {
    /// The window as it was read.
    pub window: WindowRow,
    /// How many events it has.
    pub events: i64,
    /// Their figure.
    pub used: String,
    /// What was billed of it in all, minor units.
    pub minor: i64,
    /// How far its counters are billed by it, where its figure is what they advanced; each one more time than when it was
    /// read.
    pub counters: Vec<CounterRow>,
}

const BILL: &str = "update usage_windows set state = 'billed', billed_events = v.events, billed_use = v.used,
        billed_minor = v.minor, billings = usage_windows.billings + 1
    from {rows} where usage_windows.tenant_id = $1 and usage_windows.id = {key}v.id and usage_windows.state = v.state
        and usage_windows.ends_us = v.ends_us and usage_windows.billings = v.billings";
/// Marks windows billed that are as they were read and have the events that were billed; `false` when one is not. Takes
/// the lock of recording alone.
pub async fn bill(tx: &mut Tx, tenant: Uuid, billed: &[Billed]) -> Result<bool> {
    if billed.is_empty() {
        return Ok(true);
    }
    metering::lock_alone(tx, tenant).await?;
    let rows = Rows::new()
        .with("id", column(billed, |row| row.window.id))
        .with("state", column(billed, |row| row.window.state.clone()))
        .with("ends_us", column(billed, |row| row.window.ends_us))
        .with("billings", column(billed, |row| row.window.billings))
        .with("events", column(billed, |row| row.events))
        .with("used", column(billed, |row| row.used.clone()))
        .with("minor", column(billed, |row| row.minor));
    if tx.execute_rows(BILL, (tenant,), &rows).await? != billed.len() as u64 || !advance(tx, tenant, billed).await? {
        return Ok(false);
    }
    // Events are never changed: as many as before are the same.
    let spans: Vec<Span> = billed.iter().map(|row| row.window.span()).collect();
    let counts: std::collections::HashMap<Uuid, i64> =
        metering::counts(tx, tenant, &spans).await?.into_iter().collect();
    Ok(billed.iter().all(|row| counts.get(&row.window.id) == Some(&row.events)))
}

const LATE: &str = "update usage_windows set state = 'late', due_on = coalesce((
            select min(o.due_on) from usage_windows o where o.tenant_id = $1 and o.state <> 'billed'
                and o.contract_id = usage_windows.contract_id and o.subscription_id = usage_windows.subscription_id
                and o.meter_id = usage_windows.meter_id and o.state = 'open'), $2)
    from {rows} where usage_windows.tenant_id = $1 and usage_windows.id = {key}v.id and usage_windows.state = 'billed'
        and usage_windows.billed_events < (select count(*) from usage_events e
            where e.tenant_id = $1 and e.subscription_id = usage_windows.subscription_id
                and e.meter_id = usage_windows.meter_id and e.occurred_us >= usage_windows.starts_us
                and e.occurred_us < usage_windows.ends_us)";
/// Marks those of these windows `late` that have more events than were billed. They are billed again with the subscription's
/// open window, or on the day `otherwise` when it has none.
pub async fn mark_late(tx: &mut Tx, tenant: Uuid, otherwise: NaiveDate, windows: Vec<Uuid>) -> Result<u64> {
    tx.execute_rows(LATE, (tenant, otherwise), &Rows::new().with("id", windows)).await
}

/// Where a subscription's windows of one meter lie.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlacedRow {
    /// The window.
    pub id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// The meter.
    pub meter_id: Uuid,
    /// Its first instant.
    pub starts_us: i64,
    /// The instant behind its last.
    pub ends_us: i64,
    /// Its state.
    pub state: String,
}

const BEHIND: Sql =
    of_pairs!("w.id, w.subscription_id, w.meter_id, w.starts_us, w.ends_us, w.state", " and w.ends_us > v.from_us");
/// The windows of (subscription, meter) that end behind an instant, in no order.
pub async fn behind(tx: &mut Tx, tenant: Uuid, pairs: &[(Uuid, Uuid, i64)]) -> Result<Vec<PlacedRow>> {
    let rows = Rows::new()
        .with("subscription_id", column(pairs, |pair| pair.0))
        .with("meter_id", column(pairs, |pair| pair.1))
        .with("from_us", column(pairs, |pair| pair.2));
    tx.fetch_rows(BEHIND, (tenant,), &rows).await
}

const FIND: &str = window!(" from usage_windows w where w.tenant_id = $1 and w.id = $2");
/// One window.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<WindowRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = window!(
    " from usage_windows w where w.tenant_id = $1 and w.subscription_id = $2 and w.id > $3 order by w.id limit $4"
);
/// A page of a subscription's windows, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, subscription: Uuid, after: Uuid, limit: i64) -> Result<Vec<WindowRow>> {
    tx.fetch_all(LIST, (tenant, subscription, after, limit)).await
}

const ALL: &str = window!(" from usage_windows w where w.tenant_id = $1 and w.id > $2 order by w.id limit $3");
/// A page of a tenant's windows, by id.
pub async fn all(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<WindowRow>> {
    tx.fetch_all(ALL, (tenant, after, limit)).await
}

/// In which zone the days of a subscription begin.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ZoneRow {
    /// The subscription.
    pub id: Uuid,
    /// The contract's zone.
    pub zone: String,
    /// The zone before that was changed.
    pub former_zone: Option<String>,
    /// The boundary up to which it holds.
    pub former_zone_until: Option<NaiveDate>,
}

const ZONES: &str = "select s.id, c.zone, s.former_zone, s.former_zone_until from {rows}
    join subscriptions s on s.tenant_id = $1 and s.id = {key}v.id
    join contracts c on c.tenant_id = $1 and c.id = s.contract_id";
/// The zones of subscriptions.
pub async fn zones(tx: &mut Tx, tenant: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<ZoneRow>> {
    tx.fetch_rows(ZONES, (tenant,), &Rows::new().with("id", subscriptions)).await
}
