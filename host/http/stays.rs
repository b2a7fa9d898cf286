//! `/v1/bindings/{id}/stays`: subscriptions that go on with a former component of a binding, and letting them go over.

use altyn_domain::id::BindingId;
use altyn_service::{
    page::Listed,
    stays::{MigrateBinding, MigratedView, StayView},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Resource},
    page::At,
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(stays)).routes(routes!(migrate))
}

impl Resource for MigratedView {}

/// Lists what subscriptions stay on.
///
/// The former components of a binding that decide for subscriptions which were started before an upgrade, at most eight, oldest
/// first, with how many of the acting tenant's subscriptions they are. The binding may be one from above.
#[utoipa::path(get, path = "/v1/bindings/{id}/stays", operation_id = "binding_stays", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "What subscriptions stay on", body = Listed<StayView>)))]
async fn stays(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<BindingId>,
) -> Result<Json<Listed<StayView>>, Problem> {
    Ok(Json(altyn.binding_stays(&request, id).await?))
}

/// Migrates subscriptions.
///
/// All that stay on a former component of the binding, or up to 1000 of them by name, go over to the one that it has now: from
/// their next line on that one decides for them. All are migrated by the owner of the binding, those of tenants below, too; a
/// tenant below names its own. Doing it again changes nothing, so that it needs no version of the binding.
#[utoipa::path(post, path = "/v1/bindings/{id}/migrate", operation_id = "binding_migrate", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    request_body(content = MigrateBinding, example = json!({ "all": true })),
    responses((status = 200, description = "How many went over, and what the others stay on", body = MigratedView)))]
async fn migrate(
    App(altyn): App,
    At(id): At<BindingId>,
    Command { request, command }: Command<MigrateBinding>,
) -> Result<Answer<MigratedView>, Problem> {
    Ok(Answer(altyn.binding_migrate(&request, id, command).await?))
}
