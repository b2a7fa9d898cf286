//! Scheduled changes in a run with confirmation: shown, confirmed and made like everything else that it does.
//!
//! A contract with changes whose day has come has a plan of these first. Once somebody confirmed it they are made, and the
//! contract's day is planned anew and awaits its own yes. A change that waits for a charge of its old terms is shown when
//! the contract's day is billed. Rejected, they stay scheduled. Invariant: nothing is posted, charged or numbered for a
//! change before its hash was confirmed, and the day's report is that of a run that asks nobody.

use altyn_domain::{
    id::{ContractId, Id as _, TenantId},
    run::{PlanStage, PlanState},
};
use altyn_store::{Scope, changes, runs as rows};
use uuid::Uuid;

use super::{engine::lease_lost, write::Action};
use crate::{
    changes::{ScheduledChange, changes_hash},
    context::Altyn,
    error::{Result, ServiceError, stored},
};

fn stage(plan: &rows::PlanRow) -> Result<PlanStage> {
    stored("run_plans.stage", &plan.stage)
}

/// Whether the contract's day was billed by this run.
fn day_is_billed(plan: &rows::PlanRow) -> Result<bool> {
    Ok(match stage(plan)? {
        PlanStage::Changes => false,
        PlanStage::Day => plan.state == PlanState::Done.as_str(),
        PlanStage::ChangesAfter => true,
    })
}

/// The larger of what changes charge and what they give back.
fn largest(changes: &[ScheduledChange]) -> i64 {
    let effects = || changes.iter().filter_map(|change| change.effects.as_ref());
    let charged = effects().map(|effects| effects.charged_minor).sum::<i64>();
    charged.max(effects().map(|effects| effects.credited_minor).sum())
}

impl Altyn {
    /// Puts the changes whose day has come before the plans of their contracts' day.
    pub(super) async fn changes_before(&self, tenant: TenantId, run: &rows::RunRow) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let size = i64::from(self.settings.run_chunk.clamp(1, 1_000));
            let found = changes::scheduled_contracts(&mut tx, tenant.0, run.business_on, after, size).await?;
            drop(tx);
            let Some(last) = found.last().copied() else { return Ok(()) };
            after = last;
            for contract in found {
                let before = self.plan_of(tenant, run, contract).await?;
                // A host that was here before left decisions that stand.
                let decided = match &before {
                    None => false,
                    Some(plan) => {
                        let open = [PlanState::Awaiting.as_str(), PlanState::Parked.as_str()];
                        let early = stage(plan)? == PlanStage::Day && plan.state == PlanState::Approved.as_str();
                        !(early || open.contains(&plan.state.as_str()))
                    }
                };
                if !decided {
                    self.changes_propose(tenant, run, contract, before.as_ref()).await?;
                }
            }
        }
    }

    /// Shows the changes that waited until their contracts' day was billed.
    async fn changes_after(&self, tenant: TenantId, run: &rows::RunRow) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let size = i64::from(self.settings.run_chunk.clamp(1, 1_000));
            let found = rows::billed_with_changes(&mut tx, tenant.0, run.id, run.business_on, after, size).await?;
            drop(tx);
            let Some(last) = found.last().copied() else { return Ok(()) };
            after = last;
            for contract in found {
                let before = self.plan_of(tenant, run, contract).await?;
                if self.changes_propose(tenant, run, contract, before.as_ref()).await? {
                    self.approve_usual(tenant, run, Some(contract)).await?;
                }
            }
        }
    }

    async fn plan_of(&self, tenant: TenantId, run: &rows::RunRow, contract: Uuid) -> Result<Option<rows::PlanRow>> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        Ok(rows::plan_find(&mut tx, tenant.0, run.id, contract).await?)
    }

    /// Lets the changes of a contract await a decision in place of the plan before; `false` when none is to be made.
    async fn changes_propose(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        contract: Uuid,
        before: Option<&rows::PlanRow>,
    ) -> Result<bool> {
        let planned = self.changes_planned(tenant, ContractId(contract), run.business_on).await?;
        if planned.is_empty() {
            return Ok(false);
        }
        let billed = before.map(day_is_billed).transpose()?.unwrap_or(false);
        let stage = if billed { PlanStage::ChangesAfter } else { PlanStage::Changes };
        let hash = changes_hash(ContractId(contract), &planned);
        let text = serde_json::to_string(&planned)
            .map_err(|error| ServiceError::Internal(format!("a plan cannot be stored: {error}")))?;
        let now = self.clock.now();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        self.hold_lease(&mut tx, tenant, run).await?;
        let put = (text, largest(&planned));
        rows::changes_put(&mut tx, tenant.0, run.id, contract, stage.as_str(), &hash, put, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Refuses to write for a run that another host has taken over.
    async fn hold_lease(&self, tx: &mut altyn_store::Tx, tenant: TenantId, run: &rows::RunRow) -> Result<()> {
        let nothing = rows::Progress::default();
        let held = rows::checkpoint(tx, tenant.0, run.id, run.fence, None, self.lease_until(), nothing).await?;
        if held { Ok(()) } else { Err(lease_lost()) }
    }

    /// Proposes what a contract has to be decided first: the changes whose day has come, or else its day.
    pub(super) async fn contract_propose(&self, tenant: TenantId, run: &rows::RunRow, contract: Uuid) -> Result<()> {
        let before = self.plan_of(tenant, run, contract).await?;
        if self.changes_propose(tenant, run, contract, before.as_ref()).await? {
            return Ok(());
        }
        match before {
            Some(plan) if day_is_billed(&plan)? => self.changes_are_done(tenant, run, &plan).await,
            _ => self.contracts_again(tenant, run, &[contract], Action::Propose).await,
        }
    }

    async fn changes_are_done(&self, tenant: TenantId, run: &rows::RunRow, plan: &rows::PlanRow) -> Result<()> {
        let (done, now) = (PlanState::Done.as_str(), self.clock.now());
        let by = plan.decided_by.as_deref().unwrap_or("run");
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let contract = plan.contract_id;
        rows::plan_decide(&mut tx, tenant.0, run.id, contract, &plan.state, done, by, None, now).await?;
        Ok(tx.commit().await?)
    }

    /// Executes what is approved and shows what follows from it, until nothing approved is left; `false` when the run was
    /// cancelled.
    pub(super) async fn carry_out(&self, tenant: TenantId, run: &rows::RunRow) -> Result<bool> {
        loop {
            if !self.execute_approved(tenant, run).await? {
                return Ok(false);
            }
            self.changes_after(tenant, run).await?;
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let approved = PlanState::Approved.as_str();
            let any = rows::PlanPick::default();
            if rows::plans_list(&mut tx, tenant.0, run.id, Uuid::nil(), approved, &any, 1).await?.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Makes the changes of an approved plan if they are what was confirmed, and proposes what comes next: the contract's
    /// day, or the changes once more when they are not.
    pub(super) async fn confirmed_changes(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        plan: &rows::PlanRow,
    ) -> Result<()> {
        let contract = ContractId(plan.contract_id);
        let planned = self.changes_planned(tenant, contract, run.business_on).await?;
        let same = plan.plan_hash.as_deref() == Some(changes_hash(contract, &planned).as_slice());
        if same {
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            self.hold_lease(&mut tx, tenant, run).await?;
            tx.commit().await?;
            for change in &planned {
                self.change_confirmed(tenant, change, run.business_on).await?;
            }
        }
        // What could not be made waits for another yes, by a person: a rule would say it again and again.
        if self.changes_propose(tenant, run, contract.uuid(), Some(plan)).await? {
            return Ok(());
        }
        if stage(plan)? == PlanStage::ChangesAfter {
            return self.changes_are_done(tenant, run, plan).await;
        }
        self.contracts_again(tenant, run, &[contract.uuid()], Action::Propose).await?;
        self.approve_usual(tenant, run, Some(contract.uuid())).await
    }
}
