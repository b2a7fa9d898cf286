//! Rows of charges and of their credits. The billing run writes charges by the thousand in its own statements.
//!
//! Concurrency: a credit first raises its charge's `credited_minor`, comparing what it was computed from; that locks the
//! charge, so of two credits, or of a credit and a realisation, the later one changes no row and is computed again.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// A charge.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChargeRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// The subscription that it is for.
    pub subscription_id: Uuid,
    /// The component that it is for.
    pub component_id: Uuid,
    /// The invoice that it stands on.
    pub invoice_id: Uuid,
    /// The run that made it.
    pub run_id: Option<Uuid>,
    /// `recurring` and others.
    pub kind: String,
    /// How far it has come.
    pub status: String,
    /// First day of the full period.
    pub period_start: NaiveDate,
    /// The day after the full period.
    pub period_end: NaiveDate,
    /// First day of the part in service.
    pub used_start: NaiveDate,
    /// The day after the part in service.
    pub used_end: NaiveDate,
    /// The day after the last one that it still covers; absent: all of them.
    pub covered_until: Option<NaiveDate>,
    /// The day the service begins.
    pub charged_on: NaiveDate,
    /// The day the service ends.
    pub realises_on: NaiveDate,
    /// The day it was paid.
    pub paid_on: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
    /// The day its revenue was recognised.
    pub realised_on: Option<NaiveDate>,
    /// The amount as the plan states prices (with or without tax), minor units.
    pub amount_minor: i64,
    /// The part of the gross amount that was taken when it fell due; absent: all of it.
    pub prepaid_minor: Option<i64>,
    /// What was given back, gross.
    pub credited_minor: i64,
    /// The recorded plugin call that shared the price.
    pub proration_call_id: Option<Uuid>,
    /// The line within that call.
    pub call_line: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

const FIND: &str =
    "select id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status, period_start,
        period_end, used_start, used_end, covered_until, charged_on, realises_on, paid_on, currency, realised_on,
        amount_minor, prepaid_minor, credited_minor, proration_call_id, call_line, created_at
    from charges where tenant_id = $1 and id = $2";
/// One charge.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ChargeRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const CUT_AT: &str = "select cast(count(*) as bigint) from charges where tenant_id = $1 and subscription_id = $2
    and kind = 'recurring' and used_end = $3 and period_end > $3";
/// Whether a subscription's period was charged up to a day only, before its end: no charge follows for the rest of it.
pub async fn cut_at(tx: &mut Tx, tenant: Uuid, subscription: Uuid, day: NaiveDate) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(CUT_AT, (tenant, subscription, day)).await?.0 > 0)
}

const COVERS_FROM: &str = "select count(*) from (select c.id from charges c
    join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id and l.position = c.invoice_position
        and l.charge_id = c.id
    where c.tenant_id = $1 and c.subscription_id = $2 and c.kind = 'recurring' and c.used_end > $3
        and coalesce(c.covered_until, c.used_end) > $3 and coalesce(c.covered_until, c.used_end) > c.used_start
        and l.gross_minor > c.credited_minor limit 1) found";
/// Whether anything that was paid for covers days of a subscription from one on.
pub async fn covers_from(tx: &mut Tx, tenant: Uuid, subscription: Uuid, day: NaiveDate) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(COVERS_FROM, (tenant, subscription, day)).await?.0 > 0)
}

/// Which charges a list holds.
#[derive(Clone, Copy, Debug)]
pub enum Filter {
    /// All of the tenant.
    All,
    /// Those of one contract.
    Contract(Uuid),
    /// Those of one subscription.
    Subscription(Uuid),
    /// Those of one invoice.
    Invoice(Uuid),
}

const LIST: &str =
    "select id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status, period_start,
        period_end, used_start, used_end, covered_until, charged_on, realises_on, paid_on, currency, realised_on,
        amount_minor, prepaid_minor, credited_minor, proration_call_id, call_line, created_at
    from charges where tenant_id = $1 and id > $2 order by id limit $3";
// A charge's key begins with its subscription, so a contract's charges are found through its subscriptions.
const LIST_BY_CONTRACT: &str =
    "select c.id, c.contract_id, c.subscription_id, c.component_id, c.invoice_id, c.run_id, c.kind,
        c.status, c.period_start, c.period_end, c.used_start, c.used_end, c.covered_until, c.charged_on, c.realises_on,
        c.paid_on, c.currency, c.realised_on, c.amount_minor, c.prepaid_minor, c.credited_minor, c.proration_call_id, c.call_line,
        c.created_at
    from subscriptions s join charges c on c.tenant_id = s.tenant_id and c.subscription_id = s.id
    where s.tenant_id = $1 and s.contract_id = $4 and c.id > $2 order by c.id limit $3";
const LIST_BY_SUBSCRIPTION: &str =
    "select id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status,
        period_start, period_end, used_start, used_end, covered_until, charged_on, realises_on, paid_on, currency,
        realised_on, amount_minor, prepaid_minor, credited_minor, proration_call_id, call_line, created_at
    from charges where tenant_id = $1 and subscription_id = $4 and id > $2 order by id limit $3";
const LIST_BY_INVOICE: &str =
    "select c.id, c.contract_id, c.subscription_id, c.component_id, c.invoice_id, c.run_id, c.kind,
        c.status, c.period_start, c.period_end, c.used_start, c.used_end, c.covered_until, c.charged_on, c.realises_on,
        c.paid_on, c.currency, c.realised_on, c.amount_minor, c.prepaid_minor, c.credited_minor, c.proration_call_id, c.call_line,
        c.created_at
    from invoice_lines l join charges c on c.tenant_id = l.tenant_id and c.id = l.charge_id
    where l.tenant_id = $1 and l.invoice_id = $4 and c.id > $2 order by c.id limit $3";
/// A page of charges, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, filter: Filter, after: Uuid, limit: i64) -> Result<Vec<ChargeRow>> {
    match filter {
        Filter::All => tx.fetch_all(LIST, (tenant, after, limit)).await,
        Filter::Contract(id) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, id)).await,
        Filter::Subscription(id) => tx.fetch_all(LIST_BY_SUBSCRIPTION, (tenant, after, limit, id)).await,
        Filter::Invoice(id) => tx.fetch_all(LIST_BY_INVOICE, (tenant, after, limit, id)).await,
    }
}

/// A charge as far as giving a part of it back needs to know it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CreditableRow {
    /// The charge.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// The product whose revenue it is.
    pub product_id: Uuid,
    /// How far it has come.
    pub status: String,
    /// First day of the part in service.
    pub used_start: NaiveDate,
    /// The day after the part in service.
    pub used_end: NaiveDate,
    /// The day its revenue was recognised.
    pub realised_on: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
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
    /// What was given back before, gross.
    pub credited_minor: i64,
    /// The tax in that.
    pub credited_tax_minor: i64,
}

const CREDITABLE: &str = "select c.id, c.contract_id, p.product_id, c.status, c.used_start, c.used_end, c.realised_on,
        c.currency, l.net_minor, l.tax_minor, l.gross_minor, l.tax_code, c.prepaid_minor, c.credited_minor,
        (select cast(coalesce(sum(k.tax_minor), 0) as bigint) from charge_credits k
            where k.tenant_id = $1 and k.charge_id = c.id) as credited_tax_minor
    from {rows}
    join charges c on c.tenant_id = $1 and c.id = {key}v.id
    join plan_components p on p.tenant_id = $1 and p.id = c.component_id
    join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id and l.position = c.invoice_position
        and l.charge_id = c.id";
/// What can be given back of these charges; unknown ones are absent.
pub async fn creditable(tx: &mut Tx, tenant: Uuid, charges: Vec<Uuid>) -> Result<Vec<CreditableRow>> {
    tx.fetch_rows(CREDITABLE, (tenant,), &Rows::new().with("id", charges)).await
}

const CREDITED_ADD: &str =
    "update charges set credited_minor = charges.credited_minor + v.gross_minor, status = v.status
    from {rows} where charges.tenant_id = $1 and charges.id = {key}v.id and charges.credited_minor = v.credited_minor
        and charges.status = v.before_status";
/// Raises what was given back of charges that are as they were read: columns `id, credited_minor, before_status,
/// gross_minor, status`, one row a charge; answers how many were.
pub async fn credited_add(tx: &mut Tx, tenant: Uuid, rows: &Rows) -> Result<u64> {
    tx.execute_rows(CREDITED_ADD, (tenant,), rows).await
}

const CREDITS_INSERT: &str = "insert into charge_credits
    (tenant_id, id, charge_id, contract_id, change_id, used_start, used_end, currency, net_minor, tax_minor,
     gross_minor, after_realisation, reason, credited_on, transaction_id, run_id, window_id, created_at)
    select $1, v.id, v.charge_id, v.contract_id, v.change_id, v.used_start, v.used_end, v.currency, v.net_minor,
        v.tax_minor, v.gross_minor, v.after = 1, v.reason, $2, v.transaction_id,
        v.run_id, v.window_id, $3 from {rows}";
/// Adds credits: columns `id, charge_id, contract_id, change_id, used_start, used_end, currency, net_minor, tax_minor,
/// gross_minor, after, reason, transaction_id, run_id, window_id`; to be preceded by [`credited_add`].
pub async fn credits_insert(
    tx: &mut Tx,
    tenant: Uuid,
    credited_on: NaiveDate,
    now: DateTime<Utc>,
    rows: &Rows,
) -> Result<()> {
    tx.execute_rows(CREDITS_INSERT, (tenant, credited_on, now), rows).await.map(|_| ())
}

/// A credit of a charge.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CreditRow {
    /// Its id.
    pub id: Uuid,
    /// The charge that it gives a part of back.
    pub charge_id: Uuid,
    /// The contract that gets it.
    pub contract_id: Uuid,
    /// The change of the subscription that it belongs to.
    pub change_id: Option<Uuid>,
    /// First day given back.
    pub used_start: NaiveDate,
    /// The day after the last one given back; the same for a credit of money alone.
    pub used_end: NaiveDate,
    /// ISO 4217 code.
    pub currency: String,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// Gross.
    pub gross_minor: i64,
    /// Whether the charge was realised before.
    pub after_realisation: bool,
    /// For people.
    pub reason: String,
    /// The day it counts on.
    pub credited_on: NaiveDate,
    /// The posting; absent when no money had been taken for this part.
    pub transaction_id: Option<Uuid>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

const CREDITS: &str =
    "select id, charge_id, contract_id, change_id, used_start, used_end, currency, net_minor, tax_minor,
        gross_minor, after_realisation, reason, credited_on, transaction_id, created_at
    from charge_credits where tenant_id = $1 and charge_id = $2 and id > $3 order by id limit $4";
/// A page of a charge's credits, by id.
pub async fn credits(tx: &mut Tx, tenant: Uuid, charge: Uuid, after: Uuid, limit: i64) -> Result<Vec<CreditRow>> {
    tx.fetch_all(CREDITS, (tenant, charge, after, limit)).await
}
