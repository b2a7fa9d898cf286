//! `/v1/promises`: promised payments.

use altyn_domain::id::PromiseId;
use altyn_service::{
    page::{Listed, Page},
    promises::{GivePromise, PromiseFilter, PromiseView},
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
        .routes(routes!(give_preview))
        .routes(routes!(list, give))
        .routes(routes!(get))
        .routes(routes!(revoke_preview))
        .routes(routes!(revoke))
}

impl Resource for PromiseView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/promises/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Gives a promised payment.
///
/// The contract may spend it at once; money that arrives consumes promises, oldest first. A credit policy says how much,
/// how long and how often.
#[utoipa::path(post, path = "/v1/promises", operation_id = "promise_give", tag = "promises",
    request_body(content = GivePromise, example = json!({
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "amount_minor": 50_000, "comment": "заплатит в пятницу" })),
    responses((status = 201, description = "The promise", body = PromiseView)))]
async fn give(
    App(altyn): App,
    Command { request, command }: Command<GivePromise>,
) -> Result<Answer<PromiseView>, Problem> {
    Ok(Answer(altyn.promise_give(&request, command).await?))
}

/// Lists the promised payments.
///
/// With those that have ended, oldest first.
#[utoipa::path(get, path = "/v1/promises", operation_id = "promise_list", tag = "promises",
    params(Page, PromiseFilter),
    responses((status = 200, description = "A page of promises", body = Listed<PromiseView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<PromiseFilter>,
) -> Result<Json<Listed<PromiseView>>, Problem> {
    Ok(Json(altyn.promise_list(&request, filter, &page).await?))
}

/// Reads a promised payment.
///
/// With how it ended.
#[utoipa::path(get, path = "/v1/promises/{id}", operation_id = "promise_get", tag = "promises",
    params(("id" = PromiseId, Path, description = "The promise")),
    responses((status = 200, description = "The promise", body = PromiseView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<PromiseId>,
) -> Result<Found<PromiseView>, Problem> {
    Ok(Found(altyn.promise_get(&request, id).await?))
}

/// Takes a promised payment back.
///
/// What the contract may spend falls by it.
#[utoipa::path(post, path = "/v1/promises/{id}/revoke", operation_id = "promise_revoke", tag = "promises",
    params(("id" = PromiseId, Path, description = "The promise")),
    responses((status = 200, description = "The promise that was taken back", body = PromiseView)))]
async fn revoke(App(altyn): App, At(id): At<PromiseId>, Order(request): Order) -> Result<Answer<PromiseView>, Problem> {
    Ok(Answer(altyn.promise_revoke(&request, id).await?))
}

/// Shows what giving a promised payment would do.
///
/// The very answer, and every posting with what follows from it, as they would be now; nothing is written.
#[utoipa::path(post, path = "/v1/promises/preview", operation_id = "promise_give_preview",
    tag = "promises",
    request_body(content = GivePromise, example = json!({
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "amount_minor": 50_000, "comment": "заплатит в пятницу" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<PromiseView>)))]
async fn give_preview(
    App(altyn): App,
    Command { request, command }: Command<GivePromise>,
) -> Result<Json<ActionPreview<PromiseView>>, Problem> {
    Ok(Json(altyn.promise_give_preview(&request, command).await?))
}

/// Shows what taking a promised payment back would do.
///
/// The very answer, and every posting with what follows from it, as they would be now; nothing is written.
#[utoipa::path(post, path = "/v1/promises/{id}/revoke/preview", operation_id = "promise_revoke_preview",
    tag = "promises",
    params(("id" = PromiseId, Path, description = "The promise")),
    responses((status = 200, description = "What it would do", body = ActionPreview<PromiseView>)))]
async fn revoke_preview(
    App(altyn): App,
    At(id): At<PromiseId>,
    Order(request): Order,
) -> Result<Json<ActionPreview<PromiseView>>, Problem> {
    Ok(Json(altyn.promise_revoke_preview(&request, id).await?))
}
