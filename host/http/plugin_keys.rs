//! `/v1/plugin-keys`: the publishers whose signature is taken here.

use altyn_service::{
    page::{Listed, Page},
    plugin_keys::{KeyView, RevokeKey, RevokedKeyView, TrustKey},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::App,
    error::Problem,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, trust)).routes(routes!(get)).routes(routes!(revoke))
}

impl Resource for KeyView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/plugin-keys/{}", self.id))
    }
}

impl Resource for RevokedKeyView {}

/// Trusts a publisher's key.
///
/// Components that it signed may be installed from now on. The level `core` is given at the machine itself only.
#[utoipa::path(post, path = "/v1/plugin-keys", operation_id = "plugin_key_trust", tag = "plugins",
    request_body(content = TrustKey, example = json!({
        "public_key": "altyn-ed25519-public:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
        "publisher": "Acme Payments",
    })),
    responses((status = 201, description = "The key", body = KeyView),
        (status = 200, description = "The key, trusted before", body = KeyView)))]
async fn trust(App(altyn): App, Command { request, command }: Command<TrustKey>) -> Result<Answer<KeyView>, Problem> {
    Ok(Answer(altyn.plugin_key_trust(&request, command).await?))
}

/// Lists the publishers' keys.
///
/// Revoked ones included, in the order of their ids.
#[utoipa::path(get, path = "/v1/plugin-keys", operation_id = "plugin_key_list", tag = "plugins",
    params(Page), responses((status = 200, description = "A page of keys", body = Listed<KeyView>)))]
async fn list(App(altyn): App, Paged(page): Paged) -> Result<Json<Listed<KeyView>>, Problem> {
    Ok(Json(altyn.plugin_key_list(&page).await?))
}

/// Reads a publisher's key.
///
/// Its public half, and whether it was revoked.
#[utoipa::path(get, path = "/v1/plugin-keys/{id}", operation_id = "plugin_key_get", tag = "plugins",
    params(("id" = String, Path, description = "Id of the key, 16 hexadecimal digits")),
    responses((status = 200, description = "The key", body = KeyView)))]
async fn get(App(altyn): App, At(id): At<String>) -> Result<Found<KeyView>, Problem> {
    Ok(Found(altyn.plugin_key_get(&id).await?))
}

/// Revokes a publisher's key.
///
/// For ever: what it signed is no more installed or bound. The answer names the installed components that it signed.
#[utoipa::path(post, path = "/v1/plugin-keys/{id}/revoke", operation_id = "plugin_key_revoke", tag = "plugins",
    params(("id" = String, Path, description = "Id of the key, 16 hexadecimal digits")),
    request_body(content = RevokeKey, example = json!({ "reason": "the publisher lost it" })),
    responses((status = 200, description = "The revoked key and its components", body = RevokedKeyView)))]
async fn revoke(
    App(altyn): App,
    At(id): At<String>,
    Command { request, command }: Command<RevokeKey>,
) -> Result<Answer<RevokedKeyView>, Problem> {
    Ok(Answer(altyn.plugin_key_revoke(&request, &id, command).await?))
}
