//! `/v1/api-keys`: the keys of the acting tenant. A key's secret is in the answer that creates it, and nowhere else.

use altyn_domain::id::ApiKeyId;
use altyn_service::{
    api_keys::{ApiKeyView, CreateApiKey, CreatedApiKey},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get)).routes(routes!(revoke))
}

impl Resource for ApiKeyView {}

impl Resource for CreatedApiKey {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/api-keys/{}", self.key.id))
    }
}

/// Creates an API key.
///
/// The secret is in this answer only; a repeated request with the same idempotency key answers without it.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "api_key_create", tag = "api keys",
    request_body(content = CreateApiKey, example = json!({ "name": "the accounting system", "role": "operator" })),
    responses((status = 201, description = "The key and its secret", body = CreatedApiKey)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateApiKey>,
) -> Result<Answer<CreatedApiKey>, Problem> {
    Ok(Answer(altyn.api_key_create(&request, command).await?))
}

/// Lists the API keys.
///
/// Of the acting tenant, without secrets, oldest first.
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "api_key_list", tag = "api keys",
    params(Page), responses((status = 200, description = "A page of keys", body = Listed<ApiKeyView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<ApiKeyView>>, Problem> {
    Ok(Json(altyn.api_key_list(&request, &page).await?))
}

/// Reads an API key.
///
/// Without its secret.
#[utoipa::path(get, path = "/v1/api-keys/{id}", operation_id = "api_key_get", tag = "api keys",
    params(("id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The key", body = ApiKeyView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<ApiKeyId>) -> Result<Found<ApiKeyView>, Problem> {
    Ok(Found(altyn.api_key_get(&request, id).await?))
}

/// Revokes an API key.
///
/// At once and for ever; revoking it again changes nothing.
#[utoipa::path(post, path = "/v1/api-keys/{id}/revoke", operation_id = "api_key_revoke", tag = "api keys",
    params(("id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The revoked key", body = ApiKeyView)))]
async fn revoke(App(altyn): App, At(id): At<ApiKeyId>, Order(request): Order) -> Result<Answer<ApiKeyView>, Problem> {
    Ok(Answer(altyn.api_key_revoke(&request, id).await?))
}
