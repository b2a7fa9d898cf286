//! What is of use for a while and then deleted: answers that keys remember, events of the outbox, jobs that are done.
//!
//! Nothing of the books is among it. Invariant: a statement deletes a bounded number of rows, the oldest first, and never a
//! job that is to be done or was given up.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// Since when a tenant has each kind.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub struct Oldest {
    /// The oldest answer.
    pub answer_at: Option<DateTime<Utc>>,
    /// The oldest event.
    pub event_at: Option<DateTime<Utc>>,
    /// When the oldest job that is done was done.
    pub done_job_at: Option<DateTime<Utc>>,
}

const OLDEST: &str = "select
    (select min(created_at) from idempotency where tenant_id = $1) as answer_at,
    (select min(created_at) from outbox where tenant_id = $1) as event_at,
    (select min(finished_at) from jobs where tenant_id = $1 and state = 'done') as done_job_at";
/// Since when a tenant has each kind; an index answers each.
pub async fn oldest(tx: &mut Tx, tenant: Uuid) -> Result<Oldest> {
    tx.fetch_one(OLDEST, (tenant,)).await
}

const ANSWERS_DELETE: &str = "delete from idempotency
    where tenant_id = $1 and (credential, request, idempotency_key) in (
        select credential, request, idempotency_key from idempotency
        where tenant_id = $1 and created_at < $2 order by created_at limit $3)";
/// Deletes answers that were given before an instant; how many.
pub async fn answers_delete(tx: &mut Tx, tenant: Uuid, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    tx.execute(ANSWERS_DELETE, (tenant, before, limit)).await
}

const EVENTS_DELETE: &str = "delete from outbox where tenant_id = $1 and id in (
        select id from outbox where tenant_id = $1 and created_at < $2 order by created_at limit $3)";
/// Deletes events that were written before an instant; how many.
pub async fn events_delete(tx: &mut Tx, tenant: Uuid, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    tx.execute(EVENTS_DELETE, (tenant, before, limit)).await
}

const JOBS_DELETE: &str = "delete from jobs where tenant_id = $1 and id in (
        select id from jobs where tenant_id = $1 and state = 'done' and finished_at < $2 order by finished_at limit $3)";
/// Deletes jobs that were done before an instant; how many.
pub async fn jobs_delete(tx: &mut Tx, tenant: Uuid, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    tx.execute(JOBS_DELETE, (tenant, before, limit)).await
}
