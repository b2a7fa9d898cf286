//! The sandbox: a tenant with a clock of its own, which nothing leaves.
//!
//! Owns entering and leaving it, letting its time go, and throwing its books away. Everything else works in there as it
//! does outside, because the application itself is another one: [`Altyn::acting_for`] gives it the tenant's clock and no
//! way out. A gateway's request is recorded as not sent. Plugins know no other time than what they are told.
//!
//! Invariants: a tenant with books never enters, and never leaves with books of a made-up time; the clock only goes
//! forward; days are closed in order while it goes, by the same runs and jobs as outside.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::{
    calendar::{instant_of, local_date, next_day},
    id::TenantId,
    run::RunMode,
};
use altyn_store::{Scope, Tx, jobs, runs, sandboxes as rows, sandboxes::SandboxRow, tenants::TenantRow};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    ports::{Clock as _, SystemClock, VirtualClock},
    poster::Poster,
    scheduler::{Daily, time_of},
    tenants::{TenantView, acting},
};

/// Tenants that are in the real world for good, because they have books there.
#[derive(Clone, Debug, Default)]
pub struct RealTenants(Arc<Mutex<HashSet<TenantId>>>);

impl RealTenants {
    fn holds(&self, tenant: TenantId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&tenant)
    }

    fn add(&self, tenant: TenantId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
    }
}

/// How far the time goes at once, days: three years and a bit.
const FARTHEST_DAYS: i64 = 1_100;
/// The first and the last year a sandbox may be in.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2200;

/// Enters a sandbox.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterSandbox {
    /// What time it is in there; the real time when absent.
    pub now_at: Option<DateTime<Utc>>,
}

/// Lets the time go.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvanceSandbox {
    /// The day to go to: the days before it are closed; 24 hours on when absent.
    pub to_on: Option<NaiveDate>,
    /// How the days on the way are closed; `with-confirmation` for one day, `automatic` for more, when absent.
    pub mode: Option<RunMode>,
}

/// A tenant's sandbox.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SandboxView {
    /// What time it is in there.
    pub now_at: DateTime<Utc>,
    /// The day there, in the tenant's zone.
    pub today_on: NaiveDate,
    /// Where the time goes; absent while it stands still.
    pub until_at: Option<DateTime<Utc>>,
    /// How the days on the way are closed.
    pub mode: Option<RunMode>,
    /// The day whose run is not finished: its plans may wait for decisions, and later days wait for it.
    pub open_day_on: Option<NaiveDate>,
    /// When the tenant entered.
    pub entered_at: DateTime<Utc>,
    /// Version of the object.
    pub version: i64,
}

/// The tenant's sandbox as it stands in the transaction.
async fn view(tx: &mut Tx, tenant: &TenantRow) -> Result<SandboxView> {
    let row = rows::find(tx, tenant.id).await?.ok_or_else(outside)?;
    let zone = zone_of(tenant)?;
    Ok(SandboxView {
        open_day_on: open_day(tx, tenant, &row).await?,
        now_at: row.now_at,
        today_on: local_date(row.now_at, zone),
        until_at: row.until_at,
        mode: row.mode.as_deref().map(|mode| stored("sandboxes.mode", mode)).transpose()?,
        entered_at: row.entered_at,
        version: row.version,
    })
}

async fn open_day(tx: &mut Tx, tenant: &TenantRow, row: &SandboxRow) -> Result<Option<NaiveDate>> {
    let today = local_date(row.now_at, zone_of(tenant)?);
    let tomorrow = next_day(today).map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(runs::earlier_open(tx, tenant.id, tomorrow).await?)
}

fn zone_of(tenant: &TenantRow) -> Result<Tz> {
    stored("tenants.zone", &tenant.zone)
}

fn under_way() -> ServiceError {
    ServiceError::conflict("sandbox-under-way", "the time of the sandbox is going; wait until it has arrived")
}

fn entered() -> ServiceError {
    ServiceError::conflict("sandbox-entered", "the tenant is in a sandbox already; read it instead")
}

fn outside() -> ServiceError {
    ServiceError::NotFound("sandbox")
}

/// When the next day is closed by itself, after `now`.
fn next_close(now: DateTime<Utc>, zone: Tz, run_at: &str) -> Result<DateTime<Utc>> {
    let (mut day, at) = (local_date(now, zone), time_of(run_at)?);
    loop {
        let close = instant_of(day, at, zone);
        if close > now {
            return Ok(close);
        }
        day = next_day(day).map_err(|error| ServiceError::Internal(error.to_string()))?;
    }
}

impl Altyn {
    /// The application as a tenant meets it: itself, or, in a sandbox, one with the tenant's clock and no way out.
    pub async fn acting_for(&self, tenant: TenantId) -> Result<Self> {
        Ok(self.sandbox_of(tenant).await?.map_or_else(|| self.clone(), |row| self.inside(&row)))
    }

    /// The tenant's sandbox; none in the real world.
    ///
    /// Every request and every tick asks, so a tenant with books in the real world is remembered: it never enters one.
    async fn sandbox_of(&self, tenant: TenantId) -> Result<Option<SandboxRow>> {
        if self.real.holds(tenant) {
            return Ok(None);
        }
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let row = rows::find(&mut tx, tenant.0).await?;
        if row.is_none() && rows::has_books(&mut tx, tenant.0).await? {
            self.real.add(tenant);
        }
        Ok(row)
    }

    fn inside(&self, row: &SandboxRow) -> Self {
        Self {
            clock: Arc::new(VirtualClock::new(row.now_at)),
            egress: self.egress.clone().closed(),
            // What a wipe takes away must not be remembered.
            poster: Poster::default(),
            ..self.clone()
        }
    }

    /// The acting tenant's sandbox.
    pub async fn sandbox_get(&self, request: &Request) -> Result<SandboxView> {
        let mut tx = self.read(request).await?;
        let tenant = acting(&mut tx, request).await?;
        view(&mut tx, &tenant).await
    }

    /// Puts the acting tenant into a sandbox; it has no customers, postings or runs yet.
    pub async fn sandbox_enter(&self, request: &Request, command: EnterSandbox) -> Result<Reply<SandboxView>> {
        let mut fields = Fields::default();
        let now = SystemClock.now();
        let at = command.now_at.unwrap_or(now);
        if !YEARS.contains(&chrono::Datelike::year(&at)) {
            fields.refuse("/now_at", format!("is not in a year from {} to {}", YEARS.start(), YEARS.end()));
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = acting(&mut work.tx, request).await?;
        if rows::find(&mut work.tx, tenant.id).await?.is_some() {
            return Err(entered());
        }
        if rows::has_books(&mut work.tx, tenant.id).await? {
            return Err(ServiceError::conflict(
                "sandbox-not-empty",
                "the tenant has customers, postings or runs; create a tenant for trying things out",
            ));
        }
        if !rows::insert(&mut work.tx, tenant.id, at, now).await? {
            return Err(entered());
        }
        let sandbox = view(&mut work.tx, &tenant).await?;
        work.finish(201, sandbox).await
    }

    /// Lets the time of the sandbox go: to the next day, or to a day in the future. A host does the work, day by day.
    pub async fn sandbox_advance(&self, request: &Request, command: AdvanceSandbox) -> Result<Reply<SandboxView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = acting(&mut work.tx, request).await?;
        let zone = zone_of(&tenant)?;
        let row = rows::find(&mut work.tx, tenant.id).await?.ok_or_else(outside)?;
        if row.until_at.is_some() {
            return Err(under_way());
        }
        if let Some(open) = open_day(&mut work.tx, &tenant, &row).await? {
            return Err(ServiceError::conflict(
                "earlier-run-open",
                format!("the run of {open} is not finished; decide on its plans first, days are closed in order"),
            ));
        }
        let (until, usual) = match command.to_on {
            None => (row.now_at + TimeDelta::days(1), RunMode::WithConfirmation),
            Some(day) => (instant_of(day, time_of(&tenant.run_at)?, zone), RunMode::Automatic),
        };
        let mut fields = Fields::default();
        if until <= row.now_at {
            fields.refuse("/to_on", format!("is not ahead; it is {} in the sandbox", local_date(row.now_at, zone)));
        } else if until - row.now_at > TimeDelta::days(FARTHEST_DAYS) {
            fields.refuse("/to_on", format!("is more than {FARTHEST_DAYS} days ahead; go there in steps"));
        }
        fields.finish()?;
        // The first step is part of the decision: what is over before it was asked for is not closed.
        let first = next_close(row.now_at, zone, &tenant.run_at)?.min(until);
        let mode = command.mode.unwrap_or(usual).as_str();
        if !rows::aim(&mut work.tx, tenant.id, row.version, first, until, mode).await? {
            return Err(under_way());
        }
        let aimed = view(&mut work.tx, &tenant).await?;
        work.finish(200, aimed).await
    }

    /// Throws away everything but the settings, and sets the clock to the real time.
    pub async fn sandbox_wipe(&self, request: &Request) -> Result<Reply<SandboxView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = acting(&mut work.tx, request).await?;
        let row = rows::find(&mut work.tx, tenant.id).await?.ok_or_else(outside)?;
        if !rows::wipe(&mut work.tx, tenant.id, row.version, SystemClock.now()).await? {
            return Err(under_way());
        }
        let wiped = view(&mut work.tx, &tenant).await?;
        work.finish(200, wiped).await
    }

    /// Takes the acting tenant back to the real world; its sandbox was wiped before.
    pub async fn sandbox_leave(&self, request: &Request) -> Result<Reply<SandboxView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = acting(&mut work.tx, request).await?;
        let row = rows::find(&mut work.tx, tenant.id).await?.ok_or_else(outside)?;
        if rows::has_books(&mut work.tx, tenant.id).await? {
            return Err(ServiceError::conflict(
                "sandbox-not-empty",
                "books of a made-up time do not come along; wipe the sandbox first",
            ));
        }
        let left = view(&mut work.tx, &tenant).await?;
        if row.until_at.is_some() || !rows::delete(&mut work.tx, tenant.id, row.version).await? {
            return Err(under_way());
        }
        work.finish(200, left).await
    }

    /// Does what is due in a tenant's sandbox and lets its time go on, as far as it was asked to and nothing waits for a
    /// person; `None` for a tenant in the real world.
    pub async fn sandbox_turn(&self, tenant: &TenantView, owner: &str) -> Result<Option<SandboxTurn>> {
        let mut turn = SandboxTurn::default();
        let zone: Tz = stored("tenants.zone", &tenant.zone)?;
        loop {
            let Some(row) = self.sandbox_of(tenant.id).await? else { return Ok(None) };
            let altyn = self.inside(&row);
            let worked = altyn.jobs_work(tenant.id, owner, row.now_at).await?;
            turn.jobs_done += worked.done;
            turn.jobs_failed += worked.postponed + worked.dead;
            let Some(until) = row.until_at else { return Ok(Some(turn)) };
            let mode = row.mode.as_deref().map(|mode| stored("sandboxes.mode", mode)).transpose()?;
            let next = match altyn.run_daily_in(tenant, row.now_at, mode).await? {
                Daily::Started(_) => {
                    turn.runs_started += 1;
                    continue;
                }
                // A job that failed is tried again when its time comes, and so is one that waits for an hour.
                Daily::Waiting => {
                    let mut tx = self.db.read(Scope::Tenant(tenant.id.0)).await?;
                    let counts = jobs::counts(&mut tx, tenant.id.0, SystemClock.now()).await?;
                    match counts.oldest_due_at.filter(|due| *due > row.now_at && *due <= until) {
                        Some(due) => Some(due),
                        None => return Ok(Some(turn)),
                    }
                }
                Daily::Unbound(_) | Daily::UpToDate if row.now_at >= until => None,
                Daily::Unbound(_) | Daily::UpToDate => Some(next_close(row.now_at, zone, &tenant.run_at)?.min(until)),
            };
            let mut tx = self.db.write(Scope::Tenant(tenant.id.0)).await?;
            let moved = match next {
                Some(next) => rows::step(&mut tx, tenant.id.0, row.version, next).await?,
                None => rows::rest(&mut tx, tenant.id.0, row.version).await?,
            };
            tx.commit().await?;
            if next.is_none() || !moved {
                return Ok(Some(turn));
            }
        }
    }
}

/// What a host did in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SandboxTurn {
    /// Daily runs started.
    pub runs_started: u32,
    /// Jobs finished.
    pub jobs_done: u32,
    /// Jobs given back or given up.
    pub jobs_failed: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_close_is_ahead_and_at_the_tenants_hour() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (now, zone, close) in [
            ("2026-11-22T09:00:00Z", "Europe/Moscow", "2026-11-23T00:00:00Z"),
            ("2026-11-22T23:59:59Z", "Europe/Moscow", "2026-11-23T00:00:00Z"),
            ("2026-11-23T00:00:00Z", "Europe/Moscow", "2026-11-24T00:00:00Z"),
            // 03:00 is left out on that day and comes with the first instant after the gap.
            ("2026-03-28T12:00:00Z", "Europe/Kyiv", "2026-03-29T01:00:00Z"),
        ] {
            assert_eq!(next_close(at(now), zone.parse().unwrap(), "03:00").unwrap(), at(close), "{now} {zone}");
        }
    }
}
