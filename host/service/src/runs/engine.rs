//! Driving a run: read (see [`super::read`]), compute, write, chunk after chunk, three at a time.
//!
//! While one chunk is written the next is computed and the one after it is read. Memory is bounded by the chunk, whatever
//! the number of subscriptions. The checkpoint moves in the transaction of each chunk, so a run that stops anywhere goes
//! on behind the last contract that was written; what was computed ahead is thrown away.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use altyn_domain::{
    calendar::instant_of,
    id::{RunId, TenantId},
    run::{PlanStage, PlanState, RunState, SafetyBounds},
};
use altyn_runtime::World;
use altyn_store::{Engine, Scope, StoreError, canaries, ledger, orders, runs as rows, tenants, usage_windows};
use chrono::{NaiveTime, TimeDelta};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    ask::Fault,
    compute::{Computed, Inputs, Planned, Plans, compute},
    follow::with_successors,
    metered::{with_figures, with_instants},
    number::{NextValues, TakenNumbers, give_numbers, name_sequences},
    post::{SharedAccounts, shared_accounts},
    read::Chunk,
    write::{Action, Lease, Prepared, Refused, prepare_execution, prepare_proposal, write},
};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    plugins::blocking,
    ports::{Clock as _, SystemClock},
    price_overrides::prices_of,
    stays::Left,
};

/// Waits longer and longer between attempts when others keep changing what was read, and gives up in the end.
///
/// Rivals that hold a document's counter in turn, chunk after chunk, leave room only now and then: what counts is how
/// long was waited, not how often was tried.
#[derive(Default)]
struct Patience {
    waited: Duration,
    pause: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(250);
    const LIMIT: Duration = Duration::from_secs(30);

    /// `false` when it was waited long enough.
    async fn wait(&mut self) -> bool {
        if self.waited >= Self::LIMIT {
            return false;
        }
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::LONGEST);
        self.waited += self.pause;
        tokio::time::sleep(self.pause).await;
        true
    }
}

/// Where a run stands after a host worked on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// Nothing is left to do.
    Done,
    /// Plans wait for a decision.
    Awaiting,
    /// It was cancelled.
    Cancelled,
    /// Another host works on it.
    Busy,
}

/// A pass over a run: what stays the same and what moves.
pub(super) struct Pass {
    pub(super) inputs: Arc<Inputs>,
    pub(super) plans: Plans,
    next: NextValues,
    accounts: Arc<SharedAccounts>,
    /// Contracts that must be parked because their periods are charged already.
    refused: HashMap<Uuid, Fault>,
    /// Numbers that stand on invoices already.
    taken: Arc<TakenNumbers>,
    fence: i64,
    action: Action,
}

impl Pass {
    fn learn(&mut self, taken: TakenNumbers) {
        Arc::make_mut(&mut self.taken).extend(taken);
        self.next.clear();
    }
}

/// Whether a written chunk leaves the run going on, or why it was not written.
type Written = std::result::Result<bool, Refused>;

impl Altyn {
    /// Works on a run until nothing is left to do, or somebody must decide, or it is cancelled.
    ///
    /// `owner` names the working host; it holds the run's lease meanwhile.
    pub async fn run_advance(&self, tenant: TenantId, id: RunId, owner: &str) -> Result<Advanced> {
        // Leases are about hosts, not about business: a virtual clock that stands still must not keep one for ever.
        let now = SystemClock.now();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let leased = rows::lease(&mut tx, tenant.0, id.0, owner, self.lease_until(), now).await?;
        let run = rows::find(&mut tx, tenant.0, id.0).await?.ok_or(ServiceError::NotFound("run"))?;
        tx.commit().await?;
        if !leased {
            return Ok(match run.state.parse() {
                Ok(RunState::Done) => Advanced::Done,
                Ok(RunState::Cancelled) => Advanced::Cancelled,
                _ => Advanced::Busy,
            });
        }
        let worked = self.work(tenant, &run).await;
        self.usage_store_or_warn().await;
        if worked.is_err() {
            // Whoever retries should not have to wait for the lease to expire.
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            rows::release(&mut tx, tenant.0, id.0, run.fence).await?;
            tx.commit().await?;
        }
        worked
    }

    pub(super) fn lease_until(&self) -> chrono::DateTime<chrono::Utc> {
        let lease = i64::try_from(self.settings.run_lease_ms).unwrap_or(30_000);
        SystemClock.now() + TimeDelta::milliseconds(lease)
    }

    fn lease(&self, fence: i64) -> Lease {
        // Long enough that a host which is only slow keeps its transaction, whatever its lease.
        let silence_ms = self.settings.run_lease_ms.saturating_mul(2).clamp(5_000, 600_000);
        Lease { fence, until: self.lease_until(), silence_ms: u32::try_from(silence_ms).unwrap_or(600_000) }
    }

    async fn work(&self, tenant: TenantId, run: &rows::RunRow) -> Result<Advanced> {
        let state: RunState = run.state.parse().map_err(|_| StoreError::Corrupt("runs.state", run.state.clone()))?;
        if run.cancel_requested && !state.is_final() {
            return self.end(tenant, run, RunState::Cancelled).await;
        }
        match state {
            RunState::Done => Ok(Advanced::Done),
            RunState::Cancelled => Ok(Advanced::Cancelled),
            RunState::Executing => {
                // Terms change first, so that the day is billed by those that hold on it; a change that waited for a
                // charge of its old terms follows behind.
                self.changes_execute_due(tenant, run.business_on).await?;
                if !self.scan(tenant, run, Action::Execute).await? {
                    return self.end(tenant, run, RunState::Cancelled).await;
                }
                self.parked_by_canaries_again(tenant, run, Action::Execute).await?;
                self.changes_execute_due(tenant, run.business_on).await?;
                self.recount(tenant, run).await?;
                self.end(tenant, run, RunState::Done).await
            }
            RunState::Computing => {
                if !self.scan(tenant, run, Action::Propose).await? {
                    return self.end(tenant, run, RunState::Cancelled).await;
                }
                self.parked_by_canaries_again(tenant, run, Action::Propose).await?;
                self.changes_before(tenant, run).await?;
                // What was approved before a host died here waits to be executed like what is approved now.
                self.approve_usual(tenant, run, None).await?;
                if !self.carry_out(tenant, run).await? {
                    return self.end(tenant, run, RunState::Cancelled).await;
                }
                self.settle(tenant, run).await
            }
            RunState::Awaiting => {
                if !self.carry_out(tenant, run).await? {
                    return self.end(tenant, run, RunState::Cancelled).await;
                }
                self.parked_by_canaries_again(tenant, run, Action::Propose).await?;
                self.settle(tenant, run).await
            }
        }
    }

    /// Counts contracts again when a host was here before: one that died while it tried a contract again leaves a run
    /// whose next pass goes over all contracts that are still parked, and adds them once more.
    async fn recount(&self, tenant: TenantId, run: &rows::RunRow) -> Result<()> {
        if run.fence > 1 {
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            rows::contracts_recount(&mut tx, tenant.0, run.id).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// After plans were proposed or executed: done, or waiting for the next decision.
    async fn settle(&self, tenant: TenantId, run: &rows::RunRow) -> Result<Advanced> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        // A contract whose changes are made and whose day owes nothing counts no more.
        rows::contracts_recount(&mut tx, tenant.0, run.id).await?;
        rows::counters_set(&mut tx, tenant.0, run.id).await?;
        let open = rows::plans_count(&mut tx, tenant.0, run.id)
            .await?
            .iter()
            .any(|(state, _)| [PlanState::Awaiting.as_str(), PlanState::Approved.as_str()].contains(&state.as_str()));
        tx.commit().await?;
        if open { self.end(tenant, run, RunState::Awaiting).await } else { self.end(tenant, run, RunState::Done).await }
    }

    async fn end(&self, tenant: TenantId, run: &rows::RunRow, state: RunState) -> Result<Advanced> {
        if state == RunState::Done {
            // A run that stops in here does it again: what was done is not done twice, and the credit control has a checkpoint
            // of its own.
            self.orders_day_close(tenant).await?;
            self.notices_day_close(tenant, run.business_on).await?;
            self.credit_day_close(tenant, run.business_on).await?;
            self.blocks_day_close(tenant).await?;
            self.ended_day_close(tenant, run.business_on).await?;
            self.dunning_enqueue(tenant, run.business_on).await?;
        }
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let finished = state.is_final().then(|| self.clock.now());
        let set = rows::state_set(&mut tx, tenant.0, run.id, run.fence, state.as_str(), finished).await?;
        if set && state == RunState::Done {
            self.close_put(&mut tx, tenant, run.business_on, self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(match (set, state) {
            (false, _) => Advanced::Busy,
            (true, RunState::Done) => Advanced::Done,
            (true, RunState::Cancelled) => Advanced::Cancelled,
            (true, _) => Advanced::Awaiting,
        })
    }

    /// Everything a pass needs that does not change while it runs.
    pub(super) async fn pass(&self, tenant: TenantId, run: &rows::RunRow, action: Action) -> Result<Pass> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let row = tenants::find(&mut tx, tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let sellers = rows::sellers(&mut tx, tenant.0).await?;
        drop(tx);
        let zone: chrono_tz::Tz =
            row.zone.parse().map_err(|_| StoreError::Corrupt("tenants.zone", row.zone.clone()))?;
        // The plugin's `now` is the end of the business day, so that asking again asks the same.
        let day_after = run.business_on.succ_opt().unwrap_or(run.business_on);
        let told = instant_of(day_after, NaiveTime::MIN, zone);
        let bound = |world| self.bound(tenant, world, run.business_on, told, &row.zone, &row.locale);
        let bounds = SafetyBounds {
            max_lines_per_contract_day: self.settings.max_lines_per_contract_day,
            max_months_ahead: self.settings.max_months_ahead,
        };
        let inputs = Inputs::new(
            tenant,
            RunId(run.id),
            run.business_on,
            [
                bound(World::ProrationStrategy).await?,
                bound(World::TaxRule).await?,
                bound(World::NumberingScheme).await?,
            ],
            bounds,
            usize::try_from(self.settings.max_missed_periods).unwrap_or(usize::MAX),
            Arc::clone(&self.ids),
            self.plugins.runtime(),
            sellers,
        );
        Ok(Pass {
            inputs: Arc::new(inputs),
            plans: Plans::new(),
            next: NextValues::new(),
            accounts: Arc::new(SharedAccounts::new()),
            refused: HashMap::new(),
            taken: Arc::new(TakenNumbers::new()),
            fence: run.fence,
            action,
        })
    }

    /// Asks anew what decides, when a trial was changed or is over; what the pass has learnt about the books stays.
    async fn bind_again(&self, tenant: TenantId, run: &rows::RunRow, pass: &mut Pass) -> Result<()> {
        pass.inputs = self.pass(tenant, run, pass.action).await?.inputs;
        pass.next.clear();
        Ok(())
    }

    /// Computes the contracts again that a component parked whose trial is over: what decides now decides for them, too.
    ///
    /// A host that stops in here leaves them parked, and the next one begins with those that are left.
    async fn parked_by_canaries_again(&self, tenant: TenantId, run: &rows::RunRow, action: Action) -> Result<()> {
        let (mut after, mut again) = (Uuid::nil(), 0);
        let size = i64::from(self.settings.run_chunk.clamp(1, 1_000));
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let contracts = canaries::parked_by_refused(&mut tx, tenant.0, run.id, after, size).await?;
            drop(tx);
            let Some(last) = contracts.last().copied() else { break };
            (after, again) = (last, again + contracts.len());
            self.contracts_again(tenant, run, &contracts, action).await?;
        }
        if again > 0 {
            tracing::info!(run = %RunId(run.id), contracts = again, "contracts were computed again without the canary");
            let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
            rows::counters_set(&mut tx, tenant.0, run.id).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Goes over all due subscriptions from the checkpoint on; `false` when the run was cancelled meanwhile.
    async fn scan(&self, tenant: TenantId, run: &rows::RunRow, action: Action) -> Result<bool> {
        let mut pass = self.pass(tenant, run, action).await?;
        let mut patience = Patience::default();
        let mut reached = None;
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let row = rows::find(&mut tx, tenant.0, run.id).await?.ok_or(ServiceError::NotFound("run"))?;
            drop(tx);
            if row.cancel_requested {
                return Ok(false);
            }
            // Only changes that keep the run from getting anywhere count.
            if reached != row.cursor {
                reached = row.cursor;
                patience = Patience::default();
            }
            let (sender, receiver) = mpsc::channel(1);
            let reader = tokio::spawn(self.clone().read_chunks(tenant, row, sender));
            let outcome = self.pipeline(&mut pass, receiver).await;
            reader.abort();
            match outcome {
                Ok(finished) => return Ok(finished),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::LeaseLost) => return Err(lease_lost()),
                Err(Refused::Canary) => self.bind_again(tenant, run, &mut pass).await?,
                Err(Refused::Taken(refused)) => pass.refused.extend(refused),
                Err(Refused::Numbers(taken)) => pass.learn(taken),
                Err(Refused::Moved) => {
                    if !patience.wait().await {
                        return Err(ServiceError::conflict(
                            "busy",
                            "others keep changing the subscriptions of this run; start it again",
                        ));
                    }
                }
            }
            pass.next.clear();
        }
    }

    /// Computes and writes the chunks a reader sends; `false` when the run was cancelled.
    ///
    /// PostgreSQL writes two chunks at a time on two connections, so that one works while the other waits for the disk;
    /// each waits for its turn before the part they share. SQLite has one writing connection.
    async fn pipeline(
        &self,
        pass: &mut Pass,
        mut chunks: mpsc::Receiver<Result<Chunk>>,
    ) -> std::result::Result<bool, Refused> {
        let writers = match self.db.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        };
        let mut writing: VecDeque<JoinHandle<Written>> = VecDeque::new();
        let mut turn = None;
        let mut outcome = Ok(true);
        while let Some(chunk) = chunks.recv().await {
            let prepared = match chunk {
                Ok(chunk) => self.prepare(pass, chunk).await,
                Err(error) => Err(error),
            };
            if writing.len() == writers
                && let Some(oldest) = writing.pop_front()
            {
                outcome = joined(oldest.await);
            }
            let prepared = match (&outcome, prepared) {
                (Ok(true), Ok(prepared)) => prepared,
                (Ok(true), Err(error)) => {
                    outcome = Err(Refused::Failed(error));
                    break;
                }
                _ => break,
            };
            let (done, next_turn) = oneshot::channel();
            let after = turn.replace(next_turn).filter(|_| writers > 1);
            let task = self.clone().write_chunk(Arc::clone(&pass.inputs), prepared, pass.fence, after, done);
            writing.push_back(tokio::spawn(task));
        }
        // Chunks that were computed before the trouble are still written, or refused because their turn never comes.
        for task in writing {
            let written = joined(task.await);
            if matches!(outcome, Ok(true)) {
                outcome = written;
            }
        }
        outcome
    }

    async fn write_chunk(
        self,
        inputs: Arc<Inputs>,
        prepared: Prepared,
        fence: i64,
        turn: Option<oneshot::Receiver<()>>,
        done: oneshot::Sender<()>,
    ) -> Written {
        let lease = self.lease(fence);
        write(&self.db, &inputs, &prepared, lease, self.clock.now(), turn).await?;
        let _ = done.send(());
        let mut tx = self.db.read(Scope::Tenant(inputs.tenant.0)).await?;
        let run = rows::find(&mut tx, inputs.tenant.0, inputs.run.0).await?;
        Ok(run.is_some_and(|run| !run.cancel_requested))
    }

    /// Computes the plans of a chunk.
    pub(super) async fn compute_chunk(&self, pass: &mut Pass, mut chunk: Chunk) -> Result<Computed> {
        Box::pin(self.complete(pass, &mut chunk)).await?;
        let at = self.clock.now();
        let (inputs, plans, refused) = (Arc::clone(&pass.inputs), pass.plans.clone(), pass.refused.clone());
        blocking(move || compute(&inputs, &plans, &chunk, &refused, at)).await?
    }

    /// Computes a chunk and lays out its rows.
    async fn prepare(&self, pass: &mut Pass, chunk: Chunk) -> Result<Prepared> {
        let computed = self.compute_chunk(pass, chunk).await?;
        match pass.action {
            Action::Execute => self.prepare_planned(pass, computed).await,
            Action::Propose => prepare_proposal(computed),
        }
    }

    /// Knows the plan versions that a chunk needs, and which of its subscriptions stay on a former component no more.
    pub(super) async fn complete(&self, pass: &mut Pass, chunk: &mut Chunk) -> Result<()> {
        let of_usage = chunk.usage.iter().map(|due| due.row.window.plan_version_id);
        self.load_plans(pass, chunk.due.iter().map(|row| row.plan_version_id).chain(of_usage)).await?;
        let (inputs, known) = (Arc::clone(&pass.inputs), &*chunk);
        let subscriptions = || {
            let of_usage = known.usage.iter().map(|due| due.row.window.subscription_id);
            let named: BTreeSet<Uuid> = known.due.iter().map(|row| row.id).chain(of_usage).collect();
            named.into_iter().collect()
        };
        chunk.left = self.left(inputs.tenant, &[&inputs.proration, &inputs.tax], subscriptions).await?;
        Ok(())
    }

    /// Knows plan versions.
    async fn load_plans(&self, pass: &mut Pass, versions: impl Iterator<Item = Uuid>) -> Result<()> {
        let missing: BTreeSet<Uuid> = versions.filter(|id| !pass.plans.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let tenant = pass.inputs.tenant.0;
        let mut tx = self.db.read(Scope::Tenant(tenant)).await?;
        pass.plans.extend(with_successors(&mut tx, tenant, missing.into_iter().collect()).await?);
        Ok(())
    }

    /// Knows the shared accounts that the chunk posts to, opening them on first use.
    async fn open_accounts(&self, pass: &mut Pass, planned: &[Planned]) -> Result<()> {
        let mut missing = shared_accounts(planned);
        missing.retain(|account| !pass.accounts.contains_key(account));
        if missing.is_empty() {
            return Ok(());
        }
        let tenant = pass.inputs.tenant.0;
        let keys: Vec<(String, String)> =
            missing.iter().map(|(code, currency)| (code.to_string(), currency.code().to_owned())).collect();
        let new: Vec<ledger::NewAccount> = keys
            .iter()
            .map(|(code, currency)| ledger::NewAccount {
                id: self.ids.next(),
                code: code.clone(),
                currency: currency.clone(),
            })
            .collect();
        let mut tx = self.db.write(Scope::Tenant(tenant)).await?;
        ledger::accounts_open(&mut tx, tenant, &new).await?;
        let opened = ledger::accounts_by_code(&mut tx, tenant, &keys).await?;
        tx.commit().await?;
        let mut accounts = SharedAccounts::clone(&pass.accounts);
        for account in opened {
            let currency = account
                .currency
                .parse()
                .map_err(|_| StoreError::Corrupt("ledger_accounts.currency", account.currency.clone()))?;
            let code =
                account.code.parse().map_err(|_| StoreError::Corrupt("ledger_accounts.code", account.code.clone()))?;
            accounts.insert((code, currency), account.id);
        }
        pass.accounts = Arc::new(accounts);
        Ok(())
    }

    /// Knows where every sequence of the chunk stands; a new one starts where its plugin says.
    async fn load_values<'a>(
        &self,
        pass: &mut Pass,
        names: impl Iterator<Item = &'a super::number::SequenceName>,
    ) -> Result<()> {
        let missing: BTreeSet<_> = names.filter(|name| !pass.next.contains_key(*name)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let tenant = pass.inputs.tenant.0;
        let mut tx = self.db.read(Scope::Tenant(tenant)).await?;
        for (seller, key) in missing {
            if let Some((_, value)) = rows::sequence_find(&mut tx, tenant, seller, &key).await? {
                pass.next.insert((seller, key), value);
            }
        }
        Ok(())
    }

    /// Executes approved plans that still hold, in contract order; `false` when the run was cancelled.
    pub(super) async fn execute_approved(&self, tenant: TenantId, run: &rows::RunRow) -> Result<bool> {
        let mut pass = self.pass(tenant, run, Action::Execute).await?;
        let mut after = Uuid::nil();
        let mut patience = Patience::default();
        loop {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let size = i64::from(self.settings.run_chunk.clamp(1, 1_000));
            let (state, any) = (PlanState::Approved.as_str(), rows::PlanPick::default());
            let approved = rows::plans_list(&mut tx, tenant.0, run.id, after, state, &any, size).await?;
            drop(tx);
            let Some(last) = approved.last().map(|plan| plan.contract_id) else { return Ok(true) };
            let (of_day, of_changes): (Vec<_>, Vec<_>) =
                approved.into_iter().partition(|plan| plan.stage == PlanStage::Day.as_str());
            for plan in &of_changes {
                self.confirmed_changes(tenant, run, plan).await?;
            }
            match self.execute_plans(&mut pass, &of_day).await {
                Ok(()) => {
                    after = last;
                    patience = Patience::default();
                }
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::LeaseLost) => return Err(lease_lost()),
                Err(Refused::Canary) => self.bind_again(tenant, run, &mut pass).await?,
                Err(Refused::Taken(refused)) => pass.refused.extend(refused),
                Err(Refused::Numbers(taken)) => pass.learn(taken),
                Err(Refused::Moved) => {
                    pass.next.clear();
                    if !patience.wait().await {
                        return Err(ServiceError::conflict("busy", "others keep changing these contracts; try again"));
                    }
                }
            }
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            let row = rows::find(&mut tx, tenant.0, run.id).await?;
            if row.is_some_and(|row| row.cancel_requested) {
                return Ok(false);
            }
        }
    }

    /// Computes the plans again: those that still have their hash are executed, the others wait for a new decision.
    async fn execute_plans(&self, pass: &mut Pass, approved: &[rows::PlanRow]) -> std::result::Result<(), Refused> {
        if approved.is_empty() {
            return Ok(());
        }
        let hashes: HashMap<Uuid, &[u8]> =
            approved.iter().map(|plan| (plan.contract_id, plan.plan_hash.as_deref().unwrap_or_default())).collect();
        let tenant = pass.inputs.tenant.0;
        let contracts: Vec<Uuid> = approved.iter().map(|plan| plan.contract_id).collect();
        let mut fresh = self.compute_contracts(pass, &contracts).await?;
        let (same, changed): (Vec<Planned>, Vec<Planned>) = std::mem::take(&mut fresh.planned)
            .into_iter()
            .partition(|plan| hashes.get(&plan.contract).is_some_and(|hash| **hash == plan.hash));
        // A contract with nothing due any more has an empty plan now.
        let due: BTreeSet<Uuid> = same
            .iter()
            .chain(&changed)
            .map(|plan| plan.contract)
            .chain(fresh.parked.iter().map(|parked| parked.contract))
            .collect();
        let gone: Vec<Uuid> = contracts.iter().copied().filter(|contract| !due.contains(contract)).collect();
        let same = Computed { planned: same, ..fresh };
        let prepared = self.prepare_planned(pass, same).await.map_err(Refused::Failed)?.counted_before();
        let lease = self.lease(pass.fence);
        write(&self.db, &pass.inputs, &prepared, lease, self.clock.now(), None).await?;
        if !changed.is_empty() {
            let changed = prepare_proposal(Computed { planned: changed, ..Computed::default() });
            let prepared = changed.map_err(Refused::Failed)?.counted_before();
            write(&self.db, &pass.inputs, &prepared, lease, self.clock.now(), None).await?;
        }
        let mut tx = self.db.write(Scope::Tenant(tenant)).await?;
        for contract in gone {
            let reason = Some(("nothing-due", "nothing is due any more"));
            let now = self.clock.now();
            rows::plan_decide(
                &mut tx,
                tenant,
                pass.inputs.run.0,
                contract,
                PlanState::Approved.as_str(),
                PlanState::Superseded.as_str(),
                "run",
                reason,
                now,
            )
            .await?;
        }
        rows::counters_set(&mut tx, tenant, pass.inputs.run.0).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Computes the plans of some contracts now.
    async fn compute_contracts(&self, pass: &mut Pass, contracts: &[Uuid]) -> std::result::Result<Computed, Refused> {
        let tenant = pass.inputs.tenant.0;
        let mut tx = self.db.read(Scope::Tenant(tenant)).await?;
        tx.prefer_indexes().await?;
        let due = rows::due_of(&mut tx, tenant, contracts, pass.inputs.on).await?;
        let realisable = rows::realisable_of(&mut tx, tenant, contracts, pass.inputs.on).await?;
        let usage = usage_windows::due_of(&mut tx, tenant, contracts, pass.inputs.on).await?;
        let usage = with_figures(&mut tx, tenant, usage).await.map_err(Refused::Failed)?;
        let prices = prices_of(&mut tx, tenant, contracts.to_vec()).await.map_err(Refused::Failed)?;
        // Read behind the subscriptions: whoever is in service had its order paid before.
        let of_due = due.iter().map(|row| row.id).collect();
        let reserved = orders::reserved_of(&mut tx, tenant, of_due).await?;
        let reserved = reserved.into_iter().map(|order| (order.subscription_id, order)).collect();
        drop(tx);
        let funds = self.funds_for(pass.inputs.tenant, &due).await.map_err(Refused::Failed)?;
        let chunk = Chunk { due, realisable, usage, funds, prices, reserved, left: Left::default() };
        let computed = self.compute_chunk(pass, chunk).await.map_err(Refused::Failed)?;
        // One contract more or less moves no checkpoint.
        Ok(Computed { last: None, ..computed })
    }

    /// Numbers and lays out plans that were computed already.
    async fn prepare_planned(&self, pass: &mut Pass, mut computed: Computed) -> Result<Prepared> {
        let at = self.clock.now();
        let inputs = Arc::clone(&pass.inputs);
        let (computed, named) = blocking(move || -> Result<_> {
            let named = name_sequences(&inputs, &mut computed.planned, &mut computed.parked, at)?;
            Ok((computed, named))
        })
        .await??;
        self.open_accounts(pass, &computed.planned).await?;
        self.load_values(pass, named.sequences.iter().map(|(name, _)| name)).await?;
        let (inputs, accounts, taken) = (Arc::clone(&pass.inputs), Arc::clone(&pass.accounts), Arc::clone(&pass.taken));
        let mut next = std::mem::take(&mut pass.next);
        let (mut prepared, next) = blocking(move || -> Result<_> {
            let Computed { mut planned, mut parked, mut recorded, mut calls, withheld, mut outcomes, last } = computed;
            recorded.extend(named.recorded);
            outcomes.join(named.outcomes);
            let mut numbered =
                give_numbers(&inputs, &mut planned, &mut parked, named.sequences, &mut next, &taken, at)?;
            calls += named.calls + numbered.calls;
            outcomes.join(std::mem::take(&mut numbered.outcomes));
            let prepared = prepare_execution(
                &inputs, &planned, &parked, recorded, numbered, &accounts, calls, outcomes, last, at,
            )?;
            Ok((prepared.also_withheld(withheld), next))
        })
        .await??;
        pass.next = next;
        with_instants(&self.db, pass.inputs.tenant.0, &mut prepared.windows).await?;
        Ok(prepared)
    }

    /// The present plan of one contract, computed now and kept nowhere.
    pub(super) async fn plan_now(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        contract: Uuid,
    ) -> Result<std::result::Result<Option<(altyn_domain::run::ContractPlan, [u8; 32])>, Fault>> {
        let mut pass = self.pass(tenant, run, Action::Propose).await?;
        let computed = match self.compute_contracts(&mut pass, &[contract]).await {
            Ok(computed) => computed,
            Err(Refused::Failed(error)) => return Err(error),
            Err(_) => return Err(ServiceError::Internal("computing a plan wrote something".into())),
        };
        if let Some(parked) = computed.parked.into_iter().next() {
            return Ok(Err(parked.fault));
        }
        Ok(Ok(computed.planned.into_iter().next().map(|plan| (plan.plan, plan.hash))))
    }

    /// Closes the plan of a contract that owes nothing any more.
    async fn nothing_due(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        contract: Uuid,
    ) -> std::result::Result<(), StoreError> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if let Some(plan) = rows::plan_find(&mut tx, tenant.0, run.id, contract).await? {
            // Behind its changes, a day that owes nothing is no news.
            let made = plan.stage == PlanStage::Changes.as_str() && plan.state == PlanState::Approved.as_str();
            let by = plan.decided_by.as_deref().filter(|_| made).unwrap_or("run");
            let reason = (!made).then_some(("nothing-due", "nothing is due any more"));
            let (next, now) = (if made { PlanState::Done } else { PlanState::Superseded }, self.clock.now());
            let (state, next) = (plan.state.as_str(), next.as_str());
            rows::plan_decide(&mut tx, tenant.0, run.id, contract, state, next, by, reason, now).await?;
        }
        tx.commit().await
    }

    /// Computes one contract again and proposes it or executes it, whatever its plan was before.
    pub(super) async fn contract_again(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        contract: Uuid,
        action: Action,
    ) -> Result<()> {
        match action {
            Action::Execute => self.contracts_again(tenant, run, &[contract], action).await,
            Action::Propose => self.contract_propose(tenant, run, contract).await,
        }
    }

    /// Computes some contracts again, in contract order, and proposes or executes them.
    pub(super) async fn contracts_again(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        contracts: &[Uuid],
        action: Action,
    ) -> Result<()> {
        let mut pass = self.pass(tenant, run, action).await?;
        let mut patience = Patience::default();
        loop {
            let written = async {
                let computed = self.compute_contracts(&mut pass, contracts).await?;
                let parked = computed.parked.iter().map(|parked| parked.contract);
                let due: BTreeSet<Uuid> = computed.planned.iter().map(|plan| plan.contract).chain(parked).collect();
                for contract in contracts.iter().filter(|contract| !due.contains(contract)) {
                    self.nothing_due(tenant, run, *contract).await?;
                }
                if due.is_empty() {
                    return Ok(());
                }
                let prepared = match action {
                    Action::Execute => self.prepare_planned(&mut pass, computed).await.map_err(Refused::Failed)?,
                    Action::Propose => prepare_proposal(computed).map_err(Refused::Failed)?,
                };
                let prepared = prepared.counted_before();
                let lease = self.lease(pass.fence);
                write(&self.db, &pass.inputs, &prepared, lease, self.clock.now(), None).await
            };
            match written.await {
                Ok(()) => return Ok(()),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::LeaseLost) => return Err(lease_lost()),
                Err(Refused::Canary) => self.bind_again(tenant, run, &mut pass).await?,
                Err(Refused::Taken(refused)) => pass.refused.extend(refused),
                Err(Refused::Numbers(taken)) => pass.learn(taken),
                Err(Refused::Moved) => {
                    pass.next.clear();
                    if !patience.wait().await {
                        return Err(ServiceError::conflict("busy", "others keep changing this contract; try again"));
                    }
                }
            }
        }
    }
}

pub(super) fn lease_lost() -> ServiceError {
    ServiceError::conflict("run-taken-over", "another host works on this run now; watch it there")
}

fn joined(outcome: std::result::Result<Written, tokio::task::JoinError>) -> Written {
    outcome.map_err(|error| Refused::Failed(ServiceError::Internal(format!("a write stopped: {error}"))))?
}
