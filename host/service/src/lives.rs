//! The life of a subscription: in service, in grace, stopped, deleted; and who holds it stopped.
//!
//! Owns changing a subscription's status by its term or by a hold, with the record of every change. What is due is decided
//! by the domain at the close of a day, see [`close`]; billing runs end and complete subscriptions by themselves.
//!
//! Concurrency: every change here, even one that leaves the status, moves the subscription's version, and is refused when
//! that is no more the one that was read. So a close, a hold, a run and a person never overwrite each other.

mod close;

use altyn_domain::{
    calendar::{Cadence, local_date},
    id::{Id as _, ManualOperationId, ServiceTermId, SubscriptionId, TenantId, TransitionId},
    subscription::{SubscriptionStatus, is_used_up},
    terms::{Life, Resumed, Stood, resume},
};
use altyn_store::{
    Rows, Scope, StoreError, Tx, lives as rows, lives::LifeRow, manual_operations, service_terms, tenants,
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use close::CLOSE_JOB;
pub(crate) use close::day_of_job;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
    service_terms::ladder,
};

/// How many subscriptions the close of a day ends together.
const TOGETHER: i64 = 500;

/// Where a subscription stands in its life.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionLifeView {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its status.
    pub status: SubscriptionStatus,
    /// The term it lives by: its own or its plan's.
    pub service_term_id: Option<ServiceTermId>,
    /// Since when it is unpaid, as the last close of a day saw it.
    pub unpaid_since: Option<NaiveDate>,
    /// The day at whose close it is stopped, if nothing is paid.
    pub stop_on: Option<NaiveDate>,
    /// The first day without service, while it is stopped for want of money.
    pub stopped_on: Option<NaiveDate>,
    /// The day at whose close it is deleted, if nothing is paid.
    pub delete_on: Option<NaiveDate>,
    /// The day from which it was last charged again after a stop.
    pub resumed_on: Option<NaiveDate>,
    /// The status it returns to when nobody holds it any more.
    pub held_from: Option<SubscriptionStatus>,
    /// Who holds it stopped.
    pub holds: Vec<HoldView>,
}

/// A reason that keeps a subscription stopped, whatever its term says.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HoldView {
    /// What names it, such as a block.
    pub key: String,
    /// For people.
    pub reason: String,
    /// Since when.
    pub held_at: DateTime<Utc>,
}

/// A change of a subscription's status.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransitionView {
    /// Its id.
    pub id: TransitionId,
    /// The status before.
    pub from_status: SubscriptionStatus,
    /// The status after.
    pub to_status: SubscriptionStatus,
    /// Why: `unpaid`, `paid`, `kept-long-enough`, `ended`, `completed`, `term-removed`, `approved`, `activated`, `order-cancelled`,
    /// `order-expired`, `held` or `released`.
    pub cause: String,
    /// The business date it belongs to.
    pub business_on: NaiveDate,
    /// The manual operation that decided it.
    pub operation_id: Option<ManualOperationId>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What one subscription becomes.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// As it was read.
    pub life: LifeRow,
    /// Its status from now on.
    pub status: SubscriptionStatus,
    /// Why, for the record.
    pub cause: &'static str,
    /// Since when it is unpaid.
    pub unpaid_since: Option<NaiveDate>,
    /// The first day without service for want of money.
    pub stopped_on: Option<NaiveDate>,
    /// The status it returns to when nobody holds it.
    pub held_from: Option<SubscriptionStatus>,
    /// Since when it is held.
    pub held_on: Option<NaiveDate>,
    /// The day from which it is out of service.
    pub out_from: Option<NaiveDate>,
    /// The day from which it is in service again.
    pub back_on: Option<NaiveDate>,
    /// The manual operation that decided it.
    pub operation: Option<Uuid>,
    /// Why what awaits a decision for it is withdrawn.
    pub withdraw: Option<&'static str>,
}

impl Change {
    /// Nothing changed yet.
    pub fn of(life: LifeRow, cause: &'static str) -> Result<Self> {
        Ok(Self {
            status: status(&life)?,
            cause,
            unpaid_since: life.unpaid_since,
            stopped_on: life.stopped_on,
            held_from: held_from(&life)?,
            held_on: life.held_on,
            out_from: None,
            back_on: None,
            operation: None,
            withdraw: None,
            life,
        })
    }

    /// Back in service from a day, in a status.
    pub fn back(mut self, on: NaiveDate, status: SubscriptionStatus) -> Self {
        self.status = status;
        self.back_on = Some(on);
        self
    }

    /// Where the schedule goes on.
    fn schedule(&self) -> Result<Resumed> {
        let life = &self.life;
        let as_it_was =
            Resumed { next_index: life.next_index, next_charge_on: life.next_charge_on, resumed_on: life.resumed_on };
        // The first of the two reasons that put it out of service.
        let out = [life.stopped_on, life.held_on].into_iter().flatten().min();
        let (Some(on), Some(stopped_on)) = (self.back_on, out) else { return Ok(as_it_was) };
        // What begins by hand lapses while nobody begins it, in service or not: its next period is the renewal's.
        if life.manual != 0 {
            return Ok(as_it_was);
        }
        let cadence: Cadence = stored("plan_versions.cadence", &life.cadence)?;
        let stood = Stood {
            anchor_on: life.anchor_on,
            cadence,
            next_index: life.next_index,
            starts_on: life.starts_on,
            ends_on: life.ends_on,
            stopped_on,
        };
        let resumed = resume(&stood, on.max(stopped_on)).map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(Resumed { resumed_on: resumed.resumed_on.or(life.resumed_on), ..resumed })
    }
}

fn status(life: &LifeRow) -> Result<SubscriptionStatus> {
    stored("subscriptions.status", &life.status)
}

fn held_from(life: &LifeRow) -> Result<Option<SubscriptionStatus>> {
    life.held_from.as_deref().map(|text| stored("subscription_lives.held_from", text)).transpose()
}

/// Refuses to take a subscription out of service from a day on while a period of it that began before is not charged:
/// stopped it would not be charged any more, and its return passes over what passed meanwhile.
pub(crate) fn billed_up_to(life: &LifeRow, on: NaiveDate) -> Result<()> {
    if life.manual != 0 || !status(life)?.is_charged() || life.next_charge_on >= on {
        return Ok(());
    }
    let message = format!(
        "the period from {} was served and is not charged; close the days up to {on}, or bill the contract again, first",
        life.next_charge_on
    );
    Err(ServiceError::conflict("subscription-unbilled", message))
}

/// The facts of a life as the domain takes them.
pub(crate) fn facts(life: &LifeRow) -> Result<Life> {
    Ok(Life {
        status: status(life)?,
        ends_on: life.ends_on,
        stopped_on: life.stopped_on,
        resumed_on: life.resumed_on,
        held: life.held_from.is_some(),
    })
}

/// The tenant's calendar day at an instant.
pub(crate) async fn today(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>) -> Result<NaiveDate> {
    let row = tenants::find(tx, tenant).await?.ok_or(ServiceError::NotFound("tenant"))?;
    let zone: Tz = row.zone.parse().map_err(|_| StoreError::Corrupt("tenants.zone", row.zone.clone()))?;
    Ok(local_date(now, zone))
}

impl Altyn {
    /// Writes changes, all or none; `false` when one of the subscriptions changed since it was read: roll back then.
    pub(crate) async fn lives_write(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        on: NaiveDate,
        now: DateTime<Utc>,
        changes: &[Change],
    ) -> Result<bool> {
        let schedules = changes.iter().map(Change::schedule).collect::<Result<Vec<_>>>()?;
        let statuses = Rows::new()
            .with("id", changes.iter().map(|change| change.life.id).collect::<Vec<_>>())
            .with("version", changes.iter().map(|change| change.life.version).collect::<Vec<_>>())
            .with("status", changes.iter().map(|change| change.status.as_str().to_owned()).collect::<Vec<_>>())
            .with("next_index", schedules.iter().map(|schedule| schedule.next_index).collect::<Vec<_>>())
            .with("next_charge_on", schedules.iter().map(|schedule| schedule.next_charge_on).collect::<Vec<_>>())
            .with("resumed_on", schedules.iter().map(|schedule| schedule.resumed_on).collect::<Vec<_>>());
        let expected = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        if rows::statuses_set(tx, tenant, &statuses).await? != expected {
            return Ok(false);
        }
        let text = |status: Option<SubscriptionStatus>| status.map(|status| status.as_str().to_owned());
        let lives = Rows::new()
            .with("subscription_id", changes.iter().map(|change| change.life.id).collect::<Vec<_>>())
            .with("contract_id", changes.iter().map(|change| change.life.contract_id).collect::<Vec<_>>())
            .with("unpaid_since", changes.iter().map(|change| change.unpaid_since).collect::<Vec<_>>())
            .with("stopped_on", changes.iter().map(|change| change.stopped_on).collect::<Vec<_>>())
            .with("held_from", changes.iter().map(|change| text(change.held_from)).collect::<Vec<_>>())
            .with("held_on", changes.iter().map(|change| change.held_on).collect::<Vec<_>>());
        rows::put_all(tx, tenant, now, &lives).await?;
        let back: Vec<_> = changes.iter().filter_map(|change| Some((change.life.id, change.back_on?))).collect();
        let ends = Rows::new()
            .with("subscription_id", back.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .with("until_on", back.iter().map(|(_, on)| *on).collect::<Vec<_>>());
        rows::stops_end(tx, tenant, &ends).await?;
        let out: Vec<_> = changes.iter().filter_map(|change| Some((change.life.id, change.out_from?))).collect();
        let stops = Rows::new()
            .with("id", out.iter().map(|_| self.ids.next()).collect::<Vec<_>>())
            .with("subscription_id", out.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .with("from_on", out.iter().map(|(_, on)| *on).collect::<Vec<_>>());
        rows::stops_open(tx, tenant, &stops).await?;
        self.transitions_write(tx, tenant, on, now, changes).await?;
        let withdrawn: Vec<_> = changes.iter().filter_map(|change| Some((change.life.id, change.withdraw?))).collect();
        let withdrawn = Rows::new()
            .with("subscription_id", withdrawn.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .with("reason", withdrawn.iter().map(|(_, reason)| (*reason).to_owned()).collect::<Vec<_>>());
        manual_operations::withdraw(tx, tenant, "close-of-day", now, &withdrawn).await?;
        Ok(true)
    }

    async fn transitions_write(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        on: NaiveDate,
        now: DateTime<Utc>,
        changes: &[Change],
    ) -> Result<()> {
        let moved: Vec<&Change> =
            changes.iter().filter(|change| change.status.as_str() != change.life.status).collect();
        let transitions = Rows::new()
            .with("id", moved.iter().map(|_| self.ids.next()).collect::<Vec<_>>())
            .with("subscription_id", moved.iter().map(|change| change.life.id).collect::<Vec<_>>())
            .with("from_status", moved.iter().map(|change| change.life.status.clone()).collect::<Vec<_>>())
            .with("to_status", moved.iter().map(|change| change.status.as_str().to_owned()).collect::<Vec<_>>())
            .with("cause", moved.iter().map(|change| change.cause.to_owned()).collect::<Vec<_>>())
            .with("business_on", moved.iter().map(|_| on).collect::<Vec<_>>())
            .with("operation_id", moved.iter().map(|change| change.operation).collect::<Vec<_>>());
        Ok(rows::transitions_insert(tx, tenant, now, &transitions).await?)
    }

    /// Holds a subscription stopped under `key`, whatever its term says, inside the caller's transaction.
    ///
    /// `key` names who holds it, such as a block; `false` when it is held under this key already. What was in service goes
    /// out of service from the tenant's present day on, and returns to its status when the last hold is released. What was
    /// served and is not charged yet is charged first: until then the answer is the conflict `subscription-unbilled`.
    pub async fn subscription_hold(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        subscription: SubscriptionId,
        key: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let tenant = tenant.uuid();
        let life = rows::find(tx, tenant, subscription.uuid()).await?.ok_or(ServiceError::NotFound("subscription"))?;
        if !rows::hold(tx, tenant, subscription.uuid(), key, reason, now).await? {
            return Ok(false);
        }
        let before = status(&life)?;
        let in_service = before.is_charged();
        if life.held_from.is_some() || !(in_service || before == SubscriptionStatus::Stopped) {
            return Ok(true);
        }
        let today = today(tx, tenant, now).await?;
        billed_up_to(&life, today)?;
        let mut change = Change::of(life, "held")?;
        change.status = SubscriptionStatus::Stopped;
        change.held_from = Some(before);
        change.held_on = Some(today);
        change.out_from = in_service.then_some(today);
        self.changed(tx, tenant, today, now, change).await?;
        Ok(true)
    }

    /// Releases what [`Altyn::subscription_hold`] holds under `key`, inside the caller's transaction; `false` when nothing
    /// is held under it. With the last hold the subscription returns to the status it had.
    pub async fn subscription_release(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        subscription: SubscriptionId,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let tenant = tenant.uuid();
        let life = rows::find(tx, tenant, subscription.uuid()).await?.ok_or(ServiceError::NotFound("subscription"))?;
        if !rows::unhold(tx, tenant, subscription.uuid(), key).await? {
            return Ok(false);
        }
        let Some(before) = held_from(&life)? else { return Ok(true) };
        if !rows::holds(tx, tenant, subscription.uuid()).await?.is_empty() {
            return Ok(true);
        }
        let today = today(tx, tenant, now).await?;
        let still_stopped = status(&life)? == SubscriptionStatus::Stopped;
        let mut change = Change::of(life, "released")?;
        change.held_from = None;
        change.held_on = None;
        if still_stopped && before.is_charged() {
            change = change.back(today, before);
        }
        self.changed(tx, tenant, today, now, change).await?;
        Ok(true)
    }

    /// Ends the subscriptions that are over and that no run looks at: paused ones, as a change of the kind `cancel` does,
    /// and those whose periods begin by hand; the latter are completed when their last charge is used up.
    pub(crate) async fn ended_day_close(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let now = self.clock.now();
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            let found = rows::ended(&mut tx, tenant.0, on, after, TOGETHER).await?;
            let Some(last) = found.last().map(|life| life.id) else { return Ok(()) };
            after = last;
            let (paused, by_hand): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|life| life.status == SubscriptionStatus::Paused.as_str());
            let mut changes = Vec::with_capacity(by_hand.len());
            for life in by_hand {
                let left = life.charges_left.map(|left| u32::try_from(left).unwrap_or(0));
                // An end by the same day goes first, as in a run.
                let ended = life.ends_on.is_some_and(|end| end <= life.next_charge_on);
                let (status, cause) = if !ended && is_used_up(left, life.next_charge_on, on) {
                    (SubscriptionStatus::Completed, "completed")
                } else {
                    (SubscriptionStatus::Cancelled, "ended")
                };
                changes.push(Change { status, withdraw: Some("the subscription is over"), ..Change::of(life, cause)? });
            }
            if !self.lives_write(&mut tx, tenant.0, on, now, &changes).await? {
                // Whoever changed one of them is followed at the next close.
                tracing::warn!(%on, "subscriptions were changed while their end came; they end with the next day");
                continue;
            }
            tx.commit().await?;
            for life in paused {
                let end = life.ends_on.unwrap_or(on);
                Box::pin(self.change_end(tenant, SubscriptionId(life.id), end)).await?;
            }
        }
    }

    async fn changed(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        on: NaiveDate,
        now: DateTime<Utc>,
        change: Change,
    ) -> Result<()> {
        if self.lives_write(tx, tenant, on, now, &[change]).await? { Ok(()) } else { Err(ServiceError::Stale) }
    }

    /// Where a subscription stands in its life.
    pub async fn subscription_life(&self, request: &Request, id: SubscriptionId) -> Result<SubscriptionLifeView> {
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        let life = rows::find(&mut tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("subscription"))?;
        let term = life.own_term_id.or(life.plan_term_id);
        let ladder = match term {
            None => None,
            Some(term) => service_terms::find(&mut tx, tenant, term).await?.as_ref().map(ladder).transpose()?,
        };
        let holds = rows::holds(&mut tx, tenant, id.uuid()).await?;
        let after = |from: Option<NaiveDate>, days: u32| from?.checked_add_days(chrono::Days::new(u64::from(days)));
        let status = status(&life)?;
        let stop_on = if status.is_charged() {
            ladder.and_then(|ladder| after(life.unpaid_since, ladder.grace_days))
        } else {
            None
        };
        let delete_on = ladder
            .filter(|_| status == SubscriptionStatus::Stopped)
            .and_then(|ladder| after(life.stopped_on, ladder.keep_days.saturating_sub(1)));
        Ok(SubscriptionLifeView {
            subscription_id: id,
            status,
            service_term_id: term.map(ServiceTermId),
            unpaid_since: life.unpaid_since,
            stop_on,
            stopped_on: life.stopped_on,
            delete_on,
            resumed_on: life.resumed_on,
            held_from: held_from(&life)?,
            holds: holds
                .into_iter()
                .map(|row| HoldView { key: row.hold_key, reason: row.reason, held_at: row.held_at })
                .collect(),
        })
    }

    /// A page of the changes of a subscription's status, oldest first.
    pub async fn subscription_transitions(
        &self,
        request: &Request,
        id: SubscriptionId,
        page: &Page,
    ) -> Result<Listed<TransitionView>> {
        let (limit, after) = page.bounds::<TransitionId>()?;
        let mut tx = self.read(request).await?;
        let life = rows::find(&mut tx, request.tenant.0, id.uuid()).await?;
        life.ok_or(ServiceError::NotFound("subscription"))?;
        let found = rows::transitions(&mut tx, request.tenant.0, id.uuid(), after, limit).await?;
        let views = found
            .into_iter()
            .map(|row| {
                Ok(TransitionView {
                    id: TransitionId(row.id),
                    from_status: stored("subscription_transitions.from_status", &row.from_status)?,
                    to_status: stored("subscription_transitions.to_status", &row.to_status)?,
                    cause: row.cause,
                    business_on: row.business_on,
                    operation_id: row.operation_id.map(ManualOperationId),
                    recorded_at: row.recorded_at,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.id.to_string(), |view| view))
    }
}
