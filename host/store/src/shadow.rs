//! What shadow runs read: the calls of a binding, and which contracts their lines were posted to.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::{Result, Tx, plugins::CallRow};

const CALLS: &str = "select c.id, c.run_id, c.binding_id, c.component_digest, c.world, c.export, c.input_digest,
    c.output_digest, c.fault_code, c.fault, c.fuel, c.peak_memory_bytes, c.duration_us, c.called_at
    from plugin_calls c join runs r on r.tenant_id = c.tenant_id and r.id = c.run_id
    where c.tenant_id = $1 and c.binding_id = $2 and c.id > $3 and r.business_on >= $4 and r.business_on < $5
    order by c.id limit $6";
/// A page of the calls of a binding that runs made for business days from one until before another, by id.
pub async fn calls(
    tx: &mut Tx,
    tenant: Uuid,
    binding: Uuid,
    after: Uuid,
    (from, until): (NaiveDate, NaiveDate),
    limit: i64,
) -> Result<Vec<CallRow>> {
    tx.fetch_all(CALLS, (tenant, binding, after, from, until, limit)).await
}

/// A line of a call that stands in the books.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PostedRow {
    /// The charge or the invoice.
    pub id: Uuid,
    /// The line's place in it.
    pub position: i32,
    /// The call that decided it.
    pub call_id: Option<Uuid>,
    /// The line's id inside that call.
    pub call_line: Option<i32>,
    /// The contract that owes it.
    pub contract_id: Uuid,
}

const PRORATED: &str = "select id, 0 as position, proration_call_id as call_id, call_line, contract_id from charges
    where tenant_id = $1 and id > $2 and $3 = $3 order by id limit $4";
const TAXED: &str = "select l.invoice_id as id, l.position, l.tax_call_id as call_id, l.call_line, i.contract_id
    from invoice_lines l join invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
    where l.tenant_id = $1 and (l.invoice_id > $2 or (l.invoice_id = $2 and l.position > $3))
    order by l.invoice_id, l.position limit $4";
const NUMBERED: &str = "select id, 0 as position, numbering_call_id as call_id, call_line, contract_id from invoices
    where tenant_id = $1 and id > $2 and $3 = $3 order by id limit $4";

/// Where posted lines are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// Charges, by their proration.
    Prorated,
    /// Invoice lines, by their tax.
    Taxed,
    /// Invoices, by their number.
    Numbered,
}

/// A page of posted lines behind one, in the order of ids, which is about that of posting.
pub async fn posted(
    tx: &mut Tx,
    tenant: Uuid,
    posted: Posted,
    after: (Uuid, i32),
    limit: i64,
) -> Result<Vec<PostedRow>> {
    let sql = match posted {
        Posted::Prorated => PRORATED,
        Posted::Taxed => TAXED,
        Posted::Numbered => NUMBERED,
    };
    tx.fetch_all(sql, (tenant, after.0, after.1, limit)).await
}
