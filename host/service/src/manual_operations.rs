//! Manual operations: what a term in manual mode waits for a person to approve or reject.
//!
//! Owns the queue and its decisions. Invariants: an operation is asked for once for each debt or stop; it is decided once,
//! and its effect is one transaction with the decision; nothing is removed from the queue's record.

use altyn_domain::{
    id::{ContractId, Id as _, ManualOperationId, ServiceTermId, SubscriptionId},
    subscription::SubscriptionStatus,
    terms::{OperationKind, OperationState},
};
use altyn_store::{lives, manual_operations as rows, manual_operations::ManualOperationRow};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request, Work},
    error::{Fields, Result, ServiceError, stored},
    lives::{Change, billed_up_to, facts, today},
    page::{Listed, Page},
};

/// An operation that waits, or waited, for a person.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManualOperationView {
    /// Its id.
    pub id: ManualOperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its contract.
    pub contract_id: ContractId,
    /// The term that asks.
    pub service_term_id: ServiceTermId,
    /// Since when the subscription is unpaid, or without service.
    pub since_on: NaiveDate,
    /// The day whose close asked.
    pub business_on: NaiveDate,
    /// Why it was rejected or withdrawn.
    pub reason: Option<String>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// Why an operation is rejected.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectOperation {
    /// For people, 1 to 500 characters.
    pub reason: String,
}

/// Which operations a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationFilter {
    /// Only those in this state.
    pub state: Option<OperationState>,
}

fn view(row: ManualOperationRow) -> Result<ManualOperationView> {
    Ok(ManualOperationView {
        id: ManualOperationId(row.id),
        kind: stored("manual_operations.kind", &row.kind)?,
        state: stored("manual_operations.state", &row.state)?,
        subscription_id: SubscriptionId(row.subscription_id),
        contract_id: ContractId(row.contract_id),
        service_term_id: ServiceTermId(row.service_term_id),
        since_on: row.since_on,
        business_on: row.business_on,
        reason: row.reason,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
        created_at: row.created_at,
    })
}

fn decided(state: &str) -> ServiceError {
    ServiceError::conflict("manual-operation-decided", format!("the operation is {state}; there is nothing to decide"))
}

async fn one(work: &mut Work, tenant: Uuid, id: ManualOperationId) -> Result<ManualOperationRow> {
    rows::find(&mut work.tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("manual operation"))
}

impl Altyn {
    /// A page of operations, oldest first.
    pub async fn manual_operation_list(
        &self,
        request: &Request,
        filter: OperationFilter,
        page: &Page,
    ) -> Result<Listed<ManualOperationView>> {
        let (limit, after) = page.bounds::<ManualOperationId>()?;
        let mut tx = self.read(request).await?;
        let state = filter.state.map_or("", OperationState::as_str);
        let found = rows::list(&mut tx, request.tenant.0, state, after, limit).await?;
        page.listed(found, |row| ManualOperationId(row.id).to_string(), view).try_data()
    }

    /// One operation.
    pub async fn manual_operation_get(&self, request: &Request, id: ManualOperationId) -> Result<ManualOperationView> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(row.ok_or(ServiceError::NotFound("manual operation"))?)
    }

    /// Does what the operation asks for, if it is still due; approving an approved one again changes nothing.
    pub async fn manual_operation_approve(
        &self,
        request: &Request,
        id: ManualOperationId,
    ) -> Result<Reply<ManualOperationView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = one(&mut work, tenant, id).await?;
        let approved = OperationState::Approved.as_str();
        let awaited = rows::decide(&mut work.tx, tenant, row.id, approved, None, &request.credential, work.now).await?;
        if awaited {
            self.operation_execute(&mut work, tenant, &row).await?;
        }
        let row = one(&mut work, tenant, id).await?;
        if row.state != approved {
            return Err(decided(&row.state));
        }
        work.finish(200, view(row)?).await
    }

    async fn operation_execute(&self, work: &mut Work, tenant: Uuid, row: &ManualOperationRow) -> Result<()> {
        let life = lives::find(&mut work.tx, tenant, row.subscription_id).await?;
        let life = life.ok_or(ServiceError::NotFound("subscription"))?;
        let of = facts(&life)?;
        if of.held {
            return Err(ServiceError::conflict(
                "subscription-held",
                "the subscription is held stopped, by a block perhaps; release it before you decide",
            ));
        }
        let kind: OperationKind = stored("manual_operations.kind", &row.kind)?;
        let stands = match kind {
            OperationKind::Stop => of.status.is_charged() && life.unpaid_since == Some(row.since_on),
            OperationKind::Delete => of.status == SubscriptionStatus::Stopped && life.stopped_on == Some(row.since_on),
        };
        if !stands || !self.unpaid_now(&mut work.tx, tenant, &life).await? {
            return Err(ServiceError::conflict(
                "manual-operation-obsolete",
                "the subscription is paid or has changed meanwhile; the next close of a day withdraws the operation",
            ));
        }
        let today = today(&mut work.tx, tenant, work.now).await?;
        let mut change = Change::of(life, "approved")?;
        change.operation = Some(row.id);
        match kind {
            OperationKind::Stop => {
                billed_up_to(&change.life, today)?;
                change.status = SubscriptionStatus::Stopped;
                change.stopped_on = Some(today);
                change.out_from = Some(today);
            }
            OperationKind::Delete => change.status = SubscriptionStatus::Deleted,
        }
        if self.lives_write(&mut work.tx, tenant, today, work.now, &[change]).await? {
            Ok(())
        } else {
            Err(ServiceError::Stale)
        }
    }

    /// Refuses what the operation asks for; it is not asked for again for the same debt or stop.
    pub async fn manual_operation_reject(
        &self,
        request: &Request,
        id: ManualOperationId,
        command: RejectOperation,
    ) -> Result<Reply<ManualOperationView>> {
        let mut fields = Fields::default();
        fields.text("/reason", &command.reason, 500);
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = one(&mut work, tenant, id).await?;
        let (rejected, reason) = (OperationState::Rejected.as_str(), Some(command.reason.as_str()));
        let by = &request.credential;
        rows::decide(&mut work.tx, tenant, row.id, rejected, reason, by, work.now).await?;
        let row = one(&mut work, tenant, id).await?;
        if row.state != rejected {
            return Err(decided(&row.state));
        }
        work.finish(200, view(row)?).await
    }
}
