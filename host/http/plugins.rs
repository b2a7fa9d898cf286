//! `/v1/plugins`: components of the platform, installed as bytes and known by their digest.

use altyn_service::{
    context::Altyn,
    page::{Listed, Page},
    plugins::{ComponentView, InspectionView},
    usage::{UsageFilter, UsageView},
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
    idempotency::{Answer, Found, Resource, Upload},
    page::{At, Filter, Paged},
};

/// The largest component, in bytes.
pub(super) const LARGEST_COMPONENT: usize = 16 << 20;
pub(super) const WASM: &str = "application/wasm";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, install))
        .routes(routes!(inspect))
        .routes(routes!(usage))
        .routes(routes!(get))
        .layer(DefaultBodyLimit::max(LARGEST_COMPONENT))
}

impl Resource for ComponentView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/plugins/{}", self.digest))
    }
}

/// Installs a component.
///
/// The body is the component's bytes, at most 16 MiB. It is checked, compiled and asked who it is; the same bytes are
/// installed once and then answer 200.
#[utoipa::path(post, path = "/v1/plugins", operation_id = "plugin_install", tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 201, description = "The component, installed now", body = ComponentView),
        (status = 200, description = "The component, installed before", body = ComponentView)))]
async fn install(State(altyn): State<Altyn>, upload: Upload) -> Result<Answer<ComponentView>, Problem> {
    let Upload { request, bytes, .. } = upload.expect(WASM)?;
    Ok(Answer(altyn.plugin_install(&request, bytes.into()).await?))
}

/// Looks into a component.
///
/// The body is the component's bytes; nothing is kept. Answers what it is and what it asks for.
#[utoipa::path(post, path = "/v1/plugins/inspect", operation_id = "plugin_inspect", tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 200, description = "What the component says about itself", body = InspectionView)))]
async fn inspect(State(altyn): State<Altyn>, upload: Upload) -> Result<Json<InspectionView>, Problem> {
    let Upload { bytes, .. } = upload.expect(WASM)?;
    Ok(Json(altyn.plugin_inspect(bytes.into()).await?))
}

/// Lists the installed components.
///
/// In the order of their digests.
#[utoipa::path(get, path = "/v1/plugins", operation_id = "plugin_list", tag = "plugins",
    params(Page), responses((status = 200, description = "A page of components", body = Listed<ComponentView>)))]
async fn list(State(altyn): State<Altyn>, Paged(page): Paged) -> Result<Json<Listed<ComponentView>>, Problem> {
    Ok(Json(altyn.plugin_list(&page).await?))
}

/// Reports what plugin calls took.
///
/// By component and purpose, summed over the days from `from` until before `until`; of the acting tenant.
#[utoipa::path(get, path = "/v1/plugins/usage", operation_id = "plugin_usage", tag = "plugins",
    params(UsageFilter, Page), responses((status = 200, description = "A page of usage", body = Listed<UsageView>)))]
async fn usage(
    State(altyn): State<Altyn>,
    Caller { request }: Caller,
    Filter(filter): Filter<UsageFilter>,
    Paged(page): Paged,
) -> Result<Json<Listed<UsageView>>, Problem> {
    Ok(Json(altyn.usage_report(&request, &filter, &page).await?))
}

/// Reads an installed component.
///
/// Without its bytes.
#[utoipa::path(get, path = "/v1/plugins/{digest}", operation_id = "plugin_get", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the component, 64 hexadecimal digits")),
    responses((status = 200, description = "The component", body = ComponentView)))]
async fn get(State(altyn): State<Altyn>, At(digest): At<String>) -> Result<Found<ComponentView>, Problem> {
    Ok(Found(altyn.plugin_get(&digest).await?))
}
