//! Billing runs: the run with its lease and checkpoint, the plan of each contract, and the due subscriptions it reads.
//!
//! Concurrency: a host works on a run while it holds the lease. Taking the lease raises `fence`; every checkpoint names
//! the fence it was taken under, so a host that slept through its lease writes nothing more. The checkpoint is the first
//! statement of a chunk's transaction and locks the run's row: chunks of one run commit one after another.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// A billing run of one tenant and business date.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunRow {
    /// Its id.
    pub id: Uuid,
    /// The day it closes.
    pub business_on: NaiveDate,
    /// `with-confirmation` or `automatic`.
    pub mode: String,
    /// State of the run.
    pub state: String,
    /// The last contract whose plan is written, in the present pass.
    pub cursor: Option<Uuid>,
    /// Contracts with something due.
    pub contracts: i64,
    /// Subscriptions billed.
    pub subscriptions: i64,
    /// Charges made.
    pub charges: i64,
    /// Invoices issued.
    pub invoices: i64,
    /// Contracts parked now.
    pub parked: i64,
    /// Plans that wait for a decision.
    pub awaiting: i64,
    /// Net of the invoices, minor units.
    pub net_minor: i64,
    /// Tax of the invoices.
    pub tax_minor: i64,
    /// Gross of the invoices.
    pub gross_minor: i64,
    /// Charges realised.
    pub realised: i64,
    /// Net of what was realised, minor units.
    pub realised_net_minor: i64,
    /// Tax of what was realised.
    pub realised_tax_minor: i64,
    /// Gross of what was realised.
    pub realised_gross_minor: i64,
    /// Credits of use that fell.
    pub credits: i64,
    /// Gross of them.
    pub credited_minor: i64,
    /// Plugin calls made.
    pub plugin_calls: i64,
    /// The host that works on it.
    pub lease_owner: Option<String>,
    /// Until when that host is believed alive.
    pub lease_until: Option<DateTime<Utc>>,
    /// Counts take-overs.
    pub fence: i64,
    /// Whether somebody asked it to stop.
    pub cancel_requested: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
}

const INSERT: &str = "insert into runs
    (tenant_id, id, business_on, mode, state, cursor, contracts, subscriptions, charges, invoices, parked, awaiting,
     net_minor, tax_minor, gross_minor, plugin_calls, lease_owner, lease_until, fence, cancel_requested, created_at,
     started_at, finished_at, version)
    values ($1, $2, $3, $4, $5, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null, null, 0, $6, $7, null, null, 1)
    on conflict (tenant_id, business_on) do nothing";
/// Creates a run; `false` when the day has one already.
pub async fn insert(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    business_on: NaiveDate,
    mode: &str,
    state: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let params = (tenant, id, business_on, mode.to_owned(), state.to_owned(), false, now);
    Ok(tx.execute(INSERT, params).await? == 1)
}

const FIND: &str = "select id, business_on, mode, state, cursor, contracts, subscriptions, charges, invoices, parked,
    awaiting, net_minor, tax_minor, gross_minor, realised, realised_net_minor, realised_tax_minor,
    realised_gross_minor, (select count(*) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credits, (select cast(coalesce(sum(k.gross_minor), 0) as bigint) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credited_minor, plugin_calls, lease_owner, lease_until, fence, cancel_requested, created_at, started_at, finished_at, version from runs where tenant_id = $1 and id = $2";
/// One run.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<RunRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const FIND_BY_DATE: &str = "select id, business_on, mode, state, cursor, contracts, subscriptions, charges, invoices,
    parked, awaiting, net_minor, tax_minor, gross_minor, realised, realised_net_minor, realised_tax_minor,
    realised_gross_minor, (select count(*) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credits, (select cast(coalesce(sum(k.gross_minor), 0) as bigint) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credited_minor, plugin_calls, lease_owner, lease_until, fence, cancel_requested, created_at, started_at, finished_at, version from runs where tenant_id = $1 and business_on = $2";
/// The run of a day.
pub async fn find_by_date(tx: &mut Tx, tenant: Uuid, on: NaiveDate) -> Result<Option<RunRow>> {
    tx.fetch_optional(FIND_BY_DATE, (tenant, on)).await
}

const LIST: &str = "select id, business_on, mode, state, cursor, contracts, subscriptions, charges, invoices, parked,
    awaiting, net_minor, tax_minor, gross_minor, realised, realised_net_minor, realised_tax_minor,
    realised_gross_minor, (select count(*) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credits, (select cast(coalesce(sum(k.gross_minor), 0) as bigint) from charge_credits k where k.tenant_id = $1 and k.run_id = runs.id) as credited_minor, plugin_calls, lease_owner, lease_until, fence, cancel_requested, created_at, started_at, finished_at, version from runs where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of runs by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<RunRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const EARLIER_OPEN: &str = "select business_on from runs
    where tenant_id = $1 and business_on < $2 and state not in ('done', 'cancelled') order by business_on limit 1";
/// The earliest unfinished run before a day.
pub async fn earlier_open(tx: &mut Tx, tenant: Uuid, before: NaiveDate) -> Result<Option<NaiveDate>> {
    Ok(tx.fetch_optional::<(NaiveDate,)>(EARLIER_OPEN, (tenant, before)).await?.map(|row| row.0))
}

const LATEST: &str = "select business_on from runs where tenant_id = $1 and state <> 'cancelled'
    order by business_on desc limit 1";
/// The latest day that has a run.
pub async fn latest(tx: &mut Tx, tenant: Uuid) -> Result<Option<NaiveDate>> {
    Ok(tx.fetch_optional::<(NaiveDate,)>(LATEST, (tenant,)).await?.map(|row| row.0))
}

const LEASE: &str = "update runs set lease_owner = $3, lease_until = $4, fence = fence + 1, version = version + 1,
        started_at = coalesce(started_at, $5)
    where tenant_id = $1 and id = $2 and state not in ('done', 'cancelled')
        and (lease_until is null or lease_until <= $5 or lease_owner = $3)";
/// Takes the lease if it is free, expired or already this host's; `false` otherwise.
pub async fn lease(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    owner: &str,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(LEASE, (tenant, id, owner.to_owned(), until, now)).await? == 1)
}

/// What one chunk adds to a run's report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Contracts planned.
    pub contracts: i64,
    /// Subscriptions billed.
    pub subscriptions: i64,
    /// Charges made.
    pub charges: i64,
    /// Invoices issued.
    pub invoices: i64,
    /// Contracts parked.
    pub parked: i64,
    /// Plans awaiting a decision.
    pub awaiting: i64,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
    /// Gross, minor units.
    pub gross_minor: i64,
    /// Charges realised.
    pub realised: i64,
    /// Net of what was realised, minor units.
    pub realised_net_minor: i64,
    /// Tax of what was realised.
    pub realised_tax_minor: i64,
    /// Gross of what was realised.
    pub realised_gross_minor: i64,
    /// Plugin calls.
    pub plugin_calls: i64,
}

const CHECKPOINT: &str = "update runs set cursor = coalesce($4, cursor), lease_until = $5, contracts = contracts + $6,
        subscriptions = subscriptions + $7, charges = charges + $8, invoices = invoices + $9, parked = parked + $10,
        awaiting = awaiting + $11, net_minor = net_minor + $12, tax_minor = tax_minor + $13,
        gross_minor = gross_minor + $14, plugin_calls = plugin_calls + $15, realised = realised + $16,
        realised_net_minor = realised_net_minor + $17, realised_tax_minor = realised_tax_minor + $18,
        realised_gross_minor = realised_gross_minor + $19, version = version + 1
    where tenant_id = $1 and id = $2 and fence = $3 and state not in ('done', 'cancelled')";
/// Moves the checkpoint and the report; `false` when another host has taken the run over.
pub async fn checkpoint(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    fence: i64,
    cursor: Option<Uuid>,
    lease_until: DateTime<Utc>,
    add: Progress,
) -> Result<bool> {
    let params = (
        tenant,
        id,
        fence,
        cursor,
        lease_until,
        add.contracts,
        add.subscriptions,
        add.charges,
        add.invoices,
        add.parked,
        add.awaiting,
        add.net_minor,
        add.tax_minor,
        add.gross_minor,
        add.plugin_calls,
        add.realised,
        add.realised_net_minor,
        add.realised_tax_minor,
        add.realised_gross_minor,
    );
    Ok(tx.execute(CHECKPOINT, params).await? == 1)
}

const STATE_SET: &str = "update runs set state = $4, cursor = null, finished_at = $5, version = version + 1,
        lease_owner = null, lease_until = null
    where tenant_id = $1 and id = $2 and fence = $3 and state not in ('done', 'cancelled')";
/// Moves the run to another state and gives the lease back; `false` when another host has taken it over.
pub async fn state_set(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    fence: i64,
    state: &str,
    finished_at: Option<DateTime<Utc>>,
) -> Result<bool> {
    Ok(tx.execute(STATE_SET, (tenant, id, fence, state.to_owned(), finished_at)).await? == 1)
}

const RELEASE: &str = "update runs set lease_owner = null, lease_until = null
    where tenant_id = $1 and id = $2 and fence = $3";
/// Gives the lease back without changing the state.
pub async fn release(tx: &mut Tx, tenant: Uuid, id: Uuid, fence: i64) -> Result<()> {
    tx.execute(RELEASE, (tenant, id, fence)).await.map(|_| ())
}

const LEASES_RETURN: &str = "update runs set lease_owner = null, lease_until = null
    where tenant_id = $1 and lease_owner = $2 and state not in ('done', 'cancelled')";
/// Gives back the runs that a host works on; its fence is stale once another host takes one.
pub async fn leases_return(tx: &mut Tx, tenant: Uuid, owner: &str) -> Result<u64> {
    tx.execute(LEASES_RETURN, (tenant, owner.to_owned())).await
}

const REOPEN: &str =
    "update runs set state = 'executing', finished_at = null where tenant_id = $1 and id = $2 and state = 'done'";
/// Opens a finished run again for one contract that could not be billed.
pub async fn reopen(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<()> {
    tx.execute(REOPEN, (tenant, id)).await.map(|_| ())
}

const CANCEL: &str = "update runs set cancel_requested = $3, version = version + 1
    where tenant_id = $1 and id = $2 and state not in ('done', 'cancelled')";
/// Asks the run to stop; `false` when it has ended.
pub async fn cancel(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<bool> {
    Ok(tx.execute(CANCEL, (tenant, id, true)).await? == 1)
}

/// The plan of one contract in a run.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlanRow {
    /// The contract.
    pub contract_id: Uuid,
    /// State of the plan.
    pub state: String,
    /// Hash over the inputs and the effects.
    pub plan_hash: Option<Vec<u8>>,
    /// How many invoice lines.
    pub lines: i64,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// Gross.
    pub gross_minor: i64,
    /// Charges to realise.
    pub realised: i64,
    /// Net of what is realised, minor units.
    pub realised_net_minor: i64,
    /// Tax of what is realised.
    pub realised_tax_minor: i64,
    /// Gross of what is realised.
    pub realised_gross_minor: i64,
    /// JSON text of the lines while the plan awaits a decision.
    pub effects: Option<String>,
    /// Stable code of why it is parked, rejected or superseded.
    pub reason_code: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
    /// The plugin call that failed.
    pub call_id: Option<Uuid>,
    /// How often it was computed.
    pub attempts: i32,
    /// Who confirmed or rejected it.
    pub decided_by: Option<String>,
    /// Who confirmed it first, where two must.
    pub confirmed_by: Option<String>,
    /// Who cares for it while it is parked.
    pub owner: Option<String>,
    /// `changes`, `day` or `changes-after`: what it is about.
    pub stage: String,
    /// JSON text of the scheduled changes that it makes.
    pub changes: Option<String>,
    /// The larger of what they charge and what they give back, or what the day gives back of use, with tax, minor units.
    pub changes_minor: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const PLANS_PUT: &str = "insert into run_plans
    (tenant_id, run_id, contract_id, state, plan_hash, lines, net_minor, tax_minor, gross_minor, realised,
     realised_net_minor, realised_tax_minor, realised_gross_minor, effects, reason_code, reason, call_id, attempts,
     decided_by, updated_at, changes_minor)
    select $1, $2, v.contract_id, v.state, v.plan_hash, v.lines, v.net_minor, v.tax_minor, v.gross_minor, v.realised,
        v.realised_net_minor, v.realised_tax_minor, v.realised_gross_minor, v.effects, v.reason_code, v.reason, v.call_id, 1, null, $3, v.changes_minor from {rows} where true
    on conflict (tenant_id, run_id, contract_id) do update set state = excluded.state, plan_hash = excluded.plan_hash,
        lines = excluded.lines, net_minor = excluded.net_minor, tax_minor = excluded.tax_minor,
        gross_minor = excluded.gross_minor, realised = excluded.realised,
        realised_net_minor = excluded.realised_net_minor, realised_tax_minor = excluded.realised_tax_minor,
        realised_gross_minor = excluded.realised_gross_minor, effects = excluded.effects, reason_code = excluded.reason_code,
        reason = excluded.reason, call_id = excluded.call_id, attempts = run_plans.attempts + 1,
        stage = 'day', changes = null, changes_minor = excluded.changes_minor, confirmed_by = null,
        decided_by = case when excluded.state = 'awaiting' then null else run_plans.decided_by end,
        updated_at = excluded.updated_at";
/// Writes plans: columns `contract_id, state, plan_hash, lines, net_minor, tax_minor, gross_minor, realised,
/// realised_net_minor, realised_tax_minor, realised_gross_minor, effects, reason_code, reason, call_id, changes_minor`.
pub async fn plans_put(tx: &mut Tx, tenant: Uuid, run: Uuid, now: DateTime<Utc>, rows: &Rows) -> Result<()> {
    tx.execute_rows(PLANS_PUT, (tenant, run, now), rows).await.map(|_| ())
}

const PLAN_FIND: &str = "select contract_id, state, plan_hash, lines, net_minor, tax_minor, gross_minor, realised,
    realised_net_minor, realised_tax_minor, realised_gross_minor, effects, reason_code, reason, call_id, attempts, decided_by, confirmed_by, owner,
    stage, changes, changes_minor, updated_at from run_plans where tenant_id = $1 and run_id = $2 and contract_id = $3";
/// One contract's plan.
pub async fn plan_find(tx: &mut Tx, tenant: Uuid, run: Uuid, contract: Uuid) -> Result<Option<PlanRow>> {
    tx.fetch_optional(PLAN_FIND, (tenant, run, contract)).await
}

/// Which plans of a run are meant; what is empty or absent narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct PlanPick {
    /// Code of the contract's group.
    pub group: String,
    /// Code of the sales channel it came through.
    pub channel: String,
    /// Its seller.
    pub seller: Option<Uuid>,
    /// A plan that it has a living subscription to.
    pub plan: Option<Uuid>,
    /// A product that such a plan has a component of.
    pub product: Option<Uuid>,
    /// The contract.
    pub contract: Option<Uuid>,
}

/// A plan by a [`PlanPick`] in the parameters from `$6` on.
macro_rules! plan_picked {
    () => {
        " and ($6 = '' or exists (select 1 from contract_controls k
            where k.tenant_id = $1 and k.contract_id = run_plans.contract_id and k.group_code = $6))
        and ($7 = '' or exists (select 1 from contract_controls k
            where k.tenant_id = $1 and k.contract_id = run_plans.contract_id and k.channel_code = $7))
        and ($8 is null or exists (select 1 from contracts c
            where c.tenant_id = $1 and c.id = run_plans.contract_id and c.seller_id = $8))
        and ($9 is null or exists (select 1 from subscriptions s
            join plan_versions v on v.tenant_id = $1 and v.id = s.plan_version_id
            where s.tenant_id = $1 and s.contract_id = run_plans.contract_id and v.plan_id = $9
                and s.status not in ('deleted', 'cancelled', 'completed')))
        and ($10 is null or exists (select 1 from subscriptions s
            join plan_components m on m.tenant_id = $1 and m.plan_version_id = s.plan_version_id
            where s.tenant_id = $1 and s.contract_id = run_plans.contract_id and m.product_id = $10
                and s.status not in ('deleted', 'cancelled', 'completed')))
        and ($11 is null or run_plans.contract_id = $11)"
    };
}
pub(crate) use plan_picked;

/// What a plan comes to when somebody bounds the amount: the scheduled changes or what is given back, where that is more.
macro_rules! plan_amount {
    () => {
        "case when run_plans.stage = 'day' and run_plans.gross_minor >= run_plans.changes_minor then run_plans.gross_minor
            else run_plans.changes_minor end"
    };
}
pub(crate) use plan_amount;

const PLANS_LIST: &str = concat!(
    "select contract_id, state, plan_hash, lines, net_minor, tax_minor, gross_minor, realised, realised_net_minor,
    realised_tax_minor, realised_gross_minor, effects, reason_code, reason, call_id, attempts, decided_by, confirmed_by,
    owner, stage, changes, changes_minor, updated_at from run_plans
    where tenant_id = $1 and run_id = $2 and contract_id > $3 and ($4 = '' or state = $4)",
    plan_picked!(),
    " order by contract_id limit $5"
);
/// A page of plans in contract order; `state` empty means all.
pub async fn plans_list(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    after: Uuid,
    state: &str,
    pick: &PlanPick,
    limit: i64,
) -> Result<Vec<PlanRow>> {
    let pick = pick.clone();
    let params = (
        tenant,
        run,
        after,
        state.to_owned(),
        limit,
        pick.group,
        pick.channel,
        pick.seller,
        pick.plan,
        pick.product,
        pick.contract,
    );
    tx.fetch_all(PLANS_LIST, params).await
}

const CHANGES_PUT: &str = "insert into run_plans
    (tenant_id, run_id, contract_id, state, plan_hash, lines, net_minor, tax_minor, gross_minor, effects, reason_code,
     reason, call_id, attempts, decided_by, updated_at, stage, changes, changes_minor)
    values ($1, $2, $3, 'awaiting', $4, 0, 0, 0, 0, null, null, null, null, 1, null, $5, $6, $7, $8)
    on conflict (tenant_id, run_id, contract_id) do update set state = 'awaiting', plan_hash = excluded.plan_hash,
        lines = case when excluded.stage = 'changes' then 0 else run_plans.lines end,
        net_minor = case when excluded.stage = 'changes' then 0 else run_plans.net_minor end,
        tax_minor = case when excluded.stage = 'changes' then 0 else run_plans.tax_minor end,
        gross_minor = case when excluded.stage = 'changes' then 0 else run_plans.gross_minor end,
        realised = case when excluded.stage = 'changes' then 0 else run_plans.realised end,
        realised_net_minor = case when excluded.stage = 'changes' then 0 else run_plans.realised_net_minor end,
        realised_tax_minor = case when excluded.stage = 'changes' then 0 else run_plans.realised_tax_minor end,
        realised_gross_minor = case when excluded.stage = 'changes' then 0 else run_plans.realised_gross_minor end,
        effects = null, reason_code = null, reason = null, call_id = null, attempts = run_plans.attempts + 1,
        decided_by = null, confirmed_by = null, updated_at = excluded.updated_at, stage = excluded.stage,
        changes = excluded.changes, changes_minor = excluded.changes_minor";
/// Lets the scheduled changes of a contract await a decision, in place of its plan before; what a plan of the day billed
/// stays with those that follow it.
#[expect(clippy::too_many_arguments, reason = "the columns of one plan")]
pub async fn changes_put(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    contract: Uuid,
    stage: &str,
    hash: &[u8],
    changes: (String, i64),
    now: DateTime<Utc>,
) -> Result<()> {
    let params = (tenant, run, contract, hash.to_vec(), now, stage.to_owned(), changes.0, changes.1);
    tx.execute(CHANGES_PUT, params).await.map(|_| ())
}

const CONTRACT_VERSIONS: &str = "select c.id, c.version from {rows}
    join contracts c on c.tenant_id = $1 and c.id = {key}v.id";
/// The versions of contracts, in no order.
pub async fn contract_versions(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<(Uuid, i64)>> {
    tx.fetch_rows(CONTRACT_VERSIONS, (tenant,), &Rows::new().with("id", contracts)).await
}

const SUBSCRIPTION_VERSIONS: &str = "select s.id, s.version from {rows}
    join subscriptions s on s.tenant_id = $1 and s.id = {key}v.id";
/// The versions of subscriptions, in no order.
pub async fn subscription_versions(tx: &mut Tx, tenant: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<(Uuid, i64)>> {
    tx.fetch_rows(SUBSCRIPTION_VERSIONS, (tenant,), &Rows::new().with("id", subscriptions)).await
}

const BILLED_WITH_CHANGES: &str = "select distinct s.contract_id from subscription_changes s
    join run_plans p on p.tenant_id = $1 and p.run_id = $2 and p.contract_id = s.contract_id
    where s.tenant_id = $1 and s.state = 'scheduled' and s.effective_on <= $3 and p.state = 'done' and p.stage = 'day'
        and s.contract_id > $4 order by s.contract_id limit $5";
/// A page of the contracts whose day a run billed and that have scheduled changes through a day, by contract.
pub async fn billed_with_changes(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    through: NaiveDate,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_all(BILLED_WITH_CHANGES, (tenant, run, through, after, limit)).await?;
    Ok(found.into_iter().map(|(contract,)| contract).collect())
}

const PLANS_COUNT: &str = "select state, count(*) from run_plans where tenant_id = $1 and run_id = $2
    group by state order by state limit 20";
/// How many plans are in each state.
pub async fn plans_count(tx: &mut Tx, tenant: Uuid, run: Uuid) -> Result<Vec<(String, i64)>> {
    tx.fetch_all(PLANS_COUNT, (tenant, run)).await
}

const PLAN_DECIDE: &str =
    "update run_plans set state = $5, decided_by = $6, reason_code = $7, reason = $8, updated_at = $9
    where tenant_id = $1 and run_id = $2 and contract_id = $3 and state = $4";
/// Moves one plan from a state to another; `false` when it was not in that state.
#[expect(clippy::too_many_arguments, reason = "the columns of one decision")]
pub async fn plan_decide(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    contract: Uuid,
    from: &str,
    to: &str,
    by: &str,
    reason: Option<(&str, &str)>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let params = (
        tenant,
        run,
        contract,
        from.to_owned(),
        to.to_owned(),
        by.to_owned(),
        reason.map(|(code, _)| code.to_owned()),
        reason.map(|(_, text)| text.to_owned()),
        now,
    );
    Ok(tx.execute(PLAN_DECIDE, params).await? == 1)
}

const PLANS_APPROVE: &str = concat!(
    "update run_plans set state = 'approved', decided_by = $3, updated_at = $4
    where tenant_id = $1 and run_id = $2 and state = 'awaiting' and ",
    plan_amount!(),
    " <= $5",
    plan_picked!()
);
/// Approves every awaiting plan that is meant, up to a gross amount; answers how many.
pub async fn plans_approve(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    by: &str,
    (largest_gross_minor, pick): (i64, &PlanPick),
    now: DateTime<Utc>,
) -> Result<u64> {
    tx.execute(PLANS_APPROVE, decided(tenant, run, by, now, largest_gross_minor, pick)).await
}

/// The parameters of a decision about the plans that are meant.
type Decided =
    (Uuid, Uuid, String, DateTime<Utc>, i64, String, String, Option<Uuid>, Option<Uuid>, Option<Uuid>, Option<Uuid>);

pub(crate) fn decided(
    tenant: Uuid,
    run: Uuid,
    by: &str,
    now: DateTime<Utc>,
    largest_gross_minor: i64,
    pick: &PlanPick,
) -> Decided {
    let PlanPick { group, channel, seller, plan, product, contract } = pick.clone();
    (tenant, run, by.to_owned(), now, largest_gross_minor, group, channel, seller, plan, product, contract)
}

const CONTRACTS_RECOUNT: &str = "update runs set
        contracts = (select count(*) from run_plans p where p.tenant_id = $1 and p.run_id = $2
            and (p.stage <> 'changes' or p.state <> 'done')),
        awaiting = (select count(*) from run_plans p where p.tenant_id = $1 and p.run_id = $2 and p.state in ('awaiting', 'approved')),
        parked = (select count(*) from run_plans p where p.tenant_id = $1 and p.run_id = $2 and p.state = 'parked')
    where tenant_id = $1 and id = $2";
/// Counts the contracts of a run again from their plans, after a pass that may have been over some of them before. Those
/// whose changes were made and whose day owes nothing are none of the day's.
pub async fn contracts_recount(tx: &mut Tx, tenant: Uuid, run: Uuid) -> Result<()> {
    tx.execute(CONTRACTS_RECOUNT, (tenant, run)).await.map(|_| ())
}

const COUNTERS_SET: &str = "update runs set
        awaiting = (select count(*) from run_plans p where p.tenant_id = $1 and p.run_id = $2 and p.state in ('awaiting', 'approved')),
        parked = (select count(*) from run_plans p where p.tenant_id = $1 and p.run_id = $2 and p.state = 'parked'),
        version = version + 1
    where tenant_id = $1 and id = $2";
/// Recounts awaiting and parked plans after decisions.
pub async fn counters_set(tx: &mut Tx, tenant: Uuid, run: Uuid) -> Result<()> {
    tx.execute(COUNTERS_SET, (tenant, run)).await.map(|_| ())
}

/// A due subscription with what its contract and customer add.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DueRow {
    /// The subscription.
    pub id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// Its plan version.
    pub plan_version_id: Uuid,
    /// Its status.
    pub status: String,
    /// Decimal text.
    pub quantity: String,
    /// Decimal text.
    pub discount_percent: String,
    /// Anchor of its periods.
    pub anchor_on: NaiveDate,
    /// The next period's number.
    pub next_index: i32,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// End of service, exclusive.
    pub ends_on: Option<NaiveDate>,
    /// When the next charge is due.
    pub next_charge_on: NaiveDate,
    /// Charges left; absent for ever.
    pub charges_left: Option<i32>,
    /// 1 when what is charged once is still to be charged.
    pub once_due: i32,
    /// First day of the present terms, if they were changed; of those that a subscription returned to service on the day of
    /// that.
    pub terms_from: Option<NaiveDate>,
    /// How many changes were executed.
    pub change_ordinal: i32,
    /// A sum off each period, minor units.
    pub discount_minor: i64,
    /// The first charge date that the discount holds on.
    pub discount_from: Option<NaiveDate>,
    /// The last charge date that the discount holds on.
    pub discount_until: Option<NaiveDate>,
    /// What becomes of a period that the contract cannot pay for.
    pub short_funds: String,
    /// For how many days such a period is tried again.
    pub retry_days: Option<i32>,
    /// The first day of the period that waits for money.
    pub waits_from: Option<NaiveDate>,
    /// Counts changes.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The contract's version.
    pub contract_version: i64,
    /// The contract's number.
    pub contract_number: String,
    /// The contract's currency.
    pub currency: String,
    /// The seller.
    pub seller_id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// The contract's funds account.
    pub funds_account_id: Uuid,
    /// Kind of customer.
    pub customer_kind: String,
    /// Country of the customer.
    pub customer_country: String,
    /// Taxpayer number of the customer.
    pub customer_inn: Option<String>,
    /// Reason code of registration of the customer.
    pub customer_kpp: Option<String>,
}

const DUE: &str =
    "select s.id, s.contract_id, s.plan_version_id, s.status, s.quantity, s.discount_percent, s.anchor_on,
        s.next_index, s.starts_on, s.ends_on, s.next_charge_on, s.charges_left, s.once_due,
        case when s.resumed_on > coalesce(s.terms_from, s.starts_on) then s.resumed_on else s.terms_from end as terms_from,
        s.change_ordinal,
        s.discount_minor, s.discount_from, s.discount_until, s.short_funds, s.retry_days, s.waits_from, s.version, s.created_at,
        c.version as contract_version, c.number as contract_number, c.currency, c.seller_id, c.customer_id,
        c.funds_account_id, k.kind as customer_kind, k.country as customer_country, k.inn as customer_inn,
        k.kpp as customer_kpp
    from subscriptions s
    join contracts c on c.tenant_id = $1 and c.id = s.contract_id
    join customers k on k.tenant_id = $1 and k.id = c.customer_id
    where s.tenant_id = $1 and s.contract_id > $2 and s.next_charge_on <= $3 and s.status in ('active', 'grace')
        and s.manual = 0
    order by s.contract_id, s.id limit $4";
/// Due subscriptions in contract order after a contract.
pub async fn due(tx: &mut Tx, tenant: Uuid, after: Uuid, through: NaiveDate, limit: i64) -> Result<Vec<DueRow>> {
    tx.fetch_all(DUE, (tenant, after, through, limit)).await
}

const DUE_OF: &str = "select s.id, s.contract_id, s.plan_version_id, s.status, s.quantity, s.discount_percent,
        s.anchor_on, s.next_index, s.starts_on, s.ends_on, s.next_charge_on, s.charges_left, s.once_due,
        case when s.resumed_on > coalesce(s.terms_from, s.starts_on) then s.resumed_on else s.terms_from end as terms_from,
        s.change_ordinal,
        s.discount_minor, s.discount_from, s.discount_until, s.short_funds, s.retry_days, s.waits_from, s.version, s.created_at,
        c.version as contract_version, c.number as contract_number, c.currency, c.seller_id, c.customer_id,
        c.funds_account_id, k.kind as customer_kind, k.country as customer_country, k.inn as customer_inn,
        k.kpp as customer_kpp
    from {rows}
    join subscriptions s on s.tenant_id = $1 and s.contract_id = v.contract_id
    join contracts c on c.tenant_id = $1 and c.id = s.contract_id
    join customers k on k.tenant_id = $1 and k.id = c.customer_id
    where s.next_charge_on <= $2 and s.status in ('active', 'grace') and s.manual = 0
    order by s.contract_id, s.id";
/// Due subscriptions of the named contracts, in contract order.
pub async fn due_of(tx: &mut Tx, tenant: Uuid, contracts: &[Uuid], through: NaiveDate) -> Result<Vec<DueRow>> {
    let mut found = Vec::new();
    // One statement a few hundred contracts keeps the order: chunks ascend and so do the rows inside each.
    for part in contracts.chunks(256) {
        let rows = Rows::new().with("contract_id", part.to_vec());
        let mut rows: Vec<DueRow> = tx.fetch_rows(DUE_OF, (tenant, through), &rows).await?;
        rows.sort_by_key(|row| (row.contract_id, row.id));
        found.append(&mut rows);
    }
    Ok(found)
}

/// A charge whose service is provided, with what its invoice line and its contract add.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RealisableRow {
    /// The charge.
    pub id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// The product whose revenue it is.
    pub product_id: Uuid,
    /// The last day of the service.
    pub realises_on: NaiveDate,
    /// Net of its invoice line, minor units.
    pub net_minor: i64,
    /// Tax of its invoice line.
    pub tax_minor: i64,
    /// Gross of its invoice line.
    pub gross_minor: i64,
    /// Tax code of its invoice line.
    pub tax_code: String,
    /// The part of the gross amount that was taken when it fell due; absent: all of it.
    pub prepaid_minor: Option<i64>,
    /// What was given back, gross.
    pub credited_minor: i64,
    /// The tax in that.
    pub credited_tax_minor: i64,
    /// The contract's version.
    pub contract_version: i64,
    /// The contract's number.
    pub contract_number: String,
    /// The contract's currency.
    pub currency: String,
    /// The seller.
    pub seller_id: Uuid,
    /// The contract's funds account.
    pub funds_account_id: Uuid,
}

/// The columns of a [`RealisableRow`] and where they come from, after charges `c` were chosen; `$credits` names the credits of
/// a charge.
///
/// Every charge has its contract, component and line. One without would be a row without an amount and stop the run
/// aloud; an inner join would leave it out and end a page early.
macro_rules! realisable {
    ($credits:literal, $from:expr, $rest:literal) => {
        concat!(
            "select c.id, c.contract_id, p.product_id, c.realises_on, l.net_minor, l.tax_minor, l.gross_minor, l.tax_code,
                c.prepaid_minor, c.credited_minor,
                case when c.credited_minor = 0 then 0 else (
                    select cast(sum(d.tax_minor) as bigint) from ",
            $credits,
            " where d.tenant_id = $1 and d.charge_id = c.id) end as credited_tax_minor,
                k.version as contract_version, k.number as contract_number, k.currency, k.seller_id, k.funds_account_id
            from ",
            $from,
            " left join contracts k on k.tenant_id = $1 and k.id = c.contract_id
            left join plan_components p on p.tenant_id = $1 and p.id = c.component_id
            left join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id
                and l.position = c.invoice_position and l.charge_id = c.id ",
            $rest
        )
    };
}

/// A page of charges, chosen before anything is joined: neither planner guesses how few lines a charge has, and both would
/// join all that is open to sort it for every page.
macro_rules! page_of_charges {
    ($charges:literal) => {
        concat!(
            "(select id, contract_id, component_id, invoice_id, invoice_position, realises_on, prepaid_minor, credited_minor
            from ",
            $charges,
            " where tenant_id = $1 and contract_id > $2 and realises_on <= $3 and realised_on is null
            order by contract_id, realises_on, id limit $4) c"
        )
    };
}

// SQLite is told the indexes: with statistics it would begin at the few components, without them walk all charges.
const REALISABLE: crate::Sql = crate::Sql::each(
    realisable!(
        "charge_credits d indexed by charge_credits_by_charge",
        page_of_charges!("charges indexed by charges_to_realise"),
        "order by c.contract_id, c.realises_on, c.id"
    ),
    realisable!("charge_credits d", page_of_charges!("charges"), "order by c.contract_id, c.realises_on, c.id"),
);
/// Charges to realise in contract order after a contract.
pub async fn realisable(
    tx: &mut Tx,
    tenant: Uuid,
    after: Uuid,
    through: NaiveDate,
    limit: i64,
) -> Result<Vec<RealisableRow>> {
    tx.fetch_all(REALISABLE, (tenant, after, through, limit)).await
}

const REALISABLE_OF: crate::Sql = crate::Sql::each(
    realisable!(
        "charge_credits d indexed by charge_credits_by_charge",
        "{rows} cross join charges c indexed by charges_to_realise
            on c.tenant_id = $1 and c.contract_id = v.contract_id",
        "where c.realises_on <= $2 and c.realised_on is null order by c.contract_id, c.realises_on, c.id"
    ),
    realisable!(
        "charge_credits d",
        "{rows} join charges c on c.tenant_id = $1 and c.contract_id = v.contract_id",
        "where c.realises_on <= $2 and c.realised_on is null order by c.contract_id, c.realises_on, c.id"
    ),
);
/// Charges to realise of the named contracts, in contract order.
pub async fn realisable_of(
    tx: &mut Tx,
    tenant: Uuid,
    contracts: &[Uuid],
    through: NaiveDate,
) -> Result<Vec<RealisableRow>> {
    let mut found = Vec::new();
    for part in contracts.chunks(256) {
        let rows = Rows::new().with("contract_id", part.to_vec());
        let mut rows: Vec<RealisableRow> = tx.fetch_rows(REALISABLE_OF, (tenant, through), &rows).await?;
        found.append(&mut rows);
    }
    found.sort_by_key(|row| (row.contract_id, row.realises_on, row.id));
    Ok(found)
}

// Written as a comparison, so that SQLite goes by the ids and not through the index of all that is not realised yet.
const REALISE: &str = "update charges set realised_on = $2, status = v.status from {rows}
    where charges.tenant_id = $1 and charges.id = {key}v.id and (charges.realised_on is null) = true
        and charges.credited_minor = v.credited_minor";
/// Marks charges realised that are as they were read: columns `id, credited_minor, status`; answers how many were.
pub async fn realise(tx: &mut Tx, tenant: Uuid, on: NaiveDate, rows: &Rows) -> Result<u64> {
    tx.execute_rows(REALISE, (tenant, on), rows).await
}

const RENEW: &str = "update subscriptions set status = v.status, next_index = v.next_index,
        next_charge_on = v.next_charge_on, charges_left = v.charges_left, once_due = v.once_due,
        version = subscriptions.version + 1
    from {rows} where subscriptions.tenant_id = $1 and subscriptions.id = {key}v.id and subscriptions.version = v.version";
/// Renews subscriptions that still have the version they were read with: columns `id, version, status, next_index,
/// next_charge_on, charges_left, once_due`; answers how many.
pub async fn renew(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(RENEW, (tenant,), rows).await
}

const FOLLOW: &str = "update subscriptions set plan_version_id = v.plan_version_id, terms_from = v.terms_from,
        change_ordinal = subscriptions.change_ordinal + v.moves
    from {rows} where subscriptions.tenant_id = $1 and subscriptions.id = {key}v.id and subscriptions.version = v.version";
/// Puts subscriptions that were renewed in this transaction on another version of their plan: columns `id, version,
/// plan_version_id, terms_from, moves`, where the version is that after the renewal; answers how many.
pub async fn follow(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(FOLLOW, (tenant,), rows).await
}

const ADVANCE: &str = "update subscriptions set status = v.status, next_index = v.next_index,
        next_charge_on = v.next_charge_on, charges_left = v.charges_left, once_due = v.once_due,
        waits_from = v.waits_from,
        starts_on = coalesce(v.starts_on, subscriptions.starts_on), version = subscriptions.version + 1
    from {rows} where subscriptions.tenant_id = $1 and subscriptions.id = {key}v.id and subscriptions.version = v.version";
/// Moves subscriptions on whose money was looked at, if they still have the version they were read with: columns `id,
/// version, status, next_index, next_charge_on, charges_left, once_due, waits_from, starts_on`; answers how
/// many.
pub async fn advance(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(ADVANCE, (tenant,), rows).await
}

/// A period that a run did not charge for want of money.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WithheldRow {
    /// The contract.
    pub contract_id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// First day of the period.
    pub period_start: NaiveDate,
    /// The day after it.
    pub period_end: NaiveDate,
    /// `waits` or `skipped`.
    pub outcome: String,
    /// The policy that decided.
    pub policy: String,
    /// What would have been taken, minor units.
    pub needed_minor: i64,
    /// What was there, minor units.
    pub available_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

const WITHHELD_PUT: &str = "insert into run_withheld (tenant_id, run_id, contract_id, subscription_id, period_start,
        period_end, outcome, policy, needed_minor, available_minor, currency, recorded_at)
    select $1, $2, v.contract_id, v.subscription_id, v.period_start, v.period_end, v.outcome, v.policy, v.needed_minor,
        v.available_minor, v.currency, $3 from {rows} where true
    on conflict (tenant_id, run_id, subscription_id) do update set period_start = excluded.period_start,
        period_end = excluded.period_end, outcome = excluded.outcome, policy = excluded.policy,
        needed_minor = excluded.needed_minor, available_minor = excluded.available_minor,
        recorded_at = excluded.recorded_at";
/// Records periods that a run did not charge: columns `contract_id, subscription_id, period_start, period_end, outcome,
/// policy, needed_minor, available_minor, currency`.
pub async fn withheld_put(tx: &mut Tx, tenant: Uuid, run: Uuid, now: DateTime<Utc>, rows: &Rows) -> Result<()> {
    tx.execute_rows(WITHHELD_PUT, (tenant, run, now), rows).await.map(|_| ())
}

const WITHHELD_LIST: &str =
    "select contract_id, subscription_id, period_start, period_end, outcome, policy, needed_minor,
        available_minor, currency, recorded_at
    from run_withheld where tenant_id = $1 and run_id = $2 and subscription_id > $3 order by subscription_id limit $4";
/// A page of the periods that a run did not charge, by subscription.
pub async fn withheld_list(tx: &mut Tx, tenant: Uuid, run: Uuid, after: Uuid, limit: i64) -> Result<Vec<WithheldRow>> {
    tx.fetch_all(WITHHELD_LIST, (tenant, run, after, limit)).await
}

const CHARGES_INSERT: &str = "insert into charges
    (tenant_id, id, contract_id, subscription_id, component_id, invoice_id, invoice_position, run_id, kind, status,
     period_start, period_end, used_start, used_end, charged_on, realises_on, realised_on, paid_on, currency,
     amount_minor, prepaid_minor, proration_call_id, call_line, created_at, change_ordinal)
    select $1, v.id, v.contract_id, v.subscription_id, v.component_id, v.invoice_id, v.invoice_position, $2, v.kind,
        v.status, v.period_start, v.period_end, v.used_start, v.used_end, v.charged_on, v.realises_on, v.realised_on,
        null, v.currency, v.amount_minor, v.prepaid_minor, v.proration_call_id, v.call_line, $3,
        v.change_ordinal from {rows} where true
    on conflict (tenant_id, subscription_id, component_id, period_start, change_ordinal) do nothing";
/// Adds charges; answers how many periods were not charged before. Columns `id, contract_id, subscription_id,
/// component_id, invoice_id, invoice_position, kind, status, period_start, period_end, used_start, used_end, charged_on,
/// realises_on, realised_on, currency, amount_minor, prepaid_minor, proration_call_id, call_line,
/// change_ordinal`.
pub async fn charges_insert(
    tx: &mut Tx,
    tenant: Uuid,
    run: Option<Uuid>,
    now: DateTime<Utc>,
    rows: &Rows,
) -> Result<u64> {
    tx.execute_rows(CHARGES_INSERT, (tenant, run, now), rows).await
}

const CHARGED: &str = "select distinct c.contract_id from {rows}
    join charges c on c.tenant_id = $1 and c.subscription_id = v.subscription_id
        and c.component_id = v.component_id and c.period_start = v.period_start
        and c.change_ordinal = v.change_ordinal";
/// The contracts of those periods that are charged already: columns `subscription_id, component_id, period_start,
/// change_ordinal`.
pub async fn charged(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<Vec<(Uuid,)>> {
    tx.fetch_rows(CHARGED, (tenant,), rows).await
}

const INVOICES_INSERT: &str = "insert into invoices
    (tenant_id, id, contract_id, seller_id, run_id, status, number, sequence_key, sequence_value, issued_on, currency,
     price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at)
    select $1, v.id, v.contract_id, v.seller_id, $2, 'issued', v.number, v.sequence_key, v.sequence_value, $3,
        v.currency, v.price_mode, v.net_minor, v.tax_minor, v.gross_minor, v.numbering_call_id, v.call_line, $4
    from {rows} where true on conflict (tenant_id, seller_id, number) do nothing";
/// Adds issued invoices: columns `id, contract_id, seller_id, number, sequence_key, sequence_value, currency,
/// price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line`; answers how many were new numbers.
pub async fn invoices_insert(
    tx: &mut Tx,
    tenant: Uuid,
    run: Option<Uuid>,
    issued_on: NaiveDate,
    now: DateTime<Utc>,
    rows: &Rows,
) -> Result<u64> {
    tx.execute_rows(INVOICES_INSERT, (tenant, run, issued_on, now), rows).await
}

const INVOICE_LINES_INSERT: &str = "insert into invoice_lines
    (tenant_id, invoice_id, position, charge_id, title, quantity, net_minor, tax_minor, gross_minor, tax_code, tax_rate,
     tax_call_id, call_line)
    select $1, v.invoice_id, v.position, v.charge_id, v.title, v.quantity, v.net_minor, v.tax_minor, v.gross_minor,
        v.tax_code, v.tax_rate, v.tax_call_id, v.call_line from {rows}";
/// Adds invoice lines: columns `invoice_id, position, charge_id, title, quantity, net_minor, tax_minor, gross_minor,
/// tax_code, tax_rate, tax_call_id, call_line`.
pub async fn invoice_lines_insert(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<()> {
    tx.execute_rows(INVOICE_LINES_INSERT, (tenant,), rows).await.map(|_| ())
}

const NUMBERS_TAKEN: &str = "select i.seller_id, i.number from {rows}
    join invoices i on i.tenant_id = $1 and i.seller_id = v.seller_id and i.number = v.number";
/// Which of these (seller, number) pairs stand on invoices already.
pub async fn numbers_taken(tx: &mut Tx, tenant: Uuid, numbers: &[(Uuid, String)]) -> Result<Vec<(Uuid, String)>> {
    let rows = Rows::new()
        .with("seller_id", numbers.iter().map(|(seller, _)| *seller).collect::<Vec<_>>())
        .with("number", numbers.iter().map(|(_, number)| number.clone()).collect::<Vec<_>>());
    tx.fetch_rows(NUMBERS_TAKEN, (tenant,), &rows).await
}

const SEQUENCE_FIND: &str =
    "select start_value, next_value from sequences where tenant_id = $1 and seller_id = $2 and key = $3";
/// The (start, next) values of a sequence.
pub async fn sequence_find(tx: &mut Tx, tenant: Uuid, seller: Uuid, key: &str) -> Result<Option<(i64, i64)>> {
    tx.fetch_optional(SEQUENCE_FIND, (tenant, seller, key.to_owned())).await
}

const SEQUENCE_OPEN: &str = "insert into sequences (tenant_id, seller_id, key, start_value, next_value)
    values ($1, $2, $3, $4, $4) on conflict (tenant_id, seller_id, key) do nothing";
const SEQUENCE_TAKE: &str = "update sequences set next_value = $5
    where tenant_id = $1 and seller_id = $2 and key = $3 and next_value = $4";
/// Takes the values `from..to` of a sequence, opening it at `from` when it is new; `false` when somebody else took them.
pub async fn sequence_take(tx: &mut Tx, tenant: Uuid, seller: Uuid, key: &str, from: i64, to: i64) -> Result<bool> {
    tx.execute(SEQUENCE_OPEN, (tenant, seller, key.to_owned(), from)).await?;
    Ok(tx.execute(SEQUENCE_TAKE, (tenant, seller, key.to_owned(), from, to)).await? == 1)
}

/// A plan version with one of its components.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlanComponentRow {
    /// The plan version.
    pub plan_version_id: Uuid,
    /// Its plan.
    pub plan_id: Uuid,
    /// Its cadence, for example `1m`.
    pub cadence: String,
    /// Its currency.
    pub currency: String,
    /// `included` or `on-top`.
    pub price_mode: String,
    /// Billing-day policy.
    pub billing_day: String,
    /// Stub policy.
    pub stub: String,
    /// The component.
    pub id: Uuid,
    /// The product it earns for.
    pub product_id: Uuid,
    /// Its code.
    pub code: String,
    /// Its title on documents.
    pub title: String,
    /// How it is charged.
    pub kind: String,
    /// Price of one unit and period, minor units.
    pub unit_price_minor: i64,
    /// How much of the price is taken when it falls due, per cent.
    pub prepayment_percent: i32,
    /// Units that cost nothing, decimal.
    pub included: String,
    /// The fewest units that may be taken, decimal.
    pub min_quantity: Option<String>,
    /// The most units that may be taken, decimal.
    pub max_quantity: Option<String>,
    /// Tax category.
    pub tax_category: String,
    /// JSON text of what it costs, when it is metered.
    pub metered: Option<String>,
}

const PLAN_COMPONENTS: &str =
    "select p.id as plan_version_id, p.plan_id, p.cadence, p.currency, p.price_mode, p.billing_day, p.stub,
        c.id, c.product_id, c.code, c.title, c.kind, c.unit_price_minor, c.prepayment_percent, c.included, c.min_quantity,
        c.max_quantity, c.tax_category, c.metered
    from {rows}
    join plan_versions p on p.tenant_id = $1 and p.id = {key}v.id
    join plan_components c on c.tenant_id = $1 and c.plan_version_id = p.id
    order by p.id, c.position, c.id";
/// The components of plan versions, in document order.
pub async fn plan_components(tx: &mut Tx, tenant: Uuid, versions: Vec<Uuid>) -> Result<Vec<PlanComponentRow>> {
    tx.fetch_rows(PLAN_COMPONENTS, (tenant,), &Rows::new().with("id", versions)).await
}

/// What documents say about a seller.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SellerRow {
    /// Its id.
    pub id: Uuid,
    /// Kind of legal entity.
    pub kind: String,
    /// Country.
    pub country: String,
    /// Taxpayer number.
    pub inn: Option<String>,
    /// Reason code of registration.
    pub kpp: Option<String>,
    /// VAT regime.
    pub vat_regime: String,
}

const SELLERS: &str = "select id, kind, country, inn, kpp, vat_regime from sellers
    where tenant_id = $1 and id > $2 order by id limit $3";
/// How many sellers are read at a time.
const SELLERS_AT_ONCE: usize = 1_000;
/// All sellers of a tenant, by id.
pub async fn sellers(tx: &mut Tx, tenant: Uuid) -> Result<Vec<SellerRow>> {
    let (mut found, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let limit = i64::try_from(SELLERS_AT_ONCE).unwrap_or(i64::MAX);
        let page: Vec<SellerRow> = tx.fetch_all(SELLERS, (tenant, after, limit)).await?;
        let full = page.len() == SELLERS_AT_ONCE;
        after = page.last().map_or(after, |last| last.id);
        found.extend(page);
        if !full {
            return Ok(found);
        }
    }
}

const OUTBOX_INSERT: &str = "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
    values ($1, $2, $3, $4, $5, $6, null)";
/// Adds an event to the outbox.
pub async fn outbox_insert(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    kind: &str,
    subject: &str,
    payload: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let params = (tenant, id, kind.to_owned(), subject.to_owned(), payload.to_owned(), now);
    tx.execute(OUTBOX_INSERT, params).await.map(|_| ())
}
