//! What was asked of components on trial: counted in the transaction of the money they decided, or not at all.
//!
//! Owns counting and the way a canary is rolled back when it is beyond its bound. Invariant: a transaction that saves what
//! a component on trial decided holds the canary's row, in the version that chose that component; when the version is
//! another by then, or the bound is passed with it, nothing of it is saved and it is decided anew.

use std::collections::BTreeMap;

use altyn_domain::{
    canary::{CanaryState, Outcome},
    id::{BindingId, CanaryId, TenantId},
};
use altyn_runtime::Digest;
use altyn_store::{
    Db, Scope, StoreError, Tx,
    canaries::{self as rows, CanaryRow},
    plugins::{self, CallRow},
    runs,
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{bindings::Bound, ports::Ids, stays::Choice};

/// What was asked under the canaries of one chunk or change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes(BTreeMap<Uuid, Counted>);

/// What was asked under one canary.
#[derive(Clone, Debug)]
struct Counted {
    owner: TenantId,
    version: i64,
    candidate: Digest,
    outcome: Outcome,
}

/// What came of counting.
pub(crate) enum Counting {
    /// It is counted; the rows are locked until the transaction ends.
    Done,
    /// A canary was changed or finished meanwhile: whatever was decided by it is void.
    Moved,
    /// With this outcome a canary is beyond its bound.
    Beyond(Uuid),
}

/// Answers that did not count, as evidence: why, and the recorded call.
pub(crate) struct Refusal {
    pub reason: String,
    pub call: CallRow,
}

impl Outcomes {
    /// Notes one decision, if the binding has a component on trial; by a former one it tells nothing of the trial.
    pub fn note(&mut self, bound: &Bound, choice: Choice, fault: bool) {
        let Some(canary) = bound.canary.as_ref().filter(|_| !matches!(choice, Choice::Former(_))) else { return };
        let counted = self.0.entry(canary.id.0).or_insert_with(|| Counted {
            owner: canary.owner,
            version: canary.version,
            candidate: canary.candidate.plugin.digest(),
            outcome: Outcome::default(),
        });
        counted.outcome.add(choice == Choice::OnTrial, fault);
    }

    /// Adds what was noted elsewhere.
    pub fn join(&mut self, other: Self) {
        for (id, counted) in other.0 {
            match self.0.entry(id) {
                std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(counted)),
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    place.get_mut().outcome.join(counted.outcome);
                }
            }
        }
    }

    /// Counts everything, the smallest id first.
    pub async fn count(&self, tx: &mut Tx) -> Result<Counting, StoreError> {
        for (id, counted) in &self.0 {
            match counted.add(tx, *id).await? {
                None => return Ok(Counting::Moved),
                Some(row) if is_beyond(&row) => return Ok(Counting::Beyond(*id)),
                Some(_) => {}
            }
        }
        Ok(Counting::Done)
    }

    /// Takes the rows in the versions that chose the components, and counts nothing.
    pub async fn hold(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        for (id, counted) in &self.0 {
            if rows::count(tx, counted.owner.0, *id, counted.version, (0, 0, 0, 0)).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The component on trial under a canary.
    pub fn candidate(&self, id: Uuid) -> Option<Digest> {
        self.0.get(&id).map(|counted| counted.candidate)
    }

    /// Ends a canary that is beyond its bound with this outcome: nothing is saved of what was decided, but the outcome, the
    /// refused answers and an event for the owner. `false` when somebody else has moved it meanwhile.
    pub async fn roll_back(
        &self,
        (db, ids): (&Db, &dyn Ids),
        (tenant, at): (TenantId, DateTime<Utc>),
        id: Uuid,
        refused: &[Refusal],
        blobs: Vec<(Vec<u8>, i64, Vec<u8>)>,
    ) -> Result<bool, StoreError> {
        let Some(counted) = self.0.get(&id) else { return Ok(false) };
        let mut tx = db.write(Scope::Tenant(counted.owner.0)).await?;
        let Some(row) = counted.add(&mut tx, id).await? else { return Ok(false) };
        // Others may have been answered well since.
        if !is_beyond(&row) {
            return Ok(false);
        }
        let example = example(refused);
        if !roll_back_held(&mut tx, ids, (&row, tenant), (&example, "run"), at).await? {
            return Ok(false);
        }
        let calls: Vec<CallRow> = refused.iter().map(|refusal| refusal.call.clone()).collect();
        if counted.owner == tenant {
            plugins::evidence_insert(&mut tx, tenant.0, blobs).await?;
            plugins::calls_insert(&mut tx, tenant.0, at, &calls).await?;
            tx.commit().await?;
        } else {
            tx.commit().await?;
            // The evidence is that of the tenant who asked, and hidden from the owner.
            let mut tx = db.write(Scope::Tenant(tenant.0)).await?;
            plugins::evidence_insert(&mut tx, tenant.0, blobs).await?;
            plugins::calls_insert(&mut tx, tenant.0, at, &calls).await?;
            tx.commit().await?;
        }
        Ok(true)
    }
}

/// Rolls back a canary whose row the transaction holds, and tells its owner; `example` is what a failed call said, and `by`
/// what was going on. `false` when it is of another version, or finished.
pub(super) async fn roll_back_held(
    tx: &mut Tx,
    ids: &dyn Ids,
    (row, tenant): (&CanaryRow, TenantId),
    (example, by): (&str, &str),
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let reason = reason(row, example);
    let (owner, id, state) = (row.tenant_id, row.id, CanaryState::RolledBack.as_str());
    if !rows::finish(tx, owner, id, row.version, state, Some(&reason), by, at).await? {
        return Ok(false);
    }
    let event = event(row, tenant, &reason).to_string();
    let (kind, subject) = ("canary.rolled-back", CanaryId(id).to_string());
    runs::outbox_insert(tx, owner, ids.next(), kind, &subject, &event, at).await?;
    tracing::warn!(
        canary = %CanaryId(id),
        binding = %BindingId(row.binding_id),
        component = hex::encode(&row.component_digest),
        decisions = row.decisions,
        faults = row.faults,
        "a component on trial is rolled back: {reason}"
    );
    Ok(true)
}

impl Counted {
    async fn add(&self, tx: &mut Tx, id: Uuid) -> Result<Option<CanaryRow>, StoreError> {
        let Outcome { decisions, faults, present_decisions, present_faults } = self.outcome;
        let outcome = (decisions, faults, present_decisions, present_faults);
        rows::count(tx, self.owner.0, id, self.version, outcome).await
    }
}

pub(super) fn is_beyond(row: &CanaryRow) -> bool {
    let outcome = Outcome { decisions: row.decisions, faults: row.faults, ..Outcome::default() };
    outcome.is_beyond(row.most_fault_bp, row.least_decisions)
}

/// Basis points as per cent.
pub(crate) fn percent(bp: i32) -> String {
    format!("{}.{:02} %", bp / 100, bp % 100)
}

fn example(refused: &[Refusal]) -> String {
    refused.first().map_or_else(String::new, |refusal| {
        let said: String = refusal.reason.chars().take(500).collect();
        format!("; {} said: {said}", altyn_domain::id::CallId(refusal.call.id))
    })
}

fn reason(row: &CanaryRow, example: &str) -> String {
    let (decisions, faults, most) = (row.decisions, row.faults, percent(row.most_fault_bp));
    format!("{faults} of {decisions} decisions had no answer that counts, more than {most}{example}")
}

fn event(row: &CanaryRow, tenant: TenantId, reason: &str) -> serde_json::Value {
    serde_json::json!({
        "canary": CanaryId(row.id),
        "binding": BindingId(row.binding_id),
        "component": hex::encode(&row.component_digest),
        "tenant": tenant,
        "decisions": row.decisions,
        "faults": row.faults,
        "present_decisions": row.present_decisions,
        "present_faults": row.present_faults,
        "reason": reason,
    })
}
