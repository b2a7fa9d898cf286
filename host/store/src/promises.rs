//! Rows of promised payments.
//!
//! A promise ends once and keeps its row; what is active stands on the ledger's account of the contract's promises too, in
//! the same transaction.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// A promise.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PromiseRow {
    /// Its id.
    pub id: Uuid,
    /// Who promised.
    pub contract_id: Uuid,
    /// What is promised, minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Why it was given.
    pub comment: String,
    /// `active`, `kept`, `reduced`, `revoked` or `expired`.
    pub status: String,
    /// The promise that a partial payment put this one in the place of.
    pub replaces_id: Option<Uuid>,
    /// The promise that was asked for, itself unless it replaces another; the older of two promises has the smaller.
    pub first_id: Uuid,
    /// Its last day.
    pub expires_on: NaiveDate,
    /// The first instant after it.
    pub expires_at: DateTime<Utc>,
    /// What granting it cost, minor units.
    pub fee_minor: i64,
    /// When it was first asked for; a promise in the place of another keeps that one's.
    pub asked_at: DateTime<Utc>,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// Who gave it.
    pub given_by: String,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// 1 while it is active, 2 once it has ended.
    pub version: i64,
}

const INSERT: &str = "insert into promises (tenant_id, id, contract_id, amount_minor, currency, comment, status,
        replaces_id, first_id, expires_on, expires_at, fee_minor, asked_at, given_at, given_by, ended_at, ended_by, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, null, null, 1)";
/// Adds an active promise.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &PromiseRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.contract_id,
        row.amount_minor,
        row.currency,
        row.comment,
        row.status,
        row.replaces_id,
        row.first_id,
        row.expires_on,
        row.expires_at,
        row.fee_minor,
        row.asked_at,
        row.given_at,
        row.given_by,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str =
    "select id, contract_id, amount_minor, currency, comment, status, replaces_id, first_id, expires_on, expires_at,
        fee_minor, asked_at, given_at, given_by, ended_at, ended_by, version
    from promises where tenant_id = $1 and id = $2";
/// One promise.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<PromiseRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, contract_id, amount_minor, currency, comment, status, replaces_id, first_id, expires_on, expires_at,
        fee_minor, asked_at, given_at, given_by, ended_at, ended_by, version
    from promises where tenant_id = $1 and id > $2 order by id limit $3";
const LIST_BY_CONTRACT: &str =
    "select id, contract_id, amount_minor, currency, comment, status, replaces_id, first_id, expires_on, expires_at,
        fee_minor, asked_at, given_at, given_by, ended_at, ended_by, version
    from promises where tenant_id = $1 and contract_id = $4 and id > $2 order by id limit $3";
/// A page of promises by id, of one contract when it is named.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PromiseRow>> {
    match contract {
        None => tx.fetch_all(LIST, (tenant, after, limit)).await,
        Some(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, contract)).await,
    }
}

const ACTIVE_OF: &str =
    "select id, contract_id, amount_minor, currency, comment, status, replaces_id, first_id, expires_on, expires_at,
        fee_minor, asked_at, given_at, given_by, ended_at, ended_by, version
    from promises where tenant_id = $1 and contract_id = $2 and status = 'active' order by asked_at, first_id limit 1000";
/// The active promises of a contract, the oldest first.
pub async fn active_of(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Vec<PromiseRow>> {
    tx.fetch_all(ACTIVE_OF, (tenant, contract)).await
}

const ASKED_SINCE: &str = "select count(*) from promises
    where tenant_id = $1 and contract_id = $2 and replaces_id is null and asked_at >= $3";
/// How many promises a contract asked for since an instant.
pub async fn asked_since(tx: &mut Tx, tenant: Uuid, contract: Uuid, since: DateTime<Utc>) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(ASKED_SINCE, (tenant, contract, since)).await?.0)
}

const EXPIRED: &str = "select id from promises where tenant_id = $1 and status = 'active' and expires_at <= $2
    order by expires_at, id limit $3";
/// Active promises whose day has passed.
pub async fn expired(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    Ok(tx.fetch_all::<(Uuid,)>(EXPIRED, (tenant, now, limit)).await?.into_iter().map(|row| row.0).collect())
}

const END: &str = "update promises set status = $3, ended_at = $4, ended_by = $5, version = version + 1
    where tenant_id = $1 and id = $2 and status = 'active'";
/// Ends a promise; `false` when it has ended already.
pub async fn end(tx: &mut Tx, tenant: Uuid, id: Uuid, status: &str, at: DateTime<Utc>, by: &str) -> Result<bool> {
    Ok(tx.execute(END, (tenant, id, status.to_owned(), at, by.to_owned())).await? == 1)
}
