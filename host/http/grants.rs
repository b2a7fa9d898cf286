//! `/v1/grants`: what operators let plugins reach, tenant by tenant.

use altyn_service::{
    grants::{GrantView, SetGrant},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, set)).routes(routes!(get))
}

impl Resource for GrantView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/grants/{}", self.plugin_id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Grants a plugin some of what it asks for.
///
/// In place of what was granted before, for the acting tenant and those below it; at most what the tenant above has.
#[utoipa::path(post, path = "/v1/grants", operation_id = "grant_set", tag = "grants",
    request_body(content = SetGrant, example = json!({
        "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "hosts": ["auth.robokassa.ru"], "secrets": ["password1"],
    })),
    responses((status = 201, description = "The grant", body = GrantView),
        (status = 200, description = "The grant that was replaced", body = GrantView)))]
async fn set(App(altyn): App, Command { request, command }: Command<SetGrant>) -> Result<Answer<GrantView>, Problem> {
    Ok(Answer(altyn.grant_set(&request, command).await?))
}

/// Lists the grants.
///
/// Of the acting tenant, by plugin.
#[utoipa::path(get, path = "/v1/grants", operation_id = "grant_list", tag = "grants",
    params(Page), responses((status = 200, description = "A page of grants", body = Listed<GrantView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<GrantView>>, Problem> {
    Ok(Json(altyn.grant_list(&request, &page).await?))
}

/// Reads the grant to a plugin.
///
/// What the tenant itself granted; what follows is at `/v1/plugins/{digest}/capabilities`.
#[utoipa::path(get, path = "/v1/grants/{plugin}", operation_id = "grant_get", tag = "grants",
    params(("plugin" = String, Path, description = "Id of the plugin")),
    responses((status = 200, description = "The grant", body = GrantView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(plugin): At<String>) -> Result<Found<GrantView>, Problem> {
    Ok(Found(altyn.grant_get(&request, &plugin).await?))
}
