//! One batch of events: read, checked against one look at subscriptions, meters and windows, written in one statement.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use altyn_domain::{
    calendar::Zones,
    id::SubscriptionId,
    metered::{Aggregation, Quantity},
    subscription::SubscriptionStatus,
};
use altyn_store::{
    Tx, changes,
    metering::{self as rows, BesideRow, EventRow, SubscriberRow},
    meters,
    usage_windows::{self, PlacedRow},
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Result, ServiceError, stored},
    runs::metered::{begins_us, quantity_of, zones},
    tenants,
};

/// The most events one batch holds.
pub const LARGEST_BATCH: usize = 20_000;
/// How far a sender's clock may be ahead.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How far the beginnings of one day lie apart in the zones of the world.
const WIDEST_ZONES: TimeDelta = TimeDelta::hours(26);

/// One event of use.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageEvent {
    /// The sender's id of the event, unique within the tenant: 1 to 100 visible ASCII characters. Repeating an event
    /// changes nothing.
    pub id: String,
    /// The subscription that is used.
    pub subscription_id: SubscriptionId,
    /// Code of the meter.
    #[schema(example = "traffic")]
    pub meter: String,
    /// When it happened, with its zone.
    pub occurred_at: DateTime<Utc>,
    /// A decimal from 0 with at most nine decimals; absent where events or items are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1.5")]
    pub quantity: Option<String>,
    /// What was used, where different items are counted; or the counter that was read, where there are several: 1 to 100
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
}

/// A batch of events.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageEvents {
    /// The events, in any order; at most 20,000.
    pub events: Vec<UsageEvent>,
}

/// An event that was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct RefusedEvent {
    /// Its place in the batch, from 0.
    pub position: usize,
    /// The sender's id, as far as it could be read.
    pub id: Option<String>,
    /// Stable code: `invalid-event`, `unknown-subscription`, `unknown-meter`, `not-metered`, `not-in-service`,
    /// `not-charged`, `in-the-future`, `reading-falls` or `different-content`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What became of a batch; every event of it is accepted, repeated or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct IngestReport {
    /// How many events came.
    pub received: usize,
    /// How many were recorded now.
    pub accepted: usize,
    /// How many were recorded before with the same content.
    pub repeated: usize,
    /// How many of the accepted ones fall into days that are billed already; they are billed by a line of their own.
    pub late: usize,
    /// The events that were not recorded.
    pub refused: Vec<RefusedEvent>,
}

/// An event, or why its text is none; with its place.
type Read = (usize, std::result::Result<UsageEvent, RefusedEvent>);

/// Reads events from lines of JSON; empty lines are skipped, and a line that does not read is refused alone.
pub fn events_of_lines<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> Vec<std::result::Result<UsageEvent, RefusedEvent>> {
    lines
        .filter(|line| !line.trim_ascii().is_empty())
        .enumerate()
        .map(|(position, line)| {
            serde_json::from_slice(line).map_err(|error| {
                // The id is told when only something else is wrong.
                let id = serde_json::from_slice::<serde_json::Value>(line)
                    .ok()
                    .and_then(|value| value["id"].as_str().map(|id| id.chars().take(100).collect()));
                refusal(position, id, "invalid-event", format!("the line does not read: {error}"))
            })
        })
        .collect()
}

fn refusal(position: usize, id: Option<String>, code: &str, message: impl Into<String>) -> RefusedEvent {
    RefusedEvent { position, id, code: code.to_owned(), message: message.into() }
}

/// What events are checked against.
struct Known {
    now: DateTime<Utc>,
    meters: HashMap<String, (Uuid, Aggregation)>,
    subscribers: HashMap<Uuid, Subscriber>,
    metered: HashSet<(Uuid, Uuid)>,
    /// Windows that end behind the earliest event of their pair, in order.
    windows: HashMap<(Uuid, Uuid), Vec<PlacedRow>>,
}

/// What a subscription says about its events.
struct Subscriber {
    row: SubscriberRow,
    zones: Zones,
    starts_us: i64,
    ends_us: Option<i64>,
    /// The first instant that periods to come are charged for.
    charged_from_us: i64,
    suspended_from_us: Option<i64>,
    /// The first day of a pause, or behind the end, that is due and was not carried out yet.
    ceases_on: Option<NaiveDate>,
    in_service: bool,
}

impl Subscriber {
    fn read(row: SubscriberRow, ceases_on: Option<NaiveDate>) -> Result<Self> {
        let zones = zones(&row.zone, row.former_zone.as_ref(), row.former_zone_until)?;
        let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
        // Where the zone changes at the boundary, windows follow one another in instants: the day may begin earlier.
        let slack_us = if zones.former.is_some() { WIDEST_ZONES.num_microseconds().unwrap_or(0) } else { 0 };
        Ok(Self {
            starts_us: begins_us(row.starts_on, &zones),
            charged_from_us: begins_us(row.next_charge_on, &zones) - slack_us,
            suspended_from_us: row.suspended_from.map(|day| begins_us(day, &zones)),
            ends_us: row.ends_on.map(|day| begins_us(day, &zones)),
            ceases_on,
            zones,
            in_service: status.is_charged(),
            row,
        })
    }
}

/// The billed window an event falls into, if it is billed.
type Late = Option<Uuid>;

impl Known {
    async fn load(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, events: &[Read]) -> Result<Self> {
        let read = || events.iter().filter_map(|(_, event)| event.as_ref().ok());
        let codes: BTreeSet<&str> = read().map(|event| event.meter.as_str()).filter(|code| code.len() <= 60).collect();
        let meters = meters::by_code(tx, tenant, codes.into_iter().map(str::to_owned).collect()).await?;
        let meters: HashMap<String, (Uuid, Aggregation)> = meters
            .into_iter()
            .map(|meter| Ok((meter.code, (meter.id, stored("meters.aggregation", &meter.aggregation)?))))
            .collect::<Result<_>>()?;
        let ids: BTreeSet<Uuid> = read().map(|event| event.subscription_id.0).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        // Somewhere it is the next day already.
        let through = (now + WIDEST_ZONES).date_naive();
        let ceasing: HashMap<Uuid, NaiveDate> =
            changes::ceasing(tx, tenant, through, ids.clone()).await?.into_iter().collect();
        let found = rows::subscribers(tx, tenant, ids).await?;
        let subscribers: HashMap<Uuid, Subscriber> = found
            .into_iter()
            .map(|row| {
                let (id, ceases_on) = (row.id, ceasing.get(&row.id).copied());
                Ok((id, Subscriber::read(row, ceases_on)?))
            })
            .collect::<Result<_>>()?;
        let versions: BTreeSet<Uuid> = subscribers.values().map(|found| found.row.plan_version_id).collect();
        let metered = rows::metered(tx, tenant, versions.into_iter().collect()).await?.into_iter().collect();
        let mut earliest: BTreeMap<(Uuid, Uuid), i64> = BTreeMap::new();
        for event in read() {
            if let Some((meter, _)) = meters.get(&event.meter) {
                let at = event.occurred_at.timestamp_micros();
                let first = earliest.entry((event.subscription_id.0, *meter)).or_insert(at);
                *first = at.min(*first);
            }
        }
        let pairs: Vec<(Uuid, Uuid, i64)> =
            earliest.into_iter().map(|((subscription, meter), at)| (subscription, meter, at)).collect();
        let mut windows: HashMap<(Uuid, Uuid), Vec<PlacedRow>> = HashMap::new();
        for window in usage_windows::behind(tx, tenant, &pairs).await? {
            windows.entry((window.subscription_id, window.meter_id)).or_default().push(window);
        }
        for placed in windows.values_mut() {
            placed.sort_by_key(|window| window.starts_us);
        }
        Ok(Self { now, meters, subscribers, metered, windows })
    }

    /// The row of an event and the billed window that it falls into, or why it is refused.
    fn check(&self, event: UsageEvent) -> std::result::Result<(EventRow, Late), (&'static str, String)> {
        let invalid = |message: &str| ("invalid-event", message.to_owned());
        if !(1..=100).contains(&event.id.len()) || !event.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("`id` must be 1 to 100 visible ASCII characters"));
        }
        let Some((meter, aggregation)) = self.meters.get(&event.meter) else {
            return Err(("unknown-meter", "there is no meter of this code; create it or correct the code".to_owned()));
        };
        let Some(subscriber) = self.subscribers.get(&event.subscription_id.0) else {
            return Err(("unknown-subscription", format!("there is no {}", event.subscription_id)));
        };
        let quantity = match (aggregation.takes_quantity(), &event.quantity) {
            (true, Some(text)) => {
                Quantity::parse(text).map_err(|error| ("invalid-event", format!("`quantity`: {error}")))?
            }
            (false, None) => Quantity::ZERO,
            (true, None) => return Err(invalid("`quantity` is missing")),
            (false, Some(_)) => return Err(invalid("this meter counts and takes no `quantity`")),
        };
        match (aggregation, &event.item) {
            (Aggregation::Unique | Aggregation::Difference, Some(item))
                if (1..=100).contains(&item.chars().count()) && !item.chars().any(char::is_control) => {}
            (Aggregation::Difference, Some(_)) => return Err(invalid("`item` has not 1 to 100 characters")),
            (Aggregation::Unique, _) => return Err(invalid("`item` is missing or has not 1 to 100 characters")),
            (_, Some(_)) => return Err(invalid("only meters of different items and of readings take an `item`")),
            (_, None) => {}
        }
        if event.occurred_at > self.now + AHEAD {
            return Err((
                "in-the-future",
                "the event lies ahead of this host's clock; correct the sender's clock or zone".to_owned(),
            ));
        }
        let occurred_us = event.occurred_at.timestamp_micros();
        let late = self.place(subscriber, *meter, occurred_us)?;
        let row = EventRow {
            event_id: event.id,
            subscription_id: event.subscription_id.0,
            meter_id: *meter,
            occurred_us,
            units: quantity.units,
            nanos: quantity.nanos,
            item: event.item,
            received_us: 0,
        };
        Ok((row, late))
    }

    /// Which of these events are readings below an earlier one or above a later one of the same counter, by their places.
    async fn falling(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        checked: &[(usize, EventRow, Late)],
    ) -> Result<HashMap<usize, String>> {
        let by_reading: HashSet<Uuid> = self
            .meters
            .values()
            .filter(|(_, aggregation)| *aggregation == Aggregation::Difference)
            .map(|(meter, _)| *meter)
            .collect();
        let mut readings: Vec<(usize, &EventRow)> = checked
            .iter()
            .filter(|(_, row, _)| by_reading.contains(&row.meter_id))
            .map(|(position, row, _)| (*position, row))
            .collect();
        if readings.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<EventRow> = readings.iter().map(|(_, row)| (*row).clone()).collect();
        let beside: HashMap<String, BesideRow> =
            rows::beside(tx, tenant, &rows).await?.into_iter().map(|row| (row.event_id.clone(), row)).collect();
        let value = |row: &EventRow| Quantity { units: row.units, nanos: row.nanos };
        readings.sort_by_key(|(_, row)| (row.subscription_id, row.meter_id, &row.item, row.occurred_us, value(row)));
        let mut falling = HashMap::new();
        // The last reading of the batch that was taken.
        let mut last: Option<&EventRow> = None;
        for (position, row) in readings {
            let same = |other: &&EventRow| {
                (other.subscription_id, other.meter_id, &other.item) == (row.subscription_id, row.meter_id, &row.item)
                    && other.occurred_us < row.occurred_us
            };
            let recorded = beside.get(&row.event_id);
            let before =
                recorded.and_then(|beside| beside.before.as_ref()).map(|text| quantity_of(text)).transpose()?;
            let after = recorded.and_then(|beside| beside.after.as_ref()).map(|text| quantity_of(text)).transpose()?;
            let before = before.max(last.filter(same).map(value));
            let stood = match (before, after) {
                (Some(before), _) if value(row) < before => format!("{} before", before.to_decimal()),
                (_, Some(after)) if value(row) > after => format!("{} after", after.to_decimal()),
                _ => {
                    last = Some(row);
                    continue;
                }
            };
            let message = format!(
                "the counter stood at {stood} it, and counters only rise; correct the reading, or name a counter that \
                 replaces another by an `item` of its own"
            );
            falling.insert(position, message);
        }
        Ok(falling)
    }

    /// The billed window an instant lies in; none when its window is open or is yet to open.
    fn place(
        &self,
        subscriber: &Subscriber,
        meter: Uuid,
        occurred_us: i64,
    ) -> std::result::Result<Late, (&'static str, String)> {
        let subscription = subscriber.row.id;
        let behind = self.windows.get(&(subscription, meter)).map_or(&[][..], Vec::as_slice);
        // The first that ends behind the instant: windows are disjoint, so no other holds it.
        let next = behind.partition_point(|window| window.ends_us <= occurred_us);
        // The window is cut when the days are closed: what is used behind that would be counted in none.
        if let Some(on) = subscriber.ceases_on
            && begins_us(on, &subscriber.zones) <= occurred_us
        {
            let message = format!("{} is paused or cancelled from {on} on", SubscriptionId(subscription));
            return Err(("not-in-service", message));
        }
        match behind.get(next) {
            Some(window) if window.starts_us <= occurred_us => {
                return Ok((window.state != "open").then_some(window.id));
            }
            Some(_) => {}
            None => {
                let served = subscriber.in_service
                    && subscriber.starts_us <= occurred_us
                    && subscriber.ends_us.is_none_or(|end| occurred_us < end);
                if served && self.metered.contains(&(subscriber.row.plan_version_id, meter)) {
                    // A window will open for what is charged from here on, and for nothing else.
                    let paused = subscriber.suspended_from_us.is_some_and(|from| from <= occurred_us);
                    if subscriber.charged_from_us <= occurred_us && subscriber.row.manual == 0 && !paused {
                        return Ok(None);
                    }
                    let message = "no period of the subscription is charged for that time: it was given, left out, is \
                        not paid, or begins by hand; record the use under a time that is charged";
                    return Err(("not-charged", message.to_owned()));
                }
                if served {
                    let message = "the plan of the subscription has no component of this meter; change one of them";
                    return Err(("not-metered", message.to_owned()));
                }
            }
        }
        let message = format!("{} was not in service then", SubscriptionId(subscription));
        Err(("not-in-service", message))
    }
}

impl Altyn {
    /// Records a batch of events.
    ///
    /// Each is accepted, known already, or refused by name; a refused one keeps no other from being recorded.
    pub async fn usage_ingest(&self, request: &Request, batch: UsageEvents) -> Result<Reply<IngestReport>> {
        self.usage_ingest_read(request, batch.events.into_iter().map(Ok).collect()).await
    }

    /// [`Self::usage_ingest`] of events of which some could not be read, see [`events_of_lines`].
    pub async fn usage_ingest_read(
        &self,
        request: &Request,
        events: Vec<std::result::Result<UsageEvent, RefusedEvent>>,
    ) -> Result<Reply<IngestReport>> {
        if events.is_empty() || events.len() > LARGEST_BATCH {
            return Err(ServiceError::invalid("/events", format!("must have 1 to {LARGEST_BATCH} events")));
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now) = (request.tenant.0, work.now);
        tenants::acting(&mut work.tx, request).await?;
        work.tx.prefer_indexes().await?;
        // Before windows are looked at: what is billed from here on waits for these events.
        rows::lock_shared(&mut work.tx, tenant).await?;
        let events: Vec<Read> = events.into_iter().enumerate().collect();
        let known = Known::load(&mut work.tx, tenant, now, &events).await?;
        let mut report = IngestReport { received: events.len(), ..IngestReport::default() };
        let mut checked: Vec<(usize, EventRow, Late)> = Vec::with_capacity(events.len());
        for (position, event) in events {
            let refused = match event {
                Err(refused) => RefusedEvent { position, ..refused },
                Ok(event) => {
                    let id: String = event.id.chars().take(100).collect();
                    match known.check(event) {
                        Ok((row, late)) => {
                            checked.push((position, row, late));
                            continue;
                        }
                        Err((code, message)) => refusal(position, Some(id), code, message),
                    }
                }
            };
            report.refused.push(refused);
        }
        let falling = known.falling(&mut work.tx, tenant, &checked).await?;
        checked.retain(|(position, row, _)| {
            let Some(message) = falling.get(position) else { return true };
            report.refused.push(refusal(*position, Some(row.event_id.clone()), "reading-falls", message));
            false
        });
        // In one order for all senders; among equal ids the first of the batch comes first.
        checked.sort_by(|left, right| (&left.1.event_id, left.0).cmp(&(&right.1.event_id, right.0)));
        self.record(&mut work.tx, tenant, &known, &mut report, checked).await?;
        report.refused.sort_by_key(|refused| refused.position);
        work.finish(200, report).await
    }

    /// Writes checked events and marks the billed windows they fall into.
    async fn record(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        known: &Known,
        report: &mut IngestReport,
        checked: Vec<(usize, EventRow, Late)>,
    ) -> Result<()> {
        let late: BTreeMap<String, Uuid> =
            checked.iter().filter_map(|(_, row, late)| late.map(|window| (row.event_id.clone(), window))).collect();
        // Only late ones are looked up before: they are few, and the report says how many were new.
        let before: HashSet<String> = if late.is_empty() {
            HashSet::new()
        } else {
            rows::known(tx, tenant, late.keys().cloned().collect()).await?.into_iter().map(|(id,)| id).collect()
        };
        let (positions, events): (Vec<usize>, Vec<EventRow>) =
            checked.into_iter().map(|(position, row, _)| (position, row)).unzip();
        let written = rows::insert(tx, tenant, known.now.timestamp_micros(), &events).await?;
        report.accepted = usize::try_from(written).unwrap_or(usize::MAX);
        if report.accepted < events.len() {
            let ids = events.iter().map(|event| event.event_id.clone()).collect();
            let recorded: HashMap<String, EventRow> = rows::recorded(tx, tenant, ids)
                .await?
                .into_iter()
                .map(|row| (row.event_id.clone(), EventRow { received_us: 0, ..row }))
                .collect();
            for (position, event) in positions.iter().zip(&events) {
                if recorded.get(&event.event_id) != Some(event) {
                    report.refused.push(refusal(
                        *position,
                        Some(event.event_id.clone()),
                        "different-content",
                        "an event of this id is recorded with another content; give the new one an id of its own",
                    ));
                }
            }
        }
        report.repeated = report.received - report.accepted - report.refused.len();
        report.late = late.keys().filter(|id| !before.contains(*id)).count();
        if report.late > 0 {
            let today = known
                .subscribers
                .values()
                .map(|subscriber| subscriber.zones.day_of(known.now))
                .min()
                .unwrap_or_else(|| known.now.date_naive());
            let windows: BTreeSet<Uuid> = late.into_values().collect();
            usage_windows::mark_late(tx, tenant, today, windows.into_iter().collect()).await?;
        }
        Ok(())
    }
}
