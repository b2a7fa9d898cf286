//! The latest time that hosts saw: one row for all of them, so that a clock that was set back is noticed by each.

use chrono::{DateTime, Utc};

use crate::{Result, Sql, Tx};

/// What hosts know of the time.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ClockRow {
    /// The latest time that a host saw.
    pub seen_at: DateTime<Utc>,
    /// Since when a host's clock is behind it; none while none is.
    pub behind_since: Option<DateTime<Utc>>,
    /// By how much, milliseconds.
    pub behind_ms: i64,
    /// When this was written, by the clock of who wrote it.
    pub updated_at: DateTime<Utc>,
}

const FIND: &str = "select seen_at, behind_since, behind_ms, updated_at from scheduler_clock where id = 1";
/// What hosts know of the time; none before the first tick.
pub async fn find(tx: &mut Tx) -> Result<Option<ClockRow>> {
    tx.fetch_optional(FIND, ()).await
}

const ADVANCE: Sql = Sql::each(
    "insert into scheduler_clock (id, seen_at, behind_since, behind_ms, updated_at) values (1, $1, null, 0, $1)
    on conflict (id) do update set seen_at = max(seen_at, excluded.seen_at), behind_since = null, behind_ms = 0,
        updated_at = excluded.updated_at",
    "insert into scheduler_clock (id, seen_at, behind_since, behind_ms, updated_at) values (1, $1, null, 0, $1)
    on conflict (id) do update set seen_at = greatest(scheduler_clock.seen_at, excluded.seen_at), behind_since = null,
        behind_ms = 0, updated_at = excluded.updated_at",
);
/// Notes that it is `now`, on a host whose clock is right.
pub async fn advance(tx: &mut Tx, now: DateTime<Utc>) -> Result<()> {
    tx.execute(ADVANCE, (now,)).await.map(|_| ())
}

const BEHIND: &str = "update scheduler_clock set behind_since = coalesce(behind_since, $1), behind_ms = $2,
    updated_at = $1 where id = 1";
/// Notes that a host whose clock shows `now` is behind.
pub async fn behind(tx: &mut Tx, now: DateTime<Utc>, behind_ms: i64) -> Result<()> {
    tx.execute(BEHIND, (now, behind_ms)).await.map(|_| ())
}

const SET: &str = "insert into scheduler_clock (id, seen_at, behind_since, behind_ms, updated_at)
    values (1, $1, null, 0, $1)
    on conflict (id) do update set seen_at = excluded.seen_at, behind_since = null, behind_ms = 0,
        updated_at = excluded.updated_at";
/// Accepts `now` as the time, even when a later one was seen.
pub async fn set(tx: &mut Tx, now: DateTime<Utc>) -> Result<()> {
    tx.execute(SET, (now,)).await.map(|_| ())
}
