//! Who must agree to a plan before it is executed, and the queue of contracts that are parked.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{
    Result, Tx,
    runs::{PlanPick, decided, plan_amount, plan_picked},
};

/// A tenant's rules for agreeing to plans.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ApprovalPolicyRow {
    /// Whether two must confirm.
    pub four_eyes: bool,
    /// A plan up to this gross amount is approved by itself, minor units.
    pub largest_gross_minor: Option<i64>,
    /// A plan that differs by at most so much from the contract's plan of a month before is, hundredths of a per cent.
    pub largest_change_bp: Option<i64>,
    /// For optimistic locking.
    pub version: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const POLICY_FIND: &str = "select four_eyes, largest_gross_minor, largest_change_bp, version, updated_at
    from approval_policies where tenant_id = $1";
/// The rules; none while nobody set them.
pub async fn policy_find(tx: &mut Tx, tenant: Uuid) -> Result<Option<ApprovalPolicyRow>> {
    tx.fetch_optional(POLICY_FIND, (tenant,)).await
}

const POLICY_INSERT: &str = "insert into approval_policies
    (tenant_id, four_eyes, largest_gross_minor, largest_change_bp, version, updated_at)
    values ($1, $2, $3, $4, 1, $5) on conflict (tenant_id) do nothing";
const POLICY_UPDATE: &str = "update approval_policies set four_eyes = $2, largest_gross_minor = $3,
        largest_change_bp = $4, updated_at = $5, version = version + 1
    where tenant_id = $1 and version = $6";
/// Saves the rules over the version that was read, 0 while there were none; `false` when it is another.
pub async fn policy_put(tx: &mut Tx, tenant: Uuid, row: &ApprovalPolicyRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let (gross, change) = (row.largest_gross_minor, row.largest_change_bp);
    let written = if if_match == 0 {
        tx.execute(POLICY_INSERT, (tenant, row.four_eyes, gross, change, row.updated_at)).await?
    } else {
        tx.execute(POLICY_UPDATE, (tenant, row.four_eyes, gross, change, row.updated_at, if_match)).await?
    };
    Ok(written == 1)
}

// A plan that charges nothing cannot have risen. Without a plan of a month before nobody knows what is usual, and of
// changes and of what is given back nobody does.
const APPROVE_USUAL: &str = concat!(
    "update run_plans set state = 'approved', decided_by = $3, updated_at = $4
    where tenant_id = $1 and run_id = $2 and state = 'awaiting' and ($8 is null or contract_id = $8)
        and ($5 is null or ",
    plan_amount!(),
    " <= $5)
        and ($6 is null or (stage = 'day' and changes_minor = 0 and (lines = 0 or exists (
            select 1 from run_plans q where q.tenant_id = $1 and q.run_id = $7 and q.contract_id = run_plans.contract_id
                and q.state = 'done' and abs(run_plans.gross_minor - q.gross_minor) * 10000 <= $6 * abs(q.gross_minor)))))"
);
/// Approves the awaiting plans, or that of one contract, that keep every bound that is set; `before` is the run of a month
/// before. Answers how many.
#[expect(clippy::too_many_arguments, reason = "what a rule looks at")]
pub async fn approve_usual(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    contract: Option<Uuid>,
    by: &str,
    policy: &ApprovalPolicyRow,
    before: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let (gross, change) = (policy.largest_gross_minor, policy.largest_change_bp);
    tx.execute(APPROVE_USUAL, (tenant, run, by.to_owned(), now, gross, change, before, contract)).await
}

const CONFIRM_FIRST: &str = "update run_plans set confirmed_by = $4, updated_at = $5
    where tenant_id = $1 and run_id = $2 and contract_id = $3 and state = 'awaiting' and confirmed_by is null";
/// Notes the first of two who confirm a plan; `false` when it does not wait or somebody confirmed it.
pub async fn confirm_first(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    contract: Uuid,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(CONFIRM_FIRST, (tenant, run, contract, by.to_owned(), now)).await? == 1)
}

const APPROVE_SECOND: &str = concat!(
    "update run_plans set state = 'approved', decided_by = $3, updated_at = $4
    where tenant_id = $1 and run_id = $2 and state = 'awaiting' and confirmed_by <> $3 and ",
    plan_amount!(),
    " <= $5",
    plan_picked!()
);
const CONFIRM_ALL_FIRST: &str = concat!(
    "update run_plans set confirmed_by = $3, updated_at = $4
    where tenant_id = $1 and run_id = $2 and state = 'awaiting' and confirmed_by is null and ",
    plan_amount!(),
    " <= $5",
    plan_picked!()
);
/// Confirms every awaiting plan that is meant, up to a gross amount, where two must: those that another confirmed are
/// approved, the others have their first. Answers how many of both.
pub async fn confirm_all(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    by: &str,
    (largest_gross_minor, pick): (i64, &PlanPick),
    now: DateTime<Utc>,
) -> Result<u64> {
    let params = || decided(tenant, run, by, now, largest_gross_minor, pick);
    let second = tx.execute(APPROVE_SECOND, params()).await?;
    Ok(second + tx.execute(CONFIRM_ALL_FIRST, params()).await?)
}

/// A contract that is parked, by the latest run that had something to do for it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ParkedRow {
    /// The contract.
    pub contract_id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The day it closes.
    pub business_on: NaiveDate,
    /// Stable code of the reason.
    pub reason_code: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
    /// The plugin call that failed.
    pub call_id: Option<Uuid>,
    /// How often it was tried.
    pub attempts: i32,
    /// Who cares for it.
    pub owner: Option<String>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const PARKED: &str =
    "select p.contract_id, p.run_id, r.business_on, p.reason_code, p.reason, p.call_id, p.attempts, p.owner,
        p.updated_at
    from run_plans p join runs r on r.tenant_id = $1 and r.id = p.run_id
    where p.tenant_id = $1 and p.state = 'parked' and p.contract_id > $2
        and ($3 = '' or p.owner = $3) and ($4 = false or p.owner is null)
        and not exists (select 1 from runs l join run_plans q on q.tenant_id = $1 and q.run_id = l.id
            where l.tenant_id = $1 and l.business_on > r.business_on and q.contract_id = p.contract_id)
    order by p.contract_id limit $5";
/// A page of the contracts that are parked, by contract; `owner` empty means anybody's, `unowned` only nobody's.
pub async fn parked(
    tx: &mut Tx,
    tenant: Uuid,
    after: Uuid,
    owner: &str,
    unowned: bool,
    limit: i64,
) -> Result<Vec<ParkedRow>> {
    tx.fetch_all(PARKED, (tenant, after, owner.to_owned(), unowned, limit)).await
}

const OWNER_SET: &str = "update run_plans set owner = $4, updated_at = $5
    where tenant_id = $1 and run_id = $2 and contract_id = $3 and state = 'parked'";
/// Says who cares for a parked contract; `false` when it is not parked.
pub async fn owner_set(
    tx: &mut Tx,
    tenant: Uuid,
    run: Uuid,
    contract: Uuid,
    owner: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(OWNER_SET, (tenant, run, contract, owner.map(str::to_owned), now)).await? == 1)
}
