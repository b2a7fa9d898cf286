//! Subscriptions: what a contract pays for, from when, and until when.

mod update;
mod view;

use altyn_domain::{
    calendar::local_date,
    catalogue::{BillingDay, CatalogueError, PlanStatus},
    id::{ContractId, Id as _, PlanId, SubscriptionId},
    subscription::{Schedule, ShortFunds, SubscriptionStatus},
};
use altyn_store::{
    StoreError, Tx, catalogue,
    catalogue::{PlanRow, PlanVersionRow},
    charges, contracts, runs, subscriptions,
    subscriptions::SubscriptionRow,
    usage_windows,
};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Authority, Begun, Reply, Request},
    customers::check_external,
    error::{Fields, Result, ServiceError, stored},
    metering::kept::keep_use,
    page::{Listed, Page},
    plans::version_on,
    runs::{
        compute::plan_versions,
        metered::{begins_us, zones_of},
    },
};

pub use update::{ActivateSubscription, UpdateSubscription};
pub use view::SubscriptionView;
pub(crate) use view::subscription_of;
use view::{one, views};

/// A new subscription. The plan is named by its id or by its code.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSubscription {
    /// The contract that pays.
    pub contract_id: ContractId,
    /// The plan, by its id.
    pub plan_id: Option<PlanId>,
    /// The plan, by its code.
    pub plan_code: Option<String>,
    /// First day of service; the plan version in effect on it is sold.
    pub starts_on: NaiveDate,
    /// How many units: a decimal above 0 and at most 1000000, with at most 6 decimals; `1` when absent.
    pub quantity: Option<String>,
    /// Discount, per cent: a decimal from 0 to 100 with at most 6 decimals; `0` when absent.
    pub discount_percent: Option<String>,
    /// A sum off each period's charges, minor units, instead of a share.
    pub discount_minor: Option<i64>,
    /// The first charge date that the discount holds on; from the beginning when absent.
    pub discount_from: Option<NaiveDate>,
    /// The last charge date that the discount holds on; for ever when absent.
    pub discount_until: Option<NaiveDate>,
    /// How many charges it makes before it completes; for ever when absent.
    pub charges: Option<i32>,
    /// Whether each period begins by hand, by a renewal; `false` when absent.
    pub manual: Option<bool>,
    /// Whether documents are wanted when a period begins by hand; `false` when absent.
    pub documents_on_activation: Option<bool>,
    /// Whether the customer is told when a period begins by hand; `false` when absent.
    pub notify_on_activation: Option<bool>,
    /// What the customer reads about it in the cabinet, up to 1000 characters.
    pub description: Option<String>,
    /// Whether it waits until it is activated; its periods are counted from that day and `starts_on` is when it is expected.
    /// `false` when absent.
    pub pending: Option<bool>,
    /// What becomes of a period that the contract cannot pay for in advance; `debt` when absent.
    pub short_funds: Option<ShortFunds>,
    /// For how many days `retry` tries such a period, 1 to 366; to its end when absent.
    pub retry_days: Option<i32>,
    /// The system that the subscription is known in; given together with `external_id`.
    pub external_system: Option<String>,
    /// The subscription's id there; unique within the system.
    pub external_id: Option<String>,
}

/// The end of a subscription.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelSubscription {
    /// The day after the last day of service.
    pub on: NaiveDate,
    /// Whether days behind it that are charged already stay charged; `false` when absent: then such an end is refused, for a
    /// change of the kind `cancel` gives them back.
    pub keep_charged: Option<bool>,
}

/// Which subscriptions a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionFilter {
    /// Only those of this contract.
    pub contract_id: Option<ContractId>,
    /// Only those in this status.
    pub status: Option<SubscriptionStatus>,
}

/// A decimal of a command or a file in its canonical text: no exponent, no trailing zeros.
pub(crate) fn decimal(text: &str, least: Decimal, most: Decimal) -> std::result::Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = if plain { Decimal::from_str_exact(text).ok() } else { None };
    match value.map(|value| value.normalize()) {
        Some(value) if value.scale() <= 6 && value >= least && value <= most => Ok(value.to_string()),
        _ => Err(format!(
            "must be a decimal from {least} to {most} with at most 6 decimals and a point, for example {}",
            most.min(Decimal::new(15, 1))
        )),
    }
}

/// A quantity in its canonical text.
pub(crate) fn quantity(text: &str) -> std::result::Result<String, String> {
    decimal(text, Decimal::new(1, 6), Decimal::from(1_000_000))
}

/// A discount in its canonical text.
pub(crate) fn discount(text: &str) -> std::result::Result<String, String> {
    decimal(text, Decimal::ZERO, Decimal::ONE_HUNDRED)
}

/// A discount is a share or a sum, and its dates are in order.
fn check_discount(fields: &mut Fields, command: &CreateSubscription) {
    if command.discount_minor.is_some_and(|minor| minor < 0) {
        fields.refuse("/discount_minor", "must be zero or more");
    }
    let share = command.discount_percent.as_deref().is_some_and(|percent| percent != "0");
    if share && command.discount_minor.is_some_and(|minor| minor != 0) {
        fields.refuse("/discount_minor", "give the discount as a share or as a sum, one of them");
    }
    if let (Some(from), Some(until)) = (command.discount_from, command.discount_until)
        && until < from
    {
        fields.refuse("/discount_until", format!("must not be before {from}, the first day of the discount"));
    }
}

/// The days of trying again belong to one policy.
fn check_short_funds(fields: &mut Fields, policy: ShortFunds, retry_days: Option<i32>) {
    match retry_days {
        Some(_) if policy != ShortFunds::Retry => {
            fields.refuse("/retry_days", format!("has no meaning for {policy}; leave it out"));
        }
        Some(days) if !(1..=366).contains(&days) => fields.refuse("/retry_days", "must be between 1 and 366"),
        _ => {}
    }
}

/// Refuses terms that a customer who helps himself does not give himself.
fn check_self_service(
    request: &Request,
    command: &CreateSubscription,
    zone: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    if request.authority == Authority::Manager {
        return Ok(());
    }
    let discounted = command.discount_percent.is_some()
        || command.discount_minor.is_some()
        || command.discount_from.is_some()
        || command.discount_until.is_some();
    let told = [
        (discounted, "a discount"),
        (command.charges.is_some(), "the number of charges"),
        (command.manual == Some(true), "whether each period begins by hand"),
        (command.short_funds.is_some() || command.retry_days.is_some(), "what becomes of a period without money"),
    ];
    for (_, what) in told.into_iter().filter(|(given, _)| *given) {
        request.authority.manager(what)?;
    }
    if let Some(zone) = zone {
        let today = local_date(now, stored("contracts.zone", zone)?);
        if command.starts_on < today {
            request.authority.manager("a first day in the past")?;
        }
    }
    Ok(())
}

/// Checks that a plan version is sold in a quantity.
async fn check_quantity(tx: &mut Tx, tenant: Uuid, version: Uuid, quantity: &str) -> Result<()> {
    let found = plan_versions(runs::plan_components(tx, tenant, vec![version]).await?)?;
    let quantity = stored("quantity", quantity)?;
    found.iter().try_for_each(|(_, version)| not_sold(version.takes(quantity)))
}

/// The refusal of a quantity that is not sold.
pub(crate) fn not_sold(taken: std::result::Result<(), CatalogueError>) -> Result<()> {
    taken.map_err(|error| ServiceError::conflict("quantity-not-sold", error.to_string()))
}

/// Finds the plan that a command names.
async fn plan_named(tx: &mut Tx, tenant: Uuid, command: &CreateSubscription) -> Result<Option<PlanRow>> {
    Ok(match (command.plan_id, &command.plan_code) {
        (Some(id), None) => catalogue::plan_find(tx, tenant, id.uuid()).await?,
        (None, Some(code)) => catalogue::plans_by_code(tx, tenant, vec![code.clone()]).await?.pop(),
        _ => return Err(ServiceError::invalid("/plan_id", "name the plan by plan_id or by plan_code, one of them")),
    })
}

/// The version of a plan that is sold on a day, when the plan is on sale.
pub(crate) async fn version_sold(tx: &mut Tx, tenant: Uuid, plan: &PlanRow, day: NaiveDate) -> Result<PlanVersionRow> {
    if stored::<PlanStatus>("plans.status", &plan.status)? != PlanStatus::Active {
        return Err(ServiceError::conflict(
            "plan-not-on-sale",
            format!("plan {} is {}; activate it or choose another", plan.code, plan.status),
        ));
    }
    let versions = catalogue::versions_of(tx, tenant, vec![plan.id]).await?;
    version_on(&versions, day).cloned().ok_or_else(|| {
        let first = versions.first().map_or_else(String::new, |row| format!("; it begins on {}", row.effective_from));
        ServiceError::conflict("plan-not-in-effect", format!("plan {} is not sold on {day}{first}", plan.code))
    })
}

pub(crate) fn duplicate(error: StoreError) -> ServiceError {
    match error {
        StoreError::Duplicate(_) => ServiceError::conflict(
            "duplicate-external-id",
            "another subscription has this external id in this external system; use another",
        ),
        other => other.into(),
    }
}

impl Altyn {
    /// Subscribes a contract to a plan; the first charge falls due on the first day of service.
    pub async fn subscription_create(
        &self,
        request: &Request,
        command: CreateSubscription,
    ) -> Result<Reply<SubscriptionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = self.subscription_row(&mut work.tx, request, work.now, command).await?;
        let inserted = subscriptions::insert_all(&mut work.tx, tenant, work.now, std::slice::from_ref(&row)).await;
        inserted.map_err(duplicate)?;
        let view = one(&mut work.tx, tenant, row).await?;
        work.finish(201, view).await
    }

    /// The row of a new subscription, checked against its plan and contract; it is not written.
    pub(crate) async fn subscription_row(
        &self,
        tx: &mut Tx,
        request: &Request,
        now: DateTime<Utc>,
        command: CreateSubscription,
    ) -> Result<SubscriptionRow> {
        let tenant = request.tenant.0;
        let mut fields = Fields::default();
        let quantity = fields.take("/quantity", quantity(command.quantity.as_deref().unwrap_or("1")));
        let discount = fields.take("/discount_percent", discount(command.discount_percent.as_deref().unwrap_or("0")));
        if command.charges.is_some_and(|charges| charges < 1) {
            fields.refuse("/charges", "must be at least 1; leave it out for a subscription without end");
        }
        check_discount(&mut fields, &command);
        let short_funds = command.short_funds.unwrap_or(ShortFunds::Debt);
        check_short_funds(&mut fields, short_funds, command.retry_days);
        fields.optional_text("/description", command.description.as_deref(), 1_000);
        check_external(&mut fields, command.external_system.as_deref(), command.external_id.as_deref());
        let plan = plan_named(tx, tenant, &command).await?;
        if plan.is_none() {
            let pointer = if command.plan_id.is_some() { "/plan_id" } else { "/plan_code" };
            fields.refuse(pointer, "there is no such plan");
        }
        let contract = contracts::find(tx, tenant, command.contract_id.uuid()).await?;
        if contract.is_none() {
            fields.refuse("/contract_id", "there is no such contract");
        }
        fields.finish()?;
        check_self_service(request, &command, contract.as_ref().map(|found| found.contract.zone.as_str()), now)?;
        let (Some(quantity), Some(discount), Some(plan), Some(contract)) = (quantity, discount, plan, contract) else {
            return Err(ServiceError::Internal("a checked command misses a value".into()));
        };
        request.authority.sells(&plan.code, &plan.visibility)?;
        let version = version_sold(tx, tenant, &plan, command.starts_on).await?;
        check_quantity(tx, tenant, version.id, &quantity).await?;
        let contract = contract.contract;
        if version.currency != contract.currency {
            return Err(ServiceError::conflict(
                "currency-mismatch",
                format!(
                    "plan {} is priced in {}, contract {} is in {}; choose a plan in the contract's currency",
                    plan.code, version.currency, contract.number, contract.currency
                ),
            ));
        }
        let cadence = stored("plan_versions.cadence", &version.cadence)?;
        let billing_day: BillingDay = stored("plan_versions.billing_day", &version.billing_day)?;
        let day_of_month = billing_day.day_of_month(cadence, command.starts_on, contract.signed_on);
        let schedule = Schedule::first(command.starts_on, cadence, day_of_month)
            .map_err(|error| ServiceError::invalid("/starts_on", error.to_string()))?;
        Ok(SubscriptionRow {
            id: self.ids.next(),
            contract_id: contract.id,
            plan_version_id: version.id,
            status: if command.pending.unwrap_or(false) {
                SubscriptionStatus::Pending
            } else {
                SubscriptionStatus::Active
            }
            .as_str()
            .to_owned(),
            quantity,
            discount_percent: discount,
            anchor_on: schedule.anchor_on,
            next_index: schedule.next_index,
            starts_on: command.starts_on,
            ends_on: None,
            next_charge_on: command.starts_on,
            charges_left: command.charges,
            once_due: 1,
            terms_from: None,
            change_ordinal: 0,
            discount_minor: command.discount_minor.unwrap_or(0),
            discount_from: command.discount_from,
            discount_until: command.discount_until,
            manual: command.manual.unwrap_or(false).into(),
            documents_on_activation: command.documents_on_activation.unwrap_or(false).into(),
            notify_on_activation: command.notify_on_activation.unwrap_or(false).into(),
            description: command.description,
            short_funds: short_funds.as_str().to_owned(),
            retry_days: command.retry_days,
            waits_from: None,
            former_zone: None,
            former_zone_until: None,
            external_system: command.external_system,
            external_id: command.external_id,
            version: 1,
            created_at: now,
        })
    }

    /// One subscription.
    pub async fn subscription_get(&self, request: &Request, id: SubscriptionId) -> Result<SubscriptionView> {
        let mut tx = self.read(request).await?;
        let row = subscriptions::find(&mut tx, request.tenant.0, id.uuid()).await?;
        one(&mut tx, request.tenant.0, row.ok_or(ServiceError::NotFound("subscription"))?).await
    }

    /// A page of subscriptions, oldest first.
    pub async fn subscription_list(
        &self,
        request: &Request,
        filter: SubscriptionFilter,
        page: &Page,
    ) -> Result<Listed<SubscriptionView>> {
        let (limit, after) = page.bounds::<SubscriptionId>()?;
        let contract = filter.contract_id.map(ContractId::uuid);
        let status = filter.status.map_or("", SubscriptionStatus::as_str);
        let mut tx = self.read(request).await?;
        let rows = subscriptions::list_in(&mut tx, request.tenant.0, contract, status, after, limit).await?;
        let found = views(&mut tx, request.tenant.0, rows).await?;
        Ok(page.listed(found, |view| view.id.to_string(), |view| view))
    }

    /// Ends a subscription on a day; an end that was set before is replaced. No period that begins on or after that day
    /// is charged. The decision tables hold that hold for a change of the kind `cancel`. Days behind the end that are charged
    /// stay so only when that was asked for. An end up to which a period was charged in part is not moved behind it.
    pub async fn subscription_cancel(
        &self,
        request: &Request,
        id: SubscriptionId,
        if_match: i64,
        command: CancelSubscription,
    ) -> Result<Reply<SubscriptionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = subscriptions::find(&mut work.tx, tenant, id.uuid()).await?;
        let mut row = row.ok_or(ServiceError::NotFound("subscription"))?;
        let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
        if status.is_final() {
            return Err(ServiceError::conflict(
                "subscription-ended",
                format!("the subscription is {status} already; there is nothing to cancel"),
            ));
        }
        crate::orders::refuse_while_ordered(&mut work.tx, tenant, &row).await?;
        let first = row.terms_from.unwrap_or(row.starts_on).max(row.starts_on);
        if command.on < first {
            return Err(ServiceError::invalid(
                "/on",
                format!("must not be before {first}, the first day of the present terms"),
            ));
        }
        self.cancel_allowed(&mut work.tx, tenant, &row).await?;
        if !command.keep_charged.unwrap_or(false)
            && charges::covers_from(&mut work.tx, tenant, row.id, command.on).await?
        {
            return Err(ServiceError::conflict(
                "end-inside-charged",
                format!(
                    "days from {} on are charged already; make a change of the kind cancel, which gives them back, \
                     or send keep_charged to leave them charged",
                    command.on
                ),
            ));
        }
        // The days behind such an end would be served and belong to a period that is charged already.
        if let Some(end) = row.ends_on
            && command.on > end
            && charges::cut_at(&mut work.tx, tenant, row.id, end).await?
        {
            return Err(ServiceError::conflict(
                "end-charged",
                format!("the last period was charged up to its end on {end}; subscribe again from that day instead"),
            ));
        }
        let sold = catalogue::sold(&mut work.tx, tenant, vec![row.plan_version_id]).await?;
        let sold = sold.first().ok_or_else(|| ServiceError::Internal("a subscription has no plan version".into()))?;
        let cadence = stored("plan_versions.cadence", &sold.cadence)?;
        let next = altyn_domain::calendar::boundary(row.anchor_on, cadence, row.next_index)
            .map_err(|error| ServiceError::Internal(error.to_string()))?
            .max(row.starts_on);
        row.ends_on = Some(command.on);
        row.next_charge_on = next.min(command.on);
        let ended = subscriptions::end(&mut work.tx, tenant, row.id, if_match, command.on, row.next_charge_on).await?;
        if !ended {
            return Err(ServiceError::Stale);
        }
        let zones = zones_of(&mut work.tx, tenant, row.id).await?;
        let today = zones.day_of(work.now);
        keep_use(&mut work.tx, (tenant, row.id), (command.on, today), &zones, &[]).await?;
        let end_us = begins_us(command.on, &zones);
        usage_windows::cut(&mut work.tx, tenant, row.id, command.on, end_us).await?;
        row.version = if_match + 1;
        let view = one(&mut work.tx, tenant, row).await?;
        work.finish(200, view).await
    }
}
