//! `/v1/bindings`: which component decides at which extension point of a tenant, and from when.

use altyn_domain::id::BindingId;
use altyn_service::{
    context::Altyn,
    explain::{ShadowOptions, ShadowReport},
    page::{Listed, Page},
    plugins::{BindingView, CreateBinding},
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::Caller,
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource, Upload},
    page::{At, Filter, Paged},
    plugins::{LARGEST_COMPONENT, WASM},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, end))
}

/// The shadow run, which takes as long as the history is.
pub fn shadow() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(shadow_run)).layer(DefaultBodyLimit::max(LARGEST_COMPONENT))
}

impl Resource for BindingView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/bindings/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Binds a component.
///
/// The component's world names the extension point; from `effective_from` on, this binding decides there.
#[utoipa::path(post, path = "/v1/bindings", operation_id = "binding_create", tag = "bindings",
    request_body(content = CreateBinding, example = json!({
        "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "config": { "template": "СЧ-{year}-{seq:6}" }, "effective_from": "2026-11-01",
    })),
    responses((status = 201, description = "The binding", body = BindingView)))]
async fn create(
    State(altyn): State<Altyn>,
    Command { request, command }: Command<CreateBinding>,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_create(&request, command).await?))
}

/// Lists the bindings.
///
/// Ended ones included, oldest first.
#[utoipa::path(get, path = "/v1/bindings", operation_id = "binding_list", tag = "bindings",
    params(Page), responses((status = 200, description = "A page of bindings", body = Listed<BindingView>)))]
async fn list(
    State(altyn): State<Altyn>,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<BindingView>>, Problem> {
    Ok(Json(altyn.binding_list(&request, &page).await?))
}

/// Reads a binding.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/bindings/{id}", operation_id = "binding_get", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The binding", body = BindingView)))]
async fn get(
    State(altyn): State<Altyn>,
    Caller { request }: Caller,
    At(id): At<BindingId>,
) -> Result<Found<BindingView>, Problem> {
    Ok(Found(altyn.binding_get(&request, id).await?))
}

/// Ends a binding.
///
/// It decides nothing more; what it decided stays explained.
#[utoipa::path(delete, path = "/v1/bindings/{id}", operation_id = "binding_end", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The ended binding", body = BindingView)))]
async fn end(
    State(altyn): State<Altyn>,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_end(&request, id, version).await?))
}

/// Runs a candidate in the shadow.
///
/// The body is a component's bytes. It is asked everything the binding's component was asked for the business days from
/// `from` until before `until`; the answer tells what it would have decided otherwise, in money. Nothing is kept, so it
/// needs no idempotency key.
#[utoipa::path(post, path = "/v1/bindings/{id}/shadow", operation_id = "binding_shadow", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding"), ShadowOptions),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 200, description = "What would have been decided otherwise", body = ShadowReport)))]
async fn shadow_run(
    State(altyn): State<Altyn>,
    At(id): At<BindingId>,
    Filter(options): Filter<ShadowOptions>,
    upload: Upload,
) -> Result<Json<ShadowReport>, Problem> {
    let Upload { request, bytes, .. } = upload.expect(WASM)?;
    Ok(Json(altyn.shadow(&request, id, bytes.into(), options, |_| {}).await?))
}
