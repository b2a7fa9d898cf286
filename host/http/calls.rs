//! `/v1/plugin-calls`: what plugins were asked and what they answered, kept as evidence.

use altyn_domain::id::CallId;
use altyn_service::{
    explain::{CallEvidence, CallFilter, CallView},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get)).routes(routes!(evidence))
}

/// Lists the recorded plugin calls.
///
/// Without their evidence, oldest first; of one run, or only those that failed, when asked so.
#[utoipa::path(get, path = "/v1/plugin-calls", operation_id = "plugin_call_list", tag = "plugin calls",
    params(Page, CallFilter), responses((status = 200, description = "A page of calls", body = Listed<CallView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<CallFilter>,
) -> Result<Json<Listed<CallView>>, Problem> {
    Ok(Json(altyn.call_list(&request, filter, &page).await?))
}

/// Reads a recorded plugin call.
///
/// What it used, and how it failed if it did.
#[utoipa::path(get, path = "/v1/plugin-calls/{id}", operation_id = "plugin_call_get", tag = "plugin calls",
    params(("id" = CallId, Path, description = "The call")),
    responses((status = 200, description = "The call", body = CallView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<CallId>) -> Result<Json<CallView>, Problem> {
    Ok(Json(altyn.call_get(&request, id).await?))
}

/// Reads the evidence of a plugin call.
///
/// The whole batch that the plugin was asked and its answer, in the terms of the plugin contract.
#[utoipa::path(get, path = "/v1/plugin-calls/{id}/evidence", operation_id = "plugin_call_evidence", tag = "plugin calls",
    params(("id" = CallId, Path, description = "The call")),
    responses((status = 200, description = "The question and the answer", body = CallEvidence)))]
async fn evidence(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<CallId>,
) -> Result<Json<CallEvidence>, Problem> {
    Ok(Json(altyn.call_evidence(&request, id).await?))
}
