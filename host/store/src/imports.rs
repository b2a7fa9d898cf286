//! Rows of imports: what a file brought, and which of its rows were refused. Errors are only ever added.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// An import.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ImportRow {
    /// Its id.
    pub id: Uuid,
    /// `plans`, `customers`, `contracts` or `subscriptions`.
    pub kind: String,
    /// Name of the file.
    pub file_name: String,
    /// SHA-256 of the file.
    pub file_digest: Vec<u8>,
    /// `done` or `dry-run`.
    pub state: String,
    /// How many rows the file has, without its header.
    pub rows_read: i64,
    /// How many became objects.
    pub rows_created: i64,
    /// How many existed already.
    pub rows_unchanged: i64,
    /// How many were refused.
    pub rows_refused: i64,
    /// When the import began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// One problem of one row.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ImportErrorRow {
    /// Its place among the import's problems, from 0.
    pub position: i32,
    /// The line of the file, from 1.
    pub row_number: i64,
    /// Header of the column.
    pub column_name: String,
    /// Stable code.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

const INSERT: &str = "insert into imports (tenant_id, id, kind, file_name, file_digest, state, rows_read, rows_created,
        rows_unchanged, rows_refused, created_at, finished_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
/// Adds an import.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &ImportRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.kind,
        row.file_name,
        row.file_digest,
        row.state,
        row.rows_read,
        row.rows_created,
        row.rows_unchanged,
        row.rows_refused,
        row.created_at,
        row.finished_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const ERRORS_INSERT: &str =
    "insert into import_errors (tenant_id, import_id, position, row_number, column_name, code, message)
    select $1, $2, v.position, v.row_number, v.column_name, v.code, v.message from {rows}";
/// Adds problems of an import.
pub async fn errors_insert(tx: &mut Tx, tenant: Uuid, import: Uuid, errors: &[ImportErrorRow]) -> Result<()> {
    let rows = Rows::new()
        .with("position", column(errors, |row| row.position))
        .with("row_number", column(errors, |row| row.row_number))
        .with("column_name", column(errors, |row| row.column_name.clone()))
        .with("code", column(errors, |row| row.code.clone()))
        .with("message", column(errors, |row| row.message.clone()));
    tx.execute_rows(ERRORS_INSERT, (tenant, import), &rows).await.map(|_| ())
}

const FIND: &str =
    "select id, kind, file_name, file_digest, state, rows_read, rows_created, rows_unchanged, rows_refused,
        created_at, finished_at
    from imports where tenant_id = $1 and id = $2";
/// One import.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ImportRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, kind, file_name, file_digest, state, rows_read, rows_created, rows_unchanged, rows_refused,
        created_at, finished_at
    from imports where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of imports, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<ImportRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const ERRORS: &str = "select position, row_number, column_name, code, message from import_errors
    where tenant_id = $1 and import_id = $2 and position > $3 order by position limit $4";
/// A page of an import's problems, by position; -1 begins.
pub async fn errors(tx: &mut Tx, tenant: Uuid, import: Uuid, after: i32, limit: i64) -> Result<Vec<ImportErrorRow>> {
    tx.fetch_all(ERRORS, (tenant, import, after, limit)).await
}
