//! Quoting: what the first period of a subscription that does not exist yet costs, priced and taxed as its run will do it.
//!
//! Owns the question; the answers are those of the run's own code. Nothing is written and nothing is recorded: what counts
//! is decided again, with its evidence, when the period is charged.

use altyn_domain::{
    id::{ContractId, TenantId},
    run::{ContractPlan, PlanLine},
};
use altyn_store::{changes::ContractFactsRow, runs as rows, subscriptions::SubscriptionRow};

use super::{read::Chunk, rehearsal::imagined, write::Action};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    plugins::REFUSED,
};

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
        let computed = self.compute_chunk(&mut pass, chunk).await?;
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
