//! Blocks and the access check.
//!
//! Owns how blocks are set, lifted and end by themselves, and whether a subscription may be used. Refuses to know charges.
//! Invariant: at most one block of a type stands on an object; the database holds to it, and a block whose end has come is
//! lifted before another takes its place.
//!
//! A block of the type `administrative` also holds what it stands on out of service while it is active (see
//! [`crate::lives`]). What was served and is not charged yet is charged first: such a subscription is held when the day is
//! closed, as is one that was sold under a block.

use std::collections::HashSet;

use altyn_domain::{
    block::{BlockScope, BlockSource, BlockState, BlockType, Denial, Service, Span, Standing, denials},
    id::{BlockId, ContractId, Id as _, SubscriptionId, TenantId},
};
use altyn_store::{Scope, Tx, blocks, blocks::BlockRow, contracts, jobs, lives, subscriptions};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    lives::billed_up_to,
    page::{Listed, Page},
    runs::metered::zones,
};

/// The kind of the job that takes out of service what an administrative block stands on.
pub(crate) const BLOCK_HOLD_JOB: &str = "block-hold";
/// How many blocks the close of a day takes together.
const TOGETHER: i64 = 200;
/// The kind of the job that ends a block.
pub(crate) const BLOCK_END_JOB: &str = "block-end";
/// Who is named when a block ends by itself.
pub(crate) const BY_ITSELF: &str = "altyn";

/// A new block, on a contract or on a subscription.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBlock {
    /// The contract, with all its subscriptions; or leave it out and name a subscription.
    pub contract_id: Option<ContractId>,
    /// The subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// What it is for: a word of your own, or `administrative`, which takes out of service what it stands on.
    pub block_type: BlockType,
    /// Why; shown where access is denied.
    pub comment: String,
    /// The first instant without access; now when absent.
    pub starts_at: Option<DateTime<Utc>>,
    /// The instant at which it ends by itself; for ever when absent.
    pub ends_at: Option<DateTime<Utc>>,
}

/// The end of a block.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftBlock {
    /// Why.
    pub comment: String,
}

/// A block.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlockView {
    /// Its id.
    pub id: BlockId,
    /// What it stands on.
    pub scope: BlockScope,
    /// The contract, or the subscription's.
    pub contract_id: ContractId,
    /// The subscription, when it stands on one.
    pub subscription_id: Option<SubscriptionId>,
    /// What it is for.
    pub block_type: BlockType,
    /// Where it stands now.
    pub state: BlockState,
    /// Why.
    pub comment: String,
    /// Who set it.
    pub source: BlockSource,
    /// The first instant without access.
    pub starts_at: DateTime<Utc>,
    /// The instant at which it ends by itself.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was lifted.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Why it was lifted.
    pub lift_comment: Option<String>,
    /// The credential that set it.
    pub set_by: String,
    /// The credential that lifted it.
    pub lifted_by: Option<String>,
    /// Version of the object.
    pub version: i64,
    /// When it was set.
    pub created_at: DateTime<Utc>,
}

/// Which blocks a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BlockFilter {
    /// Only those on this contract and its subscriptions.
    pub contract_id: Option<ContractId>,
    /// Only those on this subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// Only those that are active or scheduled.
    pub standing: Option<bool>,
}

/// Whether a subscription may be used now.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessView {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its contract.
    pub contract_id: ContractId,
    /// Whether it may be used.
    pub allowed: bool,
    /// Every reason why not.
    pub reasons: Vec<Denial>,
    /// The instant the answer is about.
    pub checked_at: DateTime<Utc>,
}

fn span(row: &BlockRow) -> Span {
    Span { starts_at: row.starts_at, ends_at: row.ends_at, lifted_at: row.lifted_at }
}

fn view(row: BlockRow, now: DateTime<Utc>) -> Result<BlockView> {
    Ok(BlockView {
        id: BlockId(row.id),
        scope: if row.subscription_id.is_some() { BlockScope::Subscription } else { BlockScope::Contract },
        contract_id: ContractId(row.contract_id),
        subscription_id: row.subscription_id.map(SubscriptionId),
        block_type: stored("blocks.type", &row.block_type)?,
        state: span(&row).state(now),
        source: stored("blocks.source", &row.source)?,
        comment: row.comment,
        starts_at: row.starts_at,
        ends_at: row.ends_at,
        lifted_at: row.lifted_at,
        lift_comment: row.lift_comment,
        set_by: row.set_by,
        lifted_by: row.lifted_by,
        version: row.version,
        created_at: row.created_at,
    })
}

/// What a block is to stand on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    pub contract: Uuid,
    pub subscription: Option<Uuid>,
}

impl Object {
    fn id(self) -> Uuid {
        self.subscription.unwrap_or(self.contract)
    }
}

/// A block to set.
pub(crate) struct NewBlock<'a> {
    pub on: Object,
    pub block_type: &'a str,
    pub comment: &'a str,
    pub source: BlockSource,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    pub by: &'a str,
}

/// Sets a block and the job that ends it; `None` when one of its type stands.
pub(crate) async fn set(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    new: &NewBlock<'_>,
) -> Result<Option<BlockRow>> {
    if let Some(before) = blocks::standing_of_type(tx, tenant.0, new.on.id(), new.block_type).await? {
        match before.ends_at {
            // Its job is late; the block is over nevertheless.
            Some(ends_at) if ends_at <= now => {
                blocks::lift(tx, tenant.0, before.id, ends_at, BY_ITSELF, None).await?;
                altyn.block_release(tx, tenant, &before, now).await?;
            }
            _ => return Ok(None),
        }
    }
    let row = BlockRow {
        id: altyn.ids.next(),
        contract_id: new.on.contract,
        subscription_id: new.on.subscription,
        block_type: new.block_type.to_owned(),
        comment: new.comment.to_owned(),
        source: new.source.as_str().to_owned(),
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        lifted_at: None,
        lift_comment: None,
        set_by: new.by.to_owned(),
        lifted_by: None,
        version: 1,
        created_at: now,
    };
    if blocks::insert_all(tx, tenant.0, std::slice::from_ref(&row)).await? == 0 {
        return Ok(None);
    }
    if let Some(ends_at) = new.ends_at {
        let key = BlockId(row.id).to_string();
        jobs::put(tx, tenant.0, altyn.ids.next(), BLOCK_END_JOB, &key, &key, ends_at, now).await?;
    }
    if row.starts_at <= now {
        altyn.block_hold(tx, tenant, &row, now).await?;
    } else if row.block_type == BlockType::ADMINISTRATIVE {
        let key = BlockId(row.id).to_string();
        jobs::put(tx, tenant.0, altyn.ids.next(), BLOCK_HOLD_JOB, &key, &key, row.starts_at, now).await?;
    }
    Ok(Some(row))
}

impl Altyn {
    /// Blocks a contract or a subscription, now or from an instant on.
    pub async fn block_set(&self, request: &Request, command: SetBlock) -> Result<Reply<BlockView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let mut fields = Fields::default();
        fields.text("/comment", &command.comment, 500);
        let starts_at = command.starts_at.unwrap_or(work.now).max(work.now);
        if command.ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
            fields.refuse("/ends_at", "must be after the start and ahead; leave it out for a block without end");
        }
        let on = match (command.contract_id, command.subscription_id) {
            (Some(contract), None) => {
                let found = contracts::find(&mut work.tx, tenant, contract.uuid()).await?;
                if found.is_none() {
                    fields.refuse("/contract_id", "there is no such contract");
                }
                Object { contract: contract.uuid(), subscription: None }
            }
            (None, Some(subscription)) => {
                let found = subscriptions::find(&mut work.tx, tenant, subscription.uuid()).await?;
                if found.is_none() {
                    fields.refuse("/subscription_id", "there is no such subscription");
                }
                let contract = found.map_or(Uuid::nil(), |row| row.contract_id);
                Object { contract, subscription: Some(subscription.uuid()) }
            }
            _ => {
                fields.refuse("/contract_id", "name either contract_id or subscription_id");
                Object { contract: Uuid::nil(), subscription: None }
            }
        };
        fields.finish()?;
        let new = NewBlock {
            on,
            block_type: command.block_type.as_str(),
            comment: command.comment.trim(),
            source: BlockSource::Manual,
            starts_at,
            ends_at: command.ends_at,
            by: &request.credential,
        };
        let row = set(self, &mut work.tx, request.tenant, work.now, &new).await?.ok_or_else(|| {
            let message = format!("a block of type {} stands on it already; lift that one first", command.block_type);
            ServiceError::conflict("block-stands", message)
        })?;
        let view = view(row, work.now)?;
        work.finish(201, view).await
    }

    /// Lifts a block, or takes one back that has not begun; its row stays.
    pub async fn block_lift(&self, request: &Request, id: BlockId, command: LiftBlock) -> Result<Reply<BlockView>> {
        let mut fields = Fields::default();
        fields.text("/comment", &command.comment, 500);
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = blocks::find(&mut work.tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("block"))?;
        let comment = Some(command.comment.trim());
        let over = row.ends_at.is_some_and(|ends_at| ends_at <= work.now);
        let by = &request.credential;
        if over || !blocks::lift(&mut work.tx, tenant, row.id, work.now, by, comment).await? {
            return Err(ServiceError::conflict("block-ended", "the block has ended already; there is nothing to lift"));
        }
        self.block_release(&mut work.tx, request.tenant, &row, work.now).await?;
        let row = blocks::find(&mut work.tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("block"))?;
        let view = view(row, work.now)?;
        work.finish(200, view).await
    }

    /// One block.
    pub async fn block_get(&self, request: &Request, id: BlockId) -> Result<BlockView> {
        let mut tx = self.read(request).await?;
        let row = blocks::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(row.ok_or(ServiceError::NotFound("block"))?, self.clock.now())
    }

    /// A page of blocks with their history, oldest first.
    pub async fn block_list(&self, request: &Request, filter: BlockFilter, page: &Page) -> Result<Listed<BlockView>> {
        let (limit, after) = page.bounds::<BlockId>()?;
        let (tenant, now) = (request.tenant.0, self.clock.now());
        let mut tx = self.read(request).await?;
        let wanted = match (filter.contract_id, filter.subscription_id) {
            (None, None) => blocks::Filter::All,
            (Some(contract), None) => blocks::Filter::Contract(contract.uuid()),
            (contract, Some(subscription)) => {
                let row = subscriptions::find(&mut tx, tenant, subscription.uuid()).await?;
                let of = row.ok_or(ServiceError::NotFound("subscription"))?.contract_id;
                if contract.is_some_and(|contract| contract.uuid() != of) {
                    return Err(ServiceError::invalid("/contract_id", "the subscription belongs to another contract"));
                }
                blocks::Filter::Subscription(of, subscription.uuid())
            }
        };
        let standing_at = filter.standing.unwrap_or(false).then_some(now);
        let rows = blocks::list(&mut tx, tenant, wanted, standing_at, after, limit).await?;
        page.listed(rows, |row| BlockId(row.id).to_string(), |row| view(row, now)).try_data()
    }

    /// Whether a subscription may be used now, and every reason why not.
    pub async fn subscription_access(&self, request: &Request, id: SubscriptionId) -> Result<AccessView> {
        let (tenant, now) = (request.tenant.0, self.clock.now());
        let mut tx = self.read(request).await?;
        let row = subscriptions::find(&mut tx, tenant, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("subscription"))?;
        let contract = contracts::find(&mut tx, tenant, row.contract_id).await?;
        let contract = contract.ok_or(ServiceError::NotFound("contract"))?.contract;
        let zones = zones(&contract.zone, row.former_zone.as_ref(), row.former_zone_until)?;
        let today = zones.day_of(now);
        let out = lives::out_on(&mut tx, tenant, row.id, today).await?;
        let standing = blocks::standing_on(&mut tx, tenant, row.contract_id, row.id, now).await?;
        let standing = standing.into_iter().map(|block| {
            Ok(Standing {
                id: BlockId(block.id),
                scope: if block.subscription_id.is_some() { BlockScope::Subscription } else { BlockScope::Contract },
                block_type: stored("blocks.type", &block.block_type)?,
                span: span(&block),
                comment: block.comment,
            })
        });
        let standing = standing.collect::<Result<Vec<_>>>()?;
        // What was taken over from other books is in service there until its first charge here.
        let taken_over = row.once_due == 0 && row.next_charge_on == row.starts_on;
        // After its last charge it ends where the next period would begin.
        let last = row.charges_left.filter(|left| *left == 0).map(|_| row.next_charge_on);
        let service = Service {
            status: stored("subscriptions.status", &row.status)?,
            starts_on: if taken_over { row.starts_on.min(today) } else { row.starts_on },
            ends_on: row.ends_on.into_iter().chain(last).min(),
            waits_from: row.waits_from.or(out.map(|out| out.from_on)),
        };
        let reasons = denials(service, &standing, now, today);
        Ok(AccessView {
            subscription_id: id,
            contract_id: ContractId(row.contract_id),
            allowed: reasons.is_empty(),
            reasons,
            checked_at: now,
        })
    }

    /// Ends a block whose end has come; the job of one that was lifted before does nothing.
    pub(crate) async fn block_end(&self, tenant: TenantId, payload: &str) -> Result<()> {
        let id: BlockId = stored("jobs.payload", payload)?;
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if let Some(row) = blocks::find(&mut tx, tenant.0, id.uuid()).await?
            && let (Some(ends_at), None) = (row.ends_at, row.lifted_at)
        {
            blocks::lift(&mut tx, tenant.0, row.id, ends_at, BY_ITSELF, None).await?;
            self.block_release(&mut tx, tenant, &row, self.clock.now()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Takes out of service what an active administrative block stands on, as far as what was served is charged.
    async fn block_hold(&self, tx: &mut Tx, tenant: TenantId, row: &BlockRow, now: DateTime<Utc>) -> Result<()> {
        if row.block_type != BlockType::ADMINISTRATIVE || span(row).state(now) != BlockState::Active {
            return Ok(());
        }
        let today = crate::lives::today(tx, tenant.0, now).await?;
        let key = BlockId(row.id).to_string();
        let held: HashSet<Uuid> = lives::held_under(tx, tenant.0, &key).await?.into_iter().collect();
        for life in lives::of_contracts(tx, tenant.0, &[row.contract_id]).await? {
            let meant = row.subscription_id.is_none_or(|subscription| subscription == life.id);
            if meant && !held.contains(&life.id) && billed_up_to(&life, today).is_ok() {
                self.subscription_hold(tx, tenant, SubscriptionId(life.id), &key, &row.comment, now).await?;
            }
        }
        Ok(())
    }

    /// Returns to service what a block held.
    async fn block_release(&self, tx: &mut Tx, tenant: TenantId, row: &BlockRow, now: DateTime<Utc>) -> Result<()> {
        if row.block_type != BlockType::ADMINISTRATIVE {
            return Ok(());
        }
        let key = BlockId(row.id).to_string();
        for subscription in lives::held_under(tx, tenant.0, &key).await? {
            self.subscription_release(tx, tenant, SubscriptionId(subscription), &key, now).await?;
        }
        Ok(())
    }

    /// Takes out of service what a block stands on that begins now; the job of one that was lifted before does nothing.
    pub(crate) async fn block_begin(&self, tenant: TenantId, payload: &str) -> Result<()> {
        let id: BlockId = stored("jobs.payload", payload)?;
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if let Some(row) = blocks::find(&mut tx, tenant.0, id.uuid()).await? {
            self.block_hold(&mut tx, tenant, &row, self.clock.now()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Takes out of service, at the close of a day, what administrative blocks stand on and what was not charged before.
    pub(crate) async fn blocks_day_close(&self, tenant: TenantId) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let now = self.clock.now();
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            let administrative = BlockType::ADMINISTRATIVE;
            let found = blocks::active_of_type(&mut tx, tenant.0, administrative, now, after, TOGETHER).await?;
            let Some(last) = found.last().map(|row| row.id) else { return Ok(()) };
            after = last;
            for row in &found {
                self.block_hold(&mut tx, tenant, row, now).await?;
            }
            tx.commit().await?;
        }
    }
}
