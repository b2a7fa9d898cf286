//! Rows of subscription changes: what a change is decided from, the change itself, and the tables that say when changes
//! take effect.
//!
//! Concurrency: whoever changes a subscription moves its version, and whoever cuts a charge names how far it covered. Both
//! are compared with what was read, so of two changes at the same time one is refused and nothing of it is written.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// What a change needs to know of a contract and its customer.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ContractFactsRow {
    /// The contract.
    pub id: Uuid,
    /// Its number.
    pub number: String,
    /// ISO 4217 code.
    pub currency: String,
    /// IANA name.
    pub zone: String,
    /// The day of signing.
    pub signed_on: NaiveDate,
    /// The seller.
    pub seller_id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// Kind of customer.
    pub customer_kind: String,
    /// Country of the customer.
    pub customer_country: String,
    /// Taxpayer number of the customer.
    pub customer_inn: Option<String>,
    /// Reason code of registration of the customer.
    pub customer_kpp: Option<String>,
}

const CONTRACT_FACTS: &str = "select c.id, c.number, c.currency, c.zone, c.signed_on, c.seller_id, c.customer_id,
        k.kind as customer_kind, k.country as customer_country, k.inn as customer_inn, k.kpp as customer_kpp
    from contracts c join customers k on k.tenant_id = c.tenant_id and k.id = c.customer_id
    where c.tenant_id = $1 and c.id = $2";
/// What a change needs to know of a contract.
pub async fn contract_facts(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<Option<ContractFactsRow>> {
    tx.fetch_optional(CONTRACT_FACTS, (tenant, contract)).await
}

/// A recurring charge that covers days.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CoveredRow {
    /// The charge.
    pub id: Uuid,
    /// The component.
    pub component_id: Uuid,
    /// First day that it was billed for.
    pub used_start: NaiveDate,
    /// The day after the last one that it was billed for.
    pub used_end: NaiveDate,
    /// The day after the last one that it still covers; absent: all of them.
    pub covered_until: Option<NaiveDate>,
    /// Net of its invoice line, minor units.
    pub net_minor: i64,
    /// Tax of its invoice line.
    pub tax_minor: i64,
    /// Gross of its invoice line.
    pub gross_minor: i64,
    /// What was given back, gross.
    pub credited_minor: i64,
    /// The tax in that.
    pub credited_tax_minor: i64,
}

const COVERED: &str =
    "select c.id, c.component_id, c.used_start, c.used_end, c.covered_until, l.net_minor, l.tax_minor,
        l.gross_minor, c.credited_minor,
        (select cast(coalesce(sum(k.tax_minor), 0) as bigint) from charge_credits k
            where k.tenant_id = $1 and k.charge_id = c.id) as credited_tax_minor
    from charges c
    join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id and l.position = c.invoice_position
        and l.charge_id = c.id
    where c.tenant_id = $1 and c.subscription_id = $2 and c.kind = 'recurring' and c.used_end > $3
        and coalesce(c.covered_until, c.used_end) > $3 and coalesce(c.covered_until, c.used_end) > c.used_start
    order by c.used_start, c.id limit 10000";
/// The recurring charges of a subscription that cover days from one on.
pub async fn covered(tx: &mut Tx, tenant: Uuid, subscription: Uuid, from: NaiveDate) -> Result<Vec<CoveredRow>> {
    tx.fetch_all(COVERED, (tenant, subscription, from)).await
}

/// A charge whose cover ends earlier.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The charge.
    pub charge: Uuid,
    /// Until when it covered.
    pub before: NaiveDate,
    /// Until when it covers now.
    pub until: NaiveDate,
    /// The day whose close realises what was used of it.
    pub closes_on: NaiveDate,
}

// What was used of a charge that is paid is provided by then, so it need not wait for the end of the period.
const CUT: &str = "update charges set covered_until = v.until_on, realises_on = case
        when charges.prepaid_minor is null and charges.realised_on is null and v.until_on > charges.used_start
            and v.closes_on < charges.realises_on then v.closes_on else charges.realises_on end
    from {rows}
    where charges.tenant_id = $1 and charges.id = {key}v.id
        and coalesce(charges.covered_until, charges.used_end) = v.before_on";
/// Ends what charges cover; answers how many covered as much as was read.
pub async fn cut(tx: &mut Tx, tenant: Uuid, cuts: &[Cut]) -> Result<u64> {
    let rows = Rows::new()
        .with("id", column(cuts, |cut| cut.charge))
        .with("before_on", column(cuts, |cut| cut.before))
        .with("until_on", column(cuts, |cut| cut.until))
        .with("closes_on", column(cuts, |cut| cut.closes_on));
    tx.execute_rows(CUT, (tenant,), &rows).await
}

/// The terms that a subscription takes.
#[derive(Clone, Debug)]
pub struct TermsRow {
    /// Where it stands.
    pub status: String,
    /// The plan version.
    pub plan_version_id: Uuid,
    /// How many units.
    pub quantity: String,
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Index of the first period that is not charged.
    pub next_index: i32,
    /// First day of these terms.
    pub terms_from: NaiveDate,
    /// The next day on which something happens.
    pub next_charge_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// How many charges are left.
    pub charges_left: Option<i32>,
    /// 1 when what is charged once is still to be charged.
    pub once_due: i32,
}

const TERMS_SET: &str =
    "update subscriptions set status = $4, plan_version_id = $5, quantity = $6, anchor_on = $7, next_index = $8,
        terms_from = $9, ends_on = $11, charges_left = $12, next_charge_on = $10, once_due = $13,
        waits_from = case when $10 > next_charge_on then null else waits_from end, change_ordinal = change_ordinal + 1, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Puts a subscription on other terms; `false` when it is gone or its version is another.
pub async fn terms_set(tx: &mut Tx, tenant: Uuid, id: Uuid, version: i64, terms: TermsRow) -> Result<bool> {
    let params = (
        tenant,
        id,
        version,
        terms.status,
        terms.plan_version_id,
        terms.quantity,
        terms.anchor_on,
        terms.next_index,
        terms.terms_from,
        terms.next_charge_on,
        terms.ends_on,
        terms.charges_left,
        terms.once_due,
    );
    Ok(tx.execute(TERMS_SET, params).await? == 1)
}

/// A change of a subscription.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChangeRow {
    /// Its id.
    pub id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// Its contract.
    pub contract_id: Uuid,
    /// What was wished.
    pub kind: String,
    /// Which way it goes.
    pub direction: Option<String>,
    /// When it takes effect.
    pub timing: String,
    /// How far it has come.
    pub state: String,
    /// The wish, JSON.
    pub command: String,
    /// The day on which it takes effect.
    pub effective_on: NaiveDate,
    /// Its number among the executed changes of the subscription, from 1.
    pub ordinal: Option<i32>,
    /// First day of the new terms.
    pub terms_from: Option<NaiveDate>,
    /// The day on which what was charged before it ended.
    pub charged_until: Option<NaiveDate>,
    /// The new terms, JSON.
    pub terms: Option<String>,
    /// The plan version of the new terms.
    pub plan_version_id: Option<Uuid>,
    /// Hash of what was executed.
    pub plan_hash: Option<Vec<u8>>,
    /// The first invoice that it issued.
    pub invoice_id: Option<Uuid>,
    /// What was given back, gross.
    pub credited_minor: i64,
    /// What was charged instead, gross.
    pub charged_minor: i64,
    /// Why it failed or was withdrawn.
    pub reason: Option<String>,
    /// Who wished it.
    pub requested_by: String,
    /// When it was wished.
    pub created_at: DateTime<Utc>,
    /// When it was executed or withdrawn.
    pub finished_at: Option<DateTime<Utc>>,
    /// The scope of the dunning that wished it; absent when a person did.
    pub dunning_scope: Option<String>,
    /// For optimistic locking.
    pub version: i64,
}

/// An end of a subscription that dunning scheduled.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DunningRow {
    /// The change.
    pub id: Uuid,
    /// The contract.
    pub contract_id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// `contract` or `subscription`.
    pub dunning_scope: String,
    /// When it takes effect.
    pub timing: String,
}

const INSERT: &str = "insert into subscription_changes (tenant_id, id, subscription_id, contract_id, kind, direction, timing,
        state, command, effective_on, ordinal, terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id,
        credited_minor, charged_minor, reason, requested_by, dunning_scope, created_at, finished_at, version)
    select $1, v.id, v.subscription_id, v.contract_id, v.kind, v.direction, v.timing, v.state, v.command, v.effective_on,
        v.ordinal, v.terms_from, v.charged_until, v.terms, v.plan_version_id, v.plan_hash, v.invoice_id,
        v.credited_minor, v.charged_minor, v.reason, v.requested_by, v.dunning_scope, $2, $3, 1 from {rows}";
/// Adds changes made at one time.
pub async fn insert(
    tx: &mut Tx,
    tenant: Uuid,
    now: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    items: &[ChangeRow],
) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(items, |row| row.id))
        .with("subscription_id", column(items, |row| row.subscription_id))
        .with("contract_id", column(items, |row| row.contract_id))
        .with("kind", column(items, |row| row.kind.clone()))
        .with("direction", column(items, |row| row.direction.clone()))
        .with("timing", column(items, |row| row.timing.clone()))
        .with("state", column(items, |row| row.state.clone()))
        .with("command", column(items, |row| row.command.clone()))
        .with("effective_on", column(items, |row| row.effective_on))
        .with("ordinal", column(items, |row| row.ordinal))
        .with("terms_from", column(items, |row| row.terms_from))
        .with("charged_until", column(items, |row| row.charged_until))
        .with("terms", column(items, |row| row.terms.clone()))
        .with("plan_version_id", column(items, |row| row.plan_version_id))
        .with("plan_hash", column(items, |row| row.plan_hash.clone()))
        .with("invoice_id", column(items, |row| row.invoice_id))
        .with("credited_minor", column(items, |row| row.credited_minor))
        .with("charged_minor", column(items, |row| row.charged_minor))
        .with("reason", column(items, |row| row.reason.clone()))
        .with("requested_by", column(items, |row| row.requested_by.clone()))
        .with("dunning_scope", column(items, |row| row.dunning_scope.clone()));
    tx.execute_rows(INSERT, (tenant, now, finished_at), &rows).await.map(|_| ())
}

const FIND: &str =
    "select id, subscription_id, contract_id, kind, direction, timing, state, command, effective_on, ordinal,
        terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id, credited_minor, charged_minor, reason,
        requested_by, created_at, finished_at, dunning_scope, version
    from subscription_changes where tenant_id = $1 and id = $2";
/// One change.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ChangeRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, subscription_id, contract_id, kind, direction, timing, state, command, effective_on, ordinal,
        terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id, credited_minor, charged_minor, reason,
        requested_by, created_at, finished_at, dunning_scope, version
    from subscription_changes where tenant_id = $1 and subscription_id = $2 and id > $3 order by id limit $4";
/// A page of a subscription's changes, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, subscription: Uuid, after: Uuid, limit: i64) -> Result<Vec<ChangeRow>> {
    tx.fetch_all(LIST, (tenant, subscription, after, limit)).await
}

const SCHEDULED: &str = "select id, subscription_id, contract_id, kind, direction, timing, state, command, effective_on,
        ordinal, terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id, credited_minor, charged_minor,
        reason, requested_by, created_at, finished_at, dunning_scope, version
    from subscription_changes where tenant_id = $1 and state = 'scheduled' and effective_on <= $2 and id > $3
        and (dunning_scope is not null or not exists (select 1 from subscription_changes d
            where d.tenant_id = $1 and d.contract_id = subscription_changes.contract_id and d.state = 'scheduled'
                and d.dunning_scope is not null and d.subscription_id = subscription_changes.subscription_id
                and d.effective_on <= $2))
    order by id limit $4";
/// A page of scheduled changes that take effect through a day, by id; one that a person wished waits while dunning ends its
/// subscription.
pub async fn scheduled(
    tx: &mut Tx,
    tenant: Uuid,
    through: NaiveDate,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ChangeRow>> {
    tx.fetch_all(SCHEDULED, (tenant, through, after, limit)).await
}

const SCHEDULED_OF: &str =
    "select id, subscription_id, contract_id, kind, direction, timing, state, command, effective_on,
        ordinal, terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id, credited_minor, charged_minor,
        reason, requested_by, created_at, finished_at, dunning_scope, version
    from subscription_changes where tenant_id = $1 and contract_id = $2 and state = 'scheduled' and effective_on <= $3
        and (dunning_scope is not null or not exists (select 1 from subscription_changes d
            where d.tenant_id = $1 and d.contract_id = $2 and d.state = 'scheduled' and d.dunning_scope is not null
                and d.subscription_id = subscription_changes.subscription_id and d.effective_on <= $3))
    order by id limit 10000";
/// The scheduled changes of a contract that take effect through a day, by id; one that a person wished waits while dunning
/// ends its subscription.
pub async fn scheduled_of(tx: &mut Tx, tenant: Uuid, contract: Uuid, through: NaiveDate) -> Result<Vec<ChangeRow>> {
    tx.fetch_all(SCHEDULED_OF, (tenant, contract, through)).await
}

const SCHEDULED_FOR: &str =
    "select id, subscription_id, contract_id, kind, direction, timing, state, command, effective_on,
        ordinal, terms_from, charged_until, terms, plan_version_id, plan_hash, invoice_id, credited_minor, charged_minor,
        reason, requested_by, created_at, finished_at, dunning_scope, version
    from subscription_changes where tenant_id = $1 and subscription_id = $2 and state = 'scheduled' order by id limit 100";
/// The scheduled changes of a subscription, by id.
pub async fn scheduled_for(tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<Vec<ChangeRow>> {
    tx.fetch_all(SCHEDULED_FOR, (tenant, subscription)).await
}

const CEASING: &str = "select d.subscription_id, min(d.effective_on) as effective_on from {rows}
    join subscription_changes d on d.tenant_id = $1 and d.state = 'scheduled' and d.effective_on <= $2
        and d.subscription_id = {key}v.id
    where d.kind in ('pause', 'cancel') group by d.subscription_id";
/// On which day through a day these subscriptions are to go out of service, by changes that were not carried out yet.
pub async fn ceasing(tx: &mut Tx, tenant: Uuid, through: NaiveDate, ids: Vec<Uuid>) -> Result<Vec<(Uuid, NaiveDate)>> {
    tx.fetch_rows(CEASING, (tenant, through), &Rows::new().with("id", ids)).await
}

const SCHEDULED_CONTRACTS: &str = "select distinct contract_id from subscription_changes
    where tenant_id = $1 and state = 'scheduled' and effective_on <= $2 and contract_id > $3
    order by contract_id limit $4";
/// A page of the contracts with scheduled changes that take effect through a day, by contract.
pub async fn scheduled_contracts(
    tx: &mut Tx,
    tenant: Uuid,
    through: NaiveDate,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let found: Vec<(Uuid,)> = tx.fetch_all(SCHEDULED_CONTRACTS, (tenant, through, after, limit)).await?;
    Ok(found.into_iter().map(|(contract,)| contract).collect())
}

const OF_DUNNING: &str = "select d.id, d.contract_id, d.subscription_id, d.dunning_scope, d.timing from {rows}
    join subscription_changes d on d.tenant_id = $1 and d.contract_id = {key}v.id and d.state = 'scheduled'
        and d.dunning_scope is not null";
/// The ends of subscriptions that dunning scheduled for contracts and that wait, in no order.
pub async fn of_dunning(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<DunningRow>> {
    tx.fetch_rows(OF_DUNNING, (tenant,), &Rows::new().with("id", contracts)).await
}

const WITHDRAW_OF: &str =
    "update subscription_changes set state = $3, reason = $4, finished_at = $5, version = version + 1
    where tenant_id = $1 and subscription_id = $2 and state = 'scheduled'";
/// Withdraws what is scheduled for a subscription; answers how many changes there were.
pub async fn withdraw_of(
    tx: &mut Tx,
    tenant: Uuid,
    subscription: Uuid,
    state: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<u64> {
    tx.execute(WITHDRAW_OF, (tenant, subscription, state.to_owned(), reason.to_owned(), now)).await
}

const WITHDRAW: &str =
    "update subscription_changes set state = $3, reason = $4, finished_at = $5, version = version + 1
    where tenant_id = $1 and id = $2 and state = 'scheduled'";
/// Withdraws one scheduled change; `false` when it is scheduled no more.
pub async fn withdraw(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    state: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(tx.execute(WITHDRAW, (tenant, id, state.to_owned(), reason.to_owned(), now)).await? == 1)
}

const MOVE: &str = "update subscription_changes set effective_on = $3, version = version + 1
    where tenant_id = $1 and id = $2 and state = 'scheduled'";
/// Moves a scheduled change to another day.
pub async fn move_to(tx: &mut Tx, tenant: Uuid, id: Uuid, effective_on: NaiveDate) -> Result<()> {
    tx.execute(MOVE, (tenant, id, effective_on)).await.map(|_| ())
}

const EXECUTED: &str =
    "update subscription_changes set state = 'executed', ordinal = $3, terms_from = $4, charged_until = $5,
        terms = $6, plan_version_id = $7, plan_hash = $8, invoice_id = $9, credited_minor = $10, charged_minor = $11,
        effective_on = $12, finished_at = $13, version = version + 1
    where tenant_id = $1 and id = $2 and state = 'scheduled'";
/// Marks a scheduled change as executed; `false` when it is scheduled no more.
pub async fn executed(tx: &mut Tx, tenant: Uuid, row: &ChangeRow, now: DateTime<Utc>) -> Result<bool> {
    let params = (
        tenant,
        row.id,
        row.ordinal,
        row.terms_from,
        row.charged_until,
        row.terms.clone(),
        row.plan_version_id,
        row.plan_hash.clone(),
        row.invoice_id,
        row.credited_minor,
        row.charged_minor,
        row.effective_on,
        now,
    );
    Ok(tx.execute(EXECUTED, params).await? == 1)
}

/// A decision table.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TimingsRow {
    /// The plan that it is for; the nil id for the tenant's own.
    pub plan_id: Uuid,
    /// Its rows, JSON.
    pub rules: String,
    /// Counts changes.
    pub version: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

const TIMINGS: &str = "select plan_id, rules, version, updated_at from change_timings
    where tenant_id = $1 and plan_id > $2 order by plan_id limit $3";
/// A page of decision tables, by plan.
pub async fn timings(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<TimingsRow>> {
    tx.fetch_all(TIMINGS, (tenant, after, limit)).await
}

const TIMINGS_FIND: &str =
    "select plan_id, rules, version, updated_at from change_timings where tenant_id = $1 and plan_id = $2";
/// The decision table of a plan, or of the tenant.
pub async fn timings_find(tx: &mut Tx, tenant: Uuid, plan: Uuid) -> Result<Option<TimingsRow>> {
    tx.fetch_optional(TIMINGS_FIND, (tenant, plan)).await
}

const TIMINGS_SET: &str = "insert into change_timings (tenant_id, plan_id, rules, version, updated_at)
    values ($1, $2, $3, 1, $4)
    on conflict (tenant_id, plan_id) do update set rules = excluded.rules, version = change_timings.version + 1,
        updated_at = excluded.updated_at";
/// Puts a decision table in place of the one before.
pub async fn timings_set(tx: &mut Tx, tenant: Uuid, plan: Uuid, rules: &str, now: DateTime<Utc>) -> Result<()> {
    tx.execute(TIMINGS_SET, (tenant, plan, rules.to_owned(), now)).await.map(|_| ())
}
