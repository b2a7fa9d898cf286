//! Notices before a charge: the customer hears of it so many days ahead.
//!
//! Owns the tenant's days and giving the notices of a day, page by page, once its run is done. Refuses to know how a customer
//! is told: a notice is the event `subscription.charge-due` of the outbox. Invariant: a subscription and charge date bring each
//! of the two notices once at most, whoever closes the day and however often.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use altyn_domain::{
    calendar::{Period, period},
    catalogue::{ComponentKind, PlanVersion},
    id::{ContractId, PlanVersionId, SubscriptionId, TenantId},
    notice::{MOST_DAYS, NoticeDays, NoticeError},
    price_override::PriceOverride,
    subscription::{Discount, Subscription, SubscriptionStatus, period_price},
};
use altyn_store::{Scope, notices as rows, notices::UpcomingRow};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    funds::ATTEMPTS,
    price_overrides::{Prices, prices_of},
    promises::out_of_range,
    runs::follow::with_successors,
};

/// The event that tells of a charge ahead.
pub const CHARGE_DUE: &str = "subscription.charge-due";
/// How many subscriptions a page has.
const TOGETHER: i64 = 1_000;

/// How many days before a charge customers hear of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetNoticePolicy {
    /// Days before the charge of the first notice, 1 to 90; no notices when absent.
    pub first_days: Option<i32>,
    /// Days of a second one, fewer than those of the first; a single notice when absent.
    pub second_days: Option<i32>,
}

/// How many days before a charge customers hear of it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NoticePolicyView {
    /// Days before the charge of the first notice; absent: none.
    pub first_days: Option<i32>,
    /// Days of the second one.
    pub second_days: Option<i32>,
    /// Version, for `If-Match`; 0 while nothing was set.
    pub version: i64,
    /// When it changed last.
    pub updated_at: Option<DateTime<Utc>>,
}

/// The facts of a notice.
#[derive(Clone, Debug, Serialize)]
struct ChargeDue {
    subscription: SubscriptionId,
    contract: ContractId,
    /// 1 or 2.
    notice: u8,
    charge_on: NaiveDate,
    period: Period,
    /// What a whole period costs by the version and the prices that hold then, use left out; absent when only a part of the
    /// period is charged.
    amount_minor: Option<i64>,
    currency: String,
    /// Whether tax is in the amount or comes on top.
    price_mode: &'static str,
    /// Whether use is charged besides.
    metered: bool,
    /// Whether the customer wants to be told of the subscription's periods.
    notify: bool,
}

fn policy_view(row: Option<rows::NoticePolicyRow>) -> NoticePolicyView {
    NoticePolicyView {
        first_days: row.as_ref().and_then(|row| row.first_days),
        second_days: row.as_ref().and_then(|row| row.second_days),
        version: row.as_ref().map_or(0, |row| row.version),
        updated_at: row.map(|row| row.updated_at),
    }
}

fn days(first: i32, second: Option<i32>) -> std::result::Result<NoticeDays, NoticeError> {
    let count = |days: i32| u32::try_from(days).unwrap_or(0);
    NoticeDays::try_new(count(first), second.map(count))
}

/// The subscription that a row tells of.
fn subscription_of(row: &UpcomingRow, overrides: Vec<PriceOverride>) -> Result<Subscription> {
    Ok(Subscription {
        id: SubscriptionId(row.id),
        contract: ContractId(row.contract_id),
        plan_version: PlanVersionId(row.plan_version_id),
        status: SubscriptionStatus::Active,
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
        next_charge_on: row.charge_on,
        charges_left: None,
        once_due: row.once_due != 0,
        manual: false,
        overrides,
        version: 0,
    })
}

fn charge_due(subscription: &Subscription, plan: &PlanVersion, notify: bool, notice: u8) -> Result<ChargeDue> {
    let charge_on = subscription.next_charge_on;
    let full = period(subscription.anchor_on, plan.cadence, subscription.next_index).map_err(out_of_range)?;
    let whole = full.start == charge_on && subscription.ends_on.is_none_or(|end| full.end <= end);
    let price = period_price(subscription, plan, subscription.next_index, true).map_err(out_of_range)?;
    let version = if subscription.starts_on < full.start { plan.on(full.start) } else { plan };
    Ok(ChargeDue {
        subscription: subscription.id,
        contract: subscription.contract,
        notice,
        charge_on,
        period: full,
        amount_minor: whole.then_some(price.minor),
        currency: price.currency.code().to_owned(),
        price_mode: version.price_mode.as_str(),
        metered: version.components.iter().any(|component| component.kind == ComponentKind::Metered),
        notify,
    })
}

impl Altyn {
    /// How many days before a charge customers hear of it.
    pub async fn notice_policy_get(&self, request: &Request) -> Result<NoticePolicyView> {
        let mut tx = self.read(request).await?;
        Ok(policy_view(rows::policy_find(&mut tx, request.tenant.0).await?))
    }

    /// Says how many days before a charge customers hear of it; it holds from the next close of a day on.
    pub async fn notice_policy_set(
        &self,
        request: &Request,
        if_match: i64,
        command: SetNoticePolicy,
    ) -> Result<Reply<NoticePolicyView>> {
        let mut fields = Fields::default();
        match (command.first_days, command.second_days) {
            (None, Some(_)) => fields.refuse("/second_days", "needs a first notice; set first_days too"),
            (Some(first), second) => {
                if let Err(error) = days(first, second) {
                    let of_second = (1..=MOST_DAYS.cast_signed()).contains(&first);
                    fields.refuse(if of_second { "/second_days" } else { "/first_days" }, error.to_string());
                }
            }
            (None, None) => {}
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, wanted) = (request.tenant.0, (command.first_days, command.second_days));
        if !rows::policy_put(&mut work.tx, tenant, wanted, work.now, if_match).await? {
            return Err(ServiceError::Stale);
        }
        let view = policy_view(rows::policy_find(&mut work.tx, tenant).await?);
        work.finish(200, view).await
    }

    /// Gives the notices of a closed day: one pass over the subscriptions of a tenant that wants any.
    pub(crate) async fn notices_day_close(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let scope = Scope::Tenant(tenant.0);
        let mut tx = self.db.read(scope).await?;
        let policy = rows::policy_find(&mut tx, tenant.0).await?;
        drop(tx);
        let Some((first, second)) = policy.and_then(|policy| Some((policy.first_days?, policy.second_days))) else {
            return Ok(());
        };
        let days = days(first, second).map_err(out_of_range)?;
        let Some(through) = days.through(on) else { return Ok(()) };
        let mut plans: HashMap<Uuid, Arc<PlanVersion>> = HashMap::new();
        let (mut after, mut attempt) = (Uuid::nil(), 1);
        loop {
            let mut tx = self.db.read(scope).await?;
            tx.prefer_indexes().await?;
            let found = rows::upcoming(&mut tx, tenant.0, after, on, through, TOGETHER).await?;
            let Some(last) = found.last().map(|row| row.id) else { return Ok(()) };
            let missing: BTreeSet<Uuid> =
                found.iter().map(|row| row.plan_version_id).filter(|id| !plans.contains_key(id)).collect();
            if !missing.is_empty() {
                plans.extend(with_successors(&mut tx, tenant.0, missing.into_iter().collect()).await?);
            }
            let contracts: BTreeSet<Uuid> = found.iter().map(|row| row.contract_id).collect();
            let prices = prices_of(&mut tx, tenant.0, contracts.into_iter().collect()).await?;
            drop(tx);
            let mut notices = Vec::new();
            for row in &found {
                notices.extend(self.notice_of(row, &plans, &prices, &days, on)?);
            }
            if notices.is_empty() {
                after = last;
                continue;
            }
            match self.notices_give(tenant, on, &notices).await {
                Ok(true) => (after, attempt) = (last, 1),
                // Another host gave some of them: the page is looked at again.
                Ok(false) if attempt < ATTEMPTS => attempt += 1,
                Ok(false) => {
                    return Err(ServiceError::conflict("busy", "others give the notices of this day; try again"));
                }
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn notice_of(
        &self,
        row: &UpcomingRow,
        plans: &HashMap<Uuid, Arc<PlanVersion>>,
        prices: &Prices,
        days: &NoticeDays,
        on: NaiveDate,
    ) -> Result<Option<rows::Notice>> {
        let notice = days.notice(on, row.charge_on).filter(|notice| row.given & i64::from(*notice) == 0);
        let (Some(notice), Some(plan)) = (notice, plans.get(&row.plan_version_id)) else { return Ok(None) };
        let subscription = subscription_of(row, prices.of(row.contract_id, row.id))?;
        let facts = charge_due(&subscription, plan, row.notify != 0, notice)?;
        Ok(Some(rows::Notice {
            subscription: row.id,
            charge_on: row.charge_on,
            notice: i32::from(notice),
            event: self.ids.next(),
            subject: facts.subscription.to_string(),
            payload: serde_json::to_string(&facts).map_err(out_of_range)?,
        }))
    }

    async fn notices_give(&self, tenant: TenantId, on: NaiveDate, notices: &[rows::Notice]) -> Result<bool> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if !rows::give(&mut tx, tenant.0, CHARGE_DUE, on, self.clock.now(), notices).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}
