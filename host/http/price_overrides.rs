//! `/v1/price-overrides`: what single contracts pay for a component instead of the plan's price.

use altyn_domain::id::PriceOverrideId;
use altyn_service::{
    page::{Listed, Page},
    price_overrides::{PriceOverrideFilter, PriceOverrideView, RemovePriceOverride, SetPriceOverride},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, set)).routes(routes!(get)).routes(routes!(remove))
}

impl Resource for PriceOverrideView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/price-overrides/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Gives a contract a price of its own.
///
/// For a component of a plan in all its versions, for one subscription or all of the contract; it holds for periods that begin
/// within its days, in runs, renewals and changes alike. What was billed stays as it is.
#[utoipa::path(post, path = "/v1/price-overrides", operation_id = "price_override_set", tag = "plans",
    request_body(content = SetPriceOverride, example = json!({
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "plan_code": "home-100", "component": "access",
        "unit_price_minor": 45_000, "from": "2027-01-01", "until": "2028-01-01", "comment": "по доп. соглашению № 3" })),
    responses((status = 201, description = "The price", body = PriceOverrideView)))]
async fn set(
    App(altyn): App,
    Command { request, command }: Command<SetPriceOverride>,
) -> Result<Answer<PriceOverrideView>, Problem> {
    Ok(Answer(altyn.price_override_set(&request, command).await?))
}

/// Lists prices of contracts.
///
/// With those that were removed, oldest first; `standing=true` leaves them out.
#[utoipa::path(get, path = "/v1/price-overrides", operation_id = "price_override_list", tag = "plans",
    params(Page, PriceOverrideFilter),
    responses((status = 200, description = "A page of prices", body = Listed<PriceOverrideView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<PriceOverrideFilter>,
) -> Result<Json<Listed<PriceOverrideView>>, Problem> {
    Ok(Json(altyn.price_override_list(&request, filter, &page).await?))
}

/// Reads a price of a contract.
///
/// With who set it and who removed it.
#[utoipa::path(get, path = "/v1/price-overrides/{id}", operation_id = "price_override_get", tag = "plans",
    params(("id" = PriceOverrideId, Path, description = "The price")),
    responses((status = 200, description = "The price", body = PriceOverrideView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<PriceOverrideId>,
) -> Result<Found<PriceOverrideView>, Problem> {
    Ok(Found(altyn.price_override_get(&request, id).await?))
}

/// Removes a price of a contract.
///
/// Periods that are not charged yet cost what the plan says. What was billed stays as it is, and so does the row.
#[utoipa::path(post, path = "/v1/price-overrides/{id}/remove", operation_id = "price_override_remove", tag = "plans",
    params(("id" = PriceOverrideId, Path, description = "The price")),
    request_body(content = RemovePriceOverride, example = json!({ "comment": "соглашение расторгнуто" })),
    responses((status = 200, description = "The price that was removed", body = PriceOverrideView)))]
async fn remove(
    App(altyn): App,
    At(id): At<PriceOverrideId>,
    Command { request, command }: Command<RemovePriceOverride>,
) -> Result<Answer<PriceOverrideView>, Problem> {
    Ok(Answer(altyn.price_override_remove(&request, id, command).await?))
}
