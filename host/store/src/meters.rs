//! Rows of meters: what use is counted by.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// A meter.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MeterRow {
    /// Its id.
    pub id: Uuid,
    /// Its code, unique within the tenant; events name it.
    pub code: String,
    /// Its name.
    pub title: String,
    /// What one unit is.
    pub unit: String,
    /// How events become one figure.
    pub aggregation: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const INSERT: &str = "insert into meters (tenant_id, id, code, title, unit, aggregation, version, created_at)
    values ($1, $2, $3, $4, $5, $6, 1, $7)";
/// Adds a meter in its first version.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &MeterRow) -> Result<()> {
    let row = row.clone();
    let params = (tenant, row.id, row.code, row.title, row.unit, row.aggregation, row.created_at);
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str = "select id, code, title, unit, aggregation, version, created_at from meters
    where tenant_id = $1 and id = $2";
/// One meter.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<MeterRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const BY_ID: &str = "select m.id, m.code, m.title, m.unit, m.aggregation, m.version, m.created_at from {rows}
    join meters m on m.tenant_id = $1 and m.id = {key}v.id";
/// The meters with these ids; missing ones are absent.
pub async fn by_id(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<Vec<MeterRow>> {
    tx.fetch_rows(BY_ID, (tenant,), &Rows::new().with("id", ids)).await
}

const BY_CODE: &str = "select m.id, m.code, m.title, m.unit, m.aggregation, m.version, m.created_at from {rows}
    join meters m on m.tenant_id = $1 and m.code = v.code";
/// The meters with these codes; missing ones are absent.
pub async fn by_code(tx: &mut Tx, tenant: Uuid, codes: Vec<String>) -> Result<Vec<MeterRow>> {
    tx.fetch_rows(BY_CODE, (tenant,), &Rows::new().with("code", codes)).await
}

const LIST: &str = "select id, code, title, unit, aggregation, version, created_at from meters
    where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of meters, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<MeterRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const UPDATE: &str = "update meters set title = $4, unit = $5, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a meter's name and unit; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &MeterRow, if_match: i64) -> Result<bool> {
    let params = (tenant, row.id, if_match, row.title.clone(), row.unit.clone());
    Ok(tx.execute(UPDATE, params).await? == 1)
}
