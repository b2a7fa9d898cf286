//! Billing runs: closing a day, by plan, by chunk, once.
//!
//! A run closes one business day of one tenant. It computes a plan per contract and executes it at once (automatic) or
//! after somebody confirmed it by its hash (with confirmation). A contract that fails is parked with its reason and
//! evidence; the run goes on. Running a finished run again changes nothing.

mod approval;
pub(crate) mod ask;
pub(crate) mod compute;
mod engine;
mod fallen;
pub(crate) mod follow;
pub(crate) mod metered;
mod number;
pub(crate) mod parties;
mod post;
mod quote;
mod read;
mod rehearsal;
mod scheduled;
mod short_funds;
mod sold;
mod write;

use std::collections::HashMap;

use altyn_domain::{
    calendar::local_date,
    id::{CallId, ContractId, Id as _, PlanId, ProductId, RunId, SellerId},
    run::{ContractPlan, PlanStage, PlanState, RunMode, RunState, difference},
};
use altyn_store::{Scope, StoreError, approvals, jobs, runs as rows, tenants};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

pub use approval::{ApprovalPolicyView, AssignPlan, BY_RULE, ParkedFilter, ParkedView, SetApprovalPolicy};
pub use engine::Advanced;
pub use rehearsal::{NextRunContract, NextRunCount, NextRunOptions, NextRunReport, NextRunTotal};
pub use short_funds::WithheldView;

use self::write::Action;
use crate::{
    changes::{ScheduledChange, changes_hash, differences},
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
};

/// The kind of job that works on a run.
pub const RUN_JOB: &str = "run";

/// A request to close a day.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// The day to close: at most the tenant's today, and after every unfinished run.
    pub business_on: NaiveDate,
    /// How; the tenant's setting when absent.
    pub mode: Option<RunMode>,
}

/// A billing run with its report, which is the same in every mode.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The day it closes.
    pub business_on: NaiveDate,
    /// How.
    pub mode: RunMode,
    /// Where it stands.
    pub state: RunState,
    /// Contracts with something due.
    pub contracts: i64,
    /// Subscriptions billed.
    pub subscriptions: i64,
    /// Charges made.
    pub charges: i64,
    /// Invoices issued.
    pub invoices: i64,
    /// Contracts parked.
    pub parked: i64,
    /// Plans that wait for a decision.
    pub awaiting: i64,
    /// Net of the invoices, minor units.
    pub net_minor: i64,
    /// Tax of the invoices, minor units.
    pub tax_minor: i64,
    /// Gross of the invoices, minor units.
    pub gross_minor: i64,
    /// Charges realised: their service was provided by the end of the day.
    pub realised: i64,
    /// Revenue recognised, less what was given back before, minor units.
    pub realised_net_minor: i64,
    /// Tax that became payable with it, minor units.
    pub realised_tax_minor: i64,
    /// Both together, minor units.
    pub realised_gross_minor: i64,
    /// Credits of use that fell by what came late.
    pub credits: i64,
    /// What they gave back with tax, minor units.
    pub credited_minor: i64,
    /// Plugin calls made.
    pub plugin_calls: i64,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts changes; the sequence of progress events.
    pub version: i64,
}

/// What a run would do, did or could not do for one contract.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RunPlanView)]
pub struct PlanView {
    /// The contract.
    pub contract_id: ContractId,
    /// Where the plan stands; `superseded` also while one that awaits a decision was computed from what is another now.
    pub state: PlanState,
    /// What it is about: the contract's day, or scheduled changes before or after it.
    pub stage: PlanStage,
    /// SHA-256 over the inputs' versions, the plugins and the effects; confirming carries it.
    pub plan_hash: Option<String>,
    /// How many invoice lines.
    pub lines: i64,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
    /// Gross, minor units.
    pub gross_minor: i64,
    /// How many charges are realised.
    pub realised: i64,
    /// Revenue recognised, minor units.
    pub realised_net_minor: i64,
    /// Tax that becomes payable with it, minor units.
    pub realised_tax_minor: i64,
    /// Both together, minor units.
    pub realised_gross_minor: i64,
    /// The effects of the day, while the plan awaits a decision; absent in lists.
    pub effects: Option<ContractPlan>,
    /// The scheduled changes that it makes; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ScheduledChange>,
    /// The larger of what they charge and what they give back, or what the day gives back of use that fell; with tax, minor
    /// units.
    pub changes_minor: i64,
    /// Stable code of why it is parked, rejected or superseded.
    pub reason_code: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
    /// The plugin call that failed, with its evidence.
    pub call_id: Option<CallId>,
    /// How often it was computed.
    pub attempts: i32,
    /// Who decided; `rule` when the tenant's own rules did.
    pub decided_by: Option<String>,
    /// Who confirmed it first, where two must.
    pub confirmed_by: Option<String>,
    /// Who cares for it while it is parked.
    pub owner: Option<String>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// A decision for one plan.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPlan {
    /// The hash of the plan that was seen.
    pub plan_hash: String,
}

/// A decision for many plans: for all that await one, or for those that every given bound leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPlans {
    /// Confirm only plans up to this gross amount, minor units; all when absent. For scheduled changes it is the larger of
    /// what they charge and what they give back.
    pub largest_gross_minor: Option<i64>,
    /// Only contracts of this group.
    pub group: Option<String>,
    /// Only contracts that came through this sales channel.
    pub channel: Option<String>,
    /// Only contracts of this seller.
    pub seller_id: Option<SellerId>,
    /// Only contracts with a living subscription to this plan.
    pub plan_id: Option<PlanId>,
    /// Only contracts with a living subscription to a plan with this product.
    pub product_id: Option<ProductId>,
    /// Only these contracts, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contract_ids: Vec<ContractId>,
}

/// Which plans of a run a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanFilter {
    /// Only those in this state.
    pub state: Option<PlanState>,
    /// Only contracts of this group.
    pub group: Option<String>,
    /// Only contracts that came through this sales channel.
    pub channel: Option<String>,
    /// Only contracts of this seller.
    pub seller_id: Option<SellerId>,
    /// Only contracts with a living subscription to this plan.
    pub plan_id: Option<PlanId>,
    /// Only contracts with a living subscription to a plan with this product.
    pub product_id: Option<ProductId>,
}

impl From<Option<PlanState>> for PlanFilter {
    fn from(state: Option<PlanState>) -> Self {
        Self { state, ..Self::default() }
    }
}

impl PlanFilter {
    fn pick(&self) -> rows::PlanPick {
        rows::PlanPick {
            group: self.group.clone().unwrap_or_default(),
            channel: self.channel.clone().unwrap_or_default(),
            seller: self.seller_id.map(SellerId::uuid),
            plan: self.plan_id.map(PlanId::uuid),
            product: self.product_id.map(ProductId::uuid),
            contract: None,
        }
    }
}

/// The most contracts that one decision names.
const MOST_NAMED: usize = 1_000;

impl ConfirmPlans {
    /// What each statement of the decision is about: one, or one a contract that is named.
    fn picks(&self) -> Result<Vec<rows::PlanPick>> {
        if self.contract_ids.len() > MOST_NAMED {
            return Err(ServiceError::invalid("/contract_ids", format!("names more than {MOST_NAMED} contracts")));
        }
        let filter = PlanFilter {
            state: None,
            group: self.group.clone(),
            channel: self.channel.clone(),
            seller_id: self.seller_id,
            plan_id: self.plan_id,
            product_id: self.product_id,
        };
        let all = filter.pick();
        if self.contract_ids.is_empty() {
            return Ok(vec![all]);
        }
        let one = |id: &ContractId| rows::PlanPick { contract: Some(id.uuid()), ..all.clone() };
        Ok(self.contract_ids.iter().map(one).collect())
    }

    /// Whether it leaves any plan out.
    fn narrows(&self) -> bool {
        *self != Self::default()
    }
}

/// Why a plan is rejected.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectPlan {
    /// For people, 1 to 500 characters.
    pub reason: String,
}

impl Altyn {
    /// Starts a run for a day; work begins when a host claims its job, or by [`Altyn::run_advance`].
    pub async fn run_start(&self, request: &Request, command: StartRun) -> Result<Reply<RunView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = tenants::find(&mut work.tx, tenant).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let zone: chrono_tz::Tz =
            row.zone.parse().map_err(|_| StoreError::Corrupt("tenants.zone", row.zone.clone()))?;
        let today = local_date(work.now, zone);
        if command.business_on > today {
            return Err(ServiceError::conflict(
                "day-not-over",
                format!("{} lies ahead; it is {today} at the tenant's", command.business_on),
            ));
        }
        if let Some(open) = rows::earlier_open(&mut work.tx, tenant, command.business_on).await? {
            return Err(ServiceError::conflict(
                "earlier-run-open",
                format!("the run of {open} is not finished; days are closed in order"),
            ));
        }
        if let Some(latest) = rows::latest(&mut work.tx, tenant).await?
            && latest > command.business_on
        {
            return Err(ServiceError::conflict(
                "day-closed",
                format!("{latest} is closed already; days are closed in order"),
            ));
        }
        let mode = match command.mode {
            Some(mode) => mode,
            None => row.run_mode.parse().map_err(|_| StoreError::Corrupt("tenants.run_mode", row.run_mode.clone()))?,
        };
        let state = match mode {
            RunMode::Automatic => RunState::Executing,
            RunMode::WithConfirmation => RunState::Computing,
        };
        let id = RunId(self.ids.next());
        let created =
            rows::insert(&mut work.tx, tenant, id.0, command.business_on, mode.as_str(), state.as_str(), work.now)
                .await?;
        if !created {
            return Err(ServiceError::conflict(
                "run-exists",
                format!("{} has a run already; read it instead", command.business_on),
            ));
        }
        self.run_job(&mut work.tx, request, id, 0, work.now).await?;
        let run = rows::find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        work.finish(201, run_view(&run)?).await
    }

    /// Asks a host to work on the run; one job a state of the run, named by its version.
    async fn run_job(
        &self,
        tx: &mut altyn_store::Tx,
        request: &Request,
        run: RunId,
        version: i64,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let payload = serde_json::json!({ "run": run }).to_string();
        let key = format!("{run}/{version}");
        jobs::put(tx, request.tenant.0, self.ids.next(), RUN_JOB, &key, &payload, now, now).await?;
        Ok(())
    }

    /// One run with its report.
    pub async fn run_get(&self, request: &Request, id: RunId) -> Result<RunView> {
        let mut tx = self.read(request).await?;
        run_view(&rows::find(&mut tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?)
    }

    /// The run of a day, if there is one.
    pub async fn run_of_day(&self, request: &Request, on: NaiveDate) -> Result<Option<RunView>> {
        let mut tx = self.read(request).await?;
        rows::find_by_date(&mut tx, request.tenant.0, on).await?.as_ref().map(run_view).transpose()
    }

    /// A page of runs.
    pub async fn run_list(&self, request: &Request, page: &Page) -> Result<Listed<RunView>> {
        let (limit, after) = page.bounds::<RunId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, after, limit).await?;
        let views = found.iter().map(run_view).collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.id.to_string(), |view| view))
    }

    /// A page of a run's plans in contract order, without their effects.
    pub async fn run_plans(
        &self,
        request: &Request,
        id: RunId,
        filter: impl Into<PlanFilter>,
        page: &Page,
    ) -> Result<Listed<PlanView>> {
        let filter = filter.into();
        let (limit, after) = page.bounds::<ContractId>()?;
        let mut tx = self.read(request).await?;
        if rows::find(&mut tx, request.tenant.0, id.0).await?.is_none() {
            return Err(ServiceError::NotFound("run"));
        }
        let state = filter.state.map_or("", PlanState::as_str);
        let pick = filter.pick();
        let found = rows::plans_list(&mut tx, request.tenant.0, id.0, after, state, &pick, limit).await?;
        let mut views = found.into_iter().map(plan_view).collect::<Result<Vec<_>>>()?;
        supersede(&mut tx, request.tenant.0, &mut views).await?;
        let short = |view: PlanView| PlanView { effects: None, changes: Vec::new(), ..view };
        Ok(page.listed(views, |view| view.contract_id.to_string(), short))
    }

    /// One contract's plan with its effects.
    pub async fn run_plan(&self, request: &Request, id: RunId, contract: ContractId) -> Result<PlanView> {
        let mut tx = self.read(request).await?;
        let row = rows::plan_find(&mut tx, request.tenant.0, id.0, contract.0).await?;
        let mut views = vec![plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?];
        supersede(&mut tx, request.tenant.0, &mut views).await?;
        views.pop().ok_or(ServiceError::NotFound("plan"))
    }

    /// Confirms one plan by its hash and executes it; where two must confirm, the first one only leaves his name.
    ///
    /// The plan is computed again first: when it changed since it was seen, nothing is executed, the new plan waits in
    /// its place, and the answer is a conflict with the differences.
    pub async fn run_confirm(
        &self,
        request: &Request,
        id: RunId,
        contract: ContractId,
        command: ConfirmPlan,
    ) -> Result<Reply<PlanView>> {
        let waiting = self.plan_awaiting(request, id, contract, &[PlanState::Awaiting]).await;
        // A plan that waits no more may have been decided by this very request, sent again.
        if waiting.is_err()
            && let Begun::Replay(reply) = self.begin(request).await?
        {
            return Ok(reply);
        }
        let (run, plan) = waiting?;
        let stored = plan_view(plan)?;
        if let Some(details) = self.moved_since(request, &run, &stored, &command).await? {
            self.propose_again(request, &run, contract).await?;
            return Err(ServiceError::Conflict {
                code: "plan-changed",
                message: "the plan is not the one you saw; look at the new one and confirm that".to_owned(),
                details,
            });
        }
        let mut work = match self.begin::<PlanView>(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (waits, approved) = (PlanState::Awaiting.as_str(), PlanState::Approved.as_str());
        let by = request.credential.clone();
        let at = work.now;
        if self.two_confirm(&mut work.tx, request).await? {
            if approvals::confirm_first(&mut work.tx, request.tenant.0, id.0, contract.0, &by, at).await? {
                let row = rows::plan_find(&mut work.tx, request.tenant.0, id.0, contract.0).await?;
                let view = plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?;
                return work.finish(200, view).await;
            }
            let row = rows::plan_find(&mut work.tx, request.tenant.0, id.0, contract.0).await?;
            let row = row.ok_or(ServiceError::NotFound("plan"))?;
            if row.confirmed_by.as_deref() == Some(&by) {
                return Err(second_needed());
            }
        }
        if !rows::plan_decide(&mut work.tx, request.tenant.0, id.0, contract.0, waits, approved, &by, None, at).await? {
            return Err(ServiceError::conflict("plan-decided", "somebody decided on this plan meanwhile"));
        }
        let version = self.touched(&mut work.tx, request, id).await?;
        self.run_job(&mut work.tx, request, id, version, at).await?;
        let row = rows::plan_find(&mut work.tx, request.tenant.0, id.0, contract.0).await?;
        let view = plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?;
        work.finish(200, view).await
    }

    /// Where a plan is another than the one that was seen, or none when it is the same.
    async fn moved_since(
        &self,
        request: &Request,
        run: &rows::RunRow,
        stored: &PlanView,
        command: &ConfirmPlan,
    ) -> Result<Option<Vec<String>>> {
        let contract = stored.contract_id;
        if stored.stage != PlanStage::Day {
            let now = self.changes_planned(request.tenant, contract, run.business_on).await?;
            if !now.is_empty() && hex::encode(changes_hash(contract, &now)) == command.plan_hash {
                return Ok(None);
            }
            let json = |changes: &[ScheduledChange]| serde_json::to_value(changes).unwrap_or_default();
            return Ok(Some(differences(&json(&stored.changes), &json(&now))));
        }
        let now = self.plan_now(request.tenant, run, contract.0).await?;
        if matches!(&now, Ok(Some((_, hash))) if hex::encode(hash) == command.plan_hash) {
            return Ok(None);
        }
        Ok(Some(match (&stored.effects, &now) {
            (Some(old), Ok(Some((new, _)))) => difference(old, new),
            (_, Ok(Some(_))) => Vec::new(),
            (_, Ok(None)) => vec!["nothing is due any more".to_owned()],
            (_, Err(fault)) => vec![format!("the contract cannot be billed now: {}", fault.reason)],
        }))
    }

    /// Confirms all awaiting plans, or those up to an amount and of some contracts; a host executes those that still hold.
    pub async fn run_confirm_all(&self, request: &Request, id: RunId, command: ConfirmPlans) -> Result<Reply<RunView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let run = rows::find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        if run.state != RunState::Awaiting.as_str() {
            return Err(ServiceError::conflict(
                "run-not-awaiting",
                format!("the run is {}; plans are confirmed while it is awaiting", run.state),
            ));
        }
        let largest = command.largest_gross_minor.unwrap_or(i64::MAX);
        let (by, now) = (&request.credential, work.now);
        let two = self.two_confirm(&mut work.tx, request).await?;
        let mut confirmed = 0;
        for pick in command.picks()? {
            confirmed += if two {
                approvals::confirm_all(&mut work.tx, tenant, id.0, by, (largest, &pick), now).await?
            } else {
                rows::plans_approve(&mut work.tx, tenant, id.0, by, (largest, &pick), now).await?
            };
        }
        if two && confirmed == 0 && run.awaiting > 0 && !command.narrows() {
            return Err(second_needed());
        }
        let version = self.touched(&mut work.tx, request, id).await?;
        self.run_job(&mut work.tx, request, id, version, work.now).await?;
        let run = rows::find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        work.finish(200, run_view(&run)?).await
    }

    /// Rejects one plan: its contract is not billed in this run and leaves no gap in the numbers.
    pub async fn run_reject(
        &self,
        request: &Request,
        id: RunId,
        contract: ContractId,
        command: RejectPlan,
    ) -> Result<Reply<PlanView>> {
        let mut fields = Fields::default();
        fields.text("/reason", &command.reason, 500);
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (waits, rejected) = (PlanState::Awaiting.as_str(), PlanState::Rejected.as_str());
        let reason = Some(("rejected", command.reason.as_str()));
        let (tenant, by, at) = (request.tenant.0, request.credential.clone(), work.now);
        if !rows::plan_decide(&mut work.tx, tenant, id.0, contract.0, waits, rejected, &by, reason, at).await? {
            rows::plan_find(&mut work.tx, tenant, id.0, contract.0).await?.ok_or(ServiceError::NotFound("plan"))?;
            return Err(ServiceError::conflict("plan-decided", "only a plan that awaits a decision can be rejected"));
        }
        let version = self.touched(&mut work.tx, request, id).await?;
        self.run_job(&mut work.tx, request, id, version, at).await?;
        let row = rows::plan_find(&mut work.tx, tenant, id.0, contract.0).await?;
        let view = plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?;
        work.finish(200, view).await
    }

    /// Computes a parked, rejected or superseded contract again, also one whose plan awaits a decision and was computed from
    /// what is another now: executed in an automatic run, proposed in the other.
    ///
    /// The answer is remembered after the work: a request that was cut short in between is answered `plan-decided`.
    pub async fn run_retry(&self, request: &Request, id: RunId, contract: ContractId) -> Result<Reply<PlanView>> {
        if request.key.is_some() {
            match self.begin(request).await? {
                Begun::Replay(reply) => return Ok(reply),
                // Nothing is remembered yet: the work takes transactions of its own.
                Begun::Work(work) => work.tx.rollback().await?,
            }
        }
        let again = [PlanState::Parked, PlanState::Rejected, PlanState::Superseded, PlanState::Awaiting];
        let (run, plan) = self.plan_awaiting(request, id, contract, &again).await?;
        if plan.state == PlanState::Awaiting.as_str() && !self.is_superseded(request, plan).await? {
            return Err(ServiceError::conflict("plan-decided", "the plan awaits a decision and still holds"));
        }
        let mode: RunMode = run.mode.parse().map_err(|_| StoreError::Corrupt("runs.mode", run.mode.clone()))?;
        let action = match mode {
            RunMode::Automatic => Action::Execute,
            RunMode::WithConfirmation => Action::Propose,
        };
        self.again(request, &run, contract, action).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = rows::plan_find(&mut work.tx, request.tenant.0, id.0, contract.0).await?;
        let view = plan_view(row.ok_or(ServiceError::NotFound("plan"))?)?;
        work.finish(200, view).await
    }

    /// Asks a host to go on with a run that stopped; one that somebody works on goes on anyway.
    pub async fn run_resume(&self, request: &Request, id: RunId) -> Result<Reply<RunView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let run = rows::find(&mut work.tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        if [RunState::Done.as_str(), RunState::Cancelled.as_str()].contains(&run.state.as_str()) {
            return Err(ServiceError::conflict("run-ended", "the run has ended; there is nothing to go on with"));
        }
        let version = self.touched(&mut work.tx, request, id).await?;
        self.run_job(&mut work.tx, request, id, version, work.now).await?;
        let run = rows::find(&mut work.tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        work.finish(200, run_view(&run)?).await
    }

    /// Asks a run to stop behind the chunk it works on; what is billed stays billed.
    pub async fn run_cancel(&self, request: &Request, id: RunId) -> Result<Reply<RunView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        if !rows::cancel(&mut work.tx, tenant, id.0).await? {
            rows::find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
            return Err(ServiceError::conflict("run-ended", "the run has ended; there is nothing to cancel"));
        }
        let run = rows::find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        self.run_job(&mut work.tx, request, id, run.version, work.now).await?;
        work.finish(200, run_view(&run)?).await
    }

    /// Whether what an awaiting plan was computed from is another now.
    async fn is_superseded(&self, request: &Request, plan: rows::PlanRow) -> Result<bool> {
        let mut views = vec![plan_view(plan)?];
        let mut tx = self.read(request).await?;
        supersede(&mut tx, request.tenant.0, &mut views).await?;
        Ok(views.iter().any(|view| view.state == PlanState::Superseded))
    }

    /// Whether the tenant wants two to confirm.
    async fn two_confirm(&self, tx: &mut altyn_store::Tx, request: &Request) -> Result<bool> {
        let policy = approvals::policy_find(tx, request.tenant.0).await?;
        Ok(policy.is_some_and(|policy| policy.four_eyes))
    }

    async fn touched(&self, tx: &mut altyn_store::Tx, request: &Request, id: RunId) -> Result<i64> {
        rows::counters_set(tx, request.tenant.0, id.0).await?;
        let run = rows::find(tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        Ok(run.version)
    }

    async fn plan_awaiting(
        &self,
        request: &Request,
        id: RunId,
        contract: ContractId,
        states: &[PlanState],
    ) -> Result<(rows::RunRow, rows::PlanRow)> {
        let mut tx = self.read(request).await?;
        let run = rows::find(&mut tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        let plan = rows::plan_find(&mut tx, request.tenant.0, id.0, contract.0).await?;
        let plan = plan.ok_or(ServiceError::NotFound("plan"))?;
        if run.state == RunState::Cancelled.as_str() {
            return Err(ServiceError::conflict(
                "run-ended",
                "the run was cancelled; a later run bills what is still due",
            ));
        }
        if states.iter().all(|state| state.as_str() != plan.state) {
            return Err(ServiceError::conflict("plan-decided", format!("the plan is {} already", plan.state)));
        }
        Ok((run, plan))
    }

    async fn propose_again(&self, request: &Request, run: &rows::RunRow, contract: ContractId) -> Result<()> {
        self.again(request, run, contract, Action::Propose).await
    }

    /// Takes the run's lease for one contract; a finished run is opened no more than a parked contract needs.
    async fn again(&self, request: &Request, run: &rows::RunRow, contract: ContractId, action: Action) -> Result<()> {
        // A pass that was interrupted goes on first: what is set below would forget how far it came.
        if [RunState::Computing.as_str(), RunState::Executing.as_str()].contains(&run.state.as_str()) {
            return Err(ServiceError::conflict(
                "run-in-progress",
                "the run has not been through all contracts yet; try again when it is done",
            ));
        }
        let owner = format!("{}/{}", request.credential, self.ids.next().simple());
        let reopened = rows::RunRow { fence: self.reopen(request, run, &owner).await?, ..run.clone() };
        let worked = self.contract_again(request.tenant, &reopened, contract.0, action).await;
        let mut tx = self.db.write(Scope::Tenant(request.tenant.0)).await?;
        rows::counters_set(&mut tx, request.tenant.0, run.id).await?;
        let waits = rows::plans_count(&mut tx, request.tenant.0, run.id)
            .await?
            .iter()
            .any(|(state, _)| [PlanState::Awaiting.as_str(), PlanState::Approved.as_str()].contains(&state.as_str()));
        let state = match (waits, run.state.as_str()) {
            (true, _) => RunState::Awaiting.as_str(),
            // The last plan that waited has nothing to bill any more.
            (false, "awaiting") => RunState::Done.as_str(),
            (false, state) => state,
        };
        let ended = || run.finished_at.unwrap_or_else(|| self.clock.now());
        let finished = (state == RunState::Done.as_str()).then(ended);
        rows::state_set(&mut tx, request.tenant.0, run.id, reopened.fence, state, finished).await?;
        tx.commit().await?;
        worked
    }

    async fn reopen(&self, request: &Request, run: &rows::RunRow, owner: &str) -> Result<i64> {
        use crate::ports::{Clock as _, SystemClock};
        let lease = i64::try_from(self.settings.run_lease_ms).unwrap_or(30_000);
        let now = SystemClock.now();
        let until = now + chrono::TimeDelta::milliseconds(lease);
        let mut tx = self.db.write(Scope::Tenant(request.tenant.0)).await?;
        rows::reopen(&mut tx, request.tenant.0, run.id).await?;
        if !rows::lease(&mut tx, request.tenant.0, run.id, owner, until, now).await? {
            return Err(ServiceError::conflict(
                "run-in-progress",
                "a host works on this run; try again when it is done",
            ));
        }
        let row = rows::find(&mut tx, request.tenant.0, run.id).await?.ok_or(ServiceError::NotFound("run"))?;
        tx.commit().await?;
        Ok(row.fence)
    }
}

fn second_needed() -> ServiceError {
    ServiceError::conflict(
        "second-confirmation-needed",
        "you confirmed it already and the tenant wants two to confirm; let somebody else do it with a key of their own",
    )
}

fn run_view(row: &rows::RunRow) -> Result<RunView> {
    Ok(RunView {
        id: RunId(row.id),
        business_on: row.business_on,
        mode: row.mode.parse().map_err(|_| StoreError::Corrupt("runs.mode", row.mode.clone()))?,
        state: row.state.parse().map_err(|_| StoreError::Corrupt("runs.state", row.state.clone()))?,
        contracts: row.contracts,
        subscriptions: row.subscriptions,
        charges: row.charges,
        invoices: row.invoices,
        parked: row.parked,
        awaiting: row.awaiting,
        net_minor: row.net_minor,
        tax_minor: row.tax_minor,
        gross_minor: row.gross_minor,
        realised: row.realised,
        realised_net_minor: row.realised_net_minor,
        realised_tax_minor: row.realised_tax_minor,
        realised_gross_minor: row.realised_gross_minor,
        credits: row.credits,
        credited_minor: row.credited_minor,
        plugin_calls: row.plugin_calls,
        cancel_requested: row.cancel_requested,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        version: row.version,
    })
}

/// Shows awaiting plans as superseded whose contract or subscriptions are others now than those they were computed from.
async fn supersede(tx: &mut altyn_store::Tx, tenant: uuid::Uuid, plans: &mut [PlanView]) -> Result<()> {
    let of_contract = |plan: &PlanView| plan.effects.as_ref().map(|effects| effects.contract_version);
    let of_subscriptions = |plan: &PlanView| -> Vec<(uuid::Uuid, i64)> {
        let day = plan.effects.iter().flat_map(|effects| &effects.subscriptions);
        let changes = plan.changes.iter().filter_map(|change| change.effects.as_ref());
        let changes = changes.flat_map(|effects| &effects.subscriptions);
        day.map(|pin| (pin.subscription.0, pin.version))
            .chain(changes.map(|effect| (effect.subscription_id.0, effect.version)))
            .collect()
    };
    let awaiting = || plans.iter().filter(|plan| plan.state == PlanState::Awaiting);
    let contracts = awaiting().filter(|plan| of_contract(plan).is_some()).map(|plan| plan.contract_id.0).collect();
    let subscriptions = awaiting().flat_map(of_subscriptions).map(|(id, _)| id).collect();
    let contracts: HashMap<_, _> = rows::contract_versions(tx, tenant, contracts).await?.into_iter().collect();
    let subscriptions: HashMap<_, _> =
        rows::subscription_versions(tx, tenant, subscriptions).await?.into_iter().collect();
    for plan in plans.iter_mut().filter(|plan| plan.state == PlanState::Awaiting) {
        let same = of_contract(plan).is_none_or(|version| contracts.get(&plan.contract_id.0) == Some(&version))
            && of_subscriptions(plan).iter().all(|(id, version)| subscriptions.get(id) == Some(version));
        if !same {
            plan.state = PlanState::Superseded;
            plan.reason_code = Some("plan-moved".to_owned());
            plan.reason = Some("what it was computed from changed since; retry it and look at the new one".to_owned());
        }
    }
    Ok(())
}

fn plan_view(row: rows::PlanRow) -> Result<PlanView> {
    let effects = row
        .effects
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| StoreError::Corrupt("run_plans.effects", error.to_string()))?;
    let changes = row
        .changes
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| StoreError::Corrupt("run_plans.changes", error.to_string()))?;
    Ok(PlanView {
        contract_id: ContractId(row.contract_id),
        state: row.state.parse().map_err(|_| StoreError::Corrupt("run_plans.state", row.state.clone()))?,
        plan_hash: row.plan_hash.map(hex::encode),
        lines: row.lines,
        net_minor: row.net_minor,
        tax_minor: row.tax_minor,
        gross_minor: row.gross_minor,
        realised: row.realised,
        realised_net_minor: row.realised_net_minor,
        realised_tax_minor: row.realised_tax_minor,
        realised_gross_minor: row.realised_gross_minor,
        effects,
        stage: stored("run_plans.stage", &row.stage)?,
        changes: changes.unwrap_or_default(),
        changes_minor: row.changes_minor,
        reason_code: row.reason_code,
        reason: row.reason,
        call_id: row.call_id.map(CallId),
        attempts: row.attempts,
        decided_by: row.decided_by,
        confirmed_by: row.confirmed_by,
        owner: row.owner,
        updated_at: row.updated_at,
    })
}

/// The run a job is about.
pub fn run_of_job(payload: &str) -> Result<RunId> {
    #[derive(Deserialize)]
    struct Payload {
        run: RunId,
    }
    let payload: Payload =
        serde_json::from_str(payload).map_err(|error| StoreError::Corrupt("jobs.payload", error.to_string()))?;
    Ok(payload.run)
}
