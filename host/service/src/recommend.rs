//! The recommended amount of a payment.
//!
//! Owns which subscriptions and periods a method covers; the domain adds up. Upcoming charges are what the run of their day
//! would charge by what is known now, tax and short periods included. Where no plugin says that, they are estimates: the price
//! of whole periods with quantity and discount, without tax that comes on top.

use std::{collections::HashMap, sync::Arc};

use altyn_domain::{
    calendar::{local_date, period},
    catalogue::PlanVersion,
    id::{ContractId, Id as _},
    money::{Currency, Money},
    recommend::{Part, Purse, RecommendMethod, Upcoming, horizon, recommend},
    subscription::{Subscription, period_price},
};
use altyn_store::subscriptions;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    price_overrides::prices_of,
    promises::{money_of, out_of_range},
    runs::follow::with_successors,
    subscriptions::subscription_of,
};

/// The most periods of a subscription that an estimate looks at, and the subscriptions that are read together.
const MOST: i64 = 1_000;

/// How the amount is to be found.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecommendFilter {
    /// The method; `debt` when absent.
    pub method: Option<RecommendMethod>,
    /// For the method `month`: from which day of the month on the next month counts too, 1 to 31; 25 when absent.
    pub from_day: Option<u32>,
}

/// What to pay, part by part.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecommendationView {
    /// The contract.
    pub contract_id: ContractId,
    /// The method.
    pub method: RecommendMethod,
    /// ISO 4217 code.
    pub currency: String,
    /// What to pay, minor units; never below zero.
    pub amount_minor: i64,
    /// What it consists of.
    pub parts: Vec<Part>,
    /// The last day whose charges are counted, when charges are.
    pub through_on: Option<NaiveDate>,
}

/// The charges of a subscription through a day; only the first one for a day that never comes.
fn upcoming(subscription: &Subscription, plan: &PlanVersion, through: NaiveDate) -> Result<Vec<Upcoming>> {
    let mut found = Vec::new();
    if !subscription.status.is_charged() {
        return Ok(found);
    }
    let mut left = subscription.charges_left;
    let mut index = subscription.next_index;
    while i64::try_from(found.len()).unwrap_or(MOST) < MOST && left.is_none_or(|left| left > 0) {
        let full = period(subscription.anchor_on, plan.cadence, index).map_err(out_of_range)?;
        let on = full.start.max(subscription.starts_on);
        if on > through || subscription.ends_on.is_some_and(|ends_on| ends_on <= on) {
            break;
        }
        let amount = period_price(subscription, plan, index, true).map_err(out_of_range)?;
        found.push(Upcoming { subscription: subscription.id, on, amount });
        if through == NaiveDate::MAX {
            break;
        }
        index += 1;
        left = left.map(|left| left - 1);
    }
    Ok(found)
}

impl Altyn {
    /// What a customer should pay for a contract, by a chosen method.
    pub async fn contract_recommend(
        &self,
        request: &Request,
        id: ContractId,
        filter: RecommendFilter,
    ) -> Result<RecommendationView> {
        let from_day = filter.from_day.unwrap_or(25);
        if !(1..=31).contains(&from_day) {
            return Err(ServiceError::invalid("/from_day", "must be between 1 and 31"));
        }
        let (tenant, method) = (request.tenant.0, filter.method.unwrap_or(RecommendMethod::Debt));
        let mut tx = self.read(request).await?;
        let money = money_of(&mut tx, tenant, id.uuid()).await?;
        let currency: Currency = stored("contracts.currency", &money.currency)?;
        let today = local_date(self.clock.now(), stored::<chrono_tz::Tz>("contracts.zone", &money.zone)?);
        let through_on = horizon(method, today, from_day);
        let mut charges = Vec::new();
        if let Some(through) = through_on {
            drop(tx);
            let until = Some(through).filter(|through| *through != NaiveDate::MAX);
            charges = match Box::pin(self.quote_due(request.tenant, id, until)).await {
                Err(ServiceError::Plugin { .. } | ServiceError::Conflict { code: "no-binding", .. }) => {
                    self.estimates(request, id, through).await?
                }
                quoted => quoted?,
            };
            charges.sort_by_key(|charge| (charge.on, charge.subscription));
        }
        let purse = Purse {
            balance: Money::new(money.balance_minor, currency),
            blocked: Money::new(money.blocked_minor, currency),
            limit: Money::new(money.limit_minor.unwrap_or(0), currency),
        };
        let (amount, parts) = recommend(method, purse, &charges).map_err(out_of_range)?;
        Ok(RecommendationView {
            contract_id: id,
            method,
            currency: money.currency,
            amount_minor: amount.minor,
            parts,
            through_on: through_on.filter(|through| *through != NaiveDate::MAX),
        })
    }

    /// The charges of a contract's subscriptions through a day by list price.
    async fn estimates(&self, request: &Request, id: ContractId, through: NaiveDate) -> Result<Vec<Upcoming>> {
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        let prices = prices_of(&mut tx, tenant, vec![id.uuid()]).await?;
        let (mut charges, mut after) = (Vec::new(), Uuid::nil());
        loop {
            let rows = subscriptions::list(&mut tx, tenant, Some(id.uuid()), after, MOST).await?;
            let Some(last) = rows.last().map(|row| row.id) else { return Ok(charges) };
            after = last;
            let mut versions: Vec<Uuid> = rows.iter().map(|row| row.plan_version_id).collect();
            versions.sort_unstable();
            versions.dedup();
            let plans: HashMap<Uuid, Arc<PlanVersion>> =
                with_successors(&mut tx, tenant, versions).await?.into_iter().collect();
            for row in &rows {
                // A plan version without components charges nothing.
                let Some(plan) = plans.get(&row.plan_version_id) else { continue };
                let subscription = subscription_of(row, prices.of(row.contract_id, row.id))?;
                charges.extend(upcoming(&subscription, plan, through)?);
            }
        }
    }
}
