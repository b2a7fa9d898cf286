//! Changes of subscriptions: previewed, executed at once or at their day, replaced and withdrawn.
//!
//! Owns the use cases and what callers see. A preview and an execution build the same draft (see [`draft`]); the draft's
//! hash travels with the execution, which saves exactly what was seen or refuses with the difference (see [`save`]).
//! Invariant: a change is one transaction: what is given back, what is charged instead, its documents, numbers and
//! postings, the new terms and the record of the change; plugins are asked before it begins.

mod command;
mod debtors;
mod decide;
mod draft;
mod save;
mod scheduled;
mod timings;
mod view;

use altyn_domain::{
    change::{ChangeKind, Timing},
    id::{ChangeId, ContractId, Id as _, SubscriptionId, TenantId},
    subscription::SubscriptionStatus,
};
use altyn_store::{changes as rows, contracts, subscriptions};
use chrono::NaiveDate;

pub use command::{ChangeSubscription, ExecuteChange, RenewContract};
pub(crate) use debtors::Ends;
pub use scheduled::ScheduledChange;
pub(crate) use scheduled::changes_hash;
pub use timings::{SetTimings, TimingsView};
pub(crate) use view::differences;
pub use view::{
    ChangeEffects, ChangePreview, ChangeView, CreditEffect, LineEffect, PostingEffect, RenewalView, ReplacedChange,
    SkippedRenewal, TermsView,
};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
};

/// How often an execution starts over when others take the numbers that it foresaw.
const ATTEMPTS: u32 = 8;

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
            match Box::pin(self.save_requested(request, draft, std::convert::identity)).await? {
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

    /// Ends a subscription whose end has come, as a change of the kind `cancel` does on that day; one that cannot be ended now
    /// is left for the next time.
    pub(crate) async fn change_end(&self, tenant: TenantId, id: SubscriptionId, on: NaiveDate) -> Result<()> {
        let request = Request::internal(tenant, "run");
        let wish = ChangeSubscription {
            on: Some(on),
            timing: Some(Timing::Immediate),
            ..ChangeSubscription::of(ChangeKind::Cancel)
        };
        for _ in 0..ATTEMPTS {
            let draft = match self.draft(&request, &[(id, wish.clone())], None).await {
                Ok(draft) => draft,
                Err(
                    error @ (ServiceError::Conflict { .. } | ServiceError::Invalid(_) | ServiceError::Plugin { .. }),
                ) => {
                    tracing::warn!(subscription = %id, %error, "the subscription cannot be ended now");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if let save::Saved::Done(_) = self.save_requested(&request, draft, std::convert::identity).await? {
                return Ok(());
            }
        }
        Ok(())
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
        self.draft_renewals(request, self.renewable(request, id).await?).await?.preview()
    }

    /// Charges the next period of all subscriptions of a contract that can be renewed, on one set of documents, and names
    /// the others.
    pub async fn contract_renew(
        &self,
        request: &Request,
        id: ContractId,
        command: RenewContract,
    ) -> Result<Reply<RenewalView>> {
        for _ in 0..ATTEMPTS {
            let checked = match Box::pin(self.draft_renewals(request, self.renewable(request, id).await?)).await {
                Ok(draft) => draft.is_what_was_seen(&command.plan_hash, command.effects.as_ref()).map(|()| draft),
                Err(error) => Err(error),
            };
            let draft = match checked {
                Ok(draft) => draft,
                Err(error) => {
                    return match self.begin(request).await? {
                        Begun::Replay(reply) => Ok(reply),
                        Begun::Work(_) => Err(error),
                    };
                }
            };
            let skipped = draft.skipped.clone();
            let answer = |changes| RenewalView { changes, skipped };
            if let save::Saved::Done(reply) = Box::pin(self.save_requested(request, draft, answer)).await? {
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
        if let Some(row) = rows::find(&mut work.tx, tenant, id.uuid()).await?
            && row.dunning_scope.is_some()
        {
            request.authority.manager("an end by dunning")?;
        }
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

    /// The subscriptions of a contract that are in service or in grace.
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
            for row in page {
                let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
                found.extend(status.is_charged().then_some(SubscriptionId(row.id)));
            }
        }
        Ok(found)
    }
}

fn nothing() -> ServiceError {
    ServiceError::Internal("a change left no record".into())
}

fn busy() -> ServiceError {
    ServiceError::conflict("busy", "others keep changing this contract; try again")
}
