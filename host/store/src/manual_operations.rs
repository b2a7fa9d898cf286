//! Rows of manual operations: what waits for a person to approve or reject, kept for ever.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// A manual operation.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ManualOperationRow {
    /// Its id.
    pub id: Uuid,
    /// `stop` or `delete`.
    pub kind: String,
    /// `awaiting`, `approved`, `rejected` or `withdrawn`.
    pub state: String,
    /// The subscription.
    pub subscription_id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// The term that asks.
    pub service_term_id: Uuid,
    /// Since when the subscription is unpaid, or stopped.
    pub since_on: NaiveDate,
    /// The day whose close asked.
    pub business_on: NaiveDate,
    /// Why it was rejected or withdrawn.
    pub reason: Option<String>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
}

const INSERT_ALL: &str = "insert into manual_operations (tenant_id, id, kind, state, subscription_id, contract_id,
        service_term_id, since_on, business_on, reason, decided_by, decided_at, created_at)
    select $1, v.id, v.kind, 'awaiting', v.subscription_id, v.contract_id, v.service_term_id, v.since_on, $2,
        null, null, null, $3
    from {rows} where true
    on conflict (tenant_id, subscription_id, kind, since_on) do nothing";
/// Asks for operations that were not asked for before: columns `id, kind, subscription_id, contract_id,
/// service_term_id, since_on`; answers how many are new.
pub async fn insert_all(tx: &mut Tx, tenant: Uuid, on: NaiveDate, now: DateTime<Utc>, rows: &Rows) -> Result<u64> {
    tx.execute_rows(INSERT_ALL, (tenant, on, now), rows).await
}

const FIND: &str =
    "select id, kind, state, subscription_id, contract_id, service_term_id, since_on, business_on, reason,
        decided_by, decided_at, created_at from manual_operations where tenant_id = $1 and id = $2";
/// One operation.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ManualOperationRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, kind, state, subscription_id, contract_id, service_term_id, since_on, business_on, reason,
        decided_by, decided_at, created_at from manual_operations
    where tenant_id = $1 and ($2 = '' or state = $2) and id > $3 order by id limit $4";
/// A page of operations in one state, or in all when it is empty, oldest first.
pub async fn list(tx: &mut Tx, tenant: Uuid, state: &str, after: Uuid, limit: i64) -> Result<Vec<ManualOperationRow>> {
    tx.fetch_all(LIST, (tenant, state.to_owned(), after, limit)).await
}

const DECIDE: &str = "update manual_operations set state = $3, reason = $4, decided_by = $5, decided_at = $6
    where tenant_id = $1 and id = $2 and state = 'awaiting'";
/// Decides an operation that awaits it; `false` when somebody decided already.
pub async fn decide(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    state: &str,
    reason: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let params = (tenant, id, state.to_owned(), reason.map(str::to_owned), by.to_owned(), now);
    Ok(tx.execute(DECIDE, params).await? == 1)
}

const WITHDRAW: &str = "update manual_operations set state = 'withdrawn', reason = v.reason, decided_by = $2,
        decided_at = $3
    from {rows} where manual_operations.tenant_id = $1 and manual_operations.subscription_id = v.subscription_id
        and manual_operations.state = 'awaiting'";
/// Withdraws what awaits a decision for subscriptions: columns `subscription_id, reason`.
pub async fn withdraw(tx: &mut Tx, tenant: Uuid, by: &str, now: DateTime<Utc>, rows: &Rows) -> Result<u64> {
    tx.execute_rows(WITHDRAW, (tenant, by.to_owned(), now), rows).await
}
