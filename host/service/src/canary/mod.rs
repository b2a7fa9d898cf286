//! Canaries: a component on trial that decides for a share of the contracts of a binding, or for some tenants below; in a
//! gateway, for a share of the payments that begin.
//!
//! Owns starting, widening, promoting and ending a trial. Which contracts or payments it has is [`altyn_domain::canary`]'s
//! to say; what came of it is counted by [`outcomes`], and of payments by [`payments`]. Invariants: a component on trial went through the gates that a bound one goes
//! through; a binding has one at a time; what it decided names it, so that it is explained and replayed like anything else;
//! and once its trial is over by a fault, nothing is saved that it decided.

pub(crate) mod outcomes;
pub(crate) mod payments;

use std::sync::Arc;

use altyn_domain::{
    binding::Inheritance,
    canary::{CanaryState, WHOLE_BP},
    grant::LoweredLimits,
    id::{BindingId, CanaryId, TenantId},
    stay::Existing,
};
use altyn_store::{
    StoreError, Tx,
    canaries::{self as rows, CanaryRow},
    plugins::binding_find,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    bindings::{Bound, Switch, signed_still},
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    plugins::{digest_of, schema},
};

/// The most tenants that one canary names.
const MOST_TENANTS: usize = 1_000;
/// The most decisions that may be waited for before faults count.
const MOST_LEAST_DECISIONS: i64 = 1_000_000_000;

/// A component on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CanaryView {
    /// Its id.
    pub id: CanaryId,
    /// The binding it is on trial in.
    pub binding_id: BindingId,
    /// SHA-256 of the component on trial.
    pub component: String,
    /// Configuration handed to it.
    pub config: serde_json::Value,
    /// The share of contracts it decides for, or of new payments that begin with it, basis points: 100 is one per cent.
    pub share_bp: i32,
    /// The tenants it decides for; empty for all that use the binding.
    pub tenants: Vec<TenantId>,
    /// The most faults that are borne, basis points of its decisions.
    pub most_fault_bp: i32,
    /// How many decisions there must be before faults count.
    pub least_decisions: i64,
    /// Where it stands.
    pub state: CanaryState,
    /// Decisions that were asked of it in billing runs: one a line, document or number; of a gateway, operations that ended.
    pub decisions: i64,
    /// Those of them without an answer that counts.
    pub faults: i64,
    /// Decisions that were asked of the present component meanwhile.
    pub present_decisions: i64,
    /// Those of them without an answer that counts.
    pub present_faults: i64,
    /// Why it was rolled back or ended.
    pub reason: Option<String>,
    /// The credential that started it.
    pub started_by: String,
    /// When.
    pub started_at: DateTime<Utc>,
    /// The credential that finished it; `run`, or `gateway`, when it was rolled back.
    pub finished_by: Option<String>,
    /// When.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts decisions about it.
    pub version: i64,
}

/// A request to put a component on trial.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartCanary {
    /// SHA-256 of an installed component of the binding's world.
    pub component: String,
    /// Its configuration; absent for the one that the binding has.
    pub config: Option<serde_json::Value>,
    /// The share of contracts, or of new payments, that it decides for, basis points, 0 to 10000; all of them when absent.
    #[serde(default = "whole")]
    pub share_bp: i32,
    /// The tenants it decides for, the binding's owner or tenants below it; all that use the binding when empty.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// The most faults that are borne, basis points of its decisions, 0 to 10000; 100, which is one per cent, when absent.
    #[serde(default = "one_per_cent")]
    pub most_fault_bp: i32,
    /// How many decisions there must be before faults count; 100 when absent.
    #[serde(default = "a_hundred")]
    pub least_decisions: i64,
}

fn whole() -> i32 {
    WHOLE_BP
}

fn one_per_cent() -> i32 {
    100
}

fn a_hundred() -> i64 {
    100
}

/// Another share or bound of a canary; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeCanary {
    /// The share of contracts it decides for, basis points.
    pub share_bp: Option<i32>,
    /// The tenants it decides for; an empty list for all that use the binding.
    pub tenants: Option<Vec<TenantId>>,
    /// The most faults that are borne, basis points of its decisions.
    pub most_fault_bp: Option<i32>,
    /// How many decisions there must be before faults count.
    pub least_decisions: Option<i64>,
}

/// A component on trial, ready to be called beside the one that it may replace.
#[derive(Clone)]
pub struct Canaried {
    /// The canary.
    pub id: CanaryId,
    /// Whose it is.
    pub owner: TenantId,
    /// The version that chose its contracts; what it decides is saved under no other.
    pub version: i64,
    /// The share of contracts it decides for, basis points.
    pub share_bp: i32,
    /// The same binding with the component on trial.
    pub candidate: Bound,
}

impl Bound {
    /// What decides for a contract as a whole: the component on trial, or the present one.
    pub fn of(&self, contract: Uuid) -> &Self {
        self.chosen(self.choice_of_contract(contract))
    }
}

impl Altyn {
    /// The component that is on trial in a binding for a tenant that uses it; `lowered` are the limits of everybody on the way.
    pub(crate) async fn canary_of(
        &self,
        (tenant, owner): (TenantId, TenantId),
        found: Option<CanaryRow>,
        lowered: LoweredLimits,
        present: &Bound,
    ) -> Result<Option<Arc<Canaried>>> {
        let Some(found) = found else { return Ok(None) };
        let tenants = tenants_read(&found.tenants)?;
        if !tenants.is_empty() && !tenants.contains(&tenant) {
            return Ok(None);
        }
        let candidate = self.beside(tenant, &found.component_digest, found.config, lowered, present).await?;
        let (id, version, share_bp) = (CanaryId(found.id), found.version, found.share_bp);
        Ok(Some(Arc::new(Canaried { id, owner, version, share_bp, candidate })))
    }

    /// Puts an installed component on trial in a binding.
    pub async fn canary_start(
        &self,
        request: &Request,
        binding: BindingId,
        command: StartCanary,
    ) -> Result<Reply<CanaryView>> {
        let before = self.binding_get(request, binding).await?;
        let mut fields = Fields::default();
        check_bounds(&mut fields, command.share_bp, command.most_fault_bp, command.least_decisions);
        self.check_tenants(&mut fields, request.tenant, before.inheritance, &command.tenants).await?;
        fields.finish()?;
        let config = command.config.unwrap_or_else(|| before.config.clone());
        let component = self.bindable(request.tenant, &command.component, &config).await?;
        if component.world != before.extension_point {
            let told = format!("implements {}, the binding is for {}", component.world, before.extension_point);
            return Err(ServiceError::invalid("/component", told));
        }
        if hex::encode(&component.digest) == before.component && config == before.config {
            return Err(ServiceError::invalid("/component", "is what the binding has already, configured alike"));
        }
        // A component that does not load is refused now, and not in the night's run.
        self.plugins.component(&self.db, digest_of(&component.digest)?).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        signed_still(&mut work.tx, &component).await?;
        let bound = binding_find(&mut work.tx, request.tenant.0, binding.0).await?;
        if bound.is_none_or(|row| row.ended_at.is_some()) {
            return Err(ServiceError::conflict("binding-ended", "the binding has ended; it decides nothing any more"));
        }
        let row = CanaryRow {
            id: self.ids.next(),
            tenant_id: request.tenant.0,
            binding_id: binding.0,
            component_digest: component.digest,
            config: config.to_string(),
            share_bp: command.share_bp,
            tenants: tenants_text(&command.tenants),
            most_fault_bp: command.most_fault_bp,
            least_decisions: command.least_decisions,
            state: CanaryState::Running.as_str().to_owned(),
            decisions: 0,
            faults: 0,
            present_decisions: 0,
            present_faults: 0,
            reason: None,
            started_by: request.credential.clone(),
            started_at: work.now,
            finished_by: None,
            finished_at: None,
            version: 1,
        };
        match rows::insert(&mut work.tx, &row).await {
            Ok(true) => {}
            Ok(false) | Err(StoreError::Duplicate(_)) => return Err(runs_already()),
            Err(error) => return Err(error.into()),
        }
        work.finish(201, view(row)?).await
    }

    /// The canary of a binding: the one that runs, or the last one.
    pub async fn canary_get(&self, request: &Request, binding: BindingId) -> Result<CanaryView> {
        self.binding_get(request, binding).await?;
        let mut tx = self.read(request).await?;
        let row = rows::latest(&mut tx, request.tenant.0, binding.0).await?;
        view(row.ok_or(ServiceError::NotFound("canary"))?)
    }

    /// A page of a binding's canaries, oldest first.
    pub async fn canary_list(&self, request: &Request, binding: BindingId, page: &Page) -> Result<Listed<CanaryView>> {
        let (limit, after) = page.bounds::<CanaryId>()?;
        self.binding_get(request, binding).await?;
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, binding.0, after, limit).await?;
        page.listed(found, |row| CanaryId(row.id).to_string(), view).try_data()
    }

    /// Gives the canary of a binding another share, other tenants or another bound.
    ///
    /// Counted outcomes stay. Runs that are under way take it up with their next chunk.
    pub async fn canary_change(
        &self,
        request: &Request,
        binding: BindingId,
        if_match: i64,
        command: ChangeCanary,
    ) -> Result<Reply<CanaryView>> {
        let inheritance = self.binding_get(request, binding).await?.inheritance;
        let mut fields = Fields::default();
        let (share, fault) = (command.share_bp.unwrap_or_default(), command.most_fault_bp.unwrap_or_default());
        check_bounds(&mut fields, share, fault, command.least_decisions.unwrap_or(1));
        let tenants = command.tenants.as_deref().unwrap_or_default();
        self.check_tenants(&mut fields, request.tenant, inheritance, tenants).await?;
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = running(&mut work.tx, request.tenant, binding).await?;
        let changed = CanaryRow {
            version: if_match,
            share_bp: command.share_bp.unwrap_or(row.share_bp),
            tenants: command.tenants.as_deref().map_or(row.tenants, tenants_text),
            most_fault_bp: command.most_fault_bp.unwrap_or(row.most_fault_bp),
            least_decisions: command.least_decisions.unwrap_or(row.least_decisions),
            ..row
        };
        if !rows::share(&mut work.tx, &changed).await? {
            return Err(ServiceError::Stale);
        }
        let row = running(&mut work.tx, request.tenant, binding).await?;
        work.finish(200, view(row)?).await
    }

    /// Makes the component on trial the component of its binding, as an upgrade does; the trial is over.
    ///
    /// All subscriptions go over to it: it was on trial over those that were there.
    pub async fn canary_promote(
        &self,
        request: &Request,
        binding: BindingId,
        if_match: i64,
    ) -> Result<Reply<CanaryView>> {
        self.binding_get(request, binding).await?;
        if let Some(reply) = self.answered_before(request).await? {
            return Ok(reply);
        }
        let mut tx = self.read(request).await?;
        let row = running(&mut tx, request.tenant, binding).await?;
        drop(tx);
        let component =
            self.bindable(request.tenant, &hex::encode(&row.component_digest), &schema(&row.config)).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        signed_still(&mut work.tx, &component).await?;
        let row = running(&mut work.tx, request.tenant, binding).await?;
        let (owner, promoted, by) = (request.tenant.0, CanaryState::Promoted.as_str(), request.credential.as_str());
        if row.component_digest != component.digest
            || !rows::finish(&mut work.tx, owner, row.id, if_match, promoted, None, by, work.now).await?
        {
            return Err(ServiceError::Stale);
        }
        let bound = binding_find(&mut work.tx, owner, binding.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        let to = (row.component_digest, row.config);
        self.switch(&mut work, request, binding, bound.version, Switch::Upgrade(Existing::Migrate), to).await?;
        let row = rows::latest(&mut work.tx, owner, binding.0).await?.ok_or(ServiceError::NotFound("canary"))?;
        work.finish(200, view(row)?).await
    }

    /// Withdraws the component on trial: the present one decides for everybody again.
    pub async fn canary_end(&self, request: &Request, binding: BindingId, if_match: i64) -> Result<Reply<CanaryView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = running(&mut work.tx, request.tenant, binding).await?;
        let (owner, ended, by) = (request.tenant.0, CanaryState::Ended.as_str(), request.credential.as_str());
        let reason = Some("withdrawn");
        if !rows::finish(&mut work.tx, owner, row.id, if_match, ended, reason, by, work.now).await? {
            return Err(ServiceError::Stale);
        }
        let row = rows::latest(&mut work.tx, owner, binding.0).await?.ok_or(ServiceError::NotFound("canary"))?;
        work.finish(200, view(row)?).await
    }

    /// Refuses tenants that do not use the binding.
    async fn check_tenants(
        &self,
        fields: &mut Fields,
        owner: TenantId,
        inheritance: Inheritance,
        tenants: &[TenantId],
    ) -> Result<()> {
        if tenants.len() > MOST_TENANTS {
            fields.refuse("/tenants", format!("must have at most {MOST_TENANTS} entries"));
            return Ok(());
        }
        for (at, tenant) in tenants.iter().enumerate() {
            let above = match self.ancestry(*tenant).await {
                Ok(above) => above,
                Err(ServiceError::NotFound(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
            if !above.contains(&owner.0) {
                // A stranger's tenant is told from one that does not exist by nobody.
                fields.refuse(format!("/tenants/{at}"), "is no tenant at or below the owner of the binding");
            } else if *tenant != owner && inheritance == Inheritance::None {
                fields.refuse(
                    format!("/tenants/{at}"),
                    "does not use the binding; share it with the tenants below first",
                );
            }
        }
        Ok(())
    }
}

fn check_bounds(fields: &mut Fields, share_bp: i32, most_fault_bp: i32, least_decisions: i64) {
    for (pointer, bp) in [("/share_bp", share_bp), ("/most_fault_bp", most_fault_bp)] {
        if !(0..=WHOLE_BP).contains(&bp) {
            fields.refuse(pointer, format!("must be between 0 and {WHOLE_BP} basis points"));
        }
    }
    if !(1..=MOST_LEAST_DECISIONS).contains(&least_decisions) {
        fields.refuse("/least_decisions", format!("must be between 1 and {MOST_LEAST_DECISIONS}"));
    }
}

/// The canary that runs in a binding.
async fn running(tx: &mut Tx, owner: TenantId, binding: BindingId) -> Result<CanaryRow> {
    rows::running(tx, owner.0, binding.0).await?.ok_or(ServiceError::NotFound("canary"))
}

/// Why a binding gets no other component now.
pub(crate) fn runs_already() -> ServiceError {
    ServiceError::conflict(
        "canary-runs",
        "a component is on trial in the binding; promote it or end its trial with `altyn plugin canary`",
    )
}

/// Refuses to touch the component of a binding while another is on trial in it.
pub(crate) async fn no_canary(tx: &mut Tx, owner: Uuid, binding: Uuid) -> Result<()> {
    match rows::running(tx, owner, binding).await? {
        Some(_) => Err(runs_already()),
        None => Ok(()),
    }
}

/// Ends the canary of a binding that ends.
pub(crate) async fn end_with_binding(
    tx: &mut Tx,
    owner: Uuid,
    binding: Uuid,
    by: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    if let Some(row) = rows::running(tx, owner, binding).await? {
        let (ended, reason) = (CanaryState::Ended.as_str(), Some("the binding was ended"));
        if !rows::finish(tx, owner, row.id, row.version, ended, reason, by, now).await? {
            return Err(ServiceError::Stale);
        }
    }
    Ok(())
}

fn tenants_text(tenants: &[TenantId]) -> String {
    serde_json::json!(tenants).to_string()
}

fn tenants_read(text: &str) -> Result<Vec<TenantId>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt("canaries.tenants", error.to_string()).into())
}

fn view(row: CanaryRow) -> Result<CanaryView> {
    Ok(CanaryView {
        id: CanaryId(row.id),
        binding_id: BindingId(row.binding_id),
        component: hex::encode(&row.component_digest),
        config: schema(&row.config),
        share_bp: row.share_bp,
        tenants: tenants_read(&row.tenants)?,
        most_fault_bp: row.most_fault_bp,
        least_decisions: row.least_decisions,
        state: stored("canaries.state", &row.state)?,
        decisions: row.decisions,
        faults: row.faults,
        present_decisions: row.present_decisions,
        present_faults: row.present_faults,
        reason: row.reason,
        started_by: row.started_by,
        started_at: row.started_at,
        finished_by: row.finished_by,
        finished_at: row.finished_at,
        version: row.version,
    })
}
