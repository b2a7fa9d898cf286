//! The close of a day: what becomes of the subscriptions that are unpaid at its end.
//!
//! Owns going over the contracts that owe, chunk by chunk, once the day's billing run is done. What is unpaid follows from the
//! ledger and the charges as they stand when the chunk is decided: money that came after midnight is money that came. The
//! decision is the domain's. Invariants: a chunk's changes, operations and checkpoint are one transaction, so a close that
//! stops anywhere goes on behind the last contract that was closed; closing a closed day again changes nothing; once a later
//! day is being closed, an earlier one is not decided any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use altyn_domain::{
    calendar::next_day,
    id::{ContractId, Id as _, SubscriptionId, TenantId},
    subscription::SubscriptionStatus,
    terms::{ContractCharge, ContractMoney, Ladder, Step, step, uncovered},
};
use altyn_store::{
    Rows, Scope, StoreError, Tx, jobs,
    lives::{self as rows, Closed, LifeRow, OwingRow},
    manual_operations, service_terms,
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{Change, facts};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    service_terms::ladder,
};

/// The kind of job that closes a day.
pub const CLOSE_JOB: &str = "close-of-day";
/// How often a chunk is decided again when others keep changing what it read.
const ATTEMPTS: u32 = 8;

/// The day that a job closes.
pub(crate) fn day_of_job(payload: &str) -> Result<NaiveDate> {
    #[derive(Deserialize)]
    struct Payload {
        business_on: NaiveDate,
    }
    let payload: Payload =
        serde_json::from_str(payload).map_err(|error| StoreError::Corrupt("jobs.payload", error.to_string()))?;
    Ok(payload.business_on)
}

/// An operation that a person has to decide.
struct Asked {
    kind: &'static str,
    life: LifeRow,
    term: Uuid,
    since: NaiveDate,
}

/// What one chunk comes to.
#[derive(Default)]
struct Decided {
    changes: Vec<Change>,
    asked: Vec<Asked>,
    closed: Closed,
}

/// What decisions about some contracts need.
struct Facts {
    lives: Vec<LifeRow>,
    terms: HashMap<Uuid, Ladder>,
    money: HashMap<Uuid, ContractMoney>,
    charges: HashMap<Uuid, Vec<ContractCharge>>,
}

impl Altyn {
    /// Puts the job that closes a day behind the run that billed it; a tenant without terms has nothing to close.
    pub(crate) async fn close_put(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        on: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if service_terms::any(tx, tenant.uuid()).await? {
            let payload = serde_json::json!({ "business_on": on }).to_string();
            rows::close_open(tx, tenant.uuid(), on, now).await?;
            jobs::put(tx, tenant.uuid(), self.ids.next(), CLOSE_JOB, &on.to_string(), &payload, now, now).await?;
        }
        Ok(())
    }

    /// Closes a day for the subscriptions that live by a term, from its checkpoint on.
    pub async fn subscriptions_close(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let mut attempts = 0;
        loop {
            match self.close_chunk(tenant.uuid(), on).await? {
                Some(true) => return Ok(()),
                Some(false) => attempts = 0,
                None => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(ServiceError::conflict(
                            "busy",
                            "others keep changing the subscriptions of this day; it is closed later",
                        ));
                    }
                }
            }
        }
    }

    /// Closes the next chunk; whether the day is closed, or none when something moved and nothing was written.
    async fn close_chunk(&self, tenant: Uuid, on: NaiveDate) -> Result<Option<bool>> {
        let now = self.clock.now();
        let mut tx = self.db.write(Scope::Tenant(tenant)).await?;
        rows::close_open(&mut tx, tenant, on, now).await?;
        let close = rows::close_find(&mut tx, tenant, on).await?;
        let close = close.ok_or_else(|| ServiceError::Internal("the close of a day vanished".into()))?;
        if close.finished_at.is_some() {
            return Ok(Some(true));
        }
        let limit = i64::from(self.settings.run_chunk.clamp(1, 1_000));
        let overtaken = rows::closed_later(&mut tx, tenant, on).await?;
        let owing = if overtaken { Vec::new() } else { rows::owing(&mut tx, tenant, close.cursor, limit).await? };
        let Some(last) = owing.last().map(|row| row.id) else {
            let finished = rows::close_finish(&mut tx, tenant, on, close.cursor, now).await?;
            tx.commit().await?;
            return Ok(finished.then_some(true));
        };
        tx.prefer_indexes().await?;
        let facts = collect(&mut tx, tenant, &owing).await?;
        let mut decided = decide(facts, on)?;
        decided.closed.requested = self.ask(&mut tx, tenant, on, now, &decided.asked).await?;
        decided.closed.contracts = i64::try_from(owing.len()).unwrap_or(i64::MAX);
        let moved = rows::close_move(&mut tx, tenant, on, (close.cursor, last), decided.closed).await?
            && self.lives_write(&mut tx, tenant, on, now, &decided.changes).await?;
        if !moved {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(false))
    }

    /// Asks for operations that were not asked for before; answers how many.
    async fn ask(&self, tx: &mut Tx, tenant: Uuid, on: NaiveDate, now: DateTime<Utc>, asked: &[Asked]) -> Result<i64> {
        let rows = Rows::new()
            .with("id", asked.iter().map(|_| self.ids.next()).collect::<Vec<_>>())
            .with("kind", asked.iter().map(|asked| asked.kind.to_owned()).collect::<Vec<_>>())
            .with("subscription_id", asked.iter().map(|asked| asked.life.id).collect::<Vec<_>>())
            .with("contract_id", asked.iter().map(|asked| asked.life.contract_id).collect::<Vec<_>>())
            .with("service_term_id", asked.iter().map(|asked| asked.term).collect::<Vec<_>>())
            .with("since_on", asked.iter().map(|asked| asked.since).collect::<Vec<_>>());
        Ok(i64::try_from(manual_operations::insert_all(tx, tenant, on, now, &rows).await?).unwrap_or(i64::MAX))
    }

    /// Puts the paid subscriptions of a contract in service again at once, inside the transaction that posts the payment;
    /// without it the close of the day does. Answers how many returned.
    pub async fn contract_returns(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        contract: ContractId,
        now: DateTime<Utc>,
    ) -> Result<usize> {
        let tenant = tenant.uuid();
        let Some(owing) = rows::owing_one(tx, tenant, contract.uuid()).await? else {
            return Err(ServiceError::NotFound("contract"));
        };
        let today = super::today(tx, tenant, now).await?;
        let facts = collect(tx, tenant, &[owing]).await?;
        let mut changes = Vec::new();
        for life in &facts.lives {
            if decision(&facts, life, today)? == Step::Return {
                changes.push(returned(life.clone(), today)?);
            }
        }
        if changes.is_empty() || self.lives_write(tx, tenant, today, now, &changes).await? {
            return Ok(changes.len());
        }
        Err(ServiceError::conflict("busy", "somebody changes the contract's subscriptions; try again"))
    }

    /// Since when a subscription is unpaid on a day, by the money and the charges as they stand.
    pub(crate) async fn unpaid_now(&self, tx: &mut Tx, tenant: Uuid, life: &LifeRow) -> Result<bool> {
        let Some(owing) = rows::owing_one(tx, tenant, life.contract_id).await? else { return Ok(false) };
        let facts = collect(tx, tenant, &[owing]).await?;
        Ok(oldest_uncovered(&facts, life).is_some())
    }
}

/// Loads what decisions about contracts need.
async fn collect(tx: &mut Tx, tenant: Uuid, owing: &[OwingRow]) -> Result<Facts> {
    let contracts: Vec<Uuid> = owing.iter().map(|row| row.id).collect();
    let lives = rows::of_contracts(tx, tenant, &contracts).await?;
    let wanted: BTreeSet<Uuid> = lives.iter().filter_map(|life| life.own_term_id.or(life.plan_term_id)).collect();
    let mut terms = HashMap::new();
    for id in wanted {
        if let Some(row) = service_terms::find(tx, tenant, id).await? {
            terms.insert(id, ladder(&row)?);
        }
    }
    let mut money = HashMap::new();
    let mut shortfalls = Vec::new();
    for row in owing {
        let of = ContractMoney { available_minor: row.available_minor, promised_minor: row.promised_minor };
        let shortfall = of.shortfall_minor(false);
        if shortfall > 0 {
            shortfalls.push((row.id, shortfall));
        }
        money.insert(row.id, of);
    }
    let mut charges: HashMap<Uuid, Vec<ContractCharge>> = HashMap::new();
    for row in rows::newest_charges(tx, tenant, &shortfalls).await? {
        charges.entry(row.contract_id).or_default().push(ContractCharge {
            subscription: SubscriptionId(row.subscription_id),
            charged_on: row.charged_on,
            gross_minor: row.gross_minor,
        });
    }
    Ok(Facts { lives, terms, money, charges })
}

fn ladder_of<'a>(facts: &'a Facts, life: &LifeRow) -> Option<(Uuid, &'a Ladder)> {
    let id = life.own_term_id.or(life.plan_term_id)?;
    Some((id, facts.terms.get(&id)?))
}

/// The charge date of the subscription's oldest charge that money does not cover.
fn oldest_uncovered(facts: &Facts, life: &LifeRow) -> Option<NaiveDate> {
    let promises_count = ladder_of(facts, life).is_some_and(|(_, ladder)| ladder.payable_by_promise);
    let shortfall = facts.money.get(&life.contract_id)?.shortfall_minor(promises_count);
    let charges = facts.charges.get(&life.contract_id).map_or(&[][..], Vec::as_slice);
    let found: BTreeMap<SubscriptionId, NaiveDate> = uncovered(charges, shortfall);
    found.get(&SubscriptionId(life.id)).copied()
}

fn decision(facts: &Facts, life: &LifeRow, on: NaiveDate) -> Result<Step> {
    let of = super::facts(life)?;
    let oldest = oldest_uncovered(facts, life);
    let Some((_, ladder)) = ladder_of(facts, life) else {
        // Its term was taken away: nothing stops it any more, and what was stopped waits for its money.
        let back = match of.status {
            SubscriptionStatus::Grace => true,
            SubscriptionStatus::Stopped => of.stopped_on.is_some() && oldest.is_none(),
            _ => false,
        };
        return Ok(if back && !of.held { Step::Return } else { Step::Keep });
    };
    let step = step(ladder, &of, oldest, on).map_err(|error| ServiceError::Internal(error.to_string()))?;
    // A rejected or parked plan left periods of it uncharged. Stopped now it would never be charged for them: what passes
    // until the return is passed over. It stays in grace until its billing has caught up.
    let behind = life.manual == 0 && life.next_charge_on <= on;
    Ok(match step {
        Step::Stop { since } | Step::AskToStop { since } if behind => Step::Grace { since },
        step => step,
    })
}

/// Back in service from a day on, with everything paid.
fn returned(life: LifeRow, from: NaiveDate) -> Result<Change> {
    let was_stopped = facts(&life)?.status == SubscriptionStatus::Stopped;
    let mut change = Change::of(life, "paid")?;
    change.status = SubscriptionStatus::Active;
    if was_stopped {
        change = change.back(from, SubscriptionStatus::Active);
    }
    change.unpaid_since = None;
    change.stopped_on = None;
    change.withdraw = Some("it was paid");
    Ok(change)
}

/// Decides the subscriptions of a chunk at the close of a day.
fn decide(facts: Facts, on: NaiveDate) -> Result<Decided> {
    let mut decided = Decided::default();
    let tomorrow = next_day(on).map_err(|error| ServiceError::Internal(error.to_string()))?;
    let steps = facts
        .lives
        .iter()
        .map(|life| Ok((decision(&facts, life, on)?, ladder_of(&facts, life).map(|(id, _)| id))))
        .collect::<Result<Vec<_>>>()?;
    for (life, (step, term)) in facts.lives.into_iter().zip(steps) {
        match step {
            Step::Keep => {}
            Step::Grace { since } => grace(&mut decided, life, since)?,
            Step::AskToStop { since } => {
                if let Some(term) = term {
                    decided.asked.push(Asked { kind: "stop", life: life.clone(), term, since });
                }
                grace(&mut decided, life, since)?;
            }
            Step::Stop { since } => {
                let mut change = Change::of(life, "unpaid")?;
                change.status = SubscriptionStatus::Stopped;
                change.unpaid_since = Some(since);
                change.stopped_on = Some(tomorrow);
                change.out_from = Some(tomorrow);
                change.withdraw = Some("it was stopped by itself");
                decided.closed.stopped += 1;
                decided.changes.push(change);
            }
            Step::Return => {
                decided.closed.returned += 1;
                decided.changes.push(returned(life, tomorrow)?);
            }
            Step::Delete => {
                let mut change = Change::of(life, "kept-long-enough")?;
                change.status = SubscriptionStatus::Deleted;
                change.withdraw = Some("it was deleted by itself");
                decided.closed.deleted += 1;
                decided.changes.push(change);
            }
            Step::AskToDelete { since } => {
                if let Some(term) = term {
                    decided.asked.push(Asked { kind: "delete", life, term, since });
                }
            }
            Step::Cancel => {
                let mut change = Change::of(life, "ended")?;
                change.status = SubscriptionStatus::Cancelled;
                change.unpaid_since = None;
                change.stopped_on = None;
                change.withdraw = Some("its end came");
                decided.changes.push(change);
            }
        }
    }
    Ok(decided)
}

/// Into grace, or on in it; what stands so already is not written again.
fn grace(decided: &mut Decided, life: LifeRow, since: NaiveDate) -> Result<()> {
    let mut change = Change::of(life, "unpaid")?;
    if change.status == SubscriptionStatus::Grace && change.unpaid_since == Some(since) {
        return Ok(());
    }
    if change.status != SubscriptionStatus::Grace {
        decided.closed.graced += 1;
    }
    change.status = SubscriptionStatus::Grace;
    change.unpaid_since = Some(since);
    decided.changes.push(change);
    Ok(())
}
