//! `/v1/invoices`: what was asked for, line by line, and who decided each of them; billing runs issue them.

use altyn_domain::id::InvoiceId;
use altyn_service::{
    explain::LineExplanation,
    invoices::{InvoiceFilter, InvoiceLineView, InvoiceView},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(lines))
        .routes(routes!(explanation))
}

/// Lists the invoices.
///
/// Oldest first, without their lines; of a contract, or the one with a seller's number.
#[utoipa::path(get, path = "/v1/invoices", operation_id = "invoice_list", tag = "invoices",
    params(Page, InvoiceFilter),
    responses((status = 200, description = "A page of invoices", body = Listed<InvoiceView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<InvoiceFilter>,
) -> Result<Json<Listed<InvoiceView>>, Problem> {
    Ok(Json(altyn.invoice_list(&request, filter, &page).await?))
}

/// Reads an invoice.
///
/// With its first 1,000 lines.
#[utoipa::path(get, path = "/v1/invoices/{id}", operation_id = "invoice_get", tag = "invoices",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<InvoiceId>) -> Result<Json<InvoiceView>, Problem> {
    Ok(Json(altyn.invoice_get(&request, id).await?))
}

/// Lists the lines of an invoice.
///
/// In the order of the document.
#[utoipa::path(get, path = "/v1/invoices/{id}/lines", operation_id = "invoice_lines", tag = "invoices",
    params(("id" = InvoiceId, Path, description = "The invoice"), Page),
    responses((status = 200, description = "A page of lines", body = Listed<InvoiceLineView>)))]
async fn lines(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<InvoiceId>,
    Paged(page): Paged,
) -> Result<Json<Listed<InvoiceLineView>>, Problem> {
    Ok(Json(altyn.invoice_lines(&request, id, &page).await?))
}

/// Explains a line of an invoice.
///
/// Who decided the share of the price, the tax and the number: each plugin's question, its answer, and whether the same
/// plugin, asked again just now, answers the same.
#[utoipa::path(get, path = "/v1/invoices/{id}/lines/{position}/explanation", operation_id = "invoice_line_explanation",
    tag = "invoices", params(("id" = InvoiceId, Path, description = "The invoice"),
        ("position" = i32, Path, description = "The line's place, from 0")),
    responses((status = 200, description = "The explanation", body = LineExplanation)))]
async fn explanation(
    App(altyn): App,
    Caller { request }: Caller,
    At((id, position)): At<(InvoiceId, i32)>,
) -> Result<Json<LineExplanation>, Problem> {
    Ok(Json(altyn.explain_line(&request, id, position).await?))
}
