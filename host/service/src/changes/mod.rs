//! Changes of subscriptions: previewed, executed at once or at their day, replaced and withdrawn.
//!
//! Owns the use cases and what callers see. A preview and an execution build the same draft (see [`draft`]); the draft's
//! hash travels with the execution, which saves exactly what was seen or refuses with the difference (see [`save`]).
//! Invariant: a change is one transaction: what is given back, what is charged instead, its documents, numbers and
//! postings, the new terms and the record of the change; plugins are asked before it begins.

mod command;
mod draft;
mod save;
mod timings;
mod view;

use altyn_domain::{
    change::ChangeKind,
    id::{ChangeId, ContractId, Id as _, SubscriptionId, TenantId},
};
use altyn_store::{changes as rows, contracts, subscriptions};
use chrono::NaiveDate;

pub use command::{ChangeSubscription, ExecuteChange, RenewContract};
pub use timings::{SetTimings, TimingsView};
pub use view::{ChangeEffects, ChangePreview, ChangeView, CreditEffect, LineEffect, PostingEffect, TermsView};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Result, ServiceError},
    page::{Listed, Page},
    plugins,
};

/// How often an execution starts over when others take the numbers that it foresaw.
const ATTEMPTS: u32 = 8;
/// How many scheduled changes a run looks at together.
const SCHEDULED: i64 = 200;

impl Altyn {
    /// Shows what a change would do: exact lines and postings, nothing is written.
    pub async fn change_preview(
        &self,
        request: &Request,
        id: SubscriptionId,
        command: ChangeSubscription,
    ) -> Result<ChangePreview> {
        let draft = self.draft_of(request, id, &command).await?;
        draft.preview()
    }

    /// Executes a change exactly as it was previewed, or schedules it when its day has not come.
    ///
    /// When something moved since, nothing is done and the answer is the conflict `change-moved` with the differences.
    pub async fn change_execute(
        &self,
        request: &Request,
        id: SubscriptionId,
        command: ExecuteChange,
    ) -> Result<Reply<ChangeView>> {
        for _ in 0..ATTEMPTS {
            // Boxed, like the saving below: whoever calls would carry the room for a draft.
            let draft = match Box::pin(self.draft_of(request, id, &command.change)).await {
                Ok(draft) => draft,
                // What was executed by this very request, sent again, cannot be drafted once more.
                Err(error) => return self.replayed(request, error).await,
            };
            if let Err(moved) = draft.is_what_was_seen(&command.plan_hash, command.effects.as_ref()) {
                return self.replayed(request, moved).await;
            }
            match Box::pin(self.save_requested(request, draft)).await? {
                save::Saved::Done(reply) => {
                    return Ok(Reply {
                        status: reply.status,
                        replayed: reply.replayed,
                        value: reply.value.into_iter().next().ok_or_else(nothing)?,
                    });
                }
                save::Saved::Moved => {}
            }
        }
        Err(busy())
    }

    /// The stored answer of a request that was answered before, or the error.
    async fn replayed<T: serde::de::DeserializeOwned>(
        &self,
        request: &Request,
        error: ServiceError,
    ) -> Result<Reply<T>> {
        match self.begin::<Vec<T>>(request).await? {
            Begun::Replay(reply) => Ok(Reply {
                status: reply.status,
                replayed: true,
                value: reply.value.into_iter().next().ok_or_else(nothing)?,
            }),
            Begun::Work(_) => Err(error),
        }
    }

    /// Shows what renewing all subscriptions of a contract would do.
    pub async fn contract_renew_preview(&self, request: &Request, id: ContractId) -> Result<ChangePreview> {
        self.draft_renewals(request, id).await?.preview()
    }

    /// Charges the next period of all subscriptions of a contract that are in service, on one set of documents.
    pub async fn contract_renew(
        &self,
        request: &Request,
        id: ContractId,
        command: RenewContract,
    ) -> Result<Reply<Vec<ChangeView>>> {
        for _ in 0..ATTEMPTS {
            let checked = match Box::pin(self.draft_renewals(request, id)).await {
                Ok(draft) => draft.is_what_was_seen(&command.plan_hash, command.effects.as_ref()).map(|()| draft),
                Err(error) => Err(error),
            };
            let draft = match checked {
                Ok(draft) => draft,
                Err(error) => {
                    return match self.begin::<Vec<ChangeView>>(request).await? {
                        Begun::Replay(reply) => Ok(reply),
                        Begun::Work(_) => Err(error),
                    };
                }
            };
            if let save::Saved::Done(reply) = Box::pin(self.save_requested(request, draft)).await? {
                return Ok(reply);
            }
        }
        Err(busy())
    }

    /// A page of a subscription's changes, oldest first.
    pub async fn change_list(&self, request: &Request, id: SubscriptionId, page: &Page) -> Result<Listed<ChangeView>> {
        let (limit, after) = page.bounds::<ChangeId>()?;
        let mut tx = self.read(request).await?;
        if subscriptions::find(&mut tx, request.tenant.0, id.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("subscription"));
        }
        let found = rows::list(&mut tx, request.tenant.0, id.uuid(), after, limit).await?;
        let views = found.into_iter().map(view::change_view).collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.id.to_string(), |view| view))
    }

    /// One change.
    pub async fn change_get(&self, request: &Request, id: ChangeId) -> Result<ChangeView> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view::change_view(row.ok_or(ServiceError::NotFound("change"))?)
    }

    /// Withdraws a change whose day has not come.
    pub async fn change_withdraw(&self, request: &Request, id: ChangeId) -> Result<Reply<ChangeView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let reason = format!("withdrawn by {}", request.credential);
        let withdrawn = rows::withdraw(&mut work.tx, tenant, id.uuid(), "cancelled", &reason, work.now).await?;
        let row = rows::find(&mut work.tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("change"))?;
        if !withdrawn {
            return Err(ServiceError::conflict(
                "change-not-scheduled",
                format!("the change is {} already; only a scheduled one is withdrawn", row.state),
            ));
        }
        let view = view::change_view(row)?;
        work.finish(200, view).await
    }

    /// Executes the scheduled changes whose day has come by a business day; a change that cannot be made is marked as
    /// failed with its reason, one that waits for a charge, for others or for a plugin is left for the next time. Answers how many were made.
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
                made += usize::from(Box::pin(self.execute_scheduled(&request, row, through)).await?);
            }
        }
    }

    async fn execute_scheduled(&self, request: &Request, row: rows::ChangeRow, through: NaiveDate) -> Result<bool> {
        let command: ChangeSubscription = serde_json::from_str(&row.command)
            .map_err(|error| ServiceError::Internal(format!("a scheduled change does not read: {error}")))?;
        for _ in 0..ATTEMPTS {
            match self.try_scheduled(request, &row, &command, through).await {
                Ok(Some(made)) => return Ok(made),
                Ok(None) | Err(ServiceError::Conflict { code: "busy", .. }) => {}
                Err(ServiceError::Conflict { code: "change-unbilled", .. }) => return Ok(false),
                Err(
                    error @ (ServiceError::Conflict { .. }
                    | ServiceError::Invalid(_)
                    | ServiceError::NotFound(_)
                    | ServiceError::Plugin { code: plugins::REFUSED, .. }),
                ) => {
                    self.fail_scheduled(request, row.id, &error.to_string()).await?;
                    return Ok(false);
                }
                Err(error @ ServiceError::Plugin { .. }) => {
                    tracing::warn!(change = %ChangeId(row.id), %error, "a plugin cannot be asked; the change waits");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        // One contract that others keep changing must not stop the day of all.
        tracing::warn!(change = %ChangeId(row.id), "others keep changing the contract; the change waits");
        Ok(false)
    }

    /// Makes a scheduled change: whether it was made, or none when something moved meanwhile.
    async fn try_scheduled(
        &self,
        request: &Request,
        row: &rows::ChangeRow,
        command: &ChangeSubscription,
        through: NaiveDate,
    ) -> Result<Option<bool>> {
        let draft = self.draft_scheduled(request, row, command, through).await?;
        if draft.effective_on() > through {
            // Renewed or prolonged meanwhile: its term ends later.
            let mut tx = self.db.write(request.scope()).await?;
            rows::move_to(&mut tx, request.tenant.0, row.id, draft.effective_on()).await?;
            tx.commit().await?;
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

    /// The subscriptions of a contract that a renewal of all takes.
    async fn renewable(&self, request: &Request, id: ContractId) -> Result<Vec<SubscriptionId>> {
        let mut tx = self.read(request).await?;
        if contracts::find(&mut tx, request.tenant.0, id.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("contract"));
        }
        let (mut found, mut after) = (Vec::new(), uuid::Uuid::nil());
        loop {
            let page = subscriptions::list(&mut tx, request.tenant.0, Some(id.uuid()), after, 500).await?;
            let Some(last) = page.last().map(|row| row.id) else { break };
            after = last;
            found.extend(page.into_iter().filter(|row| row.status == "active").map(|row| SubscriptionId(row.id)));
        }
        if found.is_empty() {
            return Err(ServiceError::conflict(
                "nothing-to-renew",
                "the contract has no subscription in service; there is nothing to renew",
            ));
        }
        Ok(found)
    }

    async fn draft_renewals(&self, request: &Request, id: ContractId) -> Result<draft::Draft> {
        let wishes: Vec<_> = self
            .renewable(request, id)
            .await?
            .into_iter()
            .map(|id| (id, ChangeSubscription::of(ChangeKind::Renew)))
            .collect();
        self.draft(request, &wishes, None).await
    }
}

fn nothing() -> ServiceError {
    ServiceError::Internal("a change left no record".into())
}

fn busy() -> ServiceError {
    ServiceError::conflict("busy", "others keep changing this contract; try again")
}
