//! What is deleted after a while: answers that keys remember, events of the outbox, jobs that are done.
//!
//! Owns how long each is kept and how much is deleted at once; the books, the evidence and jobs that wait for a person are
//! kept for ever. A sandbox keeps its own until it is wiped: its time may pass in leaps. Invariant: a transaction deletes at
//! most [`TOGETHER`] rows, so that nobody waits long for it.

use altyn_domain::id::TenantId;
use altyn_store::{Scope, Tx, retention as rows};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{context::Altyn, error::Result};

/// How many rows a transaction deletes.
const TOGETHER: i64 = 1_000;
/// How many such transactions follow one another for a kind before others get their turn.
const BATCHES: u32 = 20;

/// What a look at a tenant's old rows did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Answers deleted.
    pub answers: u64,
    /// Events deleted.
    pub events: u64,
    /// Jobs deleted.
    pub jobs: u64,
    /// Whether more are left that are too old.
    pub more: bool,
}

impl Purged {
    /// How many rows were deleted.
    pub fn rows(&self) -> u64 {
        self.answers + self.events + self.jobs
    }
}

/// A kind of old rows.
#[derive(Clone, Copy)]
enum Kind {
    Answers,
    Events,
    Jobs,
}

impl Kind {
    async fn delete(self, tx: &mut Tx, tenant: Uuid, before: DateTime<Utc>) -> altyn_store::Result<u64> {
        match self {
            Self::Answers => rows::answers_delete(tx, tenant, before, TOGETHER).await,
            Self::Events => rows::events_delete(tx, tenant, before, TOGETHER).await,
            Self::Jobs => rows::jobs_delete(tx, tenant, before, TOGETHER).await,
        }
    }
}

impl Altyn {
    /// Deletes what a tenant in the real world has kept long enough at `now`, as the settings say; a look that finds
    /// nothing too old writes nothing.
    pub async fn retention_purge(&self, tenant: TenantId, now: DateTime<Utc>) -> Result<Purged> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let oldest = rows::oldest(&mut tx, tenant.0).await?;
        drop(tx);
        let kept = self.retention;
        let mut purged = Purged::default();
        for (kind, oldest, days) in [
            (Kind::Answers, oldest.answer_at, kept.answers_days),
            (Kind::Events, oldest.event_at, kept.events_days),
            (Kind::Jobs, oldest.done_job_at, kept.jobs_days),
        ] {
            let before = now - TimeDelta::days(i64::from(days));
            if oldest.is_none_or(|oldest| oldest >= before) {
                continue;
            }
            let mut deleted = 0;
            let mut rest = true;
            for _ in 0..BATCHES {
                let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
                let batch = kind.delete(&mut tx, tenant.0, before).await?;
                tx.commit().await?;
                deleted += batch;
                // Two hosts may look at once, and each counts what it deleted itself.
                rest = batch >= TOGETHER.unsigned_abs();
                if !rest {
                    break;
                }
            }
            purged.more |= rest;
            match kind {
                Kind::Answers => purged.answers = deleted,
                Kind::Events => purged.events = deleted,
                Kind::Jobs => purged.jobs = deleted,
            }
        }
        Ok(purged)
    }
}
