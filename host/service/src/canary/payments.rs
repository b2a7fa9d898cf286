//! Gateways on trial: which new payments begin with the candidate, and what is counted of them.
//!
//! A payment has one component for its whole life, so what a trial shares out is payments that begin, by their ids; what is
//! about a payment is asked of the component that began it. Unlike a decision of a run, a payment that failed is not decided
//! anew: its outcome is recorded, the fault is counted in the same transaction, and the trial that passes its bound with it
//! is rolled back there. Refuses to count notifications: anybody may send one. Invariant: a payment is stored under a trial
//! only while that trial runs in the version that chose it.

use altyn_domain::{
    canary::is_payment_chosen,
    id::{BindingId, CallId, CanaryId, ExchangeId, TenantId},
};
use altyn_store::{Scope, Tx, canaries as rows, exchanges::ExchangeRow, plugins::binding_find};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    outcomes::{is_beyond, roll_back_held},
    tenants_read,
};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    gateways::Origin,
    plugins::digest_of,
    ports::Ids,
};

/// Who is named as having finished a trial that passed its bound with a payment.
const GATEWAY: &str = "gateway";

/// The trial that a payment begins in.
#[derive(Clone, Debug)]
pub(crate) struct OnTrial {
    /// The canary.
    pub(crate) id: Uuid,
    /// The version of it that chose the payment.
    pub(crate) version: i64,
    /// What the payment begins with.
    pub(crate) origin: Origin,
}

/// Why a component on trial gave no answer that counts.
pub(crate) struct Fault<'a> {
    /// In words.
    pub(crate) reason: &'a str,
    /// The recorded call, when there is one.
    pub(crate) call: Option<CallId>,
}

impl Altyn {
    /// The trial that a new payment begins in; none for one that the present component begins.
    pub(crate) async fn payment_on_trial(
        &self,
        tenant: TenantId,
        binding: BindingId,
        payment: ExchangeId,
    ) -> Result<Option<OnTrial>> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let Some(row) = rows::running(&mut tx, tenant.0, binding.0).await? else { return Ok(None) };
        let tenants = tenants_read(&row.tenants)?;
        if !(tenants.is_empty() || tenants.contains(&tenant)) || !is_payment_chosen(binding, payment, row.share_bp) {
            return Ok(None);
        }
        let origin = Origin { digest: digest_of(&row.component_digest)?, config: Some(row.config) };
        Ok(Some(OnTrial { id: row.id, version: row.version, origin }))
    }

    /// Counts a payment that could not even be begun with the component on trial, because that does not answer; nothing
    /// else is recorded of it.
    pub(crate) async fn count_unbegun(
        &self,
        tenant: TenantId,
        binding: BindingId,
        trial: Uuid,
        reason: &str,
    ) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let runs = rows::running(&mut tx, tenant.0, binding.0).await?.is_some_and(|row| row.id == trial);
        if runs {
            let fault = Fault { reason, call: None };
            tally(&mut tx, &*self.ids, tenant, trial, (true, Some(fault)), self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

impl OnTrial {
    /// Takes the trial in the version that chose the payment, until the transaction ends; `false` when it is over or another
    /// share holds by now.
    pub(crate) async fn hold(&self, tx: &mut Tx, tenant: TenantId) -> Result<bool> {
        Ok(rows::count(tx, tenant.0, self.id, self.version, (0, 0, 0, 0)).await?.is_some())
    }
}

/// Counts what came of an exchange, if a trial runs in its binding and it is one of the trial's or of the present component's.
/// It is the last that the transaction does.
pub(crate) async fn count(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    row: &ExchangeRow,
    fault: Option<Fault<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(trial) = rows::running(tx, tenant.0, row.binding_id).await? else { return Ok(()) };
    let on_trial = row.canary_id == Some(trial.id);
    if !on_trial {
        let bound = binding_find(tx, tenant.0, row.binding_id).await?;
        let present = bound.is_some_and(|bound| {
            bound.component_digest == row.component_digest && Some(&bound.config) == row.config.as_ref()
        });
        if !present {
            return Ok(());
        }
    }
    tally(tx, ids, tenant, trial.id, (on_trial, fault), now).await
}

async fn tally(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    trial: Uuid,
    (on_trial, fault): (bool, Option<Fault<'_>>),
    now: DateTime<Utc>,
) -> Result<()> {
    let mut outcome = altyn_domain::canary::Outcome::default();
    outcome.add(on_trial, fault.is_some());
    let counted = (outcome.decisions, outcome.faults, outcome.present_decisions, outcome.present_faults);
    // Finished meanwhile: there is nothing to count any more.
    let Some(row) = rows::tally(tx, tenant.0, trial, counted).await? else { return Ok(()) };
    if !on_trial || !is_beyond(&row) {
        return Ok(());
    }
    let example = fault.map_or_else(String::new, |Fault { reason, call }| {
        let said: String = reason.chars().take(500).collect();
        call.map_or_else(|| format!("; {said}"), |call| format!("; {call} said: {said}"))
    });
    if !roll_back_held(tx, ids, (&row, tenant), (&example, GATEWAY), now).await? {
        return Err(ServiceError::Internal(format!("{} was finished under its own lock", CanaryId(trial))));
    }
    Ok(())
}
