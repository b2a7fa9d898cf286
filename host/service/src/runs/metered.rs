//! Billing use: windows that are to be billed become lines, and charged periods of metered components open new windows.
//!
//! Pure: figures come with the windows. Invariant: what was billed of a window in all, less what was given back, is the price
//! of the figure that its events came to when it was billed last, so late events cost what they would have cost in time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use altyn_domain::{
    calendar::{Period, Zones},
    catalogue::{Component, PlanVersion},
    charge::ChargeKind,
    id::{SubscriptionId, UsageWindowId},
    metered::{Aggregation, Basis, Counter, Figures, MeteredTerms, Quantity, Rated, Readings, total},
    money::{Currency, Money},
    run::LineUsage,
    subscription::DueLine,
};
use altyn_store::{
    Db, Scope, StoreError, Tx,
    charges::{self, CreditableRow},
    metering::{self, FiguresRow, Span},
    usage_windows::{self, Billed, CounterRow, DueWindowRow, NewWindow, WindowRow},
};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    ask::Fault,
    compute::{Inputs, OpenLine},
    fallen::{Fall, GivenBack},
};
use crate::error::{Result, ServiceError, stored};

/// How often one window is billed at most; the numbers of its charges leave room for so many.
const MOST_BILLINGS: i32 = 10_000;

/// What the events of a window come to.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub figures: Figures,
    pub aggregation: Aggregation,
    /// How far the counters of the window are billed by this figure, where it is what they advanced.
    pub counters: Vec<CounterRow>,
}

/// A window to bill with what its events come to.
#[derive(Clone, Debug)]
pub(super) struct UsageDue {
    pub row: DueWindowRow,
    pub counted: Counted,
    /// What was charged for it before, the newest first.
    pub charges: Vec<CreditableRow>,
}

/// What becomes of a window.
pub(super) enum Bill {
    /// There is nothing new.
    Nothing,
    /// More is charged.
    More(Box<OpenLine>),
    /// Less was used than was charged: this is given back.
    Less(Vec<GivenBack>),
}

/// What the events of some windows come to, by the window.
pub(crate) async fn counted(tx: &mut Tx, tenant: Uuid, windows: &[&WindowRow]) -> Result<HashMap<Uuid, Counted>> {
    let spans: Vec<Span> = windows.iter().map(|window| window.span()).collect();
    let rows = metering::figures(tx, tenant, &spans).await?;
    let mut found: HashMap<Uuid, Counted> =
        rows.into_iter().map(|row| Ok((row.id, counted_of(&row)?))).collect::<Result<_>>()?;
    let read: Vec<&WindowRow> = windows
        .iter()
        .filter(|window| found.get(&window.id).is_some_and(|by| by.aggregation == Aggregation::Difference))
        .copied()
        .collect();
    if !read.is_empty() {
        count_on(tx, tenant, &read, &mut found).await?;
    }
    Ok(found)
}

fn counted_of(row: &FiguresRow) -> Result<Counted> {
    let quantity = |text: &Option<String>| text.as_ref().map_or(Ok(Quantity::ZERO), |text| quantity_of(text));
    let figures = Figures {
        events: row.events,
        sum: total(row.units, row.nanos),
        max: quantity(&row.largest)?.to_decimal(),
        min: quantity(&row.smallest)?.to_decimal(),
        last: quantity(&row.latest)?.to_decimal(),
        items: row.items,
        advanced: Decimal::ZERO,
    };
    let aggregation = stored("meters.aggregation", &row.aggregation)?;
    Ok(Counted { figures, aggregation, counters: Vec::new() })
}

/// Reads a sortable text of a quantity.
pub(crate) fn quantity_of(text: &str) -> Result<Quantity> {
    metering::quantity_of(text)
        .and_then(|(units, nanos)| Some(Quantity { units, nanos: i32::try_from(nanos).ok()? }))
        .ok_or_else(|| ServiceError::Internal(format!("a quantity reads {text}")))
}

/// Adds to windows of counters what these advanced: what was billed of the window, and how much its readings widen what is
/// billed of each counter.
///
/// A window goes on from the ones before it that are not billed yet, whether they were asked for or not.
async fn count_on(tx: &mut Tx, tenant: Uuid, windows: &[&WindowRow], found: &mut HashMap<Uuid, Counted>) -> Result<()> {
    let pairs: BTreeSet<(Uuid, Uuid)> =
        windows.iter().map(|window| (window.subscription_id, window.meter_id)).collect();
    let pairs: Vec<(Uuid, Uuid)> = pairs.into_iter().collect();
    let mut counters: BTreeMap<(Uuid, Uuid), BTreeMap<String, (Counter, i32)>> = BTreeMap::new();
    for row in usage_windows::counters(tx, tenant, &pairs).await? {
        let counter = Counter {
            first_us: row.first_us,
            first: Quantity { units: row.first_units, nanos: row.first_nanos },
            highest: Quantity { units: row.highest_units, nanos: row.highest_nanos },
        };
        counters.entry((row.subscription_id, row.meter_id)).or_default().insert(row.item, (counter, row.billings));
    }
    let mut unbilled = usage_windows::unbilled(tx, tenant, &pairs).await?;
    unbilled.sort_by_key(|window| window.starts_us);
    let spans: Vec<Span> = unbilled.iter().map(WindowRow::span).collect();
    let mut readings: HashMap<Uuid, Vec<(String, Readings)>> = HashMap::new();
    for row in metering::readings(tx, tenant, &spans).await? {
        let read = Readings {
            earliest_us: row.earliest_us,
            earliest: quantity_of(&row.earliest)?,
            highest: quantity_of(&row.highest)?,
        };
        readings.entry(row.id).or_default().push((row.item, read));
    }
    let billed = |window: &WindowRow| stored::<Decimal>("usage_windows.billed_use", &window.billed_use);
    for window in windows {
        if let Some(counted) = found.get_mut(&window.id) {
            counted.figures.advanced = billed(window)?;
        }
    }
    for window in &unbilled {
        let pair = (window.subscription_id, window.meter_id);
        let of_pair = counters.entry(pair).or_default();
        let mut advanced = billed(window)?;
        let mut moved = Vec::new();
        for (item, readings) in readings.remove(&window.id).unwrap_or_default() {
            let before = of_pair.get(&item).copied();
            let (by, counter) = Counter::advance(before.map(|(counter, _)| counter), &readings);
            if before.is_some_and(|(before, _)| before == counter) {
                continue;
            }
            advanced += by;
            // Of what was read, each counter is billed on once, by however many windows.
            let billings = before.map_or(0, |(_, billings)| billings);
            of_pair.insert(item.clone(), (counter, billings));
            moved.push(CounterRow {
                subscription_id: pair.0,
                meter_id: pair.1,
                item,
                first_us: counter.first_us,
                first_units: counter.first.units,
                first_nanos: counter.first.nanos,
                highest_units: counter.highest.units,
                highest_nanos: counter.highest.nanos,
                billings: billings + 1,
            });
        }
        if let Some(counted) = found.get_mut(&window.id) {
            counted.figures.advanced = advanced;
            counted.counters = moved;
        }
    }
    Ok(())
}

/// Adds to windows what their events come to.
pub(super) async fn with_figures(tx: &mut Tx, tenant: Uuid, rows: Vec<DueWindowRow>) -> Result<Vec<UsageDue>> {
    let windows: Vec<&WindowRow> = rows.iter().map(|row| &row.window).collect();
    let mut found = counted(tx, tenant, &windows).await?;
    let mut charges = charged(tx, tenant, &windows).await?;
    rows.into_iter()
        .map(|row| {
            let counted = found
                .remove(&row.window.id)
                .ok_or_else(|| StoreError::Corrupt("usage_windows.meter_id", row.window.meter_id.to_string()))?;
            let charges = charges.remove(&row.window.id).unwrap_or_default();
            Ok(UsageDue { row, counted, charges })
        })
        .collect()
}

/// What was charged for windows that are billed again, the newest first.
async fn charged(tx: &mut Tx, tenant: Uuid, windows: &[&WindowRow]) -> Result<HashMap<Uuid, Vec<CreditableRow>>> {
    let again: Vec<&WindowRow> = windows.iter().filter(|window| window.billed_minor > 0).copied().collect();
    if again.is_empty() {
        return Ok(HashMap::new());
    }
    let pairs = usage_windows::charged(tx, tenant, &again).await?;
    let windows: HashMap<Uuid, Uuid> = pairs.iter().map(|(window, charge)| (*charge, *window)).collect();
    let mut found: HashMap<Uuid, Vec<CreditableRow>> = HashMap::new();
    for row in charges::creditable(tx, tenant, windows.keys().copied().collect()).await? {
        if let Some(window) = windows.get(&row.id) {
            found.entry(*window).or_default().push(row);
        }
    }
    for rows in found.values_mut() {
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
    }
    Ok(found)
}

/// What a figure of a window costs.
pub(crate) fn rated(
    window: &WindowRow,
    terms: &MeteredTerms,
    used: Decimal,
    currency: Currency,
) -> std::result::Result<Rated, String> {
    let read = |text: &str| text.parse::<Decimal>().map_err(|error| error.to_string());
    let basis = Basis {
        quantity: read(&window.quantity)?,
        days: (window.used_end - window.used_start).num_days(),
        of_days: (window.period_end - window.period_start).num_days(),
        discount_percent: read(&window.discount_percent)?,
    };
    terms.rate(used, &basis, currency).map_err(|error| error.to_string())
}

/// The number that a charge of a window carries: of the terms when it is billed at its end, and one below zero for each
/// time that late events are billed.
fn ordinal(window: &WindowRow) -> Option<i32> {
    if window.billings == 0 {
        return Some(window.change_ordinal);
    }
    let base = window.change_ordinal.checked_mul(MOST_BILLINGS)?;
    (window.billings < MOST_BILLINGS).then_some(())?;
    base.checked_add(window.billings)?.checked_neg()
}

fn fault(reason: impl std::fmt::Display) -> Fault {
    Fault { code: "usage-invalid".to_owned(), reason: reason.to_string(), call: None }
}

/// What is billed of a window or given back, and what the window says afterwards.
pub(super) fn bill(
    inputs: &Inputs,
    due: &UsageDue,
    plan: &PlanVersion,
    currency: Currency,
) -> std::result::Result<(Bill, Billed), Fault> {
    let window = &due.row.window;
    let name = UsageWindowId(window.id);
    let found = plan.components.iter().enumerate().find(|(_, component)| component.id.0 == window.component_id);
    let (component_index, component) = found.ok_or_else(|| fault(format!("{name} has no component")))?;
    let terms = component.metered.as_ref().ok_or_else(|| fault(format!("{name} is not metered")))?;
    if component.unit_price.currency != currency {
        return Err(fault(format!("{name} is priced in another currency than the contract's {}", currency.code())));
    }
    let used = due.counted.figures.used(due.counted.aggregation).map_err(fault)?;
    let events = due.counted.figures.events;
    let rated = rated(window, terms, used, currency).map_err(fault)?;
    let more = Money::new(rated.amount.minor - window.billed_minor, currency);
    let first = window.billings == 0;
    let billed = |minor| {
        let (used, counters) = (used.normalize().to_string(), due.counted.counters.clone());
        Billed { window: window.clone(), events, used, minor, counters }
    };
    // Nothing was used, or nothing came since.
    if events == window.billed_events {
        return Ok((Bill::Nothing, billed(window.billed_minor)));
    }
    let before: Decimal = window.billed_use.parse().map_err(fault)?;
    if !first && more.minor < 0 {
        let usage = LineUsage { window: name, billings: window.billings, events, used: used.normalize() };
        let reason = format!(
            "came late; {} was used from {} to {} and not {}",
            used.normalize(),
            window.used_start,
            window.used_end.pred_opt().unwrap_or(window.used_start),
            before.normalize(),
        );
        let fall = Fall {
            usage,
            subscription: SubscriptionId(window.subscription_id),
            by: Money::new(-more.minor, currency),
            mode: plan.price_mode,
            charges: &due.charges,
            reason,
        };
        let (given_back, given) = fall.give_back(&*inputs.ids, inputs.on, inputs.run.0)?;
        return Ok((Bill::Less(given_back), billed(window.billed_minor - given.minor)));
    }
    let period = Period::try_new(window.period_start, window.period_end).map_err(fault)?;
    let days = Period::try_new(window.used_start, window.used_end).map_err(fault)?;
    let last = days.end.pred_opt().unwrap_or(days.start);
    let (title, quantity, explanation) = if first {
        (component.title.clone(), used, rated.explanation)
    } else {
        let title = format!("{} · {}/{last}", component.title, days.start);
        let told = format!("came late; in all {}; {} was billed before", rated.explanation, before.normalize());
        (title, used - before, told)
    };
    let line = OpenLine {
        due: DueLine {
            subscription: SubscriptionId(window.subscription_id),
            component_index,
            component: component.id,
            product: component.product,
            title,
            tax_category: component.tax_category.clone(),
            period,
            used: days,
            charged_on: last,
            realises_on: days.end,
            price: more,
        },
        started_at: due.row.subscription_created_at,
        mode: plan.price_mode,
        quantity: quantity.normalize().to_string(),
        change_ordinal: ordinal(window).ok_or_else(|| fault(format!("{name} was billed too often")))?,
        kind: ChargeKind::Usage,
        prepayment_percent: 0,
        usage: Some((
            LineUsage { window: name, billings: window.billings, events, used: used.normalize() },
            explanation,
        )),
    };
    Ok((Bill::More(Box::new(line)), billed(rated.amount.minor)))
}

/// The days of a metered component that a charged period opens, without their instants.
pub(crate) struct Opening<'a> {
    pub contract: Uuid,
    pub plan_version: Uuid,
    pub line: &'a DueLine,
    pub component: &'a Component,
    pub change_ordinal: i32,
    pub quantity: String,
    pub discount_percent: Decimal,
}

impl Opening<'_> {
    /// The window; its instants are read later, in the contract's zone.
    pub fn window(self, id: Uuid) -> Option<NewWindow> {
        let terms = self.component.metered.as_ref()?;
        Some(NewWindow {
            id,
            contract: self.contract,
            subscription: self.line.subscription.0,
            plan_version: self.plan_version,
            component: self.component.id.0,
            meter: terms.meter_id.0,
            change_ordinal: self.change_ordinal,
            period: (self.line.period.start, self.line.period.end),
            used: (self.line.used.start, self.line.used.end),
            instants: (0, 0),
            quantity: self.quantity,
            discount_percent: self.discount_percent.normalize().to_string(),
        })
    }
}

/// The instant at which a day begins, microseconds since 1970.
pub(crate) fn begins_us(day: NaiveDate, zones: &Zones) -> i64 {
    zones.begins(day).timestamp_micros()
}

/// A contract's zone, and the one before it that a subscription keeps up to a boundary.
pub(crate) fn zones(zone: &str, former: Option<&String>, until: Option<NaiveDate>) -> Result<Zones> {
    let zone = stored("contracts.zone", zone)?;
    Ok(match former.zip(until) {
        Some((former, until)) => Zones { zone, former: Some((stored("subscriptions.former_zone", former)?, until)) },
        None => Zones::of(zone),
    })
}

/// The zones of one subscription.
pub(crate) async fn zones_of(tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<Zones> {
    let found = usage_windows::zones(tx, tenant, vec![subscription]).await?;
    let row = found.first().ok_or_else(|| ServiceError::Internal("a subscription has no contract".into()))?;
    zones(&row.zone, row.former_zone.as_ref(), row.former_zone_until)
}

/// Reads the instants of windows in their subscriptions' zones; a window without any time between them is dropped.
pub(super) async fn with_instants(db: &Db, tenant: Uuid, windows: &mut Vec<NewWindow>) -> Result<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let subscriptions: BTreeSet<Uuid> = windows.iter().map(|window| window.subscription).collect();
    let mut tx = db.read(Scope::Tenant(tenant)).await?;
    let found = usage_windows::zones(&mut tx, tenant, subscriptions.into_iter().collect()).await?;
    drop(tx);
    let zones: HashMap<Uuid, Zones> = found
        .into_iter()
        .map(|row| Ok((row.id, zones(&row.zone, row.former_zone.as_ref(), row.former_zone_until)?)))
        .collect::<Result<_>>()?;
    for window in windows.iter_mut() {
        let zones =
            zones.get(&window.subscription).ok_or_else(|| ServiceError::Internal("a contract has no zone".into()))?;
        window.instants = (begins_us(window.used.0, zones), begins_us(window.used.1, zones));
    }
    windows.retain(|window| window.instants.0 < window.instants.1);
    Ok(())
}
