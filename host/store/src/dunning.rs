//! Rows of dunning: policies, the cases of those who owe, and the steps that were taken.
//!
//! A case exists while something is unpaid. What a debt lies on is read from the ledger and from invoice lines, the newest
//! first, a bounded number for each contract.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// How many debits or lines of a contract a debt is laid over.
pub const DEEPEST: i64 = 200;

/// The rules of one scope.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PolicyRow {
    /// Its id.
    pub id: Uuid,
    /// `contract` or `subscription`.
    pub scope: String,
    /// JSON array of stages, the mildest first.
    pub stages: String,
    /// JSON array of days.
    pub ladder: String,
    /// JSON array of tags.
    pub suspending_tags: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const POLICY_INSERT: &str = "insert into dunning_policies
    (tenant_id, id, scope, stages, ladder, suspending_tags, version, created_at)
    values ($1, $2, $3, $4, $5, $6, 1, $7) on conflict (tenant_id, scope) do nothing";
/// Adds the policy of a scope; `false` when it has one.
pub async fn policy_insert(tx: &mut Tx, tenant: Uuid, row: &PolicyRow) -> Result<bool> {
    let row = row.clone();
    let params = (tenant, row.id, row.scope, row.stages, row.ladder, row.suspending_tags, row.created_at);
    Ok(tx.execute(POLICY_INSERT, params).await? == 1)
}

const POLICY_UPDATE: &str =
    "update dunning_policies set stages = $4, ladder = $5, suspending_tags = $6, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a policy; `false` when its version is another.
pub async fn policy_update(tx: &mut Tx, tenant: Uuid, row: &PolicyRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let params = (tenant, row.id, if_match, row.stages, row.ladder, row.suspending_tags);
    Ok(tx.execute(POLICY_UPDATE, params).await? == 1)
}

const POLICIES: &str = "select id, scope, stages, ladder, suspending_tags, version, created_at
    from dunning_policies where tenant_id = $1 order by scope limit 2";
/// The policies of a tenant, one a scope.
pub async fn policies(tx: &mut Tx, tenant: Uuid) -> Result<Vec<PolicyRow>> {
    tx.fetch_all(POLICIES, (tenant,)).await
}

/// A debtor's case.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CaseRow {
    /// `contract` or `subscription`.
    pub scope: String,
    /// The contract or the subscription.
    pub object_id: Uuid,
    /// The contract.
    pub contract_id: Uuid,
    /// Code of the stage; none before the first.
    pub stage: Option<String>,
    /// Whether a tag suspends the effects.
    pub suspended: bool,
    /// What is unpaid, minor units.
    pub unpaid_minor: i64,
    /// How many debits or lines.
    pub unpaid_count: i32,
    /// The day of the oldest.
    pub unpaid_since_on: Option<NaiveDate>,
    /// When the stage was entered.
    pub entered_on: NaiveDate,
    /// The last day it was looked at.
    pub evaluated_on: NaiveDate,
    /// Attempts to collect that were called for.
    pub rung: i32,
    /// The first day of the debt, from which the ladder counts.
    pub opened_on: NaiveDate,
}

const CASES_OF: &str =
    "select d.scope, d.object_id, d.contract_id, d.stage, d.suspended, d.unpaid_minor, d.unpaid_count,
        d.unpaid_since_on, d.entered_on, d.evaluated_on, d.rung, d.opened_on
    from {rows} join dunning_cases d on d.tenant_id = $1 and d.contract_id = v.id";
/// The cases of contracts and their subscriptions, in no order.
pub async fn cases_of(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<CaseRow>> {
    tx.fetch_rows(CASES_OF, (tenant,), &Rows::new().with("id", contracts)).await
}

const CASES: &str = "select scope, object_id, contract_id, stage, suspended, unpaid_minor, unpaid_count,
        unpaid_since_on, entered_on, evaluated_on, rung, opened_on
    from dunning_cases where tenant_id = $1 and scope = $2 and object_id > $3 order by object_id limit $4";
/// A page of cases of a scope, by object.
pub async fn cases(tx: &mut Tx, tenant: Uuid, scope: &str, after: Uuid, limit: i64) -> Result<Vec<CaseRow>> {
    tx.fetch_all(CASES, (tenant, scope.to_owned(), after, limit)).await
}

const CASE_SAVE: &str = "insert into dunning_cases (tenant_id, scope, object_id, contract_id, stage, suspended,
        unpaid_minor, unpaid_count, unpaid_since_on, entered_on, evaluated_on, rung, opened_on, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)
    on conflict (tenant_id, scope, object_id) do update set stage = excluded.stage, suspended = excluded.suspended,
        unpaid_minor = excluded.unpaid_minor, unpaid_count = excluded.unpaid_count,
        unpaid_since_on = excluded.unpaid_since_on, entered_on = excluded.entered_on,
        evaluated_on = excluded.evaluated_on, rung = excluded.rung, version = dunning_cases.version + 1";
/// Opens a case or saves how it stands.
pub async fn case_save(tx: &mut Tx, tenant: Uuid, row: &CaseRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.scope,
        row.object_id,
        row.contract_id,
        row.stage,
        row.suspended,
        row.unpaid_minor,
        row.unpaid_count,
        row.unpaid_since_on,
        row.entered_on,
        row.evaluated_on,
        row.rung,
        row.opened_on,
    );
    tx.execute(CASE_SAVE, params).await.map(|_| ())
}

const CASE_CLOSE: &str = "delete from dunning_cases where tenant_id = $1 and scope = $2 and object_id = $3";
/// Closes a case: nothing is unpaid any more.
pub async fn case_close(tx: &mut Tx, tenant: Uuid, scope: &str, object: Uuid) -> Result<()> {
    tx.execute(CASE_CLOSE, (tenant, scope.to_owned(), object)).await.map(|_| ())
}

/// A step that dunning took.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StepRow {
    /// Its id.
    pub id: Uuid,
    /// `contract` or `subscription`.
    pub scope: String,
    /// The contract or the subscription.
    pub object_id: Uuid,
    /// The contract.
    pub contract_id: Uuid,
    /// The day it is about.
    pub on_date: NaiveDate,
    /// `entered`, `left`, `suspended`, `resumed`, `blocked`, `unblocked`, `cancel`, `cancel-withdrawn`, `notice` or `collect`.
    pub step: String,
    /// Which stage, block or notice, or when an end takes effect.
    pub detail: String,
    /// The change that ends a subscription.
    pub change_id: Option<Uuid>,
    /// When it was taken.
    pub created_at: DateTime<Utc>,
}

const STEP_INSERT: &str =
    "insert into dunning_steps (tenant_id, id, scope, object_id, contract_id, on_date, step, detail, change_id, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// Records a step.
pub async fn step_insert(tx: &mut Tx, tenant: Uuid, row: &StepRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.scope,
        row.object_id,
        row.contract_id,
        row.on_date,
        row.step,
        row.detail,
        row.change_id,
        row.created_at,
    );
    tx.execute(STEP_INSERT, params).await.map(|_| ())
}

const STEPS: &str = "select id, scope, object_id, contract_id, on_date, step, detail, change_id, created_at
    from dunning_steps
    where tenant_id = $1 and contract_id = $2 and id > $3 order by id limit $4";
/// A page of the steps taken with a contract, oldest first.
pub async fn steps(tx: &mut Tx, tenant: Uuid, contract: Uuid, after: Uuid, limit: i64) -> Result<Vec<StepRow>> {
    tx.fetch_all(STEPS, (tenant, contract, after, limit)).await
}

const SUBJECTS: &str = "select c.id from contracts c
    join ledger_accounts f on f.tenant_id = c.tenant_id and f.id = c.funds_account_id
    where c.tenant_id = $1 and c.id > $2 and (f.balance_minor > 0
        or exists (select 1 from dunning_cases d where d.tenant_id = c.tenant_id and d.contract_id = c.id))
    order by c.id limit $3";
/// The contracts that owe something or have a case, behind one.
pub async fn subjects(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
    Ok(tx.fetch_all::<(Uuid,)>(SUBJECTS, (tenant, after, limit)).await?.into_iter().map(|row| row.0).collect())
}

const TAGS: &str = "select k.contract_id, k.tags from {rows}
    join contract_controls k on k.tenant_id = $1 and k.contract_id = v.id";
/// The tags of contracts, each a JSON array; contracts without a place are absent.
pub async fn tags(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<(Uuid, String)>> {
    tx.fetch_rows(TAGS, (tenant,), &Rows::new().with("id", contracts)).await
}

const DEBITS: &str = "select d.account_id, d.effective_on, d.amount_minor from (
        select e.account_id, t.effective_on, e.amount_minor, e.transaction_id,
            row_number() over (partition by e.account_id order by e.transaction_id desc) as place
        from {rows}
        join ledger_entries e on e.tenant_id = $1 and e.account_id = v.id and e.amount_minor > 0
        join ledger_transactions t on t.tenant_id = $1 and t.id = e.transaction_id and t.kind <> 'funds-blocked'
    ) d where d.place <= $2 order by d.account_id, d.transaction_id desc";
/// The newest debits of funds accounts, the newest first; money that is reserved for an order is the customer's still.
pub async fn debits(tx: &mut Tx, tenant: Uuid, accounts: Vec<Uuid>) -> Result<Vec<(Uuid, NaiveDate, i64)>> {
    tx.fetch_rows(DEBITS, (tenant, DEEPEST), &Rows::new().with("id", accounts)).await
}

const CREDITED: &str = "select i.contract_id, i.issued_on, cast(sum(c.credited_minor) as bigint) from {rows}
    join invoices i on i.tenant_id = $1 and i.contract_id = v.id
    join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
    join charges c on c.tenant_id = $1 and c.id = l.charge_id and c.credited_minor > 0 and c.prepaid_minor is null
    group by i.contract_id, i.issued_on";
/// What was given back of what contracts were charged in advance, by the day on which it was charged.
pub async fn credited(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<(Uuid, NaiveDate, i64)>> {
    tx.fetch_rows(CREDITED, (tenant,), &Rows::new().with("id", contracts)).await
}

const LINES: &str = "select n.contract_id, n.subscription_id, n.charged_on, n.gross_minor from (
        select i.contract_id, c.subscription_id, c.charged_on, l.gross_minor - c.credited_minor as gross_minor, c.id,
            row_number() over (partition by i.contract_id order by c.charged_on desc, c.id desc) as place
        from {rows}
        join invoices i on i.tenant_id = $1 and i.contract_id = v.id
        join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
        join charges c on c.tenant_id = $1 and c.id = l.charge_id and c.status <> 'refunded'
    ) n where n.place <= $2 order by n.contract_id, n.charged_on desc, n.id desc";
/// The newest invoice lines of contracts with their subscriptions, less what was given back of them, the newest first.
pub async fn lines(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<(Uuid, Uuid, NaiveDate, i64)>> {
    tx.fetch_rows(LINES, (tenant, DEEPEST), &Rows::new().with("id", contracts)).await
}
