//! Jobs: work to be done at or after an instant, claimed with a lease.
//!
//! Concurrency: a claim raises `fence` and is taken with one statement, so two hosts never hold the same job; finishing
//! names the fence, so a host whose lease ran out finishes nothing. On PostgreSQL claims skip rows that others hold.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// A claimed job.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobRow {
    /// Its id.
    pub id: Uuid,
    /// What to do.
    pub kind: String,
    /// Makes it happen once for its kind.
    pub job_key: String,
    /// JSON text.
    pub payload: String,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// Counts claims.
    pub fence: i64,
    /// How often it was tried.
    pub attempts: i32,
}

const PUT: &str = "insert into jobs
    (tenant_id, id, kind, job_key, payload, due_at, state, lease_owner, lease_until, fence, attempts, last_error,
     created_at, finished_at)
    values ($1, $2, $3, $4, $5, $6, 'ready', null, null, 0, 0, null, $7, null)
    on conflict (tenant_id, kind, job_key) do nothing";
/// Adds a job; `false` when one of this kind and key exists.
#[expect(clippy::too_many_arguments, reason = "the columns of a job")]
pub async fn put(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    kind: &str,
    key: &str,
    payload: &str,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let params = (tenant, id, kind.to_owned(), key.to_owned(), payload.to_owned(), due_at, now);
    Ok(tx.execute(PUT, params).await? == 1)
}

const CLAIM: Sql = Sql::each(
    "update jobs set lease_owner = $2, lease_until = $3, fence = fence + 1, attempts = attempts + 1
    where tenant_id = $1 and id = (select id from jobs where tenant_id = $1 and state = 'ready' and due_at <= $4
        and (lease_until is null or lease_until <= $5) order by due_at, id limit 1)
    returning id, kind, job_key, payload, due_at, fence, attempts",
    "update jobs set lease_owner = $2, lease_until = $3, fence = fence + 1, attempts = attempts + 1
    where tenant_id = $1 and id = (select id from jobs where tenant_id = $1 and state = 'ready' and due_at <= $4
        and (lease_until is null or lease_until <= $5) order by due_at, id limit 1 for update skip locked)
    returning id, kind, job_key, payload, due_at, fence, attempts",
);
/// Claims the earliest due job that nobody holds. `now` is business time, `wall` the time leases are counted in.
pub async fn claim(
    tx: &mut Tx,
    tenant: Uuid,
    owner: &str,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
) -> Result<Option<JobRow>> {
    tx.fetch_optional(CLAIM, (tenant, owner.to_owned(), until, now, wall)).await
}

const FINISH: &str = "update jobs set state = 'done', lease_owner = null, lease_until = null, finished_at = $4
    where tenant_id = $1 and id = $2 and fence = $3 and state = 'ready'";
/// Ends a job; `false` when another host holds it now.
pub async fn finish(tx: &mut Tx, tenant: Uuid, id: Uuid, fence: i64, now: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(FINISH, (tenant, id, fence, now)).await? == 1)
}

const RETRY: &str = "update jobs set lease_owner = null, lease_until = null, due_at = $4, last_error = $5, state = $6
    where tenant_id = $1 and id = $2 and fence = $3 and state = 'ready'";
/// Gives a failed job back for another try at `due_at`, or for good when `dead`.
pub async fn retry(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    fence: i64,
    due_at: DateTime<Utc>,
    error: &str,
    dead: bool,
) -> Result<()> {
    let state = if dead { "dead" } else { "ready" };
    tx.execute(RETRY, (tenant, id, fence, due_at, error.to_owned(), state.to_owned())).await.map(|_| ())
}
