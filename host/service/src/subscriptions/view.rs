//! What callers see of a subscription: all that a list, a card and a form show.

use std::{collections::HashMap, sync::Arc};

use altyn_domain::{
    calendar::{Period, Zones},
    catalogue::PlanVersion,
    id::{ContractId, CustomerId, PlanId, PlanVersionId, SubscriptionId},
    price_override::PriceOverride,
    subscription::{Discount, ShortFunds, Subscription, SubscriptionStatus, period_price},
};
use altyn_store::{
    Tx, catalogue, subscriptions,
    subscriptions::{CardRow, SubscriptionRow},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::{Result, ServiceError, stored},
    price_overrides::{Prices, prices_of},
    runs::{follow::with_successors, metered::zones},
};

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionView {
    /// Its id.
    pub id: SubscriptionId,
    /// The contract that pays.
    pub contract_id: ContractId,
    /// Number of the contract.
    pub contract_number: String,
    /// Who buys.
    pub customer_id: CustomerId,
    /// The plan that was sold.
    pub plan_id: PlanId,
    /// Code of the plan.
    pub plan_code: String,
    /// Title of the plan.
    pub plan_title: String,
    /// The version of the plan that was sold.
    pub plan_version_id: PlanVersionId,
    /// Length of a period: `Nd` or `Nm`.
    pub cadence: String,
    /// Price of the next whole period, minor units: what recurs, quantity and discount included, as the plan states prices.
    pub period_price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// How many units, decimal.
    pub quantity: String,
    /// Discount, per cent, decimal.
    pub discount_percent: String,
    /// A sum off each period's charges, minor units.
    pub discount_minor: i64,
    /// The first charge date that the discount holds on.
    pub discount_from: Option<NaiveDate>,
    /// The last charge date that the discount holds on.
    pub discount_until: Option<NaiveDate>,
    /// The day that all period boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// First day of the present terms.
    pub terms_from: NaiveDate,
    /// How many changes were executed.
    pub changes: i32,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// The latest day on which a period was charged.
    pub last_charge_on: Option<NaiveDate>,
    /// The next day on which something happens: the next charge, or the end if that comes first.
    pub next_charge_on: NaiveDate,
    /// The next period to be charged; none when nothing more is charged.
    pub next_period: Option<Period>,
    /// The later version of the plan that the next period goes over to; absent when it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_plan_version_id: Option<PlanVersionId>,
    /// How many charges are left; none for ever.
    pub charges_left: Option<i32>,
    /// Whether each period begins by hand.
    pub manual: bool,
    /// Whether documents are wanted when a period begins by hand.
    pub documents_on_activation: bool,
    /// Whether the customer is told when a period begins by hand.
    pub notify_on_activation: bool,
    /// What the customer reads about it in the cabinet.
    pub description: Option<String>,
    /// What becomes of a period that the contract cannot pay for in advance.
    pub short_funds: ShortFunds,
    /// For how many days `retry` tries such a period.
    pub retry_days: Option<i32>,
    /// The first day of the period that waits for money.
    pub waits_from: Option<NaiveDate>,
    /// Time zone of its days: the contract's, from `zone_until` on if that is set.
    pub zone: String,
    /// The zone before the contract's was changed; it holds up to `zone_until`.
    pub former_zone: Option<String>,
    /// The boundary at which the contract's zone begins to hold.
    pub zone_until: Option<NaiveDate>,
    /// The system that the subscription is known in.
    pub external_system: Option<String>,
    /// The subscription's id there.
    pub external_id: Option<String>,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// What subscriptions are shown with.
struct Shown {
    sold: Vec<catalogue::SoldRow>,
    plans: HashMap<Uuid, Arc<PlanVersion>>,
    cards: HashMap<Uuid, CardRow>,
    prices: Prices,
}

/// A subscription of a row, with what it pays instead of the plan's prices.
pub(crate) fn subscription_of(row: &SubscriptionRow, overrides: Vec<PriceOverride>) -> Result<Subscription> {
    Ok(Subscription {
        id: SubscriptionId(row.id),
        contract: ContractId(row.contract_id),
        plan_version: PlanVersionId(row.plan_version_id),
        status: stored("subscriptions.status", &row.status)?,
        quantity: stored("subscriptions.quantity", &row.quantity)?,
        discount: Discount {
            percent: stored("subscriptions.discount_percent", &row.discount_percent)?,
            minor: row.discount_minor,
            from: row.discount_from,
            until: row.discount_until,
        },
        anchor_on: row.anchor_on,
        next_index: row.next_index,
        starts_on: row.starts_on,
        terms_from: row.terms_from.unwrap_or(row.starts_on),
        ends_on: row.ends_on,
        next_charge_on: row.next_charge_on,
        charges_left: row.charges_left.map(|left| u32::try_from(left).unwrap_or(0)),
        once_due: row.once_due != 0,
        manual: row.manual != 0,
        overrides,
        version: row.version,
    })
}

fn absent(what: &str) -> ServiceError {
    ServiceError::Internal(format!("a subscription has no {what}"))
}

/// Reads what rows are shown with, and shows them.
pub(super) async fn views(tx: &mut Tx, tenant: Uuid, rows: Vec<SubscriptionRow>) -> Result<Vec<SubscriptionView>> {
    let mut versions: Vec<Uuid> = rows.iter().map(|row| row.plan_version_id).collect();
    versions.sort_unstable();
    versions.dedup();
    let sold = catalogue::sold(tx, tenant, versions.clone()).await?;
    let plans = with_successors(tx, tenant, versions).await?.into_iter().collect();
    let mut contracts: Vec<Uuid> = rows.iter().map(|row| row.contract_id).collect();
    contracts.sort_unstable();
    contracts.dedup();
    let prices = prices_of(tx, tenant, contracts).await?;
    let cards = subscriptions::cards(tx, tenant, rows.iter().map(|row| row.id).collect()).await?;
    let shown = Shown { sold, plans, cards: cards.into_iter().map(|card| (card.id, card)).collect(), prices };
    rows.into_iter().map(|row| view(row, &shown)).collect()
}

/// One of them.
pub(super) async fn one(tx: &mut Tx, tenant: Uuid, row: SubscriptionRow) -> Result<SubscriptionView> {
    views(tx, tenant, vec![row]).await?.pop().ok_or(ServiceError::NotFound("subscription"))
}

fn view(row: SubscriptionRow, shown: &Shown) -> Result<SubscriptionView> {
    let sold = shown.sold.iter().find(|sold| sold.id == row.plan_version_id).ok_or_else(|| absent("plan version"))?;
    let plan = shown.plans.get(&row.plan_version_id).ok_or_else(|| absent("components"))?;
    let card = shown.cards.get(&row.id).ok_or_else(|| absent("contract"))?;
    let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
    let next_period = altyn_domain::calendar::period(row.anchor_on, plan.cadence, row.next_index)
        .ok()
        .filter(|_| row.charges_left != Some(0))
        .filter(|period| status.is_charged() && row.ends_on.is_none_or(|ends_on| period.start < ends_on));
    let subscription = subscription_of(&row, shown.prices.of(row.contract_id, row.id))?;
    let period_price = period_price(&subscription, plan, row.next_index, false);
    let period_price = period_price.map_err(|error| ServiceError::Internal(error.to_string()))?;
    let next_version =
        next_period.filter(|next| subscription.starts_on < next.start).map(|next| plan.on(next.start).id);
    let Zones { former, .. } = zones(&card.zone, row.former_zone.as_ref(), row.former_zone_until)?;
    Ok(SubscriptionView {
        id: SubscriptionId(row.id),
        contract_id: ContractId(row.contract_id),
        contract_number: card.contract_number.clone(),
        customer_id: CustomerId(card.customer_id),
        plan_id: PlanId(sold.plan_id),
        plan_code: sold.code.clone(),
        plan_title: sold.title.clone(),
        plan_version_id: PlanVersionId(row.plan_version_id),
        cadence: sold.cadence.clone(),
        period_price_minor: period_price.minor,
        currency: sold.currency.clone(),
        status,
        quantity: row.quantity,
        discount_percent: row.discount_percent,
        discount_minor: row.discount_minor,
        discount_from: row.discount_from,
        discount_until: row.discount_until,
        anchor_on: row.anchor_on,
        starts_on: row.starts_on,
        terms_from: row.terms_from.unwrap_or(row.starts_on),
        changes: row.change_ordinal,
        ends_on: row.ends_on,
        last_charge_on: card.last_charge_on,
        next_charge_on: row.next_charge_on,
        next_period,
        next_plan_version_id: next_version.filter(|id| *id != plan.id),
        charges_left: row.charges_left,
        manual: row.manual != 0,
        documents_on_activation: row.documents_on_activation != 0,
        notify_on_activation: row.notify_on_activation != 0,
        description: row.description,
        short_funds: stored("subscriptions.short_funds", &row.short_funds)?,
        retry_days: row.retry_days,
        waits_from: row.waits_from,
        zone: card.zone.clone(),
        former_zone: former.map(|(zone, _)| zone.name().to_owned()),
        zone_until: former.map(|(_, until)| until),
        external_system: row.external_system,
        external_id: row.external_id,
        version: row.version,
        created_at: row.created_at,
    })
}
