//! Rows of tenants: the tree of operators and resellers.
//!
//! A tenant's `path` lists its ancestors and itself as `/<id>/<id>/`, so a subtree is one range of paths. The table
//! belongs to the platform: nothing here is hidden by row-level security, so callers check the subtree themselves.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// A tenant.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TenantRow {
    /// Its id.
    pub id: Uuid,
    /// The tenant above; none for a root.
    pub parent_id: Option<Uuid>,
    /// Ids from the root down to this tenant: `/<32 hex>/<32 hex>/`.
    pub path: String,
    /// Its name.
    pub name: String,
    /// A BCP 47 tag such as `ru-RU`.
    pub locale: String,
    /// An IANA time zone such as `Europe/Moscow`.
    pub zone: String,
    /// ISO 4217 code.
    pub currency: String,
    /// `with-confirmation` or `automatic`.
    pub run_mode: String,
    /// Local time of the daily runs, `HH:MM`.
    pub run_at: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const INSERT: &str = "insert into tenants
    (id, parent_id, path, name, locale, zone, currency, run_mode, run_at, version, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
/// Adds a tenant.
pub async fn insert(tx: &mut Tx, row: &TenantRow) -> Result<()> {
    let row = row.clone();
    let params = (
        row.id,
        row.parent_id,
        row.path,
        row.name,
        row.locale,
        row.zone,
        row.currency,
        row.run_mode,
        row.run_at,
        row.version,
        row.created_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str = "select id, parent_id, path, name, locale, zone, currency, run_mode, run_at, version, created_at
    from tenants where id = $1";
/// One tenant.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<TenantRow>> {
    tx.fetch_optional(FIND, (id,)).await
}

const LIST: &str = "select id, parent_id, path, name, locale, zone, currency, run_mode, run_at, version, created_at
    from tenants where path >= $1 and path < $2 and id > $3 order by id limit $4";
/// A page of the tenants whose path begins with `path`, by id.
pub async fn list(tx: &mut Tx, path: &str, after: Uuid, limit: i64) -> Result<Vec<TenantRow>> {
    // A path is made of hexadecimal digits and slashes, all of which sort before the tilde.
    tx.fetch_all(LIST, (path.to_owned(), format!("{path}~"), after, limit)).await
}

const BELOW: &str = "select id, parent_id, path, name, locale, zone, currency, run_mode, run_at, version, created_at
    from tenants where path > $1 and path < $2 and path > $3 order by path limit $4";
/// A page of the tenants below the one at `path`, each after the one above it; `after` is the last path seen, or empty.
pub async fn below(tx: &mut Tx, path: &str, after: &str, limit: i64) -> Result<Vec<TenantRow>> {
    tx.fetch_all(BELOW, (path.to_owned(), format!("{path}~"), after.to_owned(), limit)).await
}

const UPDATE: &str = "update tenants set name = $3, locale = $4, zone = $5, run_mode = $6, run_at = $7,
    version = version + 1 where id = $1 and version = $2";
/// Saves the settings of a tenant; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, row: &TenantRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let params = (row.id, if_match, row.name, row.locale, row.zone, row.run_mode, row.run_at);
    Ok(tx.execute(UPDATE, params).await? == 1)
}
