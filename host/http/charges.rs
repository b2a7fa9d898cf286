//! `/v1/charges`: what contracts owe for; billing runs make them.

use altyn_domain::id::ChargeId;
use altyn_service::{
    charges::{ChargeFilter, ChargeView},
    context::Altyn,
    page::{Listed, Page},
};
use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::Caller,
    error::Problem,
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get))
}

/// Lists the charges.
///
/// Oldest first; filtered by at most one of contract, subscription and invoice.
#[utoipa::path(get, path = "/v1/charges", operation_id = "charge_list", tag = "charges",
    params(Page, ChargeFilter),
    responses((status = 200, description = "A page of charges", body = Listed<ChargeView>)))]
async fn list(
    State(altyn): State<Altyn>,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<ChargeFilter>,
) -> Result<Json<Listed<ChargeView>>, Problem> {
    Ok(Json(altyn.charge_list(&request, filter, &page).await?))
}

/// Reads a charge.
///
/// With the plugin call that decided its amount.
#[utoipa::path(get, path = "/v1/charges/{id}", operation_id = "charge_get", tag = "charges",
    params(("id" = ChargeId, Path, description = "The charge")),
    responses((status = 200, description = "The charge", body = ChargeView)))]
async fn get(
    State(altyn): State<Altyn>,
    Caller { request }: Caller,
    At(id): At<ChargeId>,
) -> Result<Json<ChargeView>, Problem> {
    Ok(Json(altyn.charge_get(&request, id).await?))
}
