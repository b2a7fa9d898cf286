//! Rows of charges, read side: the billing run writes them by the thousand in its own statements.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

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
    /// The day the service begins.
    pub charged_on: NaiveDate,
    /// The day the service ends.
    pub realises_on: NaiveDate,
    /// The day it was paid.
    pub paid_on: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
    /// The amount as the plan states prices (with or without tax), minor units.
    pub amount_minor: i64,
    /// The recorded plugin call that shared the price.
    pub proration_call_id: Option<Uuid>,
    /// The line within that call.
    pub call_line: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

const FIND: &str =
    "select id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status, period_start,
        period_end, used_start, used_end, charged_on, realises_on, paid_on, currency, amount_minor, proration_call_id,
        call_line, created_at
    from charges where tenant_id = $1 and id = $2";
/// One charge.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ChargeRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
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
        period_end, used_start, used_end, charged_on, realises_on, paid_on, currency, amount_minor, proration_call_id,
        call_line, created_at
    from charges where tenant_id = $1 and id > $2 order by id limit $3";
// A charge's key begins with its subscription, so a contract's charges are found through its subscriptions.
const LIST_BY_CONTRACT: &str =
    "select c.id, c.contract_id, c.subscription_id, c.component_id, c.invoice_id, c.run_id, c.kind,
        c.status, c.period_start, c.period_end, c.used_start, c.used_end, c.charged_on, c.realises_on, c.paid_on,
        c.currency, c.amount_minor, c.proration_call_id, c.call_line, c.created_at
    from subscriptions s join charges c on c.tenant_id = s.tenant_id and c.subscription_id = s.id
    where s.tenant_id = $1 and s.contract_id = $4 and c.id > $2 order by c.id limit $3";
const LIST_BY_SUBSCRIPTION: &str =
    "select id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status,
        period_start, period_end, used_start, used_end, charged_on, realises_on, paid_on, currency, amount_minor,
        proration_call_id, call_line, created_at
    from charges where tenant_id = $1 and subscription_id = $4 and id > $2 order by id limit $3";
const LIST_BY_INVOICE: &str =
    "select c.id, c.contract_id, c.subscription_id, c.component_id, c.invoice_id, c.run_id, c.kind,
        c.status, c.period_start, c.period_end, c.used_start, c.used_end, c.charged_on, c.realises_on, c.paid_on,
        c.currency, c.amount_minor, c.proration_call_id, c.call_line, c.created_at
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
