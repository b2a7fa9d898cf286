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

const POSTPONE: &str = "update jobs set lease_owner = null, lease_until = null, due_at = $4, last_error = $5,
        attempts = attempts - 1
    where tenant_id = $1 and id = $2 and fence = $3 and state = 'ready'";
/// Gives a job back that could not be tried: the claim counts as no try.
pub async fn postpone(tx: &mut Tx, tenant: Uuid, id: Uuid, fence: i64, due_at: DateTime<Utc>, why: &str) -> Result<()> {
    tx.execute(POSTPONE, (tenant, id, fence, due_at, why.to_owned())).await.map(|_| ())
}

const LEASE_EXTEND: &str = "update jobs set lease_until = $4
    where tenant_id = $1 and id = $2 and fence = $3 and state = 'ready'";
/// Holds a job for longer; `false` when another host holds it now.
pub async fn lease_extend(tx: &mut Tx, tenant: Uuid, id: Uuid, fence: i64, until: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(LEASE_EXTEND, (tenant, id, fence, until)).await? == 1)
}

const READY_OF: &str =
    "select count(*) from (select id from jobs where tenant_id = $1 and state = 'ready' and kind = $2
    limit 1) found";
/// Whether a job of a kind is still to be done.
pub async fn ready_of(tx: &mut Tx, tenant: Uuid, kind: &str) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(READY_OF, (tenant, kind.to_owned())).await?.0 > 0)
}

const LEASES_RETURN: &str = "update jobs set lease_owner = null, lease_until = null
    where tenant_id = $1 and state = 'ready' and lease_owner = $2";
/// Gives back what a host holds, so that another need not wait for its leases to end; its fence is stale once another
/// claims.
pub async fn leases_return(tx: &mut Tx, tenant: Uuid, owner: &str) -> Result<u64> {
    tx.execute(LEASES_RETURN, (tenant, owner.to_owned())).await
}

/// A job with what became of it so far.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobStateRow {
    /// Its id.
    pub id: Uuid,
    /// What to do.
    pub kind: String,
    /// Makes it happen once for its kind.
    pub job_key: String,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// `ready`, `done` or `dead`.
    pub state: String,
    /// The host that holds it.
    pub lease_owner: Option<String>,
    /// Until when that host is believed alive.
    pub lease_until: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was put.
    pub created_at: DateTime<Utc>,
    /// When it was done.
    pub finished_at: Option<DateTime<Utc>>,
}

const FIND: &str =
    "select id, kind, job_key, due_at, state, lease_owner, lease_until, attempts, last_error, created_at,
    finished_at from jobs where tenant_id = $1 and id = $2";
/// One job.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<JobStateRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, kind, job_key, due_at, state, lease_owner, lease_until, attempts, last_error, created_at,
    finished_at from jobs where tenant_id = $1 and ($2 = '' or state = $2) and id > $3 order by id limit $4";
/// A page of jobs in one state, or in all when it is empty, oldest first.
pub async fn list(tx: &mut Tx, tenant: Uuid, state: &str, after: Uuid, limit: i64) -> Result<Vec<JobStateRow>> {
    tx.fetch_all(LIST, (tenant, state.to_owned(), after, limit)).await
}

const REVIVE: &str =
    "update jobs set state = 'ready', due_at = $3, attempts = 0, lease_owner = null, lease_until = null
    where tenant_id = $1 and id = $2 and state = 'dead'";
/// Gives a job that was given up another row of tries; `false` when it was not given up.
pub async fn revive(tx: &mut Tx, tenant: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(REVIVE, (tenant, id, now)).await? == 1)
}

/// How a tenant's jobs stand.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobCounts {
    /// To be done.
    pub ready: i64,
    /// Of those, how many a host holds.
    pub held: i64,
    /// Given up.
    pub dead: i64,
    /// When the earliest of those to be done is due.
    pub oldest_due_at: Option<DateTime<Utc>>,
}

const COUNTS: &str = "select
    (select count(*) from jobs where tenant_id = $1 and state = 'ready') as ready,
    (select count(*) from jobs where tenant_id = $1 and state = 'ready' and lease_until > $2) as held,
    (select count(*) from jobs where tenant_id = $1 and state = 'dead') as dead,
    (select min(due_at) from jobs where tenant_id = $1 and state = 'ready') as oldest_due_at";
/// How a tenant's jobs stand; leases are counted at `wall`.
pub async fn counts(tx: &mut Tx, tenant: Uuid, wall: DateTime<Utc>) -> Result<JobCounts> {
    tx.fetch_one(COUNTS, (tenant, wall)).await
}
