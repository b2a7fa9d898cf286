//! `/v1/tenants`: the acting tenant and everyone below it.

use altyn_domain::id::TenantId;
use altyn_service::{
    page::{Listed, Page},
    tenants::{CreateTenant, TenantView, UpdateTenant},
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

impl Resource for TenantView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/tenants/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a tenant.
///
/// Below the acting tenant; what is absent is taken from it.
#[utoipa::path(post, path = "/v1/tenants", operation_id = "tenant_create", tag = "tenants",
    request_body(content = CreateTenant, example = json!({ "name": "Северный филиал", "zone": "Asia/Yekaterinburg" })),
    responses((status = 201, description = "The tenant", body = TenantView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateTenant>,
) -> Result<Answer<TenantView>, Problem> {
    Ok(Answer(altyn.tenant_create(&request, command).await?))
}

/// Lists the tenants.
///
/// The acting tenant and everyone below it, oldest first.
#[utoipa::path(get, path = "/v1/tenants", operation_id = "tenant_list", tag = "tenants",
    params(Page), responses((status = 200, description = "A page of tenants", body = Listed<TenantView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<TenantView>>, Problem> {
    Ok(Json(altyn.tenant_list(&request, &page).await?))
}

/// Reads a tenant.
///
/// The acting one or one below it.
#[utoipa::path(get, path = "/v1/tenants/{id}", operation_id = "tenant_get", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant")),
    responses((status = 200, description = "The tenant", body = TenantView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<TenantId>) -> Result<Found<TenantView>, Problem> {
    Ok(Found(altyn.tenant_get(&request, id).await?))
}

/// Changes a tenant.
///
/// What is absent stays; the currency never changes, because money stands in it.
#[utoipa::path(patch, path = "/v1/tenants/{id}", operation_id = "tenant_update", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant")),
    request_body(content = UpdateTenant, example = json!({ "run_mode": "automatic" })),
    responses((status = 200, description = "The changed tenant", body = TenantView)))]
async fn update(
    App(altyn): App,
    At(id): At<TenantId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdateTenant>,
) -> Result<Answer<TenantView>, Problem> {
    Ok(Answer(altyn.tenant_update(&request, id, version, command).await?))
}
