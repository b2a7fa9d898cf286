//! `/v1/charges`: what contracts owe for, and what is given back of it; billing runs make charges.

use altyn_domain::id::ChargeId;
use altyn_service::{
    charges::{ChargeFilter, ChargeView},
    credits::{CreditCharge, CreditPreview, CreditView},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Resource},
    page::{At, Filter, Paged},
};

impl Resource for CreditView {}

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(credits, credit))
        .routes(routes!(preview))
}

/// Lists the charges.
///
/// Oldest first; filtered by at most one of contract, subscription and invoice.
#[utoipa::path(get, path = "/v1/charges", operation_id = "charge_list", tag = "charges",
    params(Page, ChargeFilter),
    responses((status = 200, description = "A page of charges", body = Listed<ChargeView>)))]
async fn list(
    App(altyn): App,
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
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<ChargeId>) -> Result<Json<ChargeView>, Problem> {
    Ok(Json(altyn.charge_get(&request, id).await?))
}

/// Lists a charge's credits.
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/charges/{id}/credits", operation_id = "charge_credit_list", tag = "charges",
    params(("id" = ChargeId, Path, description = "The charge"), Page),
    responses((status = 200, description = "A page of credits", body = Listed<CreditView>)))]
async fn credits(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ChargeId>,
    Paged(page): Paged,
) -> Result<Json<Listed<CreditView>>, Problem> {
    Ok(Json(altyn.charge_credits(&request, id, &page).await?))
}

/// Gives a part of a charge back.
///
/// To the contract's balance, up to what is left of the charge: out of deferred revenue, or out of revenue and tax when
/// the charge is realised.
#[utoipa::path(post, path = "/v1/charges/{id}/credits", operation_id = "charge_credit", tag = "charges",
    params(("id" = ChargeId, Path, description = "The charge")),
    request_body(content = CreditCharge, example = json!({ "amount_minor": 10_000, "reason": "two days without service" })),
    responses((status = 201, description = "The credit", body = CreditView)))]
async fn credit(
    App(altyn): App,
    At(id): At<ChargeId>,
    Command { request, command }: Command<CreditCharge>,
) -> Result<Answer<CreditView>, Problem> {
    Ok(Answer(altyn.charge_credit(&request, id, command).await?))
}

/// Shows what a credit would be.
///
/// With the entries it would post; nothing is written.
#[utoipa::path(post, path = "/v1/charges/{id}/credits/preview", operation_id = "charge_credit_preview", tag = "charges",
    params(("id" = ChargeId, Path, description = "The charge")),
    request_body(content = CreditCharge, example = json!({ "amount_minor": 10_000, "reason": "two days without service" })),
    responses((status = 200, description = "What it would be", body = CreditPreview)))]
async fn preview(
    App(altyn): App,
    At(id): At<ChargeId>,
    Command { request, command }: Command<CreditCharge>,
) -> Result<Json<CreditPreview>, Problem> {
    Ok(Json(altyn.charge_credit_preview(&request, id, command).await?))
}
