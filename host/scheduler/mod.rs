//! The work that starts by itself.
//!
//! [`Scheduler::tick`] looks once at every tenant: it starts the daily run whose time has passed and works on due jobs.
//! Time is its argument; [`run`] around it only sleeps. Any number of hosts may tick over one database.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use altyn_domain::id::TenantId;
use altyn_service::{
    ServiceError,
    page::{LARGEST_PAGE, Page},
    scheduler::{ClockState, Daily, JobsWorked},
    tenants::TenantView,
};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::Altyn;

/// How often a host looks for what a tenant has kept long enough, hours.
const PURGE_HOURS: i64 = 1;

/// One host's share of the work.
pub struct Scheduler {
    altyn: Altyn,
    owner: String,
    /// Tenants whose missing bindings were told, so that the log says it once.
    told: HashSet<TenantId>,
    /// Whether the last look found this host's clock behind.
    behind: bool,
    /// When this host last found nothing more to delete of a tenant's.
    purged: HashMap<TenantId, DateTime<Utc>>,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Daily runs started.
    pub runs_started: u32,
    /// Jobs finished.
    pub jobs_done: u32,
    /// Jobs given back or given up.
    pub jobs_failed: u32,
    /// Answers, events and jobs deleted, because they were kept long enough.
    pub rows_purged: u64,
    /// Tenants whose turn failed; the log says why.
    pub tenants_failed: u32,
    /// By how much this host's clock is behind, milliseconds; above 0 nothing else was done.
    pub clock_behind_ms: i64,
}

impl Scheduler {
    /// For a host of its own name.
    pub fn new(altyn: Altyn) -> Self {
        let owner = format!("host/{}", altyn.ids.next().simple());
        Self { altyn, owner, told: HashSet::new(), behind: false, purged: HashMap::new() }
    }

    /// Looks at every tenant once, as at `now`.
    ///
    /// A tenant that fails does not keep the others waiting; only a database that cannot list the tenants is an error.
    /// A clock that was set back does nothing until it has caught up: its days are closed already, and its leases would
    /// count from the past.
    pub async fn tick(&mut self, now: DateTime<Utc>) -> Result<Ticked, ServiceError> {
        let mut ticked = Ticked::default();
        if let ClockState::Behind { by_ms, new } = self.altyn.clock_observe(now).await? {
            if new || !self.behind {
                tracing::error!(
                    behind_ms = by_ms,
                    "this host's clock is behind the time that hosts saw; scheduled work waits until it has caught up, \
                     or until `altyn scheduler accept-clock`"
                );
            }
            self.behind = true;
            ticked.clock_behind_ms = by_ms;
            return Ok(ticked);
        }
        if std::mem::take(&mut self.behind) {
            tracing::info!("this host's clock has caught up; scheduled work goes on");
        }
        let mut page = Page { limit: Some(LARGEST_PAGE), cursor: None };
        loop {
            let tenants = self.altyn.tenant_list_all(&page).await?;
            for tenant in &tenants.data {
                if let Err(error) = self.turn(tenant, now, &mut ticked).await {
                    tracing::error!(tenant = %tenant.id, error = %error, "a tenant's scheduled work failed");
                    ticked.tenants_failed += 1;
                }
            }
            match tenants.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => break,
            }
        }
        self.altyn.usage_store_or_warn().await;
        Ok(ticked)
    }

    async fn turn(&mut self, tenant: &TenantView, now: DateTime<Utc>, ticked: &mut Ticked) -> Result<(), ServiceError> {
        if let Some(turn) = self.altyn.sandbox_turn(tenant, &self.owner).await? {
            ticked.runs_started += turn.runs_started;
            ticked.jobs_done += turn.jobs_done;
            ticked.jobs_failed += turn.jobs_failed;
            return Ok(());
        }
        match self.altyn.run_daily(tenant, now).await? {
            Daily::Started(run) => {
                tracing::info!(tenant = %tenant.id, run = %run.id, day = %run.business_on, "the daily run was started");
                ticked.runs_started += 1;
            }
            Daily::Unbound(worlds) => {
                if self.told.insert(tenant.id) {
                    let worlds: Vec<_> = worlds.iter().map(|world| world.as_str()).collect();
                    tracing::warn!(
                        tenant = %tenant.id,
                        "daily runs wait until a plugin is bound to {}",
                        worlds.join(", ")
                    );
                }
            }
            Daily::UpToDate | Daily::Waiting => {}
        }
        let JobsWorked { done, postponed, dead } = self.altyn.jobs_work(tenant.id, &self.owner, now).await?;
        ticked.jobs_done += done;
        ticked.jobs_failed += postponed + dead;
        self.purge(tenant.id, now, ticked).await
    }

    /// Deletes what a tenant in the real world has kept long enough: a bounded part in a turn, the rest in the next ones.
    async fn purge(&mut self, tenant: TenantId, now: DateTime<Utc>, ticked: &mut Ticked) -> Result<(), ServiceError> {
        let seen = self.purged.get(&tenant).map(|seen| now.signed_duration_since(*seen));
        if seen.is_some_and(|since| since >= TimeDelta::zero() && since < TimeDelta::hours(PURGE_HOURS)) {
            return Ok(());
        }
        let purged = self.altyn.retention_purge(tenant, now).await?;
        if purged.rows() > 0 {
            let (answers, events, jobs) = (purged.answers, purged.events, purged.jobs);
            tracing::info!(%tenant, answers, events, jobs, "what was kept long enough was deleted");
        }
        ticked.rows_purged += purged.rows();
        if !purged.more {
            self.purged.insert(tenant, now);
        }
        Ok(())
    }
}

impl Scheduler {
    /// The name under which this host holds leases.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Gives back every lease of this host, so that another goes on at once with what it left.
    pub async fn stop(&self) -> Result<(), ServiceError> {
        let mut page = Page { limit: Some(LARGEST_PAGE), cursor: None };
        loop {
            let tenants = self.altyn.tenant_list_all(&page).await?;
            for tenant in &tenants.data {
                self.altyn.leases_return(tenant.id, &self.owner).await?;
            }
            match tenants.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => return Ok(()),
            }
        }
    }
}

/// Ticks until `stopping` becomes true; a tick under way is given up between two of its transactions, and what it left
/// is given back, or claimed again when its lease has ended.
pub async fn run(altyn: Altyn, tick_ms: u64, mut stopping: watch::Receiver<bool>) {
    let clock = std::sync::Arc::clone(&altyn.clock);
    let mut scheduler = Scheduler::new(altyn);
    loop {
        let ticked = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            ticked = scheduler.tick(clock.now()) => ticked,
        };
        if let Err(error) = ticked {
            tracing::error!(error = %error, "the scheduler cannot list the tenants");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(Duration::from_millis(tick_ms)) => {}
        }
    }
    if let Err(error) = scheduler.stop().await {
        tracing::warn!(error = %error, "this host's leases could not be given back; they end by themselves");
    }
}
