//! Scheduled changes on their day: what they would do now, and making them.
//!
//! Owns what becomes of a change whose day has come: it is made, it fails for good, or it waits for a charge, for others or
//! for a plugin. Invariant: a change that somebody confirmed is made exactly as it was shown, or not at all.

use altyn_domain::{
    change::ChangeKind,
    id::{ChangeId, ContractId, Id as _, SubscriptionId, TenantId},
};
use altyn_store::changes as rows;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, ChangeEffects, ChangePreview, ChangeSubscription, draft::Draft, save};
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    evidence::sha256,
    plugins,
};

/// How many scheduled changes a run looks at together.
const SCHEDULED: i64 = 200;
/// Named in the hash, so that one of another encoding never confirms by accident.
const TAG: &str = "altyn/plan-changes/1";

/// A scheduled change as a run shows it before somebody confirms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScheduledChange {
    /// The change.
    pub change_id: ChangeId,
    /// Its subscription.
    pub subscription_id: SubscriptionId,
    /// What was wished.
    pub kind: ChangeKind,
    /// The day on which it takes effect.
    pub effective_on: NaiveDate,
    /// Hash of what it does, as its preview gives it; none when it cannot be made.
    pub plan_hash: Option<String>,
    /// What it does.
    pub effects: Option<ChangeEffects>,
    /// Stable code of why it cannot be made: confirmed, it is marked as failed.
    pub reason_code: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
}

/// SHA-256 over the changes of a contract, in their order, with what each does.
pub(crate) fn changes_hash(contract: ContractId, changes: &[ScheduledChange]) -> [u8; 32] {
    let mut told = vec![TAG.to_owned(), contract.to_string()];
    told.extend(changes.iter().map(|change| {
        let does = change.plan_hash.as_deref().or(change.reason_code.as_deref()).unwrap_or_default();
        format!("{} {does}", change.change_id)
    }));
    sha256(told.join("\n").as_bytes())
}

/// What an error means for a change whose day has come.
enum Verdict {
    /// Others are in the way; look again at once.
    Again,
    /// It is left for the next time.
    Waits,
    /// It cannot be made, now or later.
    Fails,
}

fn verdict(error: &ServiceError) -> Option<Verdict> {
    match error {
        ServiceError::Conflict { code: "busy", .. } => Some(Verdict::Again),
        ServiceError::Conflict { code: "change-unbilled", .. } => Some(Verdict::Waits),
        ServiceError::Conflict { .. }
        | ServiceError::Invalid(_)
        | ServiceError::NotFound(_)
        | ServiceError::Plugin { code: plugins::REFUSED, .. } => Some(Verdict::Fails),
        ServiceError::Plugin { .. } => Some(Verdict::Waits),
        _ => None,
    }
}

fn command(row: &rows::ChangeRow) -> Result<ChangeSubscription> {
    serde_json::from_str(&row.command)
        .map_err(|error| ServiceError::Internal(format!("a scheduled change does not read: {error}")))
}

impl Altyn {
    /// Executes the scheduled changes whose day has come by a business day; a change that cannot be made is marked as
    /// failed with its reason, one that waits for a charge, for others or for a plugin is left for the next time. Answers how
    /// many were made.
    pub(crate) async fn changes_execute_due(&self, tenant: TenantId, through: NaiveDate) -> Result<usize> {
        let request = Request::internal(tenant, "run");
        let (mut after, mut made) = (uuid::Uuid::nil(), 0);
        loop {
            let mut tx = self.read(&request).await?;
            let found = rows::scheduled(&mut tx, tenant.0, through, after, SCHEDULED).await?;
            drop(tx);
            let Some(last) = found.last().map(|row| row.id) else { return Ok(made) };
            after = last;
            for row in found {
                // Boxed: a draft is large, and a run would carry the room for it all along.
                made += usize::from(Box::pin(self.execute_scheduled(&request, row, through, None)).await?);
            }
        }
    }

    /// What the scheduled changes of a contract would do whose day has come; those that wait are left out. Nothing is
    /// written but the later day of a change whose term ends later now.
    pub(crate) async fn changes_planned(
        &self,
        tenant: TenantId,
        contract: ContractId,
        through: NaiveDate,
    ) -> Result<Vec<ScheduledChange>> {
        let request = Request::internal(tenant, "run");
        let mut tx = self.read(&request).await?;
        let found = rows::scheduled_of(&mut tx, tenant.0, contract.uuid(), through).await?;
        drop(tx);
        let mut planned = Vec::with_capacity(found.len());
        for row in found {
            let command = command(&row)?;
            let looked = Box::pin(async {
                let Some(draft) = self.due_draft(&request, &row, &command, through).await? else { return Ok(None) };
                draft.preview().map(Some)
            });
            let (preview, error) = match looked.await {
                Ok(None) => continue,
                Ok(Some(preview)) => (Some(preview), None),
                Err(error) => match verdict(&error) {
                    Some(Verdict::Fails) => (None, Some(error)),
                    Some(_) => continue,
                    None => return Err(error),
                },
            };
            let (plan_hash, effects) = match preview {
                Some(ChangePreview { plan_hash, effects }) => (Some(plan_hash), Some(effects)),
                None => (None, None),
            };
            planned.push(ScheduledChange {
                change_id: ChangeId(row.id),
                subscription_id: SubscriptionId(row.subscription_id),
                kind: stored("subscription_changes.kind", &row.kind)?,
                effective_on: row.effective_on,
                plan_hash,
                effects,
                reason_code: error.as_ref().map(|error| error.code().to_owned()),
                reason: error.map(|error| error.to_string()),
            });
        }
        Ok(planned)
    }

    /// Makes a scheduled change that somebody confirmed, or marks it as failed when that was confirmed; left alone when it
    /// is another now.
    pub(crate) async fn change_confirmed(
        &self,
        tenant: TenantId,
        seen: &ScheduledChange,
        through: NaiveDate,
    ) -> Result<()> {
        let request = Request::internal(tenant, "run");
        let mut tx = self.read(&request).await?;
        let row = rows::find(&mut tx, tenant.0, seen.change_id.uuid()).await?;
        drop(tx);
        if let Some(row) = row.filter(|row| row.state == "scheduled") {
            Box::pin(self.execute_scheduled(&request, row, through, Some(seen))).await?;
        }
        Ok(())
    }

    async fn execute_scheduled(
        &self,
        request: &Request,
        row: rows::ChangeRow,
        through: NaiveDate,
        seen: Option<&ScheduledChange>,
    ) -> Result<bool> {
        let command = command(&row)?;
        for _ in 0..ATTEMPTS {
            let error = match self.try_scheduled(request, &row, &command, through, seen).await {
                Ok(Some(made)) => return Ok(made),
                Ok(None) => continue,
                Err(error) => error,
            };
            match verdict(&error) {
                Some(Verdict::Again) => {}
                Some(Verdict::Waits) => {
                    if matches!(error, ServiceError::Plugin { .. }) {
                        tracing::warn!(change = %ChangeId(row.id), %error, "a plugin cannot be asked; the change waits");
                    }
                    return Ok(false);
                }
                Some(Verdict::Fails) => {
                    self.fail_scheduled(request, row.id, &error.to_string()).await?;
                    return Ok(false);
                }
                None => return Err(error),
            }
        }
        // One contract that others keep changing must not stop the day of all.
        tracing::warn!(change = %ChangeId(row.id), "others keep changing the contract; the change waits");
        Ok(false)
    }

    /// A change whose day has come; none when its term ends later now: then it has its later day.
    async fn due_draft(
        &self,
        request: &Request,
        row: &rows::ChangeRow,
        command: &ChangeSubscription,
        through: NaiveDate,
    ) -> Result<Option<Draft>> {
        let draft = self.draft_scheduled(request, row, command, through).await?;
        if draft.effective_on() <= through {
            return Ok(Some(draft));
        }
        // Renewed or prolonged meanwhile.
        let mut tx = self.db.write(request.scope()).await?;
        rows::move_to(&mut tx, request.tenant.0, row.id, draft.effective_on()).await?;
        tx.commit().await?;
        Ok(None)
    }

    /// Makes a scheduled change: whether it was made, or none when something moved meanwhile.
    async fn try_scheduled(
        &self,
        request: &Request,
        row: &rows::ChangeRow,
        command: &ChangeSubscription,
        through: NaiveDate,
        seen: Option<&ScheduledChange>,
    ) -> Result<Option<bool>> {
        let draft = match self.due_draft(request, row, command, through).await {
            Ok(Some(draft)) => draft,
            Ok(None) => return Ok(Some(false)),
            // Nobody confirmed that it fails, or that it fails like this.
            Err(error) if seen.is_some_and(|seen| seen.reason_code.as_deref() != Some(error.code())) => {
                return match verdict(&error) {
                    Some(Verdict::Again | Verdict::Fails) => Ok(Some(false)),
                    Some(Verdict::Waits) | None => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        if let Some(seen) = seen
            && seen.plan_hash != Some(draft.preview()?.plan_hash)
        {
            return Ok(Some(false));
        }
        Ok(match self.save_scheduled(request, draft, row).await? {
            save::Saved::Done(()) => Some(true),
            save::Saved::Moved => None,
        })
    }

    async fn fail_scheduled(&self, request: &Request, id: uuid::Uuid, reason: &str) -> Result<()> {
        let mut tx = self.db.write(request.scope()).await?;
        let now = self.clock.now();
        rows::withdraw(&mut tx, request.tenant.0, id, "failed", reason, now).await?;
        Ok(tx.commit().await?)
    }
}
