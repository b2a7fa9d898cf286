//! `/v1/manual-operations`: what terms in manual mode wait for a person to decide.

use altyn_domain::id::ManualOperationId;
use altyn_service::{
    manual_operations::{ManualOperationView, OperationFilter, RejectOperation},
    page::{Listed, Page},
    rehearsal::ActionPreview,
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(approve_preview))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

impl Resource for ManualOperationView {}

/// Lists the manual operations.
///
/// Decided ones included unless a state is named, oldest first.
#[utoipa::path(get, path = "/v1/manual-operations", operation_id = "manual_operation_list", tag = "manual operations",
    params(OperationFilter, Page),
    responses((status = 200, description = "A page of operations", body = Listed<ManualOperationView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Filter(filter): Filter<OperationFilter>,
    Paged(page): Paged,
) -> Result<Json<Listed<ManualOperationView>>, Problem> {
    Ok(Json(altyn.manual_operation_list(&request, filter, &page).await?))
}

/// Reads a manual operation.
///
/// What is asked, for which subscription, and who decided.
#[utoipa::path(get, path = "/v1/manual-operations/{id}", operation_id = "manual_operation_get",
    tag = "manual operations", params(("id" = ManualOperationId, Path, description = "The operation")),
    responses((status = 200, description = "The operation", body = ManualOperationView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ManualOperationId>,
) -> Result<Found<ManualOperationView>, Problem> {
    Ok(Found(altyn.manual_operation_get(&request, id).await?))
}

/// Approves a manual operation.
///
/// It is done at once, if it is still due. Approving an approved one again changes nothing.
#[utoipa::path(post, path = "/v1/manual-operations/{id}/approve", operation_id = "manual_operation_approve",
    tag = "manual operations", params(("id" = ManualOperationId, Path, description = "The operation")),
    responses((status = 200, description = "The approved operation", body = ManualOperationView)))]
async fn approve(
    App(altyn): App,
    At(id): At<ManualOperationId>,
    Order(request): Order,
) -> Result<Answer<ManualOperationView>, Problem> {
    Ok(Answer(altyn.manual_operation_approve(&request, id).await?))
}

/// Rejects a manual operation.
///
/// It is not asked for again for the same debt or stop.
#[utoipa::path(post, path = "/v1/manual-operations/{id}/reject", operation_id = "manual_operation_reject",
    tag = "manual operations", params(("id" = ManualOperationId, Path, description = "The operation")),
    request_body(content = RejectOperation, example = json!({ "reason": "обещали заплатить в пятницу" })),
    responses((status = 200, description = "The rejected operation", body = ManualOperationView)))]
async fn reject(
    App(altyn): App,
    At(id): At<ManualOperationId>,
    Command { request, command }: Command<RejectOperation>,
) -> Result<Answer<ManualOperationView>, Problem> {
    Ok(Answer(altyn.manual_operation_reject(&request, id, command).await?))
}

/// Shows what approving a manual operation would do.
///
/// The very answer, and every posting with what follows from it, as they would be now; nothing is written.
#[utoipa::path(post, path = "/v1/manual-operations/{id}/approve/preview", operation_id = "manual_operation_approve_preview",
    tag = "manual operations",
    params(("id" = ManualOperationId, Path, description = "The operation")),
    responses((status = 200, description = "What it would do", body = ActionPreview<ManualOperationView>)))]
async fn approve_preview(
    App(altyn): App,
    At(id): At<ManualOperationId>,
    Order(request): Order,
) -> Result<Json<ActionPreview<ManualOperationView>>, Problem> {
    Ok(Json(altyn.manual_operation_approve_preview(&request, id).await?))
}
