//! Events of the outbox: what happened, for whoever delivers it.
//!
//! Events are written by the use cases that they tell of, in the same transaction; here they get their places in the list, when
//! somebody lists them, and are read.

use altyn_domain::id::EventId;
use altyn_store::{events, events::EventRow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError},
    page::{Listed, Page},
};

/// How many events get their places in one transaction.
const TOGETHER: i64 = 1_000;
/// How many such transactions one list makes; the rest gets its places with the next.
const BATCHES: u32 = 10;

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventView {
    /// Its id. Two events that are written at the same time may become visible in another order than that of their ids.
    pub id: EventId,
    /// Its place in the list, from 1: what becomes visible later has a greater one. The `cursor` of whoever goes on behind it.
    pub position: i64,
    /// What happened, such as `order.paid` or `subscription.charge-due`.
    pub kind: String,
    /// The object that it is about, by its id.
    pub subject: String,
    /// The facts; which, depends on the kind.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Which events a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventFilter {
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those about this object.
    pub subject: Option<String>,
}

fn view(row: EventRow) -> Result<EventView> {
    let payload = serde_json::from_str(&row.payload);
    Ok(EventView {
        id: EventId(row.id),
        position: row.position,
        kind: row.kind,
        subject: row.subject,
        payload: payload.map_err(|error| ServiceError::Internal(format!("an event does not read: {error}")))?,
        created_at: row.created_at,
        delivered_at: row.delivered_at,
    })
}

impl Altyn {
    /// A page of events in the order in which they became visible; the cursor is a position.
    ///
    /// A reader that goes on behind the last position it saw misses nothing: places are given to what is committed.
    pub async fn event_list(&self, request: &Request, filter: EventFilter, page: &Page) -> Result<Listed<EventView>> {
        let (limit, after) = page.places()?;
        let (kind, subject) = (filter.kind.unwrap_or_default(), filter.subject.unwrap_or_default());
        let mut tx = self.read(request).await?;
        if events::unplaced(&mut tx, request.tenant.0).await? {
            drop(tx);
            self.events_place(request).await?;
            tx = self.read(request).await?;
        }
        let found = events::list(&mut tx, request.tenant.0, &kind, &subject, after, limit).await?;
        page.listed(found, |row| row.position.to_string(), view).try_data()
    }

    async fn events_place(&self, request: &Request) -> Result<()> {
        for _ in 0..BATCHES {
            let mut tx = self.db.write(request.scope()).await?;
            let placed = events::place(&mut tx, request.tenant.0, TOGETHER).await?;
            tx.commit().await?;
            if placed < TOGETHER.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}
