//! Reading recorded use: events, and the windows of a subscription with what they cost by now.

use std::collections::HashMap;

use altyn_domain::{
    id::{ComponentId, Id as _, MeterId, SubscriptionId, UsageWindowId},
    metered::Quantity,
    money::Currency,
};
use altyn_store::{
    metering::{self as rows, EventRow},
    meters, runs, subscriptions,
    usage_windows::{self, WindowRow},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
    runs::{
        compute::plan_versions,
        metered::{Counted, counted, rated},
    },
};

/// Which events a list holds.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventFilter {
    /// The subscription that is used.
    pub subscription_id: SubscriptionId,
    /// Code of the meter.
    pub meter: String,
    /// Only events of this window.
    pub window_id: Option<UsageWindowId>,
}

/// A recorded event.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageEventView {
    /// The sender's id.
    pub id: String,
    /// The subscription that is used.
    pub subscription_id: SubscriptionId,
    /// Code of the meter.
    pub meter: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Its quantity, where the meter takes one.
    pub quantity: Option<String>,
    /// What was used, where different items are counted.
    pub item: Option<String>,
    /// When it was recorded.
    pub received_at: DateTime<Utc>,
}

/// How far the billing of a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowState {
    /// Not billed yet.
    Open,
    /// Billed, and nothing came since.
    Billed,
    /// Billed, and events came since; the run of `due_on` bills what they add.
    Late,
}

impl std::str::FromStr for WindowState {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "billed" => Ok(Self::Billed),
            "late" => Ok(Self::Late),
            other => Err(format!("{other} is no state of a window")),
        }
    }
}

/// The days of one period that one component bills the use of, with what was used by now.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WindowView {
    /// Its id.
    pub id: UsageWindowId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// The component that prices it.
    pub component_id: ComponentId,
    /// The meter.
    pub meter_id: MeterId,
    /// Code of the meter.
    pub meter: String,
    /// What one unit is.
    pub unit: String,
    /// First day of the whole period.
    pub period_start: NaiveDate,
    /// The day after the whole period.
    pub period_end: NaiveDate,
    /// Its first day.
    pub used_start: NaiveDate,
    /// The day after its last one.
    pub used_end: NaiveDate,
    /// Its first instant, in the contract's zone at the time.
    pub starts_at: DateTime<Utc>,
    /// The instant behind its last.
    pub ends_at: DateTime<Utc>,
    /// How far its billing has come.
    pub state: WindowState,
    /// The day whose run bills it.
    pub due_on: NaiveDate,
    /// How many events are recorded.
    pub events: i64,
    /// The figure that they come to.
    pub used: String,
    /// What that costs, as the plan states prices, minor units: what is billed when nothing more comes.
    pub amount_minor: i64,
    /// How that came about.
    pub explanation: String,
    /// How many of the events were billed.
    pub billed_events: i64,
    /// The figure that was billed.
    pub billed_used: String,
    /// What was billed, minor units.
    pub billed_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

fn instant(us: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(us).ok_or_else(|| ServiceError::Internal(format!("{us} is no instant")))
}

fn event_view(row: EventRow, meter: &str, with_quantity: bool) -> Result<UsageEventView> {
    let quantity = Quantity { units: row.units, nanos: row.nanos }.to_decimal().to_string();
    Ok(UsageEventView {
        id: row.event_id,
        subscription_id: SubscriptionId(row.subscription_id),
        meter: meter.to_owned(),
        occurred_at: instant(row.occurred_us)?,
        quantity: with_quantity.then_some(quantity),
        item: row.item,
        received_at: instant(row.received_us)?,
    })
}

impl Altyn {
    /// A page of a subscription's events of one meter, by the instant at which they happened.
    pub async fn usage_events(
        &self,
        request: &Request,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listed<UsageEventView>> {
        let limit = Page { limit: page.limit, cursor: None }.positions()?.0;
        let wrong = || ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`");
        let cursor = match page.cursor.as_deref().map(|text| text.split_once('.').ok_or_else(wrong)).transpose()? {
            None => None,
            Some((at, id)) => Some((at.parse::<i64>().map_err(|_| wrong())?, id.to_owned())),
        };
        let (tenant, subscription) = (request.tenant.0, filter.subscription_id.uuid());
        let mut tx = self.read(request).await?;
        if subscriptions::find(&mut tx, tenant, subscription).await?.is_none() {
            return Err(ServiceError::NotFound("subscription"));
        }
        let meter = meters::by_code(&mut tx, tenant, vec![filter.meter.clone()]).await?.pop();
        let meter = meter.ok_or(ServiceError::NotFound("meter"))?;
        let aggregation: altyn_domain::metered::Aggregation = stored("meters.aggregation", &meter.aggregation)?;
        let (from, before) = match filter.window_id {
            None => (i64::MIN, i64::MAX),
            Some(id) => {
                let window = usage_windows::find(&mut tx, tenant, id.uuid()).await?;
                let window = window.filter(|window| window.subscription_id == subscription);
                let window = window.ok_or(ServiceError::NotFound("usage window"))?;
                (window.starts_us, window.ends_us)
            }
        };
        let after = cursor.unwrap_or((from, String::new()));
        let found = rows::list(&mut tx, tenant, (subscription, meter.id), after, before, limit).await?;
        page.listed(
            found,
            |row| format!("{}.{}", row.occurred_us, row.event_id),
            |row| event_view(row, &meter.code, aggregation.takes_quantity()),
        )
        .try_data()
    }

    /// A page of a subscription's usage windows with what was used and what it costs by now.
    pub async fn usage_windows(
        &self,
        request: &Request,
        subscription: SubscriptionId,
        page: &Page,
    ) -> Result<Listed<WindowView>> {
        let (limit, after) = page.bounds::<UsageWindowId>()?;
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        if subscriptions::find(&mut tx, tenant, subscription.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("subscription"));
        }
        let found = usage_windows::list(&mut tx, tenant, subscription.uuid(), after, limit).await?;
        let counted = counted(&mut tx, tenant, &found.iter().collect::<Vec<_>>()).await?;
        let ids = |of: &dyn Fn(&WindowRow) -> Uuid| {
            found.iter().map(of).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let plans: HashMap<_, _> =
            plan_versions(runs::plan_components(&mut tx, tenant, ids(&|row| row.plan_version_id)).await?)?
                .into_iter()
                .collect();
        let meters: HashMap<Uuid, meters::MeterRow> = meters::by_id(&mut tx, tenant, ids(&|row| row.meter_id))
            .await?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let view = |row: WindowRow| -> Result<WindowView> {
            let gone = || ServiceError::Internal(format!("{} lost its plan or meter", UsageWindowId(row.id)));
            let Counted { figures, aggregation, .. } = counted.get(&row.id).ok_or_else(gone)?;
            let meter = meters.get(&row.meter_id).ok_or_else(gone)?;
            let plan = plans.get(&row.plan_version_id).ok_or_else(gone)?;
            let component =
                plan.components.iter().find(|component| component.id.0 == row.component_id).ok_or_else(gone)?;
            let terms = component.metered.as_ref().ok_or_else(gone)?;
            let currency: Currency = component.unit_price.currency;
            let used = figures.used(*aggregation).map_err(|error| ServiceError::Internal(error.to_string()))?;
            let rated = rated(&row, terms, used, currency).map_err(ServiceError::Internal)?;
            Ok(WindowView {
                id: UsageWindowId(row.id),
                subscription_id: SubscriptionId(row.subscription_id),
                component_id: ComponentId(row.component_id),
                meter_id: MeterId(row.meter_id),
                meter: meter.code.clone(),
                unit: meter.unit.clone(),
                period_start: row.period_start,
                period_end: row.period_end,
                used_start: row.used_start,
                used_end: row.used_end,
                starts_at: instant(row.starts_us)?,
                ends_at: instant(row.ends_us)?,
                state: stored("usage_windows.state", &row.state)?,
                due_on: row.due_on,
                events: figures.events,
                used: used.normalize().to_string(),
                amount_minor: rated.amount.minor,
                explanation: rated.explanation,
                billed_events: row.billed_events,
                billed_used: row.billed_use,
                billed_minor: row.billed_minor,
                currency: currency.code().to_owned(),
            })
        };
        page.listed(found, |row| UsageWindowId(row.id).to_string(), view).try_data()
    }
}
