//! Quoting: what the first period of a subscription that does not exist yet costs, or what falls due for a contract, priced
//! and taxed as its run will do it.
//!
//! Owns the question; the answers are those of the run's own code. Nothing is written and nothing is recorded: what counts
//! is decided again, with its evidence, when the period is charged.

use std::collections::BTreeMap;

use altyn_domain::{
    id::{ContractId, SubscriptionId, TenantId},
    money::Money,
    recommend::Upcoming,
    run::{ContractPlan, PlanLine},
    subscription::ShortFunds,
};
use altyn_store::{Scope, changes::ContractFactsRow, runs as rows, subscriptions::SubscriptionRow};
use chrono::NaiveDate;

use super::{read::Chunk, rehearsal::imagined, write::Action};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    plugins::REFUSED,
};

/// Later than any charge.
const FAR_AHEAD: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day of the calendar");

/// The first period of a subscription.
pub(crate) struct Quote {
    /// The plan of a day on which nothing else happens to the contract.
    pub plan: ContractPlan,
    /// The quantity of each line.
    pub quantities: Vec<String>,
}

impl Quote {
    /// Lines with their quantities.
    pub fn lines(&self) -> impl Iterator<Item = (&PlanLine, &String)> {
        self.plan.lines.iter().zip(&self.quantities)
    }
}

fn due_row(row: &SubscriptionRow, contract: &ContractFactsRow) -> rows::DueRow {
    rows::DueRow {
        id: row.id,
        contract_id: row.contract_id,
        plan_version_id: row.plan_version_id,
        status: altyn_domain::subscription::SubscriptionStatus::Active.as_str().to_owned(),
        quantity: row.quantity.clone(),
        discount_percent: row.discount_percent.clone(),
        anchor_on: row.anchor_on,
        next_index: row.next_index,
        starts_on: row.starts_on,
        ends_on: row.ends_on,
        next_charge_on: row.starts_on,
        charges_left: row.charges_left,
        once_due: row.once_due,
        terms_from: None,
        change_ordinal: 0,
        discount_minor: row.discount_minor,
        discount_from: row.discount_from,
        discount_until: row.discount_until,
        short_funds: row.short_funds.clone(),
        retry_days: row.retry_days,
        waits_from: None,
        version: row.version,
        created_at: row.created_at,
        contract_version: 0,
        contract_number: contract.number.clone(),
        currency: contract.currency.clone(),
        seller_id: contract.seller_id,
        customer_id: contract.customer_id,
        funds_account_id: uuid::Uuid::nil(),
        customer_kind: contract.customer_kind.clone(),
        customer_country: contract.customer_country.clone(),
        customer_inn: contract.customer_inn.clone(),
        customer_kpp: contract.customer_kpp.clone(),
    }
}

impl Altyn {
    /// What falls due for a contract through a day, or without one the next charge of each subscription: by subscription and
    /// charge date, with tax. As if the money were there.
    pub(crate) async fn quote_due(
        &self,
        tenant: TenantId,
        contract: ContractId,
        through: Option<NaiveDate>,
    ) -> Result<Vec<Upcoming>> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let due = rows::due_of(&mut tx, tenant.0, &[contract.0], through.unwrap_or(FAR_AHEAD)).await?;
        drop(tx);
        let mut days: BTreeMap<NaiveDate, Vec<rows::DueRow>> = BTreeMap::new();
        for row in due {
            let on = through.unwrap_or(row.next_charge_on);
            days.entry(on).or_default().push(rows::DueRow { short_funds: ShortFunds::Debt.as_str().to_owned(), ..row });
        }
        let mut found: BTreeMap<(NaiveDate, SubscriptionId), Money> = BTreeMap::new();
        for (on, due) in days {
            let run = imagined(self.ids.next(), on, self.clock.now());
            let mut pass = self.pass(tenant, &run, Action::Propose).await?;
            let prices = self.prices_for(tenant, &due).await?;
            let computed = Box::pin(self.compute_chunk(&mut pass, Chunk { due, prices, ..Chunk::default() })).await?;
            if let Some(parked) = computed.parked.into_iter().next() {
                let message = format!("{}: {}", parked.fault.code, parked.fault.reason);
                return Err(ServiceError::Plugin { code: REFUSED, message });
            }
            for line in computed.planned.iter().flat_map(|planned| &planned.plan.lines) {
                let sum = found.entry((line.charged_on, line.subscription)).or_insert(Money::zero(line.gross.currency));
                *sum = sum.add(line.gross).map_err(|error| ServiceError::Internal(error.to_string()))?;
            }
        }
        Ok(found.into_iter().map(|((on, subscription), amount)| Upcoming { subscription, on, amount }).collect())
    }

    /// What the first period of a subscription costs that begins on its first day.
    pub(crate) async fn quote(
        &self,
        tenant: TenantId,
        row: &SubscriptionRow,
        contract: &ContractFactsRow,
    ) -> Result<Quote> {
        let run = imagined(self.ids.next(), row.starts_on, self.clock.now());
        let mut pass = self.pass(tenant, &run, Action::Propose).await?;
        let due = vec![due_row(row, contract)];
        let prices = self.prices_for(tenant, &due).await?;
        let chunk = Chunk { due, prices, ..Chunk::default() };
        let computed = Box::pin(self.compute_chunk(&mut pass, chunk)).await?;
        if let Some(parked) = computed.parked.into_iter().next() {
            let message = format!("{}: {}", parked.fault.code, parked.fault.reason);
            return Err(ServiceError::Plugin { code: REFUSED, message });
        }
        let planned = computed.planned.into_iter().next().ok_or_else(|| {
            ServiceError::Internal(format!("nothing is due for the first period of {}", ContractId(row.contract_id)))
        })?;
        let quantities = planned.evidence.iter().map(|evidence| evidence.quantity.clone()).collect();
        Ok(Quote { plan: planned.plan, quantities })
    }
}
