//! Promised payments: asked for, given, kept by money that arrives, taken back, expired.
//!
//! Owns the rows of promises together with their postings. Invariant: the ledger's account of a contract's promises is the
//! sum of its active promises after every transaction. Concurrency: each use case locks the contract's funds account
//! before it reads promises, so that two of them never decide on the same state.

use altyn_domain::{
    calendar::{instant_of, local_date, next_day},
    id::{ContractId, Id as _, PromiseId, TenantId},
    ledger::{self, About, Transaction},
    money::{Currency, Money},
    promise::{PromiseFacts, PromisePolicy, PromiseRefusal, PromiseStatus, Promised, Settlement, permit, settle},
};
use altyn_store::{Scope, Tx, credit, credit::MoneyRow, credit::PolicyRow, jobs, promises, promises::PromiseRow};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    blocks::BY_ITSELF,
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    ledger::post_all,
    page::{Listed, Page},
};

/// The kind of the job that ends a promise on its day.
pub(crate) const PROMISE_END_JOB: &str = "promise-end";

/// A promise that is asked for.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivePromise {
    /// Who promises.
    pub contract_id: ContractId,
    /// How much, minor units of the contract's currency.
    pub amount_minor: i64,
    /// The last day, local; as late as the policy allows when absent.
    pub expires_on: Option<NaiveDate>,
    /// Why it is given.
    pub comment: String,
}

/// A promised payment.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PromiseView {
    /// Its id.
    pub id: PromiseId,
    /// Who promised.
    pub contract_id: ContractId,
    /// How much, minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it stands.
    pub status: PromiseStatus,
    /// Why it was given.
    pub comment: String,
    /// The promise that a partial payment put this one in the place of.
    pub replaces_id: Option<PromiseId>,
    /// Its last day.
    pub expires_on: NaiveDate,
    /// The first instant after it.
    pub expires_at: DateTime<Utc>,
    /// What giving it cost, minor units.
    pub fee_minor: i64,
    /// When it was asked for; a promise in the place of another keeps that one's.
    pub asked_at: DateTime<Utc>,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// The credential that gave it.
    pub given_by: String,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The credential that ended it.
    pub ended_by: Option<String>,
    /// Version of the object.
    pub version: i64,
}

/// Which promises a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PromiseFilter {
    /// Only those of this contract.
    pub contract_id: Option<ContractId>,
}

fn view(row: PromiseRow) -> Result<PromiseView> {
    Ok(PromiseView {
        id: PromiseId(row.id),
        contract_id: ContractId(row.contract_id),
        amount_minor: row.amount_minor,
        currency: row.currency,
        status: stored("promises.status", &row.status)?,
        comment: row.comment,
        replaces_id: row.replaces_id.map(PromiseId),
        expires_on: row.expires_on,
        expires_at: row.expires_at,
        fee_minor: row.fee_minor,
        asked_at: row.asked_at,
        given_at: row.given_at,
        given_by: row.given_by,
        ended_at: row.ended_at,
        ended_by: row.ended_by,
        version: row.version,
    })
}

pub(crate) fn out_of_range(error: impl std::fmt::Display) -> ServiceError {
    ServiceError::Internal(error.to_string())
}

/// The promise policy of a contract: that of the most specific level that allows promises.
pub(crate) fn policy(levels: &[PolicyRow], currency: Currency) -> Option<PromisePolicy> {
    levels.iter().find_map(|level| {
        let count = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
        Some(PromisePolicy {
            most: Money::new(level.promise_most_minor?, currency),
            days: count(level.promise_days).unwrap_or(7),
            fee: Money::new(level.promise_fee_minor.unwrap_or(0), currency),
            per_month: count(level.promises_per_month),
            at_once: count(level.promises_at_once).unwrap_or(1),
        })
    })
}

fn refused(error: &PromiseRefusal) -> ServiceError {
    let message = error.to_string();
    match error {
        PromiseRefusal::NotPositive(_) | PromiseRefusal::EatenByFee { .. } => {
            ServiceError::invalid("/amount_minor", message)
        }
        PromiseRefusal::BadExpiry { .. } => ServiceError::invalid("/expires_on", message),
        PromiseRefusal::Postpaid | PromiseRefusal::NotAllowed => ServiceError::conflict("promise-not-allowed", message),
        PromiseRefusal::TooMuch { .. } => ServiceError::conflict("promise-too-much", message),
        PromiseRefusal::MonthUsedUp(_) | PromiseRefusal::TooMany(_) => {
            ServiceError::conflict("promise-too-often", message)
        }
        PromiseRefusal::Money(_) => out_of_range(message),
    }
}

/// The first instant after a local day.
fn end_of(day: NaiveDate, zone: Tz) -> Result<DateTime<Utc>> {
    Ok(instant_of(next_day(day).map_err(out_of_range)?, NaiveTime::MIN, zone))
}

/// The posting that ends a promise.
fn ending(row: &PromiseRow, on: NaiveDate, why: &str) -> Result<Transaction> {
    let id = PromiseId(row.id);
    let currency = stored("promises.currency", &row.currency)?;
    let about = About {
        source_key: format!("promise/{id}/ended"),
        effective_on: on,
        description: format!("promised payment {why}"),
    };
    ledger::promise_ended(about, ContractId(row.contract_id), Money::new(row.amount_minor, currency))
        .map_err(out_of_range)
}

/// The posting that gives a promise.
fn giving(row: &PromiseRow, on: NaiveDate) -> Result<Transaction> {
    let id = PromiseId(row.id);
    let currency = stored("promises.currency", &row.currency)?;
    let about = About {
        source_key: format!("promise/{id}/given"),
        effective_on: on,
        description: format!("promised payment until {}", row.expires_on),
    };
    ledger::promise_given(about, ContractId(row.contract_id), Money::new(row.amount_minor, currency))
        .map_err(out_of_range)
}

/// Adds a promise, its job and, on the ledger, what it allows.
async fn give(altyn: &Altyn, tx: &mut Tx, tenant: TenantId, row: &PromiseRow) -> Result<()> {
    promises::insert(tx, tenant.0, row).await?;
    let key = PromiseId(row.id).to_string();
    let job = altyn.ids.next();
    jobs::put(tx, tenant.0, job, PROMISE_END_JOB, &key, &key, row.expires_at, row.given_at).await?;
    Ok(())
}

/// Lets money that arrived on a contract consume its promises, oldest first. The contract's funds account is locked and
/// the money posted.
pub(crate) async fn consume(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    money: &MoneyRow,
    received: Money,
    by: &str,
) -> Result<()> {
    let active = promises::active_of(tx, tenant.0, money.contract_id).await?;
    if active.is_empty() {
        return Ok(());
    }
    let promised: Vec<Promised> = active
        .iter()
        .map(|row| Promised { id: PromiseId(row.id), amount: Money::new(row.amount_minor, received.currency) })
        .collect();
    let zone: Tz = stored("contracts.zone", &money.zone)?;
    let today = local_date(now, zone);
    let mut postings = Vec::new();
    for (settlement, row) in settle(&promised, received).map_err(out_of_range)?.into_iter().zip(&active) {
        let (status, rest) = match settlement {
            Settlement::Kept(_) => (PromiseStatus::Kept, None),
            Settlement::Reduced { rest, .. } => (PromiseStatus::Reduced, Some(rest)),
        };
        if !promises::end(tx, tenant.0, row.id, status.as_str(), now, by).await? {
            return Err(ServiceError::Stale);
        }
        postings.push(ending(row, today, status.as_str())?);
        if let Some(rest) = rest {
            let again = PromiseRow {
                id: altyn.ids.next(),
                amount_minor: rest.minor,
                replaces_id: Some(row.id),
                fee_minor: 0,
                given_at: now,
                given_by: by.to_owned(),
                ..row.clone()
            };
            give(altyn, tx, tenant, &again).await?;
            postings.push(giving(&again, today)?);
        }
    }
    post_all(tx, &*altyn.ids, tenant, now, &postings).await?;
    Ok(())
}

/// Takes back an active promise whose contract is locked.
async fn end(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    row: &PromiseRow,
    status: PromiseStatus,
    by: &str,
) -> Result<bool> {
    if !promises::end(tx, tenant.0, row.id, status.as_str(), now, by).await? {
        return Ok(false);
    }
    let money = money_of(tx, tenant.0, row.contract_id).await?;
    let zone: Tz = stored("contracts.zone", &money.zone)?;
    let posting = ending(row, local_date(now, zone), status.as_str())?;
    post_all(tx, &*altyn.ids, tenant, now, &[posting]).await?;
    Ok(true)
}

/// What a contract has; it is known to exist.
pub(crate) async fn money_of(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<MoneyRow> {
    credit::money(tx, tenant, contract).await?.ok_or(ServiceError::NotFound("contract"))
}

impl Altyn {
    /// Gives a promised payment: the contract may spend it at once.
    pub async fn promise_give(&self, request: &Request, command: GivePromise) -> Result<Reply<PromiseView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now, tx) = (request.tenant, work.now, &mut work.tx);
        let mut fields = Fields::default();
        fields.text("/comment", &command.comment, 500);
        let money = credit::money(tx, tenant.0, command.contract_id.uuid()).await?;
        if money.is_none() {
            fields.refuse("/contract_id", "there is no such contract");
        }
        fields.finish()?;
        let money = money.ok_or(ServiceError::NotFound("contract"))?;
        credit::lock(tx, tenant.0, vec![money.funds_account_id]).await?;
        let currency: Currency = stored("contracts.currency", &money.currency)?;
        let zone: Tz = stored("contracts.zone", &money.zone)?;
        let today = local_date(now, zone);
        let policy = policy(&credit::policies_of(tx, tenant.0, money.contract_id).await?, currency);
        let active = promises::active_of(tx, tenant.0, money.contract_id).await?;
        let month = instant_of(today.with_day(1).unwrap_or(today), NaiveTime::MIN, zone);
        let asked = promises::asked_since(tx, tenant.0, money.contract_id, month).await?;
        let active_sum = Money::sum(currency, active.iter().map(|row| Money::new(row.amount_minor, currency)));
        let facts = PromiseFacts {
            kind: stored("contracts.kind", &money.kind)?,
            today,
            active: active_sum.map_err(out_of_range)?,
            active_count: u32::try_from(active.len()).unwrap_or(u32::MAX),
            asked_this_month: u32::try_from(asked).unwrap_or(u32::MAX),
        };
        let days = policy.map_or(0, |policy| policy.days);
        let latest = today.checked_add_days(chrono::Days::new(u64::from(days))).unwrap_or(today);
        let expires_on = command.expires_on.unwrap_or(latest);
        let amount = Money::new(command.amount_minor, currency);
        permit(policy.as_ref(), &facts, amount, expires_on).map_err(|error| refused(&error))?;
        let fee = policy.map_or(Money::zero(currency), |policy| policy.fee);
        let id = self.ids.next();
        let row = PromiseRow {
            id,
            contract_id: money.contract_id,
            amount_minor: amount.minor,
            currency: money.currency.clone(),
            comment: command.comment.trim().to_owned(),
            status: PromiseStatus::Active.as_str().to_owned(),
            replaces_id: None,
            first_id: id,
            expires_on,
            expires_at: end_of(expires_on, zone)?,
            fee_minor: fee.minor,
            asked_at: now,
            given_at: now,
            given_by: request.credential.clone(),
            ended_at: None,
            ended_by: None,
            version: 1,
        };
        give(self, tx, tenant, &row).await?;
        let mut postings = vec![giving(&row, today)?];
        if !fee.is_zero() {
            let about = About {
                source_key: format!("promise/{}/fee", PromiseId(row.id)),
                effective_on: today,
                description: "fee of a promised payment".to_owned(),
            };
            postings.push(ledger::promise_fee(about, command.contract_id, fee).map_err(out_of_range)?);
        }
        post_all(tx, &*self.ids, tenant, now, &postings).await?;
        // What may be spent went up: an order may be paid, a block of the credit control may have lost its reason.
        crate::orders::money::reserve_waiting(self, tx, tenant, now, vec![money.contract_id]).await?;
        crate::funds::unblock(tx, tenant, now, vec![money.contract_id]).await?;
        let view = view(row)?;
        work.finish(201, view).await
    }

    /// Takes an active promise back.
    pub async fn promise_revoke(&self, request: &Request, id: PromiseId) -> Result<Reply<PromiseView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now) = (request.tenant, work.now);
        let row = promises::find(&mut work.tx, tenant.0, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("promise"))?;
        let money = money_of(&mut work.tx, tenant.0, row.contract_id).await?;
        credit::lock(&mut work.tx, tenant.0, vec![money.funds_account_id]).await?;
        let by = &request.credential;
        if !end(self, &mut work.tx, tenant, now, &row, PromiseStatus::Revoked, by).await? {
            return Err(ServiceError::conflict("promise-ended", "the promise has ended already; read it"));
        }
        let row = promises::find(&mut work.tx, tenant.0, id.uuid()).await?;
        let view = view(row.ok_or(ServiceError::NotFound("promise"))?)?;
        work.finish(200, view).await
    }

    /// One promise.
    pub async fn promise_get(&self, request: &Request, id: PromiseId) -> Result<PromiseView> {
        let mut tx = self.read(request).await?;
        let row = promises::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(row.ok_or(ServiceError::NotFound("promise"))?)
    }

    /// A page of promises with those that have ended, oldest first.
    pub async fn promise_list(
        &self,
        request: &Request,
        filter: PromiseFilter,
        page: &Page,
    ) -> Result<Listed<PromiseView>> {
        let (limit, after) = page.bounds::<PromiseId>()?;
        let contract = filter.contract_id.map(ContractId::uuid);
        let mut tx = self.read(request).await?;
        let rows = promises::list(&mut tx, request.tenant.0, contract, after, limit).await?;
        page.listed(rows, |row| PromiseId(row.id).to_string(), view).try_data()
    }

    /// Ends a promise whose day has passed; one that ended before stays as it is.
    pub(crate) async fn promise_expire(&self, tenant: TenantId, id: PromiseId) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if let Some(row) = promises::find(&mut tx, tenant.0, id.uuid()).await? {
            let money = money_of(&mut tx, tenant.0, row.contract_id).await?;
            credit::lock(&mut tx, tenant.0, vec![money.funds_account_id]).await?;
            let now = self.clock.now().max(row.expires_at);
            end(self, &mut tx, tenant, now, &row, PromiseStatus::Expired, BY_ITSELF).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends all promises whose day has passed at `now`, whether their jobs came or not.
    pub(crate) async fn promises_expire(&self, tenant: TenantId, now: DateTime<Utc>) -> Result<()> {
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let expired = promises::expired(&mut tx, tenant.0, now, 500).await?;
            drop(tx);
            if expired.is_empty() {
                return Ok(());
            }
            for id in expired {
                self.promise_expire(tenant, PromiseId(id)).await?;
            }
        }
    }
}
