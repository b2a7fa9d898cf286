//! Events of the outbox, read side.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// An event.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRow {
    /// Its id.
    pub id: Uuid,
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

const LIST: &str = "select id, kind, subject, payload, created_at, delivered_at from outbox
    where tenant_id = $1 and id > $2 and ($3 = '' or kind = $3) and ($4 = '' or subject = $4) order by id limit $5";
/// A page of events by id; an empty `kind` or `subject` means any.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    kind: &str,
    subject: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<EventRow>> {
    tx.fetch_all(LIST, (tenant, after, kind.to_owned(), subject.to_owned(), limit)).await
}
