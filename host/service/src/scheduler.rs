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
    run::RunState,
};
use altyn_runtime::World;
use altyn_store::{Scope, jobs, plugins as bindings, runs, tenants};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    exchanges::EXCHANGE_JOB,
    page::{Listed, Page},
    ports::{Clock as _, SystemClock},
    runs::{Advanced, RUN_JOB, RunView, StartRun, run_of_job},
    tenants::{TenantView, view as tenant_view},
};

/// After so many tries a job is given up.
const MOST_ATTEMPTS: i32 = 20;
/// The wait after the first failed try, seconds; it doubles with each further one.
const FIRST_WAIT_S: i64 = 5;
/// The longest wait between two tries, seconds.
const LONGEST_WAIT_S: i64 = 600;
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
            let outcome = self.job_work(tenant, owner, &job).await;
            self.job_end(tenant, &job, outcome, now, &mut worked).await?;
        }
    }

    async fn job_work(&self, tenant: TenantId, owner: &str, job: &jobs::JobRow) -> Result<Advanced> {
        match job.kind.as_str() {
            RUN_JOB => self.run_advance(tenant, run_of_job(&job.payload)?, owner).await,
            EXCHANGE_JOB => self.exchange_job(tenant, &job.payload, owner).await,
            // A newer host may have put it; it stays for that one.
            kind => Err(ServiceError::Internal(format!("this release does not know jobs of kind {kind}"))),
        }
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
                jobs::retry(&mut tx, tenant.0, job.id, job.fence, due, "another host works on it", false).await?;
                worked.postponed += 1;
            }
            Ok(_) => {
                jobs::finish(&mut tx, tenant.0, job.id, job.fence, now).await?;
                worked.done += 1;
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
        let zone: Tz = stored("tenants.zone", &tenant.zone)?;
        let over = last_day_over(now, zone, &tenant.run_at)?;
        let request = Request::internal(tenant.id, CREDENTIAL);
        let mut tx = self.read(&request).await?;
        let latest = runs::latest(&mut tx, tenant.id.0).await?;
        let mut day = if let Some(latest) = latest {
            day_after(latest)?
        } else {
            let mut unbound = Vec::new();
            for world in World::BILLING.iter().copied() {
                if bindings::binding_in_effect(&mut tx, tenant.id.0, world.as_str(), over).await?.is_none() {
                    unbound.push(world);
                }
            }
            if !unbound.is_empty() {
                return Ok(Daily::Unbound(unbound));
            }
            over
        };
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
        if runs::earlier_open(&mut tx, tenant.id.0, day).await?.is_some() {
            return Ok(Daily::Waiting);
        }
        drop(tx);
        match self.run_start(&request, StartRun { business_on: day, mode: None }).await {
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

/// The last local day that is closed at `now`: yesterday from `run_at` on, the day before until then.
fn last_day_over(now: DateTime<Utc>, zone: Tz, run_at: &str) -> Result<NaiveDate> {
    let run_at = NaiveTime::parse_from_str(run_at, "%H:%M")
        .map_err(|_| ServiceError::Internal(format!("stored value of tenants.run_at is not valid: {run_at}")))?;
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
    fn waits_double_up_to_ten_minutes() {
        let waits: Vec<i64> = (1..=9).map(|attempts| wait_after(attempts).num_seconds()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(wait_after(i32::MAX).num_seconds(), 600);
    }
}
