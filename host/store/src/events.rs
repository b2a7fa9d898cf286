//! Events of the outbox, read side, and the place of each in the list.
//!
//! Concurrency: ids are minted before the commit, so an event may appear behind one with a greater id. Places are given to events
//! that are committed, by one transaction at a time: it holds the tenant's row of last places until it has ended. So whoever
//! sees a place sees every smaller one, or will never see it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// An event.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRow {
    /// Its id.
    pub id: Uuid,
    /// Its place in the list, from 1.
    pub position: i64,
    /// What happened.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// JSON text.
    pub payload: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
}

const LIST: &str = "select id, position, kind, subject, payload, created_at, delivered_at from outbox
    where tenant_id = $1 and position > $2 and ($3 = '' or kind = $3) and ($4 = '' or subject = $4)
    order by position limit $5";
/// A page of events that have a place, behind one; an empty `kind` or `subject` means any.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    kind: &str,
    subject: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<EventRow>> {
    tx.fetch_all(LIST, (tenant, after, kind.to_owned(), subject.to_owned(), limit)).await
}

const UNPLACED: &str =
    "select count(*) from (select id from outbox where tenant_id = $1 and position is null limit 1) found";
/// Whether an event has no place yet.
pub async fn unplaced(tx: &mut Tx, tenant: Uuid) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(UNPLACED, (tenant,)).await?.0 > 0)
}

const LAST: &str = "insert into outbox_positions (tenant_id, last_position) values ($1, 0)
    on conflict (tenant_id) do update set last_position = outbox_positions.last_position returning last_position";
const PLACE: &str = "update outbox set position = $2 + p.place
    from (
        select f.id, row_number() over (order by f.id) as place
        from (select id from outbox where tenant_id = $1 and position is null order by id limit $3) f
    ) p where outbox.tenant_id = $1 and outbox.id = p.id";
const ADVANCE: &str = "update outbox_positions set last_position = last_position + $2 where tenant_id = $1";
/// Gives places to events that have none, in the order of their ids; answers to how many. Others who do so wait.
pub async fn place(tx: &mut Tx, tenant: Uuid, limit: i64) -> Result<u64> {
    let (last,) = tx.fetch_one::<(i64,)>(LAST, (tenant,)).await?;
    // A statement of its own: it sees what was committed while the one before waited.
    let placed = tx.execute(PLACE, (tenant, last, limit)).await?;
    tx.execute(ADVANCE, (tenant, i64::try_from(placed).unwrap_or(i64::MAX))).await?;
    Ok(placed)
}
