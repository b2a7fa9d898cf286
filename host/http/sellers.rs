//! `/v1/sellers`: a tenant's own legal entities.

use altyn_domain::id::SellerId;
use altyn_service::{
    page::{Listed, Page},
    sellers::{CreateSeller, SellerView},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, replace))
}

impl Resource for SellerView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/sellers/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a seller.
///
/// A legal entity of the tenant that sells and issues documents; its requisites are checked.
#[utoipa::path(post, path = "/v1/sellers", operation_id = "seller_create", tag = "sellers",
    request_body(content = CreateSeller, example = json!({ "name": "ООО «Оператор»", "kind": "legal-entity", "inn": "7707083893",
        "kpp": "773601001", "ogrn": "1027700132195", "vat_regime": "general" })),
    responses((status = 201, description = "The seller", body = SellerView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateSeller>,
) -> Result<Answer<SellerView>, Problem> {
    Ok(Answer(altyn.seller_create(&request, command).await?))
}

/// Lists the sellers.
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/sellers", operation_id = "seller_list", tag = "sellers",
    params(Page), responses((status = 200, description = "A page of sellers", body = Listed<SellerView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<SellerView>>, Problem> {
    Ok(Json(altyn.seller_list(&request, &page).await?))
}

/// Reads a seller.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/sellers/{id}", operation_id = "seller_get", tag = "sellers",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The seller", body = SellerView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<SellerId>) -> Result<Found<SellerView>, Problem> {
    Ok(Found(altyn.seller_get(&request, id).await?))
}

/// Replaces a seller.
///
/// What is absent is cleared; issued documents keep what they were issued with.
#[utoipa::path(put, path = "/v1/sellers/{id}", operation_id = "seller_replace", tag = "sellers",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body(content = CreateSeller, example = json!({ "name": "ООО «Оператор»", "kind": "legal-entity", "inn": "7707083893",
        "kpp": "773601001", "ogrn": "1027700132195", "vat_regime": "general" })),
    responses((status = 200, description = "The changed seller", body = SellerView)))]
async fn replace(
    App(altyn): App,
    At(id): At<SellerId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<CreateSeller>,
) -> Result<Answer<SellerView>, Problem> {
    Ok(Answer(altyn.seller_update(&request, id, version, command).await?))
}
