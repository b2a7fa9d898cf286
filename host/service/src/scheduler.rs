//! What starts by itself: due jobs and the daily run of each tenant.
//!
//! Owns when something is due and what becomes of a failed try; it refuses to know how work is done and never sleeps.
//! `now` is an argument, so a test lives through a month in seconds.
//!
//! Concurrency: a job is claimed with a lease and finished under its fence, so two hosts may look at once. A run has a
//! lease of its own that is renewed while it is worked on; a host that claims the job of a busy run gives it back.

use altyn_domain::{
    calendar::{instant_of, local_date, next_day},
    id::{JobId, TenantId},
    run::{RunMode, RunState},
};
use altyn_runtime::World;
use altyn_store::{Scope, clock, jobs, retention, runs, tenants};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    blocks::{BLOCK_END_JOB, BLOCK_HOLD_JOB},
    context::{Altyn, Begun, Reply, Request},
    dunning::DUNNING_JOB,
    error::{Result, ServiceError, stored},
    exchanges::EXCHANGE_JOB,
    lives::{CLOSE_JOB, day_of_job},
    orders::ORDER_EXPIRE_JOB,
    page::{Listed, Page},
    ports::{Clock as _, SystemClock},
    promises::PROMISE_END_JOB,
    runs::{Advanced, RUN_JOB, RunView, StartRun, run_of_job},
    tenants::{TenantView, view as tenant_view},
};

/// After so many tries a job is given up.
const MOST_ATTEMPTS: i32 = 20;
/// The wait after the first failed try, seconds; it doubles with each further one.
const FIRST_WAIT_S: i64 = 5;
/// The longest wait between two tries, seconds.
const LONGEST_WAIT_S: i64 = 600;
/// By how much hosts' clocks may differ, milliseconds: what time synchronisation leaves is far below it.
pub const CLOCK_TOLERANCE_MS: i64 = 10_000;
/// How often the time is noted, milliseconds.
const CLOCK_NOTED_MS: i64 = 5_000;
/// The credential that daily runs leave in records.
const CREDENTIAL: &str = "scheduler";

/// What became of a tenant's due jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobsWorked {
    /// Finished.
    pub done: u32,
    /// Given back for another try.
    pub postponed: u32,
    /// Given up.
    pub dead: u32,
}

/// What the clock of a host is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// It goes on from what hosts saw before.
    Right,
    /// It was set back, or another host's is ahead: scheduled work waits until it has caught up.
    Behind {
        /// By how much, milliseconds.
        by_ms: i64,
        /// Whether this is new since the last look.
        new: bool,
    },
}

/// What hosts know of the time.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClockView {
    /// The latest time that a host saw; none before the first tick.
    pub seen_at: Option<DateTime<Utc>>,
    /// Since when a host's clock is behind it.
    pub behind_since: Option<DateTime<Utc>>,
    /// By how much, milliseconds; 0 while none is behind.
    pub behind_ms: i64,
}

/// How the work that starts by itself stands for a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SchedulerView {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub name: String,
    /// The last day that has a run.
    pub last_day_on: Option<NaiveDate>,
    /// The next day to be closed.
    pub next_day_on: Option<NaiveDate>,
    /// When its run starts by itself.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Days that are over and have no run.
    pub days_behind: i64,
    /// While no day was ever closed: the extension points that have no plugin. No day is closed until each has one.
    #[schema(value_type = Vec<String>)]
    pub unbound: Vec<World>,
    /// Jobs to be done.
    pub jobs_ready: i64,
    /// Of those, how many a host holds.
    pub jobs_held: i64,
    /// Jobs that were given up.
    pub jobs_dead: i64,
    /// When the earliest job is due.
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// The oldest answer that is kept for a repeated idempotency key.
    pub oldest_answer_at: Option<DateTime<Utc>>,
    /// The oldest event that is kept.
    pub oldest_event_at: Option<DateTime<Utc>>,
    /// When the oldest job that is kept and done was done.
    pub oldest_done_job_at: Option<DateTime<Utc>>,
    /// The latest time that a host saw.
    pub clock_seen_at: Option<DateTime<Utc>>,
    /// Since when a host's clock is behind it.
    pub clock_behind_since: Option<DateTime<Utc>>,
    /// By how much, milliseconds; above 0 scheduled work waits.
    pub clock_behind_ms: i64,
}

/// A unit of background work.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// Makes it happen once for its kind.
    pub key: String,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// Where it stands.
    pub state: JobState,
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

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// To be done.
    Ready,
    /// Done.
    Done,
    /// Given up after many tries; it waits for a person.
    Dead,
}

impl JobState {
    /// The text of the state, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// Which jobs a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// Only those in this state.
    pub state: Option<JobState>,
}

fn job_view(row: jobs::JobStateRow) -> Result<JobView> {
    let state = [JobState::Ready, JobState::Done, JobState::Dead].into_iter().find(|state| state.as_str() == row.state);
    Ok(JobView {
        id: JobId(row.id),
        kind: row.kind,
        key: row.job_key,
        due_at: row.due_at,
        state: state.ok_or_else(|| ServiceError::Internal("stored value of jobs.state is not valid".into()))?,
        lease_owner: row.lease_owner,
        lease_until: row.lease_until,
        attempts: row.attempts,
        last_error: row.last_error,
        created_at: row.created_at,
        finished_at: row.finished_at,
    })
}

/// What became of a tenant's daily run.
#[derive(Clone, Debug)]
pub enum Daily {
    /// A day was due and its run was started.
    Started(Box<RunView>),
    /// Every day that is over has its run.
    UpToDate,
    /// The run of an earlier day is not finished; days are closed in order.
    Waiting,
    /// The first run waits until a plugin is bound to each extension point; these have none.
    Unbound(Vec<World>),
}

impl Altyn {
    /// A page of all tenants of the platform, oldest first; only the platform's operator asks this.
    pub async fn tenant_list_all(&self, page: &Page) -> Result<Listed<TenantView>> {
        let (limit, after) = page.bounds::<TenantId>()?;
        let mut tx = self.db.read(Scope::Platform).await?;
        let rows = tenants::list(&mut tx, "/", after, limit).await?;
        page.listed(rows, |row| TenantId(row.id).to_string(), tenant_view).try_data()
    }

    /// Compares a host's clock with the latest time that hosts saw, and notes what it finds.
    ///
    /// A clock that is behind by more than [`CLOCK_TOLERANCE_MS`] was set back, or belongs to a host that lags: its work
    /// would be of another day, so it waits. The time is noted every [`CLOCK_NOTED_MS`], not with every look.
    pub async fn clock_observe(&self, now: DateTime<Utc>) -> Result<ClockState> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let known = clock::find(&mut tx).await?;
        drop(tx);
        let state = match &known {
            None => ClockState::Right,
            Some(known) => {
                let by_ms = known.seen_at.signed_duration_since(now).num_milliseconds();
                if by_ms > CLOCK_TOLERANCE_MS {
                    ClockState::Behind { by_ms, new: known.behind_since.is_none() }
                } else {
                    ClockState::Right
                }
            }
        };
        let noted = known.as_ref().is_some_and(|known| {
            let since_ms = now.signed_duration_since(known.updated_at).num_milliseconds();
            let same = known.behind_since.is_some() == matches!(state, ClockState::Behind { .. });
            same && (0..CLOCK_NOTED_MS).contains(&since_ms)
        });
        if noted {
            return Ok(state);
        }
        let mut tx = self.db.write(Scope::Platform).await?;
        match state {
            ClockState::Right => clock::advance(&mut tx, now).await?,
            ClockState::Behind { by_ms, .. } => clock::behind(&mut tx, now, by_ms).await?,
        }
        tx.commit().await?;
        Ok(state)
    }

    /// What hosts know of the time.
    pub async fn clock_view(&self) -> Result<ClockView> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let known = clock::find(&mut tx).await?;
        Ok(ClockView {
            seen_at: known.as_ref().map(|known| known.seen_at),
            behind_since: known.as_ref().and_then(|known| known.behind_since),
            behind_ms: known.as_ref().map_or(0, |known| known.behind_ms),
        })
    }

    /// Accepts the host's clock as it stands, after somebody looked why it is behind; only the platform's operator does this.
    pub async fn clock_accept(&self) -> Result<ClockView> {
        let mut tx = self.db.write(Scope::Platform).await?;
        clock::set(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        self.clock_view().await
    }

    /// Accepts the host's clock like [`Altyn::clock_accept`], asked for by a tenant that has none above it.
    pub async fn clock_accept_as(&self, request: &Request) -> Result<Reply<ClockView>> {
        let mut tx = self.read(request).await?;
        let tenant = crate::tenants::acting(&mut tx, request).await?;
        drop(tx);
        if tenant.parent_id.is_some() {
            let message = "the clock is everybody's; ask the operator of the platform, whose tenant has none above it";
            return Err(ServiceError::Forbidden(message.to_owned()));
        }
        let work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        // The same clock accepted twice is accepted once, so it may stand before its answer does.
        if request.key.is_some() {
            work.tx.rollback().await?;
            let accepted = self.clock_accept().await?;
            return match self.begin(request).await? {
                Begun::Replay(reply) => Ok(reply),
                Begun::Work(work) => work.finish(200, accepted).await,
            };
        }
        work.tx.rollback().await?;
        Ok(Reply { status: 200, replayed: false, value: self.clock_accept().await? })
    }

    /// How the work that starts by itself stands for the acting tenant.
    pub async fn scheduler_status(&self, request: &Request) -> Result<SchedulerView> {
        let clock = self.clock_view().await?;
        let now = self.clock.now();
        let mut tx = self.read(request).await?;
        let tenant = crate::tenants::acting(&mut tx, request).await?;
        let zone: Tz = stored("tenants.zone", &tenant.zone)?;
        let latest = runs::latest(&mut tx, tenant.id).await?;
        let counts = jobs::counts(&mut tx, tenant.id, SystemClock.now()).await?;
        let oldest = retention::oldest(&mut tx, tenant.id).await?;
        // What decides is read level by level in transactions of its own; one held beside them would starve the pool.
        drop(tx);
        let over = last_day_over(now, zone, &tenant.run_at)?;
        let unbound = if latest.is_none() { self.unbound(TenantId(tenant.id), over).await? } else { Vec::new() };
        let next = latest.map(day_after).transpose()?;
        let next_run_at = next.map(|day| run_at_of(day, zone, &tenant.run_at)).transpose()?;
        Ok(SchedulerView {
            tenant_id: TenantId(tenant.id),
            name: tenant.name,
            last_day_on: latest,
            next_day_on: next,
            next_run_at,
            unbound,
            days_behind: latest.map_or(0, |latest| over.signed_duration_since(latest).num_days().max(0)),
            jobs_ready: counts.ready,
            jobs_held: counts.held,
            jobs_dead: counts.dead,
            oldest_due_at: counts.oldest_due_at,
            oldest_answer_at: oldest.answer_at,
            oldest_event_at: oldest.event_at,
            oldest_done_job_at: oldest.done_job_at,
            clock_seen_at: clock.seen_at,
            clock_behind_since: clock.behind_since,
            clock_behind_ms: clock.behind_ms,
        })
    }

    /// A page of the acting tenant's jobs, oldest first.
    pub async fn job_list(&self, request: &Request, filter: JobFilter, page: &Page) -> Result<Listed<JobView>> {
        let (limit, after) = page.bounds::<JobId>()?;
        let mut tx = self.read(request).await?;
        let state = filter.state.map_or("", JobState::as_str);
        let rows = jobs::list(&mut tx, request.tenant.0, state, after, limit).await?;
        page.listed(rows, |row| JobId(row.id).to_string(), job_view).try_data()
    }

    /// One job.
    pub async fn job_get(&self, request: &Request, id: JobId) -> Result<JobView> {
        let mut tx = self.read(request).await?;
        job_view(jobs::find(&mut tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("job"))?)
    }

    /// Gives a job that was given up another row of tries, at once; a job that was not is left as it is.
    pub async fn job_retry(&self, request: &Request, id: JobId) -> Result<Reply<JobView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        jobs::revive(&mut work.tx, request.tenant.0, id.0, work.now).await?;
        let row = jobs::find(&mut work.tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("job"))?;
        work.finish(200, job_view(row)?).await
    }

    /// Gives back what a stopping host holds of a tenant's work, so that another goes on at once.
    pub async fn leases_return(&self, tenant: TenantId, owner: &str) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        jobs::leases_return(&mut tx, tenant.0, owner).await?;
        runs::leases_return(&mut tx, tenant.0, owner).await?;
        Ok(tx.commit().await?)
    }

    /// Works on the tenant's jobs that are due at `now` until none is left; `owner` names the working host.
    pub async fn jobs_work(&self, tenant: TenantId, owner: &str, now: DateTime<Utc>) -> Result<JobsWorked> {
        let mut worked = JobsWorked::default();
        loop {
            let wall = SystemClock.now();
            let lease = TimeDelta::milliseconds(i64::try_from(self.settings.run_lease_ms).unwrap_or(30_000));
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            let job = jobs::claim(&mut tx, tenant.0, owner, wall + lease, now, wall).await?;
            tx.commit().await?;
            let Some(job) = job else { return Ok(worked) };
            let outcome = tokio::select! {
                outcome = self.job_work(tenant, owner, &job) => outcome,
                never = self.job_hold(tenant, &job, lease) => never,
            };
            self.job_end(tenant, &job, outcome, now, &mut worked).await?;
        }
    }

    /// Holds a job for as long as it is worked on, so that no other host takes it for left; ends never.
    async fn job_hold(&self, tenant: TenantId, job: &jobs::JobRow, lease: TimeDelta) -> Result<Advanced> {
        // A lease of less than three seconds is for hosts that are not to keep what they hold.
        let pause = (lease / 3).max(TimeDelta::seconds(1)).to_std().unwrap_or(std::time::Duration::from_secs(10));
        loop {
            tokio::time::sleep(pause).await;
            let extended: altyn_store::Result<bool> = async {
                let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
                let held = jobs::lease_extend(&mut tx, tenant.0, job.id, job.fence, SystemClock.now() + lease).await?;
                tx.commit().await?;
                Ok(held)
            }
            .await;
            match extended {
                Ok(true) => {}
                Ok(false) => {
                    let id = JobId(job.id);
                    tracing::warn!(%tenant, job = %id, kind = job.kind, "another host took a job that is worked on here");
                    return std::future::pending().await;
                }
                // The work itself meets the same database and tells of it.
                Err(error) => tracing::debug!(%tenant, %error, "a job's lease was not extended"),
            }
        }
    }

    async fn job_work(&self, tenant: TenantId, owner: &str, job: &jobs::JobRow) -> Result<Advanced> {
        match job.kind.as_str() {
            RUN_JOB => return self.run_advance(tenant, run_of_job(&job.payload)?, owner).await,
            EXCHANGE_JOB => return self.exchange_job(tenant, &job.payload, owner).await,
            BLOCK_HOLD_JOB => self.block_begin(tenant, &job.payload).await?,
            BLOCK_END_JOB => self.block_end(tenant, &job.payload).await?,
            PROMISE_END_JOB => self.promise_expire(tenant, stored("jobs.payload", &job.payload)?).await?,
            ORDER_EXPIRE_JOB => self.order_expire(tenant, stored("jobs.payload", &job.payload)?).await?,
            CLOSE_JOB => self.subscriptions_close(tenant, day_of_job(&job.payload)?).await?,
            DUNNING_JOB => self.dunning_day(tenant, stored("jobs.payload", &job.payload)?).await?,
            // A newer host may have put it; it stays for that one.
            kind => return Err(ServiceError::Internal(format!("this release does not know jobs of kind {kind}"))),
        }
        Ok(Advanced::Done)
    }

    async fn job_end(
        &self,
        tenant: TenantId,
        job: &jobs::JobRow,
        outcome: Result<Advanced>,
        now: DateTime<Utc>,
        worked: &mut JobsWorked,
    ) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        match outcome {
            Ok(Advanced::Busy) => {
                // The host that holds the run may stop any moment, so the job stays; this was no failure.
                let due = now + TimeDelta::seconds(FIRST_WAIT_S);
                jobs::postpone(&mut tx, tenant.0, job.id, job.fence, due, "another host works on it").await?;
                worked.postponed += 1;
            }
            Ok(_) => {
                // Who lost the job while he worked on it leaves it to whoever has it: it finds its work done.
                let finished = jobs::finish(&mut tx, tenant.0, job.id, job.fence, now).await?;
                worked.done += u32::from(finished);
                worked.postponed += u32::from(!finished);
            }
            Err(error) => {
                let dead = job.attempts >= MOST_ATTEMPTS;
                let text: String = chain(&error).chars().take(2_000).collect();
                let due = now + wait_after(job.attempts);
                jobs::retry(&mut tx, tenant.0, job.id, job.fence, due, &text, dead).await?;
                let id = JobId(job.id);
                if dead {
                    tracing::error!(%tenant, job = %id, kind = job.kind, attempts = job.attempts, error = text, "a job is given up");
                    worked.dead += 1;
                } else {
                    tracing::warn!(%tenant, job = %id, kind = job.kind, attempts = job.attempts, error = text, "a job is tried again later");
                    worked.postponed += 1;
                }
            }
        }
        Ok(tx.commit().await?)
    }

    /// Starts the tenant's daily run when its time has passed: one day a call, in order.
    ///
    /// At the tenant's `run_at` the day before is closed. Missed days are caught up. The first run waits until a plugin
    /// is bound to each extension point, because until then the tenant is being set up.
    pub async fn run_daily(&self, tenant: &TenantView, now: DateTime<Utc>) -> Result<Daily> {
        self.run_daily_in(tenant, now, None).await
    }

    /// The extension points of billing at which nothing decides on a day.
    async fn unbound(&self, tenant: TenantId, on: NaiveDate) -> Result<Vec<World>> {
        let mut unbound = Vec::new();
        for world in World::BILLING.iter().copied() {
            if self.deciding(tenant, world, on).await?.is_none() {
                unbound.push(world);
            }
        }
        Ok(unbound)
    }

    /// The same in a mode of its own instead of the tenant's.
    pub(crate) async fn run_daily_in(
        &self,
        tenant: &TenantView,
        now: DateTime<Utc>,
        mode: Option<RunMode>,
    ) -> Result<Daily> {
        let zone: Tz = stored("tenants.zone", &tenant.zone)?;
        let over = last_day_over(now, zone, &tenant.run_at)?;
        let request = Request::internal(tenant.id, CREDENTIAL);
        let mut tx = self.read(&request).await?;
        let latest = runs::latest(&mut tx, tenant.id.0).await?;
        // What decides is read level by level in transactions of its own; one held beside them would starve the pool.
        drop(tx);
        let mut day = if let Some(latest) = latest {
            day_after(latest)?
        } else {
            let unbound = self.unbound(tenant.id, over).await?;
            if !unbound.is_empty() {
                return Ok(Daily::Unbound(unbound));
            }
            over
        };
        let mut tx = self.read(&request).await?;
        // A day whose run was cancelled has been decided on; it is not started again by itself.
        while let Some(run) = runs::find_by_date(&mut tx, tenant.id.0, day).await? {
            if run.state != RunState::Cancelled.as_str() {
                return Ok(Daily::Waiting);
            }
            day = day_after(day)?;
        }
        if day > over {
            return Ok(Daily::UpToDate);
        }
        // A day is over when its run is done and what it leaves of unpaid subscriptions is decided.
        if runs::earlier_open(&mut tx, tenant.id.0, day).await?.is_some()
            || jobs::ready_of(&mut tx, tenant.id.0, CLOSE_JOB).await?
        {
            return Ok(Daily::Waiting);
        }
        drop(tx);
        match self.run_start(&request, StartRun { business_on: day, mode }).await {
            Ok(reply) => Ok(Daily::Started(Box::new(reply.value))),
            // Another host was faster; it does the same.
            Err(ServiceError::Conflict { code: "run-exists" | "earlier-run-open" | "day-closed", .. }) => {
                Ok(Daily::Waiting)
            }
            Err(error) => Err(error),
        }
    }
}

fn day_after(day: NaiveDate) -> Result<NaiveDate> {
    next_day(day).map_err(|error| ServiceError::Internal(error.to_string()))
}

pub(crate) fn time_of(run_at: &str) -> Result<NaiveTime> {
    NaiveTime::parse_from_str(run_at, "%H:%M")
        .map_err(|_| ServiceError::Internal(format!("stored value of tenants.run_at is not valid: {run_at}")))
}

/// When the run of a local day starts by itself.
fn run_at_of(day: NaiveDate, zone: Tz, run_at: &str) -> Result<DateTime<Utc>> {
    Ok(instant_of(day_after(day)?, time_of(run_at)?, zone))
}

/// The last local day that is closed at `now`: yesterday from `run_at` on, the day before until then.
fn last_day_over(now: DateTime<Utc>, zone: Tz, run_at: &str) -> Result<NaiveDate> {
    let run_at = time_of(run_at)?;
    let today = local_date(now, zone);
    let back = if now >= instant_of(today, run_at, zone) { 1 } else { 2 };
    today
        .checked_sub_days(chrono::Days::new(back))
        .ok_or_else(|| ServiceError::Internal("the calendar has no day before the first".into()))
}

/// How long a job waits after its `attempts`-th failed try: 5 s, 10 s, 20 s … at most 10 minutes.
fn wait_after(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(30);
    TimeDelta::seconds(FIRST_WAIT_S.saturating_mul(1 << doublings).min(LONGEST_WAIT_S))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_day_before_is_over_from_the_run_time_on() {
        let over = |now: &str| last_day_over(at(now), chrono_tz::Europe::Moscow, "03:00").unwrap().to_string();
        // Moscow is three hours ahead of UTC.
        assert_eq!(over("2026-11-02T00:00:00Z"), "2026-11-01");
        assert_eq!(over("2026-11-01T23:59:59Z"), "2026-10-31");
        assert_eq!(over("2026-11-01T20:59:59Z"), "2026-10-31");
        assert_eq!(over("2026-11-01T21:00:00Z"), "2026-10-31");
    }

    #[test]
    fn a_run_time_that_a_zone_skips_comes_with_the_next_instant() {
        // Berlin jumps from 02:00 to 03:00 on 29 March 2026, which is 01:00 UTC.
        let over = |now: &str| last_day_over(at(now), chrono_tz::Europe::Berlin, "02:30").unwrap().to_string();
        assert_eq!(over("2026-03-29T00:59:59Z"), "2026-03-27");
        assert_eq!(over("2026-03-29T01:00:00Z"), "2026-03-28");
    }

    #[test]
    fn a_run_time_that_a_zone_has_twice_comes_with_the_first_and_once() {
        // Berlin goes back from 03:00 to 02:00 on 25 October 2026: 02:30 is at 00:30 UTC and again at 01:30 UTC.
        let over = |now: &str| last_day_over(at(now), chrono_tz::Europe::Berlin, "02:30").unwrap().to_string();
        assert_eq!(over("2026-10-25T00:29:59Z"), "2026-10-23");
        assert_eq!(over("2026-10-25T00:30:00Z"), "2026-10-24");
        assert_eq!(over("2026-10-25T01:29:59Z"), "2026-10-24", "the second 02:30 closes nothing more");
        assert_eq!(over("2026-10-25T01:30:00Z"), "2026-10-24");
        assert_eq!(over("2026-10-26T01:29:59Z"), "2026-10-24");
        assert_eq!(over("2026-10-26T01:30:00Z"), "2026-10-25");
    }

    #[test]
    fn every_day_is_over_once_in_order_and_never_before_its_midnight_whatever_the_zone_does() {
        // Zones that change at midnight, by half an hour, twice a year, over a whole day, and never.
        for (zone, run_at, from) in [
            ("Europe/Berlin", "02:30", "2026-01-01T00:00:00Z"),
            ("America/Santiago", "00:00", "2026-01-01T00:00:00Z"),
            ("Australia/Lord_Howe", "02:15", "2026-01-01T00:00:00Z"),
            ("America/New_York", "01:30", "2026-01-01T00:00:00Z"),
            ("Asia/Kolkata", "23:59", "2026-01-01T00:00:00Z"),
            ("Europe/Moscow", "03:00", "2014-06-01T00:00:00Z"),
            // 30 December 2011 does not exist there.
            ("Pacific/Apia", "03:00", "2011-06-01T00:00:00Z"),
        ] {
            let zone: Tz = zone.parse().unwrap();
            let mut now = at(from);
            let mut over = last_day_over(now, zone, run_at).unwrap();
            let mut closed = 0;
            while now < at(from) + TimeDelta::days(400) {
                now += TimeDelta::minutes(15);
                let next = last_day_over(now, zone, run_at).unwrap();
                assert!(next >= over, "{zone}: a day is never open again");
                assert!(next < local_date(now, zone), "{zone} {now}: a day is closed after its midnight");
                // Each day is the next one's eve for `run_daily`; a zone that skips a day closes it with the one before.
                let steps = next.signed_duration_since(over).num_days();
                assert!(steps <= 1 || zone == chrono_tz::Pacific::Apia && steps == 2, "{zone} {now}");
                if steps > 0 {
                    let due = run_at_of(next, zone, run_at).unwrap();
                    assert!(due <= now && now - due < TimeDelta::minutes(15), "{zone} {now} {due}");
                }
                closed += steps;
                over = next;
            }
            assert!((399..=401).contains(&closed), "{zone}: {closed} days");
        }
    }

    #[test]
    fn waits_double_up_to_ten_minutes() {
        let waits: Vec<i64> = (1..=9).map(|attempts| wait_after(attempts).num_seconds()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(wait_after(i32::MAX).num_seconds(), 600);
    }
}
