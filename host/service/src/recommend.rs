//! The recommended amount of a payment.
//!
//! Owns which subscriptions and periods a method covers; the domain adds up. Upcoming charges are estimates: the list price
//! of whole periods with quantity and discount, without tax that comes on top.

use altyn_domain::{
    calendar::{Cadence, local_date, period},
    id::{ContractId, Id as _, SubscriptionId},
    money::{Currency, Money, line_price},
    recommend::{Part, Purse, RecommendMethod, Upcoming, horizon, recommend},
    subscription::SubscriptionStatus,
};
use altyn_store::{runs, subscriptions, subscriptions::SubscriptionRow};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    promises::{money_of, out_of_range},
};

/// The most subscriptions and periods a recommendation looks at.
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
fn upcoming(
    row: &SubscriptionRow,
    components: &[&runs::PlanComponentRow],
    through: NaiveDate,
    currency: Currency,
) -> Result<Vec<Upcoming>> {
    let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
    let mut found = Vec::new();
    let Some(first) = components.first().filter(|_| status.is_charged()) else { return Ok(found) };
    let cadence: Cadence = stored("plan_versions.cadence", &first.cadence)?;
    let quantity: Decimal = stored("subscriptions.quantity", &row.quantity)?;
    let discount: Decimal = stored("subscriptions.discount_percent", &row.discount_percent)?;
    let prices = components
        .iter()
        .map(|component| line_price(Money::new(component.unit_price_minor, currency), quantity, discount));
    let price = Money::sum(currency, prices.collect::<std::result::Result<Vec<_>, _>>().map_err(out_of_range)?);
    let price = price.map_err(out_of_range)?;
    let mut left = row.charges_left;
    let mut index = row.next_index;
    while i64::try_from(found.len()).unwrap_or(MOST) < MOST && left.is_none_or(|left| left > 0) {
        let on = period(row.anchor_on, cadence, index).map_err(out_of_range)?.start.max(row.starts_on);
        if on > through || row.ends_on.is_some_and(|ends_on| ends_on <= on) {
            break;
        }
        found.push(Upcoming { subscription: SubscriptionId(row.id), on, amount: price });
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
            let rows = subscriptions::list(&mut tx, tenant, Some(id.uuid()), Uuid::nil(), MOST).await?;
            let mut versions: Vec<Uuid> = rows.iter().map(|row| row.plan_version_id).collect();
            versions.sort_unstable();
            versions.dedup();
            let components = runs::plan_components(&mut tx, tenant, versions).await?;
            for row in &rows {
                let of = components.iter().filter(|component| component.plan_version_id == row.plan_version_id);
                charges.extend(upcoming(row, &of.collect::<Vec<_>>(), through, currency)?);
            }
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
}
