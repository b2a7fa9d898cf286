//! Following: renewed subscriptions that go over to a later version of their plan.
//!
//! Owns what is written of it: the subscription's new version, and a change in its history for each move. Which version charges
//! a renewal is the domain's decision. Everything is read with the plans of a pass and written by one statement a table and
//! chunk; a chunk in which nobody goes over writes nothing of it. Invariant: a move is numbered among the subscription's
//! changes, and the charges behind it carry that number, so that each set of terms covers its days.

use std::{collections::HashMap, sync::Arc};

use altyn_domain::{
    catalogue::PlanVersion,
    change::{ChangeKind, Terms, Timing, classify},
    id::{ChangeId, Id as _, PlanVersionId},
    run::PlanMove,
    subscription::{Subscription, VersionMove},
};
use altyn_store::{Rows, StoreError, Tx, catalogue, changes, runs as rows};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::compute::{Inputs, Planned, plan_versions};
use crate::{
    changes::ChangeSubscription,
    error::{Result, ServiceError},
};

/// Plan versions with the later ones that their subscribers go over to.
pub(crate) async fn with_successors(
    tx: &mut Tx,
    tenant: Uuid,
    versions: Vec<Uuid>,
) -> Result<Vec<(Uuid, Arc<PlanVersion>)>> {
    let found = catalogue::successors(tx, tenant, versions.clone()).await?;
    let later = found.iter().map(|row| row.id).filter(|id| !versions.contains(id));
    let mut wanted: Vec<Uuid> = versions.iter().copied().chain(later).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let plans: HashMap<Uuid, Arc<PlanVersion>> =
        plan_versions(rows::plan_components(tx, tenant, wanted).await?)?.into_iter().collect();
    let mut successors: HashMap<Uuid, Vec<altyn_domain::catalogue::Successor>> = HashMap::new();
    for row in found {
        if let Some(version) = plans.get(&row.id) {
            let successor =
                altyn_domain::catalogue::Successor { from: row.existing_from, version: Arc::clone(version) };
            successors.entry(row.of_version).or_default().push(successor);
        }
    }
    let with = |id: Uuid| {
        let plan = plans.get(&id)?;
        Some(match successors.remove(&id) {
            Some(successors) => (id, Arc::new(PlanVersion { successors, ..PlanVersion::clone(plan) })),
            None => (id, Arc::clone(plan)),
        })
    };
    Ok(versions.into_iter().filter_map(with).collect())
}

/// A renewed subscription that goes over to later versions.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    /// As it was read.
    subscription: Subscription,
    /// How many changes of it were executed before.
    ordinal: i32,
    plan: Arc<PlanVersion>,
    moves: Vec<VersionMove>,
}

impl Follow {
    /// None when it stays on its version.
    pub fn of(
        subscription: &Subscription,
        ordinal: i32,
        plan: &Arc<PlanVersion>,
        moves: &[VersionMove],
    ) -> Option<Self> {
        (!moves.is_empty()).then(|| Self {
            subscription: subscription.clone(),
            ordinal,
            plan: Arc::clone(plan),
            moves: moves.to_vec(),
        })
    }

    /// The moves as a plan tells them.
    pub fn told(&self) -> impl Iterator<Item = PlanMove> {
        let subscription = self.subscription.id;
        self.moves.iter().map(move |moved| PlanMove { subscription, on: moved.on, from: moved.from, to: moved.to })
    }

    /// The terms from a move on.
    fn terms(&self, moved: &VersionMove) -> Terms {
        let before = u32::try_from(moved.index - self.subscription.next_index).unwrap_or(0);
        Terms {
            plan_version: moved.to,
            next_index: moved.index,
            terms_from: moved.on,
            next_charge_on: moved.on,
            charges_left: self.subscription.charges_left.map(|left| left.saturating_sub(before)),
            ..Terms::of(&self.subscription)
        }
    }

    fn direction(&self, moved: &VersionMove) -> Option<String> {
        let quantity = self.subscription.quantity;
        let of = |id: PlanVersionId| self.plan.version(id).map(|version| (version, quantity));
        let (direction, ..) = classify(of(moved.from)?, of(moved.to)?).ok()?;
        Some(direction.as_str().to_owned())
    }
}

/// What a chunk writes about them.
#[derive(Default)]
pub(super) struct FollowRows {
    subscriptions: Rows,
    changes: Vec<changes::ChangeRow>,
}

impl FollowRows {
    /// Those of executed plans.
    pub fn of(inputs: &Inputs, planned: &[Planned], at: DateTime<Utc>) -> Result<Self> {
        let json = |error: serde_json::Error| ServiceError::Internal(format!("a change cannot be stored: {error}"));
        let follows: Vec<&Follow> = planned.iter().flat_map(|plan| &plan.follows).collect();
        if follows.is_empty() {
            return Ok(Self::default());
        }
        let last = |follow: &Follow| follow.moves.last().copied();
        let subscriptions = Rows::new()
            .with("id", follows.iter().map(|follow| follow.subscription.id.0).collect::<Vec<_>>())
            // The renewal, which is written before, counted the version up.
            .with("version", follows.iter().map(|follow| follow.subscription.version + 1).collect::<Vec<_>>())
            .with(
                "plan_version_id",
                follows.iter().filter_map(|follow| last(follow)).map(|moved| moved.to.0).collect::<Vec<_>>(),
            )
            .with(
                "terms_from",
                follows.iter().filter_map(|follow| last(follow)).map(|moved| moved.on).collect::<Vec<_>>(),
            )
            .with(
                "moves",
                follows.iter().map(|follow| i32::try_from(follow.moves.len()).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
            );
        let mut changes = Vec::new();
        for (plan, follow) in planned.iter().flat_map(|plan| plan.follows.iter().map(move |follow| (plan, follow))) {
            for (ordinal, moved) in (follow.ordinal + 1..).zip(&follow.moves) {
                let mut command = ChangeSubscription::of(ChangeKind::ChangePlan);
                command.plan_id = Some(follow.plan.plan);
                changes.push(changes::ChangeRow {
                    id: ChangeId(inputs.ids.next()).uuid(),
                    subscription_id: follow.subscription.id.0,
                    contract_id: plan.contract,
                    kind: ChangeKind::ChangePlan.as_str().to_owned(),
                    direction: follow.direction(moved),
                    timing: Timing::EndOfTerm.as_str().to_owned(),
                    state: "executed".to_owned(),
                    command: serde_json::to_string(&command).map_err(json)?,
                    effective_on: moved.on,
                    ordinal: Some(ordinal),
                    terms_from: Some(moved.on),
                    charged_until: Some(moved.on),
                    terms: Some(serde_json::to_string(&follow.terms(moved)).map_err(json)?),
                    plan_version_id: Some(moved.to.0),
                    plan_hash: Some(plan.hash.to_vec()),
                    invoice_id: None,
                    credited_minor: 0,
                    charged_minor: 0,
                    reason: Some("the plan takes existing subscribers over to this version".to_owned()),
                    requested_by: "run".to_owned(),
                    dunning_scope: None,
                    created_at: at,
                    finished_at: Some(at),
                    version: 1,
                });
            }
        }
        Ok(Self { subscriptions, changes })
    }

    /// Writes them behind the renewals; `false` when a subscription moved since it was read.
    pub async fn write(&self, tx: &mut Tx, tenant: Uuid, at: DateTime<Utc>) -> std::result::Result<bool, StoreError> {
        if self.changes.is_empty() {
            return Ok(true);
        }
        if rows::follow(tx, tenant, &self.subscriptions).await? != self.subscriptions.len() as u64 {
            return Ok(false);
        }
        changes::insert(tx, tenant, at, Some(at), &self.changes).await?;
        Ok(true)
    }
}
