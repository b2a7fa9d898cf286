//! Idempotency records: the answer of a request, stored in the transaction of its effect.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// Which request claims a key.
#[derive(Debug)]
pub struct Claim<'a> {
    /// The tenant acted for.
    pub tenant: Uuid,
    /// The caller's credential.
    pub credential: &'a str,
    /// Method and path.
    pub request: &'a str,
    /// The caller's key.
    pub key: &'a str,
    /// SHA-256 of the body.
    pub fingerprint: &'a [u8; 32],
}

/// A stored answer.
#[derive(Debug, sqlx::FromRow)]
pub struct Stored {
    /// SHA-256 of the body it answered.
    pub fingerprint: Vec<u8>,
    /// HTTP status.
    pub status: i32,
    /// JSON text.
    pub body: String,
}

const CLAIM: &str = "insert into idempotency
    (tenant_id, credential, request, idempotency_key, fingerprint, status, body, created_at)
    values ($1, $2, $3, $4, $5, 0, '', $6)
    on conflict (tenant_id, credential, request, idempotency_key) do nothing";
/// Claims the key; `false` when an earlier request holds it. Waits for a concurrent claim to commit or roll back.
pub async fn claim(tx: &mut Tx, claim: &Claim<'_>, now: DateTime<Utc>) -> Result<bool> {
    let params = (
        claim.tenant,
        claim.credential.to_owned(),
        claim.request.to_owned(),
        claim.key.to_owned(),
        claim.fingerprint.to_vec(),
        now,
    );
    Ok(tx.execute(CLAIM, params).await? == 1)
}

const STORED: &str = "select fingerprint, status, body from idempotency
    where tenant_id = $1 and credential = $2 and request = $3 and idempotency_key = $4";
/// The record of a claimed key.
pub async fn stored(tx: &mut Tx, claim: &Claim<'_>) -> Result<Option<Stored>> {
    let params = (claim.tenant, claim.credential.to_owned(), claim.request.to_owned(), claim.key.to_owned());
    tx.fetch_optional(STORED, params).await
}

const REMEMBER: &str = "update idempotency set status = $5, body = $6
    where tenant_id = $1 and credential = $2 and request = $3 and idempotency_key = $4";
/// Stores the answer of a claimed key.
pub async fn remember(tx: &mut Tx, claim: &Claim<'_>, status: i32, body: &str) -> Result<()> {
    let params = (
        claim.tenant,
        claim.credential.to_owned(),
        claim.request.to_owned(),
        claim.key.to_owned(),
        status,
        body.to_owned(),
    );
    tx.execute(REMEMBER, params).await.map(|_| ())
}

const ANSWERS_INSERT: &str = "insert into idempotency
    (tenant_id, credential, request, idempotency_key, fingerprint, status, body, created_at)
    select $1, v.credential, v.request, v.idempotency_key, v.fingerprint, v.status, v.body, $2 from {rows} where true
    on conflict (tenant_id, credential, request, idempotency_key) do nothing";
/// Claims keys together with their answers: columns `credential, request, idempotency_key, fingerprint, status, body`.
/// Answers how many were free; waits for concurrent claims as [`claim`] does.
pub async fn answers_insert(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, rows: &Rows) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    tx.execute_rows(ANSWERS_INSERT, (tenant, now), rows).await
}
