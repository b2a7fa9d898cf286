//! Who must agree: plans that a tenant lets pass by themselves, two pairs of eyes, and who cares for what is parked.
//!
//! Owns the tenant's rules and the queue of parked contracts; it refuses to know how a plan is computed or executed.
//! Invariants: where two must confirm, one credential never counts twice for a plan; a plan that is computed anew has no
//! confirmation; rules only ever approve plans that wait.

use altyn_domain::{
    calendar::{Cadence, boundary},
    id::{CallId, ContractId, RunId, TenantId},
};
use altyn_store::{Scope, approvals as rows, runs};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use serde::{Deserialize, Serialize};

use super::{PlanView, plan_view};
use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{Listed, Page},
};

/// The name under which a tenant's own rules approve.
pub const BY_RULE: &str = "rule";
/// The largest change that may be bounded, per cent.
const LARGEST_CHANGE: u32 = 10_000;

/// A tenant's rules for agreeing to plans of runs with confirmation.
///
/// A plan that keeps every bound that is set is approved by itself; without a bound none is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetApprovalPolicy {
    /// Whether two different credentials must confirm a plan that a rule does not approve.
    #[serde(default)]
    pub four_eyes: bool,
    /// The largest gross amount, minor units.
    pub largest_gross_minor: Option<i64>,
    /// How far the gross amount may be from that of the contract's plan of the same day a month before, in per cent of
    /// it, with at most two decimals; a contract without such a plan waits.
    #[schema(value_type = Option<String>, example = "10")]
    pub largest_change_percent: Option<Decimal>,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalPolicyView {
    /// Whether two different credentials must confirm.
    pub four_eyes: bool,
    /// The largest gross amount that is approved by itself, minor units.
    pub largest_gross_minor: Option<i64>,
    /// The largest change that is approved by itself, per cent.
    #[schema(value_type = Option<String>, example = "10")]
    pub largest_change_percent: Option<Decimal>,
    /// Version, for `If-Match`; 0 while nothing was set.
    pub version: i64,
    /// When it changed last.
    pub updated_at: Option<DateTime<Utc>>,
}

/// A contract that is parked, by the latest run that had something to do for it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParkedView {
    /// The contract.
    pub contract_id: ContractId,
    /// The run.
    pub run_id: RunId,
    /// The day it closes.
    pub business_on: NaiveDate,
    /// Stable code of the reason.
    pub reason_code: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
    /// The plugin call that failed, with its evidence.
    pub call_id: Option<CallId>,
    /// How often it was tried.
    pub attempts: i32,
    /// Who cares for it.
    pub owner: Option<String>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// Which parked contracts a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ParkedFilter {
    /// Only those that this person cares for.
    pub owner: Option<String>,
    /// Only those that nobody cares for.
    #[serde(default)]
    pub unowned: bool,
}

/// Who cares for a parked contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignPlan {
    /// A name or an address, 1 to 100 characters; absent for nobody.
    pub owner: Option<String>,
}

fn policy_view(row: Option<rows::ApprovalPolicyRow>) -> ApprovalPolicyView {
    let percent = |bp| Decimal::new(bp, 2).normalize();
    match row {
        None => ApprovalPolicyView {
            four_eyes: false,
            largest_gross_minor: None,
            largest_change_percent: None,
            version: 0,
            updated_at: None,
        },
        Some(row) => ApprovalPolicyView {
            four_eyes: row.four_eyes,
            largest_gross_minor: row.largest_gross_minor,
            largest_change_percent: row.largest_change_bp.map(percent),
            version: row.version,
            updated_at: Some(row.updated_at),
        },
    }
}

fn checked(command: &SetApprovalPolicy, now: DateTime<Utc>) -> Result<rows::ApprovalPolicyRow> {
    let mut fields = Fields::default();
    if command.largest_gross_minor.is_some_and(|minor| minor < 0) {
        fields.refuse("/largest_gross_minor", "is below zero; leave it out to approve nothing by amount");
    }
    let hundredths = |percent: Decimal| {
        let fits =
            percent >= Decimal::ZERO && percent <= Decimal::from(LARGEST_CHANGE) && percent.normalize().scale() <= 2;
        fits.then(|| (percent * Decimal::ONE_HUNDRED).to_i64()).flatten()
    };
    let change = command.largest_change_percent.map(hundredths);
    if change == Some(None) {
        fields.refuse(
            "/largest_change_percent",
            format!("is not a percentage from 0 to {LARGEST_CHANGE} with at most two decimals"),
        );
    }
    fields.finish()?;
    Ok(rows::ApprovalPolicyRow {
        four_eyes: command.four_eyes,
        largest_gross_minor: command.largest_gross_minor,
        largest_change_bp: change.flatten(),
        version: 0,
        updated_at: now,
    })
}

impl Altyn {
    /// The rules in force.
    pub async fn approval_policy_get(&self, request: &Request) -> Result<ApprovalPolicyView> {
        let mut tx = self.read(request).await?;
        Ok(policy_view(rows::policy_find(&mut tx, request.tenant.0).await?))
    }

    /// Replaces the rules; what is absent is off. They hold for plans that are computed or confirmed from now on.
    pub async fn approval_policy_set(
        &self,
        request: &Request,
        if_match: i64,
        command: SetApprovalPolicy,
    ) -> Result<Reply<ApprovalPolicyView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = checked(&command, work.now)?;
        if !rows::policy_put(&mut work.tx, request.tenant.0, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        let row = rows::policy_find(&mut work.tx, request.tenant.0).await?;
        work.finish(200, policy_view(row)).await
    }

    /// Approves the plans of a run, or that of one contract, that the tenant's rules let pass.
    pub(super) async fn approve_usual(
        &self,
        tenant: TenantId,
        run: &runs::RunRow,
        contract: Option<uuid::Uuid>,
    ) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let Some(policy) = rows::policy_find(&mut tx, tenant.0).await? else { return Ok(()) };
        if policy.largest_gross_minor.is_none() && policy.largest_change_bp.is_none() {
            return Ok(());
        }
        let month_before = boundary(run.business_on, Cadence::Months(1), -1)
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        let before = runs::find_by_date(&mut tx, tenant.0, month_before).await?.map(|run| run.id);
        let now = self.clock.now();
        rows::approve_usual(&mut tx, tenant.0, run.id, contract, BY_RULE, &policy, before, now).await?;
        Ok(tx.commit().await?)
    }

    /// A page of the contracts that are parked, whatever run parked them, by contract.
    pub async fn parked_list(
        &self,
        request: &Request,
        filter: ParkedFilter,
        page: &Page,
    ) -> Result<Listed<ParkedView>> {
        let (limit, after) = page.bounds::<ContractId>()?;
        if filter.unowned && filter.owner.is_some() {
            let mut fields = Fields::default();
            fields.refuse("/unowned", "contradicts owner; ask for one of them");
            fields.finish()?;
        }
        let mut tx = self.read(request).await?;
        let owner = filter.owner.as_deref().unwrap_or_default();
        let found = rows::parked(&mut tx, request.tenant.0, after, owner, filter.unowned, limit).await?;
        let view = |row: rows::ParkedRow| ParkedView {
            contract_id: ContractId(row.contract_id),
            run_id: RunId(row.run_id),
            business_on: row.business_on,
            reason_code: row.reason_code,
            reason: row.reason,
            call_id: row.call_id.map(CallId),
            attempts: row.attempts,
            owner: row.owner,
            updated_at: row.updated_at,
        };
        Ok(page.listed(found, |row| ContractId(row.contract_id).to_string(), view))
    }

    /// Says who cares for a parked contract.
    pub async fn run_assign(
        &self,
        request: &Request,
        id: RunId,
        contract: ContractId,
        command: AssignPlan,
    ) -> Result<Reply<PlanView>> {
        if let Some(owner) = &command.owner {
            let mut fields = Fields::default();
            fields.text("/owner", owner, 100);
            fields.finish()?;
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, owner) = (request.tenant.0, command.owner.as_deref());
        let set = rows::owner_set(&mut work.tx, tenant, id.0, contract.0, owner, work.now).await?;
        let row = runs::plan_find(&mut work.tx, tenant, id.0, contract.0).await?;
        let view = plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?;
        if !set {
            return Err(ServiceError::conflict(
                "plan-not-parked",
                format!("the plan is {}; only a parked contract has somebody who cares for it", view.state),
            ));
        }
        work.finish(200, view).await
    }
}
