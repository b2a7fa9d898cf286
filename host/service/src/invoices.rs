//! Invoices, read side: what was asked for, line by line, and which plugin calls decided it. Billing runs issue them.

use altyn_domain::{
    id::{CallId, ChargeId, ContractId, Id as _, InvoiceId, RunId, SellerId},
    invoice::InvoiceStatus,
    tax::PriceMode,
};
use altyn_store::{
    invoices,
    invoices::{Filter, InvoiceLineRow, InvoiceRow},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
};

/// How many lines an invoice shows by itself; the rest is paged.
const LINES_SHOWN: i64 = 1_000;

/// A line of an invoice.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InvoiceLineView {
    /// Its place, from 0.
    pub position: i32,
    /// The charge that it shows.
    pub charge_id: ChargeId,
    /// What was sold.
    pub title: String,
    /// How many units, decimal.
    pub quantity: String,
    /// First day of service.
    pub used_start: Option<NaiveDate>,
    /// The day after the last day of service.
    pub used_end: Option<NaiveDate>,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax, minor units.
    pub tax_minor: i64,
    /// With tax, minor units.
    pub gross_minor: i64,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Tax rate, per cent, decimal; none outside the tax.
    pub tax_rate: Option<String>,
    /// The recorded plugin call that shared the price.
    pub proration_call_id: Option<CallId>,
    /// The recorded plugin call that decided the tax.
    pub tax_call_id: Option<CallId>,
}

/// An invoice.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InvoiceView {
    /// Its id.
    pub id: InvoiceId,
    /// The contract that pays.
    pub contract_id: ContractId,
    /// Who issued it.
    pub seller_id: SellerId,
    /// The billing run that made it.
    pub run_id: Option<RunId>,
    /// How far it has come.
    pub status: InvoiceStatus,
    /// Its number.
    pub number: String,
    /// The date on it.
    pub issued_on: NaiveDate,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether prices include tax.
    pub price_mode: PriceMode,
    /// Sum of its lines without tax, minor units.
    pub net_minor: i64,
    /// Sum of their taxes, minor units.
    pub tax_minor: i64,
    /// Sum of its lines with tax, minor units.
    pub gross_minor: i64,
    /// The recorded plugin call that formed the number.
    pub numbering_call_id: Option<CallId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its first 1,000 lines; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<InvoiceLineView>>,
}

/// Which invoices a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvoiceFilter {
    /// Only those of this contract.
    pub contract_id: Option<ContractId>,
    /// Only the one with this number; given together with `seller_id`.
    pub number: Option<String>,
    /// The seller whose number it is.
    pub seller_id: Option<SellerId>,
}

fn line_view(row: InvoiceLineRow) -> InvoiceLineView {
    InvoiceLineView {
        position: row.position,
        charge_id: ChargeId(row.charge_id),
        title: row.title,
        quantity: row.quantity,
        used_start: row.used_start,
        used_end: row.used_end,
        net_minor: row.net_minor,
        tax_minor: row.tax_minor,
        gross_minor: row.gross_minor,
        tax_code: row.tax_code,
        tax_rate: row.tax_rate,
        proration_call_id: row.proration_call_id.map(CallId),
        tax_call_id: row.tax_call_id.map(CallId),
    }
}

fn view(row: InvoiceRow) -> Result<InvoiceView> {
    Ok(InvoiceView {
        id: InvoiceId(row.id),
        contract_id: ContractId(row.contract_id),
        seller_id: SellerId(row.seller_id),
        run_id: row.run_id.map(RunId),
        status: stored("invoices.status", &row.status)?,
        price_mode: stored("invoices.price_mode", &row.price_mode)?,
        number: row.number,
        issued_on: row.issued_on,
        currency: row.currency,
        net_minor: row.net_minor,
        tax_minor: row.tax_minor,
        gross_minor: row.gross_minor,
        numbering_call_id: row.numbering_call_id.map(CallId),
        created_at: row.created_at,
        lines: None,
    })
}

impl Altyn {
    /// One invoice with its lines.
    pub async fn invoice_get(&self, request: &Request, id: InvoiceId) -> Result<InvoiceView> {
        let mut tx = self.read(request).await?;
        let row = invoices::find(&mut tx, request.tenant.0, id.uuid()).await?;
        let mut found = view(row.ok_or(ServiceError::NotFound("invoice"))?)?;
        let lines = invoices::lines(&mut tx, request.tenant.0, id.uuid(), -1, LINES_SHOWN).await?;
        found.lines = Some(lines.into_iter().map(line_view).collect());
        Ok(found)
    }

    /// A page of an invoice's lines, in the order of the document; the cursor is a position.
    pub async fn invoice_lines(
        &self,
        request: &Request,
        id: InvoiceId,
        page: &Page,
    ) -> Result<Listed<InvoiceLineView>> {
        let (limit, after) = page.positions()?;
        let mut tx = self.read(request).await?;
        if invoices::find(&mut tx, request.tenant.0, id.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("invoice"));
        }
        let rows = invoices::lines(&mut tx, request.tenant.0, id.uuid(), after, limit).await?;
        Ok(page.listed(rows, |row| row.position.to_string(), line_view))
    }

    /// A page of invoices without their lines, oldest first.
    pub async fn invoice_list(
        &self,
        request: &Request,
        filter: InvoiceFilter,
        page: &Page,
    ) -> Result<Listed<InvoiceView>> {
        let (limit, after) = page.bounds::<InvoiceId>()?;
        let filter = match (filter.contract_id, filter.seller_id, filter.number) {
            (None, None, None) => Filter::All,
            (Some(contract), None, None) => Filter::Contract(contract.uuid()),
            (None, Some(seller), Some(number)) => Filter::Number(seller.uuid(), number),
            _ => {
                return Err(ServiceError::invalid(
                    "/contract_id",
                    "filter by contract_id, or by seller_id and number together",
                ));
            }
        };
        let mut tx = self.read(request).await?;
        let rows = invoices::list(&mut tx, request.tenant.0, &filter, after, limit).await?;
        page.listed(rows, |row| InvoiceId(row.id).to_string(), view).try_data()
    }
}
