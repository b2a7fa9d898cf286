//! Rows of API keys: only the hash of a key is ever stored.
//!
//! The table belongs to the platform, because a key is looked up before its tenant is known.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// An API key without its secret.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: Uuid,
    /// The tenant it acts for.
    pub tenant_id: Uuid,
    /// What it is for.
    pub name: String,
    /// The first characters of the key, to recognise it by.
    pub prefix: String,
    /// SHA-256 of the key.
    pub hash: Vec<u8>,
    /// `admin`, `operator` or `read-only`.
    pub role: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From when it is refused; none for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

const INSERT: &str = "insert into api_keys
    (id, tenant_id, name, prefix, hash, role, created_at, expires_at, revoked_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// Adds a key.
pub async fn insert(tx: &mut Tx, row: &ApiKeyRow) -> Result<()> {
    let row = row.clone();
    let params = (
        row.id,
        row.tenant_id,
        row.name,
        row.prefix,
        row.hash,
        row.role,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str = "select id, tenant_id, name, prefix, hash, role, created_at, expires_at, revoked_at
    from api_keys where tenant_id = $1 and id = $2";
/// One key of a tenant.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ApiKeyRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const FIND_BY_HASH: &str = "select id, tenant_id, name, prefix, hash, role, created_at, expires_at, revoked_at
    from api_keys where hash = $1";
/// The key with this hash, whoever owns it.
pub async fn find_by_hash(tx: &mut Tx, hash: [u8; 32]) -> Result<Option<ApiKeyRow>> {
    tx.fetch_optional(FIND_BY_HASH, (hash.to_vec(),)).await
}

const LIST: &str = "select id, tenant_id, name, prefix, hash, role, created_at, expires_at, revoked_at
    from api_keys where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of a tenant's keys, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<ApiKeyRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const REVOKE: &str = "update api_keys set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null";
/// Revokes a key; a revoked key keeps its first date.
pub async fn revoke(tx: &mut Tx, tenant: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(REVOKE, (tenant, id, now)).await? == 1)
}
