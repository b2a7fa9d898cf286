//! `/v1/plugin-limits`: what a plugin call of the tenant may use, and lowering it.

use altyn_runtime::World;
use altyn_service::{
    page::Listed,
    usage::{LimitsView, LoweredLimits},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::At,
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get, set))
}

impl Resource for LimitsView {
    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Lists the limits of plugin calls.
///
/// One entry a world; all of them are always there.
#[utoipa::path(get, path = "/v1/plugin-limits", operation_id = "plugin_limits_list", tag = "plugins",
    responses((status = 200, description = "The limits of all worlds", body = Listed<LimitsView>)))]
async fn list(App(altyn): App, Caller { request }: Caller) -> Result<Json<Listed<LimitsView>>, Problem> {
    Ok(Json(altyn.plugin_limits_list(&request).await?))
}

/// Reads the limits of one world.
///
/// What is in force is the lowest of the platform's settings and what the tenants above and the tenant itself lowered.
#[utoipa::path(get, path = "/v1/plugin-limits/{world}", operation_id = "plugin_limits_get", tag = "plugins",
    params(("world" = String, Path, description = "A world, such as tax-rule")),
    responses((status = 200, description = "The limits", body = LimitsView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(world): At<World>) -> Result<Found<LimitsView>, Problem> {
    Ok(Found(altyn.plugin_limits_get(&request, world).await?))
}

/// Lowers limits of one world.
///
/// For the tenant and the tenants below it, instead of what it lowered before. A value above the limit in force above the
/// tenant is refused. The version is 0 while nothing was lowered.
#[utoipa::path(put, path = "/v1/plugin-limits/{world}", operation_id = "plugin_limits_set", tag = "plugins",
    params(("world" = String, Path, description = "A world, such as tax-rule")),
    request_body(content = LoweredLimits, example = json!({ "memory_bytes": 8_388_608, "wall_ms": 1_000 })),
    responses((status = 200, description = "The limits", body = LimitsView)))]
async fn set(
    App(altyn): App,
    At(world): At<World>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<LoweredLimits>,
) -> Result<Answer<LimitsView>, Problem> {
    Ok(Answer(altyn.plugin_limits_set(&request, world, version, command).await?))
}
