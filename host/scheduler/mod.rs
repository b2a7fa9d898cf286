//! The work that starts by itself.
//!
//! [`Scheduler::tick`] looks once at every tenant: it starts the daily run whose time has passed and works on due jobs.
//! Time is its argument; [`run`] around it only sleeps. Any number of hosts may tick over one database.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
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
use tokio::{
    sync::{Semaphore, watch},
    task::{Id, JoinError, JoinSet},
};

use crate::Altyn;

/// How many tenants one host works for at the same time: enough that a large run of one keeps no other waiting, few enough
/// that their chunks fit into memory together.
const AT_ONCE: usize = 4;
/// How often a host looks for what a tenant has kept long enough, hours.
const PURGE_HOURS: i64 = 1;

/// One host's share of the work.
pub struct Scheduler {
    altyn: Altyn,
    owner: String,
    /// Tenants whose missing bindings were told, so that the log says it once.
    told: Arc<Mutex<HashSet<TenantId>>>,
    /// Whether the last look found this host's clock behind.
    behind: bool,
    /// When this host last found nothing more to delete of a tenant's.
    purged: Arc<Mutex<HashMap<TenantId, DateTime<Utc>>>>,
    /// Turns under way, and whose they are; a tenant has one at a time.
    turns: JoinSet<Result<Ticked, ServiceError>>,
    tenants: HashMap<Id, TenantId>,
    working: HashSet<TenantId>,
    places: Arc<Semaphore>,
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

impl Ticked {
    fn add(&mut self, turn: Self) {
        self.runs_started += turn.runs_started;
        self.jobs_done += turn.jobs_done;
        self.jobs_failed += turn.jobs_failed;
        self.rows_purged += turn.rows_purged;
        self.tenants_failed += turn.tenants_failed;
    }
}

impl Scheduler {
    /// For a host of its own name.
    pub fn new(altyn: Altyn) -> Self {
        let owner = format!("host/{}", altyn.ids.next().simple());
        Self {
            altyn,
            owner,
            told: Arc::default(),
            behind: false,
            purged: Arc::default(),
            turns: JoinSet::new(),
            tenants: HashMap::new(),
            working: HashSet::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Looks at every tenant once, as at `now`, and waits for all of them.
    ///
    /// A tenant that fails does not keep the others waiting; only a database that cannot list the tenants is an error.
    /// A clock that was set back does nothing until it has caught up: its days are closed already, and its leases would
    /// count from the past.
    pub async fn tick(&mut self, now: DateTime<Utc>) -> Result<Ticked, ServiceError> {
        self.tick_within(now, None).await
    }

    /// [`Self::tick`], which leaves turns that take longer than `patience` to themselves; a later tick counts what they did,
    /// and gives their tenants no second turn meanwhile.
    async fn tick_within(&mut self, now: DateTime<Utc>, patience: Option<Duration>) -> Result<Ticked, ServiceError> {
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
            for tenant in tenants.data {
                self.begin(tenant, now);
            }
            match tenants.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => break,
            }
        }
        let until = patience.map(|patience| tokio::time::Instant::now() + patience);
        loop {
            let ended = match until {
                None => self.turns.join_next_with_id().await,
                Some(until) => match tokio::time::timeout_at(until, self.turns.join_next_with_id()).await {
                    Ok(ended) => ended,
                    Err(_) => break,
                },
            };
            let Some(ended) = ended else { break };
            self.end(&ended, &mut ticked);
        }
        self.altyn.usage_store_or_warn().await;
        Ok(ticked)
    }

    /// Gives a tenant its turn, unless one is under way.
    fn begin(&mut self, tenant: TenantView, now: DateTime<Utc>) {
        if !self.working.insert(tenant.id) {
            return;
        }
        let turn = Turn {
            altyn: self.altyn.clone(),
            owner: self.owner.clone(),
            told: Arc::clone(&self.told),
            purged: Arc::clone(&self.purged),
        };
        let places = Arc::clone(&self.places);
        let id = tenant.id;
        let task = self.turns.spawn(async move {
            // Nobody closes it.
            let _place = places.acquire_owned().await;
            turn.take(&tenant, now).await
        });
        self.tenants.insert(task.id(), id);
    }

    /// Counts a turn that has ended, however it did; one that panicked is one that failed.
    fn end(&mut self, ended: &Result<(Id, Result<Ticked, ServiceError>), JoinError>, ticked: &mut Ticked) {
        let id = match ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(tenant) = self.tenants.remove(&id) else { return };
        self.working.remove(&tenant);
        let error: &dyn std::fmt::Display = match ended {
            Ok((_, Ok(turn))) => {
                ticked.add(*turn);
                return;
            }
            Ok((_, Err(error))) => error,
            Err(error) => error,
        };
        tracing::error!(%tenant, %error, "a tenant's scheduled work failed");
        ticked.tenants_failed += 1;
    }
}

/// What one tenant's turn needs.
struct Turn {
    altyn: Altyn,
    owner: String,
    told: Arc<Mutex<HashSet<TenantId>>>,
    purged: Arc<Mutex<HashMap<TenantId, DateTime<Utc>>>>,
}

impl Turn {
    async fn take(&self, tenant: &TenantView, now: DateTime<Utc>) -> Result<Ticked, ServiceError> {
        let mut ticked = Ticked::default();
        if let Some(turn) = self.altyn.sandbox_turn(tenant, &self.owner).await? {
            ticked.runs_started = turn.runs_started;
            ticked.jobs_done = turn.jobs_done;
            ticked.jobs_failed = turn.jobs_failed;
            return Ok(ticked);
        }
        match self.altyn.run_daily(tenant, now).await? {
            Daily::Started(run) => {
                tracing::info!(tenant = %tenant.id, run = %run.id, day = %run.business_on, "the daily run was started");
                ticked.runs_started += 1;
            }
            Daily::Unbound(worlds) => {
                if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.id) {
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
        ticked.rows_purged = self.purge(tenant.id, now).await?;
        Ok(ticked)
    }

    /// Deletes what a tenant in the real world has kept long enough: a bounded part in a turn, the rest in the next ones.
    async fn purge(&self, tenant: TenantId, now: DateTime<Utc>) -> Result<u64, ServiceError> {
        let seen = self.purged.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied();
        let since = seen.map(|seen| now.signed_duration_since(seen));
        if since.is_some_and(|since| since >= TimeDelta::zero() && since < TimeDelta::hours(PURGE_HOURS)) {
            return Ok(0);
        }
        let purged = self.altyn.retention_purge(tenant, now).await?;
        if purged.rows() > 0 {
            let (answers, events, jobs) = (purged.answers, purged.events, purged.jobs);
            tracing::info!(%tenant, answers, events, jobs, "what was kept long enough was deleted");
        }
        if !purged.more {
            self.purged.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, now);
        }
        Ok(purged.rows())
    }
}
impl Scheduler {
    /// The name under which this host holds leases.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Gives up the turns under way and gives back every lease of this host, so that another goes on at once with what it
    /// left.
    pub async fn stop(&mut self) -> Result<(), ServiceError> {
        self.turns.shutdown().await;
        self.tenants.clear();
        self.working.clear();
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
    let clock = Arc::clone(&altyn.clock);
    let mut scheduler = Scheduler::new(altyn);
    loop {
        let ticked = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            ticked = scheduler.tick_within(clock.now(), Some(Duration::from_millis(tick_ms))) => ticked,
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
