//! `/v1/products`: what is sold and whose revenue it is.

use altyn_domain::id::ProductId;
use altyn_service::{
    page::{Listed, Page},
    products::{CreateProduct, ProductView, UpdateProduct},
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
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, update))
}

impl Resource for ProductView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/products/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a product.
///
/// Its code names the revenue account of its sales.
#[utoipa::path(post, path = "/v1/products", operation_id = "product_create", tag = "products",
    request_body(content = CreateProduct, example = json!({
        "code": "internet", "title": "Доступ в Интернет", "tax_category": "standard",
    })),
    responses((status = 201, description = "The product", body = ProductView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateProduct>,
) -> Result<Answer<ProductView>, Problem> {
    Ok(Answer(altyn.product_create(&request, command).await?))
}

/// Lists the products.
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/products", operation_id = "product_list", tag = "products",
    params(Page), responses((status = 200, description = "A page of products", body = Listed<ProductView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<ProductView>>, Problem> {
    Ok(Json(altyn.product_list(&request, &page).await?))
}

/// Reads a product.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/products/{id}", operation_id = "product_get", tag = "products",
    params(("id" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "The product", body = ProductView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ProductId>,
) -> Result<Found<ProductView>, Problem> {
    Ok(Found(altyn.product_get(&request, id).await?))
}

/// Changes a product.
///
/// What is absent stays. Plan versions keep the tax category that they were made with.
#[utoipa::path(patch, path = "/v1/products/{id}", operation_id = "product_update", tag = "products",
    params(("id" = ProductId, Path, description = "The product")),
    request_body(content = UpdateProduct, example = json!({ "title": "Интернет" })),
    responses((status = 200, description = "The changed product", body = ProductView)))]
async fn update(
    App(altyn): App,
    At(id): At<ProductId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdateProduct>,
) -> Result<Answer<ProductView>, Problem> {
    Ok(Answer(altyn.product_update(&request, id, version, command).await?))
}
