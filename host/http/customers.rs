//! `/v1/customers`: the buyers.

use altyn_domain::id::CustomerId;
use altyn_service::{
    customers::{CreateCustomer, CustomerFilter, CustomerView},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, replace))
}

impl Resource for CustomerView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/customers/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a customer.
///
/// Its requisites are checked; `(external_system, external_id)` names at most one customer.
#[utoipa::path(post, path = "/v1/customers", operation_id = "customer_create", tag = "customers",
    request_body(content = CreateCustomer, example = json!({ "kind": "legal-entity", "name": "ООО «Ромашка»", "inn": "7736050003",
        "email": "office@example.com", "external_system": "crm", "external_id": "1001" })),
    responses((status = 201, description = "The customer", body = CustomerView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateCustomer>,
) -> Result<Answer<CustomerView>, Problem> {
    Ok(Answer(altyn.customer_create(&request, command).await?))
}

/// Lists the customers.
///
/// Oldest first; find one by its ИНН or by its id in another system.
#[utoipa::path(get, path = "/v1/customers", operation_id = "customer_list", tag = "customers",
    params(Page, CustomerFilter), responses((status = 200, description = "A page of customers", body = Listed<CustomerView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<CustomerFilter>,
) -> Result<Json<Listed<CustomerView>>, Problem> {
    Ok(Json(altyn.customer_list(&request, filter, &page).await?))
}

/// Reads a customer.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/customers/{id}", operation_id = "customer_get", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer")),
    responses((status = 200, description = "The customer", body = CustomerView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<CustomerId>,
) -> Result<Found<CustomerView>, Problem> {
    Ok(Found(altyn.customer_get(&request, id).await?))
}

/// Replaces a customer.
///
/// What is absent is cleared; money and contracts are not touched.
#[utoipa::path(put, path = "/v1/customers/{id}", operation_id = "customer_replace", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer")),
    request_body(content = CreateCustomer, example = json!({ "kind": "legal-entity", "name": "ООО «Ромашка»", "inn": "7736050003",
        "email": "office@example.com", "external_system": "crm", "external_id": "1001" })),
    responses((status = 200, description = "The changed customer", body = CustomerView)))]
async fn replace(
    App(altyn): App,
    At(id): At<CustomerId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<CreateCustomer>,
) -> Result<Answer<CustomerView>, Problem> {
    Ok(Answer(altyn.customer_update(&request, id, version, command).await?))
}
