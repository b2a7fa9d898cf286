//! Rows of invoices and their lines, read side: the billing run writes them by the thousand in its own statements.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// An invoice without its lines.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct InvoiceRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// Who issued it.
    pub seller_id: Uuid,
    /// The run that made it.
    pub run_id: Option<Uuid>,
    /// How far it has come.
    pub status: String,
    /// Its number.
    pub number: String,
    /// The sequence that the number was taken from.
    pub sequence_key: String,
    /// The value that the sequence gave.
    pub sequence_value: i64,
    /// The date on it.
    pub issued_on: NaiveDate,
    /// ISO 4217 code.
    pub currency: String,
    /// `included` or `on-top`.
    pub price_mode: String,
    /// Sum of its lines without tax, minor units.
    pub net_minor: i64,
    /// Sum of their taxes, minor units.
    pub tax_minor: i64,
    /// Sum of its lines with tax, minor units.
    pub gross_minor: i64,
    /// The recorded plugin call that formed the number.
    pub numbering_call_id: Option<Uuid>,
    /// The line within that call.
    pub call_line: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A line of an invoice with the period and the proration of its charge.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct InvoiceLineRow {
    /// Its place, from 0.
    pub position: i32,
    /// The charge that it shows.
    pub charge_id: Uuid,
    /// What was sold.
    pub title: String,
    /// How many units, canonical decimal.
    pub quantity: String,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax, minor units.
    pub tax_minor: i64,
    /// With tax, minor units.
    pub gross_minor: i64,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Per cent, canonical decimal.
    pub tax_rate: Option<String>,
    /// The recorded plugin call that decided the tax.
    pub tax_call_id: Option<Uuid>,
    /// The line within that call.
    pub call_line: Option<i32>,
    /// First day in service.
    pub used_start: Option<NaiveDate>,
    /// The day after the last day in service.
    pub used_end: Option<NaiveDate>,
    /// The recorded plugin call that shared the price.
    pub proration_call_id: Option<Uuid>,
}

const FIND: &str = "select id, contract_id, seller_id, run_id, status, number, sequence_key, sequence_value, issued_on,
        currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at
    from invoices where tenant_id = $1 and id = $2";
/// One invoice.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<InvoiceRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LINES: &str =
    "select l.position, l.charge_id, l.title, l.quantity, l.net_minor, l.tax_minor, l.gross_minor, l.tax_code,
        l.tax_rate, l.tax_call_id, l.call_line, c.used_start, c.used_end, c.proration_call_id
    from invoice_lines l left join charges c on c.tenant_id = l.tenant_id and c.id = l.charge_id
    where l.tenant_id = $1 and l.invoice_id = $2 and l.position > $3 order by l.position limit $4";
/// A page of an invoice's lines, by position; -1 begins.
pub async fn lines(tx: &mut Tx, tenant: Uuid, invoice: Uuid, after: i32, limit: i64) -> Result<Vec<InvoiceLineRow>> {
    tx.fetch_all(LINES, (tenant, invoice, after, limit)).await
}

/// Which invoices a list holds.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of the tenant.
    All,
    /// Those of one contract.
    Contract(Uuid),
    /// The one of a seller with this number.
    Number(Uuid, String),
}

const LIST: &str = "select id, contract_id, seller_id, run_id, status, number, sequence_key, sequence_value, issued_on,
        currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at
    from invoices where tenant_id = $1 and id > $2 order by id limit $3";
const LIST_BY_CONTRACT: &str =
    "select id, contract_id, seller_id, run_id, status, number, sequence_key, sequence_value,
        issued_on, currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at
    from invoices where tenant_id = $1 and contract_id = $4 and id > $2 order by id limit $3";
const LIST_BY_NUMBER: &str = "select id, contract_id, seller_id, run_id, status, number, sequence_key, sequence_value,
        issued_on, currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at
    from invoices where tenant_id = $1 and seller_id = $4 and number = $5 and id > $2 order by id limit $3";
/// A page of invoices, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, filter: &Filter, after: Uuid, limit: i64) -> Result<Vec<InvoiceRow>> {
    match filter {
        Filter::All => tx.fetch_all(LIST, (tenant, after, limit)).await,
        Filter::Contract(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, *contract)).await,
        Filter::Number(seller, number) => {
            tx.fetch_all(LIST_BY_NUMBER, (tenant, after, limit, *seller, number.clone())).await
        }
    }
}
