//! Components on trial and what was counted of them.
//!
//! Concurrency: a canary's row is the last that a transaction of money locks, and when there are several the one with the
//! smaller id first, so that tenants who share a binding wait for one another and never in a circle. Counting names the
//! version that the counted decisions were made under: whoever decided by another version has decided for nothing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// A canary of a binding.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CanaryRow {
    /// Its id.
    pub id: Uuid,
    /// The owner of the binding.
    pub tenant_id: Uuid,
    /// The binding.
    pub binding_id: Uuid,
    /// The component on trial.
    pub component_digest: Vec<u8>,
    /// JSON text for the component.
    pub config: String,
    /// The share of contracts, or of new payments, it decides for, basis points.
    pub share_bp: i32,
    /// The tenants it decides for, a JSON list of ids; empty for all that use the binding.
    pub tenants: String,
    /// The most faults that are borne, basis points of its decisions.
    pub most_fault_bp: i32,
    /// How many decisions there must be before faults count.
    pub least_decisions: i64,
    /// `running`, `rolled-back`, `promoted` or `ended`.
    pub state: String,
    /// Decisions asked of it.
    pub decisions: i64,
    /// Those without an answer that counts.
    pub faults: i64,
    /// Decisions asked of the present component meanwhile.
    pub present_decisions: i64,
    /// Those without an answer that counts.
    pub present_faults: i64,
    /// Why it was rolled back or ended.
    pub reason: Option<String>,
    /// The credential that started it.
    pub started_by: String,
    /// When.
    pub started_at: DateTime<Utc>,
    /// The credential that finished it, or `run` or `gateway`.
    pub finished_by: Option<String>,
    /// When.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts decisions about it.
    pub version: i64,
}

/// The columns of a [`CanaryRow`], with what stands before and behind them.
macro_rules! canary {
    ($before:literal, $rest:literal) => {
        concat!(
            $before,
            " id, tenant_id, binding_id, component_digest, config, share_bp, tenants, most_fault_bp, least_decisions,
                state, decisions, faults, present_decisions, present_faults, reason, started_by, started_at, finished_by,
                finished_at, version ",
            $rest
        )
    };
}

const INSERT: &str = "insert into canaries
    (id, tenant_id, binding_id, component_digest, config, share_bp, tenants, most_fault_bp, least_decisions, state,
     decisions, faults, present_decisions, present_faults, reason, started_by, started_at, finished_by, finished_at, version)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, 'running', 0, 0, 0, 0, null, $10, $11, null, null, 1
    where not exists (select 1 from canaries k where k.tenant_id = $2 and k.binding_id = $3 and k.state = 'running')";
/// Starts a canary; `false` when one runs in the binding.
///
/// # Errors
/// `Duplicate` when one was started meanwhile.
pub async fn insert(tx: &mut Tx, row: &CanaryRow) -> Result<bool> {
    let params = (
        row.id,
        row.tenant_id,
        row.binding_id,
        row.component_digest.clone(),
        row.config.clone(),
        row.share_bp,
        row.tenants.clone(),
        row.most_fault_bp,
        row.least_decisions,
        row.started_by.clone(),
        row.started_at,
    );
    Ok(tx.execute(INSERT, params).await? == 1)
}

const RUNNING: &str = canary!("select", "from canaries where tenant_id = $1 and binding_id = $2 and state = 'running'");
/// The canary that runs in a binding of a tenant.
pub async fn running(tx: &mut Tx, owner: Uuid, binding: Uuid) -> Result<Option<CanaryRow>> {
    tx.fetch_optional(RUNNING, (owner, binding)).await
}

const LATEST: &str =
    canary!("select", "from canaries where tenant_id = $1 and binding_id = $2 order by id desc limit 1");
/// The latest canary of a binding of a tenant, whatever became of it.
pub async fn latest(tx: &mut Tx, owner: Uuid, binding: Uuid) -> Result<Option<CanaryRow>> {
    tx.fetch_optional(LATEST, (owner, binding)).await
}

const LIST: &str =
    canary!("select", "from canaries where tenant_id = $1 and binding_id = $2 and id > $3 order by id limit $4");
/// A page of a binding's canaries by id.
pub async fn list(tx: &mut Tx, owner: Uuid, binding: Uuid, after: Uuid, limit: i64) -> Result<Vec<CanaryRow>> {
    tx.fetch_all(LIST, (owner, binding, after, limit)).await
}

const SHARE: &str = "update canaries set share_bp = $4, tenants = $5, most_fault_bp = $6, least_decisions = $7,
        version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and state = 'running'";
/// Gives a running canary of this version another share and bound; `false` when it changed or finished.
pub async fn share(tx: &mut Tx, row: &CanaryRow) -> Result<bool> {
    let params =
        (row.tenant_id, row.id, row.version, row.share_bp, row.tenants.clone(), row.most_fault_bp, row.least_decisions);
    Ok(tx.execute(SHARE, params).await? == 1)
}

const FINISH: &str = "update canaries set state = $4, reason = $5, finished_by = $6, finished_at = $7,
        version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and state = 'running'";
/// Finishes a running canary of this version; `false` when it changed or finished.
#[expect(clippy::too_many_arguments, reason = "the columns of one decision")]
pub async fn finish(
    tx: &mut Tx,
    owner: Uuid,
    id: Uuid,
    version: i64,
    state: &str,
    reason: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let params = (owner, id, version, state.to_owned(), reason.map(str::to_owned), by.to_owned(), now);
    Ok(tx.execute(FINISH, params).await? == 1)
}

const COUNT: &str = canary!(
    "update canaries set decisions = decisions + $4, faults = faults + $5, present_decisions = present_decisions + $6,
        present_faults = present_faults + $7
    where tenant_id = $1 and id = $2 and version = $3 and state = 'running' returning",
    ""
);
/// Counts what was asked under a version: (decisions, faults, present decisions, present faults); none when the canary is
/// of another version now, or finished. It stays locked until the transaction ends.
pub async fn count(
    tx: &mut Tx,
    owner: Uuid,
    id: Uuid,
    version: i64,
    (decisions, faults, present_decisions, present_faults): (i64, i64, i64, i64),
) -> Result<Option<CanaryRow>> {
    tx.fetch_optional(COUNT, (owner, id, version, decisions, faults, present_decisions, present_faults)).await
}

const TALLY: &str = canary!(
    "update canaries set decisions = decisions + $3, faults = faults + $4, present_decisions = present_decisions + $5,
        present_faults = present_faults + $6
    where tenant_id = $1 and id = $2 and state = 'running' returning",
    ""
);
/// Counts what came of payments, whatever version they began under: they are not decided anew. None when the canary is
/// finished; otherwise it stays locked until the transaction ends.
pub async fn tally(
    tx: &mut Tx,
    owner: Uuid,
    id: Uuid,
    (decisions, faults, present_decisions, present_faults): (i64, i64, i64, i64),
) -> Result<Option<CanaryRow>> {
    tx.fetch_optional(TALLY, (owner, id, decisions, faults, present_decisions, present_faults)).await
}

const PARKED_BY_REFUSED: &str = "select p.contract_id from run_plans p
    join plugin_calls c on c.tenant_id = $1 and c.id = p.call_id
    where p.tenant_id = $1 and p.run_id = $2 and p.state = 'parked' and p.contract_id > $3
        and exists (select 1 from canaries k where k.binding_id = c.binding_id
            and k.component_digest = c.component_digest and k.state in ('rolled-back', 'ended'))
        and not exists (select 1 from canaries k where k.binding_id = c.binding_id
            and k.component_digest = c.component_digest and k.state in ('running', 'promoted'))
    order by p.contract_id limit $4";
/// The contracts of a run, after one, that a component parked whose canary was rolled back or ended.
pub async fn parked_by_refused(tx: &mut Tx, tenant: Uuid, run: Uuid, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_all(PARKED_BY_REFUSED, (tenant, run, after, limit)).await?;
    Ok(found.into_iter().map(|(contract,)| contract).collect())
}
