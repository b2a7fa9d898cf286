//! `/v1/bindings/{id}/canary`: a component on trial in a binding.

use altyn_domain::id::BindingId;
use altyn_service::{
    canary::{CanaryView, ChangeCanary, StartCanary},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(get, start, change, end)).routes(routes!(promote)).routes(routes!(list))
}

impl Resource for CanaryView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/bindings/{}/canary", self.binding_id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Puts a component on trial.
///
/// It decides for a share of the contracts that use the binding, always the same ones, or for some tenants, from the next
/// billing run on. When more than `most_fault_bp` basis points of its decisions have no answer that counts, it is rolled back
/// and the present component decides again, for what it parked, too. In the binding of a gateway it begins a share of the new
/// payments, from now on, and keeps those that it began to their end; one that failed is not begun anew.
#[utoipa::path(post, path = "/v1/bindings/{id}/canary", operation_id = "canary_start", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    request_body(content = StartCanary, example = json!({
        "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "share_bp": 500, "most_fault_bp": 100, "least_decisions": 200,
    })),
    responses((status = 201, description = "The canary", body = CanaryView)))]
async fn start(
    App(altyn): App,
    At(id): At<BindingId>,
    Command { request, command }: Command<StartCanary>,
) -> Result<Answer<CanaryView>, Problem> {
    Ok(Answer(altyn.canary_start(&request, id, command).await?))
}

/// Reads the canary of a binding.
///
/// The one that runs, or the last one with what became of it. Its `ETag` is its version; counting does not change it.
#[utoipa::path(get, path = "/v1/bindings/{id}/canary", operation_id = "canary_get", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The canary", body = CanaryView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<BindingId>) -> Result<Found<CanaryView>, Problem> {
    Ok(Found(altyn.canary_get(&request, id).await?))
}

/// Changes the share or the bound of a canary.
///
/// What is absent stays. Runs that are under way take it up with their next chunk; what was counted stays counted.
#[utoipa::path(patch, path = "/v1/bindings/{id}/canary", operation_id = "canary_change", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    request_body(content = ChangeCanary, example = json!({ "share_bp": 2_500 })),
    responses((status = 200, description = "The canary", body = CanaryView)))]
async fn change(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<ChangeCanary>,
) -> Result<Answer<CanaryView>, Problem> {
    Ok(Answer(altyn.canary_change(&request, id, version, command).await?))
}

/// Ends a canary.
///
/// The present component decides for everybody again; a run that is under way computes again what the other one parked.
#[utoipa::path(delete, path = "/v1/bindings/{id}/canary", operation_id = "canary_end", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The ended canary", body = CanaryView)))]
async fn end(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<CanaryView>, Problem> {
    Ok(Answer(altyn.canary_end(&request, id, version).await?))
}

/// Promotes a canary.
///
/// Its component becomes that of the binding, as by an upgrade: it stands in the history, and a rollback takes it back.
#[utoipa::path(post, path = "/v1/bindings/{id}/canary/promote", operation_id = "canary_promote", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The promoted canary", body = CanaryView)))]
async fn promote(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<CanaryView>, Problem> {
    Ok(Answer(altyn.canary_promote(&request, id, version).await?))
}

/// Lists the canaries of a binding.
///
/// Oldest first, with what became of them.
#[utoipa::path(get, path = "/v1/bindings/{id}/canaries", operation_id = "canary_list", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding"), Page),
    responses((status = 200, description = "A page of canaries", body = Listed<CanaryView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<BindingId>,
    Paged(page): Paged,
) -> Result<Json<Listed<CanaryView>>, Problem> {
    Ok(Json(altyn.canary_list(&request, id, &page).await?))
}
